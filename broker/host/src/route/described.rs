//! What a route guest says of itself: asked once, when it is compiled, of an instance that may do nothing and whose broker knows nothing.
//!
//! Who cannot say it then says it, or why not, to whoever opens it.

use super::{Description, Ingesting, RetainedMessage, RouteGuest, RouteServices, RouteSpec};
use crate::{
    Argument, GuestId, GuestLimits, LogLevel, MetricChange, NestedCall, RunContext, RunError, Services,
    Severity, Value,
    fiber::{FiberServices, HttpEvent},
    limits::DESCRIBE_TIME,
    route::{IngestError, IngestedMessage},
};
use std::{net::IpAddr, sync::Arc};

/// Asks a guest, on a thread of its own: whoever compiles may be on a runtime.
pub(super) fn describe(guest: &RouteGuest) -> Option<Description> {
    std::thread::scope(|scope| scope.spawn(|| ask(guest)).join().ok().flatten())
}

fn ask(guest: &RouteGuest) -> Option<Description> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
    let asked = async {
        let spec = RouteSpec {
            id: GuestId(0),
            services: Arc::new(Nobody),
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

/// Broker of a guest that only says what it is.
struct Nobody;

impl Services for Nobody {
    fn topic_value(&self, _: &RunContext, _: &str, _: &mut Vec<u8>) -> bool {
        false
    }

    fn retained_exists(&self, _: &RunContext, _: &str) -> bool {
        false
    }

    fn environment(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }

    fn set_environment(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }

    fn secret(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }

    fn set_secret(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }

    fn call_action(&self, _: NestedCall<'_>, name: &str, _: &[Argument]) -> Result<Vec<Value>, RunError> {
        Err(RunError::unknown_action(name))
    }
}

impl FiberServices for Nobody {
    fn refuses_address(&self, _: IpAddr) -> Option<String> {
        Some("it is not open".to_owned())
    }

    fn refuses_listening(&self, _: IpAddr) -> Option<String> {
        Some("it is not open".to_owned())
    }

    fn refuses_serial_port(&self, _: &str) -> Option<String> {
        Some("it is not open".to_owned())
    }

    fn report(&self, _: &RunContext, _: Severity, _: &str, _: &str) {}

    fn measure(&self, _: &RunContext, _: &str, _: MetricChange) -> bool {
        false
    }

    fn note_http(&self, _: &RunContext, _: HttpEvent) {}

    fn log(&self, _: &RunContext, _: LogLevel, _: &str) {}
}

impl RouteServices for Nobody {
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
