//! Commands on `$SYS/Coreflux/Command`: the list of all verbs. Commands reference §3.
//!
//! A PUBLISH becomes a `Job`; `command_queue` orders them, [`run`] executes one, and [`answer`]
//! delivers its reply to topics or to a caller in this process. Each verb is a value in a file of
//! its own, those of definitions in one ([`definition_verbs`]). To add one: the file, and a line
//! here.
#![allow(
    clippy::result_large_err,
    reason = "a command is refused once, and a box more would be in every line that refuses"
)]

mod action_trace;
mod add_entity;
mod answer;
mod assets;
mod audit;
mod backup;
mod broker_status;
mod dead_letters;
mod definition_verbs;
mod dependents;
mod deploy_warnings;
mod diagnose;
mod environment;
mod fuzz;
mod help;
mod kept_values;
mod list_clients;
mod list_runs;
mod log_lines;
mod modules;
mod ownership;
mod panels;
mod projects;
mod published;
mod python;
mod reference;
mod remove_entity;
mod reply;
mod route_templates;
mod routes;
mod rules;
mod run;
mod run_action;
mod secrets;
mod sessions;
mod share;
mod themes;
mod trace_logs;
mod update_data;
mod user_groups;
mod user_settings;
mod users;
mod verb;
mod workers;

use lot_nearest::nearest_within;

use crate::command_queue::work::Load;
use crate::command_text::{self, CommandText};

#[doc(hidden)]
pub use fuzz::fuzz_command;
pub use modules::local as local_modules;
pub use modules::parts::expire as expire_uploads;
use modules::parts::{is_part, part_published};
pub(crate) use published::{command_of_guest, published};
pub use reference::commands_markdown;
pub(crate) use run::not_allowed;
use run::{busy, config_new};
pub(crate) use users::is_own_password;
use verb::{Verb, Work, argument, redaction};
pub use workers::in_process::command as command_in_process;
pub use workers::start;

/// Every verb that works, by what it is about.
static GROUPS: &[(&str, &[&Verb])] = &[
    (
        "Actions",
        &[
            &definition_verbs::actions::ADD,
            &definition_verbs::actions::REMOVE,
            &definition_verbs::actions::REMOVE_ALL,
            &run_action::RUN,
            &action_trace::TRACE,
        ],
    ),
    (
        "Models",
        &[
            &definition_verbs::models::ADD,
            &definition_verbs::models::REMOVE,
            &definition_verbs::models::REMOVE_ALL,
        ],
    ),
    ("Rules", &[&rules::ADD, &rules::REMOVE, &rules::REMOVE_ALL, &rules::RESTORE, &rules::LIST]),
    (
        "Routes",
        &[
            &definition_verbs::routes::ADD,
            &definition_verbs::routes::REMOVE,
            &definition_verbs::routes::REMOVE_ALL,
            &routes::LIST,
            &routes::CONNECTION_STATUS,
            &routes::CHECK_CONNECTION,
            &dead_letters::LIST,
            &dead_letters::REPLAY,
            &dead_letters::REMOVE,
            &dead_letters::SKIP,
            &route_templates::LIST,
            &route_templates::CODE,
        ],
    ),
    ("Python", &[&python::ADD, &python::REMOVE, &python::REMOVE_ALL]),
    (
        "Panels and themes",
        &[
            &panels::ADD,
            &panels::ADD_VISU,
            &panels::ADD_FILE,
            &panels::REMOVE,
            &panels::REMOVE_VISU,
            &panels::LIST,
            &panels::CODE,
            &panels::UPDATE_STATE,
            &panels::REFRESH,
            &definition_verbs::themes::ADD,
            &definition_verbs::themes::REMOVE,
            &definition_verbs::themes::REMOVE_ALL,
            &themes::LIST,
        ],
    ),
    ("What is deployed", &[&diagnose::DIAGNOSE, &diagnose::PENDING, &diagnose::LIST]),
    (
        "Projects",
        &[
            &projects::ADD,
            &projects::REMOVE,
            &projects::LOAD,
            &projects::UNLOAD,
            &projects::ROLLBACK,
            &projects::LIST,
            &projects::GET,
            &projects::DUPLICATE,
            &projects::STATUS,
            &projects::MANIFEST,
            &projects::LOAD_LICENSE,
        ],
    ),
    (
        "Modules",
        &[
            &modules::ADD,
            &modules::REMOVE,
            &modules::LIST,
            &modules::INFO,
            &modules::ENABLE,
            &modules::DISABLE,
            &modules::ROLLBACK,
            &modules::granting::GRANT,
            &modules::parts::CANCEL,
            &modules::download::GET,
        ],
    ),
    (
        "Assets",
        &[
            &assets::INSTALL,
            &assets::INSTALL_WITH_TOKEN,
            &assets::UNINSTALL,
            &assets::UNINSTALL_WITH_TOKEN,
            &assets::UNINSTALL_MULTIPLE,
            &assets::running::RUN,
            &assets::running::STOP,
            &assets::listing::LIST,
            &assets::listing::AVAILABLE,
            &assets::package::DEFAULT_CONFIG,
            &assets::package::SCHEMA,
            &assets::package::HELP,
            &assets::settings::CONFIG_SAVE,
            &assets::settings::CONFIG_LOAD,
            &assets::settings::POLICY_SET,
            &assets::settings::NAME_SET,
        ],
    ),
    (
        "Users",
        &[
            &users::ADD,
            &users::IMPORT,
            &users::REMOVE,
            &users::CHANGE_PASSWORD,
            &users::LIST,
            &user_settings::CHANGE,
            &user_groups::ADD,
            &user_groups::REMOVE,
            &user_groups::LIST,
        ],
    ),
    (
        "Values and secrets",
        &[
            &environment::SET,
            &environment::REMOVE,
            &environment::LIST,
            &kept_values::LIST,
            &kept_values::REMOVE,
            &secrets::SET,
            &secrets::REMOVE,
            &secrets::LIST,
        ],
    ),
    (
        "Clients",
        &[
            &list_clients::LIST,
            &sessions::LIST,
            &sessions::END,
            &sessions::KICK,
            &sessions::LIST_CONNECTIONS,
            &sessions::END_CONNECTION,
            &sessions::bans::LIST,
            &sessions::bans::ADD,
            &sessions::bans::REMOVE,
            &sessions::why::WHY,
            &sessions::why::delivery::WHY_DELIVERY,
        ],
    ),
    (
        "Logs and audit",
        &[
            &audit::STATUS,
            &audit::QUERY,
            &audit::DECRYPT,
            &log_lines::LIST,
            &trace_logs::ADD,
            &trace_logs::LIST,
            &trace_logs::REMOVE,
            &trace_logs::REMOVE_ALL,
        ],
    ),
    (
        "The broker",
        &[
            &broker_status::STATUS,
            &list_runs::LIST,
            &backup::BACKUP,
            &backup::RESTORE,
            &update_data::UPDATE,
            &help::HELP,
        ],
    ),
];

/// Every verb that works.
fn verbs() -> impl Iterator<Item = &'static Verb> {
    GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied())
}

/// Short forms of verbs: one letter, in which small and capital ones differ.
static SHORT_FORMS: &[(&str, &Verb)] = &[
    ("I", &assets::INSTALL),
    ("U", &assets::UNINSTALL),
    ("R", &assets::running::RUN),
    ("S", &assets::running::STOP),
    ("l", &assets::listing::LIST),
    ("L", &assets::listing::AVAILABLE),
];

/// Whether what stands behind a verb, written with its dashes, is a text instead of arguments.
#[must_use]
pub fn takes_text(verb: &str) -> bool {
    let verb = command_text::normalized_verb(verb).and_then(|name| find(&name));
    verb.is_some_and(|verb| argument::takes_rest(verb.arguments))
}

/// Names of every verb that works, without dashes.
pub fn verb_names() -> impl Iterator<Item = &'static str> {
    verbs().map(|verb| verb.name)
}

/// Whether the verb of this name changes nothing; `None` for an unknown verb.
pub fn is_read_only(verb: &str) -> Option<bool> {
    find(verb).map(|verb| matches!(verb.effect, verb::Effect::Reads | verb::Effect::TellsWhatIsStored))
}

/// Verbs that a later version brings: refused by name, and in no list of features.
static NOT_AVAILABLE: &[&str] = &[
    "routeCertificates",
    "listCertificates",
    "setCertificate",
    "rollbackCertificate",
    "discoverAIProviders",
    "installPythonPackage",
    "listPythonPackages",
    "projectCheckout",
    "projectPull",
    "projectPush",
    "addTenant",
    "removeTenant",
    "setTenantQuota",
    "listTenants",
];

/// Finds the verb of a normalised name.
fn find(name: &str) -> Option<&'static Verb> {
    let short = SHORT_FORMS.iter().find(|(letter, _)| *letter == name).map(|(_, verb)| *verb);
    short.or_else(|| verbs().find(|verb| verb.name.eq_ignore_ascii_case(name)))
}

/// Load of a command on its thread, as far as its text tells.
fn load_of(payload: &[u8]) -> Load {
    // No verb is as long as that; a cut character ends the text.
    let head = payload.get(..64).unwrap_or(payload).utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let verb = command_text::normalized_verb(CommandText::new(head).verb).and_then(|name| find(&name));
    Load::new(verb.map_or(Work::Answers, |verb| verb.work), payload.len())
}

/// Verbs that are meant by names which are tried and which no verb has.
const MEANT: &[(&str, &str)] = &[
    ("listActions", "listEntities"),
    ("listModels", "listEntities"),
    ("listPython", "listEntities"),
    ("listScripts", "listEntities"),
    ("listPythonScripts", "listEntities"),
    ("listDefinitions", "listEntities"),
    ("status", "brokerStatus"),
    ("health", "brokerStatus"),
    ("changePassword", "changeUserPassword"),
    ("setPassword", "changeUserPassword"),
    ("passwd", "changeUserPassword"),
    ("createUser", "addUser"),
    ("deleteUser", "removeUser"),
    ("deleteAction", "removeAction"),
    ("deleteModel", "removeModel"),
    ("deleteRule", "removeRule"),
    ("deleteRoute", "removeRoute"),
    ("deletePython", "removePython"),
    ("deleteProject", "removeProject"),
    ("deleteModule", "removeModule"),
    ("restore", "restoreBackup"),
    ("kick", "kickClient"),
    ("ban", "addBan"),
    ("banClient", "addBan"),
    ("unban", "removeBan"),
    ("disconnect", "kickClient"),
    ("stopRoute", "stop"),
    ("disableRoute", "stop"),
    ("pauseRoute", "stop"),
    ("startRoute", "run"),
    ("runRoute", "run"),
    ("enableRoute", "run"),
    ("stopAsset", "stop"),
    ("startAsset", "run"),
    ("runAsset", "run"),
];

/// Finds the verb whose name is most like the written one.
fn nearest_verb(written: &str) -> Option<&'static str> {
    const EDITS_MAX: usize = 3;
    let written = written.replace(['-', '_'], "");
    if let Some((_, meant)) = MEANT.iter().find(|(name, _)| name.eq_ignore_ascii_case(&written)) {
        return Some(meant);
    }
    // Any short verb is three letters away from a word of three.
    let edits_max = EDITS_MAX.min(written.chars().count() / 2);
    nearest_within(edits_max, &written, verbs().map(|verb| verb.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_camel_case() {
        let mut names: Vec<String> = verbs().map(|verb| verb.name.to_ascii_lowercase()).collect();
        names.extend(NOT_AVAILABLE.iter().map(|name| name.to_ascii_lowercase()));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "a verb is in one of the lists, once");
        for verb in verbs() {
            assert!(verb.name.starts_with(|c: char| c.is_ascii_lowercase()), "{}", verb.name);
            assert!(verb.example.starts_with(&format!("-{}", verb.name)), "{}", verb.example);
            assert!(verb.summary.ends_with('.'), "{}", verb.name);
        }
    }

    #[test]
    fn verbs_are_found_under_their_normalised_names() {
        for (written, expected) in [
            ("--list-users", Some("listUsers")),
            ("-ADDUSER", Some("addUser")),
            ("-installPythonPackage", None),
            ("-l", Some("list")),
            ("--L", Some("listAvailable")),
            ("-I", Some("install")),
            ("-i", None),
            ("-s", None),
            ("-asset-help", Some("assetHelp")),
        ] {
            let name = command_text::normalized_verb(written).unwrap();
            assert_eq!(find(&name).map(|verb| verb.name), expected, "{written}");
        }
    }

    #[test]
    fn synonyms_suggest_existing_verbs() {
        for (written, meant) in MEANT {
            assert!(verbs().any(|verb| verb.name == *meant), "{meant}");
            assert!(!verbs().any(|verb| verb.name.eq_ignore_ascii_case(written)), "{written}");
            assert_eq!(nearest_verb(&format!("--{written}")), Some(*meant));
        }
    }

    #[test]
    fn verbs_that_take_text_are_recognized() {
        for (written, expected) in [
            ("-addAction", true),
            ("--set-env", true),
            ("-addUser", false),
            ("-nothing", false),
            ("x", false),
        ] {
            assert_eq!(takes_text(written), expected, "{written}");
        }
        let texts = ["text>", "<json>", "[json]", "=value>", "|filter]", "<anything>"];
        for verb in verbs().filter(|verb| texts.iter().any(|text| verb.usage().contains(text))) {
            assert!(takes_text(&format!("-{}", verb.name)) || verb.name == "addVisuFile", "{}", verb.name);
        }
    }

    #[test]
    fn commands_are_classified_by_the_work_they_cause() {
        for (written, work) in [
            ("-addAction", Work::Compiles),
            ("--add-route", Work::Compiles),
            ("-addVisu", Work::Compiles),
            ("-R", Work::CompilesModule),
            ("-restoreBackup", Work::Compiles),
            ("-checkRouteConnection", Work::Waits),
            ("-runAction", Work::Waits),
            ("-getModule", Work::Waits),
            ("-listUsers", Work::Answers),
            ("-nothing", Work::Answers),
            ("addAction", Work::Answers),
            ("", Work::Answers),
        ] {
            assert_eq!(load_of(written.as_bytes()).work, work, "{written}");
        }
        // Every verb that takes the text of a program or a module compiles it.
        let sources = ["<LoT text>", "lot64:", "zip64:", "<Python"];
        for verb in verbs().filter(|verb| sources.iter().any(|source| verb.usage().contains(source))) {
            assert!(matches!(verb.work, Work::Compiles | Work::CompilesModule), "{}", verb.name);
        }
        let cut = format!("-addAction {}€", "x".repeat(52));
        assert_eq!(load_of(cut.as_bytes()).work, Work::Compiles, "a character is cut");
        assert_eq!(load_of(&[0xff; 100]).work, Work::Answers);
        let long = format!("--ADD-action {}", "x".repeat(crate::limits::LARGE_UPLOAD_BYTES));
        assert!(load_of(long.as_bytes()).is_large);
        assert!(!load_of(b"-addAction DEFINE ACTION A").is_large);
    }
}
