//! Job of the queue: a command, its caller, and the receiver of its answer.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use lotmq_auth::Identity;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::Definition;
use zeroize::Zeroizing;

use super::reply::CommandReply;
use super::work::Load;
use crate::uploads::ReceivedUpload;

/// First number of the queues of guests' commands, above those of sessions.
const GUEST_QUEUES: u64 = 1 << 63;

/// Command that was accepted.
pub(crate) struct Job {
    pub(crate) caller: CommandCaller,
    /// Number of its queue: that of a session, or another one for a caller without a session.
    pub(crate) queue: u64,
    pub(crate) payload: Zeroizing<Vec<u8>>,
    pub(crate) load: Load,
    /// Whether it sets the password of its own user.
    pub(crate) is_own_password: bool,
    pub(crate) reply_to: ReplyTo,
    /// Bytes that came in parts, of a command that is executed again because all of them have come.
    pub(crate) upload: Option<ReceivedUpload>,
}

impl Job {
    /// Number of the queue for the commands of a definition.
    pub(crate) fn queue_of(tenant: &Tenant, definition: &Definition) -> u64 {
        GUEST_QUEUES | u64::from(tenant.number) << 40 | definition.id.0
    }
}

/// Caller of a command: the user with its rights, and the place from which the command came.
pub(crate) struct CommandCaller {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) origin: CommandOrigin,
}

impl CommandCaller {
    /// Number of the session that gave the command; `None` for a caller without one.
    pub(crate) fn session(&self) -> Option<u64> {
        match self.origin {
            CommandOrigin::Session(session) => Some(session),
            CommandOrigin::Definition { .. } | CommandOrigin::Principal => None,
        }
    }

    /// Name of the definition whose run gave the command.
    pub(crate) fn definition(&self) -> Option<&str> {
        match &self.origin {
            CommandOrigin::Definition { name, .. } => Some(name),
            CommandOrigin::Session(_) | CommandOrigin::Principal => None,
        }
    }

    /// Number of guest runs that led to the command; its messages have as many hops.
    pub(crate) fn hops(&self) -> u8 {
        match self.origin {
            CommandOrigin::Definition { hops, .. } => hops,
            CommandOrigin::Session(_) | CommandOrigin::Principal => 0,
        }
    }
}

/// Place from which a command came.
pub(crate) enum CommandOrigin {
    /// Client of MQTT, by the number of its session.
    Session(u64),
    /// Run of a definition.
    Definition {
        /// Name of the definition.
        name: Arc<str>,
        /// Number of guest runs that led to the command.
        hops: u8,
    },
    /// User of another front than MQTT, such as the program that the broker runs in.
    Principal,
}

/// Receiver of the answer to a command.
pub(crate) enum ReplyTo {
    /// The topic of replies, and the Response Topic of a 5.0 Client.
    Topics {
        /// `None` without a Response Topic.
        response: Option<ResponseTo>,
    },
    /// The caller itself, who reads the parts of the answer from a channel.
    Caller(SyncSender<AnswerPart>),
}

/// Response Topic on which a 5.0 Client wants the reply, too.
pub(crate) struct ResponseTo {
    pub(crate) topic: String,
    pub(crate) correlation_data: Option<Vec<u8>>,
}

/// Part of an answer to the caller itself. The reply is the last part.
#[derive(Debug)]
pub(crate) enum AnswerPart {
    /// Next bytes of a download.
    Bytes(Bytes),
    /// Reply, without which the command did not end.
    Reply(Box<CommandReply>),
}
