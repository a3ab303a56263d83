//! Checking a Rule (LoT reference §10): its header, and its conditions to one expression each.
//!
//! Two things keep a condition from being true by accident. Names (`USER`, `CLIENTID`, levels of
//! the topic) are compared as texts, never as numbers, or `01` would be `1`. And a condition about
//! the user is always false when no user is logged in.

use lot_facts::{Facts, Kind, RuleFacts, RuleInputs};
use lot_nearest::nearest;

use super::entity::filter_of_rule;
use super::kind::KindSet;
use super::scope::Scope;
use super::tree::walk::PartMut;
use super::tree::{
    self, Candidate, CastKind, Comparison, Constant, Entry, Expression, ExpressionKind, Function,
    MessageProperty, SessionWord, TopicPart, Verdict,
};
use super::{Asked, Checker, Known, Start, TopicUse, facts, fold, infer};
use crate::compat::Compat;
use crate::diagnostic::{Draft, Sink, codes};
use crate::identifier::is_module;
use crate::source::Span;
use crate::statement::{if_else, verdict};
use crate::syntax::rule::{DefineRule, RuleBody, RuleCondition, RuleConditionKind};
use crate::syntax::{self, BinaryOperator, Name, Text};

/// Scopes of rules, spelt exactly (§10.2; those of modules: commands reference §14.5).
pub const RULE_SCOPES: [&str; 32] = [
    "Connect",
    "Publish",
    "Subscribe",
    "PublishSys",
    "SubscribeSys",
    "CommandCall",
    "ShellCommand",
    "SystemConfiguration",
    "UserManagementCreation",
    "UserManagementRemove",
    "UserManagementPasswordChange",
    "UserManagementUpdate",
    "RuleManagementCreation",
    "RuleManagementRemove",
    "ModelManagementCreation",
    "ModelManagementRemove",
    "ActionManagementCreation",
    "ActionManagementRemove",
    "ActionManagementRun",
    "RouteManagementCreation",
    "RouteManagementRemove",
    "LogManagementCreation",
    "LogManagementUpdate",
    "LogManagementRemove",
    "LogManagementRead",
    "AssetManagementCreation",
    "AssetManagementUpdate",
    "AssetManagementRemove",
    "AssetManagementStart",
    "AssetManagementStop",
    "ModuleManagementCreation",
    "ModuleManagementRemove",
];

/// Scopes whose questions have a topic.
const TOPIC_SCOPES: [&str; 5] = ["Publish", "Subscribe", "PublishSys", "SubscribeSys", "CommandCall"];

/// The scope with questions about values that programs read and change. A question has the name of
/// a variable as its topic, such as `secret/NAME/read`; one about a command has the empty text. So
/// the scope takes no filter.
const VARIABLE_SCOPE: &str = "SystemConfiguration";

/// Scopes whose questions have a payload.
const PAYLOAD_SCOPES: [&str; 2] = ["Publish", "PublishSys"];

/// Values of a user property that are false, in any case (§10.3); one that is not set is Empty,
/// which equals the empty text.
const FALSE_TEXTS: [&str; 5] = ["", "false", "0", "off", "no"];

/// Checks a Rule. `None` when anything is wrong with it, also by the parser; the sink then has an
/// error.
pub(crate) fn rule(
    rule: &DefineRule,
    known: &dyn Known,
    compat: Compat,
    sink: &mut Sink<'_>,
) -> Option<tree::Action> {
    header(rule, compat, sink);
    let names_are_complete = !sink.has_errors();
    let scope = rule.scope.text.as_str();
    let has = |scopes: &[&str]| scopes.contains(&scope);
    let has_topic = has(&TOPIC_SCOPES) || scope == VARIABLE_SCOPE;
    let start = Start::Asked(Asked { has_topic, has_payload: has(&PAYLOAD_SCOPES) });
    let mut checker = Checker {
        sink,
        known,
        start,
        scope: Scope::empty(),
        regexes: Vec::new(),
        spent_on_patterns: super::regex::Spent::default(),
        compat,
        names_are_complete,
    };
    let body = rule.body.as_ref().map(|body| checker.rule_body(body)).unwrap_or_default();
    let Checker { sink, regexes, .. } = checker;
    if sink.has_errors() {
        return None;
    }
    let name = rule.name.text.clone();
    let facts = Facts::new(Kind::Rule, name.clone());
    let mut checked = tree::Action { name, entry: Entry::Asked, variables: Vec::new(), regexes, body, facts };
    infer::kinds(&mut checked);
    let looks = facts::collect(&mut checked);
    let mut inputs = inputs(&mut checked);
    (inputs.payload, inputs.topic_levels) = (looks.payload, looks.topic_levels);
    inputs.modules = !checked.facts.programs.modules.is_empty();
    inputs.message_properties = checked.facts.effects.properties;
    if rule.body.as_ref().is_some_and(|body| is_open(rule, body, &inputs)) {
        let message = format!("anybody gets {scope}, which is administrators' alone without this rule");
        let draft = Draft::warning(codes::OPEN_ADMINISTRATION, rule.name.span, message);
        sink.push(draft.suggest("say who it is for: IF USER IN GROUP \"name\" THEN"));
    }
    inputs.reads = !(checked.facts.reads.is_empty() && checked.facts.retained_reads.is_empty());
    checked.facts.rule = Some(RuleFacts {
        priority: u64::try_from(rule.priority).unwrap_or(0),
        scope: scope.to_owned(),
        topic: rule.topic.as_ref().map(|topic| pattern(&topic.value, compat)),
        inputs,
    });
    Some(checked)
}

/// Number of the built-in rule about commands, which denies all users that it does not allow.
const COMMANDS_AT: i64 = 10;

/// Whether a rule allows a request that the built-in rules reserve for administrators, without
/// checking the user. Figures of the broker are meant for many users.
fn is_open(rule: &DefineRule, body: &RuleBody, inputs: &RuleInputs) -> bool {
    let scope = rule.scope.text.as_str();
    let is_everybodys = ["Connect", "Publish", "Subscribe"].contains(&scope)
        || rule.topic.as_ref().is_some_and(|topic| topic.value.starts_with("$SYS/broker/"));
    let is_behind = scope == "CommandCall" && rule.priority >= COMMANDS_AT;
    let looks_at_user = inputs.login
        || inputs.user
        || inputs.modules
        || !inputs.groups.is_empty()
        || !inputs.properties.is_empty();
    !is_everybodys && !is_behind && !looks_at_user && body.says(Verdict::Allow)
}

/// The filter of a rule.
fn pattern(written: &str, compat: Compat) -> String {
    let is_subtree = compat.rule_trailing_plus && written.ends_with("/+");
    if is_subtree { format!("{written}/#") } else { written.to_owned() }
}

/// Returns the scope for the name of the same right in other products.
fn foreign_scope(scope: &str) -> Option<&'static str> {
    Some(match scope.to_ascii_lowercase().as_str() {
        "write" | "pub" | "send" => "Publish",
        "read" | "sub" | "receive" => "Subscribe",
        "login" | "connection" => "Connect",
        "command" | "commands" => "CommandCall",
        _ => return None,
    })
}

fn header(rule: &DefineRule, compat: Compat, sink: &mut Sink<'_>) {
    if rule.scope.text.is_empty() {
        // The header could not be read, which was reported.
        return;
    }
    let scope = rule.scope.text.as_str();
    if !RULE_SCOPES.contains(&scope) {
        let near = foreign_scope(scope).or_else(|| nearest(scope, RULE_SCOPES));
        let message = format!("unknown scope {scope}");
        let draft = Draft::error(codes::UNKNOWN_SCOPE, rule.scope.span, message);
        let scopes = "write Publish, Subscribe, Connect, or one of those for commands in docs/lot/rules.md";
        sink.push(match near {
            Some(near) => draft.did_you_mean_name(&rule.scope, Some(near)),
            None => draft.suggest(scopes),
        });
    }
    // The built-in rule about commands answers before any rule with a higher number, so a rule
    // about commands needs a lower number.
    if (0..100).contains(&rule.priority) && scope != "CommandCall" {
        // The words of the commands reference §8.
        let message = "Priorities 0-99 are meant for system rules.";
        let draft = Draft::warning(codes::BUILT_IN_PRIORITY, rule.name.span, message);
        sink.push(draft.suggest("use 100 and above"));
    }
    let Some(topic) = &rule.topic else { return };
    filter_of_rule(topic, sink);
    // A further + in the middle shows that the author means one level by it.
    let is_only = topic.value.matches('+').count() == 1;
    if topic.value.ends_with("/+") && is_only && !compat.rule_trailing_plus {
        let draft = Draft::warning(codes::TRAILING_PLUS, topic.span, "a trailing /+ covers one level only");
        sink.push(draft.suggest("write /# for everything below, or start the broker with LOTMQ_LOT_COMPAT_RULE_TRAILING_PLUS=subtree, as the original reads it"));
    }
    if RULE_SCOPES.contains(&scope) && !TOPIC_SCOPES.contains(&scope) {
        let message = format!("questions of scope {scope} have no topic");
        let draft = Draft::error(codes::MISPLACED_CLAUSE, topic.span, message);
        sink.push(draft.suggest("leave out TO TOPIC"));
    }
}

impl Checker<'_, '_, '_> {
    fn rule_body(&mut self, body: &RuleBody) -> Vec<tree::Statement> {
        match body {
            RuleBody::Verdict(verdict) => vec![verdict_statement(*verdict)],
            RuleBody::If { branches, otherwise } => {
                let at = branches.first().map_or(Span::default(), |(condition, _)| condition.span);
                let at = self.at(at);
                let branches = branches
                    .iter()
                    .map(|(condition, body)| if_else::Branch {
                        condition: self.rule_condition(condition),
                        body: self.rule_body(body),
                    })
                    .collect();
                let otherwise = otherwise.as_ref().map(|body| self.rule_body(body)).unwrap_or_default();
                vec![tree::Statement { at, kind: if_else::Checked { branches, otherwise }.into() }]
            }
        }
    }

    fn rule_condition(&mut self, condition: &RuleCondition) -> Expression {
        let span = condition.span;
        match &condition.kind {
            RuleConditionKind::Invalid => self.constant(span, Constant::Bool(false)),
            RuleConditionKind::Or(left, right) => {
                let sides = (self.rule_condition(left), self.rule_condition(right));
                self.truth(span, ExpressionKind::Or(Box::new(sides.0), Box::new(sides.1)))
            }
            RuleConditionKind::And(left, right) => {
                let sides = (self.rule_condition(left), self.rule_condition(right));
                self.both(span, sides.0, sides.1)
            }
            RuleConditionKind::Not(inner) => {
                let inner = self.rule_condition(inner);
                self.not(span, inner)
            }
            RuleConditionKind::UserIs { negated, name } => self.user_is(span, name, *negated),
            RuleConditionKind::UserHas { negated, property, compare } => {
                self.user_has(span, property, *negated, compare.as_ref())
            }
            RuleConditionKind::InGroup { negated, group } => {
                let is_in = self.truth(span, ExpressionKind::InGroup(group.value.clone()));
                self.of_a_user(span, is_in, *negated)
            }
            RuleConditionKind::Module(name) => {
                if !is_module(&name.value) {
                    let message = format!("`{}` is no name of a module", name.value.escape_debug());
                    let draft = Draft::error(codes::MODULE_FUNCTION, name.span, message);
                    self.error(draft.suggest("write the name that -addModule gave it: MODULE \"guard\""));
                }
                self.truth(span, ExpressionKind::ModuleAllows(name.value.clone()))
            }
            RuleConditionKind::TopicExists(topic) => {
                let kind = ExpressionKind::TopicExists(self.topic(topic, TopicUse::Read));
                let exists = self.truth(span, kind);
                let exists = self.pure(exists, span);
                if mentions_user(&exists) { self.of_a_user(span, exists, false) } else { exists }
            }
            RuleConditionKind::Compare { subject, operator, value } => {
                self.rule_comparison(span, subject, *operator, value)
            }
        }
    }

    fn user_is(&mut self, span: Span, name: &Text, negated: bool) -> Expression {
        let user = self.node(span, session_kinds(), ExpressionKind::Session(SessionWord::User));
        let name = self.constant(name.span, Constant::Text(name.value.clone()));
        let is = self.compared(span, Comparison::Equal, user, name);
        self.of_a_user(span, is, negated)
    }

    fn user_has(
        &mut self,
        span: Span,
        property: &Name,
        negated: bool,
        compare: Option<&(BinaryOperator, syntax::Expression)>,
    ) -> Expression {
        let kind = ExpressionKind::UserProperty(property.text.clone());
        let value = self.node(property.span, infer::kinds_of(&kind), kind);
        let holds = match compare {
            Some((operator, other)) => {
                let other_value = self.operand(other);
                let other_value = self.pure(other_value, other.span);
                self.by_operator(span, *operator, value, other_value, other)
            }
            None => {
                let lower = ExpressionKind::Function { function: Function::Lower, arguments: vec![value] };
                let lower = self.node(span, infer::kinds_of(&lower), lower);
                let candidates = FALSE_TEXTS
                    .map(|text| self.constant(property.span, Constant::Text(text.to_owned())))
                    .map(Candidate::Value)
                    .into();
                let is_false = ExpressionKind::OneOf { value: Box::new(lower), candidates };
                let is_false = self.truth(span, is_false);
                self.not(span, is_false)
            }
        };
        self.of_a_user(span, holds, negated)
    }

    /// A condition about the user, which is false when there is none.
    fn of_a_user(&mut self, span: Span, holds: Expression, negated: bool) -> Expression {
        let holds = if negated { self.not(span, holds) } else { holds };
        let logged_in = self.truth(span, ExpressionKind::LoggedIn);
        self.both(span, logged_in, holds)
    }

    fn rule_comparison(
        &mut self,
        span: Span,
        subject: &syntax::Expression,
        operator: BinaryOperator,
        value: &syntax::Expression,
    ) -> Expression {
        let left = self.operand(subject);
        let right = self.operand(value);
        let (left, right) = (self.pure(left, subject.span), self.pure(right, value.span));
        let is_name = |side: &Expression| {
            matches!(
                side.kind,
                ExpressionKind::Session(_)
                    | ExpressionKind::MessageUserProperty(_)
                    | ExpressionKind::MessageProperty(
                        MessageProperty::ResponseTopic
                            | MessageProperty::CorrelationData
                            | MessageProperty::ContentType
                    )
                    | ExpressionKind::TopicName
                    | ExpressionKind::TopicLevel(_)
                    | ExpressionKind::TopicLevelAt(_)
            )
        };
        let is_empty = matches!(right.kind, ExpressionKind::Constant(Constant::Empty | Constant::Null));
        let (left, right) = if is_name(&left) && is_equality(operator) && !is_empty {
            (self.as_text(left), self.as_text(right))
        } else if is_name(&left) && operator == BinaryOperator::In {
            (self.as_text(left), right)
        } else {
            (left, right)
        };
        let mentions_user = mentions_user(&left) || mentions_user(&right);
        let compared = if is_client_id_computed(&left, &right) {
            self.of_a_client(span, operator, (left, right), value)
        } else {
            self.by_operator(span, operator, left, right, value)
        };
        if mentions_user { self.of_a_user(span, compared, false) } else { compared }
    }

    /// A comparison of a Client Identifier with a computed value. It is false for programs, whose
    /// Client Identifier is empty: a level or a value may be empty, too.
    fn of_a_client(
        &mut self,
        span: Span,
        operator: BinaryOperator,
        (left, right): (Expression, Expression),
        source: &syntax::Expression,
    ) -> Expression {
        let turned = [
            (BinaryOperator::NotEqual, BinaryOperator::Equal),
            (BinaryOperator::NotContains, BinaryOperator::Contains),
        ];
        let turned = turned.iter().find(|(negated, _)| *negated == operator).map(|(_, positive)| *positive);
        let (operator, is_negated) = (turned.unwrap_or(operator), turned.is_some());
        let client_id = ExpressionKind::Session(SessionWord::ClientId);
        let client_id = self.node(span, infer::kinds_of(&client_id), client_id);
        let is_empty = self.truth(span, ExpressionKind::IsEmpty(Box::new(client_id)));
        let is_a_client = self.not(span, is_empty);
        let compared = self.by_operator(span, operator, left, right, source);
        let holds = self.both(span, is_a_client, compared);
        if is_negated { self.not(span, holds) } else { holds }
    }

    /// A comparison by the operator of the source.
    fn by_operator(
        &mut self,
        span: Span,
        operator: BinaryOperator,
        left: Expression,
        right: Expression,
        source: &syntax::Expression,
    ) -> Expression {
        use BinaryOperator as Op;
        let comparison = match operator {
            Op::Equal | Op::Matches | Op::NotEqual => {
                let right = if operator == Op::Matches {
                    self.warn_of_pattern(source);
                    self.as_text(right)
                } else {
                    right
                };
                let is = if matches!(right.kind, ExpressionKind::Constant(Constant::Empty)) {
                    self.truth(span, ExpressionKind::IsEmpty(Box::new(left)))
                } else {
                    self.compared(span, Comparison::Equal, left, right)
                };
                return if operator == Op::NotEqual { self.not(span, is) } else { is };
            }
            Op::MatchesRegex => {
                let pattern = if let ExpressionKind::Constant(Constant::Text(pattern)) = &right.kind {
                    pattern.clone()
                } else {
                    let message = "MATCHES REGEX needs a string";
                    self.error(Draft::error(codes::BAD_REGEX, source.span, message));
                    String::new()
                };
                let regex = self.regex(&Text { value: pattern, span: source.span });
                return self.truth(span, ExpressionKind::MatchesRegex { value: Box::new(left), regex });
            }
            Op::NotContains => {
                let contains = self.compared(span, Comparison::Contains, left, right);
                return self.not(span, contains);
            }
            Op::Less => Comparison::Less,
            Op::LessOrEqual => Comparison::LessOrEqual,
            Op::Greater => Comparison::Greater,
            Op::GreaterOrEqual => Comparison::GreaterOrEqual,
            Op::Contains => Comparison::Contains,
            Op::StartsWith => Comparison::StartsWith,
            Op::EndsWith => Comparison::EndsWith,
            Op::In => {
                if let ExpressionKind::Constant(Constant::Text(text)) = &right.kind {
                    self.warn_of_text_as_list(text, source.span);
                }
                Comparison::In
            }
            Op::Or | Op::And | Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Remainder => {
                unreachable!("the parser takes comparisons only")
            }
        };
        self.compared(span, comparison, left, right)
    }

    fn compared(&self, span: Span, operator: Comparison, left: Expression, right: Expression) -> Expression {
        let (left, right) = (Box::new(left), Box::new(right));
        self.truth(span, ExpressionKind::Compare { operator, left, right })
    }

    fn both(&self, span: Span, left: Expression, right: Expression) -> Expression {
        self.truth(span, ExpressionKind::And(Box::new(left), Box::new(right)))
    }

    fn not(&self, span: Span, inner: Expression) -> Expression {
        self.truth(span, ExpressionKind::Not(Box::new(inner)))
    }

    fn truth(&self, span: Span, kind: ExpressionKind) -> Expression {
        self.node(span, KindSet::BOOL, kind)
    }

    /// The text of a value, which is then compared as text.
    fn as_text(&self, value: Expression) -> Expression {
        if let Some(constant) =
            fold::constant(&value).and_then(|constant| fold::cast(CastKind::String, constant))
        {
            let kinds = fold::kinds(&constant);
            return Expression { kinds, kind: ExpressionKind::Constant(constant), ..value };
        }
        let at = value.at;
        let kind = ExpressionKind::Cast { to: CastKind::String, value: Box::new(value) };
        Expression { at, kinds: infer::kinds_of(&kind), kind }
    }

    /// Reports parts of a value that would make a verdict depend on more than §10.5 allows.
    fn pure(&mut self, mut value: Expression, span: Span) -> Expression {
        if let Some(what) = impurity(&mut value) {
            let message = format!("a rule cannot ask about {what}");
            let draft = Draft::error(codes::RULE_CONDITION, span, message);
            self.error(draft.note("a verdict depends on who asks, on the topic, the payload and the properties of the message, and on last values; keep what else it needs in a retained topic, and read that by GET TOPIC"));
        }
        value
    }
}

fn verdict_statement(verdict: Verdict) -> tree::Statement {
    let at = syntax::Position { line: 1, column: 1 };
    tree::Statement { at, kind: verdict::Checked(verdict).into() }
}

fn session_kinds() -> KindSet {
    KindSet::TEXT_LITERAL | KindSet::EMPTY
}

fn is_equality(operator: BinaryOperator) -> bool {
    matches!(operator, BinaryOperator::Equal | BinaryOperator::NotEqual | BinaryOperator::Matches)
}

/// Whether `USER` is a part of it, as of a topic that is read.
fn mentions_user(value: &Expression) -> bool {
    mentions(value, SessionWord::User)
}

fn mentions(value: &Expression, word: SessionWord) -> bool {
    let mut found = false;
    let mut copy = value.clone();
    each(&mut copy, &mut |node| {
        found |= matches!(node.kind, ExpressionKind::Session(of) if of == word);
        true
    });
    found
}

/// Whether `CLIENTID` is compared with anything but constants of the rule.
fn is_client_id_computed(left: &Expression, right: &Expression) -> bool {
    let mentions = mentions(left, SessionWord::ClientId) || mentions(right, SessionWord::ClientId);
    mentions && !(is_client_id(left) && is_said(right))
}

/// Whether a value is the Client Identifier itself.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is")]
fn is_client_id(value: &Expression) -> bool {
    match &value.kind {
        ExpressionKind::Session(SessionWord::ClientId) => true,
        ExpressionKind::Cast { to: CastKind::String, value } => is_client_id(value),
        _ => false,
    }
}

/// Whether a value is a constant, or a list of such.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is")]
fn is_said(value: &Expression) -> bool {
    match &value.kind {
        ExpressionKind::Constant(_) => true,
        ExpressionKind::Array(members) => members.iter().all(is_said),
        ExpressionKind::Cast { value, .. } => is_said(value),
        _ => false,
    }
}

/// Returns the name of a part of a value that is not among the inputs of a rule.
#[allow(clippy::wildcard_enum_match_arm, reason = "only what is not pure is named")]
fn impurity(value: &mut Expression) -> Option<&'static str> {
    let mut found = None;
    each(value, &mut |node| {
        let what = match &node.kind {
            ExpressionKind::Timestamp(_) | ExpressionKind::LocalTimestamp(_) => Some("the clock"),
            ExpressionKind::RandomUuid
            | ExpressionKind::RandomInt { .. }
            | ExpressionKind::RandomDouble { .. } => Some("chance"),
            ExpressionKind::GetEnv(_) | ExpressionKind::GetSecret(_) => Some("settings"),
            ExpressionKind::Select(_) => Some("rows of a route"),
            _ => None,
        };
        found = found.or(what);
        true
    });
    found
}

/// Visits a tree from the top, below a node only when `visit` returns `true`.
fn each(node: &mut Expression, visit: &mut dyn FnMut(&Expression) -> bool) {
    if visit(node) {
        node.kind.each_child_mut(&mut |child| each(child, visit));
    }
}

/// Returns the inputs that the verdict depends on, except those that [`facts`] has already found.
fn inputs(checked: &mut tree::Action) -> RuleInputs {
    let mut inputs = RuleInputs::default();
    let mut users = Users::default();
    statements(&mut checked.body, &mut |node| {
        note(node, &mut inputs);
        users.note(node);
    });
    inputs.any_user = users.mentioned > users.named;
    for names in [&mut inputs.groups, &mut inputs.properties] {
        names.sort_unstable();
        names.dedup();
    }
    inputs
}

/// How often a rule mentions the user's name, and how often it compares the name with a constant.
#[derive(Default)]
struct Users {
    mentioned: usize,
    named: usize,
}

impl Users {
    #[allow(clippy::wildcard_enum_match_arm, reason = "only what is about names of users is named")]
    fn note(&mut self, node: &Expression) {
        let is_constant = |side: &Expression| matches!(side.kind, ExpressionKind::Constant(_));
        match &node.kind {
            ExpressionKind::Session(SessionWord::User) => self.mentioned += 1,
            ExpressionKind::Compare { left, right, .. } => {
                let is_named = (is_user(left) && is_constant(right)) || (is_constant(left) && is_user(right));
                self.named += usize::from(is_named);
            }
            ExpressionKind::OneOf { value, candidates } if is_user(value) => {
                let are_constant = candidates
                    .iter()
                    .all(|candidate| matches!(candidate, Candidate::Value(value) if is_constant(value)));
                self.named += usize::from(are_constant);
            }
            _ => {}
        }
    }
}

/// Whether a value is the user's name.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is")]
fn is_user(value: &Expression) -> bool {
    match &value.kind {
        ExpressionKind::Session(SessionWord::User) => true,
        ExpressionKind::Cast { to: CastKind::String, value } => is_user(value),
        _ => false,
    }
}

fn statements(body: &mut [tree::Statement], visit: &mut dyn FnMut(&Expression)) {
    for statement in body {
        statement.each_part_mut(&mut |part| match part {
            PartMut::Value(value) | PartMut::Set(_, value) => each(value, &mut |node| {
                visit(node);
                true
            }),
            PartMut::Block(block, _) => statements(block, visit),
            // There are none in a Rule.
            PartMut::Topic(..) | PartMut::Received(..) | PartMut::Need(_) => {}
        });
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "only inputs are named")]
fn note(node: &Expression, inputs: &mut RuleInputs) {
    match &node.kind {
        ExpressionKind::LoggedIn => inputs.login = true,
        ExpressionKind::UserProperty(name) => inputs.properties.push(name.clone()),
        ExpressionKind::InGroup(name) => inputs.groups.push(name.clone()),
        ExpressionKind::Session(SessionWord::User) => inputs.user = true,
        ExpressionKind::Session(SessionWord::ClientId) => inputs.client_id = true,
        ExpressionKind::Session(SessionWord::Endpoint) => inputs.endpoint = true,
        ExpressionKind::TopicName | ExpressionKind::TopicLevelAt(_) => inputs.topic = true,
        ExpressionKind::GetTopic(topic) | ExpressionKind::TopicExists(topic) => {
            let takes_topic =
                |part: &TopicPart| matches!(part, TopicPart::Rest { .. } | TopicPart::ByFilter(_));
            inputs.topic |= topic.parts.iter().any(takes_topic);
        }
        _ => {}
    }
}
