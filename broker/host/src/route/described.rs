//! Description of a route guest. The compiler asks it once, of an instance without grants and with
//! a broker that knows nothing.
//!
//! A guest that cannot answer then reports its description, or the reason, when it is opened.

use super::{Description, Ingesting, RetainedMessage, RouteGuest, RouteServices, RouteSpec};
use crate::{
    GuestId, GuestLimits, RunContext,
    fiber::BrokerOfNobody,
    limits::DESCRIBE_TIME,
    route::{IngestError, IngestedMessage},
};
use std::sync::Arc;

/// Asks a guest on a thread of its own, because the caller may be on a runtime.
pub(super) fn describe(guest: &RouteGuest) -> Option<Description> {
    std::thread::scope(|scope| scope.spawn(|| ask(guest)).join().ok().flatten())
}

fn ask(guest: &RouteGuest) -> Option<Description> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
    let asked = async {
        let spec = RouteSpec {
            id: GuestId(0),
            services: Arc::new(BrokerOfNobody),
            grants: Arc::default(),
            endpoints: Arc::default(),
            folders: Arc::default(),
            serial_lines: Arc::default(),
            limits: GuestLimits { time: DESCRIBE_TIME, ..GuestLimits::default() },
        };
        guest.instance(spec).await.ok()?.describe().await.ok()
    };
    runtime.block_on(async { tokio::time::timeout(DESCRIBE_TIME, asked).await.ok().flatten() })
}

impl RouteServices for BrokerOfNobody {
    fn ingest<'a>(&'a self, _: RunContext, _: Vec<IngestedMessage>) -> Ingesting<'a> {
        Box::pin(std::future::ready(Err(IngestError::Closed)))
    }

    fn retained(
        &self,
        _: &RunContext,
        _: &str,
        _: Option<&str>,
        _: &dyn Fn(&str) -> bool,
    ) -> (Vec<RetainedMessage>, Option<String>) {
        (Vec::new(), None)
    }
}
