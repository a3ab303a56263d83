//! Completion: keywords, names of the workspace, and topics of the workspace and of the broker.

use std::collections::BTreeMap;

use lot_to_wasm::editor::{Names, Proposals, keyword, proposals};
use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionList, CompletionParams, CompletionResponse,
    CompletionTextEdit, Documentation, MarkupContent, MarkupKind, Range, TextEdit,
};

use crate::analysis::Analysis;
use crate::lines::Lines;
use crate::source::{DeclarationKind, SourceDeclaration};
use crate::workspace::key;

/// Most topics that are proposed; more typed letters bring others.
const TOPICS_MAX: usize = 200;

pub(crate) fn completion(analysis: &Analysis, params: &CompletionParams) -> Option<CompletionResponse> {
    let place = &params.text_document_position;
    let key = key(&place.text_document.uri);
    let file = analysis.workspace.file(&key).filter(|file| file.is_lot)?;
    let lines = Lines::of(&file.text);
    let proposals = proposals(&file.text, lines.offset(place.position));
    let edit = Edit { range: lines.range(&proposals.range) };
    let mut items: Vec<CompletionItem> = Vec::new();
    match &proposals.names {
        None => {}
        Some(Names::Topics) => {
            let typed = file.text.get(proposals.range.clone()).unwrap_or("");
            items.extend(
                topics(analysis, &key, typed).into_iter().map(|(topic, detail)| {
                    edit.item(CompletionItemKind::VALUE, topic.clone(), topic, detail)
                }),
            );
        }
        Some(Names::Entities(kind)) => {
            items.extend(names(analysis, &key, DeclarationKind::Lot(*kind), &proposals, &edit));
        }
        Some(Names::Inputs(action)) => {
            let mut all = analysis.workspace.declarations(&key).map(|(_, declaration)| declaration);
            let wanted = DeclarationKind::Lot(lot_facts::Kind::Action);
            let callee = all.find(|declaration| declaration.kind == wanted && declaration.name == *action);
            items.extend(callee.iter().flat_map(|callee| &callee.inputs).map(|(name, kind)| {
                edit.item(CompletionItemKind::FIELD, name.clone(), format!("{name} = "), kind.clone())
            }));
        }
        Some(Names::Python) => {
            items.extend(names(analysis, &key, DeclarationKind::PythonFunction, &proposals, &edit))
        }
    }
    let variable =
        |name: &String| edit.item(CompletionItemKind::VARIABLE, name.clone(), name.clone(), String::new());
    let in_braces =
        file.text.get(..proposals.range.start).is_some_and(|before| before.trim_end().ends_with('{'));
    let variables = proposals
        .variables
        .iter()
        .map(|name| if in_braces { variable(name) } else { variable(&format!("{{{name}}}")) });
    items.extend(variables);
    items.extend(proposals.words.iter().map(|words| edit.words(words)));
    for (number, item) in items.iter_mut().enumerate() {
        item.sort_text = Some(format!("{number:04}"));
    }
    let is_incomplete = items.len() >= TOPICS_MAX;
    Some(CompletionResponse::List(CompletionList { is_incomplete, items }))
}

/// Range of the text that a completion replaces.
struct Edit {
    range: Range,
}

impl Edit {
    fn item(
        &self,
        kind: CompletionItemKind,
        label: String,
        new_text: String,
        detail: String,
    ) -> CompletionItem {
        CompletionItem {
            label,
            kind: Some(kind),
            detail: (!detail.is_empty()).then_some(detail),
            text_edit: Some(CompletionTextEdit::Edit(TextEdit { range: self.range, new_text })),
            ..CompletionItem::default()
        }
    }

    fn words(&self, words: &str) -> CompletionItem {
        let mut item =
            self.item(CompletionItemKind::KEYWORD, words.to_owned(), words.to_owned(), String::new());
        let told = words.split(' ').find_map(keyword);
        item.documentation = told.map(|keyword| {
            let value = keyword.text.to_owned();
            Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value })
        });
        item
    }
}

/// Returns completions for the definitions of one kind in the workspace.
fn names(
    analysis: &Analysis,
    key: &str,
    kind: DeclarationKind,
    at: &Proposals,
    edit: &Edit,
) -> Vec<CompletionItem> {
    let is_quoted = kind == DeclarationKind::PythonFunction && !at.in_string;
    let item = |declaration: &SourceDeclaration| {
        let name = declaration.name.clone();
        let written = if is_quoted { format!("\"{name}\"") } else { name.clone() };
        let icon = match kind {
            DeclarationKind::Lot(lot_facts::Kind::Model) => CompletionItemKind::STRUCT,
            DeclarationKind::Lot(_) => CompletionItemKind::MODULE,
            DeclarationKind::PythonFunction => CompletionItemKind::FUNCTION,
        };
        edit.item(icon, name, written, declaration.detail.clone())
    };
    let all = analysis.workspace.declarations(key).map(|(_, declaration)| declaration);
    all.filter(|declaration| declaration.kind == kind).map(item).collect()
}

/// Returns topics that begin with the typed text: those of the workspace's sources, and those of
/// the broker with their last values.
fn topics(analysis: &Analysis, key: &str, typed: &str) -> Vec<(String, String)> {
    let files = analysis.workspace.project(key).into_iter();
    let written = files.flat_map(|(_, file)| &file.topics);
    let mut found: BTreeMap<String, String> = written
        .filter(|topic| topic.starts_with(typed) && *topic != typed)
        .map(|topic| (topic.clone(), String::new()))
        .collect();
    let live = analysis.live.iter().flat_map(|live| live.topics(typed, TOPICS_MAX));
    found.extend(live.map(|(topic, value)| (topic, value.text().lines().next().unwrap_or("").to_owned())));
    found.into_iter().take(TOPICS_MAX).collect()
}
