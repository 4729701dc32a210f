//! A kernel on a network of enemies: after each attack an honest client gets its answer at once, the heap is what it was, and
//! when nothing comes the processor rests.
//!
//! The test is the whole other side of the wire (`-netdev dgram`), so it needs no rights, and no stack is in between that
//! would refuse to send what is sent here.

#[path = "net_hostile/attacks.rs"]
mod attacks;
#[path = "net_hostile/client.rs"]
mod client;
#[path = "net_hostile/frames.rs"]
mod frames;
#[path = "net_hostile/gone.rs"]
mod gone;
#[path = "net_hostile/scene.rs"]
mod scene;
#[path = "net_hostile/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use attacks::*;
use freestone_tests::Profile;
use scene::Scene;

#[test]
fn whatever_comes_service_and_memory_come_back() {
    all_attacks(Scene::static_on("hostile", "microvm"), 3000);
}

/// Sums that overflow end such a kernel, and it is a tenth as fast.
#[test]
fn a_debug_build_survives_the_same() {
    all_attacks(Scene::new("debug", ("microvm", Profile::Dev), &[]), 500);
}

fn all_attacks(mut s: Scene, in_a_row: u32) {
    type Attack<'a> = (&'a str, &'a dyn Fn(&mut Scene));
    let attacks: [Attack; 10] = [
        ("garbage", &garbage),
        ("fragments", &fragments),
        ("forgeries", &forgeries),
        ("control", &messages_of_control),
        ("neighbours", &neighbours),
        ("routers", &routers),
        ("ends", &storms_of_ends),
        ("windows", &windows),
        ("in a row", &|s| attacks::in_a_row(s, in_a_row)),
        ("odd openings", &odd_openings),
    ];
    for (name, attack) in attacks {
        attack(&mut s);
        s.is_well_after(name);
    }
    // Twice: what was lost between driver and device showed in two of three floods.
    for _ in 0..2 {
        flood(&mut s);
        s.is_well_after("flood");
    }
    // Handshakes may take ten seconds, and are forgotten then.
    std::thread::sleep(Duration::from_millis(10_200));
    s.is_well_after("all");
    let stats = s.stats();
    assert_eq!(stats.of("half_open"), 0);
    s.end();
}

/// As many halts as ten seconds of rest may have, two questions included: 7 were measured.
const HALTS: u64 = 12;

#[test]
fn who_has_nothing_to_do_rests_and_a_cable_or_a_pause_ends_nothing() {
    let mut s = Scene::static_on("rest", "q35");
    s.is_well_after("a boot");
    let before = s.stats().before(" halts");
    s.wire.drain(Duration::from_secs(10));
    let halts = s.stats().before(" halts") - before;
    println!("{halts} halts in ten seconds");
    assert!(halts <= HALTS, "{halts} halts");
    for _ in 0..3 {
        s.wire.monitor("set_link n0 off");
        std::thread::sleep(Duration::from_millis(200));
        s.wire.monitor("set_link n0 on");
        s.started = Instant::now();
        s.is_well_after("a cable");
        s.wire.monitor("stop");
        std::thread::sleep(Duration::from_secs(1));
        s.wire.monitor("cont");
        s.is_well_after("a pause");
    }
    s.end();
}
