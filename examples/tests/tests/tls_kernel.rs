//! The HTTPS server as a kernel: its certificate and key come by a module, and what is wrong with them is said.
//!
//! Builds the kernel and the command-line tool, and boots by QEMU.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::{env, fs, process};

use examples_tests::LIMIT;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Builds something, and returns where its programs are.
fn build(workspace: &str, arguments: &[&str], profile: &str) -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet"]).args(arguments).current_dir(folder(workspace));
    assert!(command.status().expect("cargo").success(), "{arguments:?}");
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| folder(workspace).join("target")).join(profile)
}

/// Boots the server with this module, if any, and these further arguments.
fn boot(module: Option<&str>, arguments: &[&str]) -> Child {
    static PROGRAMS: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    let (tool, kernel) = PROGRAMS.get_or_init(|| {
        let tool = ["--profile", "cli", "-p", "cargo-freestone"];
        let kernel = ["--release", "-p", "tls", "--bin", "tls-server"];
        let tool = build("../..", &tool, "cli").join("cargo-freestone");
        (tool, build("..", &kernel, "release").join("tls-server"))
    });
    let mut command = Command::new(tool);
    command.arg("run").arg(kernel).args(["--timeout", "60", "--forward", "0:443"]);
    if let Some(module) = module {
        let path = env::temp_dir().join(format!("freestone-tls-{}.pem", process::id()));
        fs::write(&path, module).expect("a file");
        command.arg("--module").arg(path);
    }
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool")
}

/// What it says to its end, and whether that is a good one.
fn ended(kernel: Child) -> (String, bool) {
    let ended = kernel.wait_with_output().expect("it ends");
    let said = [ended.stdout, ended.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), ended.status.success())
}

#[test]
fn a_server_has_what_a_module_gives_it_or_says_what_is_wrong_with_that() {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let server = CertificateParams::new(["server.example".into()]).unwrap();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap().serialize_pem());
    let certificate = server.signed_by(&key, &issuer).unwrap().pem();
    let bundle = [&certificate[..], &key.serialize_pem()].concat();

    let mut old = CertificateParams::new(["server.example".into()]).unwrap();
    (old.not_before, old.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    let old = old.signed_by(&key, &issuer).unwrap().pem();
    for (module, says) in [
        (None, "no certificate: --module FILE gives one"),
        (Some(""), "this file is empty"),
        (Some("hello"), "there is no certificate"),
        (Some(&certificate), "there is no private key"),
        (Some(&bundle[..bundle.len() - 40]), "a section is cut off"),
        (Some(&[&certificate[..], &other].concat()), "the key is not that of the certificate"),
        (Some(&[&old[..], &key.serialize_pem()].concat()), "the certificate has expired"),
    ] {
        let (said, is_good) = ended(boot(module, &[]));
        assert!(said.contains(says) && !is_good, "{says}: {said}");
    }

    let mut kernel = boot(Some(&bundle), &["--", "requests=1"]);
    // The tool says which port, and then the kernel that it listens.
    let mut lines = BufReader::new(kernel.stderr.take().expect("piped")).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.starts_with("forward ")));
    let line = line.expect("a port");
    let port = line.split([':', ' ']).nth(2).and_then(|port| port.parse().ok()).expect("a number");
    let mut listening = BufReader::new(kernel.stdout.as_mut().expect("piped"));
    listening.read_line(&mut String::new()).expect("it says that it serves");
    drop(listening);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(issuer.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the forward");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let name = "server.example".try_into().expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an end in order");
    assert!(page.ends_with("Hello by TLS!\n"), "{page}");
    assert!(kernel.wait().expect("it ends").success());
}
