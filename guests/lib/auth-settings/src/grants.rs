//! Grants from an access control list in JSON, in the form of EMQX:
//! `[{"permission": "allow", "action": "publish", "topic": "devices/${clientid}/#"}]`.
//!
//! A rule that grants cannot express exactly is an error, so that nobody gets more than it says.
//! The broker evaluates `${username}` and `${clientid}`: a value with `/`, `+`, `#` or NUL, and an
//! empty one, makes no topic match.

use lotmq_guest::auth::{Actions, Effect, Grant, QoS};
use serde_json::{Map, Value as Json};

/// Rules of a list.
const RULES_MAX: usize = 1_000;

/// Members of a rule.
const MEMBERS: [&str; 5] = ["permission", "action", "topic", "qos", "retain"];

/// Grants of a superuser: all topics but those that begin with `$`.
pub fn all_topics() -> Vec<Grant> {
    vec![Grant::allow(Actions::PUBLISH | Actions::SUBSCRIBE, "#")]
}

/// Reads a list. `name` is its name in errors.
///
/// # Errors
/// The rule, by its number from 0, and what is wrong with it.
pub fn grants(list: &Json, name: &str) -> Result<Vec<Grant>, String> {
    let rules = list.as_array().ok_or_else(|| format!("{name}: a list of rules"))?;
    if rules.len() > RULES_MAX {
        return Err(format!("{name}: at most {RULES_MAX} rules"));
    }
    let numbered = rules.iter().enumerate();
    numbered.map(|(number, rule)| grant(rule).map_err(|reason| format!("{name}[{number}]{reason}"))).collect()
}

fn grant(rule: &Json) -> Result<Grant, String> {
    let rule = rule.as_object().ok_or(": an object")?;
    if let Some(unknown) = rule.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
        let unknown: String = unknown.chars().take(64).collect();
        return Err(format!(".{}: unknown; the members are {}", unknown.escape_debug(), MEMBERS.join(", ")));
    }
    let text = |member: &str| rule.get(member).and_then(Json::as_str);
    let effect = match text("permission") {
        Some("allow") => Effect::Allow,
        Some("deny") => Effect::Deny,
        _ => return Err(".permission: \"allow\" or \"deny\"".to_owned()),
    };
    let actions = match text("action") {
        Some("publish") => Actions::PUBLISH,
        Some("subscribe") => Actions::SUBSCRIBE,
        Some("all") => Actions::PUBLISH | Actions::SUBSCRIBE,
        _ => return Err(".action: \"publish\", \"subscribe\" or \"all\"".to_owned()),
    };
    let filter = filter(text("topic").unwrap_or_default())?;
    let (qos_max, retain) = (qos_max(rule)?, retain(rule)?);
    if effect == Effect::Deny && (qos_max != QoS::ExactlyOnce || !retain) {
        return Err(": a denial is for each qos, and for retained messages too".to_owned());
    }
    Ok(Grant { effect, actions, filter, qos_max, retain })
}

/// Topic Filter of a rule, with the placeholders of the broker.
fn filter(topic: &str) -> Result<String, String> {
    let is_literal = topic.starts_with("eq ");
    let topic = topic.strip_prefix("eq ").unwrap_or(topic);
    if topic.is_empty() {
        return Err(".topic: a Topic Filter".to_owned());
    }
    if is_literal && topic.contains(['+', '#', '%', '$']) {
        return Err(".topic: with \"eq \" no wildcard and no placeholder".to_owned());
    }
    if topic.contains("%u") || topic.contains("%c") {
        return Err(".topic: %u and %c stand for names in the broker; write ${username} or ${clientid}".to_owned());
    }
    let filter = topic.replace("${username}", "%u").replace("${clientid}", "%c");
    if filter.contains("${") {
        return Err(".topic: the placeholders are ${username} and ${clientid}".to_owned());
    }
    Ok(filter)
}

/// Largest quality of service. A list such as `[0, 1]` has to begin with 0 and have no gap.
fn qos_max(rule: &Map<String, Json>) -> Result<QoS, String> {
    let Some(qos) = rule.get("qos") else { return Ok(QoS::ExactlyOnce) };
    let one = std::slice::from_ref(qos);
    let levels: Option<Vec<u64>> =
        qos.as_array().map_or(one, Vec::as_slice).iter().map(Json::as_u64).collect();
    let mut levels = levels.unwrap_or_default();
    levels.sort_unstable();
    levels.dedup();
    match levels.as_slice() {
        [0] => Ok(QoS::AtMostOnce),
        [0, 1] => Ok(QoS::AtLeastOnce),
        [0, 1, 2] => Ok(QoS::ExactlyOnce),
        _ => Err(".qos: 0, [0, 1] or [0, 1, 2]".to_owned()),
    }
}

fn retain(rule: &Map<String, Json>) -> Result<bool, String> {
    match rule.get("retain") {
        None => Ok(true),
        Some(Json::String(text)) if text == "all" => Ok(true),
        Some(Json::Bool(false)) => Ok(false),
        Some(_) => Err(".retain: false or \"all\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_become_grants_in_their_order() {
        let list = json!([
            {"permission": "allow", "action": "publish", "topic": "d/${clientid}/#", "qos": [1, 0], "retain": false},
            {"permission": "deny", "action": "all", "topic": "d/${username}/secret"},
            {"permission": "allow", "action": "subscribe", "topic": "eq d/x", "qos": 0, "retain": "all"},
        ]);
        let grants = grants(&list, "acl").unwrap();
        let shown: Vec<_> =
            grants.iter().map(|grant| (&*grant.filter, grant.qos_max, grant.retain)).collect();
        assert_eq!(
            shown,
            [
                ("d/%c/#", QoS::AtLeastOnce, false),
                ("d/%u/secret", QoS::ExactlyOnce, true),
                ("d/x", QoS::AtMostOnce, true)
            ]
        );
        assert_eq!((grants[0].effect, grants[1].effect), (Effect::Allow, Effect::Deny));
        assert_eq!(grants[1].actions, Actions::PUBLISH | Actions::SUBSCRIBE);
    }

    #[test]
    fn rule_that_no_grant_expresses_is_an_error() {
        let with = |member: &str, value: Json| {
            let mut rule = json!({"permission": "allow", "action": "all", "topic": "a/#"});
            rule[member] = value;
            json!([rule])
        };
        for (list, reason) in [
            (json!({}), "acl: a list of rules"),
            (json!([1]), "acl[0]: an object"),
            (with("permission", json!("perhaps")), "acl[0].permission: \"allow\" or \"deny\""),
            (with("action", json!("read")), "acl[0].action: \"publish\", \"subscribe\" or \"all\""),
            (with("topic", json!("")), "acl[0].topic: a Topic Filter"),
            (with("topic", json!("eq a/#")), "acl[0].topic: with \"eq \" no wildcard and no placeholder"),
            (
                with("topic", json!("a/${x}")),
                "acl[0].topic: the placeholders are ${username} and ${clientid}",
            ),
            (with("qos", json!(1)), "acl[0].qos: 0, [0, 1] or [0, 1, 2]"),
            (with("qos", json!([0, 3])), "acl[0].qos: 0, [0, 1] or [0, 1, 2]"),
            (with("retain", json!(true)), "acl[0].retain: false or \"all\""),
            (
                with("ipaddr", json!("::1")),
                "acl[0].ipaddr: unknown; the members are permission, action, topic, qos, retain",
            ),
            (
                json!([{"permission": "deny", "action": "all", "topic": "a", "qos": 0}]),
                "acl[0]: a denial is for each qos, and for retained messages too",
            ),
        ] {
            assert_eq!(grants(&list, "acl").unwrap_err(), reason);
        }
    }
}
