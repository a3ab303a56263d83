//! Masking of the values of secrets in texts for people (language reference C08).
//!
//! A value is found as it is, as it stands in JSON and in URLs, and within base64, whatever stands
//! before it there, as in `Basic` credentials that a server repeats. One that a program has changed
//! otherwise, as cut, is not found. Those below [`MASKED_BYTES_MIN`] are left: they stand in any
//! text, and what is missing there would tell them to whoever can choose texts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE};
use hashbrown::{DefaultHashBuilder, HashTable};
use lotmq_host::CUT_MARK;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::Secret;
use crate::limits::MASKED_BYTES_MIN;

/// Text in place of a secret.
const MASK: &[u8] = b"***";

/// Base64 characters of a value that the search uses, at most. The characters that follow are
/// masked with them, so longer forms would find nothing more.
const BASE64_FORM_LETTERS_MAX: usize = 64;

/// Percent-encoded characters in URLs, by standard: all but the unreserved ones of RFC 3986 §2.3,
/// JavaScript's `encodeURIComponent` (ECMA-262 §19.2.6), and user information, paths and queries of
/// the URL standard (§1.3). Forms of that standard also write a space as `+`.
const URL_SETS: [&AsciiSet; 6] = [UNRESERVED, COMPONENT, USER_INFORMATION, PATH, QUERY, FORM];
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
const USER_INFORMATION: &AsciiSet =
    &PATH.add(b'/').add(b':').add(b';').add(b'=').add(b'@').add(b'[').add(b'\\').add(b']').add(b'|');
const PATH: &AsciiSet = &QUERY.add(b'?').add(b'^').add(b'`').add(b'{').add(b'}');
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');
const FORM: &AsciiSet = &UNRESERVED.add(b'~').remove(b'*');

/// Step of the bytes that are left out at the end of a text that may have been cut.
const CUT_BYTES_STEP: usize = 64;

/// Form of a value in texts.
#[derive(PartialEq)]
struct Form {
    text: Secret,
    /// Whether it is the inner part of base64, of which all is masked.
    is_base64: bool,
}

/// Forms of values that are masked, found by how they begin.
#[derive(Default)]
pub(super) struct Masking {
    forms: HashTable<Form>,
    hasher: DefaultHashBuilder,
    /// Lengths of the forms, each with the number of forms that have it.
    lengths: BTreeMap<usize, usize>,
}

impl Masking {
    /// Adds a value to be masked. A value that was added twice has to be removed twice.
    pub(super) fn add(&mut self, value: &Secret) {
        for form in forms(value) {
            if let Some(hash) = hash_of(&self.hasher, &form.text) {
                *self.lengths.entry(form.text.len()).or_default() += 1;
                let hasher = |form: &Form| hash_of(&self.hasher, &form.text).unwrap_or_default();
                self.forms.insert_unique(hash, form, hasher);
            }
        }
    }

    /// Removes a value that was masked.
    pub(super) fn remove(&mut self, value: &Secret) {
        for form in forms(value) {
            if let Some(hash) = hash_of(&self.hasher, &form.text)
                && let Ok(known) = self.forms.find_entry(hash, |known| *known == form)
            {
                known.remove();
                if let Entry::Occupied(mut count) = self.lengths.entry(form.text.len()) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
            }
        }
    }

    /// Replaces each value in a text by [`MASK`], the longest where several match, and all letters
    /// of base64 in which one is. Costs a look at each byte, however many values there are.
    pub(super) fn masked<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        self.masked_up_to(text, text.len())
    }

    /// Masks as much of a text as fits into so many bytes. A value that begins there and goes on
    /// behind is masked, because the text is looked at whole.
    pub(super) fn masked_up_to<'t>(&self, text: &'t [u8], bytes_max: usize) -> Cow<'t, [u8]> {
        let end = bytes_max.min(text.len());
        if self.forms.is_empty() {
            return Cow::Borrowed(&text[..end]);
        }
        let mut kept = Vec::new();
        let (mut at, mut copied) = (0, 0);
        while at < end
            && let Some(hash) = hash_of(&self.hasher, &text[at..])
        {
            let known = self.forms.iter_hash(hash).filter(|form| text[at..].starts_with(&form.text));
            let Some(found) =
                known.map(|form| form.place(text, at)).reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
            else {
                at += 1;
                continue;
            };
            // Base64 characters before the match may be masked already.
            kept.extend_from_slice(text.get(copied..found.start).unwrap_or_default());
            kept.extend_from_slice(MASK);
            at = found.end;
            copied = at;
        }
        if copied == 0 {
            return Cow::Borrowed(&text[..end]);
        }
        kept.extend_from_slice(text.get(copied..end).unwrap_or_default());
        Cow::Owned(kept)
    }

    /// Masks a text that somebody else may have cut, but not to less than `cut_bytes_min`. If it is
    /// so long that this is possible, its end is left out, as much of it as may belong to a value:
    /// whatever stands there, so that nobody learns from what is missing how a value goes on.
    pub(super) fn masked_cut<'t>(&self, text: &'t [u8], cut_bytes_min: usize) -> Cow<'t, [u8]> {
        let is_whole = text.len() < cut_bytes_min || self.forms.is_empty();
        let left_out = if is_whole { 0 } else { self.cut_bytes() };
        self.masked_up_to(text, text.len().saturating_sub(left_out))
    }

    /// The same for a line, which has a mark at its end where it was cut, and so has one whose end
    /// is left out here.
    pub(super) fn masked_line<'t>(&self, line: &'t [u8], cut_bytes_min: usize) -> Cow<'t, [u8]> {
        if line.len() < cut_bytes_min || self.forms.is_empty() {
            return self.masked(line);
        }
        let mark = CUT_MARK.as_bytes();
        let mut kept = self.masked_cut(line.strip_suffix(mark).unwrap_or(line), 0).into_owned();
        kept.extend_from_slice(mark);
        Cow::Owned(kept)
    }

    /// Bytes of a value that may be left at the end of a text. Rounded up, so that it does not tell
    /// the length of a value either.
    fn cut_bytes(&self) -> usize {
        self.lengths.last_key_value().map_or(0, |(len, _)| len.next_multiple_of(CUT_BYTES_STEP))
    }
}

impl Form {
    /// Returns the range to mask if the form occurs at `at`.
    fn place(&self, text: &[u8], at: usize) -> Range<usize> {
        let end = at + self.text.len();
        if !self.is_base64 {
            return at..end;
        }
        let before = text[..at].iter().rev().take_while(|byte| is_base64(**byte)).count();
        let behind = text[end..].iter().take_while(|byte| is_base64(**byte)).count();
        let padding = text[end + behind..].iter().take(2).take_while(|byte| **byte == b'=').count();
        at - before..end + behind + padding
    }
}

/// Whether this is a letter of base64, in either of its alphabets.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Hash of the beginning of a form or a text; `None` where it is shorter than masked values are.
fn hash_of(hasher: &DefaultHashBuilder, text: &[u8]) -> Option<u64> {
    let beginning: &[u8; MASKED_BYTES_MIN] = text.first_chunk()?;
    Some(hasher.hash_one(beginning))
}

/// Forms of a value: itself, its forms in JSON and in URLs where they differ, and its inner parts
/// in base64; none for a value that is no text.
fn forms(value: &Secret) -> impl Iterator<Item = Form> {
    let text = std::str::from_utf8(value).ok();
    let escaped = text.filter(|text| text.chars().any(|c| matches!(c, '"' | '\\') || c.is_control()));
    let in_json = escaped.map(|text| {
        let quoted = Zeroizing::new(serde_json::Value::from(text).to_string());
        Arc::new(Zeroizing::new(quoted.as_bytes()[1..quoted.len() - 1].to_vec()))
    });
    let plain =
        text.map(|_| Arc::clone(value)).into_iter().chain(in_json).chain(text.into_iter().flat_map(in_urls));
    let encoded = text.into_iter().filter(|text| text.len() >= MASKED_BYTES_MIN).flat_map(in_base64);
    plain
        .map(|text| Form { text, is_base64: false })
        .chain(encoded.map(|text| Form { text, is_base64: true }))
}

/// A text as it stands in URLs where it does so otherwise than as it is, each form once, with
/// hexadecimal digits of either case.
fn in_urls(text: &str) -> Vec<Secret> {
    let mut forms: Vec<Secret> = Vec::new();
    for set in URL_SETS {
        let encoded = Zeroizing::new(utf8_percent_encode(text, set).to_string());
        let form = Zeroizing::new(encoded.replace("%20", "+"));
        for form in [&encoded, &form] {
            for form in [form.as_bytes().to_vec(), with_small_digits(form)] {
                if form != text.as_bytes() && forms.iter().all(|known| ***known != form) {
                    forms.push(Arc::new(Zeroizing::new(form)));
                }
            }
        }
    }
    forms
}

/// A percent-encoded text whose hexadecimal digits are small letters.
fn with_small_digits(encoded: &str) -> Vec<u8> {
    let mut digits = 0;
    let small = encoded.bytes().map(|byte| {
        let is_digit = digits > 0;
        digits = if byte == b'%' { 2 } else { usize::saturating_sub(digits, 1) };
        if is_digit { byte.to_ascii_lowercase() } else { byte }
    });
    small.collect()
}

/// Parts of base64 that a text alone decides, whatever stands before and behind it: one for each
/// number of bytes before it, beyond groups of three, and each alphabet where they differ.
fn in_base64(text: &str) -> impl Iterator<Item = Secret> {
    (0..3).flat_map(move |before| {
        let bytes = Zeroizing::new([&[0; 2][..before], text.as_bytes()].concat());
        // Letters have six bits each: these are of the text alone.
        let letters = (before * 8).div_ceil(6)..(bytes.len() * 8 / 6);
        let part = |engine: &GeneralPurpose| {
            let encoded = Zeroizing::new(engine.encode(&bytes));
            let part = &encoded.as_bytes()[letters.clone()];
            Arc::new(Zeroizing::new(part[..part.len().min(BASE64_FORM_LETTERS_MAX)].to_vec()))
        };
        let (usual, in_urls) = (part(&STANDARD), part(&URL_SAFE));
        let in_urls = Some(in_urls).filter(|in_urls| *in_urls != usual);
        std::iter::once(usual).chain(in_urls)
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;
    use crate::limits::MASKED_CUT_BYTES_MIN;

    fn masking(values: &[&str]) -> Masking {
        let mut masking = Masking::default();
        for value in values {
            masking.add(&Arc::new(Zeroizing::new(value.as_bytes().to_vec())));
        }
        masking
    }

    #[test]
    fn values_are_masked_as_they_are_and_as_in_json() {
        let masking = masking(&["swordfish", "swordfishes", "1234567", "", "q\"uo\\te-1234", "äöüÄ"]);
        for (text, expected) in [
            ("Bearer swordfish, swordfish!", "Bearer ***, ***!"),
            ("swordfishes", "***"),
            ("swordswordfish", "sword***"),
            ("1234567 is short", "1234567 is short"),
            ("{\"k\":\"q\\\"uo\\\\te-1234\"} q\"uo\\te-1234", "{\"k\":\"***\"} ***"),
            ("xäöüÄx", "x***x"),
            ("nothing", "nothing"),
            ("swordfis", "swordfis"),
            ("", ""),
        ] {
            let masked = masking.masked(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&masked), expected, "{text}");
        }
    }

    #[test]
    fn values_are_masked_within_base64_wherever_they_stand() {
        let secrets = ["hunter2!", "?~?~?~?~?~", "swordfish-swordfish"];
        let masking = masking(&secrets);
        for secret in secrets {
            for (before, behind) in
                [("", ""), ("u", ""), ("\0u\0", ""), ("user:", "x"), ("user12:", "xy"), ("\0u", "\0abc")]
            {
                for engine in [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD] {
                    let encoded = engine.encode(format!("{before}{secret}{behind}"));
                    let text = format!("AUTH PLAIN {encoded}, \"{encoded}\" failed");
                    let masked = masking.masked(text.as_bytes());
                    assert_eq!(String::from_utf8_lossy(&masked), "AUTH PLAIN ***, \"***\" failed", "{text}");
                }
            }
        }
        let other = STANDARD.encode("user:hunter3!");
        assert!(matches!(masking.masked(other.as_bytes()), Cow::Borrowed(_)));
        // Plain values before it in the same letters, and a text that ends within it.
        let encoded = STANDARD.encode("user:hunter2!");
        let text = format!("swordfish-swordfish{encoded}");
        assert_eq!(masking.masked(text.as_bytes()).as_ref(), b"******");
        assert_eq!(masking.masked_up_to(format!("Basic {encoded} x").as_bytes(), 16).as_ref(), b"Basic ***");
    }

    #[test]
    fn values_are_masked_as_they_stand_in_urls() {
        let masking = masking(&["p@ss w/rd!~*", "größe:1234", "simple-1234"]);
        for (text, expected) in [
            ("http://u:p%40ss%20w%2Frd%21~%2A@host/", "http://u:***@host/"),
            ("?k=p%40ss%20w%2Frd!~*&x", "?k=***&x"),
            ("k=p%40ss+w%2Frd%21%7E*&x", "k=***&x"),
            ("/p@ss%20w/rd!~*/", "/***/"),
            ("p%40ss%20w%2frd!~*", "***"),
            ("u:gr%C3%B6%C3%9Fe%3A1234@ gr%c3%b6%c3%9fe:1234", "u:***@ ***"),
            ("simple-1234 simple%2D123", "*** simple%2D123"),
        ] {
            let masked = masking.masked(text.as_bytes());
            assert_eq!(String::from_utf8_lossy(&masked), expected, "{text}");
        }
    }

    #[test]
    fn a_value_that_is_removed_is_masked_in_no_form() {
        let mut masking = masking(&["hunter2-secret"]);
        masking.add(&Arc::new(Zeroizing::new(b"hunter 2:secret".to_vec())));
        masking.remove(&Arc::new(Zeroizing::new(b"hunter 2:secret".to_vec())));
        masking.remove(&Arc::new(Zeroizing::new(b"hunter2-secret".to_vec())));
        assert!(masking.forms.is_empty() && masking.lengths.is_empty());
    }

    #[test]
    fn the_end_of_a_text_that_may_have_been_cut_tells_nothing_of_a_value() {
        let mut masking = masking(&["hunter2-secret"]);
        let filler = ".".repeat(MASKED_CUT_BYTES_MIN);
        let kept = |masking: &Masking, end: &str| {
            masking.masked_cut(format!("{filler}{end}").as_bytes(), MASKED_CUT_BYTES_MIN).into_owned()
        };
        // Guesses of any length, right and wrong ones, leave the same; only a whole value in what
        // is left is masked.
        for len in 8..="hunter2-secret".len() {
            let right = &"hunter2-secret"[..len];
            let wrong = format!("{}#", &right[..len - 1]);
            assert_eq!(kept(&masking, right), kept(&masking, &wrong), "{right}");
            assert!(kept(&masking, right).iter().all(|byte| *byte == b'.'));
        }
        assert_eq!(masking.masked_cut(b"hunter2-secret", MASKED_CUT_BYTES_MIN).as_ref(), b"***");
        assert_eq!(masking.masked_cut(b"hunter2-secre", MASKED_CUT_BYTES_MIN).as_ref(), b"hunter2-secre");
        let early = format!("hunter2-secret{filler}");
        let early = masking.masked_cut(early.as_bytes(), MASKED_CUT_BYTES_MIN).into_owned();
        assert!(early.starts_with(b"***.") && early.len() == 3 + MASKED_CUT_BYTES_MIN - CUT_BYTES_STEP);
        masking.remove(&Arc::new(Zeroizing::new(b"hunter2-secret".to_vec())));
        assert_eq!(kept(&masking, "hunter2-secret").len(), MASKED_CUT_BYTES_MIN + 14);
    }

    #[test]
    fn secret_at_the_cut_is_masked_completely() {
        let masking = masking(&["hunter2-secret"]);
        for (text, bytes_max, expected) in [
            ("a hunter2-secret b", 4, "a ***"),
            ("a hunter2-secret b", 17, "a *** "),
            ("a hunter2-secret b", 100, "a *** b"),
            ("a hunter2-secre! b", 4, "a hu"),
            ("hunter2-secret", 0, ""),
            ("nothing", 3, "not"),
        ] {
            let masked = masking.masked_up_to(text.as_bytes(), bytes_max);
            assert_eq!(String::from_utf8_lossy(&masked), expected, "{text} {bytes_max}");
        }
    }
}
