//! Database and export of the schema version, committed on the day the version was complete. So a
//! change of the layout without a new version fails.
//!
//! `UPDATE_FIXTURE=1 cargo test -p lotmq-store fixture` makes the files of a new version.

use std::ops::ControlFlow;
use std::path::PathBuf;

use bytes::Bytes;
use lotmq_changes::table::{BackupClass, SCHEMA_VERSION};
use lotmq_changes::*;
use lotmq_store::*;

use crate::support::*;

fn path(form: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/schema-{SCHEMA_VERSION}.{form}"))
}

/// Something in every table.
pub(crate) fn fill(store: &Store) {
    let tenant = TenantId(1);
    commit_with(store, |batch| {
        batch.push(Op::PutTenant(&TenantRow { id: tenant, name: "plant".into() }));
        fill_rows(batch, TenantId::DEFAULT);
        fill_rows(batch, tenant);
        batch.push(Op::PutMeta(&MetaRow { name: "project".into(), value: b"demo".to_vec() }));
    });
    fill_sessions(store);
}

fn fill_rows(batch: &mut Batch, tenant: TenantId) {
    batch.push(Op::PutRetained(&RetainedRow {
        tenant,
        topic: "site/temperature".into(),
        version: MessageId(40),
        qos: 1,
        properties: Bytes::from_static(b"\x01\x01"),
        payload: Bytes::from_static(b"21.5"),
        published_at_ms: 1_790_000_000_000,
        expires_at_ms: Some(1_990_000_000_000),
        keeper: KeeperRow::default(),
    }));
    let kept = Bytes::from_static(b"3");
    batch.push(Op::PutKeep(&KeepRow {
        tenant,
        topic: "counter".into(),
        payload: kept,
        kept_at_ms: 1,
        user: Some("keeper".into()),
    }));
    batch.push(Op::PutDelayed(&DelayedRow {
        tenant,
        id: MessageId(7),
        due_at_ms: 1_990_000_000_000,
        topic: "valve/off".into(),
        properties: Bytes::new(),
        payload: Bytes::from_static(b"1"),
        qos: 2,
        retain: true,
        expires_at_ms: None,
        user: None,
        client: Some(DelayedClientRow {
            client_id: "sensor".into(),
            peer: PeerRow::Unix,
            protocol_level: 5,
            principal: None,
        }),
    }));
    batch.push(Op::PutDefinition(&DefinitionRow {
        tenant,
        kind: "action".into(),
        name: "Heater".into(),
        source: "DEFINE ACTION Heater\nON TOPIC \"a\" DO\n".into(),
        owner: "root".into(),
        origin: "command".into(),
        order: 1,
        changed_at_ms: 1_790_000_000_000,
        state: vec![],
    }));
    let module = ModuleRow {
        tenant,
        name: "Filter".into(),
        is_former: false,
        world: "action".into(),
        options: "{}".into(),
        hash: [3; 32],
        component_bytes: 4,
        owner: "root".into(),
        origin: "command".into(),
        order: 2,
        changed_at_ms: 1_790_000_000_000,
    };
    batch.push(Op::PutModule { row: &module, component: Bytes::from_static(b"\0asm") });
    let project = ProjectRow {
        tenant,
        name: "plant".into(),
        source: "upload".into(),
        manifest: "{}".into(),
        owner: "root".into(),
        changed_at_ms: 1_790_000_000_000,
    };
    batch.push(Op::PutProject { row: &project, archive: Bytes::from_static(b"PK") });
    batch.push(Op::PutUser(&UserRow {
        tenant,
        name: "root".into(),
        credential: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
        credential_version: 1,
        is_default_credential: true,
        groups: vec!["admin".into()],
        settings: vec![("AllowedUserManagement".into(), "true".into())],
        created_at_ms: 1_790_000_000_000,
    }));
    batch.push(Op::PutSetting(&SettingRow { tenant, name: "Port".into(), value: "1883".into() }));
    batch.push(Op::PutEnv(&EnvironmentRow { tenant, name: "SITE".into(), value: "north".into() }));
    batch.push(Op::PutSecret { tenant, name: "TOKEN", value: b"hidden" });
    for number in 1..=2 {
        let text = format!("{{\"verb\":\"{number}\"}}");
        batch.push(Op::PutAudit { tenant, number, at_ms: 1_790_000_000_000, digest: [5; 32], text: &text });
    }
}

fn fill_sessions(store: &Store) {
    let will = WillRow {
        topic: "gone".into(),
        properties: Bytes::new(),
        payload: Bytes::from_static(b"bye"),
        qos: 1,
        retain: false,
        delay_interval_s: 5,
    };
    let (a, b) = (store.next_session_id(), store.next_session_id());
    let subscription = SubscriptionRow {
        tenant: TenantId::DEFAULT,
        session: a,
        filter: "site/#".into(),
        qos: 2,
        no_local: false,
        retain_as_published: true,
        retain_handling: 1,
        subscription_id: Some(7),
        membership: None,
    };
    let membership = Some(MembershipId::numbered(MessageId(6)));
    let shared = SubscriptionRow { filter: "$share/g/site/+".into(), membership, ..subscription };
    let ids: Vec<_> = (0..3).map(|_| store.next_message_id()).collect();
    let large = vec![9; 40_000];
    commit_with(store, |batch| {
        let peer = PeerRow::Tcp("192.0.2.7".parse().unwrap());
        batch.push(Op::PutSession(&SessionRow { will: Some(will), peer, ..session(0, a, "sensor") }));
        batch.push(Op::PutSession(&session(1, b, "sensor")));
        batch.push(Op::PutSubscription(&subscription));
        batch.push(Op::PutSubscription(&shared));
        let by_itself = Delivery { subscription_ids: &[7], ..delivery(a) };
        let by_group = Delivery { membership, ..delivery(a) };
        let both = [Delivery { packet_id: Some(packet_id(9)), ..by_itself }, delivery(b)];
        batch.push(Op::Enqueue { message: message(ids[0], "site/a", b"1"), deliveries: &both });
        batch.push(Op::Enqueue { message: message(ids[1], "site/b", &large), deliveries: &[by_group] });
        batch.push(Op::Enqueue { message: message(ids[2], "site/c", b"3"), deliveries: &both });
        batch.push(Op::Dequeue { session: b, message: ids[0] });
        batch.push(Op::Inflight { session: a, message: ids[1], packet_id: packet_id(10) });
        batch.push(Op::PubrecReceived { session: a, message: ids[2], packet_id: packet_id(9) });
        batch.push(Op::Qos2Received { session: b, packet_id: packet_id(300) });
    });
}

/// Everything that was found, as text.
pub(crate) fn describe(recovered: &Recovered) -> String {
    let secrets: Vec<_> =
        recovered.secrets.iter().map(|secret| secret.value.as_ref().map(|value| value.to_vec())).collect();
    let users: Vec<_> =
        recovered.users.iter().map(|user| (&user.credential, &user.groups, &user.settings)).collect();
    format!("{recovered:?}\n{secrets:?}\n{users:?}")
}

/// The component of the module of the other tenant.
fn component(store: &Store) -> Bytes {
    store.snapshot().unwrap().component(TenantId(1), &[3; 32]).unwrap().unwrap()
}

/// The audit of a tenant.
pub(crate) fn audit(store: &Store, tenant: TenantId) -> Vec<AuditRecord> {
    let mut records = Vec::new();
    let damaged = store.audit(tenant, 0..=u64::MAX, |record| {
        records.push(record);
        ControlFlow::Continue(())
    });
    assert_eq!(damaged.unwrap(), 0);
    records
}

#[test]
fn fixture_of_the_schema_opens_with_all_its_contents() {
    let directory = tempfile::tempdir().unwrap();
    // Nothing stays in memory, so that there is something in table `queues`, too.
    let limits = Limits { entries_in_memory_max: 0, replay_bytes_max: 0, ..Limits::default() };
    let options = StoreOptions { limits, ..options(directory.path()) };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    fill(&store);
    assert_eq!(store.metrics().entries_in_memory, 0);
    drop(store);
    let (store, recovered) = open(directory.path());
    let audit_now = audit(&store, TenantId::DEFAULT);
    let now = describe(&recovered);
    drop(store);
    if std::env::var_os("UPDATE_FIXTURE").is_some() {
        Store::compact(directory.path()).unwrap();
        std::fs::copy(directory.path().join("lotmq.redb"), path("redb")).unwrap();
        let mut file = std::fs::File::create(path("export")).unwrap();
        use BackupClass::{Audit, Configuration, Messages, Secret, Sessions};
        let classes = [Configuration, Messages, Sessions, Secret, Audit];
        Store::export(directory.path(), &classes, &mut file).unwrap();
    }
    let imported = tempfile::tempdir().unwrap();
    let mut export = std::fs::File::open(path("export")).unwrap();
    Store::import(imported.path(), &mut export).unwrap();
    let (store, recovered) = open(imported.path());
    assert_eq!(describe(&recovered), now, "export");
    assert_eq!(audit(&store, TenantId::DEFAULT), audit_now, "export");
    assert_eq!(component(&store), &b"\0asm"[..], "export");
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(path("redb"), directory.path().join("lotmq.redb")).unwrap();
    assert_eq!(Store::check(directory.path()).unwrap(), []);
    let (store, recovered) = open(directory.path());
    assert_eq!(describe(&recovered), now);
    assert_eq!(audit(&store, TenantId::DEFAULT), audit_now);
    assert_eq!(component(&store), &b"\0asm"[..]);
    let archive = store.snapshot().unwrap().archive(TenantId::DEFAULT, "plant").unwrap();
    assert_eq!(archive.as_deref(), Some(&b"PK"[..]));
    assert_eq!(recovered.sessions[0].queue[0].packet_id, Some(packet_id(9)));
    assert_eq!(recovered.sessions[0].queue[1].message.payload.len(), 40_000);
    assert_eq!(recovered.sessions[0].pubrel[0].0, packet_id(9));
    assert_eq!(recovered.sessions[1].qos2_received, [packet_id(300)]);
    put_session(&store, 0, "it can be written");
    let ends = store.audit_ends(TenantId::DEFAULT, 0..=u64::MAX).unwrap();
    assert_eq!(ends.map(|ends| (ends.first, ends.next)), Some((1, 3)));
}
