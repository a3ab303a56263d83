//! Lists of what does not keep a rule yet: none grows, and what keeps the rule by now must leave
//! its list.

use std::collections::BTreeMap;

/// Returns a sentence for each unlisted violation of a rule, and for each listed one that does not
/// break it any longer.
///
/// `found` has the measured values. More than `most` breaks the rule, and each exception has a
/// bound of its own.
pub(crate) fn compare(
    found: &BTreeMap<String, usize>,
    most: usize,
    exceptions: &[(&str, usize)],
    what: &str,
) -> Vec<String> {
    let bound = |name: &str| exceptions.iter().find(|(known, _)| *known == name).map(|(_, bound)| *bound);
    let too_much = found.iter().filter(|(_, count)| **count > most).filter_map(|(name, count)| {
        let allowed = bound(name).unwrap_or(most);
        (*count > allowed).then(|| format!("{name}: {count} {what}, at most {allowed}"))
    });
    let needless = exceptions.iter().filter(|(name, _)| found.get(*name).is_none_or(|count| *count <= most));
    let needless =
        needless.map(|(name, _)| format!("{name}: keeps the rule; take it out of the list of exceptions"));
    too_much.chain(needless).collect()
}

#[test]
fn exceptions_that_nobody_needs_are_found() {
    let found = BTreeMap::from([
        ("long".to_owned(), 90),
        ("grown".to_owned(), 95),
        ("short".to_owned(), 10),
        ("new".to_owned(), 71),
    ]);
    let exceptions = [("long", 90), ("grown", 90), ("short", 80), ("gone", 80)];
    let complaints = compare(&found, 70, &exceptions, "lines");
    let about: Vec<&str> = complaints.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(about, ["grown", "new", "short", "gone"]);
}
