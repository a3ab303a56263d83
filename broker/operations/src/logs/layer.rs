//! Layer of `tracing` through which brokers of this process hear its events.
//!
//! Its filter is asked once for each place in the code, and again when what is wanted changes; the
//! answer is kept there.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber, callsite};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::Logs;
use super::line::{self, Category, Level};

/// Brokers that listen.
static LISTENERS: RwLock<Vec<Weak<Logs>>> = RwLock::new(Vec::new());

/// Most verbose level that is wanted of each category, by any of them; 0 for none.
static VERBOSITY: [AtomicU8; Category::COUNT] = [const { AtomicU8::new(0) }; Category::COUNT];

/// Most verbose level of all categories.
static MOST: AtomicU8 = AtomicU8::new(0);

thread_local! {
    /// Whether this thread is busy with lines, so that its own events are none.
    static IS_PUBLISHING: Cell<bool> = const { Cell::new(false) };
}

/// Layer that lets the brokers of this process publish its log lines. For the one subscriber that
/// the process has; without it they publish none.
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    LogTopics.with_filter(Wants)
}

/// Layer that offers events to the brokers.
struct LogTopics;

impl<S: Subscriber> Layer<S> for LogTopics {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if IS_PUBLISHING.get() {
            return;
        }
        for logs in LISTENERS.read().iter().filter_map(Weak::upgrade) {
            logs.offer(event);
        }
    }
}

/// Filter of events that any broker wants.
struct Wants;

impl Wants {
    fn has(metadata: &Metadata<'_>) -> bool {
        let is_wanted = |(level, category): (Level, Category)| {
            level.number() <= VERBOSITY[category as usize].load(Ordering::Relaxed)
        };
        // If another layer wants an event that this one does not, the filter is asked for each such
        // event. Mostly none is wanted.
        MOST.load(Ordering::Relaxed) > 0 && metadata.is_event() && line::of(metadata).is_some_and(is_wanted)
    }
}

impl<S> Filter<S> for Wants {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        Self::has(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::has(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(line::level_filter(MOST.load(Ordering::Relaxed)))
    }
}

pub(super) fn add(logs: &Arc<Logs>) {
    let mut listeners = LISTENERS.write();
    listeners.retain(|known| known.strong_count() > 0);
    listeners.push(Arc::downgrade(logs));
}

/// Makes every place in the code ask again whether its events are wanted.
pub(super) fn verbosity_changed() {
    let mut most = [0; Category::COUNT];
    for logs in LISTENERS.read().iter().filter_map(Weak::upgrade) {
        for (most, wanted) in most.iter_mut().zip(logs.wanted.read().verbosity()) {
            *most = wanted.max(*most);
        }
    }
    for (verbosity, most) in VERBOSITY.iter().zip(most) {
        verbosity.store(most, Ordering::Relaxed);
    }
    MOST.store(most.into_iter().max().unwrap_or(0), Ordering::Relaxed);
    callsite::rebuild_interest_cache();
}

/// Runs work about lines themselves; events of this thread meanwhile are not lines.
pub(super) fn without_logging<T>(run: impl FnOnce() -> T) -> T {
    /// Guard that restores whether the thread was heard before.
    struct Former(bool);
    impl Drop for Former {
        fn drop(&mut self) {
            IS_PUBLISHING.set(self.0);
        }
    }
    let _former = Former(IS_PUBLISHING.replace(true));
    run()
}
