//! `NAVIGATE "Panel"`: shows another panel; only in `ON CLICK` of a panel (LoT reference §13).
//!
//! ```text
//! navigate = "NAVIGATE" [ "TO" ] string ;
//! ```

use super::word::Use::BeginsLine;
use super::{CheckedKind, Construct, Form, Part, StatementKind, Word};
use crate::check::Checker;
use crate::source::Span;
use crate::syntax::Text;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, quoted};

/// `NAVIGATE [TO] "panel"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Navigate {
    /// The panel.
    pub target: Text,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form { is_of_panels: true, ..Form::new(&["NAVIGATE"], parse) }];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "NAVIGATE",
    is: &[BeginsLine],
    text: "`NAVIGATE` in `ON CLICK` of a panel: shows another one.",
}];

/// Reads what follows `NAVIGATE`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    parser.eat_word("TO");
    let target = parser.expect_text("NAVIGATE")?;
    Ok(StatementKind::Navigate(Navigate { target }))
}

impl Construct for Navigate {
    /// Panels are not checked as Actions are.
    fn check(&self, _checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        None
    }

    fn each_part<'a>(&'a self, _visit: &mut dyn FnMut(Part<'a>)) {}

    fn write(&self, writer: &mut Writer) {
        writer.push(&format!("(navigate {})", quoted(&self.target.value)));
    }
}
