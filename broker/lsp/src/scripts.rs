//! Errors of Python scripts: each is run once when it is opened and when it is saved, as `lotmq
//! check` does, on a thread of its own.
//!
//! A run takes some milliseconds; a script that does not end is stopped after five seconds. The
//! first run waits for the interpreter. The server drops results for a text that has changed
//! meanwhile. It only runs files that name themselves scripts: an editor may have others open.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use lot_to_wasm::project::{is_script, parts};
use lot_to_wasm::script;
use lotmq_project::{Interpreter, ScriptProblem};
use lotmq_terminal::output::chain;
use lsp_types::{Diagnostic, DiagnosticSeverity, MessageType, NumberOrString, PublishDiagnosticsParams, Uri};

use crate::lines::Lines;
use crate::outbox::Outbox;
use crate::workspace::Key;

/// A script to run.
#[derive(Clone)]
struct Job {
    uri: Uri,
    text: Arc<str>,
}

/// The texts that are to be run or were run last.
type Latest = Arc<Mutex<BTreeMap<Key, Job>>>;

/// See the module's documentation.
pub(crate) struct Scripts {
    outbox: Outbox,
    latest: Latest,
    /// Channel to the thread, for the keys of changed files; `None` before the first script.
    thread: Option<Sender<Key>>,
}

impl Scripts {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { outbox, latest: Latest::default(), thread: None }
    }

    /// Runs a file if it is a script, and publishes its errors as diagnostics.
    pub(crate) fn run(&mut self, key: &Key, uri: Uri, text: &str) {
        if !is_script(key) || script::name(text).is_err() {
            return;
        }
        lock(&self.latest).insert(key.clone(), Job { uri, text: text.into() });
        let (outbox, latest) = (self.outbox, &self.latest);
        let thread = self.thread.get_or_insert_with(|| start(outbox, Arc::clone(latest)));
        // It fails only when there is no interpreter, which the thread has logged.
        let _ = thread.send(key.clone());
    }

    /// Drops the results for a file whose text has changed.
    pub(crate) fn forget(&mut self, key: &Key) {
        lock(&self.latest).remove(key);
    }
}

fn lock(latest: &Latest) -> MutexGuard<'_, BTreeMap<Key, Job>> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(outbox: Outbox, latest: Latest) -> Sender<Key> {
    let (sender, changed) = channel();
    let started = thread::Builder::new().name("scripts".to_owned()).spawn(move || {
        let served = Interpreter::new().map(|interpreter| serve(&interpreter, outbox, &latest, &changed));
        if let Err(error) = served {
            outbox.log(MessageType::WARNING, &format!("scripts are not checked: {}", chain(&error)));
        }
    });
    if let Err(error) = started {
        outbox.log(MessageType::WARNING, &format!("scripts are not checked: {error}"));
    }
    sender
}

fn serve(interpreter: &Interpreter, outbox: Outbox, latest: &Latest, changed: &Receiver<Key>) {
    for key in changed {
        let Some(job) = lock(latest).get(&key).cloned() else { continue };
        let part = parts(&key, job.text.as_ref().to_owned()).ok().and_then(|parts| parts.into_iter().next());
        let Some(part) = part else { continue };
        let problem = interpreter.check(&part).err();
        let found = problem.map(|problem| diagnostic(&problem, &job.text)).into_iter().collect();
        // Held until the diagnostics are sent, so that no thread sends newer ones in between.
        let latest = lock(latest);
        if latest.get(&key).is_some_and(|now| Arc::ptr_eq(&now.text, &job.text)) {
            outbox.publish(PublishDiagnosticsParams::new(job.uri, found, None));
        }
    }
}

/// A problem in the line that it is in; in the first one where none is known.
fn diagnostic(problem: &ScriptProblem, text: &str) -> Diagnostic {
    let number = usize::try_from(problem.line).unwrap_or(usize::MAX).saturating_sub(1);
    Diagnostic {
        range: Lines::of(text).whole(number),
        severity: Some(DiagnosticSeverity::ERROR),
        code: Some(NumberOrString::String(problem.code.to_owned())),
        source: Some("python".to_owned()),
        message: problem.message.clone(),
        ..Diagnostic::default()
    }
}
