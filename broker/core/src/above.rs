//! What the core calls of the broker above it: hooks for what happens to Clients, and services that are not the core's.
//!
//! A message that goes its usual way calls none of them; a turn of a thread that serves no Clients calls one, for what waits for its batch.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;

use lotmq_auth::{Identity, PendingLogin, Scope};
use lotmq_codec::{QoS, ReasonCode};
use lotmq_store::Ticket;

use crate::client::Client;
use crate::client::replay::Pending;
use crate::connection::Connection;
use crate::connection::close::CloseReason;
use crate::durable::release::Release;
use crate::protocol::{NotTaken, Outcome};
use crate::routing::subscription::Options;
use crate::shared::Core;
use crate::tenant::Tenant;
use crate::turn::Turn;
use crate::turn::arena::Span;

/// See the module's documentation.
pub trait Above: Send + Sync {
    /// A CONNECT with this Client Identifier and user was refused with this Reason Code, and the cause in words.
    fn connect_refused(
        &self,
        turn: &mut Turn,
        connection: &Connection,
        who: (&str, Option<&str>),
        reason: ReasonCode,
        cause: &dyn Display,
    );

    /// The Client could not prove again who it is, and its connection ends.
    fn authentication_refused(
        &self,
        connection: &Connection,
        client_id: &str,
        user: Option<&str>,
        cause: &dyn Display,
    );

    /// A CONNECT was accepted.
    fn connected(&self, turn: &mut Turn, client: &Client, connection: &Connection);

    /// The connection of a Client ends, for this reason and, below MQTT, this failure; nothing has been done about it.
    fn disconnects(
        &self,
        turn: &Turn,
        client: &Client,
        connection: &Connection,
        reason: &CloseReason,
        failure: Option<String>,
    );

    /// The connection of a Client has ended.
    fn disconnected(&self, turn: &mut Turn, client: &Client, connection: &Connection, reason: &CloseReason);

    /// Rules denied a topic to a Client.
    fn denied(&self, client: &Client, scope: Scope, topic: &str);

    /// A Will was not published because who has set it may not do that.
    fn will_denied(&self, turn: &Turn, client: &Client, identity: &Identity, topic: &str);

    /// A Client has subscribed.
    fn subscribed(&self, client: &Client, filter: &str, qos: QoS);

    /// A Client published to a topic of the tree, which it may.
    ///
    /// # Errors
    /// When it is not taken; it has had no effect then.
    fn published_to_tree(
        &self,
        turn: &mut Turn,
        client: &Arc<Client>,
        topic: Span,
        properties: Span,
        payload: Span,
    ) -> Result<(), NotTaken>;

    /// The Will of a bridge tells its state.
    fn bridge_state(&self, turn: &mut Turn, tenant: &Arc<Tenant>, topic: &str, payload: &[u8]);

    /// Retained topics of the tree that a subscription gets now.
    fn retained_of_tree(&self, tenant: &Tenant, filter: &str, options: Options) -> VecDeque<Pending>;

    /// Has a password checked when it is its turn; the connection is called then.
    fn check_password(&self, connection: &Arc<Connection>, pending: PendingLogin, outcome: Outcome);

    /// Whether this is the command that sets the password of who gives it, which everybody may give.
    fn is_own_password(&self, identity: &Identity, payload: &[u8]) -> bool;

    /// A timer was set that may be earlier than all others, or there is other work for the thread that looks at them.
    fn has_work(&self);

    /// Has a shard do what waits for a batch of a thread that serves no Clients.
    fn release_when_committed(&self, ticket: Ticket, releases: Vec<Release>);
}

impl Core {
    /// Calls the broker above; not after its end.
    pub fn tell<R>(&self, what: impl FnOnce(&dyn Above) -> R) -> Option<R> {
        let above = self.above.get()?.upgrade()?;
        Some(what(&*above))
    }
}
