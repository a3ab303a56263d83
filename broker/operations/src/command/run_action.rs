//! `-runAction`: one run of an Action, with inputs or a simulated message, and its report. Commands
//! reference §4.

use lotmq_auth::{Decide as _, Question, Scope};
use lotmq_definitions::{Definition, DefinitionKind};
use lotmq_host::Argument;
use serde_json::{Map, Value, json};

use super::argument::{json, word};
use super::reply::{Done, EntityType, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::json::{json_of_value, value_of_json};
use lotmq_programs::{RunActionError, RunReport, RunRequest};

pub(super) static RUN: Verb = Verb {
    name: "runAction",
    arguments: &[word("name"), json("json").optional()],
    permission: Permission::Scope(Scope::ActionManagementRun),
    effect: Effect::Reads,
    work: Work::Waits,
    summary: "Runs an action now. The JSON holds its inputs, or topic and payload of a message to simulate, at a topic where you may publish.",
    example: r#"-runAction Echo {"topic":"in","payload":"hello"}"#,
    execute: run,
};

fn run(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let name = call.text("name");
    call.about(EntityType::Action, name);
    let definition = call.tenant.programs().guests.registry.read().get(DefinitionKind::Action, name).cloned();
    let definition = definition
        .ok_or_else(|| Refusal::not_found(RunActionError::NotFound(name.to_owned()).to_string()))?;
    let (request, warning) = request(&definition, call.values.get("json"))?;
    check_message(call, &request)?;
    let report = call
        .tenant
        .programs()
        .guests
        .run_action(name, request, call.core.clock.wall_ms())
        .map_err(refused)?;
    let data = data(name, &report);
    if let Some(error) = report.error {
        let message = format!("Action '{name}' failed: {}", error.message);
        let mut entry = json!({ "message": error.message, "code": error.code });
        if error.line > 0 {
            entry["line"] = json!(error.line);
            entry["column"] = json!(error.column);
        }
        return Err(Refusal { message, errors: vec![entry], data: data.into(), ..Refusal::default() });
    }
    let mut done = Done::new(format!("Action '{name}' executed successfully.")).with_data(data);
    if report.dropped > 0 {
        let text = format!(
            "{} message(s) of this run were dropped: what wrote them was removed or taken over while it ran, or nobody takes them.",
            report.dropped
        );
        done = done.with_warning(Code::MessagesDropped, &text);
    }
    Ok(match warning {
        Some(text) => done.with_warning(Code::NoMessage, &text),
        None => done,
    })
}

/// Refuses a message that the asker may not publish: what runs takes its payload for the value of
/// its topic.
fn check_message(call: &Call<'_>, request: &RunRequest) -> Result<(), Refusal> {
    let RunRequest::Message { topic, payload } = request else { return Ok(()) };
    // A made-up one of an action without a topic has none, and a filter is nobody's topic.
    if lotmq_router::topic_name_valid(topic).is_err() {
        return Ok(());
    }
    let question = Question { payload: Some(payload), ..Question::publish(call.identity, topic) };
    if call.tenant.permissions.decide(&question).is_allowed() {
        return Ok(());
    }
    let message = format!("You may not publish to '{topic}', and so simulate no message there.");
    Err(Refusal::new(Code::PermissionDenied, message))
}

/// Parses the request for a run, with a warning where it was made up.
fn request(definition: &Definition, json: Option<&str>) -> Result<(RunRequest, Option<String>), Refusal> {
    if let Some(json) = json {
        return Ok((parsed(definition, json)?, None));
    }
    let trigger = definition.trigger().filter(|trigger| trigger.has_message());
    let Some(topic) = trigger.and_then(|trigger| trigger.filters().first()) else {
        return Ok((or_message(RunRequest::Inputs(Vec::new()), definition), None));
    };
    let warning = format!(
        "The action was run with an empty payload and the topic '{topic}', its trigger as written. \
         Give {{\"topic\":…,\"payload\":…}} to simulate a message."
    );
    Ok((RunRequest::Message { topic: topic.clone(), payload: Vec::new() }, Some(warning)))
}

/// Turns a request without inputs into an empty message, as for a timer.
fn or_message(request: RunRequest, definition: &Definition) -> RunRequest {
    if definition.facts().callable.is_some() {
        return request;
    }
    RunRequest::Message { topic: String::new(), payload: Vec::new() }
}

fn parsed(definition: &Definition, json: &str) -> Result<RunRequest, Refusal> {
    let invalid =
        |reason: String| Refusal::new(Code::JsonInvalid, format!("The JSON cannot be read: {reason}."));
    let fields: Value = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
    let Value::Object(fields) = fields else { return Err(invalid("an object is expected".to_owned())) };
    if let Some(message) = message(&fields) {
        return message;
    }
    let known = definition.facts().callable.as_ref().map(|signature| &signature.inputs);
    let inputs = fields.into_iter().map(|(name, value)| {
        let is_known = known.is_some_and(|known| known.iter().any(|input| input.name == name));
        if !is_known {
            let message = format!("Action '{}' has no input '{name}'.", definition.name());
            return Err(Refusal::new(Code::InputUnknown, message));
        }
        Ok(Argument { name, value: value_of_json(value) })
    });
    Ok(or_message(RunRequest::Inputs(inputs.collect::<Result<_, _>>()?), definition))
}

/// Parses a simulated message, where exactly its two keys occur.
fn message(fields: &Map<String, Value>) -> Option<Result<RunRequest, Refusal>> {
    let (topic, payload) = (fields.get("topic")?, fields.get("payload")?);
    if fields.len() != 2 {
        return None;
    }
    let topic = topic.as_str().filter(|topic| lotmq_router::topic_name_valid(topic).is_ok());
    let Some(topic) = topic else {
        return Some(Err(Refusal::new(Code::TopicInvalid, "The topic is not a valid topic name.")));
    };
    let payload = match payload {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            payload.to_string()
        }
    };
    Some(Ok(RunRequest::Message { topic: topic.to_owned(), payload: payload.into_bytes() }))
}

fn data(name: &str, report: &RunReport) -> Value {
    let outputs: Map<String, Value> =
        report.outputs.iter().map(|(name, value)| (name.clone(), json_of_value(value))).collect();
    let error = report.error.as_ref().map(|error| {
        json!({ "code": error.code, "message": error.message, "line": error.line, "column": error.column })
    });
    json!({
        "action": name,
        "traceId": report.trace_id,
        "status": if report.error.is_some() { "error" } else { "success" },
        "published": report.published,
        "error": error,
        "outputs": outputs,
    })
}

fn refused(error: RunActionError) -> Refusal {
    let code = match &error {
        RunActionError::NotFound(_) => Code::NotFound,
        RunActionError::NotTaken(..) => Code::Busy,
        RunActionError::Compiling(_) => Code::Compiling,
        RunActionError::TooLong(_) => Code::Timeout,
        RunActionError::Removed(_) => Code::NotFound,
    };
    Refusal::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_topic_and_payload_are_a_message() {
        let fields = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        for (text, expected) in [
            (r#"{"topic":"a","payload":"x y"}"#, Some(Some(("a", "x y")))),
            (r#"{"payload":{"v":1},"topic":"a/b"}"#, Some(Some(("a/b", r#"{"v":1}"#)))),
            (r#"{"topic":"a","payload":3.5}"#, Some(Some(("a", "3.5")))),
            (r#"{"topic":"a/#","payload":1}"#, Some(None)),
            (r#"{"topic":1,"payload":1}"#, Some(None)),
            (r#"{"topic":"a","payload":1,"x":1}"#, None),
            (r#"{"topic":"a"}"#, None),
        ] {
            let found = message(&fields(text)).map(|message| match message {
                Ok(RunRequest::Message { topic, payload }) => {
                    Some((topic, String::from_utf8(payload).unwrap()))
                }
                Ok(RunRequest::Inputs(_)) | Err(_) => None,
            });
            let expected = expected
                .map(|message| message.map(|(topic, payload)| (topic.to_owned(), payload.to_owned())));
            assert_eq!(found, expected, "{text}");
        }
    }
}
