//! Section `[tls]`: what the listeners with TLS show to clients and ask of them.

use std::path::PathBuf;

use super::key::section;
use super::setting::words;

section! {
    /// Certificates of the listeners with TLS. The files are read again when they change, and on
    /// SIGHUP.
    Tls at "tls", |config| config.tls => {
        /// PEM file with the certificate of this broker, then those of its issuers. Without it no
        /// listener with TLS is opened. A file in PKCS#12 (`.pfx`, `.p12`) is converted by
        /// `openssl pkcs12 -in FILE -out lotmq.pem -nodes`.
        certificate: Option<PathBuf> = None, json "CertificatePath";
        /// PEM file with the private key, not encrypted; until it is set, the key is expected in
        /// the file of the certificate.
        key: Option<PathBuf> = None;
        /// PEM file with the authorities that sign the certificates of clients.
        client_ca: Option<PathBuf> = None;
        /// File with lists of revoked certificates (CRL, RFC 5280): several in PEM, or one in DER.
        /// With it, each authority that signs certificates of clients needs its list in the file.
        /// A revoked certificate is refused, and its connections end. A list counts on after its
        /// next update is due.
        client_crl: Option<PathBuf> = None;
        /// Oldest version of TLS that is spoken.
        min_version: TlsVersion = TlsVersion::V1_2;
    }
}

words! {
    /// A version of TLS.
    TlsVersion {
        /// TLS 1.2.
        V1_2 = "1.2",
        /// TLS 1.3.
        V1_3 = "1.3",
    }
}
