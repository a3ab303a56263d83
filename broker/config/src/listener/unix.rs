//! Section `[listener.unix]`.

use std::path::PathBuf;

use super::{Carrier, ListenerPlan, Transport, UnixSocket};
use crate::auth::LoginModules;
use crate::key::section;
use crate::setting::FileMode;

section! {
    /// MQTT through a Unix socket. Its clients count as clients of this machine.
    UnixListener at "listener.unix", |config| config.listener.unix => {
        /// The file of the socket. Without it there is no socket. The broker replaces a socket that
        /// a broker left behind, and no other file. It removes the file when it stops.
        path: Option<PathBuf> = None;
        /// Permissions of the file, as octal digits. Users who may write to it may connect.
        mode: FileMode = FileMode::GROUP;
        /// Login modules of this listener, in place of those in `auth.modules`.
        auth_modules: Option<LoginModules> = None;
    }
}

impl Transport for UnixListener {
    fn fill(&self, plan: &mut ListenerPlan) {
        let mode = self.mode.bits();
        plan.carrier = Carrier::Unix(self.path.clone().map(|path| UnixSocket { path, mode }));
    }
}
