//! What a path on the command line stands for: a LoT program, a notebook, or a folder with any number of both (LoT reference §13).
//!
//! Programs that come of one path know each other, whatever file or cell they are in.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lot_to_wasm::diagnostic::{json, render};
use lot_to_wasm::notebook::{self, Language};
use lot_to_wasm::{Compilation, CompileOptions, Entity, Form, compile, compile_project};
use serde_json::{Value, json};

use crate::exit::Misuse;

/// Most files that a project has (commands reference §12.2).
const FILES_MAX: usize = 2000;

/// The programs of a path, in the order of their files' names and, in notebooks, of their cells.
#[derive(Default)]
pub(crate) struct Project {
    texts: Vec<Text>,
    /// A folder or a notebook, of which some text may define nothing.
    has_parts: bool,
}

/// A file, or a cell of one.
struct Text {
    file: PathBuf,
    /// Number of the notebook's cell, from 1.
    cell: Option<u32>,
    language: Language,
    source: String,
}

/// A project with what the compiler says about it.
pub(crate) struct Compiled {
    parts: Vec<(Text, Option<Compilation>)>,
}

impl Project {
    /// Reads what a path stands for; `-` is standard input.
    ///
    /// # Errors
    /// When something cannot be read, is not UTF-8 or no notebook; when a folder has no program.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        if path.is_dir() {
            collect(path, &mut files)?;
            if files.is_empty() {
                return Err(Misuse(format!("no .lot or .lotnb file is in {}", path.display())).into());
            }
        } else {
            files.push(path.to_owned());
        }
        let mut project = Project { texts: Vec::new(), has_parts: path.is_dir() };
        files.into_iter().try_for_each(|file| project.add(file))?;
        Ok(project)
    }

    fn add(&mut self, file: PathBuf) -> anyhow::Result<()> {
        let source = read_source(&file)?;
        if !has_extension(&file, "lotnb") {
            let language = if has_extension(&file, "py") { Language::Python } else { Language::Lot };
            self.texts.push(Text { file, cell: None, language, source });
            return Ok(());
        }
        self.has_parts = true;
        let cells = notebook::cells(&source).with_context(|| file.display().to_string())?;
        self.texts.extend(cells.into_iter().map(|cell| Text {
            file: file.clone(),
            cell: Some(cell.number),
            language: cell.language,
            source: cell.text,
        }));
        Ok(())
    }

    pub(crate) fn compile(self, form: Form) -> Compiled {
        let options = CompileOptions { form, ..CompileOptions::default() };
        let is_lot = |text: &&Text| text.language == Language::Lot;
        let sources: Vec<&str> = self.texts.iter().filter(is_lot).map(|text| text.source.as_str()).collect();
        let mut compilations = match *sources {
            [source] if !self.has_parts => vec![compile(source, &options)],
            _ => compile_project(&sources, &options),
        }
        .into_iter();
        let mut compiled = |text: Text| {
            let compilation = is_lot(&&text).then(|| compilations.next()).flatten();
            (text, compilation)
        };
        Compiled { parts: self.texts.into_iter().map(&mut compiled).collect() }
    }
}

/// The programs in a folder and those below it, by name; what is hidden and what links elsewhere is left out.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let name = folder.display();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {name}"))?;
    let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    inside.sort();
    for path in inside {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else if ["lot", "lotnb", "py"].iter().any(|extension| has_extension(&path, extension)) {
            anyhow::ensure!(files.len() < FILES_MAX, "{name}: a project has at most {FILES_MAX} files");
            files.push(path);
        }
    }
    Ok(())
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Reads a program; `-` is standard input.
pub(crate) fn read_source(path: &Path) -> anyhow::Result<String> {
    let bytes = if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        bytes
    } else {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    String::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(error.as_bytes(), error.utf8_error().valid_up_to());
        anyhow::anyhow!("{}:{line}:{column}: not UTF-8 text; save the file as UTF-8", path.display())
    })
}

/// Line and column, from 1 and in characters, of the byte at `offset`; what is before it is UTF-8.
fn place(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, last_line.chars().count() + 1)
}

impl Compiled {
    /// Whether nothing is wrong.
    pub(crate) fn succeeded(&self) -> bool {
        self.compilations().all(Compilation::succeeded)
    }

    /// Whether there is anything to say, be it a warning.
    pub(crate) fn has_diagnostics(&self) -> bool {
        self.compilations().any(|compilation| !compilation.all_diagnostics().is_empty())
    }

    fn compilations(&self) -> impl Iterator<Item = &Compilation> {
        self.parts.iter().filter_map(|(_, compilation)| compilation.as_ref())
    }

    /// The entities, each with the text that it is a part of.
    pub(crate) fn into_entities(self) -> impl Iterator<Item = (String, Vec<Entity>)> {
        self.parts.into_iter().filter_map(|(text, compilation)| Some((text.source, compilation?.entities)))
    }

    /// The diagnostics, and for each program without an error a line about what it defines.
    pub(crate) fn to_text(&self) -> String {
        let texts: Vec<String> =
            self.parts.iter().map(|(text, compilation)| text.told(compilation.as_ref())).collect();
        texts.join("\n")
    }

    /// An object for each program.
    pub(crate) fn to_json(&self) -> impl Iterator<Item = Value> {
        self.parts.iter().filter_map(|(text, compilation)| Some(text.as_json(compilation.as_ref()?)))
    }
}

impl Text {
    /// `heater.lot`, `plant.lotnb#3`.
    fn name(&self) -> String {
        let file = self.file.display();
        self.cell.map_or_else(|| file.to_string(), |cell| format!("{file}#{cell}"))
    }

    fn told(&self, compilation: Option<&Compilation>) -> String {
        let name = self.name();
        let Some(compilation) = compilation else {
            return format!("{name}: left out: Python scripts run in a broker only, see -addPython");
        };
        let mut text = render::all_to_text(&name, &compilation.all_diagnostics());
        if compilation.succeeded() {
            let names: Vec<String> = compilation
                .entities
                .iter()
                .map(|entity| format!("{} {}", kind(entity), entity.name))
                .collect();
            let found = if names.is_empty() { "nothing is defined".to_owned() } else { names.join(", ") };
            text.push_str(&format!("{name}: ok ({found})"));
        }
        text.trim_end().to_owned()
    }

    fn as_json(&self, compilation: &Compilation) -> Value {
        let entities: Vec<Value> = compilation
            .entities
            .iter()
            .map(|entity| json!({"type": kind(entity), "name": entity.name, "success": entity.output.is_some()}))
            .collect();
        let diagnostics: Vec<json::Entry> =
            compilation.all_diagnostics().iter().map(json::Entry::from).collect();
        let mut object = json!({
            "file": self.file.display().to_string(),
            "success": compilation.succeeded(),
            "entities": entities,
            "diagnostics": diagnostics,
        });
        if let Some(cell) = self.cell {
            object["cell"] = cell.into();
        }
        object
    }
}

fn kind(entity: &Entity) -> String {
    entity.kind.map_or_else(|| "entity".to_owned(), |kind| format!("{kind:?}").to_lowercase())
}
