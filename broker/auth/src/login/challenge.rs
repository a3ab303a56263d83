//! Authentication of several messages by a method of a member that answers later, such as a guest.
//!
//! The member keeps the state, by number of the connection. A value stands for it between two
//! messages of the Client. Not here: the messages.

use std::sync::Arc;

use super::{ConnectPacket, Method};

/// An authentication whose next message has to come from the Client. Dropped before its end, it
/// makes the member forget.
pub struct MemberExchange {
    member: Arc<str>,
    method: Method,
    packet: Arc<ConnectPacket>,
    /// Makes the member forget; `None` at the end.
    forget: Option<Box<dyn FnOnce() + Send>>,
}

/// Message of a member for the Client, which must go on.
#[derive(Debug)]
pub struct MemberChallenge {
    /// The authentication that goes on.
    pub exchange: MemberExchange,
    /// Authentication Data.
    pub data: Vec<u8>,
}

impl MemberExchange {
    /// Authentication by a member of this name, which forgets it by `forget`.
    pub(crate) fn new(
        member: &Arc<str>,
        method: Method,
        packet: &Arc<ConnectPacket>,
        forget: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (member, packet) = (Arc::clone(member), Arc::clone(packet));
        MemberExchange { member, method, packet, forget: Some(Box::new(forget)) }
    }

    /// Its method.
    pub fn method(&self) -> Method {
        self.method.clone()
    }

    /// CONNECT, which each step shows to the member.
    pub fn packet(&self) -> &Arc<ConnectPacket> {
        &self.packet
    }

    /// Name of the member.
    pub(crate) fn member(&self) -> &str {
        &self.member
    }

    /// The member has ended it, and has nothing to forget.
    pub(crate) fn finish(mut self) {
        self.forget = None;
    }
}

impl Drop for MemberExchange {
    fn drop(&mut self) {
        if let Some(forget) = self.forget.take() {
            forget();
        }
    }
}

impl std::fmt::Debug for MemberExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberExchange").field("method", &self.method).finish_non_exhaustive()
    }
}
