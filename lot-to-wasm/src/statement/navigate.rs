//! `NAVIGATE "Panel"`: shows another panel; only in `ON CLICK` of a panel (LoT reference §13).
//!
//! ```text
//! navigate = "NAVIGATE" [ "TO" ] string ;
//! ```

use crate::syntax::Text;

/// `NAVIGATE [TO] "panel"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Navigate {
    /// The panel.
    pub target: Text,
}
