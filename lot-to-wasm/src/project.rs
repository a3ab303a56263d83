//! Projects (LoT reference §13): which files of a folder have programs, and which programs are in a
//! file.
//!
//! Names and texts in, programs out. Reading folders and archives is the caller's, and so is the
//! order: that of the files' names.

mod calls;
mod cycle;
mod misspelt_topic;
mod undefined;

use lot_facts::Kind;

use crate::notebook::{self, Language, NotebookError};

pub use calls::warn_of_calls;
pub use cycle::warn_of_cycles;
pub use misspelt_topic::warn_of_misspelt_topics;
pub use undefined::{warn_of_functions, warn_of_undefined};

/// A program of a project: a file, or a cell of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file, as it was given.
    pub file: String,
    /// Number of the notebook's cell, from 1; `None` for a file that is a program as a whole.
    pub cell: Option<u32>,
    /// Language of the text.
    pub language: Language,
    /// Name of a Python script that its text does not give.
    pub script_name: Option<String>,
    /// The program.
    pub text: String,
}

impl Part {
    /// Returns the location of the part: `heater.lot`, `plant.lotnb#3`.
    pub fn place(&self) -> String {
        self.cell.map_or_else(|| self.file.clone(), |cell| format!("{}#{cell}", self.file))
    }

    /// Name of a Python script: the one that its text gives, else that of its cell.
    pub fn name_of_script(&self) -> Option<&str> {
        crate::script::name(&self.text).ok().or(self.script_name.as_deref())
    }
}

/// Whether a file of this name has programs: `.lot`, `.lotnb` or `.py`, in any case, and not hidden
/// by a dot before its name or that of a folder around it.
///
/// ```
/// use lot_to_wasm::project::is_program;
/// assert!(is_program("hall/Heater.LOT") && !is_program("README.md") && !is_program(".git/x.lot"));
/// ```
pub fn is_program(file: &str) -> bool {
    ["lot", "lotnb", "py"].iter().any(|wanted| has_extension(file, wanted))
        && !file.split('/').any(|name| name.starts_with('.') && !matches!(name, "." | ".."))
}

fn has_extension(file: &str, wanted: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case(wanted))
}

/// Whether a file is a notebook.
pub fn is_notebook(file: &str) -> bool {
    has_extension(file, "lotnb")
}

/// Whether a file is a Python script.
pub fn is_script(file: &str) -> bool {
    has_extension(file, "py")
}

/// Returns the programs of a file, in order. A file that is neither a notebook nor Python is LoT.
///
/// # Errors
/// [`NotebookError`] when it is called a notebook and is none.
pub fn parts(file: &str, text: String) -> Result<Vec<Part>, NotebookError> {
    if !is_notebook(file) {
        let language = if is_script(file) { Language::Python } else { Language::Lot };
        return Ok(vec![Part { file: file.to_owned(), cell: None, language, script_name: None, text }]);
    }
    let part = |cell: notebook::Cell| Part {
        file: file.to_owned(),
        cell: Some(cell.number),
        language: cell.language,
        script_name: cell.script_name,
        text: cell.text,
    };
    Ok(notebook::cells(&text)?.into_iter().map(part).collect())
}

/// The kinds of the entities of a text in its order, whether they are good or not.
pub fn kinds(text: &str) -> Vec<Kind> {
    let (entities, _) = crate::parse(text);
    entities.iter().filter_map(|entity| Some(entity.tree.as_ref()?.kind())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_files_are_recognized_by_their_extension_in_any_case() {
        for (file, expected) in [
            ("a.lot", true),
            ("a/b/C.LotNB", true),
            ("s.PY", true),
            ("./a.lot", true),
            ("../a.lot", true),
            ("lot", false),
            ("a.lot.bak", false),
            ("a/.b.lot", false),
            (".venv/x.py", false),
            ("README.md", false),
        ] {
            assert_eq!(is_program(file), expected, "{file}");
        }
    }

    #[test]
    fn a_file_has_its_programs_in_order() {
        let notebook = r#"[{"kind":1,"language":"lot","value":"text"},{"kind":2,"language":"python","scriptName":"S","value":"x"},{"kind":2,"language":"lot","value":"y"}]"#;
        let found = parts("n.LOTNB", notebook.to_owned()).unwrap();
        let told: Vec<_> =
            found.iter().map(|part| (part.place(), part.language, part.script_name.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("n.LOTNB#2".to_owned(), Language::Python, Some("S")),
                ("n.LOTNB#3".to_owned(), Language::Lot, None)
            ]
        );
        assert_eq!(parts("s.py", "x".to_owned()).unwrap()[0].language, Language::Python);
        assert_eq!(parts("-", "x".to_owned()).unwrap()[0].place(), "-");
        assert!(parts("n.lotnb", "x".to_owned()).is_err());
    }
}
