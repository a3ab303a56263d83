//! Pieces of a statement with placeholders, as the scanner finds them.

#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Sql(String),
    Literal {
        parts: Vec<Part>,
        /// The type that stood before it.
        cast: Option<String>,
    },
    Bare {
        place: usize,
        is_bound: bool,
    },
}

#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Place(usize),
}
