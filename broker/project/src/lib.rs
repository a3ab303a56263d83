//! Programs behind a path on the command line: a LoT program, a notebook, a Python script, or a
//! folder with any number of them (LoT reference §13).
//!
//! Programs of one path know each other, in whatever file or cell they are. Not here: their
//! behaviour at run time (`lotmq-runner`), and the types of routes that a build runs. The caller
//! passes those.

mod script;

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lot_facts::{Kind, RouteFacts};
use lot_to_wasm::diagnostic::render::{self, printable};
use lot_to_wasm::diagnostic::{codes, json};
use lot_to_wasm::notebook::Language;
use lot_to_wasm::project::{
    Part, is_notebook, is_program, parts, warn_of_cycles, warn_of_functions, warn_of_misspelt_topics,
    warn_of_undefined,
};
use lot_to_wasm::{Compilation, CompileOptions, Entity, Form, compile, compile_project};
use lotmq_terminal::output;
use serde_json::{Value, json};

pub use script::{CheckedScript, Interpreter, ScriptProblem};

/// Scripts come behind rules, before themes (LoT reference §1.6); entities have even places.
const SCRIPTS_AT: usize = 7;

/// Most files that a project has (commands reference §12.2).
const FILES_MAX: usize = 2000;

/// Most files and folders that are looked at for its programs: more are in no project, but in a
/// home or on a whole machine.
const ENTRIES_MAX: usize = 100_000;

/// The programs of a path, in the order of their files' names and, in notebooks, of their cells.
pub struct Project {
    /// Of a folder also what cannot be read, so that the rest is not hidden by it.
    parts: Vec<Result<Part, Unreadable>>,
    /// A folder or a notebook, of which some text may define nothing.
    has_parts: bool,
    /// Whether extensions of the language are told of.
    portable: bool,
}

/// Whether a build runs routes of a type, by its canonical name.
pub type RunsRoute = fn(&str) -> bool;

/// A project with what the compiler and the interpreter say about it.
pub struct Compiled {
    parts: Vec<(Part, Outcome)>,
    /// Routes whose settings are refused, by the place of their program among the parts.
    refused: Vec<(usize, RefusedRoute)>,
    runs_route: RunsRoute,
    /// Interpreter that ran the scripts.
    pub interpreter: Option<Interpreter>,
}

/// Route whose settings its module refuses.
struct RefusedRoute {
    name: String,
    reason: String,
    /// Line of the setting that the reason names first, else of the route.
    line: usize,
}

/// Result of compiling or checking a program.
enum Outcome {
    Lot(Compilation),
    Script(Result<CheckedScript, ScriptProblem>),
    Unreadable(Unreadable),
}

/// A file whose programs cannot be read.
#[derive(Debug)]
struct Unreadable {
    file: String,
    error: anyhow::Error,
}

impl Project {
    /// A project without a program.
    pub fn empty() -> Self {
        Project { parts: Vec::new(), has_parts: true, portable: false }
    }

    /// Reads what a path stands for; `-` is standard input.
    ///
    /// # Errors
    /// When the folder, or the one file, cannot be read, is not UTF-8 or no notebook; when a folder
    /// has no program.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        if path.is_dir() {
            collect(path, &mut files)?;
            if files.is_empty() {
                bail!("no .lot, .lotnb or .py file is in {}", path.display());
            }
        } else {
            files.push(path.to_owned());
        }
        let mut project = Project { has_parts: path.is_dir(), ..Self::empty() };
        for file in files {
            let name = file.display().to_string();
            project.has_parts |= is_notebook(&name);
            let read =
                read_source(&file).and_then(|source| parts(&name, source).with_context(|| name.clone()));
            match read {
                Ok(parts) => project.parts.extend(parts.into_iter().map(Ok)),
                Err(error) if path.is_dir() => project.parts.push(Err(Unreadable { file: name, error })),
                Err(error) => return Err(error),
            }
        }
        Ok(project)
    }

    /// The same, whose extensions of the language are told of (LOT240) or not.
    pub fn telling_of_extensions(self, portable: bool) -> Self {
        Project { portable, ..self }
    }

    /// Compiles the programs, and runs the scripts once; routes that are not run are told of.
    ///
    /// # Errors
    /// When there are scripts and the interpreter does not start.
    pub fn compile(self, form: Form, runs_route: RunsRoute) -> anyhow::Result<Compiled> {
        let readable = self.parts.iter().filter_map(|part| part.as_ref().ok());
        let (lot, scripts): (Vec<&Part>, Vec<&Part>) =
            readable.partition(|part| part.language == Language::Lot);
        let files: Vec<String> = lot.iter().map(|part| part.place()).collect();
        let options =
            CompileOptions { form, portable: self.portable, files: &files, ..CompileOptions::default() };
        let sources: Vec<&str> = lot.into_iter().map(|part| part.text.as_str()).collect();
        let mut compilations = match *sources {
            [source] if !self.has_parts => vec![compile(source, &options)],
            _ => compile_project(&sources, &options),
        }
        .into_iter();
        let interpreter = (!scripts.is_empty()).then(Interpreter::new).transpose()?;
        let mut compiled = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let part = match part {
                Ok(part) => part,
                Err(unreadable) => {
                    compiled.push((unreadable.part(), Outcome::Unreadable(unreadable)));
                    continue;
                }
            };
            let outcome = match (part.language, &interpreter) {
                (Language::Python, Some(interpreter)) => Outcome::Script(interpreter.check(&part)),
                _ => match compilations.next() {
                    Some(compilation) => Outcome::Lot(compilation),
                    None => continue,
                },
            };
            compiled.push((part, outcome));
        }
        Ok(Compiled { parts: compiled, refused: Vec::new(), runs_route, interpreter })
    }
}

impl Unreadable {
    /// Stands for its programs.
    fn part(&self) -> Part {
        let (file, text) = (self.file.clone(), String::new());
        Part { file, cell: None, language: Language::Lot, script_name: None, text }
    }

    fn to_json(&self) -> Value {
        let place = self.error.downcast_ref::<NotText>().map_or((1, 1), |found| (found.line, found.column));
        json!({
            "severity": "error",
            "code": "UNREADABLE",
            "message": output::chain(&self.error),
            "line": place.0,
            "column": place.1,
            "sourceLines": [],
            "suggestions": [],
        })
    }
}

/// The programs in a folder and those below it, by name; what is hidden, what links elsewhere, and
/// what is no file (a pipe would be waited for) is left out.
///
/// # Errors
/// When a folder cannot be read, or there are too many files.
pub fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut left = ENTRIES_MAX;
    collect_below(folder, files, &mut left)
}

fn collect_below(folder: &Path, files: &mut Vec<PathBuf>, left: &mut usize) -> anyhow::Result<()> {
    let name = folder.display();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {name}"))?;
    let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    inside.sort();
    *left = left.checked_sub(inside.len()).with_context(|| {
        format!("{name}: more than {ENTRIES_MAX} files and folders; give the folder of the project alone")
    })?;
    for path in inside {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect_below(&path, files, left)?;
        } else if path.is_file() && path.file_name().is_some_and(|name| is_program(&name.to_string_lossy())) {
            anyhow::ensure!(files.len() < FILES_MAX, "{name}: a project has at most {FILES_MAX} files");
            files.push(path);
        }
    }
    Ok(())
}

/// Most bytes of a program, a notebook, a script or a file with cases. A broker takes packets of 16
/// MiB.
const SOURCE_BYTES_MAX: u64 = 32 << 20;

/// Reads all of a file that has no more than so many bytes; what has no end, as a device, is an
/// error, too.
///
/// # Errors
/// When it cannot be read, or is longer.
pub fn read_bounded(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let cannot_read = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).with_context(cannot_read)?;
    all_of(file, bytes_max).with_context(cannot_read)
}

fn all_of(source: impl std::io::Read, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 <= bytes_max, "it has more than {bytes_max} bytes");
    Ok(bytes)
}

/// Reads a program; `-` is standard input.
///
/// # Errors
/// When the file cannot be read, is not UTF-8, or has more than 32 MiB.
pub fn read_source(path: &Path) -> anyhow::Result<String> {
    let bytes = if path.as_os_str() == "-" {
        all_of(std::io::stdin().lock(), SOURCE_BYTES_MAX).context("cannot read standard input")?
    } else {
        read_bounded(path, SOURCE_BYTES_MAX)?
    };
    String::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(error.as_bytes(), error.utf8_error().valid_up_to());
        NotText { file: path.display().to_string(), line, column }.into()
    })
}

/// A file that is not UTF-8, from this place on.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: not UTF-8 text; save the file as UTF-8")]
struct NotText {
    file: String,
    line: usize,
    column: usize,
}

/// Line and column, from 1 and in characters, of the byte at `offset`; what is before it is UTF-8.
fn place(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, last_line.chars().count() + 1)
}

/// A command that adds something.
pub struct AddCommand {
    verb: String,
    /// The option with which it replaces what belongs to the same owner.
    replaces: &'static str,
    text: String,
    entity: Option<(&'static str, String)>,
    place: String,
}

impl AddCommand {
    /// As it is sent; `takes_over` has it replace what belongs to others, too, `agreed` only the
    /// text of this fingerprint.
    pub fn to_text(&self, takes_over: bool, agreed: Option<&str>) -> String {
        let replaces = if takes_over { "-replace " } else { self.replaces };
        let agreed = agreed.map(|agreed| format!("-agreed {agreed} ")).unwrap_or_default();
        format!("{} {replaces}{agreed}{}", self.verb, self.text)
    }

    /// Text of what it adds.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file whose lines those of its text are, with the cell of a notebook.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Kind and name of what it defines; `None` of a script.
    pub fn entity(&self) -> Option<(&str, &str)> {
        self.entity.as_ref().map(|(kind, name)| (*kind, name.as_str()))
    }
}

impl Compiled {
    /// Warns of what is seen only of all programs together: names that none of them defines,
    /// functions that a script does not have, and definitions that start each other. For who has no
    /// broker at hand, which may know more.
    pub fn warn_of_whole(&mut self) {
        let mut scripts: Vec<&str> = Vec::new();
        let mut functions: Vec<(&str, &[String])> = Vec::new();
        let mut programs: Vec<(&str, &mut Compilation)> = Vec::new();
        for (part, outcome) in &mut self.parts {
            match outcome {
                Outcome::Lot(compilation) => programs.push((&part.text, compilation)),
                Outcome::Script(Ok(script)) => {
                    scripts.push(&script.name);
                    functions.push((&script.name, &script.functions));
                }
                Outcome::Script(Err(_)) => scripts.extend(part.name_of_script()),
                Outcome::Unreadable(_) => {}
            }
        }
        warn_of_undefined(&mut programs, &scripts);
        warn_of_functions(&mut programs, &functions);
        warn_of_misspelt_topics(&mut programs);
        self.warn_of_cycles();
    }

    /// Warns of definitions that start each other, and of Actions that call themselves, which a
    /// broker at hand does not know better.
    pub fn warn_of_cycles(&mut self) {
        let mut programs: Vec<(&str, &mut Compilation)> = Vec::new();
        for (part, outcome) in &mut self.parts {
            if let Outcome::Lot(compilation) = outcome {
                programs.push((&part.text, compilation));
            }
        }
        warn_of_cycles(&mut programs);
    }

    /// Asks `refusal` of each route why its settings are refused, and holds what it says to be an
    /// error of the route.
    ///
    /// # Errors
    /// The first of `refusal`.
    pub fn refuse_routes(
        &mut self,
        mut refusal: impl FnMut(&RouteFacts) -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        for (at, (part, outcome)) in self.parts.iter().enumerate() {
            let Outcome::Lot(compilation) = outcome else { continue };
            for entity in &compilation.entities {
                let Some(route) = entity.output.as_ref().and_then(|output| output.facts.route.as_ref())
                else {
                    continue;
                };
                if let Some(reason) = refusal(route)? {
                    let line = line_of(&part.text, entity.range.clone(), &reason);
                    self.refused.push((at, RefusedRoute { name: entity.name.clone(), reason, line }));
                }
            }
        }
        Ok(())
    }

    /// Whether nothing is wrong.
    pub fn succeeded(&self) -> bool {
        self.refused.is_empty() && self.parts.iter().all(|(_, outcome)| outcome.succeeded())
    }

    fn refused_in(&self, part: usize) -> Vec<&RefusedRoute> {
        let of_part = self.refused.iter().filter(|(at, _)| *at == part);
        of_part.map(|(_, refused)| refused).collect()
    }

    /// Whether something is wrong with the programs themselves: that scripts cannot be checked here
    /// says nothing about them.
    pub fn is_wrong(&self) -> bool {
        !self.refused.is_empty()
            || self.parts.iter().any(|(_, outcome)| !outcome.succeeded() && !outcome.is_unchecked())
    }

    /// Whether there is anything to say, be it a warning.
    pub fn has_diagnostics(&self) -> bool {
        self.parts.iter().any(|(_, outcome)| match outcome {
            Outcome::Lot(compilation) => !compilation.all_diagnostics().is_empty(),
            Outcome::Script(checked) => checked.is_err(),
            Outcome::Unreadable(_) => true,
        })
    }

    /// Slips in names of variables (LOT302), each with its place and what is meant: the programs
    /// run, with EMPTY there.
    pub fn misspelt_variables(&self) -> Vec<String> {
        let of_part = |(part, outcome): &(Part, Outcome)| {
            let Outcome::Lot(compilation) = outcome else { return Vec::new() };
            let all = compilation.all_diagnostics();
            let slips = all.iter().filter(|told| told.code == codes::UNSET_VARIABLE && told.fix.is_some());
            slips
                .map(|told| {
                    let (start, meant) = (told.span.start, told.suggestions.first().map_or("", |it| it));
                    format!(
                        "{}:{}:{}: {} is EMPTY whenever it runs: {meant}",
                        part.place(),
                        start.line,
                        start.column,
                        told.message
                    )
                })
                .collect()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Whether a warning of a broker about the same programs, an entry of its reply, is one of the
    /// diagnostics.
    pub fn has_told(&self, warning: &Value) -> bool {
        self.parts.iter().any(|(_, outcome)| match outcome {
            Outcome::Lot(compilation) => compilation.all_diagnostics().iter().any(|found| {
                warning["code"] == found.code.to_string()
                    && warning["line"] == found.span.start.line
                    && warning["column"] == found.span.start.column
            }),
            Outcome::Script(_) | Outcome::Unreadable(_) => false,
        })
    }

    /// Whether there is a route of a type that this build does not run.
    pub fn has_idle_routes(&self) -> bool {
        self.parts.iter().any(|(_, outcome)| match outcome {
            Outcome::Lot(compilation) => {
                compilation.entities.iter().any(|entity| idle_type(entity, self.runs_route).is_some())
            }
            Outcome::Script(_) | Outcome::Unreadable(_) => false,
        })
    }

    /// Names and texts of the scripts.
    pub fn scripts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().filter_map(|(part, outcome)| match outcome {
            Outcome::Script(Ok(script)) => Some((script.name.as_str(), part.text.as_str())),
            Outcome::Script(Err(_)) | Outcome::Lot(_) | Outcome::Unreadable(_) => None,
        })
    }

    /// The commands that add what is defined, in load order.
    pub fn commands(&self) -> Vec<AddCommand> {
        let mut commands: Vec<(usize, AddCommand)> = Vec::new();
        for (part, outcome) in &self.parts {
            match outcome {
                Outcome::Script(_) => {
                    // The name that a cell gives goes with the text.
                    let header = match (&part.script_name, lot_to_wasm::script::name(&part.text)) {
                        (Some(name), Err(_)) => format!("# Script Name: {name}\n"),
                        _ => String::new(),
                    };
                    let text = format!("{header}{}", part.text);
                    let verb = "-addPython".to_owned();
                    let place = part.place();
                    commands.push((SCRIPTS_AT, AddCommand { verb, replaces: "", text, entity: None, place }));
                }
                Outcome::Lot(compilation) => {
                    commands.extend(compilation.entities.iter().filter_map(|entity| {
                        let kind = entity.kind?;
                        let order = Kind::LOAD_ORDER.iter().position(|known| *known == kind)?;
                        // Behind as many lines as in its file, so that the broker counts those of
                        // the file.
                        let lines = "\n".repeat(entity.lines_before as usize);
                        let text = lines + part.text.get(entity.range.clone())?;
                        // Of all kinds rules alone are not replaced unless told so.
                        let replaces = if kind == Kind::Rule { "-replaceOwn " } else { "" };
                        let verb = format!("-add{}", kind.title());
                        let entity = Some((kind.title(), entity.name.clone()));
                        let place = part.place();
                        Some((order * 2, AddCommand { verb, replaces, text, entity, place }))
                    }))
                }
                Outcome::Unreadable(_) => {}
            }
        }
        commands.sort_by_key(|(place, _)| *place);
        commands.into_iter().map(|(_, command)| command).collect()
    }

    /// The entities, each with the text that it is a part of.
    pub fn into_entities(self) -> impl Iterator<Item = (String, Vec<Entity>)> {
        self.parts.into_iter().filter_map(|(part, outcome)| match outcome {
            Outcome::Lot(compilation) => Some((part.text, compilation.entities)),
            Outcome::Script(_) | Outcome::Unreadable(_) => None,
        })
    }

    /// The diagnostics, and for each program without an error a line about what it defines.
    pub fn to_text(&self) -> String {
        let mut is_told = false;
        let text = |(at, (part, outcome)): (usize, &(Part, Outcome))| {
            // Of all of them for one reason, which is told with the first.
            if outcome.is_unchecked() && std::mem::replace(&mut is_told, true) {
                return format!("{}: not checked, for the same reason", part.place());
            }
            outcome.to_text(&part.place(), self.runs_route, &self.refused_in(at))
        };
        self.parts.iter().enumerate().map(text).collect::<Vec<_>>().join("\n")
    }

    /// An object for each program.
    pub fn to_json(&self) -> impl Iterator<Item = Value> {
        self.parts.iter().enumerate().map(|(at, (part, outcome))| {
            let mut object = outcome.to_json(&part.file, self.runs_route, &self.refused_in(at));
            if let Some(cell) = part.cell {
                object["cell"] = cell.into();
            }
            object
        })
    }
}

impl Outcome {
    fn succeeded(&self) -> bool {
        match self {
            Outcome::Lot(compilation) => compilation.succeeded(),
            Outcome::Script(checked) => checked.is_ok(),
            Outcome::Unreadable(_) => false,
        }
    }

    fn is_unchecked(&self) -> bool {
        matches!(self, Outcome::Script(Err(problem)) if problem.is_unchecked())
    }

    fn to_text(&self, place: &str, runs_route: RunsRoute, refused: &[&RefusedRoute]) -> String {
        let compilation = match self {
            Outcome::Lot(compilation) => compilation,
            Outcome::Script(Ok(script)) => return format!("{place}: ok (python {})", script.name),
            Outcome::Script(Err(problem)) => return problem.to_text(place),
            Outcome::Unreadable(unreadable) => {
                return format!("error: {}", printable(&output::chain(&unreadable.error)));
            }
        };
        let mut text = render::all_to_text(place, &compilation.all_diagnostics());
        text.extend(refused.iter().map(|refused| refused.to_text(place)));
        if compilation.succeeded() && refused.is_empty() {
            let names: Vec<String> = compilation
                .entities
                .iter()
                .map(|entity| format!("{} {}", kind(entity), entity.name))
                .collect();
            let found = if names.is_empty() { "nothing is defined".to_owned() } else { names.join(", ") };
            text.push_str(&format!("{place}: ok ({found})"));
            for (entity, idle) in compilation
                .entities
                .iter()
                .filter_map(|entity| Some((entity, idle_type(entity, runs_route)?)))
            {
                let name = &entity.name;
                text.push_str(&format!(
                    "\n{place}: note: route {name} is right, but this build does not run routes of type {idle}"
                ));
            }
        }
        text.trim_end().to_owned()
    }

    fn to_json(&self, file: &str, runs_route: RunsRoute, refused: &[&RefusedRoute]) -> Value {
        let (entities, mut diagnostics): (Vec<Value>, Vec<Value>) = match self {
            Outcome::Lot(compilation) => {
                let entity = |entity: &Entity| {
                    let mut row = json!({"type": kind(entity), "name": entity.name, "success": entity.output.is_some()});
                    if let Some(idle) = idle_type(entity, runs_route) {
                        row["note"] = format!("this build does not run routes of type {idle}").into();
                    }
                    row
                };
                let found = compilation.all_diagnostics();
                (
                    compilation.entities.iter().map(entity).collect(),
                    found.iter().map(|found| json!(json::Entry::from(found))).collect(),
                )
            }
            Outcome::Script(Ok(script)) => {
                (vec![json!({"type": "python", "name": script.name, "success": true})], Vec::new())
            }
            Outcome::Script(Err(problem)) => (Vec::new(), vec![problem.to_json()]),
            Outcome::Unreadable(unreadable) => (Vec::new(), vec![unreadable.to_json()]),
        };
        diagnostics.extend(refused.iter().map(|refused| refused.to_json()));
        json!({
            "file": file,
            "success": self.succeeded() && refused.is_empty(),
            "entities": entities,
            "diagnostics": diagnostics,
        })
    }
}

impl RefusedRoute {
    /// Code of it, as a broker gives it.
    const CODE: &str = "ROUTE_SETTINGS_INVALID";

    fn message(&self) -> String {
        format!("route `{}`: {}", self.name, self.reason)
    }

    fn to_text(&self, place: &str) -> String {
        format!("error[{}]: {}\n --> {place}:{}\n", Self::CODE, printable(&self.message()), self.line)
    }

    fn to_json(&self) -> Value {
        json!({
            "severity": "error",
            "code": Self::CODE,
            "message": self.message(),
            "line": self.line,
            "column": 1,
            "sourceLines": [],
            "suggestions": [],
        })
    }
}

/// Line of a text at which the setting stands that a reason names first, as
/// `SCALE_CONFIG: RATE is 'x', …`; that of the definition in `range` where it names none that is
/// there.
fn line_of(text: &str, range: Range<usize>, reason: &str) -> usize {
    let lines_before = text.get(..range.start).map_or(0, |before| before.matches('\n').count());
    let definition = text.get(range).unwrap_or_default();
    let has_word = |line: &str, word: &str| {
        line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
            .any(|found| found.eq_ignore_ascii_case(word))
    };
    let Some((section, setting)) = reason.split_once(": ") else { return lines_before + 1 };
    let place = section.rsplit([' ', ',']).next().unwrap_or_default();
    let setting = setting.split(' ').next().unwrap_or_default();
    let lines: Vec<&str> = definition.lines().collect();
    let block = lines.iter().position(|line| has_word(line, "ADD") && has_word(line, place));
    let found = block.map(|block| {
        let behind = lines.iter().skip(block + 1).take_while(|line| !has_word(line, "ADD"));
        behind.enumerate().find(|(_, line)| has_word(line, setting)).map_or(block, |(at, _)| block + 1 + at)
    });
    lines_before + found.unwrap_or(0) + 1
}

/// The type of a route that is checked and not run.
fn idle_type(entity: &Entity, runs_route: RunsRoute) -> Option<&str> {
    let route = entity.output.as_ref()?.facts.route.as_ref()?;
    Some(route.kind.as_str()).filter(|kind| !runs_route(kind))
}

fn kind(entity: &Entity) -> String {
    entity.kind.map_or_else(|| "entity".to_owned(), |kind| format!("{kind:?}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use lotmq_host::python::PythonError;

    use super::*;

    #[test]
    fn missing_python_is_reported_once_and_is_not_a_program_error() {
        let part = |file: &str| Part {
            file: file.to_owned(),
            cell: None,
            language: Language::Python,
            script_name: None,
            text: "# Script Name: A\n".to_owned(),
        };
        let compiled = |reason: fn() -> PythonError| {
            let problem = || Outcome::Script(Err(ScriptProblem::new(&reason(), "x")));
            let parts = vec![(part("a.py"), problem()), (part("b.py"), problem())];
            Compiled { parts, refused: Vec::new(), runs_route: |_| true, interpreter: None }
        };
        let unavailable = compiled(|| PythonError::Unavailable { reason: "no file".to_owned() });
        assert!(!unavailable.succeeded() && !unavailable.is_wrong());
        assert_eq!(
            unavailable.to_text(),
            "error[PYTHON_UNAVAILABLE]: Python does not run here: no file\n --> a.py\nb.py: not checked, for the same reason"
        );
        let raised = compiled(|| PythonError::Raised { message: "SyntaxError".to_owned(), line: 1 });
        assert!(raised.is_wrong() && raised.to_text().matches("SyntaxError").count() == 2);
    }
    #[test]
    fn a_refused_setting_is_at_its_line() {
        let text = "\nDEFINE ROUTE R WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"m\"\n    ADD SCALE_CONFIG\n        WITH HOST \"h\"\n        WITH RATE 0\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"a\"\n        WITH RATE 1\n";
        for (reason, line) in [
            ("SCALE_CONFIG: RATE is '0', which is not at least 1", 7),
            ("SCALE_CONFIG: UNIT is missing; SCALE_CONFIG: RATE is '0'", 5),
            ("event Save: RATE is '1', which is not string", 10),
            ("OTHER_CONFIG is missing", 2),
        ] {
            assert_eq!(line_of(text, 1..text.len(), reason), line, "{reason}");
        }
    }
}
