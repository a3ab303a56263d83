//! Lists of names and values such as `line={topic.1},machine=press`. The definition's text alone
//! decides names and values, never a message.

use lotmq_guest::route::{Template, Value};

/// A name, and the parts of its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: Vec<Piece>,
    /// Whether the value stands in double quotes.
    pub(crate) is_quoted: bool,
}

/// Part of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    /// The value of the placeholder of this number.
    Value(usize),
}

/// Reads a list.
///
/// # Errors
/// Why it is none.
pub(crate) fn parse(template: &Template) -> Result<Vec<Pair>, String> {
    let mut reading = Reading::default();
    for (index, text) in template.texts().iter().enumerate() {
        if index > 0 {
            reading.placeholder(index - 1)?;
        }
        text.chars().try_for_each(|next| reading.char(next))?;
    }
    reading.end()
}

/// The value of a placeholder; nothing where the host gave none.
pub(crate) fn value(values: &[Value], index: usize) -> &Value {
    values.get(index).unwrap_or(&Value::Empty)
}

#[derive(Default)]
struct Reading {
    pairs: Vec<Pair>,
    name: String,
    /// The value, once `=` has come.
    value: Option<Vec<Piece>>,
    is_open: bool,
    is_quoted: bool,
}

impl Reading {
    fn char(&mut self, next: char) -> Result<(), String> {
        match (&mut self.value, next) {
            (Some(_), '"') if self.is_open => self.is_open = false,
            (Some(pieces), '"') if pieces.is_empty() && !self.is_quoted => {
                (self.is_open, self.is_quoted) = (true, true)
            }
            (_, '"') => return Err("a quote stands where none is meant".to_owned()),
            (Some(_), ',') if !self.is_open => self.end_pair()?,
            (Some(_), ' ') if !self.is_open => {}
            (Some(_), _) if self.is_quoted && !self.is_open => {
                return Err(format!("behind the text of '{}' stands something else", self.name));
            }
            (Some(pieces), next) => match pieces.last_mut() {
                Some(Piece::Text(text)) => text.push(next),
                _ => pieces.push(Piece::Text(next.to_string())),
            },
            (None, '=') => self.value = Some(Vec::new()),
            (None, ',') => return Err(format!("'{}' has no value", self.name.trim())),
            (None, next) => self.name.push(next),
        }
        Ok(())
    }

    fn placeholder(&mut self, index: usize) -> Result<(), String> {
        match &mut self.value {
            Some(pieces) => {
                pieces.push(Piece::Value(index));
                Ok(())
            }
            None => Err("a name is the same for all messages, and has no placeholder".to_owned()),
        }
    }

    fn end_pair(&mut self) -> Result<(), String> {
        let name = std::mem::take(&mut self.name).trim().to_owned();
        let value = self.value.take().unwrap_or_default();
        if name.is_empty() || (value.is_empty() && !self.is_quoted) {
            return Err(format!("'{name}' has no value"));
        }
        self.pairs.push(Pair { name, value, is_quoted: std::mem::take(&mut self.is_quoted) });
        Ok(())
    }

    fn end(mut self) -> Result<Vec<Pair>, String> {
        if self.is_open {
            return Err(format!("the text of '{}' does not end", self.name.trim()));
        }
        self.end_pair()?;
        Ok(self.pairs)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A template from a text whose placeholders stand as `{}`.
    pub(crate) fn template(text: &str) -> Template {
        let texts: Vec<String> = text.split("{}").map(str::to_owned).collect();
        let names = (1..texts.len()).map(|number| format!("topic.{number}")).collect::<Vec<_>>();
        Template::new("TAGS", texts, names).unwrap()
    }

    #[test]
    fn names_and_values_are_found() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let pair =
            |name: &str, value: Vec<Piece>, is_quoted| Pair { name: name.to_owned(), value, is_quoted };
        assert_eq!(
            parse(&template("line={}, machine=m-{}x ,note=\"a,b {}\",n=5i")),
            Ok(vec![
                pair("line", vec![Piece::Value(0)], false),
                pair("machine", vec![text("m-"), Piece::Value(1), text("x")], false),
                pair("note", vec![text("a,b "), Piece::Value(2)], true),
                pair("n", vec![text("5i")], false),
            ])
        );
        for (wrong, told) in [
            ("", "'' has no value"),
            ("a", "'a' has no value"),
            ("a=1,", "'' has no value"),
            ("a,b=1", "'a' has no value"),
            ("{}=1", "a name is the same for all messages, and has no placeholder"),
            ("a=\"x", "the text of 'a' does not end"),
            ("a=\"x\"y", "behind the text of 'a' stands something else"),
            ("a=x\"y\"", "a quote stands where none is meant"),
        ] {
            assert_eq!(parse(&template(wrong)), Err(told.to_owned()), "{wrong}");
        }
    }
}
