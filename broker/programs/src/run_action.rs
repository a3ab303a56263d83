//! `-runAction`: one run of an Action on behalf of a command, with its report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use hashbrown::HashMap;
use lot_facts::Trigger;
use lotmq_definitions::{Definition, DefinitionId, DefinitionKind, MessageText};
use lotmq_host::{Argument, FinishedRun, OwnedClient, OwnedEvent, OwnedMessage, RunError, RunOutcome, Value};
use parking_lot::Mutex;

use super::Guests;
use crate::variables::Variables;

/// Time that a command waits for its run (commands reference §1.10).
const WAIT: Duration = Duration::from_secs(10);

/// Request for a run: what it is started with.
pub enum RunRequest {
    /// Inputs of a callable Action, by name.
    Inputs(Vec<Argument>),
    /// A message as if it had arrived.
    Message {
        /// Topic Name, or the trigger's filter as written.
        topic: String,
        /// Payload.
        payload: Vec<u8>,
    },
}

/// Report of a run.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Identifier of the run in traces.
    pub trace_id: String,
    /// Messages that were published.
    pub published: Vec<MessageText>,
    /// Number of messages that were not, because their definition was removed or belongs to
    /// somebody else by now, or because nobody takes them.
    pub dropped: usize,
    /// Error that ended the run, if any.
    pub error: Option<RunError>,
    /// Outputs of a callable Action by name.
    pub outputs: Vec<(String, Value)>,
}

/// Reason why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunActionError {
    /// No Action has this name.
    #[error("Action '{0}' not found.")]
    NotFound(String),
    /// The mailbox of the Action refused the run, for a reason.
    #[error("Action '{0}' cannot run now: {1}")]
    NotTaken(String, String),
    /// The Action has no native code yet.
    #[error("Action '{0}' is still being compiled. Try again when `lotmq status` does not list it any more.")]
    Compiling(String),
    /// The run did not end in time.
    #[error("Action '{0}' did not finish within 10 seconds.")]
    TooLong(String),
    /// The Action was removed or taken over during the run.
    #[error("Action '{0}' was removed or taken over while it ran.")]
    Removed(String),
}

/// Commands that wait for runs, by the tag of the run.
#[derive(Default)]
pub struct Waiting {
    next: AtomicU64,
    pub commands: Mutex<HashMap<u64, (DefinitionId, SyncSender<RunReport>)>>,
}

impl Waiting {
    /// Adds a run of `definition` whose report goes to `sender`; returns its tag.
    pub(super) fn add(&self, definition: DefinitionId, sender: SyncSender<RunReport>) -> u64 {
        let tag = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.commands.lock().insert(tag, (definition, sender));
        tag
    }

    /// Tells those who wait for reports of `definition` that there will be none.
    pub(super) fn removed(&self, definition: DefinitionId) {
        self.commands.lock().retain(|_, (of, _)| *of != definition);
    }
}

impl Guests {
    /// Runs an Action and waits for its end. Blocks; not for threads that serve Clients.
    pub fn run_action(
        &self,
        name: &str,
        request: RunRequest,
        now_ms: u64,
    ) -> Result<RunReport, RunActionError> {
        let definition = self.registry.read().get(DefinitionKind::Action, name).cloned();
        let definition = definition.ok_or_else(|| RunActionError::NotFound(name.to_owned()))?;
        let runner = self.runner(definition.id).ok_or_else(|| RunActionError::NotFound(name.to_owned()))?;
        if runner.is_compiling() {
            return Err(RunActionError::Compiling(name.to_owned()));
        }
        let (sender, receiver) = sync_channel(1);
        let tag = self.waiting.add(definition.id, sender);
        let taken = runner.post(event(&definition, request, now_ms), 0, tag);
        let report = match taken {
            Ok(_) => receiver.recv_timeout(WAIT).map_err(|error| match error {
                RecvTimeoutError::Timeout => RunActionError::TooLong(name.to_owned()),
                RecvTimeoutError::Disconnected => RunActionError::Removed(name.to_owned()),
            }),
            Err(error) => Err(RunActionError::NotTaken(name.to_owned(), error.to_string())),
        };
        self.waiting.commands.lock().remove(&tag);
        report
    }

    /// Hands the report of a run, without the values of secrets, to the command that waits for it.
    pub(super) fn answer(
        &self,
        variables: &Variables,
        definition: &Definition,
        run: &FinishedRun<'_>,
        mut report: RunReport,
    ) {
        let Some((_, command)) = self.waiting.commands.lock().remove(&run.tag) else { return };
        match run.outcome {
            RunOutcome::Done(values) => {
                let names = definition
                    .facts()
                    .callable
                    .iter()
                    .flat_map(|signature| signature.outputs.iter().cloned());
                report.outputs = names.zip(values.iter().map(|value| masked(variables, value))).collect();
            }
            RunOutcome::Failed(error) => report.error = Some(error.clone()),
            RunOutcome::Trapped(trap) => report.error = Some(trap.clone().into()),
            RunOutcome::SliceExpired => {}
        }
        if let Some(error) = &mut report.error {
            error.message = variables.masked_text(&error.message).into_owned();
            error.line = definition.line_of_file(error.line);
        }
        // The command may have given up meanwhile.
        let _ = command.try_send(report);
    }
}

fn masked(variables: &Variables, value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(variables.masked_whole_text(text).into_owned()),
        Value::Json(text) => Value::Json(variables.masked_whole_text(text).into_owned()),
        Value::Bytes(bytes) => Value::Bytes(variables.masked(bytes).into_owned()),
        Value::Empty
        | Value::Null
        | Value::Boolean(_)
        | Value::Integer(_)
        | Value::Time(_)
        | Value::Double(_) => value.clone(),
    }
}

/// Event that starts the Action: what its trigger waits for, made up where the command says nothing
/// about it.
fn event(definition: &Definition, request: RunRequest, now_ms: u64) -> OwnedEvent {
    let (topic, payload) = match request {
        RunRequest::Inputs(inputs) => return OwnedEvent::Call { inputs, trigger: None },
        RunRequest::Message { topic, payload } => (topic, payload),
    };
    let message = || Arc::new(OwnedMessage { received_ms: now_ms, ..OwnedMessage::new(topic, payload) });
    match definition.trigger() {
        None => OwnedEvent::Call { inputs: Vec::new(), trigger: Some(message()) },
        Some(
            Trigger::Topic { .. } | Trigger::Change { .. } | Trigger::Silence { .. } | Trigger::Window { .. },
        ) => OwnedEvent::Message(message()),
        Some(Trigger::Every { .. } | Trigger::Calendar { .. } | Trigger::Once(_)) => OwnedEvent::Timer,
        Some(Trigger::Start) => OwnedEvent::Start,
        Some(Trigger::Connect) => OwnedEvent::Connected(nobody()),
        Some(Trigger::Disconnect) => OwnedEvent::Disconnected { client: nobody(), reason: "normal".into() },
        Some(Trigger::Subscribe { pattern }) => {
            let filter = pattern.as_deref().unwrap_or("#").into();
            OwnedEvent::Subscribed { client: nobody(), filter, qos: 0 }
        }
    }
}

/// Client of a simulated connect, disconnect or subscribe: one without a name.
fn nobody() -> Arc<OwnedClient> {
    Arc::new(OwnedClient {
        client_id: Box::default(),
        user: None,
        endpoint: Box::default(),
        clean_start: true,
    })
}
