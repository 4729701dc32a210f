//! One stop per layer. Each prints what it finds and checks it; it returns an error if something is wrong.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use foldhash::fast::FixedState;
use freestone::devices::acpi::{self, Entry};
use freestone::math::Float as _;
use freestone::memory::Kind;
use freestone::platform::{hypervisor, x86_64};
use freestone::task::{self, sync};
use freestone::time::{self, DateTime};
use freestone::traps::{self, Frame, Outcome};
use freestone::xen::{E820Entry, E820Kind, Xen};
use freestone::{BootInfo, entropy, println};
use hashbrown::HashMap;

/// What a stop found wrong, in a few words.
type Finding = &'static str;

/// A stop of the tour.
pub struct Stop {
    /// What it is about.
    pub name: &'static str,
    /// Prints and checks it.
    pub show: fn(&'static BootInfo) -> Result<(), Finding>,
}

/// All stops, in the order of a boot.
pub const STOPS: [Stop; 9] = [
    Stop { name: "boot", show: boot },
    Stop { name: "memory", show: memory },
    Stop { name: "heap", show: heap },
    Stop { name: "collections", show: collections },
    Stop { name: "numbers", show: numbers },
    Stop { name: "bytes", show: bytes },
    Stop { name: "time", show: clock },
    Stop { name: "tasks", show: tasks },
    Stop { name: "traps", show: breakpoint },
];

/// Ends the stop with a finding unless the condition holds.
fn ensure(condition: bool, otherwise: Finding) -> Result<(), Finding> {
    if condition { Ok(()) } else { Err(otherwise) }
}

/// Who started us, and what it said.
fn boot(boot: &'static BootInfo) -> Result<(), Finding> {
    println!("protocol      {}", boot.protocol());
    println!("hypervisor    {}", boot.hypervisor());
    if let Some(xen) = hypervisor::xen() {
        about_xen(xen)?;
    }
    for console in freestone::rt::console::consoles() {
        println!("console       {}", console.name());
    }
    println!("command line  {:?}", boot.command_line());
    for module in boot.modules() {
        println!(
            "module        {} bytes, {}",
            module.bytes.len(),
            module.command_line.escape_ascii()
        );
    }
    match boot.rsdp() {
        Some(address) => println!("ACPI          root pointer at {address:#x}"),
        None => println!("ACPI          none"),
    }
    // Damaged tables are no reason not to boot.
    if let Err(error) = wires() {
        println!("interrupts    {error}");
    }
    println!("entry to main {} ticks of the cycle counter", boot.boot_ticks());
    ensure(boot.boot_ticks() > 0, "the cycle counter stands still")
}

/// What ACPI's tables say of interrupts.
fn wires() -> Result<(), acpi::Error> {
    let tables = acpi::tables()?;
    let controllers = tables.controllers()?;
    let moved = controllers.entries().filter(|entry| matches!(entry, Entry::Override { .. }));
    println!(
        "interrupts    local APIC at {:#x}, {} I/O APICs, {} lines moved",
        controllers.local_apic(),
        controllers.io_apics().count(),
        moved.count()
    );
    Ok(())
}

/// Which Xen, and what it offers.
fn about_xen(xen: Xen) -> Result<(), Finding> {
    let version = xen.version().map_err(|_| "Xen does not tell its version")?;
    let extra = xen.extra_version().map_err(|_| "Xen does not tell its extra version")?;
    let features = xen.features().map_err(|_| "Xen does not tell its features")?;
    let names: Vec<&str> = features.iter_names().map(|(name, _)| name).collect();
    println!("Xen version   {version}{extra}");
    println!("Xen features  {}", names.join(", "));
    Ok(())
}

/// What RAM there is, and what of it the boot left over.
fn memory(boot: &'static BootInfo) -> Result<(), Finding> {
    let map = boot.memory();
    for region in map.regions() {
        println!("{region}");
    }
    let image = boot.image();
    println!("{:#014x}..{:#014x} this kernel, stacks included", image.start, image.end);
    let free: u64 = map.free().map(|range| range.end - range.start).sum();
    println!("{} KiB of {} KiB RAM were free at boot", free >> 10, map.usable_bytes() >> 10);
    let apart = map.free().all(|range| range.end <= image.start || image.end <= range.start);
    ensure(apart, "free memory overlaps the kernel")?;
    match hypervisor::xen() {
        Some(xen) => same_as_xen_says(xen, boot),
        None => Ok(()),
    }
}

/// Asks Xen for the map again, and compares: whatever way it took, it is the same memory.
fn same_as_xen_says(xen: Xen, boot: &'static BootInfo) -> Result<(), Finding> {
    let mut entries = [E820Entry::EMPTY; 128];
    let count = xen.memory_map(&mut entries).map_err(|_| "Xen has no memory map for us")?;
    let ram = |entry: &&E820Entry| entry.kind() == E820Kind::Ram;
    let told: u64 = entries[..count].iter().filter(ram).map(E820Entry::len_bytes).sum();
    let known = boot.memory().usable_bytes();
    println!("{count} entries in Xen's own map, {} KiB of RAM", told >> 10);
    ensure(told == known, "Xen has another amount of RAM")?;
    let known = |entry: &E820Entry| {
        let (start, end) = (entry.base(), entry.base() + entry.len_bytes());
        boot.memory()
            .regions()
            .iter()
            .any(|region| region.kind == Kind::Usable && region.start <= start && end <= region.end)
    };
    ensure(entries[..count].iter().filter(ram).all(known), "Xen has RAM that we do not know")
}

/// Allocation, growth, and being told no.
fn heap(_boot: &'static BootInfo) -> Result<(), Finding> {
    let mut squares: Vec<u64> = Vec::new();
    for number in 0..10_000_u64 {
        squares.push(number * number);
    }
    let sum: u64 = squares.iter().sum();
    println!("10,000 squares in a Vec, their sum is {sum}");

    // Room for pages, not pages: unoptimised code would move each over the stack several times.
    let aligned: Vec<Vec<Page>> = (0..4).map(|_| Vec::with_capacity(1)).collect();
    let addresses: Vec<usize> = aligned.iter().map(|page| page.as_ptr().addr()).collect();
    println!("4 pages at {addresses:x?}");

    println!("8 EiB at once, please:");
    let refused = Vec::<u8>::new().try_reserve(isize::MAX as usize).is_err();
    println!("{}", if refused { "refused, as it should be" } else { "granted?" });

    ensure(sum == 333_283_335_000, "the sum of the squares is wrong")?;
    ensure(addresses.iter().all(|address| address % 4096 == 0), "a page is not page-aligned")?;
    ensure(refused, "the heap promised more than an address space")
}

/// Something that must be aligned.
#[repr(align(4096))]
struct Page {
    _bytes: [u8; 4096],
}

/// Maps and strings, as anywhere.
fn collections(_boot: &'static BootInfo) -> Result<(), Finding> {
    const TEXT: &str = "the quick brown fox jumps over the lazy dog and the dog yawns";

    let mut sorted: BTreeMap<&str, u32> = BTreeMap::new();
    for word in TEXT.split(' ') {
        *sorted.entry(word).or_default() += 1;
    }
    let line: Vec<String> = sorted.iter().map(|(word, count)| format!("{word} {count}")).collect();
    println!("BTreeMap  {}", line.join(", "));

    // Against somebody who chooses the keys, the seed must be one that nobody can guess.
    let mut seed = [0; 8];
    let is_random = entropy::fill(&mut seed);
    let seed = match is_random {
        Ok(()) => u64::from_le_bytes(seed),
        Err(_) => x86_64::cpu::ticks(),
    };
    let mut hashed: HashMap<&str, u32, FixedState> =
        HashMap::with_hasher(FixedState::with_seed(seed));
    for word in TEXT.split(' ') {
        *hashed.entry(word).or_default() += 1;
    }
    println!("HashMap   {} words", hashed.len());
    match is_random {
        Ok(()) => println!("seed      {seed:#x}, random"),
        Err(why) => println!("seed      {seed:#x}, the cycle counter, which can be guessed: {why}"),
    }

    let agree = hashed.len() == sorted.len()
        && sorted.iter().all(|(word, count)| hashed.get(word) == Some(count));
    ensure(agree, "the two maps disagree")
}

/// Floating point and 128 bits: what the compiler leaves to a library.
fn numbers(_boot: &'static BootInfo) -> Result<(), Finding> {
    let two = black_box(2.0_f64);
    println!("square root of 2  {}", two.sqrt());
    println!("sine of 1         {:.15}", black_box(1.0_f64).sin());
    println!("e to the pi       {:.12}", core::f64::consts::PI.exp());
    println!("2 to the -1022    {:e}", two.powi(-1022));
    let tenth = black_box(0.1_f64);
    println!("0.1 * 10 - 1      {:e}, rounded once", tenth.mul_add(10.0, -1.0));

    let large = black_box(u128::MAX / 3);
    let divisor = black_box(1_000_000_007_u128);
    let (quotient, rest) = (large / divisor, large % divisor);
    println!("{large} / {divisor} = {quotient}, rest {rest}");

    ensure(two.sqrt() == core::f64::consts::SQRT_2, "the square root of 2 is wrong")?;
    ensure((black_box(1.0_f64).sin() - 0.841_470_984_807_896_5).abs() < 1e-15, "sin(1) is wrong")?;
    ensure(tenth.mul_add(10.0, -1.0) == 5.551_115_123_125_783e-17, "a fused sum is wrong")?;
    ensure(two.powi(-1022) == f64::MIN_POSITIVE, "a power of 2 is wrong")?;
    ensure(quotient * divisor + rest == large && rest < divisor, "128-bit division is wrong")
}

/// `memcpy` and its family, by way of slices.
fn bytes(_boot: &'static BootInfo) -> Result<(), Finding> {
    const LENGTH: usize = 3000;
    let pattern: Vec<u8> = (0..LENGTH).map(|index| (index * 7 % 251) as u8).collect();

    let mut checked = 0;
    for length in [0, 1, 7, 8, 31, 64, 255, 1000] {
        for (from, to) in [(0, 1), (1, 0), (3, 200), (200, 3), (64, 64)] {
            let mut moved = pattern.clone();
            moved.copy_within(from..from + length, to);
            let expected = |at: usize| {
                let inside = (to..to + length).contains(&at);
                pattern[if inside { at - to + from } else { at }]
            };
            let right = moved.iter().enumerate().all(|(at, &byte)| byte == expected(at));
            ensure(right, "a move within a buffer went wrong")?;
            checked += 1;
        }
    }
    let mut filled = pattern.clone();
    filled[5..LENGTH - 5].fill(0xa5);
    let inside = filled[5..LENGTH - 5].iter().all(|&byte| byte == 0xa5);
    println!("{checked} moves, fills and comparisons of up to {LENGTH} bytes");
    ensure(inside && filled[..5] == pattern[..5], "a fill went wrong")?;
    ensure(pattern > vec_of(0, LENGTH) && pattern == pattern.clone(), "a comparison went wrong")
}

fn vec_of(byte: u8, length: usize) -> Vec<u8> {
    alloc::vec![byte; length]
}

/// Time that only goes forward.
fn clock(_boot: &'static BootInfo) -> Result<(), Finding> {
    let rate = time::rate();
    println!("cycle counter at {} kHz, {}", rate.hertz / 1000, rate.source);
    let mut latest = time::now();
    println!("{latest:?} since the first instruction");
    if let Some(wall) = time::wall() {
        let date = DateTime::of(wall);
        println!("{date}, the time of day");
        // Written in 2026. Who tells it may be wrong, but not by a lifetime.
        ensure((2026..2100).contains(&date.year), "the time of day is of another age")?;
    }
    for _ in 0..1000 {
        let now = time::now();
        ensure(now >= latest, "time went back")?;
        latest = now;
    }
    println!("1000 readings later: {latest:?}");
    ensure(!latest.is_zero(), "time stands still")
}

/// Three at once: two send over a channel, one of them after a while; the third receives.
fn tasks(_boot: &'static BootInfo) -> Result<(), Finding> {
    const WHILE: Duration = Duration::from_millis(2);

    let begin = time::now();
    let received = task::block_on(async {
        let (quick, receiver) = sync::channel(1);
        let slow = quick.clone();
        task::spawn(async move {
            task::sleep(WHILE).await;
            slow.send("slow").await
        });
        task::spawn(async move { quick.send("quick").await });
        let receiving = task::spawn(async move {
            let mut received = Vec::new();
            while let Some(word) = receiver.recv().await {
                received.push(word);
            }
            received
        });
        receiving.await
    });
    let took = time::now() - begin;
    let received = received.map_err(|_| "a task was cancelled")?;
    println!("3 tasks, a channel, a sleep: {received:?} after {took:?}");
    ensure(received == ["quick", "slow"], "what tasks sent came wrong, or not at all")?;
    ensure(took >= WHILE, "a sleep was too short")
}

/// An exception, caught, looked at and survived.
fn breakpoint(_boot: &'static BootInfo) -> Result<(), Finding> {
    /// Where the breakpoint was. A handler must not wait for a lock, so it prints nothing.
    static CAUGHT_AT: AtomicU64 = AtomicU64::new(0);

    fn handler(frame: &mut Frame, _word: usize) -> Outcome {
        CAUGHT_AT.store(frame.rip, Ordering::Relaxed);
        Outcome::Handled
    }

    traps::handle(traps::BREAKPOINT, handler, 0);
    traps::breakpoint();
    let address = CAUGHT_AT.load(Ordering::Relaxed);
    println!("a breakpoint at {address:#x} was caught, and here we are");
    ensure(address != 0, "the handler was not called")
}
