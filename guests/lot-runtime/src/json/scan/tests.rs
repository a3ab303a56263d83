//! The scanner against the grammar, byte by byte, on texts made by chance and damaged ones.

use super::*;

/// Reference parser of RFC 8259, byte by byte: returns the range of a value and the ranges of its
/// members.
struct Plain<'a> {
    bytes: &'a [u8],
    at: usize,
    members: Vec<(Range, Range)>,
}

impl Plain<'_> {
    fn space(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| b" \t\n\r".contains(byte)) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: u32) -> Option<Range> {
        self.space();
        let start = self.at;
        match *self.bytes.get(start)? {
            open @ (b'{' | b'[') if depth < JSON_DEPTH_MAX => self.list(depth + 1, open + 2)?,
            b'"' => drop(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            _ => {
                let words = ["true", "false", "null"];
                let word = words.iter().find(|word| self.bytes[start..].starts_with(word.as_bytes()))?;
                self.at += word.len();
            }
        }
        Some((start, self.at))
    }

    fn list(&mut self, depth: u32, closing: u8) -> Option<()> {
        self.at += 1;
        self.space();
        if self.take(closing) {
            return Some(());
        }
        loop {
            self.space();
            let key = if closing == b'}' { self.string()? } else { (0, 0) };
            self.space();
            if closing == b'}' && !self.take(b':') {
                return None;
            }
            let value = self.value(depth)?;
            if depth == 1 {
                self.members.push((key, value));
            }
            self.space();
            if !self.take(b',') {
                return self.take(closing).then_some(());
            }
        }
    }

    fn string(&mut self) -> Option<Range> {
        let start = self.at + 1;
        if !self.take(b'"') {
            return None;
        }
        while !self.take(b'"') {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if byte < 0x20 {
                return None;
            }
            if byte == b'\\' {
                let escape = *self.bytes.get(self.at)?;
                self.at += 1;
                if escape == b'u' {
                    let digits = self.bytes.get(self.at..self.at + 4)?;
                    self.at += 4;
                    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                } else if !b"\"\\/bfnrt".contains(&escape) {
                    return None;
                }
            }
        }
        Some((start, self.at - 1))
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    fn space(&mut self, out: &mut String) {
        if self.below(4) == 0 {
            out.push_str(self.one_of(&[" ", "\n", "\t ", "  \r\n"]));
        }
    }

    fn string(&mut self, out: &mut String) {
        out.push('"');
        for _ in 0..self.below(5) {
            out.push_str(self.one_of(&[
                "a",
                "é",
                "\\n",
                "\\u00e9",
                "longer than eight",
                "\\\"",
                "\u{7f}",
                "]",
            ]));
        }
        out.push('"');
    }

    fn value(&mut self, out: &mut String, depth: usize) {
        self.space(out);
        match self.below(if depth < 5 { 5 } else { 3 }) {
            0 => self.string(out),
            1 => out.push_str(self.one_of(&["true", "false", "null", "0", "-0.5", "1e9", "7", "-12E-3"])),
            2 => {
                let digits = self.below(20) + 1;
                let number: String = "12345678901234567890".chars().take(digits).collect();
                out.push_str(&number);
                out.push_str(self.one_of(&["", "", ".0", ".123456789", "e5"]));
            }
            kind => {
                out.push(if kind == 3 { '{' } else { '[' });
                for index in 0..self.below(6) {
                    if index > 0 {
                        out.push(',');
                    }
                    self.space(out);
                    if kind == 3 {
                        self.string(out);
                        self.space(out);
                        out.push(':');
                    }
                    self.value(out, depth + 1);
                }
                self.space(out);
                out.push(if kind == 3 { '}' } else { ']' });
            }
        }
        self.space(out);
    }
}

fn compare(text: &str) -> bool {
    let mut plain = Plain { bytes: text.as_bytes(), at: 0, members: Vec::new() };
    let expected = plain.value(0);
    plain.space();
    let expected = expected.filter(|_| plain.at == text.len());
    assert_eq!(Scanner::new(text).document(), expected, "{text:?}");
    let members = expected.map(|_| plain.members);
    let mut found = Vec::new();
    let is_list = match Scanner::new(text).first() {
        b'{' => Scanner::new(text).object(|key, value| found.push((key, value))).is_some(),
        b'[' => Scanner::new(text).array(|value| found.push(((0, 0), value))).is_some(),
        _ => return expected.is_some(),
    };
    assert_eq!(is_list.then_some(&found), members.as_ref(), "{text:?}");
    if is_list && Scanner::new(text).first() == b'[' {
        for index in 0..=found.len() {
            let expected = found.get(index).map(|(_, value)| *value);
            assert_eq!(Scanner::new(text).element(index), expected, "{index} of {text:?}");
        }
    }
    expected.is_some()
}

#[test]
fn texts_are_judged_as_the_grammar_judges_them() {
    let mut chance = Chance(7);
    let mut accepted = 0;
    for _ in 0..4_000 {
        let mut text = String::new();
        chance.value(&mut text, 0);
        assert!(compare(&text), "{text:?}");
        for _ in 0..4 {
            let mut changed: Vec<char> = text.chars().collect();
            let at = chance.below(changed.len());
            match chance.below(3) {
                0 => drop(changed.remove(at)),
                1 => changed.insert(
                    at,
                    chance
                        .one_of(&["\0", "\u{1f}", "\"", "\\", ",", ":", "]", "}", "0", ".", "/", "~", " "])
                        .chars()
                        .next()
                        .unwrap(),
                ),
                _ => changed.truncate(at),
            }
            accepted += u32::from(compare(&changed.into_iter().collect::<String>()));
        }
    }
    assert!((1_000..12_000).contains(&accepted), "{accepted} of 16,000 changed texts are JSON");
}

#[test]
fn lists_nest_as_deep_as_they_may_whatever_they_are() {
    let mut chance = Chance(3);
    for depth in [1, 63, 64, 65, 127, JSON_DEPTH_MAX as usize, JSON_DEPTH_MAX as usize + 1] {
        for _ in 0..20 {
            let kinds: Vec<bool> = (0..depth).map(|_| chance.below(2) == 0).collect();
            let mut text: String =
                kinds.iter().map(|is_object| if *is_object { "{\"k\":" } else { "[1," }).collect();
            text.push('0');
            text.extend(kinds.iter().rev().map(|is_object| if *is_object { "}" } else { ",2]" }));
            assert_eq!(compare(&text), depth <= JSON_DEPTH_MAX as usize, "{text}");
            let wrong = text.replacen(['}', ']'], "", 1);
            assert!(!compare(&wrong), "{wrong}");
        }
    }
}
