//! Triggers of a definition that never fire because its owner may not read the topic. Reported at
//! deployment and by the status at any time, because rights change later.
//!
//! Asks the rules as a subscription of the owner to the filter would. Not here: the messages that
//! reach the definition (`rights`).

use std::collections::HashMap;
use std::sync::Arc;

use lot_facts::Trigger;
use lotmq_auth::{Decide as _, Question};
use lotmq_core::tenant::Tenant;
use lotmq_definitions::{Definition, DefinitionKind};
use lotmq_host::describe_owner;
use serde_json::{Value, json};

use super::{HasPrograms as _, rights};
use lotmq_codes::Code;

/// Answers about owners and filters, each asked for once.
type Answers = HashMap<(u64, String), bool>;

/// Warnings about one definition, with the line of its text where the filter stands.
pub fn warnings(tenant: &Tenant, definition: &Definition) -> Vec<Value> {
    warning_rows(tenant, definition, &mut Answers::new())
}

/// Warnings about all definitions, at most so many, as the status has them. Cost: O(definitions),
/// and a question for each filter of an owner whom the rules concern.
pub fn all_warnings(tenant: &Tenant, count_max: usize) -> Vec<Value> {
    let mut answers = Answers::new();
    let mut found = Vec::new();
    for definition in &definitions(tenant) {
        if found.len() >= count_max {
            break;
        }
        let (file, cell) = definition.deployed.origin.file();
        for mut row in warning_rows(tenant, definition, &mut answers) {
            row["kind"] = json!(definition.kind().title());
            row["name"] = json!(definition.name());
            if !file.is_empty() {
                row["file"] = json!(file);
                row["cell"] = json!(cell);
            }
            found.push(row);
        }
    }
    found
}

/// Filters of a definition of which it hears nothing.
pub fn filters(tenant: &Tenant, definition: &Definition) -> Vec<String> {
    let mut answers = Answers::new();
    denied_filters(tenant, definition, &mut answers).into_iter().cloned().collect()
}

/// The same of all definitions by kind and name, without those that hear everything. Cost: as of
/// [`all_warnings`].
pub fn all_filters(tenant: &Tenant) -> HashMap<(&'static str, Arc<str>), Vec<String>> {
    let mut answers = Answers::new();
    let of_one = |definition: &Arc<Definition>| {
        let filters: Vec<String> =
            denied_filters(tenant, definition, &mut answers).into_iter().cloned().collect();
        (!filters.is_empty()).then(|| ((definition.kind().title(), Arc::clone(definition.name())), filters))
    };
    definitions(tenant).iter().filter_map(of_one).collect()
}

fn definitions(tenant: &Tenant) -> Vec<Arc<Definition>> {
    let registry = tenant.programs().guests.registry.read();
    DefinitionKind::ALL.into_iter().flat_map(|kind| registry.list(kind)).cloned().collect()
}

fn denied_filters<'a>(tenant: &Tenant, definition: &'a Definition, answers: &mut Answers) -> Vec<&'a String> {
    if !rights::is_asked(tenant.programs().guests.authority, definition.owner()) {
        return Vec::new();
    }
    let identity = rights::identity_of(tenant, definition.owner());
    let facts = definition.facts();
    let filters = definition.trigger().map(Trigger::filters).unwrap_or_default();
    let is_denied = |filter: &&String| {
        let key = (definition.account(), (*filter).clone());
        let ask = || tenant.permissions.decide(&Question::subscribe(&identity, filter)).is_allowed();
        !*answers.entry(key).or_insert_with(ask)
    };
    filters.iter().chain(&facts.reception).filter(is_denied).collect()
}

fn warning_rows(tenant: &Tenant, definition: &Definition, answers: &mut Answers) -> Vec<Value> {
    let owner = describe_owner(definition.owner().map(|owner| &*owner.name));
    let warning = |filter: &String| {
        let message = format!(
            "the rules do not let {owner} read '{filter}': it hears nothing of it. Allow that, or have somebody deploy it who may"
        );
        let mut warning = json!({ "code": Code::TriggerDenied, "message": message });
        if let Some((line, column, text)) = place(&definition.deployed.source, filter) {
            warning["line"] = json!(definition.line_of_file(line));
            warning["column"] = json!(column);
            warning["endColumn"] = json!(column + filter.chars().count());
            warning["sourceLines"] = json!([text]);
        }
        warning
    };
    denied_filters(tenant, definition, answers).into_iter().map(warning).collect()
}

/// Finds a filter in a text: line, column and the text of the line. `None` if the program composes
/// the filter from pieces.
fn place<'a>(source: &'a str, filter: &str) -> Option<(u32, usize, &'a str)> {
    let quoted = ['"', '\''].map(|quote| format!("{quote}{filter}{quote}"));
    source.lines().enumerate().find_map(|(index, line)| {
        let at = quoted.iter().find_map(|quoted| line.find(quoted))?;
        let column = line.get(..at)?.chars().count() + 2;
        Some((u32::try_from(index).ok()?.saturating_add(1), column, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_found_where_it_stands() {
        let source = "DEFINE ACTION A\n// plant/+ is not meant\nON TOPIC \"a\" OR 'plant/+' DO\n    PUBLISH TOPIC \"b\" WITH 1";
        assert_eq!(place(source, "plant/+"), Some((3, 18, "ON TOPIC \"a\" OR 'plant/+' DO")));
        assert_eq!(place(source, "a").map(|place| place.1), Some(11));
        assert_eq!(place(source, "plant"), None);
    }
}
