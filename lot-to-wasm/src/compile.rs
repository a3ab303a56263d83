//! The front door: a text with any number of entities in, one result per entity out.
//!
//! Each entity is compiled on its own, so that a bad one does not prevent the others (LoT reference §1.4).

use std::ops::Range;

use lot_facts::{Facts, Kind};

use crate::check::Known;
use crate::diagnostic::{Diagnostic, Severity};

/// How to compile.
pub struct CompileOptions<'a> {
    /// Shape of the component.
    pub form: Form,
    /// Definitions outside the text, for the check of arguments; those in the text are known anyway.
    pub known: &'a dyn Known,
}

impl std::fmt::Debug for CompileOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompileOptions").field("form", &self.form).finish_non_exhaustive()
    }
}

impl Default for CompileOptions<'_> {
    fn default() -> Self {
        CompileOptions { form: Form::Linked, known: &crate::check::KnownNothing }
    }
}

/// Shape of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Imports the LoT runtime as the core module `rt`: small, for the broker that has the runtime compiled already.
    Linked,
    /// Embeds the LoT runtime: runs in any host of the WIT world.
    Standalone,
}

/// What came of a text.
#[derive(Debug)]
pub struct Compilation {
    /// Its entities in source order.
    pub entities: Vec<Entity>,
    /// What was wrong outside of entities; lines count from the text's start.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compilation {
    /// Whether every entity was compiled and nothing else was wrong.
    pub fn succeeded(&self) -> bool {
        !has_errors(&self.diagnostics) && self.entities.iter().all(|entity| entity.output.is_some())
    }

    /// All diagnostics with lines counted from the start of the text, in source order.
    pub fn all_diagnostics(&self) -> Vec<Diagnostic> {
        let inside = self.entities.iter().flat_map(|entity| {
            entity.diagnostics.iter().map(|found| found.clone().moved_down(entity.lines_before))
        });
        let mut all: Vec<Diagnostic> = self.diagnostics.iter().cloned().chain(inside).collect();
        all.sort_by_key(|diagnostic| diagnostic.span.start);
        all
    }
}

/// What came of one entity.
#[derive(Debug)]
pub struct Entity {
    /// Its kind; `None` when the word after `DEFINE` is none.
    pub kind: Option<Kind>,
    /// Its name; empty when there is none.
    pub name: String,
    /// Bytes of its slice of the text: its published source.
    pub range: Range<usize>,
    /// Lines of the text before the slice: add them to the lines of `diagnostics` to count from the text's start.
    pub lines_before: u32,
    /// What is wrong; lines count from the start of the slice.
    pub diagnostics: Vec<Diagnostic>,
    /// The component, unless there is an error.
    pub output: Option<Output>,
}

/// A compiled entity.
#[derive(Debug, Clone)]
pub struct Output {
    /// A valid component of the entity's world, with the facts in the section [`lot_facts::SECTION`].
    pub component: Vec<u8>,
    /// The facts.
    pub facts: Facts,
}

pub(crate) fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
