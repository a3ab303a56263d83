//! Connections with an endpoint identifier, and the status of their devices.
//!
//! A device is online from its subscription to the topic of agents until its last connection ends.
//! So the `0` of a connection that was lost long ago does not follow the `1` of the next one.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::limits::CONNECTIONS_MAX;
use crate::rights::AGENT;

/// Status of a device to publish.
#[derive(Debug, PartialEq)]
pub(crate) struct Status {
    pub(crate) id: Rc<str>,
    pub(crate) is_online: bool,
}

#[derive(Default)]
pub(crate) struct Clients {
    connections: BTreeMap<u64, Client>,
    /// Connections that are online, by identifier.
    online: BTreeMap<Rc<str>, u32>,
    /// Logins that are not connected yet.
    waiting: usize,
}

struct Client {
    id: Rc<str>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// The guest has let it in; it has no CONNACK yet.
    Admitted,
    Connected,
    /// It has subscribed to the topic of agents.
    Online,
}

/// There are [`CONNECTIONS_MAX`] connections.
#[derive(Debug, PartialEq)]
pub(crate) struct TooMany;

impl Clients {
    /// Notes a connection that is let in.
    pub(crate) fn admit(&mut self, connection: u64, id: &str) -> Result<(), TooMany> {
        // The broker gives the number of a login that it refused to another connection.
        self.disconnected(connection);
        if self.connections.len() >= CONNECTIONS_MAX {
            self.forget_lost_logins();
        }
        if self.connections.len() >= CONNECTIONS_MAX {
            return Err(TooMany);
        }
        self.waiting += 1;
        self.connections.insert(connection, Client { id: id.into(), stage: Stage::Admitted });
        Ok(())
    }

    /// Forgets half of the logins that got no CONNACK. Most of them never will, because the broker
    /// refused them for another reason.
    fn forget_lost_logins(&mut self) {
        let is_waiting = |(_, client): &(&u64, &Client)| client.stage == Stage::Admitted;
        let lost = self.connections.iter().filter(is_waiting).map(|(number, _)| *number);
        let lost: Vec<u64> = lost.take(self.waiting.div_ceil(2)).collect();
        for number in lost {
            self.connections.remove(&number);
            self.waiting -= 1;
        }
    }

    pub(crate) fn connected(&mut self, connection: u64) {
        if let Some(client) = self.connections.get_mut(&connection)
            && client.stage == Stage::Admitted
        {
            client.stage = Stage::Connected;
            self.waiting -= 1;
        }
    }

    /// Notes granted subscriptions of one SUBSCRIBE, by their filters.
    pub(crate) fn subscribed<'a>(
        &mut self,
        connection: u64,
        filters: impl IntoIterator<Item = &'a str>,
    ) -> Option<Status> {
        let first = filters.into_iter().next()?;
        if !first.contains(AGENT.trim_end_matches('/')) {
            return None;
        }
        self.connected(connection);
        let client = self.connections.get_mut(&connection)?;
        if client.stage != Stage::Online {
            client.stage = Stage::Online;
            *self.online.entry(client.id.clone()).or_default() += 1;
        }
        Some(Status { id: client.id.clone(), is_online: true })
    }

    /// Forgets a connection.
    pub(crate) fn disconnected(&mut self, connection: u64) -> Option<Status> {
        let client = self.connections.remove(&connection)?;
        match client.stage {
            // It was never there.
            Stage::Admitted => {
                self.waiting -= 1;
                return None;
            }
            Stage::Connected => {}
            Stage::Online => {
                let others = self.online.get_mut(&client.id).map_or(0, |count| {
                    *count -= 1;
                    *count
                });
                if others == 0 {
                    self.online.remove(&client.id);
                }
            }
        }
        let is_elsewhere = self.online.contains_key(&client.id);
        (!is_elsewhere).then_some(Status { id: client.id, is_online: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "oktopus/usp/v1/agent/d";

    fn status(is_online: bool) -> Option<Status> {
        Some(Status { id: "d".into(), is_online })
    }

    #[test]
    fn device_is_online_from_its_agent_subscription_until_its_end() {
        let mut clients = Clients::default();
        clients.admit(1, "d").unwrap();
        clients.connected(1);
        assert_eq!(clients.subscribed(1, ["other", OWN]), None, "only the first filter counts");
        assert_eq!(clients.subscribed(1, [OWN]), status(true));
        assert_eq!(clients.subscribed(1, [OWN]), status(true), "as in the broker of Oktopus");
        assert_eq!(clients.disconnected(1), status(false));
        assert_eq!(clients.disconnected(1), None);
        assert_eq!(clients.subscribed(1, [OWN]), None);
    }

    #[test]
    fn device_that_never_subscribed_is_offline_at_its_end() {
        let mut clients = Clients::default();
        clients.admit(1, "d").unwrap();
        clients.connected(1);
        assert_eq!(clients.disconnected(1), status(false));
        clients.admit(2, "d").unwrap();
        assert_eq!(clients.disconnected(2), None, "it got no CONNACK");
    }

    #[test]
    fn lost_connection_of_a_device_that_is_back_does_not_end_its_status() {
        let mut clients = Clients::default();
        for connection in [1, 2, 3] {
            clients.admit(connection, "d").unwrap();
            clients.connected(connection);
        }
        clients.subscribed(1, [OWN]);
        clients.subscribed(2, [OWN]);
        assert_eq!(clients.disconnected(1), None);
        assert_eq!(clients.disconnected(3), None);
        assert_eq!(clients.disconnected(2), status(false));
        assert!(clients.online.is_empty() && clients.connections.is_empty());
    }

    #[test]
    fn connections_are_bounded_and_lost_logins_make_room() {
        let mut clients = Clients::default();
        for connection in 0..CONNECTIONS_MAX as u64 {
            clients.admit(connection, "d").unwrap();
            if connection >= 10 {
                clients.connected(connection);
            }
        }
        let next = CONNECTIONS_MAX as u64;
        assert_eq!(clients.admit(next, "d"), Ok(()));
        assert_eq!((clients.waiting, clients.connections.len()), (6, CONNECTIONS_MAX - 4));
        (1..=4).for_each(|more| clients.admit(next + more, "d").unwrap());
        (0..=next + 4).for_each(|connection| clients.connected(connection));
        assert_eq!((clients.waiting, clients.admit(next + 5, "d")), (0, Err(TooMany)));
    }
}
