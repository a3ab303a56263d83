//! The order of the work of a start, and its budget.

use super::*;

#[test]
fn the_budget_is_for_programs_without_cached_code_and_small_ones_fit_behind_large_ones() {
    let cold_start = ColdStart::default();
    let engine = Engine::new(&lotmq_host::EngineOptions::default()).unwrap();
    let defers = |bytes: usize| cold_start.defers(&engine, &vec![0; bytes]);
    assert!(!defers(COLD_START_BYTES - 10));
    assert!(defers(11), "it does not fit");
    assert!(!defers(10), "this one does");
    assert!(defers(1));
}

#[test]
fn deciding_programs_come_first_and_large_ones_last() {
    let mut places = [
        CompileOrder::Running,
        CompileOrder::of(false, WORKER_PROGRAM_BYTES),
        CompileOrder::of(false, 1),
        CompileOrder::of(true, 1 << 20),
    ];
    places.sort();
    assert_eq!(
        places,
        [CompileOrder::Deciding, CompileOrder::Small, CompileOrder::Large, CompileOrder::Running]
    );
}
