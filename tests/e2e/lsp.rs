//! `lotmq lsp` as editors use it: real sessions over pipes, with a real broker where values are
//! shown.

mod editor;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::eventually;
use serde_json::{Value, json};

use crate::python;
use editor::{Editor, place, range, uri};

/// Umlauts and emoji in front of what is looked at: columns are UTF-16 code units.
const HEATER: &str = "-- 🔥 Öfen\nDEFINE ACTION Heater\nON TOPIC \"öfen/😀/+\" DO\n    SET \"grad\" WITH PAYLOAD AS INT\n    /* 😀 */ PUBLISH TOPIC \"alarm/😀/\" + {grad} WITH \"zu heiß 😀 \" + {grad}\n    CALL ACTION Reset WITH by = {grad}\n    CALL PYTHON \"Stat.mean\" WITH ({grad}) RETURN AS {m}\n    PUBLISH MODEL Reading TO \"out\" WITH v = {m}\n";

const OTHERS: &str = "DEFINE ACTION Reset\nINPUT by AS INT\nDO\n    KEEP TOPIC \"state/reset\" WITH {by}\nDESCRIPTION \"Begins anew.\"\n\nDEFINE MODEL Reading COLLAPSED\n    ADD DOUBLE \"v\" WITH TOPIC \"plant/v\"\n\nDEFINE ROUTE Store WITH TYPE LOOPBACK\n";

const SCRIPT: &str = "# Script Name: Stat\nimport math\n\ndef mean(x):\n    return x\n";

/// A folder with `others.lot` and `stat.py`.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("others.lot"), OTHERS).unwrap();
    std::fs::write(folder.path().join("stat.py"), SCRIPT).unwrap();
    folder
}

fn labels(completion: &Value) -> Vec<&str> {
    completion["items"].as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap()).collect()
}

#[test]
fn diagnostics_follow_the_text_and_offer_quick_fixes() {
    let folder = workspace();
    let mut editor = Editor::open(folder.path(), &[]);
    let uri = uri(&folder.path().join("heater.lot"));
    let wrong = HEATER.replace("+ {grad} WITH", "+ {grd} WITH").replace("PAYLOAD AS INT", "PAYLOAD AS INTT");
    let found = editor.did_open(&uri, &wrong);
    assert_eq!(found.len(), 1, "names are judged once the rest can be read: {found:?}");
    assert_eq!((&found[0]["code"], &found[0]["severity"]), (&json!("LOT234"), &json!(1)));
    assert_eq!(found[0]["range"], range(&wrong, "INTT"));
    assert!(found[0]["message"].as_str().unwrap().contains("help: did you mean INT?"), "{found:?}");

    let unset = HEATER.replace("+ {grad} WITH", "+ {grd} WITH");
    let found = editor.did_change(&uri, 2, &unset);
    assert_eq!((&found[0]["code"], &found[0]["severity"]), (&json!("LOT302"), &json!(2)));
    assert_eq!(found[0]["range"], range(&unset, "{grd}"), "behind an emoji");
    let actions = editor.request(
        "textDocument/codeAction",
        json!({"textDocument": {"uri": uri}, "range": found[0]["range"], "context": {"diagnostics": []}}),
    );
    assert_eq!(actions.as_array().unwrap().len(), 1, "{actions}");
    assert_eq!(actions[0]["title"], "did you mean `{grad}`?");
    let edits = json!([{"range": range(&unset, "grd"), "newText": "grad"}]);
    assert_eq!(actions[0]["edit"]["changes"][&uri], edits);

    assert_eq!(editor.did_change(&uri, 3, HEATER), Vec::<Value>::new());
    let elsewhere =
        json!({"textDocument": {"uri": uri}, "range": range(HEATER, "SET"), "context": {"diagnostics": []}});
    assert_eq!(editor.request("textDocument/codeAction", elsewhere), json!([]));
}

#[test]
fn files_of_a_folder_know_each_other() {
    let folder = workspace();
    let mut editor = Editor::open(folder.path(), &[]);
    let (heater, others) = (uri(&folder.path().join("heater.lot")), uri(&folder.path().join("others.lot")));
    let script = uri(&folder.path().join("stat.py"));
    assert_eq!(editor.did_open(&heater, HEATER), Vec::<Value>::new());

    for (needle, target, text, name) in [
        ("Reset WITH", &others, OTHERS, "Reset"),
        ("Reading TO", &others, OTHERS, "Reading"),
        ("Stat.mean", &script, SCRIPT, "mean"),
        ("grad} WITH", &heater, HEATER, "grad\" WITH PAYLOAD"),
        ("m}\n", &heater, HEATER, "m}\n"),
    ] {
        let found = editor.at("textDocument/definition", &heater, &place(HEATER, needle, 1));
        let start = place(text, name, 0);
        assert_eq!(
            (&found[0]["uri"], &found[0]["range"]["start"]),
            (&json!(target), &start),
            "{needle}: {found}"
        );
    }
    let nowhere = editor.at("textDocument/definition", &heater, &place(HEATER, "PUBLISH", 0));
    assert_eq!(nowhere, Value::Null);

    // A change of one file shows in the other one, before anything is saved.
    let renamed = OTHERS.replace("INPUT by", "INPUT amount").replace("{by}", "{amount}");
    editor.did_open(&others, &renamed);
    let found = editor.diagnostics(&heater);
    assert_eq!(found[0]["code"], "LOT305", "{found:?}");
    editor.notify("textDocument/didClose", json!({"textDocument": {"uri": others}}));
    assert_eq!(editor.diagnostics(&heater), Vec::<Value>::new(), "what counts is on the disk again");

    std::fs::write(folder.path().join("others.lot"), &renamed).unwrap();
    let change = json!({"changes": [{"uri": others, "type": 2}]});
    editor.notify("workspace/didChangeWatchedFiles", change);
    assert_eq!(editor.diagnostics(&heater).len(), 1);

    let found = editor.request("workspace/symbol", json!({"query": "rea"}));
    assert_eq!(found[0]["name"], "Reading", "{found}");
}

#[test]
fn self_triggering_definition_is_reported() {
    let folder = workspace();
    let mut editor = Editor::open(folder.path(), &[]);
    let uri = uri(&folder.path().join("loop.lot"));
    let text = "DEFINE ACTION Again\nON TOPIC \"x/#\" DO\n    PUBLISH TOPIC \"x/out\" WITH UPPER(PAYLOAD)\n";
    let found = editor.did_open(&uri, text);
    // And nothing of what is not portable.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["code"], &found[0]["range"]), (&json!("LOT333"), &range(text, "Again")));
}

#[test]
fn script_errors_are_reported_on_open_and_save() {
    let folder = workspace();
    let cache = python::cache_home();
    let mut editor = Editor::open_with(folder.path(), &[], &[("XDG_CACHE_HOME", &cache)]);
    let script = uri(&folder.path().join("stat.py"));
    let wrong = SCRIPT.replace("    return x", "    return (x 1)");
    assert_eq!(editor.did_open(&script, &wrong), Vec::<Value>::new(), "what the compiler says");
    let found = editor.diagnostics(&script);
    assert_eq!((&found[0]["source"], &found[0]["severity"]), (&json!("python"), &json!(1)), "{found:?}");
    assert_eq!(found[0]["range"], range(&wrong, "return (x 1)"), "{found:?}");

    // A change makes what was found void, and saving tells what is there now.
    assert_eq!(editor.did_change(&script, 2, SCRIPT), Vec::<Value>::new());
    editor.notify("textDocument/didSave", json!({"textDocument": {"uri": script}}));
    assert_eq!(editor.diagnostics(&script), Vec::<Value>::new());

    // Without being open, as another program saves it.
    let raises = "# Script Name: Other\n\nx = 1 / 0\n";
    std::fs::write(folder.path().join("other.py"), raises).unwrap();
    let other = uri(&folder.path().join("other.py"));
    editor.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": other, "type": 1}]}));
    assert_eq!(editor.diagnostics(&other), Vec::<Value>::new());
    let found = editor.diagnostics(&other);
    assert_eq!(found[0]["range"], range(raises, "x = 1 / 0"), "{found:?}");
    std::fs::remove_file(folder.path().join("other.py")).unwrap();
    editor.notify("workspace/didChangeWatchedFiles", json!({"changes": [{"uri": other, "type": 3}]}));
    assert_eq!(editor.diagnostics(&other), Vec::<Value>::new());
}

#[test]
fn hover_tells_types_words_and_definitions() {
    let folder = workspace();
    let mut editor = Editor::open(folder.path(), &[]);
    let uri = uri(&folder.path().join("heater.lot"));
    editor.did_open(&uri, HEATER);
    for (needle, behind, part) in [
        ("{grad} WITH", 2, "```lot\n{grad}\n```\nINT"),
        ("PAYLOAD", 1, "**PAYLOAD** The payload of the message"),
        ("PUBLISH TOPIC", 9, "**TOPIC**"),
        ("Reset WITH", 1, "DEFINE ACTION Reset (by AS INT)\n```\n\nBegins anew."),
        ("Reading TO", 1, "DEFINE MODEL Reading COLLAPSED\n    ADD DOUBLE \"v\" WITH TOPIC \"plant/v\"\n```"),
        ("grad\" WITH PAYLOAD", 1, "```lot\ngrad\n```\nINT"),
        ("m}\n    PUBLISH", 0, "any value"),
        ("Stat.mean", 1, "def Stat.mean (x)"),
        ("CALL PYTHON", 1, "**CALL**"),
    ] {
        let hover = editor.at("textDocument/hover", &uri, &place(HEATER, needle, behind));
        let told = hover["contents"]["value"].as_str().unwrap_or_else(|| panic!("{needle}: {hover}"));
        assert!(told.contains(part), "{needle}: {told}");
    }
    let hover = editor.at("textDocument/hover", &uri, &place(HEATER, "{grad} WITH", 2));
    let name = json!({"start": place(HEATER, "{grad} WITH", 1), "end": place(HEATER, "{grad} WITH", 5)});
    assert_eq!(hover["range"], name);
    assert_eq!(editor.at("textDocument/hover", &uri, &json!({"line": 0, "character": 4})), Value::Null);
    assert_eq!(editor.at("textDocument/hover", &uri, &json!({"line": 99, "character": 99})), Value::Null);
}

#[test]
fn variables_are_known_wherever_they_come_from_and_whatever_is_wrong_elsewhere() {
    let text = "DEFINE ACTION Cal\nINPUT a AS INT\nINPUT b\nDO\n    SET \"s\" WITH {a} + 1\nRETURN\n    OUTPUT s\n\nDEFINE ACTION Use\nON TOPIC \"x\" DO\n    CALL ACTION Cal WITH a = 1, b = 2 RETURN r\n    SET \"n\" WITH 1.5\n    PUBLISH TOPIC \"o\" WITH {r}\n    PUBLISH TOPIC \"p\" WITH {n} * 2\n";
    let folder = tempfile::tempdir().unwrap();
    let mut editor = Editor::open(folder.path(), &[]);
    let uri = uri(&folder.path().join("use.lot"));
    assert_eq!(editor.did_open(&uri, text), Vec::<Value>::new());
    // A line that is being typed, in the same action.
    let typed = text.replace("    SET \"n\"", "    PUBLISH TOPIC \n    SET \"n\"");
    for (version, text) in (2..).zip([text, &typed]) {
        editor.did_change(&uri, version, text);
        for (needle, behind, name) in
            [("{r}", 1, "r\n"), ("{n}", 1, "n\" WITH"), ("{a}", 1, "a AS INT"), ("OUTPUT s", 7, "s\" WITH")]
        {
            let found = editor.at("textDocument/definition", &uri, &place(text, needle, behind));
            assert_eq!(found[0]["range"]["start"], place(text, name, 0), "{needle}: {found}");
        }
        for (needle, behind, part) in [
            ("{n} *", 1, "DOUBLE"),
            ("n\" WITH", 0, "DOUBLE"),
            ("{a}", 1, "INT"),
            ("OUTPUT s", 7, "INT"),
            ("r\n", 0, "any value"),
        ] {
            let hover = editor.at("textDocument/hover", &uri, &place(text, needle, behind));
            let told = hover["contents"]["value"].as_str().unwrap_or_else(|| panic!("{needle}: {hover}"));
            assert!(told.contains(part), "{needle}: {told}");
        }
    }
}

#[test]
fn completion_proposes_what_fits() {
    let folder = workspace();
    let mut editor = Editor::open(folder.path(), &[]);
    let uri = uri(&folder.path().join("new.lot"));
    let begin = "DEFINE ACTION N\nON TOPIC \"😀/x\" DO\n    SET \"grad\" WITH 1\n    ";
    editor.did_open(&uri, begin);
    for (version, (line, expected)) in (2..).zip([
        ("PUBLISH ", &["TOPIC", "MODEL"][..]),
        ("CALL ACTION ", &["N", "Reset"]),
        ("PUBLISH MODEL ", &["Reading"]),
        ("CALL PYTHON \"", &["Stat.mean"]),
        ("SET \"r\" WITH GET MODEL \"Reading\" FROM \"", &["Store"]),
        ("KEEP TOPIC \"", &["plant/v", "state/reset", "😀/x"]),
        ("PUBLISH TOPIC \"😀", &["😀/x"]),
        ("PUBLISH TOPIC \"a\" WITH {", &["grad"]),
        ("CALL ACTION Reset WITH ", &["by"]),
        ("CALL ACTION Reset WITH (by = MAX(1, 2), ", &["by"]),
    ]) {
        let text = format!("{begin}{line}");
        editor.did_change(&uri, version, &text);
        let found = editor.at("textDocument/completion", &uri, &place(&format!("{text}|"), "|", 0));
        assert_eq!(labels(&found), expected, "{line}");
    }
    let text = format!("{begin}PUBLISH TOPIC \"😀/");
    editor.did_change(&uri, 90, &text);
    let end = place(&format!("{text}|"), "|", 0);
    let found = editor.at("textDocument/completion", &uri, &end);
    let edit = &found["items"][0]["textEdit"];
    assert_eq!((&edit["newText"], &edit["range"]["end"]), (&json!("😀/x"), &end));
    let start = edit["range"]["start"]["character"].as_u64().unwrap();
    assert_eq!(start + 3, end["character"].as_u64().unwrap(), "an emoji has two units");
}

#[test]
fn files_are_formatted_and_outlined() {
    let folder = workspace();
    let mut editor = Editor::open(folder.path(), &[]);
    let uri = uri(&folder.path().join("raw.lot"));
    let raw = "DEFINE ACTION A\nON START DO\n  PUBLISH TOPIC \"😀\"   WITH 1+2 -- ü\n";
    editor.did_open(&uri, raw);
    let options = json!({"textDocument": {"uri": uri}, "options": {"tabSize": 2, "insertSpaces": false}});
    let edits = editor.request("textDocument/formatting", options.clone());
    let line = "    PUBLISH TOPIC \"😀\" WITH 1 + 2 -- ü\n";
    let whole_line = json!({"start": {"line": 2, "character": 0}, "end": {"line": 3, "character": 0}});
    assert_eq!(edits, json!([{"range": whole_line, "newText": line}]));
    editor.did_change(&uri, 2, &format!("DEFINE ACTION A\nON START DO\n{line}"));
    assert_eq!(editor.request("textDocument/formatting", options.clone()), json!([]));
    editor.did_change(&uri, 3, "DEFINE ACTION A\nON STRT DO\n");
    assert_eq!(editor.request("textDocument/formatting", options), Value::Null, "it has errors");

    editor.did_change(&uri, 4, HEATER);
    let symbols = editor.request("textDocument/documentSymbol", json!({"textDocument": {"uri": uri}}));
    assert_eq!(
        (&symbols[0]["name"], &symbols[0]["detail"]),
        (&json!("Heater"), &json!("ON TOPIC \"öfen/😀/+\""))
    );
    assert_eq!(symbols[0]["selectionRange"], range(HEATER, "Heater"));
    let inside: Vec<&str> = symbols[0]["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child["name"].as_str().unwrap())
        .collect();
    assert_eq!(inside, ["grad", "m"]);
}

#[test]
fn hover_and_completion_include_live_topics_and_values() {
    let broker = crate::broker();
    let mut client = broker.client("plant");
    let mut publish = |topic: &str, payload: &str| {
        let publication = Publication::new(topic, payload).qos(QoS::AtLeastOnce).retained();
        client.publish(&publication).unwrap();
    };
    publish("öfen/😀/1", "81.5");
    let folder = workspace();
    let url = format!("mqtt://127.0.0.1:{}", broker.port());
    let mut editor = Editor::open(folder.path(), &["--broker", &url]);
    editor.notified("window/logMessage", |params| {
        params["message"].as_str().unwrap().starts_with("following `#`")
    });
    let uri = uri(&folder.path().join("heater.lot"));
    editor.did_open(&uri, HEATER);
    let topic = place(HEATER, "öfen/😀/+", 3);
    let shows = |editor: &mut Editor, part: &str| {
        eventually("the last value in a hover", || {
            let hover = editor.at("textDocument/hover", &uri, &topic);
            hover["contents"]["value"].as_str().is_some_and(|told| told.contains(part)).then_some(())
        });
    };
    shows(&mut editor, "`öfen/😀/1`, 4 bytes");
    publish("öfen/😀/1", "```\n82");
    shows(&mut editor, "````\n```\n82\n````");

    let text = HEATER.replace("alarm/😀/", "öfen/");
    editor.did_change(&uri, 2, &text);
    let found = editor.at("textDocument/completion", &uri, &place(&text, "öfen/\" + ", 5));
    let live = found["items"].as_array().unwrap().iter().find(|item| item["label"] == "öfen/😀/1");
    assert_eq!(live.unwrap()["detail"], "```", "its last value begins so");
}

#[test]
fn the_protocol_is_kept_to() {
    let mut editor = Editor::start(&["--stdio"]);
    let early = editor.ask("textDocument/hover", json!({}));
    assert_eq!(early["error"]["code"], -32002, "before initialize");
    let watching = json!({"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": true}}});
    let initialized =
        editor.request("initialize", json!({"processId": null, "rootUri": null, "capabilities": watching}));
    assert_eq!(initialized["serverInfo"]["name"], "lotmq");
    assert_eq!(initialized["capabilities"]["positionEncoding"], "utf-16");
    editor.notify("initialized", json!({}));
    let asked = editor.notified("client/registerCapability", |_| true);
    assert_eq!(asked["registrations"][0]["method"], "workspace/didChangeWatchedFiles");
    editor.send(&json!({"jsonrpc": "2.0", "id": 1, "result": null}));
    assert_eq!(editor.ask("textDocument/rename", json!({}))["error"]["code"], -32601, "no such method");
    assert_eq!(
        editor.ask("textDocument/hover", json!({"x": 1}))["error"]["code"],
        -32602,
        "no such parameters"
    );
    editor.notify("textDocument/didOpen", json!({"x": 1}));
    editor.notify("$/cancelRequest", json!({"id": 1}));
    editor.notify("no/such", json!({}));
    // A file that is nowhere, and texts that are no programs.
    for (version, text) in
        (2..).zip(["\u{feff}", "\r\r\n\"", "DEFINE ACTION 😀\nON TOPIC \"", "{{{{((((", &"(".repeat(5000)])
    {
        if version == 2 {
            editor.did_open("untitled:1", "");
        }
        editor.did_change("untitled:1", version, text);
        for method in ["textDocument/hover", "textDocument/completion", "textDocument/definition"] {
            editor.at(method, "untitled:1", &json!({"line": 1, "character": 3}));
        }
        editor.request("textDocument/documentSymbol", json!({"textDocument": {"uri": "untitled:1"}}));
    }
    assert_eq!(editor.request("shutdown", Value::Null), Value::Null);
    assert_eq!(editor.ask("textDocument/hover", json!({}))["error"]["code"], -32600, "after shutdown");
    editor.notify("exit", Value::Null);
    assert_eq!(editor.exit_code(), Some(0));

    let mut rude = Editor::open(tempfile::tempdir().unwrap().path(), &[]);
    rude.notify("exit", Value::Null);
    assert_eq!(rude.exit_code(), Some(1), "exit without shutdown");
    let mut gone = Editor::start(&[]);
    gone.hang_up();
    assert_eq!(gone.exit_code(), Some(1), "an editor that has died");
}

#[test]
fn notebook_cell_errors_are_reported_at_their_position() {
    let folder = workspace();
    let mut editor = Editor::open(folder.path(), &[]);
    let uri = uri(&folder.path().join("plant.lotnb"));
    let cell = |language: &str, value: &str| json!({"kind": 2, "language": language, "value": value});
    let notebook = |action: &str| {
        let cells = json!([
            {"kind": 1, "language": "markdown", "value": "PUBLISH TOPC"},
            cell("python", "# Script Name: P\ndef f(): pass\n"),
            cell("lot", "DEFINE ACTION Good\nON START DO\n    CALL ACTION Reset WITH by = 1\n"),
            cell("lot", action),
        ]);
        serde_json::to_string_pretty(&cells).unwrap()
    };
    let wrong =
        "-- \"😀\"\nDEFINE ACTION Heat\nON TOPIC \"a\" DO\n    /* 😀 \"ö\" */ PUBLISH TOPIC a/b WIHT 1\n";
    let text = notebook(wrong);
    let found = editor.did_open(&uri, &text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((&found[0]["code"], &found[0]["range"]), (&json!("LOT243"), &range(&text, "a/b")));
    assert_eq!((&found[1]["code"], &found[1]["range"]), (&json!("LOT215"), &range(&text, "WIHT")));
    let actions = editor.request(
        "textDocument/codeAction",
        json!({"textDocument": {"uri": uri}, "range": found[0]["range"], "context": {"diagnostics": []}}),
    );
    let edits = json!([{"range": range(&text, "a/b"), "newText": "\\\"a/b\\\""}]);
    assert_eq!(actions[0]["edit"]["changes"][&uri], edits, "as JSON writes it");
    let mended = text.replace("a/b", "\\\"a/b\\\"").replace("WIHT", "WITH");
    assert_eq!(editor.did_change(&uri, 2, &mended), Vec::<Value>::new());
}
