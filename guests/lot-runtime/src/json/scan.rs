//! The scanner: checks JSON (RFC 8259) and says where things are.

use crate::limits::JSON_DEPTH_MAX;

/// Start and end of a value in the scanned text, in bytes.
pub(super) type Range = (usize, usize);

/// Walks over one JSON text.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), at: 0, depth: 0 }
    }

    /// The only value of the text; `None` when the text is not exactly one valid value.
    pub(super) fn document(&mut self) -> Option<Range> {
        let range = self.value()?;
        self.finish()?;
        Some(range)
    }

    /// Calls `member` with the range of each member of the array that the text is.
    pub(super) fn array(&mut self, member: impl FnMut(Range)) -> Option<()> {
        self.skip_space();
        if self.peek() != Some(b'[') {
            return None;
        }
        self.members(member)?;
        self.finish()
    }

    /// The range of an element of the array that the text is, which is known to be valid.
    pub(super) fn element(&mut self, index: usize) -> Option<Range> {
        self.open()?;
        if self.closes(b']') {
            return None;
        }
        for _ in 0..index {
            self.value()?;
            if self.ends_list(b']')? {
                return None;
            }
        }
        self.value()
    }

    /// Calls `member` with key (inside its quotes) and value of each member of the object that the text is.
    pub(super) fn object(&mut self, member: impl FnMut(Range, Range)) -> Option<()> {
        self.skip_space();
        if self.peek() != Some(b'{') {
            return None;
        }
        self.pairs(member)?;
        self.finish()
    }

    fn finish(&mut self) -> Option<()> {
        self.skip_space();
        (self.at == self.bytes.len()).then_some(())
    }

    fn value(&mut self) -> Option<Range> {
        self.skip_space();
        let start = self.at;
        let byte = self.peek()?;
        if matches!(byte, b'1'..=b'9') {
            self.whole_number()?;
            return Some((start, self.at));
        }
        match byte {
            b'{' => self.pairs(|_, _| ()),
            b'[' => self.members(|_| ()),
            b'"' => self.string().map(|_| ()),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }?;
        Some((start, self.at))
    }

    fn members(&mut self, mut member: impl FnMut(Range)) -> Option<()> {
        self.open()?;
        if self.closes(b']') {
            return Some(());
        }
        loop {
            member(self.value()?);
            if self.ends_list(b']')? {
                return Some(());
            }
        }
    }

    fn pairs(&mut self, mut member: impl FnMut(Range, Range)) -> Option<()> {
        self.open()?;
        if self.closes(b'}') {
            return Some(());
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            member(key, self.value()?);
            if self.ends_list(b'}')? {
                return Some(());
            }
        }
    }

    fn open(&mut self) -> Option<()> {
        self.at += 1;
        self.depth += 1;
        (self.depth <= JSON_DEPTH_MAX).then_some(())
    }

    /// Whether the list that was just opened ends at once.
    fn closes(&mut self, bracket: u8) -> bool {
        self.skip_space();
        let ends = self.peek() == Some(bracket);
        if ends {
            self.at += 1;
            self.depth -= 1;
        }
        ends
    }

    /// Takes a comma (false) or the closing bracket (true).
    fn ends_list(&mut self, bracket: u8) -> Option<bool> {
        self.skip_space();
        let byte = self.peek()?;
        self.at += 1;
        if byte == bracket {
            self.depth -= 1;
        }
        (byte == bracket || byte == b',').then_some(byte == bracket)
    }

    /// Takes a string and says where its inside is.
    fn string(&mut self) -> Option<Range> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.skip_plain();
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some((start, self.at - 1)),
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// Skips bytes of a string that mean themselves, eight at once.
    fn skip_plain(&mut self) {
        /// The same byte eight times.
        const fn eight(byte: u8) -> u64 {
            u64::from_le_bytes([byte; 8])
        }
        /// Sets the highest bit of each byte that is 0, and perhaps of some behind the first one.
        const fn zeros(word: u64) -> u64 {
            word.wrapping_sub(eight(1)) & !word & eight(0x80)
        }
        while let Some(bytes) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*bytes);
            let control = word.wrapping_sub(eight(0x20)) & !word & eight(0x80);
            let special = zeros(word ^ eight(b'"')) | zeros(word ^ eight(b'\\')) | control;
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
    }

    fn escape(&mut self) -> Option<()> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// Takes a number that begins with a digit other than 0, of which most are followed by what ends them.
    fn whole_number(&mut self) -> Option<()> {
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += digits;
        match rest.get(digits) {
            Some(b'.' | b'e' | b'E') => self.fraction(),
            _ => Some(()),
        }
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.digits()?;
        if zero && whole > 1 {
            return None;
        }
        self.fraction()
    }

    /// Takes what may follow the whole part of a number.
    fn fraction(&mut self) -> Option<()> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// Takes at least one digit and says how many.
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(self.at - start)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let end = self.at + word.len();
        let matches = self.bytes.get(self.at..end) == Some(word);
        self.at = end;
        matches.then_some(())
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let found = self.peek() == Some(byte);
        self.at += 1;
        found.then_some(())
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.peek()
            && byte <= b' '
            && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
        {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

/// The text of the inside of a JSON string that the scanner accepted. Halves of surrogate pairs become U+FFFD.
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
