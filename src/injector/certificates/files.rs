//! A certificate of somebody else's making (cert-manager's, or an own Secret's): two files in a
//! folder, taken anew whenever they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use super::authority::{Certificate, Shown};
use crate::sources::{Letter, Pace, Places, Watch};

/// The files, as a Secret of type `kubernetes.io/tls` has them.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Keeps showing what the folder holds, for as long as the process lives; what cannot be used
/// leaves the last good one in place.
pub async fn keep(
    folder: PathBuf,
    shown: watch::Sender<Option<Shown>>,
    trouble: watch::Sender<Option<String>>,
) {
    let files = [CERTIFICATE, KEY].map(|file| folder.join(file));
    let places = Places { configs: files.to_vec(), ..Places::default() };
    let mut watch = Watch::start(places, Pace::default());
    let mut letter = Arc::clone(watch.letter());
    loop {
        match read(&folder, &letter) {
            Ok(certificate) => {
                tracing::info!(until = %certificate.until, "A certificate is shown");
                shown.send_replace(Some(certificate));
                trouble.send_replace(None);
            }
            Err(why) => {
                let folder = folder.display();
                tracing::warn!(%folder, why, "The certificate cannot be used");
                if shown.borrow().is_none() {
                    trouble.send_replace(Some(format!("no certificate in {folder}: {why}")));
                }
            }
        }
        letter = watch.changed().await;
    }
}

fn read(folder: &Path, letter: &Letter) -> Result<Shown, String> {
    let text = |file: &str| {
        let path = folder.join(file).display().to_string();
        let found = letter.texts.iter().find(|text| *text.name == *path);
        let problem = || letter.problems.iter().find(|problem| problem.path.ends_with(file));
        found.map(|found| Arc::clone(&found.text)).ok_or_else(|| {
            problem().map_or_else(|| format!("{file} is missing"), ToString::to_string)
        })
    };
    let (certificate, key) = (text(CERTIFICATE)?, text(KEY)?);
    let chain =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| format!("{CERTIFICATE} is not PEM"))?;
    let first = chain.first().ok_or_else(|| format!("{CERTIFICATE} holds no certificate"))?;
    let until = Certificate::read(first.clone()).map_err(|broken| broken.to_string())?.until;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| format!("{KEY} holds no private key"))?;
    let provider = rustls::crypto::ring::default_provider();
    let key = CertifiedKey::from_der(chain, key, &provider)
        .map_err(|_| format!("{KEY} is not the key of {CERTIFICATE}"))?;
    Ok(Shown { key: Arc::new(key), until })
}
