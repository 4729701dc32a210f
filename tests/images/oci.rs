//! What the OCI image specification says of a layout, checked on one: every descriptor's size and digest, the media types, the
//! fields that each document must have and of what kind they are; and urunc's annotations.
//!
//! Sources: OCI image specification 1.1, `image-layout.md`, `image-index.md`, `manifest.md`, `config.md`, `descriptor.md`;
//! urunc, "Packaging", "Annotations".

use std::fs;
use std::path::Path;
use std::process::Command;

use freestone_tests::{boot, run, status};
use serde_json::Value;

fn json(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a program of coreutils says of a file, its first word.
fn word(command: &mut Command) -> String {
    let ended = run(command).expect(0, &[]);
    ended.stdout.split_whitespace().next().unwrap_or_default().to_owned()
}

/// The file that a descriptor leads to, which is as the descriptor says.
fn follow(folder: &Path, descriptor: &Value, media: &str) -> std::path::PathBuf {
    assert_eq!(descriptor["mediaType"], media);
    let digest = descriptor["digest"].as_str().expect("a digest");
    let (algorithm, encoded) = digest.split_once(':').expect("an algorithm");
    assert_eq!(algorithm, "sha256");
    assert!(encoded.len() == 64 && encoded.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')));
    let path = folder.join("blobs").join(algorithm).join(encoded);
    let len = fs::metadata(&path).expect("a blob").len();
    assert_eq!(descriptor["size"].as_u64(), Some(len), "{digest}");
    assert_eq!(word(Command::new("sha256sum").arg(&path)), encoded);
    path
}

/// Asserts it all.
pub fn check(folder: &Path, monitor: &str, words: &[&str]) {
    assert_eq!(json(&folder.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
    let index = json(&folder.join("index.json"));
    assert_eq!(index["schemaVersion"], 2);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let [entry] = index["manifests"].as_array().expect("manifests").as_slice() else {
        panic!("{index}")
    };
    assert_eq!(entry["platform"], serde_json::json!({ "architecture": "amd64", "os": "linux" }));
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "latest");

    let manifest = json(&follow(folder, entry, "application/vnd.oci.image.manifest.v1+json"));
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    let [layer] = manifest["layers"].as_array().expect("layers").as_slice() else {
        panic!("{manifest}")
    };
    let layer_path = follow(folder, layer, "application/vnd.oci.image.layer.v1.tar");
    let config = follow(folder, &manifest["config"], "application/vnd.oci.image.config.v1+json");
    let config = json(&config);
    assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
    // Of an archive that is not packed, the two digests are the same.
    assert_eq!(config["rootfs"]["type"], "layers");
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([layer["digest"]]));
    assert_eq!(config["history"].as_array().map(Vec::len), Some(1), "one for each layer");
    let command = config["config"]["Cmd"].as_array().expect("a command");
    let expected = if words.is_empty() { &["kernel-images"][..] } else { words };
    assert_eq!(command, expected);
    let blobs = fs::read_dir(folder.join("blobs/sha256")).expect("blobs").count();
    assert_eq!(blobs, 3, "and nothing that nobody refers to");

    annotations(&manifest["annotations"], monitor, words);
    rootfs(folder, &layer_path, &manifest["annotations"]);
}

/// Texts alone (descriptor.md), those that urunc requires, and of what it knows what they may be.
fn annotations(all: &Value, monitor: &str, words: &[&str]) {
    let all = all.as_object().expect("annotations");
    assert!(all.values().all(Value::is_string));
    let get = |key: &str| all.get(&format!("com.urunc.unikernel.{key}")).and_then(Value::as_str);
    // The pairs of kind and monitor for which urunc starts an ELF file by PVH.
    assert_eq!((get("unikernelType"), get("hypervisor")), (Some("unikraft"), Some(monitor)));
    let binary = get("binary").expect("a path");
    assert!(binary.starts_with('/'));
    assert!(binary.bytes().all(|c| c.is_ascii_alphanumeric() || b"._/-".contains(&c)));
    assert_eq!(get("cmdline"), (!words.is_empty()).then(|| words.join(" ")).as_deref());
    let known = ["unikernelType", "hypervisor", "binary", "cmdline"];
    let is_known = |key: &String| known.iter().any(|name| key.rsplit('.').next() == Some(name));
    assert!(all.keys().all(is_known), "{all:?}");
}

/// The layer, unpacked by tar: the kernel, which boots, and the annotations in base64.
fn rootfs(folder: &Path, layer: &Path, annotations: &Value) {
    let root = folder.with_extension("rootfs");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir(&root).expect("a folder");
    run(Command::new("tar").arg("-xf").arg(layer).arg("-C").arg(&root)).expect(0, &[]);
    let encoded = json(&root.join("urunc.json"));
    for (key, value) in annotations.as_object().expect("annotations") {
        let text = encoded[key].as_str().expect("a text");
        fs::write(root.join("encoded"), text).expect("a file");
        let decoded =
            run(Command::new("base64").arg("-d").arg(root.join("encoded"))).expect(0, &[]);
        assert_eq!(decoded.stdout, value.as_str().expect("a text"));
    }
    let binary = annotations["com.urunc.unikernel.binary"].as_str().expect("a path");
    let kernel = root.join(binary.trim_start_matches('/'));
    boot(&kernel, &[]).expect(status::SUCCESS, &["started by PVH"]);
}
