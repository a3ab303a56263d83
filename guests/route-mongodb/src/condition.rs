//! Conditions after `WHERE`: `field = 'text' AND other >= {payload.json.v} …`.
//!
//! A value is always an operand, as in `{"field": {"$eq": …}}`. An object in a payload, such as
//! `{"$gt": ""}`, is compared and never executed.

use bson::{RawArrayBuf, RawBson, RawDocumentBuf, oid::ObjectId};

use crate::bson_value::append;
use crate::node::{Missing, Node};
use crate::symbols::{Cursor, Symbol, Values, push};

/// A comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    field: String,
    /// Name of the operator, such as `$gte`.
    operator: &'static str,
    operand: Node,
}

/// Reads conditions with `AND` between them.
///
/// # Errors
/// Why they are none.
pub(crate) fn parse(cursor: &mut Cursor) -> Result<Vec<Condition>, String> {
    let mut conditions = vec![condition(cursor)?];
    while cursor.takes_word("AND") {
        conditions.push(condition(cursor)?);
    }
    if cursor.takes_word("OR") {
        return Err("has OR, which conditions do not have; write {\"$or\": [ … ]}".to_owned());
    }
    Ok(conditions)
}

/// The filter that conditions are for a message.
///
/// # Errors
/// A value is not there.
pub(crate) fn filter(conditions: &[Condition], values: Values<'_>) -> Result<RawDocumentBuf, String> {
    let mut each = Vec::new();
    for condition in conditions {
        each.push(condition.filter(values)?);
    }
    if each.len() == 1 {
        return Ok(each.remove(0));
    }
    let mut all = RawArrayBuf::new();
    each.into_iter().for_each(|filter| all.push(filter));
    let mut filter = RawDocumentBuf::new();
    append(&mut filter, "$and", RawBson::Array(all))?;
    Ok(filter)
}

impl Condition {
    fn filter(&self, values: Values<'_>) -> Result<RawDocumentBuf, String> {
        let operand = self.operand.value(values, Missing::Refused)?;
        let (operator, operand) = match object_id(&self.field, &operand) {
            Some(id) => of_id(self.operator, id, operand),
            None => (self.operator, operand),
        };
        let (mut comparison, mut filter) = (RawDocumentBuf::new(), RawDocumentBuf::new());
        append(&mut comparison, operator, operand)?;
        append(&mut filter, &self.field, RawBson::Document(comparison))?;
        Ok(filter)
    }
}

/// The ObjectId that a text which is compared with `_id` is, as results show them.
fn object_id(field: &str, operand: &RawBson) -> Option<ObjectId> {
    match operand {
        RawBson::String(text) if field == "_id" => ObjectId::parse_str(text).ok(),
        _ => None,
    }
}

/// A comparison with an ObjectId that may have been stored as a text as well.
fn of_id(operator: &'static str, id: ObjectId, text: RawBson) -> (&'static str, RawBson) {
    let several = match operator {
        "$eq" => "$in",
        "$ne" => "$nin",
        operator => return (operator, RawBson::ObjectId(id)),
    };
    let mut both = RawArrayBuf::new();
    both.push(id);
    both.push(text);
    (several, RawBson::Array(both))
}

fn condition(cursor: &mut Cursor) -> Result<Condition, String> {
    let field = cursor.word();
    match field.chars().next() {
        None => return Err(format!("has {} where a field stands", cursor.ahead())),
        Some('$') => return Err(format!("has '{field}' where a field stands")),
        Some(_) => {}
    }
    let operator = operator(cursor).ok_or_else(|| {
        format!("has {} behind '{field}', where one of = != > >= < <= stands", cursor.ahead())
    })?;
    let operand = operand(cursor)?;
    Ok(Condition { field, operator, operand })
}

fn operator(cursor: &mut Cursor) -> Option<&'static str> {
    cursor.skip_blanks();
    let Some(Symbol::Char(first @ ('=' | '!' | '<' | '>'))) = cursor.peek() else { return None };
    cursor.next();
    let second = match cursor.peek() {
        Some(Symbol::Char(second @ ('=' | '>'))) => Some(second),
        Some(_) | None => None,
    };
    let operator = match (first, second) {
        ('=', Some('=')) => "$eq",
        ('!', Some('=')) | ('<', Some('>')) => "$ne",
        ('>', Some('=')) => "$gte",
        ('<', Some('=')) => "$lte",
        ('=', None) => return Some("$eq"),
        ('>', None) => return Some("$gt"),
        ('<', None) => return Some("$lt"),
        _ => return None,
    };
    cursor.next();
    Some(operator)
}

fn operand(cursor: &mut Cursor) -> Result<Node, String> {
    cursor.skip_blanks();
    match cursor.peek() {
        Some(Symbol::Hole(hole)) => {
            cursor.next();
            Ok(Node::Hole(hole))
        }
        Some(Symbol::Char(quote @ ('\'' | '"'))) => quoted(cursor, quote),
        Some(Symbol::Char('{' | '[')) => {
            Err("has an object or an array where a value stands: without WHERE a filter of JSON is taken"
                .to_owned())
        }
        Some(Symbol::Char(_)) => {
            let ahead = cursor.ahead();
            let word = cursor.word();
            let lower = word.to_ascii_lowercase();
            let plain = match lower.as_str() {
                "null" | "true" | "false" => lower,
                _ => word,
            };
            let number = serde_json::from_str::<serde_json::Value>(&plain).ok();
            match number {
                Some(serde_json::Value::Null) => Ok(Node::Null),
                Some(serde_json::Value::Bool(is)) => Ok(Node::Boolean(is)),
                Some(serde_json::Value::Number(number)) => Ok(match number.as_i64() {
                    Some(whole) => Node::Whole(whole),
                    None => Node::Double(number.as_f64().unwrap_or(f64::NAN)),
                }),
                _ => Err(format!("has {ahead} where a value stands: a text stands between single quotes")),
            }
        }
        None => Err("ends where a value stands".to_owned()),
    }
}

/// A text between quotes, which are doubled within it.
fn quoted(cursor: &mut Cursor, quote: char) -> Result<Node, String> {
    let mut pieces = Vec::new();
    cursor.next();
    loop {
        let symbol = cursor.next().ok_or("has a text that does not end")?;
        if symbol == Symbol::Char(quote) {
            if cursor.peek() != Some(Symbol::Char(quote)) {
                return Ok(Node::Text(pieces));
            }
            cursor.next();
        }
        push(&mut pieces, symbol);
    }
}
