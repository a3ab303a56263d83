//! Failing on request.

use lotmq_guest::route::Failure;

/// How every operation fails, if at all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Failing {
    #[default]
    Never,
    Retry,
    Reconnect,
    Reject,
    Fatal,
}

impl Failing {
    /// The word of a setting; what is none is a row that can never pass.
    pub(crate) fn parse(word: &str) -> Result<Failing, Failure> {
        Ok(match word {
            "never" | "" => Failing::Never,
            "retry" => Failing::Retry,
            "reconnect" => Failing::Reconnect,
            "reject" => Failing::Reject,
            "fatal" => Failing::Fatal,
            "trap" => panic!("the guest was asked to trap"),
            _ => return Err(Failure::Reject(format!("cannot fail in the way '{word}'"))),
        })
    }

    pub(crate) fn check(self) -> Result<(), Failure> {
        let reason = || "it was asked to fail".to_owned();
        match self {
            Failing::Never => Ok(()),
            Failing::Retry => Err(Failure::Retry(reason())),
            Failing::Reconnect => Err(Failure::Reconnect(reason())),
            Failing::Reject => Err(Failure::Reject(reason())),
            Failing::Fatal => Err(Failure::Fatal(reason())),
        }
    }
}
