//! The checked tree: an Action after names, topics, kinds and constants are settled. The interface between checking and lowering.
//!
//! Made by [`check::action`](crate::check::action) when an Action has no errors; read by [`lower`](crate::lower).
//!
//! Invariants:
//! - Every [`VariableId`] and [`RegexId`] indexes its table in [`Action`].
//! - Expressions nest at most [`limits::TREE_DEPTH_MAX`](crate::limits::TREE_DEPTH_MAX) deep and statements at most
//!   [`limits::BLOCK_DEPTH_MAX`](crate::limits::BLOCK_DEPTH_MAX), so recursion over them is safe.
//! - [`Expression::kinds`] is conservative: the value's kind at run time is always in it.
//! - Nothing here has to be looked up by name, and no literal has to be parsed again.
//!
//! Not here: how a value is represented in the guest.

use lot_facts::{Facts, InputKind, Trigger};

use super::kind::KindSet;
use crate::syntax::Position;

/// An Action that may be lowered.
#[derive(Debug, Clone)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// What starts a run.
    pub entry: Entry,
    /// Local variables: inputs first, in order of declaration, then the others in order of first appearance. All are
    /// Empty when a run starts, except inputs.
    pub variables: Vec<Variable>,
    /// Regular expressions, each pattern once.
    pub regexes: Vec<Regex>,
    /// The statements after `DO`.
    pub body: Vec<Statement>,
    /// What the broker is told. [`Facts::needs_payload`] and [`Facts::needs_topic`] say what the run looks at.
    pub facts: Facts,
}

/// What starts a run.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A trigger. [`Trigger::has_message`] says whether there are payload and topic; without them the checker has refused
    /// [`ExpressionKind::Payload`] and its like.
    Triggered(Trigger),
    /// `CALL ACTION` or `-runAction`. The caller's trigger message is visible (OD-19): payload and topic are Empty without one.
    Callable {
        /// Inputs; input `i` is variable `i`. An argument is cast to the kind; a missing one is Empty; an unknown one is an error.
        inputs: Vec<Input>,
        /// Variables whose values are returned, in order. Empty when never set.
        outputs: Vec<Output>,
    },
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
    /// Everything it can hold at any read: the union over all assignments, with `EMPTY` unless every read comes after an
    /// assignment on all paths. A single kind here may live in an unboxed local.
    pub kinds: KindSet,
}

/// Name of the hidden variable behind `RESULT` (OD-22). No source text can spell it.
pub const RESULT: &str = "<result>";

/// A regular expression literal, known to be valid in its engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regex {
    /// The pattern as written; both engines read `(?<name>` and `(?P<name>`.
    pub pattern: String,
    /// Where it has to run.
    pub engine: RegexEngine,
    /// Whether it has a group called `value`, whose text is then the result instead of the whole match (OD-24).
    pub has_value_group: bool,
}

/// Which engine a pattern needs.
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
    /// First character of the statement; what run-time reports name.
    pub at: Position,
    /// What it does.
    pub kind: StatementKind,
}

/// What a statement does.
#[derive(Debug, Clone)]
pub enum StatementKind {
    /// Assigns a variable.
    Set {
        /// The variable.
        variable: VariableId,
        /// Its new value; kinds and text provenance travel with it.
        value: Expression,
    },
    /// Publishes a message.
    PublishTopic {
        /// Where to. An [unresolvable](Topic::is_unresolvable) topic drops the message with an error record.
        topic: Topic,
        /// What; sent as canonical text, bytes as they are.
        value: Expression,
        /// 0, 1 or 2.
        qos: u8,
        /// The RETAIN flag.
        retain: bool,
        /// What to do when the value is Empty.
        when_empty: WhenEmpty,
    },
    /// Replaces a topic's last value.
    KeepTopic {
        /// Which topic.
        topic: Topic,
        /// The value.
        value: Expression,
        /// What to do when the value is Empty.
        when_empty: WhenEmpty,
    },
    /// `DELETE TOPIC`: forgets a kept value.
    DeleteTopic {
        /// Which topic.
        topic: Topic,
    },
    /// Sets an environment value or a secret, as text.
    KeepSetting {
        /// Which of the two stores.
        store: SettingStore,
        /// Name of the value.
        name: String,
        /// The value.
        value: Expression,
        /// What to do when the value is Empty.
        when_empty: WhenEmpty,
    },
    /// Removes an environment value or a secret.
    DeleteSetting {
        /// Which of the two stores.
        store: SettingStore,
        /// Name of the value.
        name: String,
    },
    /// `IF … ELSE IF … ELSE …`: the first branch whose condition is true.
    If {
        /// At least one.
        branches: Vec<Branch>,
        /// The `ELSE` part, empty when there is none.
        otherwise: Vec<Statement>,
    },
    /// `SWITCH`: the first case with an equal value.
    Switch {
        /// Evaluated once.
        subject: Expression,
        /// In source order; equality is that of [`Comparison::Equal`].
        cases: Vec<Case>,
        /// The `DEFAULT` part, empty when there is none.
        otherwise: Vec<Statement>,
    },
    /// `LOOP … UNTIL`: at least once, until the condition is true.
    Loop {
        /// The statements; each pass counts against the run's budget of iterations.
        body: Vec<Statement>,
        /// The condition after each pass.
        until: Expression,
        /// Place of `UNTIL`.
        until_at: Position,
    },
    /// `CALL ACTION`. Writes queued so far are flushed before it by the host.
    CallAction {
        /// Name of the callee.
        name: String,
        /// Arguments by name, evaluated in source order.
        arguments: Vec<Argument>,
        /// Variables that receive the outputs in order; the checker compared their number with a known callee. When it differs at
        /// run time, the run ends with an error.
        returns: Vec<VariableId>,
        /// Without `RETURN`: the variable behind `RESULT`, which receives the first output, or Empty when there is none.
        result: Option<VariableId>,
    },
}

/// Where named settings live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingStore {
    /// `ENV`.
    Environment,
    /// `SECRET`: encrypted and never logged.
    Secret,
}

/// What a write does when its value is Empty. It is never carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Skipped with a warning record (OD-40).
    Report,
    /// Skipped in silence: a `FILTER` without a match (OD-24), or bytes of length zero, which count as Empty here.
    Silent,
}

/// A condition with its statements.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its truth decides.
    pub condition: Expression,
    /// At least one.
    pub body: Vec<Statement>,
}

/// `CASE` with its values and statements.
#[derive(Debug, Clone)]
pub struct Case {
    /// At least one; evaluated in order until one is equal.
    pub values: Vec<Expression>,
    /// At least one.
    pub body: Vec<Statement>,
}

/// `name = value` of a call.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Name of the callee's input.
    pub name: String,
    /// Its value.
    pub value: Expression,
}

/// A topic operand, resolved as §5.4 and §5.5 say: the concatenation of its parts.
#[derive(Debug, Clone)]
pub struct Topic {
    /// At least one; neighbouring constant texts are merged.
    pub parts: Vec<TopicPart>,
    /// What is known about it before the run.
    pub fact: lot_facts::TopicFact,
    /// First character of the operand.
    pub at: Position,
}

impl Topic {
    /// The Topic Name when it is known at compile time. It may be an invalid one (empty, with wildcards, too long): reads of it give Empty,
    /// writes are refused by the host and reported.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [TopicPart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it has a wildcard that the trigger did not match (§5.5): a read gives Empty, a write is dropped with an error record.
    pub fn is_unresolvable(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, TopicPart::Missing))
    }
}

/// A part of a topic.
#[derive(Debug, Clone)]
pub enum TopicPart {
    /// Constant text.
    Text(String),
    /// The n-th level of the triggering topic, from 1: what a `+` of the trigger matched.
    Level(u32),
    /// What the `#` of the trigger matched: all levels from the n-th on. With `slash`, a `/` goes before them when there is at
    /// least one level, so that `out/#` gives `out` when the `#` matched nothing.
    Rest {
        /// First level, from 1.
        from: u32,
        /// Whether a `/` goes first.
        slash: bool,
    },
    /// As `Level` or `Rest`, but the trigger's filters differ in their wildcards: one entry per filter, in their order; the first filter that
    /// matches the triggering topic decides. An entry is `Level`, `Rest` or `Missing`.
    ByFilter(Vec<TopicPart>),
    /// A wildcard that the trigger does not have.
    Missing,
    /// The canonical text of a value. Wildcards that come out of it are not substituted: the topic is then invalid.
    Value(Expression),
}

/// An expression with its place and inferred kinds.
#[derive(Debug, Clone)]
pub struct Expression {
    /// First character.
    pub at: Position,
    /// What its value can be.
    pub kinds: KindSet,
    /// How it is computed.
    pub kind: ExpressionKind,
}

/// How a value is computed.
#[derive(Debug, Clone)]
pub enum ExpressionKind {
    /// Known at compile time.
    Constant(Constant),
    /// The value of a local variable.
    Variable(VariableId),
    /// The triggering payload as text (invalid UTF-8 replaced), `TEXT_DATA`.
    Payload,
    /// The triggering payload as it arrived: `PAYLOAD AS BYTES`.
    PayloadBytes,
    /// The triggering topic.
    TopicName,
    /// A level of the triggering topic, known number, from 1; Empty beyond its end.
    TopicLevel(u32),
    /// A level of the triggering topic, computed number: below 1 or beyond the end gives Empty.
    TopicLevelAt(Box<Expression>),
    /// Whether a retained message exists on a topic. An unresolvable topic gives false.
    TopicExists(Topic),
    /// The last value of a topic as text, `TEXT_DATA`, or Empty.
    GetTopic(Topic),
    /// A member of a JSON document. Missing member or unparsable source: Null.
    GetJson {
        /// Which member.
        path: JsonPath,
        /// The document: JSON text or a JSON value.
        source: Box<Expression>,
    },
    /// An environment value (`TEXT_DATA`), or Empty.
    GetEnv(String),
    /// A secret (`TEXT_DATA`), or Empty with an error record.
    GetSecret(String),
    /// The wall clock, read anew at each evaluation.
    Timestamp(TimestampFormat),
    /// `RANDOM UUID`: lower-case version 4.
    RandomUuid,
    /// Both ends inclusive; swapped when low > high. Operands are cast as `AS INT`.
    RandomInt {
        /// Low end.
        low: Box<Expression>,
        /// High end.
        high: Box<Expression>,
    },
    /// Low end inclusive, high end exclusive; swapped when low > high. Operands are cast as `AS DOUBLE`.
    RandomDouble {
        /// Low end.
        low: Box<Expression>,
        /// High end.
        high: Box<Expression>,
    },
    /// A word about the client that triggered the run (§7.6); allowed for this trigger.
    Session(SessionWord),
    /// `-x`: the operand by `num`.
    Negate(Box<Expression>),
    /// `NOT x` of the operand's truth.
    Not(Box<Expression>),
    /// `+` decided at run time: addition or concatenation (§4). `- * / %` by `num`.
    Arithmetic {
        /// Which.
        operator: Arithmetic,
        /// Left side.
        left: Box<Expression>,
        /// Right side.
        right: Box<Expression>,
    },
    /// `+` known to be a concatenation: canonical texts joined, `TEXT_LITERAL`. At least two parts, no two constants in a row.
    Concat(Vec<Expression>),
    /// A comparison by §4; the operands' kinds decide how.
    Compare {
        /// Which.
        operator: Comparison,
        /// Left side.
        left: Box<Expression>,
        /// Right side.
        right: Box<Expression>,
    },
    /// `x == EMPTY`: Empty, Null or zero-length text. `!=` is this inside [`ExpressionKind::Not`].
    IsEmpty(Box<Expression>),
    /// `x MATCHES REGEX "…"`: whether the text has a match anywhere.
    MatchesRegex {
        /// The text.
        value: Box<Expression>,
        /// The pattern.
        regex: RegexId,
    },
    /// `x IN [a, b, …]`: equal to one of them, by [`Comparison::Equal`]. A side that is one expression (`x IN {list}`) is
    /// [`Comparison::In`].
    OneOf {
        /// Evaluated once.
        value: Box<Expression>,
        /// In order.
        candidates: Vec<Expression>,
    },
    /// `a AND b`; `b` only when `a` is true.
    And(Box<Expression>, Box<Expression>),
    /// `a OR b`; `b` only when `a` is false.
    Or(Box<Expression>, Box<Expression>),
    /// An explicit cast of §4; Empty stays Empty. It changes nothing when the operand's kinds are already those of the target.
    Cast {
        /// Target.
        to: CastKind,
        /// Operand.
        value: Box<Expression>,
    },
    /// `IF c THEN a ELSE b`; without ELSE the other value is Empty.
    If {
        /// Its truth decides.
        condition: Box<Expression>,
        /// Value when true.
        then: Box<Expression>,
        /// Value when false.
        otherwise: Box<Expression>,
    },
    /// A JSON object with at least one computed member; keys in source order, each once.
    Object(Vec<(String, Expression)>),
    /// A JSON array with at least one computed element.
    Array(Vec<Expression>),
    /// `FILTER x USING REGEX "…"`: the match as text, Empty when there is none.
    FilterRegex {
        /// The text.
        value: Box<Expression>,
        /// The pattern.
        regex: RegexId,
    },
    /// `FILTER x USING CSV "n"`: the n-th comma-separated field, from 1; Empty beyond the end.
    CsvField {
        /// The text.
        value: Box<Expression>,
        /// Field number, at least 1.
        field: u32,
    },
    /// Every occurrence of one text replaced by another; an empty search text changes nothing. Empty stays Empty, as in every
    /// text transform, so that a FILTER without a match still skips the statement (OD-24).
    Replace {
        /// What to look for.
        search: Box<Expression>,
        /// What to put there.
        replacement: Box<Expression>,
        /// Where.
        value: Box<Expression>,
    },
    /// Unicode white space stripped from both ends; Empty stays Empty.
    Trim(Box<Expression>),
    /// `SPLIT x USING "sep" [AT n]`: the n-th piece, from 1 (Empty beyond the end), or all as a JSON array of texts.
    Split {
        /// The text.
        value: Box<Expression>,
        /// Separator, not empty.
        separator: String,
        /// Which piece.
        at: Option<u32>,
    },
    /// A call of the small function set (OD-12); the number of arguments has been checked.
    Function {
        /// Which.
        function: Function,
        /// Arguments.
        arguments: Vec<Expression>,
    },
}

/// A value known at compile time.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// `EMPTY`.
    Empty,
    /// `NULL`.
    Null,
    /// `TRUE`, `FALSE`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Double(f64),
    /// Text of the program, `TEXT_LITERAL`.
    Text(String),
    /// A JSON object or array without computed parts, as compact text.
    Json(String),
}

/// Arithmetic operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`, addition or concatenation.
    Add,
    /// `-`; overflow gives Double.
    Subtract,
    /// `*`; overflow gives Double.
    Multiply,
    /// `/`; an exact Int quotient stays Int; by zero gives Null and an error record.
    Divide,
    /// `%`, sign of the dividend; by zero gives Null and an error record.
    Remainder,
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `CONTAINS`: the left canonical text has the right one in it. `NOT CONTAINS` is this inside [`ExpressionKind::Not`].
    Contains,
    /// `STARTS_WITH`.
    StartsWith,
    /// `ENDS_WITH`.
    EndsWith,
    /// `x IN y`: y is a JSON array (or text of one) with an element equal to x; otherwise its text contains that of x.
    In,
}

/// Targets of `AS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastKind {
    /// `INT`.
    Int,
    /// `DOUBLE`, `FLOAT`.
    Double,
    /// `BOOL`.
    Bool,
    /// `STRING`: gives `TEXT_LITERAL`.
    String,
    /// `TIMESTAMP`.
    Timestamp,
    /// `ARRAY`, `OBJECT`, `JSON`: text is parsed, a scalar is wrapped for ARRAY.
    Json(JsonShape),
    /// `BYTES` of anything but PAYLOAD: its canonical text.
    Bytes,
}

/// Which JSON a cast asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonShape {
    /// `AS JSON`: any.
    Any,
    /// `AS ARRAY`: a scalar becomes `[v]`.
    Array,
    /// `AS OBJECT`: a scalar becomes Null.
    Object,
}

/// A path into a JSON document.
#[derive(Debug, Clone)]
pub enum JsonPath {
    /// A literal path.
    Literal {
        /// As written. When the document is an object with this very text as a key, that member wins.
        text: String,
        /// The parsed path; empty = the whole document.
        steps: Vec<JsonStep>,
    },
    /// A path that is only known at run time.
    Computed(Box<Expression>),
}

/// One step into a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonStep {
    /// `.key`: a member. Digits alone also index an array.
    Key(String),
    /// `[i]`: an element, from 0.
    Index(u32),
}

/// How `TIMESTAMP` shows the clock, always UTC (§5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `2026-01-15T10:30:00.123Z`.
    Iso,
    /// `2026-01-15 10:30:00`.
    Utc,
    /// Seconds since 1970, Int.
    Unix,
    /// Milliseconds since 1970, Int.
    UnixMs,
    /// `YEAR`, `HOUR`, … as Int (OD-59).
    Part(DatePart),
    /// A well-formed custom pattern, as written.
    Pattern(String),
}

/// A part of the UTC date and time as a number (OD-59).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatePart {
    /// Four digits.
    Year,
    /// 1 to 12.
    Month,
    /// 1 to 31.
    Day,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// 0 to 59.
    Second,
    /// 1 = Monday to 7 = Sunday.
    Weekday,
}

/// Words about the client of a CONNECT, DISCONNECT or SUBSCRIBE trigger, §7.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionWord {
    /// `CLIENTID`, text.
    ClientId,
    /// `USER`, text, Empty for an anonymous client.
    User,
    /// `ENDPOINT`, text `ip:port`.
    Endpoint,
    /// `CLEANSESSION`, Bool.
    CleanSession,
    /// `DISCONNECTREASON`, text; only ON DISCONNECT.
    DisconnectReason,
    /// `SUBSCRIBETOPIC`, text; only ON SUBSCRIBE.
    SubscribeTopic,
    /// `SUBSCRIBEQOS`, Int; only ON SUBSCRIBE.
    SubscribeQos,
}

/// The small function set of OD-12. Text functions work on the canonical text, the others by `num`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Upper case, Unicode; Empty stays Empty.
    Upper,
    /// Lower case, Unicode; Empty stays Empty.
    Lower,
    /// Unicode scalar values of a text, elements of a JSON array, members of an object.
    Length,
    /// Absolute value; Int stays Int (`i64::MIN` gives Double).
    Abs,
    /// Half away from zero; the optional second argument is the number of decimals, 0 to 15.
    Round,
    /// Largest whole number not above; Int when it fits.
    Floor,
    /// Smallest whole number not below; Int when it fits.
    Ceil,
    /// Square root, Double; negative gives Null.
    Sqrt,
    /// Smallest of the arguments.
    Min,
    /// Largest of the arguments.
    Max,
}
