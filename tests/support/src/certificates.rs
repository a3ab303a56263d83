//! Certificates of a test: an authority, and what it signs, as PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lotmq_chain::der::{Reader, tag};
use lotmq_client::{TlsContext, TlsOptions};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority with its own folder of files.
#[derive(Debug)]
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A signed certificate and its key.
#[derive(Clone, Debug)]
pub struct Signed {
    /// PEM file of the certificate.
    pub certificate: PathBuf,
    /// PEM file of the key.
    pub key: PathBuf,
}

impl Signed {
    /// Settings of a server that shows it.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.server_config_with(rustls::server::WebPkiClientVerifier::no_client_auth(), rustls::ALL_VERSIONS)
    }

    /// The same of one that lets in whom this authority certifies, and nobody else.
    pub fn server_config_for(&self, authority: &Authority) -> Arc<ServerConfig> {
        self.server_config_speaking(authority, rustls::ALL_VERSIONS)
    }

    /// The same of one that speaks these versions.
    pub fn server_config_speaking(
        &self,
        authority: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let judge =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        self.server_config_with(judge.unwrap(), versions)
    }

    fn server_config_with(
        &self,
        judge: Arc<dyn rustls::server::danger::ClientCertVerifier>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let chain = CertificateDer::pem_file_iter(&self.certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let builder = builder.unwrap().with_client_cert_verifier(judge);
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    /// Serial number of the certificate.
    fn serial_number(&self) -> SerialNumber {
        let der = CertificateDer::from_pem_file(&self.certificate).unwrap();
        let certificate = Reader(&der).expect(tag::SEQUENCE).unwrap();
        let mut fields = Reader(Reader(certificate).expect(tag::SEQUENCE).unwrap());
        // Version 3 is told before it.
        fields.expect(tag::VERSION).unwrap();
        let (_, serial) = fields.next().unwrap();
        SerialNumber::from_slice(serial)
    }

    /// PEM of the certificate with its key behind it.
    pub fn with_key(&self) -> String {
        [&self.certificate, &self.key].map(|path| std::fs::read_to_string(path).unwrap()).concat()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new authority, which nobody knows.
    pub fn new() -> Self {
        Self::named("lotmq test authority")
    }

    /// A new authority with this common name.
    pub fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// PEM file of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for `localhost` and `127.0.0.1`, in files that begin with `name`; written over
    /// if they are there.
    pub fn server(&self, name: &str) -> Signed {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.sign(name, CertificateParams::new(names).unwrap())
    }

    /// The same, until `end`.
    pub fn server_until(&self, name: &str, end: SystemTime) -> Signed {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end.duration_since(UNIX_EPOCH).unwrap();
        self.sign(name, params)
    }

    /// The same that shows so many certificates of others behind its own.
    pub fn server_with_others(&self, name: &str, others: usize) -> Signed {
        let signed = self.server(name);
        let own = std::fs::read_to_string(&signed.certificate).unwrap();
        let other = std::fs::read_to_string(self.file()).unwrap();
        write(&signed.certificate, &(own + &other.repeat(others)));
        signed
    }

    /// The same with a key of RSA 4096, whose signatures are the dearest ones in use.
    pub fn server_with_rsa_4096(&self, name: &str) -> Signed {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::from_pem(include_str!("rsa_4096.pem")).unwrap();
        self.sign_key(name, CertificateParams::new(names).unwrap(), &key)
    }

    /// A certificate of a client with this common name.
    pub fn client(&self, name: &str) -> Signed {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)
    }

    /// The same, until `end`.
    pub fn client_until(&self, name: &str, end: SystemTime) -> Signed {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + end.duration_since(UNIX_EPOCH).unwrap();
        self.sign(name, params)
    }

    /// A certificate of a client with this common name behind so many tiers of issuers, in each so
    /// many of one name. The issuers of the first tier are signed by this authority and stand last
    /// in the file.
    pub fn client_behind(&self, name: &str, tiers: usize, issuers: usize) -> Signed {
        let mut chain = String::new();
        let mut above: Option<Issuer<'static, KeyPair>> = None;
        for tier in 0..tiers {
            let mut own = None;
            for _ in 0..issuers {
                let mut params = CertificateParams::new(Vec::new()).unwrap();
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.distinguished_name.push(DnType::CommonName, format!("tier {tier}"));
                let key = KeyPair::generate().unwrap();
                let certificate = params.signed_by(&key, above.as_ref().unwrap_or(&self.issuer)).unwrap();
                chain.insert_str(0, &certificate.pem());
                own = Some(Issuer::new(params, key));
            }
            above = own;
        }
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, above.as_ref().unwrap_or(&self.issuer)).unwrap();
        let signed =
            Signed { certificate: self.path(&format!("{name}.pem")), key: self.path(&format!("{name}.key")) };
        write(&signed.key, &key.serialize_pem());
        write(&signed.certificate, &(certificate.pem() + &chain));
        signed
    }

    /// Writes its list of revoked certificates, in PEM, and returns the file.
    pub fn revoke(&self, revoked: &[&Signed]) -> PathBuf {
        let at = rcgen::date_time_ymd(2026, 1, 1);
        let revoked = revoked.iter().map(|signed| RevokedCertParams {
            serial_number: signed.serial_number(),
            revocation_time: at,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: at,
            // A list counts on after that.
            next_update: at + Duration::from_secs(60),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let file = self.path("revoked.pem");
        write(&file, &list.signed_by(&self.issuer).unwrap().pem().unwrap());
        file
    }

    /// Returns the TLS options of a client that trusts this authority.
    pub fn trusted(&self) -> TlsOptions {
        TlsOptions { authorities: Some(self.file()), ..TlsOptions::default() }
    }

    /// The same, ready for use.
    pub fn context(&self) -> TlsContext {
        TlsContext::new(&self.trusted()).unwrap()
    }

    fn sign(&self, name: &str, params: CertificateParams) -> Signed {
        self.sign_key(name, params, &KeyPair::generate().unwrap())
    }

    fn sign_key(&self, name: &str, params: CertificateParams, key: &KeyPair) -> Signed {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        let signed =
            Signed { certificate: self.path(&format!("{name}.pem")), key: self.path(&format!("{name}.key")) };
        write(&signed.key, &key.serialize_pem());
        write(&signed.certificate, &certificate.pem());
        signed
    }
}

/// Replaces a file as those who know how to do it.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}
