//! The compiler from outside: the corpus with its snapshots, and texts that want to break it.

mod corpus;
mod keywords;
mod robustness;
