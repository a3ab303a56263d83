//! Routes of a program that runs without a broker: those of types that this build runs, asked at once and in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use jiff::Timestamp;
use lotmq_host::route::{Arrival, Ingesting, RouteServices};
use lotmq_host::{OwnedMessage, RowQuery, RowsError, RunContext, Severity, Value};
use lotmq_server::{Addressed, Refused, StandaloneRoute};
use tokio::runtime::{Builder, Runtime};

use crate::services::{OfflineServices, locked};

/// The routes by name, and what they brought.
pub(crate) struct Routes {
    /// Guests of routes wait by its clock.
    runtime: Runtime,
    by_name: Mutex<BTreeMap<String, Arc<Mutex<StandaloneRoute>>>>,
    /// The table of a model in a route, where it is not called as the model.
    tables: Mutex<HashMap<(String, String), String>>,
    brought: Mutex<Vec<Brought>>,
}

/// What a guest said in a call.
pub(crate) enum Brought {
    Message(Arrival),
    Report { is_error: bool, text: String },
}

/// A message for a route.
pub(crate) struct ForRoute {
    pub(crate) route: String,
    pub(crate) addressed: Addressed,
    pub(crate) hops: u8,
}

/// What stands in the place of a Client Identifier in messages that a route brought.
pub(crate) fn client_id(route: &str) -> String {
    format!("$route/{route}")
}

impl Routes {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().build().context("no runtime for routes")?;
        let (by_name, tables, brought) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { runtime, by_name, tables, brought })
    }

    pub(crate) fn add(&self, route: StandaloneRoute) {
        locked(&self.by_name).insert(route.name().to_owned(), Arc::new(Mutex::new(route)));
    }

    /// A model stores in a route.
    pub(crate) fn add_table(&self, model: &str, store: &lot_facts::RouteStore) {
        locked(&self.tables).insert((model.to_owned(), store.route.clone()), store.table.clone());
    }

    /// Lets the routes go.
    pub(crate) fn clear(&self) {
        locked(&self.by_name).clear();
    }

    /// Whether there is a route of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        locked(&self.by_name).contains_key(name)
    }

    fn get(&self, name: &str) -> Option<Arc<Mutex<StandaloneRoute>>> {
        locked(&self.by_name).get(name).cloned()
    }

    /// What a message to the topic of an event or a table is; `None` when there is no such route or event.
    pub(crate) fn by_name(&self, topic: &str, payload: &[u8], hops: u8) -> Option<ForRoute> {
        let route = StandaloneRoute::named_by(topic)?;
        let addressed = locked(&*self.get(route)?).by_name(topic, payload)?;
        Some(ForRoute { route: route.to_owned(), addressed, hops })
    }

    /// What a message is for the routes whose events have its topic as source; not for the one that brought it.
    pub(crate) fn arrived(&self, message: &Arc<OwnedMessage>, hops: u8) -> Vec<ForRoute> {
        let routes: Vec<_> = locked(&self.by_name).values().cloned().collect();
        let mut found = Vec::new();
        for route in routes {
            let route = locked(&route);
            if *message.client_id != *client_id(route.name()) {
                let addressed = route.arrived(message).into_iter();
                found.extend(addressed.map(|addressed| ForRoute {
                    route: route.name().to_owned(),
                    addressed,
                    hops,
                }));
            }
        }
        found
    }

    /// Hands a message over; what goes to other routes because this one has taken it.
    pub(crate) fn deliver(&self, for_route: &ForRoute, at: Timestamp) -> Result<Vec<ForRoute>, Refused> {
        let Some(route) = self.get(&for_route.route) else {
            let reason = format!("there is no route '{}'", for_route.route);
            return Err(Refused { reason, told: None });
        };
        let mut route = locked(&route);
        self.runtime.block_on(route.deliver(&for_route.addressed, at))?;
        let stores = route.stores(&for_route.addressed).into_iter();
        let hops = for_route.hops.saturating_add(1);
        Ok(stores.map(|(route, addressed)| ForRoute { route, addressed, hops }).collect())
    }

    pub(crate) fn rows(&self, query: &RowQuery<'_>) -> Result<Value, RowsError> {
        let name = query.route;
        let route = self.get(name).ok_or_else(|| RowsError::unknown(name))?;
        let table_of = |model: &str| {
            let known = locked(&self.tables).get(&(model.to_owned(), name.to_owned())).cloned();
            known.unwrap_or_else(|| model.to_owned())
        };
        let answered = self.runtime.block_on(locked(&route).rows(query, table_of));
        answered.map_err(|reason| RowsError::Refused { route: name.to_owned(), reason })
    }

    /// What guests have said since this was asked last.
    pub(crate) fn take_brought(&self) -> Vec<Brought> {
        std::mem::take(&mut *locked(&self.brought))
    }
}

impl RouteServices for OfflineServices {
    fn ingest<'a>(&'a self, _run: RunContext, messages: Vec<Arrival>) -> Ingesting<'a> {
        locked(&self.routes.brought).extend(messages.into_iter().map(Brought::Message));
        Box::pin(std::future::ready(Ok(())))
    }

    fn report(&self, _run: &RunContext, severity: Severity, code: &str, message: &str) {
        let text = format!("{message} ({code})");
        locked(&self.routes.brought).push(Brought::Report { is_error: severity == Severity::Error, text });
    }
}
