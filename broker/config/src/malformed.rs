//! Text that is not TOML: what is wrong with it, in words that quote no value of a key that is
//! none.
//!
//! The parser's own text quotes the line, in which a password may stand.

/// Most characters of a key that a message names.
const KEY_CHARS_MAX: usize = 64;

/// Text of the parser with what is meant, or with the key that it does not name.
pub(crate) fn malformation(text: &str, message: &str, span: Option<std::ops::Range<usize>>) -> String {
    let start = span.map_or(0, |span| span.start);
    let written = text.get(start..).and_then(|rest| rest.lines().next());
    let word = written.unwrap_or_default().split(['#', '=', ' ']).next().unwrap_or_default();
    let is_key = word.len() <= KEY_CHARS_MAX
        && word.chars().all(|char| char.is_ascii_alphanumeric() || "._-".contains(char));
    let is_truth = ["yes", "no", "on", "off", "true", "false"].iter().any(|of| word.eq_ignore_ascii_case(of));
    if message == "duplicate key" {
        let line = text.lines().nth(line_at(text, start) - 1).unwrap_or_default().trim_start();
        match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((table, _)) => format!(
                "there is a table `[{}]` already: put the keys of both below one",
                table.trim_start_matches('[')
            ),
            None if is_key => format!("{message} `{word}`"),
            None => message.to_owned(),
        }
    } else if is_truth {
        format!("{message}; `{word}` is none of its words: write true or false")
    } else if let Some(hint) = quotes_missing(text, start) {
        format!("{message}; {hint}")
    } else {
        message.to_owned()
    }
}

/// Hint for a text without its quotation marks on the line of a place, such as an
/// address; `None` where it is something else that is wrong.
fn quotes_missing(text: &str, offset: usize) -> Option<String> {
    let line = text.lines().nth(line_at(text, offset) - 1)?;
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next().unwrap_or_default().trim());
    let is_bare = !value.is_empty() && !value.contains(['"', '\'', '[', '{', '\\']);
    let is_value = |value: &str| toml::from_str::<toml::Table>(&format!("x = {value}")).is_ok();
    let quoted = format!("\"{value}\"");
    let is_text = is_bare && !is_value(value) && is_value(&quoted);
    // The value of a key that is none may be a password.
    let is_known = crate::KEYS.iter().any(|known| known.path.rsplit('.').next() == Some(key));
    let shown = if is_known { &quoted } else { "\"…\"" };
    is_text.then(|| format!("a text stands in quotation marks: write {key} = {shown}"))
}

/// Line of a place in a text, from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
