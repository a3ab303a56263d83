//! Compiled code on disk, so that a restart with a thousand definitions takes well under a second.
//!
//! A file is named after everything that its content depends on: engine version, configuration, CPU features and the component. Its
//! content is authenticated with a key that never leaves the machine.
//!
//! Invariants: native code is loaded only after its authentication code was checked, in memory that nobody else can change; whatever
//! is wrong with a file, the component is compiled anew.
//! Not here: which components may be loaded at all (`validate`).

mod native;

use crate::{engine::EngineError, limits::CACHE_BYTES_MAX};
use ring::hmac;
use sha2::{Digest, Sha256};
use std::{
    fs,
    hash::{Hash, Hasher},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};
use wasmtime::{Module, component::Component};

/// Name of the key file within the cache directory. Backups leave it out.
pub const CACHE_KEY_FILE: &str = "code.key";

const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
const SUFFIX: &str = "native";

/// The directory of compiled code.
pub(crate) struct CodeCache {
    dir: PathBuf,
    key: hmac::Key,
    /// Of the engine's version, configuration and the CPU's features.
    engine: [u8; 32],
    found: AtomicU64,
    missing: AtomicU64,
}

impl CodeCache {
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> Result<Self, EngineError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::Cache { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let key_file = dir.join(CACHE_KEY_FILE);
        let key = read_or_make_key(&key_file).map_err(failed(&key_file))?;
        prune(dir).map_err(failed(dir))?;
        Ok(CodeCache {
            dir: dir.to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            engine: fingerprint(engine),
            found: AtomicU64::new(0),
            missing: AtomicU64::new(0),
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
        let native = self.authentic(&name, content);
        if native.is_none() {
            tracing::warn!(path = %path.display(), "cached code is not ours and is ignored");
            fs::remove_file(&path).ok();
        }
        native
    }

    /// Splits off and checks the authentication code. It covers the name, so that one file cannot stand in for another.
    fn authentic(&self, name: &[u8; 32], mut content: Vec<u8>) -> Option<native::Authentic> {
        let native_bytes = content.len().checked_sub(MAC_BYTES)?;
        let mac = content.split_off(native_bytes);
        let mut signed = name.to_vec();
        signed.extend_from_slice(&content);
        hmac::verify(&self.key, &signed, &mac).ok()?;
        Some(native::Authentic::checked(content))
    }

    fn write(&self, wasm: &[u8], native: &[u8]) -> io::Result<()> {
        let name = self.name(wasm);
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&name);
        context.update(native);
        let path = self.dir.join(file_name(&name));
        let part = path.with_extension(format!("part{}", std::process::id()));
        let mut file = fs::File::create(&part)?;
        file.write_all(native)?;
        file.write_all(context.sign().as_ref())?;
        drop(file);
        fs::rename(&part, &path)
    }

    fn name(&self, wasm: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.engine);
        hash.update(wasm);
        hash.finalize().into()
    }
}

fn file_name(name: &[u8; 32]) -> String {
    let mut text = String::with_capacity(80);
    for byte in name {
        text.push_str(&format!("{byte:02x}"));
    }
    text + "." + SUFFIX
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

/// Removes the files used longest ago until the rest fits, and what a crash left half written.
fn prune(dir: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extension.starts_with("part") {
            fs::remove_file(&path).ok();
        } else if extension == SUFFIX
            && let Ok(data) = entry.metadata()
        {
            files.push((data.modified().unwrap_or(SystemTime::UNIX_EPOCH), data.len(), path));
        }
    }
    files.sort_unstable();
    let mut total: u64 = files.iter().map(|(_, len, _)| len).sum();
    for (_, len, path) in files {
        if total <= CACHE_BYTES_MAX {
            break;
        }
        fs::remove_file(path).ok();
        total -= len;
    }
    Ok(())
}
