//! Allows messages with a small payload while the plant is not locked. A Rule asks it:
//! `IF MODULE "my-guest" THEN`.

use lotmq_guest::rule::{Request, Rule, RunError, Verdict, last_value};

// Permissions that the guest needs: the deployer sees and grants them.
lotmq_guest::manifest!("read:plant/locked");

/// Longest payload that it allows, in bytes.
const BYTES_MAX: usize = 64;

struct Guest;

impl Rule for Guest {
    fn check(request: Request) -> Result<Verdict, RunError> {
        let is_locked = last_value("plant/locked").is_some_and(|value| value == b"true");
        let verdict = verdict(is_locked, request.payload.as_deref().unwrap_or_default());
        if verdict == Verdict::Deny {
            lotmq_guest::println!("{} was denied {}", request.client_id, request.topic.unwrap_or_default());
        }
        Ok(verdict)
    }
}

fn verdict(is_locked: bool, payload: &[u8]) -> Verdict {
    if is_locked || payload.len() > BYTES_MAX { Verdict::Deny } else { Verdict::Allow }
}

lotmq_guest::export_rule!(Guest);

#[cfg(test)]
mod tests {
    use lotmq_guest::rule::testing::publishing;
    use lotmq_guest::testing::set_last_value;

    use super::*;

    #[test]
    fn publish_to_a_locked_plant_or_with_a_long_payload_is_denied() {
        assert_eq!(Guest::check(publishing("plant/press", "21.5")).unwrap(), Verdict::Allow);
        assert_eq!(Guest::check(publishing("plant/press", [b'x'; 65])).unwrap(), Verdict::Deny);
        set_last_value("plant/locked", b"true");
        assert_eq!(Guest::check(publishing("plant/press", "21.5")).unwrap(), Verdict::Deny);
    }
}
