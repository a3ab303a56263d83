//! Go to definition of a name or variable.

use std::ops::Range;

use lot_to_wasm::editor::{Symbol, SymbolKind, Target, outline, reference};
use lsp_types::{GotoDefinitionParams, GotoDefinitionResponse, Location};

use crate::analysis::Analysis;
use crate::lines::Lines;
use crate::source::DeclarationKind;
use crate::workspace::key;

pub(crate) fn definition(
    analysis: &Analysis,
    params: &GotoDefinitionParams,
) -> Option<GotoDefinitionResponse> {
    let place = &params.text_document_position_params;
    let key = key(&place.text_document.uri);
    let file = analysis.workspace.file(&key).filter(|file| file.is_lot)?;
    let offset = Lines::of(&file.text).offset(place.position);
    let found = match reference(&file.text, offset)?.target {
        Target::Entity(kind, name) => of_name(analysis, &key, DeclarationKind::Lot(kind), name),
        Target::Python(name) => of_name(analysis, &key, DeclarationKind::PythonFunction, name),
        Target::Variable(name) => {
            let place = first_set(&outline(&file.text), offset, name)?;
            location(analysis, &key, &place).into_iter().collect()
        }
        Target::Topic(_) | Target::Keyword(_) => return None,
    };
    Some(GotoDefinitionResponse::Array(found))
}

/// All declarations of a name in the project; of several the last one counts, but the user may want
/// to see them.
fn of_name(analysis: &Analysis, key: &str, kind: DeclarationKind, name: &str) -> Vec<Location> {
    let all =
        analysis.workspace.declarations(key).filter(|(_, found)| found.kind == kind && found.name == name);
    all.filter_map(|(key, found)| location(analysis, key, &found.range)).collect()
}

fn location(analysis: &Analysis, key: &str, range: &Range<usize>) -> Option<Location> {
    let range = Lines::of(&analysis.workspace.file(key)?.text).range(range);
    Some(Location { uri: analysis.workspace.uri(key)?, range })
}

/// Returns the input or the first assignment of a variable in the definition around a byte offset.
fn first_set(entities: &[Symbol], offset: usize, name: &str) -> Option<Range<usize>> {
    let entity = entities.iter().find(|entity| (entity.range.start..=entity.range.end).contains(&offset))?;
    let is_it = |symbol: &&Symbol| symbol.name == name && symbol.kind != SymbolKind::Output;
    entity.children.iter().find(is_it).map(|symbol| symbol.name_range.clone())
}
