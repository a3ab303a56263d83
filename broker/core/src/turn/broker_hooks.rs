//! Interface of the broker above the core: hooks for events of Clients, and services that are not
//! the core's.
//!
//! A message that goes its usual way calls none of them; a turn of a thread that serves no Clients
//! calls one, for what waits for its batch.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::task::Context;

use lotmq_auth::{ConnackTexts, Denier, Identity, LoginRefusal, MemberChallenge, PendingLogin, Question};
use lotmq_changes::Ticket;
use lotmq_codec::{QoS, ReasonCode};
use parking_lot::Mutex;

use crate::arena::Span;
use crate::connection::Connection;
use crate::reason::NotTaken;
use crate::reason::close::{CloseReason, LoginChange};
use crate::shared::Core;
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::replay::Pending;
use crate::tenant::subscription::Options;
use crate::turn::Turn;
use crate::turn::release::Release;

/// Outcome of the check of a password; `None` until it is known.
pub type Outcome = Arc<Mutex<Option<LoginOutcome>>>;

/// Decision on a login.
#[derive(Debug)]
pub struct LoginOutcome {
    /// The decision.
    pub decided: LoginDecision,
    /// Texts for CONNACK from the member of the login chain that has decided.
    pub connack: Option<Box<ConnackTexts>>,
}

/// Decision on a login, or the next message of an authentication.
#[derive(Debug)]
pub enum LoginDecision {
    /// The Client has this identity.
    Admitted(Identity),
    /// It is refused.
    Refused(LoginRefusal),
    /// A member of the login chain has one more message for it.
    Challenge(MemberChallenge),
}

impl From<Result<Identity, LoginRefusal>> for LoginDecision {
    fn from(decided: Result<Identity, LoginRefusal>) -> LoginDecision {
        decided.map_or_else(LoginDecision::Refused, LoginDecision::Admitted)
    }
}

impl From<Result<Identity, LoginRefusal>> for LoginOutcome {
    fn from(decided: Result<Identity, LoginRefusal>) -> LoginOutcome {
        LoginOutcome { decided: decided.into(), connack: None }
    }
}

/// The broker above the core, as the core calls it.
pub trait BrokerHooks: Send + Sync {
    /// Hook: a CONNECT with this Client Identifier and user was refused with this Reason Code, for
    /// a cause given in words.
    fn connect_refused(
        &self,
        turn: &mut Turn,
        tenant: &Arc<Tenant>,
        connection: &Connection,
        who: (&str, Option<&str>),
        reason: ReasonCode,
        cause: &dyn Display,
    );

    /// Change that the member of the login chain has made to a login of this identity since it
    /// allowed it. After the last question about a login, `is_last`, it is forgotten.
    fn login_change(
        &self,
        _identity: &Identity,
        _connection: &Connection,
        _is_last: bool,
    ) -> Option<LoginChange> {
        None
    }

    /// Hook: re-authentication of a Client failed, and its connection ends.
    fn authentication_refused(
        &self,
        tenant: &Tenant,
        connection: &Connection,
        client_id: &str,
        user: Option<&str>,
        cause: &dyn Display,
    );

    /// Hook: a CONNECT was accepted, with the Session Present of its CONNACK.
    fn connected(&self, turn: &mut Turn, client: &Client, connection: &Connection, session_present: bool);

    /// Hook: the connection of a Client is about to end, for this reason and, below MQTT, this
    /// failure.
    fn disconnects(
        &self,
        turn: &Turn,
        client: &Client,
        connection: &Connection,
        reason: &CloseReason,
        failure: Option<String>,
    );

    /// Hook: the connection of a Client has ended.
    fn disconnected(&self, turn: &mut Turn, client: &Client, connection: &Connection, reason: &CloseReason);

    /// Hook: this one denied a Client what it asked for.
    fn denied(&self, client: &Client, question: &Question<'_>, denier: &Denier);

    /// Answers a command that its Client may not give, which so far has had no effect.
    fn refuse_command(&self, turn: &mut Turn, client: &Arc<Client>, payload: Span);

    /// Hook: a message that was kept for later was not published, because whoever has set it lacks
    /// the permission by now. `kind` names it for people.
    fn denied_when_due(&self, turn: &Turn, tenant: &Tenant, identity: &Identity, kind: &str, topic: &str);

    /// Hook: a Client has subscribed.
    fn subscribed(&self, client: &Client, filter: &str, qos: QoS);

    /// Takes a message that a Client published to a topic of the `$SYS` tree, with permission.
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

    /// Hook: a bridge's Will, which tells its state, was published.
    fn bridge_state(&self, turn: &mut Turn, client: &Client, topic: &str, payload: &[u8]);

    /// Retained messages of the `$SYS` tree for a new subscription of a Client.
    fn retained_of_tree(&self, client: &Client, filter: &str, options: Options) -> VecDeque<Pending>;

    /// Queues the check of a password; the connection is called when the outcome is known.
    fn check_password(
        &self,
        tenant: &Arc<Tenant>,
        connection: &Arc<Connection>,
        pending: PendingLogin,
        outcome: Outcome,
    );

    /// Whether a payload is the command by which users set their own password, which everybody may
    /// give.
    fn is_own_password(&self, identity: &Identity, payload: &[u8]) -> bool;

    /// Hands what runs have kept so far to the log, before promised messages leave whose runs have
    /// ended. False when not all of it was taken.
    fn hand_over_kept(&self, core: &Core) -> bool;

    /// Wakes the housekeeper: a timer was set that may be the earliest, or there is other work for
    /// it.
    fn has_work(&self);

    /// Hands a shard the releases that wait for a batch of a thread that serves no Clients.
    fn release_when_committed(&self, ticket: Ticket, releases: Vec<Release>);
}

/// Runner of the guests that a turn has noted.
pub trait GuestRunner: Sync {
    /// State for a thread that begins to have turns.
    fn of_thread(&self) -> Box<dyn Any>;

    /// Whether anything is left to be started in this turn.
    fn has_work(&self, turn: &Turn) -> bool;

    /// Whether so much is noted that the turn should end.
    fn is_full(&self, turn: &Turn) -> bool;

    /// Whether `connection`, whose Client's messages start something, has to wait. It is called, or
    /// the task of `cx` is woken, when that has changed.
    fn hold_back(
        &self,
        turn: &mut Turn,
        connection: &Arc<Connection>,
        client: &Client,
        cx: &Context<'_>,
    ) -> bool;

    /// Starts guests that run within the turn, before its messages are delivered. Their
    /// publications join the turn.
    fn start(&self, turn: &mut Turn);

    /// Starts guests that run on other threads, after the turn's messages are delivered.
    fn post(&self, turn: &mut Turn);

    /// Notes the end of a turn. True when something is left for the next one.
    fn turn_ended(&self, turn: &mut Turn) -> bool;
}
