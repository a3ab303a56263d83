//! Discouraged texts: those with control characters or non-characters, which the standards advise
//! against (§1.5.4).
//!
//! Not here: where they are looked for (`protocol`).

use lotmq_codec::ReasonCode;

/// Text of a packet that has such a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Discouraged {
    /// A Topic Name.
    #[error("topic contains control characters or non-characters")]
    Topic,
    /// A Topic Filter.
    #[error("topic filter contains control characters or non-characters")]
    Filter,
    /// A property that is forwarded.
    #[error("a property contains control characters or non-characters")]
    Properties,
    /// A Client Identifier.
    #[error("client identifier contains control characters or non-characters")]
    ClientId,
    /// A user name.
    #[error("user name contains control characters or non-characters")]
    UserName,
    /// The Will's topic.
    #[error("will topic contains control characters or non-characters")]
    WillTopic,
    /// A property of the Will.
    #[error("a property of the will contains control characters or non-characters")]
    WillProperties,
}

impl Discouraged {
    /// The Reason Code that a Client is told.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Topic | Self::WillTopic => ReasonCode::TopicNameInvalid,
            Self::Filter => ReasonCode::TopicFilterInvalid,
            // No acknowledgement has a code for it.
            Self::Properties | Self::WillProperties => ReasonCode::ImplementationSpecificError,
            Self::ClientId => ReasonCode::ClientIdentifierNotValid,
            Self::UserName => ReasonCode::BadUserNameOrPassword,
        }
    }
}
