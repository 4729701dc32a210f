//! A key-value store in a kernel: QEMU is killed under load, and nothing that was acknowledged is lost; what opening it takes,
//! how many puts share a flush, in how much memory it runs.
//!
//! A killed QEMU leaves what it has written in the host's memory, so nothing is torn here: disks that tear and lose what was not
//! flushed are in the tests of `freestone-store`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use freestone_tests::{Ended, Profile, Scratch, boot, kernel, long, status};

const CLIENTS: u32 = 16;
const KEYS: u32 = 5;

/// As in the kernel: whether an operation deletes.
fn deletes(number: u32) -> bool {
    (number.wrapping_mul(2_654_435_761) >> 8).is_multiple_of(6)
}

/// How long a kernel may take to open its store and tell what is in it.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A disk's file: in memory, where that can be, so that a thousand of flushes are quick.
fn image(scratch: &Scratch, bytes: u64) -> PathBuf {
    let path = scratch.path().join("disk");
    let file = fs::File::create(&path).and_then(|file| file.set_len(bytes));
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

fn scratch(name: &str) -> Scratch {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { Scratch::below(memory, name) } else { Scratch::new(name) }
}

/// QEMU, whose kernel's lines are read as they come.
struct Machine {
    process: Child,
    lines: Receiver<String>,
}

impl Machine {
    fn start(kernel: &Path, image: &Path, words: &str) -> Machine {
        let program = env::var_os("FREESTONE_QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
        let mut command = Command::new(program);
        command.args(["-machine", "microvm", "-accel", "tcg", "-cpu", "max", "-m", "16"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args([
            "-monitor",
            "none",
            "-serial",
            "stdio",
            "-device",
            "virtio-blk-device,drive=d",
        ]);
        command.arg("-drive").arg(format!("if=none,id=d,format=raw,file={}", image.display()));
        command.arg("-kernel").arg(kernel).args(["-append", words]);
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = piped.expect("QEMU, which the other tests use too, starts");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
        Machine { process, lines }
    }

    /// Its lines until one of them is `ready`.
    fn until_ready(&self) -> Vec<String> {
        let (began, mut lines) = (Instant::now(), Vec::new());
        loop {
            let left = READY_LIMIT.saturating_sub(began.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) if line == "ready" => return lines,
                Ok(line) => lines.push(line),
                Err(error) => panic!("not ready, {error}: {lines:?}"),
            }
        }
    }

    /// Kills it when that time has passed; what it said until then. The last line may be cut off.
    fn kill_after(mut self, time: Duration) -> Vec<String> {
        let (began, mut lines) = (Instant::now(), Vec::new());
        while let Ok(line) = self.lines.recv_timeout(time.saturating_sub(began.elapsed())) {
            lines.push(line);
        }
        // SIGKILL.
        self.process.kill().expect("it is our child");
        self.process.wait().expect("it is our child");
        loop {
            match self.lines.recv_timeout(READY_LIMIT) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => return lines,
                Err(RecvTimeoutError::Timeout) => panic!("its output does not end"),
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Fails if it has ended, which is what this wants.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The last operation of each client's each key that was acknowledged; and the last of each client's.
#[derive(Default)]
struct Acknowledged {
    keys: BTreeMap<(u32, u32), u32>,
    clients: BTreeMap<u32, u32>,
}

fn numbers<const N: usize>(line: &str) -> Option<[u32; N]> {
    let numbers: Vec<_> = line.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

impl Acknowledged {
    /// Notes what a machine said before it was killed; how many operations that are.
    fn note(&mut self, lines: &[String]) -> usize {
        let mut count = 0;
        for (at, line) in lines.iter().enumerate() {
            let Some(rest) = line.strip_prefix("+ ") else {
                // Whoever is killed may be in the midst of a word.
                assert!(at + 1 == lines.len(), "it says: {line}");
                continue;
            };
            let Some([client, number]) = numbers(rest) else { continue };
            if at + 1 == lines.len() {
                // A number may have been cut off.
                continue;
            }
            self.keys.insert((client, number % KEYS), number);
            self.clients.insert(client, number);
            count += 1;
        }
        count
    }

    /// Asserts that what the next machine finds is what was acknowledged, or what was under way then.
    fn check(&self, lines: &[String]) {
        let mut found = BTreeMap::new();
        for line in lines {
            assert!(!line.starts_with("torn") && !line.starts_with("not "), "{lines:#?}");
            if let Some([client, key, number]) = line.strip_prefix("= ").and_then(numbers) {
                found.insert((client, key), number);
            }
        }
        assert!(lines.iter().any(|line| line == "state: read-write"), "{lines:#?}");
        for client in 0..CLIENTS {
            let last = self.clients.get(&client);
            for key in 0..KEYS {
                let acknowledged = self.keys.get(&(client, key)).copied();
                // What may have been done without the host's learning of it: the next, and one more whose line was lost with
                // the machine.
                let begun = last.into_iter().flat_map(|&last| last + 1..=last + 2);
                let begun = begun.filter(|number| number % KEYS == key);
                let allowed: Vec<_> = acknowledged.into_iter().chain(begun).collect();
                match found.get(&(client, key)) {
                    Some(&number) => {
                        let is_first = last.is_none();
                        let is_right = allowed.contains(&number) && !deletes(number);
                        assert!(is_right || is_first, "{client}/{key}: {number}, not {allowed:?}");
                    }
                    None => {
                        let is_right =
                            acknowledged.is_none() || allowed.iter().any(|&it| deletes(it));
                        assert!(is_right, "{client}/{key} is gone: {allowed:?}");
                    }
                }
            }
        }
    }
}

/// How many times it is killed.
fn kills() -> u32 {
    if long() { 500 } else { 25 }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_machine_is_killed() {
    let kernel = kernel("kernel-store", "store-killed", Profile::Release);
    let scratch = scratch("store-killed");
    // The smallest disk for its segments, and a little more: all of it is used many times.
    let image = image(&scratch, (64 << 10) + 22 * (64 << 10));
    let mut acknowledged = Acknowledged::default();
    let (mut operations, mut seed) = (0, u64::from(std::process::id()) | 1);
    println!("seed {seed}");
    for life in 0..kills() {
        // Each life has numbers of its own.
        let first = 1 + life * 1_000_000;
        let machine = Machine::start(&kernel, &image, &format!("first={first}"));
        let lines = machine.until_ready();
        acknowledged.check(&lines);
        // What was found is what there is from now on.
        acknowledged.keys.clear();
        for line in &lines {
            if let Some([client, key, number]) = line.strip_prefix("= ").and_then(numbers) {
                acknowledged.keys.insert((client, key), number);
            }
        }
        acknowledged.clients = (0..CLIENTS).map(|client| (client, first - 1)).collect();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let said = machine.kill_after(Duration::from_micros(seed % 400_000));
        operations += acknowledged.note(&said);
        if let Some(stats) = lines.iter().find(|line| line.starts_with("stats")) {
            println!("{life}: {} lines, {stats}", said.len());
        }
    }
    let last = Machine::start(&kernel, &image, "first=4000000000");
    acknowledged.check(&last.until_ready());
    println!("{operations} operations were acknowledged");
    assert!(operations > 100 * kills() as usize, "{operations}: it was killed too soon");
}

/// Boots the kernel that measures, with a disk.
fn measure(image: &Path, memory: &str, words: &[&str]) -> Ended {
    let kernel = kernel("kernel-store", "store-measure", Profile::Release);
    let drive = format!("--qemu-arg=if=none,id=d0,format=raw,file={}", image.display());
    let disk = [
        "--qemu-arg=-drive",
        &drive,
        "--qemu-arg=-device",
        "--qemu-arg=virtio-blk-device,drive=d0",
    ];
    let machine = ["--machine", "microvm", "-m", memory, "--timeout", "300"];
    boot(&kernel, &[&machine[..], &disk, &["--"], words].concat())
}

#[test]
fn many_puts_share_a_flush_and_one_has_its_own() {
    let scratch = scratch("store-rates");
    let image = image(&scratch, 64 << 20);
    let ended = measure(&image, "32", &["rates", "keys=2000"]);
    let ended = ended.expect(status::SUCCESS, &["read-write"]);
    print!("{}", ended.stdout);
    for (clients, least) in [(1, 100), (32, 2400)] {
        let rounds =
            ended.stdout.lines().filter(|line| line.contains(&format!("clients {clients}:")));
        for line in rounds {
            let shared =
                line.split(", ").find_map(|part| part.strip_suffix(" puts in 100 flushes"));
            let shared: u32 = shared.and_then(|it| it.parse().ok()).expect("a number");
            // With one, a flush in some hundreds is of the index.
            assert!(shared + 2 >= least, "{line}");
        }
    }
}

#[test]
fn it_runs_in_8_mib_and_says_so_when_memory_is_full() {
    let scratch = scratch("store-memory");
    let image = image(&scratch, 256 << 20);
    let few = measure(&image, "8", &["fill", "gets", "keys=10000"]);
    let few = few.expect(status::SUCCESS, &["filled: 10000 keys", "state: read-write"]);
    print!("{}", few.stdout);
    // More than there is memory for.
    let many = measure(&image, "8", &["fill", "keys=400000"]);
    let many =
        many.expect(status::SUCCESS, &["ended: there is no memory for it", "state: read-write"]);
    print!("{}", many.stdout);
    let keys = many.number("keys:");
    assert!(keys > 50_000, "{many}");
    // All that was put is there, in as much memory and in more.
    for memory in ["8", "64"] {
        let again = measure(&image, memory, &[]).expect(status::SUCCESS, &["state: read-write"]);
        assert_eq!(again.number("keys:"), keys, "{again}");
    }
}
