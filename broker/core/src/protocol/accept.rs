//! Decision on a CONNECT: the session that the Client gets, or the refusal.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use lotmq_auth::{Identity, LoginRefusal, Question, Scope};
use lotmq_codec::ReasonCode;
use lotmq_session::KeepAlive;

use super::banned::{check_identity, count_login};
use super::login::reason_of;
use crate::client::attach::{Attachment, NotAttached, attach};
use crate::client::connack::connack_fits;
use crate::client::request::Request;
use crate::connection::Connection;
use crate::connection::peer::Certified;
use crate::connection::place_claim::PlaceClaim;
use crate::connection::refusal::{answer_refusal, unstored_reason, unstored_words};
use crate::durable::changes::Stamp;
use crate::durable::store_failure::StoreFailure;
use crate::limits::{ClientRate, Limit, ZSTD_PACKET_BYTES_MIN};
use crate::protocol::phase::{Authentication, Login, LoginEnd, Open, Phase, Rare};
use crate::reason::close::{CloseReason, LoginChange};
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::session_key::SessionKey;
use crate::turn::Turn;
use crate::turn::capacity;

/// Attaches the connection to its session and answers, now or when the session can be had.
pub(super) fn accept(
    connection: &Arc<Connection>,
    mut request: Request,
    login: Result<Identity, LoginRefusal>,
    turn: &mut Turn,
) -> Result<Phase, CloseReason> {
    let login = login.and_then(|identity| {
        check_identity(connection, &request, &identity, turn)?;
        Ok(identity)
    });
    // A login that waits for its session comes here again.
    if !std::mem::replace(&mut request.is_counted, true) {
        count_login(connection, &request, &login, turn);
    }
    let attached = attach_allowed(connection, &mut request, login, turn);
    if !matches!(attached, Ok(Attached::Later(_))) {
        let took = turn.core.clock.elapsed().saturating_sub(request.came);
        turn.figures().login.observe_alone(took, 1);
    }
    let identity = match attached? {
        Attached::Open(open) => return Ok(Phase::Open(*open)),
        Attached::Later(identity) => identity,
    };
    Ok(Phase::LoggingIn(Login::decided(request, (*identity).clone())))
}

/// Outcome of attaching an acceptable CONNECT to its session.
enum Attached {
    Open(Box<Open>),
    /// The session is in the turn of another thread, or its former connection is read first: the
    /// connection is called when that has ended.
    Later(Arc<Identity>),
}

/// Characters of a name in a certificate that are told; a common name has at most 64 (X.520).
const CERTIFIED_NAME_CHARS_MAX: usize = 128;

fn attach_allowed(
    connection: &Arc<Connection>,
    request: &mut Request,
    login: Result<Identity, LoginRefusal>,
    turn: &mut Turn,
) -> Result<Attached, CloseReason> {
    let tenant = Arc::clone(&request.tenant);
    let login = login.and_then(|identity| still_valid(changed(connection, identity, false, turn)?, turn));
    let identity = match login {
        Ok(identity) => Identity { protocol_version: Some(request.recipient.version.level()), ..identity },
        Err(refusal) => {
            let (reason, limit) = reason_of(refusal);
            let reason = request.reason_of_member().unwrap_or(reason);
            if let Some(limit) = limit {
                connection.listener.limit_reached(limit, &connection.peer());
            }
            return Err(turn_away(connection, request, turn, reason, &words_of(refusal, connection)));
        }
    };
    may_connect(connection, request, turn, &identity)?;
    if let Some(will) = &request.will
        && !will.is_allowed(&tenant, &identity, turn.wall_ms())
    {
        let words = "no permission to publish to the will topic";
        return Err(turn_away(connection, request, turn, ReasonCode::NotAuthorized, &words));
    }
    bound_expiry(request, turn, &identity);
    if let Err(limit) = keeps_place(connection, &tenant, &identity) {
        return Err(turn_away_for(connection, request, turn, limit));
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
    if capacity::is_far_behind(turn) && promises_durability(&tenant, request, &identity) {
        let has_code = request.version.has_properties();
        let reason = if has_code { ReasonCode::ServerBusy } else { ReasonCode::ServerUnavailable };
        let words = "the disk of the broker is too slow for more sessions that are stored";
        return Err(turn_away(connection, request, turn, reason, &words));
    }
    if let Err(limit) = takes_session(&tenant, request, &identity, turn) {
        return Err(turn_away_for(connection, request, turn, limit));
    }
    let attachment = match attach(&tenant, connection, request, &identity, turn) {
        Ok(attachment) => attachment,
        Err(NotAttached::InTurn(stamp)) => {
            call_at_end(stamp, connection, turn);
            return Ok(Attached::Later(identity));
        }
        Err(NotAttached::NotHeardOut) => return Ok(Attached::Later(identity)),
        Err(changed @ NotAttached::AccountChanged) => {
            return Err(turn_away(connection, request, turn, ReasonCode::NotAuthorized, &changed));
        }
    };
    Ok(Attached::Open(Box::new(opened(connection, request, turn, attachment))))
}

/// Arranges for the connection to be called when the turn of the stamp has ended.
fn call_at_end(stamp: Stamp, connection: &Connection, turn: &Turn) {
    let waker = connection.waker();
    if !waker.is_some_and(|waker| turn.core.turns.wake_at_end(stamp, waker)) {
        connection.call_owner();
    }
}

/// Whether the connection of who has logged in may stay among all that are open.
fn keeps_place(connection: &Connection, tenant: &Tenant, identity: &Identity) -> Result<(), Limit> {
    let takes_over = || {
        let known = tenant.sessions.lock().get(SessionKey::from(identity)).cloned();
        known.is_some_and(|client| client.state.lock().link.is_some())
    };
    connection.transport.keeps_place(&PlaceClaim {
        share: tenant.shares.of(identity),
        is_administrator: &|| tenant.is_administrator(identity),
        takes_over: &takes_over,
    })
}

/// Opens a connection whose CONNECT was accepted: its deadlines begin, and its Client gets its
/// backlog.
fn opened(
    connection: &Arc<Connection>,
    request: &Request,
    turn: &mut Turn,
    Attachment { client, is_durable, session_present }: Attachment,
) -> Open {
    let keep_alive = KeepAlive::new(request.keep_alive, turn.now());
    let login_ends = login_end(connection, &client, turn);
    if let Some(deadline) = keep_alive.deadline().into_iter().chain(login_ends.map(|end| end.at)).min() {
        turn.timers.watch(connection.place, deadline);
    }
    if is_durable {
        turn.when_all_committed(crate::turn::release::Release::Connect {
            client: Arc::clone(&client),
            connection: Arc::clone(connection),
        });
    }
    client.send_waiting(turn);
    let has_exchanges = client.state.lock().session.counts().received > 0;
    let rare = Rare {
        authentication: request
            .login
            .authenticated
            .as_ref()
            .map(|(method, _)| Authentication::by(method.clone())),
        rate: client_rate(connection, &client, turn),
        login_ends,
    };
    turn.core.counters.connects_accepted.add(1);
    turn.tell(|hooks, turn| hooks.connected(turn, &client, connection, session_present));
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

/// Rate limit of a Client and of its user.
fn client_rate(connection: &Connection, client: &Client, turn: &Turn) -> Option<ClientRate> {
    let identity = client.identity();
    let limits = &turn.core.settings.limits;
    let of_user = client.tenant.shares.of(&identity).user_bounds(limits);
    ClientRate::of(&connection.listener.limits, identity.principal.session_bounds(), of_user)
}

/// Checks that the owner's share has room for the session: its bytes are bounded, and the number of
/// sessions that outlive their connections.
fn takes_session(tenant: &Tenant, request: &Request, identity: &Identity, turn: &Turn) -> Result<(), Limit> {
    let limits = &turn.core.settings.limits;
    let share = tenant.shares.of(identity);
    let known = tenant.sessions.lock().get(SessionKey::from(identity)).cloned();
    // It goes on, or this one takes its place.
    let (had_bytes, was_stored) = known.map_or((0, false), |client| {
        let state = client.state.lock();
        let holding = &state.holding;
        if Arc::ptr_eq(holding.share(), &share) { (holding.bytes(), client.is_durable()) } else { (0, false) }
    });
    let of_client = request.client_id.len() as u64 + identity.principal.bytes();
    let bytes = of_client + request.will.as_ref().map_or(0, |will| will.bytes());
    let mut takes = share.takes_bytes(bytes.saturating_sub(had_bytes), limits);
    if !was_stored && !request.expiry.ends_with_connection() {
        takes = takes.and_then(|()| share.takes_session(limits));
    }
    if takes.is_err() && tenant.is_administrator(identity) { Ok(()) } else { takes }
}

/// The identity of a login as its member has left it: a member may revoke a login or replace its
/// principal before there is a session.
pub(super) fn changed(
    connection: &Connection,
    identity: Identity,
    is_last: bool,
    turn: &Turn,
) -> Result<Identity, LoginRefusal> {
    if identity.principal.member().is_none() {
        return Ok(identity);
    }
    match turn.context.tell(|hooks| hooks.login_change(&identity, connection, is_last)).flatten() {
        None => Ok(identity),
        Some(LoginChange::Revoke(_)) => Err(LoginRefusal::DeniedByMember),
        Some(LoginChange::Replace(principal)) if principal.name() == identity.principal.name() => {
            Ok(Identity { principal, ..identity })
        }
        Some(LoginChange::Replace(_)) => Err(LoginRefusal::NameNotAllowed),
    }
}

/// The identity of a login that has not ended meanwhile. A login without an end reads no clock.
fn still_valid(identity: Identity, turn: &Turn) -> Result<Identity, LoginRefusal> {
    match identity.principal.valid_until_ms() {
        // Not by the time of the turn, which may be a tick old.
        Some(end) if end <= turn.core.clock.wall_ms() => Err(LoginRefusal::CredentialsExpired),
        Some(_) | None => Ok(identity),
    }
}

/// End of the login: of the certificate that the Client has shown, or of the claims about its user,
/// whichever comes first.
pub(super) fn login_end(connection: &Connection, client: &Client, turn: &Turn) -> Option<LoginEnd> {
    let certificate = connection.transport.certificate_ends_ms();
    let claims = client.identity().principal.valid_until_ms();
    let is_of_certificate = certificate.is_some_and(|end| claims.is_none_or(|claims| end <= claims));
    let end = if is_of_certificate { certificate } else { claims }?;
    Some(LoginEnd { at: turn.now().plus(left_until(end, turn.wall_ms())), is_of_certificate })
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

/// Refuses a Client that has been identified, and tells those who watch.
fn turn_away(
    connection: &Connection,
    request: &Request,
    turn: &mut Turn,
    reason: ReasonCode,
    words: &dyn Display,
) -> CloseReason {
    turn_away_because(connection, request, turn, reason, (words, words))
}

/// The refusal in words; of a certificate with the name that it shows, which its Client knows.
fn words_of(refusal: LoginRefusal, connection: &Connection) -> String {
    match connection.transport.certified() {
        Some(Certified::User(name)) if refusal == LoginRefusal::CertificateOfNobody => {
            let name: String = name.chars().take(CERTIFIED_NAME_CHARS_MAX).collect();
            format!("{refusal}: there is no user '{}', whom -addUser would make", name.escape_debug())
        }
        Some(Certified::User(_) | Certified::Nobody) | None => refusal.to_string(),
    }
}

/// Bounds the time for which the session outlives its connection. CONNACK names the value in force
/// where it is not the one that was asked for (§3.2.2.3.2).
fn bound_expiry(request: &mut Request, turn: &Turn, identity: &Identity) {
    let expiry = request.expiry.min(turn.core.settings.session_expiry_max_of(identity));
    request.is_expiry_ours |= expiry != request.expiry;
    request.expiry = expiry;
}

/// Refuses a Client whose certificate no authority has signed any more, and one that rules do not
/// let connect. It is not told by which; the operator is.
fn may_connect(
    connection: &Connection,
    request: &Request,
    turn: &mut Turn,
    identity: &Identity,
) -> Result<(), CloseReason> {
    if !connection.transport.is_certificate_trusted() {
        let words = CloseReason::CertificateUntrusted.words();
        return Err(turn_away(connection, request, turn, ReasonCode::NotAuthorized, &words));
    }
    if !request.version.has_properties() && connection.transport.is_of_own_bridge() {
        let words = "a bridge connects to its own broker with MQTT 5.0 alone, for without properties messages go in circles";
        return Err(turn_away(connection, request, turn, ReasonCode::UnsupportedProtocolVersion, &words));
    }
    let denier = request.tenant.permissions.denier(&Question::operation(identity, Scope::Connect));
    let Some(denier) = denier else { return Ok(()) };
    let words = "no permission to connect";
    let cause = format!("{words}: denied by {denier}");
    Err(turn_away_because(connection, request, turn, ReasonCode::NotAuthorized, (&words, &cause)))
}

/// Refuses a Client with words that it reads, and a cause that only the operator does.
fn turn_away_because(
    connection: &Connection,
    request: &Request,
    turn: &mut Turn,
    reason: ReasonCode,
    (words, cause): (&dyn Display, &dyn Display),
) -> CloseReason {
    turn.core.figures.refused_logins.count(reason.text());
    let user = request.user_name.as_deref();
    let who = (&*request.client_id, user);
    turn.tell(|hooks, turn| hooks.connect_refused(turn, &request.tenant, connection, who, reason, cause));
    let texts = request.login.texts.as_deref();
    // The words of a member that let the Client in are no reason of a refusal.
    let of_member = texts.filter(|texts| texts.reason_code.is_some()).and_then(|texts| texts.reason.as_ref());
    let words = of_member.map_or(words, |of_member| of_member as &dyn Display);
    let user_properties = texts.map(|texts| &*texts.user_properties).unwrap_or_default();
    answer_refusal(connection, request.recipient, reason, words, user_properties)
}

/// Refuses a Client that has been identified because a limit is reached.
fn turn_away_for(connection: &Connection, request: &Request, turn: &mut Turn, limit: Limit) -> CloseReason {
    connection.listener.limit_reached(limit, &connection.peer());
    let has_code = request.version.has_properties();
    let reason = if has_code { limit.reason() } else { ReasonCode::ServerUnavailable };
    turn_away(connection, request, turn, reason, &limit.sentence())
}
