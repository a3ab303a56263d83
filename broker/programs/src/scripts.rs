//! Python scripts of a tenant: their texts, the functions that they define, and the output of
//! calls.
//!
//! Invariants: a script is replaced in one step, so that a call runs on the old or the new one;
//! what waits for `…/debug` is bounded. Not here: running a script (`host`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lot_to_wasm::script;
use lotmq_changes::{Batch, DefinitionRow, Op};
use lotmq_definitions::{OnExisting, Origin, Owner};
use lotmq_host::Value as Argument;
use lotmq_host::python::{Called, Python, PythonError, Script};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::{Value, json};

use crate::limits::{SCRIPT_DEBUG_WAITING_MAX, SCRIPTS_MAX};
use lotmq_core::tenant::Tenant;

/// Topic that lists all scripts.
pub const TOPIC: &str = "$SYS/Coreflux/Python/Scripts";

/// Kind of a script in the store's table of definitions.
pub const KIND: &str = "python";

/// Scripts of a tenant.
#[derive(Default)]
pub struct Scripts {
    all: RwLock<BTreeMap<Box<str>, Arc<Entry>>>,
    /// Texts for `…/debug` of a script, oldest first.
    debug: Mutex<VecDeque<(Box<str>, String)>>,
}

struct Entry {
    script: Script,
    functions: Vec<String>,
    origin: Origin,
    owner: Mutex<Option<Owner>>,
}

impl Entry {
    fn is_of(&self, user: &str) -> bool {
        self.owner.lock().as_ref().is_some_and(|owner| *owner.name == *user)
    }
}

/// Stored form of a script.
fn row(tenant: &Tenant, name: &str, entry: &Entry, owner: Option<&Owner>) -> DefinitionRow {
    DefinitionRow {
        tenant: tenant.id,
        kind: KIND.to_owned(),
        name: name.to_owned(),
        source: entry.script.source().to_owned(),
        owner: owner.map(|owner| owner.name.as_ref().to_owned()).unwrap_or_default(),
        origin: serde_json::to_string(&entry.origin).expect("an origin is text and numbers"),
        order: 0,
        changed_at_ms: 0,
        state: serde_json::to_vec(&entry.functions).expect("names are text"),
    }
}

/// Script whose functions are known, which can be installed.
pub struct CompiledScript {
    pub(super) name: String,
    functions: Vec<String>,
    /// Output that it printed when it was run; `None` of one that was only read from the store.
    output: Option<String>,
    script: Script,
    provenance: Provenance,
}

impl CompiledScript {
    /// Takes a script that is known to be good; it does not run before it is called.
    pub fn known(python: &Python, name: &str, source: &str) -> Self {
        let provenance = Provenance { origin: Origin::AdHoc, owner: None, existing: OnExisting::Replace };
        Self::with(python, (name, source), provenance)
    }

    fn with(python: &Python, (name, source): (&str, &str), provenance: Provenance) -> Self {
        let script = Script::known(python, source, provenance.account());
        Self { name: name.to_owned(), functions: Vec::new(), output: None, script, provenance }
    }

    /// Takes a stored script.
    pub(crate) fn stored(python: &Python, row: &DefinitionRow, owner: Option<Owner>) -> Self {
        let origin = serde_json::from_str(&row.origin).unwrap_or_default();
        let provenance = Provenance { origin, owner, existing: OnExisting::Replace };
        Self {
            functions: serde_json::from_slice(&row.state).unwrap_or_default(),
            ..Self::with(python, (&row.name, &row.source), provenance)
        }
    }
}

/// An entry of `$SYS/Coreflux/Python/Scripts`, in the keys that clients read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ScriptRow<'a> {
    script_name: &'a str,
    code: &'a str,
    functions: &'a [String],
}

impl Scripts {
    /// Whether one more, or another one of that name, may be added.
    pub fn has_room(&self, name: &str) -> bool {
        let all = self.all.read();
        all.len() < SCRIPTS_MAX || all.contains_key(name)
    }

    /// Adds a script, or replaces the one of that name. Adds the changes for the store to `batch`.
    ///
    /// # Errors
    /// If there are too many scripts, or another user owns it; nothing has changed then.
    pub(super) fn install(
        &self,
        tenant: &Tenant,
        compiled: CompiledScript,
        batch: &mut Batch,
    ) -> Result<(), ScriptError> {
        let CompiledScript { name, functions, output, script, provenance } = compiled;
        if output.is_some() && !self.has_room(&name) {
            return Err(ScriptError::TooMany);
        }
        let Provenance { origin, owner, existing } = provenance;
        let of_another = self.owner(&name).filter(|known| owner.as_ref() != Some(known));
        if let Some(other) = of_another.filter(|_| existing == OnExisting::ReplaceOwn) {
            return Err(ScriptError::OfAnother { script: name, user: other.name });
        }
        let entry = Entry { script, functions, origin, owner: Mutex::new(owner.clone()) };
        batch.push(Op::PutDefinition(&row(tenant, &name, &entry, owner.as_ref())));
        self.all.write().insert(name.as_str().into(), Arc::new(entry));
        if let Some(output) = output {
            self.tell(&name, &format!("{output}{name} completed"));
        }
        Ok(())
    }

    /// Stored form of a script.
    pub fn stored(&self, tenant: &Tenant, name: &str) -> Option<DefinitionRow> {
        let entry = self.all.read().get(name).cloned()?;
        let owner = entry.owner.lock().clone();
        Some(row(tenant, name, &entry, owner.as_ref()))
    }

    /// Whether a script of this name is deployed.
    pub fn contains(&self, name: &str) -> bool {
        self.all.read().contains_key(name)
    }

    /// Removes a script.
    pub fn remove(&self, name: &str) {
        self.all.write().remove(name);
    }

    /// Owner of a script.
    pub fn owner(&self, name: &str) -> Option<Owner> {
        self.all.read().get(name)?.owner.lock().clone()
    }

    /// Adds to `batch` that the scripts of `user` belong to nobody.
    pub fn store_without_owner(&self, tenant: &Tenant, user: &str, batch: &mut Batch) {
        for (name, entry) in self.all.read().iter().filter(|(_, entry)| entry.is_of(user)) {
            batch.push(Op::PutDefinition(&row(tenant, name, entry, None)));
        }
    }

    /// Takes the owner off the scripts of `user`.
    pub fn disown(&self, user: &str) {
        for entry in self.all.read().values().filter(|entry| entry.is_of(user)) {
            *entry.owner.lock() = None;
        }
    }

    /// Owners of all scripts but the one of this name.
    pub fn owners_besides(&self, name: &str) -> Vec<Option<Owner>> {
        let all = self.all.read();
        all.iter()
            .filter(|(known, _)| ***known != *name)
            .map(|(_, entry)| entry.owner.lock().clone())
            .collect()
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> Vec<Box<str>> {
        self.all.read().keys().cloned().collect()
    }

    /// Origin of a script.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.all.read().get(name).map(|entry| entry.origin.clone())
    }

    /// Origin of each script, in alphabetical order.
    pub fn origins(&self) -> Vec<(Box<str>, Origin)> {
        self.all.read().iter().map(|(name, entry)| (name.clone(), entry.origin.clone())).collect()
    }

    /// Payload of `$SYS/Coreflux/Python/Scripts`.
    pub fn to_json(&self) -> String {
        let all = self.all.read();
        let shown = all.iter().map(|(name, entry)| ScriptRow {
            script_name: name,
            code: entry.script.source(),
            functions: &entry.functions,
        });
        json!(shown.collect::<Vec<_>>()).to_string()
    }

    /// Calls `Script.function`.
    pub(crate) fn call(&self, name: &str, arguments: &[Argument]) -> Called {
        let found = name
            .split_once('.')
            .and_then(|(script, function)| Some((script, function, self.all.read().get(script).cloned()?)));
        let Some((script, function, entry)) = found else { return Called::unknown(name) };
        let called = entry.script.call(function, arguments);
        self.tell(script, &debug_text(function, &called));
        called
    }

    /// Notes a text for the script's `…/debug`. Beyond the bound the oldest goes.
    pub(crate) fn tell(&self, script: &str, text: &str) {
        let mut debug = self.debug.lock();
        if debug.len() >= SCRIPT_DEBUG_WAITING_MAX {
            debug.pop_front();
        }
        debug.push_back((script.into(), text.to_owned()));
    }

    /// Whether anything was noted since it was taken last.
    pub(crate) fn has_debug(&self) -> bool {
        !self.debug.lock().is_empty()
    }

    /// Takes the texts that were noted since the last call.
    pub(crate) fn take_debug(&self) -> VecDeque<(Box<str>, String)> {
        std::mem::take(&mut *self.debug.lock())
    }
}

/// Text about a call: its output, and how it ended. An editor waits for the word `completed`.
fn debug_text(function: &str, called: &Called) -> String {
    let end = match &called.result {
        Ok(_) => format!("{function} completed"),
        Err(error) => format!("{function} failed: {error}"),
    };
    format!("{}{end}", called.output)
}

/// Why a script was not installed.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Its header has no name.
    #[error(transparent)]
    NameMissing(script::NameMissing),
    /// Python refuses it, or it raised an exception: the error, and the source line that it names.
    #[error("Python script was not added: {error}.")]
    Python {
        /// The error.
        error: PythonError,
        /// Line of the source, if the error names one.
        line: Option<String>,
    },
    /// There are as many as there may be.
    #[error("There are already {SCRIPTS_MAX} scripts.")]
    TooMany,
    /// It belongs to another user.
    #[error("Python script '{script}' belongs to user '{user}'. Use -replace to take it over.")]
    OfAnother {
        /// Name of the script.
        script: String,
        /// Owner of the script.
        user: Arc<str>,
    },
}

/// The name in the header of a script.
///
/// # Errors
/// When there is none.
pub fn name(source: &str) -> Result<&str, ScriptError> {
    script::name(source).map_err(ScriptError::NameMissing)
}

/// Compiles a script, which runs it once, as [`Script::load`] does.
///
/// # Errors
/// The fault of the script, with its line.
pub fn compile(
    python: &Python,
    name: &str,
    source: &str,
    provenance: Provenance,
) -> Result<CompiledScript, ScriptError> {
    let (script, functions, output) =
        Script::load(python, source, provenance.account()).map_err(|error| refused(error, source))?;
    let (name, functions, output) = (name.to_owned(), names(&functions), Some(output));
    Ok(CompiledScript { name, functions, output, script, provenance })
}

/// Names in a JSON array. A global of a script whose key is not a text cannot be called.
fn names(functions: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(functions).unwrap_or_default();
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Error of a script, with the line that it names.
fn refused(error: PythonError, source: &str) -> ScriptError {
    let line = if let PythonError::Raised { line, .. } = &error { *line } else { 0 };
    let line = usize::try_from(line).ok().and_then(|line| source.lines().nth(line.checked_sub(1)?));
    ScriptError::Python { line: line.map(str::to_owned), error }
}

/// Provenance of a script: its origin and its owner.
pub struct Provenance {
    /// Origin of the script.
    pub origin: Origin,
    /// Owner of the script.
    pub owner: Option<Owner>,
    /// Treatment of a script that has the name already.
    pub existing: OnExisting,
}

impl Provenance {
    /// The account of the owner; 0 for nobody's.
    fn account(&self) -> u64 {
        self.owner.as_ref().map_or(0, |owner| owner.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_listed_by_name() {
        assert_eq!(names(r#"["avg","é","a\"b",1]"#), ["avg", "é", "a\"b"]);
        assert_eq!(names("[]"), [""; 0]);
    }
}
