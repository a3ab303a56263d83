//! How long one look at 100,000 filters takes, topic by topic: half, 99 and 99.9 of 100 looks are
//! not slower than what is printed.
//!
//! `cargo run --release -p lotmq-router --example percentiles`
//!
//! The filters are those of a building's sensors as five kinds of clients want them: 64 % exact, 20
//! % a device, 10 % a sensor in every building, 5 % one in every site, 1 % a building. Topics are
//! drawn from all 500,000, so nearly every look is at memory that is cold.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people that measures time"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use lotmq_router::{Match, SubscriptionIndex};

const FILTERS: u64 = 100_000;
const LOOKS: usize = 500_000;

/// Numbers without pattern, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn place(&mut self) -> [u64; 4] {
        [100, 20, 50, 5].map(|limit| self.below(limit))
    }

    fn filter(&mut self) -> String {
        let [site, building, device, metric] = self.place();
        match self.below(100) {
            0..64 => format!("run/s{site}/b{building}/d{device}/m{metric}"),
            64..84 => format!("run/s{site}/b{building}/d{device}/#"),
            84..94 => format!("run/s{site}/+/d{device}/m{metric}"),
            94..99 => format!("run/+/b{building}/d{device}/m{metric}"),
            _ => format!("run/s{site}/b{building}/#"),
        }
    }

    fn topic(&mut self) -> String {
        let [site, building, device, metric] = self.place();
        format!("run/s{site}/b{building}/d{device}/m{metric}")
    }
}

fn main() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut index = SubscriptionIndex::new();
    for subscription in 0..FILTERS {
        index.insert(&numbers.filter(), subscription % 1000, subscription);
    }
    let topics: Vec<String> = (0..LOOKS).map(|_| numbers.topic()).collect();
    let mut receivers = 0_u64;
    let mut times: Vec<Duration> = topics
        .iter()
        .map(|topic| {
            let start = Instant::now();
            index.visit(black_box(topic), |found| {
                if let Match::Subscriber(_, options) = found {
                    receivers += 1;
                    black_box(options);
                }
            });
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |permille: usize| times[times.len() * permille / 1000].as_nanos();
    println!("{} filters, {} looks, {receivers} receivers", index.len(), times.len());
    println!("p50 {} ns, p99 {} ns, p99.9 {} ns", at(500), at(990), at(999));
}
