//! TLS of an endpoint with clients: the certificate of a server of the host.
//!
//! Invariant: a connection begins with the current files. Without usable files there is none.

use super::{
    file_places::{OF_TLS, at_disk},
    tls_profile::{ProfileStamps, TlsFault, TlsIdentity, TlsSource},
};
use parking_lot::Mutex;
use rustls::ServerConfig;
use std::{fmt, sync::Arc};

/// How the host speaks TLS with the clients of an endpoint. Clones are the same.
#[derive(Clone)]
pub struct ServerTls(Arc<SharedIdentity>);

struct SharedIdentity {
    identity: TlsIdentity,
    only_1_3: bool,
    current: Mutex<(Arc<ServerConfig>, ProfileStamps)>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerTls").field(&self.0.identity).finish()
    }
}

impl ServerTls {
    /// Reads certificate and key. Asks the disk.
    ///
    /// # Errors
    /// See [`TlsFault`].
    pub fn of_identity(identity: TlsIdentity, only_1_3: bool) -> Result<ServerTls, TlsFault> {
        let current = Mutex::new((read(&identity, only_1_3)?, stamps(&identity)));
        Ok(ServerTls(Arc::new(SharedIdentity { identity, only_1_3, current })))
    }

    /// Settings of a connection that begins now.
    pub(super) async fn config(&self) -> Result<Arc<ServerConfig>, TlsFault> {
        if !sources(&self.0.identity).any(TlsSource::is_file) {
            return Ok(Arc::clone(&self.0.current.lock().0));
        }
        let shared = Arc::clone(&self.0);
        at_disk(OF_TLS, move || shared.now()).await.unwrap_or(Err(TlsFault::NotRead))
    }
}

impl SharedIdentity {
    /// Reads the files again if they have changed.
    fn now(&self) -> Result<Arc<ServerConfig>, TlsFault> {
        let mut current = self.current.lock();
        let stamps = stamps(&self.identity);
        if current.1 != stamps {
            *current = (read(&self.identity, self.only_1_3)?, stamps);
        }
        Ok(Arc::clone(&current.0))
    }
}

fn sources(identity: &TlsIdentity) -> impl Iterator<Item = &TlsSource> {
    [&identity.certificate, &identity.key].into_iter()
}

fn stamps(identity: &TlsIdentity) -> ProfileStamps {
    sources(identity).filter(|source| source.is_file()).map(TlsSource::stamp).collect()
}

fn read(identity: &TlsIdentity, only_1_3: bool) -> Result<Arc<ServerConfig>, TlsFault> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] = match only_1_3 {
        false => &[&rustls::version::TLS13, &rustls::version::TLS12],
        true => &[&rustls::version::TLS13],
    };
    let (chain, key) = identity.read()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider has cipher suites for both versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|reason| identity.unusable(reason))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
