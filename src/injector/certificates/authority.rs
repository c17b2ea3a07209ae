//! Authorities, and what they sign.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

/// How far the clocks of a cluster's machines may be apart: what is signed is valid from so much
/// earlier on, though never from more than a tenth of its life.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A certificate, and when it is valid.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// A certificate that may sign others, with its key.
pub struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

/// What a server shows.
#[derive(Clone)]
pub struct Shown {
    /// What TLS is given.
    pub key: Arc<CertifiedKey>,
    /// Until when it is valid.
    pub until: Timestamp,
}

/// What an authority has signed.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// What is shown.
    pub shown: Shown,
    /// When it was signed.
    pub since: Timestamp,
    /// Who signed it.
    pub issuer: Certificate,
}

/// A certificate or key that is none, or not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(&'static str);

impl Certificate {
    /// Reads it.
    pub(super) fn read(der: CertificateDer<'static>) -> Result<Self, Broken> {
        let (from, until) = {
            let (_, parsed) =
                X509Certificate::from_der(&der).map_err(|_| Broken("it is no certificate"))?;
            let validity = parsed.validity();
            (validity.not_before.timestamp(), validity.not_after.timestamp())
        };
        let time = |second| Timestamp::from_second(second).map_err(|_| Broken("it has no date"));
        Ok(Self { from: time(from)?, until: time(until)?, der })
    }

    /// Its bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// As PEM.
    pub(super) fn pem(&self) -> String {
        pem::encode(&Pem::new("CERTIFICATE", self.der.as_ref()))
    }
}

impl Authority {
    /// A new one that begins now.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub(super) fn new(now: Timestamp, lifetime: Duration) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // The moment makes the name its own, by which a client tells several apart.
        let name = format!("keyweir injector {now}");
        params.distinguished_name = common_name(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, now, lifetime);
        let der = params.self_signed(&key)?.der().clone();
        let certificate =
            Certificate::read(der).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        Ok(Self { certificate, key })
    }

    /// Reads one from PEM.
    pub(super) fn read(certificate: &[u8], key: &[u8]) -> Result<Self, Broken> {
        let der = CertificateDer::from_pem_slice(certificate)
            .map_err(|_| Broken("the certificate is not PEM"))?;
        let certificate = Certificate::read(der)?;
        let key = std::str::from_utf8(key).map_err(|_| Broken("the key is not PEM"))?;
        let key = KeyPair::from_pem(key).map_err(|_| Broken("the key is no private key"))?;
        let (_, parsed) = X509Certificate::from_der(&certificate.der)
            .map_err(|_| Broken("it is no certificate"))?;
        if !parsed.is_ca() {
            return Err(Broken("the certificate may not sign others"));
        }
        if *parsed.public_key().subject_public_key.data != *key.public_key_raw() {
            return Err(Broken("the key is another certificate's"));
        }
        Ok(Self { certificate, key })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its key as PEM.
    pub(super) fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    /// Signs a certificate for these names that is valid from now on, and no longer than itself.
    ///
    /// # Errors
    /// Where a name is none, or the system has no randomness.
    pub(super) fn sign(
        &self,
        names: &[String],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Leaf, rcgen::Error> {
        let own_key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = common_name(names.first().map_or("", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let left = self.certificate.until.duration_since(now);
        let lifetime = lifetime.min(left.try_into().unwrap_or(Duration::ZERO));
        set_validity(&mut params, now, lifetime);
        let issuer = Issuer::from_ca_cert_der(&self.certificate.der, &self.key)?;
        let der = params.signed_by(&own_key, &issuer)?.der().clone();
        let signed = Certificate::read(der).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        let key = PrivateKeyDer::try_from(own_key.serialize_der())
            .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        let key = any_supported_type(&key).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Leaf {
            shown: Shown {
                key: Arc::new(CertifiedKey::new(vec![signed.der], key)),
                until: signed.until,
            },
            since: now,
            issuer: self.certificate.clone(),
        })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From a little before now to the end of its life.
fn set_validity(params: &mut CertificateParams, now: Timestamp, lifetime: Duration) {
    let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
    let from = now.saturating_sub(SKEW.min(lifetime / 10)).unwrap_or(now);
    let until = now.saturating_add(lifetime).unwrap_or(now);
    let date = |at: Timestamp| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(at.as_second().try_into().unwrap_or(0))
    };
    params.not_before = date(from);
    params.not_after = date(until);
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} to {})", self.from, self.until)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority").field(&self.certificate).finish()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("until", &self.until).finish_non_exhaustive()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}
