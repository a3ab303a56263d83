//! Points in the line protocol: `measurement,tag=value field=value timestamp`.

use lotmq_guest::route::{Delivery, Template, Value, text_of};
use serde_json::Value as Json;

use crate::limits::MEMBERS_MAX;
use crate::pairs::{self, Pair, Piece, value};

/// How messages become points.
#[derive(Debug)]
pub(crate) struct PointOf {
    measurement: Template,
    tags: Option<(Template, Vec<Pair>)>,
    /// `None`: the members of the payload.
    fields: Option<(Template, Vec<Pair>)>,
    timestamp: Option<Template>,
}

/// Unit of timestamps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Precision {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl Precision {
    /// Parses a setting.
    pub(crate) fn of(word: &str) -> Precision {
        match word {
            "s" => Precision::Seconds,
            "us" => Precision::Microseconds,
            "ns" => Precision::Nanoseconds,
            _ => Precision::Milliseconds,
        }
    }

    /// In a request; InfluxDB 1 calls microseconds `u`.
    pub(crate) fn word(self, is_first: bool) -> &'static str {
        match self {
            Precision::Seconds => "s",
            Precision::Milliseconds => "ms",
            Precision::Microseconds if is_first => "u",
            Precision::Microseconds => "us",
            Precision::Nanoseconds => "ns",
        }
    }

    fn of_ms(self, ms: i64) -> i64 {
        match self {
            Precision::Seconds => ms.div_euclid(1_000),
            Precision::Milliseconds => ms,
            Precision::Microseconds => ms.saturating_mul(1_000),
            Precision::Nanoseconds => ms.saturating_mul(1_000_000),
        }
    }
}

impl PointOf {
    /// Reads the settings of an event.
    ///
    /// # Errors
    /// The setting that is wrong, and why.
    pub(crate) fn new(
        measurement: Template,
        tags: Option<Template>,
        fields: Option<Template>,
        timestamp: Option<Template>,
    ) -> Result<PointOf, (&'static str, String)> {
        let read = |key: &'static str, template: Option<Template>| {
            template
                .map(|it| pairs::parse(&it).map(|pairs| (it, pairs)).map_err(|reason| (key, reason)))
                .transpose()
        };
        if measurement.texts().iter().all(String::is_empty) && measurement.placeholders().is_empty() {
            return Err(("MEASUREMENT", "is empty".to_owned()));
        }
        let (tags, fields) = (read("TAGS", tags)?, read("FIELDS", fields)?);
        for (key, pairs) in [("TAGS", &tags), ("FIELDS", &fields)] {
            if pairs.iter().flat_map(|(_, pairs)| pairs).any(|pair| pair.name == TIME) {
                return Err((key, "has the name 'time', which InfluxDB ignores: use TIMESTAMP".to_owned()));
            }
        }
        Ok(PointOf { measurement, tags, fields, timestamp })
    }

    /// Appends the point of a message.
    ///
    /// # Errors
    /// Why there is none; nothing is appended then.
    pub(crate) fn write(
        &self,
        delivery: &Delivery,
        precision: Precision,
        out: &mut String,
    ) -> Result<(), String> {
        let mut line = measurement_of(&self.measurement.filled(delivery))?;
        if let Some((template, pairs)) = &self.tags {
            for pair in pairs {
                let tag = joined(pair, template.values(delivery));
                // A tag without a value is none.
                if !tag.is_empty() {
                    line.push(',');
                    line.push_str(&name_of(&pair.name, &[',', '=', ' '])?);
                    line.push('=');
                    line.push_str(&name_of(&tag, &[',', '=', ' '])?);
                }
            }
        }
        let fields = match &self.fields {
            Some((template, pairs)) => written_fields(pairs, template.values(delivery))?,
            None => member_fields(&delivery.message.payload)?,
        };
        if fields.is_empty() {
            return Err("it has no field: nothing that it names has a value".to_owned());
        }
        let at = self.time_of(delivery, precision)?;
        out.push_str(&format!("{line} {} {at}\n", fields.join(",")));
        Ok(())
    }

    fn time_of(&self, delivery: &Delivery, precision: Precision) -> Result<i64, String> {
        let Some(template) = &self.timestamp else { return Ok(precision.of_ms(delivery.received_ms)) };
        match template.values(delivery) {
            [Value::Time(ms)] => Ok(precision.of_ms(*ms)),
            [Value::Integer(number)] => Ok(*number),
            _ => {
                let text = template.filled(delivery);
                text.trim().parse().map_err(|_| format!("TIMESTAMP '{text}' is no whole number"))
            }
        }
    }
}

/// A measurement at the start of a line. The server skips lines that begin with `#` as comments,
/// and skips blanks in front of a line: it would answer 204 and store nothing, or store another
/// name. No escape helps.
fn measurement_of(text: &str) -> Result<String, String> {
    if text.starts_with(['#', '\t', '\0']) {
        return Err(format!(
            "MEASUREMENT '{}' begins with '#', a tab or NUL: InfluxDB would skip the line as a comment",
            text.escape_debug()
        ));
    }
    name_of(text, &[',', ' '])
}

/// Name of the timestamp. InfluxDB ignores tags and fields of this name.
const TIME: &str = "time";

/// A name or the value of a tag, in which these characters are escaped.
fn name_of(text: &str, escaped: &[char]) -> Result<String, String> {
    if text.is_empty() {
        return Err("MEASUREMENT is empty".to_owned());
    }
    if text.contains(['\n', '\r']) || text.ends_with('\\') {
        return Err(format!(
            "'{}' is no name or tag: it has a line break, or ends with a backslash",
            text.escape_debug()
        ));
    }
    let mut name = String::with_capacity(text.len());
    for next in text.chars() {
        if escaped.contains(&next) {
            name.push('\\');
        }
        name.push(next);
    }
    Ok(name)
}

fn joined(pair: &Pair, values: &[Value]) -> String {
    let pieces = pair.value.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Value(index) => text_of(value(values, *index)),
    });
    pieces.collect()
}

fn written_fields(pairs: &[Pair], values: &[Value]) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    for pair in pairs {
        let written = match pair.value.as_slice() {
            _ if pair.is_quoted => Some(text(&joined(pair, values))),
            [Piece::Value(index)] => field_of(value(values, *index), false)?,
            [Piece::Value(index), Piece::Text(suffix)] if suffix == "i" => {
                field_of(value(values, *index), true)?
            }
            [Piece::Text(literal)] if is_literal(literal) => Some(literal.clone()),
            _ => Some(text(&joined(pair, values))),
        };
        if let Some(written) = written {
            fields.push(format!("{}={written}", name_of(&pair.name, &[',', '=', ' '])?));
        }
    }
    Ok(fields)
}

/// Whether a text of the definition is a number or a truth value as the line protocol has them.
fn is_literal(text: &str) -> bool {
    let number = text
        .strip_suffix('i')
        .map_or_else(|| text.parse::<f64>().is_ok_and(f64::is_finite), |text| text.parse::<i64>().is_ok());
    number || matches!(text, "true" | "false")
}

/// Returns a value as a field; `None` for no value. Numbers are floats unless `is_whole`, so that
/// `21` and `21.5` of one field have one type.
fn field_of(value: &Value, is_whole: bool) -> Result<Option<String>, String> {
    Ok(Some(match value {
        Value::Empty | Value::Null => return Ok(None),
        Value::Integer(number) if is_whole => format!("{number}i"),
        Value::Double(number) if is_whole && number.fract() == 0.0 && number.abs() < 9e15 => {
            format!("{number}i")
        }
        Value::Text(text) if is_whole && text.trim().parse::<i64>().is_ok() => format!("{}i", text.trim()),
        other if is_whole => return Err(format!("'{}' is no whole number", text_of(other))),
        Value::Integer(number) => number.to_string(),
        Value::Double(number) if number.is_finite() => number.to_string(),
        Value::Double(number) => return Err(format!("{number} is no number of a field")),
        Value::Boolean(is) => is.to_string(),
        // A payload that is a number is one, whether it came as JSON or not.
        Value::Text(said) | Value::Json(said) => of_text(said),
        Value::Bytes(_) => return Err("it is not UTF-8".to_owned()),
        Value::Time(_) => text(&text_of(value)),
    }))
}

fn of_text(said: &str) -> String {
    match said.trim() {
        truth @ ("true" | "false") => truth.to_owned(),
        other => match other.parse::<f64>() {
            Ok(number) if number.is_finite() => number.to_string(),
            _ => text(said),
        },
    }
}

/// A text as a field.
fn text(said: &str) -> String {
    format!("\"{}\"", said.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns the fields of a payload: the members of an object, prefixed with the names of enclosing
/// ones, or `value`.
fn member_fields(payload: &[u8]) -> Result<Vec<String>, String> {
    let said = std::str::from_utf8(payload).map_err(|_| "the payload is not UTF-8")?;
    // RFC 8259, §8.1: a parser may ignore a byte order mark.
    let said = said.strip_prefix('\u{feff}').unwrap_or(said);
    let mut fields = Vec::new();
    match serde_json::from_str::<Json>(said) {
        Ok(object @ Json::Object(_)) => members(&object, "", &mut fields)?,
        _ if said.is_empty() => {}
        _ => fields.push(format!("value={}", of_text(said))),
    }
    Ok(fields)
}

fn members(value: &Json, name: &str, fields: &mut Vec<String>) -> Result<(), String> {
    if fields.len() > MEMBERS_MAX {
        return Err(format!("the payload has more than {MEMBERS_MAX} members"));
    }
    let written = match value {
        Json::Null => return Ok(()),
        Json::Object(object) => {
            return object.iter().try_for_each(|(member, value)| {
                let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                members(value, &name, fields)
            });
        }
        Json::Number(number) => number
            .as_f64()
            .filter(|it| it.is_finite())
            .map_or_else(|| text(&number.to_string()), |_| number.to_string()),
        Json::Bool(is) => is.to_string(),
        Json::String(said) => text(said),
        Json::Array(_) => text(&value.to_string()),
    };
    if name.is_empty() {
        return Err("a member of the payload has no name".to_owned());
    }
    // The server would ignore it, and the time of the point is that of TIMESTAMP or of the message.
    if name == TIME {
        return Ok(());
    }
    fields.push(format!("{}={written}", name_of(name, &[',', '=', ' '])?));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::template;
    use lotmq_guest::route::{PlaceholderValues, testing::delivery};

    fn line(
        tags: Option<&str>,
        fields: Option<&str>,
        payload: &str,
        values: &[(&str, Vec<Value>)],
    ) -> Result<String, String> {
        let of = |setting: &str, text: &str| {
            let read = template(text);
            Template::new(setting, read.texts().to_vec(), read.placeholders().to_vec()).unwrap()
        };
        let point = PointOf::new(
            of("MEASUREMENT", "m x"),
            tags.map(|it| of("TAGS", it)),
            fields.map(|it| of("FIELDS", it)),
            None,
        )
        .unwrap();
        let mut delivery = delivery("t", payload);
        delivery.received_ms = 1_500;
        delivery.placeholders = values
            .iter()
            .map(|(setting, values)| PlaceholderValues {
                setting: (*setting).to_owned(),
                values: values.clone(),
            })
            .collect();
        let mut out = String::new();
        point.write(&delivery, Precision::Milliseconds, &mut out).map(|()| out)
    }

    #[test]
    fn members_become_fields_of_their_types() {
        for (payload, expected) in [
            (
                r#"{"t":21,"on":true,"s":"a \"b\"\\","n":null,"o":{"x y":1.5},"l":[1]}"#,
                r#"t=21,on=true,s="a \"b\"\\",o.x\ y=1.5,l="[1]""#,
            ),
            ("21.5", "value=21.5"),
            ("+1e3", "value=1000"),
            ("1e999", "value=\"1e999\""),
            ("true", "value=true"),
            ("NaN", r#"value="NaN""#),
            ("a text, with = all", r#"value="a text, with = all""#),
        ] {
            assert_eq!(line(None, None, payload, &[]), Ok(format!("m\\ x {expected} 1500\n")), "{payload}");
        }
        assert!(line(None, None, "", &[]).unwrap_err().contains("it has no field"));
        assert!(line(None, None, "{\"\":1}", &[]).is_err());
    }

    #[test]
    fn tags_and_fields_are_escaped_and_typed() {
        let text = |text: &str| Value::Text(text.to_owned());
        let tags = ("TAGS", vec![text("a, b=c"), Value::Empty]);
        let fields = ("FIELDS", vec![Value::Integer(21), Value::Integer(3), text("x\"y"), Value::Null]);
        assert_eq!(
            line(
                Some("line={},none={},fixed=1"),
                Some("t={},n={}i,s=\"v {}\",z={},k=5i,b=true,w=word"),
                "",
                &[tags.clone(), fields]
            ),
            Ok("m\\ x,line=a\\,\\ b\\=c,fixed=1 t=21,n=3i,s=\"v x\\\"y\",k=5i,b=true,w=\"word\" 1500\n"
                .to_owned())
        );
        for (values, told) in [
            (vec![Value::Double(1.5)], "'1.5' is no whole number"),
            (vec![text("x")], "'x' is no whole number"),
        ] {
            assert_eq!(line(None, Some("n={}i"), "", &[("FIELDS", values)]), Err(told.to_owned()));
        }
        let broken = [("TAGS", vec![text("a\nb v=1"), text("x")])];
        assert!(line(Some("line={},b={}"), None, "1", &broken).unwrap_err().contains("it has a line break"));
        assert!(line(Some("line={},b={}"), None, "1", &[("TAGS", vec![text("a\\"), text("x")])]).is_err());
    }

    #[test]
    fn no_line_is_a_comment_and_no_name_is_ignored() {
        for name in ["#", "#/0.1L", "\t#x", "\0#"] {
            assert!(measurement_of(name).unwrap_err().contains("as a comment"), "{name:?}");
        }
        assert_eq!(measurement_of(" #x").unwrap(), "\\ #x");
        assert_eq!(measurement_of("a#").unwrap(), "a#");
        let of = |setting: &str, text: &str| {
            let read = template(text);
            Template::new(setting, read.texts().to_vec(), read.placeholders().to_vec()).unwrap()
        };
        let fields = Some(of("FIELDS", "v={},time={}"));
        assert!(
            PointOf::new(of("MEASUREMENT", "m"), None, fields, None).unwrap_err().1.contains("use TIMESTAMP")
        );
        let written = line(None, None, r#"{"time":5,"v":1}"#, &[]).unwrap();
        assert_eq!(written, "m\\ x v=1 1500\n");
        assert!(line(None, None, r#"{"time":5}"#, &[]).unwrap_err().contains("no field"));
    }

    #[test]
    fn times_have_the_unit_of_the_section() {
        for (precision, expected) in [
            (Precision::Seconds, 1),
            (Precision::Milliseconds, 1_999),
            (Precision::Nanoseconds, 1_999_000_000),
        ] {
            assert_eq!(precision.of_ms(1_999), expected);
        }
        assert_eq!((Precision::of("us").word(true), Precision::of("us").word(false)), ("u", "us"));
    }
}
