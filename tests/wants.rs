//! What kernels ask for in their images, and the devices that they find then.

use std::fs::File;
use std::path::{Path, PathBuf};

use freestone_tests::{MACHINES, Profile, Scratch, boot, kernel, run, status, tool};

/// What is in front of the kind of each device, and how the last one ends.
const NETWORK: &str = "device of kind 1\n";
const DISK: &str = "device of kind 2\n";
const END: &str = "that is all";

const PROFILES: [Profile; 2] = [Profile::Dev, Profile::Release];

fn wants(name: &str, profile: Profile) -> PathBuf {
    kernel("kernel-wants", name, profile)
}

/// Owner `Freestone` and type, for each note that asks for something.
fn notes(image: &Path) -> Vec<u32> {
    let bytes = std::fs::read(image).expect("cargo built it");
    let begins = (12..bytes.len()).filter(|&at| bytes[at..].starts_with(b"Freestone\0"));
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let kinds = begins.filter(|&at| word(at - 12) == 10).map(|at| word(at - 4));
    kinds.filter(|kind| *kind > 2).collect()
}

#[test]
fn code_that_runs_asks_and_other_code_does_not() {
    for profile in PROFILES {
        assert_eq!(notes(&wants("wants-network", profile)), [3, 3, 3], "{profile:?}");
        // Its code that asks for a network is called by nobody.
        assert_eq!(notes(&wants("wants-disk", profile)), [4], "{profile:?}");
        let hello = kernel("kernel-hello", "kernel-hello", profile);
        assert!(notes(&hello).is_empty(), "{profile:?}");
        for name in ["wants-network", "wants-disk"] {
            let mut check = tool();
            run(check.arg("check").arg(wants(name, profile)))
                .expect(status::SUCCESS, &["0 errors"]);
        }
    }
}

#[test]
fn who_asks_for_a_network_has_one_on_every_machine() {
    for profile in PROFILES {
        let image = wants("wants-network", profile);
        for machine in MACHINES {
            let ended = boot(&image, &["--machine", machine]);
            let ended = ended.expect(status::SUCCESS, &[NETWORK, END]);
            assert_eq!(ended.stdout.matches("device of").count(), 1, "{ended}");
            for told in [" to the guest's 80", " to the guest's 5353, UDP"] {
                assert!(ended.stderr.contains(told), "{ended}");
            }
            let ended = boot(&image, &["--machine", machine, "--net", "none"]);
            let ended = ended.expect(status::SUCCESS, &[END]);
            assert!(!ended.stdout.contains("device of"), "{ended}");
        }
    }
}

#[test]
fn disks_come_in_the_order_of_their_options_before_the_network() {
    let scratch = Scratch::new("wants");
    let disk = |name: &str| {
        let path = scratch.path().join(name);
        File::create(&path).and_then(|file| file.set_len(1 << 20)).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (first, second) = (disk("first"), disk("second, with a comma") + ",ro");
    let image = wants("wants-disk", Profile::Release);
    for machine in MACHINES {
        let options = ["--machine", machine, "--disk", &first, "--disk", &second, "--net", "user"];
        boot(&image, &options).expect(status::SUCCESS, &[DISK, DISK, NETWORK, END]);
    }
    let ended = boot(&image, &[]).expect(status::SUCCESS, &[END]);
    assert!(ended.stderr.contains("this kernel asks for a disk and gets none"), "{ended}");
}
