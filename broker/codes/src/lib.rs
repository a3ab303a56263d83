//! Codes other than the compiler's diagnostics: those in `…/Error` topics, in the warnings and
//! errors of replies, and in what the tools say. `lotmq explain` and docs/codes.md are made of this
//! table; a test over the repository sees that no code is missing.
//!
//! Invariants, each with its test: a row stands at the position of its code
//! (`each_row_is_at_the_position_of_its_code`), and names are unique and sorted
//! (`each_code_stands_once_in_the_order_of_its_place`). Not here: the occasions themselves, and the
//! codes of the compiler (`lot_to_wasm::diagnostic`).

use std::fmt::Write as _;

use lotmq_core::durable::store_failure::StoreFailure;
use lotmq_definitions::Warning;
use lotmq_host::LoadError;
use lotmq_host::python::PythonError;
use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($place:ident { $($variant:ident $name:ident $title:literal $explanation:literal)* })*) => {
        /// Code of a refusal or of a warning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $title] $variant,)*)*
        }

        /// Rows in the order of the codes.
        pub(super) const ROWS: &[CodeRow] = &[$($(CodeRow {
            code: Code::$variant,
            name: stringify!($name),
            title: $title,
            explanation: $explanation,
            place: Occasion::$place,
        },)*)*];
    };
}

mod table;

pub use table::Code;
use table::ROWS;

/// Row of the table of codes.
#[derive(Debug, Clone, Copy)]
pub struct CodeRow {
    /// The code as a value.
    pub code: Code,
    /// Name of the code: upper-case words.
    pub name: &'static str,
    /// Meaning in a few words.
    pub title: &'static str,
    /// Meaning, and what to do, in sentences.
    pub explanation: &'static str,
    /// Occasion on which it is told.
    pub place: Occasion,
}

/// Occasion on which a code is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// In the `Error` topic of a definition, in its diagnosis, and in what `lotmq run` reports.
    Run,
    /// In the reply to a command that adds definitions, and by `lotmq check`.
    Load,
    /// In the replies to other commands.
    Command,
}

impl Occasion {
    const ALL: [Occasion; 3] = [Occasion::Run, Occasion::Load, Occasion::Command];

    fn title(self) -> &'static str {
        match self {
            Occasion::Run => "While programs run",
            Occasion::Load => "When programs are added",
            Occasion::Command => "When other commands are refused",
        }
    }
}

/// All codes, those of one [`Occasion`] together.
pub fn all() -> impl Iterator<Item = &'static CodeRow> {
    ROWS.iter()
}

/// The code of this name, in any case of letters.
pub fn find(name: &str) -> Option<&'static CodeRow> {
    ROWS.iter().find(|code| code.name.eq_ignore_ascii_case(name))
}

/// Code that was probably meant by an unknown name.
pub fn similar(name: &str) -> Option<&'static str> {
    lot_nearest::nearest_name(name, all().map(|code| code.name))
}

impl Code {
    /// Name of the code: upper-case words.
    pub fn name(self) -> &'static str {
        ROWS[self as usize].name
    }

    /// Code with the name that another crate gives it. A test over the repository finds names that
    /// the table does not have.
    fn of_name(name: &str) -> Self {
        find(name).map_or(Self::InternalError, |row| row.code)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl From<StoreFailure> for Code {
    fn from(failure: StoreFailure) -> Self {
        match failure {
            StoreFailure::Full | StoreFailure::Reserved => Self::NoSpace,
            StoreFailure::Gone | StoreFailure::Damaged | StoreFailure::Failing => Self::StoreFailed,
        }
    }
}

impl From<&LoadError> for Code {
    fn from(error: &LoadError) -> Self {
        Self::of_name(error.code())
    }
}

impl From<&PythonError> for Code {
    fn from(error: &PythonError) -> Self {
        Self::of_name(error.code())
    }
}

impl From<&Warning> for Code {
    fn from(warning: &Warning) -> Self {
        Self::of_name(warning.code())
    }
}

/// Page about all codes, as Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Codes\n\nGenerated from `broker/codes/src/table.rs`; `lotmq explain CODE` says the same, and explains the codes `LOT101` to `LOT624` of the compiler, too.\n",
    );
    for place in Occasion::ALL {
        let _ = write!(page, "\n## {}\n\n| code | what it means |\n|---|---|\n", place.title());
        for code in all().filter(|code| code.place == place) {
            let _ = writeln!(page, "| `{}` | {}. {} |", code.name, sentence(code.title), code.explanation);
        }
    }
    page
}

/// Text with a capital first letter.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_at_the_position_of_its_code() {
        for (position, row) in all().enumerate() {
            assert_eq!((row.code as usize, row.code.name()), (position, row.name));
        }
    }

    #[test]
    fn each_code_stands_once_in_the_order_of_its_place() {
        for place in Occasion::ALL {
            let names: Vec<&str> = all().filter(|code| code.place == place).map(|code| code.name).collect();
            assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        }
        let mut names: Vec<&str> = all().map(|code| code.name).collect();
        names.sort_unstable();
        names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    }

    #[test]
    fn guests_cannot_use_run_error_codes_of_the_broker() {
        // The code for an exception in JavaScript or Python comes from the guest's SDK.
        let of_broker = |code: &&CodeRow| code.place == Occasion::Run && code.name != "EXCEPTION";
        for code in all().filter(of_broker) {
            assert!(lotmq_host::is_run_code(code.name), "{} belongs into RUN_CODES", code.name);
        }
        for name in lotmq_host::RUN_CODES {
            assert!(find(name).is_some_and(|code| code.place == Occasion::Run), "{name}");
        }
    }

    #[test]
    fn codes_are_found_in_any_case_and_titles_are_short() {
        assert_eq!(find("hop_limit").map(|code| code.name), Some("HOP_LIMIT"));
        assert!(find("LOT302").is_none());
        assert_eq!(similar("hop_limits"), Some("HOP_LIMIT"));
        for code in all() {
            assert!(code.title.len() < 70 && code.explanation.ends_with('.'), "{}", code.name);
        }
    }
}
