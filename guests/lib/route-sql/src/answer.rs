//! Answers of queries: JSON arrays of rows (routes reference §4.1).

use crate::limits::ANSWER_BYTES_MAX;

/// JSON array of rows that is being written. Beyond its bound further rows are left out.
#[derive(Debug)]
pub struct Answer {
    json: String,
    rows: usize,
    left_out: u64,
}

impl Default for Answer {
    fn default() -> Self {
        Answer { json: "[".to_owned(), rows: 0, left_out: 0 }
    }
}

impl Answer {
    /// Adds a row: names of columns, and their values as JSON.
    pub fn row<'a>(&mut self, columns: impl Iterator<Item = (&'a str, String)>) {
        // Rows after one that did not fit are left out of the answer, too.
        if self.left_out > 0 {
            self.left_out += 1;
            return;
        }
        let length = self.json.len();
        if self.rows > 0 {
            self.json.push(',');
        }
        self.json.push('{');
        for (index, (name, value)) in columns.enumerate() {
            if index > 0 {
                self.json.push(',');
            }
            self.json.push_str(&serde_json::Value::from(name).to_string());
            self.json.push(':');
            self.json.push_str(&value);
        }
        self.json.push('}');
        // The bracket at its end belongs to it.
        if self.json.len() >= ANSWER_BYTES_MAX {
            self.json.truncate(length);
            self.left_out += 1;
        } else {
            self.rows += 1;
        }
    }

    /// Whether further rows are left out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.left_out > 0
    }

    /// The JSON, and the number of rows that were left out.
    #[must_use]
    pub fn end(mut self) -> (String, u64) {
        self.json.push(']');
        (self.json, self.left_out)
    }
}

/// The answer of a statement without rows.
#[must_use]
pub fn affected(rows: u64) -> String {
    format!(r#"[{{"affected":{rows}}}]"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_bound_are_left_out_and_counted() {
        assert_eq!(Answer::default().end(), ("[]".to_owned(), 0));
        let mut answer = Answer::default();
        answer.row([("a\"b", "1".to_owned()), ("c", "null".to_owned())].into_iter());
        answer.row([("a", "[2]".to_owned())].into_iter());
        let long = || [("a", format!("{:?}", "x".repeat(ANSWER_BYTES_MAX)))].into_iter();
        answer.row(long());
        answer.row([("a", "3".to_owned())].into_iter());
        assert!(answer.is_full());
        assert_eq!(answer.end(), (r#"[{"a\"b":1,"c":null},{"a":[2]}]"#.to_owned(), 2));
    }
}
