//! Every verb, called by a caller in this process: no MQTT, and the reply comes back to the caller.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lot_to_wasm::{CompileOptions, Form};
use serde_json::Value;

use crate::testing::Running;
use crate::{CommandUser, execute_command, verb_names};

/// Rows in the order of their execution: user, command, code of the refusal, part of the reply.
///
/// `{module}` stands for a component in base64, `{project}` for a project, `{backup}` for a backup.
pub(super) const ROWS: &[(&str, &str, &str, &str)] = &[
    ("root", "-help", "", r#""verb":"-addAction""#),
    ("root", "-help addUser", "", r#""usage":"-addUser <user> <password>""#),
    ("root", "-nothing", "UNKNOWN_COMMAND", "Unknown command: -nothing"),
    ("root", "-listTenants", "NOT_AVAILABLE", "-listTenants"),
    ("root", "-help -requestId r7", "", r#""requestId":"r7""#),
    ("root", "-help a b", "TOO_MANY_ARGUMENTS", "Usage: -help [verb]"),
    ("nobody", "-help", "PERMISSION_DENIED", "The user does not exist."),
    // Users and groups.
    ("root", "-addUser bob s3cret-pump", "", "bob"),
    ("root", "-addUser bob s3cret-pump", "USER_EXISTS", "bob"),
    (
        "root",
        "-addUser ann",
        "MISSING_ARGUMENT",
        "Missing argument: password. Usage: -addUser <user> <password>",
    ),
    (
        "root",
        "-importUser kim $7$101$ZjklghzZficO+EZQ$I1wC5h9KsLwpfBJjnXbd9kNU4937luUhZ0Rvg3hjjxyXeNkNYFZtgli0HqfhOXcHF+FVUTYtLOudv0GDtchH6g==",
        "",
        "kim",
    ),
    (
        "root",
        "-importUser lee $7$999999$c2FsdA==$eA==",
        "PASSWORD_INVALID",
        "999999 iterations, limit 100000",
    ),
    ("root", "-importUser lee secret", "PASSWORD_INVALID", "none of mosquitto"),
    ("root", "-removeUser kim", "", "kim"),
    ("bob", "-listUsers", "PERMISSION_DENIED", "-listUsers"),
    ("root", "-listUsers", "", r#""bob""#),
    ("root", "-changeUserPassword bob n3w-s3cret", "", "bob"),
    ("root", "-changeUserSettings bob AllowedUserManagement true", "", "bob"),
    ("root", "-changeUserSettings bob Nothing true", "", "bob"),
    ("root", "-addUserToGroup bob operators", "", "operators"),
    ("root", "-listUserGroups bob", "", "operators"),
    ("root", "-removeUserFromGroup bob operators", "", "operators"),
    ("root", "-removeUserFromGroup bob operators", "NOT_FOUND", "operators"),
    // Actions and models.
    ("root", "-addAction", "MISSING_ARGUMENT", "LoT text"),
    ("root", "-addAction DEFINE ACTION", "LOT245", ""),
    (
        "root",
        "-addAction DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD",
        "",
        "added",
    ),
    ("root", "-runAction Echo {\"topic\":\"in\",\"payload\":\"hello\"}", "", "hello"),
    ("root", "-runAction Nope", "NOT_FOUND", "Nope"),
    ("root", "-actionTrace Echo", "", "Tracing enabled"),
    ("root", "-actionTrace remove Nope", "NOT_FOUND", "Nope"),
    ("root", "-actionTrace status Echo", "TOO_MANY_ARGUMENTS", "Usage: -actionTrace <name | all"),
    ("root", "-addModel DEFINE MODEL Unit COLLAPSED\n    ADD STRING \"unit\" WITH \"C\"", "", "added"),
    ("root", "-lotDiagnostic action Echo", "", "Echo"),
    (
        "root",
        "-lotDiagnostic thing Echo",
        "ARGUMENT_INVALID",
        "Usage: -lotDiagnostic [model | action | route | rule] <name>",
    ),
    ("root", "-getPendingStatus", "", ""),
    ("root", "-listEntities", "", "Echo"),
    ("root", "-listRuns", "", ""),
    ("root", "-listLogLines action Echo", "", "0 lines."),
    ("root", "-listLogLines action Echo x", "ARGUMENT_INVALID", "'x' is no whole number of lines."),
    (
        "root",
        "-listLogLines thing Echo",
        "ARGUMENT_INVALID",
        "Usage: -listLogLines <action | model | module | route | rule> <name> [lines]",
    ),
    ("root", "-listLogLines action Nope", "NOT_FOUND", "Action 'Nope' not found."),
    ("root", "-removeModel Unit", "", "removed"),
    ("root", "-removeModel Unit", "NOT_FOUND", "Unit"),
    ("root", "-removeAllModels", "", ""),
    ("root", "-removeAction Nope", "NOT_FOUND", "Action 'Nope' not found."),
    ("root", "-removeAction Echo", "", "removed"),
    ("root", "-removeAllActions", "", ""),
    // Rules.
    (
        "root",
        "-addRule DEFINE RULE Readers WITH PRIORITY 100 FOR Subscribe TO TOPIC \"plant/#\"\n    IF USER IS \"bob\" THEN\n        ALLOW\n    ELSE\n        DENY",
        "",
        "added",
    ),
    (
        "root",
        "-addRule DEFINE RULE Readers WITH PRIORITY 100 FOR Subscribe TO TOPIC \"plant/#\"\n    IF USER IS \"bob\" THEN\n        DENY",
        "EXISTS",
        "Readers",
    ),
    ("root", "-listRules", "", "Readers"),
    ("root", "-removeRule Readers", "", "removed"),
    ("root", "-removeAllRules -force", "", ""),
    ("root", "-restoreRules", "", ""),
    // Routes and their dead letters.
    ("root", "-addRoute DEFINE ROUTE Up WITH TYPE LOOPBACK", "", "added"),
    (
        "root",
        "-addRoute DEFINE ROUTE Db WITH TYPE POSTGRESQL\n    ADD SQL_CONFIG\n        WITH SERVER \"h\"\n        WITH DATABASE \"d\"\n        WITH PASSWORD \"****\"",
        "ROUTE_SETTINGS_INVALID",
        "PASSWORD: '****' stands for a password",
    ),
    ("root", "-listRoutes", "", "Up"),
    ("root", "-connectionStatus", "", "Up"),
    ("root", "-checkRouteConnection Nope", "NOT_FOUND", "Nope"),
    ("root", "-listDeadLetters Up", "", "No dead letters."),
    ("root", "-listDeadLetters Up x", "ARGUMENT_INVALID", "'x' is no number of a dead letter."),
    ("root", "-replayDeadLetters Up 1 x", "ARGUMENT_INVALID", "'x' is no number of a dead letter."),
    ("root", "-removeDeadLetters Up -force x", "ARGUMENT_INVALID", r#""entityName":"Up""#),
    ("root", "-skipWaiting Up 0", "ARGUMENT_INVALID", "'0' is no number of messages: write one from 1 to"),
    ("root", "-replayDeadLetters Up", "", ""),
    (
        "root",
        "-replayDeadLetters",
        "MISSING_ARGUMENT",
        "Usage: -replayDeadLetters <route> [number]… [-force]",
    ),
    ("root", "-removeDeadLetters Up", "", ""),
    ("root", "-skipWaiting Up 1 -force", "", ""),
    ("root", "-listTemplates", "", "LOOPBACK"),
    ("root", "-routeCode LOOPBACK", "", ""),
    ("root", "-stop Up", "", "Up"),
    ("root", "-run Up", "", "Up"),
    ("root", "-removeRoute Up", "", "removed"),
    ("root", "-removeAllRoutes", "", ""),
    // Scripts.
    ("root", "-addPython x = 1", "SCRIPT_NAME_MISSING", ""),
    ("root", "-addPython -replace", "SCRIPT_NAME_MISSING", ""),
    ("root", "-removePython Stat", "NOT_FOUND", "Stat"),
    ("root", "-removeAllPythonScripts", "", ""),
    // Panels and themes.
    ("root", "-addPanel DEFINE PANEL \"Plant\"", "", "added"),
    ("root", "-addVisu DEFINE VISU", "LOT245", ""),
    ("root", "-addVisuFile lot64:!", "BASE64_INVALID", ""),
    ("root", "-listPanels", "", "Plant"),
    ("root", "-panelCode Plant", "", "Plant"),
    ("root", "-updateVisuState Plant ON", "ARGUMENT_INVALID", "Unknown state 'ON'. Usage: -updateVisuState"),
    ("root", "-updateVisuState Plant ARCHIVED", "", ""),
    ("root", "-refreshVisu", "", ""),
    ("root", "-removePanel Plant", "", ""),
    ("root", "-removeVisu Plant", "NOT_FOUND", ""),
    ("root", "-addTheme DEFINE THEME \"Dark\"\n    SET \"BACKGROUND\" WITH \"#101010\"", "", "added"),
    ("root", "-listThemes", "", "Dark"),
    ("root", "-removeTheme Dark", "", "removed"),
    ("root", "-removeAllThemes", "", ""),
    // Projects.
    ("root", "-addProject zip64:{project} plant load", "", "plant"),
    ("root", "-listProjects", "", "plant"),
    ("root", "-getProject plant", "", "$SYS/Coreflux/Project"),
    ("root", "-projectStatus plant", "", "plant"),
    ("root", "-projectManifest plant", "", "plant"),
    ("root", "-duplicateProject plant plant-2", "", "plant-2"),
    ("root", "-loadProject plant -agreed", "MISSING_ARGUMENT", "Missing argument: plan."),
    ("root", "-removeProject plant", "PROJECT_LOADED", "plant"),
    ("root", "-rollbackProject plant", "NOT_FOUND", "no version before"),
    ("root", "-unloadProject", "", "plant"),
    ("root", "-removeProject plant", "", "removed"),
    ("root", "-addProject zip64:{project} -force", "PROJECT_NAME_INVALID", "begins with no hyphen"),
    ("root", "-removeProject -- -force", "NOT_FOUND", "'-force'"),
    ("root", "-loadLicense license.lic", "", ""),
    // Modules.
    ("root", "-addModule scale -world action -on raw/# wasm64:AGFzbQEAAAA=", "NOT_A_COMPONENT", ""),
    ("bob", "-addModule scale -world action wasm64:{module}", "PERMISSION_DENIED", "-addModule"),
    ("root", "-addModule scale -world action -on raw/# wasm64:{module}", "", "scale"),
    ("root", "-addModule big -world action -size 10 -sha256 {zeros}", "NO_SENDER", ""),
    ("root", "-cancelModuleUpload u0123", "UPLOAD_UNKNOWN", "u0123"),
    ("root", "-listModules", "", "scale"),
    ("root", "-moduleInfo scale", "", "scale"),
    ("root", "-moduleInfo scale -tenant other", "TENANT_NOT_FOUND", "other"),
    ("root", "-grantModule scale -grant write:scaled/#", "", "write:scaled/#"),
    ("root", "-grantModule scale", "MISSING_ARGUMENT", "-grant"),
    ("root", "-grantModule scale -grant", "MISSING_ARGUMENT", "Missing argument: value of -grant."),
    ("root", "-grantModule scale -grant x:y", "GRANT_INVALID", "x"),
    ("root", "-addModule scale -world", "MISSING_ARGUMENT", "Missing argument: value of -world."),
    ("root", "-addModule scale -world action -world rule", "ARGUMENT_INVALID", "-world is given twice."),
    ("root", "-addModule scale -world action -memory x", "ARGUMENT_INVALID", "-memory takes a number from 1"),
    ("root", "-addModule scale -world action -size -force", "MISSING_ARGUMENT", "value of -size"),
    ("root", "-moduleInfo scale --Tenant default", "", "scale"),
    ("root", "-rollbackModule scale", "NO_FORMER_VERSION", "scale"),
    ("root", "-disableModule scale", "", "disabled"),
    ("root", "-enableModule scale", "", "enabled"),
    ("root", "-getModule scale", "", "was sent to"),
    ("root", "-getModule other", "MODULE_NOT_FOUND", "other"),
    // Assets.
    ("root", "-install scale -name", "MISSING_ARGUMENT", "value of -name"),
    ("root", "-install scale -name a -name b", "TOO_MANY_ARGUMENTS", "Usage: -install <module> [version]"),
    ("root", "-assetConfigSave scale", "MISSING_ARGUMENT", r#""entityName":"scale""#),
    ("root", "-install scale -name scale-2", "", "installed"),
    ("root", "-installWithToken scale abc -name scale-3", "", "TOKEN_IGNORED"),
    ("root", "-list", "", "scale-2"),
    ("root", "-listAvailable", "", "scale"),
    ("root", "-assetDefaultConfig scale", "", ""),
    ("root", "-assetSchema scale", "", ""),
    ("root", "-assetHelp scale", "", ""),
    ("root", "-assetConfigSave scale {", "JSON_INVALID", ""),
    ("root", "-assetConfigLoad scale", "", "scale"),
    ("root", "-assetPolicySet scale memory 16", "", "memory"),
    ("root", "-assetPolicySet scale size 16", "POLICY_UNKNOWN", "size"),
    ("root", "-assetNameSet scale-2 left", "", "left"),
    ("root", "-uninstall left", "", "left"),
    ("root", "-uninstallWithToken scale-3 abc", "", "TOKEN_IGNORED"),
    ("root", "-uninstallMultiple a b", "NOT_FOUND", "0 of 2 asset(s) uninstalled."),
    ("root", "-removeModule scale", "", "removed"),
    // Values and secrets.
    ("root", "-setEnv SITE=north", "", "SITE"),
    ("root", "-setEnv SITE", "ARGUMENT_INVALID", "Expected NAME=value. Usage: -setEnv <NAME=value>"),
    ("root", "-listEnv", "", "north"),
    ("root", "-removeEnv SITE", "", "removed"),
    ("root", "-setSecret DB_PASSWORD=hidden", "", "DB_PASSWORD"),
    ("root", "-listSecrets", "", "DB_PASSWORD"),
    ("root", "-removeSecret DB_PASSWORD", "", "removed"),
    ("root", "-removeSecret DB_PASSWORD", "NOT_FOUND", "DB_PASSWORD"),
    ("root", "-listKept", "", ""),
    ("root", "-removeKept plant/#/x", "ARGUMENT_INVALID", "plant/#/x"),
    ("root", "-listKept plant/#/x", "ARGUMENT_INVALID", "'plant/#/x' is no topic filter: "),
    ("root", "-removeKept plant/old/#", "", ""),
    // Clients.
    ("root", "-listClients", "", ""),
    ("root", "-listSessions", "", ""),
    ("root", "-listConnections", "", ""),
    ("root", "-endSession sensor-7", "NOT_FOUND", "sensor-7"),
    ("root", "-kickClient sensor-7", "NOT_FOUND", "sensor-7"),
    ("root", "-endConnection x", "ARGUMENT_INVALID", "'x' is not a number of a connection."),
    ("root", "-why eat ann c1", "ARGUMENT_INVALID", "'eat' is none of publish, subscribe and connect."),
    ("root", "-why publish root c1 plant/1", "", ""),
    ("root", "-whyDelivery c1 plant/1", "", ""),
    ("root", "-listConnections x", "ARGUMENT_INVALID", "'x' is not a number of a connection."),
    ("root", "-addBan user mallory 60", "", "User 'mallory' banned; 0 connection(s) closed."),
    ("root", "-listBans", "", r#""cause":"operator""#),
    ("root", "-removeBan user mallory", "", "not banned any more"),
    ("root", "-removeBan user mallory", "NOT_FOUND", "mallory"),
    // Logs and audit.
    ("root", "-auditStatus", "", "record(s)"),
    ("root", "-auditQuery tomorrow", "DATE_INVALID", "tomorrow"),
    ("root", "-decryptAudit", "STORE_IN_MEMORY", ""),
    ("root", "-addTraceLog pump debug category=lot", "", "pump"),
    ("root", "-listTraceLogs", "", "pump"),
    ("root", "-removeTraceLog pump", "", "removed"),
    ("root", "-removeAllTraceLogs", "", ""),
    // The broker.
    ("root", "-brokerStatus", "", ""),
    ("root", "-backup monday -retained", "", "monday"),
    ("root", "-backup -everything", "ARGUMENT_INVALID", "Unknown option '-everything'."),
    ("root", "-backup monday -everything", "ARGUMENT_INVALID", "Unknown option '-everything'."),
    ("root", "-backup monday --Retained", "", r#""retained""#),
    ("root", "-backup monday tuesday", "TOO_MANY_ARGUMENTS", "Usage: -backup [name] [-retained] [-sessions]"),
    ("root", "-restoreBackup part:1/2 zip64:!", "BASE64_INVALID", ""),
    ("root", "-restoreBackup", "", r#""state":"none""#),
    ("root", "-restoreBackup zip64:AAAA", "BACKUP_FOREIGN", ""),
    ("root", "-updateData", "", ""),
    ("root", "-removeUser bob", "", "bob"),
];

pub(super) fn command(running: &Running, user: &str, text: &str) -> (String, String, Vec<u8>) {
    let mut file = Vec::new();
    let of = CommandUser { tenant: "default", user };
    let reply = execute_command(&running.server, of, text, &mut file).expect("a vector takes all bytes");
    (reply.code().unwrap_or_default().to_owned(), reply.json(), file)
}

/// An action as a component of its own.
fn module() -> Vec<u8> {
    let options = CompileOptions { form: Form::Standalone, ..CompileOptions::default() };
    let text = "DEFINE ACTION Scale\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC \"scaled\" WITH PAYLOAD";
    let compilation = lot_to_wasm::compile(text, &options);
    compilation.entities.into_iter().next().and_then(|entity| entity.output).expect("it compiles").component
}

fn project() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("plant.lot", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"DEFINE ACTION Pump\nON TOPIC \"pump\" DO\n    PUBLISH TOPIC \"level\" WITH PAYLOAD\n")
        .unwrap();
    zip.finish().unwrap().into_inner()
}

/// Texts for the places in the rows that braces mark.
pub(super) struct RowTexts {
    module: String,
    project: String,
}

impl RowTexts {
    pub(super) fn new() -> Self {
        Self { module: STANDARD.encode(module()), project: STANDARD.encode(project()) }
    }

    /// Command of a row, with the texts in their places.
    pub(super) fn fill(&self, text: &str) -> String {
        let text = text.replace("{module}", &self.module).replace("{project}", &self.project);
        text.replace("{zeros}", &"0".repeat(64))
    }
}

#[test]
fn every_verb_answers_a_caller_without_mqtt() {
    let running = Running::start("none");
    let texts = RowTexts::new();
    let mut wrong = Vec::new();
    for (user, text, code, part) in ROWS {
        let text = texts.fill(text);
        let (found, reply, _) = command(&running, user, &text);
        let is_json =
            serde_json::from_str::<Value>(&reply).is_ok_and(|reply| reply["success"] == found.is_empty());
        if found != *code || !reply.contains(part) || !is_json {
            let shown: String = reply.chars().take(400).collect();
            wrong.push(format!("{user} {}: {found} {shown}", text.chars().take(60).collect::<String>()));
        }
    }
    running.server.stop();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_verb_has_a_row() {
    let verb =
        |text: &str| text.trim_start_matches('-').split_whitespace().next().unwrap_or_default().to_owned();
    let called: BTreeSet<String> = ROWS.iter().map(|(_, text, _, _)| verb(text)).collect();
    let missing: Vec<&str> = verb_names().filter(|name| !called.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn downloads_are_bytes_for_the_caller() {
    let running = Running::start("none");
    let (module, project) = (module(), project());
    let add = format!("-addModule scale -world action wasm64:{}", STANDARD.encode(&module));
    assert_eq!(command(&running, "root", &add).0, "");
    assert_eq!(command(&running, "root", "-getModule scale").2, module);
    let add = format!("-addProject zip64:{} plant", STANDARD.encode(&project));
    assert_eq!(command(&running, "root", &add).0, "");
    assert_eq!(command(&running, "root", "-getProject plant").2, project);
    let (_, reply, backup) = command(&running, "root", "-backup monday");
    let reply: Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(reply["data"]["bytes"], backup.len());
    assert!(crate::backup::Archive::open(Cursor::new(backup), u64::MAX).is_ok());
    running.server.stop();
}

#[test]
fn audit_hides_secret_arguments() {
    const SECRET: &str = "s3cret-word";
    let running = Running::start("none");
    let module = STANDARD.encode(module());
    for text in [
        "-addUser zoe {secret}",
        "-changeUserPassword zoe {secret}",
        "-addModule scale -world action -config {\"a\":\"{secret}\"} wasm64:{module}",
        "-addModule scale -world action -replace --config {\"b\":\"{secret}\"} wasm64:{module}",
        "-assetConfigSave scale {\"c\":\"{secret}\"}",
        "-installWithToken scale {secret} -name left",
        "-uninstallWithToken left {secret}",
        "-runAction Nope {\"d\":\"{secret}\"}",
        "-addPython # {secret}",
        "-addTraceLog pump debug user={secret}",
        "-loadLicense {secret}",
        "-setEnv SITE={secret}",
        // The last one: from now on the audit hides the word everywhere.
        "-setSecret KEY={secret}",
    ] {
        command(&running, "root", &text.replace("{secret}", SECRET).replace("{module}", &module));
    }
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let (code, records, _) = command(&running, "root", &format!("-auditQuery {today}"));
    running.server.stop();
    assert_eq!(code, "");
    let records: Value = serde_json::from_str(&records).expect("a reply is JSON");
    let arguments = |verb: &str| -> Vec<String> {
        let of_verb =
            records["data"].as_array().into_iter().flatten().filter(|record| record["verb"] == verb);
        of_verb.map(|record| record["arguments"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert!(!records.to_string().contains(SECRET), "{records}");
    assert_eq!(arguments("addUser"), ["zoe ****"]);
    assert_eq!(arguments("setSecret"), ["KEY=****"]);
    let configured = arguments("addModule").into_iter().filter(|text| text.contains("onfig ****"));
    assert_eq!(configured.count(), 2, "{records}");
}

/// Codes of refusals because of the text behind a verb.
const USAGE_CODES: [&str; 3] = ["MISSING_ARGUMENT", "TOO_MANY_ARGUMENTS", "ARGUMENT_INVALID"];

/// No argument, more arguments than any verb has, and a quotation mark that is not closed.
const WRONG_TEXTS: [&str; 3] = ["", "a1 a2 a3 a4 a5 a6 a7 a8 a9", "a1 \"a2"];

/// Every verb with every wrong text gives the message that the file has.
/// `UPDATE=1` writes the file.
#[test]
fn usage_errors_are_those_of_the_table() {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/usage_errors.tsv");
    let running = Running::start("none");
    let mut found = String::new();
    for (verb, text) in verb_names().flat_map(|verb| WRONG_TEXTS.map(|text| (verb, text))) {
        let (code, reply, _) = command(&running, "root", &format!("-{verb} {text}"));
        if USAGE_CODES.contains(&&*code) {
            let reply: Value = serde_json::from_str(&reply).expect("a reply is JSON");
            let message = reply["message"].as_str().expect("a reply has a message");
            found += &format!("{verb}\t{text}\t{code}\t{message}\n");
        }
    }
    running.server.stop();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(place, &found).unwrap();
    }
    let expected = std::fs::read_to_string(place).unwrap();
    let wrong: Vec<_> = found.lines().zip(expected.lines()).filter(|(found, line)| found != line).collect();
    assert!(
        found == expected,
        "{} and {} lines, {wrong:#?}",
        found.lines().count(),
        expected.lines().count()
    );
}
