//! Content of a Panel or Theme (LoT reference §13), for programs that draw it. The broker does not
//! draw it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Facts that only a Panel or Theme has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewFacts {
    /// Whether it is distributed.
    pub state: ViewState,
    /// The definition as a tree: of a Panel its clauses and components, of a Theme its settings.
    pub tree: Value,
}

/// `WITH STATE` of a Panel. Only a published Panel is distributed; a Theme always is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ViewState {
    /// Being worked on.
    Draft,
    /// Visible to all users who may see it.
    #[default]
    Published,
    /// Kept, but not shown any more.
    Archived,
}

impl ViewState {
    /// All states.
    pub const ALL: [ViewState; 3] = [ViewState::Draft, ViewState::Published, ViewState::Archived];

    /// The word in `WITH STATE`.
    pub fn word(self) -> &'static str {
        match self {
            ViewState::Draft => "DRAFT",
            ViewState::Published => "PUBLISHED",
            ViewState::Archived => "ARCHIVED",
        }
    }

    /// The state of this word, in any case.
    pub fn by_word(word: &str) -> Option<ViewState> {
        ViewState::ALL.into_iter().find(|state| state.word().eq_ignore_ascii_case(word))
    }
}
