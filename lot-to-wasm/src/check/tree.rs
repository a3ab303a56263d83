//! The checked tree: an Action, or a Rule, after names, topics, kinds and constants are settled.
//! The interface between checking and lowering.
//!
//! Made by [`check::action`](crate::check::action) when an Action has no errors; read by
//! [`lower`](crate::lower).
//!
//! Invariants:
//! - Every [`VariableId`] and [`RegexId`] indexes its table in [`Action`].
//! - Expressions nest at most [`limits::TREE_DEPTH_MAX`](crate::limits::TREE_DEPTH_MAX) deep and
//!   statements at most [`limits::BLOCK_DEPTH_MAX`](crate::limits::BLOCK_DEPTH_MAX), so recursion
//!   over them is safe.
//! - [`Expression::kinds`] is conservative: the value's kind at run time is always in it.
//! - Nothing here has to be looked up by name, and no literal has to be parsed again.
//!
//! Not here: what each statement is ([`statement`](crate::statement)), and how a value is
//! represented in the guest.

mod expression;
pub(crate) mod walk;

pub use expression::{
    Arithmetic, Candidate, CastKind, Comparison, Constant, DatePart, Expression, ExpressionKind, Function,
    JsonPath, JsonShape, JsonStep, LocalTimestampFormat, MessageProperty, PublisherWord, Select, SessionWord,
    ShownTimeFormat, TimestampFormat,
};
use lot_facts::{Facts, InputKind, TopicFact, Trigger};

use super::kind::KindSet;
use crate::statement::CheckedKind;
use crate::syntax::Position;
pub use crate::syntax::rule::Verdict;

/// An Action that may be lowered, or a Rule, which is one that is [asked](Entry::Asked).
#[derive(Debug, Clone)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// Start of a run.
    pub entry: Entry,
    /// Local variables: inputs first, in order of declaration, then the others in order of first
    /// appearance. All are Empty when a run starts, except inputs.
    pub variables: Vec<Variable>,
    /// Regular expressions, each pattern once.
    pub regexes: Vec<Regex>,
    /// The statements after `DO`.
    pub body: Vec<Statement>,
    /// Facts for the broker.
    pub facts: Facts,
}

/// A Model that may be lowered.
#[derive(Debug, Clone)]
pub struct Model {
    /// Run that a message starts, with the facts of the Model. [`Entry::Callable`] with an empty
    /// body when no message starts it.
    pub run: Action,
    /// Steps of `PUBLISH MODEL` that build an instance before [`value`](Self::value) is there: an
    /// [`Entry::Callable`] without inputs.
    pub build: Action,
    /// The instance as a JSON object, of the variables of [`build`](Self::build).
    pub value: Expression,
    /// Fields that may be assigned, with dots between levels; a name that ends with a dot stands
    /// for all fields below it.
    pub fields: Vec<String>,
    /// QoS of its messages.
    pub qos: u8,
    /// RETAIN flag of its messages.
    pub retain: bool,
}

/// Start of a run.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A trigger. [`Trigger::has_message`] returns whether there are payload and topic; without
    /// them the checker has refused [`ExpressionKind::Payload`] and its like.
    Triggered(Trigger),
    /// `CALL ACTION` or `-runAction`. The caller's trigger message is visible (OD-19): payload and
    /// topic are Empty without one.
    Callable {
        /// Inputs; input `i` is variable `i`. An argument is cast to the kind; a missing one is
        /// Empty; an unknown one is an error.
        inputs: Vec<Input>,
        /// Variables whose values are returned, in order. Empty when never set.
        outputs: Vec<Output>,
    },
    /// A Rule is asked. The body is made of [`CheckedKind::IfElse`] and [`CheckedKind::Verdict`]
    /// alone; running to its end gives no verdict.
    Asked,
}

/// One `INPUT` line.
#[derive(Debug, Clone)]
pub struct Input {
    /// Name that callers use.
    pub name: String,
    /// The variable that holds it.
    pub variable: VariableId,
    /// Kind to cast the argument to, `None` to leave it.
    pub kind: Option<InputKind>,
    /// Place of its name.
    pub at: Position,
}

/// One `OUTPUT` line.
#[derive(Debug, Clone)]
pub struct Output {
    /// Name of the output.
    pub name: String,
    /// The variable to return.
    pub variable: VariableId,
}

/// Index into [`Action::variables`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableId(pub u32);

/// Index into [`Action::regexes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegexId(pub u32);

/// A local variable of the run.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Name as written. [`RESULT`] is the hidden one behind the word `RESULT`.
    pub name: String,
    /// Everything it can hold at any read: the union over all assignments, with `EMPTY` unless
    /// every read comes after an assignment on all paths. A single kind here may live in an unboxed
    /// local.
    pub kinds: KindSet,
    /// Largest absolute value it can have, when it only holds whole numbers that no run can count
    /// beyond 64 bits.
    pub bound: Option<u64>,
}

/// Name of the hidden variable behind `RESULT` (OD-22). No source text can spell it.
pub const RESULT: &str = "<result>";

/// A regular expression literal, known to be valid in its engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regex {
    /// The pattern as written; both engines read `(?<name>` and `(?P<name>`.
    pub pattern: String,
    /// Engine that it needs.
    pub engine: RegexEngine,
    /// Whether it has a group called `value`, whose text is then the result instead of the whole
    /// match (OD-24).
    pub has_value_group: bool,
}

/// Engine that a pattern needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegexEngine {
    /// The linear engine inside the LoT runtime (regex-lite).
    Linear,
    /// Look-around or back-references: the host's backtracking engine.
    Backtracking,
}

/// A statement with its place.
#[derive(Debug, Clone)]
pub struct Statement {
    /// First character of the statement, the place in run-time reports.
    pub at: Position,
    /// Kind of the statement, with its operands.
    pub kind: CheckedKind,
}

/// Store of named settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingStore {
    /// `ENV`.
    Environment,
    /// `SECRET`: encrypted and never logged.
    Secret,
}

/// Report for a write with an Empty value. Such a write is never carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Skipped with a warning record (OD-40).
    Report,
    /// Skipped in silence: a `FILTER` without a match (OD-24), or bytes of length zero, which count
    /// as Empty here.
    Silent,
}

/// `name = value` of a call.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Name of the callee's input.
    pub name: String,
    /// Its value.
    pub value: Expression,
}

/// Topic operand, resolved according to §5.4 and §5.5: the concatenation of its parts.
#[derive(Debug, Clone)]
pub struct Topic {
    /// At least one; neighbouring constant texts are merged.
    pub parts: Vec<TopicPart>,
    /// Facts about the topic before the run.
    pub fact: TopicFact,
    /// First character of the operand.
    pub at: Position,
}

impl Topic {
    /// A topic that is known.
    pub(crate) fn fixed(text: String, at: Position) -> Topic {
        Topic { parts: vec![TopicPart::Text(text.clone())], fact: TopicFact::Exact(text), at }
    }

    /// The Topic Name when it is known at compile time. It may be an invalid one (empty, with
    /// wildcards, too long): reads of it give Empty, writes are refused by the host and reported.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [TopicPart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it has a wildcard that the trigger did not match (§5.5): a read gives Empty, a write
    /// is dropped with an error record.
    pub fn is_unresolvable(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, TopicPart::Missing))
    }
}

/// A part of a topic.
#[derive(Debug, Clone)]
pub enum TopicPart {
    /// Constant text.
    Text(String),
    /// The n-th level of the triggering topic, from 1: the match of a `+` of the trigger.
    Level(u32),
    /// All levels that the `#` of the trigger matched, from the n-th on. With `slash`, a `/` goes
    /// before them when there is at least one level, so that `out/#` gives `out` when the `#`
    /// matched nothing.
    Rest {
        /// First level, from 1.
        from: u32,
        /// Whether a `/` goes first.
        slash: bool,
    },
    /// As `Level` or `Rest`, but the trigger's filters differ in their wildcards: one entry per
    /// filter, in their order; the first filter that matches the triggering topic decides. An entry
    /// is `Level`, `Rest` or `Missing`.
    ByFilter(Vec<TopicPart>),
    /// A wildcard that the trigger does not have.
    Missing,
    /// The canonical text of a value. Wildcards that come out of it are not substituted: the topic
    /// is then invalid.
    Value(Expression),
}
