//! Commands of events: words, some with values of a message in them.
//!
//! A value stays within one word, whatever it contains: the definition's text alone decides the
//! words.

use lotmq_guest::route::{Template, Value, text_of};

/// Commands that change the state of a connection or wait on it for ever. Later replies would be
/// assigned to the wrong commands.
const REFUSED: &[&str] = &[
    "AUTH",
    "CLIENT",
    "DISCARD",
    "EXEC",
    "HELLO",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PSYNC",
    "PUNSUBSCRIBE",
    "QUIT",
    "READONLY",
    "READWRITE",
    "REPLCONF",
    "RESET",
    "SELECT",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WATCH",
];

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    words: Vec<Vec<Piece>>,
}

/// Part of a word.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    /// The value of the placeholder of this number.
    Value(usize),
}

/// Words while they are read.
#[derive(Default)]
struct Reading {
    words: Vec<Vec<Piece>>,
    /// The word that has begun.
    word: Option<Vec<Piece>>,
    text: String,
    quote: Option<char>,
}

impl Command {
    /// Reads a command; words are apart by blanks, and quotes of either kind hold blanks.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(template: &Template) -> Result<Command, String> {
        let mut reading = Reading::default();
        for (index, text) in template.texts().iter().enumerate() {
            if index > 0 {
                reading.value(index - 1);
            }
            text.chars().for_each(|next| reading.char(next));
        }
        if let Some(quote) = reading.quote {
            return Err(format!("the quote {quote} does not end"));
        }
        reading.end_word();
        let command = Command { words: reading.words };
        let name = command.name().ok_or("begins with no name of a command")?;
        if REFUSED.contains(&&*name) {
            return Err(format!("{name} is no command for an event: it concerns the connection"));
        }
        Ok(command)
    }

    /// Its first word in capitals; `None` where that has a value in it, or there is none.
    fn name(&self) -> Option<String> {
        match self.words.first()?.as_slice() {
            [Piece::Text(name)] => Some(name.to_ascii_uppercase()),
            _ => None,
        }
    }

    /// Appends it with these values to what is sent.
    pub(crate) fn encode(&self, values: &[Value], out: &mut Vec<u8>) {
        let words = self.words.iter().map(|word| match word.as_slice() {
            [Piece::Value(index)] => bytes_of(values.get(*index)),
            pieces => pieces
                .iter()
                .flat_map(|piece| match piece {
                    Piece::Text(text) => text.clone().into_bytes(),
                    Piece::Value(index) => bytes_of(values.get(*index)),
                })
                .collect(),
        });
        encode(out, words);
    }
}

/// Appends a command of these words to what is sent.
pub(crate) fn encode<T: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    words: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
) {
    let words = words.into_iter();
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn bytes_of(value: Option<&Value>) -> Vec<u8> {
    match value {
        Some(Value::Bytes(bytes)) => bytes.clone(),
        Some(value) => text_of(value).into_bytes(),
        None => Vec::new(),
    }
}

impl Reading {
    fn char(&mut self, next: char) {
        match self.quote {
            Some(quote) if quote == next => self.quote = None,
            Some(_) => self.text.push(next),
            None if matches!(next, '"' | '\'') => {
                // A quoted text is a word, even if it is empty.
                self.quote = Some(next);
                self.word.get_or_insert_default();
            }
            None if next.is_ascii_whitespace() => self.end_word(),
            None => self.text.push(next),
        }
    }

    fn value(&mut self, index: usize) {
        self.end_text();
        self.word.get_or_insert_default().push(Piece::Value(index));
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.word.get_or_insert_default().push(Piece::Text(text));
        }
    }

    fn end_word(&mut self) {
        self.end_text();
        self.words.extend(self.word.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command from a text whose placeholders stand as `{}`.
    fn command(text: &str) -> Result<Command, String> {
        let texts: Vec<String> = text.split("{}").map(str::to_owned).collect();
        let names = (1..texts.len()).map(|number| format!("topic.{number}")).collect::<Vec<_>>();
        Command::parse(&Template::new("COMMAND", texts, names).unwrap())
    }

    fn sent(text: &str, values: &[Value]) -> String {
        let mut out = Vec::new();
        command(text).unwrap().encode(values, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_stay_in_their_words() {
        let evil = Value::Text("x\r\nDEL *\r\n 'a b'".to_owned());
        assert_eq!(
            sent("SET t:{} {} EX 5", &[Value::Text("a".into()), evil]),
            "*5\r\n$3\r\nSET\r\n$3\r\nt:a\r\n$16\r\nx\r\nDEL *\r\n 'a b'\r\n$2\r\nEX\r\n$1\r\n5\r\n"
        );
        assert_eq!(
            sent("rpush  l 'a b' \"\" {}{}", &[Value::Integer(1), Value::Double(2.0)]),
            "*5\r\n$5\r\nrpush\r\n$1\r\nl\r\n$3\r\na b\r\n$0\r\n\r\n$4\r\n12.0\r\n"
        );
        assert_eq!(sent("SET k {}", &[Value::Empty]), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
    }

    #[test]
    fn what_is_no_command_of_an_event_is_told() {
        for (text, told) in [
            ("", "begins with no name of a command"),
            ("{} k", "begins with no name of a command"),
            ("S{} k", "begins with no name of a command"),
            ("SET 'k", "the quote ' does not end"),
            ("subscribe c", "SUBSCRIBE is no command for an event: it concerns the connection"),
            ("CLIENT REPLY OFF", "CLIENT is no command for an event: it concerns the connection"),
        ] {
            assert_eq!(command(text), Err(told.to_owned()), "{text}");
        }
    }
}
