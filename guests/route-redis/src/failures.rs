//! What an error of the server means for a message, and for the route.

use lotmq_guest::route::Failure;

/// Errors of a server that is busy, or is not what it will be soon: the same passes later.
const FOR_NOW: &[&str] = &["BUSY", "LOADING", "OOM", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS"];

/// Errors of a server that is not the right one any more: another connection may lead to the one that is.
const ELSEWHERE: &[&str] = &["READONLY", "MASTERDOWN", "UNBLOCKED"];

/// Errors that only people can correct.
const FOR_PEOPLE: &[&str] = &["NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "MOVED", "ASK"];

/// The failure of a message whose command was refused with this text: a key or a channel that the user may not use is a matter of this message alone, a command that he may
/// not run one of all.
pub(crate) fn of_message(text: &str) -> Failure {
    match of(text) {
        // Since 6.0 "access one of the keys", "access a key", "can't access at least one of the keys", and the same of channels; of commands it is "run".
        Failure::Fatal(reason) if reason.starts_with("NOPERM") && reason.contains(" access ") => {
            Failure::Reject(reason)
        }
        failure => failure,
    }
}

/// What a refusal with this text, which begins with its class, means for the connection.
pub(crate) fn of(text: &str) -> Failure {
    let class = text.split_ascii_whitespace().next().unwrap_or_default();
    let among = |classes: &[&str]| classes.contains(&class);
    match class {
        "MOVED" | "ASK" => {
            Failure::Fatal(format!("the server is one of a cluster, which is not spoken here: {text}"))
        }
        _ if among(FOR_NOW) => Failure::Retry(text.to_owned()),
        _ if among(ELSEWHERE) => Failure::Reconnect(text.to_owned()),
        // A disk that is full at a server that saves what it has.
        "MISCONF" => Failure::Retry(text.to_owned()),
        _ if among(FOR_PEOPLE) => Failure::Fatal(text.to_owned()),
        _ => Failure::Reject(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_an_error_decides() {
        for (text, expected) in [
            ("WRONGTYPE Operation against a key", "Reject"),
            ("ERR wrong number of arguments", "Reject"),
            ("OOM command not allowed", "Retry"),
            ("LOADING Redis is loading", "Retry"),
            ("MISCONF Redis is configured to save", "Retry"),
            ("READONLY You can't write against a read only replica.", "Reconnect"),
            ("NOPERM this user has no permissions to run the 'set' command", "Fatal"),
            ("NOPERM this user has no permissions to access one of the keys used as arguments", "Reject"),
            ("NOPERM No permissions to access a channel", "Reject"),
            ("NOPERM User app has no permissions to run the 'set' command", "Fatal"),
            ("MOVED 3999 127.0.0.1:6381", "Fatal"),
            ("", "Reject"),
        ] {
            assert!(format!("{:?}", of_message(text)).contains(expected), "{text}");
        }
        // A channel that is listened to is no message.
        assert!(matches!(of("NOPERM No permissions to access a channel"), Failure::Fatal(_)));
    }
}
