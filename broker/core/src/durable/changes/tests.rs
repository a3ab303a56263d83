use lotmq_changes::{Batch, EnvironmentRow, Op, TenantId};
use lotmq_store::{Durability, Store, StoreOptions};

use super::*;
use crate::clock::StillClock;

fn store() -> Store {
    let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
    Store::open(options, Box::new(|_| {})).unwrap().0
}

fn append(store: &Store) -> Ticket {
    let mut batch = Batch::new();
    batch.push(Op::PutEnv(&EnvironmentRow {
        tenant: TenantId::DEFAULT,
        name: "A".into(),
        value: "b".into(),
    }));
    store.append(batch).unwrap()
}

#[test]
fn a_change_is_in_its_turn_until_that_is_handed_over_and_then_as_far_as_its_batch() {
    let (turns, store) = (Turns::default(), store());
    let (mut mine, mut other) = (turns.enter(), turns.enter());
    assert_eq!(turns.standing(Stamp::default(), &store), Standing::OnDisk);
    let stamp = mine.stamp();
    assert_eq!(turns.standing(stamp, &store), Standing::InTurn);
    assert!(!mine.is_overtaking(stamp, &turns, &store), "a thread keeps its own order");
    assert!(other.is_overtaking(stamp, &turns, &store));
    let ticket = append(&store);
    mine.handed_over(Some(ticket));
    assert!(!other.is_overtaking(stamp, &turns, &store));
    store.wait(ticket).unwrap();
    assert_eq!(turns.standing(stamp, &store), Standing::OnDisk);
    // A turn that nothing came of ends, too.
    let stamp = other.stamp();
    other.handed_over(None);
    assert_eq!(turns.standing(stamp, &store), Standing::OnDisk);
}

#[test]
fn a_thread_that_ends_leaves_nobody_waiting_and_its_number_to_others() {
    let (turns, store) = (Turns::default(), store());
    let mut first = turns.enter();
    let stamp = first.stamp();
    drop(first);
    assert_ne!(turns.standing(stamp, &store), Standing::InTurn);
    assert!(turns.await_end(stamp, &StillClock));
    let mut second = turns.enter();
    assert_ne!(second.stamp(), stamp);
    assert_ne!(turns.standing(stamp, &store), Standing::InTurn);
    assert_eq!(turns.threads.read().len(), 1);
}

#[test]
fn of_several_changes_the_ones_on_the_disk_are_forgotten() {
    let (turns, store) = (Turns::default(), store());
    let (mut one, mut two) = (turns.enter(), turns.enter());
    let mut stamps = Stamps::default();
    stamps.note(one.stamp());
    stamps.note(two.stamp());
    assert!(!stamps.are_on_disk(&turns, &store));
    let ticket = append(&store);
    store.wait(ticket).unwrap();
    one.handed_over(Some(ticket));
    let left = two.stamp();
    assert_eq!(stamps.newest(&turns, &store), left);
    two.handed_over(None);
    assert!(stamps.are_on_disk(&turns, &store));
    assert_eq!(stamps.newest(&turns, &store), Stamp::default());
}
