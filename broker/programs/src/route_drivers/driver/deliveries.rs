//! Deliveries of a batch: what its messages are for the guest, as far as the owner of the route may
//! still read them.

use lotmq_auth::Authorization;
use lotmq_host::route::{LentDelivery, PlaceholderValues};

use super::super::delivery::{delivery, placeholders};
use super::{Serving, failing};
use crate::HasPrograms as _;
use crate::limits::ROUTE_FILLED_BYTES_MAX;
use crate::rights;
use crate::route_types;
use crate::routes::batch::PostBatch;
use crate::routes::mailbox::{Addressee, RouteMessage};

/// Reason of a message that is not for the owner of the route any more.
const NO_RIGHT: &str = "the owner of the route may not read this topic any more";

/// Work of looking at a message.
const MESSAGE_WORK: usize = 64;

/// The same for each event and mapping of the route, among which it is looked for.
const BLOCK_WORK: usize = 16;

/// Finds the values of the placeholders of each message of a batch; one that cannot be filled is
/// rejected when those before it are done. Bridges, and tags of machines, get nothing that has
/// expired \[MQTT-3.3.2-5\]. Behind enough work it ends its turn, or the batch, where there was
/// only to reject: what has come meanwhile need not wait for the rest.
pub(super) async fn fill(serving: &Serving<'_>, batch: &mut PostBatch) -> Vec<Vec<PlaceholderValues>> {
    let (mut values, mut bytes) = (Vec::with_capacity(batch.len()), 0);
    let is_bridge = route_types::is_bridge(&serving.version.said().kind);
    let now_ms = serving.driver.now_ms();
    let (said, names, work) = (serving.version.said(), serving.names(), &serving.work);
    let each = MESSAGE_WORK + (said.events.len() + said.mappings.len()) * BLOCK_WORK;
    while let Some(post) = batch.get(values.len()) {
        work.count(each);
        let has_expired = post.message.expires_at_ms().is_some_and(|at| at <= now_ms);
        if has_expired && (is_bridge || post.to.is_tag()) {
            match values.is_empty() {
                true => {
                    serving.driver.route.note(|deliveries| deliveries.expired += 1);
                    batch.done();
                }
                false => batch.put_back_from(values.len()),
            }
            continue;
        }
        let filled = match may_have(serving, post) {
            true => placeholders(said, (&post.to, &post.message), &names, work),
            false => Err(NO_RIGHT.to_owned()),
        };
        match filled {
            Ok((_, more)) if bytes + more > ROUTE_FILLED_BYTES_MAX && !values.is_empty() => {
                batch.put_back_from(values.len());
            }
            Ok((placeholders, more)) => {
                bytes += more;
                values.push(placeholders);
            }
            Err(reason) if values.is_empty() => {
                failing::reject(serving, post, &reason);
                batch.done();
                if work.is_enough() {
                    batch.put_back_from(0);
                }
            }
            Err(_) => batch.put_back_from(values.len()),
        }
        if !batch.is_empty() {
            work.end_turn_if_enough().await;
        }
    }
    values
}

/// The deliveries of a batch, with these values of their placeholders.
pub(super) fn deliveries(
    batch: &PostBatch,
    values: Vec<Vec<PlaceholderValues>>,
    now_ms: u64,
) -> Vec<LentDelivery<'_>> {
    let posts = batch.iter().zip(values);
    posts.map(|(post, values)| delivery(&post.to, (&post.message, now_ms), post.sequence, values)).collect()
}

/// Whether the owner of the route may still read what waits for it: rules and users may have
/// changed meanwhile. Rows are the route's own.
fn may_have(serving: &Serving<'_>, post: &RouteMessage) -> bool {
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
