use lotmq_auth::Peer;
use lotmq_store::{Durability, StoreOptions};

use super::*;

fn store() -> Store {
    let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
    Store::open(options, Box::new(|_| {})).unwrap().0
}

fn settings(records: u32) -> config::Audit {
    config::Audit { records, ..config::Audit::default() }
}

fn identity() -> Identity {
    let peer = Peer::Unix;
    Identity { user: Some("bob".into()), credential_version: 1, client_id: "c1".into(), peer }
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
            audit.note(&counters, start * DAY_MS + n, &command("addUser"));
        }
        let ticket = audit.flush(&store, &counters, 0).unwrap();
        store.wait(ticket).unwrap();
    }
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    let status = audit.status(&store).unwrap();
    assert_eq!((status.records, status.days, status.broken_at), (9, 3, None));
    assert_eq!(counters.audit_records.get(), 9);
    let mut changed = Batch::new();
    let text = r#"{"verb":"removeUser"}"#;
    let (at_ms, digest) = (DAY_MS + 1, [0; 32]);
    changed.push(Op::PutAudit { tenant: TenantId::DEFAULT, number: 5, at_ms, digest, text });
    store.commit(changed).unwrap();
    assert_eq!(audit.status(&store).unwrap().broken_at, Some(5));
}

#[test]
fn records_are_found_by_day_and_text_the_newest_ones() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    for n in 0..10 {
        audit.note(&counters, n * DAY_MS / 2, &command(if n % 2 == 0 { "addUser" } else { "addRule" }));
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
        audit.note(&counters, n * DAY_MS, &command("addUser"));
        audit.flush(&store, &counters, 0);
    }
    let status = audit.status(&store).unwrap();
    assert!((198..=200).contains(&status.records), "{} records", status.records);
    assert_eq!(status.broken_at, None);
    audit.expire(&store, 499 * DAY_MS);
    audit.flush(&store, &counters, 0);
    assert_eq!(audit.status(&store).unwrap().records, 91);
}

#[test]
fn logins_and_denials_are_sampled_and_the_others_counted() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(1000)).unwrap();
    for _ in 0..150 {
        audit.accepted(&counters, 1000, &identity(), &"unix");
        audit.denied(&counters, 1000, &identity(), ("Publish", "secret/topic"));
        audit.refused(&counters, 1000, (Some("eve"), "c2"), &"unix", &"bad user name or password");
    }
    audit.flush(&store, &counters, 2000);
    let found = audit.find(&store, &Selection::default(), 1000).unwrap();
    let of = |event: &str, result: &str| {
        let fits = |record: &&serde_json::Value| record["event"] == event && record["result"] == result;
        found.records.iter().filter(fits).collect::<Vec<_>>()
    };
    assert_eq!(of("login", "success").len(), 101);
    assert_eq!(of("login", "success")[100]["leftOut"], 50);
    assert_eq!(of("login", "bad user name or password").len(), 100);
    assert_eq!(of("login", "refused")[0]["leftOut"], 50);
    assert_eq!(of("denial", "DENIED").len(), 11);
    assert_eq!(of("denial", "DENIED")[0]["target"], "secret/topic");
    assert_eq!(counters.audit_left_out.get(), 240);
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    let (store, counters) = (store(), Counters::default());
    let audit = Audit::open(&store, TenantId::DEFAULT, settings(100_000)).unwrap();
    for _ in 0..AUDIT_WAITING_MAX + 5 {
        audit.note(&counters, 0, &command("addUser"));
    }
    audit.flush(&store, &counters, 0);
    audit.flush(&store, &counters, 0);
    let found = audit.find(&store, &Selection::default(), 1).unwrap();
    assert_eq!((&found.records[0]["event"], &found.records[0]["leftOut"]), (&"lost".into(), &5.into()));
    assert_eq!(counters.audit_lost.get(), 5);
    assert_eq!(audit.status(&store).unwrap().broken_at, None);
}

#[test]
fn an_audit_that_is_turned_off_keeps_nothing() {
    let (store, counters) = (store(), Counters::default());
    let off = config::Audit { enabled: false, ..config::Audit::default() };
    let audit = Audit::open(&store, TenantId::DEFAULT, off).unwrap();
    audit.note(&counters, 0, &command("addUser"));
    audit.accepted(&counters, 0, &identity(), &"unix");
    assert_eq!(audit.flush(&store, &counters, 0), None);
    assert_eq!(counters.audit_records.get(), 0);
}
