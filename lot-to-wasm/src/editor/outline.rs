//! The outline of a text: its definitions with their parts.

use std::ops::Range;

use lot_facts::{InputKind, Kind};

use crate::source::Span;
use crate::statement::{Part, Statement};
use crate::syntax::model::{Field, FieldSource, FieldType};
use crate::syntax::route::RouteItem;
use crate::syntax::{ActionBody, DefineAction, Entity, Name};
use crate::{ParsedEntity, parse};

/// A definition, or a part of one that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Kind of the symbol.
    pub kind: SymbolKind,
    /// Its name.
    pub name: String,
    /// Text that editors show beside the name: its trigger, type or inputs; empty when there is
    /// none.
    pub detail: String,
    /// `DESCRIPTION` of an Action.
    pub description: Option<String>,
    /// Bytes of all of it.
    pub range: Range<usize>,
    /// Bytes of its name, without quotes and braces.
    pub name_range: Range<usize>,
    /// Symbols inside this one.
    pub children: Vec<Symbol>,
}

/// Kind of a [`Symbol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SymbolKind {
    /// A definition.
    Entity(Kind),
    /// An input of an Action.
    Input,
    /// An output of an Action.
    Output,
    /// A variable of an Action, where it is first set.
    Variable,
    /// A field of a Model.
    Field,
    /// A block of a Route with a name.
    Block,
}

/// The definitions of a text, in order; those of which not even kind and name can be read are left
/// out.
pub fn outline(text: &str) -> Vec<Symbol> {
    let (entities, _) = parse(text);
    entities.iter().filter_map(|entity| Outline { text, entity }.symbol()).collect()
}

struct Outline<'a> {
    text: &'a str,
    entity: &'a ParsedEntity,
}

impl Outline<'_> {
    fn symbol(&self) -> Option<Symbol> {
        let tree = self.entity.tree.as_ref()?;
        let mut symbol = self.named(SymbolKind::Entity(tree.kind()), tree.name(), self.entity.range.clone());
        match tree {
            Entity::Action(action) => {
                symbol.detail = self.signature(action);
                symbol.description = action.description.as_ref().map(|text| text.value.clone());
                symbol.children = self.of_action(action);
            }
            Entity::Model(model) => {
                symbol.detail = model
                    .options
                    .parent
                    .as_ref()
                    .map_or(String::new(), |parent| format!("FROM {}", parent.text));
                symbol.children = model.fields.iter().map(|field| self.field(field)).collect();
            }
            Entity::Rule(rule) => symbol.detail = format!("FOR {}", rule.scope.text),
            Entity::Route(route) => {
                symbol.detail =
                    route.kind.as_ref().map_or(String::new(), |kind| format!("TYPE {}", kind.text));
                symbol.children = self.blocks(&route.items);
            }
            Entity::Panel(_) | Entity::Theme(_) => {}
        }
        Some(symbol)
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.entity.range.start;
        start + span.start as usize..start + span.end as usize
    }

    /// Range of the name without quotes and braces, unless it is written with escapes.
    fn name_range(&self, name: &Name) -> Range<usize> {
        let range = self.range(name.span);
        let within = self.text.get(range.clone()).and_then(|written| written.find(&name.text));
        within.map_or(range.clone(), |at| range.start + at..range.start + at + name.text.len())
    }

    fn named(&self, kind: SymbolKind, name: &Name, range: Range<usize>) -> Symbol {
        Symbol {
            kind,
            name: name.text.clone(),
            detail: String::new(),
            description: None,
            range,
            name_range: self.name_range(name),
            children: Vec::new(),
        }
    }

    /// Returns the trigger of an Action, or its inputs and outputs.
    fn signature(&self, action: &DefineAction) -> String {
        match &action.entry {
            ActionBody::Triggered(trigger) if trigger.is_unreadable() => String::new(),
            ActionBody::Triggered(trigger) => {
                let written = self.text.get(self.range(trigger.span)).unwrap_or("");
                written.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            ActionBody::Callable { inputs, outputs } => {
                let inputs: Vec<String> = inputs
                    .iter()
                    .map(|input| match input.kind {
                        Some(kind) => format!("{} AS {}", input.name.text, input_kind(kind)),
                        None => input.name.text.clone(),
                    })
                    .collect();
                let outputs: Vec<&str> = outputs.iter().map(|output| output.name.text.as_str()).collect();
                let returns = if outputs.is_empty() {
                    String::new()
                } else {
                    format!(" RETURN {}", outputs.join(", "))
                };
                format!("({}){returns}", inputs.join(", "))
            }
        }
    }

    fn of_action(&self, action: &DefineAction) -> Vec<Symbol> {
        let mut symbols: Vec<Symbol> = Vec::new();
        let ActionBody::Callable { inputs, outputs } = &action.entry else {
            self.variables(&action.body, &mut symbols);
            return symbols;
        };
        for input in inputs {
            let mut symbol = self.named(SymbolKind::Input, &input.name, self.range(input.span));
            symbol.detail = input.kind.map_or(String::new(), |kind| input_kind(kind).to_owned());
            symbols.push(symbol);
        }
        self.variables(&action.body, &mut symbols);
        for output in outputs {
            symbols.push(self.named(SymbolKind::Output, &output.name, self.range(output.name.span)));
        }
        symbols
    }

    /// Variables where they are first set.
    fn variables(&self, statements: &[Statement], symbols: &mut Vec<Symbol>) {
        for statement in statements {
            statement.each_part(&mut |part| match part {
                Part::Assigned(name) if !symbols.iter().any(|known| known.name == name.text) => {
                    symbols.push(self.named(SymbolKind::Variable, name, self.range(statement.span)));
                }
                Part::Block(block) => self.variables(block, symbols),
                Part::Assigned(_) | Part::Result | Part::Expression(_) => {}
            });
        }
    }

    fn field(&self, field: &Field) -> Symbol {
        let name = Name { text: field.name.value.clone(), span: field.name.span, quoted: true };
        let mut symbol = self.named(SymbolKind::Field, &name, self.range(field.span));
        let kind = match &field.kind {
            None => "",
            Some(FieldType::Collection(model)) => &format!("COLLECTION OF {}", model.text),
            Some(FieldType::Cast(kind)) => kind.word(),
        };
        let source = match &field.source {
            Some(FieldSource::Topic(topic, _)) => format!(" WITH TOPIC \"{}\"", topic.value),
            Some(FieldSource::Value(_)) | None => String::new(),
        };
        symbol.detail = format!("{kind}{source}").trim().to_owned();
        symbol.children = field.children.iter().map(|child| self.field(child)).collect();
        symbol
    }

    fn blocks(&self, items: &[RouteItem]) -> Vec<Symbol> {
        let block = |item: &RouteItem| {
            let RouteItem::Block(block) = item else { return None };
            let end = block.name.as_ref().map_or(block.kind.span, |name| name.span);
            let mut symbol = self.named(
                SymbolKind::Block,
                block.name.as_ref().unwrap_or(&block.kind),
                self.range(block.kind.span.to(end)),
            );
            symbol.detail = block.kind.text.clone();
            symbol.children = self.blocks(&block.items);
            Some(symbol)
        };
        items.iter().filter_map(block).collect()
    }
}

/// The word of an input's type.
fn input_kind(kind: InputKind) -> &'static str {
    match kind {
        InputKind::String => "STRING",
        InputKind::Int => "INT",
        InputKind::Double => "DOUBLE",
        InputKind::Bool => "BOOL",
        InputKind::Json => "JSON",
    }
}
