use lotmq_auth::{AccountReference, Principal};
use lotmq_changes::{Batch, Op};
use lotmq_store::{Durability, Store, StoreOptions};

use super::*;
use crate::limits::AUDIT_WAITING_MAX;

fn store() -> Store {
    let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
    Store::open(options, Box::new(|_| {})).unwrap().0
}

fn settings(records: u32) -> lotmq_config::Audit {
    let mut settings = lotmq_config::Audit::default();
    settings.records = records;
    settings
}

fn identity() -> Identity {
    let bob = Principal::of_reference(AccountReference { name: "bob", number: 1 });
    Identity::new(bob, "c1".into(), lotmq_auth::Peer::Unix)
}

fn command<'a>(verb: &'a str) -> Record<'a> {
    Record { verb: Some(verb), ..Record::new(Event::Command) }
}

const DAY_MS: u64 = 86_400_000;

#[test]
fn records_are_chained_across_restarts_and_a_changed_one_is_found() {
    let (store, counters) = (store(), Counters::default());
    for start in 0..3 {
        let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
        for n in 0..3 {
            audit.note(Kind::Administration, &counters, start * DAY_MS + n, &command("addUser"));
        }
        let ticket = audit.flush(&store, &counters, 0).unwrap();
        store.wait(ticket).unwrap();
    }
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    let status = audit.status(&store).unwrap();
    assert_eq!((status.sum(|trail| trail.records), status.days, status.is_intact()), (9, 3, true));
    assert_eq!(counters.audit_records.get(), 9);
    let mut changed = Batch::new();
    let text = r#"{"verb":"removeUser"}"#;
    let (at_ms, digest) = (DAY_MS + 1, [0; 32]);
    changed.push(Op::PutAudit { tenant: TenantId::DEFAULT, number: 5, at_ms, digest, text });
    store.commit(changed).unwrap();
    assert_eq!(audit.status(&store).unwrap().trails[0].broken_at, Some(5));
}

#[test]
fn records_are_found_by_day_and_text_the_newest_ones() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    for n in 0..10 {
        audit.note(
            Kind::Administration,
            &counters,
            n * DAY_MS / 2,
            &command(if n % 2 == 0 { "addUser" } else { "addRule" }),
        );
    }
    audit.flush(&store, &counters, 0);
    let find = |day: Option<&str>, filter: Option<&str>, most| {
        let day = day.map(|day| day.parse().unwrap());
        let found = audit.find(&store, &Selection { day, filter: filter.map(str::to_owned) }, most).unwrap();
        let numbers = found.records.iter().map(|record| record["number"].as_u64().unwrap());
        (numbers.collect::<Vec<_>>(), found.total)
    };
    assert_eq!(find(Some("1970-01-02"), None, 9), (vec![3, 4], 2));
    assert_eq!(find(Some("1970-01-02"), Some("ADDRULE"), 9), (vec![4], 1));
    assert_eq!(find(None, Some("addUser"), 2), (vec![7, 9], 5));
    assert_eq!(find(None, Some("nothing"), 2), (vec![], 0));
    let mut lines = Vec::new();
    let selection = Selection { day: Some("1970-01-01".parse().unwrap()), filter: None };
    let count = audit.each_line::<()>(&store, &selection, |line| {
        lines.push(line.to_owned());
        Ok(())
    });
    assert_eq!(count.unwrap(), Ok(2));
    let start =
        r#"{"time":"1970-01-01T00:00:00.000Z","event":"command","verb":"addUser","number":1,"hash":""#;
    assert!(lines[0].starts_with(start), "{}", lines[0]);
}

#[test]
fn the_oldest_records_go_by_number_and_by_age() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(200)).unwrap();
    for n in 0..500 {
        audit.note(Kind::Administration, &counters, n * DAY_MS, &command("addUser"));
        audit.flush(&store, &counters, 0);
    }
    let status = audit.status(&store).unwrap();
    let records = status.sum(|trail| trail.records);
    assert!((198..=200).contains(&records), "{records} records");
    assert!(status.is_intact());
    audit.expire(&store, 499 * DAY_MS);
    audit.flush(&store, &counters, 0);
    assert_eq!(audit.status(&store).unwrap().sum(|trail| trail.records), 91);
}

#[test]
fn logins_and_denials_are_summed_and_push_out_nothing_that_administrators_did() {
    let (store, counters) = (store(), Counters::default());
    let mut settings = settings(1000);
    settings.access_records = 200;
    let audit = Audit::open(&store, TenantId::DEFAULT, settings).unwrap();
    audit.note(Kind::Administration, &counters, 0, &command("setEnv"));
    let address = |n: u32| Peer::Tcp((std::net::Ipv4Addr::from(n), 1883).into());
    for n in 0..150 {
        audit.accepted(&counters, 1000, &identity(), Peer::Unix);
        audit.denied(&counters, 1000, &identity(), ("Publish", "secret/topic"));
        audit.refused(&counters, 1000, (Some("eve"), "c2"), address(7), &"bad user name or password");
        // As from everywhere.
        for second in 0..10 {
            let from = address(1000 * (second + 1) + n);
            audit.refused(&counters, 1000 * u64::from(second), (None, "c3"), from, &"not allowed");
        }
    }
    audit.flush(&store, &counters, 100_000);
    let found = audit.find(&store, &Selection::default(), 10_000).unwrap();
    let of = |event: &str, result: &str| {
        let fits = |record: &&Value| record["event"] == event && record["result"] == result;
        found.records.iter().filter(fits).collect::<Vec<_>>()
    };
    assert_eq!(of("command", "").len() + found.records.iter().filter(|r| r["verb"] == "setEnv").count(), 1);
    let sum = |event: &str, result: &str| {
        of(event, result).iter().filter_map(|record| record["leftOut"].as_u64()).sum::<u64>()
    };
    assert_eq!(sum("login", "success"), 140);
    assert_eq!(sum("denial", "DENIED"), 140);
    let eve = of("login", "refused").into_iter().find(|record| record["endpoint"] == "0.0.0.7").unwrap();
    assert_eq!(eve["details"]["users"], json!(["eve"]));
    assert_eq!(audit.status(&store).unwrap().trails[0].records, 1);
    assert!(audit.status(&store).unwrap().trails[1].records <= 200);
    assert!(audit.status(&store).unwrap().is_intact());
}

#[test]
fn newest_records_that_are_gone_are_missed_at_once_and_after_a_restart() {
    let (store, counters) = (store(), Counters::default());
    let open = || Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    let audit = open();
    for n in 0..10 {
        audit.note(Kind::Administration, &counters, n, &command("addUser"));
    }
    audit.flush(&store, &counters, 10);
    assert!(open().missing().is_empty());
    // As somebody would who can write the file.
    let mut cut = Batch::new();
    cut.push(Op::DeleteAudit { tenant: TenantId::DEFAULT, from: 8, below: 11 });
    store.commit(cut).unwrap();
    let status = audit.status(&store).unwrap();
    assert_eq!((status.is_intact(), status.trails[0].broken_at), (false, Some(8)));
    let again = open();
    assert_eq!(again.missing(), [(Kind::Administration, 8, 10)]);
    again.note(Kind::Administration, &counters, 20, &command("removeUser"));
    again.flush(&store, &counters, 20);
    let status = again.status(&store).unwrap();
    assert_eq!((status.trails[0].broken_at, status.trails[0].head.number), (Some(11), 11));
}

#[test]
fn audit_heads_are_reported_at_most_once_per_minute_after_storing() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    let told = |now_ms, is_stored| {
        let heads = audit.heads_to_tell(now_ms, |_| is_stored);
        heads.iter().map(|head| (head.kind, head.number)).collect::<Vec<_>>()
    };
    assert_eq!(told(1_000_000, true), []);
    audit.note(Kind::Administration, &counters, 1_000_000, &command("addUser"));
    audit.accepted(&counters, 1_000_000, &identity(), Peer::Unix);
    assert_eq!(told(1_000_000, true), [], "nothing was handed to the store");
    audit.flush(&store, &counters, 1_000_000);
    assert_eq!(told(1_000_000, false), []);
    assert_eq!(told(1_000_000, true), [(Kind::Administration, 1), (Kind::Access, 1)]);
    audit.note(Kind::Administration, &counters, 1_000_001, &command("addUser"));
    audit.flush(&store, &counters, 1_000_001);
    assert_eq!(told(1_000_002, true), [], "not so soon");
    assert_eq!(told(1_060_000, true), [(Kind::Administration, 2)]);
    assert_eq!(told(2_000_000, true), [], "nothing new");
}

#[test]
fn audit_records_without_room_are_counted_in_a_lost_record() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(100_000)).unwrap();
    for _ in 0..AUDIT_WAITING_MAX + 5 {
        audit.note(Kind::Administration, &counters, 0, &command("addUser"));
    }
    audit.flush(&store, &counters, 0);
    audit.flush(&store, &counters, 0);
    let found = audit.find(&store, &Selection::default(), 1).unwrap();
    assert_eq!((&found.records[0]["event"], &found.records[0]["leftOut"]), (&"lost".into(), &5.into()));
    assert_eq!(counters.audit_lost.get(), 5);
    assert!(audit.status(&store).unwrap().is_intact());
}

#[test]
fn an_audit_that_is_turned_off_keeps_nothing() {
    let (store, counters) = (store(), Counters::default());
    let mut off = lotmq_config::Audit::default();
    off.enabled = false;
    let audit = Audit::open(&store, TenantId::DEFAULT, off).unwrap();
    audit.note(Kind::Administration, &counters, 0, &command("addUser"));
    audit.accepted(&counters, 0, &identity(), Peer::Unix);
    assert_eq!(audit.flush(&store, &counters, 0), None);
    assert_eq!(counters.audit_records.get(), 0);
}

/// Records of a user: the numbers that they had first, newest last.
fn first_numbers(audit: &Audit, store: &Store, user: &str) -> Vec<u64> {
    let selection = Selection { day: None, filter: Some(format!("\"user\":\"{user}\"")) };
    let found = audit.find(store, &selection, 10_000).unwrap();
    let first = |record: &Value| record.get("first").unwrap_or(record)["number"].as_u64().unwrap();
    found.records.iter().map(first).collect()
}

fn change(user: &str) -> Record<'_> {
    Record { user: Some(user), ..command("addUser") }
}

#[test]
fn frequent_changes_of_a_user_evict_that_users_audit_records_first() {
    let (store, counters) = (store(), Counters::default());
    let mut audit = Audit::open(&store, TenantId::DEFAULT, settings(200)).unwrap();
    let mut now_ms = 0;
    let mut note = |audit: &Audit, user: &str| {
        now_ms += 1;
        audit.note(Kind::Changes, &counters, now_ms, &change(user));
        audit.settle(&store, &counters, now_ms);
    };
    (0..70).for_each(|_| note(&audit, "bob"));
    (0..5).for_each(|_| note(&audit, "ann"));
    for round in 0..3 {
        (0..700).for_each(|_| note(&audit, "eve"));
        assert_eq!(first_numbers(&audit, &store, "ann"), [71, 72, 73, 74, 75], "round {round}");
        // A third of the half, rounded down: the newest.
        assert_eq!(first_numbers(&audit, &store, "bob"), (38..=70).collect::<Vec<_>>(), "round {round}");
        let changes = &audit.status(&store).unwrap().trails[2];
        assert!((198..=200).contains(&changes.records) && changes.broken_at.is_none(), "{changes:?}");
        // Counted anew.
        audit = Audit::open(&store, TenantId::DEFAULT, settings(200)).unwrap();
    }
    let of_eve = first_numbers(&audit, &store, "eve");
    assert!(of_eve.len() >= 160, "{} records", of_eve.len());
    let selection = Selection { day: None, filter: Some("ann".to_owned()) };
    let of_ann = audit.find(&store, &selection, 1).unwrap().records;
    assert_eq!(of_ann[0]["first"]["number"], 75);
    assert_eq!(of_ann[0]["first"]["hash"].as_str().unwrap().len(), 64);
    assert_ne!(of_ann[0]["number"], 75);
}

#[test]
fn creating_users_does_not_shrink_the_audit_share_of_others() {
    let (store, counters) = (store(), Counters::default());
    let mut audit = Audit::open(&store, TenantId::DEFAULT, settings(200)).unwrap();
    let mut now_ms = 0;
    let mut note = |audit: &Audit, record: &Record<'_>| {
        now_ms += 1;
        audit.note(Kind::Changes, &counters, now_ms, record);
        audit.settle(&store, &counters, now_ms);
    };
    (0..70).for_each(|_| note(&audit, &change("ann")));
    for round in 0..3 {
        for number in 0..700 {
            let made = format!("made by eve {number}");
            note(&audit, &Record { counts_for: Some("eve"), ..change(&made) });
            note(&audit, &change("eve"));
        }
        // Half of the half: she shares it with eve alone.
        assert_eq!(first_numbers(&audit, &store, "ann"), (21..=70).collect::<Vec<_>>(), "round {round}");
        // Counted anew.
        audit = Audit::open(&store, TenantId::DEFAULT, settings(200)).unwrap();
    }
}

#[test]
fn audit_rewrites_at_most_one_record_per_new_record() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    for n in 0..3_000_u64 {
        let user = if n < 900 { format!("user {}", n % 50) } else { "eve".to_owned() };
        audit.note(Kind::Changes, &counters, n, &change(&user));
        audit.settle(&store, &counters, n);
    }
    assert!(counters.audit_records.get() <= 6_000, "{} records", counters.audit_records.get());
    // An even share of the half is nine of each.
    for user in 0..50 {
        assert_eq!(first_numbers(&audit, &store, &format!("user {user}")).len(), 9, "{user}");
    }
}
