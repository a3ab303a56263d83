//! Notebooks (LoT reference §13): a JSON array of cells, some of which are programs.
//!
//! Text in, cells out. The caller knows which cells belong together, and where they come from.
//! Editors show the notebook as it is stored: [`Written`] converts places in a cell to places in
//! the notebook.

mod stored;
mod written;

use stored::Stored;

pub use written::{Written, literals};

/// A cell with a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its number among all cells of the notebook, from 1.
    pub number: u32,
    /// Language of the text.
    pub language: Language,
    /// Name of a Python script that its text does not give.
    pub script_name: Option<String>,
    /// The program.
    pub text: String,
}

/// The languages of cells that are deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `lot`, in any case: any number of entities.
    Lot,
    /// `python`, in any case: one script.
    Python,
}

/// Why a text is no notebook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotebookError {
    /// It is no JSON, or not an array of cells.
    #[error("not a notebook, which is a JSON array of cells: {0}")]
    Json(#[from] serde_json::Error),
}

/// Number of cells with code.
const CODE: u8 = 2;

/// The cells of a notebook that are programs, in order. Text, other languages and blank cells are
/// left out.
///
/// ```
/// use lot_to_wasm::notebook::{Cell, Language, cells};
/// let notebook = r#"[{"kind":1,"language":"markdown","value":"Hi"},
///     {"kind":2,"language":"lot","value":"DEFINE ACTION A"}]"#;
/// let text = "DEFINE ACTION A".to_owned();
/// let found = Cell { number: 2, language: Language::Lot, script_name: None, text };
/// assert_eq!(cells(notebook).unwrap(), [found]);
/// ```
///
/// # Errors
/// See [`NotebookError`].
pub fn cells(notebook: &str) -> Result<Vec<Cell>, NotebookError> {
    let notebook = notebook.strip_prefix('\u{feff}').unwrap_or(notebook);
    let stored: Vec<Stored> = serde_json::from_str(notebook)?;
    let cells = (1..).zip(stored).filter_map(|(number, Stored { kind, language, script_name, value })| {
        let language = match language.to_ascii_lowercase().as_str() {
            "lot" => Language::Lot,
            "python" => Language::Python,
            _ => return None,
        };
        (kind == CODE && !value.trim().is_empty()).then_some(Cell {
            number,
            language,
            script_name,
            text: value,
        })
    });
    Ok(cells.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_in_lot_and_python_is_a_program() {
        let cell = |kind: u8, language: &str, value: &str| serde_json::json!({"kind": kind, "language": language, "value": value, "outputs": []});
        let notebook = serde_json::json!([
            cell(1, "lot", "text about lot"),
            cell(2, "python", "# Script Name: S"),
            cell(2, "shellscript", "ls"),
            cell(2, "lot", " \n"),
            cell(2, "lot", "DEFINE"),
            cell(2, "LoT", "DEFINE"),
            cell(2, "Python", "# Script Name: T"),
            serde_json::json!({"kind": 2, "language": "python", "scriptName": null, "value": "", "metadata": [[1]]}),
        ]);
        let found: Vec<_> = cells(&notebook.to_string())
            .unwrap()
            .into_iter()
            .map(|cell| (cell.number, cell.language))
            .collect();
        assert_eq!(
            found,
            [(2, Language::Python), (5, Language::Lot), (6, Language::Lot), (7, Language::Python)]
        );
        assert_eq!(cells("\u{feff}[]").unwrap(), []);
    }

    #[test]
    fn invalid_notebook_is_rejected_with_its_position() {
        for (text, part) in [
            ("", "line 1 column 0"),
            ("{}", "expected a sequence"),
            ("[{\"kind\":2,\"language\":\"lot\"}]", "the cell lacks `value` at line 1 column 28"),
            (
                "[{\"kind\":\"x\",\"language\":\"lot\",\"value\":\"\"}]",
                "invalid type: string \"x\", expected 1 for text or 2 for code at line 1 column 12",
            ),
            (
                "[{\"kind\":3,\"language\":\"lot\",\"value\":\"\"}]",
                "invalid value: integer `3`, expected 1 for text",
            ),
            ("[{\"kind\":999,\"language\":\"lot\",\"value\":\"\"}]", "expected 1 for text or 2 for code"),
            ("[{\"kind\":2,\"language\":\"lot\",\"value\":5}]", "integer `5`, expected a text in quotes at"),
            (
                "[{\"kind\":2,\"scriptName\":[1],\"language\":\"lot\",\"value\":\"\"}]",
                "expected a text in quotes",
            ),
            ("[[[[", "invalid type: sequence, expected a cell, an object with kind, language and value"),
        ] {
            let error = cells(text).unwrap_err().to_string();
            assert!(error.contains("JSON array of cells") && error.contains(part), "{text}: {error}");
        }
    }
}
