//! Deliveries of a batch: what its messages are for the guest, as far as the owner of the route may still read them.

use lotmq_auth::Authorization;
use lotmq_host::route::Delivery;

use super::super::delivery::{delivery, placeholders};
use super::Serving;
use crate::guests::HasPrograms as _;
use crate::guests::rights;
use crate::guests::routes::batch::PostBatch;
use crate::guests::routes::mailbox::{Addressee, Post};
use crate::limits::ROUTE_FILLED_BYTES_MAX;

/// Reason of a message that is not for the owner of the route any more.
const NO_RIGHT: &str = "the owner of the route may not read this topic any more";

/// Makes the deliveries of a batch, with the values of their placeholders; a message that cannot be filled is rejected when those before it are done.
pub(super) fn deliveries(serving: &Serving<'_>, batch: &mut PostBatch) -> Vec<Delivery> {
    let (mut deliveries, mut bytes) = (Vec::with_capacity(batch.len()), 0);
    while let Some(post) = batch.get(deliveries.len()) {
        let (said, names) = (serving.version.said(), serving.names());
        let filled = match may_have(serving, post) {
            true => placeholders(said, (&post.to, &post.message), &names),
            false => Err(NO_RIGHT.to_owned()),
        };
        match filled {
            Ok((_, more)) if bytes + more > ROUTE_FILLED_BYTES_MAX && !deliveries.is_empty() => {
                batch.put_back_from(deliveries.len());
            }
            Ok((placeholders, more)) => {
                bytes += more;
                let message = (&*post.message, serving.driver.now_ms());
                deliveries.push(delivery(&post.to, message, post.sequence, placeholders));
            }
            Err(reason) if deliveries.is_empty() => {
                serving.reject(post, &reason);
                batch.done();
            }
            Err(_) => batch.put_back_from(deliveries.len()),
        }
    }
    deliveries
}

/// Whether the owner of the route may still read what waits for it: rules and users may have changed meanwhile. Rows are the route's own.
fn may_have(serving: &Serving<'_>, post: &Post) -> bool {
    match &post.to {
        Addressee::Event(_) | Addressee::Mapping(_) | Addressee::Tag(..) => {
            let (tenant, definition) = (&serving.driver.tenant, &serving.version.definition);
            let mode = tenant.programs().guests.authority;
            let decision = rights::may_hear(tenant, mode, &post.message.topic, definition);
            decision.authorization == Authorization::Allow
        }
        Addressee::Table(_) => true,
    }
}
