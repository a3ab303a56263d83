//! Colours of what people read on a terminal.

use std::io::{self, IsTerminal as _};

use crate::text::escaped;

/// Colour of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Something is wrong.
    Red,
    /// Something was refused, or is nearly so.
    Yellow,
    /// All is well.
    Green,
    /// A value or a name.
    Cyan,
    /// Of less interest than what stands beside it.
    Dim,
}

impl Colour {
    const ALL: [Self; 5] = [Self::Red, Self::Yellow, Self::Green, Self::Cyan, Self::Dim];

    /// Parameter of the escape sequence "select graphic rendition", ECMA-48 §8.3.117.
    fn code(self) -> u8 {
        match self {
            Self::Red => 31,
            Self::Yellow => 33,
            Self::Green => 32,
            Self::Cyan => 36,
            Self::Dim => 2,
        }
    }
}

/// Choice whether texts are coloured.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    is_on: bool,
}

impl Paint {
    /// Colours where standard output is a terminal, unless the environment variable `NO_COLOR` is
    /// there and not empty, or `TERM` says that it has none.
    pub fn of_stdout() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let is_forbidden = is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_on: !is_forbidden && io::stdout().is_terminal() }
    }

    /// Colours, whatever standard output is.
    pub const fn always() -> Self {
        Self { is_on: true }
    }

    /// No colours, as for a file.
    pub const fn none() -> Self {
        Self { is_on: false }
    }

    /// The text in this colour, or as it is.
    pub fn text(self, colour: Colour, text: &str) -> String {
        if self.is_on { format!("\x1b[{}m{text}\x1b[0m", colour.code()) } else { text.to_owned() }
    }
}

/// The text, [escaped] except the colours of [`Paint`].
pub(crate) fn escaped_but_colours(text: &str) -> String {
    let colours = || Colour::ALL.iter().map(|colour| format!("{}m", colour.code())).chain(["0m".to_owned()]);
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default();
    pieces.fold(escaped(first).into_owned(), |line, piece| {
        match colours().find_map(|colour| piece.strip_prefix(&*colour).map(|behind| (colour, behind))) {
            Some((colour, behind)) => line + "\x1b[" + &colour + &escaped(behind),
            None => line + &escaped(&format!("\x1b[{piece}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_coloured_on_demand_only() {
        assert_eq!(Paint::none().text(Colour::Red, "x"), "x");
        assert_eq!(Paint { is_on: true }.text(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
    }

    #[test]
    fn only_colours_are_not_escaped() {
        let text = Paint::always().text(Colour::Dim, "\u{9b}x") + "\x1b[2Jy\x1b[31;1mz\x1b";
        assert_eq!(escaped_but_colours(&text), "\x1b[2m\\u009bx\x1b[0m\\u001b[2Jy\\u001b[31;1mz\\u001b");
        assert_eq!(escaped_but_colours("plain"), "plain");
    }
}
