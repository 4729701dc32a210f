//! Loaders that report false data, and command lines of any kind: the kernel uses the parts that are valid, or prints why it
//! cannot boot.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use freestone_inspect::File;
use freestone_tests::{MACHINES, Profile, Scratch, boot, kernel, run, status, tool};

/// An ELF note of owner "Xen", type 18, with an address of eight bytes: where the loader enters.
const ENTRY_NOTE: [u8; 16] = *b"\x04\0\0\0\x08\0\0\0\x12\0\0\0Xen\0";

#[test]
fn what_a_loader_tells_is_true_or_refused() {
    const CANNOT: &str = "freestone cannot boot: ";
    const OUTSIDE: &str = " is outside what the boot code can read";
    let scratch = Scratch::new("lies");
    for profile in [Profile::Dev, Profile::Release] {
        let image = kernel("kernel-faults", "lies", profile);
        let file = File::open(&image).expect("an ELF file");
        let object = file.object().expect("one object");
        let mut bytes = fs::read(&image).expect("it can be read");
        let note = bytes.windows(ENTRY_NOTE.len()).position(|window| window == ENTRY_NOTE);
        let note = note.expect("a note") + ENTRY_NOTE.len();
        for (lie, expected, texts) in [
            ("truth", status::SUCCESS, &["told \"told\", 65151 KiB usable", "used"][..]),
            ("holes", status::SUCCESS, &["told \"told\", 56963 KiB usable, 4", "used"]),
            ("elsewhere", status::SUCCESS, &["8192 KiB usable, 8192 KiB free", "used"]),
            ("high", status::SUCCESS, &["65151 KiB usable", "used"]),
            ("rsdp", status::SUCCESS, &["65151 KiB usable", "used"]),
            ("version_9", status::SUCCESS, &["65151 KiB usable", "used"]),
            ("overlap_all", status::CRASH, &[CANNOT, "no memory left for page tables"]),
            ("many", status::CRASH, &[CANNOT, "no memory left for page tables"]),
            ("nothing", status::CRASH, &["0 KiB free", "heap exhausted", "KERNEL PANIC"]),
            ("tiny", status::CRASH, &["7 KiB usable", "heap exhausted", "KERNEL PANIC"]),
            ("more", status::CRASH, &[CANNOT, "the RAM that was reported at 0x00000001000ff000"]),
            ("magic", status::CRASH, &[CANNOT, "not started by PVH"]),
            ("version_0", status::CRASH, &[CANNOT, "the loader reported no usable memory"]),
            ("map_nowhere", status::CRASH, &[CANNOT, "memory map at 0xff", OUTSIDE]),
            ("map_null", status::CRASH, &[CANNOT, "memory map at 0x00", OUTSIDE]),
            ("map_endless", status::CRASH, &[CANNOT, "too many memory regions or modules"]),
            ("command_line", status::CRASH, &[CANNOT, "command line at 0xff", OUTSIDE]),
            ("modules", status::CRASH, &[CANNOT, "module list at 0xff", OUTSIDE]),
            ("modules_null", status::CRASH, &[CANNOT, "module list at 0x00", OUTSIDE]),
            ("null", status::CRASH, &[CANNOT, "start info at 0x0000000000000000", OUTSIDE]),
            ("nowhere", status::CRASH, &[CANNOT, "start info at 0x00000000fffff000", OUTSIDE]),
        ] {
            let entry = format!("lie_{lie}");
            let symbol = object.symbols().iter().find(|symbol| symbol.name == entry);
            let address = symbol.unwrap_or_else(|| panic!("no {entry}")).address;
            bytes[note..note + 8].copy_from_slice(&address.to_le_bytes());
            let liar = scratch.path().join(lie);
            fs::write(&liar, &bytes).expect("it is ours");
            boot(&liar, &["--timeout", "20"]).expect(expected, texts);
        }
    }
}

fn with_command_line(machine: &str, line: &OsStr) -> Command {
    let mut command = tool();
    command.arg("run").arg(kernel("kernel-faults", "lies", Profile::Release));
    command.args(["--machine", machine, "--timeout", "20", "--"]).arg(line);
    command
}

#[test]
fn command_lines_of_nothing_and_of_4096_bytes_arrive() {
    let letters: String = (0..4096_u32).map(|n| char::from(b'!' + (n * n % 89) as u8)).collect();
    for machine in MACHINES {
        run(&mut with_command_line(machine, OsStr::new("")))
            .expect(status::SUCCESS, &["told \"\", "]);
        let told = format!("told {letters:?}, ");
        run(&mut with_command_line(machine, OsStr::new(&letters)))
            .expect(status::SUCCESS, &[&told]);
        // Every byte but zero, most of them no text.
        let junk: Vec<u8> = (0..4096_u32).map(|n| (n * 7919 % 255 + 1) as u8).collect();
        run(&mut with_command_line(machine, OsStr::from_bytes(&junk)))
            .expect(status::SUCCESS, &["used"]);
    }
}
