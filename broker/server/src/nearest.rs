//! The nearest known name to a misspelt one.

/// Longer names are not compared: they are no slip of a finger, and comparing costs the product of the lengths.
const NAME_BYTES_MAX: usize = 200;

/// The name with the smallest edit distance to `name`, case apart; `None` when even that needs more edits than half its length.
pub(crate) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let (edits, candidate) = closest(name, known)?;
    (edits * 2 <= name.chars().count().max(candidate.chars().count())).then_some(candidate)
}

/// The same, `None` when it needs more than `edits_max` edits.
pub(crate) fn nearest_within(
    edits_max: usize,
    name: &str,
    known: impl Iterator<Item = String>,
) -> Option<String> {
    closest(name, known).filter(|(edits, _)| *edits <= edits_max).map(|(_, candidate)| candidate)
}

fn closest(name: &str, known: impl Iterator<Item = String>) -> Option<(usize, String)> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let wanted = name.to_lowercase();
    let measured = known.map(|known| (strsim::osa_distance(&wanted, &known.to_lowercase()), known));
    measured.min_by_key(|(edits, _)| *edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> impl Iterator<Item = String> {
        ["listener.mqtt.port", "sys.interval_sec"].into_iter().map(str::to_owned)
    }

    #[test]
    fn a_stranger_has_no_neighbour() {
        assert_eq!(nearest("Listener.mqtt.prot", known()).as_deref(), Some("listener.mqtt.port"));
        assert_eq!(nearest("zzz", known()), None);
        assert_eq!(nearest(&"listener".repeat(1_000), known()), None);
    }

    #[test]
    fn edits_can_be_bounded() {
        assert_eq!(nearest_within(1, "sys.interval_sce", known()).as_deref(), Some("sys.interval_sec"));
        assert_eq!(nearest_within(1, "sys.intervall_sce", known()), None);
    }
}
