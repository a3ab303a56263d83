//! A tenant and its Clients for tests of the core, without a broker around them.

use std::sync::Arc;

use lotmq_auth::{Directory, DirectoryOptions, Identity, PasswordCost, Peer, Rulebook};
use lotmq_changes::TenantId;
use lotmq_codec::{ProtocolVersion, QoS, RetainHandling};
use lotmq_definitions::Caching;
use lotmq_session::{Session, SessionExpiry, SessionOptions, Time, WillState};

use crate::message::Message;
use crate::shares::Holding;
use crate::tenant::Tenant;
use crate::tenant::client::{Client, ClientState, LeftAt};
use crate::tenant::replay::Replays;
use crate::tenant::subscription::{Options, Subscriptions};
use crate::tenant::triggers::{Listeners, TenantHooks, Triggers};

/// Options of a plain subscription.
pub(crate) const PLAIN: Options = Options {
    qos: QoS::AtMostOnce,
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::Send,
    identifier: None,
    sys_broker_only: false,
    membership: None,
};

/// Hooks of a tenant in which nothing starts, and so many definitions hear of each topic.
struct HeardBy(usize);

/// Those definitions.
struct Hearing(usize);

impl Listeners for Hearing {
    fn count(&self) -> usize {
        self.0
    }

    fn heard(&self, _: Time) {}
}

impl TenantHooks for HeardBy {
    fn listeners(&self, _: &Tenant, _: &str) -> (Option<Box<dyn Listeners>>, bool) {
        ((self.0 > 0).then(|| Box::new(Hearing(self.0)) as Box<dyn Listeners>), true)
    }

    fn triggers(&self, _: &Tenant, _: &str) -> (Option<Box<dyn Triggers>>, bool) {
        (None, true)
    }

    fn caching(&self, _: &str) -> Caching {
        Caching::Skip
    }

    fn remember(&self, _: Caching, _: &Message) {}
}

/// Tenant without definitions, where rules decide about each message; there are none yet.
pub(crate) fn tenant() -> Arc<Tenant> {
    tenant_by(|permissions| permissions, HeardBy(0))
}

/// Tenant where so many definitions hear of each topic, and all subscribers get all messages.
pub(crate) fn tenant_heard_by(definitions: usize) -> Arc<Tenant> {
    tenant_by(Rulebook::without_delivery, HeardBy(definitions))
}

/// Tenant without definitions, where all subscribers get all messages.
pub(crate) fn open_tenant() -> Arc<Tenant> {
    tenant_heard_by(0)
}

fn tenant_by(decide: impl FnOnce(Rulebook) -> Rulebook, hooks: HeardBy) -> Arc<Tenant> {
    let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
    let users = Arc::new(Directory::new(options).unwrap());
    let permissions = Arc::new(decide(Rulebook::new(Arc::clone(&users))));
    Arc::new(Tenant::new((TenantId::DEFAULT, 0), "default", users, permissions, Box::new(hooks)))
}

pub(crate) fn identity(client_id: &str) -> Arc<Identity> {
    Arc::new(Identity::anonymous(client_id.into(), Peer::Unix))
}

/// Client that is away, whose session goes on for an hour.
pub(crate) fn client(tenant: &Arc<Tenant>, slot: u32, client_id: &str) -> Arc<Client> {
    client_of(tenant, slot, identity(client_id))
}

/// The same of a user.
pub(crate) fn client_of(tenant: &Arc<Tenant>, slot: u32, identity: Arc<Identity>) -> Arc<Client> {
    let state = ClientState {
        link: None,
        session: Session::new(SessionOptions::new(ProtocolVersion::V5)),
        subscriptions: Subscriptions::default(),
        holding: Holding::new(tenant.shares.of(&identity)),
        identity,
        will: WillState::None,
        expiry: SessionExpiry::from_seconds(3_600),
        clean_start: false,
        keep_alive_seconds: 0,
        connected_at_ms: 0,
        left_at: LeftAt::default(),
        replays: Replays::default(),
        queue_allowed_at: 0,
        keeps_rows: false,
        is_over: false,
    };
    Arc::new(Client::new(tenant, u64::from(slot) + 1, slot, state))
}
