//! What editors ask about a program while it is written: its definitions, what stands at a place,
//! what may be written there, what values are.
//!
//! Everything here answers for any text, whatever is wrong with it. Places are bytes of the whole
//! text; lines, columns and the protocol of the editor are the caller's.

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
