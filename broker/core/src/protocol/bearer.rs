//! Authentication by a bearer token: method `JWT` of CONNECT and of AUTH (§4.12).
//!
//! The token takes the way of a password: a login thread asks the members of the chain that take
//! the method. Nothing of a token is kept. Not here: exchanges of several messages
//! (`authenticate`).

use std::sync::Arc;

use lotmq_auth::{ChainLogin, LoginRefusal, LoginRequest, LoginStep, Method};
use lotmq_codec::{Auth, ReasonCode};

use crate::connection::Connection;
use crate::protocol::phase::{Again, Open};
use crate::reason::violation::Violation;
use crate::turn::Turn;
use crate::turn::broker_hooks::Outcome;

/// Begins the check of a token with which a Client of a live connection authenticates anew.
/// `authentication` of the connection is that of a bearer, with no check under way.
///
/// # Errors
/// The refusal, if no token is there or the login has to wait after failures.
pub(super) fn check_again(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &Turn,
    method: Method,
    auth: &Auth<'_>,
) -> Result<Again, LoginRefusal> {
    let token = auth.properties.authentication_data().ok_or(LoginRefusal::ExchangeFailed)?;
    let (client, core) = (&open.client, &connection.listener.core);
    let login = ChainLogin {
        request: LoginRequest {
            // The user stays, so the token has to name it.
            user_name: client.user_name(),
            password: Some(token),
            client_id: Arc::clone(&client.client_id),
            peer: connection.peer().for_login(),
            anonymous: connection.listener.anonymous,
            now_ms: core.clock.now().as_millis(),
        },
        method: Some(method),
        exchange: None,
        certificate: None,
        tenant: &client.tenant.name,
        is_default_tenant: client.tenant.number == 0,
        listener: connection.listener.name,
        wall_ms: core.clock.wall_ms(),
        // Members that take tokens need no more of CONNECT.
        packet: None,
    };
    let outcome = Outcome::default();
    match connection.listener.login_chain.begin(&client.tenant.users, login) {
        LoginStep::Verify(pending) => {
            let outcome = Arc::clone(&outcome);
            turn.context.tell(|hooks| hooks.check_password(&client.tenant, connection, pending, outcome));
        }
        LoginStep::Admitted(identity) => *outcome.lock() = Some(Ok(identity).into()),
        LoginStep::Refused(refusal) => return Err(refusal),
        // A chain asks on a login thread alone.
        LoginStep::Ask(_) => return Err(LoginRefusal::CheckFailed),
    }
    Ok(Again::Check(outcome))
}

/// Checks that an AUTH of a live connection begins a re-authentication by a bearer token.
pub(super) fn check_begin(auth: &Auth<'_>, under_way: Option<&Again>) -> Result<(), Violation> {
    let begins = auth.reason == ReasonCode::ReAuthenticate && under_way.is_none();
    if begins { Ok(()) } else { Err(Violation::AuthOutOfTurn) }
}
