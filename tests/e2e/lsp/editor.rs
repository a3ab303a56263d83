//! An editor: a session with `lotmq lsp` over pipes, message by message.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use lotmq_test_support::{WAIT_MAX, eventually};
use serde_json::{Value, json};

/// A running server; it is killed when this is dropped.
pub(super) struct Editor {
    child: Child,
    stdin: Option<ChildStdin>,
    inbox: Receiver<Value>,
    /// Notifications that came while something else was waited for.
    kept: VecDeque<Value>,
    last_id: u64,
}

/// The place of the first character of `needle`, `behind` UTF-16 code units further.
pub(super) fn place(text: &str, needle: &str, behind: u32) -> Value {
    let before = &text[..text.find(needle).unwrap_or_else(|| panic!("`{needle}` in {text}"))];
    let line = before.rsplit('\n').next().unwrap();
    let character = u32::try_from(line.encode_utf16().count()).unwrap() + behind;
    json!({"line": before.matches('\n').count(), "character": character})
}

/// The range of the first `needle`.
pub(super) fn range(text: &str, needle: &str) -> Value {
    let length = u32::try_from(needle.encode_utf16().count()).unwrap();
    json!({"start": place(text, needle, 0), "end": place(text, needle, length)})
}

/// The URI of a file whose path has no special characters.
pub(super) fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

impl Editor {
    /// Starts a server without saying anything.
    pub(super) fn start(arguments: &[&str]) -> Editor {
        Editor::start_with(arguments, &[])
    }

    fn start_with(arguments: &[&str], variables: &[(&str, &Path)]) -> Editor {
        let mut child = Command::new(crate::LOTMQ)
            .arg("lsp")
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, inbox) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut stdout) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Editor { child, stdin, inbox, kept: VecDeque::new(), last_id: 0 }
    }

    /// Starts a server for a folder.
    pub(super) fn open(folder: &Path, arguments: &[&str]) -> Editor {
        Editor::open_with(folder, arguments, &[])
    }

    /// Starts a server for a folder, with environment variables.
    pub(super) fn open_with(folder: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> Editor {
        let mut editor = Editor::start_with(arguments, variables);
        let folders = json!([{"uri": uri(folder), "name": "test"}]);
        editor.request(
            "initialize",
            json!({"processId": null, "capabilities": {}, "workspaceFolders": folders}),
        );
        editor.notify("initialized", json!({}));
        editor
    }

    pub(super) fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let stdin = self.stdin.as_mut().unwrap();
        write!(stdin, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        stdin.flush().unwrap();
    }

    pub(super) fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    /// The whole answer to a request.
    pub(super) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let message = self.receive(deadline);
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.kept.push_back(message);
        }
    }

    /// The result of a request that succeeds.
    pub(super) fn request(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// A request about a place.
    pub(super) fn at(&mut self, method: &str, uri: &str, position: &Value) -> Value {
        self.request(method, json!({"textDocument": {"uri": uri}, "position": position}))
    }

    fn receive(&self, deadline: Instant) -> Value {
        let left = deadline.saturating_duration_since(Instant::now());
        self.inbox.recv_timeout(left).expect("a message of the server")
    }

    /// The next notification of this method that fits.
    pub(super) fn notified(&mut self, method: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let is_it = |message: &Value| message["method"] == method && fits(&message["params"]);
        if let Some(index) = self.kept.iter().position(is_it) {
            return self.kept.remove(index).unwrap()["params"].take();
        }
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let mut message = self.receive(deadline);
            if is_it(&message) {
                return message["params"].take();
            }
            self.kept.push_back(message);
        }
    }

    /// The next diagnostics of a file.
    pub(super) fn diagnostics(&mut self, uri: &str) -> Vec<Value> {
        let mut params = self.notified("textDocument/publishDiagnostics", |params| params["uri"] == uri);
        serde_json::from_value(params["diagnostics"].take()).unwrap()
    }

    /// Opens a file; its diagnostics.
    pub(super) fn did_open(&mut self, uri: &str, text: &str) -> Vec<Value> {
        let document = json!({"uri": uri, "languageId": "lot", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document}));
        self.diagnostics(uri)
    }

    /// Changes an open file; its diagnostics.
    pub(super) fn did_change(&mut self, uri: &str, version: u32, text: &str) -> Vec<Value> {
        let document = json!({"uri": uri, "version": version});
        self.notify(
            "textDocument/didChange",
            json!({"textDocument": document, "contentChanges": [{"text": text}]}),
        );
        self.diagnostics(uri)
    }

    /// The exit code, once the server has ended.
    pub(super) fn exit_code(mut self) -> Option<i32> {
        let status = eventually("the end of the server", || self.child.try_wait().unwrap());
        status.code()
    }

    /// Closes the pipe to the server.
    pub(super) fn hang_up(&mut self) {
        self.stdin = None;
    }
}

/// The next message; `None` at the end.
fn read(stdout: &mut BufReader<impl std::io::Read>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap()
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stdout.read_exact(&mut body).unwrap();
    Some(serde_json::from_slice(&body).unwrap())
}

impl Drop for Editor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
