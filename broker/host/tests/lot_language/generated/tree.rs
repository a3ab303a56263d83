//! A generated program: a tree of its own, so that the test trusts neither the parser nor the
//! checker of the compiler.

/// Definitions, and what happens to them.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The actions; the first one gets the events. Callees follow.
    pub(super) actions: Vec<Action>,
    /// Models that actions publish, parents first.
    pub(super) models: Vec<Model>,
    /// The events, in order.
    pub(super) events: Vec<Event>,
    /// Last values when it begins.
    pub(super) topics: Vec<(String, Vec<u8>)>,
    /// Retained messages when it begins.
    pub(super) retained: Vec<(String, Vec<u8>)>,
    /// Seed of its spelling.
    pub(super) spelling: u64,
}

/// `DEFINE ACTION`.
#[derive(Debug, Clone)]
pub(super) struct Action {
    pub(super) name: String,
    pub(super) trigger: Trigger,
    pub(super) body: Vec<Statement>,
}

/// Trigger of an action.
#[derive(Debug, Clone)]
pub(super) enum Trigger {
    /// `ON TOPIC`, with one filter or several.
    Topic(Vec<String>),
    Start,
    Timer,
    Connect,
    Disconnect,
    Subscribe,
    Callable {
        inputs: Vec<(String, Option<Type>)>,
        outputs: Vec<String>,
    },
}

/// Something that starts the first action, or a model.
#[derive(Clone)]
pub(super) enum Event {
    Message { topic: String, payload: Vec<u8>, from_client: bool },
    Start,
    Timer,
    Connected,
    Disconnected,
    Subscribed,
    Call { inputs: Vec<(String, Input)> },
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Event::Message { topic, payload, .. } => write!(f, "{topic}={}", payload.escape_ascii()),
            Event::Start => f.write_str("start"),
            Event::Timer => f.write_str("timer"),
            Event::Connected => f.write_str("connected"),
            Event::Disconnected => f.write_str("disconnected"),
            Event::Subscribed => f.write_str("subscribed"),
            Event::Call { inputs } => write!(f, "call {inputs:?}"),
        }
    }
}

/// A value that a caller from outside hands over.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Int(i64),
    Double(f64),
    Bool(bool),
    Text(String),
    Json(String),
    Null,
}

/// A statement, and the line on which it was printed last.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) kind: StatementKind,
    pub(super) line: u32,
}

#[derive(Debug, Clone)]
pub(super) enum StatementKind {
    Set {
        name: String,
        value: Expression,
    },
    Publish {
        topic: Topic,
        value: Expression,
        qos: u8,
        retain: bool,
    },
    Keep {
        topic: Topic,
        value: Expression,
    },
    KeepEnv {
        name: String,
        value: Expression,
    },
    DeleteEnv {
        name: String,
    },
    DeleteTopic {
        topic: String,
    },
    If {
        branches: Vec<(Expression, Vec<Statement>)>,
        otherwise: Option<Vec<Statement>>,
    },
    Switch {
        value: Expression,
        cases: Vec<(Vec<Expression>, Vec<Statement>)>,
        default: Option<Vec<Statement>>,
    },
    Loop {
        body: Vec<Statement>,
        until: Expression,
    },
    Call {
        name: String,
        arguments: Vec<(String, Expression)>,
        returns: Vec<String>,
    },
    PublishModel {
        name: String,
        topic: Topic,
        assignments: Vec<(String, Expression)>,
    },
}

/// A topic operand.
#[derive(Debug, Clone)]
pub(super) enum Topic {
    /// `"a/+/{x}"`.
    Literal(String),
    /// `"a/" + {x} + "/b"`: begins with a literal; variables stand between literals (§5.4).
    Parts(Vec<TopicPart>),
    /// `(value)`.
    Value(Box<Expression>),
}

#[derive(Debug, Clone)]
pub(super) enum TopicPart {
    Literal(String),
    Variable(String),
    Position(i64),
    Payload,
}

#[derive(Debug, Clone)]
pub(super) enum Expression {
    /// At least 0.
    Int(i64),
    /// At least 0.
    Double(f64),
    Text(String),
    Bool(bool),
    Null,
    Empty,
    Variable(String),
    /// `{name.path}`.
    Member(String, String),
    /// A field, in a model.
    Field(String),
    Payload,
    Topic,
    Result,
    Session(&'static str),
    Position(Box<Expression>),
    GetTopic(Box<Topic>),
    TopicExists(Box<Topic>),
    GetJson {
        path: String,
        source: Option<Box<Expression>>,
    },
    GetEnv(String),
    Timestamp(Option<&'static str>),
    /// `RANDOM INT BETWEEN n AND n`.
    Random(i64),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `x == EMPTY`, `x IS NOT EMPTY`.
    IsEmpty {
        value: Box<Expression>,
        negated: bool,
    },
    MatchesRegex(Box<Expression>, &'static str),
    In(Box<Expression>, Vec<Expression>),
    Cast(Box<Expression>, Type),
    If {
        condition: Box<Expression>,
        then: Box<Expression>,
        otherwise: Option<Box<Expression>>,
    },
    Object(Vec<(String, Expression)>),
    Array(Vec<Expression>),
    Apply(Transform, Box<Expression>),
    Function(Function, Vec<Expression>),
}

impl Expression {
    /// Returns the operands of the expression.
    pub(super) fn operands_mut(&mut self) -> Vec<&mut Expression> {
        use Expression as E;
        match self {
            E::Negate(operand) | E::Not(operand) | E::Cast(operand, _) | E::MatchesRegex(operand, _) => {
                vec![operand]
            }
            E::IsEmpty { value, .. } => vec![value],
            E::Binary(_, left, right) => vec![left, right],
            E::In(value, candidates) => std::iter::once(&mut **value).chain(candidates).collect(),
            E::If { condition, then, otherwise } => {
                [condition, then].into_iter().chain(otherwise).map(|operand| &mut **operand).collect()
            }
            E::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
            E::Array(elements) | E::Function(_, elements) => elements.iter_mut().collect(),
            E::Apply(Transform::Replace(search, replacement), operand) => vec![operand, search, replacement],
            E::Apply(_, operand) => vec![operand],
            E::GetJson { source: Some(source), .. } => vec![source],
            E::GetTopic(topic) | E::TopicExists(topic) => match topic.as_mut() {
                Topic::Value(value) => vec![value],
                Topic::Literal(_) | Topic::Parts(_) => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    Matches,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Int,
    Double,
    Bool,
    String,
    Timestamp,
    Array,
    Object,
    Json,
    Bytes,
}

#[derive(Debug, Clone)]
pub(super) enum Transform {
    FilterRegex(&'static str),
    FilterCsv(u32),
    Replace(Box<Expression>, Box<Expression>),
    Trim,
    Split { separator: &'static str, at: Option<u32> },
    Upper,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Upper,
    Lower,
    Length,
    Abs,
    Round,
    Floor,
    Ceil,
    Sqrt,
    Min,
    Max,
}

/// `DEFINE MODEL`.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) parent: Option<String>,
    pub(super) base: Option<String>,
    pub(super) collapsed: bool,
    pub(super) retain: bool,
    pub(super) qos: Option<u8>,
    pub(super) fields: Vec<Field>,
}

/// `ADD …`.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// `None` is the v1 form without a type.
    pub(super) kind: Option<Type>,
    pub(super) source: FieldSource,
}

#[derive(Debug, Clone)]
pub(super) enum FieldSource {
    None,
    Topic {
        topic: String,
        is_trigger: bool,
    },
    Value(Expression),
    /// Fields of an OBJECT.
    Children(Vec<Field>),
}
