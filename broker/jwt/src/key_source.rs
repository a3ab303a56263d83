//! Sources of keys: files, and the state of each source.
//!
//! Invariant: a source that fails keeps its former keys for a bounded time, and gets no others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_chain::identity::masked_path;
use lotmq_chain::stamp::FileStamp;
use lotmq_config::Jwt;

use crate::key::SecretKeys;
use crate::key_error::KeyError;
use crate::key_set::KeySet;
use crate::read_file::read_file;

/// Bit of a mode by which everybody on the machine reads a file.
const READ_BY_ALL: u32 = 0o004;

/// Content of a file with keys.
#[derive(Debug, Clone, Copy)]
enum KeyFileFormat {
    Secret,
    Pem,
    Jwks,
}

/// File with keys.
#[derive(Debug)]
pub(crate) struct KeyFile {
    /// Key of the configuration that names it.
    pub(crate) setting: &'static str,
    path: PathBuf,
    format: KeyFileFormat,
    /// The file when it was last read, successfully or not.
    seen: Option<FileStamp>,
}

impl KeyFile {
    /// The files of a configuration.
    pub(crate) fn of(config: &Jwt) -> Vec<Self> {
        let Jwt { secret_file, public_key_file, jwks_file, .. } = config;
        [
            ("auth.jwt.secret_file", secret_file, KeyFileFormat::Secret),
            ("auth.jwt.public_key_file", public_key_file, KeyFileFormat::Pem),
            ("auth.jwt.jwks_file", jwks_file, KeyFileFormat::Jwks),
        ]
        .into_iter()
        .filter_map(|(setting, path, format)| {
            let path = path.clone()?;
            Some(Self { setting, path, format, seen: None })
        })
        .collect()
    }

    /// Its path, for messages.
    pub(crate) fn display_path(&self) -> String {
        masked_path(&self.path).into_owned()
    }

    /// Whether everybody on this machine can read a secret.
    pub(crate) fn is_open_secret(&self) -> bool {
        let mode = std::fs::metadata(&self.path).map_or(0, |file| file.permissions().mode());
        matches!(self.format, KeyFileFormat::Secret) && mode & READ_BY_ALL != 0
    }

    /// Whether the file is another one than was read last.
    pub(crate) fn has_changed(&self) -> bool {
        self.seen.is_none() || self.seen != stamp(&self.path)
    }

    /// Reads the keys.
    pub(crate) fn read(&mut self) -> Result<KeySet, KeyError> {
        // Before the bytes: a file that changes meanwhile is read again.
        self.seen = stamp(&self.path);
        let bytes = read_file(&self.path)?;
        match self.format {
            KeyFileFormat::Secret => KeySet::of_secret(&bytes),
            KeyFileFormat::Pem => KeySet::of_pem(&bytes),
            KeyFileFormat::Jwks => KeySet::of_jwks(&bytes, SecretKeys::Allowed),
        }
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    std::fs::metadata(path).ok().map(|file| FileStamp::from(&file))
}

/// Keys of a source, and since when it fails.
#[derive(Debug, Default)]
pub(crate) struct SourceKeys {
    keys: Option<Arc<KeySet>>,
    failing_since: Option<Instant>,
    /// Text of the last failure, which is logged once.
    fault: Option<String>,
}

impl SourceKeys {
    /// Takes keys that were read. Returns whether the source had failed before.
    pub(crate) fn loaded(&mut self, keys: KeySet) -> bool {
        let has_failed = self.failing_since.is_some();
        *self = Self { keys: Some(Arc::new(keys)), failing_since: None, fault: None };
        has_failed
    }

    /// Notes a failure. Returns whether it is another one than before.
    pub(crate) fn failed(&mut self, error: &KeyError, now: Instant) -> bool {
        self.failing_since.get_or_insert(now);
        let fault = error.to_string();
        let is_new = self.fault.as_ref() != Some(&fault);
        self.fault = Some(fault);
        is_new
    }

    /// Keys that may be used at a time.
    pub(crate) fn usable(&self, now: Instant, outage: Duration) -> Option<&Arc<KeySet>> {
        let is_over = self.failing_since.is_some_and(|since| now.duration_since(since) >= outage);
        self.keys.as_ref().filter(|_| !is_over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTAGE: Duration = Duration::from_secs(60);

    fn keys() -> KeySet {
        KeySet::of_secret(&[7; 32]).unwrap()
    }

    #[test]
    fn keys_of_a_failed_source_end_after_the_outage_time() {
        let (start, mut source) = (Instant::now(), SourceKeys::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(source.usable(start, OUTAGE).is_none(), "nothing was loaded");
        assert!(source.failed(&KeyError::NoKeySet, start));
        assert!(source.usable(start, OUTAGE).is_none(), "a failure gives no keys");
        assert!(source.loaded(keys()));
        assert!(source.usable(at(1_000_000), OUTAGE).is_some());
        assert!(source.failed(&KeyError::NoKeySet, at(100)));
        assert!(!source.failed(&KeyError::NoKeySet, at(130)), "the same failure");
        assert!(source.failed(&KeyError::TooLarge, at(140)), "another one");
        assert!(source.usable(at(159), OUTAGE).is_some());
        assert!(source.usable(at(160), OUTAGE).is_none(), "60 s after the first failure");
        assert!(source.usable(at(100), Duration::ZERO).is_none());
        assert!(source.loaded(keys()));
        assert!(!source.loaded(keys()));
        assert!(source.usable(at(160), OUTAGE).is_some());
    }

    #[test]
    fn changed_files_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut jwt = Jwt::default();
        jwt.secret_file = Some(path.clone());
        let mut file = KeyFile::of(&jwt).pop().unwrap();
        assert_eq!(file.setting, "auth.jwt.secret_file");
        assert_eq!(file.display_path(), path.display().to_string());
        assert!(matches!(file.read(), Err(KeyError::Unreadable(_))));
        assert!(file.has_changed(), "a file that is not there is looked for");
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(file.read(), Err(KeyError::SecretTooShort { bytes: 5 })));
        assert!(!file.has_changed());
        std::fs::write(&path, "k".repeat(32)).unwrap();
        assert!(file.has_changed());
        assert_eq!(file.read().unwrap().len(), 1);
        for (mode, is_open) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(file.is_open_secret(), is_open, "{mode:o}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.has_changed());
    }
}
