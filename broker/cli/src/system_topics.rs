//! Hints on the login that topics of `$SYS` need, shown behind a refusal.

use lotmq_codec::ReasonCode;
use lotmq_connect::LoginArgs;

use crate::cmd::{COMMAND_TOPIC, COMMANDS_NEED, OUTPUT_TOPIC};

/// Refused use of a topic.
#[derive(Clone, Copy)]
pub(crate) enum RefusedUse {
    Publish,
    Subscribe,
}

/// Returns the hint behind the refusal of a topic below `$SYS`; empty for other topics.
pub(crate) fn need(wanted: RefusedUse, topic: &str, reason: ReasonCode, login: &LoginArgs) -> String {
    if !topic.starts_with("$SYS/") || reason != ReasonCode::NotAuthorized {
        return String::new();
    }
    let url_user = login.url.as_ref().and_then(|url| url.user.as_ref());
    if login.username.is_none() && url_user.is_none() {
        return "; topics of $SYS take a login, as -u root -P …".to_owned();
    }
    if [COMMAND_TOPIC, OUTPUT_TOPIC].contains(&topic) {
        return format!("; {COMMANDS_NEED}");
    }
    let scope = match wanted {
        RefusedUse::Publish => "PublishSys",
        RefusedUse::Subscribe => "SubscribeSys",
    };
    format!(
        "; below $SYS that takes root, a user with AllowedSystemConfiguration, or a rule for {scope} that lets this one"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_which_login_it_takes() {
        let nobody = LoginArgs::default();
        let ann = LoginArgs { username: Some("ann".to_owned()), ..LoginArgs::default() };
        let denied = ReasonCode::NotAuthorized;
        for (wanted, topic, reason, login, expected) in [
            (RefusedUse::Subscribe, "a/b", denied, &nobody, ""),
            (RefusedUse::Subscribe, "$SYS/#", ReasonCode::QuotaExceeded, &ann, ""),
            (RefusedUse::Subscribe, "$SYS/#", denied, &nobody, "take a login"),
            (RefusedUse::Publish, COMMAND_TOPIC, denied, &nobody, "take a login"),
            (RefusedUse::Subscribe, "$SYS/#", denied, &ann, "a rule for SubscribeSys"),
            (RefusedUse::Publish, "$SYS/foo", denied, &ann, "a rule for PublishSys"),
            (RefusedUse::Publish, COMMAND_TOPIC, denied, &ann, COMMANDS_NEED),
            (RefusedUse::Subscribe, OUTPUT_TOPIC, denied, &ann, COMMANDS_NEED),
        ] {
            let told = need(wanted, topic, reason, login);
            assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{topic}: {told}");
        }
    }
}
