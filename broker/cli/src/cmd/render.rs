//! A reply of the broker for people: its message, its data as a table, its errors with their lines.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::pasteable::pasteable;
use lotmq_terminal::text::printable_lines;

/// The text for a reply envelope (commands reference §2).
pub(crate) fn reply(envelope: &Value) -> String {
    reply_about(envelope, None)
}

/// As [`reply`], to a command that ended with the content of a file.
pub(crate) fn reply_about(envelope: &Value, sent: Option<&str>) -> String {
    let mut text = String::new();
    let is_done = envelope.get("success").and_then(Value::as_bool).unwrap_or(false);
    let errors = list(envelope, "errors");
    let message = envelope.get("message").and_then(Value::as_str).unwrap_or_default();
    if is_done || errors.is_empty() {
        let _ = writeln!(text, "{}", pasteable(message));
    }
    for error in errors {
        text.push_str(&problem("error", error, sent));
    }
    for warning in list(envelope, "warnings") {
        text.push_str(&problem("warning", warning, sent));
    }
    text.push_str(&data(envelope.get("data").unwrap_or(&Value::Null)));
    // Texts may be anybody's.
    printable_lines(&text).map(|line| line + "\n").collect()
}

/// The text that a command was to give, such as a template or the source of a definition, where it
/// has given one.
pub(super) fn text(envelope: &Value) -> Option<String> {
    let is_text = |text: &&str| super::is_success(envelope) && !text.is_empty();
    let text = envelope.get("data").and_then(Value::as_str).filter(is_text)?;
    // Texts may be anybody's.
    Some(printable_lines(text).map(|line| line + "\n").collect())
}

/// Returns a reply without its data.
pub(super) fn without_data(envelope: &Value) -> Value {
    let mut envelope = envelope.clone();
    envelope["data"] = Value::Null;
    envelope
}

fn list<'a>(envelope: &'a Value, key: &str) -> &'a [Value] {
    envelope.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// One entry of `errors` or `warnings`, in the shape of `lotmq check`.
fn problem(severity: &str, entry: &Value, sent: Option<&str>) -> String {
    let text_of = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let number_of = |key: &str| entry.get(key).and_then(Value::as_u64);
    let (code, message) = (text_of("code"), pasteable(text_of("message")));
    let mut text = match code {
        "" => format!("{severity}: {message}\n"),
        code => format!("{severity}[{code}]: {message}\n"),
    };
    // File and cell, for a problem in a project.
    let file = Some(text_of("file")).filter(|file| !file.is_empty());
    let file = file.map(|file| number_of("cell").map_or(file.to_owned(), |cell| format!("{file}#{cell}")));
    if let (Some(line), Some(column)) = (number_of("line"), number_of("column")) {
        let _ = match &file {
            None => match sent {
                None => writeln!(text, "  --> line {line}, column {column}"),
                Some(sent) => writeln!(text, "  --> {sent}:{line}:{column}"),
            },
            Some(file) => writeln!(text, "  --> {file}:{line}:{column}"),
        };
        for source in list(entry, "sourceLines").iter().filter_map(Value::as_str) {
            let width = number_of("endColumn").filter(|end| *end > column).map_or(1, |end| end - column);
            let indent = " ".repeat(usize::try_from(column.saturating_sub(1)).unwrap_or_default().min(200));
            let marks = "^".repeat(usize::try_from(width).unwrap_or(1).min(200));
            let _ = writeln!(text, "{line:>4} | {}\n     | {indent}{marks}", source.replace('\t', " "));
        }
    } else if let Some(file) = file {
        let _ = writeln!(text, "  --> {file}");
    }
    for note in list(entry, "notes").iter().filter_map(Value::as_str) {
        let _ = writeln!(text, "  = note: {}", pasteable(note));
    }
    for suggestion in list(entry, "suggestions").iter().filter_map(Value::as_str) {
        let _ = writeln!(text, "  = help: {}", pasteable(suggestion));
    }
    text
}

fn data(data: &Value) -> String {
    match data {
        Value::Null => String::new(),
        Value::Array(rows) if rows.is_empty() => String::new(),
        Value::Object(object) if object.is_empty() => String::new(),
        Value::Array(rows) if rows.iter().all(|row| row["verb"].is_string() && row["usage"].is_string()) => {
            verbs(rows)
        }
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            table(&rows.iter().filter_map(Value::as_object).collect::<Vec<_>>())
        }
        Value::Array(rows) => rows.iter().map(|row| format!("{}\n", cell("", row))).collect(),
        Value::Object(object) => fields(object),
        Value::String(text) => format!("{text}\n"),
        Value::Bool(_) | Value::Number(_) => format!("{data}\n"),
    }
}

/// Commands of `-help`, in their groups, each with a line on what it does.
fn verbs(rows: &[Value]) -> String {
    let (mut text, mut group) = (String::new(), "");
    for row in rows {
        let text_of = |key: &str| row[key].as_str().unwrap_or_default();
        if text_of("group") != group {
            group = text_of("group");
            let _ = writeln!(text, "\n{group}");
        }
        let _ = writeln!(text, "  {}", text_of("usage"));
        // Of one that was asked for by name, it is the message.
        if text_of("example").is_empty() {
            let _ = writeln!(text, "      {}", text_of("summary"));
        }
        // Of one that was asked for by name.
        if !text_of("example").is_empty() {
            let example = command_line(text_of("example"));
            let _ = writeln!(text, "      needs: {}\n      example: {example}", text_of("permission"));
        }
    }
    text
}

/// A command as a shell takes it.
fn command_line(command: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || " -_./:=@,+%".contains(letter);
    match command.chars().all(is_plain) {
        true => format!("lotmq cmd {command}"),
        false => format!("lotmq cmd '{}'", command.replace('\'', "'\\''")),
    }
}

/// Objects as a table: a column for each key, in the order in which keys first occur. Lists that
/// are empty in every row are left out.
fn table(rows: &[&Map<String, Value>]) -> String {
    let is_empty_list = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    let mut columns: Vec<&str> = Vec::new();
    for (key, _) in rows.iter().flat_map(|row| row.iter()).filter(|(_, value)| !is_empty_list(value)) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    let head = columns.iter().map(|column| (*column).to_owned()).collect();
    let body = rows.iter().map(|row| {
        columns.iter().map(|key| row.get(*key).map(|value| cell(key, value)).unwrap_or_default()).collect()
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| {
            lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    lines
        .iter()
        .map(|line| {
            let cells: Vec<String> =
                line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

/// An object's keys and values, one on each line; lists of objects as tables below.
fn fields(object: &Map<String, Value>) -> String {
    let is_table = |value: &Value| {
        value.as_array().is_some_and(|rows| !rows.is_empty() && rows.iter().all(Value::is_object))
    };
    let plain: Vec<_> = object.iter().filter(|(_, value)| !is_table(value)).collect();
    let width = plain.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    let mut text: String =
        plain.iter().map(|(key, value)| format!("{key:<width$}  {}\n", cell(key, value))).collect();
    for (key, rows) in object.iter().filter(|(_, value)| is_table(value)) {
        let _ = writeln!(text, "{key}:");
        for line in data(rows).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// Renders the value of a key on one line. Texts and numbers stay as they are; lists have commas
/// between items, and objects name the keys. Deeper values are JSON.
fn cell(key: &str, value: &Value) -> String {
    let is_plain = |value: &Value| !value.is_array() && !value.is_object();
    match value {
        Value::String(text) => text.replace('\n', "\\n"),
        Value::Null => "-".to_owned(),
        Value::Array(values) if values.iter().all(is_plain) => {
            listed(values.iter().map(|value| cell("", value)))
        }
        Value::Object(object) if object.values().all(is_plain) => {
            // How many there are of each kind: of most there are none.
            let said = object.iter().filter(|(_, value)| key != "counts" || value.as_u64() != Some(0));
            listed(said.map(|(key, value)| format!("{key} {}", cell(key, value))))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_stand_in_their_groups() {
        let row = |group: &str, verb: &str| {
            let usage = format!("{verb} <name>");
            json!({ "group": group, "verb": verb, "usage": usage, "permission": "P", "summary": "Does it." })
        };
        let text = data(&json!([row("A", "-a"), row("A", "-b"), row("C", "-c")]));
        let entry = |verb: &str| format!("  {verb} <name>\n      Does it.\n");
        assert_eq!(text, format!("\nA\n{}{}\nC\n{}", entry("-a"), entry("-b"), entry("-c")));
        let one = json!([{ "verb": "-a", "usage": "-a", "permission": "P", "summary": "Does it.", "example": "-a x" }]);
        assert_eq!(data(&one), "  -a\n      needs: P\n      example: lotmq cmd -a x\n");
        assert_eq!(command_line("-a x 'y' {}"), "lotmq cmd '-a x '\\''y'\\'' {}'");
    }

    #[test]
    fn lists_are_tables() {
        let envelope = json!({"success":true,"message":"2 entities.","data":[
            {"type":"Action","name":"Hot","origin":"adhoc"},{"type":"Action","name":"Longer","extra":null}]});
        assert_eq!(
            reply(&envelope),
            "2 entities.\ntype    name    origin  extra\nAction  Hot     adhoc\nAction  Longer          -\n"
        );
    }

    #[test]
    fn errors_show_where_and_what_to_do() {
        let envelope = json!({"success":false,"message":"Parsing error: expected THEN (4,5)","data":{},"errors":[
            {"code":"LOT203","message":"expected THEN","line":4,"column":5,"endColumn":7,
             "sourceLines":["    IF {t} > 30"],"suggestions":["write: IF {t} > 30 THEN"]}]});
        assert_eq!(
            reply(&envelope),
            "error[LOT203]: expected THEN\n  --> line 4, column 5\n   4 |     IF {t} > 30\n     |     ^^\n  = help: write: IF {t} > 30 THEN\n"
        );
        assert!(reply_about(&envelope, Some("heater.lot")).contains("\n  --> heater.lot:4:5\n"));
    }

    #[test]
    fn errors_of_projects_show_file_and_cell() {
        let envelope = json!({"success":false,"message":"2 errors","data":{},"errors":[
            {"code":"LOT203","message":"expected THEN","line":4,"column":5,"file":"n.lotnb","cell":2},
            {"code":"EXISTS","message":"it exists","file":"a.lot"}]});
        assert_eq!(
            reply(&envelope),
            "error[LOT203]: expected THEN\n  --> n.lotnb#2:4:5\nerror[EXISTS]: it exists\n  --> a.lot\n"
        );
    }

    #[test]
    fn plain_answers_are_their_message() {
        let envelope = json!({"success":true,"message":"User ada added successfully!","data":{}});
        assert_eq!(reply(&envelope), "User ada added successfully!\n");
        let envelope = json!({"success":true,"message":"ok","data":{"groups":["a"],"name":"x"}});
        assert_eq!(reply(&envelope), "ok\ngroups  a\nname    x\n");
        let envelope = json!({"success":true,"message":"ok","data":{"entities":[
            {"name":"Hot","success":true,"errors":[]},{"name":"B","success":false,"errors":[]}],"n":2}});
        assert_eq!(reply(&envelope), "ok\nn  2\nentities:\n  name  success\n  Hot   true\n  B     false\n");
    }

    #[test]
    fn a_text_stands_alone() {
        let envelope = json!({"success":true,"message":"Template of 'X'.","data":"A\tb\n  \u{1b}c\n","warnings":[
            {"code":"ROUTE_TYPE_UNAVAILABLE","message":"Not here."}]});
        assert_eq!(text(&envelope).as_deref(), Some("A\tb\n  ?c\n"));
        let rest = reply(&without_data(&envelope));
        assert_eq!(rest, "Template of 'X'.\nwarning[ROUTE_TYPE_UNAVAILABLE]: Not here.\n");
        for none in [json!({"success":false,"data":"a"}), json!({"success":true,"data":["a"]})] {
            assert_eq!(text(&none), None);
        }
    }

    #[test]
    fn counts_and_lists_are_words() {
        for (key, value, expected) in [
            ("counts", json!({"Model":1,"Action":2,"Route":0}), "Model 1, Action 2"),
            ("counts", json!({"Model":0,"Action":0}), "-"),
            ("range", json!({"min":0,"text":"a"}), "min 0, text a"),
            ("", json!({}), "-"),
            ("", json!([]), "-"),
            ("", json!(["a", 1, null]), "a, 1, -"),
            ("", json!([["a"]]), "[[\"a\"]]"),
            ("", json!({"a":{"b":1}}), "{\"a\":{\"b\":1}}"),
        ] {
            assert_eq!(cell(key, &value), expected);
        }
    }
}
