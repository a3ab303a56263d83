//! Bans at a CONNECT: the check, and the events that the broker counts for automatic bans.

use lotmq_auth::{Identity, LoginRefusal};
use tracing::warn;

use crate::client::request::Request;
use crate::connection::Connection;
use crate::turn::Turn;

/// Checks a CONNECT before its login, so that a banned client costs no hash.
pub(super) fn check_request(
    connection: &Connection,
    request: &Request,
    turn: &Turn,
) -> Result<(), LoginRefusal> {
    check(connection, request, request.user_name.as_deref(), turn)
}

/// Checks a Client whose login was decided. A certificate or a token may name another user than the
/// CONNECT.
pub(super) fn check_identity(
    connection: &Connection,
    request: &Request,
    identity: &Identity,
    turn: &Turn,
) -> Result<(), LoginRefusal> {
    check(connection, request, identity.user_name(), turn)
}

fn check(
    connection: &Connection,
    request: &Request,
    user: Option<&str>,
    turn: &Turn,
) -> Result<(), LoginRefusal> {
    let bans = request.tenant.users.bans();
    if !bans.has_any() {
        return Ok(());
    }
    let source = connection.peer().for_login().source();
    match bans.of_client(source, user, &request.client_id, turn.lifetime_ms()) {
        Some(_) => Err(LoginRefusal::Banned),
        None => Ok(()),
    }
}

/// Counts the outcome of a login, which may ban its address or client.
pub(super) fn count_login(
    connection: &Connection,
    request: &Request,
    outcome: &Result<Identity, LoginRefusal>,
    turn: &Turn,
) {
    let bans = request.tenant.users.bans();
    let (source, now_ms) = (connection.peer().for_login().source(), turn.lifetime_ms());
    let (cause, banned_ms) = match outcome {
        Ok(identity) => {
            if identity.user().is_some() {
                bans.login_succeeded(source);
            }
            ("connects too often", bans.connected(source, &request.client_id, now_ms))
        }
        Err(LoginRefusal::BadCredentials | LoginRefusal::ExchangeFailed) => {
            ("failed logins in a row", bans.login_failed(source, now_ms))
        }
        Err(_) => return,
    };
    if let Some(banned_ms) = banned_ms {
        turn.core.counters.bans_begun.add(1);
        let (tenant, client_id) = (&*request.tenant.name, &*request.client_id);
        warn!(tenant, client_id, address = source.render(), banned_ms, cause, "banned");
    }
}
