//! Texts for people without the values of secrets (language reference C08).
//!
//! A value is found as it is and as it stands in JSON. One that a program has changed, as cut or encoded, is not found. Those below
//! [`MASKED_BYTES_MIN`] are left: they stand in any text, and what is missing there would tell them.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use zeroize::Zeroizing;

use super::Secret;
use crate::limits::{MASKED_BYTES_MIN, MASKED_CUT_BYTES_MIN};

/// Stands where a secret was.
const MASK: &[u8] = b"***";

/// What is masked: the forms of values, found by how they begin.
#[derive(Default)]
pub(super) struct Masking {
    forms: HashTable<Secret>,
    hasher: DefaultHashBuilder,
}

impl Masking {
    /// Masks this value, too. What was added twice is to be removed twice.
    pub(super) fn add(&mut self, value: &Secret) {
        for form in forms(value) {
            if let Some(hash) = hash_of(&self.hasher, &form) {
                let hasher = |form: &Secret| hash_of(&self.hasher, form).unwrap_or_default();
                self.forms.insert_unique(hash, form, hasher);
            }
        }
    }

    /// Masks this value no more.
    pub(super) fn remove(&mut self, value: &Secret) {
        for form in forms(value) {
            if let Some(hash) = hash_of(&self.hasher, &form)
                && let Ok(known) = self.forms.find_entry(hash, |known| *known == form)
            {
                known.remove();
            }
        }
    }

    /// The text with [`MASK`] in place of each value, the longest where several match. Costs a look at each byte, however many values there are.
    pub(super) fn masked<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if self.forms.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut kept = Vec::new();
        let (mut at, mut copied) = (0, 0);
        while let Some(rest) = text.get(at..)
            && let Some(hash) = hash_of(&self.hasher, rest)
        {
            let known = self.forms.iter_hash(hash);
            let Some(len) = known.filter_map(|form| found(rest, form, text.len())).max() else {
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
}

/// Hash of how a form or a text begins; `None` where it is shorter than what is masked.
fn hash_of(hasher: &DefaultHashBuilder, text: &[u8]) -> Option<u64> {
    let beginning: &[u8; MASKED_BYTES_MIN] = text.first_chunk()?;
    Some(hasher.hash_one(beginning))
}

/// The value, and how it stands in JSON where that is something else; none of what is no text.
fn forms(value: &Secret) -> impl Iterator<Item = Secret> {
    let text = std::str::from_utf8(value).ok();
    let escaped = text.filter(|text| text.chars().any(|c| matches!(c, '"' | '\\') || c.is_control()));
    let in_json = escaped.map(|text| {
        let quoted = Zeroizing::new(serde_json::Value::from(text).to_string());
        Arc::new(Zeroizing::new(quoted.as_bytes()[1..quoted.len() - 1].to_vec()))
    });
    text.map(|_| Arc::clone(value)).into_iter().chain(in_json)
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

    fn masking(values: &[&str]) -> Masking {
        let mut masking = Masking::default();
        for value in values {
            masking.add(&Arc::new(Zeroizing::new(value.as_bytes().to_vec())));
        }
        masking
    }

    #[test]
    fn values_are_masked_as_they_are_and_as_in_json() {
        let masking = masking(&["hunter2", "hunter22", "abc", "", "q\"uo\\te", "äöü"]);
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
            let masked = masking.masked(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&masked), expected, "{text}");
        }
    }

    #[test]
    fn what_a_long_text_was_cut_in_is_masked_too() {
        let text = format!("{}hunte", "x".repeat(MASKED_CUT_BYTES_MIN));
        assert!(masking(&["hunter2"]).masked(text.as_bytes()).ends_with(b"x***"));
    }
}
