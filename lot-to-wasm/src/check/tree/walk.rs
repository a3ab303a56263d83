//! Walkers over the checked tree, which visit its parts whatever they are parts of.
//!
//! The file of each statement lists the parts of the statement ([`statement`](crate::statement)).
//! This file lists the parts of an expression.
//!
//! Not here: the syntax tree.

use super::{
    Candidate, Expression, ExpressionKind, JsonPath, SettingStore, Statement, Topic, TopicPart, VariableId,
};
use crate::check::TopicUse;
use crate::check::kind::KindSet;

/// How often a block is carried out when its statement is, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Once.
    Once,
    /// By all loops of a run together so often.
    Passes(u64),
    /// The number depends on the data.
    Unknown,
}

/// Resource that a statement needs from the broker beside its topics and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need<'a> {
    /// A number of steps that depends on the data.
    Unbounded,
    /// The payload of the message.
    Payload,
    /// Properties of the message, or of a published message.
    Properties,
    /// A named setting.
    Setting(SettingStore, &'a str),
    /// A Route.
    Route,
    /// An Action.
    Action(&'a str),
    /// A function of Python, `Script.function`.
    Python(&'a str),
    /// A module.
    Module(&'a str),
    /// A Model.
    Model(&'a str),
}

/// Direct part of a statement: topics `T`, expressions `E`, and blocks `B` of statements.
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

/// Both walkers of a statement of the checked tree ([`Executable`](crate::statement::Executable)),
/// from one description of its direct parts.
macro_rules! parts {
    (|$node:pat_param, $visit:ident| $body:block) => {
        fn each_part<'a>(&'a self, $visit: &mut dyn FnMut($crate::check::tree::walk::PartRef<'a>)) {
            let $node = self;
            $body
        }

        fn each_part_mut<'a>(&'a mut self, $visit: &mut dyn FnMut($crate::check::tree::walk::PartMut<'a>)) {
            let $node = self;
            $body
        }
    };
}
pub(crate) use parts;

impl Statement {
    /// Calls `visit` for each part directly in this statement, in the order in which a run comes to
    /// them.
    pub(crate) fn each_part<'a>(&'a self, visit: &mut dyn FnMut(PartRef<'a>)) {
        self.kind.executable().each_part(visit);
    }

    /// The same, to change them.
    pub(crate) fn each_part_mut<'a>(&'a mut self, visit: &mut dyn FnMut(PartMut<'a>)) {
        self.kind.executable_mut().each_part_mut(visit);
    }

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
    /// Its value; `None` for a value that comes from elsewhere.
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
            | Kind::LocalTimestamp(_)
            | Kind::RandomUuid
            | Kind::Assigned(_)
            | Kind::IsAssigned(_)
            | Kind::Session(_)
            | Kind::Publisher(_)
            | Kind::MessageProperty(_)
            | Kind::LoggedIn
            | Kind::UserProperty(_)
            | Kind::InGroup(_)
            | Kind::ModuleAllows(_) => {}
            Kind::TopicLevelAt(value)
            | Kind::MessageUserProperty(value)
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
            | Kind::TimestampOf { instant: value, .. }
            | Kind::Cast { value, .. } => visit(value),
            Kind::TopicExists(topic) | Kind::GetTopic(topic) => topic.each_expression_mut(visit),
            Kind::GetJson { path, source } => {
                if let JsonPath::Computed(path) = path {
                    visit(path);
                }
                visit(source);
            }
            Kind::RandomInt { low: left, high: right }
            | Kind::RandomDouble { low: left, high: right }
            | Kind::Arithmetic { left, right, .. }
            | Kind::Compare { left, right, .. }
            | Kind::And(left, right)
            | Kind::Or(left, right) => {
                visit(left);
                visit(right);
            }
            Kind::Concat(parts) | Kind::Array(parts) | Kind::Function { arguments: parts, .. } => {
                parts.iter_mut().for_each(visit);
            }
            Kind::Select(select) => select.parameters.iter_mut().for_each(visit),
            Kind::OneOf { value, candidates } => {
                visit(value);
                candidates.iter_mut().filter_map(Candidate::value_mut).for_each(visit);
            }
            Kind::Object(members) => members.iter_mut().for_each(|(_, value)| visit(value)),
            Kind::If { condition: first, then: second, otherwise: third }
            | Kind::Replace { search: first, replacement: second, value: third } => {
                [first, second, third].into_iter().for_each(|child| visit(child));
            }
        }
    }
}
