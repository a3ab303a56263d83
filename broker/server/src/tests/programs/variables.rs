//! Variables that runs keep while the queue of the store is full.

use lotmq_changes::TenantId;
use lotmq_config::VariableNames;
use lotmq_programs::variables::{VariableRoom, Variables};
use lotmq_store::{Durability, Store, StoreOptions};

/// A store on the disk.
fn stored(directory: &std::path::Path) -> (Store, lotmq_changes::Recovered) {
    let options = StoreOptions { durability: Durability::Os, ..StoreOptions::new(directory) };
    Store::open(options, Box::new(|_| {})).unwrap()
}

fn room() -> VariableRoom {
    VariableRoom::of(&lotmq_config::Config::default().limits)
}

#[test]
fn variables_kept_during_a_full_queue_stay_ordered_with_commands() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = stored(directory.path());
    let variables = Variables::new(TenantId::DEFAULT, VariableNames::NONE, room());
    variables.set_environment(&store, "GONE", "1").unwrap();
    variables.set_environment(&store, "OVER", "1").unwrap();
    crate::testing::fill(&store);
    variables.keep_environment(&store, "GONE", None).unwrap();
    variables.keep_environment(&store, "OVER", Some("2")).unwrap();
    variables.keep_environment(&store, "LAST", Some("3")).unwrap();
    assert!(variables.has_unsaved());
    // In force, and stored by whoever says that there is nothing to do.
    assert_eq!(variables.remove_environment(&store, "GONE").unwrap(), None);
    let over = variables.set_environment(&store, "OVER", "of a command").unwrap();
    assert_eq!(store.last_ticket(), over);
    variables.save_all(&store).unwrap();
    assert!(!variables.has_unsaved());
    drop(store);
    let (_store, recovered) = stored(directory.path());
    let mut rows: Vec<_> = recovered.environment.iter().map(|row| (&*row.name, &*row.value)).collect();
    rows.retain(|(name, _)| *name != "FILLER");
    assert_eq!(rows, [("LAST", "3"), ("OVER", "of a command")]);
}
