//! Lines of mosquitto's files: a first word, and the rest.

/// Line that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConfLine<'a> {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// First word.
    pub(crate) word: &'a str,
    /// Text behind the first word and its blanks.
    pub(crate) rest: &'a str,
}

/// Lines of a text, without empty ones and comments.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = ConfLine<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        let (word, rest) = split_word(line);
        let is_said = !line.is_empty() && !line.starts_with('#');
        is_said.then_some(ConfLine { number: index + 1, word, rest })
    })
}

/// The first word of a text, and what follows its blanks.
pub(crate) fn split_word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}
