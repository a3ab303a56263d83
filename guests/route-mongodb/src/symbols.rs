//! Text of a statement as its characters, with placeholders between them that are none.

use lotmq_guest::route::{Template, Value, text_of};

/// A character, or the place of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Symbol {
    Char(char),
    Hole(Hole),
}

/// Place of a value of a message, by its position among the placeholders of the setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hole {
    pub(crate) at: usize,
    /// Whether it is the payload as text, which may hold JSON.
    pub(crate) is_payload: bool,
}

/// Part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Hole(Hole),
}

/// Values of a message.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    values: &'a [Value],
    /// Names of their placeholders, for people.
    names: &'a [String],
}

/// A place in a statement that is read.
pub(crate) struct Cursor {
    symbols: Vec<Symbol>,
    at: usize,
}

impl<'a> Values<'a> {
    pub(crate) fn new(values: &'a [Value], template: &'a Template) -> Values<'a> {
        Values { values, names: template.placeholders() }
    }

    /// The value of a place.
    pub(crate) fn get(&self, hole: Hole) -> &'a Value {
        self.values.get(hole.at).unwrap_or(&Value::Empty)
    }

    /// The value of a place that is compared with.
    ///
    /// # Errors
    /// The message has none: whatever lacks the field would be equal to it.
    pub(crate) fn present(&self, hole: Hole) -> Result<&'a Value, String> {
        match self.get(hole) {
            Value::Empty => {
                let name = self.names.get(hole.at).map_or("a value", String::as_str);
                Err(format!("{{{name}}} is not there, and nothing is compared with it"))
            }
            value => Ok(value),
        }
    }

    /// A text with its values in it.
    pub(crate) fn joined(&self, pieces: &[Piece]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Hole(hole) => text_of(self.get(*hole)),
        };
        pieces.iter().map(text).collect()
    }
}

impl Cursor {
    pub(crate) fn new(template: &Template) -> Cursor {
        let mut symbols = Vec::new();
        for (place, text) in template.texts().iter().enumerate() {
            if let Some(at) = place.checked_sub(1) {
                let name = template.placeholders().get(at).map_or("", String::as_str);
                symbols.push(Symbol::Hole(Hole { at, is_payload: matches!(name, "payload" | "value") }));
            }
            symbols.extend(text.chars().map(Symbol::Char));
        }
        Cursor { symbols, at: 0 }
    }

    pub(crate) fn peek(&self) -> Option<Symbol> {
        self.symbols.get(self.at).copied()
    }

    pub(crate) fn next(&mut self) -> Option<Symbol> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    pub(crate) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(Symbol::Char(c)) if c.is_whitespace()) {
            self.at += 1;
        }
    }

    pub(crate) fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.peek().is_none()
    }

    /// Takes this character, behind blanks, if it is the next one.
    pub(crate) fn takes(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        let is_next = self.peek() == Some(Symbol::Char(wanted));
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes this word, in any case and behind blanks, if it is the next one.
    pub(crate) fn takes_word(&mut self, wanted: &str) -> bool {
        self.skip_blanks();
        let start = self.at;
        let is_next = self.word().eq_ignore_ascii_case(wanted);
        if !is_next {
            self.at = start;
        }
        is_next
    }

    /// Reads a word of letters, digits and other name characters, after blanks. Returns an empty
    /// text if there is none.
    pub(crate) fn word(&mut self) -> String {
        self.skip_blanks();
        let mut word = String::new();
        while let Some(Symbol::Char(c)) = self.peek()
            && (c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '$' | '+'))
        {
            word.push(c);
            self.at += 1;
        }
        word
    }

    /// Takes everything up to the next blank, behind blanks.
    pub(crate) fn pieces(&mut self) -> Vec<Piece> {
        self.skip_blanks();
        let mut pieces = Vec::new();
        while let Some(symbol) =
            self.peek().filter(|next| !matches!(next, Symbol::Char(c) if c.is_whitespace()))
        {
            push(&mut pieces, symbol);
            self.at += 1;
        }
        pieces
    }

    /// Describes the next symbols in a few words, for people.
    pub(crate) fn ahead(&self) -> String {
        const SHOWN: usize = 20;
        match self.peek() {
            None => "its end".to_owned(),
            Some(Symbol::Hole(_)) => "a placeholder".to_owned(),
            Some(Symbol::Char(_)) => {
                let rest = self.symbols[self.at..].iter().map_while(|symbol| match symbol {
                    Symbol::Char(c) => Some(*c),
                    Symbol::Hole(_) => None,
                });
                format!("'{}'", rest.take(SHOWN).collect::<String>().trim_end())
            }
        }
    }
}

/// Adds a symbol to a text.
pub(crate) fn push(pieces: &mut Vec<Piece>, symbol: Symbol) {
    match (symbol, pieces.last_mut()) {
        (Symbol::Hole(hole), _) => pieces.push(Piece::Hole(hole)),
        (Symbol::Char(c), Some(Piece::Text(text))) => text.push(c),
        (Symbol::Char(c), Some(Piece::Hole(_)) | None) => pieces.push(Piece::Text(c.to_string())),
    }
}
