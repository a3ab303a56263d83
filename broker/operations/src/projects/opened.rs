//! Rights that a rule opens, found in the texts of rules alone: rights of administrators, and
//! requests that rules behind it deny.
//!
//! Asked by the plans of projects and by the tools for single files, so that both ask the same
//! questions. Not here: what a rule says of a question, of which conditions decide.

use lot_to_wasm::RuleOrder;
use lotmq_auth::built_in::BUILT_INS;
use sha2::{Digest as _, Sha256};

use super::{fingerprint, text_fingerprint};

/// End of a built-in rule behind which nobody else is asked.
const DENIES_THE_REST: &str = "\n    ELSE\n        DENY\n";

/// Scope of the rule that a text defines, where it may allow what the built-in rules keep to
/// administrators; `None` where a built-in rule before it has said no.
///
/// ```
/// use lotmq_operations::projects::opened_administration;
///
/// let rule = |header: &str| format!("DEFINE RULE R WITH PRIORITY {header}\n    ALLOW\n");
/// assert_eq!(opened_administration(&rule("5 FOR CommandCall")), Some("CommandCall"));
/// assert_eq!(opened_administration(&rule("100 FOR CommandCall")), None);
/// assert_eq!(opened_administration(&rule("100 FOR Publish")), None);
/// ```
pub fn opened_administration(text: &str) -> Option<&'static str> {
    let rule = RuleOrder::of(text).filter(|rule| rule.allows)?;
    let mut of_scope =
        BUILT_INS.iter().filter(|known| known.scope.eq_ignore_ascii_case(&rule.scope)).peekable();
    let scope = of_scope.peek()?.scope;
    let is_closed = of_scope.any(|known| {
        let comes_first = i64::try_from(known.priority).is_ok_and(|priority| priority <= rule.priority);
        known.topic.is_none() && comes_first && known.source.ends_with(DENIES_THE_REST)
    });
    (!is_closed).then_some(scope)
}

/// Fingerprint by which `-agreed` names what a definition that comes is added to: the text in whose
/// place it comes, as [`text_fingerprint`] has it, and of a rule, behind a `+`, those that deny
/// what it may allow and before which it is asked, where there are any. `rules` are names and texts
/// of all rules that are there.
pub fn replacement_fingerprint<'a>(
    replaced: Option<&str>,
    (name, text): (&str, &str),
    rules: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let replaced = text_fingerprint(replaced);
    let Some(new) = RuleOrder::of(text).filter(|new| new.allows) else { return replaced };
    let opens = |text: &str| RuleOrder::of(text).is_some_and(|known| new.opens(&known));
    let mut opened: Vec<(&str, &str)> =
        rules.into_iter().filter(|(known, text)| *known != name && opens(text)).collect();
    if opened.is_empty() {
        return replaced;
    }
    opened.sort_unstable();
    let mut seen = Sha256::new();
    for (name, text) in opened {
        for part in [name, text.trim()] {
            seen.update((part.len() as u64).to_be_bytes());
            seen.update(part);
        }
    }
    format!("{replaced}+{}", fingerprint(&seen.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_opens_what_built_in_rules_keep_to_administrators() {
        let rule = |header: &str, verdict: &str| {
            format!("DEFINE RULE R WITH PRIORITY {header}\n    IF USER IS \"ann\" THEN\n        {verdict}\n")
        };
        for (header, scope) in [
            ("5 FOR CommandCall", Some("CommandCall")),
            // At one priority DENY wins, and behind it nobody is asked.
            ("10 FOR CommandCall", None),
            ("500 FOR SystemConfiguration", Some("SystemConfiguration")),
            ("500 FOR SubscribeSys TO TOPIC \"$SYS/#\"", Some("SubscribeSys")),
            ("500 FOR PublishSys TO TOPIC \"$SYS/#\"", Some("PublishSys")),
            ("500 FOR UserManagementCreation", Some("UserManagementCreation")),
            ("500 FOR Publish TO TOPIC \"a\"", None),
            ("500 FOR Connect", None),
        ] {
            assert_eq!(opened_administration(&rule(header, "ALLOW")), scope, "{header}");
            assert_eq!(opened_administration(&rule(header, "DENY")), None, "{header}");
        }
    }

    #[test]
    fn replacement_fingerprint_changes_when_a_denying_rule_is_added() {
        const NEW: &str = "DEFINE RULE New WITH PRIORITY 50 FOR Publish TO TOPIC \"a/#\"\n    ALLOW\n";
        const DENY: &str = "DEFINE RULE D WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\"\n    DENY\n";
        let of = |rules: &[(&'static str, &'static str)]| {
            replacement_fingerprint(None, ("New", NEW), rules.iter().copied())
        };
        assert_eq!(of(&[]), "none");
        assert_eq!(of(&[("Open", NEW)]), "none", "it denies nothing");
        assert_eq!(of(&[("New", DENY)]), "none", "it comes in the place of this one");
        let one = of(&[("D", DENY)]);
        assert!(one.starts_with("none+"), "{one}");
        assert_ne!(one, of(&[("D", DENY), ("E", DENY)]));
        assert_eq!(of(&[("E", DENY), ("D", DENY)]), of(&[("D", DENY), ("E", DENY)]));
        let deny = replacement_fingerprint(None, ("D", DENY), [("E", DENY)]);
        assert_eq!(deny, "none", "what only denies opens nothing");
    }
}
