//! Inference of the kinds of every expression and variable.
//!
//! Kinds flow forward through the assignments of variables until nothing changes; sets only grow,
//! so this ends. Variables are taken over the whole Action, reads that may come before any
//! assignment add Empty.

use super::fold;
use super::kind::KindSet;
use super::tree::walk::PartMut;
use super::tree::{
    Action, Arithmetic, CastKind, Expression, ExpressionKind, Function, JsonShape, LocalTimestampFormat,
    MessageProperty, SessionWord, ShownTimeFormat, Statement, TimestampFormat, Variable,
};
use super::whole::{self, Bound};
use crate::function;
use crate::limits::INFERENCE_PASSES_MAX;

/// Fills in the kinds of the value of a Model, whose variables are known.
pub(super) fn of_value(value: &mut Expression, variables: &[Variable]) {
    expression(value, variables);
}

/// Fills in the kinds of an Action.
pub(super) fn kinds(action: &mut Action) {
    let mut variables = std::mem::take(&mut action.variables);
    whole::bounds(&action.body, &mut variables);
    for pass in 0.. {
        if pass >= INFERENCE_PASSES_MAX {
            variables.iter_mut().for_each(|variable| variable.kinds = KindSet::ANY);
        }
        let before: Vec<KindSet> = variables.iter().map(|variable| variable.kinds).collect();
        statements(&mut action.body, &mut variables);
        if variables.iter().map(|variable| variable.kinds).eq(before) {
            break;
        }
    }
    action.variables = variables;
}

fn assign(variables: &mut [Variable], id: super::tree::VariableId, kinds: KindSet) {
    if let Some(variable) = variables.get_mut(id.0 as usize) {
        variable.kinds |= kinds;
    }
}

fn statements(body: &mut [Statement], variables: &mut [Variable]) {
    for statement in body {
        statement.each_part_mut(&mut |part| match part {
            PartMut::Topic(topic, _) => topic.each_expression_mut(&mut |value| expression(value, variables)),
            PartMut::Value(value) => expression(value, variables),
            PartMut::Set(variable, value) => {
                expression(value, variables);
                assign(variables, variable, value.kinds);
            }
            PartMut::Received(variable, kinds) => assign(variables, variable, kinds),
            PartMut::Block(block, _) => statements(block, variables),
            PartMut::Need(_) => {}
        });
    }
}

/// Kinds of an expression and everything below it, bottom up.
fn expression(node: &mut Expression, variables: &[Variable]) {
    bounded(node, variables);
}

/// The same; the bound of a whole number that has one.
#[allow(clippy::wildcard_enum_match_arm, reason = "only the exceptions are named")]
fn bounded(node: &mut Expression, variables: &[Variable]) -> Option<Bound> {
    let bound = match &mut node.kind {
        ExpressionKind::Arithmetic { operator, left, right } => {
            let bounds = (bounded(left, variables), bounded(right, variables));
            bounds.0.zip(bounds.1).and_then(|bounds| whole::calculated(*operator, bounds, right))
        }
        ExpressionKind::Negate(operand) => bounded(operand, variables),
        ExpressionKind::If { condition, then, otherwise } => {
            expression(condition, variables);
            let bounds = (bounded(then, variables), bounded(otherwise, variables));
            bounds.0.zip(bounds.1).and_then(|(then, otherwise)| then.or(otherwise))
        }
        kind => {
            kind.each_child_mut(&mut |child| expression(child, variables));
            whole::leaf(kind, variables)
        }
    };
    if bound.is_some() {
        node.kinds = KindSet::INT;
        return bound;
    }
    match node.kind {
        // The check has already added the kinds of a read (Empty), and they stay.
        ExpressionKind::Variable(id) => {
            node.kinds |= variables.get(id.0 as usize).map_or(KindSet::ANY, |variable| variable.kinds);
        }
        // These depend on the trigger and were settled while checking.
        ExpressionKind::Payload | ExpressionKind::PayloadBytes | ExpressionKind::TopicName => {}
        _ => node.kinds |= kinds_of(&node.kind),
    }
    None
}

/// Returns the kinds of an expression, from the kinds of its children.
pub(super) fn kinds_of(kind: &ExpressionKind) -> KindSet {
    use ExpressionKind as Kind;
    match kind {
        Kind::Constant(constant) => fold::kinds(constant),
        Kind::Variable(_) => KindSet::NONE,
        Kind::Payload | Kind::TopicName | Kind::RandomUuid => KindSet::TEXT_DATA,
        Kind::PayloadBytes => KindSet::BYTES,
        Kind::TopicLevel(_)
        | Kind::TopicLevelAt(_)
        | Kind::GetTopic(_)
        | Kind::GetEnv(_)
        | Kind::GetSecret(_)
        | Kind::UserProperty(_)
        | Kind::MessageUserProperty(_)
        | Kind::FilterRegex { .. }
        | Kind::CsvField { .. }
        | Kind::Split { at: Some(_), .. } => KindSet::TEXT_DATA | KindSet::EMPTY,
        Kind::GetJson { .. } => KindSet::FROM_JSON,
        Kind::Select(_) => KindSet::FROM_JSON,
        Kind::Timestamp(format) => in_utc(format),
        Kind::LocalTimestamp(format) => in_local_time(format),
        Kind::TimestampOf { format, instant } => shown(format) | instant.kinds.without(KindSet::TIME),
        Kind::RandomInt { .. } => KindSet::INT,
        Kind::RandomDouble { .. } => KindSet::DOUBLE,
        Kind::Session(word) => session(*word),
        Kind::MessageProperty(MessageProperty::MessageExpiry) => KindSet::INT | KindSet::EMPTY,
        Kind::MessageProperty(_) => KindSet::TEXT_DATA | KindSet::EMPTY,
        Kind::Publisher(_) => KindSet::TEXT_LITERAL | KindSet::EMPTY,
        Kind::TopicExists(_)
        | Kind::LoggedIn
        | Kind::InGroup(_)
        | Kind::ModuleAllows(_)
        | Kind::Not(_)
        | Kind::Compare { .. }
        | Kind::IsEmpty(_)
        | Kind::IsAbsent(_)
        | Kind::IsAssigned(_)
        | Kind::MatchesRegex { .. }
        | Kind::OneOf { .. }
        | Kind::And(..)
        | Kind::Or(..) => KindSet::BOOL,
        Kind::Negate(value) if value.kinds.is(KindSet::DOUBLE) => KindSet::DOUBLE,
        Kind::Negate(_) => KindSet::NUMBER,
        Kind::Arithmetic { operator: Arithmetic::Add, left, right } => sum(left.kinds, right.kinds),
        Kind::Arithmetic { operator, left, right } => numbers(*operator, left, right),
        Kind::Concat(_) => KindSet::TEXT_LITERAL,
        Kind::Cast { to, value } => cast(*to, value.kinds),
        Kind::Fit { to, value } => cast(*to, value.kinds) | KindSet::NULL,
        Kind::Assigned(_) => KindSet::RETURNED,
        Kind::Inferred(value) => {
            value.kinds.without(KindSet::TEXT_DATA) | KindSet::NUMBER | KindSet::BOOL | KindSet::TEXT_LITERAL
        }
        Kind::If { then, otherwise, .. } => then.kinds | otherwise.kinds,
        Kind::Object(_) | Kind::Array(_) => KindSet::JSON,
        Kind::Replace { value, .. } | Kind::Trim(value) => KindSet::TEXT_DATA | empty_of(value.kinds),
        Kind::Split { at: None, value, .. } => KindSet::JSON | empty_of(value.kinds),
        Kind::Function { function, arguments } => called(*function, arguments),
    }
}

/// Kinds of the result of a function.
fn called(function: Function, arguments: &[Expression]) -> KindSet {
    let row = function::CALLS.iter().find(|row| row.function == function);
    let result = row.map_or(KindSet::ANY, |row| row.result);
    let keeps_empty = result.is(KindSet::TEXT);
    let first = arguments.first().filter(|_| keeps_empty);
    result | first.map_or(KindSet::NONE, |value| empty_of(value.kinds))
}

/// Kinds of a time in a format.
fn shown(format: &ShownTimeFormat) -> KindSet {
    match format {
        ShownTimeFormat::Utc(format) => in_utc(format),
        ShownTimeFormat::Local(format) => in_local_time(format),
    }
}

/// Returns the kinds of a formatted time in UTC.
fn in_utc(format: &TimestampFormat) -> KindSet {
    match format {
        TimestampFormat::Unix | TimestampFormat::UnixMs | TimestampFormat::Part(_) => KindSet::INT,
        TimestampFormat::Iso | TimestampFormat::Utc | TimestampFormat::Pattern(_) => KindSet::TEXT_DATA,
    }
}

/// Returns the kinds of a formatted local time.
fn in_local_time(format: &LocalTimestampFormat) -> KindSet {
    match format {
        LocalTimestampFormat::Part(_) => KindSet::INT,
        LocalTimestampFormat::Iso | LocalTimestampFormat::Pattern(_) => KindSet::TEXT_DATA,
    }
}

fn session(word: SessionWord) -> KindSet {
    match word {
        SessionWord::User => KindSet::TEXT_LITERAL | KindSet::EMPTY,
        SessionWord::CleanSession => KindSet::BOOL,
        SessionWord::SubscribeQos => KindSet::INT,
        SessionWord::ClientId
        | SessionWord::Endpoint
        | SessionWord::DisconnectReason
        | SessionWord::SubscribeTopic => KindSet::TEXT_LITERAL,
    }
}

/// `EMPTY` if it is among the kinds.
fn empty_of(kinds: KindSet) -> KindSet {
    if kinds.contains(KindSet::EMPTY) { KindSet::EMPTY } else { KindSet::NONE }
}

/// `- * / %`: numbers; Null after a division by zero, unless the divisor is a number literal other
/// than zero.
fn numbers(operator: Arithmetic, left: &Expression, right: &Expression) -> KindSet {
    let is_double = left.kinds.is(KindSet::DOUBLE) || right.kinds.is(KindSet::DOUBLE);
    let numbers = if is_double { KindSet::DOUBLE } else { KindSet::NUMBER };
    let divides = matches!(operator, Arithmetic::Divide | Arithmetic::Remainder);
    let is_safe = fold::constant(right)
        .is_some_and(|constant| fold::kinds(constant).is(KindSet::NUMBER) && !fold::is_zero(constant));
    if divides && !is_safe { numbers | KindSet::NULL } else { numbers }
}

/// `+`: a number when both sides can be one, text unless both must be.
fn sum(left: KindSet, right: KindSet) -> KindSet {
    let numeric = KindSet::NUMBER | KindSet::TEXT_DATA | KindSet::EMPTY;
    let mut result = KindSet::NONE;
    if left.intersects(numeric) && right.intersects(numeric) {
        let is_double = left.is(KindSet::DOUBLE) || right.is(KindSet::DOUBLE);
        result |= if is_double { KindSet::DOUBLE } else { KindSet::NUMBER };
    }
    let sure = |this: KindSet, other: KindSet| {
        this.is(KindSet::NUMBER | KindSet::EMPTY) && other.is(KindSet::NUMBER)
    };
    if !(sure(left, right) || sure(right, left)) {
        result |= KindSet::TEXT_LITERAL;
    }
    result
}

fn cast(to: CastKind, from: KindSet) -> KindSet {
    let target = match to {
        CastKind::Int => KindSet::INT,
        CastKind::Double => KindSet::DOUBLE,
        CastKind::Bool => KindSet::BOOL,
        CastKind::String => KindSet::TEXT_LITERAL,
        CastKind::Timestamp => KindSet::TIME | KindSet::NULL,
        CastKind::Json(JsonShape::Any) => KindSet::FROM_JSON,
        CastKind::Json(JsonShape::Array | JsonShape::Object) => KindSet::JSON | KindSet::NULL,
        CastKind::Bytes => KindSet::BYTES,
    };
    target | empty_of(from)
}

/// Whether it is RANDOM UUID, whose text has no `/`.
pub(super) fn is_uuid(kind: &ExpressionKind) -> bool {
    matches!(kind, ExpressionKind::RandomUuid)
}
