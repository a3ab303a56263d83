//! What editors ask about a program while it is written: its definitions, what stands at a place, what may be written there, what values are.
//!
//! Everything here answers for any text, whatever is wrong with it. Places are bytes of the whole text; lines, columns and the protocol of the
//! editor are the caller's.

mod grammar;
mod keyword;
mod kinds;
mod outline;
mod proposal;
mod reference;
mod tokens;

pub use grammar::grammar;
pub use keyword::{Family, Keyword, first_words, keyword, keywords};
pub use kinds::{Kinds, kinds};
pub use outline::{Symbol, SymbolKind, outline};
pub use proposal::{Names, Proposals, proposals};
pub use reference::{Reference, Target, reference, references};

#[cfg(test)]
mod tests;
