//! Whom to believe, and what to offer.

use std::fmt;
use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::destination::SettingsError;

/// The certificate authorities that a provider's certificate may come from.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub enum Roots {
    /// Mozilla's, as built into the binary.
    #[default]
    BuiltIn,
    /// The system's: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else where the distribution keeps them.
    System,
    /// Those of this PEM file's content, and no others.
    Bundle(Arc<[u8]>),
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("BuiltIn"),
            Self::System => f.write_str("System"),
            Self::Bundle(pem) => write!(f, "Bundle({} bytes)", pem.len()),
        }
    }
}

/// What TLS offers to a server: both versions of HTTP, or, for an upgrade, the one that has them.
pub(super) struct Tls {
    pub(super) any: Arc<ClientConfig>,
    pub(super) http1: Arc<ClientConfig>,
}

/// The name of HTTP/2 in ALPN.
pub(super) const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

impl Tls {
    pub(super) fn new(roots: &Roots) -> Result<Self, SettingsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut any = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| SettingsError::Roots("no TLS version in common with this build"))?
            .with_root_certificates(store(roots)?)
            .with_no_client_auth();
        let mut http1 = any.clone();
        any.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
        http1.alpn_protocols = vec![HTTP1.to_vec()];
        Ok(Self { any: Arc::new(any), http1: Arc::new(http1) })
    }
}

fn store(roots: &Roots) -> Result<Arc<RootCertStore>, SettingsError> {
    static BUILT_IN: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    });
    match roots {
        Roots::BuiltIn => Ok(Arc::clone(&BUILT_IN)),
        Roots::System => system(),
        Roots::Bundle(pem) => bundle(pem),
    }
}

fn system() -> Result<Arc<RootCertStore>, SettingsError> {
    let mut store = RootCertStore::empty();
    // Systems hold a few certificates that no one can read; the rest are as good as ever.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        return Err(SettingsError::Roots("the system has no certificate authorities"));
    }
    Ok(Arc::new(store))
}

fn bundle(pem: &[u8]) -> Result<Arc<RootCertStore>, SettingsError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate
            .map_err(|_| SettingsError::Roots("the CA bundle is not PEM as it should be"))?;
        store
            .add(certificate)
            .map_err(|_| SettingsError::Roots("the CA bundle holds a broken certificate"))?;
    }
    if store.is_empty() {
        return Err(SettingsError::Roots("the CA bundle holds no certificate"));
    }
    Ok(Arc::new(store))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(pem: &str) -> String {
        let roots = Roots::Bundle(pem.as_bytes().into());
        Tls::new(&roots).err().unwrap().to_string()
    }

    #[test]
    fn a_bundle_that_cannot_be_used_says_why() {
        assert!(refusal("").ends_with("holds no certificate"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refusal(broken).ends_with("broken certificate"));
        let torn = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
        assert!(refusal(torn).ends_with("not PEM as it should be"));
    }

    #[test]
    fn the_built_in_roots_are_shared() {
        let first = store(&Roots::BuiltIn).unwrap();
        assert!(Arc::ptr_eq(&first, &store(&Roots::BuiltIn).unwrap()) && first.len() > 100);
    }
}
