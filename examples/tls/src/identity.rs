//! A server's certificate and its key, looked at before the first client comes.
//!
//! rustls leaves both questions to somebody else: whether the certificate is out of date only clients ask, and whether the key is
//! the certificate's only a provider can say that knows a private key's public half, which `rustls-rustcrypto` does not. So the
//! key signs something here, and the certificate verifies it.

use alloc::vec::Vec;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::{CertificateError, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use crate::config::ConfigError;

/// What is signed: any text.
const SAMPLE: &[u8] = b"is this key the certificate's?";

/// Refuses a chain that is out of date at `now`, if that is known, or whose first certificate is not this key's.
pub(crate) fn check(
    chain: &[CertificateDer<'_>],
    key: &PrivateKeyDer<'static>,
    provider: &CryptoProvider,
    now: Option<UnixTime>,
) -> Result<(), ConfigError> {
    let [first, others @ ..] = chain else { return Err(ConfigError::NoCertificate) };
    let useless = |_| ConfigError::Useless(CertificateError::BadEncoding.into());
    let certificate = EndEntityCert::try_from(first).map_err(useless)?;
    if let Some(now) = now {
        is_of_today(&certificate, others, provider, now)?;
    }
    match is_of(&certificate, key, provider)? {
        true => Ok(()),
        false => Err(ConfigError::OtherKey),
    }
}

/// Nobody is trusted here, so no chain is complete; whether its certificates are out of date is looked at before that.
fn is_of_today(
    certificate: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    provider: &CryptoProvider,
    now: UnixTime,
) -> Result<(), ConfigError> {
    let algorithms = provider.signature_verification_algorithms.all;
    let usage = KeyUsage::server_auth();
    match certificate.verify_for_usage(algorithms, &[], others, now, usage, None, None) {
        Err(webpki::Error::CertExpired { .. }) => Err(ConfigError::Expired),
        Err(webpki::Error::CertNotValidYet { .. }) => Err(ConfigError::NotYetValid),
        _ => Ok(()),
    }
}

/// Whether the certificate is the key's.
fn is_of(
    certificate: &EndEntityCert<'_>,
    key: &PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<bool, ConfigError> {
    let key = provider.key_provider.load_private_key(key.clone_key());
    let key = key.map_err(ConfigError::Useless)?;
    let known = provider.signature_verification_algorithms.mapping;
    let schemes: Vec<SignatureScheme> = known.iter().map(|(scheme, _)| *scheme).collect();
    let Some(signer) = key.choose_scheme(&schemes) else { return Ok(false) };
    let signature = signer.sign(SAMPLE).map_err(ConfigError::Useless)?;
    let mut algorithms = known
        .iter()
        .filter(|(scheme, _)| *scheme == signer.scheme())
        .flat_map(|(_, algorithms)| algorithms.iter());
    Ok(algorithms
        .any(|algorithm| certificate.verify_signature(*algorithm, SAMPLE, &signature).is_ok()))
}
