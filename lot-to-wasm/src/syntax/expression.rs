//! Expressions in the syntax tree (LoT reference §3, §5).

use super::{Name, Span};
use crate::check::tree::{Function, MessageProperty, SessionWord, SettingStore};

/// A string literal with its escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub value: String,
    /// Place of the text, with its quotes.
    pub span: Span,
}

/// An expression with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// Kind of the expression, with its operands.
    pub kind: ExpressionKind,
    /// Place of the expression.
    pub span: Span,
    /// Height of this tree, at least 1, at most [`TREE_DEPTH_MAX`](crate::limits::TREE_DEPTH_MAX).
    pub depth: u16,
}

/// Kind of an expression. Parentheses leave no trace.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpressionKind {
    /// Could not be read; a reported error has the reason.
    Invalid,
    /// A whole number that fits 64 bits.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// A string literal.
    Text(String),
    /// `TRUE`, `FALSE`.
    Bool(bool),
    /// `NULL`.
    Null,
    /// `EMPTY`.
    Empty,
    /// `{name}` or `{name.a[0]}` (OD-9).
    Variable(Path),
    /// A bare name or path: a field in a Model, a v1 variable in an Action (OD-62), text in a
    /// Route.
    Name(Path),
    /// `PAYLOAD`.
    Payload,
    /// `TOPIC` alone.
    Topic,
    /// `RESULT`.
    Result,
    /// `CLIENTID`, `USER`, …
    Session(SessionWord),
    /// `WINDOW COUNT`, `WINDOW MEAN`, …, by the second word.
    WindowFigure(&'static str),
    /// `RESPONSE TOPIC`, `CORRELATION DATA`, …
    MessageProperty(MessageProperty),
    /// `USER PROPERTY name`.
    UserProperty(Box<Expression>),
    /// `TOPIC POSITION n`.
    TopicPosition(Box<Expression>),
    /// `TOPIC EXISTS t`.
    TopicExists(Box<TopicOperand>),
    /// `GET TOPIC t`.
    GetTopic(Box<TopicOperand>),
    /// A live topic as a member of a JSON literal, only in a model's field.
    LiveTopic(Box<Text>),
    /// `GET JSON path [IN source]`, also `PAYLOAD JSON path`.
    GetJson {
        /// A string literal, a variable.
        path: Box<Expression>,
        /// The document; PAYLOAD when absent.
        source: Option<Box<Expression>>,
    },
    /// `GET ENV "N"`, `GET SECRET "N"`.
    GetSetting(SettingStore, Box<Text>),
    /// `GET MODEL …`.
    GetModel(Box<ModelQuery>),
    /// `TIMESTAMP ["F"]`.
    Timestamp(Option<Box<Text>>),
    /// `LOCAL TIMESTAMP ["F"]`.
    LocalTimestamp(Option<Box<Text>>),
    /// `[LOCAL] TIMESTAMP ["F"] OF x`.
    TimestampOf(Box<TimestampOf>),
    /// `RANDOM …`.
    Random(Box<Random>),
    /// `-x`.
    Negate(Box<Expression>),
    /// `NOT x`.
    Not(Box<Expression>),
    /// Two operands.
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// Left side.
        left: Box<Expression>,
        /// Right side.
        right: Box<Expression>,
    },
    /// `x AS T`.
    Cast {
        /// Operand.
        value: Box<Expression>,
        /// Target.
        to: CastType,
    },
    /// `IF c THEN a [ELSE b]`.
    If {
        /// The condition.
        condition: Box<Expression>,
        /// Value when true.
        then: Box<Expression>,
        /// Value when false.
        otherwise: Option<Box<Expression>>,
    },
    /// `{ "a": x }`.
    Object(Vec<Member>),
    /// `[a, b]`.
    Array(Vec<Expression>),
    /// A text transform of a value, in prefix form or after `AND_THEN`.
    Apply {
        /// Transform to apply.
        transform: Box<Transform>,
        /// Value to transform.
        value: Box<Expression>,
    },
    /// `UPPER(x)`, `MIN(a, b)`, …
    Call {
        /// Function to call.
        function: Function,
        /// Arguments.
        arguments: Vec<Expression>,
    },
}

/// A member of a JSON object literal.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its key.
    pub key: Text,
    /// Its value.
    pub value: Expression,
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `OR`.
    Or,
    /// `AND`.
    And,
    /// `==`, `=`, `EQUALS`, `EQUAL`, `IS`.
    Equal,
    /// `!=`, `<>`, `NOT EQUALS`, `IS NOT`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// `CONTAINS`.
    Contains,
    /// `NOT CONTAINS`.
    NotContains,
    /// `STARTS_WITH`.
    StartsWith,
    /// `ENDS_WITH`.
    EndsWith,
    /// `MATCHES` without REGEX: text equality.
    Matches,
    /// `MATCHES REGEX`.
    MatchesRegex,
    /// `IN`.
    In,
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `%`.
    Remainder,
}

/// Targets of `AS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastType {
    /// `INT`.
    Int,
    /// `DOUBLE`, `FLOAT`.
    Double,
    /// `BOOL`.
    Bool,
    /// `STRING`.
    String,
    /// `TIMESTAMP`.
    Timestamp,
    /// `ARRAY`.
    Array,
    /// `OBJECT`.
    Object,
    /// `JSON`.
    Json,
    /// `BYTES`.
    Bytes,
}

/// A topic: the concatenation of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicOperand {
    /// At least one.
    pub parts: Vec<Expression>,
    /// From the first to the last part.
    pub span: Span,
}

/// `a.b[0].c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The first name.
    pub name: String,
    /// Steps behind the first name.
    pub steps: Vec<PathStep>,
    /// Place of the path, without braces.
    pub span: Span,
}

impl Path {
    /// The path as `GET JSON` would write it, without the first name.
    pub fn json_path(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            match step {
                PathStep::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                PathStep::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        for step in &self.steps {
            match step {
                PathStep::Key(key) => write!(f, ".{key}")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// `.name`.
    Key(String),
    /// `[n]`, from 0.
    Index(u32),
}

/// `RANDOM …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Random {
    /// Kind of the random value.
    pub kind: RandomKind,
    /// Bounds of BETWEEN, none for UUID.
    pub bounds: Option<(Expression, Expression)>,
}

/// Kind of random value that `RANDOM` draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RandomKind {
    /// `RANDOM UUID`.
    Uuid,
    /// `RANDOM INT BETWEEN`.
    Int,
    /// `RANDOM DOUBLE BETWEEN`.
    Double,
    /// `RANDOM BETWEEN`: INT when both bounds are integer literals.
    Untyped,
}

/// `GET MODEL "M" FROM "R" WHERE … ORDER BY … LIMIT n`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelQuery {
    /// The Model.
    pub model: Name,
    /// The Route.
    pub route: Name,
    /// The filter; columns are [`ExpressionKind::Name`].
    pub filter: Option<Expression>,
    /// `ORDER BY column`, and whether it is descending.
    pub order: Option<(Name, bool)>,
    /// `LIMIT n`.
    pub limit: Option<u32>,
}

/// Operation of a text transform (§5.3).
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// `FILTER … USING REGEX "re"`.
    FilterRegex(Text),
    /// `FILTER … USING CSV "n"`.
    FilterCsv(Text),
    /// `REPLACE a WITH b IN …`.
    Replace {
        /// Text to search for.
        search: Expression,
        /// Text to put in its place.
        replacement: Expression,
    },
    /// `TRIM`.
    Trim,
    /// `SPLIT … USING "sep" AT n`.
    Split {
        /// Separator; `CSV` and none are a comma.
        separator: Option<Text>,
        /// Number of the piece.
        at: Option<(u32, Span)>,
    },
}

/// Another time than now, as text or number.
#[derive(Debug, Clone, PartialEq)]
pub struct TimestampOf {
    /// On the clocks of the broker's time zone; else in UTC.
    pub is_local: bool,
    /// The pattern.
    pub format: Option<Box<Text>>,
    /// The time.
    pub instant: Expression,
}

impl CastType {
    /// The word after `AS`; of several that mean the same the newer one.
    pub fn word(self) -> &'static str {
        match self {
            CastType::Int => "INT",
            CastType::Double => "DOUBLE",
            CastType::Bool => "BOOL",
            CastType::String => "STRING",
            CastType::Timestamp => "TIMESTAMP",
            CastType::Array => "ARRAY",
            CastType::Object => "OBJECT",
            CastType::Json => "JSON",
            CastType::Bytes => "BYTES",
        }
    }
}

impl ExpressionKind {
    /// Height of the highest tree directly below; 0 for a leaf.
    pub(crate) fn children_depth(&self) -> u16 {
        let mut highest = 0;
        self.each_child(&mut |child| highest = child.depth.max(highest));
        highest
    }

    /// Calls `visit` for each expression directly below, in source order but for those of a
    /// transform, whose value comes last.
    pub(crate) fn each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expression)) {
        use ExpressionKind as Kind;
        match self {
            Kind::Invalid
            | Kind::Int(_)
            | Kind::Double(_)
            | Kind::Text(_)
            | Kind::Bool(_)
            | Kind::Null
            | Kind::Empty
            | Kind::Variable(_)
            | Kind::Name(_)
            | Kind::Payload
            | Kind::Topic
            | Kind::Result
            | Kind::Session(_)
            | Kind::WindowFigure(_)
            | Kind::MessageProperty(_)
            | Kind::LiveTopic(_)
            | Kind::GetSetting(..)
            | Kind::Timestamp(_)
            | Kind::LocalTimestamp(_) => {}
            Kind::TopicPosition(value)
            | Kind::UserProperty(value)
            | Kind::Negate(value)
            | Kind::Not(value)
            | Kind::Cast { value, .. } => visit(value),
            Kind::TimestampOf(shown) => visit(&shown.instant),
            Kind::TopicExists(topic) | Kind::GetTopic(topic) => topic.parts.iter().for_each(visit),
            Kind::GetJson { path, source } => {
                visit(path);
                source.iter().for_each(|source| visit(source));
            }
            Kind::GetModel(query) => query.filter.iter().for_each(visit),
            Kind::Random(random) => random.bounds.iter().for_each(|(low, high)| {
                visit(low);
                visit(high);
            }),
            Kind::Binary { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Kind::If { condition, then, otherwise } => {
                visit(condition);
                visit(then);
                otherwise.iter().for_each(|value| visit(value));
            }
            Kind::Object(members) => members.iter().for_each(|member| visit(&member.value)),
            Kind::Array(elements) => elements.iter().for_each(visit),
            Kind::Call { arguments, .. } => arguments.iter().for_each(visit),
            Kind::Apply { transform, value } => {
                if let Transform::Replace { search, replacement } = transform.as_ref() {
                    visit(search);
                    visit(replacement);
                }
                visit(value);
            }
        }
    }
}
