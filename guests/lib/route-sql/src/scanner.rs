//! Scanner of a statement with placeholders: finds those in literals, and those where nothing can
//! be bound.

use crate::Dialect;
use crate::piece::{Part, Piece};

/// State of the scanner.
enum State {
    Plain,
    /// In a literal between these quotes.
    Literal(Literal),
    /// Quoted name, comment or dollar-quoted text: copied unchanged up to `end`.
    Opaque {
        end: String,
        is_comment: bool,
    },
}

struct Literal {
    quote: char,
    has_backslashes: bool,
    /// As it is written.
    raw: String,
    text: String,
    parts: Vec<Part>,
    /// Type or prefix before the literal, which a parameter cannot follow.
    prefix: Prefix,
}

enum Prefix {
    None,
    /// `TIMESTAMP '…'`: a parameter is cast to this.
    Type(String),
    /// `N'…'`, `X'…'`.
    Other(String),
}

/// Types whose name may stand before a literal.
const TYPES: [&str; 12] = [
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "interval",
    "json",
    "jsonb",
    "uuid",
    "numeric",
    "inet",
    "bytea",
];

pub(crate) struct Scanner {
    dialect: Dialect,
    state: State,
    pieces: Vec<Piece>,
    sql: String,
    depth: u32,
}

impl Scanner {
    pub(crate) fn new(dialect: Dialect) -> Scanner {
        Scanner { dialect, state: State::Plain, pieces: Vec::new(), sql: String::new(), depth: 0 }
    }

    /// The pieces of a statement, when all of it was scanned.
    pub(crate) fn end(mut self) -> Result<Vec<Piece>, String> {
        match self.state {
            State::Literal(literal) => Err(format!("the literal {} does not end", cut(&literal.raw))),
            State::Opaque { end, is_comment: false } => Err(format!("it ends before {end}")),
            State::Opaque { .. } | State::Plain => {
                self.pieces.push(Piece::Sql(self.sql));
                Ok(self.pieces)
            }
        }
    }

    /// A text between placeholders.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), String> {
        // A number that is glued to something is a part of it, as in `table_{topic.2}`.
        if self.sql.is_empty()
            && let Some(Piece::Bare { is_bound, .. }) = self.pieces.last_mut()
            && text.starts_with(|next| is_of_name(next) || matches!(next, '.' | '"' | '`'))
        {
            *is_bound = false;
        }
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let taken = match &mut self.state {
                State::Plain => self.plain(rest)?,
                State::Opaque { end, .. } => {
                    let (length, is_over) = match rest.find(end.as_str()) {
                        // Between brackets two of them are one of the name.
                        Some(at) if end == "]" && rest[at + 1..].starts_with(']') => (at + 2, false),
                        Some(at) => (at + end.len(), true),
                        None => (rest.len(), false),
                    };
                    self.sql.push_str(&rest[..length]);
                    if is_over {
                        self.state = State::Plain;
                    }
                    length
                }
                State::Literal(literal) if next == literal.quote => {
                    literal.raw.push(next);
                    if rest[next.len_utf8()..].starts_with(next) {
                        literal.raw.push(next);
                        literal.text.push(next);
                        2 * next.len_utf8()
                    } else {
                        self.end_literal()?;
                        next.len_utf8()
                    }
                }
                State::Literal(literal) => literal.character(rest),
            };
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// A placeholder by its number from 0.
    pub(crate) fn placeholder(&mut self, place: usize, name: &str) -> Result<(), String> {
        match &mut self.state {
            State::Plain => {
                let before = self.sql.trim_end();
                let is_glued = before.len() == self.sql.len()
                    && before.ends_with(|last| is_of_name(last) || last == '.');
                // Elsewhere a number may be more than a value, as that of a column behind ORDER BY.
                let is_value = before.ends_with(['=', '<', '>', '+', '-', '*', '/', '%', '('])
                    || (self.depth > 0 && before.ends_with(','));
                self.flush();
                self.pieces.push(Piece::Bare { place, is_bound: is_value && !is_glued });
                Ok(())
            }
            State::Literal(literal) => {
                literal.end_text();
                literal.parts.push(Part::Place(place));
                Ok(())
            }
            State::Opaque { is_comment: true, .. } => {
                self.sql.push_str(&["{", name, "}"].concat());
                Ok(())
            }
            State::Opaque { end, .. } => Err(format!(
                "{{{name}}} stands in a quoted name or text that {end} ends, where no value can be bound"
            )),
        }
    }

    fn flush(&mut self) {
        if !self.sql.is_empty() {
            self.pieces.push(Piece::Sql(std::mem::take(&mut self.sql)));
        }
    }

    /// Scans text outside of literals and comments. Returns the bytes taken.
    fn plain(&mut self, rest: &str) -> Result<usize, String> {
        let is_mysql = self.dialect.is_mysql();
        let opaque = |end: &str, is_comment| State::Opaque { end: end.to_owned(), is_comment };
        let next = rest.chars().next().unwrap_or_default();
        match next {
            '\'' => return Ok(self.begin_literal(next)),
            '"' if is_mysql => return Ok(self.begin_literal(next)),
            '"' => self.state = opaque("\"", false),
            '`' if is_mysql => self.state = opaque("`", false),
            '[' if self.dialect.is_sqlserver() => self.state = opaque("]", false),
            '#' if is_mysql => self.state = opaque("\n", true),
            '-' if rest.starts_with("--") => self.state = opaque("\n", true),
            '/' if rest.starts_with("/*") => {
                self.state = opaque("*/", true);
                self.sql.push_str("/*");
                return Ok(2);
            }
            '$' if !is_mysql && !self.dialect.is_sqlserver() && !self.sql.ends_with(is_of_name) => {
                if let Some(tag) = dollar_tag(rest) {
                    self.state = opaque(tag, false);
                    self.sql.push_str(tag);
                    return Ok(tag.len());
                }
            }
            '(' => self.depth += 1,
            ')' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.sql.push(next);
        Ok(next.len_utf8())
    }

    fn begin_literal(&mut self, quote: char) -> usize {
        let mut has_backslashes = self.dialect.has_backslashes();
        let glued = self.sql.len() - self.sql.trim_end_matches(is_of_name).len();
        let glued = self.sql.split_off(self.sql.len() - glued);
        let mut raw = String::new();
        let prefix = if glued.is_empty() {
            let trimmed = self.sql.trim_end();
            let word = &trimmed[trimmed.trim_end_matches(is_of_name).len()..];
            match TYPES.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                true => Prefix::Type(word.to_owned()),
                false => Prefix::None,
            }
        } else {
            raw.push_str(&glued);
            match &*glued {
                // A text of Unicode, as which parameters go there.
                "N" | "n" if self.dialect.is_sqlserver() => Prefix::None,
                "E" | "e" if !self.dialect.is_mysql() && !self.dialect.is_sqlserver() => {
                    has_backslashes = true;
                    Prefix::None
                }
                _ => Prefix::Other(glued),
            }
        };
        raw.push(quote);
        let (text, parts) = (String::new(), Vec::new());
        self.state = State::Literal(Literal { quote, has_backslashes, raw, text, parts, prefix });
        quote.len_utf8()
    }

    fn end_literal(&mut self) -> Result<(), String> {
        let State::Literal(mut literal) = std::mem::replace(&mut self.state, State::Plain) else {
            return Ok(());
        };
        if literal.parts.is_empty() {
            self.sql.push_str(&literal.raw);
            return Ok(());
        }
        literal.end_text();
        let cast = match literal.prefix {
            Prefix::None => None,
            Prefix::Other(prefix) => {
                return Err(format!(
                    "a literal that begins with {prefix}{} can have no placeholder",
                    literal.quote
                ));
            }
            Prefix::Type(word) => {
                let end = self.sql.trim_end().len() - word.len();
                self.sql.truncate(end);
                Some(word)
            }
        };
        self.flush();
        self.pieces.push(Piece::Literal { parts: literal.parts, cast });
        Ok(())
    }
}

impl Literal {
    /// Takes the next character of the literal, or two if a backslash escapes the second. Returns
    /// the bytes taken.
    fn character(&mut self, rest: &str) -> usize {
        let mut characters = rest.chars();
        let next = characters.next().unwrap_or_default();
        let taken = characters.next().filter(|_| next == '\\' && self.has_backslashes);
        let length = next.len_utf8() + taken.map_or(0, char::len_utf8);
        self.raw.push_str(&rest[..length]);
        self.text.push(match taken {
            None => next,
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('b') => '\u{8}',
            Some(other) => other,
        });
        length
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        }
    }
}

/// The mark that begins and ends a text between dollars, such as `$$` or `$body$`.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find('$')? + 1;
    let tag = &rest[1..end];
    let is_tag = tag.chars().all(is_of_name) && !tag.starts_with(|first: char| first.is_ascii_digit());
    is_tag.then(|| &rest[..=end])
}

pub(crate) fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn cut(text: &str) -> String {
    text.chars().take(20).collect()
}
