//! The nearest known word to one that is not known.

/// Bytes of the longest word that is compared: a longer one is no slip of a finger, and comparing
/// costs the product of the lengths.
const WORD_BYTES_MAX: usize = 200;

/// Candidate nearest to `word` within an edit distance of 2 (1 for words of up to four letters, 0
/// for single ones), where letter case counts nothing; the first of equals.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = match word.chars().count() {
        0 | 1 => 0,
        2..=4 => 1,
        _ => 2,
    };
    nearest_within(edits_max, word, candidates)
}

/// As [`nearest`], within an edit distance of `edits_max`.
pub fn nearest_within<Known: AsRef<str>>(
    edits_max: usize,
    word: &str,
    candidates: impl IntoIterator<Item = Known>,
) -> Option<Known> {
    let letters = word.chars().count();
    let alike =
        candidates.into_iter().filter(|known| known.as_ref().chars().count().abs_diff(letters) <= edits_max);
    closest(word, alike).filter(|(edits, _)| *edits <= edits_max).map(|(_, known)| known)
}

/// As [`nearest`], within an edit distance of half the letters of the longer one: for names of
/// several words, such as keys of a configuration.
pub fn nearest_name<Known: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = Known>,
) -> Option<Known> {
    let (edits, known) = closest(name, candidates)?;
    (edits * 2 <= name.chars().count().max(known.as_ref().chars().count())).then_some(known)
}

/// Candidate with the smallest edit distance, in which neighbours that change places are one edit.
fn closest<Known: AsRef<str>>(
    word: &str,
    candidates: impl IntoIterator<Item = Known>,
) -> Option<(usize, Known)> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let measured = candidates
        .into_iter()
        .map(|known| (strsim::osa_distance(&word, &known.as_ref().to_lowercase()), known));
    measured.min_by_key(|(edits, _)| *edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_is_found_within_two_edits() {
        let words = ["TOPIC", "DEFINE", "DO", "PUBLISH"];
        for (word, expected) in [
            ("TOPICO", Some("TOPIC")),
            ("DEFIN", Some("DEFINE")),
            ("PUBLIHS", Some("PUBLISH")),
            ("publish", Some("PUBLISH")),
            ("DX", Some("DO")),
            ("DEFI", None),
            ("TPOIC", Some("TOPIC")),
            ("XYZ", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }

    #[test]
    fn a_stranger_has_no_neighbour() {
        let known = ["listener.mqtt.port", "sys.interval_sec"];
        assert_eq!(nearest_name("Listener.mqtt.prot", known), Some("listener.mqtt.port"));
        assert_eq!(nearest_name("zzz", known), None);
        assert_eq!(nearest_name(&"listener".repeat(1_000), known), None);
    }

    #[test]
    fn edits_can_be_bounded() {
        let known = ["listener.mqtt.port", "sys.interval_sec"];
        assert_eq!(nearest_within(1, "sys.interval_sce", known), Some("sys.interval_sec"));
        assert_eq!(nearest_within(1, "sys.intervall_sce", known), None);
    }
}
