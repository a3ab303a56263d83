//! Mapping from server errors to failures of a message or the route.

use lotmq_guest::route::Failure;

/// Errors of a server that is busy, or is not what it will be soon: the same passes later.
const FOR_NOW: &[&str] = &["BUSY", "LOADING", "OOM", "TRYAGAIN", "CLUSTERDOWN", "NOREPLICAS"];

/// Errors of a server that is no longer the right one. Another connection may lead to the right
/// one.
const ELSEWHERE: &[&str] = &["READONLY", "MASTERDOWN", "UNBLOCKED"];

/// Errors that only people can correct.
const FOR_PEOPLE: &[&str] = &["NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "MOVED", "ASK"];

/// Returns the failure of a message whose command the server refused with this text. A forbidden
/// key or channel concerns this message alone; a forbidden command concerns all.
pub(crate) fn of_message(text: &str) -> Failure {
    match of(text) {
        // Texts since 6.0: "access one of the keys", "access a key", "can't access at least one of
        // the keys", and the same for channels. For commands it is "run".
        Failure::Fatal(reason) if reason.starts_with("NOPERM") && reason.contains(" access ") => {
            Failure::Reject(reason)
        }
        failure => failure,
    }
}

/// Maps a refusal to a failure of the connection. The text begins with its class.
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
