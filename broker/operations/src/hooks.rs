//! Hooks of the core and of guests into this crate: log lines, the audit, topics of the `$SYS`
//! tree, commands, passwords.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;

use lotmq_auth::{Denier, Identity, PendingLogin, PrincipalSource, Question, Scope};
use lotmq_changes::Ticket;
use lotmq_codec::{QoS, ReasonCode};
use tracing::{debug, info, warn};

use crate::broker::Broker;
use crate::command;
use crate::denials::{self, LastDenial};
use crate::logins;
use crate::managed::Managing as _;
use crate::sys;
use lotmq_core::BrokerHooks;
use lotmq_core::Core;
use lotmq_core::arena::Span;
use lotmq_core::connection::Connection;
use lotmq_core::connection::peer::Certified;
use lotmq_core::limits::WrittenLine;
use lotmq_core::reason::NotTaken;
use lotmq_core::reason::close::{CloseReason, LoginChange};
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::replay::Pending;
use lotmq_core::tenant::subscription::Options;
use lotmq_core::turn::Turn;
use lotmq_core::turn::broker_hooks::Outcome;
use lotmq_core::turn::release::Release;
use lotmq_programs::recorder::Denial;
use lotmq_programs::{GuestBrokerHooks, GuestCommand, HasPrograms as _};

impl Broker {
    /// Seconds that the next login as this user from where the connection comes has to wait, if it
    /// has.
    fn login_wait_sec(&self, tenant: &Tenant, user: &str, connection: &Connection) -> Option<u64> {
        let source = connection.peer().for_login().source();
        let left_ms = tenant.users.wait_left_ms(user, source, self.core.clock.now().as_millis());
        (left_ms > 0).then(|| left_ms.div_ceil(1000))
    }
}

/// Source of the user of a new connection, for the log. The account of a user whom the certificate
/// names has source `certificate`.
fn login_source(identity: &Identity, connection: &Connection) -> String {
    let source = identity.principal.source();
    let certified = || match connection.transport.certified() {
        Some(Certified::User(user)) => identity.user_name() == Some(&*user),
        Some(Certified::Nobody) | None => false,
    };
    match source {
        PrincipalSource::Account { .. } if certified() => "certificate".to_owned(),
        PrincipalSource::Account { .. } | PrincipalSource::Anonymous | PrincipalSource::Member(_) => {
            source.to_string()
        }
    }
}

impl GuestBrokerHooks for Broker {
    fn command_of_guest(&self, turn: &mut Turn, command: GuestCommand<'_>) -> bool {
        command::command_of_guest(self, turn, command)
    }
}

impl BrokerHooks for Broker {
    fn connect_refused(
        &self,
        turn: &mut Turn,
        tenant: &Arc<Tenant>,
        connection: &Connection,
        (client_id, user): (&str, Option<&str>),
        reason: ReasonCode,
        cause: &dyn Display,
    ) {
        self.login_guests.refused(connection.number);
        self.authentication_refused(tenant, connection, client_id, user, cause);
        sys::logins::refused(turn, tenant, connection, (client_id, user), (reason as u8, cause));
    }

    fn authentication_refused(
        &self,
        tenant: &Tenant,
        connection: &Connection,
        client_id: &str,
        user: Option<&str>,
        cause: &dyn Display,
    ) {
        if let Some(WrittenLine { suppressed }) =
            self.client_lines.refused.next(self.core.clock.now().as_millis())
        {
            let not_local = connection.transport.why_not_local();
            let wait_sec = user.and_then(|user| self.login_wait_sec(tenant, user, connection));
            warn!(target: "client", peer = %connection.peer(), client_id, user, reason = cause.to_string(), not_local, wait_sec, suppressed, "login refused");
        }
        let refused = &tenant.managed().refused_logins;
        refused.note(client_id, &connection.peer(), cause, self.core.clock.wall_ms());
        let (audit, who) = (&tenant.managed().audit, (user, client_id));
        audit.refused(&self.core.counters, self.core.clock.wall_ms(), who, connection.peer(), cause);
    }

    fn login_change(
        &self,
        identity: &Identity,
        connection: &Connection,
        is_last: bool,
    ) -> Option<LoginChange> {
        self.login_guests.change_of(identity, connection.number, is_last)
    }

    fn connected(&self, turn: &mut Turn, client: &Client, connection: &Connection, session_present: bool) {
        client.tenant.programs().guests.connected(client);
        if let Some(WrittenLine { suppressed }) = self.client_lines.connected.next(turn.now().as_millis()) {
            let (client_id, identity) = (&*client.client_id, client.identity());
            let (user, source) = (identity.user_name(), login_source(&identity, connection));
            debug!(target: "client", peer = %connection.peer(), client_id, user, source, suppressed, "client connected");
        }
        let (audit, identity) = (&client.tenant.managed().audit, client.identity());
        self.login_guests.connected(&identity, connection.number, session_present);
        audit.accepted(&self.core.counters, self.core.clock.wall_ms(), &identity, connection.peer());
        sys::logins::connected(turn, client, connection);
    }

    fn disconnects(
        &self,
        turn: &Turn,
        client: &Client,
        connection: &Connection,
        reason: &CloseReason,
        failure: Option<String>,
    ) {
        let lines = match reason.is_usual() {
            true => &self.client_lines.disconnected,
            false => &self.client_lines.lost,
        };
        let Some(WrittenLine { suppressed }) = lines.next(turn.now().as_millis()) else { return };
        let client_id = &*client.client_id;
        let code = reason.reason_code().map(ReasonCode::text).unwrap_or_default();
        let error = failure.unwrap_or_else(|| reason.words());
        if reason.is_usual() {
            debug!(target: "client", peer = %connection.peer(), client_id, reason = reason.word(), code, error, suppressed, "client disconnected");
        } else {
            info!(target: "client", peer = %connection.peer(), client_id, reason = reason.word(), code, error, suppressed, "client disconnected");
        }
    }

    fn disconnected(&self, turn: &mut Turn, client: &Client, connection: &Connection, reason: &CloseReason) {
        client.tenant.programs().guests.disconnected(client, connection, reason);
        self.login_guests.disconnected(client, connection.number, reason.word());
        sys::logins::disconnected(turn, client, connection, reason);
    }

    fn denied(&self, client: &Client, question: &Question<'_>, denier: &Denier) {
        let (scope, topic) = (question.scope, question.topic.unwrap_or_default());
        self.core.figures.denials.count(scope.name());
        let (tenant, identity) = (&client.tenant, question.identity);
        tenant.managed().audit.denied(
            &self.core.counters,
            self.core.clock.wall_ms(),
            identity,
            (scope.name(), topic),
        );
        if let Some(recorder) = tenant.programs().guests.recorder.get() {
            recorder.sees_denial(Denial {
                scope: scope.name(),
                topic: question.topic.map(str::to_owned),
                user: identity.user_name().map(str::to_owned),
                client_id: client.client_id.to_string(),
                by: denials::by(tenant, denier),
            });
        }
        let (user, client_id) = (identity.user_name().unwrap_or_default(), &*client.client_id);
        let source = identity.principal.source();
        let last = LastDenial {
            user: identity.user().cloned(),
            scope: scope.name(),
            topic: denials::remembered(topic).to_owned(),
            client_id: Arc::clone(&client.client_id),
            by: denier.clone(),
            at_ms: self.core.clock.wall_ms(),
        };
        match tenant.managed().denials.note(identity.user(), scope, last) {
            Some(count) => {
                warn!(target: "rules", tenant = &*tenant.name, user, %source, client_id, scope = scope.name(), topic, by = denials::by(tenant, denier), count, "denied by a rule");
            }
            // Readers of the debug log see each of them.
            None => {
                debug!(target: "rules", tenant = &*tenant.name, user, %source, client_id, scope = scope.name(), topic, by = denials::by(tenant, denier), "denied by a rule");
            }
        }
    }

    fn refuse_command(&self, turn: &mut Turn, client: &Arc<Client>, payload: Span) {
        command::not_allowed(turn, client, payload);
    }

    fn denied_when_due(&self, turn: &Turn, tenant: &Tenant, identity: &Identity, kind: &str, topic: &str) {
        let (audit, scope) = (&tenant.managed().audit, Scope::of_publish(topic));
        self.core.figures.denials.count(scope.name());
        audit.denied(&self.core.counters, turn.wall_ms(), identity, (scope.name(), topic));
        if let Some(WrittenLine { suppressed }) =
            self.client_lines.denied_when_due.next(turn.now().as_millis())
        {
            let (client_id, user) = (&*identity.client_id, identity.user_name());
            let source = identity.principal.source();
            info!(target: "client", client_id, user, %source, topic, suppressed, "{kind} not published, no permission");
        }
    }

    fn subscribed(&self, client: &Client, filter: &str, qos: QoS) {
        client.tenant.programs().guests.subscribed(client, filter, qos);
        self.login_guests.subscribed(client, filter, qos);
        self.logs.may_be_wanted(&client.tenant, filter);
    }

    fn published_to_tree(
        &self,
        turn: &mut Turn,
        client: &Arc<Client>,
        topic: Span,
        properties: Span,
        payload: Span,
    ) -> Result<(), NotTaken> {
        command::published(self, turn, client, (topic, properties, payload))
    }

    fn hand_over_kept(&self, _core: &Core) -> bool {
        self.hosting.tenants.all().iter().all(|tenant| lotmq_programs::hand_over_kept(&self.hosting, tenant))
    }

    fn bridge_state(&self, turn: &mut Turn, client: &Client, topic: &str, payload: &[u8]) {
        sys::note_state(turn, client, topic, payload);
    }

    fn retained_of_tree(&self, client: &Client, filter: &str, options: Options) -> VecDeque<Pending> {
        sys::snapshot(self, client, filter, options)
    }

    fn check_password(
        &self,
        tenant: &Arc<Tenant>,
        connection: &Arc<Connection>,
        pending: PendingLogin,
        outcome: Outcome,
    ) {
        logins::check(&self.core, &self.logins, (tenant, connection), pending, outcome);
    }

    fn is_own_password(&self, identity: &Identity, payload: &[u8]) -> bool {
        command::is_own_password(identity, payload)
    }

    fn has_work(&self) {
        self.hosting.housekeeping.wake();
    }

    fn release_when_committed(&self, ticket: Ticket, releases: Vec<Release>) {
        let shards = &self.net.shards;
        shards[ticket.number() as usize % shards.len()].release_when_committed(ticket, releases);
    }
}
