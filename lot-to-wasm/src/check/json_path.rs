//! Paths of GET JSON: `a.b[0].c` (LoT reference §5.2).

use super::tree::JsonStep;

/// The steps of a path; an empty path is the whole document. `None` when it is malformed.
pub(crate) fn parse(text: &str) -> Option<Vec<JsonStep>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            steps.push(JsonStep::Index(index.trim().parse().ok()?));
            rest = after;
        } else {
            let after = if steps.is_empty() { rest } else { rest.strip_prefix('.')? };
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, after) = after.split_at(end);
            if key.is_empty() {
                return None;
            }
            steps.push(JsonStep::Key(key.to_owned()));
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_keys_and_indexes() {
        let key = |text: &str| JsonStep::Key(text.into());
        for (text, expected) in [
            ("", Some(vec![])),
            ("a", Some(vec![key("a")])),
            ("a.b[1].c", Some(vec![key("a"), key("b"), JsonStep::Index(1), key("c")])),
            ("[0][2]", Some(vec![JsonStep::Index(0), JsonStep::Index(2)])),
            ("items.0.id", Some(vec![key("items"), key("0"), key("id")])),
            ("a b.ä", Some(vec![key("a b"), key("ä")])),
            ("a..b", None),
            ("a.", None),
            (".a", None),
            ("a[x]", None),
            ("a[1", None),
            ("a[0]b", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
