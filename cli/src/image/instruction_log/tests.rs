//! Logs of made-up runs, and what is counted of them.

use super::*;

const MAIN: u64 = 0x300;

/// Functions 0x100 bytes long, from 0x100 on: entry, boot, main, helper, stubs, exit.
fn functions(main: Option<u64>) -> Functions {
    let names = ["entry", "boot", "main", "helper", "stubs", "exit", ""];
    let named = (1_u64..).map(|number| number * 0x100).zip(names.map(str::to_owned));
    Functions::new(named.collect(), main, vec![(0x9000..0xa000, 0x100_u64.wrapping_sub(0x9000))])
}

fn trace(addresses: &[u64]) -> String {
    let line = |at: &u64| {
        format!("Trace 0: 0x7ff7140604c0 [0000000000000000/{at:016x}/000000b0/ff020201] \n")
    };
    addresses.iter().map(line).collect()
}

fn count(functions: &Functions, log: &str) -> Chart {
    let mut counter = Counter::new(functions);
    counter.follow(log.as_bytes()).unwrap();
    counter.chart()
}

/// Part, function, calls, instructions, how many functions.
fn shown(functions: &Functions, chart: &Chart) -> Vec<(Part, String, u64, u64, usize)> {
    let stages = chart.parts.iter().flat_map(|(part, s)| s.stages.iter().map(|s| (*part, s)));
    let row = |(part, stage): (Part, &Stage)| {
        let name = functions.name(stage.function).to_owned();
        (part, name, stage.calls, stage.instructions, stage.functions.len())
    };
    stages.map(row).collect()
}

#[test]
fn a_run_is_cut_at_main_and_told_by_stages() {
    let functions = functions(Some(MAIN));
    let log = trace(&[
        0x100, 0x104, 0x100, // entry, with a loop to its first instruction
        0x200, 0x204, // boot
        0x400, 0x404, // helper
        0x208, 0x400, 0x404, // back, helper again
        0x550, 0x554, // interrupted: in the middle of stubs
        0x408, 0x20c, // back in helper, back in boot
        0x300, 0x304, // main
        0x400, 0x600, // helper, which goes on in exit by a jump
        0x308, 0x210, // back in main, back in boot
        0x600, 0x604, 0x604,
    ]);
    let chart = count(&functions, &log);
    assert!(chart.main == Some(2) && !chart.is_cut);
    assert_eq!(chart.instructions, 23);
    let (boot, main, after) = (Part::Boot, Part::Main, Part::After);
    assert_eq!(
        shown(&functions, &chart),
        [
            (boot, "entry".into(), 1, 3, 0),
            (boot, "boot".into(), 1, 4, 0),
            (boot, "helper".into(), 2, 7, 2),
            (main, "main".into(), 1, 3, 0),
            (main, "helper".into(), 1, 2, 2),
            (after, "boot".into(), 1, 1, 0),
            (after, "exit".into(), 1, 3, 1),
        ]
    );
    let sums: u64 = chart.parts.iter().map(|(_, section)| section.instructions).sum();
    assert_eq!(sums, chart.instructions);
}

#[test]
fn a_function_that_calls_itself_is_one() {
    let functions = functions(Some(MAIN));
    // main, helper, exit, helper, back in exit, back in helper, back in main.
    let log = trace(&[0x300, 0x400, 0x600, 0x400, 0x604, 0x404, 0x304]);
    let chart = count(&functions, &log);
    let (main, names) = (Part::Main, ["main", "helper"].map(str::to_owned));
    let [own, helper] = names;
    assert_eq!(shown(&functions, &chart), [(main, own, 1, 2, 0), (main, helper, 2, 5, 2)]);
}

#[test]
fn what_did_not_run_is_taken_back_and_what_is_no_line_passed_over() {
    let functions = functions(Some(MAIN));
    let stopped = "Stopped execution of TB chain before 0x7ff7140604c0 [0000000000000300] \n";
    let once = trace(&[0x100, MAIN]);
    let log = format!("{once}{stopped}{}", trace(&[MAIN, 0x304]));
    let broken = [
        "",
        "Trace",
        "Trace 0: 0x7ff [",
        "Trace 0: 0x7ff [0/",
        "Trace 0: 0x7ff [0/zz/0/0]",
        "Trace 0: 0x7ff [0000000000000000/00000000000003",
        "cpu_exec: something",
    ];
    for line in broken {
        let chart = count(&functions, &format!("{line}\n{log}{line}"));
        assert_eq!(chart.instructions, 3, "{line}");
        assert_eq!(chart.parts[1].1.instructions, 2, "{line}");
    }
    assert_eq!(count(&functions, stopped).instructions, 0);
}

#[test]
fn without_main_what_nearly_all_was_spent_in_has_the_stages() {
    let functions = functions(None);
    let mut addresses = vec![0x100, 0x200];
    addresses.extend([0x400, 0x404, 0x600, 0x604, 0x408, 0x204].repeat(50));
    let chart = count(&functions, &trace(&addresses));
    assert!(chart.main.is_none());
    let names: Vec<_> = shown(&functions, &chart).into_iter().map(|row| row.1).collect();
    assert_eq!(names, ["entry", "boot", "helper"]);
    assert_eq!(chart.parts[0].1.stages[2].functions.len(), 2);
}

#[test]
fn code_that_runs_elsewhere_before_it_is_mapped_has_its_name() {
    let functions = functions(Some(MAIN));
    let chart = count(&functions, &trace(&[0x9000, 0x9004, 0x200, 0x42]));
    let rows = shown(&functions, &chart);
    assert_eq!(rows[0], (Part::Boot, "entry".into(), 1, 2, 0));
    assert_eq!((rows[1].1.as_str(), rows[1].4), ("boot", 2));
    assert_eq!(functions.name(functions.at(0x42).0), "(no symbol)");
}

#[test]
fn no_log_makes_the_tree_larger_than_it_may_be() {
    // 600 functions that call each other in turns never seen before.
    let starts = (0..600_u64).map(|number| (0x1000 + number * 16, format!("f{number}")));
    let functions = Functions::new(starts.collect(), None, vec![]);
    let mut counter = Counter::new(&functions);
    let mut at = 1_u64;
    for _ in 0..2_000_000 {
        at = at.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        counter.step(0x1000 + (at >> 33) % 600 * 16 + (at >> 60) % 4 * 4);
    }
    assert!(counter.trees[0].nodes.len() <= MOST_NODES && counter.stack.len() <= DEEPEST);
    let chart = counter.chart();
    assert_eq!(chart.instructions, 2_000_000);
    assert_eq!(chart.parts[0].1.instructions, 2_000_000);
    assert!(chart.is_cut);
}
