//! Arrays as the server writes and reads them: `{1,NULL,"a \"b\""}`.

use crate::limits::DIMENSIONS_MAX;

/// An array of values as text; `None` is NULL.
pub(crate) fn text<'a>(elements: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<u8> {
    let mut array = vec![b'{'];
    for (index, element) in elements.enumerate() {
        if index > 0 {
            array.push(b',');
        }
        let Some(element) = element else {
            array.extend_from_slice(b"NULL");
            continue;
        };
        array.push(b'"');
        for &byte in element {
            if matches!(byte, b'"' | b'\\') {
                array.push(b'\\');
            }
            array.push(byte);
        }
        array.push(b'"');
    }
    array.push(b'}');
    array
}

/// Converts the text of an array to JSON, with its elements written by `element`. Returns `None` if
/// it is no array.
pub(crate) fn json(text: &str, element: impl Fn(&str) -> String) -> Option<String> {
    // Its bounds, where they are not from 1 on.
    let text = match text.strip_prefix('[') {
        Some(_) => text.split_once('=')?.1,
        None => text,
    };
    let mut reader = Reader { rest: text, json: String::new() };
    reader.array(&element, DIMENSIONS_MAX)?;
    reader.rest.is_empty().then_some(reader.json)
}

struct Reader<'a> {
    rest: &'a str,
    json: String,
}

impl Reader<'_> {
    fn takes(&mut self, expected: char) -> bool {
        let behind = self.rest.strip_prefix(expected);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn array(&mut self, element: &impl Fn(&str) -> String, dimensions_left: usize) -> Option<()> {
        let dimensions_left = dimensions_left.checked_sub(1)?;
        if !self.takes('{') {
            return None;
        }
        self.json.push('[');
        if !self.takes('}') {
            loop {
                if self.rest.starts_with('{') {
                    self.array(element, dimensions_left)?;
                } else {
                    self.element(element)?;
                }
                if !self.takes(',') {
                    break;
                }
                self.json.push(',');
            }
            if !self.takes('}') {
                return None;
            }
        }
        self.json.push(']');
        Some(())
    }

    fn element(&mut self, element: &impl Fn(&str) -> String) -> Option<()> {
        if !self.takes('"') {
            let end = self.rest.find([',', '}'])?;
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            self.json.push_str(&if text == "NULL" { "null".to_owned() } else { element(text) });
            return Some(());
        }
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, next)) = characters.next() {
            match next {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    self.json.push_str(&element(&text));
                    return Some(());
                }
                '\\' => text.push(characters.next()?.1),
                _ => text.push(next),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_between_quotes() {
        let elements = [Some("1"), None, Some(""), Some("a,\"b\"\\{}"), Some("NULL")];
        let written = text(elements.iter().map(|element| element.map(str::as_bytes)));
        assert_eq!(String::from_utf8(written).unwrap(), r#"{"1",NULL,"","a,\"b\"\\{}","NULL"}"#);
        assert_eq!(text(std::iter::empty()), b"{}");
    }

    #[test]
    fn what_is_no_array_is_told() {
        for wrong in
            ["", "1", "{", "{1", "{1,", "{\"1}", "{\"1\\", "{1}2", "{1}}", "{{{{{{{1}}}}}}}", "[0:1]"]
        {
            assert_eq!(json(wrong, str::to_owned), None, "{wrong}");
        }
    }
}
