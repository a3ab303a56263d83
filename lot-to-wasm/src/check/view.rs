//! Checking Panels and Themes, and writing them as trees for programs that draw them (LoT reference
//! §13).
//!
//! Clauses are open: what a client draws with them is its own, so an unknown one is no mistake and
//! is passed on. The check covers the name, the visibility and the state, which the broker uses,
//! and the statements of `ON CLICK`, as those of a callable Action.

use lot_facts::{Facts, Kind, ViewFacts, ViewState};
use lot_nearest::nearest;
use serde_json::{Map, Value, json};

use super::Known;
use crate::compat::Compat;
use crate::diagnostic::{Draft, Sink, codes};
use crate::syntax::panel::{Component, DefinePanel, DefineTheme, PanelClause, PanelValue};
use crate::syntax::{ActionBody, DefineAction, Expression, ExpressionKind, Name};

/// Words of `WITH VISIBILITY`.
const VISIBILITIES: [&str; 3] = ["PRIVATE", "SHARED", "PUBLIC"];

/// Checks a Panel. `None` when anything is wrong with it, also by the parser; the sink then has an
/// error.
pub(crate) fn panel(panel: &DefinePanel, known: &dyn Known, sink: &mut Sink<'_>) -> Option<Facts> {
    name(&panel.name, "panel", sink);
    let visibility = word_of(panel, "VISIBILITY", &VISIBILITIES, sink);
    let state = word_of(panel, "STATE", &ViewState::ALL.map(ViewState::word), sink);
    let shared = panel.clauses.iter().find(|clause| is_clause(clause, "SHARE"));
    if let Some(clause) = shared.filter(|_| visibility == Some("PRIVATE")) {
        let draft = Draft::error(codes::SHARED_PANEL, clause.span, "a PRIVATE panel is shared with nobody");
        sink.push(draft.suggest("write WITH VISIBILITY SHARED"));
    }
    clicks(&panel.components, known, sink);
    let mut tree = tree_of(&panel.name, &panel.clauses, sink);
    tree.insert("components".to_owned(), components(&panel.components, sink));
    let state = state.and_then(ViewState::by_word).unwrap_or_default();
    facts(Kind::Panel, &panel.name, ViewFacts { state, tree: tree.into() }, sink)
}

/// Checks a Theme. `None` when anything is wrong with it.
pub(crate) fn theme(theme: &DefineTheme, sink: &mut Sink<'_>) -> Option<Facts> {
    name(&theme.name, "theme", sink);
    for (_, value) in theme.settings.iter().filter(|(_, value)| !is_colour(&value.value)) {
        let message = format!("\"{}\" is no colour", value.value.escape_debug());
        let draft = Draft::warning(codes::THEME_COLOUR, value.span, message);
        sink.push(draft.suggest("write it as \"#rrggbb\", for instance \"#1e90ff\""));
    }
    let settings: Map<String, Value> =
        theme.settings.iter().map(|(key, value)| (key.value.clone(), json!(value.value))).collect();
    let tree = json!({ "name": theme.name.text, "settings": settings });
    facts(Kind::Theme, &theme.name, ViewFacts { state: ViewState::Published, tree }, sink)
}

fn facts(kind: Kind, name: &Name, view: ViewFacts, sink: &Sink<'_>) -> Option<Facts> {
    let facts = Facts { view: Some(Box::new(view)), ..Facts::new(kind, name.text.as_str()) };
    (!sink.has_errors()).then_some(facts)
}

/// Whether it is `#rrggbb`.
fn is_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A name is one level of a topic.
fn name(name: &Name, what: &str, sink: &mut Sink<'_>) {
    let is_level = !name.text.is_empty()
        && !name.text.contains(|c: char| matches!(c, '/' | '+' | '#') || c.is_control());
    if !is_level {
        let message = format!("the name of the {what} is no level of a topic");
        sink.push(Draft::error(codes::VIEW_NAME, name.span, message));
    }
}

fn is_clause(clause: &PanelClause, word: &str) -> bool {
    clause.words.first().is_some_and(|first| first == "WITH")
        && clause.words.get(1).is_some_and(|second| second == word)
}

/// The word of the last `WITH <clause>`, which must be one of `words`.
fn word_of<'w>(panel: &DefinePanel, clause: &str, words: &[&'w str], sink: &mut Sink<'_>) -> Option<&'w str> {
    let mut found = None;
    for given in panel.clauses.iter().filter(|given| is_clause(given, clause)) {
        let written = match given.values.as_slice() {
            [PanelValue::Word(word)] => word.clone(),
            [PanelValue::Value(Expression { kind: ExpressionKind::Text(text), .. })] => text.clone(),
            _ => sink.source().slice(given.span).to_owned(),
        };
        found = words.iter().find(|word| word.eq_ignore_ascii_case(&written)).copied();
        if found.is_none() {
            let message = format!("WITH {clause} takes {}", words.join(", "));
            let hint = nearest(&written, words.iter().copied());
            let draft = Draft::error(codes::VIEW_WORD, given.span, message);
            sink.push(draft.suggest_if(hint.map(|word| format!("did you mean {word}?"))));
        }
    }
    found
}

/// The statements of every `ON CLICK`.
fn clicks(components: &[Component], known: &dyn Known, sink: &mut Sink<'_>) {
    for component in components {
        if !component.on_click.is_empty() {
            let action = DefineAction {
                name: component.name.clone(),
                entry: ActionBody::Callable { inputs: Vec::new(), outputs: Vec::new() },
                body: component.on_click.clone(),
                description: None,
            };
            // Nothing of it becomes code here, so how it is read does not matter.
            super::action(&action, known, Compat::default(), sink);
        }
        clicks(&component.components, known, sink);
    }
}

fn components(components: &[Component], sink: &Sink<'_>) -> Value {
    let component = |component: &Component| {
        let mut tree = tree_of(&component.name, &component.clauses, sink);
        if !component.on_click.is_empty() {
            tree.insert("onClick".to_owned(), true.into());
        }
        if !component.components.is_empty() {
            tree.insert("components".to_owned(), self::components(&component.components, sink));
        }
        Value::Object(tree)
    };
    components.iter().map(component).collect()
}

/// Name and clauses: `WITH TITLE "t"` is `"title":"t"`, `SET RANGE FROM 0 TO 9` is
/// `"range":{"from":0,"to":9}`. A clause that stands more than once is an array.
fn tree_of(name: &Name, clauses: &[PanelClause], sink: &Sink<'_>) -> Map<String, Value> {
    let mut tree = Map::new();
    tree.insert("name".to_owned(), json!(name.text));
    for clause in clauses {
        let key = clause.words.last().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
        // The name is the component's own.
        let key = if key == "name" { "label".to_owned() } else { key };
        let value = clause_value(&clause.values, sink);
        match tree.get_mut(&key) {
            None => drop(tree.insert(key, value)),
            Some(Value::Array(all)) => all.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    tree
}

/// A value alone is itself, words alone are a text; else each value stands under the word right
/// before it.
fn clause_value(values: &[PanelValue], sink: &Sink<'_>) -> Value {
    if let [PanelValue::Value(only)] = values {
        return literal(only, sink);
    }
    let mut words: Vec<&str> = Vec::new();
    let mut members = Map::new();
    for value in values {
        match value {
            PanelValue::Word(word) => words.push(word),
            PanelValue::Value(value) => {
                let key = words.last().map_or_else(|| "value".to_owned(), |word| word.to_ascii_lowercase());
                words.clear();
                members.insert(key, literal(value, sink));
            }
        }
    }
    if members.is_empty() {
        return words.join(" ").into();
    }
    members.extend(words.into_iter().map(|word| (word.to_ascii_lowercase(), true.into())));
    members.into()
}

/// Converts a literal to JSON; text that is not JSON becomes a string.
fn literal(value: &Expression, sink: &Sink<'_>) -> Value {
    if let ExpressionKind::Text(text) = &value.kind {
        return json!(text);
    }
    match sink.source().slice(value.span) {
        "TRUE" => true.into(),
        "FALSE" => false.into(),
        "NULL" | "EMPTY" => Value::Null,
        written => serde_json::from_str(written).unwrap_or_else(|_| json!(written)),
    }
}
