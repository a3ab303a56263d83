//! From a stored topic to the next one that a filter could match, in the byte order of the map.
//!
//! In that order `a`, `a-b`, `a/b`, `a0` follow one another: what lies below `a` is one run of
//! topics that all start with `a/`, but `a` itself may stand apart from it. Behind the run comes
//! what starts with `a` and the character after `/`, which is `0`.

use crate::topic::{MULTI_LEVEL, SEPARATOR, SINGLE_LEVEL};

/// The character that follows `/` in ASCII.
const BEHIND_SEPARATOR: &str = "0";
/// The first text behind all topics that start with `$`.
const BEHIND_DOLLAR: &str = "%";

/// Verdict on a stored topic; see [`Jumper::judge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    /// The filter matches it.
    Matches,
    /// It does not match; the one behind it may.
    Next,
    /// It does not match, nor does any below the text that `judge` wrote.
    To,
    /// Neither it nor any behind it matches.
    End,
}

/// A filter with at least one wildcard.
#[derive(Debug)]
pub(super) struct Jumper<'a> {
    filter: &'a str,
    /// The filter without its last `#`, where that is its only wildcard: what starts with this
    /// matches.
    subtree: Option<&'a str>,
}

impl<'a> Jumper<'a> {
    pub(super) fn new(filter: &'a str) -> Self {
        let above = filter.strip_suffix(MULTI_LEVEL);
        let subtree = above.filter(|above| !above.is_empty() && !above.contains(SINGLE_LEVEL));
        Self { filter, subtree }
    }

    /// The lowest text that the filter may match: its levels before the first wildcard.
    pub(super) fn first(&self) -> &'a str {
        let wildcard = self
            .filter
            .split(SEPARATOR)
            .scan(0, |start, level| {
                let at = *start;
                *start += level.len() + 1;
                Some((at, level))
            })
            .find(|&(_, level)| level == SINGLE_LEVEL || level == MULTI_LEVEL);
        match wildcard {
            // `a/#` also matches `a`, which has no separator.
            Some((at, MULTI_LEVEL)) => &self.filter[..at.saturating_sub(1)],
            Some((at, _)) => &self.filter[..at],
            None => self.filter,
        }
    }

    /// Compares level by level; writes into `wanted` where to go for [`Jump::To`], always behind
    /// `topic`.
    pub(super) fn judge(&self, topic: &str, wanted: &mut String) -> Jump {
        if self.subtree.is_some_and(|subtree| topic.starts_with(subtree)) {
            return Jump::Matches;
        }
        if topic.starts_with('$') && self.filter.starts_with(['+', '#']) {
            return jump_to(wanted, [BEHIND_DOLLAR, "", ""]);
        }
        let mut rest = Some(topic);
        let mut last_plus = None;
        let mut filter_rest = Some(self.filter);
        while let Some(filter) = filter_rest {
            let (level, deeper) = split_level(filter);
            if level == MULTI_LEVEL {
                return Jump::Matches;
            }
            let Some(topic_rest) = rest else { return Jump::Next };
            let (of_topic, topic_deeper) = split_level(topic_rest);
            let start = topic.len() - topic_rest.len();
            if level == SINGLE_LEVEL {
                last_plus = Some(start + of_topic.len());
            } else if level != of_topic {
                return Self::leave(
                    &Mismatch { topic, start, level, is_last: deeper.is_none(), last_plus },
                    wanted,
                );
            }
            (rest, filter_rest) = (topic_deeper, deeper);
        }
        match rest {
            None => Jump::Matches,
            Some(below) => {
                let matching = &topic[..topic.len() - below.len() - 1];
                jump_to(wanted, [matching, BEHIND_SEPARATOR, ""])
            }
        }
    }

    fn leave(at: &Mismatch<'_>, wanted: &mut String) -> Jump {
        let (before, rest) = at.topic.split_at(at.start);
        if at.level > rest {
            return jump_to(wanted, [before, at.level, ""]);
        }
        let below = at.level.bytes().chain([b'/']);
        if !at.is_last && below.gt(rest.bytes()) {
            return jump_to(wanted, [before, at.level, "/"]);
        }
        match at.last_plus {
            Some(end) => jump_to(wanted, [&at.topic[..end], BEHIND_SEPARATOR, ""]),
            None => Jump::End,
        }
    }
}

/// First difference between a topic and a filter.
struct Mismatch<'a> {
    topic: &'a str,
    /// Start of the level that differs, in `topic`.
    start: usize,
    /// The filter's text of that level.
    level: &'a str,
    /// Whether the filter ends with this level.
    is_last: bool,
    /// End of the level in `topic` that the last `+` before stood for.
    last_plus: Option<usize>,
}

fn split_level(text: &str) -> (&str, Option<&str>) {
    match text.split_once(SEPARATOR) {
        Some((level, rest)) => (level, Some(rest)),
        None => (text, None),
    }
}

fn jump_to(wanted: &mut String, parts: [&str; 3]) -> Jump {
    wanted.clear();
    parts.iter().for_each(|part| wanted.push_str(part));
    Jump::To
}
