//! A message of the `$SYS` tree in two forms: whole for those whom it answers, shortened for all others who may read its topic.

use std::sync::Arc;

use lotmq_auth::Identity;
use lotmq_definitions::{Caching, Definition};

use super::{FanOutOf, Publication};
use crate::client::Client;
use crate::tenant::Tenant;
use crate::triggers::Starting;
use crate::turn::Turn;

/// A message in two forms, both of one topic.
pub struct Forms<'a> {
    /// What the asker gets.
    pub whole: Publication<'a>,
    /// `None` where the others get nothing.
    pub shortened: Option<Publication<'a>>,
}

/// Whom a message answers: the session that asked, and every other one of the same user with the same password.
pub struct Asker<'a> {
    identity: &'a Identity,
    session: Option<u64>,
}

impl<'a> Asker<'a> {
    /// Who gave a command; `session` is its [number](Client::session_id), where it is one of a Client.
    pub fn new(identity: &'a Identity, session: Option<u64>) -> Self {
        Self { identity, session }
    }

    /// Whether the session is one of the asker's. All anonymous Clients have the same name, which is none: of them only the one that asked is.
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
        let route = self.routes.take(tenant, self.arena.get(forms.whole.topic));
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
