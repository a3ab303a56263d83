//! Connection of a route, and of each of its instances.

use super::DeliveryFigures;

/// State of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// No instance is connected, and none connects.
    Disconnected,
    /// The route connects for the first time.
    Connecting,
    /// An instance is connected.
    Connected,
    /// The route connects again after a failure.
    Reconnecting,
}

impl Connection {
    pub(super) const ALL: [Connection; 4] =
        [Connection::Disconnected, Connection::Connecting, Connection::Connected, Connection::Reconnecting];

    /// Returns the word for the status of a route.
    pub fn word(self) -> &'static str {
        match self {
            Connection::Disconnected => "Disconnected",
            Connection::Connecting => "Connecting",
            Connection::Connected => "Connected",
            Connection::Reconnecting => "Reconnecting",
        }
    }
}

/// Connection of an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfInstance {
    pub(super) connection: Connection,
    pub(super) was_connected: bool,
    /// Whether it was connected since it began, and is not by what nobody has ordered.
    pub(super) has_fallen: bool,
    /// Whether it is open again, and what it has in the far side is not known yet: a system that is
    /// frozen takes connections, too.
    pub(super) is_unproven: bool,
}

impl OfInstance {
    pub(super) const NEW: OfInstance = OfInstance {
        connection: Connection::Connecting,
        was_connected: false,
        has_fallen: false,
        is_unproven: false,
    };

    /// Notes that it is connected, which is counted.
    pub(super) fn connects(&mut self, figures: &mut DeliveryFigures) {
        figures.reconnects += u64::from(self.was_connected);
        figures.restarts += u64::from(self.has_fallen);
        *self = OfInstance { connection: Connection::Connected, was_connected: true, ..OfInstance::NEW };
    }
}
