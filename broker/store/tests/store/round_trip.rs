//! Every operation, stored and read back by another opening of the file.

use bytes::Bytes;
use lotmq_changes::*;
use lotmq_store::*;

use crate::support::*;

#[test]
fn a_new_store_has_the_default_tenant_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (store, recovered) = open(directory.path());
    assert!(recovered.is_new);
    assert_eq!(recovered.tenants, [TenantRow { id: TenantId::DEFAULT, name: "default".into() }]);
    assert!(recovered.sessions.is_empty() && recovered.meta.is_empty());
    store.close();
    let (_store, recovered) = open(directory.path());
    assert!(!recovered.is_new);
}

fn rows() -> Recovered {
    let tenant = TenantId(3);
    let tenants = vec![TenantRow { id: tenant, name: "plant".into() }];
    let mut rows = Recovered { tenants, ..Recovered::default() };
    rows.retained = vec![RetainedRow {
        tenant,
        topic: "a/b".into(),
        version: MessageId(9),
        qos: 1,
        properties: Bytes::from_static(b"\x26p"),
        payload: Bytes::from(vec![5; 200_000]),
        published_at_ms: 77,
        expires_at_ms: Some(99),
        keeper: KeeperRow::User("ann".into()),
    }];
    let kept = Bytes::from_static(b"21");
    rows.keeps =
        vec![KeepRow { tenant, topic: "k".into(), payload: kept, kept_at_ms: 5, user: Some("ann".into()) }];
    let client = DelayedClientRow {
        client_id: "c".into(),
        peer: PeerRow::Unknown,
        protocol_level: 4,
        principal: None,
    };
    rows.delayed = vec![DelayedRow {
        tenant,
        id: MessageId(11),
        due_at_ms: 12,
        topic: "valve/off".into(),
        properties: Bytes::from_static(b"\x26p"),
        payload: Bytes::from(vec![6; 200_000]),
        qos: 1,
        retain: false,
        expires_at_ms: Some(99),
        user: Some("ann".into()),
        client: Some(client),
    }];
    let of_program = DelayedRow { id: MessageId(12), user: None, client: None, ..rows.delayed[0].clone() };
    rows.delayed.push(of_program);
    rows.definitions = vec![DefinitionRow {
        tenant,
        kind: "action".into(),
        name: "Heater".into(),
        source: "DEFINE ACTION Heater".into(),
        owner: "root".into(),
        origin: "command".into(),
        order: 4,
        changed_at_ms: 6,
        state: vec![1, 2],
    }];
    rows.modules = vec![ModuleRow {
        tenant,
        name: "M".into(),
        is_former: false,
        world: "action".into(),
        options: "{}".into(),
        hash: [8; 32],
        component_bytes: 100_000,
        owner: "root".into(),
        origin: "command".into(),
        order: 5,
        changed_at_ms: 6,
    }];
    let former = ModuleRow { is_former: true, hash: [8; 32], ..rows.modules[0].clone() };
    rows.modules.push(former);
    rows.projects = vec![ProjectRow {
        tenant,
        name: "plant 2".into(),
        source: "plant.zip".into(),
        manifest: "[]".into(),
        owner: "root".into(),
        changed_at_ms: 7,
    }];
    rows.users = vec![UserRow {
        tenant,
        name: "ann".into(),
        credential: "$argon2id$v=19$...".into(),
        credential_version: 2,
        is_default_credential: false,
        groups: vec!["admin".into(), "ops".into()],
        settings: vec![("AllowedLogManagement".into(), "true".into())],
        created_at_ms: 3,
    }];
    rows.settings = vec![SettingRow { tenant, name: "Port".into(), value: "1883".into() }];
    rows.environment = vec![EnvironmentRow { tenant, name: "SITE".into(), value: "north = 1".into() }];
    rows.meta = vec![MetaRow { name: "project".into(), value: vec![1, 2, 3] }];
    rows
}

fn put_all(batch: &mut Batch, rows: &Recovered) {
    rows.tenants.iter().for_each(|row| batch.push(Op::PutTenant(row)));
    rows.retained.iter().for_each(|row| batch.push(Op::PutRetained(row)));
    rows.keeps.iter().for_each(|row| batch.push(Op::PutKeep(row)));
    rows.delayed.iter().for_each(|row| batch.push(Op::PutDelayed(row)));
    rows.definitions.iter().for_each(|row| batch.push(Op::PutDefinition(row)));
    for row in &rows.modules {
        batch.push(Op::PutModule { row, component: Bytes::from(vec![0; 100_000]) });
    }
    for row in &rows.projects {
        batch.push(Op::PutProject { row, archive: Bytes::from(vec![7; 300_000]) });
    }
    rows.users.iter().for_each(|row| batch.push(Op::PutUser(row)));
    rows.settings.iter().for_each(|row| batch.push(Op::PutSetting(row)));
    rows.environment.iter().for_each(|row| batch.push(Op::PutEnv(row)));
    rows.meta.iter().for_each(|row| batch.push(Op::PutMeta(row)));
    batch.push(Op::PutSecret { tenant: TenantId(3), name: "S", value: b"hidden" });
}

fn delete_all(batch: &mut Batch) {
    let tenant = TenantId(3);
    batch.push(Op::DeleteTenant(tenant));
    batch.push(Op::DeleteRetained { tenant, topic: "a/b", version: MessageId(10) });
    batch.push(Op::DeleteKeep { tenant, topic: "k" });
    for id in [11, 12] {
        batch.push(Op::DeleteDelayed { tenant, id: MessageId(id) });
    }
    batch.push(Op::DeleteDefinition { tenant, kind: "action", name: "Heater" });
    for is_former in [false, true] {
        batch.push(Op::DeleteModule { tenant, name: "M", is_former });
    }
    batch.push(Op::DeleteProject { tenant, name: "plant 2" });
    batch.push(Op::DeleteUser { tenant, name: "ann" });
    batch.push(Op::DeleteSetting { tenant, name: "Port" });
    batch.push(Op::DeleteEnv { tenant, name: "SITE" });
    batch.push(Op::DeleteSecret { tenant, name: "S" });
}

#[test]
fn every_row_is_read_back_and_can_be_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let rows = rows();
    let (store, _) = open(directory.path());
    commit_with(&store, |batch| put_all(batch, &rows));
    drop(store);

    let (store, found) = open(directory.path());
    assert_eq!(found.tenants[1..], rows.tenants);
    assert_eq!(found.retained, rows.retained);
    assert_eq!(found.keeps, rows.keeps);
    assert_eq!(found.delayed, rows.delayed);
    assert_eq!(found.definitions, rows.definitions);
    assert_eq!(found.modules, rows.modules);
    assert_eq!(found.projects, rows.projects);
    let archive = |store: &Store| store.snapshot().unwrap().archive(TenantId(3), "plant 2").unwrap();
    assert_eq!(archive(&store).as_deref(), Some(&[7; 300_000][..]));
    let component = |store: &Store| store.snapshot().unwrap().component(TenantId(3), &[8; 32]).unwrap();
    assert_eq!(component(&store).as_deref(), Some(&[0; 100_000][..]));
    assert!(found.users == rows.users);
    assert_eq!(found.settings, rows.settings);
    assert_eq!(found.environment, rows.environment);
    assert_eq!(found.meta, rows.meta);
    assert_eq!(found.secrets[0].value.as_ref().unwrap().as_slice(), b"hidden");
    commit_with(&store, delete_all);
    drop(store);

    let (store, found) = open(directory.path());
    assert_eq!((archive(&store), component(&store)), (None, None));
    assert_eq!((found.tenants.len(), found.projects.len()), (1, 0));
    assert!(found.retained.is_empty() && found.keeps.is_empty() && found.definitions.is_empty());
    assert!(found.modules.is_empty() && found.users.is_empty() && found.settings.is_empty());
    assert!(found.environment.is_empty() && found.secrets.is_empty() && found.delayed.is_empty());
}

#[test]
fn a_session_comes_back_with_subscriptions_and_will() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let id = store.next_session_id();
    let will = WillRow {
        topic: "gone".into(),
        properties: Bytes::from_static(b"\x01\x01"),
        payload: Bytes::from_static(b"bye"),
        qos: 2,
        retain: true,
        delay_interval_s: 30,
    };
    let peer = PeerRow::Proxied("2001:db8::7".parse().unwrap());
    let row = SessionRow { user: Some("ann".into()), will: Some(will), peer, ..session(0, id, "c") };
    let subscription = |filter: &str| SubscriptionRow {
        tenant: TenantId::DEFAULT,
        session: id,
        filter: filter.into(),
        qos: 2,
        no_local: true,
        retain_as_published: true,
        retain_handling: 2,
        subscription_id: Some(268_435_455),
        membership: None,
    };
    let membership = Some(MembershipId::numbered(MessageId(1_000)));
    let kept = SubscriptionRow { membership, ..subscription("$share/g/a/+") };
    let other = subscription("b/#");
    commit_with(&store, |batch| {
        batch.push(Op::PutSession(&row));
        batch.push(Op::PutSubscription(&kept));
        batch.push(Op::PutSubscription(&other));
    });
    let tenant = TenantId::DEFAULT;
    commit_with(&store, |batch| batch.push(Op::DeleteSubscription { tenant, session: id, filter: "b/#" }));
    drop(store);
    let (store, found) = open(directory.path());
    assert_eq!(found.sessions[0].session, row);
    assert_eq!(found.sessions[0].subscriptions, [kept]);
    assert!(store.next_message_id() > MessageId(1_000), "no other membership gets its number");
    commit(&store, [Op::DeleteSession { tenant, session: id }]);
    drop(store);
    let (store, found) = open(directory.path());
    assert!(found.sessions.is_empty());
    assert!(store.next_session_id() > id, "a session number is never used again");
}

#[test]
fn a_queue_comes_back_in_order_with_contents_and_packet_ids() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let (a, b) = (put_session(&store, 0, "a"), put_session(&store, 0, "b"));
    let ids: Vec<_> = (0..4).map(|_| store.next_message_id()).collect();
    let large = vec![42; 300_000];
    commit_with(&store, |batch| {
        let first = MessageRef {
            properties: b"\x26k",
            expires_at_ms: Some(5),
            qos: 2,
            ..message(ids[0], "t/0", b"zero")
        };
        let sent = Delivery {
            qos: 2,
            retain: true,
            published_retain: true,
            packet_id: Some(packet_id(77)),
            subscription_ids: &[1, 70_000],
            membership: Some(MembershipId::numbered(MessageId(300))),
            ..delivery(a)
        };
        batch.push(Op::Enqueue { message: first, deliveries: &[sent, delivery(b)] });
        batch.push(Op::Enqueue {
            message: message(ids[1], "t/1", &large),
            deliveries: &[delivery(b), delivery(a)],
        });
        batch.push(Op::Enqueue { message: message(ids[2], "t/2", b""), deliveries: &[delivery(a)] });
        batch.push(Op::Enqueue { message: message(ids[3], "t/3", b"x"), deliveries: &[delivery(a)] });
        batch.push(Op::Dequeue { session: a, message: ids[2] });
        batch.push(Op::Inflight { session: a, message: ids[1], packet_id: packet_id(78) });
        batch.push(Op::PubrecReceived { session: b, message: ids[0], packet_id: packet_id(5) });
        batch.push(Op::Qos2Received { session: b, packet_id: packet_id(6) });
        batch.push(Op::Qos2Received { session: b, packet_id: packet_id(65_535) });
        batch.push(Op::Qos2Released { session: b, packet_id: packet_id(6) });
    });
    drop(store);

    let (store, found) = open(directory.path());
    assert_eq!(queue(&found, a), [ids[0].0, ids[1].0, ids[3].0]);
    assert_eq!(queue(&found, b), [ids[1].0]);
    let first = &found.sessions[0].queue[0];
    assert_eq!((first.qos, first.retain, first.packet_id), (2, true, Some(packet_id(77))));
    assert_eq!(first.subscription_ids, [1, 70_000]);
    assert_eq!(first.membership, Some(MembershipId::numbered(MessageId(300))));
    assert_eq!(found.sessions[0].queue[1].membership, None);
    assert_eq!(first.message.topic, "t/0");
    assert_eq!((&first.message.payload[..], &first.message.properties[..]), (&b"zero"[..], &b"\x26k"[..]));
    assert_eq!((first.message.expires_at_ms, first.message.qos), (Some(5), 2));
    assert_eq!(found.sessions[0].queue[1].packet_id, Some(packet_id(78)));
    assert_eq!(found.sessions[0].queue[1].message.payload, large);
    assert_eq!(found.sessions[1].pubrel, [(packet_id(5), ids[0])]);
    assert_eq!(found.sessions[1].qos2_received, [packet_id(65_535)]);
    assert!(store.next_message_id() > ids[3], "message numbers go on");
    commit(&store, [Op::PubcompReceived { session: b, packet_id: packet_id(5) }]);
    drop(store);
    let (_store, found) = open(directory.path());
    assert!(found.sessions[1].pubrel.is_empty());
}

#[test]
fn a_message_for_a_thousand_sessions_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let sessions: Vec<_> = (0..20_000).map(|_| store.next_session_id()).collect();
    commit_with(&store, |batch| {
        for id in &sessions {
            batch.push(Op::PutSession(&session(0, *id, &id.0.to_string())));
        }
    });
    let id = store.next_message_id();
    let deliveries: Vec<_> = sessions.iter().map(|id| delivery(*id)).collect();
    let payload = vec![1; 10_000];
    commit_with(&store, |batch| {
        batch.push(Op::Enqueue { message: message(id, "t", &payload), deliveries: &deliveries });
        batch.push(Op::Dequeue { session: sessions[19_999], message: id });
    });
    let bytes = store.metrics().log_bytes;
    assert!(bytes < 10_000 + 3 * 20_000, "{bytes}");
    drop(store);
    let (_store, found) = open(directory.path());
    assert!(found.sessions[..19_999].iter().all(|session| session.queue.len() == 1));
    assert!(found.sessions[19_999].queue.is_empty());
    let first = &found.sessions[0].queue[0].message;
    assert!(std::sync::Arc::ptr_eq(first, &found.sessions[19_998].queue[0].message));
}

#[test]
fn the_newest_retained_message_wins_in_any_order() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let row = |topic: &str, version, payload: &'static [u8]| RetainedRow {
        tenant: TenantId::DEFAULT,
        topic: topic.into(),
        version: MessageId(version),
        qos: 0,
        properties: Bytes::new(),
        payload: Bytes::from_static(payload),
        published_at_ms: 0,
        expires_at_ms: None,
        keeper: KeeperRow::Nobody,
    };
    let delete =
        |topic, version| Op::DeleteRetained { tenant: TenantId::DEFAULT, topic, version: MessageId(version) };
    commit_with(&store, |batch| {
        batch.push(Op::PutRetained(&row("late put", 5, b"new")));
        batch.push(Op::PutRetained(&row("late put", 4, b"old")));
        batch.push(Op::PutRetained(&row("late delete", 7, b"new")));
        batch.push(delete("late delete", 6));
        batch.push(delete("deleted", 9));
        batch.push(Op::PutRetained(&row("deleted", 8, b"old")));
    });
    commit_with(&store, |batch| batch.push(Op::PutRetained(&row("deleted", 7, b"older"))));
    drop(store);
    let (store, found) = open(directory.path());
    let found: Vec<_> = found.retained.iter().map(|row| (row.topic.as_str(), &row.payload[..])).collect();
    assert_eq!(found, [("late delete", &b"new"[..]), ("late put", &b"new"[..])]);
    assert!(store.next_message_id() > MessageId(7));
}

#[test]
fn two_tenants_share_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let all: Vec<_> = [1, 2].map(|tenant| (tenant, put_session(&store, tenant, "same"))).into();
    for (tenant, id) in &all {
        let tenant = TenantId(*tenant);
        let value = format!("of {}", tenant.0);
        let mut rows = rows();
        rows.tenants[0] = TenantRow { id: tenant, name: value.clone() };
        rows.retained[0] = RetainedRow { tenant, payload: value.clone().into(), ..rows.retained[0].clone() };
        rows.keeps[0] = KeepRow { tenant, payload: value.clone().into(), ..rows.keeps[0].clone() };
        rows.definitions[0] = DefinitionRow { tenant, source: value.clone(), ..rows.definitions[0].clone() };
        rows.modules.truncate(1);
        rows.modules[0] = ModuleRow { tenant, world: value.clone(), ..rows.modules[0].clone() };
        rows.users[0] = UserRow { tenant, credential: value.clone(), ..rows.users[0].clone() };
        rows.settings[0] = SettingRow { tenant, value: value.clone(), ..rows.settings[0].clone() };
        rows.environment[0] = EnvironmentRow { tenant, value: value.clone(), ..rows.environment[0].clone() };
        let sent = MessageRef { tenant, ..message(store.next_message_id(), "same", value.as_bytes()) };
        commit_with(&store, |batch| {
            put_all(batch, &rows);
            batch.push(Op::PutSecret { tenant, name: "same", value: value.as_bytes() });
            batch.push(Op::Enqueue { message: sent, deliveries: &[delivery(*id)] });
        });
    }
    drop(store);
    let (store, found) = open(directory.path());
    for (place, tenant) in [(0, 1), (1, 2)] {
        let value = format!("of {tenant}");
        assert_eq!(found.retained[place].payload, value);
        assert_eq!(found.keeps[place].payload, value);
        assert_eq!(found.definitions[place].source, value);
        assert_eq!(found.modules[place].world, value);
        assert_eq!(found.users[place].credential, value);
        assert_eq!(found.settings[place].value, value);
        assert_eq!(found.environment[place].value, value);
        assert_eq!(found.secrets[place].value.as_ref().unwrap().as_slice(), value.as_bytes());
        assert_eq!(found.sessions[place].queue[0].message.payload, value);
        assert_eq!(found.sessions[place].queue[0].message.tenant, TenantId(tenant));
    }
    commit(
        &store,
        [
            Op::DeleteUser { tenant: TenantId(1), name: "ann" },
            Op::DeleteSession { tenant: TenantId(1), session: all[0].1 },
        ],
    );
    drop(store);
    let (_store, found) = open(directory.path());
    assert_eq!(found.users.len(), 1);
    assert_eq!((found.users[0].tenant, found.sessions[0].session.tenant), (TenantId(2), TenantId(2)));
}
