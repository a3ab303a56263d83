//! TLS of an endpoint with servers, as its profile says.
//!
//! One thread does the handshakes of all routes, and the other end chooses the certificates. So the
//! host rejects long chains.
//!
//! Invariant: a connection begins with the current files of the profile. Without usable files there
//! is none.

use super::{
    file_places::{OF_TLS, at_disk},
    tls_profile::{ProfileStamps, ReadProfile, TlsFault, TlsProfile},
};
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use std::{fmt, sync::Arc};

/// How the host speaks TLS with the servers of an endpoint. Clones are the same.
#[derive(Clone)]
pub struct ClientTls(Arc<SharedProfile>);

struct SharedProfile {
    profile: TlsProfile,
    current: Mutex<Current>,
}

struct Current {
    loaded: ReadProfile,
    stamps: ProfileStamps,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientTls").field(&self.0.profile).finish()
    }
}

impl ClientTls {
    /// Reads the files of a profile from disk.
    ///
    /// # Errors
    /// See [`TlsFault`].
    pub fn of_profile(profile: TlsProfile) -> Result<ClientTls, TlsFault> {
        let stamps = profile.stamps();
        let loaded = profile.read()?;
        profile.check_time(&loaded)?;
        Ok(ClientTls(Arc::new(SharedProfile { profile, current: Mutex::new(Current { loaded, stamps }) })))
    }

    /// Trusts servers whose certificates lead to one of these authorities through
    /// [`ISSUERS_MAX`](lotmq_chain::limits::ISSUERS_MAX) further ones at most.
    ///
    /// # Errors
    /// When there are no authorities.
    pub fn trusting(authorities: RootCertStore) -> Result<ClientTls, TlsFault> {
        ClientTls::of_profile(TlsProfile::trusting(authorities))
    }

    /// Settings of a connection that begins now.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        Ok(self.now().await?.0)
    }

    /// Returns the configuration for TLS 1.2 alone.
    pub(super) async fn config_1_2(&self) -> Result<Arc<ClientConfig>, TlsFault> {
        self.now().await?.1.ok_or(TlsFault::TooOld)
    }

    async fn now(&self) -> Result<Configs, TlsFault> {
        if !self.0.profile.has_files() {
            return self.0.now();
        }
        let shared = Arc::clone(&self.0);
        at_disk(OF_TLS, move || shared.now()).await.unwrap_or(Err(TlsFault::NotRead))
    }
}

/// Settings of all versions that are spoken, and of TLS 1.2 alone.
type Configs = (Arc<ClientConfig>, Option<Arc<ClientConfig>>);

impl SharedProfile {
    /// Reads the files again if they have changed.
    fn now(&self) -> Result<Configs, TlsFault> {
        let mut current = self.current.lock();
        let stamps = self.profile.stamps();
        if current.stamps != stamps {
            *current = Current { loaded: self.profile.read()?, stamps };
        }
        self.profile.check_time(&current.loaded)?;
        Ok((Arc::clone(&current.loaded.config), current.loaded.config_1_2.clone()))
    }
}
