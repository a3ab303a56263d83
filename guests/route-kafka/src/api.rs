//! Requests of the Kafka protocol in use, with their supported versions. They end at the last ones
//! that use topic names. For groups they end at the last ones without fields of variable length,
//! which librdkafka's mock cluster cannot read. Kafka 0.11 to 4.x supports one version of each.

use std::collections::BTreeMap;

use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, InitProducerIdRequest,
    InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceRequest, ProduceResponse,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

/// A request that brokers answer.
pub(crate) trait Api: Encodable + HeaderVersion {
    /// Name of the request in messages for people.
    const NAME: &'static str;
    const KEY: i16;
    /// Versions that are spoken, the first and the last.
    const SPOKEN: (i16, i16);
    type Answer: Decodable + HeaderVersion;
}

macro_rules! apis {
    ($($request:ident $answer:ident $name:literal $key:literal $first:literal $last:literal;)*) => {
        $(impl Api for $request {
            const NAME: &'static str = $name;
            const KEY: i16 = $key;
            const SPOKEN: (i16, i16) = ($first, $last);
            type Answer = $answer;
        })*
    };
}

apis! {
    ProduceRequest ProduceResponse "Produce" 0 3 9;
    FetchRequest FetchResponse "Fetch" 1 4 12;
    ListOffsetsRequest ListOffsetsResponse "ListOffsets" 2 1 7;
    MetadataRequest MetadataResponse "Metadata" 3 4 9;
    OffsetCommitRequest OffsetCommitResponse "OffsetCommit" 8 2 8;
    OffsetFetchRequest OffsetFetchResponse "OffsetFetch" 9 1 7;
    FindCoordinatorRequest FindCoordinatorResponse "FindCoordinator" 10 0 3;
    JoinGroupRequest JoinGroupResponse "JoinGroup" 11 1 5;
    HeartbeatRequest HeartbeatResponse "Heartbeat" 12 0 3;
    LeaveGroupRequest LeaveGroupResponse "LeaveGroup" 13 0 1;
    SyncGroupRequest SyncGroupResponse "SyncGroup" 14 0 3;
    SaslHandshakeRequest SaslHandshakeResponse "SaslHandshake" 17 1 1;
    ApiVersionsRequest ApiVersionsResponse "ApiVersions" 18 0 3;
    InitProducerIdRequest InitProducerIdResponse "InitProducerId" 22 0 4;
    SaslAuthenticateRequest SaslAuthenticateResponse "SaslAuthenticate" 36 0 2;
}

/// Versions that a broker speaks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Versions(BTreeMap<i16, (i16, i16)>);

impl Versions {
    pub(crate) fn of(answer: &ApiVersionsResponse) -> Versions {
        Versions(
            answer.api_keys.iter().map(|key| (key.api_key, (key.min_version, key.max_version))).collect(),
        )
    }

    /// The last version of a request that both sides speak; `None` where there is none.
    pub(crate) fn common<A: Api>(&self) -> Option<i16> {
        let (first, last) = self.0.get(&A::KEY)?;
        let version = A::SPOKEN.1.min(*last);
        (version >= A::SPOKEN.0.max(*first)).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    #[test]
    fn the_last_version_of_both_sides_is_spoken() {
        let of = |min, max| {
            let key = ApiVersion::default().with_api_key(1).with_min_version(min).with_max_version(max);
            Versions::of(&ApiVersionsResponse::default().with_api_keys(vec![key]))
        };
        for ((min, max), expected) in
            [((0, 11), Some(11)), ((4, 17), Some(12)), ((0, 3), None), ((13, 17), None), ((12, 12), Some(12))]
        {
            assert_eq!(of(min, max).common::<FetchRequest>(), expected, "{min}..{max}");
        }
        assert_eq!(of(0, 9).common::<ProduceRequest>(), None);
    }
}
