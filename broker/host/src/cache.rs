//! Compiled code on disk, so that a restart with a thousand definitions takes well under a second.
//!
//! A file is named after everything that its content depends on: engine version, configuration, CPU
//! features and the component. Its content is encrypted and authenticated with a key that never
//! leaves the machine: the texts of a program are in its code.
//!
//! Invariants: native code is loaded only after its authentication code was checked, in memory that
//! no other process can change. If a file or its disk is faulty, the component is compiled anew.
//! Not here: the directory and its waiters (`files`), and the checks of components (`validate`).

mod files;
pub(crate) mod native;

use files::Files;
use native::Native;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use wasmtime::component::Component;

/// Name of the key file within the cache directory. Backups leave it out.
pub const CACHE_KEY_FILE: &str = "code.key";

const KEY_BYTES: usize = 32;

/// Context string for the derivation of the file key. Change it with the format of the files.
const PURPOSE: &[u8] = b"lotmq compiled code, AES-256-GCM, nonce in front";

/// The directory of compiled code.
pub(crate) struct CodeCache {
    files: Files,
    key: LessSafeKey,
    /// Of the engine's version, configuration and the CPU's features.
    engine: [u8; 32],
    found: AtomicU64,
    missing: AtomicU64,
}

impl CodeCache {
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> Result<Self, (PathBuf, io::Error)> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| (path, source)
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        let key_file = dir.join(CACHE_KEY_FILE);
        let key = read_or_make_key(&key_file).map_err(failed(&key_file))?;
        Ok(CodeCache {
            files: Files::open(dir).map_err(failed(dir))?,
            key: derived(&key),
            engine: fingerprint(engine),
            found: AtomicU64::new(0),
            missing: AtomicU64::new(0),
        })
    }

    /// Opens a directory that several processes of a user share. `None` if that fails, or if
    /// another user may write to it: a foreign key would allow foreign code.
    pub(crate) fn open_shared(dir: &Path, engine: &wasmtime::Engine) -> Option<Self> {
        let told = |(path, error): (PathBuf, io::Error)| {
            tracing::debug!(path = %path.display(), %error, "the shared cache of compiled code is not used");
        };
        made_for_us_alone(dir).map_err(|source| (dir.to_owned(), source)).map_err(told).ok()?;
        Self::open(dir, engine).map_err(told).ok()
    }

    /// Compiled code of a component, if it is there and ours.
    pub(crate) fn component(&self, engine: &wasmtime::Engine, wasm: &[u8]) -> Option<Component> {
        self.load(wasm, |native| native::component(engine, native).ok())
    }

    /// Result of `load`, if compiled code of a binary is there and ours.
    pub(crate) fn load<T>(&self, wasm: &[u8], load: impl FnOnce(Native<'_>) -> Option<T>) -> Option<T> {
        self.count(self.read(wasm).and_then(|native| load((&native).into())))
    }

    /// Whether there is a file for the code of a binary.
    pub(crate) fn has(&self, wasm: &[u8]) -> bool {
        self.files.has(&self.name(wasm))
    }

    /// Like [`has`](Self::has) for a binary that is read in parts, until one is `None`.
    ///
    /// # Errors
    /// That of `next`.
    pub(crate) fn has_of_parts<B: AsRef<[u8]>, E>(
        &self,
        mut next: impl FnMut() -> Result<Option<B>, E>,
    ) -> Result<bool, E> {
        let mut hash = self.name_prefix();
        while let Some(part) = next()? {
            hash.update(part.as_ref());
        }
        Ok(self.files.has(&hash.finalize().into()))
    }

    /// Keeps compiled code. A cache that cannot be written costs time later, nothing else.
    pub(crate) fn store(&self, wasm: &[u8], native: &[u8]) {
        let name = self.name(wasm);
        let written = self.sealed(&name, native).and_then(|content| self.files.write(&name, content));
        // A disk that does not answer is reported once, elsewhere.
        if let Err(error) = written
            && error.kind() != io::ErrorKind::TimedOut
        {
            tracing::warn!(%error, "compiled code not cached");
        }
    }

    /// How often code was found, and how often not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.found.load(Ordering::Relaxed), self.missing.load(Ordering::Relaxed))
    }

    fn count<T>(&self, found: Option<T>) -> Option<T> {
        let counter = if found.is_some() { &self.found } else { &self.missing };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn read(&self, wasm: &[u8]) -> Option<native::Authentic> {
        let name = self.name(wasm);
        let native = self.authentic(&name, self.files.read(&name)?);
        if native.is_none() {
            tracing::warn!(file = files::file_name(&name), "cached code is not ours and is ignored");
            self.files.remove(&name);
        }
        native
    }

    /// Decrypts authentic content. The authentication covers the name, so that one file cannot
    /// stand in for another.
    fn authentic(&self, name: &[u8; 32], mut content: Vec<u8>) -> Option<native::Authentic> {
        let (nonce, sealed) = content.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let native_bytes = self.key.open_in_place(nonce, Aad::from(name), sealed).ok()?.len();
        content.copy_within(NONCE_LEN..NONCE_LEN + native_bytes, 0);
        content.truncate(native_bytes);
        Some(native::Authentic::checked(content))
    }

    fn sealed(&self, name: &[u8; 32], native: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
        let mut content = native.to_vec();
        let aad = Aad::from(name);
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut content)
            .map_err(|_| io::Error::other("the code is too long to be encrypted"))?;
        content.splice(0..0, nonce);
        Ok(content)
    }

    fn name(&self, wasm: &[u8]) -> [u8; 32] {
        let mut hash = self.name_prefix();
        hash.update(wasm);
        hash.finalize().into()
    }

    /// Hash of all that a name depends on besides the binary.
    fn name_prefix(&self) -> Sha256 {
        let mut hash = Sha256::new();
        hash.update(self.engine);
        hash.update(PURPOSE);
        hash
    }
}

/// Makes a directory for compiled code if it is missing, and checks that it is
/// [ours alone](of_us_alone).
pub(crate) fn made_for_us_alone(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    of_us_alone(dir)
}

/// Checks that no other user can change a directory. We own it and its key, and others may neither
/// write to it nor replace it.
fn of_us_alone(dir: &Path) -> io::Result<()> {
    let us = rustix::process::geteuid().as_raw();
    let refused = |what: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    let is_ours = |data: &fs::Metadata| data.uid() == us && data.mode() & 0o022 == 0;
    let own = fs::symlink_metadata(dir)?;
    if !own.is_dir() || !is_ours(&own) {
        return refused("somebody else may write to the directory");
    }
    if let Some(parent) = dir.parent().map(fs::metadata).transpose()? {
        let is_of_system = parent.uid() == 0 || parent.uid() == us;
        // With the sticky bit nobody renames what belongs to others.
        if !is_of_system || (parent.mode() & 0o022 != 0 && parent.mode() & 0o1000 == 0) {
            return refused("somebody else may put another directory in its place");
        }
    }
    match fs::symlink_metadata(dir.join(CACHE_KEY_FILE)) {
        Ok(key) if key.is_file() && is_ours(&key) && key.mode() & 0o077 == 0 => Ok(()),
        Ok(_) => refused("somebody else may read or write its key"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The key for files of this form.
fn derived(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), PURPOSE);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, tag.as_ref()).expect("HMAC-SHA256 gives 32 bytes"))
}

/// The key, which of several processes at once the first one makes for all.
fn read_or_make_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    if let Ok(bytes) = fs::read(path)
        && let Ok(key) = bytes.try_into()
    {
        return Ok(key);
    }
    let mut file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // Ignores a file system without locks: a single process needs none.
    let _ = file.lock();
    let mut bytes = Vec::new();
    (&file).take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if let Ok(key) = bytes.try_into() {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    // Of a file with something else in it anybody may have set the mode.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

/// Everything besides the component that native code depends on.
fn fingerprint(engine: &wasmtime::Engine) -> [u8; 32] {
    struct Sink(Sha256);
    impl Hasher for Sink {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut sink = Sink(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sink);
    sink.0.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_for_their_owner_encrypted_and_authentic() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(dir.path(), &wasmtime::Engine::default()).unwrap();
        let native = [b"hardcoded-p4ssw0rd".as_slice(), &[7; 1000]].concat();
        let parts = || {
            let mut parts = [b"wa".as_slice(), b"sm"].into_iter();
            cache.has_of_parts(move || Ok::<_, io::Error>(parts.next())).unwrap()
        };
        assert!(!cache.has(b"wasm") && !parts());
        cache.store(b"wasm", &native);
        assert!(cache.has(b"wasm") && parts());
        let name = cache.name(b"wasm");
        let path = dir.path().join(files::file_name(&name));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let content = fs::read(&path).unwrap();
        assert!(!content.windows(9).any(|window| window == b"hardcoded"));
        assert!(cache.authentic(&name, content.clone()).is_some());
        assert!(cache.authentic(&cache.name(b"other"), content.clone()).is_none());
        for at in [0, NONCE_LEN, content.len() - 1] {
            let mut changed = content.clone();
            changed[at] ^= 1;
            assert!(cache.authentic(&name, changed).is_none(), "byte {at}");
        }
        for len in [0, NONCE_LEN - 1, NONCE_LEN, content.len() - 1] {
            assert!(cache.authentic(&name, content[..len].to_vec()).is_none(), "{len} bytes");
        }
        let again = CodeCache::open(dir.path(), &wasmtime::Engine::default()).unwrap();
        assert!(again.authentic(&name, content).is_some());
    }

    #[test]
    fn of_several_that_begin_at_once_one_makes_the_key_for_all() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(CACHE_KEY_FILE);
            let keys: Vec<[u8; KEY_BYTES]> = std::thread::scope(|scope| {
                let begun: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| read_or_make_key(&path).unwrap())).collect();
                begun.into_iter().map(|key| key.join().unwrap()).collect()
            });
            assert!(keys.iter().all(|key| *key == keys[0]));
        }
    }

    #[test]
    fn a_shared_directory_is_used_only_while_nobody_else_may_write_to_it() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("lotmq");
        let opens = || CodeCache::open_shared(&dir, &wasmtime::Engine::default()).is_some();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(opens() && opens(), "one that is made, and one that is there");
        for (path, wrong, right) in [
            (dir.clone(), 0o770, 0o700),
            (dir.clone(), 0o703, 0o755),
            (dir.join(CACHE_KEY_FILE), 0o640, 0o600),
            (home.path().to_owned(), 0o777, 0o700),
        ] {
            mode(&path, wrong);
            assert!(!opens(), "{} with {wrong:o}", path.display());
            mode(&path, right);
            assert!(opens(), "{} with {right:o}", path.display());
        }
        mode(home.path(), 0o1777);
        assert!(opens(), "with the sticky bit");
        fs::rename(&dir, home.path().join("real")).unwrap();
        std::os::unix::fs::symlink(home.path().join("real"), &dir).unwrap();
        assert!(!opens(), "a link");
    }
}
