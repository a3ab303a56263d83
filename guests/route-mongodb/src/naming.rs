//! Names of collections.

use crate::limits::NAMESPACE_BYTES_MAX;
use crate::symbols::{Piece, Values};

/// Checks the name as the definition has it.
///
/// # Errors
/// No message can make it a name.
pub(crate) fn check_definition(name: &[Piece]) -> Result<(), String> {
    for piece in name {
        if let Piece::Text(text) = piece
            && let Some(wrong) = text.chars().find(|c| *c == '$' || c.is_control())
        {
            return Err(format!("has '{}' in the name of the collection", wrong.escape_debug()));
        }
    }
    match name.first() {
        Some(Piece::Text(text)) if text.starts_with("system.") => {
            Err("names a collection of the server itself".to_owned())
        }
        _ => Ok(()),
    }
}

/// Returns the collection name for a message. Values of a message cannot name a collection of the
/// server itself.
///
/// # Errors
/// The text is no collection name.
pub(crate) fn collection(name: &[Piece], values: Values<'_>, database: &str) -> Result<String, String> {
    for piece in name {
        if let Piece::Hole(_) = piece {
            let value = values.joined(std::slice::from_ref(piece));
            if value.is_empty() || value.contains(|c: char| c == '$' || c.is_control() || c.is_whitespace()) {
                return Err(format!(
                    "'{}' cannot be a part of the name of a collection",
                    value.escape_debug()
                ));
            }
        }
    }
    check(values.joined(name), database)
}

/// A name of a collection.
///
/// # Errors
/// It is none.
pub(crate) fn check(name: String, database: &str) -> Result<String, String> {
    if name.is_empty() || name.starts_with("system.") || name.contains(['$', '\0']) {
        return Err(format!("'{}' is no name of a collection", name.escape_debug()));
    }
    let bytes = database.len() + 1 + name.len();
    if bytes > NAMESPACE_BYTES_MAX {
        return Err(format!(
            "the names of database and collection have {bytes} bytes, of {NAMESPACE_BYTES_MAX}"
        ));
    }
    Ok(name)
}
