//! `modules` and `rule-modules`: calling modules, and asking them for a Rule. Capability:
//! [`Grants::modules`](crate::Grants); to ask needs none, because only what our own compiler makes
//! imports it. Bounds: depth, stack, and the time of who calls.

use super::actions::nested;
use crate::{
    Argument, RunError, Value,
    bindings::rule::exports::lotmq::guest::rule_handler::Verdict,
    grants::Capability,
    limits::{CALL_DEPTH_MAX, MODULE_FUNCTION_BYTES_MAX, NAME_BYTES_MAX},
    services::question::ModuleQuestion,
    stack,
    state::RunState,
    texts::cut,
};
use wasmtime::component::{ComponentType, Linker, Lower, WasmStr};

/// Name of the input that says which function of a module is called.
const FUNCTION: &str = "$function";

/// Verdict of a module, as the interface `rule-modules` defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
enum Opinion {
    #[component(name = "allow")]
    Allow,
    #[component(name = "deny")]
    Deny,
    #[component(name = "nothing")]
    Nothing,
}

impl From<Verdict> for Opinion {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Opinion::Allow,
            Verdict::Deny => Opinion::Deny,
            Verdict::Nothing => Opinion::Nothing,
        }
    }
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("modules"))?;
    interface.func_wrap("call", |store, (function, inputs): (WasmStr, Vec<Argument>)| {
        let function = function.to_str(&store)?;
        let state = store.data();
        Ok((state.give(call(state, &function, inputs)),))
    })?;
    let mut interface = linker.instance(interface!("rule-modules"))?;
    interface.func_wrap("ask", |store, (name,): (WasmStr,)| {
        let name = name.to_str(&store)?;
        let state = store.data();
        Ok((state.give(ask(state, &name)).map(Opinion::from),))
    })
}

fn call(state: &RunState, function: &str, inputs: Vec<Argument>) -> Result<Vec<Value>, RunError> {
    let (name, function) =
        function.split_once('.').map_or((function, None), |(name, function)| (name, Some(function)));
    if name.len() > NAME_BYTES_MAX || !state.may(Capability::CallModule, name) {
        let message = format!("this definition may not call module '{}'", cut(name, NAME_BYTES_MAX));
        return Err(RunError::new("CALL_NOT_ALLOWED", message));
    }
    if inputs.iter().any(|input| input.name == FUNCTION) {
        return Err(RunError::new("INPUT_RESERVED", format!("no input has the name '{FUNCTION}'")));
    }
    let mut all = Vec::with_capacity(inputs.len() + 1);
    if let Some(function) = function {
        if function.is_empty() || function.len() > MODULE_FUNCTION_BYTES_MAX {
            let message = format!(
                "the name of a function of module '{name}' has 1 to {MODULE_FUNCTION_BYTES_MAX} bytes"
            );
            return Err(RunError::new("FUNCTION_INVALID", message));
        }
        all.push(Argument { name: FUNCTION.to_owned(), value: Value::Text(function.to_owned()) });
    }
    all.extend(inputs);
    nested(state, name, |call| state.services.call_module(call, name, &all))
}

fn ask(state: &RunState, name: &str) -> Result<Verdict, RunError> {
    let depth = state.run.depth + 1;
    if depth > CALL_DEPTH_MAX || !stack::has_room() {
        return Err(RunError::new("CALL_DEPTH", format!("there is no room to ask module '{name}'")));
    }
    let Some(request) = state.question.as_deref() else {
        return Err(RunError::new("CALL_NOT_ALLOWED", format!("nobody asks what to ask module '{name}'")));
    };
    let question = ModuleQuestion {
        request,
        message: state.trigger(),
        protocol_version: state.protocol_version,
        subject: state.subject.clone(),
        depth,
        hops: state.run.hops,
        deadline: state.deadline.get().nested(),
    };
    state.services.ask_module(&question, name)
}
