//! Expressions (§5).

use super::{Event, Fault, Frame, Run, crossing};
use crate::generated::json::Json;
use crate::generated::operators::{calculate, cast, compare, equal, negate, operand};
use crate::generated::tree::{Expression, Function, Operator, Transform, Type};
use crate::generated::value::{Answer, Number, Stop, Value};

fn unspecified<T>(what: &'static str) -> Answer<T> {
    Err(Stop::Unspecified(what))
}

impl<'a> Run<'a> {
    pub(super) fn value(&mut self, expression: &'a Expression, frame: &mut Frame<'a>) -> Answer<Value> {
        use Expression as E;
        Ok(match expression {
            E::Int(value) => Value::Int(*value),
            E::Double(value) => Value::Double(*value),
            E::Text(text) => Value::literal(text.clone()),
            E::Bool(value) => Value::Bool(*value),
            E::Null => Value::Null,
            E::Empty => Value::Empty,
            E::Variable(name) => frame.variables.get(name).cloned().unwrap_or(Value::Empty),
            E::Member(name, path) => {
                let document = frame.variables.get(name).cloned().unwrap_or(Value::Empty);
                member_of(&document, path)?
            }
            E::Field(path) => field(path, frame)?,
            E::Payload => self.payload(),
            E::Topic => self.message.as_ref().map_or(Value::Empty, |(topic, _)| Value::data(topic.clone())),
            E::Result => match &self.result {
                Some(result) => result.clone(),
                None => return unspecified("RESULT of a call without one output"),
            },
            E::Session(word) => self.session(word)?,
            E::Position(number) => match self.value(number, frame)? {
                Value::Int(number) => self.position(number),
                _ => return unspecified("a position that is no INT"),
            },
            E::GetTopic(topic) => {
                let place = self.topic(topic, frame)?;
                self.read(place)?
            }
            E::TopicExists(topic) => match self.topic(topic, frame)? {
                super::Place::Name(topic) => Value::Bool(self.world.retained.contains_key(&topic)),
                super::Place::NoCapture => Value::Bool(false),
            },
            E::GetJson { path, source } => {
                let document = match source {
                    Some(source) => self.value(source, frame)?,
                    None => self.payload(),
                };
                member_of(&document, path)?
            }
            E::GetEnv(name) => {
                self.world.environment.get(name).map_or(Value::Empty, |value| Value::data(value.clone()))
            }
            E::Timestamp(pattern) => timestamp(*pattern),
            E::Random(number) => Value::Int(*number),
            E::Negate(operand) => {
                let operand = self.value(operand, frame)?;
                self.noting(frame, |notes| negate(&operand, notes))?
            }
            E::Not(operand) => Value::Bool(!self.value(operand, frame)?.truth()?),
            // However it is spelt, it is the question of §4.
            // With EMPTY on either side emptiness is asked for.
            E::Binary(operator @ (Operator::Equal | Operator::NotEqual), left, right)
                if matches!(**left, E::Empty) || matches!(**right, E::Empty) =>
            {
                let value = if matches!(**right, E::Empty) { left } else { right };
                Value::Bool(self.value(value, frame)?.is_empty() == (*operator == Operator::Equal))
            }
            E::Binary(operator, left, right) => self.binary(*operator, left, right, frame)?,
            E::IsEmpty { value, negated } => Value::Bool(self.value(value, frame)?.is_empty() != *negated),
            E::MatchesRegex(value, pattern) => {
                let text = self.value(value, frame)?.text();
                Value::Bool(regex(pattern).is_match(&text).unwrap_or(false))
            }
            E::In(sought, candidates) => {
                let value = self.value(sought, frame)?;
                Value::Bool(self.is_one_of(&value, candidates, frame)?)
            }
            E::Cast(operand, Type::Bytes) => match operand.as_ref() {
                E::Payload => {
                    self.message.as_ref().map_or(Value::Empty, |(_, payload)| Value::Bytes(payload.clone()))
                }
                _ => return unspecified("bytes of anything but the payload"),
            },
            E::Cast(operand, to) => {
                let value = self.value(operand, frame)?;
                self.noting(frame, |notes| cast(value, *to, notes))?
            }
            E::If { condition, then, otherwise } => {
                if self.value(condition, frame)?.truth()? {
                    self.value(then, frame)?
                } else {
                    match otherwise {
                        Some(otherwise) => self.value(otherwise, frame)?,
                        None => Value::Empty,
                    }
                }
            }
            E::Object(members) => {
                let mut object = Vec::new();
                for (key, value) in members {
                    object.push((key.clone(), Json::of(&self.value(value, frame)?)));
                }
                Value::Json(Json::Object(object))
            }
            E::Array(elements) => {
                let mut array = Vec::new();
                for element in elements {
                    array.push(Json::of(&self.value(element, frame)?));
                }
                Value::Json(Json::Array(array))
            }
            E::Apply(transform, operand) => self.transform(transform, operand, frame)?,
            E::Function(function, arguments) => self.function(*function, arguments, frame)?,
        })
    }

    /// Whether one of several is equal, as `==` has it; those behind it are not evaluated
    /// (`docs/decisions`).
    pub(super) fn is_one_of(
        &mut self,
        value: &Value,
        candidates: &'a [Expression],
        frame: &mut Frame<'a>,
    ) -> Answer<bool> {
        for candidate in candidates {
            let found = self.value(candidate, frame)?;
            let is_equal = match candidate {
                Expression::Empty => value.is_empty(),
                _ => equal(value, &found)?,
            };
            if is_equal {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Evaluates with a place for notes, and tells them.
    fn noting(
        &mut self,
        frame: &Frame<'_>,
        work: impl FnOnce(&mut Vec<crate::generated::operators::Note>) -> Answer<Value>,
    ) -> Answer<Value> {
        let mut notes = Vec::new();
        let value = work(&mut notes);
        self.tell(notes, frame);
        value
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &'a Expression,
        right: &'a Expression,
        frame: &mut Frame<'a>,
    ) -> Answer<Value> {
        let mut left = self.value(left, frame)?;
        match operator {
            Operator::And | Operator::Or => {
                let left = left.truth()?;
                if left == (operator == Operator::Or) {
                    return Ok(Value::Bool(left));
                }
                return Ok(Value::Bool(self.value(right, frame)?.truth()?));
            }
            _ => {}
        }
        let mut right = self.value(right, frame)?;
        if self.fault == Some(Fault::LiteralsAddUp) {
            (left, right) = (crossing(left), crossing(right));
        }
        if let (Some(Fault::SumsWrap), Operator::Add, Value::Int(left), Value::Int(right)) =
            (self.fault, operator, &left, &right)
        {
            return Ok(Value::Int(left.wrapping_add(*right)));
        }
        self.noting(frame, |notes| match operator {
            Operator::Add
            | Operator::Subtract
            | Operator::Multiply
            | Operator::Divide
            | Operator::Remainder => calculate(operator, &left, &right, notes),
            _ => compare(operator, &left, &right, notes).map(Value::Bool),
        })
    }

    fn transform(
        &mut self,
        transform: &'a Transform,
        operand: &'a Expression,
        frame: &mut Frame<'a>,
    ) -> Answer<Value> {
        let operand = self.value(operand, frame)?;
        let replaced = match transform {
            Transform::Replace(search, replacement) => {
                Some((self.value(search, frame)?.text(), self.value(replacement, frame)?.text()))
            }
            _ => None,
        };
        let text = operand.text();
        let piece = |found: Option<&str>| found.map_or(Value::Empty, Value::data);
        Ok(match transform {
            Transform::FilterRegex(pattern) => match regex(pattern).captures(&text).ok().flatten() {
                Some(found) => piece(found.name("value").or(found.get(0)).map(|part| part.as_str())),
                None => Value::Empty,
            },
            Transform::FilterCsv(number) => piece(text.split(',').nth(*number as usize - 1)),
            Transform::Replace(..) => {
                let (search, replacement) = replaced.expect("evaluated above");
                Value::data(if search.is_empty() { text } else { text.replace(&search, &replacement) })
            }
            Transform::Trim => Value::data(text.trim()),
            Transform::Split { separator, at: Some(at) } => {
                piece(text.split(separator).nth(*at as usize - 1))
            }
            Transform::Split { separator, at: None } => Value::Json(Json::Array(
                text.split(separator).map(|piece| Json::Text(piece.to_owned())).collect(),
            )),
            Transform::Upper | Transform::Lower => letters(matches!(transform, Transform::Upper), &text),
        })
    }

    fn function(
        &mut self,
        function: Function,
        arguments: &'a [Expression],
        frame: &mut Frame<'a>,
    ) -> Answer<Value> {
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.value(argument, frame)?);
        }
        if matches!(function, Function::Min | Function::Max) {
            let last = values[values.len() - 1].clone();
            values.retain(|value| !matches!(value, Value::Empty | Value::Null));
            if values.is_empty() {
                values.push(last);
            }
        }
        let first = &values[0];
        match function {
            Function::Upper | Function::Lower => Ok(letters(function == Function::Upper, &first.text())),
            Function::Length => match first {
                Value::Empty | Value::Null => Ok(Value::Int(0)),
                Value::Json(Json::Array(elements)) => Ok(Value::Int(elements.len() as i64)),
                Value::Json(Json::Object(members)) => Ok(Value::Int(members.len() as i64)),
                Value::Bytes(_) => unspecified("LENGTH of bytes"),
                other => Ok(Value::Int(other.text().chars().count() as i64)),
            },
            _ => {
                let mut notes = Vec::new();
                let numbers: Result<Vec<Number>, _> =
                    values.iter().map(|value| operand(value, &mut notes)).collect();
                self.tell(notes, frame);
                let numbers = numbers?;
                if numbers.iter().any(|number| !number.as_double().is_finite()) {
                    return unspecified("a function of what is not finite");
                }
                calculated(function, &numbers)
            }
        }
    }

    fn session(&self, word: &str) -> Answer<Value> {
        let subscription = matches!(self.event, Event::Subscribed);
        Ok(match word {
            "CLIENTID" => Value::data("c7"),
            "USER" => Value::data("bob"),
            "ENDPOINT" => Value::data("10.0.0.9:5123"),
            "CLEANSESSION" => Value::Bool(true),
            "DISCONNECTREASON" => Value::data("normal"),
            "SUBSCRIBETOPIC" if subscription => Value::data("a/+/b"),
            "SUBSCRIBEQOS" if subscription => Value::Int(1),
            _ => return unspecified("a word of another trigger"),
        })
    }
}

fn letters(upper: bool, text: &str) -> Value {
    Value::data(if upper { text.to_uppercase() } else { text.to_lowercase() })
}

fn calculated(function: Function, numbers: &[Number]) -> Answer<Value> {
    let first = numbers[0];
    let pick = |take: fn(f64, f64) -> bool| {
        let better =
            |best: Number, next: &Number| if take(next.as_double(), best.as_double()) { *next } else { best };
        numbers.iter().skip(1).fold(first, better)
    };
    let of_double = |of: fn(f64) -> f64| match first {
        Number::Int(_) => Ok(first.into()),
        Number::Double(value) if value.abs() < 9e15 => Ok(Value::Int(of(value) as i64)),
        Number::Double(_) => unspecified("rounding beyond 64 bits"),
    };
    match function {
        Function::Abs => match first {
            Number::Int(value) => {
                value.checked_abs().map_or(unspecified("ABS beyond 64 bits"), |value| Ok(Value::Int(value)))
            }
            Number::Double(value) => Ok(Value::Double(value.abs())),
        },
        Function::Round => of_double(f64::round),
        Function::Floor => of_double(f64::floor),
        Function::Ceil => of_double(f64::ceil),
        Function::Sqrt if first.as_double() < 0.0 => Ok(Value::Null),
        Function::Sqrt => Ok(Value::Double(first.as_double().sqrt())),
        Function::Min => Ok(pick(|next, best| next < best).into()),
        Function::Max => Ok(pick(|next, best| next > best).into()),
        Function::Upper | Function::Lower | Function::Length => unspecified("no function of numbers"),
    }
}

/// `GET JSON path IN document`.
fn member_of(document: &Value, path: &str) -> Answer<Value> {
    let parsed = match document {
        Value::Json(json) => Some(json.clone()),
        Value::Text { text, .. } => Json::parse(text),
        Value::Empty | Value::Null => None,
        Value::Bytes(_) => return unspecified("GET JSON in bytes"),
        other => Json::parse(&other.text()),
    };
    Ok(parsed.as_ref().and_then(|json| json.at(path)).map_or(Value::Null, |node| node.clone().into_value()))
}

/// A field by its path: a sibling, or a member of one.
fn field(path: &str, frame: &Frame<'_>) -> Answer<Value> {
    match frame.fields.iter().rev().find(|(name, _)| name == path) {
        Some((_, value)) => Ok(value.clone()),
        None => unspecified("a field that is evaluated later"),
    }
}

/// The clock stands at 2026-01-15T10:30:00.123Z, a Thursday.
fn timestamp(pattern: Option<&str>) -> Value {
    match pattern {
        Some("UNIX") => Value::Int(1_768_473_000),
        Some("UNIX-MS" | "UNIX_MS") => Value::Int(1_768_473_000_123),
        Some("HOUR") => Value::Int(10),
        Some("YEAR") => Value::Int(2026),
        Some("UTC") => Value::data("2026-01-15 10:30:00"),
        Some("dd.MM.yyyy") => Value::data("15.01.2026"),
        _ => Value::data("2026-01-15T10:30:00.123Z"),
    }
}

fn regex(pattern: &str) -> fancy_regex::Regex {
    fancy_regex::Regex::new(pattern).expect("a generated pattern is valid")
}
