//! The compiler from outside: the corpus with its snapshots, and texts that want to break it.

mod bounds;
mod corpus;
mod described_routes;
mod keywords;
mod recovery;
mod robustness;
