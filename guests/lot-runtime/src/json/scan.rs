//! JSON scanner: checks a text (RFC 8259) and returns the places of its parts.
//!
//! Invariant: no recursion, so that the place in the text stays in a register and no text can
//! exhaust the stack.

use crate::limits::JSON_DEPTH_MAX;

/// Character that some programs write in front of a text.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Start and end of a value in the scanned text, in bytes.
pub(super) type Range = (usize, usize);

/// Walks over one JSON text.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Lists around the value at `at`.
    depth: u32,
    objects: Objects,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // RFC 8259, §8.1: a parser may ignore a byte order mark.
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        Self { bytes: text.as_bytes(), at, depth: 0, objects: Objects::default() }
    }

    /// The only value of the text; `None` when the text is not exactly one valid value.
    pub(super) fn document(&mut self) -> Option<Range> {
        let range = self.value()?;
        self.finish()?;
        Some(range)
    }

    /// Calls `member` with the range of each member of the array that the text is.
    pub(super) fn array(&mut self, mut member: impl FnMut(Range)) -> Option<()> {
        let mut more = self.opens(b'[', b']')?;
        while more {
            member(self.value()?);
            more = self.goes_on(b']')?;
        }
        self.finish()
    }

    /// The range of an element of the array that the text is, which is known to be valid.
    pub(super) fn element(&mut self, index: usize) -> Option<Range> {
        let mut more = self.opens(b'[', b']')?;
        for _ in 0..index {
            if !more {
                return None;
            }
            self.value()?;
            more = self.goes_on(b']')?;
        }
        if more { self.value() } else { None }
    }

    /// Calls `member` with key (inside its quotes) and value of each member of the object in the
    /// text.
    pub(super) fn object(&mut self, mut member: impl FnMut(Range, Range)) -> Option<()> {
        let mut more = self.opens(b'{', b'}')?;
        while more {
            let (start, _) = token(self.bytes, self.at);
            let end = string(self.bytes, start)?;
            self.at = colon(self.bytes, end)?;
            member((start + 1, end - 1), self.value()?);
            more = self.goes_on(b'}')?;
        }
        self.finish()
    }

    /// The first character of the text that is no white space; NUL when there is none.
    pub(super) fn first(&self) -> u8 {
        token(self.bytes, self.at).1
    }

    fn finish(&mut self) -> Option<()> {
        (token(self.bytes, self.at).0 == self.bytes.len()).then_some(())
    }

    /// Takes the opening bracket of the list that the text is; false when the list ends at once.
    fn opens(&mut self, bracket: u8, closing: u8) -> Option<bool> {
        let (at, byte) = token(self.bytes, self.at);
        if byte != bracket {
            return None;
        }
        self.depth = 1;
        let (at, byte) = token(self.bytes, at + 1);
        self.at = if byte == closing { at + 1 } else { at };
        Some(byte != closing)
    }

    /// Takes a comma (true) or the closing bracket (false).
    fn goes_on(&mut self, bracket: u8) -> Option<bool> {
        let (at, byte) = token(self.bytes, self.at);
        self.at = at + 1;
        (byte == b',' || byte == bracket).then_some(byte == b',')
    }

    /// Takes a value with everything in it.
    fn value(&mut self) -> Option<Range> {
        let (start, first) = token(self.bytes, self.at);
        self.at = match first {
            b'{' | b'[' => self.list(start)?,
            _ => scalar(self.bytes, start, first)?,
        };
        Some((start, self.at))
    }

    /// Returns the end of the list that begins at `start`.
    fn list(&mut self, start: usize) -> Option<usize> {
        let bytes = self.bytes;
        let mut depth = self.depth;
        let mut in_object = false;
        let mut at = start;
        loop {
            // A member of the innermost list; at first the list itself.
            if in_object {
                at = colon(bytes, string(bytes, at)?)?;
            }
            let (start, first) = token(bytes, at);
            let (mut end, mut byte);
            if matches!(first, b'{' | b'[') {
                if depth == JSON_DEPTH_MAX {
                    return None;
                }
                in_object = first == b'{';
                self.objects.set(depth, in_object);
                depth += 1;
                (end, byte) = token(bytes, start + 1);
                if byte != closing(in_object) {
                    at = end;
                    continue;
                }
            } else {
                (end, byte) = token(bytes, scalar(bytes, start, first)?);
            }
            // A comma, or the ends of lists and a comma.
            while byte != b',' {
                if byte != closing(in_object) {
                    return None;
                }
                depth -= 1;
                if depth == self.depth {
                    return Some(end + 1);
                }
                in_object = self.objects.get(depth - 1);
                (end, byte) = token(bytes, end + 1);
            }
            at = if in_object { token(bytes, end + 1).0 } else { end + 1 };
        }
    }
}

/// Kinds of the lists around a place, one bit per depth: 1 is an object.
#[derive(Default)]
struct Objects([u64; Self::WORDS]);

impl Objects {
    const WORDS: usize = JSON_DEPTH_MAX.div_ceil(u64::BITS) as usize;

    fn set(&mut self, depth: u32, is_object: bool) {
        let word = &mut self.0[(depth / u64::BITS) as usize % Self::WORDS];
        let bit = depth % u64::BITS;
        *word = *word & !(1 << bit) | u64::from(is_object) << bit;
    }

    fn get(&self, depth: u32) -> bool {
        self.0[(depth / u64::BITS) as usize % Self::WORDS] >> (depth % u64::BITS) & 1 != 0
    }
}

fn closing(in_object: bool) -> u8 {
    if in_object { b'}' } else { b']' }
}

/// Returns the next character that is no white space, with its place. Returns NUL at the end, which
/// JSON has nowhere outside of strings.
#[inline(always)]
fn token(bytes: &[u8], mut at: usize) -> (usize, u8) {
    loop {
        let byte = bytes.get(at).copied().unwrap_or(0);
        if byte > b' ' || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return (at, byte);
        }
        at += 1;
    }
}

/// The place behind the colon that comes here.
#[inline(always)]
fn colon(bytes: &[u8], at: usize) -> Option<usize> {
    let (at, byte) = token(bytes, at);
    (byte == b':').then_some(at + 1)
}

/// The place behind the value that begins here and is no list.
#[inline(always)]
fn scalar(bytes: &[u8], at: usize, first: u8) -> Option<usize> {
    match first {
        b'1'..=b'9' => {
            let end = digits(bytes, at + 1);
            // Most numbers are followed by what ends them.
            match bytes.get(end) {
                Some(b'.' | b'e' | b'E') => fraction(bytes, end),
                _ => Some(end),
            }
        }
        b'"' => string(bytes, at),
        b'0' => fraction(bytes, at + 1),
        b'-' => negative(bytes, at + 1),
        b't' => word(bytes, at, b"true"),
        b'f' => word(bytes, at, b"false"),
        b'n' => word(bytes, at, b"null"),
        _ => None,
    }
}

/// The place behind the string that begins here, quotes included.
#[inline(always)]
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at = plain(bytes, at);
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some(at),
            b'\\' => at = escape(bytes, at)?,
            0..0x20 => return None,
            _ => {}
        }
    }
}

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Eight bytes at once, while there are so many.
#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u64::from_le_bytes(*bytes))
}

/// Skips bytes of a string that mean themselves: all of them, or up to the last seven.
#[inline(always)]
fn plain(bytes: &[u8], mut at: usize) -> usize {
    /// Sets the highest bit of each byte that is 0, and perhaps of some behind the first one.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(eight(1)) & !word & eight(0x80)
    }
    while let Some(word) = word_at(bytes, at) {
        let control = word.wrapping_sub(eight(0x20)) & !word & eight(0x80);
        let special = zeros(word ^ eight(b'"')) | zeros(word ^ eight(b'\\')) | control;
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// The place behind an escape, of which the backslash was taken.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => bytes.get(at + 1..at + 5)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 5),
        _ => None,
    }
}

/// The place behind a number of which the minus was taken.
fn negative(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'0' => fraction(bytes, at + 1),
        b'1'..=b'9' => fraction(bytes, digits(bytes, at + 1)),
        _ => None,
    }
}

/// The place behind what may follow the whole part of a number.
#[inline(always)]
fn fraction(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(bytes, at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = some_digits(bytes, at)?;
    }
    Some(at)
}

/// The place behind at least one digit.
#[inline(always)]
fn some_digits(bytes: &[u8], at: usize) -> Option<usize> {
    let end = digits(bytes, at);
    (end > at).then_some(end)
}

/// The place behind the digits that come here.
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word_at(bytes, at) {
        // Digits are 0x30 to 0x39: the upper half is 3, and still is after adding 6. Only a byte
        // that is no digit causes a carry.
        let high = word ^ eight(b'0') | word.wrapping_add(eight(6)) ^ eight(b'0');
        let other = high & eight(0xf0);
        if other != 0 {
            return at + other.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

#[inline(always)]
fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// Decodes the inside of a JSON string that the scanner accepted. Halves of surrogate pairs become
/// U+FFFD.
pub(super) fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let mut characters = rest[at + 1..].chars();
        match characters.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (character, used) = code_point(&rest[at..]);
                out.push(character);
                rest = &rest[at + used..];
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out
}

/// The character of `\uXXXX` or of a pair of them, and the bytes they take.
fn code_point(escape: &str) -> (char, usize) {
    let unit =
        |from: usize| escape.get(from..from + 4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let Some(first) = unit(2) else { return (char::REPLACEMENT_CHARACTER, escape.len()) };
    if let Some(character) = char::from_u32(u32::from(first)) {
        return (character, 6);
    }
    let second = if escape.get(6..8) == Some("\\u") { unit(8) } else { None };
    match char::decode_utf16([first, second.unwrap_or(0)]).next() {
        Some(Ok(character)) => (character, 12),
        Some(Err(_)) | None => (char::REPLACEMENT_CHARACTER, 6),
    }
}

#[cfg(test)]
mod tests;
