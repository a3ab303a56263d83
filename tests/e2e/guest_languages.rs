//! Guests in languages other than Rust: what their cases say, mistakes that their authors make.

use std::path::Path;
use std::process::Command;

use crate::LOTMQ;
use crate::guests::guest;

/// Makes, builds and tests a guest in a language whose tools `prepare` puts in place.
fn other_language(language: &str, prepare: impl FnOnce(&Path, &mut Command)) {
    let (raises, exception) = match language {
        "js" => (
            RAISING_JS,
            "TypeError: can't access property \"toString\", given.value is undefined (guest.js:10:",
        ),
        _ => (RAISING_PYTHON, "KeyError: 'value' (guest.py:31 in ActionHandler.on_message)"),
    };
    let place = tempfile::tempdir().unwrap();
    let (told, code) = guest(place.path(), &format!("new heater --lang {language}"));
    assert_eq!(code, Some(0), "{told}");
    let folder = place.path().join("heater");
    let mut test = Command::new(LOTMQ);
    test.args(["guest", "test"]).current_dir(&folder);
    prepare(&folder, &mut test);
    let output = test.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("2 passed, 0 failed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let component = std::fs::read(folder.join("target/heater.wasm")).unwrap();
    let manifest = br#"lotmq:manifest{"asks":["write:scaled/#"]}"#;
    assert!(component.ends_with(manifest), "it says what it asks for");
    std::fs::write(folder.join(format!("guest.{}", if language == "js" { "js" } else { "py" })), raises)
        .unwrap();
    let cases = RAISING.replace("EXCEPTION_TEXT", &exception.replace('"', "\\\""));
    let (more, answers, passed) = match language {
        "js" => (NO_BYTES, ANSWERS_JS, "10 passed, 0 failed"),
        _ => (LIBRARY, ANSWERS_PYTHON, "13 passed, 0 failed"),
    };
    std::fs::write(folder.join("cases.test.toml"), cases + more + answers).unwrap();
    let output = test.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(passed), "{told}{printed}");
    for line in ["printed raw/a", "at guest."] {
        assert!(printed.contains(line), "{line}: {told}{printed}");
    }
}

/// Cases for guests that catch nothing. The error of the run says which exception it was and where,
/// and the guest goes on.
const RAISING: &str = r#"
[[case]]
name = "an exception"
when = [{ topic = "raw/a", payload = "{}" }]
then = [{ error = "EXCEPTION_TEXT" }]

[[case]]
name = "what a function refuses"
when = [{ topic = "raw/b", payload = '{"refused": 1}' }]
then = [{ error = "invalid-topic" }]

[[case]]
name = "an error of its own, and then a message"
when = [{ topic = "raw/c", payload = '{"own": 1}' }, { topic = "raw/c", payload = '{"value": 4}' }]
then = [{ error = "mine" }, { topic = "scaled/x", payload = "4" }]
"#;

/// Values where bytes are wanted, which JavaScript would take for none.
const NO_BYTES: &str = r#"
[[case]]
name = "a text"
when = [{ topic = "raw/d", payload = '{"bytes": "warm"}' }]
then = [{ error = "TypeError: bytes are a Uint8Array, and not the text 'warm': new TextEncoder().encode(text)" }]

[[case]]
name = "an object"
when = [{ topic = "raw/d", payload = '{"bytes": {}}' }]
then = [{ error = "TypeError: bytes are a Uint8Array, and not a value of type object" }]
"#;

/// Cases for clocks and files in the library of Python.
const LIBRARY: &str = r#"
[[case]]
name = "the time"
at = "2026-03-04T05:06:07Z"
when = [{ topic = "raw/e", payload = '{"time": 1}' }]
then = [{ topic = "scaled/x", payload = "2026-03-04 05:06:07 2026-03-04T05:06:07 2026-03-04 1772600767 05 63 True True" }]

[[case]]
name = "files"
when = [{ topic = "raw/e", payload = '{"files": 1}' }]
then = [{ error = "OSError: os.listdir is not there in a guest: a route has `files` of the contract" }]

[[case]]
name = "an exception in it"
when = [{ topic = "raw/e", payload = "x" }]
then = [{ error = " in JSONDecoder.raw_decode, called from guest.py:17 in ActionHandler.on_message)" }]
"#;

/// Cases for a JavaScript handler that returns something unusable.
const ANSWERS_JS: &str = r#"
[[case]]
name = "a promise"
when = [{ topic = "raw/f", payload = '{"promise": 1}' }]
then = [{ error = "TypeError: onMessage is async, or has returned a promise, which nobody waits for: write it without async" }]

[[case]]
name = "no list"
when = [{ call = "heater", inputs = { wanted = "none" } }]
then = [{ error = 'call has returned {"a":1}, and has to return a list of values' }]

[[case]]
name = "no value"
when = [{ call = "heater", inputs = { wanted = "bare" } }]
then = [{ error = 'call has returned ["x"], and has to return a list of values' }]

[[case]]
name = "out of range"
when = [{ call = "heater", inputs = { wanted = "range" } }]
then = [{ error = "call has returned" }]

[[case]]
name = "well"
when = [{ call = "heater", inputs = { wanted = "well" } }]
then = [{ returned = -5 }]
"#;

/// The same of a handler in Python.
const ANSWERS_PYTHON: &str = r#"
[[case]]
name = "a coroutine"
when = [{ topic = "raw/f", payload = '{"later": 1}' }]
then = [{ error = "is async, or has returned something to await, which nobody awaits: write it without async" }]

[[case]]
name = "None"
when = [{ call = "heater", inputs = { wanted = "nothing" } }]
then = [{ error = "has returned None, and has to return list" }]

[[case]]
name = "no value"
when = [{ call = "heater", inputs = { wanted = "bare" } }]
then = [{ error = "has returned ['x']: 'x' is nothing of the contract" }]

[[case]]
name = "another type"
when = [{ call = "heater", inputs = { wanted = "type" } }]
then = [{ error = "Value_Text: value is int, and has to be str" }]

[[case]]
name = "out of range"
when = [{ call = "heater", inputs = { wanted = "range" } }]
then = [{ error = "Value_Integer: value is 9223372036854775808, and has to be from -9223372036854775808 to 9223372036854775807" }]

[[case]]
name = "a loop of its own"
when = [{ call = "heater", inputs = { wanted = "loop" } }]
then = [{ error = "OSError: asyncio.run is not there in a guest" }]

[[case]]
name = "well"
when = [{ call = "heater", inputs = { wanted = "well" } }]
then = [{ returned = -5 }]
"#;

const RAISING_JS: &str = r#"import { publish } from 'lotmq:guest/messages@0.2.0';

export const actionHandler = {
  onMessage(message) {
    console.log('printed', message.topic);
    const given = JSON.parse(new TextDecoder().decode(message.payload));
    if (given.refused) publish('a/#', new Uint8Array(1), 'at-most-once', false);
    if (given.bytes) publish('scaled/x', given.bytes, 'at-most-once', false);
    if (given.own) throw { code: 'OWN', message: 'mine' }; else if (given.promise) return Promise.resolve();
    publish('scaled/x', new TextEncoder().encode(given.value.toString()), 'at-most-once', false);
  },
  onEvent(event) {},
  call(inputs, trigger) {
    const answers = { none: { a: 1 }, bare: ['x'], range: [{ tag: 'integer', val: 2n ** 63n }], well: [{ tag: 'integer', val: -5n }] };
    return answers[inputs[0].value.val];
  },
};
"#;

const RAISING_PYTHON: &str = r#"import asyncio
import json
import os
import time
from datetime import date, datetime, timedelta, timezone
from time import time as seconds

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.messages import publish
from wit_world.imports.types import Qos, RunError, Value_Integer, Value_Text


class ActionHandler(exports.ActionHandler):
    def on_message(self, message):
        print("printed", message.topic)
        given = json.loads(message.payload)
        if "later" in given:
            return asyncio.sleep(0)
        if "refused" in given:
            publish("a/#", b"x", Qos.AT_MOST_ONCE, False)
        if "own" in given:
            raise Err(RunError("OWN", "mine", 0, 0))
        if "files" in given:
            os.listdir("/")
        if "time" in given:
            now = datetime.now(timezone.utc)
            kinds = isinstance(now, date), isinstance(now - timedelta(1), datetime)
            parts = now.strftime("%F %T"), datetime.utcnow().isoformat(), date.today(), int(seconds()), time.strftime("%H"), time.gmtime().tm_yday, *kinds
            given["value"] = " ".join(map(str, parts))
        publish("scaled/x", str(given["value"]).encode(), Qos.AT_MOST_ONCE, False)

    def on_event(self, event):
        pass

    def call(self, inputs, trigger):
        wanted = inputs[0].value.value
        if wanted == "loop":
            asyncio.run(asyncio.sleep(0))
        answers = {"nothing": None, "bare": ["x"], "type": [Value_Text(5)], "range": [Value_Integer(2**63)]}
        return answers.get(wanted, [Value_Integer(-5)])
"#;

/// Returns the value of an environment variable that names a tool. Without it, the tool is not
/// installed here.
pub(crate) fn installed(variable: &str) -> Option<std::path::PathBuf> {
    let found = std::env::var_os(variable).map(std::path::PathBuf::from);
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    if found.is_none() {
        eprintln!("skipped: {variable} is not set");
    }
    found
}

/// `LOTMQ_TEST_NODE_MODULES` names a folder `node_modules` that has componentize-js.
#[test]
fn a_guest_in_javascript_does_what_its_cases_say() {
    let Some(modules) = installed("LOTMQ_TEST_NODE_MODULES") else { return };
    other_language("js", |folder, _| {
        std::os::unix::fs::symlink(modules, folder.join("node_modules")).unwrap()
    });
}

#[test]
fn a_guest_for_logins_is_made_in_rust_only() {
    let place = tempfile::tempdir().unwrap();
    for language in ["js", "python"] {
        let (told, code) = guest(place.path(), &format!("new door -t auth --lang {language}"));
        assert!(told.contains("a guest of type auth is made in Rust only") && code == Some(2), "{told}");
        assert!(!place.path().join("door").exists());
        let file = format!("name = \"door\"\ntype = \"auth\"\nlang = \"{language}\"\n");
        std::fs::write(place.path().join("guest.toml"), file).unwrap();
        let (told, code) = guest(place.path(), "build");
        assert!(told.contains("a guest of type auth is made in Rust only") && code == Some(1), "{told}");
    }
}

/// `LOTMQ_TEST_COMPONENTIZE_PY` names the folder of the program componentize-py.
#[test]
fn a_guest_in_python_does_what_its_cases_say() {
    let Some(tools) = installed("LOTMQ_TEST_COMPONENTIZE_PY") else { return };
    other_language("python", |_, test| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([tools].into_iter().chain(std::env::split_paths(&path))).unwrap();
        test.env("PATH", path);
    });
}
