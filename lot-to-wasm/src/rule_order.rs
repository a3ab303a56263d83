//! Whether a rule may allow what another one denies, because it is asked before that (LoT reference
//! §10.4).
//!
//! This uses the texts alone, for users who add a rule to others and want to know what it opens.
//! Not here: the verdicts of the rules, which depend on conditions.

use lot_facts::overlaps;

use crate::syntax::Entity;
use crate::syntax::rule::{DefineRule, Verdict};

/// Order of a rule among other rules, and its possible verdicts.
///
/// ```
/// use lot_to_wasm::RuleOrder;
///
/// let of = |priority: u64, verdict: &str| {
///     let header = format!("DEFINE RULE R WITH PRIORITY {priority} FOR Publish");
///     RuleOrder::of(&format!("{header} TO TOPIC \"door/#\"\n    {verdict}\n")).unwrap()
/// };
/// assert!(of(50, "ALLOW").opens(&of(100, "DENY")));
/// assert!(!of(200, "ALLOW").opens(&of(100, "DENY")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOrder {
    /// Lowest first.
    pub priority: i64,
    /// Scope, as written.
    pub scope: String,
    /// Filter of its topics; `None` covers all topics of the scope.
    pub topic: Option<String>,
    /// Whether some condition leads to ALLOW.
    pub allows: bool,
    /// Whether some condition leads to DENY.
    pub denies: bool,
}

impl RuleOrder {
    /// The order of the rule that a text defines; `None` of a text that defines none, or that
    /// cannot be read.
    pub fn of(text: &str) -> Option<RuleOrder> {
        let (entities, _) = crate::parse(text);
        entities.into_iter().find_map(|entity| {
            let Some(Entity::Rule(rule)) = entity.tree else { return None };
            RuleOrder::of_rule(rule)
        })
    }

    fn of_rule(rule: DefineRule) -> Option<RuleOrder> {
        let body = rule.body?;
        Some(RuleOrder {
            priority: rule.priority,
            scope: rule.scope.text,
            topic: rule.topic.map(|topic| topic.value),
            allows: body.says(Verdict::Allow),
            denies: body.says(Verdict::Deny),
        })
    }

    /// Whether this rule may allow what the other one denies: it is asked before, of the same
    /// scope, and of topics that both are asked of.
    pub fn opens(&self, other: &RuleOrder) -> bool {
        let (ours, theirs) = (self.widest_topics(), other.widest_topics());
        self.allows
            && other.denies
            && self.priority < other.priority
            && self.scope.eq_ignore_ascii_case(&other.scope)
            && overlaps(&ours, &theirs)
            && overlaps(&theirs, &ours)
    }
}

impl RuleOrder {
    /// Filter of all topics that it may be asked of. A `/+` at the end counts as `/#`, because
    /// `lot.compat.rule_trailing_plus` may be set.
    fn widest_topics(&self) -> String {
        match self.topic.as_deref() {
            None => "#".to_owned(),
            Some(topic) if topic.ends_with("/+") => format!("{topic}/#"),
            Some(topic) => topic.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_opens_what_is_denied_behind_it() {
        let deny = "DEFINE RULE Door WITH PRIORITY 100 FOR Publish TO TOPIC \"door/#\"\n    DENY\n";
        let locked = "DEFINE RULE Door WITH PRIORITY 100 FOR Publish TO TOPIC \"door/#\"\n    IF USER IS \"ann\" THEN\n        ALLOW\n    ELSE\n        DENY\n";
        let known = [RuleOrder::of(deny).unwrap(), RuleOrder::of(locked).unwrap()];
        for (header, body, opens) in [
            ("50 FOR Publish TO TOPIC \"door/#\"", "ALLOW", true),
            ("50 FOR Publish TO TOPIC \"door/1\"", "IF USER IS \"bob\" THEN\n        ALLOW", true),
            ("50 FOR Publish TO TOPIC \"+/1\"", "ALLOW", true),
            ("50 FOR Publish", "ALLOW", true),
            // At one priority DENY wins.
            ("100 FOR Publish TO TOPIC \"door/#\"", "ALLOW", false),
            ("200 FOR Publish TO TOPIC \"door/#\"", "ALLOW", false),
            ("50 FOR Publish TO TOPIC \"door/#\"", "DENY", false),
            ("50 FOR Publish TO TOPIC \"window/#\"", "ALLOW", false),
            ("50 FOR Subscribe TO TOPIC \"door/#\"", "ALLOW", false),
        ] {
            let text = format!("-- why\nDEFINE RULE New WITH PRIORITY {header}\n    {body}\n");
            let new = RuleOrder::of(&text).unwrap();
            for known in &known {
                assert_eq!(new.opens(known), opens, "{text}");
            }
        }
        assert_eq!(RuleOrder::of("DEFINE MODEL M COLLAPSED\n"), None);
    }
}
