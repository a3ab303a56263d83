//! CONNECT: who connects, whether that is allowed, and which session the Client gets.
//!
//! A password that is not remembered is checked elsewhere (`login`); the connection reads nothing meanwhile.

use std::fmt::Display;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::{Decide as _, Identity, LoginRefusal, LoginRequest, LoginStep, Method, Question, Scope};
use lotmq_codec::{
    Connack, Connect, EncodeError, FixedHeader, PacketType, PropertyBuf, PropertyId, PropertyValue,
    ProtocolVersion, ReasonCode, encode_connack, encode_connect_refusal,
};
use lotmq_config::ListenerLimits;
use lotmq_session::{KeepAlive, SessionExpiry};
use lotmq_zstd::Offer;

use super::discouraged::{self, Discouraged};
use super::login::{Login, check_later, reason_of};
use super::{Authenticating, Authentication, Open, Rare, bounds};
use crate::client::Client;
use crate::client::attach::{Attachment, NotAttached, attach};
use crate::client::sessions::SessionKey;
use crate::client::will::{WillMessage, WillTopicRefused};
use crate::connection::Connection;
use crate::connection::close::CloseReason;
use crate::durable::store_failure::StoreFailure;
use crate::limits::{ClientRate, Limit, ZSTD_PACKET_BYTES_MIN};
use crate::protocol::Phase;
use crate::protocol::recipient::Recipient;
use crate::protocol::violation::Violation;
use crate::tenant::Tenant;
use crate::turn::Turn;
use crate::turn::arena::Span;

/// User named by a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certified {
    /// A user of this name.
    User(Box<str>),
    /// Nobody: the certificate has no name of the wanted kind.
    Nobody,
}

/// Request of a CONNECT, owned.
pub struct Request {
    pub(crate) recipient: Recipient,
    pub(crate) version: ProtocolVersion,
    pub(crate) client_id: Arc<str>,
    /// Whether the broker chose the identifier \[MQTT-3.1.3-6\].
    is_assigned: bool,
    pub(crate) clean_start: bool,
    /// Keep Alive of this connection, in seconds; 0 for none.
    pub keep_alive: u16,
    /// Whether the broker chose it, so that CONNACK tells \[MQTT-3.2.2-21\].
    is_keep_alive_ours: bool,
    /// Response Information of CONNACK: only if the Client asks \[MQTT-3.1.2-28\] and the broker has any.
    response_information: Option<String>,
    /// Session Expiry Interval as granted.
    pub expiry: SessionExpiry,
    /// Whether it differs from what the Client asked for, so that CONNACK tells (§3.2.2.3.2).
    is_expiry_ours: bool,
    pub(crate) receive_maximum: u16,
    /// Number of Topic Aliases that the broker may set.
    pub(crate) topic_alias_maximum: u16,
    pub(super) user_name: Option<Box<str>>,
    /// Method and last data of the exchange that has identified the Client.
    pub(super) authenticated: Option<(Method, Vec<u8>)>,
    /// The zstd stream, if it is asked for.
    zstd: Option<Offer>,
    pub(crate) will: Option<Box<WillMessage>>,
}

/// Handles the first packet of a connection.
pub fn begin(
    connection: &Arc<Connection>,
    turn: &mut Turn,
    header: FixedHeader,
    packet: Span,
) -> Result<Phase, CloseReason> {
    if header.packet_type() != PacketType::Connect {
        // Closed without an answer [MQTT-3.1.0-1].
        return Err(Violation::Unexpected(header.packet_type()).into());
    }
    let body = packet.slice(usize::from(header.header_len), header.remaining_len as usize);
    let body = turn.arena.get(body);
    let connect = match Connect::decode(body) {
        Ok(connect) => connect,
        Err(error) => {
            let mut answer = Vec::new();
            if encode_connect_refusal(&mut answer, body, error) {
                connection.transport.write_directly(&answer);
            }
            connection.listener.refused(&connection.peer(), (CloseReason::Refused.word(), &error));
            return Err(CloseReason::Refused);
        }
    };
    // What its version, known only now, does not allow [MQTT-1.5.5-1].
    if let Err(error) = header.check_from_client(connect.version) {
        return Err(refuse(connection, Recipient::of(&connect), ReasonCode::MalformedPacket, &error));
    }
    let request = match read(connection, turn, &connect) {
        Ok(request) => request,
        Err(refusal) => {
            if let ConnectRefusal::Limit(limit) = refusal {
                connection.listener.limit_reached(limit, &connection.peer());
            }
            let reason = refusal.reason_code(connect.version);
            return Err(refuse(connection, Recipient::of(&connect), reason, &refusal));
        }
    };
    if connection.transport.certificate_ends_ms().is_some_and(|end| end <= turn.core.clock.wall_ms()) {
        return accept(connection, request, Err(LoginRefusal::CertificateExpired), turn);
    }
    let certified = connection.transport.certified();
    if let Some(method) = connect.properties.authentication_method() {
        if certified.is_some() {
            let words = "the client certificate says who the client is, no other method is taken";
            return Err(refuse(connection, request.recipient, ReasonCode::BadAuthenticationMethod, &words));
        }
        let data = connect.properties.authentication_data().map(<[u8]>::to_vec);
        let Some(exchange) = connection.listener.tenant.users.begin_exchange(method) else {
            let words = "authentication method is not known or not turned on";
            let reason = ReasonCode::BadAuthenticationMethod;
            return Err(refuse(connection, request.recipient, reason, &words));
        };
        let begun = Authenticating::new(request, exchange);
        return begun.step(connection, turn, data.as_deref());
    }
    let login = LoginRequest {
        user_name: connect.user_name,
        password: connect.password,
        client_id: Arc::clone(&request.client_id),
        peer: connection.peer().for_login(),
        anonymous: connection.listener.anonymous,
        now_ms: turn.core.clock.now().as_millis(),
    };
    let users = &connection.listener.tenant.users;
    let step = match certified {
        None => users.begin_login(&login),
        Some(Certified::User(name)) => users.certified_login(Some(&name), &login),
        Some(Certified::Nobody) => users.certified_login(None, &login),
    };
    match step {
        LoginStep::Admitted(identity) => accept(connection, request, Ok(identity), turn),
        LoginStep::Refused(refusal) => accept(connection, request, Err(refusal), turn),
        LoginStep::Verify(pending) => Ok(Phase::LoggingIn(check_later(connection, request, pending, turn))),
    }
}

/// Goes on with a login whose password was checked.
pub fn finish(connection: &Arc<Connection>, login: Login, turn: &mut Turn) -> Result<Phase, CloseReason> {
    let outcome = login.take_outcome();
    accept(connection, *login.request, outcome, turn)
}

/// Reason why a CONNECT is refused before the Client is identified.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum ConnectRefusal {
    #[error("an empty client identifier needs a clean session")]
    ClientIdEmpty,
    #[error(transparent)]
    WillTopic(#[from] WillTopicRefused),
    #[error(transparent)]
    Discouraged(#[from] Discouraged),
    #[error("{}", _0.sentence())]
    Limit(Limit),
}

impl ConnectRefusal {
    fn reason_code(self, version: ProtocolVersion) -> ReasonCode {
        let reason = match self {
            Self::ClientIdEmpty => ReasonCode::ClientIdentifierNotValid,
            Self::WillTopic(_) => ReasonCode::TopicNameInvalid,
            Self::Discouraged(place) => place.reason_code(),
            Self::Limit(limit) => limit.reason(),
        };
        if version.has_properties() || reason.connect_return_code().is_some() {
            return reason;
        }
        // What is left is about the Will, for which 3.1.1 has no code. A Client that is told nothing takes it for a broken network, and comes back.
        ReasonCode::NotAuthorized
    }
}

/// Holds a CONNECT to the limits of its listener.
fn check_bounds(limits: &ListenerLimits, connect: &Connect<'_>) -> Result<(), Limit> {
    bounds::user_properties(limits, connect.properties)?;
    let Some(will) = &connect.will else { return Ok(()) };
    bounds::topic(limits, will.topic)?;
    bounds::user_properties(limits, will.properties)
}

fn read(connection: &Connection, turn: &Turn, connect: &Connect<'_>) -> Result<Request, ConnectRefusal> {
    discouraged::in_connect(&turn.core.settings, connect)?;
    check_bounds(&connection.listener.limits, connect).map_err(ConnectRefusal::Limit)?;
    let version = connect.version;
    let properties = &connect.properties;
    let is_assigned = connect.client_id.is_empty();
    if is_assigned && !version.has_properties() && !connect.clean_start {
        return Err(ConnectRefusal::ClientIdEmpty);
    }
    let client_id: Arc<str> =
        if is_assigned { turn.core.assigned_client_id().into() } else { connect.client_id.into() };
    let will = connect.will.as_ref().map(|will| WillMessage::new(will, &client_id)).transpose()?;
    let maximum = turn.core.settings.session_expiry_max;
    let wanted = properties.session_expiry_interval();
    let recipient = Recipient::of(connect);
    let offered = turn.core.config.mqtt.response_information.as_ref();
    let response_information = offered
        .filter(|_| version.has_properties() && properties.request_response_information())
        .and_then(|prefix| prefix.with(&client_id));
    let keep_alive = keep_alive(connect, turn.core.settings.keep_alive_max);
    let expiry = SessionExpiry::from_connect(version, connect.clean_start, wanted, maximum);
    Ok(Request {
        recipient,
        version,
        client_id,
        is_assigned,
        response_information,
        clean_start: connect.clean_start,
        keep_alive,
        is_keep_alive_ours: keep_alive != connect.keep_alive,
        expiry,
        is_expiry_ours: expiry.seconds() != wanted.unwrap_or(0),
        receive_maximum: properties.receive_maximum().get(),
        topic_alias_maximum: properties.topic_alias_maximum(),
        user_name: connect.user_name.map(Into::into),
        authenticated: None,
        zstd: Offer::read(properties.user_properties()),
        will: will.map(Box::new),
    })
}

/// Keep Alive that holds: the Client's, or the broker's maximum where the Client's is longer and the version lets the broker say so.
fn keep_alive(connect: &Connect<'_>, maximum: Option<NonZeroU16>) -> u16 {
    let wanted = connect.keep_alive;
    match maximum {
        Some(maximum) if connect.version.has_properties() && (wanted == 0 || wanted > maximum.get()) => {
            maximum.get()
        }
        _ => wanted,
    }
}

/// Attaches the connection to its session and answers, now or when the session can be had.
pub(super) fn accept(
    connection: &Arc<Connection>,
    mut request: Request,
    login: Result<Identity, LoginRefusal>,
    turn: &mut Turn,
) -> Result<Phase, CloseReason> {
    let identity = match attach_allowed(connection, &mut request, login, turn)? {
        Attached::Open(open) => return Ok(Phase::Open(*open)),
        Attached::InTurn(identity) => identity,
    };
    Ok(Phase::LoggingIn(Login::decided(request, (*identity).clone())))
}

/// Outcome of attaching an acceptable CONNECT to its session.
enum Attached {
    Open(Box<Open>),
    /// The session is in the turn of another thread: the connection is called when that has ended.
    InTurn(Arc<Identity>),
}

fn attach_allowed(
    connection: &Arc<Connection>,
    request: &mut Request,
    login: Result<Identity, LoginRefusal>,
    turn: &mut Turn,
) -> Result<Attached, CloseReason> {
    let tenant = Arc::clone(&connection.listener.tenant);
    let identity = match login {
        Ok(identity) => Identity { protocol_version: Some(request.recipient.version.level()), ..identity },
        Err(refusal) => {
            let (reason, limit) = reason_of(refusal);
            if let Some(limit) = limit {
                connection.listener.limit_reached(limit, &connection.peer());
            }
            return Err(turn_away(connection, request, turn, reason, &refusal));
        }
    };
    if !tenant.permissions.decide(&Question::operation(&identity, Scope::Connect)).is_allowed() {
        let words = "no permission to connect";
        return Err(turn_away(connection, request, turn, ReasonCode::NotAuthorized, &words));
    }
    if let Some(will) = &request.will
        && !will.is_allowed(&tenant, &identity, turn.wall_ms())
    {
        let words = "no permission to publish to the will topic";
        return Err(turn_away(connection, request, turn, ReasonCode::NotAuthorized, &words));
    }
    request.expiry = request.expiry.min(turn.core.settings.session_expiry_max_of(&identity));
    if !connection.transport.keeps_place(&|| tenant.is_administrator(&identity)) {
        return Err(turn_away_for(connection, request, turn, Limit::Connections));
    }
    let identity = Arc::new(identity);
    if let Some(offer) = request.zstd.filter(|_| request.recipient.packet_bytes_max >= ZSTD_PACKET_BYTES_MIN)
        && connection.transport.zstd().is_none()
    {
        connection.transport.start_zstd(offer, turn.now());
    }
    if !connack_fits(connection, request) {
        // It must not be sent [MQTT-3.1.2-24], and without it there is no session.
        let words = "the Maximum Packet Size is less than CONNACK takes";
        return Err(turn_away(connection, request, turn, ReasonCode::PacketTooLarge, &words));
    }
    if let Some(failure) = turn.core.refuses_to_store()
        && !(failure == StoreFailure::Reserved && tenant.is_administrator(&identity))
        && promises_durability(&tenant, request, &identity)
    {
        let reason = unstored_reason(request.recipient, failure);
        return Err(turn_away(connection, request, turn, reason, &unstored_words(failure)));
    }
    if let Err(limit) = takes_session(&tenant, request, &identity, turn) {
        return Err(turn_away_for(connection, request, turn, limit));
    }
    let Attachment { client, is_durable } = match attach(&tenant, connection, request, &identity, turn) {
        Ok(attachment) => attachment,
        Err(NotAttached::InTurn(stamp)) => {
            if !turn.core.turns.call_at_end(stamp, connection) {
                connection.call_owner();
            }
            return Ok(Attached::InTurn(identity));
        }
        Err(changed @ NotAttached::AccountChanged) => {
            return Err(turn_away(connection, request, turn, ReasonCode::NotAuthorized, &changed));
        }
    };
    Ok(Attached::Open(Box::new(opened(connection, request, turn, client, is_durable))))
}

/// Opens a connection whose CONNECT was accepted: its deadlines begin, and its Client gets its backlog. `is_durable`: CONNACK waits until the session is
/// stored.
fn opened(
    connection: &Arc<Connection>,
    request: &Request,
    turn: &mut Turn,
    client: Arc<Client>,
    is_durable: bool,
) -> Open {
    let keep_alive = KeepAlive::new(request.keep_alive, turn.now());
    let certificate_ends = connection
        .transport
        .certificate_ends_ms()
        .map(|end| turn.now().plus(left_until(end, turn.wall_ms())));
    if let Some(deadline) = keep_alive.deadline().into_iter().chain(certificate_ends).min() {
        turn.timers.watch(connection.place, deadline);
    }
    if is_durable {
        turn.when_all_committed(crate::durable::release::Release::Connect {
            client: Arc::clone(&client),
            connection: Arc::clone(connection),
        });
    }
    client.send_waiting(turn);
    let has_exchanges = client.state.lock().session.counts().received > 0;
    let rare = Rare {
        authentication: request.authenticated.as_ref().map(|(method, _)| Authentication::by(*method)),
        rate: ClientRate::of(&connection.listener.limits),
        certificate_ends,
    };
    turn.core.counters.connects_accepted.add(1);
    turn.tell(|above, turn| above.connected(turn, &client, connection));
    Open {
        client,
        version: request.version,
        keep_alive,
        allowed: None,
        aliases: None,
        has_exchanges,
        feeds_store: false,
        feeds_guests: false,
        unfinished: None,
        rare: rare.boxed(),
    }
}

/// Checks that the owner's share has room for the session: its bytes are bounded, and the number of sessions that outlive their connections.
fn takes_session(tenant: &Tenant, request: &Request, identity: &Identity, turn: &Turn) -> Result<(), Limit> {
    let limits = &turn.core.config.limits;
    let share = tenant.shares.of(identity);
    let known = tenant.sessions.lock().get(SessionKey::from(identity)).cloned();
    // It goes on, or this one takes its place.
    let (had_bytes, was_stored) = known.map_or((0, false), |client| {
        let state = client.state.lock();
        let holding = &state.holding;
        if Arc::ptr_eq(holding.share(), &share) { (holding.bytes(), client.is_durable()) } else { (0, false) }
    });
    let bytes = request.client_id.len() as u64 + request.will.as_ref().map_or(0, |will| will.bytes());
    let mut takes = share.takes_bytes(bytes.saturating_sub(had_bytes), limits);
    if !was_stored && !request.expiry.ends_with_connection() {
        takes = takes.and_then(|()| share.takes_session(limits));
    }
    if takes.is_err() && tenant.is_administrator(identity) { Ok(()) } else { takes }
}

/// Time from `now` to `end`, both in milliseconds since 1970.
fn left_until(end: u64, now: u64) -> Duration {
    Duration::from_millis(end.saturating_sub(now))
}

/// Whether CONNACK would promise something that must be stored: a session, or the end of one.
fn promises_durability(tenant: &Tenant, request: &Request, identity: &Identity) -> bool {
    !request.expiry.ends_with_connection()
        || tenant.sessions.lock().get(identity.into()).is_some_and(|client| client.is_durable())
}

/// Answers a CONNECT whose session cannot be stored.
pub(crate) fn refuse_unstored(
    connection: &Connection,
    recipient: Recipient,
    failure: StoreFailure,
) -> CloseReason {
    refuse(connection, recipient, unstored_reason(recipient, failure), &unstored_words(failure))
}

/// Reason Code for a CONNECT that cannot be stored: before 5.0 there is one code for everything temporary.
fn unstored_reason(recipient: Recipient, failure: StoreFailure) -> ReasonCode {
    if recipient.version.has_properties() { failure.reason_code() } else { ReasonCode::ServerUnavailable }
}

fn unstored_words(failure: StoreFailure) -> String {
    format!("the session could not be stored: {failure}")
}

/// Refuses a Client that has been identified, and tells those who watch.
fn turn_away(
    connection: &Connection,
    request: &Request,
    turn: &mut Turn,
    reason: ReasonCode,
    words: &dyn Display,
) -> CloseReason {
    let user = request.user_name.as_deref();
    let who = (&*request.client_id, user);
    turn.tell(|above, turn| above.connect_refused(turn, connection, who, reason, words));
    answer_refusal(connection, request.recipient, reason, words)
}

/// Refuses a Client that has been identified because a limit is reached.
fn turn_away_for(connection: &Connection, request: &Request, turn: &mut Turn, limit: Limit) -> CloseReason {
    connection.listener.limit_reached(limit, &connection.peer());
    let has_code = request.version.has_properties();
    let reason = if has_code { limit.reason() } else { ReasonCode::ServerUnavailable };
    turn_away(connection, request, turn, reason, &limit.sentence())
}

/// Encodes CONNACK, with properties that differ from the standard's defaults and from the Client's wishes; optional ones are left out where the Client takes no packet of that size.
pub(crate) fn connack(connection: &Connection, request: &Request, session_present: bool) -> Vec<u8> {
    let whole = encoded_connack(connection, request, session_present, true);
    if whole.len() <= request.recipient.packet_bytes_max as usize {
        return whole;
    }
    encoded_connack(connection, request, session_present, false)
}

fn encoded_connack(
    connection: &Connection,
    request: &Request,
    session_present: bool,
    with_information: bool,
) -> Vec<u8> {
    let mut announced = PropertyBuf::new();
    if request.version.has_properties() {
        announce(&mut announced, connection, request, with_information).expect(
            "the broker's own properties have legal values: the identifier came in a packet or was made here",
        );
    }
    let connack =
        Connack { session_present, reason: ReasonCode::Success, properties: announced.properties() };
    let mut packet = Vec::new();
    encode_connack(&mut packet, request.version, &connack).expect("an acceptance is legal in every version");
    packet
}

fn connack_fits(connection: &Connection, request: &Request) -> bool {
    let limit = request.recipient.packet_bytes_max;
    limit == u32::MAX || connack(connection, request, true).len() <= limit as usize
}

fn announce(
    announced: &mut PropertyBuf,
    connection: &Connection,
    request: &Request,
    with_information: bool,
) -> Result<(), EncodeError> {
    use PropertyId as Id;
    use PropertyValue as Value;
    if request.is_expiry_ours {
        announced.push(Id::SessionExpiryInterval, Value::FourByte(request.expiry.seconds()))?;
    }
    announced.push(Id::ReceiveMaximum, Value::TwoByte(connection.listener.limits.receive_maximum))?;
    announced.push(Id::MaximumPacketSize, Value::FourByte(connection.listener.limits.max_packet_size))?;
    announced.push(Id::TopicAliasMaximum, Value::TwoByte(connection.listener.limits.topic_alias_maximum))?;
    if request.is_keep_alive_ours {
        announced.push(Id::ServerKeepAlive, Value::TwoByte(request.keep_alive))?;
    }
    if let Some(information) = request.response_information.as_ref().filter(|_| with_information) {
        announced.push(Id::ResponseInformation, Value::Utf8(information))?;
    }
    if let Some((method, data)) = &request.authenticated {
        announced.push(Id::AuthenticationMethod, Value::Utf8(method.name()))?;
        announced.push(Id::AuthenticationData, Value::Binary(data))?;
    }
    if request.is_assigned {
        announced.push(Id::AssignedClientIdentifier, Value::Utf8(&request.client_id))?;
    }
    if let Some(offer) = connection.transport.zstd().filter(|_| request.zstd.is_some()) {
        for (name, value) in offer.properties() {
            announced.push(Id::UserProperty, Value::Utf8Pair(name, &value))?;
        }
    }
    Ok(())
}

/// Refuses a Client that has not been identified, and logs it.
pub(super) fn refuse(
    connection: &Connection,
    recipient: Recipient,
    reason: ReasonCode,
    words: &dyn Display,
) -> CloseReason {
    connection.listener.refused(&connection.peer(), (CloseReason::Refused.word(), words));
    answer_refusal(connection, recipient, reason, words)
}

/// Answers with a refusal; 5.0 Clients get a sentence with it, unless it is too long for them \[MQTT-3.2.2-19\].
fn answer_refusal(
    connection: &Connection,
    recipient: Recipient,
    reason: ReasonCode,
    words: &dyn Display,
) -> CloseReason {
    let mut answer = Vec::new();
    let encoded = recipient.explain(&mut answer, words, |out, properties| {
        encode_connack(out, recipient.version, &Connack { properties, ..Connack::refusal(reason) })
    });
    // Where the version has no code for the reason [3.1.1: MQTT-3.2.2-6], or the Client takes no packet of this size, closing is the answer.
    if encoded.is_ok() {
        connection.transport.write_directly(&answer);
    }
    CloseReason::Refused
}
