//! Kinds that a value can have while a program runs.

use std::ops::Range;

use super::reference::{Target, reference};
use super::tokens::entity_at;
use crate::check::Inspection;
use crate::check::kind::KindSet;
use crate::compat::Compat;
use crate::diagnostic::Sink;
use crate::source::Source;
use crate::statement::Statement;
use crate::syntax::{self, Entity, Expression};

/// A value of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds {
    /// Bytes of the text: the expression.
    pub range: Range<usize>,
    /// All kinds that it can have while the program runs.
    pub kinds: KindSet,
}

impl Kinds {
    /// In the words of the language: `INT or DOUBLE`.
    pub fn to_text(&self) -> String {
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
        if words.len() == names.len() {
            return "any value".to_owned();
        }
        let data = if self.kinds.intersects(KindSet::TEXT_DATA) {
            "; text counts as a number when it looks like one"
        } else {
            ""
        };
        format!("{}{data}", words.join(" or "))
    }
}

/// Returns the kinds of the smallest expression at a byte of a text, or of the variable named
/// there. `None` if there is neither, or if the definition cannot be read. `others` are the other
/// texts of the project.
///
/// ```
/// use lot_to_wasm::editor::kinds;
/// let text = "DEFINE ACTION A\nON START DO\n    SET \"n\" WITH 2 * 3.5\n    \
///     PUBLISH TOPIC \"t\" WITH {n}\n";
/// let found = kinds(text, text.find("{n}").unwrap() + 1, &[]).unwrap();
/// assert_eq!((&text[found.range], found.kinds.to_string().as_str()), ("{n}", "double"));
/// ```
pub fn kinds(text: &str, offset: usize, others: &[&str]) -> Option<Kinds> {
    let entity = entity_at(text, offset)?;
    let slice = text.get(entity.clone())?;
    let source = Source::new(slice);
    let mut quiet = Sink::new(&source);
    let tokens = crate::token::tokenize(&mut quiet);
    let Some(Entity::Action(action)) = syntax::parse::entity(tokens, &mut quiet) else { return None };
    let at = u32::try_from(offset - entity.start).ok()?;
    let smallest = smallest(&action.body, at);
    let named = reference(text, offset).and_then(|reference| match reference.target {
        Target::Variable(name) => Some((reference.range, name)),
        Target::Entity(..) | Target::Python(_) | Target::Topic(_) | Target::Keyword(_) => None,
    });
    let texts: Vec<&str> = others.iter().copied().chain([text]).collect();
    let found = crate::compile::with_known(&texts, |known| {
        let inspection = Inspection::of(&action, known, Compat::default());
        match (smallest, named) {
            (Some(expression), _) => {
                let span = expression.span;
                let range = entity.start + span.start as usize..entity.start + span.end as usize;
                Some(Kinds { range, kinds: inspection.kinds(expression) })
            }
            (None, Some((range, name))) => Some(Kinds { range, kinds: inspection.variable(name)? }),
            (None, None) => None,
        }
    });
    // A variable that only a line with an error sets has no kinds.
    found.filter(|found| found.kinds != KindSet::NONE)
}

/// The smallest expression of statements, and of the blocks in them, around a place.
fn smallest(statements: &[Statement], at: u32) -> Option<&Expression> {
    let mut smallest = None;
    for statement in statements {
        statement.each_expression(&mut |expression| smallest = innermost(expression, at).or(smallest));
    }
    smallest
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
