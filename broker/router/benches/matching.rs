//! How long the subscription index takes to find the receivers of a topic among 100,000 filters.
//!
//! `cargo bench -p lotmq-router`

use divan::{Bencher, black_box};
use lotmq_router::{Match, RetainedIndex, SubscriptionIndex};

const FILTERS: u64 = 100_000;

fn main() {
    divan::main();
}

fn index(filter: impl Fn(u64) -> String) -> SubscriptionIndex<u64, u64> {
    let mut index = SubscriptionIndex::new();
    (0..FILTERS).for_each(|device| {
        index.insert(&filter(device), device, 0);
    });
    index
}

fn match_all(bencher: Bencher<'_, '_>, index: &SubscriptionIndex<u64, u64>, topic: impl Fn(u64) -> String) {
    let topics: Vec<String> = (0..4096).map(|n| topic(n * 7_919 % FILTERS)).collect();
    let mut next = topics.iter().cycle();
    bencher.bench_local(|| {
        let mut receivers = 0_u64;
        let topic = next.next().map_or("", String::as_str);
        index.visit(black_box(topic), |found| {
            if let Match::Subscriber(subscriber, _) = found {
                receivers += subscriber;
            }
        });
        receivers
    });
}

/// `site/7/device-107/+/state`: wildcard behind what selects.
#[divan::bench]
fn wildcard_behind_device(bencher: Bencher<'_, '_>) {
    let index = index(|device| format!("site/{}/device-{device}/+/state", device % 100));
    match_all(bencher, &index, |device| format!("site/{}/device-{device}/pump/state", device % 100));
}

/// `+/+/device-107/#`: wildcards before what selects.
#[divan::bench]
fn wildcards_before_device(bencher: Bencher<'_, '_>) {
    let index = index(|device| format!("+/+/device-{device}/#"));
    match_all(bencher, &index, |device| format!("site/{}/device-{device}/pump/state", device % 100));
}

/// Filters without wildcard.
#[divan::bench]
fn exact(bencher: Bencher<'_, '_>) {
    let index = index(|device| format!("site/{}/device-{device}/pump/state", device % 100));
    match_all(bencher, &index, |device| format!("site/{}/device-{device}/pump/state", device % 100));
}

/// A topic that nobody wants.
#[divan::bench]
fn no_receiver(bencher: Bencher<'_, '_>) {
    let index = index(|device| format!("+/+/device-{device}/#"));
    match_all(bencher, &index, |device| format!("plant/{device}/x/y"));
}

/// One filter more and one less.
#[divan::bench]
fn subscribe_and_unsubscribe(bencher: Bencher<'_, '_>) {
    let mut index = index(|device| format!("site/{}/device-{device}/+/state", device % 100));
    let filters: Vec<String> =
        (0..1024).map(|device| format!("site/{}/new-{device}/+/state", device % 100)).collect();
    let mut next = filters.iter().cycle();
    bencher.bench_local(|| {
        let filter = next.next().map_or("", String::as_str);
        index.insert(filter, 1, 0);
        index.remove(filter, &1)
    });
}

/// 100 retained messages of 100,000, one from each of 100 sites.
#[divan::bench]
fn retained_one_of_each_site(bencher: Bencher<'_, '_>) {
    let mut index = RetainedIndex::new();
    (0..FILTERS).for_each(|device| {
        index.insert(format!("site/{}/device-{}/state", device % 100, device / 100), device);
    });
    bencher.bench_local(|| {
        let mut found = 0_u64;
        index.matching(black_box("site/+/device-500/state"), |_, value| found += value);
        found
    });
}
