//! JSON of the reference evaluator: documents in the order of their keys, read by RFC 8259, printed
//! compactly.

use super::value::{Number, Origin, Value, double_text, number_in, reading};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// A value as a member of a JSON literal (§5.2, OD-23).
    pub(super) fn of(value: &Value) -> Json {
        match value {
            Value::Empty | Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::Int(*value),
            Value::Double(value) => Json::of_double(*value),
            Value::Text { text, origin: Origin::Data, .. } => match reading(text) {
                Some(Number::Int(value)) => Json::Int(value),
                Some(Number::Double(value)) => Json::of_double(value),
                None => Json::Text(text.clone()),
            },
            Value::Text { text, .. } => Json::Text(text.clone()),
            Value::Json(json) => json.clone(),
            Value::Bytes(_) | Value::Time(_) => Json::Text(value.text()),
        }
    }

    /// A number as it is written: JSON is text, in which 2.0 is 2 (OD-13).
    fn of_double(value: f64) -> Json {
        Json::parse(&double_text(value)).unwrap_or(Json::Null)
    }

    /// Returns the value that `GET JSON` gives for a node: scalars come back as their kind.
    pub(super) fn into_value(self) -> Value {
        match self {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Int(value) => Value::Int(value),
            Json::Double(value) => Value::Double(value),
            Json::Text(text) => Value::of_json(text),
            other @ (Json::Array(_) | Json::Object(_)) => Value::Json(other),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.print(&mut text, &mut || "");
        text
    }

    /// Prints with what `blank` gives between tokens.
    pub(super) fn print(&self, text: &mut String, blank: &mut dyn FnMut() -> &'static str) {
        match self {
            Json::Null => text.push_str("null"),
            Json::Bool(value) => text.push_str(&value.to_string()),
            Json::Int(value) => text.push_str(&value.to_string()),
            Json::Double(value) => text.push_str(&double_text(*value)),
            Json::Text(value) => print_string(value, text),
            Json::Array(elements) => {
                text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(blank());
                    element.print(text, blank);
                }
                text.push_str(blank());
                text.push(']');
            }
            Json::Object(members) => {
                text.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    text.push_str(blank());
                    print_string(key, text);
                    text.push_str(blank());
                    text.push(':');
                    text.push_str(blank());
                    value.print(text, blank);
                }
                text.push_str(blank());
                text.push('}');
            }
        }
    }

    /// The node at a path: keys joined by dots, `[n]` or `.n` for elements; the whole path may be a
    /// key that has dots in it.
    pub(super) fn at(&self, path: &str) -> Option<&Json> {
        if path.is_empty() {
            return Some(self);
        }
        if let Some(found) = self.member(path) {
            return Some(found);
        }
        let mut node = self;
        for step in path.split(['.', '[']) {
            let step = step.strip_suffix(']').unwrap_or(step);
            if step.is_empty() {
                continue;
            }
            node = match node {
                Json::Array(elements) => elements.get(step.parse::<usize>().ok()?)?,
                other => other.member(step)?,
            };
        }
        Some(node)
    }

    pub(super) fn member(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Reads a document.
    pub(super) fn parse(text: &str) -> Option<Json> {
        let mut reader = Reader { rest: text };
        let value = reader.value()?;
        reader.blanks();
        reader.rest.is_empty().then_some(value)
    }
}

fn print_string(value: &str, text: &mut String) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", control as u32)),
            other => text.push(other),
        }
    }
    text.push('"');
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn takes(&mut self, token: &str) -> bool {
        self.blanks();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Json> {
        self.blanks();
        if self.takes("{") {
            let mut members: Vec<(String, Json)> = Vec::new();
            if self.takes("}") {
                return Some(Json::Object(members));
            }
            loop {
                self.blanks();
                let key = self.string()?;
                if !self.takes(":") {
                    return None;
                }
                members.push((key, self.value()?));
                if self.takes("}") {
                    return Some(Json::Object(members));
                }
                if !self.takes(",") {
                    return None;
                }
            }
        }
        if self.takes("[") {
            let mut elements = Vec::new();
            if self.takes("]") {
                return Some(Json::Array(elements));
            }
            loop {
                elements.push(self.value()?);
                if self.takes("]") {
                    return Some(Json::Array(elements));
                }
                if !self.takes(",") {
                    return None;
                }
            }
        }
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))]
        {
            if self.takes(word) {
                return Some(value);
            }
        }
        if self.rest.starts_with('"') { self.string().map(Json::Text) } else { self.number() }
    }

    fn number(&mut self) -> Option<Json> {
        let end = self.rest.find(|next: char| !matches!(next, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_json = digits.starts_with(|first: char| first.is_ascii_digit())
            && (!digits.starts_with('0') || digits.len() == 1 || !digits.as_bytes()[1].is_ascii_digit());
        self.rest = rest;
        match number_in(text).filter(|_| is_json)? {
            Number::Int(value) => Some(Json::Int(value)),
            Number::Double(value) => Some(Json::Double(value)),
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut characters = self.rest.strip_prefix('"')?.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => match characters.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    plain @ ('"' | '\\' | '/') => text.push(plain),
                    'u' => {
                        let digits: String = characters.by_ref().take(4).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    _ => return None,
                },
                control if control < ' ' => return None,
                other => text.push(other),
            }
        }
        self.rest = characters.as_str();
        Some(text)
    }
}
