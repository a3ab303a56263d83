//! Rules in the syntax tree (LoT reference §3, §10).

use super::expression::{BinaryOperator, Expression, Text, TopicOperand};
use super::{Name, Span};

/// `DEFINE RULE`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefineRule {
    /// Its name.
    pub name: Name,
    /// `WITH PRIORITY n`, lowest first.
    pub priority: i64,
    /// `FOR scope`, as written.
    pub scope: Name,
    /// `TO TOPIC "pattern"`.
    pub topic: Option<Text>,
    /// Decision of the rule; `None` only after an error.
    pub body: Option<RuleBody>,
}

/// Decision of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleBody {
    /// `ALLOW` or `DENY`.
    Verdict(Verdict),
    /// `IF … THEN …`; no branch and no ELSE = nothing is decided.
    If {
        /// At least one.
        branches: Vec<(RuleCondition, RuleBody)>,
        /// `ELSE`.
        otherwise: Option<Box<RuleBody>>,
    },
}

/// Verdict of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `ALLOW`.
    Allow,
    /// `DENY`.
    Deny,
}

impl RuleBody {
    /// Whether some condition leads to this verdict.
    pub(crate) fn says(&self, verdict: Verdict) -> bool {
        match self {
            RuleBody::Verdict(said) => *said == verdict,
            RuleBody::If { branches, otherwise } => {
                branches.iter().any(|(_, body)| body.says(verdict))
                    || otherwise.as_ref().is_some_and(|body| body.says(verdict))
            }
        }
    }
}

/// A condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleCondition {
    /// Kind of the condition, with its operands.
    pub kind: RuleConditionKind,
    /// Place of the condition.
    pub span: Span,
    /// Height of its tree, at most [`TREE_DEPTH_MAX`](crate::limits::TREE_DEPTH_MAX).
    pub depth: u16,
}

/// Kind of a condition of a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleConditionKind {
    /// Could not be read.
    Invalid,
    /// `a OR b`.
    Or(Box<RuleCondition>, Box<RuleCondition>),
    /// `a AND b`.
    And(Box<RuleCondition>, Box<RuleCondition>),
    /// `NOT a`.
    Not(Box<RuleCondition>),
    /// `USER IS [NOT] "n"`.
    UserIs {
        /// `IS NOT`.
        negated: bool,
        /// The name.
        name: Text,
    },
    /// `USER HAS [NOT] p [cmp v]`.
    UserHas {
        /// `HAS NOT`.
        negated: bool,
        /// The property.
        property: Name,
        /// Comparison of its value; `None` = its truth.
        compare: Option<(BinaryOperator, Expression)>,
    },
    /// `USER [NOT] IN GROUP "g"`.
    InGroup {
        /// `NOT IN`.
        negated: bool,
        /// The group.
        group: Text,
    },
    /// `MODULE "m"`: whether a module allows it.
    Module(Text),
    /// `TOPIC EXISTS t`.
    TopicExists(TopicOperand),
    /// `CLIENTID`, `ENDPOINT`, `TOPIC [POSITION n]`, `PAYLOAD` or `GET TOPIC t [AS T]`, compared.
    Compare {
        /// Left side.
        subject: Expression,
        /// The operator.
        operator: BinaryOperator,
        /// Right side.
        value: Expression,
    },
}

impl RuleCondition {
    /// Returns the last comparison of the condition, also inside of AND and OR. Values without a
    /// comparison are skipped.
    pub(crate) fn last_compared(&self) -> Option<&RuleCondition> {
        match &self.kind {
            RuleConditionKind::Or(left, right) | RuleConditionKind::And(left, right) => {
                if right.is_value_alone() { left.last_compared() } else { right.last_compared() }
            }
            RuleConditionKind::UserIs { .. } | RuleConditionKind::Compare { .. } => Some(self),
            RuleConditionKind::Invalid
            | RuleConditionKind::Not(_)
            | RuleConditionKind::UserHas { .. }
            | RuleConditionKind::InGroup { .. }
            | RuleConditionKind::Module(_)
            | RuleConditionKind::TopicExists(_) => None,
        }
    }

    /// Whether a value is written without a comparison.
    fn is_value_alone(&self) -> bool {
        let value = match &self.kind {
            RuleConditionKind::UserIs { name, .. } => name.span,
            RuleConditionKind::Compare { value, .. } => value.span,
            RuleConditionKind::Invalid
            | RuleConditionKind::Or(..)
            | RuleConditionKind::And(..)
            | RuleConditionKind::Not(_)
            | RuleConditionKind::UserHas { .. }
            | RuleConditionKind::InGroup { .. }
            | RuleConditionKind::Module(_)
            | RuleConditionKind::TopicExists(_) => return false,
        };
        value.start == self.span.start
    }
}

impl RuleConditionKind {
    /// Height of the highest tree below.
    pub(crate) fn children_depth(&self) -> u16 {
        match self {
            RuleConditionKind::Or(left, right) | RuleConditionKind::And(left, right) => {
                left.depth.max(right.depth)
            }
            RuleConditionKind::Not(inner) => inner.depth,
            RuleConditionKind::UserHas { compare: Some((_, value)), .. } => value.depth,
            RuleConditionKind::TopicExists(topic) => topic_depth(topic),
            RuleConditionKind::Compare { subject, value, .. } => subject.depth.max(value.depth),
            RuleConditionKind::Invalid
            | RuleConditionKind::UserIs { .. }
            | RuleConditionKind::Module(_)
            | RuleConditionKind::UserHas { compare: None, .. }
            | RuleConditionKind::InGroup { .. } => 0,
        }
    }
}

fn topic_depth(topic: &TopicOperand) -> u16 {
    topic.parts.iter().map(|part| part.depth).max().unwrap_or(0)
}
