//! Reasons why a token is refused, for the log of the broker.
//!
//! Invariant: none contains the token, a signature or a key. Texts of the header are cut.

use std::fmt;

use lotmq_auth::GrantRefusal;

use crate::limits::{SHOWN_CHARS_MAX, TOKEN_BYTES_MAX};

/// Reason why a token does not log anybody in. Each renders as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenRefusal {
    /// More than [`TOKEN_BYTES_MAX`] bytes.
    #[error("the token has {bytes} bytes, the limit is {TOKEN_BYTES_MAX}")]
    TooLong {
        /// Length of the token.
        bytes: usize,
    },
    /// The text has another form than RFC 7515 §7.1 gives, or the library rejects its header.
    #[error("the token is malformed")]
    Malformed,
    /// An algorithm that is not supported, `none` among them.
    #[error("algorithm {name} is not supported; use HS256, RS256, PS256, ES256, EdDSA or their longer forms")]
    AlgorithmUnknown {
        /// Algorithm in the header.
        name: ForeignText,
    },
    /// There are keys, and none of them is for this algorithm.
    #[error("no key is for algorithm {name}")]
    AlgorithmUnfit {
        /// Algorithm in the header.
        name: ForeignText,
    },
    /// No key has the identifier of the token.
    #[error("no key has kid {kid}")]
    KeyUnknown {
        /// Identifier in the header.
        kid: ForeignText,
    },
    /// No source has given keys, or the last ones are too old.
    #[error("there are no keys to verify tokens with; the log names the source that failed")]
    NoKeys,
    /// No key of the algorithm has made the signature.
    #[error("the signature is wrong")]
    Signature,
    /// `exp` is missing.
    #[error("claim exp is missing; auth.jwt.require_exp demands it")]
    NoExpiry,
    /// `exp` and the tolerance have passed.
    #[error("the token has expired {ago_sec} s ago")]
    Expired {
        /// Seconds since `exp`.
        ago_sec: u64,
    },
    /// `nbf` is in the future.
    #[error("the token is not valid for another {ahead_sec} s, by claim nbf")]
    NotYetValid {
        /// Seconds until `nbf`.
        ahead_sec: u64,
    },
    /// `iat` is in the future.
    #[error("the token was issued {ahead_sec} s in the future, by claim iat; compare the clocks")]
    IssuedInFuture {
        /// Seconds until `iat`.
        ahead_sec: u64,
    },
    /// `iss` is not accepted.
    #[error("the issuer of the token is not in auth.jwt.issuer")]
    Issuer,
    /// `aud` is not accepted.
    #[error("the audience of the token is not in auth.jwt.audience")]
    Audience,
    /// A claim is missing.
    #[error("claim {claim} is missing")]
    ClaimMissing {
        /// Path of the claim.
        claim: Box<str>,
    },
    /// A claim has another type.
    #[error("claim {claim} is no {expected}")]
    ClaimType {
        /// Path of the claim.
        claim: Box<str>,
        /// Type that it must have.
        expected: &'static str,
    },
    /// There are too many grants.
    #[error("claim {claim}: {fault}")]
    Grants {
        /// Path of the claim.
        claim: Box<str>,
        /// Fault of the list.
        fault: GrantRefusal,
    },
    /// A grant cannot be used.
    #[error("entry {entry} of claim {claim} {fault}")]
    Grant {
        /// Path of the claim.
        claim: Box<str>,
        /// Number of the entry, from 1.
        entry: usize,
        /// Fault of the entry.
        fault: GrantFault,
    },
    /// The Client Identifier is not the one of the token.
    #[error("the Client Identifier is not the one in claim {claim}")]
    OtherClient {
        /// Path of the claim.
        claim: Box<str>,
    },
    /// The User Name of CONNECT is another one than that of the token.
    #[error("the User Name is not the one in claim {claim}; leave it empty, or use jwt")]
    OtherUser {
        /// Path of the claim.
        claim: Box<str>,
    },
}

/// Fault of one entry of the claim with grants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GrantFault {
    /// No object with the known members.
    #[error("is not an object with permission, action, topic, and nothing else but qos_max and retain")]
    Form,
    /// Another permission.
    #[error("has another permission than allow and deny")]
    Permission,
    /// Another action.
    #[error("has another action than publish, subscribe and all")]
    Action,
    /// The topic is no Topic Filter, is too long, or the quality of service is above 2.
    #[error("cannot be used: {0}")]
    Refused(GrantRefusal),
}

/// Text of a token's header, for a message: escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignText(Box<str>);

impl ForeignText {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.chars().take(SHOWN_CHARS_MAX).collect())
    }
}

impl fmt::Display for ForeignText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}
