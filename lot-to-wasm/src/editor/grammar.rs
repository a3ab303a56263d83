//! The TextMate grammar, by which editors colour programs without a language server.

use serde_json::{Value, json};

use super::words::keywords;
use crate::keyword::Family;

/// The grammar as JSON text, made from the [`keywords`].
pub fn grammar() -> String {
    let pattern = |name: &str, expression: &str| json!({"name": name, "match": expression});
    let mut patterns = vec![
        pattern("comment.line.double-dash.lot", "--.*$"),
        pattern("comment.line.double-slash.lot", "//.*$"),
        json!({"name": "comment.block.lot", "begin": "/\\*", "end": "\\*/"}),
        text("string.quoted.double.lot", "\""),
        text("string.quoted.single.lot", "'"),
        json!({
            "match": "^(DEFINE)\\s+(ACTION|MODEL|RULE|ROUTE|PANEL|VISU|THEME)\\s+([A-Za-z_][A-Za-z0-9_.-]*)",
            "captures": {
                "1": {"name": "keyword.control.lot"},
                "2": {"name": "storage.type.lot"},
                "3": {"name": "entity.name.type.lot"},
            },
        }),
        pattern("variable.other.lot", "\\{\\s*[A-Za-z_][A-Za-z0-9_]*([.\\[][A-Za-z0-9_.\\[\\]]*)?\\s*\\}"),
        pattern("constant.numeric.lot", "\\b[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?\\b"),
    ];
    patterns.extend(FAMILIES.iter().map(|(family, name)| words(*family, name)));
    patterns.push(pattern("keyword.operator.lot", "==|!=|<>|<=|>=|[-+*/%=<>]"));
    let grammar = json!({
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "LoT",
        "scopeName": "source.lot",
        "patterns": patterns,
    });
    format!("{grammar:#}\n")
}

/// How editors call the families.
const FAMILIES: [(Family, &str); 6] = [
    (Family::Statement, "keyword.control.lot"),
    (Family::Operator, "keyword.operator.word.lot"),
    (Family::Value, "variable.language.lot"),
    (Family::Function, "support.function.lot"),
    (Family::Type, "storage.type.lot"),
    (Family::Time, "constant.language.lot"),
];

fn words(family: Family, name: &str) -> Value {
    let words: Vec<&str> =
        keywords().filter(|keyword| keyword.family == family).map(|keyword| keyword.word).collect();
    json!({"name": name, "match": format!("\\b({})\\b", words.join("|"))})
}

/// A string up to its quote or the end of its line.
fn text(name: &str, quote: &str) -> Value {
    let escape = json!({"name": "constant.character.escape.lot", "match": "\\\\."});
    json!({"name": name, "begin": quote, "end": format!("{quote}|$"), "patterns": [escape]})
}
