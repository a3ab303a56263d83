//! Settings of events with placeholders, such as `QUERY "INSERT INTO t VALUES ({payload.json.t})"`.

use std::borrow::Cow;

use super::{Delivery, Value};

/// Setting of an event with placeholders between texts. Each delivery brings the values.
///
/// In the configuration it is a text, or `{"template": [texts], "placeholders": [names]}`.
///
/// ```
/// use lotmq_guest::route::{Template, Value};
///
/// let texts = ["INSERT INTO t VALUES (", ", ", ")"].map(String::from);
/// let names = ["topic.2", "payload.json.t"].map(String::from);
/// let query = Template::new("QUERY", texts, names).unwrap();
/// let values = [Value::Text("o'hara".into()), Value::Double(20.5)];
/// // Bound: a statement with numbers, and the values beside it.
/// assert_eq!(query.with(|place, _| format!("${place}").into()), "INSERT INTO t VALUES ($1, $2)");
/// // Joined, where that is safe.
/// assert_eq!(query.joined(&values), "INSERT INTO t VALUES (o'hara, 20.5)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    setting: String,
    texts: Vec<String>,
    placeholders: Vec<String>,
}

impl Template {
    /// A setting by its parts; `None` unless there is one text more than there are placeholders.
    pub fn new(
        setting: &str,
        texts: impl IntoIterator<Item = String>,
        placeholders: impl IntoIterator<Item = String>,
    ) -> Option<Template> {
        let setting = setting.to_owned();
        let template = Template {
            setting,
            texts: texts.into_iter().collect(),
            placeholders: placeholders.into_iter().collect(),
        };
        (template.texts.len() == template.placeholders.len() + 1).then_some(template)
    }

    /// A setting without placeholders.
    pub fn plain(setting: &str, text: &str) -> Template {
        Template { setting: setting.to_owned(), texts: vec![text.to_owned()], placeholders: Vec::new() }
    }

    /// Reads a setting: a text, or an object with the texts around its placeholders and their
    /// names. Returns `None` for other values.
    #[cfg(feature = "serde_json")]
    pub fn of(setting: &str, said: &serde_json::Value) -> Option<Template> {
        if let Some(text) = said.as_str() {
            return Some(Template::plain(setting, text));
        }
        let texts = |member: &str| -> Option<Vec<String>> {
            said.get(member)?.as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        Template::new(setting, texts("template")?, texts("placeholders")?)
    }

    /// Returns the texts before, between and after the placeholders.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The placeholders without braces, such as `payload.json.t`.
    pub fn placeholders(&self) -> &[String] {
        &self.placeholders
    }

    /// Values of the placeholders in a delivery, in order.
    pub fn values<'a>(&self, delivery: &'a Delivery) -> &'a [Value] {
        let of_setting = delivery.placeholders.iter().find(|one| one.setting == self.setting);
        of_setting.map(|one| &one.values[..]).unwrap_or_default()
    }

    /// The text with something in place of each placeholder, by its number from 1 and its name.
    pub fn with<'a>(&'a self, mut write: impl FnMut(usize, &'a str) -> Cow<'a, str>) -> String {
        let mut whole = String::new();
        for (index, text) in self.texts.iter().enumerate() {
            if index > 0 {
                whole.push_str(&write(index, &self.placeholders[index - 1]));
            }
            whole.push_str(text);
        }
        whole
    }

    /// Returns the text with the values inserted unchanged. Use it for a topic or a payload, never
    /// for a statement or an address: a message could inject text.
    pub fn joined(&self, values: &[Value]) -> String {
        self.with(|place, _| values.get(place - 1).map(text_of).unwrap_or_default().into())
    }

    /// Returns the text with values by placeholder name, if there is no delivery, as in
    /// [`run`](super::Route::run). The warning of [`joined`](Template::joined) applies.
    ///
    /// # Errors
    /// Returns the name of the first placeholder without a value.
    pub fn named<'a>(&'a self, mut value: impl FnMut(&str) -> Option<Value>) -> Result<String, &'a str> {
        let values = self.placeholders.iter().map(|name| value(name).ok_or(&**name));
        values.collect::<Result<Vec<_>, _>>().map(|values| self.joined(&values))
    }

    /// The text for a delivery, joined.
    pub fn filled(&self, delivery: &Delivery) -> String {
        self.joined(self.values(delivery))
    }
}

/// A value as text: nothing for `empty` and `null`, ISO 8601 in UTC for a time.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Empty | Value::Null => String::new(),
        Value::Boolean(is) => is.to_string(),
        Value::Integer(number) => number.to_string(),
        // As JSON has it: a number that could be a whole one has its point.
        Value::Double(number) => format!("{number:?}"),
        Value::Text(text) | Value::Json(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Time(ms) => iso(*ms),
    }
}

/// Formats as ISO 8601 with milliseconds. Computes Gregorian dates in eras of 400 years that begin
/// in March (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn iso(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_by_names() {
        let texts = ["line/", "/", ""].map(String::from);
        let topic = Template::new("DESTINATION_TOPIC", texts, ["key", "unit"].map(String::from)).unwrap();
        let value = |name: &str| (name == "key").then(|| Value::Text("a".into()));
        assert_eq!(topic.named(value), Err("unit"));
        assert_eq!(topic.named(|name| value(name).or(Some(Value::Integer(7)))).unwrap(), "line/a/7");
    }

    #[cfg(feature = "serde_json")]
    #[test]
    fn a_setting_of_the_configuration_is_a_text_or_a_template() {
        let object = serde_json::json!({"template": ["line/", ""], "placeholders": ["key"]});
        let (plain, template) = (Template::of("T", &"line".into()), Template::of("T", &object));
        assert_eq!(plain, Some(Template::plain("T", "line")));
        assert_eq!(template.unwrap().placeholders(), ["key"]);
        for wrong in [serde_json::json!(7), serde_json::json!({"template": ["a"], "placeholders": ["b"]})] {
            assert_eq!(Template::of("T", &wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_iso_8601() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_166_305_120, "2026-11-20T09:18:25.120Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso(ms), expected);
        }
    }
}
