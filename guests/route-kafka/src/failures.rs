//! Mapping from errors of a cluster to failures for the host.

use kafka_protocol::ResponseError as Code;
use lotmq_guest::route::Failure;

/// Treatment of records that a partition rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// They are there already.
    Known,
    /// The same once more, once it is known who leads the partition.
    Elsewhere,
    /// The same once more, a little later.
    Later,
    /// The broker has lost count of this producer: again under a new number.
    Anew,
    /// Fewer of them at once; one alone can never pass.
    Smaller,
    /// Only people can correct it.
    Never,
}

/// Sorts the errors of a partition that is written to.
pub(crate) fn of_produce(code: Code) -> Refusal {
    match code {
        Code::DuplicateSequenceNumber => Refusal::Known,
        Code::OutOfOrderSequenceNumber
        | Code::UnknownProducerId
        | Code::InvalidProducerEpoch
        | Code::InvalidProducerIdMapping
        | Code::ProducerFenced => Refusal::Anew,
        Code::MessageTooLarge
        | Code::RecordListTooLarge
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::PolicyViolation => Refusal::Smaller,
        Code::NotLeaderOrFollower
        | Code::UnknownTopicOrPartition
        | Code::LeaderNotAvailable
        | Code::ReplicaNotAvailable
        | Code::KafkaStorageError
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::NetworkException => Refusal::Elsewhere,
        code if is_settled_by_people(code) => Refusal::Never,
        _ => Refusal::Later,
    }
}

/// Whether it stays as it is until people change the definition or the cluster's rights.
pub(crate) fn is_settled_by_people(code: Code) -> bool {
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSaslMechanism
            | Code::IllegalSaslState
            | Code::InvalidTopicException
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::InconsistentGroupProtocol
            | Code::UnsupportedVersion
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::InvalidRequiredAcks
            | Code::InvalidRequest
            | Code::SecurityDisabled
    )
}

/// The failure of an answer to something else than records that were written.
pub(crate) fn of_answer(what: &str, code: Code) -> Failure {
    let text = format!("{what}: {}", described(code));
    if is_settled_by_people(code) { Failure::Fatal(text) } else { Failure::Reconnect(text) }
}

/// An error by its name in the protocol, as people find it in Kafka's documentation.
pub(crate) fn described(code: Code) -> String {
    let name = format!("{code:?}");
    let mut spelled = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !spelled.is_empty() {
            spelled.push('_');
        }
        spelled.extend(letter.to_uppercase());
    }
    format!("{spelled} ({})", code.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_class_that_helps() {
        for (code, expected) in [
            (46, Refusal::Known),
            (45, Refusal::Anew),
            (59, Refusal::Anew),
            (10, Refusal::Smaller),
            (87, Refusal::Smaller),
            (6, Refusal::Elsewhere),
            (3, Refusal::Elsewhere),
            (7, Refusal::Later),
            (19, Refusal::Later),
            (-1, Refusal::Later),
            (2, Refusal::Later),
            (29, Refusal::Never),
            (17, Refusal::Never),
        ] {
            assert_eq!(of_produce(Code::try_from_code(code).unwrap()), expected, "{code}");
        }
    }

    #[test]
    fn answers_stop_the_route_only_where_people_are_needed() {
        let of = |code| format!("{:?}", of_answer("group 'g'", Code::try_from_code(code).unwrap()));
        assert!(
            of(30).contains("Fatal") && of(30).contains("group 'g': GROUP_AUTHORIZATION_FAILED (30)"),
            "{}",
            of(30)
        );
        assert!(of(14).contains("Reconnect"), "{}", of(14));
    }
}
