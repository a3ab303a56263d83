//! The Clients of an embedded broker: one that sees everything, and those that messages come from.
//!
//! The first one is `root`, whom rules deny nothing: it is subscribed to all topics, and publishes
//! nothing. The others connect when they are first named, and are asked about as any Client is. All
//! of them are driven by the owner's thread, in the order in which they connected.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};

use lotmq_auth::{AnonymousLogin, ROOT};
use lotmq_codec::{ReasonCode, SubscriptionOptions};
use lotmq_config::Config;
use lotmq_core::connection::refused::Refusals;
use lotmq_core::connection::{Connection, ListenerTerms};
use lotmq_core::limits::AddressRates;
use lotmq_core::owner::in_memory::InMemory;
use lotmq_core::owner::open::OpenConnections;
use lotmq_core::owner::step;
use lotmq_core::turn::Turn;

use super::EmbeddedError;
use super::client::{Arriving, ClientIdentity, EVERYTHING, LocalClient, ORDINARY};
use lotmq_operations::broker::Broker;
use lotmq_process::this_turn;
use lotmq_programs::recorder::Published;

/// Client Identifier of the one that sees everything.
const OBSERVER: &str = "lotmq-observer";

/// Clients of an embedded broker.
pub(super) struct Clients {
    broker: Arc<Broker>,
    terms: Arc<ListenerTerms>,
    open: OpenConnections<InMemory>,
    /// Those that are connected; the first sees everything.
    connected: Vec<LocalClient>,
    /// Connections that were made.
    made: u32,
}

impl Clients {
    /// Connects the one that sees everything, and subscribes it. The calling thread's turn is that
    /// of the first shard.
    ///
    /// # Errors
    /// [`EmbeddedError::Disconnected`] when the broker refuses that.
    pub(super) fn connect(broker: &Arc<Broker>, config: &Config) -> Result<Self, EmbeddedError> {
        let terms = Arc::new(ListenerTerms {
            name: "embedded",
            number: broker.core.figures.listener("embedded"),
            core: Arc::clone(&broker.core),
            limits: config.limits.for_all(),
            reached: broker.core.limits.add("embedded"),
            anonymous: AnonymousLogin::FromEverywhere,
            login_chain: Arc::default(),
            refusals: Refusals::default(),
            login_rates: AddressRates::default(),
            is_encrypted: false,
        });
        let (broker, open) = (Arc::clone(broker), OpenConnections::new());
        let mut clients = Self { broker, terms, open, connected: Vec::new(), made: 0 };
        let observer = ClientIdentity::of(Some(ROOT.to_owned()), Some(OBSERVER.to_owned()), None);
        clients.subscribe_with(&observer, "#", EVERYTHING)?;
        Ok(clients)
    }

    /// Publishes a message, which has reached everybody then; false when its Client may not
    /// connect.
    ///
    /// # Errors
    /// [`EmbeddedError::Unencodable`] and [`EmbeddedError::Disconnected`].
    pub(super) fn publish(
        &mut self,
        from: &ClientIdentity,
        message: &Arriving<'_>,
    ) -> Result<bool, EmbeddedError> {
        let Some(place) = self.client(from)? else { return Ok(false) };
        self.connected[place].publish(message)?;
        self.take_turns()?;
        Ok(true)
    }

    /// Subscribes a Client; false when it may not connect.
    ///
    /// # Errors
    /// As [`Clients::publish`].
    pub(super) fn subscribe(&mut self, client: &ClientIdentity, filter: &str) -> Result<bool, EmbeddedError> {
        self.subscribe_with(client, filter, ORDINARY)
    }

    fn subscribe_with(
        &mut self,
        client: &ClientIdentity,
        filter: &str,
        options: SubscriptionOptions,
    ) -> Result<bool, EmbeddedError> {
        let Some(place) = self.client(client)? else { return Ok(false) };
        self.connected[place].subscribe(filter, options)?;
        self.take_turns()?;
        Ok(true)
    }

    /// Connects a Client, unless it is; false when it may not connect.
    ///
    /// # Errors
    /// [`EmbeddedError::Disconnected`].
    pub(super) fn arrives(&mut self, identity: &ClientIdentity) -> Result<bool, EmbeddedError> {
        Ok(self.client(identity)?.is_some())
    }

    /// Place of a Client, which is connected first if it is not; `None` when rules do not let it.
    fn client(&mut self, identity: &ClientIdentity) -> Result<Option<usize>, EmbeddedError> {
        if let Some(place) = self.connected.iter().position(|client| client.identity == *identity) {
            return Ok(Some(place));
        }
        let wire = LocalClient::wire(identity)?;
        let home = &self.broker.net.shards[0].home;
        home.connections.fetch_add(1, Ordering::Relaxed);
        let place = self.open.reserve();
        self.made += 1;
        let first_look = self.broker.core.clock.now().plus(self.terms.connect_timeout());
        let terms = Arc::clone(&self.terms);
        let transport = InMemory::new(&wire, &self.broker.hosting.tenants.default_tenant());
        let connection = Arc::new(Connection::new(self.made, (home.number, place), terms, transport));
        this_turn::with(|turn| self.open.enter(&connection, first_look, turn));
        self.connected.push(LocalClient::new(identity.clone(), connection, wire));
        self.drive()?;
        let is_denied = |client: &LocalClient| client.refused == Some(ReasonCode::NotAuthorized);
        if self.connected.last().is_some_and(|client| client.is_closed && is_denied(client)) {
            self.connected.pop().into_iter().for_each(|client| self.has_ended(&client));
            return Ok(None);
        }
        self.forget_those_who_went()?;
        Ok(self.connected.iter().position(|client| client.identity == *identity))
    }

    /// Takes turns of the thread until nothing is left to be done in them.
    ///
    /// # Errors
    /// [`EmbeddedError::Disconnected`] when the broker has closed a connection.
    pub(super) fn take_turns(&mut self) -> Result<(), EmbeddedError> {
        self.drive()?;
        self.forget_those_who_went()
    }

    fn drive(&mut self) -> Result<(), EmbeddedError> {
        let mut looks = Vec::new();
        loop {
            let is_due = this_turn::with(|turn| self.take_turn(turn, &mut looks));
            looks.drain(..).for_each(Waker::wake);
            let mut has_heard = false;
            for client in &mut self.connected {
                has_heard |= client.receive()?;
            }
            if !is_due && !has_heard && self.connected.iter().all(LocalClient::is_at_rest) {
                return Ok(());
            }
        }
    }

    /// Takes one; whether another one is due.
    fn take_turn(&self, turn: &mut Turn, looks: &mut Vec<Waker>) -> bool {
        turn.tick();
        // They are driven in each turn, whether somebody has woken them or not.
        let mut cx = Context::from_waker(Waker::noop());
        for client in self.connected.iter().filter(|client| !client.is_closed) {
            // Whether it has ended is seen at the other end.
            let _ = step::drive::<InMemory>(&client.connection, turn, &mut cx);
        }
        turn.flush();
        let now = turn.core.clock.elapsed();
        let next = self.open.begin_turn(turn, now);
        looks.extend(next.look);
        next.is_due
    }

    /// Forgets Clients whose session is another connection's by now.
    ///
    /// # Errors
    /// [`EmbeddedError::Disconnected`] where one has ended otherwise.
    fn forget_those_who_went(&mut self) -> Result<(), EmbeddedError> {
        while let Some(place) = self.connected.iter().position(|client| client.is_closed) {
            let client = self.connected.remove(place);
            self.has_ended(&client);
            if client.refused != Some(ReasonCode::SessionTakenOver) {
                return Err(client.disconnected());
            }
        }
        Ok(())
    }

    fn has_ended(&mut self, client: &LocalClient) {
        self.open.release(client.connection.place);
        self.broker.net.shards[0].home.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends the connections, which know the Clients that know them.
    pub(super) fn leave(&mut self) {
        for client in self.connected.drain(..) {
            client.leave();
            while !this_turn::with(|turn| {
                let mut cx = Context::from_waker(Waker::noop());
                step::drive::<InMemory>(&client.connection, turn, &mut cx).is_ready()
            }) {
                this_turn::with(Turn::flush);
            }
        }
        this_turn::with(Turn::flush);
    }

    /// Lets the thread notice that time has passed.
    pub(super) fn time_passed(&self) {
        this_turn::with(|turn| self.open.time_passed(turn, &self.broker.hosting.tenants.all()));
    }

    /// Returns the messages of the observer, which receives everything.
    pub(super) fn observed(&mut self) -> Option<&mut VecDeque<Published>> {
        self.connected.first_mut().map(|observer| &mut observer.received)
    }

    /// Returns the messages of the other Clients.
    pub(super) fn delivered(&mut self) -> impl Iterator<Item = (&ClientIdentity, Published)> {
        self.connected.iter_mut().skip(1).flat_map(|client| {
            let LocalClient { identity, received, .. } = client;
            received.drain(..).map(|message| (&*identity, message))
        })
    }
}
