//! The words of statements: their description for editors, and their roles, by which the parser
//! finds the bounds of wrong lines.

/// A word with a meaning of its own.
pub(crate) struct Word {
    /// As written.
    pub(crate) word: &'static str,
    /// Roles of the word in a line.
    pub(super) is: &'static [Use],
    /// Meaning of the word in a sentence or two, with code in backquotes.
    pub(crate) text: &'static str,
}

/// Role of a word in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It begins a statement or a part of one, and never a line inside brackets: there the bracket
    /// was forgotten.
    BeginsStatement,
    /// It begins such a line, but may stand elsewhere too.
    BeginsLine,
    /// It begins a line that opens a block.
    BeginsBlock,
    /// A value follows it, so a bracket behind it begins one.
    BeforeValue,
    /// It ends a line behind which a block follows.
    BlockFollows,
    /// It begins a statement that ends with a value.
    EndsWithValue,
    /// It ends no line, unless a block follows.
    WantsMore,
}

impl Word {
    /// Whether the word has this role.
    pub(crate) fn is(&self, of: Use) -> bool {
        self.is.contains(&of)
    }
}
