//! Models (§8.6, §9).

use super::topic::{Place, is_name, matched};
use super::{Effect, Fault, Frame, Run};
use crate::generated::json::Json;
use crate::generated::operators::cast;
use crate::generated::tree::{Expression, Field, FieldSource, Model, Topic, Type};
use crate::generated::value::{Answer, Number, Origin, Stop, Value, reading};
use std::collections::{BTreeMap, BTreeSet};

const LITERAL_AS_SOURCE: &str = "a JSON literal as the source of a field";

/// A model with what it inherits (§9.6).
struct Whole<'a> {
    fields: Vec<&'a Field>,
    collapsed: bool,
    retain: bool,
    qos: u8,
}

impl<'a> Run<'a> {
    fn whole(&self, model: &'a Model) -> Whole<'a> {
        let parent = model.parent.as_ref().map(|name| {
            let parent = self.program.models.iter().find(|model| model.name == *name);
            self.whole(parent.expect("a generated program has its models"))
        });
        let mut whole =
            parent.unwrap_or(Whole { fields: Vec::new(), collapsed: false, retain: false, qos: 0 });
        for field in &model.fields {
            match whole.fields.iter_mut().find(|inherited| inherited.name == field.name) {
                Some(inherited) => *inherited = field,
                None => whole.fields.push(field),
            }
        }
        whole.collapsed |= model.collapsed;
        whole.retain |= model.retain;
        whole.qos = model.qos.unwrap_or(whole.qos);
        whole
    }

    pub(super) fn publish_model(
        &mut self,
        name: &'a str,
        topic: &'a Topic,
        assignments: &'a [(String, Expression)],
        frame: &mut Frame<'a>,
    ) -> Answer<()> {
        let place = self.topic(topic, frame)?;
        let mut assigned = BTreeMap::new();
        for (path, value) in assignments {
            assigned.insert(path.clone(), self.value(value, frame)?);
        }
        let topic = match place {
            Place::Name(topic) if is_name(&topic) => topic,
            _ => return Err(Stop::Unspecified("what an invalid topic of PUBLISH MODEL does")),
        };
        let model = self.program.models.iter().find(|model| model.name == name);
        let whole = self.whole(model.expect("a generated program has its models"));
        let mut inner = frame_of_model(name);
        for field in &whole.fields {
            self.field(field, "", &assigned, &mut inner)?;
        }
        let payload = Json::Object(members(&whole.fields, "", &inner)).text().into_bytes();
        self.effects.push(Effect::Publish { topic, payload, qos: whole.qos, retain: whole.retain });
        Ok(())
    }

    /// Gives a field of an instance that is built its value.
    fn field(
        &mut self,
        field: &'a Field,
        within: &str,
        assigned: &BTreeMap<String, Value>,
        frame: &mut Frame<'a>,
    ) -> Answer<()> {
        let path = join(within, &field.name);
        if let FieldSource::Children(children) = &field.source {
            return children.iter().try_for_each(|child| self.field(child, &path, assigned, frame));
        }
        let value = match (assigned.get(&path), &field.source) {
            // §15 makes it a nested field, of which nothing else is said.
            (_, FieldSource::Value(Expression::Object(_))) => {
                return Err(Stop::Unspecified(LITERAL_AS_SOURCE));
            }
            (Some(value), _) => value.clone(),
            (None, FieldSource::Value(source)) => self.value(source, frame)?,
            // §8.6 and OD-41.
            (None, _) => Value::Null,
        };
        let kind = field.kind.filter(|_| self.fault != Some(Fault::FieldsAreNotCast));
        frame.fields.push((path, as_field(value, kind)?));
        Ok(())
    }

    /// A message arrives at a model that runs by itself (§9.3).
    pub(super) fn stream(&mut self, model: &'a Model) -> Answer<()> {
        let whole = self.whole(model);
        let (arrived, _) = self.message.clone().expect("models are started by messages");
        let trigger = whole.fields.iter().find_map(|field| match &field.source {
            FieldSource::Topic { topic, is_trigger: true } => matched(topic, &arrived),
            _ => None,
        });
        let Some((captures, _)) = trigger else { return Ok(()) };
        let base = substituted(model.base.as_ref().expect("a streaming model has a base"), &captures);
        let mut frame = frame_of_model(&model.name);
        for field in &whole.fields {
            let value = match &field.source {
                FieldSource::Topic { topic, .. } => self.read(Place::Name(substituted(topic, &captures)))?,
                FieldSource::Value(Expression::Binary(_, own, _)) if is_own(own, field) => {
                    let before = self.read(Place::Name(own_place(model, &whole, field, &base, &captures)))?;
                    frame.fields.push((field.name.clone(), before));
                    let FieldSource::Value(source) = &field.source else { unreachable!("matched above") };
                    let value = self.value(source, &mut frame)?;
                    frame.fields.pop();
                    value
                }
                FieldSource::Value(Expression::Object(_)) => {
                    return Err(Stop::Unspecified(LITERAL_AS_SOURCE));
                }
                FieldSource::Value(source) => self.value(source, &mut frame)?,
                FieldSource::None | FieldSource::Children(_) => Value::Empty,
            };
            let value = as_field(value, field.kind)?;
            frame.fields.push((field.name.clone(), value));
        }
        self.publish_stream(model, &whole, &base, &captures, &frame)
    }

    fn publish_stream(
        &mut self,
        model: &Model,
        whole: &Whole<'_>,
        base: &str,
        captures: &[String],
        frame: &Frame<'_>,
    ) -> Answer<()> {
        let (qos, retain) = (whole.qos, whole.retain);
        for (field, (name, value)) in whole.fields.iter().zip(&frame.fields) {
            let is_counter = matches!(&field.source, FieldSource::Value(Expression::Binary(_, own, _)) if is_own(own, field));
            if whole.collapsed {
                if is_counter {
                    let topic = own_place(model, whole, field, base, captures);
                    self.effects.push(Effect::Keep { topic, payload: value.payload() });
                }
                continue;
            }
            match value {
                Value::Empty => {}
                Value::Null => return Err(Stop::Unspecified("a Null in a topic of its own")),
                // §9.3 has topics for nested fields, §15 takes some literals for such.
                Value::Json(_) => return Err(Stop::Unspecified("JSON in a topic of its own")),
                value => self.effects.push(Effect::Publish {
                    topic: format!("{base}/{name}"),
                    payload: value.payload(),
                    qos,
                    retain,
                }),
            }
        }
        let payload = Json::Object(members(&whole.fields, "", frame)).text().into_bytes();
        self.effects.push(Effect::Publish { topic: base.to_owned(), payload, qos, retain });
        Ok(())
    }
}

/// Returns the topic with the previous value of a field that refers to itself (§9.2; for COLLAPSED
/// models `docs/decisions`).
fn own_place(model: &Model, whole: &Whole<'_>, field: &Field, base: &str, captures: &[String]) -> String {
    if !whole.collapsed {
        return format!("{base}/{}", field.name);
    }
    let mut place = format!("$LOT/Models/{}/{}", model.name, field.name);
    for level in captures {
        place += &format!("/{level}");
    }
    place
}

fn is_own(operand: &Expression, field: &Field) -> bool {
    matches!(operand, Expression::Field(name) if *name == field.name)
}

fn frame_of_model(name: &str) -> Frame<'_> {
    Frame {
        action: "",
        filters: &[],
        variables: BTreeMap::new(),
        names: BTreeSet::from([name.to_owned()]),
        fields: Vec::new(),
        line: 0,
    }
}

fn join(within: &str, name: &str) -> String {
    if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") }
}

fn substituted(pattern: &str, captures: &[String]) -> String {
    let mut captures = captures.iter();
    let levels = pattern.split('/').map(|level| match level {
        "+" => captures.next().map_or("+", String::as_str),
        other => other,
    });
    levels.collect::<Vec<_>>().join("/")
}

/// The members of an instance, in the order of its fields.
fn members(fields: &[&Field], within: &str, frame: &Frame<'_>) -> Vec<(String, Json)> {
    let member = |field: &&Field| {
        let path = join(within, &field.name);
        if let FieldSource::Children(children) = &field.source {
            let children: Vec<&Field> = children.iter().collect();
            return (field.name.clone(), Json::Object(members(&children, &path, frame)));
        }
        let value = frame.fields.iter().find(|(name, _)| *name == path).map(|(_, value)| value);
        let json = match value {
            Some(Value::Text { text, .. }) => Json::Text(text.clone()),
            Some(value) => Json::of(value),
            None => Json::Null,
        };
        (field.name.clone(), json)
    };
    fields.iter().map(member).collect()
}

/// A value as the type of a field has it.
fn as_field(value: Value, kind: Option<Type>) -> Answer<Value> {
    match (value, kind) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Bytes(_), _) => Err(Stop::Unspecified("bytes in a field")),
        (value, Some(kind)) => cast(value, kind, &mut Vec::new()),
        (value @ Value::Text { origin: Origin::Json, .. }, None) => Ok(value),
        (Value::Text { text, origin, .. }, None) => {
            Ok(match (reading(&text), text.to_ascii_lowercase().as_str()) {
                (Some(Number::Int(value)), _) => Value::Int(value),
                (Some(Number::Double(value)), _) => Value::Double(value),
                (None, "true") => Value::Bool(true),
                (None, "false") => Value::Bool(false),
                (None, _) => Value::Text { text, origin, raw: None },
            })
        }
        (value, None) => Ok(value),
    }
}
