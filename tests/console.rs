//! The virtio console in a kernel: its tasks' input and output, and a panic's.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use freestone_tests::{Profile, Scratch, kernel, status, tool};

/// How long anything may take that a guest does at once; hosts are busy.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn it_talks_in_tasks_and_in_a_panic() {
    let image = kernel("kernel-console", "shout", Profile::Release);
    let legacy = "--qemu-arg=-global --qemu-arg=virtio-serial-pci.disable-modern=on";
    let modern = "--qemu-arg=-global --qemu-arg=virtio-mmio.force-legacy=false";
    let without = |bus| format!("virtio-serial-{bus},emergency-write=off");
    for (machine, device, more, has_emergency) in [
        ("microvm", "virtio-serial-device".to_string(), "", true),
        ("microvm", "virtio-serial-device".to_string(), modern, true),
        ("q35", "virtio-serial-pci".to_string(), "", true),
        ("pc", "virtio-serial-pci".to_string(), legacy, true),
        ("q35", without("pci"), "", false),
    ] {
        let folder = Scratch::new("console");
        let path = folder.path().join("console");
        let chardev = format!("socket,id=c,path={},server=on,wait=on", path.display());
        let mut command = tool();
        command.arg("run").arg(&image).args(["--machine", machine, "--timeout", "60"]);
        for option in ["-chardev", &chardev, "-device", &device, "-device", "virtconsole,chardev=c"]
        {
            command.arg(format!("--qemu-arg={option}"));
        }
        command.args(more.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool");
        let end = Instant::now() + LIMIT;
        let mut console = loop {
            match UnixStream::connect(&path) {
                Ok(console) => break console,
                Err(error) => assert!(Instant::now() < end, "{machine} {device}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        console.set_read_timeout(Some(LIMIT)).expect("a limit");
        if has_emergency {
            let mut said = [0; 18];
            if let Err(error) = console.read_exact(&mut said) {
                let _ = child.kill();
                panic!("{machine} {device}: {error}: {:?}", child.wait_with_output());
            }
            assert_eq!(said, *b"printed there too\n");
        }
        let mut writer = console.try_clone().expect("a handle");
        for round in 0..50 {
            let text: Vec<u8> = (0..round * 37 + 1).map(|at| b'a' + (at % 26) as u8).collect();
            writer.write_all(&text).expect("it reads");
            let mut said = vec![0; text.len()];
            console.read_exact(&mut said).expect("an answer");
            assert_eq!(said, text.to_ascii_uppercase());
        }
        writer.write_all(b"end!").expect("it reads");
        let mut last = String::new();
        let _ = console.read_to_string(&mut last);
        assert_eq!(last.contains("told to"), has_emergency, "{device}: {last}");
        let ended = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(status::CRASH), "{text}");
        assert!(text.contains("told to"), "{text}");
        assert_ne!(text.contains("emergency-write=on"), has_emergency, "{text}");
    }
}
