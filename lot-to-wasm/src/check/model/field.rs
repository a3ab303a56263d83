//! Meaning of names in a Model: fields, nested ones with dots, and a field's own last value.

use std::collections::BTreeMap;

use lot_nearest::nearest;

use crate::check::kind::KindSet;
use crate::check::tree::{Expression, ExpressionKind, JsonPath, VariableId};
use crate::check::{Checker, json_path};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::{Path, PathStep};

/// The fields of a Model while one of them is checked.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Variables by path: `id`, `m.want`, `c[].v`.
    pub(super) variables: BTreeMap<String, VariableId>,
    /// The path of the field that is checked.
    pub(super) current: String,
    /// Holds its own last value, when it reads that.
    pub(super) before: Option<VariableId>,
    /// Whether it did read its own last value.
    pub(super) reads_itself: bool,
    /// Topics of the fields that trigger, as written.
    pub(super) triggers: Vec<String>,
    /// Nothing starts the Model, but those that inherit from it.
    pub(super) is_inherited: bool,
}

/// Returns the field that a name means, and the number of path steps that this takes.
pub(super) fn resolve(
    variables: &BTreeMap<String, VariableId>,
    current: &str,
    path: &Path,
) -> Option<(String, usize)> {
    let mut scope = current;
    loop {
        // Siblings first, then the fields around them.
        scope = scope.rfind('.').map_or("", |dot| &scope[..dot]);
        let mut found = None;
        let mut full = if scope.is_empty() { path.name.clone() } else { format!("{scope}.{}", path.name) };
        let below = |full: &str| format!("{full}.");
        let is_field = |full: &str| {
            variables.contains_key(full)
                || variables
                    .range(below(full)..)
                    .next()
                    .is_some_and(|(name, _)| name.starts_with(&below(full)))
        };
        if is_field(&full) {
            found = Some((full.clone(), 0));
        }
        for (index, step) in path.steps.iter().enumerate() {
            let PathStep::Key(key) = step else { break };
            full = format!("{full}.{key}");
            if !is_field(&full) {
                break;
            }
            found = Some((full.clone(), index + 1));
        }
        if found.is_some() || scope.is_empty() {
            return found;
        }
    }
}

impl Checker<'_, '_, '_> {
    /// The value of a field, bare or in braces; `None` outside of Models.
    pub(crate) fn field_reference(&mut self, path: &Path, span: Span) -> Option<Expression> {
        let fields = self.scope.fields.as_ref()?;
        let Some((name, used)) = resolve(&fields.variables, &fields.current, path) else {
            let names: Vec<String> =
                fields.variables.keys().filter(|name| !name.contains("[]")).cloned().collect();
            self.report_unknown_field(path, span, &names);
            return Some(self.constant(span, crate::check::tree::Constant::Empty));
        };
        let value =
            if name == fields.current { self.own_last_value(span) } else { self.field_value(&name, span) };
        let rest = Path { name: String::new(), steps: path.steps.get(used..)?.to_vec(), span: path.span };
        if rest.steps.is_empty() {
            return Some(value);
        }
        let text = rest.json_path();
        let steps = json_path::parse(&text).unwrap_or_default();
        let kind =
            ExpressionKind::GetJson { path: JsonPath::Literal { text, steps }, source: Box::new(value) };
        Some(self.node(span, KindSet::FROM_JSON, kind))
    }

    /// A field, or an object of the fields below it.
    fn field_value(&mut self, name: &str, span: Span) -> Expression {
        let Some(fields) = &self.scope.fields else {
            return self.constant(span, crate::check::tree::Constant::Empty);
        };
        if let Some(id) = fields.variables.get(name).copied() {
            return self.read(id, span);
        }
        let below = format!("{name}.");
        let mut keys: Vec<String> = Vec::new();
        for other in fields.variables.keys() {
            let key = other.strip_prefix(&below).and_then(|rest| rest.split('.').next());
            if let Some(key) = key.filter(|key| !key.contains("[]") && !keys.iter().any(|known| known == key))
            {
                keys.push(key.to_owned());
            }
        }
        let members = keys.into_iter().map(|key| {
            let value = self.field_value(&format!("{below}{key}"), span);
            (key, value)
        });
        let members = members.collect();
        self.node(span, KindSet::JSON, ExpressionKind::Object(members))
    }

    fn own_last_value(&mut self, span: Span) -> Expression {
        let Some(fields) = &mut self.scope.fields else {
            return self.constant(span, crate::check::tree::Constant::Empty);
        };
        fields.reads_itself = true;
        match fields.before {
            Some(before) => {
                self.node(span, KindSet::TEXT_DATA | KindSet::EMPTY, ExpressionKind::Variable(before))
            }
            None => self.constant(span, crate::check::tree::Constant::Empty),
        }
    }

    fn report_unknown_field(&mut self, path: &Path, span: Span, names: &[String]) {
        if !self.names_are_complete {
            return;
        }
        let written = path.to_string();
        let near = nearest(&written, names.iter().map(String::as_str));
        let draft = Draft::error(codes::UNKNOWN_FIELD, span, format!("the model has no field `{written}`"));
        let hint = near
            .map_or_else(|| format!("write \"{written}\" for text"), |near| format!("did you mean {near}?"));
        self.error(draft.suggest(hint));
    }
}
