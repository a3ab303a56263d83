//! Doubles of interfaces to other definitions: `actions`, `modules`, `python`, `rows` and `models`,
//! answered by functions of the test.
//!
//! They reject calls without such a function, as a broker rejects calls without a grant.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::bindings::lotmq::guest::types::{Argument, RunError, Value};
use super::testing::WrittenModel;

/// Result of a call.
pub(super) type CallOutcome = Result<Vec<Value>, RunError>;

type Definition = Rc<dyn Fn(&[Argument]) -> CallOutcome>;
type PythonFunction = Rc<dyn Fn(&[Value]) -> Value>;
type Rows = Rc<dyn Fn(&str, &[Value]) -> Value>;

/// Definitions that a test has set.
#[derive(Default)]
struct Others {
    actions: BTreeMap<String, Definition>,
    modules: BTreeMap<String, Definition>,
    python: BTreeMap<String, PythonFunction>,
    routes: BTreeMap<String, Rows>,
    models: BTreeSet<String>,
    written: Vec<WrittenModel>,
}

thread_local! {
    static OTHERS: RefCell<Others> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Others) -> T) -> T {
    OTHERS.with_borrow_mut(work)
}

pub(super) fn set_action(name: &str, action: impl Fn(&[Argument]) -> CallOutcome + 'static) {
    with(|others| drop(others.actions.insert(name.to_owned(), Rc::new(action))));
}

pub(super) fn set_module(name: &str, module: impl Fn(&[Argument]) -> CallOutcome + 'static) {
    with(|others| drop(others.modules.insert(name.to_owned(), Rc::new(module))));
}

pub(super) fn set_python(function: &str, answer: impl Fn(&[Value]) -> Value + 'static) {
    with(|others| drop(others.python.insert(function.to_owned(), Rc::new(answer))));
}

pub(super) fn set_rows(route: &str, answer: impl Fn(&str, &[Value]) -> Value + 'static) {
    with(|others| drop(others.routes.insert(route.to_owned(), Rc::new(answer))));
}

pub(super) fn set_model(name: &str) {
    with(|others| others.models.insert(name.to_owned()));
}

/// Takes the instances that were published.
pub(super) fn take_models() -> Vec<WrittenModel> {
    with(|others| std::mem::take(&mut others.written))
}

fn refused<T>(verb: &str, name: &str) -> Result<T, RunError> {
    error("CALL_NOT_ALLOWED", format!("this definition may not {verb} '{name}'"))
}

fn error<T>(code: &str, message: String) -> Result<T, RunError> {
    Err(RunError { code: code.to_owned(), message, line: 0, column: 0 })
}

#[doc(hidden)]
pub mod actions {
    use super::{Argument, CallOutcome, refused, with};

    pub fn call(name: &str, inputs: &[Argument]) -> CallOutcome {
        match with(|others| others.actions.get(name).cloned()) {
            Some(action) => action(inputs),
            None => refused("call", name),
        }
    }
}

#[doc(hidden)]
pub mod modules {
    use super::{Argument, CallOutcome, Value, error, refused, with};

    const FUNCTION: &str = "$function";

    pub fn call(function: &str, inputs: &[Argument]) -> CallOutcome {
        let (name, function) =
            function.split_once('.').map_or((function, None), |(name, function)| (name, Some(function)));
        let Some(module) = with(|others| others.modules.get(name).cloned()) else {
            return refused("call module", name);
        };
        if inputs.iter().any(|input| input.name == FUNCTION) {
            return error("INPUT_RESERVED", format!("no input has the name '{FUNCTION}'"));
        }
        let named =
            |function: &str| Argument { name: FUNCTION.to_owned(), value: Value::Text(function.to_owned()) };
        let all: Vec<Argument> = function.map(named).into_iter().chain(inputs.iter().cloned()).collect();
        module(&all)
    }
}

#[doc(hidden)]
pub mod python {
    use super::{CallOutcome, Value, refused, with};

    pub fn call(function: &str, arguments: &[Value], _line: u32, _column: u32) -> CallOutcome {
        match with(|others| others.python.get(function).cloned()) {
            Some(answer) => Ok(vec![answer(arguments)]),
            None => refused("call", function),
        }
    }
}

#[doc(hidden)]
pub mod rows {
    use super::{CallOutcome, Value, refused, with};

    pub fn select(route: &str, query: &str, parameters: &[Value], _line: u32, _column: u32) -> CallOutcome {
        match with(|others| others.routes.get(route).cloned()) {
            Some(answer) => Ok(vec![answer(query, parameters)]),
            None => refused("ask route", route),
        }
    }
}

#[doc(hidden)]
pub mod models {
    use super::{Argument, RunError, WrittenModel, error, refused, with};

    pub fn publish(model: &str, topic: &str, assignments: &[Argument]) -> Result<(), RunError> {
        if !with(|others| others.models.contains(model)) {
            return refused("publish model", model);
        }
        if topic.is_empty() || topic.contains(['+', '#', '\0']) {
            return error("LOT604", format!("'{topic}' is no topic to publish to"));
        }
        let (model, topic) = (model.to_owned(), topic.to_owned());
        let written = WrittenModel { model, topic, assignments: assignments.to_vec() };
        with(|others| others.written.push(written));
        Ok(())
    }
}
