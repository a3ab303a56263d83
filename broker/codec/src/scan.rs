//! Search for forbidden bytes and discouraged characters in strings, eight bytes at a time.
//!
//! This is on the hot path of every PUBLISH. For a topic of 34 bytes, one pass for three bytes
//! takes 4.5 ns; `contains` and a fold took 10 ns. `std` checks UTF-8. Printable ASCII, as in most
//! topics, needs one pass for all checks.

const WORD: usize = size_of::<u64>();
const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// Whether any of `needles` occurs in `bytes`.
#[inline]
pub(crate) fn has_any<const N: usize>(bytes: &[u8], needles: [u8; N]) -> bool {
    // The last word overlaps the one before it, so that nothing is left over.
    let Some(last) = bytes.last_chunk::<WORD>() else {
        return bytes.iter().fold(false, |found, byte| found | needles.contains(byte));
    };
    let (words, _) = bytes.as_chunks::<WORD>();
    words.iter().fold(word_has(*last, needles), |found, word| found | word_has(*word, needles)) != 0
}

/// Whether all of `bytes` are printable ASCII, U+0020 to U+007E, and none is one of `needles`.
#[inline]
pub(crate) fn is_printable_without<const N: usize>(bytes: &[u8], needles: [u8; N]) -> bool {
    let Some(last) = bytes.last_chunk::<WORD>() else {
        return bytes
            .iter()
            .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & !needles.contains(byte));
    };
    let odd = |word: [u8; WORD]| unprintable(u64::from_ne_bytes(word)) | word_has(word, needles);
    let (words, _) = bytes.as_chunks::<WORD>();
    words.iter().fold(odd(*last), |found, word| found | odd(*word)) == 0
}

/// Not 0 exactly when one of the eight bytes is below U+0020 or above U+007E.
#[inline]
const fn unprintable(word: u64) -> u64 {
    let below = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    let above = word | word.wrapping_add(LOW_BITS);
    (below | above) & HIGH_BITS
}

/// Returns whether a text has code points that the standards discourage and that receivers may
/// treat as malformed (§1.5.4). These are control characters, U+0001 to U+001F and U+007F to
/// U+009F, and non-characters such as U+FFFF.
///
/// Some clients, for example those with libmosquitto, close the connection at such a text, and then
/// reconnect to the same one.
/// ```
/// assert!(lotmq_codec::has_discouraged("line\n") && lotmq_codec::has_discouraged("\u{FDD0}"));
/// assert!(!lotmq_codec::has_discouraged("Küche/Øl °C/温度/🌡"));
/// ```
#[must_use]
pub fn has_discouraged(text: &str) -> bool {
    if is_printable_without(text.as_bytes(), []) {
        return false;
    }
    // Those beyond ASCII begin with C2 or with EF and above, which most letters do not.
    let may_begin = |byte: u8| matches!(byte, 0..0x20 | 0x7F | 0xC2 | 0xEF..);
    text.bytes().fold(false, |found, byte| found | may_begin(byte)) && text.chars().any(is_discouraged)
}

fn is_discouraged(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{FDD0}'..='\u{FDEF}')
        || u32::from(character) & 0xFFFE == 0xFFFE
}

/// Not 0 exactly when one of `needles` is among the eight bytes.
#[inline]
fn word_has<const N: usize>(word: [u8; WORD], needles: [u8; N]) -> u64 {
    let word = u64::from_ne_bytes(word);
    needles.iter().fold(0, |found, needle| found | zero_bytes(word ^ (LOW_BITS * u64::from(*needle))))
}

/// Not 0 exactly when one of the eight bytes is 0 (H. S. Warren, Hacker's Delight, §6-1).
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_each_needle_at_each_place() {
        for len in 0..40 {
            let clean = vec![b'x'; len];
            assert!(!has_any(&clean, [0, b'+', b'#']), "length {len}");
            for place in 0..len {
                for needle in [0, b'+', b'#'] {
                    let mut bytes = clean.clone();
                    bytes[place] = needle;
                    assert!(has_any(&bytes, [0, b'+', b'#']), "{needle} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn finds_each_byte_that_is_not_printable_at_each_place() {
        for len in 0..40 {
            let clean: Vec<u8> = (0..len).map(|n| if n % 2 == 0 { b' ' } else { b'~' }).collect();
            assert!(is_printable_without(&clean, [b'+']), "length {len}");
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut bytes = clean.clone();
                    bytes[place] = byte;
                    let expected = (0x20..0x7F).contains(&byte) && byte != b'+';
                    assert_eq!(is_printable_without(&bytes, [b'+']), expected, "{byte} at {place} of {len}");
                }
            }
        }
    }

    /// Compares with the terms of Unicode: general category Cc, and the 66 non-characters. Cc
    /// includes U+0000, which every decoder rejects anyway.
    #[test]
    fn discouraged_are_control_characters_and_non_characters() {
        let mut count = 0;
        for character in '\0'..=char::MAX {
            let code = u32::from(character);
            let expected = code < 0x20
                || (0x7F..0xA0).contains(&code)
                || (0xFDD0..=0xFDEF).contains(&code)
                || code % 0x1_0000 >= 0xFFFE;
            for text in
                [format!("{character}"), format!("Küche/{character}/x"), format!("plain/topic/{character}")]
            {
                assert_eq!(has_discouraged(&text), expected, "U+{code:04X}");
            }
            count += u32::from(expected);
        }
        assert_eq!(count, 65 + 66);
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_search(bytes in prop::collection::vec(prop::sample::select(vec![0, 1, 0x80, 0x81, 0xFF, b'*', b'+', b',']), 0..40)) {
            prop_assert_eq!(has_any(&bytes, [0, b'+']), bytes.contains(&0) || bytes.contains(&b'+'));
        }
    }
}
