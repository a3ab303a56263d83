//! The reference evaluator: runs a tree as the language reference says, and nothing of the
//! compiler's.
//!
//! If the reference is silent, it stops with [`Stop::Unspecified`] instead of guessing.

mod expression;
mod model;
mod topic;

use std::collections::{BTreeMap, BTreeSet};

use super::operators::{Note, cast};
use super::tree::{
    Action, Event, Expression, Input, Program, Statement, StatementKind, Topic, Trigger, Type,
};
use super::value::{Answer, Stop, Value};
use topic::Place;

/// Passes that the loops of one run may make (§7.8).
const PASSES_MAX: u32 = 100_000;

/// Effect of a run on the broker.
#[derive(Clone, PartialEq)]
pub(super) enum Effect {
    Publish { topic: String, payload: Vec<u8>, qos: u8, retain: bool },
    Keep { topic: String, payload: Vec<u8> },
    Forget { topic: String },
}

impl std::fmt::Debug for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Effect::Publish { topic, payload, qos, retain } => {
                write!(f, "publish {topic}={} qos {qos} retain {retain}", payload.escape_ascii())
            }
            Effect::Keep { topic, payload } => write!(f, "keep {topic}={}", payload.escape_ascii()),
            Effect::Forget { topic } => write!(f, "forget {topic}"),
        }
    }
}

/// Outcome of one event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) effects: Vec<Effect>,
    /// Outputs of a call; the code with which a run failed.
    pub(super) result: Result<Vec<Value>, &'static str>,
}

impl Outcome {
    /// As an observer sees it, for whom a text that is returned has no provenance.
    pub(super) fn as_seen(&self) -> Outcome {
        let result = self.result.clone().map(|outputs| outputs.into_iter().map(crossing).collect());
        Outcome { effects: self.effects.clone(), result }
    }
}

/// State that survives a run.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) topics: BTreeMap<String, Vec<u8>>,
    pub(super) retained: BTreeMap<String, Vec<u8>>,
    pub(super) environment: BTreeMap<String, String>,
}

impl World {
    pub(super) fn of(program: &Program) -> World {
        World {
            topics: program.topics.iter().cloned().collect(),
            retained: program.retained.iter().cloned().collect(),
            environment: BTreeMap::new(),
        }
    }

    /// Carries out what a run wrote (§6).
    fn take(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Publish { topic, payload, retain, .. } => {
                    self.topics.insert(topic.clone(), payload.clone());
                    if *retain {
                        self.retained.insert(topic.clone(), payload.clone());
                    }
                }
                Effect::Keep { topic, payload } => {
                    self.topics.insert(topic.clone(), payload.clone());
                }
                Effect::Forget { topic } => {
                    self.topics.remove(topic);
                }
            }
        }
    }
}

/// Expected effects and reports of a program.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) outcomes: Vec<Outcome>,
    /// Expected reports; line 0 if the reference leaves the line open.
    pub(super) reports: BTreeSet<Report>,
    /// Those that the reference neither asks for nor forbids.
    pub(super) open: BTreeSet<Report>,
}

/// Definition, code, line.
pub(super) type Report = (String, &'static str, u32);

/// A mistake to make on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `"5" + 1` is 6.
    LiteralsAddUp,
    /// A branch of an IF runs though one before it did.
    BranchesRunOn,
    /// A read does not see what the run has written.
    WritesAreNotRead,
    /// RETAIN is forgotten.
    RetainIsLost,
    /// Division by zero is not told.
    DivisionIsSilent,
    /// Assignments of PUBLISH MODEL are not cast.
    FieldsAreNotCast,
    /// A sum of whole numbers that overflows begins anew at the other end.
    SumsWrap,
}

impl Fault {
    pub(super) const ALL: [Fault; 7] = [
        Fault::LiteralsAddUp,
        Fault::BranchesRunOn,
        Fault::WritesAreNotRead,
        Fault::RetainIsLost,
        Fault::DivisionIsSilent,
        Fault::FieldsAreNotCast,
        Fault::SumsWrap,
    ];
}

/// Runs a program, with a mistake or without. An error is what the reference does not say.
pub(super) fn evaluate(program: &Program, fault: Option<Fault>) -> Result<Expected, &'static str> {
    let mut world = World::of(program);
    let (mut reports, mut open) = (BTreeSet::new(), BTreeSet::new());
    let mut outcomes = Vec::new();
    for event in &program.events {
        let message = match event {
            Event::Message { topic, payload, .. } => {
                world.topics.insert(topic.clone(), payload.clone());
                Some((topic.clone(), payload.clone()))
            }
            _ => None,
        };
        let mut run = Run {
            program,
            world: &mut world,
            event,
            message,
            effects: Vec::new(),
            reports: &mut reports,
            open: &mut open,
            is_open: false,
            fault,
            result: Some(Value::Empty),
            passes: 0,
        };
        let result = if program.actions.is_empty() {
            run.stream(&program.models[program.models.len() - 1]).map(|()| Vec::new())
        } else {
            run.start(&program.actions[0])
        };
        let effects = std::mem::take(&mut run.effects);
        world.take(&effects);
        let result = match result {
            Ok(outputs) => Ok(outputs),
            Err(Stop::Failed(code)) => Err(code),
            Err(Stop::Unspecified(what)) => return Err(what),
        };
        outcomes.push(Outcome { effects, result });
    }
    Ok(Expected { outcomes, reports, open })
}

struct Run<'a> {
    program: &'a Program,
    world: &'a mut World,
    event: &'a Event,
    message: Option<(String, Vec<u8>)>,
    effects: Vec<Effect>,
    reports: &'a mut BTreeSet<Report>,
    open: &'a mut BTreeSet<Report>,
    /// Whether what is told now may be told or not.
    is_open: bool,
    fault: Option<Fault>,
    /// `RESULT`; `None` where the reference does not say what it is.
    result: Option<Value>,
    passes: u32,
}

/// Names and values that one action can see.
struct Frame<'a> {
    action: &'a str,
    /// Filters of its trigger.
    filters: &'a [String],
    variables: BTreeMap<String, Value>,
    /// Names that the action sets anywhere.
    names: BTreeSet<String>,
    /// Fields, where a model is evaluated.
    fields: Vec<(String, Value)>,
    line: u32,
}

impl<'a> Run<'a> {
    fn start(&mut self, action: &'a Action) -> Answer<Vec<Value>> {
        let inputs = match self.event {
            Event::Call { inputs } => {
                inputs.iter().map(|(name, input)| (name.clone(), value_of(input))).collect()
            }
            _ => Vec::new(),
        };
        self.run_action(action, inputs)
    }

    fn run_action(&mut self, action: &'a Action, given: Vec<(String, Value)>) -> Answer<Vec<Value>> {
        let mut frame = Frame {
            action: &action.name,
            filters: &[],
            variables: BTreeMap::new(),
            names: BTreeSet::new(),
            fields: Vec::new(),
            line: 0,
        };
        names_set(&action.body, &mut frame.names);
        match &action.trigger {
            Trigger::Topic(filters) => frame.filters = filters,
            Trigger::Callable { inputs, .. } => {
                for (name, kind) in inputs {
                    frame.names.insert(name.clone());
                    let value = given.iter().find(|(given, _)| given == name);
                    let mut notes = Vec::new();
                    let value =
                        input(value.map_or(Value::Empty, |(_, value)| value.clone()), *kind, &mut notes)?;
                    self.tell(notes, &frame);
                    frame.variables.insert(name.clone(), value);
                }
            }
            _ => {}
        }
        self.block(&action.body, &mut frame)?;
        let Trigger::Callable { outputs, .. } = &action.trigger else { return Ok(Vec::new()) };
        Ok(outputs.iter().map(|name| frame.variables.get(name).cloned().unwrap_or(Value::Empty)).collect())
    }

    fn block(&mut self, statements: &'a [Statement], frame: &mut Frame<'a>) -> Answer<()> {
        statements.iter().try_for_each(|statement| self.statement(statement, frame))
    }

    fn statement(&mut self, statement: &'a Statement, frame: &mut Frame<'a>) -> Answer<()> {
        frame.line = if is_simple(&statement.kind) { statement.line } else { 0 };
        match &statement.kind {
            StatementKind::Set { name, value } => {
                let value = self.value(value, frame)?;
                frame.variables.insert(name.clone(), value);
            }
            StatementKind::Publish { topic, value, qos, retain } => {
                if let Some((topic, payload)) = self.written(topic, value, frame)? {
                    let retain = *retain && self.fault != Some(Fault::RetainIsLost);
                    self.effects.push(Effect::Publish { topic, payload, qos: *qos, retain });
                }
            }
            StatementKind::Keep { topic, value } => {
                if let Some((topic, payload)) = self.written(topic, value, frame)? {
                    self.effects.push(Effect::Keep { topic, payload });
                }
            }
            StatementKind::KeepEnv { name, value } => match self.value(value, frame)? {
                Value::Empty => self.skipped(value, frame),
                kept => {
                    self.world.environment.insert(name.clone(), kept.text());
                }
            },
            StatementKind::DeleteEnv { name } => {
                self.world.environment.remove(name);
            }
            StatementKind::DeleteTopic { topic } => {
                self.effects.push(Effect::Forget { topic: topic.clone() })
            }
            StatementKind::If { branches, otherwise } => {
                for (condition, block) in branches {
                    frame.line = 0;
                    if self.value(condition, frame)?.truth()? {
                        self.block(block, frame)?;
                        if self.fault != Some(Fault::BranchesRunOn) {
                            return Ok(());
                        }
                    }
                }
                self.block(otherwise.as_deref().unwrap_or(&[]), frame)?;
            }
            StatementKind::Switch { value, cases, default } => {
                return self.switch(value, cases, default.as_deref(), frame);
            }
            StatementKind::Loop { body, until } => loop {
                self.passes += 1;
                if self.passes > PASSES_MAX {
                    return Err(Stop::Failed("LOT608"));
                }
                self.block(body, frame)?;
                frame.line = 0;
                if self.value(until, frame)?.truth()? {
                    break;
                }
            },
            StatementKind::Call { name, arguments, returns } => self.call(name, arguments, returns, frame)?,
            StatementKind::PublishModel { name, topic, assignments } => {
                return self.publish_model(name, topic, assignments, frame);
            }
        }
        Ok(())
    }

    fn switch(
        &mut self,
        value: &'a Expression,
        cases: &'a [(Vec<Expression>, Vec<Statement>)],
        default: Option<&'a [Statement]>,
        frame: &mut Frame<'a>,
    ) -> Answer<()> {
        let subject = self.value(value, frame)?;
        for (candidates, block) in cases {
            if self.is_one_of(&subject, candidates, frame)? {
                return self.block(block, frame);
            }
        }
        self.block(default.unwrap_or(&[]), frame)
    }

    fn call(
        &mut self,
        name: &str,
        arguments: &'a [(String, Expression)],
        returns: &[String],
        frame: &mut Frame<'a>,
    ) -> Answer<()> {
        let mut given = Vec::new();
        for (name, value) in arguments {
            given.push((name.clone(), crossing(self.value(value, frame)?)));
        }
        let callee = self.program.actions.iter().find(|action| action.name == name);
        let Some(callee) = callee else { return Err(Stop::Unspecified("a call of what is not there")) };
        // RESULT belongs to a run of an action, as its variables do.
        let result = self.result.replace(Value::Empty);
        let outputs = self.run_action(callee, given);
        self.result = result;
        let outputs = outputs.map_err(|stop| match stop {
            Stop::Failed(_) => Stop::Failed("LOT610"),
            unspecified @ Stop::Unspecified(_) => unspecified,
        })?;
        if returns.is_empty() {
            self.result = if let [output] = &outputs[..] { Some(crossing(output.clone())) } else { None };
        }
        for (name, output) in returns.iter().zip(outputs) {
            frame.variables.insert(name.clone(), crossing(output));
        }
        Ok(())
    }

    /// Topic and payload of a write; `None` when it is skipped.
    fn written(
        &mut self,
        topic: &'a Topic,
        value: &'a Expression,
        frame: &mut Frame<'a>,
    ) -> Answer<Option<(String, Vec<u8>)>> {
        let place = self.topic(topic, frame)?;
        let invalid = match &place {
            Place::NoCapture => Some("LOT605"),
            Place::Name(topic) if !topic::is_name(topic) => Some("LOT604"),
            Place::Name(_) => None,
        };
        // Whether a value is looked at for which there is no topic is not said.
        self.is_open = invalid.is_some();
        let found = self.value(value, frame);
        self.is_open = false;
        let found = found?;
        match (place, found) {
            (_, Value::Empty) if invalid.is_some() => {
                Err(Stop::Unspecified("which of two faults of a write is told"))
            }
            (_, Value::Empty) => {
                self.skipped(value, frame);
                Ok(None)
            }
            (_, Value::Bytes(bytes)) if bytes.is_empty() => {
                Err(Stop::Unspecified("what is told of empty bytes"))
            }
            (Place::Name(topic), found) if invalid.is_none() => Ok(Some((topic, found.payload()))),
            _ => {
                self.report(invalid.unwrap_or_default(), frame);
                Ok(None)
            }
        }
    }

    /// A statement has no value to write. A filter that matches nothing skips it (OD-24); how far
    /// its silence reaches is not said.
    fn skipped(&mut self, value: &Expression, frame: &Frame<'_>) {
        self.is_open = has_transform(value);
        self.report("LOT603", frame);
        self.is_open = false;
    }

    fn report(&mut self, code: &'static str, frame: &Frame<'_>) {
        // Reports of models are not compared: the reference does not fix them.
        if !frame.action.is_empty() {
            let reports = if self.is_open { &mut self.open } else { &mut self.reports };
            reports.insert((frame.action.to_owned(), code, frame.line));
        }
    }

    fn tell(&mut self, notes: Vec<Note>, frame: &Frame<'_>) {
        for note in notes {
            let code = match note {
                Note::NotANumber => "LOT601",
                Note::DivisionByZero if self.fault == Some(Fault::DivisionIsSilent) => continue,
                Note::DivisionByZero => "LOT602",
                Note::FailedCast => "LOT612",
            };
            self.report(code, frame);
        }
    }
}

/// Whether a text transform is anywhere in an expression.
fn has_transform(value: &Expression) -> bool {
    let mut value = value.clone();
    matches!(value, Expression::Apply(..))
        || value.operands_mut().into_iter().any(|operand| has_transform(operand))
}

/// Whether all that a statement can report has the line of the statement.
pub(super) fn is_simple(kind: &StatementKind) -> bool {
    match kind {
        StatementKind::Set { .. }
        | StatementKind::Publish { .. }
        | StatementKind::Keep { .. }
        | StatementKind::KeepEnv { .. }
        | StatementKind::DeleteEnv { .. }
        | StatementKind::DeleteTopic { .. }
        | StatementKind::Call { .. } => true,
        StatementKind::If { .. }
        | StatementKind::Switch { .. }
        | StatementKind::Loop { .. }
        | StatementKind::PublishModel { .. } => false,
    }
}

/// An input as its declared type has it (§7.7).
fn input(value: Value, kind: Option<Type>, notes: &mut Vec<Note>) -> Answer<Value> {
    match kind {
        None => Ok(value),
        Some(Type::Json) if !matches!(value, Value::Text { .. }) => Ok(value),
        Some(kind) => cast(value, kind, notes),
    }
}

/// A value that goes from one action to another: a text is data there ("call results", §4).
fn crossing(value: Value) -> Value {
    match value {
        Value::Text { text, .. } => Value::data(text),
        other => other,
    }
}

fn value_of(input: &Input) -> Value {
    match input {
        Input::Int(value) => Value::Int(*value),
        Input::Double(value) => Value::Double(*value),
        Input::Bool(value) => Value::Bool(*value),
        Input::Text(text) => Value::data(text.clone()),
        Input::Json(text) => Value::Json(super::json::Json::parse(text).expect("generated JSON")),
        Input::Null => Value::Null,
    }
}

/// Names that statements set.
fn names_set(statements: &[Statement], names: &mut BTreeSet<String>) {
    for statement in statements {
        match &statement.kind {
            StatementKind::Set { name, .. } => {
                names.insert(name.clone());
            }
            StatementKind::Call { returns, .. } => names.extend(returns.iter().cloned()),
            StatementKind::If { branches, otherwise } => {
                branches.iter().for_each(|(_, block)| names_set(block, names));
                names_set(otherwise.as_deref().unwrap_or(&[]), names);
            }
            StatementKind::Switch { cases, default, .. } => {
                cases.iter().for_each(|(_, block)| names_set(block, names));
                names_set(default.as_deref().unwrap_or(&[]), names);
            }
            StatementKind::Loop { body, .. } => names_set(body, names),
            _ => {}
        }
    }
}
