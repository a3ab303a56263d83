//! Checks that end a run with a sentence instead of a panic.

/// `Err` says what is wrong.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// Fails with a sentence unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            return Err(format!($($sentence)+));
        }
    };
}
pub(crate) use ensure;

/// Bytes as people read them: what only fills a payload is left out.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|one, other| one == other) {
        match run {
            [b'.', _, ..] => text.push_str(&format!("..{} ", run.len())),
            run => run.iter().for_each(|byte| text.push_str(&format!("{byte:02X} "))),
        }
    }
    text
}
