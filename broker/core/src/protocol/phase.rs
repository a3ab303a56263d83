//! Phases of a connection: what its owner keeps from one packet to the next.
//!
//! Not here: what packets do with it (`protocol`).

use std::iter::Zip;
use std::sync::Arc;
use std::vec::IntoIter;

use lotmq_auth::{Decide as _, Exchange, Identity, LoginRefusal, MemberExchange, Method};
use lotmq_codec::{PacketId, ProtocolVersion, ReasonCode};
use lotmq_router::TopicError;
use lotmq_session::{KeepAlive, KeepAliveVerdict, Time};
use parking_lot::Mutex;

use crate::client::request::Request;
use crate::limits::ClientRate;
use crate::protocol::topic_alias::TopicAliases;
use crate::reason::close::CloseReason;
use crate::routing::route::{Asking, Route};
use crate::tenant::client::Client;
use crate::tenant::subscription::Options;
use crate::turn::broker_hooks::{LoginOutcome, Outcome};
use crate::turn::fan_out::Remainder;
use crate::turn::suback::Granted;

/// Phase of a connection.
pub enum Phase {
    /// Nothing or a part of CONNECT has come.
    New {
        /// Bytes below MQTT that have come.
        overhead: u32,
    },
    /// CONNECT was read; an exchange of AUTH packets identifies the Client.
    Authenticating(Box<Authenticating>),
    /// CONNECT was read; its password is being checked, or its session cannot be had yet. Nothing
    /// is read meanwhile.
    LoggingIn(Login),
    /// CONNECT was accepted.
    Open(Open),
    /// Nothing is read any more.
    Closed,
}

impl Default for Phase {
    fn default() -> Self {
        Self::New { overhead: 0 }
    }
}

impl Phase {
    /// Bytes below MQTT that have come before CONNECT, or since CONNECT in an exchange of AUTH
    /// packets; `None` behind these.
    pub(crate) fn overhead_before_login(&mut self) -> Option<&mut u32> {
        match self {
            Self::New { overhead } => Some(overhead),
            Self::Authenticating(exchange) => Some(&mut exchange.overhead),
            Self::LoggingIn(_) | Self::Open(_) | Self::Closed => None,
        }
    }
}

/// State of a connection whose CONNECT was accepted, for its owner.
pub struct Open {
    /// Session of the connection.
    pub client: Arc<Client>,
    pub(crate) version: ProtocolVersion,
    /// Keep Alive: when its silence is too long.
    pub keep_alive: KeepAlive,
    /// Topic for which a PUBLISH was last allowed, and the generation of permissions. Most
    /// connections are of Clients that publish nothing.
    pub allowed: Option<Box<(String, u64)>>,
    /// Topic Aliases of the Client, once it used one.
    pub aliases: Option<Box<TopicAliases>>,
    /// Whether QoS 2 exchanges of the Client may be open: it began one on this connection, or its
    /// session came with some.
    pub(crate) has_exchanges: bool,
    /// Whether its last packet changed what is stored: it waits when the disk cannot keep up.
    pub feeds_store: bool,
    /// Whether its last message starts guests: it waits when they cannot keep up.
    pub feeds_guests: bool,
    /// Packet that there was no time to finish. Nothing else of the Client is handled until it is
    /// done.
    pub(crate) unfinished: Option<Box<Unfinished>>,
    pub(crate) rare: Option<Box<Rare>>,
}

/// State of a connection that few connections have, so it has memory of its own.
#[derive(Default)]
pub(crate) struct Rare {
    /// The Authentication Method of CONNECT, if it had one.
    pub(crate) authentication: Option<Authentication>,
    /// Rate limit of the Client, where there is one.
    pub(crate) rate: Option<ClientRate>,
    /// When the login of the Client ends: its certificate, or the claims of its user.
    pub(crate) login_ends: Option<LoginEnd>,
}

/// End of a login at a known time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginEnd {
    /// The time.
    pub(crate) at: Time,
    /// Whether the certificate ends then, and not the claims.
    pub(crate) is_of_certificate: bool,
}

impl LoginEnd {
    /// Reason to close the connection then.
    pub(crate) fn reason(self) -> CloseReason {
        if self.is_of_certificate { CloseReason::CertificateExpired } else { CloseReason::LoginExpired }
    }
}

impl Rare {
    /// The state, if there is any.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        let is_any = self.authentication.is_some() || self.rate.is_some() || self.login_ends.is_some();
        is_any.then(|| Box::new(self))
    }
}

impl Open {
    /// Whether a message for this topic was taken before, and no rule has changed since: then its
    /// text and its bounds are in order, too.
    pub(crate) fn has_published_to(&self, topic: &[u8]) -> bool {
        let Some((known, at)) = self.allowed.as_deref() else { return false };
        *at == self.client.tenant.permissions.generation() && known.as_bytes() == topic
    }

    /// Whether nothing else of the Client may be handled yet.
    pub(crate) fn has_unfinished(&self) -> bool {
        !matches!(self.unfinished.as_deref(), None | Some(Unfinished::Asked(_) | Unfinished::HeldBack))
    }

    /// Whether the packet that was begun last has to be handled once more, from its beginning.
    pub(crate) fn repeats_packet(&self) -> bool {
        matches!(
            self.unfinished.as_deref(),
            Some(Unfinished::Asking(_) | Unfinished::Asked(_) | Unfinished::HeldBack)
        )
    }

    /// Notes a re-authentication of a Client whose CONNECT named a method.
    pub(crate) fn set_again(&mut self, again: Again) {
        let authentication = self.rare.as_mut().and_then(|rare| rare.authentication.as_mut());
        authentication.expect("CONNECT named the method of the AUTH").again = Some(again);
    }

    /// How fast the Client may send, where that is bounded.
    pub(crate) fn rate(&self) -> Option<&ClientRate> {
        self.rare.as_ref()?.rate.as_ref()
    }

    /// Rate limit of the Client, to count what it sends.
    pub(crate) fn rate_mut(&mut self) -> Option<&mut ClientRate> {
        self.rare.as_mut()?.rate.as_mut()
    }

    /// When the Client's login ends, if that is known.
    pub(crate) fn login_ends(&self) -> Option<LoginEnd> {
        self.rare.as_ref()?.login_ends
    }

    /// Next check of the connection: as its Keep Alive says, at the latest when its login ends.
    pub(crate) fn until_login_ends(&self, verdict: KeepAliveVerdict) -> KeepAliveVerdict {
        match (verdict, self.login_ends()) {
            (KeepAliveVerdict::AliveUntil(at), Some(end)) => KeepAliveVerdict::AliveUntil(at.min(end.at)),
            (KeepAliveVerdict::Off, Some(end)) => KeepAliveVerdict::AliveUntil(end.at),
            (verdict, _) => verdict,
        }
    }
}

/// A packet for which the time of a turn did not suffice.
pub enum Unfinished {
    /// A SUBSCRIBE with filters left.
    Subscribe(Subscribing),
    /// An UNSUBSCRIBE with filters left.
    Unsubscribe(Unsubscribing),
    /// A PUBLISH that waits until rules have been asked about its receivers. Its bytes stay in the
    /// input as they came.
    Asking(Box<Asking>),
    /// A PUBLISH whose route is known, or which waits until earlier messages have been delivered.
    Asked(Arc<Route>),
    /// A PUBLISH that something is too full for. Its bytes stay in the input as they came; who gets
    /// it is found anew.
    HeldBack,
    /// A message with receivers left.
    Publish(Box<Remainder>),
}

/// Filter as asked for.
pub(crate) struct AskedFilter {
    pub(crate) filter: Box<str>,
    pub(crate) options: Options,
}

/// A SUBSCRIBE under way.
pub struct Subscribing {
    pub(crate) asked: IntoIter<AskedFilter>,
    pub(crate) granted: Granted,
}

/// An UNSUBSCRIBE under way.
pub struct Unsubscribing {
    pub(crate) packet_id: PacketId,
    /// Filters that are left, each with what is wrong with it.
    pub(crate) filters: Zip<IntoIter<Box<str>>, IntoIter<Option<TopicError>>>,
    pub(crate) codes: Vec<ReasonCode>,
    /// Whether something stored of the session was not on the disk when the packet came.
    pub(crate) is_unsure: bool,
}

/// Exchange of AUTH packets for a CONNECT that named a method, until it has identified the Client.
pub struct Authenticating {
    pub(crate) request: Box<Request>,
    pub(crate) exchange: Exchanging,
    /// Bytes below MQTT that have come since CONNECT.
    pub(crate) overhead: u32,
}

/// Exchange of AUTH packets, by the part of the broker that knows its method.
pub(crate) enum Exchanging {
    /// The user store.
    Users(Exchange),
    /// A member of the login chain.
    Member(MemberExchange),
}

impl Exchanging {
    /// Its method.
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Users(exchange) => exchange.method(),
            Self::Member(exchange) => exchange.method(),
        }
    }
}

/// Login that waits for the check of its password or, after that, for its session.
pub struct Login {
    pub(crate) request: Box<Request>,
    pub(crate) outcome: Outcome,
}

impl Login {
    /// Login whose identity is known.
    pub(crate) fn decided(request: Request, identity: Identity) -> Self {
        Self { request: Box::new(request), outcome: Arc::new(Mutex::new(Some(Ok(identity).into()))) }
    }

    /// Whether it is a step of an exchange with a member of the login chain, before its end.
    pub(crate) fn is_in_exchange(&self) -> bool {
        let method = self.request.login.authenticated.as_ref().map(|(method, _)| method);
        matches!(method, Some(Method::OfMember(_))) && !self.request.is_counted
    }

    /// Whether the outcome is known.
    pub fn is_decided(&self) -> bool {
        self.outcome.lock().is_some()
    }

    /// Takes the outcome.
    pub(crate) fn take_outcome(&self) -> LoginOutcome {
        self.outcome.lock().take().unwrap_or_else(|| Err(LoginRefusal::BadCredentials).into())
    }
}

/// Authentication of the Client of a live connection, with a re-authentication that may be under
/// way.
pub(crate) struct Authentication {
    pub(crate) method: Method,
    pub(crate) again: Option<Again>,
}

/// A re-authentication under way.
pub(crate) enum Again {
    /// An exchange of several messages, which must end in time.
    Exchange { exchange: Exchange, ends: Time },
    /// A message of the Client, which is checked on another thread.
    Check(Outcome),
    /// An exchange with a member of the login chain, which must end in time.
    Steps { exchange: MemberExchange, ends: Time },
}
