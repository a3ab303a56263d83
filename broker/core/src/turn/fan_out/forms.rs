//! Messages of the `$SYS` tree in two forms: whole for the asker or for those with a right to it,
//! shortened for all others who may read the topic.

use std::sync::Arc;

use lotmq_auth::Identity;
use lotmq_definitions::{Caching, Definition, Owner};

use crate::routing::route::Route;
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;
use crate::tenant::triggers::Starting;
use crate::turn::Turn;
use crate::turn::fan_out::FanOutOf;

/// Message in two forms, both of one topic.
pub struct Forms<'a> {
    /// Form for the asker, or for those with a right to it.
    pub whole: Publication<'a>,
    /// Form for all others; `None` where they get nothing.
    pub shortened: Option<Publication<'a>>,
}

/// Asker of a message: the session that asked, and every other one of the same user with the same
/// password.
pub struct Asker<'a> {
    identity: &'a Identity,
    session: Option<u64>,
}

impl<'a> Asker<'a> {
    /// Asker that gave a command; `session` is the [number](Client::session_id) of a Client's
    /// session.
    pub fn new(identity: &'a Identity, session: Option<u64>) -> Self {
        Self { identity, session }
    }

    /// Whether the session is one of the asker's. Anonymous Clients share no name: of them only the
    /// one that asked counts.
    fn has(&self, client: &Client) -> bool {
        let identity = client.identity();
        let is_same_session = self.session == Some(client.session_id);
        let is_same_login = identity.credential_version() == self.identity.credential_version();
        identity.is_same_user(self.identity)
            && (is_same_session || (identity.user().is_some() && is_same_login))
    }

    fn owns(&self, definition: &Definition) -> bool {
        let is_theirs = |owner: &Owner| {
            Some(&owner.name) == self.identity.user() && owner.account == self.identity.principal.number()
        };
        definition.owner().is_some_and(is_theirs)
    }
}

impl Forms<'_> {
    /// Routes a message in its two forms. Members of shared subscriptions get the shortened one,
    /// because any of them may hand it to another; so does the last value of the topic. It triggers
    /// definitions of the asker's only.
    pub fn publish(&self, turn: &mut Turn, tenant: &Arc<Tenant>, asker: &Asker<'_>) {
        turn.call_flusher();
        let route = turn.routes.take(tenant, turn.arena.get(self.whole.message.topic));
        let (mut whole, mut shortened) = self.send(turn, &route, &|client| asker.has(client));
        if let Some(shortened) = &mut shortened
            && route.caching != Caching::Skip
        {
            let index = shortened.message(turn);
            let message = Arc::clone(turn.messages.shared(index, &turn.arena));
            tenant.hooks.remember(route.caching, &message);
        }
        if let Some(triggers) = &route.triggers {
            let message = whole.message(turn);
            let starting = Starting { tenant, message, publication: &self.whole };
            triggers.start_some(&mut turn.notes(), &starting, &|definition| asker.owns(definition));
        }
        turn.routes.put_back(tenant, route);
        turn.relieve();
    }

    /// Routes a message whole to the Clients for which `sees_whole` holds, and shortened to all
    /// others. Members of shared subscriptions and guests get the shortened one.
    pub fn publish_by_right(
        &self,
        turn: &mut Turn,
        tenant: &Arc<Tenant>,
        sees_whole: &dyn Fn(&Client) -> bool,
    ) {
        turn.call_flusher();
        let route = turn.routes.take(tenant, turn.arena.get(self.whole.message.topic));
        if let (_, Some(mut shortened)) = self.send(turn, &route, sees_whole) {
            shortened.tell_guests(turn, tenant, &route);
        }
        turn.routes.put_back(tenant, route);
        turn.relieve();
    }

    /// Sends its form to each receiver of a route.
    fn send(
        &self,
        turn: &mut Turn,
        route: &Route,
        sees_whole: &dyn Fn(&Client) -> bool,
    ) -> (FanOutOf<'_>, Option<FanOutOf<'_>>) {
        let mut whole = FanOutOf::new(&self.whole, true);
        let of_others = |publication| FanOutOf { is_shortened: true, ..FanOutOf::new(publication, true) };
        let mut shortened = self.shortened.as_ref().map(of_others);
        for target in route.askers.iter().filter(|target| sees_whole(&target.client)) {
            whole.send(turn, target).counted(turn);
        }
        for target in &route.targets {
            let form = if sees_whole(&target.client) { Some(&mut whole) } else { shortened.as_mut() };
            if let Some(form) = form {
                form.send(turn, target).counted(turn);
            }
        }
        if let Some(shortened) = &mut shortened {
            for group in &route.groups {
                shortened.send_to_one(turn, group, route).counted(turn);
            }
        }
        (whole, shortened)
    }
}
