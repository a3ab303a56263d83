//! Authorities that the system trusts.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Files in which Linux distributions keep the trusted authorities.
const FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The first of the files that is there.
#[must_use]
pub fn system_file() -> Option<&'static Path> {
    FILES.iter().map(Path::new).find(|path| path.exists())
}

/// Reads the authorities that the system trusts.
///
/// # Errors
/// In words: there is no file, or it cannot be read, or holds none.
pub fn of_system() -> Result<RootCertStore, String> {
    let path = system_file().ok_or("no certificates of authorities on this system")?;
    let unreadable = |error| format!("{}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    // Of a system's hundred some may be of a kind that is not known here.
    roots.add_parsable_certificates(found);
    if roots.is_empty() { Err(format!("{}: no authorities in it", path.display())) } else { Ok(roots) }
}
