//! The life of a session: initialize, notifications that change files, requests, shutdown, exit.
//!
//! The server publishes diagnostics when no further message waits, so that fast typing costs one
//! check for many changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use lot_to_wasm::project::is_script;
use lotmq_terminal::{Exit, output::note};
use lsp_server::{ErrorCode, Message, Notification, Request, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidChangeWatchedFiles, DidCloseTextDocument, DidOpenTextDocument,
    DidSaveTextDocument, Exit as ExitNotification, Initialized, Notification as _,
};
use lsp_types::request::{Initialize, RegisterCapability, Request as _, Shutdown};
use lsp_types::{
    DidChangeTextDocumentParams, DidChangeWatchedFilesParams, DidChangeWatchedFilesRegistrationOptions,
    DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams, FileSystemWatcher,
    GlobPattern, InitializeParams, PublishDiagnosticsParams, Registration, RegistrationParams, Uri,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::analysis::Analysis;
use crate::live::Live;
use crate::outbox::Outbox;
use crate::scripts::Scripts;
use crate::workspace::{Key, Workspace, key};
use crate::{answer, diagnostics, uri};

/// Phase of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before `initialize`.
    Waiting,
    Running,
    /// After `shutdown`.
    Ending,
}

pub(crate) struct Server {
    outbox: Outbox,
    phase: Phase,
    analysis: Analysis,
    scripts: Scripts,
    /// Diagnostics last sent to the editor for each file; files without diagnostics have no entry.
    told: BTreeMap<Key, Vec<lsp_types::Diagnostic>>,
    /// Files that have changed since; their diagnostics are published in any case.
    changed: BTreeSet<Key>,
    needs_check: bool,
    /// The editor looks after files if it is asked to.
    can_watch: bool,
}

impl Server {
    pub(crate) fn new(outbox: Outbox, live: Option<Live>) -> Self {
        Self {
            outbox,
            phase: Phase::Waiting,
            analysis: Analysis { workspace: Workspace::default(), live, found: BTreeMap::new() },
            scripts: Scripts::new(outbox),
            told: BTreeMap::new(),
            changed: BTreeSet::new(),
            needs_check: false,
            can_watch: false,
        }
    }

    /// Serves until the editor sends `exit` or closes the input.
    pub(crate) fn run(&mut self, messages: &Receiver<Message>) -> Exit {
        loop {
            let message = match messages.try_recv() {
                Ok(message) => message,
                Err(_) => {
                    self.check();
                    let Ok(message) = messages.recv() else { return Exit::Failure };
                    message
                }
            };
            match message {
                Message::Request(request) => {
                    let response = self.request(request);
                    self.outbox.respond(response);
                }
                Message::Notification(notification) if notification.method == ExitNotification::METHOD => {
                    return if self.phase == Phase::Ending { Exit::Success } else { Exit::Failure };
                }
                Message::Notification(notification) => self.notification(notification),
                // The one request of ours is answered with nothing.
                Message::Response(_) => {}
            }
        }
    }

    fn request(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let refused = |code: ErrorCode, text: String| Response::new_err(id.clone(), code as i32, text);
        match (self.phase, method.as_str()) {
            (Phase::Waiting, Initialize::METHOD) => match serde_json::from_value(params) {
                Ok(params) => Response::new_ok(id, self.initialize(&params)),
                Err(error) => refused(ErrorCode::InvalidParams, error.to_string()),
            },
            (Phase::Waiting, _) => {
                refused(ErrorCode::ServerNotInitialized, "initialize comes first".to_owned())
            }
            (Phase::Ending, _) => {
                refused(ErrorCode::InvalidRequest, "only exit comes after shutdown".to_owned())
            }
            (Phase::Running, Initialize::METHOD) => {
                refused(ErrorCode::InvalidRequest, "initialize comes once".to_owned())
            }
            (Phase::Running, Shutdown::METHOD) => {
                self.phase = Phase::Ending;
                Response::new_ok(id, Value::Null)
            }
            (Phase::Running, method) => {
                // Answers use the current diagnostics.
                self.check();
                match answer::answer(&self.analysis, method, params) {
                    None => refused(ErrorCode::MethodNotFound, format!("{method} is not supported")),
                    Some(Ok(result)) => Response::new_ok(id, result),
                    Some(Err(error)) => refused(ErrorCode::InvalidParams, error.to_string()),
                }
            }
        }
    }

    fn initialize(&mut self, params: &InitializeParams) -> Value {
        self.phase = Phase::Running;
        let folders = params.workspace_folders.iter().flatten();
        let mut folders: Vec<PathBuf> = folders.filter_map(|folder| uri::path_of(&folder.uri)).collect();
        #[allow(deprecated, reason = "what editors give that do not know of several folders")]
        if let (true, Some(root)) = (folders.is_empty(), &params.root_uri) {
            folders.extend(uri::path_of(root));
        }
        self.analysis.workspace = Workspace::new(folders);
        self.needs_check = true;
        let workspace = params.capabilities.workspace.as_ref();
        let watching = workspace.and_then(|workspace| workspace.did_change_watched_files.as_ref());
        self.can_watch = watching.and_then(|watching| watching.dynamic_registration).unwrap_or(false);
        json!({
            "capabilities": answer::capabilities(),
            "serverInfo": { "name": "lotmq", "version": env!("CARGO_PKG_VERSION") },
        })
    }

    fn notification(&mut self, Notification { method, params }: Notification) {
        if self.phase != Phase::Running {
            return;
        }
        match method.as_str() {
            Initialized::METHOD if self.can_watch => self.watch(),
            DidOpenTextDocument::METHOD => {
                if let Some(DidOpenTextDocumentParams { text_document }) = read(&method, params) {
                    let uri = text_document.uri.clone();
                    self.change(text_document.uri, text_document.text);
                    self.run_script(uri);
                }
            }
            DidChangeTextDocument::METHOD => {
                let Some(DidChangeTextDocumentParams { text_document, content_changes }) =
                    read(&method, params)
                else {
                    return;
                };
                // Each one is the whole text, as we have asked for.
                if let Some(change) = content_changes.into_iter().next_back() {
                    self.change(text_document.uri, change.text);
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Some(DidCloseTextDocumentParams { text_document }) = read(&method, params) {
                    self.analysis.workspace.close(&text_document.uri);
                    self.note_change(&text_document.uri);
                }
            }
            DidSaveTextDocument::METHOD => {
                if let Some(DidSaveTextDocumentParams { text_document, .. }) = read(&method, params) {
                    self.run_script(text_document.uri);
                }
            }
            DidChangeWatchedFiles::METHOD => {
                let Some(DidChangeWatchedFilesParams { changes }) = read(&method, params) else { return };
                for change in &changes {
                    let Some(path) = uri::path_of(&change.uri) else { continue };
                    self.analysis.workspace.read(&path);
                    self.needs_check = true;
                    if is_script(&key(&change.uri)) {
                        self.note_change(&change.uri);
                    }
                }
                // Those that are not scripts are left alone.
                changes.into_iter().for_each(|change| self.run_script(change.uri));
            }
            // Others change nothing here.
            _ => {}
        }
    }

    fn change(&mut self, uri: Uri, text: String) {
        self.note_change(&uri);
        self.analysis.workspace.open(uri, text);
    }

    /// Runs a script; its errors follow the diagnostics of the compiler.
    fn run_script(&mut self, uri: Uri) {
        self.check();
        let key = key(&uri);
        if let Some(file) = self.analysis.workspace.file(&key) {
            self.scripts.run(&key, uri, &file.text);
        }
    }

    fn note_change(&mut self, uri: &Uri) {
        let key = key(uri);
        self.scripts.forget(&key);
        self.changed.insert(key);
        self.needs_check = true;
    }

    /// Asks the editor to notify the server of files that change on the disk.
    fn watch(&self) {
        let glob = GlobPattern::String("**/*.{lot,lotnb,py}".to_owned());
        let watchers = vec![FileSystemWatcher { glob_pattern: glob, kind: None }];
        let options = DidChangeWatchedFilesRegistrationOptions { watchers };
        let registration = Registration {
            id: "files".to_owned(),
            method: DidChangeWatchedFiles::METHOD.to_owned(),
            register_options: Some(json!(options)),
        };
        let params = RegistrationParams { registrations: vec![registration] };
        self.outbox.request(Request::new(1.into(), RegisterCapability::METHOD.to_owned(), params));
    }

    /// Compiles changed files, and publishes diagnostics that have changed.
    fn check(&mut self) {
        if !std::mem::take(&mut self.needs_check) {
            return;
        }
        self.analysis.found = self.analysis.workspace.check();
        let changed = std::mem::take(&mut self.changed);
        let told = std::mem::take(&mut self.told);
        let mut keys: BTreeSet<&Key> = self.analysis.found.keys().collect();
        keys.extend(&changed);
        keys.extend(told.keys());
        for key in keys {
            let Some(uri) = self.analysis.workspace.uri(key) else { continue };
            let diagnostics = diagnostics::of_file(&self.analysis, key, &uri);
            let is_new = told.get(key).map_or(!diagnostics.is_empty(), |before| *before != diagnostics);
            if is_new || changed.contains(key) {
                self.outbox.publish(PublishDiagnosticsParams::new(uri, diagnostics.clone(), None));
            }
            if !diagnostics.is_empty() {
                self.told.insert(key.clone(), diagnostics);
            }
        }
    }
}

/// Reads the parameters of a notification. Wrong ones are only logged: a notification has no
/// answer.
fn read<T: DeserializeOwned>(method: &str, params: Value) -> Option<T> {
    let read = serde_json::from_value(params);
    read.inspect_err(|error| note(&format!("warning: {method}: {error}"))).ok()
}
