//! What a value can be while a program runs.

use std::ops::Range;

use super::tokens::entity_at;
use crate::check::Inspection;
use crate::check::kind::KindSet;
use crate::compat::Compat;
use crate::diagnostic::Sink;
use crate::source::Source;
use crate::syntax::{self, Entity, Expression};

/// A value of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds {
    /// Bytes of the text: the expression.
    pub range: Range<usize>,
    /// All that it can be while the program runs.
    pub kinds: KindSet,
}

impl Kinds {
    /// In the words of the language: `INT or DOUBLE`.
    pub fn to_text(&self) -> String {
        if self.kinds == KindSet::ANY {
            return "any value".to_owned();
        }
        let names = [
            (KindSet::BOOL, "BOOL"),
            (KindSet::INT, "INT"),
            (KindSet::DOUBLE, "DOUBLE"),
            (KindSet::TEXT, "STRING"),
            (KindSet::JSON, "JSON"),
            (KindSet::BYTES, "BYTES"),
            (KindSet::TIME, "TIMESTAMP"),
            (KindSet::NULL, "NULL"),
            (KindSet::EMPTY, "EMPTY"),
        ];
        let words: Vec<&str> =
            names.iter().filter(|(kind, _)| self.kinds.intersects(*kind)).map(|(_, name)| *name).collect();
        let data = if self.kinds.intersects(KindSet::TEXT_DATA) {
            "; text counts as a number when it looks like one"
        } else {
            ""
        };
        format!("{}{data}", words.join(" or "))
    }
}

/// What the smallest expression at a byte of a text can be; `None` where there is none, and in what has errors. `others` are the texts that belong
/// to the same project.
///
/// ```
/// use lot_to_wasm::editor::kinds;
/// let text = "DEFINE ACTION A\nON START DO\n    SET \"n\" WITH 2 * 3.5\n    PUBLISH TOPIC \"t\" WITH {n}\n";
/// let found = kinds(text, text.find("{n}").unwrap() + 1, &[]).unwrap();
/// assert_eq!((&text[found.range], found.kinds.to_string().as_str()), ("{n}", "double"));
/// ```
pub fn kinds(text: &str, offset: usize, others: &[&str]) -> Option<Kinds> {
    let entity = entity_at(text, offset)?;
    let slice = text.get(entity.clone())?;
    let source = Source::new(slice);
    let mut sink = Sink::new(&source);
    let tokens = crate::token::tokenize(&mut sink);
    let Some(Entity::Action(action)) = syntax::parse::entity(tokens, &mut sink) else { return None };
    let at = u32::try_from(offset - entity.start).ok()?;
    let mut smallest: Option<&Expression> = None;
    for statement in &action.body {
        statement.each_expression(&mut |expression| smallest = innermost(expression, at).or(smallest));
    }
    let expression = smallest?;
    let texts: Vec<&str> = others.iter().copied().chain([text]).collect();
    let kinds = crate::compile::with_known(&texts, |known| {
        let inspection = Inspection::of(&action, known, Compat::default(), &mut sink)?;
        Some(inspection.kinds(expression))
    })?;
    let span = expression.span;
    Some(Kinds { range: entity.start + span.start as usize..entity.start + span.end as usize, kinds })
}

/// The smallest expression around a place.
fn innermost(expression: &Expression, at: u32) -> Option<&Expression> {
    if !(expression.span.start..=expression.span.end).contains(&at) {
        return None;
    }
    let mut found = expression;
    expression.kind.each_child(&mut |child| {
        if let Some(inner) = innermost(child, at) {
            found = inner;
        }
    });
    Some(found)
}
