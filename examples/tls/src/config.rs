//! Configurations for both ends, from certificates in PEM (RFC 7468) and a clock.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::identity;

/// The time of day, since 1970 began, or that there is none: `freestone::time::wall` on a kernel. Without it no certificate
/// is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Clock(pub fn() -> Option<Duration>);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        (self.0)().map(UnixTime::since_unix_epoch)
    }
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigError {
    /// A text is no PEM, or cut off.
    Malformed,
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it.
    NoKey,
    /// The certificate, or one above it, is out of date.
    Expired,
    /// The certificate, or one above it, is for later; or the clock is wrong.
    NotYetValid,
    /// The key is that of another certificate.
    OtherKey,
    /// This is no name of a server.
    Name,
    /// A certificate or key is of no use: it is none, or of an unknown kind.
    Useless(rustls::Error),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Malformed => f.write_str(
                "certificates and keys must be PEM: a section is cut off, or is no Base64",
            ),
            ConfigError::NoCertificate => {
                f.write_str("there is no certificate, as PEM (-----BEGIN CERTIFICATE-----)")
            }
            ConfigError::NoKey => {
                f.write_str("there is no private key, as PEM (-----BEGIN PRIVATE KEY-----)")
            }
            ConfigError::Expired => f.write_str("the certificate has expired"),
            ConfigError::NotYetValid => {
                f.write_str("the certificate is not valid yet, or the clock is wrong")
            }
            ConfigError::OtherKey => f.write_str("the key is not that of the certificate"),
            ConfigError::Name => f.write_str("this is no name of a server"),
            ConfigError::Useless(error) => write!(f, "a certificate or key is of no use: {error}"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// The certificates in `pem`, which may have other sections too.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| ConfigError::Malformed)?;
    if found.is_empty() { Err(ConfigError::NoCertificate) } else { Ok(found) }
}

/// A server's name or address, for [`TlsStream::connect`](crate::TlsStream::connect).
///
/// # Errors
///
/// [`ConfigError::Name`].
pub fn server_name(name: &str) -> Result<ServerName<'static>, ConfigError> {
    ServerName::try_from(name).map(|name| name.to_owned()).map_err(|_| ConfigError::Name)
}

/// A client that trusts servers with a certificate by one of those in `authorities`.
///
/// # Errors
///
/// As [`ConfigError`] says.
pub fn client(authorities: &[u8], clock: Clock) -> Result<Arc<ClientConfig>, ConfigError> {
    let mut store = RootCertStore::empty();
    for authority in certificates(authorities)? {
        store.add(authority).map_err(ConfigError::Useless)?;
    }
    let provider = Arc::new(rustls_rustcrypto::provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(clock));
    let config = config.with_safe_default_protocol_versions().map_err(ConfigError::Useless)?;
    Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
}

/// A server with a certificate, the first in `chain`, and the first key in `key`; both may be the same text. Clients need no
/// certificate.
///
/// # Errors
///
/// As [`ConfigError`] says.
pub fn server(chain: &[u8], key: &[u8], clock: Clock) -> Result<Arc<ServerConfig>, ConfigError> {
    let provider = Arc::new(rustls_rustcrypto::provider());
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        PemError::NoItemsFound => ConfigError::NoKey,
        _ => ConfigError::Malformed,
    })?;
    identity::check(&chain, &key, &provider, clock.current_time())?;
    let config = ServerConfig::builder_with_details(provider, Arc::new(clock));
    let config = config.with_safe_default_protocol_versions().map_err(ConfigError::Useless)?;
    let config = config.with_no_client_auth().with_single_cert(chain, key);
    Ok(Arc::new(config.map_err(ConfigError::Useless)?))
}
