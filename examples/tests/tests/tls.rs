//! TLS over the host's sockets, against rustls with `std` and ring, and against OpenSSL.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use embedded_io_async::{ErrorType, Read, Write};
use examples_tests::{Blocking, LIMIT, run};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig};
use tls::{Client, Clock, Error, Server, TlsStream};

const MEGABYTE: usize = 1 << 20;

fn now() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

/// An authority, and a server's certificate by it, in PEM.
struct Identity {
    authority: String,
    certificate: String,
    key: String,
}

fn identity(change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "authority");
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut server = CertificateParams::new(["localhost".into()]).unwrap();
    server.distinguished_name.push(DnType::CommonName, "server");
    change(&mut server);
    let key = KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    Identity { authority: issuer.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
}

impl Identity {
    /// A server by std's rustls.
    fn their_server(&self) -> Arc<ServerConfig> {
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        Arc::new(config.unwrap())
    }

    /// A client by std's rustls.
    fn their_client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }

    fn our_server(&self) -> Arc<ServerConfig> {
        tls::server(self.certificate.as_bytes(), self.key.as_bytes(), Clock(now)).unwrap()
    }

    fn our_client(&self) -> Arc<ClientConfig> {
        tls::client(self.authority.as_bytes(), Clock(now)).unwrap()
    }
}

fn pattern() -> Vec<u8> {
    (0..MEGABYTE).map(|index| (index % 251) as u8).collect()
}

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    for stream in [&one, &other] {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
    }
    (one, other)
}

async fn connect(
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<Blocking, Client>, Error<std::io::Error>> {
    TlsStream::connect(Blocking::new(stream), config, tls::server_name("localhost").unwrap()).await
}

async fn accept(
    stream: TcpStream,
    identity: &Identity,
) -> Result<TlsStream<Blocking, Server>, Error<std::io::Error>> {
    TlsStream::accept(Blocking::new(stream), identity.our_server()).await
}

/// Everything up to the end, which must be a proper one.
async fn read_to_end(stream: &mut impl Read<Error = Error<std::io::Error>>) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), vec![0; 10_000]);
    loop {
        match stream.read(&mut bytes).await.unwrap() {
            0 => return all,
            count => all.extend(&bytes[..count]),
        }
    }
}

/// Sends what came back when all of it has come, by std's rustls.
fn echo(mut stream: impl std::io::Read + std::io::Write) -> Vec<u8> {
    let mut all = vec![0; MEGABYTE];
    stream.read_exact(&mut all).unwrap();
    stream.write_all(&all).unwrap();
    stream.flush().unwrap();
    all
}

#[test]
fn a_client_exchanges_a_megabyte_with_rustls_of_either_version() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let identity = identity(|_| {});
        let (ours, theirs) = pair();
        let mut config = Arc::unwrap_or_clone(identity.our_client());
        let builder = ClientConfig::builder_with_details(
            config.crypto_provider().clone(),
            Arc::new(Clock(now)),
        );
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(identity.authority.as_bytes()).unwrap()).unwrap();
        let builder = builder.with_protocol_versions(&[version]).unwrap();
        config = builder.with_root_certificates(roots).with_no_client_auth();
        let server = rustls::ServerConnection::new(identity.their_server()).unwrap();
        let peer = thread::spawn(move || {
            let mut stream = rustls::StreamOwned::new(server, theirs);
            let got = echo(&mut stream);
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            got
        });
        run(async {
            let mut stream = connect(ours, Arc::new(config)).await.unwrap();
            assert_eq!(stream.connection().protocol_version(), Some(version.version));
            stream.write_all(&pattern()).await.unwrap();
            assert!(read_to_end(&mut stream).await == pattern());
            stream.close().await.unwrap();
            assert_eq!(
                stream.write(b"more").await.unwrap_err().to_string(),
                "TLS: closed for writing"
            );
        });
        assert!(peer.join().unwrap() == pattern());
    }
}

#[test]
fn a_server_exchanges_a_megabyte_with_rustls_of_either_version() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let identity = identity(|_| {});
        let (ours, theirs) = pair();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(identity.authority.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_protocol_versions(&[version]);
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let name = tls::server_name("localhost").unwrap();
        let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let peer = thread::spawn(move || {
            let mut stream = rustls::StreamOwned::new(client, theirs);
            stream.write_all(&pattern()).unwrap();
            let mut all = vec![0; MEGABYTE];
            stream.read_exact(&mut all).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            // The server's close_notify.
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
            all
        });
        run(async {
            let mut stream = accept(ours, &identity).await.unwrap();
            let mut all = vec![0; MEGABYTE];
            stream.read_exact(&mut all).await.unwrap();
            stream.write_all(&all).await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
            stream.close().await.unwrap();
        });
        assert!(peer.join().unwrap() == pattern());
    }
}

/// What our client says to a server with this identity, and what the server hears.
fn refusal(
    identity: Identity,
    config: Arc<ClientConfig>,
) -> (Error<std::io::Error>, Option<rustls::Error>) {
    let (ours, theirs) = pair();
    let server = rustls::ServerConnection::new(identity.their_server()).unwrap();
    let peer = thread::spawn(move || {
        let error = rustls::StreamOwned::new(server, theirs).read(&mut [0; 8]).unwrap_err();
        error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()).cloned()
    });
    let error = run(connect(ours, config)).err().unwrap();
    (error, peer.join().unwrap())
}

#[test]
fn a_client_refuses_wrong_certificates_and_tells_the_server_why() {
    let alert = |description| Some(rustls::Error::AlertReceived(description));

    let (error, heard) = refusal(identity(|_| {}), identity(|_| {}).our_client());
    // The names of the two authorities are the same, their keys are not.
    assert!(matches!(error, Error::Tls(rustls::Error::InvalidCertificate(_))), "{error}");
    assert!(matches!(heard, Some(rustls::Error::AlertReceived(_))), "{heard:?}");

    let other = identity(|server| {
        server.subject_alt_names = vec![rcgen::SanType::DnsName("else.where".try_into().unwrap())];
    });
    let config = other.our_client();
    let (error, heard) = refusal(other, config);
    let Error::Tls(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        expected,
        ..
    })) = error
    else {
        panic!("{error}")
    };
    assert_eq!(expected, tls::server_name("localhost").unwrap());
    assert_eq!(heard, alert(AlertDescription::BadCertificate));

    let old = identity(|server| server.not_after = date_time_ymd(2001, 1, 1));
    let config = old.our_client();
    let (error, heard) = refusal(old, config);
    let Error::Tls(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. })) =
        error
    else {
        panic!("{error}")
    };
    assert_eq!(heard, alert(AlertDescription::CertificateExpired));

    // Without the time of day no certificate is valid.
    let good = identity(|_| {});
    let config = tls::client(good.authority.as_bytes(), Clock(|| None)).unwrap();
    let (error, _) = refusal(good, config);
    assert_eq!(error.to_string(), "TLS: failed to get current time");
}

#[test]
fn a_client_without_the_authority_makes_the_server_fail() {
    let (ours, theirs) = pair();
    let (server, other) = (identity(|_| {}), identity(|_| {}));
    let name = tls::server_name("localhost").unwrap();
    let client = rustls::ClientConnection::new(other.their_client(), name).unwrap();
    let peer = thread::spawn(move || {
        rustls::StreamOwned::new(client, theirs).write_all(b"hello").unwrap_err();
    });
    let error = run(accept(ours, &server)).err().unwrap();
    assert!(matches!(error, Error::Tls(rustls::Error::AlertReceived(_))), "{error}");
    peer.join().unwrap();
}

/// What our client reads from a server that says `hello` and then does `end`.
fn after_hello(
    end: impl FnOnce(&mut rustls::StreamOwned<rustls::ServerConnection, TcpStream>) + Send + 'static,
) -> Result<usize, Error<std::io::Error>> {
    let identity = identity(|_| {});
    let (ours, theirs) = pair();
    let server = rustls::ServerConnection::new(identity.their_server()).unwrap();
    let peer = thread::spawn(move || {
        let mut stream = rustls::StreamOwned::new(server, theirs);
        stream.write_all(b"hello").unwrap();
        stream.flush().unwrap();
        end(&mut stream);
        stream.sock.shutdown(Shutdown::Write).unwrap();
        // Until the client has ended, or its alert has come.
        let _ = stream.sock.read_to_end(&mut Vec::new());
    });
    let result = run(async {
        let mut stream = connect(ours, identity.our_client()).await.unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hello");
        stream.read(&mut bytes).await
    });
    peer.join().unwrap();
    result
}

#[test]
fn an_end_without_close_notify_is_an_error() {
    let error = after_hello(|_| {}).unwrap_err();
    assert!(matches!(error, Error::Truncated), "{error}");
}

#[test]
fn a_record_that_is_cut_off_is_an_error() {
    // The header of a record of 100 bytes, and ten of them.
    let cut = |stream: &mut rustls::StreamOwned<_, TcpStream>| {
        stream.sock.write_all(&[23, 3, 3, 0, 100]).unwrap();
        stream.sock.write_all(&[7; 10]).unwrap();
    };
    let error = after_hello(cut).unwrap_err();
    assert!(matches!(error, Error::Truncated), "{error}");
}

#[test]
fn a_record_that_was_changed_is_an_error() {
    let changed = |stream: &mut rustls::StreamOwned<rustls::ServerConnection, TcpStream>| {
        stream.conn.writer().write_all(b"secret").unwrap();
        let mut record = Vec::new();
        stream.conn.write_tls(&mut record).unwrap();
        *record.last_mut().unwrap() ^= 1;
        stream.sock.write_all(&record).unwrap();
    };
    let error = after_hello(changed).unwrap_err();
    assert!(matches!(error, Error::Tls(rustls::Error::DecryptError)), "{error}");
}

#[test]
fn close_notify_is_an_end() {
    let end = after_hello(|stream| {
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    assert_eq!(end.unwrap(), 0);
}

#[test]
fn an_end_at_any_byte_of_the_handshake_is_an_error() {
    // A proxy that passes on so many bytes to the client and then ends.
    let identity = identity(|_| {});
    for limit in [0, 1, 4, 5, 6, 90, 130, 200, 300, 400, 500] {
        let (ours, proxy) = pair();
        let (near, theirs) = pair();
        let server = rustls::ServerConnection::new(identity.their_server()).unwrap();
        let peer = thread::spawn(move || {
            let _ = rustls::StreamOwned::new(server, theirs).read(&mut [0; 8]);
        });
        let passing = thread::spawn(move || {
            let (mut from, mut to) = (proxy.try_clone().unwrap(), near.try_clone().unwrap());
            let out = thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
            });
            let mut proxy = proxy;
            std::io::copy(&mut near.try_clone().unwrap().take(limit), &mut proxy).unwrap();
            proxy.shutdown(Shutdown::Both).unwrap();
            near.shutdown(Shutdown::Both).unwrap();
            out.join().unwrap();
        });
        let error = run(connect(ours, identity.our_client())).err().unwrap();
        assert!(matches!(error, Error::Truncated | Error::Stream(_)), "{limit} bytes: {error}");
        passing.join().unwrap();
        peer.join().unwrap();
    }
}

#[test]
fn noise_instead_of_a_handshake_is_an_error() {
    let identity = identity(|_| {});
    let (ours, mut theirs) = pair();
    theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let error = run(accept(ours, &identity)).err().unwrap();
    assert!(matches!(error, Error::Tls(rustls::Error::InvalidMessage(_))), "{error}");
}

/// The files of an identity, for OpenSSL.
fn files(identity: &Identity, name: &str) -> [String; 3] {
    let folder = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).unwrap();
    let texts =
        [("ca", &identity.authority), ("server", &identity.certificate), ("key", &identity.key)];
    texts.map(|(file, text)| {
        let path = format!("{folder}/{file}.pem");
        std::fs::write(&path, text).unwrap();
        path
    })
}

#[test]
fn openssl_is_served() {
    let identity = identity(|_| {});
    let [authority, _, _] = files(&identity, "served");
    for version in ["-tls1_3", "-tls1_2"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", version, "-CAfile", &authority])
            .args(["-servername", "localhost", "-connect", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let (ours, _) = listener.accept().unwrap();
        run(async {
            let mut stream = accept(ours, &identity).await.unwrap();
            stream.write_all(&pattern()).await.unwrap();
            stream.close().await.unwrap();
        });
        let output = client.wait_with_output().unwrap();
        assert!(output.stdout == pattern(), "{version}: {} bytes", output.stdout.len());
    }
}

#[test]
fn openssl_is_asked() {
    let identity = identity(|_| {});
    let [_, certificate, key] = files(&identity, "asked");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-www", "-cert", &certificate, "-key", &key])
        .args(["-accept", &format!("127.0.0.1:{port}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let begin = SystemTime::now();
    let ours = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(begin.elapsed().unwrap() < LIMIT, "{error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    let page = run(async {
        let mut stream = connect(ours, identity.our_client()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        read_to_end(&mut stream).await
    });
    server.kill().unwrap();
    server.wait().unwrap();
    let page = String::from_utf8_lossy(&page);
    assert!(page.contains("TLSv1.3, Cipher is TLS_AES"), "{page}");
}

/// A stream that is not ready at the first call, nor at every other one.
struct Reluctant {
    stream: Blocking,
    ready: bool,
}

impl Reluctant {
    async fn wait(&mut self) {
        poll_fn(|_| if self.ready { Poll::Ready(()) } else { self.refuse() }).await;
        self.ready = false;
    }

    fn refuse(&mut self) -> Poll<()> {
        self.ready = true;
        Poll::Pending
    }
}

impl ErrorType for Reluctant {
    type Error = std::io::Error;
}

impl Read for Reluctant {
    async fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.wait().await;
        self.stream.read(bytes).await
    }
}

impl Write for Reluctant {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.wait().await;
        // Not all at once, either.
        self.stream.write(&bytes[..bytes.len().min(5000)]).await
    }
    async fn flush(&mut self) -> std::io::Result<()> {
        self.wait().await;
        self.stream.flush().await
    }
}

/// The output of `future`, if it is ready at once; it is dropped otherwise.
fn once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn calls_that_are_dropped_lose_and_repeat_nothing() {
    let identity = identity(|_| {});
    let (ours, theirs) = pair();
    let server = rustls::ServerConnection::new(identity.their_server()).unwrap();
    let peer = thread::spawn(move || echo(rustls::StreamOwned::new(server, theirs)));
    let ours = Reluctant { stream: Blocking::new(ours), ready: false };
    let name = tls::server_name("localhost").unwrap();
    let mut stream = run(TlsStream::connect(ours, identity.our_client(), name)).unwrap();
    let (data, mut sent, mut dropped) = (pattern(), 0, 0);
    while sent < data.len() {
        match once(stream.write(&data[sent..])) {
            Some(count) => sent += count.unwrap(),
            None => dropped += 1,
        }
    }
    while once(stream.flush()).is_none() {
        dropped += 1;
    }
    let (mut got, mut bytes) = (Vec::<u8>::new(), [0; 3000]);
    while got.len() < data.len() {
        match once(stream.read(&mut bytes)) {
            Some(count) => got.extend(&bytes[..count.unwrap()]),
            None => dropped += 1,
        }
    }
    assert!(got == data && peer.join().unwrap() == data);
    assert!(dropped > 200, "only {dropped} calls were dropped");
}

/// A certificate for these years.
fn valid_for(years: std::ops::Range<i32>) -> Identity {
    identity(|params| {
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
    })
}

#[test]
fn a_server_says_what_is_wrong_with_its_certificate_or_key_before_anybody_comes() {
    let server = |pem: &str| tls::server(pem.as_bytes(), pem.as_bytes(), Clock(now)).map(|_| ());
    let refused = |pem: &str| server(pem).expect_err("refused").to_string();
    let good = identity(|_| ());
    let bundle = [&good.certificate[..], &good.key].concat();
    assert_eq!(server(&bundle), Ok(()));
    // In any order, and with other text around it.
    assert_eq!(server(&["Hello!\n", &good.key, "\n\n", &good.certificate].concat()), Ok(()));
    assert_eq!(server(&[&good.certificate[..], &good.authority, &good.key].concat()), Ok(()));

    for pem in ["", "hello", &good.key, "\0\u{ff}"] {
        assert!(refused(pem).contains("no certificate"), "{pem}: {}", refused(pem));
    }
    assert!(refused(&good.certificate).contains("no private key"));
    // Cut off at each byte but the last line's end.
    for len in 0..bundle.trim_end().len() {
        assert!(server(&bundle[..len]).is_err(), "{len} bytes");
    }
    let other = identity(|_| ());
    let mixed = [&good.certificate[..], &other.key].concat();
    assert_eq!(refused(&mixed), "the key is not that of the certificate");
    let pair = |identity: &Identity| [&identity.certificate[..], &identity.key].concat();
    assert_eq!(refused(&pair(&valid_for(2000..2001))), "the certificate has expired");
    assert!(refused(&pair(&valid_for(4000..4001))).contains("not valid yet"));
    // Base64 of what is no certificate.
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let why = refused(&[nonsense, &good.key].concat());
    assert!(why.contains("of no use"), "{why}");
    let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let why = refused(&[&good.certificate[..], nonsense].concat());
    assert!(why.contains("of no use"), "{why}");
    let client = |pem: &str| tls::client(pem.as_bytes(), Clock(now)).map(|_| ());
    assert_eq!(client(&good.authority), Ok(()));
    assert!(client("").is_err_and(|why| why == tls::ConfigError::NoCertificate));
}
