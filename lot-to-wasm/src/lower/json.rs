//! JSON literals: a constant skeleton with holes for the computed values, filled by one call.

use super::entry::Generator;
use super::runtime::Runtime;
use crate::check::tree::{Constant, Expression, ExpressionKind};

/// Stands for a computed value in a skeleton, as in `guests/lot-runtime/src/json/build.rs`. Escaped
/// JSON cannot contain it.
const HOLE: char = '\0';

impl Generator<'_> {
    /// Pushes the cell of a JSON object or array with computed parts.
    pub(super) fn json_literal(&mut self, expression: &Expression) {
        let mut literal = Literal::default();
        literal.append(expression);
        self.push_text(&literal.skeleton);
        self.list(literal.holes.len(), |generator, index| {
            if let Some(hole) = literal.holes.get(index) {
                generator.cell(hole);
            }
        });
        self.runtime(Runtime::JsonFill);
    }
}

#[derive(Default)]
struct Literal<'a> {
    skeleton: String,
    holes: Vec<&'a Expression>,
}

impl<'a> Literal<'a> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not constant is a hole")]
    fn append(&mut self, expression: &'a Expression) {
        match &expression.kind {
            ExpressionKind::Object(members) => {
                self.separated('{', '}', members, |literal, (key, value)| {
                    literal.skeleton.push_str(&quoted(key));
                    literal.skeleton.push(':');
                    literal.append(value);
                });
            }
            ExpressionKind::Array(elements) => self.separated('[', ']', elements, Literal::append),
            ExpressionKind::Constant(Constant::Text(text)) => self.skeleton.push_str(&quoted(text)),
            ExpressionKind::Constant(Constant::Json(text)) => self.skeleton.push_str(text),
            ExpressionKind::Constant(Constant::Int(number)) => self.skeleton.push_str(&number.to_string()),
            ExpressionKind::Constant(Constant::Bool(truth)) => self.skeleton.push_str(&truth.to_string()),
            ExpressionKind::Constant(Constant::Null | Constant::Empty) => self.skeleton.push_str("null"),
            // Doubles too: how they print is the runtime's to know.
            _ => {
                self.skeleton.push(HOLE);
                self.holes.push(expression);
            }
        }
    }

    fn separated<T>(&mut self, open: char, close: char, items: &'a [T], append: impl Fn(&mut Self, &'a T)) {
        self.skeleton.push(open);
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.skeleton.push(',');
            }
            append(self, item);
        }
        self.skeleton.push(close);
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
