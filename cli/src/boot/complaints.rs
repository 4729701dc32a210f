//! What is meant by what QEMU says about devices that it could not make.

/// Parts of QEMU's message, and the same in words that say what to do.
const KNOWN: [(&[&str], &str); 9] = [
    (
        &["Failed to get ", "\" lock"],
        "another program uses the disk, a second QEMU perhaps: end that, or have all of them only read it (--disk FILE,ro)",
    ),
    (&[FORWARDING], "a port that was free is now taken: try again"),
    (&["net dump: can't open"], "the file of --pcap cannot be written"),
    (
        &["could not configure /dev/net/tun", "Device or resource busy"],
        "another program uses the tap, a second QEMU perhaps: end that, or make another tap",
    ),
    (
        &["could not configure /dev/net/tun"],
        "the tap may not be used: `ip tuntap add NAME mode tap user $USER` makes one for you",
    ),
    (&["could not open /dev/net/tun"], "this system has no taps, or does not let you use them"),
    (&["Parameter 'type' expects a netdev backend type"], NO_USER_NETWORK),
    (&["network backend 'user' is not compiled"], NO_USER_NETWORK),
    (&["is not a valid device model name"], "this QEMU lacks a device that was asked for"),
];

const NO_USER_NETWORK: &str =
    "this QEMU was built without a user network (SLIRP): use another, or --net tap=NAME";

const FORWARDING: &str = "Could not set up host forwarding rule";

/// What there is to add to QEMU's message.
pub fn meaning(complaint: &str) -> Option<&'static str> {
    let is_known = |parts: &[&str]| parts.iter().all(|part| complaint.contains(part));
    KNOWN.iter().find(|(parts, _)| is_known(parts)).map(|(_, meaning)| *meaning)
}

/// Whether another program has taken a port since it was looked for.
pub fn is_taken_port(complaint: &str) -> bool {
    complaint.contains(FORWARDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_qemu_are_known() {
        let lock = "\n  qemu: -device virtio-blk-device: Failed to get \"write\" lock\n  qemu: Is another process";
        assert!(meaning(lock).is_some_and(|text| text.contains("another program uses the disk")));
        let tap = |error| format!("-netdev: could not configure /dev/net/tun (tap0): {error}");
        let busy = meaning(&tap("Device or resource busy"));
        assert!(busy.is_some_and(|text| text.contains("another program uses the tap")));
        let denied = meaning(&tap("Operation not permitted"));
        assert!(denied.is_some_and(|text| text.contains("may not be used")));
        assert_eq!(meaning("unsupported machine type"), None);
        // Of a KVM that another hypervisor has.
        assert_eq!(meaning("ioctl(KVM_CREATE_VM) failed: Device or resource busy"), None);
        assert!(is_taken_port("Could not set up host forwarding rule 'tcp:127.0.0.1:1-:1'"));
    }
}
