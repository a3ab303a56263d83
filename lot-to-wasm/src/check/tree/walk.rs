//! What is directly in a statement or an expression of the checked tree: the one place that takes all of them apart for those who only walk.
//!
//! Not here: the syntax tree ([`statement`](crate::statement)).

use super::{
    Candidate, Expression, ExpressionKind, JsonPath, SettingStore, Statement, StatementKind, Topic,
    TopicPart, VariableId,
};
use crate::check::TopicUse;
use crate::check::kind::KindSet;
use crate::limits::LOOP_PASSES_MAX;

/// How often a block is carried out when its statement is, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Once.
    Once,
    /// By all loops of a run together so often.
    Passes(u64),
    /// As often as the data say.
    Unknown,
}

/// What a statement needs of the broker beside its topics and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need<'a> {
    /// As many steps as the data say.
    Unbounded,
    /// The payload of the message.
    Payload,
    /// A named setting.
    Setting(SettingStore, &'a str),
    /// A Route.
    Route,
    /// An Action.
    Action(&'a str),
    /// A function of Python, `Script.function`.
    Python(&'a str),
    /// A Model.
    Model(&'a str),
}

/// What is directly in a statement: topics `T`, expressions `E`, and blocks `B` of statements.
pub(crate) enum Part<'a, T, E, B> {
    /// A topic that is written.
    Topic(T, TopicUse),
    /// A value that is computed.
    Value(E),
    /// A value that is computed and assigned to the variable.
    Set(VariableId, E),
    /// A value of these kinds that comes from elsewhere and is assigned to the variable.
    Received(VariableId, KindSet),
    /// Statements.
    Block(B, Times),
    /// Something that the broker has to have.
    Need(Need<'a>),
}

/// A part to be read.
pub(crate) type PartRef<'a> = Part<'a, &'a Topic, &'a Expression, &'a [Statement]>;

/// A part to be changed.
pub(crate) type PartMut<'a> = Part<'a, &'a mut Topic, &'a mut Expression, &'a mut [Statement]>;

macro_rules! each_part {
    ($Part:ident, $each_part:ident, [$($of:tt)+], [$($borrow:tt)+], $iter:ident, $value:ident) => {
        impl Statement {
            /// Calls `visit` for each part directly in this statement, in the order in which a run comes to them.
            pub(crate) fn $each_part<'a>($($of)+ self, visit: &mut dyn FnMut($Part<'a>)) {
                match $($borrow)+ self.kind {
                    StatementKind::Set { variable, value } => visit(Part::Set(*variable, value)),
                    StatementKind::PublishTopic { topic, value, .. } => {
                        visit(Part::Topic(topic, TopicUse::Publish));
                        visit(Part::Value(value));
                    }
                    StatementKind::ToRoute { topic, value, .. } => {
                        visit(Part::Need(Need::Route));
                        visit(Part::Topic(topic, TopicUse::Publish));
                        visit(Part::Value(value));
                    }
                    StatementKind::KeepTopic { topic, value, .. } => {
                        visit(Part::Topic(topic, TopicUse::Keep));
                        visit(Part::Value(value));
                    }
                    StatementKind::DeleteTopic { topic } => visit(Part::Topic(topic, TopicUse::Keep)),
                    StatementKind::KeepSetting { store, name, value, .. } => {
                        visit(Part::Need(Need::Setting(*store, name)));
                        visit(Part::Value(value));
                    }
                    StatementKind::DeleteSetting { store, name } => visit(Part::Need(Need::Setting(*store, name))),
                    StatementKind::If { branches, otherwise } => {
                        for branch in branches {
                            visit(Part::Value($($borrow)+ branch.condition));
                            visit(Part::Block($($borrow)+ branch.body, Times::Once));
                        }
                        visit(Part::Block(otherwise, Times::Once));
                    }
                    StatementKind::Switch { subject, cases, otherwise } => {
                        visit(Part::Value(subject));
                        for case in cases {
                            case.candidates.$iter().filter_map(Candidate::$value).for_each(|value| visit(Part::Value(value)));
                            visit(Part::Block($($borrow)+ case.body, Times::Once));
                        }
                        visit(Part::Block(otherwise, Times::Once));
                    }
                    StatementKind::Loop { body, until, .. } => {
                        visit(Part::Need(Need::Unbounded));
                        visit(Part::Block(body, Times::Passes(u64::from(LOOP_PASSES_MAX))));
                        visit(Part::Value(until));
                    }
                    StatementKind::CallAction { name, arguments, returns, result } => {
                        visit(Part::Need(Need::Action(name)));
                        arguments.$iter().for_each(|argument| visit(Part::Value($($borrow)+ argument.value)));
                        for variable in returns.iter().chain(result.iter()) {
                            visit(Part::Received(*variable, KindSet::RETURNED));
                        }
                    }
                    StatementKind::CallPython { function, arguments, result } => {
                        visit(Part::Need(Need::Python(function)));
                        arguments.$iter().for_each(|argument| visit(Part::Value(argument)));
                        result.iter().for_each(|variable| visit(Part::Received(*variable, KindSet::RETURNED)));
                    }
                    StatementKind::Verdict(_) => {}
                    StatementKind::PublishModel { model, topic, assignments } => {
                        visit(Part::Need(Need::Model(model)));
                        visit(Part::Topic(topic, TopicUse::Publish));
                        assignments.$iter().for_each(|assignment| visit(Part::Value($($borrow)+ assignment.value)));
                    }
                    // As many passes as the list has elements, which the data bound, as they do GET JSON.
                    StatementKind::ForEach { list, element, body, item, result } => {
                        visit(Part::Value(list));
                        visit(Part::Received(*element, KindSet::FROM_JSON));
                        visit(Part::Block(body, Times::Unknown));
                        visit(Part::Value(item));
                        visit(Part::Received(*result, KindSet::JSON));
                    }
                    StatementKind::Split { .. } => visit(Part::Need(Need::Payload)),
                }
            }
        }
    };
}

each_part!(PartRef, each_part, [&'a], [&], iter, value);
each_part!(PartMut, each_part_mut, [&'a mut], [&mut], iter_mut, value_mut);

impl Statement {
    /// Calls `visit` for each block of statements directly in this one.
    pub(crate) fn each_block<'a>(&'a self, visit: &mut dyn FnMut(&'a [Statement])) {
        self.each_part(&mut |part| {
            if let Part::Block(block, _) = part {
                visit(block);
            }
        });
    }
}

impl Topic {
    /// Calls `visit` for each expression directly in this topic.
    pub(crate) fn each_expression_mut(&mut self, visit: &mut dyn FnMut(&mut Expression)) {
        for part in &mut self.parts {
            if let TopicPart::Value(value) = part {
                visit(value);
            }
        }
    }
}

/// An assignment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Assignment<'a> {
    /// The variable.
    pub(crate) variable: VariableId,
    /// Its value; `None` for what comes from elsewhere.
    pub(crate) value: Option<&'a Expression>,
    /// How often it is carried out in a run, at most; `None` when that is not known.
    pub(crate) times: Option<u64>,
}

/// Every assignment of a body and of the blocks in it, in source order.
pub(crate) fn assigned(body: &[Statement]) -> Vec<Assignment<'_>> {
    let mut found = Vec::new();
    collect(body, Some(1), &mut found);
    found
}

fn collect<'a>(body: &'a [Statement], times: Option<u64>, found: &mut Vec<Assignment<'a>>) {
    for statement in body {
        statement.each_part(&mut |part| match part {
            Part::Set(variable, value) => found.push(Assignment { variable, value: Some(value), times }),
            Part::Received(variable, _) => found.push(Assignment { variable, value: None, times }),
            Part::Block(block, Times::Once) => collect(block, times, found),
            Part::Block(block, Times::Passes(passes)) => collect(block, times.map(|_| passes), found),
            Part::Block(block, Times::Unknown) => collect(block, None, found),
            Part::Topic(..) | Part::Value(_) | Part::Need(_) => {}
        });
    }
}

impl ExpressionKind {
    /// Calls `visit` for each direct child, those inside topics too.
    pub(crate) fn each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Expression)) {
        use ExpressionKind as Kind;
        match self {
            Kind::Constant(_)
            | Kind::Variable(_)
            | Kind::Payload
            | Kind::PayloadBytes
            | Kind::TopicName
            | Kind::TopicLevel(_)
            | Kind::GetEnv(_)
            | Kind::GetSecret(_)
            | Kind::Timestamp(_)
            | Kind::RandomUuid
            | Kind::Assigned(_)
            | Kind::IsAssigned(_)
            | Kind::Session(_)
            | Kind::LoggedIn
            | Kind::UserProperty(_)
            | Kind::InGroup(_) => {}
            Kind::TopicLevelAt(value)
            | Kind::Negate(value)
            | Kind::Not(value)
            | Kind::IsEmpty(value)
            | Kind::Trim(value)
            | Kind::MatchesRegex { value, .. }
            | Kind::FilterRegex { value, .. }
            | Kind::CsvField { value, .. }
            | Kind::Split { value, .. }
            | Kind::IsAbsent(value)
            | Kind::Inferred(value)
            | Kind::Fit { value, .. }
            | Kind::Cast { value, .. } => visit(value),
            Kind::TopicExists(topic) | Kind::GetTopic(topic) => topic.each_expression_mut(visit),
            Kind::GetJson { path, source } => {
                if let JsonPath::Computed(path) = path {
                    visit(path);
                }
                visit(source);
            }
            Kind::RandomInt { low, high } | Kind::RandomDouble { low, high } => {
                visit(low);
                visit(high);
            }
            Kind::Arithmetic { left, right, .. }
            | Kind::Compare { left, right, .. }
            | Kind::And(left, right)
            | Kind::Or(left, right) => {
                visit(left);
                visit(right);
            }
            Kind::Concat(parts) | Kind::Array(parts) => parts.iter_mut().for_each(visit),
            Kind::Select(select) => select.parameters.iter_mut().for_each(visit),
            Kind::Function { arguments, .. } => arguments.iter_mut().for_each(visit),
            Kind::OneOf { value, candidates } => {
                visit(value);
                candidates.iter_mut().filter_map(Candidate::value_mut).for_each(visit);
            }
            Kind::If { condition, then, otherwise } => {
                visit(condition);
                visit(then);
                visit(otherwise);
            }
            Kind::Object(members) => members.iter_mut().for_each(|(_, value)| visit(value)),
            Kind::Replace { search, replacement, value } => {
                visit(search);
                visit(replacement);
                visit(value);
            }
        }
    }
}
