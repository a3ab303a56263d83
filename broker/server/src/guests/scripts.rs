//! The Python scripts of a tenant: their texts, what they define, and what calls of them printed.
//!
//! Invariants: a script is replaced in one step, so that a call runs on the old or the new one; what waits for `…/debug` is bounded. Not
//! here: running a script (`host`), storing one (`command`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lotmq_host::Value;
use lotmq_host::python::{Called, Python, Script};
use lotmq_store::{DefinitionRow, TenantId};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use serde_json::json;

use crate::limits::{SCRIPT_DEBUG_WAITING_MAX, SCRIPTS_MAX};

/// Kind of a script in the store's table of definitions.
pub(crate) const KIND: &str = "python";

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Scripts {
    all: RwLock<BTreeMap<Box<str>, Arc<Entry>>>,
    /// Texts for `…/debug` of a script, oldest first.
    debug: Mutex<VecDeque<(Box<str>, String)>>,
}

struct Entry {
    script: Script,
    functions: Vec<String>,
}

/// An entry of `$SYS/Coreflux/Python/Scripts`, in the keys that clients read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    script_name: &'a str,
    code: &'a str,
    functions: &'a [String],
}

impl Scripts {
    /// Whether one more, or another one of that name, may be added.
    pub(crate) fn has_room(&self, name: &str) -> bool {
        let all = self.all.read();
        all.len() < SCRIPTS_MAX || all.contains_key(name)
    }

    /// Adds a script, or replaces the one of that name.
    pub(crate) fn put(&self, name: &str, script: Script, functions: Vec<String>) {
        self.all.write().insert(name.into(), Arc::new(Entry { script, functions }));
    }

    /// Takes back what the store held; nothing of it runs before it is called.
    pub(crate) fn restore(&self, python: &Python, row: &DefinitionRow) {
        let functions = serde_json::from_slice(&row.state).unwrap_or_default();
        self.put(&row.name, Script::known(python, &row.source), functions);
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all.read().contains_key(name)
    }

    pub(crate) fn remove(&self, name: &str) {
        self.all.write().remove(name);
    }

    /// All names, in alphabetical order.
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        self.all.read().keys().cloned().collect()
    }

    /// `$SYS/Coreflux/Python/Scripts`.
    pub(crate) fn to_json(&self) -> String {
        let all = self.all.read();
        let shown = all.iter().map(|(name, entry)| Shown {
            script_name: name,
            code: entry.script.source(),
            functions: &entry.functions,
        });
        json!(shown.collect::<Vec<_>>()).to_string()
    }

    /// Calls `Script.function`.
    pub(crate) fn call(&self, name: &str, arguments: &[Value]) -> Called {
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

    /// What was noted since the last call.
    pub(crate) fn take_debug(&self) -> VecDeque<(Box<str>, String)> {
        std::mem::take(&mut *self.debug.lock())
    }
}

/// What a call printed, and how it ended. An editor waits for the word `completed`.
fn debug_text(function: &str, called: &Called) -> String {
    let end = match &called.result {
        Ok(_) => format!("{function} completed"),
        Err(error) => format!("{function} failed: {error}"),
    };
    format!("{}{end}", called.output)
}

/// How a script is stored.
pub(crate) fn row(tenant: TenantId, name: &str, source: &str, functions: &[String]) -> DefinitionRow {
    DefinitionRow {
        tenant,
        kind: KIND.to_owned(),
        name: name.to_owned(),
        source: source.to_owned(),
        owner: String::new(),
        origin: String::new(),
        order: 0,
        changed_at_ms: 0,
        state: serde_json::to_vec(functions).expect("names are text"),
    }
}
