//! Warnings about a Rule that allows more than it seems to, such as unnamed or anonymous users, and
//! about one that locks everybody out (LoT reference §10.3, §10.4).

use crate::check::tree::SessionWord;
use crate::diagnostic::{Draft, Sink, codes};
use crate::syntax::rule::{DefineRule, RuleBody, RuleCondition, RuleConditionKind, Verdict};
use crate::syntax::{BinaryOperator, Entity, ExpressionKind};

/// Scopes that a new broker allows to all users, with the rule that does it.
const OPEN_SCOPES: [(&str, &str); 3] =
    [("Connect", "AllowConnect"), ("Publish", "AllowPublishTopic"), ("Subscribe", "AllowSubscribeTopic")];

/// Verdicts that a body may give.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct PossibleVerdicts {
    allow: bool,
    deny: bool,
    /// It may give no verdict, so that rules with higher numbers are asked.
    nothing: bool,
}

impl PossibleVerdicts {
    fn of(body: &RuleBody) -> PossibleVerdicts {
        match body {
            RuleBody::Verdict(Verdict::Allow) => {
                PossibleVerdicts { allow: true, ..PossibleVerdicts::default() }
            }
            RuleBody::Verdict(Verdict::Deny) => {
                PossibleVerdicts { deny: true, ..PossibleVerdicts::default() }
            }
            RuleBody::If { branches, otherwise } => {
                let rest = PossibleVerdicts::of_otherwise(otherwise.as_deref());
                branches.iter().map(|(_, body)| PossibleVerdicts::of(body)).fold(rest, PossibleVerdicts::or)
            }
        }
    }

    fn of_otherwise(otherwise: Option<&RuleBody>) -> PossibleVerdicts {
        otherwise
            .map_or(PossibleVerdicts { nothing: true, ..PossibleVerdicts::default() }, PossibleVerdicts::of)
    }

    fn or(self, other: PossibleVerdicts) -> PossibleVerdicts {
        PossibleVerdicts {
            allow: self.allow || other.allow,
            deny: self.deny || other.deny,
            nothing: self.nothing || other.nothing,
        }
    }
}

/// Warns of a Rule that was read without errors; `all` are the entities of its text or project,
/// some of which may close the gap.
pub(crate) fn warn_of_gaps(rule: &DefineRule, all: &[Option<Entity>], sink: &mut Sink<'_>) {
    let Some(body) = &rule.body else { return };
    warn_of_open(rule, body, all, sink);
    warn_of_lock_out(rule, body, all, sink);
    warn_of_anonymous(body, sink);
}

/// Warns of a rule that only allows, and gives no verdict for users that it does not name: the
/// seeded rule lets them in.
fn warn_of_open(rule: &DefineRule, body: &RuleBody, all: &[Option<Entity>], sink: &mut Sink<'_>) {
    let scope = OPEN_SCOPES.iter().find(|(scope, _)| *scope == rule.scope.text);
    let (Some((_, seed)), RuleBody::If { branches, .. }) = (scope, body) else { return };
    let outcomes = PossibleVerdicts::of(body);
    let is_open = outcomes.allow && outcomes.nothing && !outcomes.deny;
    let is_closed_by = |other: &DefineRule| {
        let denies = other.body.as_ref().is_some_and(|body| PossibleVerdicts::of(body).deny);
        denies
            && other.scope.text == rule.scope.text
            && other.priority >= rule.priority
            && covers(other, rule)
    };
    if !is_open || rules(all).any(is_closed_by) {
        return;
    }
    let span = branches.first().map_or(rule.name.span, |(condition, _)| condition.span);
    let message = "nobody is refused: without ELSE, rules with higher numbers decide about the others";
    let draft = Draft::warning(codes::OPEN_RULE, span, message)
        .note(format!("the last of them is {seed}, which every new broker has, and which allows"));
    sink.push(draft.suggest(
        "write ELSE in the column of IF and DENY below it, or a second rule with a higher number that denies",
    ));
}

/// Warns of a rule for logins that denies all users left, when no earlier rule lets any user in.
fn warn_of_lock_out(rule: &DefineRule, body: &RuleBody, all: &[Option<Entity>], sink: &mut Sink<'_>) {
    let outcomes = PossibleVerdicts::of(body);
    let lets_in = |other: &DefineRule| {
        let allows = other.body.as_ref().is_some_and(|body| PossibleVerdicts::of(body).allow);
        allows && other.scope.text == rule.scope.text && other.priority <= rule.priority
    };
    let denies_all = outcomes.deny && !outcomes.allow && !outcomes.nothing;
    if rule.scope.text != "Connect" || !denies_all || rules(all).any(lets_in) {
        return;
    }
    let message = "nobody but root can log in whom no rule with a lower number lets in";
    let draft = Draft::warning(codes::LOCKED_OUT, rule.name.span, message);
    sink.push(draft.suggest("say who is meant: IF CLIENTID STARTS_WITH \"x\" THEN, and DENY below it"));
}

/// The rules among entities.
fn rules(all: &[Option<Entity>]) -> impl Iterator<Item = &DefineRule> {
    all.iter().filter_map(|entity| match entity {
        Some(Entity::Rule(rule)) => Some(rule),
        Some(
            Entity::Action(_) | Entity::Model(_) | Entity::Route(_) | Entity::Panel(_) | Entity::Theme(_),
        )
        | None => None,
    })
}

/// Whether every topic of `narrow` is one of `wide`.
fn covers(wide: &DefineRule, narrow: &DefineRule) -> bool {
    let Some(wide) = &wide.topic else { return true };
    let narrow = narrow.topic.as_ref().map_or("#", |topic| topic.value.as_str());
    let mut levels = narrow.split('/');
    for level in wide.value.split('/') {
        let other = levels.next();
        match level {
            "#" => return true,
            "+" if other.is_some_and(|other| other != "#") => {}
            _ if other == Some(level) => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Warns of `USER IS NOT "x"` and its like in front of DENY: the condition is false for anonymous
/// users, and so they pass.
fn warn_of_anonymous(body: &RuleBody, sink: &mut Sink<'_>) {
    let RuleBody::If { branches, otherwise } = body else { return };
    for (index, (condition, then)) in branches.iter().enumerate() {
        let others = branches.iter().skip(index + 1).map(|(_, body)| PossibleVerdicts::of(body));
        let rest = others.fold(PossibleVerdicts::of_otherwise(otherwise.as_deref()), PossibleVerdicts::or);
        let then_outcomes = PossibleVerdicts::of(then);
        if then_outcomes.deny && !then_outcomes.allow && (rest.allow || rest.nothing) {
            warn_of_negations(condition, sink);
        }
        warn_of_anonymous(then, sink);
    }
    if let Some(otherwise) = otherwise {
        warn_of_anonymous(otherwise, sink);
    }
}

/// The negations of a condition that are not inside of a NOT themselves.
fn warn_of_negations(condition: &RuleCondition, sink: &mut Sink<'_>) {
    if let RuleConditionKind::Or(left, right) | RuleConditionKind::And(left, right) = &condition.kind {
        warn_of_negations(left, sink);
        return warn_of_negations(right, sink);
    }
    let written = sink.source().slice(condition.span);
    if is_no_user(&condition.kind) {
        let message =
            format!("`{written}` is true of nobody: who is not logged in has no name, not an empty one");
        let draft = Draft::warning(codes::ANONYMOUS_PASSES, condition.span, message);
        let hint = "NOT USER IS NOT \"\"";
        return sink.push(
            draft
                .suggest(format!("write {hint}, which is true of them"))
                .fix(condition.span, hint.to_owned()),
        );
    }
    if !is_negated_user(&condition.kind) {
        return;
    }
    let mut words: Vec<&str> = written.split_whitespace().collect();
    words.retain(|word| *word != "NOT");
    let positive = words.join(" ").replacen("!=", "IS", 1).replacen("<>", "IS", 1);
    let message = format!("`{written}` is false of who is not logged in, who is not denied here");
    let hint = format!("NOT {positive}");
    let draft = Draft::warning(codes::ANONYMOUS_PASSES, condition.span, message);
    sink.push(draft.suggest(format!("write {hint}, which is true of them too")).fix(condition.span, hint));
}

/// `USER IS ""`.
fn is_no_user(kind: &RuleConditionKind) -> bool {
    matches!(kind, RuleConditionKind::UserIs { negated: false, name } if name.value.is_empty())
}

fn is_negated_user(kind: &RuleConditionKind) -> bool {
    match kind {
        RuleConditionKind::UserIs { negated, .. }
        | RuleConditionKind::InGroup { negated, .. }
        | RuleConditionKind::UserHas { negated, compare: None, .. } => *negated,
        RuleConditionKind::Compare { subject, operator, .. } => {
            let is_user = matches!(subject.kind, ExpressionKind::Session(SessionWord::User));
            is_user && *operator == BinaryOperator::NotEqual
        }
        RuleConditionKind::UserHas { compare: Some(_), .. }
        | RuleConditionKind::Invalid
        | RuleConditionKind::Or(..)
        | RuleConditionKind::And(..)
        | RuleConditionKind::Not(_)
        | RuleConditionKind::Module(_)
        | RuleConditionKind::TopicExists(_) => false,
    }
}
