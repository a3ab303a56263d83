//! View of a running route that its clients have.

use std::sync::Arc;

use lotmq_programs::hosting::Hosting;
use lotmq_programs::routes::{ClientPlaces, RouteRunner};

/// A route as its clients see it.
pub struct ServedRoute {
    pub(super) hosting: Arc<Hosting>,
    pub(super) route: Arc<RouteRunner>,
    pub(super) name: String,
}

impl ServedRoute {
    /// Returns the addresses at which it listens now, by endpoint.
    #[must_use]
    pub fn places(&self) -> ClientPlaces {
        self.hosting.routes.served_places(&self.name)
    }

    /// How many messages it has brought.
    #[must_use]
    pub fn brought(&self) -> u64 {
        self.route.brought()
    }

    /// Lets routes reach a port of this machine, where something is that is there for them alone.
    pub fn open_far_port(&self, port: u16) {
        self.hosting.routes.open_far_port(port);
    }
}
