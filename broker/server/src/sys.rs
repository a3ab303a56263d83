//! The `$SYS` tree.

use std::sync::Arc;

use crate::net::turn::Turn;
use crate::tenant::Tenant;

/// Where commands are published to (commands reference §1).
pub(crate) const COMMAND_TOPIC: &str = "$SYS/Coreflux/Command";

/// A run of a guest published below `$SYS`; the host has asked whether it may.
pub(crate) fn published_by_guest(_turn: &mut Turn, _tenant: &Arc<Tenant>, _topic: &str, _payload: &[u8]) {}
