//! Messages of the `$SYS` tree in two forms: whole for the asker, shortened for all others who may read the topic.

use std::sync::Arc;

use lotmq_auth::Identity;
use lotmq_definitions::{Caching, Definition};

use super::{FanOutOf, Publication};
use crate::client::Client;
use crate::tenant::Tenant;
use crate::triggers::Starting;
use crate::turn::Turn;

/// Message in two forms, both of one topic.
pub struct Forms<'a> {
    /// Form for the asker.
    pub whole: Publication<'a>,
    /// Form for all others; `None` where they get nothing.
    pub shortened: Option<Publication<'a>>,
}

/// Asker of a message: the session that asked, and every other one of the same user with the same password.
pub struct Asker<'a> {
    identity: &'a Identity,
    session: Option<u64>,
}

impl<'a> Asker<'a> {
    /// Asker that gave a command; `session` is the [number](Client::session_id) of a Client's session.
    pub fn new(identity: &'a Identity, session: Option<u64>) -> Self {
        Self { identity, session }
    }

    /// Whether the session is one of the asker's. Anonymous Clients share no name: of them only the one that asked counts.
    fn has(&self, client: &Client) -> bool {
        let identity = client.identity();
        let is_same_session = self.session == Some(client.session_id);
        let is_same_login = identity.credential_version == self.identity.credential_version;
        identity.user == self.identity.user && (is_same_session || (identity.user.is_some() && is_same_login))
    }

    fn owns(&self, definition: &Definition) -> bool {
        self.identity.user.is_some()
            && definition.owner().map(|owner| &owner.name) == self.identity.user.as_ref()
    }
}

impl Turn {
    /// Routes a message in its two forms. Members of shared subscriptions get the shortened one, because any of them may hand it to another; so does
    /// the last value of the topic. It triggers definitions of the asker's only.
    pub fn publish_forms(&mut self, tenant: &Arc<Tenant>, forms: &Forms<'_>, asker: &Asker<'_>) {
        self.call_flusher();
        let route = self.routes.take(tenant, self.arena.get(forms.whole.message.topic));
        let mut whole = FanOutOf::new(&forms.whole, true);
        let of_others = |publication| FanOutOf { is_shortened: true, ..FanOutOf::new(publication, true) };
        let mut shortened = forms.shortened.as_ref().map(of_others);
        for target in route.askers.iter().filter(|target| asker.has(&target.client)) {
            whole.send(self, target).counted(self);
        }
        for target in &route.targets {
            let form = if asker.has(&target.client) { Some(&mut whole) } else { shortened.as_mut() };
            if let Some(form) = form {
                form.send(self, target).counted(self);
            }
        }
        if let Some(shortened) = &mut shortened {
            for group in &route.groups {
                shortened.send_to_one(self, group, &route).counted(self);
            }
            if route.caching != Caching::Skip {
                let index = shortened.message(self);
                let message = Arc::clone(self.messages.shared(index, &self.arena));
                tenant.hooks.remember(route.caching, &message);
            }
        }
        if let Some(triggers) = &route.triggers {
            let index = whole.message(self);
            let message = &Arc::clone(self.messages.shared(index, &self.arena));
            let starting = Starting { tenant, message, publication: &forms.whole };
            triggers.start_some(self, &starting, &|definition| asker.owns(definition));
        }
        self.routes.put_back(tenant, route);
        self.relieve();
    }
}
