//! Texts for people without the values of secrets (language reference C08).
//!
//! A value is found as it is and as it stands in JSON. One that a program has changed, as cut or encoded, is not found. Those below
//! [`MASKED_BYTES_MIN`] are left: they stand in any text, and what is missing there would tell them.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::limits::{MASKED_BYTES_MIN, MASKED_CUT_BYTES_MIN};

/// Stands where a secret was.
const MASK: &[u8] = b"***";

/// How a value begins.
type Beginning = [u8; MASKED_BYTES_MIN];

/// The text with [`MASK`] in place of each of these values, the longest where several match. Costs a look at each value and one at each byte.
pub(super) fn masked<'t, 's>(values: impl Iterator<Item = &'s [u8]>, text: &'t [u8]) -> Cow<'t, [u8]> {
    let mut known: HashMap<Beginning, Vec<Cow<'s, [u8]>>> = HashMap::new();
    for form in values.filter_map(|value| std::str::from_utf8(value).ok()).flat_map(forms) {
        if let Some(beginning) = form.first_chunk() {
            known.entry(*beginning).or_default().push(form);
        }
    }
    if known.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut kept = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(rest) = text.get(at..)
        && let Some(beginning) = rest.first_chunk()
    {
        let found =
            known.get(beginning).into_iter().flatten().filter_map(|form| found(rest, form, text.len())).max();
        let Some(len) = found else {
            at += 1;
            continue;
        };
        kept.extend_from_slice(&text[copied..at]);
        kept.extend_from_slice(MASK);
        at += len;
        copied = at;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    kept.extend_from_slice(&text[copied..]);
    Cow::Owned(kept)
}

/// The value, and how it stands in JSON where that is something else.
fn forms(value: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let is_escaped = value.chars().any(|c| matches!(c, '"' | '\\') || c.is_control());
    let in_json = is_escaped.then(|| {
        let quoted = serde_json::Value::from(value).to_string();
        Cow::Owned(quoted.as_bytes()[1..quoted.len() - 1].to_vec())
    });
    std::iter::once(Cow::Borrowed(value.as_bytes())).chain(in_json)
}

/// Bytes of a value at the beginning of `rest`. At the end of a text that may have been cut a part of it is enough.
fn found(rest: &[u8], form: &[u8], text_bytes: usize) -> Option<usize> {
    if rest.starts_with(form) {
        return Some(form.len());
    }
    (text_bytes >= MASKED_CUT_BYTES_MIN && form.starts_with(rest)).then_some(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_masked_as_they_are_and_as_in_json() {
        let values = ["hunter2", "hunter22", "abc", "", "q\"uo\\te", "äöü"].map(str::as_bytes);
        for (text, expected) in [
            ("Bearer hunter2, hunter2!", "Bearer ***, ***!"),
            ("hunter22", "***"),
            ("hunterhunter2", "hunter***"),
            ("abc is short", "abc is short"),
            ("{\"k\":\"q\\\"uo\\\\te\"} q\"uo\\te", "{\"k\":\"***\"} ***"),
            ("xäöüx", "x***x"),
            ("nothing", "nothing"),
            ("hunt", "hunt"),
            ("", ""),
        ] {
            let masked = masked(values.into_iter(), text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&masked), expected, "{text}");
        }
    }

    #[test]
    fn what_a_long_text_was_cut_in_is_masked_too() {
        let text = format!("{}hunte", "x".repeat(MASKED_CUT_BYTES_MIN));
        let masked = masked([&b"hunter2"[..]].into_iter(), text.as_bytes());
        assert!(masked.ends_with(b"x***"));
    }
}
