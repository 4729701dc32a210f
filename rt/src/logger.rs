//! The `log` crate's messages on the consoles: `[INFO target] message`.

use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            crate::println!("[{} {}] {}", record.level(), record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Sends messages up to `level` to the consoles.
///
/// # Errors
///
/// [`SetLoggerError`] if the program has a logger already; it stays.
pub fn init(level: LevelFilter) -> Result<(), SetLoggerError> {
    log::set_logger(&Logger)?;
    log::set_max_level(level);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_second_logger_is_refused() {
        super::init(log::LevelFilter::Info).unwrap();
        assert!(log::log_enabled!(log::Level::Info));
        assert!(!log::log_enabled!(log::Level::Debug));
        assert!(super::init(log::LevelFilter::Trace).is_err());
        assert!(!log::log_enabled!(log::Level::Debug));
    }
}
