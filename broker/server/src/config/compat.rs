//! Section `[lot.compat]`: switches where our reading of the language differs from the original's.

use super::key::section;

section! {
    /// Switches where our reading of the language differs from the original's.
    Compat at "lot.compat", |config| config.compat => {
        /// Whether a value written by `KEEP TOPIC` is also a retained message that subscribers see.
        keep_visible_retained: bool = false;
    }
}
