//! Document symbols and workspace symbols: the definitions of files, as outlines and for search.

use lot_facts::Kind;
use lot_to_wasm::editor::{Symbol, SymbolKind, outline};
use lsp_types::{
    DocumentSymbol, DocumentSymbolParams, DocumentSymbolResponse, Location, SymbolInformation,
    SymbolKind as Icon, WorkspaceSymbolParams, WorkspaceSymbolResponse,
};

use crate::analysis::Analysis;
use crate::lines::Lines;
use crate::source::DeclarationKind;
use crate::workspace::key;

/// Most symbols that a search gives.
const FOUND_MAX: usize = 500;

pub(crate) fn of_file(analysis: &Analysis, params: &DocumentSymbolParams) -> Option<DocumentSymbolResponse> {
    let file = analysis.workspace.file(&key(&params.text_document.uri)).filter(|file| file.is_lot)?;
    let lines = Lines::of(&file.text);
    let symbols = outline(&file.text).iter().map(|symbol| shown(symbol, &lines)).collect();
    Some(DocumentSymbolResponse::Nested(symbols))
}

#[allow(deprecated, reason = "the field has to be given")]
fn shown(symbol: &Symbol, lines: &Lines<'_>) -> DocumentSymbol {
    // Editors refuse an empty name, and a name outside of its symbol.
    let name = if symbol.name.is_empty() { "\"\"" } else { &symbol.name };
    let whole = symbol.range.start.min(symbol.name_range.start)..symbol.range.end.max(symbol.name_range.end);
    DocumentSymbol {
        name: name.to_owned(),
        detail: (!symbol.detail.is_empty()).then(|| symbol.detail.clone()),
        kind: icon(symbol.kind),
        tags: None,
        deprecated: None,
        range: lines.range(&whole),
        selection_range: lines.range(&symbol.name_range),
        children: Some(symbol.children.iter().map(|child| shown(child, lines)).collect()),
    }
}

fn icon(kind: SymbolKind) -> Icon {
    match kind {
        SymbolKind::Entity(Kind::Action) => Icon::FUNCTION,
        SymbolKind::Entity(Kind::Model) => Icon::STRUCT,
        SymbolKind::Entity(Kind::Rule) => Icon::KEY,
        SymbolKind::Entity(Kind::Route) => Icon::MODULE,
        SymbolKind::Entity(Kind::Panel | Kind::Theme) => Icon::INTERFACE,
        SymbolKind::Input | SymbolKind::Output | SymbolKind::Variable => Icon::VARIABLE,
        SymbolKind::Field => Icon::FIELD,
        SymbolKind::Block => Icon::PROPERTY,
    }
}

#[allow(deprecated, reason = "the field has to be given")]
pub(crate) fn of_workspace(
    analysis: &Analysis,
    params: &WorkspaceSymbolParams,
) -> Option<WorkspaceSymbolResponse> {
    let query = params.query.to_lowercase();
    let mut symbols = Vec::new();
    for (key, file) in analysis.workspace.files() {
        let Some(uri) = analysis.workspace.uri(key) else { continue };
        let lines = Lines::of(&file.text);
        for found in file.declarations.iter().filter(|found| found.name.to_lowercase().contains(&query)) {
            if symbols.len() >= FOUND_MAX {
                return Some(WorkspaceSymbolResponse::Flat(symbols));
            }
            let kind = match found.kind {
                DeclarationKind::Lot(kind) => icon(SymbolKind::Entity(kind)),
                DeclarationKind::PythonFunction => Icon::FUNCTION,
            };
            symbols.push(SymbolInformation {
                name: found.name.clone(),
                kind,
                tags: None,
                deprecated: None,
                location: Location { uri: uri.clone(), range: lines.range(&found.range) },
                container_name: None,
            });
        }
    }
    Some(WorkspaceSymbolResponse::Flat(symbols))
}
