//! What guests may ask for without a broker: last values, the process environment, a clock that the caller moves.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lotmq_definitions::LastValues;
use lotmq_host::python::{Called, Script};
use lotmq_host::{
    Argument, Definition, ModelInstance, NestedCall, RowQuery, RowsError, RunContext, RunError, Services,
    Value,
};
use lotmq_terminal::output::note;

use crate::routes::Routes;

/// State that runs read and change at once.
pub(crate) struct OfflineServices {
    values: Arc<LastValues>,
    pub(crate) retained: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) environment: Mutex<HashMap<String, Option<String>>>,
    pub(crate) secrets: Mutex<HashMap<String, String>>,
    pub(crate) actions: Mutex<HashMap<String, Arc<Definition>>>,
    pub(crate) models: Mutex<HashMap<String, Arc<Definition>>>,
    scripts: HashMap<String, Arc<Script>>,
    pub(crate) routes: Routes,
    pub(crate) now_ms: AtomicI64,
}

impl OfflineServices {
    pub(crate) fn new(
        values: Arc<LastValues>,
        scripts: HashMap<String, Arc<Script>>,
        routes: Routes,
        now_ms: i64,
    ) -> Self {
        Self {
            routes,
            values,
            retained: Mutex::default(),
            environment: Mutex::default(),
            secrets: Mutex::default(),
            actions: Mutex::default(),
            models: Mutex::default(),
            scripts,
            now_ms: AtomicI64::new(now_ms),
        }
    }
}

/// Locks; what a panicking thread left behind is still plain data.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services for OfflineServices {
    fn topic_value(&self, _run: &RunContext, topic: &str, value: &mut Vec<u8>) -> bool {
        let is_live =
            self.values.read(topic, |found| found.inspect(|bytes| value.extend_from_slice(bytes)).is_some());
        is_live || locked(&self.retained).get(topic).inspect(|bytes| value.extend_from_slice(bytes)).is_some()
    }

    fn retained_exists(&self, _run: &RunContext, topic: &str) -> bool {
        locked(&self.retained).contains_key(topic)
    }

    fn environment(&self, _run: &RunContext, name: &str) -> Option<String> {
        let set = locked(&self.environment).get(name).cloned();
        set.unwrap_or_else(|| lotmq_config::process_variable(name))
    }

    fn set_environment(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        locked(&self.environment).insert(name.to_owned(), value.map(str::to_owned));
        true
    }

    fn secret(&self, _run: &RunContext, name: &str) -> Option<String> {
        locked(&self.secrets).get(name).cloned()
    }

    fn set_secret(&self, _run: &RunContext, name: &str, value: Option<&str>) -> bool {
        match value {
            Some(value) => locked(&self.secrets).insert(name.to_owned(), value.to_owned()),
            None => locked(&self.secrets).remove(name),
        };
        true
    }

    /// Events and tables of routes, and nothing else: there is nobody to take commands.
    fn may_publish_system(&self, _run: &RunContext, topic: &str) -> bool {
        self.routes.by_name(topic, b"", 0).is_some()
    }

    fn select_rows(&self, _run: &RunContext, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        self.routes.rows(query)
    }

    fn call_action(
        &self,
        call: NestedCall<'_>,
        name: &str,
        inputs: &[Argument],
    ) -> Result<Vec<Value>, RunError> {
        let found = locked(&self.actions).get(name).cloned();
        found.ok_or_else(|| RunError::unknown_action(name))?.call_nested(call, inputs)
    }

    fn call_python(&self, _run: &RunContext, function: &str, arguments: &[Value]) -> Called {
        let found =
            function.split_once('.').and_then(|(script, name)| Some((self.scripts.get(script)?, name)));
        let Some((script, name)) = found else { return Called::unknown(function) };
        let called = script.call(name, arguments);
        if !called.output.is_empty() {
            note(called.output.trim_end());
        }
        called
    }

    fn build_model(
        &self,
        call: NestedCall<'_>,
        name: &str,
        assignments: &[Argument],
    ) -> Result<ModelInstance, RunError> {
        let unknown = || RunError::unknown_model(name);
        let model = locked(&self.models).get(name).cloned().ok_or_else(unknown)?;
        ModelInstance::from_values(model.call_nested(call, assignments)?).ok_or_else(unknown)
    }

    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }
}
