//! Models: schemas for PUBLISH MODEL, and one that runs by itself.

use super::Generator;
use crate::generated::tree::{Event, Expression, Field, FieldSource, Model, Operator, Program, Type};

/// Types of fields; none is the v1 form.
const KINDS: &[Option<Type>] =
    &[None, Some(Type::String), Some(Type::Int), Some(Type::Double), Some(Type::Bool)];

impl Generator {
    /// One or two schemas, the second of which may be a child of the first.
    pub(super) fn schemas(&mut self) -> Vec<Model> {
        let mut models: Vec<Model> = Vec::new();
        for number in 0..self.random.between(1, 2) {
            let parent =
                if number > 0 && self.random.one_in(2) { Some(models[0].name.clone()) } else { None };
            let mut known: Vec<String> = Vec::new();
            if parent.is_some() {
                known.extend(self.scope.models[0].1.iter().cloned());
            }
            let fields = self.fields(&mut known);
            let name = format!("Model{number}");
            let options = (self.random.one_in(2), self.random.one_in(4));
            let qos = if self.random.one_in(4) { Some(self.random.below(3) as u8) } else { None };
            self.scope.models.push((name.clone(), known));
            models.push(Model {
                name,
                parent,
                base: None,
                collapsed: options.0,
                retain: options.1,
                qos,
                fields,
            });
        }
        models
    }

    /// Fields; `known` are those that are there already, and gets the new ones.
    fn fields(&mut self, known: &mut Vec<String>) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        for name in ["id", "v", "w", "on"] {
            if name != "id" && self.random.one_in(3) {
                continue;
            }
            let source = match self.random.below(3) {
                _ if name == "id" => FieldSource::None,
                0 => FieldSource::None,
                1 => self.without_action(Vec::new(), |generator| FieldSource::Value(generator.leaf())),
                _ => {
                    let siblings = fields.iter().map(|field| field.name.clone()).collect();
                    self.without_action(siblings, |generator| FieldSource::Value(generator.expression(2)))
                }
            };
            fields.push(Field { name: name.to_owned(), kind: self.random.pick(KINDS), source });
            if !known.iter().any(|known| known == name) {
                known.push(name.to_owned());
            }
        }
        if self.random.one_in(3) && !known.iter().any(|known| known.starts_with("o.")) {
            let child = |name: &str, kind| Field { name: name.to_owned(), kind, source: FieldSource::None };
            let children = vec![child("p", self.random.pick(KINDS)), child("q", Some(Type::Int))];
            known.extend(["o.p".to_owned(), "o.q".to_owned()]);
            let source = FieldSource::Children(children);
            fields.push(Field { name: "o".to_owned(), kind: Some(Type::Object), source });
        }
        fields
    }

    /// Generates where only fields have names.
    fn without_action<T>(&mut self, fields: Vec<String>, make: impl FnOnce(&mut Generator) -> T) -> T {
        let scope = std::mem::take(&mut self.scope);
        self.scope.fields = Some(fields);
        let made = make(self);
        self.scope = scope;
        made
    }

    /// A model with a base topic and triggers, and messages for it (§9.3, §9.4).
    pub(super) fn streaming_model(&mut self) -> Program {
        let wildcards = self.random.below(3);
        let (trigger, other, base) = match wildcards {
            0 => ("raw/w", "raw/h", "e"),
            1 => ("s/+/t", "s/+/h", if self.random.one_in(3) { "all" } else { "out/+" }),
            _ => ("s/+/t/+", "s/+/h/+", "out/+/+"),
        };
        let of_topic = |topic: &str, is_trigger| FieldSource::Topic { topic: topic.to_owned(), is_trigger };
        let kind = self.random.pick(KINDS);
        let mut fields = vec![Field { name: "t".to_owned(), kind, source: of_topic(trigger, true) }];
        if self.random.one_in(2) {
            let is_trigger = self.random.one_in(2);
            let kind = self.random.pick(KINDS);
            fields.push(Field { name: "h".to_owned(), kind, source: of_topic(other, is_trigger) });
        }
        if self.random.one_in(2) {
            let own = Expression::Field("n".to_owned());
            let one_more = Expression::Binary(Operator::Add, Box::new(own), Box::new(Expression::Int(1)));
            let source = FieldSource::Value(one_more);
            fields.push(Field { name: "n".to_owned(), kind: Some(Type::Int), source });
        }
        for name in ["x", "y"] {
            if self.random.one_in(2) {
                let siblings = fields.iter().map(|field| field.name.clone()).collect();
                let source =
                    self.without_action(siblings, |generator| FieldSource::Value(generator.expression(2)));
                fields.push(Field { name: name.to_owned(), kind: self.random.pick(KINDS), source });
            }
        }
        let model = Model {
            name: "Stream".to_owned(),
            parent: None,
            base: Some(base.to_owned()),
            collapsed: self.random.one_in(2),
            retain: self.random.one_in(4),
            qos: if self.random.one_in(4) { Some(self.random.below(3) as u8) } else { None },
            fields,
        };
        let events = (0..self.random.between(2, 5)).map(|_| self.stream_event(trigger, other)).collect();
        Program {
            actions: Vec::new(),
            models: vec![model],
            events,
            topics: Vec::new(),
            retained: Vec::new(),
            spelling: self.random.next(),
        }
    }

    fn stream_event(&mut self, trigger: &str, other: &str) -> Event {
        let pattern = if self.random.one_in(3) { other } else { trigger };
        let levels: Vec<&str> = pattern
            .split('/')
            .map(|level| if level == "+" { self.random.pick(&["a", "b", "7"]) } else { level })
            .collect();
        Event::Message { topic: levels.join("/"), payload: self.payload(), from_client: true }
    }
}
