//! Analysis of the open workspace: its files, the diagnostics of each, and values of a running
//! broker. The server answers requests of the editor from it.

use std::collections::BTreeMap;

use crate::live::Live;
use crate::workspace::{Key, Workspace};

/// State that the server answers requests from.
pub(crate) struct Analysis {
    /// Files of the workspace, those that are being edited as the editor has them.
    pub(crate) workspace: Workspace,
    /// Values of a running broker, if there is one.
    pub(crate) live: Option<Live>,
    /// Latest compiler diagnostics of each file.
    pub(crate) found: BTreeMap<Key, Vec<lot_to_wasm::Diagnostic>>,
}
