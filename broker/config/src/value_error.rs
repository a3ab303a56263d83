//! Errors in a value by itself, independent of its key.

/// Why a value does not fit its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Another kind of value is wanted.
    #[error("expected {expected}")]
    WrongType {
        /// Type that the key takes.
        expected: &'static str,
    },
    /// A text in the file, where the value itself is wanted.
    #[error("expected {expected}, and not as a text: leave out the quotes")]
    Quoted {
        /// Type that the key takes.
        expected: &'static str,
    },
    /// Something else than the number of a limit, such as one with a unit.
    #[error("expected a whole number in {unit}, {low} to {high}, without a unit behind it")]
    NoNumber {
        /// Unit of the number.
        unit: &'static str,
        /// Smallest allowed.
        low: u64,
        /// Largest allowed.
        high: u64,
    },
    /// The text of a certificate or a key, where the path of its file is wanted.
    #[error("expected the path of a file, and not its text")]
    TextOfFile,
    /// A number outside the range of the key.
    #[error("allowed are {low} to {high}")]
    OutOfRange {
        /// Smallest allowed.
        low: u64,
        /// Largest allowed.
        high: u64,
    },
}
