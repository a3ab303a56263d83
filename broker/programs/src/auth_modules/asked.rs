//! Login guests: modules of world `auth` that login chains ask, by name.
//!
//! A chain names a member; if the broker has no member of this name, it is a module of tenant
//! `default`. The broker looks for its code each time when it opens the guest. So a chain may name
//! a module before it is installed: until then, its logins are refused.
//!
//! Invariants: no login waits for a guest longer than
//! [`LOGIN_GUEST_ANSWER_MAX`](crate::limits::LOGIN_GUEST_ANSWER_MAX). A guest that hangs, traps or
//! is missing refuses the logins of its own chains, and no others. Not here: the queue and the
//! calls.

use std::sync::Arc;
use std::time::Instant;

use lotmq_auth::{Identity, MemberReply, WaitingLogin, WaitingMember};
use lotmq_codec::QoS;
use lotmq_core::reason::close::LoginChange;
use lotmq_core::tenant::client::Client;
use lotmq_host::auth::{Hooks, Subscription};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::answers::guest_qos;
use super::queue::{AdmittedClient, Availability, GuestQueue, LoginCall};

/// All login guests of a broker.
#[derive(Default)]
pub struct LoginGuests {
    pub(super) guests: Vec<Arc<LoginGuest>>,
    /// Called at the end of the broker.
    pub(super) ends: Arc<Notify>,
}

/// A guest that login chains ask.
pub struct LoginGuest {
    name: Arc<str>,
    pub(super) queue: Mutex<GuestQueue>,
    /// Called when something waits in the queue.
    pub(super) called: Notify,
}

impl LoginGuests {
    /// Guests of these names, each once.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> LoginGuests {
        let mut guests: Vec<Arc<LoginGuest>> = Vec::new();
        for name in names {
            if guests.iter().all(|guest| *guest.name != *name) {
                guests.push(Arc::new(LoginGuest::new(name)));
            }
        }
        LoginGuests { guests, ends: Arc::default() }
    }

    /// The guests as members of the login chain.
    pub fn members(&self) -> impl Iterator<Item = Arc<dyn WaitingMember>> {
        self.guests.iter().map(|guest| Arc::clone(guest) as Arc<dyn WaitingMember>)
    }

    /// A Client was let in, on this connection.
    pub fn connected(&self, identity: &Identity, connection: u32, session_present: bool) {
        self.event(identity, connection, |queue, who| queue.connected(who, session_present));
    }

    /// A subscription of a Client was granted.
    pub fn subscribed(&self, client: &Client, filter: &str, qos: QoS) {
        if self.guests.is_empty() {
            return;
        }
        let Some(connection) = client.connection_number() else { return };
        self.event(&client.identity(), connection, |queue, who| {
            if queue.hooks.contains(Hooks::SUBSCRIBED) {
                let subscription = Subscription { filter: filter.to_owned(), qos: guest_qos(qos) };
                queue.subscribed(who.connection, subscription);
            }
        });
    }

    /// A connection of a Client is over, for a reason as events have it.
    pub fn disconnected(&self, client: &Client, connection: u32, reason: &'static str) {
        if self.guests.is_empty() {
            return;
        }
        self.event(&client.identity(), connection, |queue, who| queue.disconnected(who, reason));
    }

    /// Change that a guest has made to a login of this identity since it allowed it. After the last
    /// question about the login it is forgotten.
    pub fn change_of(&self, identity: &Identity, connection: u32, is_last: bool) -> Option<LoginChange> {
        let member = identity.principal.member()?;
        let guest = self.guests.iter().find(|guest| guest.name == *member)?;
        let admissions = &mut guest.queue.lock().admissions;
        let connection = connection.into();
        if is_last { admissions.end(connection) } else { admissions.change_of(connection) }
    }

    /// The login of a connection was refused, by whatever part of the broker.
    pub fn refused(&self, connection: u32) {
        for guest in &self.guests {
            guest.queue.lock().admissions.end(connection.into());
        }
    }

    /// Notes an event of a Client that one of the guests has let in.
    fn event(
        &self,
        identity: &Identity,
        connection: u32,
        note: impl FnOnce(&mut GuestQueue, AdmittedClient<'_>),
    ) {
        // Nobody else costs more than this look.
        let Some(member) = identity.principal.member() else { return };
        let guest = self.guests.iter().find(|guest| guest.name == *member);
        if let (Some(guest), Some(user)) = (guest, identity.user()) {
            let (client_id, connection) = (&identity.client_id, connection.into());
            note(&mut guest.queue.lock(), AdmittedClient { user, client_id, connection });
            guest.called.notify_one();
        }
    }

    /// Stops the thread of the guests. Logins that wait fail.
    pub fn stop(&self) {
        self.ends.notify_one();
    }
}

impl LoginGuest {
    fn new(name: &str) -> LoginGuest {
        LoginGuest { name: name.into(), queue: Mutex::default(), called: Notify::new() }
    }

    /// Name of the member and of its module.
    pub(super) fn module(&self) -> &Arc<str> {
        &self.name
    }

    /// Changes whether it is asked. Logins that wait fail with the reason if it is not.
    pub(super) fn stands(&self, availability: Availability) {
        let failed = {
            let mut queue = self.queue.lock();
            queue.availability = availability.clone();
            if availability == Availability::Ready { Vec::new() } else { queue.take_logins() }
        };
        if let Availability::Away(reason) = &availability {
            failed.into_iter().for_each(|call| call.reply.fail(&**reason));
        }
    }
}

impl WaitingMember for LoginGuest {
    fn name(&self) -> &str {
        &self.name
    }

    fn takes(&self, method: &str) -> bool {
        self.queue.lock().methods.iter().any(|known| **known == *method)
    }

    fn forget(&self, connection: u64) {
        self.queue.lock().forget(connection);
        self.called.notify_one();
    }

    fn ask(&self, login: WaitingLogin, reply: MemberReply) {
        let call = LoginCall { login, reply, came: Instant::now() };
        let refused = {
            let mut queue = self.queue.lock();
            match &queue.availability {
                Availability::Away(reason) => Some((call, reason.to_string())),
                Availability::Ready => queue.put(call).err().map(|(call, reason)| (call, reason.to_owned())),
            }
        };
        match refused {
            Some((call, reason)) => call.reply.fail(reason),
            None => self.called.notify_one(),
        }
    }
}
