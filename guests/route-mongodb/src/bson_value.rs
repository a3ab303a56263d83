//! Values of JSON as values of BSON, and of BSON as JSON.
//!
//! Into the database: whole numbers are `int`, or `long` or `decimal` where they need it, others
//! `double`; a text is a text, also one that looks like a time. Out of it, as the routes reference
//! (§4.1) has results: plain JSON, with an ObjectId as its hexadecimal digits, a date as ISO 8601,
//! a decimal as a number with all of its digits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::raw::CStr;
use bson::spec::BinarySubtype;
use bson::{Decimal128, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use serde_json::{Map, Number, Value as Json};

use crate::limits::DEPTH_MAX;

/// A JSON object as a document.
///
/// # Errors
/// Why it can be none.
pub(crate) fn document_of(object: &Map<String, Json>) -> Result<RawDocumentBuf, String> {
    document_within(object, DEPTH_MAX)
}

/// A JSON value as one of BSON.
///
/// # Errors
/// Why it can be none.
pub(crate) fn value_of(json: &Json) -> Result<RawBson, String> {
    value_within(json, DEPTH_MAX)
}

fn document_within(object: &Map<String, Json>, levels: usize) -> Result<RawDocumentBuf, String> {
    let levels = levels.checked_sub(1).ok_or_else(too_deep)?;
    let mut document = RawDocumentBuf::new();
    for (key, value) in object {
        append(&mut document, key, value_within(value, levels)?)?;
    }
    Ok(document)
}

fn value_within(json: &Json, levels: usize) -> Result<RawBson, String> {
    Ok(match json {
        Json::Null => RawBson::Null,
        Json::Bool(is) => RawBson::Boolean(*is),
        Json::Number(number) => number_of(number)?,
        Json::String(text) => RawBson::String(text.clone()),
        Json::Array(elements) => {
            let levels = levels.checked_sub(1).ok_or_else(too_deep)?;
            let mut array = RawArrayBuf::new();
            for element in elements {
                array.push(value_within(element, levels)?);
            }
            RawBson::Array(array)
        }
        Json::Object(object) => RawBson::Document(document_within(object, levels)?),
    })
}

fn too_deep() -> String {
    format!("it has more than {DEPTH_MAX} levels")
}

/// A number: whole ones beyond 64 bits are decimals of 34 digits, so that no digit is lost.
fn number_of(number: &Number) -> Result<RawBson, String> {
    if let Some(whole) = number.as_i64() {
        return Ok(whole_number(whole));
    }
    let digits = number.to_string();
    let is_whole = !digits.contains(['.', 'e', 'E']);
    if is_whole && let Ok(decimal) = digits.parse::<Decimal128>() {
        return Ok(RawBson::Decimal128(decimal));
    }
    let double = digits.parse::<f64>().ok().filter(|double| double.is_finite() && !is_whole);
    double.map(RawBson::Double).ok_or_else(|| format!("no number of MongoDB holds {digits}"))
}

/// A whole number in the smaller of the two types that it fits into.
pub(crate) fn whole_number(number: i64) -> RawBson {
    i32::try_from(number).map_or(RawBson::Int64(number), RawBson::Int32)
}

/// Adds a field to a document.
///
/// # Errors
/// Its name has a NUL in it.
pub(crate) fn append(document: &mut RawDocumentBuf, key: &str, value: RawBson) -> Result<(), String> {
    let key: &CStr = key.try_into().map_err(|_| "the name of a field has a NUL in it".to_owned())?;
    document.append(key, value);
    Ok(())
}

/// A number of a document that has no fraction, of whatever type; `None` where there is none.
pub(crate) fn whole(document: &RawDocument, key: &str) -> Option<i64> {
    match document.get(key).ok()?? {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) if number.fract() == 0.0 => Some(number as i64),
        _ => None,
    }
}

/// Returns whether a member of a document is true: a truth value, or a number that is not 0.
pub(crate) fn is_true(document: &RawDocument, key: &str) -> bool {
    match document.get(key) {
        Ok(Some(RawBsonRef::Boolean(is))) => is,
        Ok(Some(_)) => whole(document, key).is_some_and(|number| number != 0),
        Ok(None) | Err(_) => false,
    }
}

/// Writes a document as JSON behind a text.
///
/// # Errors
/// It is malformed.
pub(crate) fn write_json(document: &RawDocument, out: &mut String) -> Result<(), String> {
    write_document(document, out, DEPTH_MAX * 2)
}

fn write_document(document: &RawDocument, out: &mut String, levels: usize) -> Result<(), String> {
    let levels = levels.checked_sub(1).ok_or("a document of the server nests too deep")?;
    out.push('{');
    for (place, member) in document.iter().enumerate() {
        let (key, value) = member.map_err(malformed)?;
        if place > 0 {
            out.push(',');
        }
        write_text(key.as_str(), out);
        out.push(':');
        write_value(value, out, levels)?;
    }
    out.push('}');
    Ok(())
}

fn malformed(error: bson::error::Error) -> String {
    format!("a document of the server is malformed: {error}")
}

fn write_value(value: RawBsonRef<'_>, out: &mut String, levels: usize) -> Result<(), String> {
    match value {
        RawBsonRef::Null | RawBsonRef::Undefined => out.push_str("null"),
        RawBsonRef::Boolean(is) => out.push_str(if is { "true" } else { "false" }),
        RawBsonRef::Int32(number) => out.push_str(&number.to_string()),
        RawBsonRef::Int64(number) => out.push_str(&number.to_string()),
        RawBsonRef::Double(number) if number.is_finite() => out.push_str(&Json::from(number).to_string()),
        RawBsonRef::Double(number) => write_text(&number.to_string().replace("inf", "Infinity"), out),
        RawBsonRef::Decimal128(decimal) => write_decimal(&decimal.to_string(), out),
        RawBsonRef::String(text) | RawBsonRef::JavaScriptCode(text) | RawBsonRef::Symbol(text) => {
            write_text(text, out);
        }
        RawBsonRef::ObjectId(id) => write_text(&id.to_hex(), out),
        RawBsonRef::DateTime(at) => write_text(&iso(at.timestamp_millis()), out),
        RawBsonRef::Binary(binary) => write_text(&text_of_binary(binary.subtype, binary.bytes), out),
        RawBsonRef::Timestamp(at) => out.push_str(&format!("{{\"t\":{},\"i\":{}}}", at.time, at.increment)),
        RawBsonRef::RegularExpression(regex) => {
            write_text(&format!("/{}/{}", regex.pattern.as_str(), regex.options.as_str()), out);
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => write_text(code.code, out),
        RawBsonRef::MaxKey => write_text("MaxKey", out),
        RawBsonRef::MinKey => write_text("MinKey", out),
        RawBsonRef::DbPointer(_) => write_text("DBPointer", out),
        RawBsonRef::Document(document) => write_document(document, out, levels)?,
        RawBsonRef::Array(array) => {
            let levels = levels.checked_sub(1).ok_or("a document of the server nests too deep")?;
            out.push('[');
            for (place, element) in array.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_value(element.map_err(malformed)?, out, levels)?;
            }
            out.push(']');
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&Json::from(text).to_string());
}

/// A decimal as JSON has numbers; what is no number there (`NaN`, `Infinity`) as a text.
fn write_decimal(digits: &str, out: &mut String) {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || b"+-.Ee".contains(&byte));
    if is_number { out.push_str(digits) } else { write_text(digits, out) }
}

/// Bytes as base64, and a UUID as it is written.
fn text_of_binary(subtype: BinarySubtype, bytes: &[u8]) -> String {
    match (subtype, bytes.len()) {
        (BinarySubtype::Uuid, 16) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
        }
        _ => BASE64.encode(bytes),
    }
}

/// A date as ISO 8601 in UTC, and as its milliseconds where that has no form for it.
fn iso(milliseconds: i64) -> String {
    // The years 0 to 9999.
    const FORMED: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
    if FORMED.contains(&milliseconds) {
        lotmq_guest::route::text_of(&lotmq_guest::route::Value::Time(milliseconds))
    } else {
        milliseconds.to_string()
    }
}

#[cfg(test)]
mod tests {
    use bson::{Binary, DateTime, oid::ObjectId, rawdoc};

    use super::*;

    fn stored(json: &str) -> Result<RawDocumentBuf, String> {
        document_of(serde_json::from_str::<Json>(json).unwrap().as_object().unwrap())
    }

    fn told(document: &RawDocument) -> String {
        let mut out = String::new();
        write_json(document, &mut out).unwrap();
        out
    }

    #[test]
    fn json_becomes_bson_and_comes_back() {
        let text = r#"{"b":true,"i":-7,"l":9007199254740993,"d":2.5,"w":2.0,"n":null,"t":"quo\"te ü","a":[1,{"z":[]}],"o":{"y":0},"$x":1,"a.b":2}"#;
        let document = stored(text).unwrap();
        assert_eq!(told(&document), text);
        assert_eq!(document.get("i").unwrap(), Some(RawBsonRef::Int32(-7)));
        assert_eq!(document.get("l").unwrap(), Some(RawBsonRef::Int64(9_007_199_254_740_993)));
        assert_eq!(document.get("w").unwrap(), Some(RawBsonRef::Double(2.0)));
        let large = stored(r#"{"h":18446744073709551615}"#).unwrap();
        let decimal = "18446744073709551615".parse::<bson::Decimal128>().unwrap();
        assert_eq!(large.get("h").unwrap(), Some(RawBsonRef::Decimal128(decimal)));
        assert_eq!(told(&large), r#"{"h":18446744073709551615}"#);
    }

    #[test]
    fn what_can_be_no_document_is_told() {
        assert_eq!(stored(r#"{"a":1e400}"#).unwrap_err(), "no number of MongoDB holds 1e+400");
        assert_eq!(stored("{\"a\\u0000b\":1}").unwrap_err(), "the name of a field has a NUL in it");
        let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(stored(&deep(100)).is_ok());
        assert_eq!(stored(&deep(101)).unwrap_err(), "it has more than 100 levels");
    }

    #[test]
    fn every_type_of_the_database_has_a_form_in_json() {
        let mut document = rawdoc! {
            "_id": ObjectId::parse_str("65a1b2c3d4e5f60718293a4b").unwrap(),
            "at": DateTime::from_millis(1_795_166_305_120),
            "far": DateTime::from_millis(i64::MAX),
            "dec": "12.340".parse::<bson::Decimal128>().unwrap(),
            "exp": "1E+20".parse::<bson::Decimal128>().unwrap(),
            "nan": "NaN".parse::<bson::Decimal128>().unwrap(),
            "inf": f64::NEG_INFINITY,
            "big": i64::MIN,
            "ts": bson::Timestamp { time: 1, increment: 2 },
            "max": bson::RawBson::MaxKey,
        };
        let uuid = Binary { subtype: BinarySubtype::Uuid, bytes: (0..16).collect() };
        append(&mut document, "uuid", RawBson::Binary(uuid)).unwrap();
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: vec![255, 0] };
        append(&mut document, "bytes", RawBson::Binary(bytes)).unwrap();
        assert_eq!(
            told(&document),
            r#"{"_id":"65a1b2c3d4e5f60718293a4b","at":"2026-11-20T09:18:25.120Z","far":"9223372036854775807","dec":12.340,"exp":1E+20,"nan":"NaN","inf":"-Infinity","big":-9223372036854775808,"ts":{"t":1,"i":2},"max":"MaxKey","uuid":"00010203-0405-0607-0809-0a0b0c0d0e0f","bytes":"/wA="}"#
        );
    }

    #[test]
    fn a_malformed_document_is_told() {
        // The length of the text exceeds the document.
        let mut bytes = rawdoc! { "a": "xyz" }.into_bytes();
        bytes[7] = 200;
        let document = RawDocumentBuf::from_bytes(bytes).unwrap();
        let refused = write_json(&document, &mut String::new()).unwrap_err();
        assert!(refused.starts_with("a document of the server is malformed"), "{refused}");
    }
}
