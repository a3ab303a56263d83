//! Runs a program for real: text, compiler, component, sandbox.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use lot_to_wasm::diagnostic::Severity;
use lot_to_wasm::{CompileOptions, Form};
use lotmq_host::{
    ActionInstance, Argument, BorrowedMessage, ComponentSource, Effect as HostEffect, Event as HostEvent,
    Executor, ExecutorOptions, Grants, GuestId, GuestLimits, MailboxOptions, RunContext, RunOutcome,
    RunOutput, RunnerSpec, Services, Value as HostValue, World as HostWorld,
};

use super::evaluate::{Effect, Outcome, is_simple};
use super::json::Json;
use super::tree::{Event, Input, Program, Statement, StatementKind};
use super::value::Value;
use crate::bench::{Deaf, State, client, departure, engine, subscription};

/// How the answer begins for a program with errors.
pub(super) const REFUSED: &str = "refused";

/// Observed outcomes and reports of a program.
pub(super) struct Observed {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) reports: BTreeSet<(String, String, u32)>,
}

/// Compiles and runs a program; an error is a program that was refused, or a guest that was stopped
/// by force.
pub(super) fn run(program: &Program, text: &str, form: Form) -> Result<Observed, String> {
    let compilation = lot_to_wasm::compile(text, &CompileOptions { form, ..CompileOptions::default() });
    if !compilation.succeeded() {
        let errors: Vec<String> = compilation
            .all_diagnostics()
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .map(|found| {
                format!("{} at {}:{}", found.message, found.span.start.line, found.span.start.column)
            })
            .collect();
        return Err(format!("{REFUSED}: {}", errors.join(", ")));
    }
    let origin = if form == Form::Linked { ComponentSource::Compiler } else { ComponentSource::Upload };
    let state = Arc::new(State::default());
    state.topics.lock().extend(program.topics.iter().cloned());
    state.retained.lock().extend(program.retained.iter().cloned());
    let mut names = Vec::new();
    let mut started = None;
    let first = program
        .actions
        .first()
        .map_or_else(|| &program.models[program.models.len() - 1].name, |action| &action.name);
    for entity in compilation.entities {
        let output = entity.output.ok_or("an entity without output")?;
        let is_model = output.facts.kind == lot_facts::Kind::Model;
        let world = if is_model { HostWorld::Model } else { HostWorld::Action };
        let guest = engine()
            .compile(&output.component, world, origin)
            .map_err(|error| format!("not valid: {error}"))?;
        let grants = Arc::new(if is_model { Grants::model() } else { Grants::action() });
        names.push(entity.name.clone());
        let id = GuestId(names.len() as u64);
        if entity.name == *first {
            let instance = guest.instance(
                Arc::clone(&state) as Arc<dyn Services>,
                Arc::clone(&grants),
                GuestLimits::default(),
            );
            started = Some((instance.map_err(|trap| trap.to_string())?, id, output.facts.trigger.clone()));
        } else {
            let callee = executor().add(RunnerSpec {
                id,
                name: entity.name.as_str().into(),
                tenant: 0,
                guest,
                services: Arc::clone(&state) as Arc<dyn Services>,
                grants,
                limits: GuestLimits::default(),
                mailbox: MailboxOptions::default(),
                is_pure: false,
            });
            state.know(is_model, entity.name, callee);
        }
    }
    let (mut instance, id, trigger) = started.ok_or("nothing to start")?;
    let mut observer = Observer { program, state: &state, names, reports: BTreeSet::new() };
    let filters = trigger.as_ref().map(|trigger| trigger.filters().to_vec()).unwrap_or_default();
    let outcomes = program
        .events
        .iter()
        .map(|event| observer.event(event, &mut instance, id, &filters))
        .collect::<Result<_, _>>();
    // Callees know the state, and the state knows them.
    state.forget_definitions();
    Ok(Observed { outcomes: outcomes?, reports: observer.reports })
}

/// Callees belong to an executor; none of them runs on it.
fn executor() -> &'static Executor {
    static EXECUTOR: LazyLock<Executor> = LazyLock::new(|| {
        let options = ExecutorOptions { threads: 1, ..ExecutorOptions::default() };
        Executor::start(options, |_| Box::new(Deaf)).unwrap()
    });
    &EXECUTOR
}

struct Observer<'a> {
    program: &'a Program,
    state: &'a State,
    names: Vec<String>,
    reports: BTreeSet<(String, String, u32)>,
}

impl Observer<'_> {
    fn event(
        &mut self,
        event: &Event,
        instance: &mut ActionInstance,
        id: GuestId,
        filters: &[String],
    ) -> Result<Outcome, String> {
        let mut output = RunOutput::new();
        let arguments: Vec<Argument>;
        let host_event = match event {
            Event::Message { topic, payload, from_client } => {
                self.state.topics.lock().insert(topic.clone(), payload.clone());
                if !filters.iter().any(|filter| crate::bench::filter_matches(filter, topic)) {
                    return Ok(Outcome { effects: Vec::new(), result: Ok(Vec::new()) });
                }
                let client_id = if *from_client { "c1" } else { "" };
                HostEvent::Message(BorrowedMessage { client_id, ..BorrowedMessage::new(topic, payload) })
            }
            Event::Start => HostEvent::Start,
            Event::Timer => HostEvent::Timer,
            Event::Connected => HostEvent::Connected(client("c7", Some("bob"))),
            Event::Disconnected => {
                let mut departure = departure("c7", "normal");
                departure.client = client("c7", Some("bob"));
                HostEvent::Disconnected(departure)
            }
            Event::Subscribed => {
                let mut subscription = subscription("c7", "a/+/b", 1);
                subscription.client = client("c7", Some("bob"));
                HostEvent::Subscribed(subscription)
            }
            Event::Call { inputs } => {
                arguments = inputs
                    .iter()
                    .map(|(name, input)| Argument { name: name.clone(), value: host_value(input) })
                    .collect();
                HostEvent::Call { inputs: &arguments, trigger: None }
            }
        };
        let result = match instance.run(&host_event, RunContext::new(id), &mut output) {
            RunOutcome::Done(outputs) => Ok(outputs.iter().map(value_of).collect()),
            RunOutcome::Failed(error) => Err(known_code(&error.code)),
            other @ (RunOutcome::Trapped(_) | RunOutcome::SliceExpired) => return Err(format!("{other:?}")),
        };
        let mut effects = Vec::new();
        for (writer, effect) in output.effects() {
            match effect {
                HostEffect::Publish { topic, payload, qos, retain, .. } => {
                    self.state.topics.lock().insert(topic.to_owned(), payload.to_vec());
                    if retain {
                        self.state.retained.lock().insert(topic.to_owned(), payload.to_vec());
                    }
                    let (topic, payload) = (topic.to_owned(), payload.to_vec());
                    effects.push(Effect::Publish { topic, payload, qos: qos as u8, retain });
                }
                HostEffect::Keep { topic, payload } => {
                    self.state.topics.lock().insert(topic.to_owned(), payload.to_vec());
                    effects.push(Effect::Keep { topic: topic.to_owned(), payload: payload.to_vec() });
                }
                HostEffect::Forget { topic } => {
                    self.state.topics.lock().remove(topic);
                    effects.push(Effect::Forget { topic: topic.to_owned() });
                }
                HostEffect::Report { code, line, .. } => {
                    let name = &self.names[writer.definition.0 as usize - 1];
                    let action = self.program.actions.iter().find(|action| action.name == *name);
                    if let Some(action) = action {
                        let line = if has_simple(&action.body, line) { line } else { 0 };
                        self.reports.insert((name.clone(), code.to_owned(), line));
                    }
                }
                HostEffect::Log { .. } | HostEffect::Metric { .. } => {
                    unreachable!("no statement writes to the log or has figures")
                }
            }
        }
        Ok(Outcome { effects, result })
    }
}

/// Whether a statement on this line is one whose reports have its line.
fn has_simple(statements: &[Statement], line: u32) -> bool {
    statements.iter().any(|statement| {
        (statement.line == line && is_simple(&statement.kind))
            || match &statement.kind {
                StatementKind::If { branches, otherwise } => {
                    branches.iter().any(|(_, block)| has_simple(block, line))
                        || otherwise.as_ref().is_some_and(|block| has_simple(block, line))
                }
                StatementKind::Switch { cases, default, .. } => {
                    cases.iter().any(|(_, block)| has_simple(block, line))
                        || default.as_ref().is_some_and(|block| has_simple(block, line))
                }
                StatementKind::Loop { body, .. } => has_simple(body, line),
                _ => false,
            }
    })
}

/// Errors that end runs, so that they compare with those of the evaluator.
fn known_code(code: &str) -> &'static str {
    ["LOT608", "LOT610"].into_iter().find(|known| *known == code).unwrap_or("another error")
}

fn host_value(input: &Input) -> HostValue {
    match input {
        Input::Int(value) => HostValue::Integer(*value),
        Input::Double(value) => HostValue::Double(*value),
        Input::Bool(value) => HostValue::Boolean(*value),
        Input::Text(text) => HostValue::Text(text.clone()),
        Input::Json(text) => HostValue::Json(text.clone()),
        Input::Null => HostValue::Null,
    }
}

fn value_of(value: &HostValue) -> Value {
    match value {
        HostValue::Empty => Value::Empty,
        HostValue::Null => Value::Null,
        HostValue::Boolean(value) => Value::Bool(*value),
        HostValue::Integer(value) => Value::Int(*value),
        HostValue::Double(value) => Value::Double(*value),
        HostValue::Text(text) => Value::data(text.clone()),
        HostValue::Json(text) => Json::parse(text).map_or(Value::Null, Value::Json),
        HostValue::Bytes(bytes) => Value::Bytes(bytes.clone()),
        HostValue::Time(ms) => Value::Time(*ms),
    }
}
