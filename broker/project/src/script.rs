//! Python scripts without a broker: the interpreter that a broker has, and what is wrong with a
//! script.
//!
//! The interpreter's machine code is made once and kept in the user's cache directory, because it
//! takes some seconds.

use std::time::Duration;

use lot_to_wasm::diagnostic::render::printable;
use lot_to_wasm::project::Part;
use lot_to_wasm::script;
use lotmq_config::Surroundings;
use lotmq_host::python::{Python, PythonError, Script};
use lotmq_host::{Engine, EngineOptions};
use lotmq_terminal::output::note;
use serde_json::{Value, json};

/// Scripts that run at once, with room to spare for those that a call is just done with.
const INSTANCES_MAX: u32 = 64;

/// Time after which it is said, again and again, that the interpreter is being prepared.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs scripts. Clones share it.
#[derive(Clone)]
pub struct Interpreter(Python);

/// A script that can be used.
#[derive(Debug)]
pub struct CheckedScript {
    /// Its name.
    pub name: String,
    /// Names of its functions.
    pub functions: Vec<String>,
}

/// Why a script cannot be used.
#[derive(Debug)]
pub struct ScriptProblem {
    /// Its code, as those of diagnostics.
    pub code: &'static str,
    /// The problem, as a sentence.
    pub message: String,
    /// From 1; 0 when none has to do with it.
    pub line: u32,
    source_line: String,
    suggestion: Option<String>,
}

impl Interpreter {
    /// Costs nothing before a script is run.
    ///
    /// # Errors
    /// When there is no room for guests.
    pub fn new() -> anyhow::Result<Self> {
        let options = EngineOptions { instances_max: INSTANCES_MAX, ..EngineOptions::default() };
        let engine = Engine::of_user(Surroundings::of_process().user_cache(), &options)?;
        Ok(Self(Python::new(&engine)))
    }

    /// The interpreter itself.
    #[must_use]
    pub fn python(&self) -> &Python {
        &self.0
    }

    /// Runs a script once, from top to bottom. Returns its name and the names of its functions.
    ///
    /// # Errors
    /// The problem with the script, or with the machine.
    pub fn check(&self, part: &Part) -> Result<CheckedScript, ScriptProblem> {
        let given = part.script_name.as_deref().filter(|name| script::is_name(name));
        let name = match given {
            Some(name) => name,
            None => script::name(&part.text).map_err(|missing| ScriptProblem {
                code: "SCRIPT_NAME_MISSING",
                message: missing.to_string(),
                line: 1,
                source_line: part.text.lines().next().unwrap_or_default().to_owned(),
                suggestion: missing.suggestion,
            })?,
        };
        let mut waited = Duration::ZERO;
        loop {
            match Script::load_within(&self.0, (&part.text, 0), PATIENCE) {
                Ok((_, functions, _)) => {
                    let functions = serde_json::from_str(&functions).unwrap_or_default();
                    return Ok(CheckedScript { name: name.to_owned(), functions });
                }
                Err(PythonError::Preparing) => {
                    waited += PATIENCE;
                    note(&format!(
                        "machine code of Python is being made, once for this user, which may take a minute or two: {} s so far",
                        waited.as_secs()
                    ));
                }
                Err(error) => return Err(ScriptProblem::new(&error, &part.text)),
            }
        }
    }
}

impl ScriptProblem {
    pub(crate) fn new(error: &PythonError, source: &str) -> Self {
        let line = error.line();
        let index = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
        let source_line = index.and_then(|index| source.lines().nth(index)).unwrap_or_default().to_owned();
        // Its own text names the line, too.
        let raised =
            if let PythonError::Raised { message, .. } = error { Some(message.clone()) } else { None };
        let message = raised.unwrap_or_else(|| error.to_string());
        Self { code: error.code(), message, line, source_line, suggestion: None }
    }

    /// Whether nothing is known of the script, because Python does not run here.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.code == PythonError::Unavailable { reason: String::new() }.code()
    }

    /// In the shape of diagnostics of LoT.
    pub fn to_text(&self, place: &str) -> String {
        let mut text = format!("error[{}]: {}\n --> {place}", self.code, self.message);
        if self.line > 0 {
            let line = self.line.to_string();
            let gap = " ".repeat(line.len());
            text.push_str(&format!(":{line}:1\n{gap} |\n{line} | {}\n{gap} |", printable(&self.source_line)));
        }
        if let Some(suggestion) = &self.suggestion {
            text.push_str(&format!("\n  = help: {suggestion}"));
        }
        text
    }

    /// In the shape of diagnostics of LoT.
    pub fn to_json(&self) -> Value {
        json!({
            "severity": "error",
            "code": self.code,
            "message": self.message,
            "line": self.line,
            "column": 1,
            "sourceLines": [self.source_line],
            "suggestions": self.suggestion.iter().collect::<Vec<_>>(),
        })
    }
}
