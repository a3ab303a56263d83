//! Opening of the subscribers, which may be hundreds of thousands, and what they take in the
//! broker.

use std::time::Duration;

use tokio::task::JoinSet;

use super::client::{Incoming, Outgoing, connect};
use super::figures::resident_bytes;
use super::traffic::{Plan, options, subscribe};

/// Connections that are opened at once.
const OPENING_MAX: usize = 64;
/// Time in which the broker ends what the last of them have begun, before its memory is looked at.
const SETTLING: Duration = Duration::from_secs(1);

/// The subscribers of a run.
pub(crate) struct Subscribers {
    pub(crate) clients: Vec<(Incoming, Outgoing)>,
    /// Memory of the broker that each one takes, in bytes, in runs about that.
    pub(crate) memory_each: Option<f64>,
}

/// Opens the subscribers, several at a time.
pub(crate) async fn open(plan: &Plan) -> anyhow::Result<Subscribers> {
    // The broker's cost of its first client is not typical of the others.
    let mut clients = open_some(plan, 0..1).await?;
    let process = plan.process.filter(|_| plan.is_scattered && plan.subscribers > 1);
    let before = process.map(resident_bytes).transpose()?;
    clients.extend(open_some(plan, 1..plan.subscribers).await?);
    let mut memory_each = None;
    if let (Some(process), Some(before)) = (process, before) {
        tokio::time::sleep(SETTLING).await;
        let grown = resident_bytes(process)?.saturating_sub(before);
        memory_each = Some(grown as f64 / f64::from(plan.subscribers - 1));
    }
    Ok(Subscribers { clients, memory_each })
}

async fn open_some(plan: &Plan, numbers: std::ops::Range<u32>) -> anyhow::Result<Vec<(Incoming, Outgoing)>> {
    let mut clients = Vec::with_capacity(numbers.len());
    let mut opening = JoinSet::new();
    for number in numbers {
        if opening.len() >= OPENING_MAX
            && let Some(opened) = opening.join_next().await
        {
            clients.push(opened??);
        }
        let target =
            if plan.is_scattered { plan.target.for_one_of_many(number) } else { plan.target.clone() };
        let (options, subscribe) = (options(plan, "s", number), subscribe(plan, number)?);
        opening.spawn_local(async move { connect(&target, &options, &subscribe).await });
    }
    while let Some(opened) = opening.join_next().await {
        clients.push(opened??);
    }
    Ok(clients)
}
