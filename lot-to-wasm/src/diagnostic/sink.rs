//! Collector for the diagnostics of all phases: bounded, in source order, without repeats at one
//! place.

use super::{Code, Diagnostic, Fix, Label, Severity, TextSpan, codes, follow_up};
use crate::check::PatternsOfText;
use crate::limits::{ERRORS_MAX, WARNINGS_MAX};
use crate::source::{Position, Source, Span};
use crate::syntax::{Name, Path};

/// Collects the diagnostics of one entity.
///
/// Invariants: at most [`ERRORS_MAX`] errors and [`WARNINGS_MAX`] warnings; at most one error per
/// start of a span, because a second one there is a consequence of the first. Diagnostics that
/// [follow](follow_up) from others are dropped at the end.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    source: &'a Source<'a>,
    found: Vec<(u32, Diagnostic)>,
    errors: usize,
    warnings: usize,
    /// Place at which diagnostics of another text are reported.
    pinned: Option<Span>,
    /// End of the readable text, when the rest of it was swallowed.
    cut: Option<u32>,
    /// Whether [extensions](codes::NON_PORTABLE) are reported.
    tells_of_extensions: bool,
    /// Whether the text is stored already, and its mistakes that were
    /// [accepted once](Draft::unless_stored) are warnings.
    is_stored: bool,
    /// Cost so far of the patterns of the whole text; `None` where only the definition's own are
    /// bounded.
    patterns: Option<&'a PatternsOfText>,
}

/// A diagnostic under construction; [`Sink::push`] takes it.
#[derive(Debug)]
pub(crate) struct Draft {
    code: Code,
    severity: Severity,
    span: Span,
    message: String,
    label: String,
    expected: Vec<String>,
    labels: Vec<(Span, String)>,
    elsewhere: Vec<Label>,
    notes: Vec<String>,
    suggestions: Vec<String>,
    fix: Option<(Span, String)>,
    /// It is only a warning for a stored text.
    unless_stored: bool,
}

impl Draft {
    fn new(severity: Severity, code: Code, span: Span, message: impl Into<String>) -> Draft {
        Draft {
            code,
            severity,
            span,
            message: message.into(),
            label: String::new(),
            expected: Vec::new(),
            labels: Vec::new(),
            elsewhere: Vec::new(),
            notes: Vec::new(),
            suggestions: Vec::new(),
            fix: None,
            unless_stored: false,
        }
    }

    /// Of a text that is stored already only a warning: it was accepted once, and goes on.
    pub(crate) fn unless_stored(self) -> Draft {
        Draft { unless_stored: true, ..self }
    }

    /// An error: the entity is refused.
    pub(crate) fn error(code: Code, span: Span, message: impl Into<String>) -> Draft {
        Draft::new(Severity::Error, code, span, message)
    }

    /// A warning: the entity is accepted.
    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Draft {
        Draft::new(Severity::Warning, code, span, message)
    }

    /// Sets the text beside the place.
    pub(crate) fn label(mut self, text: impl Into<String>) -> Draft {
        self.label = text.into();
        self
    }

    /// Sets the tokens that the grammar allows here.
    pub(crate) fn expected(mut self, what: &[&str]) -> Draft {
        self.expected = what.iter().map(|text| (*text).to_owned()).collect();
        self
    }

    /// Another place that explains this one.
    pub(crate) fn at(mut self, span: Span, text: impl Into<String>) -> Draft {
        self.labels.push((span, text.into()));
        self
    }

    /// A place outside of the entity that explains this one.
    pub(crate) fn elsewhere(mut self, label: Label) -> Draft {
        self.elsewhere.push(label);
        self
    }

    /// More to know.
    pub(crate) fn note(mut self, text: impl Into<String>) -> Draft {
        self.notes.push(text.into());
        self
    }

    /// The same at another place.
    pub(crate) fn moved_to(self, span: Span) -> Draft {
        Draft { span, ..self }
    }

    /// Adds a suggestion.
    pub(crate) fn suggest(mut self, text: impl Into<String>) -> Draft {
        self.suggestions.push(text.into());
        self
    }

    /// Sets the change of the text that carries out the first suggestion.
    pub(crate) fn fix(mut self, span: Span, replacement: impl Into<String>) -> Draft {
        self.fix = Some((span, replacement.into()));
        self
    }

    /// Suggests the name that was probably meant at the place of this diagnostic.
    pub(crate) fn did_you_mean(self, near: Option<&str>) -> Draft {
        let Some(near) = near else { return self };
        let span = self.span;
        self.suggest(format!("did you mean {near}?")).fix(span, near)
    }

    /// As [`did_you_mean`](Self::did_you_mean) where a name stands that may be in quotes.
    pub(crate) fn did_you_mean_name(self, name: &Name, near: Option<&str>) -> Draft {
        let Some(near) = near else { return self };
        self.suggest(format!("did you mean {near}?")).fix(name.span, name.spell(near))
    }

    /// As [`did_you_mean`](Self::did_you_mean) for `unknown`, with which a path begins.
    pub(crate) fn did_you_mean_path(self, path: &Path, unknown: &str, near: Option<&str>) -> Draft {
        let Some(near) = near else { return self };
        let draft = self.suggest(format!("did you mean {near}?"));
        // Quotes and blanks make a path longer than its text.
        let is_plain = (path.span.end - path.span.start) as usize == path.to_string().len();
        let end = path.span.start.saturating_add(u32::try_from(unknown.len()).unwrap_or(u32::MAX));
        if is_plain { draft.fix(Span { end, ..path.span }, near) } else { draft }
    }

    /// Adds a suggestion, if there is one.
    pub(crate) fn suggest_if(self, text: Option<String>) -> Draft {
        match text {
            Some(text) => self.suggest(text),
            None => self,
        }
    }
}

impl<'a> Sink<'a> {
    /// An empty collection for the entity with this text.
    pub(crate) fn new(source: &'a Source<'a>) -> Sink<'a> {
        Sink {
            source,
            found: Vec::new(),
            errors: 0,
            warnings: 0,
            pinned: None,
            cut: None,
            tells_of_extensions: false,
            is_stored: false,
            patterns: None,
        }
    }

    /// Sets whether [extensions](codes::NON_PORTABLE) are reported.
    pub(crate) fn telling_of_extensions(self, tells_of_extensions: bool) -> Sink<'a> {
        Sink { tells_of_extensions, ..self }
    }

    /// The same, of a text that is stored already, or not.
    pub(crate) fn of_stored(self, is_stored: bool) -> Sink<'a> {
        Sink { is_stored, ..self }
    }

    /// Whether the text is stored already.
    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// The same, of an entity whose patterns count among those of its text.
    pub(crate) fn among(self, patterns: &'a PatternsOfText) -> Sink<'a> {
        Sink { patterns: Some(patterns), ..self }
    }

    /// Returns the cost so far of the patterns of the whole text.
    pub(crate) fn patterns(&self) -> Option<&'a PatternsOfText> {
        self.patterns
    }

    /// The text that the spans point into.
    pub(crate) fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// Reports at `place` from now on, instead of the places of the diagnostics: the checked text
    /// is another one.
    pub(crate) fn pin(&mut self, place: Option<Span>) {
        self.pinned = place;
    }

    /// The text ends here for the phases: a reported mistake has swallowed the rest. From now on
    /// there are no warnings, and no errors that the missing rest explains.
    pub(crate) fn cut_at(&mut self, end: u32) {
        self.cut = Some(end);
    }

    /// Line and column of a span, or of the place that is pinned.
    pub(crate) fn position(&self, span: Span) -> Position {
        self.source.position(self.pinned.unwrap_or(span).start)
    }

    /// Whether the entity is to be refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether no further error would be kept: phases may stop.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= ERRORS_MAX
    }

    /// Takes a diagnostic; drops it beyond the bounds and when it is a follow-up of one at the same
    /// place.
    pub(crate) fn push(&mut self, mut draft: Draft) {
        if draft.code == codes::NON_PORTABLE && !self.tells_of_extensions {
            return;
        }
        if let Some(place) = self.pinned {
            draft.span = place;
            draft.labels.clear();
            draft.fix = None;
        }
        if draft.unless_stored && self.is_stored {
            draft.severity = Severity::Warning;
        }
        let is_error = draft.severity == Severity::Error;
        if self.cut.is_some_and(|end| !is_error || draft.span.end >= end) {
            return;
        }
        if is_error && draft.code != codes::LOWER_CASE_KEYWORD {
            self.forget_case_at(draft.span.start);
        }
        let full = if is_error { self.errors >= ERRORS_MAX } else { self.warnings >= WARNINGS_MAX };
        let repeated = self.found.iter().any(|(start, known)| {
            *start == draft.span.start
                && known.severity == draft.severity
                && (is_error || (known.code == draft.code && known.message == draft.message))
        });
        if full || repeated {
            return;
        }
        if is_error {
            self.errors += 1;
            // An indentation that is refused need not be warned of.
            let before = self.found.len();
            let of_layout = [codes::TAB_INDENTATION, codes::ODD_INDENTATION];
            self.found
                .retain(|(start, known)| *start != draft.span.start || !of_layout.contains(&known.code));
            self.warnings -= before - self.found.len();
        } else {
            self.warnings += 1;
        }
        let start = draft.span.start;
        let diagnostic = self.resolve(draft);
        self.found.push((start, diagnostic));
    }

    /// Forgets that the word here is in small letters: something else is wrong with it.
    fn forget_case_at(&mut self, place: u32) {
        let before = self.found.len();
        self.found.retain(|(start, known)| *start != place || known.code != codes::LOWER_CASE_KEYWORD);
        self.errors -= before - self.found.len();
    }

    /// As [`push`](Self::push), in place of the errors inside of its span: it explains them.
    pub(crate) fn push_over(&mut self, draft: Draft) {
        let covered = draft.span.start..draft.span.end;
        let before = self.found.len();
        self.found.retain(|(start, known)| !covered.contains(start) || known.severity == Severity::Warning);
        self.errors -= before - self.found.len();
        self.push(draft);
    }

    /// As [`push`](Self::push), in place of all diagnostics of a longer span, warnings too.
    pub(crate) fn push_over_all(&mut self, covered: Span, draft: Draft) {
        let before = self.errors_found();
        self.found.retain(|(start, _)| !(covered.start..covered.end).contains(start));
        self.errors -= before - self.errors_found();
        self.push(draft);
    }

    fn errors_found(&self) -> usize {
        self.found.iter().filter(|(_, known)| known.severity == Severity::Error).count()
    }

    /// All of them in source order, errors before warnings at one place.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.drop_consequences_of_quotes();
        self.found.sort_by_key(|(start, diagnostic)| (*start, diagnostic.severity));
        self.join_keywords_of_lines();
        let mut found: Vec<Diagnostic> = self.found.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        follow_up::drop_from(&mut found);
        found
    }

    /// Drops syntax errors on a line with a missing quote, which is read the wrong way round behind
    /// it. Errors whose fix adds a quote stay.
    fn drop_consequences_of_quotes(&mut self) {
        let unclosed = |found: &&(u32, Diagnostic)| found.1.code == codes::UNCLOSED_STRING;
        let lines: Vec<u32> = self.found.iter().filter(unclosed).map(|(_, it)| it.span.start.line).collect();
        self.found.retain(|(_, it)| {
            let is_syntax = it.code.number() < 300 && it.severity == Severity::Error;
            let quotes = it.fix.as_ref().is_some_and(|fix| fix.replacement.contains(['"', '\'']));
            let is_of_other = it.code == codes::UNCLOSED_STRING || quotes;
            !is_syntax || is_of_other || !lines.contains(&it.span.start.line)
        });
    }

    /// A line in lower case is one mistake, however many keywords it has: one error, whose fix
    /// mends the line.
    fn join_keywords_of_lines(&mut self) {
        let mut joined: Vec<(u32, Diagnostic)> = Vec::new();
        for (start, found) in std::mem::take(&mut self.found) {
            let line = found.span.start.line;
            let first = joined
                .iter_mut()
                .find(|(_, known)| known.code == codes::LOWER_CASE_KEYWORD && known.span.start.line == line);
            match (first, &found.fix) {
                (Some((_, first)), Some(fix)) if found.code == codes::LOWER_CASE_KEYWORD => {
                    first.join_keyword(fix);
                }
                _ => joined.push((start, found)),
            }
        }
        self.found = joined;
    }

    fn resolve(&self, draft: Draft) -> Diagnostic {
        let span = self.text_span(draft.span);
        Diagnostic {
            code: draft.code,
            severity: draft.severity,
            message: draft.message,
            span,
            label: draft.label,
            source_line: self.source.line(span.start.line).to_owned(),
            expected: draft.expected,
            labels: draft
                .labels
                .into_iter()
                .map(|(span, text)| Label { file: None, span: self.text_span(span), text })
                .chain(draft.elsewhere)
                .collect(),
            notes: draft.notes,
            suggestions: draft.suggestions,
            fix: draft.fix.map(|(span, replacement)| Fix { span: self.exact_span(span), replacement }),
            more_fixes: Vec::new(),
        }
    }

    fn exact_span(&self, span: Span) -> TextSpan {
        TextSpan { start: self.source.position(span.start), end: self.source.position(span.end) }
    }

    fn text_span(&self, span: Span) -> TextSpan {
        let start = self.source.position(span.start);
        // A place at a line's end is shown as the column after its last character.
        let is_line_end = self.source.slice(span).trim_matches(['\n', '\r']).is_empty();
        let end = if is_line_end {
            Position { column: start.column.saturating_add(1), ..start }
        } else {
            self.source.position(span.end)
        };
        TextSpan { start, end }
    }
}
