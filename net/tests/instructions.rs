//! What a request costs in instructions, counted by valgrind where it is installed: the same among 1 and 1,024 connections.
//!
//! Peer, executor and device of `examples/requests.rs` are counted too. They cost the same in both cases, and make the ratio
//! smaller than it is by less than half.

use std::process::Command;

/// Instructions that `requests CONNECTIONS REQUESTS AT_ONCE` takes. `None`: there is no valgrind.
fn instructions(arguments: [usize; 3]) -> Option<u64> {
    // Cargo builds the examples before it runs a package's tests, and puts both beside each other.
    let mut program = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    program.push("examples/requests");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&program)
        .args(arguments.map(|argument| argument.to_string()))
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let line = text
        .lines()
        .find(|line| line.contains("Collected"))
        .expect("callgrind says what it has collected");
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Instructions of one request, in so many connections.
fn per_request(connections: usize, at_once: usize) -> Option<f64> {
    let (few, many) = (200, 1000);
    let difference =
        instructions([connections, many, at_once])? - instructions([connections, few, at_once])?;
    Some(difference as f64 / (many - few) as f64)
}

#[test]
fn a_request_among_thousands_of_idle_connections_costs_what_one_alone_does() {
    let (Some(alone), Some(among)) = (per_request(1, 1), per_request(1024, 1)) else {
        println!("valgrind is not installed: nothing was counted");
        return;
    };
    println!("{alone:.0} instructions alone, {among:.0} among 1,024");
    assert!(among <= 1.2 * alone, "{among:.0} among 1,024, {alone:.0} alone");
}
