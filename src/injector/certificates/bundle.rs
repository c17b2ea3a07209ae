//! What a webhook's `caBundle` holds.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::authority::Certificate;

/// The most certificates that a bundle is given: beyond it, the oldest of no use are left out.
pub(super) const MOST: usize = 8;

/// A bundle as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The certificates in it, each once.
    pub certificates: Vec<Certificate>,
    /// Whether there is nothing else in it, and every webhook of the object has the same.
    pub is_clean: bool,
}

impl Seen {
    /// Reads the bundles of all webhooks of one object; what cannot be read is no certificate.
    pub fn read<'a>(bundles: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut seen: Option<Self> = None;
        for pem in bundles {
            let one = Self::read_one(pem);
            match &mut seen {
                None => seen = Some(one),
                Some(seen) => {
                    seen.is_clean &= *seen == one;
                    // What only some of the webhooks trust is not trusted.
                    seen.certificates.retain(|held| one.certificates.contains(held));
                }
            }
        }
        seen.unwrap_or_default()
    }

    fn read_one(pem: &[u8]) -> Self {
        let mut seen = Self { certificates: Vec::new(), is_clean: true };
        for der in CertificateDer::pem_slice_iter(pem) {
            match der.map_err(drop).and_then(|der| Certificate::read(der).map_err(drop)) {
                Ok(certificate) if seen.certificates.contains(&certificate) => {}
                Ok(certificate) => seen.certificates.push(certificate),
                Err(()) => seen.is_clean = false,
            }
        }
        seen
    }
}

/// Certificates as one PEM text.
pub(super) fn pem(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::pem).collect()
}
