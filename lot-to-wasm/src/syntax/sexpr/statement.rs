//! Statements as text: the output of their constructs, and the parts that several of them share.

use super::expression::text;
use super::{Writer, quoted};
use crate::check::tree::SettingStore;
use crate::statement::{Assignment, Statement};
use crate::syntax::Name;

/// A statement, blocks on lines of their own.
pub(super) fn write(writer: &mut Writer, statement: &Statement) {
    statement.kind.construct().write(writer);
}

/// Statements, each on a line, one level deeper.
pub(crate) fn block(writer: &mut Writer, statements: &[Statement]) {
    writer.nested(|writer| {
        for statement in statements {
            writer.line();
            write(writer, statement);
        }
    });
}

/// The name of a setting.
pub(crate) fn setting(store: SettingStore, name: &str) -> String {
    match store {
        SettingStore::Environment => format!("(env {})", quoted(name)),
        SettingStore::Secret => format!("(secret {})", quoted(name)),
    }
}

/// `name = value` of calls and Models.
pub(crate) fn assignments(assignments: &[Assignment]) -> String {
    assignments.iter().map(|item| format!(" ({} {})", item.target, text(&item.value))).collect()
}

/// Variables that receive results.
pub(crate) fn returns(names: impl AsRef<[Name]>) -> String {
    let names = names.as_ref();
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
    format!(" returns {}", names.join(" "))
}
