//! The scanner: characters to tokens, without regard to lines.
//!
//! Every byte is looked at a bounded number of times. Characters that are no token are reported
//! once per run, and left out as [`TokenKind::Unknown`].

use super::{Sign, Token, TokenKind};
use crate::diagnostic::{Draft, Sink, codes};
use crate::identifier::identifier_like;
use crate::source::Span;

/// A token as the scanner finds it.
#[derive(Debug)]
pub(super) struct RawToken {
    pub(super) token: Token,
    /// For the first token on a line: width of the white space before it, a tab counting 4.
    pub(super) indent: Option<Indentation>,
}

/// White space at the start of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Indentation {
    pub(super) width: u32,
    pub(super) has_tab: bool,
    /// The white space itself.
    pub(super) span: Span,
}

/// Tokens before a place among which an open bracket is looked for, so that a line of them costs no
/// square of its length.
const BRACKET_TOKENS_MAX: usize = 64;

/// Bytes in which the end of a comment of another language is looked for, for the same reason.
const FOREIGN_COMMENT_BYTES_MAX: usize = 1_024;

/// Words after which a string may span lines (OD-7).
const LONG_TEXT_KEYS: [&str; 4] = ["QUERY", "BODY", "ARGS", "DESCRIPTION"];

/// Scans the sink's whole source.
pub(super) fn scan(sink: &mut Sink<'_>) -> Vec<RawToken> {
    let text = sink.source().text();
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut scanner = Scanner { text, at: start, tokens: Vec::new(), line: None, sink };
    scanner.start_line();
    scanner.run();
    scanner.tokens
}

struct Scanner<'a, 's, 'k> {
    text: &'a str,
    at: usize,
    tokens: Vec<RawToken>,
    /// Indentation of the current line until its first token takes it.
    line: Option<Indentation>,
    sink: &'s mut Sink<'k>,
}

impl Scanner<'_, '_, '_> {
    fn run(&mut self) {
        while let Some(character) = self.peek() {
            let start = self.at;
            match character {
                ' ' | '\t' => self.at += 1,
                _ if is_foreign_blank(character) => self.foreign_blanks(),
                _ if is_curly_quote(character) => self.curly_string(start),
                '\n' | '\r' => self.line_end(),
                '"' | '\'' => self.string(character),
                '-' if self.rest().starts_with("--") => self.comment(),
                '/' if self.rest().starts_with("//") => self.comment(),
                '/' if self.rest().starts_with("/*") => self.block_comment(),
                '0'..='9' => self.number(),
                '(' if self.rest().starts_with("(*") && self.foreign_comment() => {}
                _ if character.is_alphabetic() || character == '_' => self.word(start),
                _ => self.sign(start),
            }
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_while(&mut self, accept: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !accept(c)).unwrap_or(rest.len());
    }

    /// A comment up to the line's end; one that reads as the rest of a calculation is warned of.
    fn comment(&mut self) {
        let start = self.at;
        self.skip_while(|c| c != '\n' && c != '\r');
        let whole = self.text.get(start..self.at).unwrap_or("");
        let (sign, rest) = whole.split_at(2);
        let ends_value = self.tokens.last().is_some_and(|last| match last.token.kind {
            TokenKind::Int(_) | TokenKind::Double(_) => true,
            TokenKind::Sign(sign) => matches!(sign, Sign::CloseParen | Sign::CloseBrace | Sign::CloseBracket),
            TokenKind::Word => !self.sink.source().slice(last.token.span).contains(char::is_lowercase),
            TokenKind::Text(_) | TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent => false,
            TokenKind::Unknown | TokenKind::End => false,
        });
        let Some(operand) = operand(rest).filter(|_| self.line.is_none() && ends_value) else { return };
        let message = format!("`{sign}` begins a comment: `{}` is not calculated", shown(rest.trim()));
        let draft = Draft::warning(codes::DOUBTFUL_COMMENT, Span::new(start, start + 2), message);
        let hint = match sign {
            "//" => format!(
                "divide by / {operand}, and for whole numbers FLOOR(a / {operand}); if it is a comment, begin it with a word"
            ),
            _ => format!("write - (-{operand}); if it is a comment, begin it with a word"),
        };
        self.sink.push(draft.suggest(hint));
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        let token = Token { kind, span: Span::new(start, self.at) };
        self.tokens.push(RawToken { token, indent: self.line.take() });
    }

    fn line_end(&mut self) {
        self.at += if self.rest().starts_with("\r\n") { 2 } else { 1 };
        self.start_line();
    }

    /// A word; one with letters that no name has is reported and taken for one.
    fn word(&mut self, start: usize) {
        self.skip_while(|c| c.is_alphanumeric() || c == '_');
        let span = Span::new(start, self.at);
        let word = self.sink.source().slice(span);
        if let Some(letter) = word.chars().find(|c| !c.is_ascii()) {
            let message = format!("unexpected character `{letter}` in the name `{}`", first_letters(word));
            let draft = Draft::error(codes::UNEXPECTED_CHARACTER, span, message)
                .note("names have letters from a to z, digits and _; any others only in quotes");
            self.sink.push(match identifier_like(word) {
                Some(near) => draft.suggest(format!("write {near}")).fix(span, near),
                None => draft.suggest("write it in letters from a to z"),
            });
        }
        self.push(TokenKind::Word, start);
    }

    /// Measures the indentation of the line that begins here.
    fn start_line(&mut self) {
        let start = self.at;
        loop {
            self.skip_while(|c| c == ' ' || c == '\t');
            if !self.peek().is_some_and(is_foreign_blank) {
                break;
            }
            self.foreign_blanks();
        }
        let blanks = self.text.get(start..self.at).unwrap_or("");
        let tabs = blanks.bytes().filter(|byte| *byte == b'\t').count();
        let columns = blanks.chars().filter(|c| c.is_whitespace() && !c.is_control()).count();
        let width = u32::try_from(columns + 4 * tabs).unwrap_or(u32::MAX);
        self.line = Some(Indentation { width, has_tab: tabs > 0, span: Span::new(start, self.at) });
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let Some(length) = self.rest().get(2..).and_then(|rest| rest.find("*/")) else {
            let span = Span::new(start, start + 2);
            self.sink.push(
                Draft::error(codes::UNCLOSED_COMMENT, span, "comment is not closed")
                    .label("it begins here")
                    .suggest("write */ where the comment ends"),
            );
            self.cut();
            self.at = self.text.len();
            return;
        };
        self.skip_block_comment(start, start + 2 + length + 2);
    }

    /// Goes behind a comment.
    fn skip_block_comment(&mut self, start: usize, end: usize) {
        let spans_lines = self.text.get(start..end).is_some_and(|text| text.contains(['\n', '\r']));
        if spans_lines && self.line.is_none() {
            // Code after the comment is on another line than the code before it.
            let last_line = self.text.get(..end).and_then(|text| text.rfind(['\n', '\r']));
            self.at = last_line.map_or(end, |index| index + 1);
            self.start_line();
        }
        self.at = end;
    }

    /// A comment `(* … *)`, as IEC 61131-3 has them: reported, and left out like one of the
    /// language.
    fn foreign_comment(&mut self) -> bool {
        let start = self.at;
        let rest = self.rest().as_bytes();
        let near = rest.get(..FOREIGN_COMMENT_BYTES_MAX).unwrap_or(rest);
        let Some(length) = near.windows(2).position(|pair| pair == b"*)") else { return false };
        let span = Span::new(start, start + length + 2);
        let text = self.sink.source().slice(span);
        let inside = text.get(2..length).unwrap_or("");
        // `(*)` and a text with the end of another comment in it are no comments.
        if length < 2 || inside.contains("*/") {
            return false;
        }
        let draft = Draft::error(codes::NOT_LOT, span, "comments are not written in (* and *)");
        self.sink.push(
            draft
                .suggest("write -- or // before it, or /* and */ round it")
                .fix(span, format!("/*{inside}*/")),
        );
        self.skip_block_comment(start, start + length + 2);
        true
    }

    /// Notes that the token that begins here swallows the rest of the text.
    fn cut(&mut self) {
        let end = self.tokens.last().map_or(0, |last| last.token.span.end);
        self.sink.cut_at(end);
    }

    fn number(&mut self) {
        let start = self.at;
        self.skip_while(|c| c.is_ascii_digit());
        let mut is_whole = true;
        let fraction = self.rest().strip_prefix('.').and_then(|rest| rest.chars().next());
        if fraction.is_some_and(|c| c.is_ascii_digit()) {
            is_whole = false;
            self.at += 1;
            self.skip_while(|c| c.is_ascii_digit());
        }
        if let Some(length) = exponent_length(self.rest()) {
            is_whole = false;
            self.at += length;
        }
        let text = self.text.get(start..self.at).unwrap_or("");
        let double = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let kind = match text.parse::<i64>() {
            Ok(number) if is_whole => TokenKind::Int(number),
            _ => TokenKind::Double(double.unwrap_or(f64::MAX)),
        };
        if double.is_none() {
            let span = Span::new(start, self.at);
            let draft = Draft::error(codes::NUMBER_RANGE, span, "number is larger than every DOUBLE");
            self.sink.push(draft.suggest("the largest is 1.7976931348623157e308"));
        }
        self.push(kind, start);
    }

    fn string(&mut self, quote: char) {
        let start = self.at;
        let may_span_lines = self.tokens.last().is_some_and(|last| {
            last.token.kind == TokenKind::Word
                && LONG_TEXT_KEYS.contains(&self.sink.source().slice(last.token.span))
        });
        self.at += 1;
        let mut value = String::new();
        let mut is_closed = true;
        loop {
            match self.peek() {
                Some(character) if character == quote => {
                    self.at += 1;
                    break;
                }
                Some('\\') => self.escape(&mut value),
                Some('\n' | '\r') | None if !may_span_lines || self.peek().is_none() => {
                    self.unclosed_string(start, quote);
                    if may_span_lines {
                        self.cut();
                    }
                    is_closed = false;
                    break;
                }
                Some(character) => {
                    self.at += character.len_utf8();
                    value.push(character);
                }
                None => break,
            }
        }
        let kind = if is_closed { TokenKind::Text(value) } else { TokenKind::Unknown };
        self.push(kind, start);
    }

    /// A string that ends with its line, or goes on in lines below: then it is left out with them.
    fn unclosed_string(&mut self, start: usize, quote: char) {
        let draft = Draft::error(
            codes::UNCLOSED_STRING,
            Span::new(start, self.at),
            "string is not closed on its line",
        );
        let Some(end) = self.end_below(quote) else {
            let before = self.text.get(..start).unwrap_or("").rsplit(['\n', '\r']).next().unwrap_or("");
            let is_first = !before.contains(quote);
            let draft =
                if is_first { draft } else { draft.note("or a quote is missing further left on the line") };
            self.sink.push(draft.suggest(format!("close it with {quote}")));
            return;
        };
        self.at = end;
        let span = Span::new(start, end);
        let whole = self.sink.source().slice(span).replace("\r\n", "\\n").replace(['\n', '\r'], "\\n");
        self.sink.push(draft.suggest("write a line break in it as \\n").fix(span, whole));
    }

    /// Returns the end of a string that is not closed on its line: the only quote of a line below,
    /// behind lines without quotes.
    fn end_below(&self, quote: char) -> Option<usize> {
        /// Lines that a string is believed to have.
        const LINES: usize = 20;
        let mut at = self.at;
        for line in self.rest().split_inclusive(['\n', '\r']).take(LINES) {
            match line.matches(quote).count() {
                0 if line.starts_with("DEFINE") => return None,
                0 => at += line.len(),
                1 => return line.find(quote).map(|index| at + index + quote.len_utf8()),
                _ => return None,
            }
        }
        None
    }

    /// One escape; unknown ones are kept with their backslash (OD-6).
    fn escape(&mut self, value: &mut String) {
        let start = self.at;
        self.at += 1;
        let Some(character) = self.peek() else {
            value.push('\\');
            return;
        };
        let resolved = match character {
            '"' | '\'' | '\\' | '/' => character,
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                self.at += 1;
                self.unicode_escape(start, value);
                return;
            }
            _ => {
                value.push('\\');
                return;
            }
        };
        self.at += 1;
        value.push(resolved);
    }

    /// The four digits after `\u`, or eight with a second `\u` for characters beyond 16 bits.
    fn unicode_escape(&mut self, start: usize, value: &mut String) {
        let mut units = Vec::new();
        while let Some(unit) = hex4(self.rest()) {
            units.push(unit);
            self.at += 4;
            let is_first_half = (0xD800..0xDC00).contains(&unit) && units.len() == 1;
            if !(is_first_half && self.rest().starts_with("\\u")) {
                break;
            }
            self.at += 2;
        }
        match String::from_utf16(&units) {
            Ok(text) if !text.is_empty() => value.push_str(&text),
            _ => {
                let span = Span::new(start, self.at);
                self.sink.push(
                    Draft::error(codes::BAD_ESCAPE, span, "\\u is not followed by four hexadecimal digits")
                        .suggest("write for instance \\u00e9, or \\\\u for a backslash and a u"),
                );
            }
        }
    }

    fn sign(&mut self, start: usize) {
        let rest = self.rest();
        let (sign, length) = match rest.get(..2) {
            Some("==") => (Sign::EqualEqual, 2),
            Some("!=") | Some("<>") => (Sign::NotEqual, 2),
            Some("<=") => (Sign::LessEqual, 2),
            Some(">=") => (Sign::GreaterEqual, 2),
            _ => match rest.chars().next().and_then(single_sign) {
                Some(sign) => (sign, 1),
                None => return self.unknown(start),
            },
        };
        self.at += length;
        self.push(TokenKind::Sign(sign), start);
    }

    /// Blanks that are none here, and control characters: reported and taken for blanks.
    fn foreign_blanks(&mut self) {
        let start = self.at;
        self.skip_while(is_foreign_blank);
        let run = self.text.get(start..self.at).unwrap_or("").to_owned();
        let blanks: String =
            run.chars().filter(|c| c.is_whitespace() && !c.is_control()).map(|_| ' ').collect();
        let suggestion = if blanks.is_empty() { "remove it" } else { "replace it by a plain space" };
        let message = format!("unexpected character `{}`", shown(&run));
        let draft = Draft::error(codes::UNEXPECTED_CHARACTER, Span::new(start, self.at), message);
        self.sink.push(draft.suggest(suggestion).fix(Span::new(start, self.at), blanks));
    }

    /// A string in the quotes of a word processor: reported and taken for one.
    fn curly_string(&mut self, start: usize) {
        let line = self.rest().split(['\n', '\r']).next().unwrap_or("");
        let mut quotes = line.char_indices().filter(|(_, c)| is_curly_quote(*c) || *c == '"');
        let Some((end, close)) = quotes.nth(1) else { return self.unknown(start) };
        let first = self.peek().map_or(0, char::len_utf8);
        let value = line.get(first..end).unwrap_or("").to_owned();
        self.at += end + close.len_utf8();
        let span = Span::new(start, self.at);
        let message = format!("unexpected character `{}`", shown(self.sink.source().slice(span)));
        let draft = Draft::error(codes::UNEXPECTED_CHARACTER, span, message)
            .suggest("write strings in straight quotes: \"text\"")
            .fix(span, format!("\"{value}\""));
        self.sink.push(draft);
        self.push(TokenKind::Text(value), start);
    }

    /// Whether the line begins with a word that a condition follows, or has a comparison before
    /// this place.
    fn is_in_condition(&self) -> bool {
        let line = self.text.get(..self.at).unwrap_or("").rsplit(['\n', '\r']).next().unwrap_or("");
        let first = line.split_whitespace().next().unwrap_or("");
        ["IF", "ELSE", "UNTIL", "WHEN"].iter().any(|word| first.eq_ignore_ascii_case(word))
            || line.contains(['<', '>'])
            || ["==", "!="].iter().any(|sign| line.contains(sign))
    }

    /// The rest of `T#30s`, a time of Structured Text, of which `T` was taken for a word: reported;
    /// whether it is one.
    fn duration_literal(&mut self) -> bool {
        let Some(last) = self.tokens.last().map(|last| last.token.span) else { return false };
        let word = self.sink.source().slice(last);
        if !["T", "TIME", "t"].contains(&word) || last.end as usize != self.at {
            return false;
        }
        let start = self.at;
        self.at += 1;
        self.skip_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        let text = self.text.get(start + 1..self.at).unwrap_or("");
        let span = Span::new(last.start as usize, self.at);
        let message = format!("`{}` is not part of the language", self.sink.source().slice(span));
        let draft = Draft::error(codes::NOT_LOT, span, message);
        self.sink.push(match crate::trigger::written_out(text) {
            Some(ours) => draft.suggest(format!("write {ours}")).fix(span, ours),
            None => draft.suggest("write a number and a unit, such as 30 SECONDS"),
        });
        self.push(TokenKind::Unknown, start);
        true
    }

    /// Whether a bracket of this line is open here, among the last tokens.
    fn is_in_brackets(&self) -> bool {
        let mut closed = 0usize;
        for token in self.tokens.iter().rev().take(BRACKET_TOKENS_MAX) {
            if let TokenKind::Sign(sign) = token.token.kind {
                if sign.closes() {
                    closed += 1;
                } else if sign.closing().is_some() {
                    let Some(left) = closed.checked_sub(1) else { return true };
                    closed = left;
                }
            }
            if token.indent.is_some() {
                return false;
            }
        }
        false
    }

    /// A run of characters that begin no token.
    fn unknown(&mut self, start: usize) {
        let first = self.peek().unwrap_or(' ');
        if first == '#' && self.duration_literal() {
            return;
        }
        self.skip_while(|c| !c.is_ascii_alphanumeric() && !c.is_ascii_whitespace() && !is_known(c));
        if self.at == start {
            self.at += first.len_utf8();
        }
        let run = self.text.get(start..self.at).unwrap_or("").to_owned();
        let is_field = first == '#' && is_template_field(self.text.get(start..).unwrap_or_default());
        let is_in_brackets = first == ';' && self.is_in_brackets();
        let suggestion = match first {
            ';' if is_in_brackets => Some("write , between values"),
            '#' if is_field => Some("write a value in place of the field, from # to #"),
            '`' | '\u{ab}' | '\u{bb}' => Some(hint_of_quotes(self.text.get(start..).unwrap_or_default())),
            _ => help_for(first),
        };
        let after_text =
            matches!(self.tokens.last(), Some(last) if matches!(last.token.kind, TokenKind::Text(_)));
        let replacement = match run.as_str() {
            "&" if after_text && !self.is_in_condition() => Some("+"),
            "&" | "&&" => Some("AND"),
            "||" if after_text && !self.is_in_condition() => Some("+"),
            "|" | "||" => Some("OR"),
            ";" if self.text.get(self.at..).is_some_and(is_line_end) => Some(""),
            ";" if is_in_brackets => Some(","),
            "\u{2013}" => Some("-"),
            "\u{2264}" => Some("<="),
            "\u{2265}" => Some(">="),
            "\u{2260}" => Some("!="),
            "\u{d7}" | "\u{b7}" => Some("*"),
            "\u{f7}" => Some("/"),
            _ => None,
        };
        let suggestion = match (run.as_str(), replacement) {
            ("&", Some("+")) => Some("join texts with +, or write AND between conditions"),
            (_, Some("+")) => Some("join texts with +, or write OR between conditions"),
            ("&&", _) => Some("write AND between conditions"),
            _ => suggestion,
        };
        let span = Span::new(start, self.at);
        let draft = Draft::error(
            codes::UNEXPECTED_CHARACTER,
            span,
            format!("unexpected character `{}`", shown(&run)),
        )
        .suggest_if(suggestion.map(str::to_owned));
        self.sink.push(match replacement {
            Some(text) => draft.fix(span, text),
            None => draft,
        });
        self.push(TokenKind::Unknown, start);
    }
}

/// Returns the replacement for a character that begins no token.
fn help_for(first: char) -> Option<&'static str> {
    match first {
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}' => {
            Some("write strings in straight quotes: \"text\"")
        }
        '\u{2013}' | '\u{2014}' => Some("write - for minus and -- for a comment"),
        '&' => Some("write AND between conditions; the bit of value 4 is FLOOR(x / 4) % 2"),
        '|' => Some("write OR"),
        '!' => Some("write NOT, or != for unequal"),
        ';' => Some("leave it out: a statement ends with its line"),
        '#' => Some("begin a comment with -- or //"),
        '$' | '@' => Some("read a variable as {name}"),
        '\u{2264}' => Some("write <="),
        '\u{2265}' => Some("write >="),
        '\u{2260}' => Some("write !="),
        '\u{d7}' | '\u{b7}' => Some("write * for times"),
        '\u{f7}' => Some("write / for divided by"),
        '^' => Some("write POW(base, exponent) for a power"),
        '?' => Some("write IF condition THEN value ELSE value"),
        '\u{b0}' => Some("numbers have no units: leave it out"),
        _ => None,
    }
}

/// The number or variable with which a comment begins that could be the rest of a calculation.
fn operand(comment: &str) -> Option<&str> {
    let text = comment.trim();
    let end = match text.strip_prefix('{') {
        Some(inside) => inside.find('}')? + 2,
        None => text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()),
    };
    let (operand, rest) = text.split_at_checked(end)?;
    let rest = rest.trim_start();
    let goes_on = rest.starts_with(['+', '-', '*', '/', '%', ')', '<', '>', '=', '!'])
        || ["THEN", "DO", "AS", "AND", "OR", "WITH"].iter().any(|word| rest.split(' ').next() == Some(word));
    let is_number = operand.starts_with(|c: char| c.is_ascii_digit() || c == '{');
    (is_number && (rest.is_empty() || goes_on)).then_some(operand)
}

/// Returns the replacement for a text in other quotes. Such a text may contain values, like
/// template literals of JavaScript.
fn hint_of_quotes(text: &str) -> &'static str {
    if text.lines().next().is_some_and(|line| line.contains("${")) {
        return "write texts in straight quotes and join them with values: \"a = \" + {a}";
    }
    "write strings in straight quotes: \"text\""
}

/// The first letters of a name, for a message.
fn first_letters(name: &str) -> &str {
    name.char_indices().nth(60).map_or(name, |(end, _)| &name[..end])
}

/// The first characters of a text, for a message.
fn shown(text: &str) -> String {
    text.chars().take(10).flat_map(char::escape_debug).collect()
}

/// Whether a text begins with a field of a template of routes,
/// `#NAME,type,description,validation,env#`.
fn is_template_field(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix('#')
        .and_then(|rest| rest.split_once('#'))
        .is_some_and(|(field, _)| field.split(',').count() == 5)
}

/// Whether nothing but blanks stands before the next line's end.
fn is_line_end(rest: &str) -> bool {
    rest.trim_start_matches([' ', '\t']).chars().next().is_none_or(|c| c == '\n' || c == '\r')
}

/// White space other than a blank, a tab or a line end, characters without width, and control
/// characters.
fn is_foreign_blank(character: char) -> bool {
    match character {
        ' ' | '\t' | '\n' | '\r' => false,
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => true,
        _ => character.is_whitespace() || character.is_control(),
    }
}

fn is_curly_quote(character: char) -> bool {
    matches!(character, '\u{201c}' | '\u{201d}' | '\u{201e}')
}

fn is_known(character: char) -> bool {
    is_foreign_blank(character)
        || is_curly_quote(character)
        || character == '_'
        || character == '"'
        || character == '\''
        || single_sign(character).is_some()
}

fn single_sign(character: char) -> Option<Sign> {
    Some(match character {
        '+' => Sign::Plus,
        '-' => Sign::Minus,
        '*' => Sign::Star,
        '/' => Sign::Slash,
        '%' => Sign::Percent,
        '=' => Sign::Equal,
        '<' => Sign::Less,
        '>' => Sign::Greater,
        '(' => Sign::OpenParen,
        ')' => Sign::CloseParen,
        '[' => Sign::OpenBracket,
        ']' => Sign::CloseBracket,
        '{' => Sign::OpenBrace,
        '}' => Sign::CloseBrace,
        ',' => Sign::Comma,
        ':' => Sign::Colon,
        '.' => Sign::Dot,
        _ => return None,
    })
}

/// Length of `e12`, `E-3`, … at the start of `rest`.
fn exponent_length(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix(['e', 'E'])?;
    let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    (count > 0).then(|| rest.len() - digits.len() + count)
}

fn hex4(text: &str) -> Option<u16> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}
