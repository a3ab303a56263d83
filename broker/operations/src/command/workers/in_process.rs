//! Commands of a caller in this process: no MQTT, the reply and the bytes of a download come back
//! to the thread that gave the command.
//!
//! The command takes its place in the queue, its share and its record in the audit like any other.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use lotmq_auth::{Identity, Peer};
use lotmq_core::tenant::Tenant;
use zeroize::Zeroizing;

use super::super::reply::{Heading, Refusal};
use crate::broker::Broker;
use crate::command_queue::job::{AnswerPart, CommandCaller, CommandOrigin, Job, ReplyTo};
use crate::command_queue::reply::CommandReply;
use lotmq_codes::Code;

/// Name of the caller where a Client has its Client Identifier.
const CLIENT_ID: &str = "in-process";

/// Executes a command with the rights of a user, writes the bytes of its download to `file`, and
/// returns the reply. Blocks until the command has ended.
///
/// # Errors
/// Those of `file`. The command goes on without its receiver.
pub fn command(
    broker: &Broker,
    tenant: &Arc<Tenant>,
    user: &str,
    text: &str,
    file: &mut dyn Write,
) -> io::Result<CommandReply> {
    let refused = |code, message: &str| Heading::default().reply(Err(Refusal::new(code, message)));
    let Some(principal) = tenant.users.principal(user) else {
        return Ok(refused(Code::PermissionDenied, "The user does not exist."));
    };
    let identity = Arc::new(Identity::new(principal, CLIENT_ID.into(), Peer::Unix));
    let (sender, parts) = sync_channel(1);
    let job = Job {
        is_own_password: super::super::is_own_password(&identity, text.as_bytes()),
        caller: CommandCaller { tenant: Arc::clone(tenant), identity, origin: CommandOrigin::Principal },
        queue: broker.commands.principal_queue(),
        load: super::super::load_of(text.as_bytes()),
        payload: Zeroizing::new(text.as_bytes().to_vec()),
        reply_to: ReplyTo::Caller(sender),
        upload: None,
    };
    if broker.commands.submit(job).is_err() {
        return Ok(refused(Code::Busy, "Too many commands are waiting. Try again later."));
    }
    // The channel closes when the broker stops before the command has begun.
    for part in parts {
        match part {
            AnswerPart::Bytes(bytes) => file.write_all(&bytes)?,
            AnswerPart::Reply(reply) => return Ok(*reply),
        }
    }
    Ok(refused(Code::Stopping, "The broker is stopping."))
}
