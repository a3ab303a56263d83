//! Hooks of a broker above the core that has nothing above it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;

use lotmq_auth::{Denier, Identity, PendingLogin, Question};
use lotmq_changes::Ticket;
use lotmq_codec::{QoS, ReasonCode};
use lotmq_core::arena::Span;
use lotmq_core::connection::Connection;
use lotmq_core::reason::NotTaken;
use lotmq_core::reason::close::CloseReason;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::replay::Pending;
use lotmq_core::tenant::subscription::Options;
use lotmq_core::turn::Turn;
use lotmq_core::turn::broker_hooks::Outcome;
use lotmq_core::turn::release::Release;
use lotmq_core::{BrokerHooks, Core};

/// Hooks that do nothing.
pub(crate) struct NoHooks;

impl BrokerHooks for NoHooks {
    fn connect_refused(
        &self,
        _: &mut Turn,
        _: &Arc<Tenant>,
        _: &Connection,
        _: (&str, Option<&str>),
        _: ReasonCode,
        _: &dyn Display,
    ) {
    }

    fn authentication_refused(&self, _: &Tenant, _: &Connection, _: &str, _: Option<&str>, _: &dyn Display) {}

    fn connected(&self, _: &mut Turn, _: &Client, _: &Connection, _: bool) {}

    fn disconnects(&self, _: &Turn, _: &Client, _: &Connection, _: &CloseReason, _: Option<String>) {}

    fn disconnected(&self, _: &mut Turn, _: &Client, _: &Connection, _: &CloseReason) {}

    fn denied(&self, _: &Client, _: &Question<'_>, _: &Denier) {}

    fn refuse_command(&self, _: &mut Turn, _: &Arc<Client>, _: Span) {}

    fn denied_when_due(&self, _: &Turn, _: &Tenant, _: &Identity, _: &str, _: &str) {}

    fn subscribed(&self, _: &Client, _: &str, _: QoS) {}

    fn published_to_tree(
        &self,
        _: &mut Turn,
        _: &Arc<Client>,
        _: Span,
        _: Span,
        _: Span,
    ) -> Result<(), NotTaken> {
        Ok(())
    }

    fn bridge_state(&self, _: &mut Turn, _: &Client, _: &str, _: &[u8]) {}

    fn retained_of_tree(&self, _: &Client, _: &str, _: Options) -> VecDeque<Pending> {
        VecDeque::new()
    }

    fn check_password(&self, _: &Arc<Tenant>, _: &Arc<Connection>, _: PendingLogin, _: Outcome) {}

    fn is_own_password(&self, _: &Identity, _: &[u8]) -> bool {
        false
    }

    fn hand_over_kept(&self, _: &Core) -> bool {
        true
    }

    fn has_work(&self) {}

    fn release_when_committed(&self, _: Ticket, _: Vec<Release>) {}
}
