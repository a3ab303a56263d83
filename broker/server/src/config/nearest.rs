//! The nearest known name to a misspelt one.

use super::{ConfigError, KEYS, Origin};

/// The error for a path that is no key, with the nearest key, or that it belongs to what is not there yet.
pub(in crate::config) fn unknown_key(name: &str, origin: &Origin) -> ConfigError {
    let names = KEYS.iter().map(|key| key.path.to_owned());
    unknown(name, origin, names)
}

/// The same for a JSON name.
pub(in crate::config) fn unknown_json_key(name: &str) -> ConfigError {
    let names = KEYS.iter().filter_map(|key| key.json.map(str::to_owned));
    unknown(name, &Origin::Stored, names)
}

fn unknown(name: &str, origin: &Origin, names: impl Iterator<Item = String>) -> ConfigError {
    if super::not_yet::is_not_yet(name) {
        return ConfigError::KeyNotYet { name: name.to_owned(), origin: origin.clone() };
    }
    ConfigError::KeyUnknown { name: name.to_owned(), origin: origin.clone(), nearest: nearest(name, names) }
}

/// The name with the smallest edit distance to `name`, case apart; `None` when even that needs more edits than half its length.
pub(in crate::config) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let wanted = name.to_lowercase();
    let candidate = known.min_by_key(|known| distance(&wanted, &known.to_lowercase()))?;
    let edits = distance(&wanted, &candidate.to_lowercase());
    (edits * 2 <= wanted.chars().count().max(candidate.chars().count())).then_some(candidate)
}

/// Levenshtein distance in characters; names are short, so quadratic is fine. Longer ones than 200 characters are cut.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(200).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().take(200).enumerate() {
        let mut diagonal = line;
        let mut previous = line + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = *cell;
            *cell = replaced.min(*cell + 1).min(previous + 1);
            previous = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (left, right, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("port", "port", 0),
            ("prot", "port", 2),
            ("bind", "binds", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn a_stranger_has_no_neighbour() {
        let known = || ["listener.mqtt.port".to_owned(), "sys.interval_sec".to_owned()].into_iter();
        assert_eq!(nearest("listener.mqtt.prot", known()).as_deref(), Some("listener.mqtt.port"));
        assert_eq!(nearest("zzz", known()), None);
    }
}
