//! Rules for Topic Names and Topic Filters: which are valid, and which filter matches which name.
//!
//! Asked at SUBSCRIBE, UNSUBSCRIBE and PUBLISH before anything reaches an index. Comparison is byte
//! for byte: no normalisation, no case folding, no trimming \[MQTT-4.7.3-4\]. Not here: the index
//! that answers for 100,000 filters at once (`subscription`).

mod delayed;

use crate::limits::{FILTER_LEVELS_MAX, TOPIC_BYTES_MAX};

pub use delayed::{
    DELAY_SECONDS_MAX, DelayedTopic, DelayedTopicError, delayed_target, is_delayed_target, parse_delayed,
};

/// Separates the levels of a topic.
pub(crate) const SEPARATOR: char = '/';
/// As a whole level of a filter: any one level \[MQTT-4.7.1-2\].
pub(crate) const SINGLE_LEVEL: &str = "+";
/// As the last whole level of a filter: the parent and everything below it \[MQTT-4.7.1-1\].
pub(crate) const MULTI_LEVEL: &str = "#";
/// Prefix of the filter of a shared subscription \[MQTT-4.8.2-1\].
const SHARE_PREFIX: &str = "$share/";

/// Why a Topic Name or Topic Filter is not one. Always the peer's fault.
///
/// In a name the peer is told 0x90, in a filter 0x8F (3.1.1: 0x80 in SUBACK).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// A name or filter has at least one character \[MQTT-4.7.3-1\].
    #[error("topic is empty")]
    Empty,
    /// Longer than the wire can carry \[MQTT-4.7.3-3\]; possible only for topics that no packet
    /// brought.
    #[error("topic of {bytes} bytes is longer than {TOPIC_BYTES_MAX}")]
    TooLong {
        /// Length of the topic in bytes.
        bytes: usize,
    },
    /// U+0000 is in no topic \[MQTT-4.7.3-2\].
    #[error("topic contains U+0000")]
    ContainsNul,
    /// Control characters and non-characters, which receivers may take for malformed (§1.5.4). In a
    /// Topic Name of the broker's own.
    #[error("topic contains control characters or non-characters")]
    Discouraged,
    /// A Topic Name has no wildcards \[MQTT-3.3.2-2\].
    #[error("topic name contains the wildcard `{wildcard}`")]
    WildcardInName {
        /// The first of `+` and `#` that is there.
        wildcard: char,
    },
    /// `#` stands alone or as the last whole level \[MQTT-4.7.1-1\].
    #[error("`#` is not the last whole level of the topic filter")]
    MultiLevelWildcardMisplaced,
    /// `+` is a whole level \[MQTT-4.7.1-2\].
    #[error("`+` is not a whole level of the topic filter")]
    SingleLevelWildcardMisplaced,
    /// Deeper than we index; see [`FILTER_LEVELS_MAX`].
    #[error("topic filter has {levels} levels, more than {FILTER_LEVELS_MAX}")]
    TooManyLevels {
        /// Number of levels of the filter.
        levels: usize,
    },
    /// `$share/` is followed by at least one character of a Share Name \[MQTT-4.8.2-1\].
    #[error("share name is empty")]
    ShareNameEmpty,
    /// A Share Name has no `+` and `#` \[MQTT-4.8.2-2\].
    #[error("share name contains the wildcard `{wildcard}`")]
    WildcardInShareName {
        /// The first of `+` and `#` that is there.
        wildcard: char,
    },
    /// After the Share Name come a `/` and a Topic Filter \[MQTT-4.8.2-2\].
    #[error("shared subscription has no topic filter after its share name")]
    SharedFilterMissing,
}

/// Says whether `topic` may be published to by the broker, for itself or for definitions.
///
/// # Errors
/// [`TopicError`]; the codec has already refused what cannot be in a PUBLISH, so this is for topics
/// of other origin: commands, guests. Cost: one pass over the bytes of what is printable ASCII, a
/// few over others.
pub fn topic_name_valid(topic: &str) -> Result<(), TopicError> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'+' | b'#');
    if !topic.is_empty() && topic.len() <= TOPIC_BYTES_MAX && topic.as_bytes().iter().all(is_plain) {
        return Ok(());
    }
    characters_valid(topic)?;
    if lotmq_codec::has_discouraged(topic) {
        return Err(TopicError::Discouraged);
    }
    match first_wildcard(topic) {
        Some(wildcard) => Err(TopicError::WildcardInName { wildcard }),
        None => Ok(()),
    }
}

/// Says whether a topic has more than `levels` levels, which are parted by `/`.
pub fn has_more_levels(topic: &str, levels: usize) -> bool {
    topic.len() >= levels && topic.bytes().filter(|byte| *byte == b'/').count() >= levels
}

/// Says whether `filter` may be subscribed to; shared filters (`$share/…`) are checked by their own
/// rules too.
///
/// # Errors
/// [`TopicError`], one per broken rule, the first that is found.
pub fn topic_filter_valid(filter: &str) -> Result<(), TopicError> {
    match parse_shared(filter)? {
        Some(_) => Ok(()),
        None => plain_filter_valid(filter),
    }
}

/// Says whether the filter has a `+` or `#` level. Expects a valid filter without `$share/` prefix.
pub fn filter_has_wildcard(filter: &str) -> bool {
    filter.split(SEPARATOR).any(|level| level == SINGLE_LEVEL || level == MULTI_LEVEL)
}

/// Says whether the valid `filter` matches the valid Topic Name `topic` (§4.7).
///
/// `#` includes the parent level, `+` an empty level, and a filter that starts with a wildcard
/// never matches a name that starts with `$` \[MQTT-4.7.2-1\]. A `$share/` prefix has no meaning
/// here: pass [`SharedFilter::filter`].
pub fn filter_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.as_bytes(), topic.as_bytes());
    loop {
        match (filter, topic) {
            ([b'#', ..], _) | ([b'/', b'#'], []) | ([], []) => return true,
            ([b'+', behind @ ..], _) => {
                let level = topic.iter().position(|&byte| byte == b'/').unwrap_or(topic.len());
                (filter, topic) = (behind, topic.split_at(level).1);
            }
            ([wanted, behind @ ..], [byte, rest @ ..]) if wanted == byte => (filter, topic) = (behind, rest),
            _ => return false,
        }
    }
}

/// Says whether the valid filter `wide` matches every Topic Name that the valid filter `narrow`
/// matches.
///
/// Neither has a `$share/` prefix.
pub fn filter_includes(wide: &str, narrow: &str) -> bool {
    if narrow.starts_with('$') && wide.starts_with(['+', '#']) {
        return false;
    }
    let mut narrow_levels = narrow.split(SEPARATOR);
    for level in wide.split(SEPARATOR) {
        if level == MULTI_LEVEL {
            return true;
        }
        match narrow_levels.next() {
            Some(MULTI_LEVEL) | None => return false,
            Some(of_narrow) if level == SINGLE_LEVEL || level == of_narrow => {}
            Some(_) => return false,
        }
    }
    narrow_levels.next().is_none()
}

/// The two parts of the Topic Filter of a shared subscription. A group is both together (§4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SharedFilter<'a> {
    /// Between `$share/` and the next `/`; never empty, without `/`, `+` and `#`.
    pub share_name: &'a str,
    /// Valid Topic Filter that the group subscribes to. Access rules decide by this part alone.
    pub filter: &'a str,
}

/// Splits a shared filter into its parts; `None` for an ordinary filter, one without `$share/`.
///
/// # Errors
/// 0x8F for `$share//x`, `$share/g`, `$share/+/x` and the like, which are neither shared nor
/// ordinary \[MQTT-4.8.2-1, -2\]. An ordinary filter is not validated.
///
/// ```
/// let shared = lotmq_router::parse_shared("$share/workers/jobs/+")?;
/// let shared = shared.expect("it is a shared filter");
/// assert_eq!((shared.share_name, shared.filter), ("workers", "jobs/+"));
/// # Ok::<(), lotmq_router::TopicError>(())
/// ```
pub fn parse_shared(filter: &str) -> Result<Option<SharedFilter<'_>>, TopicError> {
    let Some(rest) = filter.strip_prefix(SHARE_PREFIX) else { return Ok(None) };
    let (share_name, filter) = rest.split_once(SEPARATOR).unwrap_or((rest, ""));
    if share_name.is_empty() {
        return Err(TopicError::ShareNameEmpty);
    }
    if let Some(wildcard) = first_wildcard(share_name) {
        return Err(TopicError::WildcardInShareName { wildcard });
    }
    if filter.is_empty() {
        return Err(TopicError::SharedFilterMissing);
    }
    characters_valid(share_name)?;
    plain_filter_valid(filter)?;
    Ok(Some(SharedFilter { share_name, filter }))
}

fn plain_filter_valid(filter: &str) -> Result<(), TopicError> {
    characters_valid(filter)?;
    let mut levels = 0;
    let mut ended = false;
    for level in filter.split(SEPARATOR) {
        if ended || (level != MULTI_LEVEL && level.contains('#')) {
            return Err(TopicError::MultiLevelWildcardMisplaced);
        }
        if level != SINGLE_LEVEL && level.contains('+') {
            return Err(TopicError::SingleLevelWildcardMisplaced);
        }
        ended = level == MULTI_LEVEL;
        levels += 1;
    }
    if levels > FILTER_LEVELS_MAX {
        return Err(TopicError::TooManyLevels { levels });
    }
    Ok(())
}

fn characters_valid(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    if topic.len() > TOPIC_BYTES_MAX {
        return Err(TopicError::TooLong { bytes: topic.len() });
    }
    if topic.contains('\0') {
        return Err(TopicError::ContainsNul);
    }
    Ok(())
}

fn first_wildcard(topic: &str) -> Option<char> {
    topic.chars().find(|&c| c == '+' || c == '#')
}

#[cfg(test)]
mod tests;
