//! The nearest known word to one that is not known.

/// The candidate nearest to `word` within an edit distance of 2 (1 for words of up to three letters, 0 for single ones), where letter case counts
/// nothing; the first of equals.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = match word.chars().count() {
        0 | 1 => 0,
        2 | 3 => 1,
        _ => 2,
    };
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase(), bound), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edit distance with transpositions of neighbours; some number above `bound` when it is above it.
fn distance(left: &str, right: &str, bound: usize) -> usize {
    let too_different = left.chars().count().abs_diff(right.chars().count()) > bound;
    if too_different { bound + 1 } else { strsim::osa_distance(left, right) }
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
            ("XYZ", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
    }
}
