//! Compiled code on disk, so that a restart with a thousand definitions takes well under a second.
//!
//! A file is named after everything that its content depends on: engine version, configuration, CPU features and the component. Its
//! content is encrypted and authenticated with a key that never leaves the machine: the texts of a program stand in its code.
//!
//! Invariants: native code is loaded only after its authentication code was checked, in memory that nobody else can change; whatever
//! is wrong with a file, the component is compiled anew; no file is open to others.
//! Not here: which components may be loaded at all (`validate`).

mod native;

use crate::{
    engine::EngineError,
    limits::{CACHE_BYTES_MAX, CACHE_UNUSED_MAX},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};
use wasmtime::{Module, component::Component};

/// Name of the key file within the cache directory. Backups leave it out.
pub const CACHE_KEY_FILE: &str = "code.key";

const KEY_BYTES: usize = 32;
const SUFFIX: &str = "native";

/// What the key for the files is derived for; another one with another form of the files.
const PURPOSE: &[u8] = b"lotmq compiled code, AES-256-GCM, nonce in front";

/// The directory of compiled code.
pub(crate) struct CodeCache {
    dir: PathBuf,
    key: LessSafeKey,
    /// Of the engine's version, configuration and the CPU's features.
    engine: [u8; 32],
    found: AtomicU64,
    missing: AtomicU64,
    /// Bytes in the directory; too many while files are written a second time, exact again when it is pruned.
    bytes: AtomicU64,
}

impl CodeCache {
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> Result<Self, EngineError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::Cache { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        let key_file = dir.join(CACHE_KEY_FILE);
        let key = read_or_make_key(&key_file).map_err(failed(&key_file))?;
        remove_unused(dir).map_err(failed(dir))?;
        let bytes = prune(dir, CACHE_BYTES_MAX).map_err(failed(dir))?;
        Ok(CodeCache {
            dir: dir.to_owned(),
            key: derived(&key),
            engine: fingerprint(engine),
            found: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            bytes: AtomicU64::new(bytes),
        })
    }

    /// Compiled code of a component, if it is there and ours.
    pub(crate) fn component(&self, engine: &wasmtime::Engine, wasm: &[u8]) -> Option<Component> {
        self.count(self.read(wasm).and_then(|native| native::component(engine, &native)))
    }

    /// Compiled code of a core module, if it is there and ours.
    pub(crate) fn module(&self, engine: &wasmtime::Engine, wasm: &[u8]) -> Option<Module> {
        self.count(self.read(wasm).and_then(|native| native::module(engine, &native)))
    }

    /// Keeps compiled code. A cache that cannot be written costs time later, nothing else.
    pub(crate) fn store(&self, wasm: &[u8], native: &[u8]) {
        if let Err(error) = self.write(wasm, native) {
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
        let path = self.dir.join(file_name(&name));
        let content = fs::read(&path).ok()?;
        // The time of change is the time of the last use. A directory that cannot be written only loses track of that.
        fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now())).ok();
        let native = self.authentic(&name, content);
        if native.is_none() {
            tracing::warn!(path = %path.display(), "cached code is not ours and is ignored");
            fs::remove_file(&path).ok();
        }
        native
    }

    /// Decrypts what is authentic. The authentication covers the name, so that one file cannot stand in for another.
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

    fn write(&self, wasm: &[u8], native: &[u8]) -> io::Result<()> {
        let name = self.name(wasm);
        let content = self.sealed(&name, native)?;
        let path = self.dir.join(file_name(&name));
        let part = path.with_extension(format!("part{}", std::process::id()));
        // One that a crash left may have another mode.
        fs::remove_file(&part).ok();
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&content)?;
        drop(file);
        fs::rename(&part, &path)?;
        let len = content.len() as u64;
        if self.bytes.fetch_add(len, Ordering::Relaxed) + len > CACHE_BYTES_MAX {
            // Well below the bound, so that not every new file looks through the directory.
            self.bytes.store(prune(&self.dir, CACHE_BYTES_MAX / 4 * 3)?, Ordering::Relaxed);
        }
        Ok(())
    }

    fn name(&self, wasm: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.engine);
        hash.update(PURPOSE);
        hash.update(wasm);
        hash.finalize().into()
    }
}

fn file_name(name: &[u8; 32]) -> String {
    format!("{}.{SUFFIX}", data_encoding::HEXLOWER.encode(name))
}

/// The key for files of this form.
fn derived(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), PURPOSE);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, tag.as_ref()).expect("HMAC-SHA256 gives 32 bytes"))
}

fn read_or_make_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    match fs::read(path) {
        Ok(bytes) => {
            if let Ok(key) = bytes.try_into() {
                return Ok(key);
            }
            fs::remove_file(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
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

/// Removes what a crash left half written, what others can read, and what nobody has used for [`CACHE_UNUSED_MAX`].
fn remove_unused(dir: &Path) -> io::Result<()> {
    let oldest = SystemTime::now().checked_sub(CACHE_UNUSED_MAX).unwrap_or(SystemTime::UNIX_EPOCH);
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extension.starts_with("part") {
            fs::remove_file(&path).ok();
        }
    }
    for file in native_files(dir)?.into_iter().filter(|file| file.used < oldest || file.is_open) {
        fs::remove_file(file.path).ok();
    }
    Ok(())
}

/// Removes the files used longest ago until the rest fits. Returns the bytes that are left.
fn prune(dir: &Path, bytes_max: u64) -> io::Result<u64> {
    let mut files = native_files(dir)?;
    files.sort_unstable_by_key(|file| file.used);
    let mut total: u64 = files.iter().map(|file| file.len).sum();
    for file in files {
        if total <= bytes_max {
            break;
        }
        fs::remove_file(file.path).ok();
        total -= file.len;
    }
    Ok(total)
}

struct NativeFile {
    used: SystemTime,
    len: u64,
    /// Others can read it, which no file of ours is.
    is_open: bool,
    path: PathBuf,
}

fn native_files(dir: &Path) -> io::Result<Vec<NativeFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // One that is gone meanwhile was removed by another prune.
        if path.extension().is_some_and(|extension| extension == SUFFIX)
            && let Ok(data) = entry.metadata()
        {
            let used = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is_open = data.permissions().mode() & 0o077 != 0;
            files.push(NativeFile { used, len: data.len(), is_open, path });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, bytes: usize, age: u64) {
        let file = fs::File::create(dir.join(name)).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        file.set_len(bytes as u64).unwrap();
        file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        for (name, age) in [("a.native", 30), ("b.native", 10), ("c.native", 20)] {
            write(dir.path(), name, 100, age);
        }
        write(dir.path(), CACHE_KEY_FILE, 32, 99);
        assert_eq!(prune(dir.path(), 300).unwrap(), 300);
        assert_eq!(prune(dir.path(), 250).unwrap(), 200);
        assert_eq!(names(dir.path()), ["b.native", "c.native", CACHE_KEY_FILE]);
        assert_eq!(prune(dir.path(), 100).unwrap(), 100);
        assert_eq!(names(dir.path()), ["b.native", CACHE_KEY_FILE]);
    }

    #[test]
    fn what_nobody_uses_any_more_goes_at_start() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "old.native", 10, CACHE_UNUSED_MAX.as_secs() + 60);
        write(dir.path(), "new.native", 10, CACHE_UNUSED_MAX.as_secs() - 60);
        write(dir.path(), "half.part17", 10, 0);
        write(dir.path(), "open.native", 10, 0);
        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(dir.path().join("open.native"), open).unwrap();
        remove_unused(dir.path()).unwrap();
        assert_eq!(names(dir.path()), ["new.native"]);
    }

    #[test]
    fn files_are_for_their_owner_encrypted_and_authentic() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(dir.path(), &wasmtime::Engine::default()).unwrap();
        let native = [b"hardcoded-p4ssw0rd".as_slice(), &[7; 1000]].concat();
        cache.write(b"wasm", &native).unwrap();
        let name = cache.name(b"wasm");
        let path = dir.path().join(file_name(&name));
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
}
