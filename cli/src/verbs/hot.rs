//! Chooses the functions that a chart shows for a stage, and formats its numbers.

use crate::image::instruction_log::Stage;

/// How many functions are named in a stage, and what share of it, in percent, one must have for that.
pub const HOT: usize = 3;
pub const HOT_SHARE: u64 = 5;

/// The busiest functions of a stage, as far as they have a share worth a line.
pub fn hot(stage: &Stage) -> impl Iterator<Item = (usize, u64)> + '_ {
    let is_hot = |&(_, count): &(usize, u64)| {
        count.saturating_mul(100) >= stage.instructions.saturating_mul(HOT_SHARE)
    };
    // A stage that is one function says so by its name.
    let is_told = stage.functions.len() > 1;
    stage.functions.iter().copied().filter(move |all| is_told && is_hot(all)).take(HOT)
}

/// A number with a comma before every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let numbers = [0, 7, 999, 1000, 123_456, 1_234_567];
        let shown = numbers.map(grouped);
        assert_eq!(shown, ["0", "7", "999", "1,000", "123,456", "1,234,567"]);
    }
}
