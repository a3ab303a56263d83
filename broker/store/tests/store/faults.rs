//! Storage that fails at every N-th call: what was acknowledged is there, what follows is stored
//! again.

use std::ops::RangeInclusive;
use std::time::Duration;

use lotmq_changes::*;
use lotmq_disk::{Call, Disk, Failure, Faults, Planted};
use lotmq_store::*;

use crate::damage::large_module;
use crate::support::*;

/// From now on these calls fail, counted from the next one.
fn plant(disk: &Disk, call: Call, next: RangeInclusive<u64>, failure: Failure) {
    let made = disk.calls(call);
    let numbers = made.saturating_add(*next.start())..=made.saturating_add(*next.end());
    disk.set_faults(|faults| faults.planted = vec![Planted { call, numbers, failure }]);
}

fn heal(disk: &Disk) {
    disk.set_faults(|faults| *faults = Faults::default());
}

fn open_on(disk: &Disk) -> Result<(Store, Recovered), OpenError> {
    let limits = Limits { log_slack_bytes: 0, reopen_pause: Duration::ZERO, ..Limits::default() };
    // A small cache, so that reads reach the storage.
    let options = StoreOptions { cache_bytes: 64 * 1024, limits, ..options("unused".as_ref()) };
    Store::open_on(options, Box::new(disk.opener()), Box::new(|_| {}))
}

const ROUNDS: usize = 14;

/// Commits a message and a setting per round; says which rounds were acknowledged.
fn work(store: &Store) -> Vec<(u64, Result<(), StoreError>)> {
    let session = SessionId(1);
    let round = |round: usize| {
        let id = store.next_message_id();
        let mut batch = Batch::new();
        batch.push(Op::PutSession(&self::session(0, session, "c")));
        let payload = vec![id.0 as u8; if round.is_multiple_of(5) { 50_000 } else { 3_000 }];
        batch.push(Op::Enqueue { message: message(id, "t", &payload), deliveries: &[delivery(session)] });
        if id.0.is_multiple_of(2) {
            batch.push(Op::Dequeue { session, message: id });
        }
        let value = id.0.to_string();
        let row = SettingRow { tenant: TenantId::DEFAULT, name: value.clone(), value };
        batch.push(Op::PutSetting(&row));
        (id.0, store.commit(batch))
    };
    (0..ROUNDS).map(round).collect()
}

fn check(recovered: &Recovered, results: &[(u64, Result<(), StoreError>)], context: &str) {
    let queue = if recovered.sessions.is_empty() { Vec::new() } else { queue(recovered, SessionId(1)) };
    for (id, result) in results {
        let has_setting = recovered.settings.iter().any(|row| row.value == id.to_string());
        assert!(result.is_err() || has_setting, "{context}: acknowledged batch {id} is lost");
        // Whole or not at all.
        assert_eq!(queue.contains(id), has_setting && id % 2 == 1, "{context}: batch {id}");
    }
}

#[test]
fn one_failing_call_costs_at_most_the_group_that_met_it() {
    for call in [Call::Write, Call::Sync, Call::SetLen, Call::Read] {
        for number in 1.. {
            let context = format!("{call:?} {number}");
            let disk = Disk::new(number);
            plant(&disk, call, number..=number, Failure::Io);
            let results = match open_on(&disk) {
                Ok((store, _)) => work(&store),
                // The database was never made: `Store::open` would have made it under another name.
                Err(OpenError::Io { .. }) => continue,
                Err(other) => panic!("{context}: {other}"),
            };
            let failures = results.iter().filter(|(_, result)| result.is_err()).count();
            assert!(failures <= 1, "{context}: {failures} failures");
            let made = disk.calls(call);
            heal(&disk);
            let (store, recovered) = open_on(&disk).unwrap();
            check(&recovered, &results, &context);
            assert!(work(&store).iter().all(|(_, result)| result.is_ok()), "{context}");
            if made < number {
                assert!(call == Call::SetLen || number > 5, "{context}: too few calls to prove anything");
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_is_named_and_passes_when_there_is_space_again() {
    for first in [1, 2, 3, 5, 8, 13, 21] {
        let disk = Disk::new(first);
        let (store, _) = open_on(&disk).unwrap();
        let mut results = work(&store);
        plant(&disk, Call::Write, first..=u64::MAX, Failure::NoSpace);
        let full = work(&store);
        let errors: Vec<_> = full.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
        assert!(!errors.is_empty());
        for error in &errors {
            let StoreError::CommitFailed(error) = error else { panic!("{error}") };
            let expected = [CommitErrorKind::NoSpace, CommitErrorKind::Unavailable];
            assert!(expected.contains(&error.kind), "{error}");
        }
        assert!(
            matches!(errors[0], StoreError::CommitFailed(error) if error.kind == CommitErrorKind::NoSpace)
        );
        heal(&disk);
        let after = work(&store);
        assert!(after.iter().all(|(_, result)| result.is_ok()), "{after:?}");
        results.extend(full);
        results.extend(after);
        drop(store);
        let (_store, recovered) = open_on(&disk).unwrap();
        check(&recovered, &results, &format!("full from write {first}"));
    }
}

#[test]
fn a_module_is_removed_from_a_disk_that_is_full_and_makes_room_for_another() {
    let disk = Disk::new(0);
    let (store, _) = open_on(&disk).unwrap();
    store.commit(large_module(8 << 20)).unwrap();
    // Some pages, and no component.
    let bytes_max = disk.written_bytes() + (256 << 10);
    disk.set_faults(|faults| faults.bytes_max = Some(bytes_max));
    commit(&store, [Op::DeleteModule { tenant: TenantId::DEFAULT, name: "Ballast", is_former: false }]);
    // The space of removed data is free after the next few commits.
    for number in 0..4 {
        put_session(&store, 0, &number.to_string());
    }
    store.commit(large_module(6 << 20)).unwrap();
    drop(store);
    let (store, recovered) = open_on(&disk).unwrap();
    assert_eq!(recovered.modules.len(), 1);
    let component =
        store.snapshot().unwrap().component(TenantId::DEFAULT, &recovered.modules[0].hash).unwrap();
    assert_eq!(component.map(|bytes| bytes.len()), Some(6 << 20));
}

#[test]
fn refused_batches_that_find_no_room_are_given_up_and_counted_and_hold_nothing_up() {
    let disk = Disk::new(0);
    let (store, _) = open_on(&disk).unwrap();
    let session = put_session(&store, 0, "c");
    let enqueue = |payload: &[u8]| {
        let id = store.next_message_id();
        let mut batch = Batch::new();
        batch.push(Op::Enqueue { message: message(id, "t", payload), deliveries: &[delivery(session)] });
        (id.0, store.commit(batch))
    };
    let (before, result) = enqueue(b"small");
    result.unwrap();
    // From now on the file cannot grow; what is free in it can be used.
    plant(&disk, Call::SetLen, 1..=u64::MAX, Failure::NoSpace);
    let (_, refused) = enqueue(&vec![1; 16 << 20]);
    let Err(StoreError::CommitFailed(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind, CommitErrorKind::NoSpace);
    let (after, result) = enqueue(b"small, too");
    result.unwrap();
    assert_eq!((store.metrics().batches_lost, store.failure()), (1, None));
    drop(store);
    let (_store, recovered) = open_on(&disk).unwrap();
    assert_eq!(queue(&recovered, session), [before, after]);
}

/// Whichever attempt the disk begins to work between: what was refused and has happened is stored,
/// in its order.
#[test]
fn a_disk_that_works_again_between_two_attempts_costs_nothing() {
    const CALLS_MAX: u64 = 40;
    for call in [Call::Write, Call::Sync] {
        for failing in 1..CALLS_MAX {
            let context = format!("{failing} failing {call:?}");
            let disk = Disk::new(failing);
            let (store, _) = open_on(&disk).unwrap();
            put_session(&store, 0, "c");
            plant(&disk, call, 1..=failing, Failure::Io);
            let set = |value: &str| {
                let row = SettingRow { tenant: TenantId::DEFAULT, name: "n".into(), value: value.into() };
                let mut batch = Batch::new();
                batch.push(Op::PutSetting(&row));
                batch.push(Op::PutSetting(&SettingRow { name: value.into(), ..row.clone() }));
                store.commit(batch)
            };
            set("refused").unwrap_err();
            let mut last = 0;
            while set(&format!("later {last}")).is_err() {
                last += 1;
            }
            assert_eq!((store.metrics().batches_lost, store.failure()), (0, None), "{context}");
            drop(store);
            let (_store, recovered) = open_on(&disk).unwrap();
            let value =
                |name: &str| Some(recovered.settings.iter().find(|row| row.name == name)?.value.clone());
            assert!(value("refused").is_some(), "{context}");
            assert_eq!(value("n"), Some(format!("later {last}")), "{context}");
        }
    }
}

#[test]
fn nothing_that_failed_counts_as_committed_however_late_somebody_asks() {
    // More than failures are remembered.
    const FAILURES: usize = 1_100;
    let disk = Disk::new(0);
    let (store, _) = open_on(&disk).unwrap();
    let append = || {
        let mut batch = Batch::new();
        let row = SettingRow { tenant: TenantId::DEFAULT, name: "n".into(), value: "v".into() };
        batch.push(Op::PutSetting(&row));
        store.append(batch).unwrap()
    };
    let mut failed = Vec::new();
    for _ in 0..FAILURES {
        plant(&disk, Call::Sync, 1..=u64::MAX, Failure::Io);
        let ticket = append();
        store.wait(ticket).unwrap_err();
        failed.push(ticket);
        heal(&disk);
        store.wait(append()).unwrap();
    }
    for ticket in &failed {
        let settled = store.settled(*ticket).expect("it was waited for");
        assert!(settled.is_err(), "ticket {} failed", ticket.number());
    }
    assert!(matches!(store.settled(failed[0]), Some(Err(StoreError::OutcomeForgotten(_)))));
    assert!(matches!(store.settled(failed[FAILURES - 1]), Some(Err(StoreError::CommitFailed(_)))));
    assert!(store.settled(append()).is_none_or(|outcome| outcome.is_ok()));
}
