//! JSON of a definition, with placeholders for values of a message. The route fixes its structure
//! at the start: a value never becomes structure.
//!
//! It also knows MongoDB's Extended JSON (v2) for types that JSON lacks: `{"$oid": …}`,
//! `{"$date": …}`, `{"$numberLong": …}`, `{"$numberDecimal": …}`. These count in the definition
//! alone, and never in a message.

use bson::{DateTime, Decimal128, RawArrayBuf, RawBson, RawDocumentBuf, oid::ObjectId};
use lotmq_guest::route::{Value, text_of};
use serde_json::Value as Json;

use crate::bson_value::{append, value_of, whole_number};
use crate::limits::DEPTH_MAX;
use crate::symbols::{Cursor, Hole, Piece, Symbol, Values, push};

/// A value of JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Boolean(bool),
    Whole(i64),
    Double(f64),
    Text(Vec<Piece>),
    Hole(Hole),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
    /// A type of Extended JSON, of what stands behind its key.
    Typed(Extended, Box<Node>),
}

/// Types that JSON lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Extended {
    ObjectId,
    Date,
    Long,
    Decimal,
}

impl Extended {
    fn of(key: &str) -> Option<Extended> {
        match key {
            "$oid" => Some(Extended::ObjectId),
            "$date" => Some(Extended::Date),
            "$numberLong" => Some(Extended::Long),
            "$numberDecimal" => Some(Extended::Decimal),
            _ => None,
        }
    }
}

/// Meaning of a missing value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Missing {
    /// `null`, in what is stored.
    Null,
    /// A mistake, in what is compared with.
    Refused,
}

impl Node {
    /// Reads a value.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Node, String> {
        parsed(cursor, DEPTH_MAX)
    }

    /// Whether a value of a message stands in it.
    pub(crate) fn has_holes(&self) -> bool {
        match self {
            Node::Null | Node::Boolean(_) | Node::Whole(_) | Node::Double(_) => false,
            Node::Text(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Hole(_))),
            Node::Hole(_) => true,
            Node::Array(elements) => elements.iter().any(Node::has_holes),
            Node::Object(members) => members.iter().any(|(_, member)| member.has_holes()),
            Node::Typed(_, inner) => inner.has_holes(),
        }
    }

    /// The value for a message.
    ///
    /// # Errors
    /// Why the message can have none.
    pub(crate) fn value(&self, values: Values<'_>, missing: Missing) -> Result<RawBson, String> {
        Ok(match self {
            Node::Null => RawBson::Null,
            Node::Boolean(is) => RawBson::Boolean(*is),
            Node::Whole(number) => whole_number(*number),
            Node::Double(number) => RawBson::Double(*number),
            Node::Text(pieces) => {
                if let ([Piece::Hole(hole)], Missing::Refused) = (&**pieces, missing) {
                    values.present(*hole)?;
                }
                RawBson::String(values.joined(pieces))
            }
            Node::Hole(hole) => match missing {
                Missing::Null => value_of_hole(values.get(*hole), *hole)?,
                Missing::Refused => value_of_hole(values.present(*hole)?, *hole)?,
            },
            Node::Array(elements) => {
                let mut array = RawArrayBuf::new();
                for element in elements {
                    array.push(element.value(values, missing)?);
                }
                RawBson::Array(array)
            }
            Node::Object(members) => RawBson::Document(document(members, values, missing)?),
            Node::Typed(kind, inner) => typed(*kind, &inner.value(values, missing)?)?,
        })
    }

    /// The value for a message, which has to be a document.
    ///
    /// # Errors
    /// Why the message has none.
    pub(crate) fn document(&self, values: Values<'_>, missing: Missing) -> Result<RawDocumentBuf, String> {
        match self.value(values, missing)? {
            RawBson::Document(document) => Ok(document),
            _ => Err("the document is not a JSON object".to_owned()),
        }
    }
}

fn document(
    members: &[(String, Node)],
    values: Values<'_>,
    missing: Missing,
) -> Result<RawDocumentBuf, String> {
    let mut document = RawDocumentBuf::new();
    for (key, member) in members {
        append(&mut document, key, member.value(values, missing)?)?;
    }
    Ok(document)
}

fn value_of_hole(value: &Value, hole: Hole) -> Result<RawBson, String> {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).ok();
    Ok(match value {
        Value::Empty | Value::Null => RawBson::Null,
        Value::Boolean(is) => RawBson::Boolean(*is),
        Value::Integer(number) => whole_number(*number),
        Value::Double(number) => RawBson::Double(*number),
        Value::Json(json) => value_of(&parsed(json).unwrap_or_default())?,
        Value::Text(text) => match parsed(text).filter(|_| hole.is_payload) {
            Some(json) => value_of(&json)?,
            None => RawBson::String(text.clone()),
        },
        Value::Bytes(bytes) => RawBson::Binary(bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: bytes.clone(),
        }),
        Value::Time(milliseconds) => RawBson::DateTime(DateTime::from_millis(*milliseconds)),
    })
}

fn typed(kind: Extended, inner: &RawBson) -> Result<RawBson, String> {
    let text = match inner {
        RawBson::String(text) => text.clone(),
        RawBson::Int32(number) => number.to_string(),
        RawBson::Int64(number) => number.to_string(),
        RawBson::Double(number) => text_of(&Value::Double(*number)),
        RawBson::DateTime(_) if kind == Extended::Date => return Ok(inner.clone()),
        _ => String::new(),
    };
    let found = match kind {
        Extended::ObjectId => ObjectId::parse_str(&text).ok().map(RawBson::ObjectId),
        Extended::Date => match text.parse().ok() {
            Some(milliseconds) => Some(DateTime::from_millis(milliseconds)),
            None => DateTime::parse_rfc3339_str(&text).ok(),
        }
        .map(RawBson::DateTime),
        Extended::Long => text.parse().ok().map(RawBson::Int64),
        Extended::Decimal => text.parse::<Decimal128>().ok().map(RawBson::Decimal128),
    };
    let what = match kind {
        Extended::ObjectId => "an ObjectId of 24 hexadecimal digits",
        Extended::Date => "a time such as 2026-01-05T10:00:00Z",
        Extended::Long => "a whole number of 64 bits",
        Extended::Decimal => "a decimal",
    };
    found.ok_or_else(|| format!("'{}' is not {what}", text.chars().take(40).collect::<String>()))
}

fn parsed(cursor: &mut Cursor, levels: usize) -> Result<Node, String> {
    let levels = levels.checked_sub(1).ok_or("nests too deep")?;
    cursor.skip_blanks();
    match cursor.peek() {
        Some(Symbol::Hole(hole)) => {
            cursor.next();
            Ok(Node::Hole(hole))
        }
        Some(Symbol::Char('"')) => Ok(Node::Text(text(cursor)?)),
        Some(Symbol::Char('{')) => object(cursor, levels),
        Some(Symbol::Char('[')) => array(cursor, levels),
        Some(Symbol::Char(_)) => {
            let ahead = cursor.ahead();
            plain(&cursor.word()).ok_or(format!("has {ahead} where a value of JSON stands"))
        }
        None => Err("ends where a value of JSON stands".to_owned()),
    }
}

/// A number, `true`, `false` or `null`.
fn plain(word: &str) -> Option<Node> {
    Some(match serde_json::from_str::<Json>(word).ok()? {
        Json::Null => Node::Null,
        Json::Bool(is) => Node::Boolean(is),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Node::Whole(whole),
            None => Node::Double(number.as_f64()?),
        },
        Json::String(_) | Json::Array(_) | Json::Object(_) => return None,
    })
}

fn object(cursor: &mut Cursor, levels: usize) -> Result<Node, String> {
    let mut members = Vec::new();
    cursor.takes('{');
    if cursor.takes('}') {
        return Ok(Node::Object(members));
    }
    loop {
        cursor.skip_blanks();
        if cursor.peek() != Some(Symbol::Char('"')) {
            return Err(format!("has {} where the name of a field stands, in double quotes", cursor.ahead()));
        }
        let key = match text(cursor)?.as_slice() {
            [] => String::new(),
            [Piece::Text(key)] => key.clone(),
            _ => return Err("has a placeholder in the name of a field".to_owned()),
        };
        if !cursor.takes(':') {
            return Err(format!("has {} where the ':' behind \"{key}\" stands", cursor.ahead()));
        }
        members.push((key, parsed(cursor, levels)?));
        if cursor.takes('}') {
            break;
        }
        if !cursor.takes(',') {
            return Err(format!("has {} where ',' or '}}' stands", cursor.ahead()));
        }
    }
    match members.as_slice() {
        [(key, _)] => match Extended::of(key) {
            Some(kind) => {
                let inner = members.pop().map_or(Node::Null, |(_, inner)| inner);
                let node = Node::Typed(kind, Box::new(inner));
                if !node.has_holes() {
                    // Errors in the definition are reported when the route starts.
                    let nothing = lotmq_guest::route::Template::plain("QUERY", "");
                    node.value(Values::new(&[], &nothing), Missing::Null)?;
                }
                Ok(node)
            }
            None => Ok(Node::Object(members)),
        },
        _ => Ok(Node::Object(members)),
    }
}

fn array(cursor: &mut Cursor, levels: usize) -> Result<Node, String> {
    let mut elements = Vec::new();
    cursor.takes('[');
    if cursor.takes(']') {
        return Ok(Node::Array(elements));
    }
    loop {
        elements.push(parsed(cursor, levels)?);
        if cursor.takes(']') {
            return Ok(Node::Array(elements));
        }
        if !cursor.takes(',') {
            return Err(format!("has {} where ',' or ']' stands", cursor.ahead()));
        }
    }
}

/// A text of JSON.
fn text(cursor: &mut Cursor) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    cursor.next();
    let ends = || "has a text that does not end".to_owned();
    loop {
        match cursor.next().ok_or_else(ends)? {
            Symbol::Char('"') => return Ok(pieces),
            Symbol::Char('\\') => {
                for c in escaped(cursor)?.chars() {
                    push(&mut pieces, Symbol::Char(c));
                }
            }
            symbol => push(&mut pieces, symbol),
        }
    }
}

/// Decodes an escape after its backslash.
fn escaped(cursor: &mut Cursor) -> Result<String, String> {
    let wrong = || "has an escape that JSON does not have".to_owned();
    let mut escape = String::from("\"\\");
    let mut take = |escape: &mut String, count: usize| {
        for _ in 0..count {
            match cursor.next() {
                Some(Symbol::Char(c)) => escape.push(c),
                Some(Symbol::Hole(_)) | None => return Err(wrong()),
            }
        }
        Ok(())
    };
    take(&mut escape, 1)?;
    if escape.ends_with('u') {
        take(&mut escape, 4)?;
        // The first half of a character beyond the first plane.
        if escape[3..].to_ascii_lowercase().starts_with(['d'])
            && matches!(escape.as_bytes().get(4), Some(b'8'..=b'9' | b'a'..=b'b' | b'A'..=b'B'))
        {
            take(&mut escape, 6)?;
        }
    }
    escape.push('"');
    serde_json::from_str(&escape).map_err(|_| wrong())
}
