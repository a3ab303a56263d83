//! `-listLogLines`: the last lines that a definition has written to its log.

use lotmq_auth::{Decide as _, Question};
use lotmq_definitions::DefinitionKind;
use serde_json::Value;

use super::add_entity::entity_type;
use super::argument::{number, word};
use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::limits::LOG_LINES_KEPT_MAX;

pub(super) static LIST: Verb = Verb {
    name: "listLogLines",
    arguments: &[
        word("kind").with_form("<action | model | module | route | rule>"),
        word("name"),
        number("lines", "is no whole number of lines").optional(),
    ],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Lists the last log lines of a definition, the oldest first: all that are kept (200 at most), or so many. The user needs the right to subscribe to its topic Log.",
    example: "-listLogLines module scale 20",
    execute: list,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (kind, name) = (call.text("kind"), call.text("name"));
    let count = call.number("lines")?.unwrap_or(LOG_LINES_KEPT_MAX);
    let kind = DefinitionKind::by_name(kind).ok_or_else(|| {
        let message = format!("Unknown kind '{kind}'. Usage: {}", call.verb.full_usage());
        Refusal::new(Code::ArgumentInvalid, message)
    })?;
    call.about(entity_type(kind), name);
    let guests = &call.tenant.programs().guests;
    let definition = guests.registry.read().get(kind, name).cloned();
    let definition =
        definition.ok_or_else(|| Refusal::not_found(format!("{} '{name}' not found.", kind.title())))?;
    let topic = format!("{}/Log", definition.sys_topic());
    let may_subscribe = Question::subscribe(call.identity, &topic);
    if !call.tenant.permissions.decide(&may_subscribe).is_allowed() {
        let need = format!("it needs a rule FOR SubscribeSys that lets this user read {topic}");
        return Err(Refusal::permission_denied(call.verb.name).with_suggestion(need));
    }
    let lines = guests.lines.history.last(definition.id, count);
    let message = match lines.len() {
        1 => "1 line.".to_owned(),
        count => format!("{count} lines."),
    };
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| Value::from(&**line)));
    Ok(Done::new(message).with_data(lines.collect::<Vec<Value>>()))
}
