//! Discouraged texts in Clients' packets: with control characters or non-characters, which the
//! standards advise against (§1.5.4).
//!
//! Receivers may take them for malformed and close: one retained message would keep them coming
//! back. They are refused where a text reaches others or names something, unless
//! `[mqtt] control_characters` says otherwise. The codec finds them on its way over the packet;
//! here it is decided.

use lotmq_codec::{Connect, Publish, has_discouraged};

use crate::reason::Discouraged;
use crate::shared::Settings;

/// Checks the texts of a PUBLISH.
#[inline]
pub(super) fn in_publish(settings: &Settings, publish: &Publish<'_>) -> Result<(), Discouraged> {
    if !publish.topic_has_discouraged && !publish.properties.has_discouraged() || settings.takes_discouraged {
        return Ok(());
    }
    Err(if publish.topic_has_discouraged { Discouraged::Topic } else { Discouraged::Properties })
}

/// Checks the filter of a SUBSCRIBE.
pub(super) fn in_filter(settings: &Settings, filter: &str) -> Result<(), Discouraged> {
    if settings.takes_discouraged || !has_discouraged(filter) { Ok(()) } else { Err(Discouraged::Filter) }
}

/// Checks the texts of a CONNECT. Its own properties reach nobody.
pub(super) fn in_connect(settings: &Settings, connect: &Connect<'_>) -> Result<(), Discouraged> {
    if settings.takes_discouraged {
        return Ok(());
    }
    let will = connect.will.as_ref();
    let texts = [
        (has_discouraged(connect.client_id), Discouraged::ClientId),
        (connect.user_name.is_some_and(has_discouraged), Discouraged::UserName),
        (will.is_some_and(|will| has_discouraged(will.topic)), Discouraged::WillTopic),
        (will.is_some_and(|will| will.properties.has_discouraged()), Discouraged::WillProperties),
    ];
    texts.into_iter().find(|(is_found, _)| *is_found).map_or(Ok(()), |(_, place)| Err(place))
}
