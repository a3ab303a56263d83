//! A file of the workspace: its text, the programs in it, and their definitions.

use std::ops::Range;

use lot_facts::Kind;
use lot_to_wasm::Diagnostic;
use lot_to_wasm::editor::{Symbol, SymbolKind, Target, outline, references};
use lot_to_wasm::notebook::{Language, Written, literals};
use lot_to_wasm::project::{Part, is_notebook, parts};

/// Most lines of a Model that are shown.
const LINES_SHOWN_MAX: usize = 30;

/// A file, on the disk or as an editor has it.
pub(crate) struct SourceFile {
    pub(crate) text: String,
    /// Its LoT texts: of a notebook those of its cells. A LoT file is one.
    pub(crate) programs: Vec<String>,
    /// Names of its Python scripts.
    pub(crate) scripts: Vec<String>,
    /// Bytes where those of a notebook are written; empty for other files.
    written: Vec<Range<usize>>,
    /// Definitions of the file, in source order.
    pub(crate) declarations: Vec<SourceDeclaration>,
    /// Topics in its programs, without repeats.
    pub(crate) topics: Vec<String>,
    /// Whether places in its text are places of the program.
    pub(crate) is_lot: bool,
}

/// Definition of a file that other files may name.
pub(crate) struct SourceDeclaration {
    pub(crate) kind: DeclarationKind,
    /// As others name it: `Script.function` for Python.
    pub(crate) name: String,
    pub(crate) detail: String,
    pub(crate) description: Option<String>,
    /// Names and types of an Action's inputs.
    pub(crate) inputs: Vec<(String, String)>,
    /// First lines of a Model, with its fields.
    pub(crate) lines: Option<String>,
    /// Bytes of its name in the file; for a definition in a notebook the start of the file.
    pub(crate) range: Range<usize>,
}

/// Kind of a [`SourceDeclaration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeclarationKind {
    Lot(Kind),
    PythonFunction,
}

/// A declaration from its DEFINE on, cut where it is long.
fn first_lines(slice: &str) -> String {
    let is_head = |line: &&str| line.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("DEFINE"));
    let mut lines = slice.lines().skip_while(|line| !is_head(line));
    let mut text: Vec<&str> = lines.by_ref().take(LINES_SHOWN_MAX).collect();
    if lines.next().is_some() {
        text.push("    …");
    }
    text.join("\n").trim_end().to_owned()
}

impl SourceFile {
    /// Reads a text; `name` determines the kind of file. An invalid notebook has no programs.
    pub(crate) fn new(name: &str, text: String) -> Self {
        let mut file = Self {
            programs: Vec::new(),
            scripts: Vec::new(),
            written: Vec::new(),
            declarations: Vec::new(),
            topics: Vec::new(),
            is_lot: false,
            text: String::new(),
        };
        let parts = parts(name, text.clone()).unwrap_or_default();
        if is_notebook(name) {
            let of_program = |number: u32| {
                parts.iter().any(|part| part.cell == Some(number) && part.language == Language::Lot)
            };
            let written = (1..).zip(literals(&text));
            file.written = written.filter(|(number, _)| of_program(*number)).map(|(_, cell)| cell).collect();
        }
        for part in parts {
            match part.language {
                Language::Lot => file.add_program(part, is_notebook(name)),
                Language::Python => file.add_script(&part),
            }
        }
        file.topics.sort();
        file.topics.dedup();
        file.text = text;
        file
    }

    /// Converts diagnostics of one program of the file to positions in the file.
    pub(crate) fn of_program(&self, index: usize, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        match self.written.get(index) {
            Some(literal) if !found.is_empty() => {
                let cell = Written::of(&self.text, literal);
                found.into_iter().map(|found| cell.moved(found)).collect()
            }
            Some(_) | None => found,
        }
    }

    fn add_program(&mut self, part: Part, is_cell: bool) {
        let declaration = |symbol: Symbol| {
            let SymbolKind::Entity(kind) = symbol.kind else { return None };
            let range = if is_cell { 0..0 } else { symbol.name_range };
            let lines = (kind == Kind::Model).then(|| first_lines(part.text.get(symbol.range).unwrap_or("")));
            let Symbol { name, detail, description, children, .. } = symbol;
            let inputs = children.into_iter().filter(|child| child.kind == SymbolKind::Input);
            let inputs = inputs.map(|child| (child.name, child.detail)).collect();
            let kind = DeclarationKind::Lot(kind);
            Some(SourceDeclaration { kind, name, detail, description, inputs, lines, range })
        };
        self.declarations.extend(outline(&part.text).into_iter().filter_map(declaration));
        self.topics.extend(references(&part.text).into_iter().filter_map(
            |reference| match reference.target {
                Target::Topic(topic) if !topic.is_empty() => Some(topic.to_owned()),
                Target::Topic(_)
                | Target::Entity(..)
                | Target::Python(_)
                | Target::Variable(_)
                | Target::Keyword(_) => None,
            },
        ));
        self.is_lot = !is_cell;
        self.programs.push(part.text);
    }

    /// The functions of a script at the start of their lines, which are those that LoT can call.
    fn add_script(&mut self, part: &Part) {
        let Some(script) = part.name_of_script() else { return };
        self.scripts.push(script.to_owned());
        let mut at = 0;
        for line in part.text.split_inclusive('\n') {
            if let Some((name, rest)) = line.strip_prefix("def ").and_then(|rest| rest.split_once('(')) {
                let arguments = rest.split_once(')').map_or("", |(arguments, _)| arguments);
                let start = at + "def ".len();
                self.declarations.push(SourceDeclaration {
                    kind: DeclarationKind::PythonFunction,
                    name: format!("{script}.{}", name.trim()),
                    detail: format!("({arguments})"),
                    description: None,
                    inputs: Vec::new(),
                    lines: None,
                    range: if part.cell.is_some() { 0..0 } else { start..start + name.len() },
                });
            }
            at += line.len();
        }
    }
}
