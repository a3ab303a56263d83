//! Topics of messages that are published with a delay: `$delayed/<seconds>/<topic>`.
//!
//! The form is that of EMQX. Rights are asked about the target topic, and only the target topic has
//! receivers. Not here: how long a message waits, and where (`lotmq_core`).

/// First level of the topic of a message with a delay.
const PREFIX: &str = "$delayed/";

/// Longest delay in seconds, some 49 days: that of EMQX.
pub const DELAY_SECONDS_MAX: u32 = 4_294_967;

/// Parts of the topic of a message with a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayedTopic<'a> {
    /// Seconds from the arrival of the message to its publication, from 1 to
    /// [`DELAY_SECONDS_MAX`].
    pub seconds: u32,
    /// Topic to which the message is published then.
    pub target: &'a str,
}

/// Why a topic below `$delayed/` names no delayed message. The peer's fault: 0x90.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelayedTopicError {
    /// The second level is no number, or not in the range.
    #[error("the topic needs a number of seconds from 1 to {DELAY_SECONDS_MAX} after `$delayed/`")]
    Seconds,
    /// Nothing follows the number.
    #[error("the topic needs a target after `$delayed/<seconds>/`")]
    TargetMissing,
    /// The target has a delay of its own.
    #[error("the target of a delayed message must not begin with `$delayed/`")]
    TargetDelayed,
    /// The target belongs to the broker.
    #[error("the target of a delayed message must not be below `$SYS/`")]
    TargetSystem,
}

/// Splits the topic of a message with a delay into its parts; `None` for any other topic.
///
/// # Errors
/// [`DelayedTopicError`] for a topic below `$delayed/` that names no delay or no target.
///
/// ```
/// let delayed = lotmq_router::parse_delayed("$delayed/60/valve/off").expect("it has a delay")?;
/// assert_eq!((delayed.seconds, delayed.target), (60, "valve/off"));
/// assert_eq!(lotmq_router::parse_delayed("valve/off"), None);
/// # Ok::<(), lotmq_router::DelayedTopicError>(())
/// ```
pub fn parse_delayed(topic: &str) -> Option<Result<DelayedTopic<'_>, DelayedTopicError>> {
    topic.strip_prefix(PREFIX).map(parts)
}

fn parts(behind: &str) -> Result<DelayedTopic<'_>, DelayedTopicError> {
    let (digits, target) = behind.split_once('/').unwrap_or((behind, ""));
    // A sign, which `parse` takes, is no digit.
    let seconds = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let seconds = seconds.filter(|seconds| (1..=DELAY_SECONDS_MAX).contains(seconds));
    let seconds = seconds.ok_or(DelayedTopicError::Seconds)?;
    match target_fault(target) {
        None => Ok(DelayedTopic { seconds, target }),
        Some(fault) => Err(fault),
    }
}

fn target_fault(target: &str) -> Option<DelayedTopicError> {
    if target.is_empty() {
        Some(DelayedTopicError::TargetMissing)
    } else if target.starts_with(PREFIX) {
        Some(DelayedTopicError::TargetDelayed)
    } else if target == "$SYS" || target.starts_with("$SYS/") {
        Some(DelayedTopicError::TargetSystem)
    } else {
        None
    }
}

/// Whether a message with a delay may be published to this Topic Name.
pub fn is_delayed_target(topic: &str) -> bool {
    target_fault(topic).is_none() && super::topic_name_valid(topic).is_ok()
}

/// Topic about which rights are asked: the target of a message with a delay, any other topic
/// itself.
pub fn delayed_target(topic: &str) -> &str {
    match parse_delayed(topic) {
        Some(Ok(delayed)) => delayed.target,
        Some(Err(_)) | None => topic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delayed_topics_have_seconds_and_a_target() {
        use DelayedTopicError::{Seconds, TargetDelayed, TargetMissing, TargetSystem};
        for (topic, expected) in [
            ("$delayed/1/a", Ok((1, "a"))),
            ("$delayed/60/valve/off", Ok((60, "valve/off"))),
            ("$delayed/060/a", Ok((60, "a"))),
            ("$delayed/4294967/a", Ok((4_294_967, "a"))),
            ("$delayed/5//a", Ok((5, "/a"))),
            ("$delayed/5//", Ok((5, "/"))),
            ("$delayed/5/$delayed", Ok((5, "$delayed"))),
            ("$delayed/5/$SYSTEM/a", Ok((5, "$SYSTEM/a"))),
            ("$delayed/0/a", Err(Seconds)),
            ("$delayed/4294968/a", Err(Seconds)),
            ("$delayed/99999999999999999999/a", Err(Seconds)),
            ("$delayed/1767225600/a", Err(Seconds)),
            ("$delayed/-1/a", Err(Seconds)),
            ("$delayed/+1/a", Err(Seconds)),
            ("$delayed/1.5/a", Err(Seconds)),
            ("$delayed/1s/a", Err(Seconds)),
            ("$delayed/ 1/a", Err(Seconds)),
            ("$delayed/\u{661}/a", Err(Seconds)),
            ("$delayed/valve/off", Err(Seconds)),
            ("$delayed//a", Err(Seconds)),
            ("$delayed/", Err(Seconds)),
            ("$delayed/5", Err(TargetMissing)),
            ("$delayed/5/", Err(TargetMissing)),
            ("$delayed/5/$delayed/5/a", Err(TargetDelayed)),
            ("$delayed/5/$delayed/", Err(TargetDelayed)),
            ("$delayed/5/$SYS", Err(TargetSystem)),
            ("$delayed/5/$SYS/Coreflux/Command", Err(TargetSystem)),
        ] {
            let found = parse_delayed(topic).expect("it begins as a delayed topic");
            assert_eq!(found.map(|found| (found.seconds, found.target)), expected, "{topic}");
            assert_eq!(delayed_target(topic), expected.map_or(topic, |(_, target)| target), "{topic}");
        }
        for topic in ["$delayed", "$Delayed/5/a", "a/$delayed/5/a", "delayed/5/a", "$delayed5/a"] {
            assert_eq!((parse_delayed(topic), delayed_target(topic)), (None, topic));
        }
    }
}
