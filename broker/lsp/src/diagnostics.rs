//! Conversion of compiler diagnostics and their fixes into LSP diagnostics and code actions.

use lot_to_wasm::diagnostic::{Fix, TextSpan, codes};
use lot_to_wasm::{Diagnostic, Severity};
use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CodeActionResponse,
    DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, NumberOrString, Range,
    TextEdit, Uri, WorkspaceEdit,
};

use crate::analysis::Analysis;
use crate::lines::Lines;
use crate::workspace::key;

/// All of a file, in order.
pub(crate) fn of_file(analysis: &Analysis, key: &str, uri: &Uri) -> Vec<lsp_types::Diagnostic> {
    let Some(file) = analysis.workspace.file(key) else { return Vec::new() };
    let lines = Lines::of(&file.text);
    let found = analysis.found.get(key).map(Vec::as_slice).unwrap_or_default();
    found.iter().map(|found| of(found, &lines, uri, analysis)).collect()
}

fn of(found: &Diagnostic, lines: &Lines<'_>, uri: &Uri, analysis: &Analysis) -> lsp_types::Diagnostic {
    let related = |label: &lot_to_wasm::diagnostic::Label| DiagnosticRelatedInformation {
        location: label
            .file
            .as_ref()
            .and_then(|key| place_in(key, label.span, analysis))
            .unwrap_or_else(|| Location { uri: uri.clone(), range: lines.span(label.span) }),
        message: label.text.clone(),
    };
    lsp_types::Diagnostic {
        range: lines.visible(found.span),
        severity: Some(match found.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(found.code.to_string())),
        source: Some("lot".to_owned()),
        message: message(found),
        related_information: (!found.labels.is_empty()).then(|| found.labels.iter().map(related).collect()),
        tags: (found.code == codes::UNUSED_VARIABLE).then(|| vec![DiagnosticTag::UNNECESSARY]),
        ..lsp_types::Diagnostic::default()
    }
}

/// A place in another file; of a notebook its beginning, since the place is one in a cell.
fn place_in(key: &str, span: TextSpan, analysis: &Analysis) -> Option<Location> {
    let file = analysis.workspace.file(key)?;
    let range = if file.is_lot { Lines::of(&file.text).span(span) } else { Range::default() };
    Some(Location { uri: analysis.workspace.uri(key)?, range })
}

/// Returns the message, with the notes and suggestions that a terminal shows below it.
fn message(found: &Diagnostic) -> String {
    let mut text = found.message.clone();
    if !found.label.is_empty() {
        text.push_str(&format!(": {}", found.label));
    }
    let notes = found.notes.iter().map(|note| format!("\nnote: {note}"));
    let helps = found.suggestions.iter().map(|help| format!("\nhelp: {help}"));
    text.extend(notes.chain(helps));
    text
}

/// Returns the fixes of the diagnostics in a range.
pub(crate) fn code_actions(analysis: &Analysis, params: &CodeActionParams) -> Option<CodeActionResponse> {
    let uri = &params.text_document.uri;
    let key = key(uri);
    let lines = Lines::of(&analysis.workspace.file(&key)?.text);
    let wants_fixes = params.context.only.as_ref().is_none_or(|kinds| {
        kinds.iter().any(|kind| *kind == CodeActionKind::QUICKFIX || *kind == CodeActionKind::EMPTY)
    });
    let action = |found: &Diagnostic| {
        let diagnostic = of(found, &lines, uri, analysis);
        let edit = |fix: &Fix| TextEdit { range: lines.span(fix.span), new_text: fix.replacement.clone() };
        let edits: Vec<TextEdit> = found.fixes().map(edit).collect();
        if edits.is_empty() || !touch(diagnostic.range, params.range) {
            return None;
        }
        #[allow(clippy::mutable_key_type, reason = "the type of the protocol; nothing changes the key")]
        let changes = [(uri.clone(), edits)].into();
        Some(CodeActionOrCommand::CodeAction(CodeAction {
            title: found.suggestions.first().unwrap_or(&found.message).clone(),
            kind: Some(CodeActionKind::QUICKFIX),
            diagnostics: Some(vec![diagnostic]),
            edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
            is_preferred: Some(true),
            ..CodeAction::default()
        }))
    };
    let found = analysis.found.get(&key).filter(|_| wants_fixes).map(Vec::as_slice).unwrap_or_default();
    Some(found.iter().filter_map(action).collect())
}

/// Whether two ranges have a place in common, be it an end.
fn touch(one: Range, other: Range) -> bool {
    one.start <= other.end && other.start <= one.end
}
