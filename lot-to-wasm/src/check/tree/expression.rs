//! Expressions of the checked tree.

use super::{RegexId, Topic, VariableId};
use crate::check::kind::KindSet;
use crate::syntax::{CastType, Position};

/// An expression with its place and inferred kinds.
#[derive(Debug, Clone)]
pub struct Expression {
    /// First character.
    pub at: Position,
    /// Kinds that its value can have. `INT` alone means that a calculation cannot overflow.
    pub kinds: KindSet,
    /// How it is computed.
    pub kind: ExpressionKind,
}

/// Candidate that `IN [a, b, …]` or `CASE a, b` compares a value with.
#[derive(Debug, Clone)]
pub enum Candidate {
    /// The word EMPTY: whether the value is Empty, Null or a text without characters.
    Empty,
    /// Equality, by [`Comparison::Equal`].
    Value(Expression),
}

impl Candidate {
    /// Returns the expression to evaluate, if there is one.
    pub(crate) fn value(&self) -> Option<&Expression> {
        match self {
            Candidate::Empty => None,
            Candidate::Value(value) => Some(value),
        }
    }

    /// Returns the expression to evaluate, as a mutable reference.
    pub(crate) fn value_mut(&mut self) -> Option<&mut Expression> {
        match self {
            Candidate::Empty => None,
            Candidate::Value(value) => Some(value),
        }
    }
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
        /// Path to the member.
        path: JsonPath,
        /// The document: JSON text or a JSON value.
        source: Box<Expression>,
    },
    /// Rows of a route that stores: a JSON object for one, an array for several; Null for none, and
    /// when the route does not answer.
    Select(Box<Select>),
    /// An environment value (`TEXT_DATA`), or Empty.
    GetEnv(String),
    /// A secret (`TEXT_DATA`), or Empty with an error record.
    GetSecret(String),
    /// The wall clock, read anew at each evaluation.
    Timestamp(TimestampFormat),
    /// The same on the clocks of the broker's time zone.
    LocalTimestamp(LocalTimestampFormat),
    /// Another time than now; Null and Empty stay as they are.
    TimestampOf {
        /// Format in which the time is shown.
        format: ShownTimeFormat,
        /// The time: a value cast `AS TIMESTAMP`.
        instant: Box<Expression>,
    },
    /// `RANDOM UUID`: lower-case version 4.
    RandomUuid,
    /// Both ends inclusive; swapped when low > high. Operands are cast as `AS INT`.
    RandomInt {
        /// Low end.
        low: Box<Expression>,
        /// High end.
        high: Box<Expression>,
    },
    /// Low end inclusive, high end exclusive; swapped when low > high. Operands are cast as
    /// `AS DOUBLE`.
    RandomDouble {
        /// Low end.
        low: Box<Expression>,
        /// High end.
        high: Box<Expression>,
    },
    /// A word about the client that triggered the run (§7.6), or asks a Rule; allowed for this
    /// trigger.
    Session(SessionWord),
    /// `CLIENTID`, `USER` of the publisher of the message; Empty without one.
    Publisher(PublisherWord),
    /// A property of the message that started the run, or that a Rule is asked about; Empty when it
    /// has none.
    MessageProperty(MessageProperty),
    /// The first User Property of that message with the name that is the operand's text
    /// (`TEXT_DATA`), or Empty.
    MessageUserProperty(Box<Expression>),
    /// Whether the client that asks a Rule has a user.
    LoggedIn,
    /// A property of the user that asks a Rule (`TEXT_DATA`), or Empty.
    UserProperty(String),
    /// Whether the user that asks a Rule is in a group.
    InGroup(String),
    /// Whether a module allows the request that a Rule is asked about. If the module denies it, the
    /// Rule denies it at once.
    ModuleAllows(String),
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
    /// `+` known to be a concatenation: canonical texts joined, `TEXT_LITERAL`. At least two parts,
    /// no two constants in a row.
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
    /// `x IN [a, b, …]`: equal to one of them, as `==` has it. A side that is one expression
    /// (`x IN {list}`) is [`Comparison::In`].
    OneOf {
        /// Evaluated once.
        value: Box<Expression>,
        /// Evaluated in order until one is equal.
        candidates: Vec<Candidate>,
    },
    /// `a AND b`; `b` only when `a` is true.
    And(Box<Expression>, Box<Expression>),
    /// `a OR b`; `b` only when `a` is false.
    Or(Box<Expression>, Box<Expression>),
    /// An explicit cast of §4; Empty stays Empty. It changes nothing when the operand's kinds are
    /// already those of the target.
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
    /// Every occurrence of one text replaced by another; an empty search text changes nothing.
    /// Empty stays Empty, as in every text transform, so that a FILTER without a match still skips
    /// the statement (OD-24).
    Replace {
        /// Text to search for.
        search: Box<Expression>,
        /// Text to put in its place.
        replacement: Box<Expression>,
        /// Where.
        value: Box<Expression>,
    },
    /// Unicode white space stripped from both ends; Empty stays Empty.
    Trim(Box<Expression>),
    /// `SPLIT x USING "sep" [AT n]`: the n-th piece, from 1 (Empty beyond the end), or all as a
    /// JSON array of texts.
    Split {
        /// The text.
        value: Box<Expression>,
        /// Separator, not empty.
        separator: String,
        /// Number of the piece, from 1; all pieces if there is none.
        at: Option<u32>,
    },
    /// In a Model: the value that `PUBLISH MODEL` assigned to a field or below it; Empty without
    /// one.
    Assigned(String),
    /// In a Model: whether anything was assigned to a field or below it.
    IsAssigned(String),
    /// Whether the value is Empty or Null.
    IsAbsent(Box<Expression>),
    /// In a Model: a cast to the field's type, which leaves Empty and Null unchanged.
    Fit {
        /// Target.
        to: CastKind,
        /// Operand.
        value: Box<Expression>,
    },
    /// In a Model: the value of a field without a type (§15): a number or truth value where the
    /// text looks like one.
    Inferred(Box<Expression>),
    /// A call of the small function set (OD-12); the number of arguments has been checked.
    Function {
        /// Which.
        function: Function,
        /// Arguments.
        arguments: Vec<Expression>,
    },
}

/// A question to a route that stores.
#[derive(Debug, Clone)]
pub struct Select {
    /// Name of the Route.
    pub route: String,
    /// The question as JSON, see `rows.select` in `wit/guest`: values of conditions are positions
    /// in [`parameters`](Self::parameters).
    pub query: String,
    /// Values that columns are compared with.
    pub parameters: Vec<Expression>,
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
    /// `CONTAINS`: the left canonical text has the right one in it. `NOT CONTAINS` is this inside
    /// [`ExpressionKind::Not`].
    Contains,
    /// `STARTS_WITH`.
    StartsWith,
    /// `ENDS_WITH`.
    EndsWith,
    /// `x IN y`: y is a JSON array (or text of one) with an element equal to x; otherwise its text
    /// contains that of x.
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

impl From<CastType> for CastKind {
    fn from(written: CastType) -> Self {
        match written {
            CastType::Int => CastKind::Int,
            CastType::Double => CastKind::Double,
            CastType::Bool => CastKind::Bool,
            CastType::String => CastKind::String,
            CastType::Timestamp => CastKind::Timestamp,
            CastType::Array => CastKind::Json(JsonShape::Array),
            CastType::Object => CastKind::Json(JsonShape::Object),
            CastType::Json => CastKind::Json(JsonShape::Any),
            CastType::Bytes => CastKind::Bytes,
        }
    }
}

/// Shape of JSON that a cast asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonShape {
    /// `AS JSON`: any.
    Any,
    /// `AS ARRAY`: an array or an object; a scalar becomes `[v]`.
    Array,
    /// `AS OBJECT`: an array or an object; a scalar becomes Null.
    Object,
}

/// A path into a JSON document.
#[derive(Debug, Clone)]
pub enum JsonPath {
    /// A literal path.
    Literal {
        /// As written. When the document is an object with this very text as a key, that member
        /// wins.
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

/// How `LOCAL TIMESTAMP` shows the clock, in the broker's time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalTimestampFormat {
    /// `2026-01-15T11:30:00.123+01:00`.
    Iso,
    /// `YEAR`, `HOUR`, … as Int.
    Part(DatePart),
    /// A well-formed custom pattern, as written.
    Pattern(String),
}

/// How `TIMESTAMP … OF x` shows a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownTimeFormat {
    /// In UTC.
    Utc(TimestampFormat),
    /// In the broker's time zone.
    Local(LocalTimestampFormat),
}

/// A part of the date and time as a number (OD-59).
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

/// Words about the publisher of the message of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublisherWord {
    /// `CLIENTID`, text.
    ClientId,
    /// `USER`, text.
    User,
}

/// Properties of messages of MQTT 5.0 that are there once, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageProperty {
    /// `RESPONSE TOPIC`, text.
    ResponseTopic,
    /// `CORRELATION DATA`, bytes of any kind; as a value they count as text, as the payload does.
    CorrelationData,
    /// `CONTENT TYPE`, text.
    ContentType,
    /// `MESSAGE EXPIRY`, Int: seconds that are left.
    MessageExpiry,
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
    /// Sine of an angle in radians (ours, as the next ones); Null where the result is no finite
    /// number.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Arc sine.
    Asin,
    /// Arc cosine.
    Acos,
    /// Arc tangent.
    Atan,
    /// Angle of a point, `ATAN2(y, x)`.
    Atan2,
    /// e to the power of the argument.
    Exp,
    /// Logarithm to base e.
    Ln,
    /// Logarithm to base 10.
    Log10,
    /// Power; Int where both arguments are and the result fits.
    Pow,
    /// Smallest of the arguments.
    Min,
    /// Largest of the arguments.
    Max,
    /// A list with a value behind its last member, as JSON (ours).
    Append,
    /// The last members of a list, as JSON (ours).
    Last,
    /// Sum of the members of a list by `num`; 0 of none (ours).
    Sum,
    /// Mean of the members of a list by `num`, Double; Null of none (ours).
    Mean,
    /// Standard deviation of the members of a list as a sample, Double; Null of fewer than two
    /// (ours).
    Stddev,
    /// The same, of them as a population; Null of none (ours).
    StddevPop,
}
