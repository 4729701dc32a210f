//! A folder in the layout of OCI images, with one layer in which the kernel is, for registries and for urunc.
//!
//! ```text
//! NAME-oci/
//!     oci-layout, index.json
//!     blobs/sha256/DIGEST      the manifest, the configuration, the layer
//!                              layer: unikernel/kernel.elf, urunc.json
//! ```
//!
//! urunc starts a virtual machine in a container's place. It reads what to start from annotations, or, as not every runtime
//! passes those on, from `urunc.json` in the layer, in which each value is in base64. Its list of kinds of unikernels is closed, and
//! Freestone is not on it: the image calls itself `unikraft`, the kind that urunc starts from a PVH ELF file in QEMU and in
//! Firecracker. What this decides is how urunc makes the command line.
//!
//! Sources: OCI image specification 1.1, `image-layout.md`, `manifest.md`, `config.md`, `layer.md`; urunc, "Packaging",
//! "Annotations"; RFC 4648, 4 (base64).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::boot::limits::{self, Bytes};
use crate::foreign::Shown as _;
use crate::forms::tar::{self, Entry};
use crate::status::Failure;
use crate::unfinished::Unfinished;

/// What urunc may run it with, the usual one first.
pub const MONITORS: [&str; 2] = ["qemu", "firecracker"];

/// Where the kernel is in the layer.
const FOLDER: &str = "unikernel/";
const KERNEL: &str = "unikernel/kernel.elf";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The annotation that says where the kernel is.
const BINARY: &str = "com.urunc.unikernel.binary";

/// A file that says that a folder has this layout.
const MARK: &str = "oci-layout";

/// Nobody's time: the same image is the same bytes.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// For the program that computes digests.
const LIMIT: Duration = Duration::from_secs(60);
const MOST_SAID: Bytes = Bytes(1 << 20);

/// What is packed.
pub struct Content<'a> {
    pub name: &'a str,
    pub kernel: &'a [u8],
    pub line: &'a str,
    /// One of [`MONITORS`].
    pub monitor: &'static str,
}

impl Content<'_> {
    /// What urunc reads.
    fn annotations(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |key: &str, value: &str| {
            all.insert(format!("com.urunc.unikernel.{key}"), value.to_owned());
        };
        put("unikernelType", "unikraft");
        put("hypervisor", self.monitor);
        put("binary", &format!("/{KERNEL}"));
        if !self.line.is_empty() {
            put("cmdline", self.line);
        }
        all
    }

    fn layer(&self) -> Vec<u8> {
        let encoded: BTreeMap<_, _> = self
            .annotations()
            .into_iter()
            .map(|(key, value)| (key, base64(value.as_bytes())))
            .collect();
        let file = json!(encoded).to_string();
        tar::of(&[
            Entry::File("urunc.json", file.as_bytes()),
            Entry::Folder(FOLDER),
            Entry::File(KERNEL, self.kernel),
        ])
    }

    /// Containers have a command; later versions of urunc make the command line of it.
    fn command(&self) -> Vec<&str> {
        match self.line.split_ascii_whitespace().collect::<Vec<_>>() {
            none if none.is_empty() => vec![self.name],
            words => words,
        }
    }
}

/// Writes the folder, or replaces one that this wrote.
pub fn write(folder: &Path, content: &Content) -> Result<PathBuf, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("{}: {why}", folder.shown()));
    let is_there = folder.symlink_metadata().is_ok();
    // What a link leads to is replaced; the link stays.
    let place = if is_there { fs::canonicalize(folder) } else { std::path::absolute(folder) };
    let place = place.map_err(|error| wrong(&error))?;
    if is_there && !is_empty(&place) && !is_ours(&place) {
        return Err(wrong(&"something else is there; remove it, or name another folder with -o"));
    }
    if is_there && std::env::current_dir().is_ok_and(|here| here.starts_with(&place)) {
        return Err(wrong(&"this is where you are, and it cannot be replaced; -o names another"));
    }
    let parent = place.parent().ok_or_else(|| wrong(&"this cannot be replaced"))?;
    let new = Unfinished::folder_in(parent).map_err(|error| wrong(&error))?;
    fill(new.path(), content)?;
    if !is_there {
        new.rename(&place).map_err(|error| wrong(&error))?;
        return Ok(folder.to_owned());
    }
    // The old one makes way and is removed at the end. One that cannot, as something is mounted there, is not touched.
    let old = Unfinished::folder_in(parent).map_err(|error| wrong(&error))?;
    fs::rename(&place, old.path()).map_err(|error| wrong(&error))?;
    if let Err(error) = new.rename(&place) {
        let _ = old.rename(&place);
        return Err(wrong(&error));
    }
    Ok(folder.to_owned())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut all| all.next().is_none())
}

/// Whether this wrote the folder, and nobody has put anything to it: other programs keep many images in one.
fn is_ours(folder: &Path) -> bool {
    let count = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
    let blobs = folder.join("blobs/sha256");
    let read =
        |path: PathBuf| -> Option<Value> { serde_json::from_slice(&fs::read(path).ok()?).ok() };
    let manifest = || {
        let index = read(folder.join("index.json"))?;
        let [entry] = index["manifests"].as_array()?.as_slice() else { return None };
        read(blobs.join(entry["digest"].as_str()?.strip_prefix("sha256:")?))
    };
    let binary = |manifest: Value| manifest["annotations"][BINARY] == format!("/{KERNEL}");
    let has_ours = folder.join(MARK).is_file() && manifest().is_some_and(binary);
    has_ours && count(folder) == 3 && count(&folder.join("blobs")) == 1 && count(&blobs) == 3
}

fn fill(folder: &Path, content: &Content) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::usage(format!("{}: {error}", folder.shown()));
    fs::create_dir_all(folder.join("blobs/sha256")).map_err(failed)?;
    let layer = Blob::write(folder, &content.layer())?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": { "Cmd": content.command() },
        "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
        "history": [{ "created": CREATED, "created_by": "cargo freestone image --oci" }],
    });
    let config = Blob::write(folder, config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(CONFIG),
        "layers": [layer.descriptor(LAYER)],
        "annotations": content.annotations(),
    });
    let manifest = Blob::write(folder, manifest.to_string().as_bytes())?;
    let mut entry = manifest.descriptor(MANIFEST);
    entry["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    let layout = json!({ "imageLayoutVersion": "1.0.0" });
    for (name, value) in [("index.json", index), (MARK, layout)] {
        fs::write(folder.join(name), value.to_string()).map_err(failed)?;
    }
    Ok(())
}

/// A file that is named by its content.
struct Blob {
    digest: String,
    size: usize,
}

impl Blob {
    fn write(folder: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::usage(format!("{}: {error}", folder.shown()));
        let blobs = folder.join("blobs/sha256");
        let fresh = blobs.join("fresh");
        fs::write(&fresh, bytes).map_err(failed)?;
        // In the folder: a backslash or a new line in a path would make it say something else.
        let mut command = Command::new("sha256sum");
        command.current_dir(&blobs).args(["--binary", "fresh"]);
        let outcome = limits::run(&mut command, LIMIT, MOST_SAID)?;
        let sum = outcome.stdout.get(..64).filter(|sum| sum.iter().all(u8::is_ascii_hexdigit));
        let sum = sum.filter(|_| outcome.is_success());
        let sum =
            sum.ok_or_else(|| Failure::tool("sha256sum does not say what a file's digest is"))?;
        let sum = String::from_utf8_lossy(sum).into_owned();
        fs::rename(&fresh, blobs.join(&sum)).map_err(failed)?;
        Ok(Self { digest: format!("sha256:{sum}"), size: bytes.len() })
    }

    fn descriptor(&self, media: &str) -> Value {
        json!({ "mediaType": media, "digest": self.digest, "size": self.size })
    }
}

/// Bytes in base64, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit > group.len() { '=' } else { DIGITS[value as usize].into() });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_the_standard_has_it() {
        // RFC 4648, 10.
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("freestone-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    const CONTENT: Content = Content { name: "k", kernel: b"ELF", line: "", monitor: MONITORS[0] };

    #[test]
    fn folders_may_have_any_name() {
        let folder = scratch("oci-names");
        for name in ["a\\b", "a\nb", "-", "ö"] {
            let place = folder.join(name).join("image");
            fs::create_dir(folder.join(name)).unwrap();
            write(&place, &CONTENT).expect(name);
            assert!(is_ours(&place), "{name}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_layout_with_what_others_put_to_it_is_not_replaced() {
        let folder = scratch("oci-others");
        let place = folder.join("image");
        let refused = || write(&place, &CONTENT).expect_err("refused").message;
        for other in ["mine", "blobs/other", "blobs/sha256/other"] {
            write(&place, &CONTENT).expect("written");
            fs::write(place.join(other), "").unwrap();
            assert!(refused().contains("something else is there"), "{other}");
            assert!(place.join(other).exists());
            fs::remove_file(place.join(other)).unwrap();
        }
        let index: Value =
            serde_json::from_slice(&fs::read(place.join("index.json")).unwrap()).unwrap();
        let mut two = index.clone();
        two["manifests"].as_array_mut().unwrap().push(index["manifests"][0].clone());
        for other in [two.to_string(), "{}".into(), "[".into()] {
            fs::write(place.join("index.json"), &other).unwrap();
            assert!(refused().contains("something else is there"), "{other}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing half made is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = scratch("oci-link");
        let (place, link) = (folder.join("image"), folder.join("link"));
        write(&place, &CONTENT).expect("written");
        std::os::unix::fs::symlink("image", &link).unwrap();
        write(&link, &Content { line: "a", ..CONTENT }).expect("replaced");
        assert!(link.symlink_metadata().unwrap().is_symlink() && is_ours(&place));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing half made is left");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_something_else_is_not_replaced() {
        let folder = scratch("oci");
        fs::create_dir(folder.join("other")).unwrap();
        fs::write(folder.join("other/mine"), "").unwrap();
        for name in ["other", "other/mine"] {
            let why = write(&folder.join(name), &CONTENT).expect_err("refused").message;
            assert!(why.contains("something else is there"), "{why}");
        }
        let all = |name: &str| {
            let mut all = Vec::new();
            for entry in fs::read_dir(folder.join(name).join("blobs/sha256")).unwrap() {
                all.push(entry.unwrap().file_name());
            }
            all.sort();
            all
        };
        write(&folder.join("new"), &CONTENT).expect("written");
        let first = all("new");
        assert_eq!(first.len(), 3);
        write(&folder.join("new"), &Content { line: "a b", ..CONTENT }).expect("replaced");
        assert_eq!(all("new").len(), 3);
        assert_ne!(all("new"), first);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing half made is left");
        fs::remove_dir_all(folder).unwrap();
    }
}
