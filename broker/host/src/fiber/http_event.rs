//! Events of HTTP, for the figures of a guest: of its exchanges, and of requests that it serves.

/// Something that happened in the exchanges of a guest, or to requests that it serves, for its
/// figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpEvent {
    /// An exchange was begun, or was to be.
    Requested,
    /// A connection to a server was made.
    Connected,
    /// An exchange failed.
    Failed(HttpFailure),
    /// Something happened to a request that the guest serves.
    Served(ServedEvent),
}

/// Something that happened to a request that a guest serves: each comes once, and ends once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedEvent {
    /// A request has come; it is open from now on.
    Came,
    /// It has its answer, and is open no more.
    Answered {
        /// Status of the answer.
        status: u16,
        /// Whether the host has refused it, so that the guest never got it.
        is_refused: bool,
        /// Bytes of its body that came.
        received: u64,
        /// Bytes of the answer's body.
        sent: u64,
    },
    /// Its client has gone, or the server has ended, before there was an answer; it is open no
    /// more.
    Left {
        /// Bytes of its body that came.
        received: u64,
    },
    /// The client sent no valid request, or one whose head is too long. It never was open.
    Unreadable,
    /// A connection was closed because there were too many: it brought no request.
    TurnedAway,
}

/// Kind of the failure of an exchange: `http-error` of the guest's interface without its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are explained in `wit/guest/unstable-http.wit`")]
pub enum HttpFailure {
    Denied,
    Invalid,
    Refused,
    Unreachable,
    Tls,
    TimedOut,
    Closed,
    TooLarge,
    Protocol,
    LimitReached,
    Other,
}

impl HttpFailure {
    /// All kinds, in the order of the interface.
    pub const ALL: [HttpFailure; 11] = [
        HttpFailure::Denied,
        HttpFailure::Invalid,
        HttpFailure::Refused,
        HttpFailure::Unreachable,
        HttpFailure::Tls,
        HttpFailure::TimedOut,
        HttpFailure::Closed,
        HttpFailure::TooLarge,
        HttpFailure::Protocol,
        HttpFailure::LimitReached,
        HttpFailure::Other,
    ];

    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            HttpFailure::Denied => "denied",
            HttpFailure::Invalid => "invalid",
            HttpFailure::Refused => "refused",
            HttpFailure::Unreachable => "unreachable",
            HttpFailure::Tls => "tls",
            HttpFailure::TimedOut => "timed-out",
            HttpFailure::Closed => "closed",
            HttpFailure::TooLarge => "too-large",
            HttpFailure::Protocol => "protocol",
            HttpFailure::LimitReached => "limit-reached",
            HttpFailure::Other => "other",
        }
    }
}
