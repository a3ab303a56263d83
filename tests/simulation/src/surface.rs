//! Surroundings of the core instead of a server: they answer no question, and record its reports.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;

use lot_facts::{RuleFacts, RuleInputs};
use lotmq_auth::{Account, Answer, Ask, Denier, Identity, Opinion, PendingLogin, Question, Rule, Validity};
use lotmq_changes::Ticket;
use lotmq_codec::{QoS, ReasonCode};
use lotmq_core::BrokerHooks;
use lotmq_core::Core;
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
use parking_lot::Mutex;

use crate::guests;
use crate::machine::{ConnectionId, Task, Tasks};

/// The end of a Client's connection as the core tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) connection: ConnectionId,
    /// DISCONNECT had come, and discards the Will.
    pub(crate) discards_will: bool,
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Surface {
    pub(crate) tasks: Tasks,
    /// Connections that have ended since this was taken last.
    pub(crate) ended: Mutex<Vec<Ended>>,
    /// Why CONNECT packets were refused since this was taken last.
    pub(crate) refused: Mutex<Vec<String>>,
    /// Releases that wait for batches of threads without Clients.
    pub(crate) releases: Mutex<VecDeque<(Ticket, Vec<Release>)>>,
}

impl BrokerHooks for Surface {
    fn connect_refused(
        &self,
        _: &mut Turn,
        _: &Arc<Tenant>,
        _: &Connection,
        _: (&str, Option<&str>),
        _: ReasonCode,
        cause: &dyn Display,
    ) {
        self.refused.lock().push(cause.to_string());
    }

    fn authentication_refused(&self, _: &Tenant, _: &Connection, _: &str, _: Option<&str>, _: &dyn Display) {}

    fn connected(&self, _: &mut Turn, _: &Client, _: &Connection, _: bool) {}

    fn disconnects(
        &self,
        _: &Turn,
        _: &Client,
        connection: &Connection,
        reason: &CloseReason,
        _: Option<String>,
    ) {
        let discards_will = matches!(reason, CloseReason::Disconnected(ReasonCode::Success));
        self.ended.lock().push(Ended { connection: connection.number, discards_will });
    }

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

    fn hand_over_kept(&self, core: &Core) -> bool {
        guests::save(&*core.log, core.clock.wall_ms());
        !guests::has_unsaved()
    }

    fn bridge_state(&self, _: &mut Turn, _: &Client, _: &str, _: &[u8]) {}

    fn retained_of_tree(&self, _: &Client, _: &str, _: Options) -> VecDeque<Pending> {
        VecDeque::new()
    }

    fn check_password(&self, _: &Arc<Tenant>, _: &Arc<Connection>, _: PendingLogin, _: Outcome) {}

    fn is_own_password(&self, _: &Identity, _: &[u8]) -> bool {
        false
    }

    fn has_work(&self) {
        self.tasks.call(Task::Housekeeping);
    }

    fn release_when_committed(&self, ticket: Ticket, releases: Vec<Release>) {
        self.releases.lock().push_back((ticket, releases));
        self.tasks.call(Task::Releases);
    }
}

/// A rule that lets everybody do what it is asked about.
pub(crate) struct Everybody;

impl Everybody {
    /// For all that Clients do.
    pub(crate) fn rules() -> Vec<Rule> {
        let rule = |scope: &str| {
            let (scope, inputs) = (scope.to_owned(), RuleInputs::default());
            let facts = RuleFacts { priority: 1, scope: scope.clone(), topic: None, inputs };
            Rule { name: scope.into(), facts: Some(facts), ask: Arc::new(Self) }
        };
        ["Connect", "Publish", "Subscribe", "SubscribeSys"].map(rule).into()
    }
}

impl Ask for Everybody {
    fn ask(&self, _: &Question<'_>, _: Option<&Arc<Account>>) -> Answer {
        Answer { opinion: Opinion::Allow, validity: Validity::Lasting }
    }
}
