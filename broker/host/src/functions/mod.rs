//! Host functions of the worlds `action`, `model` and `rule`: one file per WIT interface that we
//! provide, linked by hand.
//!
//! By hand, because generated bindings copy each string and list out of the guest first; here they
//! are borrowed from its memory.

mod actions;
mod ambient;
mod backtracking;
mod config;
mod current_message;
mod diagnostics;
mod environment;
mod logging;
mod messages;
mod metrics;
mod models;
mod modules;
mod python;
mod rows;
mod state;
mod subject;
mod topic_store;

pub(crate) use config::configuration;
pub(crate) use messages::{WriteError, kept, may_keep, may_write};
pub(crate) use metrics::is_name as is_metric_name;
pub(crate) use state::is_key as is_state_key;

use crate::state::RunState;
use wasmtime::component::Linker;

type Link = fn(&mut Linker<RunState>) -> wasmtime::Result<()>;

/// All interfaces of the worlds `action`, `model` and `rule`; `validate` says which world may
/// import which.
const INTERFACES: [Link; 17] = [
    messages::link,
    current_message::link,
    topic_store::link,
    subject::link,
    environment::link,
    ambient::link,
    config::link,
    state::link,
    logging::link,
    metrics::link,
    actions::link,
    python::link,
    rows::link,
    models::link,
    modules::link,
    backtracking::link,
    diagnostics::link,
];

/// Links everything that an Action, Model or rule may import of ours.
pub(crate) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    INTERFACES.iter().try_for_each(|link| link(linker))
}
