//! A Model with everything that it inherits: its fields as one tree, collections with the fields of
//! their elements (LoT reference §9.6, §9.7).

use std::collections::BTreeSet;

use crate::check::Known;
use crate::check::tree::Constant;
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::{ANCESTORS_MAX, FIELDS_MAX};
use crate::source::{Source, Span};
use crate::syntax::model::{DefineModel, Field, FieldSource, FieldType, ModelFormat};
use crate::syntax::{CastType, Entity, ExpressionKind, Member, Name};

/// A field, its own or inherited.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    /// `None` = v1 style, inferred.
    pub(super) kind: Option<CastType>,
    pub(super) source: Option<FieldSource>,
    pub(super) is_trigger: bool,
    pub(super) children: Vec<Node>,
    /// Fields of an element, when it is a collection.
    pub(super) elements: Option<Vec<Node>>,
    /// Place of `FROM` or `OF` in the compiled Model, for a field of another Model.
    pub(super) pinned: Option<Span>,
    pub(super) span: Span,
}

impl Node {
    pub(super) fn is_array(&self) -> bool {
        self.kind == Some(CastType::Array)
    }

    /// The zero of its type; `None` where that has none, and without a type.
    pub(super) fn zero(&self) -> Option<Constant> {
        Some(match self.kind? {
            CastType::Int => Constant::Int(0),
            CastType::Double => Constant::Double(0.0),
            CastType::Bool => Constant::Bool(false),
            CastType::String | CastType::Timestamp => Constant::Text(String::new()),
            CastType::Array | CastType::Object | CastType::Json | CastType::Bytes => return None,
        })
    }

    /// Whether its type is that of a single value.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self.kind, None | Some(CastType::Array | CastType::Object | CastType::Json))
    }
}

/// Header of a Model, merged with the headers that it inherits.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub(super) is_collapsed: bool,
    pub(super) retain: bool,
    pub(super) qos: Option<u8>,
    pub(super) format: Option<ModelFormat>,
}

/// A whole Model.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) header: Header,
    pub(super) fields: Vec<Node>,
    /// Models that it is made of.
    pub(super) depends_on: BTreeSet<String>,
}

/// The tree of a Model that is known.
pub(crate) fn find(known: &dyn Known, name: &str) -> Option<DefineModel> {
    let text = known.model_source(name)?;
    let source = Source::new(&text);
    let mut quiet = Sink::new(&source);
    let tokens = crate::token::tokenize(&mut quiet);
    match crate::syntax::parse::entity(tokens, &mut quiet)? {
        Entity::Model(model) => Some(model),
        Entity::Action(_) | Entity::Rule(_) | Entity::Route(_) | Entity::Panel(_) | Entity::Theme(_) => None,
    }
}

/// Follows parents and collections. An unknown Model has no fields. Returns `None`, with an error
/// in the sink, if there are too many fields.
pub(super) fn resolve(model: &DefineModel, known: &dyn Known, sink: &mut Sink<'_>) -> Option<Resolved> {
    let mut resolver =
        Resolver { known, sink, above: vec![model.name.text.clone()], count: 0, depends_on: BTreeSet::new() };
    let (header, fields) = resolver.whole(model, None);
    if resolver.count > FIELDS_MAX {
        let message =
            format!("the model has more than {FIELDS_MAX} fields, with those that it inherits and collects");
        let draft = Draft::error(codes::TOO_MANY_VARIABLES, model.name.span, message);
        resolver.sink.push(draft);
        return None;
    }
    Some(Resolved { header, fields, depends_on: resolver.depends_on })
}

struct Resolver<'a, 'k> {
    known: &'a dyn Known,
    sink: &'a mut Sink<'k>,
    /// Models whose fields are being collected.
    above: Vec<String>,
    count: usize,
    depends_on: BTreeSet<String>,
}

impl Resolver<'_, '_> {
    fn whole(&mut self, model: &DefineModel, pinned: Option<Span>) -> (Header, Vec<Node>) {
        let (mut header, mut fields) = match &model.options.parent {
            Some(parent) => self.other(parent, pinned).unwrap_or_default(),
            None => Default::default(),
        };
        let options = &model.options;
        header.is_collapsed |= options.collapsed;
        header.retain |= options.retain;
        header.qos = options.qos.or(header.qos);
        header.format = options.format.or(header.format);
        for field in &model.fields {
            if self.count > FIELDS_MAX {
                break;
            }
            let node = self.field(field, pinned);
            match fields.iter_mut().find(|before| before.name == node.name) {
                Some(before) => *before = node,
                None => fields.push(node),
            }
        }
        (header, fields)
    }

    /// Another Model, named in `name`.
    fn other(&mut self, name: &Name, pinned: Option<Span>) -> Option<(Header, Vec<Node>)> {
        let place = pinned.unwrap_or(name.span);
        if self.above.contains(&name.text) {
            let message = format!("model `{}` contains itself", name.text);
            self.sink.push(Draft::error(codes::CYCLE, place, message));
            return None;
        }
        self.depends_on.insert(name.text.clone());
        if self.above.len() > ANCESTORS_MAX || self.count > FIELDS_MAX {
            return None;
        }
        let model = find(self.known, &name.text)?;
        self.above.push(name.text.clone());
        let whole = self.whole(&model, Some(place));
        self.above.pop();
        Some(whole)
    }

    fn field(&mut self, field: &Field, pinned: Option<Span>) -> Node {
        self.count += 1;
        let (kind, elements) = match &field.kind {
            None => (None, None),
            Some(FieldType::Cast(kind)) => (Some(*kind), None),
            Some(FieldType::Collection(of)) => {
                let elements = self.other(of, pinned).map(|(_, fields)| fields).unwrap_or_default();
                (Some(CastType::Array), Some(elements))
            }
        };
        let mut node = Node {
            name: field.name.value.clone(),
            kind,
            source: field.source.clone(),
            is_trigger: field.is_trigger,
            children: field.children.iter().map(|child| self.field(child, pinned)).collect(),
            elements,
            pinned,
            span: field.span,
        };
        self.take_members(&mut node);
        node
    }

    /// `ADD OBJECT "m" WITH { "k": … }` is the same as nested fields without types (§15).
    fn take_members(&mut self, node: &mut Node) {
        let Some(FieldSource::Value(value)) = &node.source else { return };
        let ExpressionKind::Object(members) = &value.kind else { return };
        if node.kind != Some(CastType::Object) && node.kind.is_some()
            || !node.children.is_empty()
            || members.is_empty()
        {
            return;
        }
        let members = members.clone();
        node.source = None;
        node.kind = Some(CastType::Object);
        for Member { key, value } in members {
            self.count += 1;
            let source = if let ExpressionKind::LiveTopic(topic) = &value.kind {
                FieldSource::Topic((**topic).clone(), None)
            } else {
                FieldSource::Value(value.clone())
            };
            let mut child = Node {
                name: key.value,
                kind: None,
                source: Some(source),
                is_trigger: false,
                children: Vec::new(),
                elements: None,
                pinned: node.pinned,
                span: value.span,
            };
            self.take_members(&mut child);
            node.children.push(child);
        }
    }
}
