//! Host functions of the world `route` alone, and the state of an instance.

use super::{
    bindings::lotmq::guest::{
        far_side,
        ingest::{self, IngestError},
        message_properties, retained, types,
    },
    properties::IngestedMessage,
};
use crate::{
    Capability, RunContext, Severity,
    fiber::{FiberServices, FiberState, OnFiber},
    texts::MESSAGE_INVALID,
};
use std::{pin::Pin, sync::Arc};

/// Result of publishing messages that a route brings; pending while the broker is busy.
pub type Ingesting<'a> = Pin<Box<dyn Future<Output = Result<(), IngestError>> + Send + 'a>>;

/// Services of the broker for route guests, besides those for all guests that wait.
pub trait RouteServices: FiberServices {
    /// Publishes messages in order, all or none. Topics and properties were checked. The future is
    /// pending while the broker is busy.
    fn ingest<'a>(&'a self, run: RunContext, messages: Vec<IngestedMessage>) -> Ingesting<'a>;

    /// The next retained messages that `filter` matches, a valid one that is not shared, behind the
    /// topic `after`, without those that `is_granted` refuses or the owner may not read: at most
    /// [`RETAINED_PAGE_MESSAGES_MAX`](crate::limits::RETAINED_PAGE_MESSAGES_MAX). With the topic
    /// behind which there may be more.
    fn retained(
        &self,
        run: &RunContext,
        filter: &str,
        after: Option<&str>,
        is_granted: &dyn Fn(&str) -> bool,
    ) -> (Vec<retained::RetainedMessage>, Option<String>);
}

/// Host state of one route instance.
pub(super) struct RouteState {
    pub(super) fiber: FiberState,
    pub(super) services: Arc<dyn RouteServices>,
    /// Whether the guest has said in the call that began last that the far side is away.
    pub(super) says_away: bool,
}

impl OnFiber for RouteState {
    fn fiber(&mut self) -> &mut FiberState {
        &mut self.fiber
    }

    fn fiber_ref(&self) -> &FiberState {
        &self.fiber
    }
}

impl types::Host for RouteState {}

impl message_properties::Host for RouteState {}

impl far_side::Host for RouteState {
    fn away(&mut self) {
        self.says_away = true;
    }
}

impl retained::Host for RouteState {
    fn read(&mut self, filter: String, after: Option<String>) -> retained::Page {
        let is_plain = lotmq_router::parse_shared(&filter).is_ok_and(|shared| shared.is_none());
        if !is_plain || lotmq_router::topic_filter_valid(&filter).is_err() {
            return retained::Page { messages: Vec::new(), next_after: None };
        }
        let is_granted = |topic: &str| self.fiber.grants.read.covers(topic);
        let (messages, next_after) =
            self.services.retained(&self.fiber.run, &filter, after.as_deref(), &is_granted);
        retained::Page { messages, next_after }
    }
}

impl ingest::Host for RouteState {
    async fn publish(&mut self, messages: Vec<ingest::Arrival>) -> Result<(), IngestError> {
        let messages = self.checked(messages)?;
        let services = Arc::clone(&self.services);
        let run = self.fiber.run;
        self.fiber.waits(async move |_| services.ingest(run, messages).await).await
    }
}

impl RouteState {
    /// Messages that the route may bring.
    ///
    /// # Errors
    /// `NotAllowed` when one of them is none, which is reported, or is not granted.
    fn checked(&self, messages: Vec<ingest::Arrival>) -> Result<Vec<IngestedMessage>, IngestError> {
        let bounds = self.services.message_bounds();
        let checked = |arrival| match IngestedMessage::checked(arrival, &bounds) {
            Ok(message) if self.fiber.may(Capability::WriteTopic, &message.topic) => Ok(message),
            Ok(_) => Err(IngestError::NotAllowed),
            Err(invalid) => {
                self.services.report(&self.fiber.run, Severity::Error, MESSAGE_INVALID, &invalid);
                Err(IngestError::NotAllowed)
            }
        };
        messages.into_iter().map(checked).collect()
    }
}
