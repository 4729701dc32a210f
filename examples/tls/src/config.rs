//! Configurations for both ends, from certificates in PEM (RFC 7468) and a clock.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

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
    /// A text is no PEM.
    Malformed,
    /// There is no certificate, or no key, in it.
    Absent,
    /// This is no name of a server.
    Name,
    /// A certificate or key is of no use: the key is of an unknown kind, or that of another certificate.
    Useless(rustls::Error),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Malformed => f.write_str("certificates and keys must be PEM"),
            ConfigError::Absent => f.write_str("there is no certificate, or no key, in the PEM"),
            ConfigError::Name => f.write_str("this is no name of a server"),
            ConfigError::Useless(error) => write!(f, "a certificate or key is of no use: {error}"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl From<PemError> for ConfigError {
    fn from(error: PemError) -> ConfigError {
        match error {
            PemError::NoItemsFound => ConfigError::Absent,
            _ => ConfigError::Malformed,
        }
    }
}

/// The certificates in `pem`, which may have other sections too.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() { Err(ConfigError::Absent) } else { Ok(found) }
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

/// A server with a certificate, the first in `chain`, and the first key in `key`. Clients need no certificate.
///
/// # Errors
///
/// As [`ConfigError`] says.
pub fn server(chain: &[u8], key: &[u8], clock: Clock) -> Result<Arc<ServerConfig>, ConfigError> {
    let provider = Arc::new(rustls_rustcrypto::provider());
    let config = ServerConfig::builder_with_details(provider, Arc::new(clock));
    let config = config.with_safe_default_protocol_versions().map_err(ConfigError::Useless)?;
    let (chain, key) = (certificates(chain)?, PrivateKeyDer::from_pem_slice(key)?);
    let config = config.with_no_client_auth().with_single_cert(chain, key);
    Ok(Arc::new(config.map_err(ConfigError::Useless)?))
}
