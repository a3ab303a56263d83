//! Compiled code in memory: equal binaries share one copy, and each owner who uses it pays for it
//! once.
//!
//! ```text
//! binary ─▶ LoadedKey ─▶ LoadedCodes ─ found ─▶ CodeShare
//!                            └─ missing ─▶ shares of its owner, code is loaded, entry ─▶ CodeShare
//! ```
//!
//! An entry lives as long as a share of it. The key is the SHA-256 of the binary with its form and
//! its tier. There is one engine, so the code depends on nothing else. It has no state: memories
//! and grants belong to instances. So two users may share it.
//!
//! An owner pays in full for code that others use as well. So the removal of their definitions does
//! not change what the owner has. The sum of all owners is never less than what is in memory.
//!
//! Not here: how much there may be (`code`), and where the code comes from (`native_code`).

use super::code::HeldCode;
use super::{BinaryKind, CodeAccount, CodeSums, Tier};
use crate::{LoadError, limits::METADATA_FACTOR};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use wasmparser::{Parser, Payload};
use wasmtime::{Module, component::Component};

/// Binary whose code may be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LoadedKey {
    kind: BinaryKind,
    tier: Tier,
    hash: [u8; 32],
}

impl LoadedKey {
    pub(super) fn of(kind: BinaryKind, tier: Tier, binary: &[u8]) -> Self {
        Self { kind, tier, hash: Sha256::digest(binary).into() }
    }

    pub(super) fn with_tier(self, tier: Tier) -> Self {
        Self { tier, ..self }
    }
}

/// Code of either form.
#[derive(Clone)]
pub(super) enum LoadedForm {
    Component(Component),
    CoreModule(Module),
}

/// Compiled code that is in memory, by binary.
#[derive(Default)]
pub(super) struct LoadedCodes(Mutex<HashMap<LoadedKey, Weak<LoadedCode>>>);

/// One piece of compiled code.
struct LoadedCode {
    form: LoadedForm,
    /// Bytes for which each owner pays.
    bytes: u64,
    /// Shares of the owners who use it, by payer.
    shares: Mutex<HashMap<u64, Weak<HeldCode>>>,
    key: LoadedKey,
    all: Arc<LoadedCodes>,
}

/// Compiled code that a guest keeps in memory. The last one of an owner gives back what the owner
/// has for it, and the last one of all unloads it.
#[derive(Clone)]
pub(crate) struct CodeShare {
    _held: Arc<HeldCode>,
    code: Arc<LoadedCode>,
}

impl CodeShare {
    pub(super) fn form(&self) -> LoadedForm {
        self.code.form.clone()
    }
}

impl LoadedCodes {
    /// A share of code that is in memory; `None` when it is not.
    ///
    /// # Errors
    /// As [`CodeSums::take`].
    pub(super) fn find(
        &self,
        key: &LoadedKey,
        (sums, account): (&CodeSums, CodeAccount),
    ) -> Result<Option<CodeShare>, LoadError> {
        let found = self.0.lock().get(key).and_then(Weak::upgrade);
        found.map(|code| code.shared(sums, account)).transpose()
    }

    /// Adds code that was just loaded, for which the account has a share. If another thread was
    /// first, the code of that thread is used, and this one is dropped.
    pub(super) fn add(
        self: &Arc<Self>,
        key: LoadedKey,
        (form, bytes): (LoadedForm, u64),
        (held, quota_key): (HeldCode, u64),
    ) -> CodeShare {
        let held = Arc::new(held);
        let shares = Mutex::new(HashMap::new());
        let new = Arc::new(LoadedCode { form, bytes, shares, key, all: Arc::clone(self) });
        let mut all = self.0.lock();
        let first = all.get(&key).and_then(Weak::upgrade);
        if first.is_none() {
            all.insert(key, Arc::downgrade(&new));
        }
        // Dropping code takes this lock.
        drop(all);
        let code = first.unwrap_or(new);
        let Ok(_held) = code.held_or(quota_key, || Ok::<_, Infallible>(held));
        CodeShare { _held, code }
    }
}

impl LoadedCode {
    fn shared(self: Arc<Self>, sums: &CodeSums, account: CodeAccount) -> Result<CodeShare, LoadError> {
        let take = || sums.take(account, self.bytes).map(Arc::new);
        let _held = self.held_or(account.quota_key, take)?;
        Ok(CodeShare { _held, code: self })
    }

    /// The share of a payer, or else a new one.
    fn held_or<E>(
        &self,
        quota_key: u64,
        take: impl FnOnce() -> Result<Arc<HeldCode>, E>,
    ) -> Result<Arc<HeldCode>, E> {
        let mut shares = self.shares.lock();
        if let Some(held) = shares.get(&quota_key).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let held = take()?;
        shares.retain(|_, held| held.strong_count() > 0);
        shares.insert(quota_key, Arc::downgrade(&held));
        Ok(held)
    }
}

impl Drop for LoadedCode {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        // Another thread may have loaded it again.
        if all.get(&self.key).is_some_and(|code| code.strong_count() == 0) {
            all.remove(&self.key);
        }
    }
}

/// Bytes that code takes in memory, before it is loaded: its image, the data of its memories once
/// more for the first instance, and tables about its types, functions and names.
pub(super) fn memory_of(native: &[u8], binary: &[u8]) -> u64 {
    let (mut data, mut metadata) = (0, 0);
    for payload in Parser::new(0).parse_all(binary) {
        match payload {
            Ok(Payload::DataSection(section)) => data += section.range().len(),
            Ok(Payload::TypeSection(section)) => metadata += section.range().len(),
            Ok(Payload::ImportSection(section)) => metadata += section.range().len(),
            Ok(Payload::FunctionSection(section)) => metadata += section.range().len(),
            Ok(Payload::ExportSection(section)) => metadata += section.range().len(),
            Ok(Payload::ElementSection(section)) => metadata += section.range().len(),
            Ok(Payload::ComponentTypeSection(section)) => metadata += section.range().len(),
            Ok(_) => {}
            // It was checked before.
            Err(_) => break,
        }
    }
    let page = rustix::param::page_size();
    let image = native.len().next_multiple_of(page);
    (image + data + metadata.saturating_mul(METADATA_FACTOR)) as u64
}
