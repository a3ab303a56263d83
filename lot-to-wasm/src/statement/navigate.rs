//! `NAVIGATE "Panel"`: shows another panel; only in `ON CLICK` of a panel (LoT reference §13).
//!
//! ```text
//! navigate = "NAVIGATE" [ "TO" ] string ;
//! ```

use super::StatementKind;
use crate::syntax::Text;
use crate::syntax::parse::{Parsed, Parser};

/// `NAVIGATE [TO] "panel"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Navigate {
    /// The panel.
    pub target: Text,
}

/// Reads what follows `NAVIGATE`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    parser.eat_word("TO");
    let target = parser.expect_text("NAVIGATE")?;
    Ok(StatementKind::Navigate(Navigate { target }))
}
