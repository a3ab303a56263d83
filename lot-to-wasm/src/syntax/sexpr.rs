//! The syntax tree as text, in the notation of LoT reference §18.3: for snapshot tests and
//! `lotmq check --tree`.

mod entity;
mod expression;
mod statement;

use super::Entity;
pub(crate) use expression::{text, topic};
pub(crate) use statement::{assignments, block, returns, setting};

/// Writes an entity as nested lists, one per line if that reads better.
///
/// ```
/// let source = "DEFINE ACTION A\nON START DO\n    SET x WITH 1 + 2 * 3\n";
/// let (entities, _) = lot_to_wasm::parse(source);
/// let text = lot_to_wasm::syntax::sexpr::entity(entities[0].tree.as_ref().unwrap());
/// assert!(text.contains("(set x (+ 1 (* 2 3)))"));
/// ```
pub fn entity(entity: &Entity) -> String {
    let mut writer = Writer::default();
    entity::write(&mut writer, entity);
    writer.text.push('\n');
    writer.text
}

/// Text under construction.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    /// Begins a new line at the current depth.
    pub(crate) fn line(&mut self) {
        self.text.push('\n');
        self.text.push_str(&"  ".repeat(self.depth));
    }

    /// Appends to the line.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// A list that stands on lines of its own.
    pub(crate) fn nested(&mut self, write: impl FnOnce(&mut Writer)) {
        self.depth += 1;
        write(self);
        self.depth -= 1;
    }
}

/// Text as a literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
