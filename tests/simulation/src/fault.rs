//! Things that the glue can be told to do wrong, to prove that the simulation would notice.

/// What the glue does wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A turn's messages for one session leave in reverse order.
    DeliveryOrder,
    /// A repeated QoS 2 PUBLISH of an open exchange is routed again.
    Qos2Deduplication,
    /// PUBREL does not end the exchange, so a new message with its identifier is taken for a repeat.
    PubrelIgnored,
    /// What is sent again has DUP 0.
    DupForgotten,
    /// One message more is in flight than the Client's Receive Maximum allows.
    ReceiveMaximumExceeded,
    /// No Local is ignored.
    NoLocalIgnored,
    /// An empty retained message clears nothing.
    RetainedNotCleared,
    /// Expired messages are sent all the same.
    ExpiredSent,
    /// UNSUBSCRIBE is answered and not done.
    UnsubscribeIgnored,
    /// A session that is resumed has lost what was in flight and what waited.
    QueueLost,
    /// Every member of a shared subscription gets the message.
    SharedToAll,
    /// Silent Clients are not closed.
    KeepAliveIgnored,
    /// A Will is published after a normal DISCONNECT.
    WillNotDiscarded,
    /// Sessions do not expire.
    ExpiryIgnored,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 14] = [
        Self::DeliveryOrder,
        Self::Qos2Deduplication,
        Self::PubrelIgnored,
        Self::DupForgotten,
        Self::ReceiveMaximumExceeded,
        Self::NoLocalIgnored,
        Self::RetainedNotCleared,
        Self::ExpiredSent,
        Self::UnsubscribeIgnored,
        Self::QueueLost,
        Self::SharedToAll,
        Self::KeepAliveIgnored,
        Self::WillNotDiscarded,
        Self::ExpiryIgnored,
    ];
}
