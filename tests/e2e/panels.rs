//! Panels and themes as a user has them: uploaded by command, published below `$SYS`, there again
//! after `kill -9`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::{Value, json};

use crate::broker;

const PLANT: &str = r#"DEFINE PANEL "Plant 1" WITH TITLE "The plant"
    WITH VISIBILITY SHARED
    WITH SHARE TO GROUP "ops"
    ADD COMPONENT "g1" WITH TYPE "gauge"
        SET LABEL "Temp" SET RANGE FROM 0 TO 100
        BIND VALUE TO TOPIC "s/1/t"
    ADD COMPONENT "stop" WITH TYPE "button"
        ON CLICK DO
            PUBLISH TOPIC "cmd/stop" WITH TRUE
            NAVIGATE "Other""#;
const DARK: &str = "DEFINE THEME \"Dark\"\n    SET \"TEXT\" WITH \"#ffffff\"";

/// Somebody who sees all panels and themes.
fn viewer(broker: &Broker) -> Client {
    let mut client = broker.root("viewer");
    client.subscribe_to("$SYS/Coreflux/VoT/#", QoS::AtMostOnce).unwrap();
    client.subscribe_to("$SYS/Coreflux/Visus/+", QoS::AtMostOnce).unwrap();
    client
}

/// The next messages by topic, below `$SYS/Coreflux/`.
fn next(client: &mut Client, count: usize) -> BTreeMap<String, String> {
    let message = || {
        let message = client.receive(WAIT_MAX).unwrap().expect("a message");
        (message.topic["$SYS/Coreflux/".len()..].to_owned(), message.text())
    };
    std::iter::repeat_with(message).take(count).collect()
}

fn topics(panel: &str) -> [String; 3] {
    [format!("Visus/{panel}"), format!("VoT/Panels/{panel}"), format!("VoT/Panels/{panel}/Tree")]
}

#[test]
fn panels_and_themes_are_published_kept_and_removed() {
    let mut broker = broker();
    let mut client = viewer(&broker);
    let added = broker.command_ok(&format!("-addPanel {PLANT}"));
    assert_eq!(added.message(), "Panel 'Plant 1' added successfully!");
    assert_eq!((&added.0["entityType"], &added.0["entityName"]), (&json!("Panel"), &json!("Plant 1")));
    let seen = next(&mut client, 3);
    let [visu, panel, tree] = topics("Plant 1");
    assert_eq!((&*seen[&visu], &*seen[&panel]), (PLANT, PLANT));
    let expected = json!({
        "name": "Plant 1", "title": "The plant", "visibility": "SHARED", "share": {"group": "ops"},
        "components": [
            {"name": "g1", "type": "gauge", "label": "Temp", "range": {"from": 0, "to": 100}, "value": {"topic": "s/1/t"}},
            {"name": "stop", "type": "button", "onClick": true},
        ],
    });
    assert_eq!(serde_json::from_str::<Value>(&seen[&tree]).unwrap(), expected);
    assert_eq!(broker.command_ok(&format!("-addTheme {DARK}")).message(), "Theme 'Dark' added successfully!");
    let theme = BTreeMap::from([
        ("VoT/Themes/Dark".to_owned(), DARK.to_owned()),
        ("VoT/Themes/Dark/Tree".to_owned(), r##"{"name":"Dark","settings":{"TEXT":"#ffffff"}}"##.to_owned()),
    ]);
    assert_eq!(next(&mut client, 2), theme);

    broker.kill();
    broker.start_again();
    let mut client = viewer(&broker);
    let again = next(&mut client, 5);
    assert_eq!((&again[&visu], &again[&panel], &again[&tree]), (&seen[&visu], &seen[&panel], &seen[&tree]));
    assert_eq!(again["VoT/Themes/Dark"], DARK);
    assert_eq!(broker.command_ok("-refreshVisu").message(), "1 panel(s) and 1 theme(s) published.");
    assert_eq!(next(&mut client, 5), again);

    let removed = broker.command_ok("-removePanel \"Plant 1\"");
    assert_eq!(removed.message(), "Panel 'Plant 1' removed successfully!");
    assert_eq!(next(&mut client, 3), topics("Plant 1").map(|topic| (topic, String::new())).into());
    assert_eq!(broker.command_ok("-removeAllThemes").message(), "Removed all themes successfully");
    let gone = ["VoT/Themes/Dark", "VoT/Themes/Dark/Tree"].map(|topic| (topic.to_owned(), String::new()));
    assert_eq!(next(&mut client, 2), gone.into());
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command("-listEntities").data(), &json!([]));
}

#[test]
fn only_published_panels_are_distributed() {
    let mut broker = broker();
    let mut client = viewer(&broker);
    broker.command_ok("-addVisu DEFINE VISU Draft WITH STATE DRAFT");
    broker.command_ok("-addVisu DEFINE VISU P");
    // Of the first nothing came.
    assert!(next(&mut client, 3).contains_key("Visus/P"));
    let set = broker.command_ok("-updateVisuState P archived");
    assert_eq!(set.message(), "State of panel 'P' set to ARCHIVED successfully!");
    assert_eq!(next(&mut client, 3), topics("P").map(|topic| (topic, String::new())).into());
    broker.command_ok("-updateVisuState Draft PUBLISHED");
    assert_eq!(next(&mut client, 3)["VoT/Panels/Draft"], "DEFINE VISU Draft WITH STATE DRAFT");
    broker.kill();
    broker.start_again();
    let rows = |broker: &Broker| -> Vec<(Value, Value)> {
        let listed = broker.command_ok("-listPanels");
        let rows = listed.data().as_array().unwrap().iter();
        rows.map(|row| (row["name"].clone(), row["state"].clone())).collect()
    };
    let expected =
        [("Draft", "PUBLISHED"), ("P", "ARCHIVED")].map(|(name, state)| (json!(name), json!(state)));
    assert_eq!(rows(&broker), expected);
    // A new text brings its own state.
    broker.command_ok("-addPanel DEFINE PANEL Draft WITH STATE DRAFT");
    assert_eq!(rows(&broker)[0].1, "DRAFT");
}

#[test]
fn panels_and_themes_are_listed_read_and_sent_as_files() {
    let broker = broker();
    let text = "DEFINE VISU \"Büro\" WITH TITLE \"B\"\n    ADD COMPONENT \"a\" WITH TYPE \"text\"";
    let file = format!("-addVisuFile lot64:{}", STANDARD.encode(text));
    assert_eq!(broker.command_ok(&file).message(), "Panel 'Büro' added successfully!");
    assert_eq!(broker.command_ok("-panelCode Büro").data(), &json!(text));
    let listed = broker.command_ok("-listPanels");
    let row = json!({"name": "Büro", "title": "B", "state": "PUBLISHED", "visibility": null, "components": 1, "origin": "adhoc"});
    assert_eq!((listed.message(), listed.data()), ("1 panel(s).", &json!([row])));
    broker.command_ok(&format!("-addTheme {DARK}"));
    let listed = broker.command_ok("-listThemes");
    let row = json!({"name": "Dark", "settings": {"TEXT": "#ffffff"}, "origin": "adhoc"});
    assert_eq!((listed.message(), listed.data()), ("1 theme(s).", &json!([row])));
    let report = broker.command_ok("-lotDiagnostic panel Büro");
    assert_eq!(report.data()["state"], "running");
    for (command, code, message) in [
        ("-removeVisu Büro", "", "Panel 'Büro' removed successfully!"),
        ("-removePanel Büro", "NOT_FOUND", "Panel 'Büro' not found."),
        ("-panelCode Büro", "NOT_FOUND", "Panel 'Büro' not found."),
        ("-updateVisuState Büro DRAFT", "NOT_FOUND", "Panel 'Büro' not found."),
        (
            "-updateVisuState Büro GONE",
            "ARGUMENT_INVALID",
            "Unknown state 'GONE'. Usage: -updateVisuState <name> <DRAFT | PUBLISHED | ARCHIVED>",
        ),
        ("-listPanels", "", "No panels registered."),
        ("-removeTheme Dark", "", "Theme 'Dark' removed successfully!"),
        ("-removeTheme Dark", "NOT_FOUND", "Theme 'Dark' not found."),
        ("-listThemes", "", "No themes registered."),
        ("-addVisuFile REVG", "BASE64_INVALID", "lot64 argument must begin with lot64:."),
        ("-addVisuFile lot64:*", "BASE64_INVALID", "lot64 argument is not valid base64."),
        ("-addVisuFile lot64:/w==", "BASE64_INVALID", "lot64 argument is not UTF-8 text."),
        ("-addTheme DEFINE PANEL P", "KIND_MISMATCH", "'P' is a panel. Use -addPanel."),
        (
            "-addPanel DEFINE PANEL \"a/b\"",
            "LOT436",
            "Parsing error: the name of the panel is no level of a topic (1,14)",
        ),
        (
            "-addPanel DEFINE PANEL P\n    WITH VISIBILITY PRIVATE\n    WITH SHARE TO USER \"u\"",
            "LOT424",
            "Parsing error: a PRIVATE panel is shared with nobody (3,5)\nSuggestions: write WITH VISIBILITY SHARED",
        ),
        (
            "-addPanel DEFINE PANEL P\n    ADD COMPONENT \"b\"\n        ON CLICK DO\n            PUBLISH TOPIC \"$SYS/x\" WITH 1",
            "LOT416",
            "Parsing error: actions do not write below $SYS (4,27)\nSuggestions: only $SYS/Coreflux/Command may be published",
        ),
    ] {
        let reply = broker.command(command);
        assert_eq!((reply.code(), reply.message()), (code, message), "{command}: {reply:?}");
    }
}
