//! Queries of editors about a program: its definitions, references at a place, completions and
//! kinds of values.
//!
//! All functions here accept any text, even with errors. Places are bytes of the whole text; the
//! caller deals with lines, columns and the protocol of the editor.

mod grammar;
mod kinds;
mod outline;
mod proposal;
mod reference;
mod tokens;
mod words;

pub use crate::keyword::{Family, Keyword};
pub use grammar::grammar;
pub use kinds::{Kinds, kinds};
pub use outline::{Symbol, SymbolKind, outline};
pub use proposal::{Names, Proposals, proposals};
pub use reference::{Reference, Target, reference, references};
pub use words::{first_words, keyword, keywords};

#[cfg(test)]
mod tests;
