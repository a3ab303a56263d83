//! Lines of CSV: RFC 4180, with any delimiter, and a line feed behind each record.

use serde_json::{Map, Value as Json};

/// A record as a line, with the values of these columns in their order.
pub(crate) fn line(record: &Map<String, Json>, columns: &[String], delimiter: char) -> String {
    fields(columns.iter().map(|column| record.get(column).map(text).unwrap_or_default()), delimiter)
}

/// The line of the columns' names.
pub(crate) fn header(columns: &[String], delimiter: char) -> String {
    fields(columns.iter().cloned(), delimiter)
}

fn fields(values: impl Iterator<Item = String>, delimiter: char) -> String {
    let mut line = String::new();
    for (index, value) in values.enumerate() {
        if index > 0 {
            line.push(delimiter);
        }
        if value.contains([delimiter, '"', '\r', '\n']) {
            line.push('"');
            line.push_str(&value.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&value);
        }
    }
    line.push('\n');
    line
}

/// A value in a field: texts as they are, nothing for null, JSON for what has parts.
fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Reader of a file that is there: its columns, its records, and where the last whole one ends.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    header: Vec<u8>,
    /// Records behind the header.
    pub(crate) records: u64,
    /// Bytes up to the end of the last whole record.
    pub(crate) whole: u64,
    bytes: u64,
    is_quoted: bool,
    has_header: bool,
    header_max: usize,
}

impl Scan {
    pub(crate) fn new(header_max: usize) -> Scan {
        Scan { header_max, ..Scan::default() }
    }

    /// Looks at the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes += 1;
            match byte {
                b'"' => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => {
                    self.records += u64::from(self.has_header);
                    self.has_header = true;
                    self.whole = self.bytes;
                    continue;
                }
                _ => {}
            }
            if !self.has_header && self.header.len() < self.header_max {
                self.header.push(*byte);
            }
        }
    }

    /// The names of the columns.
    pub(crate) fn columns(&self, delimiter: char) -> Vec<String> {
        if !self.has_header { Vec::new() } else { split(&String::from_utf8_lossy(&self.header), delimiter) }
    }
}

/// The fields of a line.
fn split(line: &str, delimiter: char) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is one from the beginning");
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => is_quoted = !is_quoted,
            other if other == delimiter && !is_quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let record = r#"{"a":"plain","b":"with, comma","c":"say \"hi\"","d":"two\nlines","e":null,"f":1.5,"g":true,"h":{"x":[1,2]},"i":"semi;colon"}"#;
        let record: Map<String, Json> = serde_json::from_str(record).unwrap();
        let columns: Vec<String> = record.keys().cloned().collect();
        let expected = "plain,\"with, comma\",\"say \"\"hi\"\"\",\"two\nlines\",,1.5,true,\"{\"\"x\"\":[1,2]}\",semi;colon\n";
        assert_eq!(line(&record, &columns, ','), expected);
        assert!(line(&record, &columns, ';').ends_with("\"semi;colon\"\n"));
        assert_eq!(line(&record, &["z".to_owned(), "a".to_owned()], ','), ",plain\n");
    }

    #[test]
    fn a_file_that_is_there_is_read_as_it_was_written() {
        let columns: Vec<String> = ["a,b", "c\nd", "e\"f", "g"].map(str::to_owned).into();
        let mut file = header(&columns, ',');
        for _ in 0..3 {
            let record = Map::from_iter([("a,b".to_owned(), Json::from("x\ny"))]);
            file.push_str(&line(&record, &columns, ','));
        }
        let whole = file.len() as u64;
        for torn in ["", "1,2", "\"a\nb", "\"a\n\"\"\n"] {
            let mut scan = Scan::new(1000);
            scan.take(file.as_bytes());
            scan.take(torn.as_bytes());
            assert_eq!((scan.records, scan.whole, scan.columns(',')), (3, whole, columns.clone()), "{torn}");
        }
        assert_eq!(Scan::new(1000).columns(','), Vec::<String>::new());
    }
}
