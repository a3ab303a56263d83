//! The wheel against a sorted list.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const TICK: u64 = 10;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn fired(wheel: &mut TimerWheel<u32>, now: u64) -> Vec<u32> {
    let mut fired = Vec::new();
    wheel.advance(at(now), |key| fired.push(key));
    wheel.check_invariants().unwrap();
    fired
}

#[test]
fn timers_fire_at_their_deadline_and_not_before() {
    let mut wheel = TimerWheel::new(Duration::from_millis(TICK), at(1000));
    for (key, deadline) in [(1, 1001), (2, 1010), (3, 1500), (4, 100_000), (5, 40_000_000), (6, 0)] {
        wheel.insert(at(deadline), key);
    }
    assert_eq!(wheel.next_timeout(), Some(at(1010)));
    assert_eq!(fired(&mut wheel, 1009), []);
    let mut first = fired(&mut wheel, 1010);
    first.sort_unstable();
    assert_eq!(first, [1, 2, 6]);
    assert_eq!(fired(&mut wheel, 1499), []);
    assert_eq!(fired(&mut wheel, 99_999), [3]);
    assert_eq!(fired(&mut wheel, 50_000_000), [4, 5]);
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_timeout(), None);
}

#[test]
fn cancelled_timer_never_fires_and_its_handle_is_harmless() {
    let mut wheel = TimerWheel::new(Duration::from_millis(TICK), at(0));
    let first = wheel.insert(at(100), 1);
    let second = wheel.insert(at(100), 2);
    assert_eq!(wheel.cancel(first), Some(1));
    assert_eq!(wheel.cancel(first), None);
    let third = wheel.insert(at(100), 3);
    assert_eq!(wheel.cancel(first), None, "the place is another timer's now");
    let mut all = fired(&mut wheel, 100);
    all.sort_unstable();
    assert_eq!(all, [2, 3]);
    assert_eq!((wheel.cancel(second), wheel.cancel(third)), (None, None));
}

#[test]
fn deadline_beyond_the_wheel_is_held() {
    let mut wheel = TimerWheel::new(Duration::from_millis(1), at(u64::MAX / 2));
    wheel.insert(at(u64::MAX), 1);
    assert_eq!(fired(&mut wheel, u64::MAX / 2 + 1_000_000_000), []);
    assert_eq!(wheel.len(), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u64),
    Cancel(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let far = prop_oneof![0_u64..100, 0_u64..10_000, 0_u64..1_000_000, 0_u64..1_000_000_000_000];
    prop_oneof![
        4 => far.clone().prop_map(Step::Insert),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Cancel(which.index(1 << 20))),
        3 => far.prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn wheel_agrees_with_a_sorted_list(start in prop_oneof![Just(0_u64), 0..1_u64 << 40], steps in vec(step(), 1..150)) {
        let mut wheel = TimerWheel::new(Duration::from_millis(TICK), at(start));
        let mut model: BTreeMap<u32, (u64, TimerHandle)> = BTreeMap::new();
        let (mut now, mut next_key) = (start, 0);
        for step in steps {
            match step {
                Step::Insert(delay) => {
                    let handle = wheel.insert(at(now + delay), next_key);
                    // One that is due already fires with the next tick.
                    let tick = (now + delay).div_ceil(TICK).max(now / TICK + 1);
                    model.insert(next_key, (tick, handle));
                    next_key += 1;
                }
                Step::Cancel(which) if !model.is_empty() => {
                    let key = *model.keys().nth(which % model.len()).unwrap();
                    let (_, handle) = model.remove(&key).unwrap();
                    prop_assert_eq!(wheel.cancel(handle), Some(key));
                }
                Step::Cancel(_) => {}
                Step::Advance(by) => {
                    let earliest = model.values().map(|(tick, _)| tick * TICK).min();
                    prop_assert!(wheel.next_timeout().is_some() == earliest.is_some());
                    prop_assert!(wheel.next_timeout().map(Time::as_millis) <= earliest);
                    now += by;
                    let mut due = Vec::new();
                    wheel.advance(at(now), |key| due.push(key));
                    let ticks: Vec<u64> = due.iter().map(|key| model[key].0).collect();
                    prop_assert!(ticks.is_sorted(), "earliest first");
                    let expected: Vec<u32> =
                        model.iter().filter(|(_, (tick, _))| tick * TICK <= now).map(|(key, _)| *key).collect();
                    expected.iter().for_each(|key| { model.remove(key); });
                    due.sort_unstable();
                    prop_assert_eq!(due, expected);
                }
            }
            prop_assert_eq!(wheel.len(), model.len());
            wheel.check_invariants().map_err(TestCaseError::fail)?;
        }
    }
}
