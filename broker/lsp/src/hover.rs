//! Hover texts for the position of the pointer.

use lot_to_wasm::editor::{Reference, SymbolKind, Target, keyword, kinds, outline, reference};
use lsp_types::{Hover, HoverContents, HoverParams, MarkupContent, MarkupKind};

use crate::analysis::Analysis;
use crate::lines::Lines;
use crate::source::{DeclarationKind, SourceDeclaration};
use crate::workspace::key;

/// Most topics that are shown for a filter.
const TOPICS_MAX: usize = 5;

pub(crate) fn hover(analysis: &Analysis, params: &HoverParams) -> Option<Hover> {
    let place = &params.text_document_position_params;
    let key = key(&place.text_document.uri);
    let file = analysis.workspace.file(&key).filter(|file| file.is_lot)?;
    let lines = Lines::of(&file.text);
    let offset = lines.offset(place.position);
    let about = reference(&file.text, offset);
    let mut range = about.as_ref().map(|about| about.range.clone());
    let mut texts: Vec<String> = Vec::new();
    texts.extend(about.and_then(|about| of_reference(analysis, &key, &file.text, &about)));
    if let Some(value) = kinds(&file.text, offset, &analysis.workspace.other_programs(&key)) {
        let source = file.text.get(value.range.clone()).unwrap_or("");
        // The first line is enough to recognize a long value.
        let shown = source.lines().next().unwrap_or("");
        texts.insert(0, format!("```lot\n{shown}\n```\n{}", value.to_text()));
        range.get_or_insert(value.range);
    }
    let range = Some(lines.range(&range?));
    (!texts.is_empty()).then(|| {
        let contents = MarkupContent { kind: MarkupKind::Markdown, value: texts.join("\n\n---\n\n") };
        Hover { contents: HoverContents::Markup(contents), range }
    })
}

fn of_reference(analysis: &Analysis, key: &str, text: &str, about: &Reference<'_>) -> Option<String> {
    match about.target {
        Target::Keyword(keyword) => Some(format!("**{}** {}", keyword.word, keyword.text)),
        Target::Topic(topic) => topic_values(analysis, topic),
        Target::Entity(kind, name) => {
            let wanted = DeclarationKind::Lot(kind);
            let mut all = analysis.workspace.declarations(key);
            all.find(|(_, found)| found.kind == wanted && found.name == name).map(|(_, found)| shown(found))
        }
        Target::Python(name) => {
            let mut all = analysis.workspace.declarations(key);
            let found =
                all.find(|(_, found)| found.kind == DeclarationKind::PythonFunction && found.name == name);
            found.map(|(_, found)| shown(found))
        }
        Target::Variable(name) => declared(text, about, name),
    }
}

/// Renders a declaration as its first line and its description; a Model with its fields.
fn shown(found: &SourceDeclaration) -> String {
    if let Some(lines) = &found.lines {
        return format!("```lot\n{lines}\n```");
    }
    let head = match found.kind {
        DeclarationKind::Lot(kind) => format!("DEFINE {} {}", kind.title().to_ascii_uppercase(), found.name),
        DeclarationKind::PythonFunction => format!("def {}", found.name),
    };
    let description = found.description.iter().map(|text| format!("\n\n{text}"));
    format!("```lot\n{head} {}\n```{}", found.detail, description.collect::<String>())
}

/// The line that declares an input.
fn declared(text: &str, about: &Reference<'_>, name: &str) -> Option<String> {
    let entity = outline(text).into_iter().find(|entity| entity.range.contains(&about.range.start))?;
    let input =
        entity.children.into_iter().find(|symbol| symbol.name == name && symbol.kind == SymbolKind::Input)?;
    let kind = keyword(&input.detail).map_or(String::new(), |kind| format!(" AS {}", kind.word));
    Some(format!("```lot\nINPUT {name}{kind}\n```"))
}

/// Returns the last values of the topics that a topic or filter matches.
fn topic_values(analysis: &Analysis, topic: &str) -> Option<String> {
    let found = analysis.live.as_ref()?.matching(topic, TOPICS_MAX);
    let shown = found.iter().map(|(topic, value)| {
        let text = value.text();
        // A fence that is longer than any in the value.
        let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        format!("`{topic}`, {}\n{fence}\n{text}\n{fence}", value.origin())
    });
    (!found.is_empty()).then(|| shown.collect::<Vec<_>>().join("\n\n"))
}
