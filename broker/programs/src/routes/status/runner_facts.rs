//! Facts about a route beside its [standing](super::RouteStatus), which come from other parts.

use super::super::event_status::EventWait;

/// Facts for a status beside the standing.
#[derive(Clone, Debug, Default)]
pub struct RunnerFacts {
    /// Buffer that loses messages at a crash of the broker: `memory`, or `none` if no messages wait
    /// for an absent far side.
    pub volatile: Option<&'static str>,
    /// Number and bytes of the messages that wait.
    pub waiting: (u64, u64),
    /// Time for which the oldest message has waited, as far as any was read.
    pub oldest_ms: Option<u64>,
    pub dead_letters: u64,
    /// Dead letters that are not kept any more.
    pub dead_letters_dropped: u64,
    /// For how long the oldest message of each event has waited, beside the time for which batches
    /// fill.
    pub waits: Vec<EventWait>,
    /// That no more may wait for it, where that is so.
    pub full: Option<String>,
    /// That what it brings finds no room, where that has been so for a while.
    pub waits_to_publish: Option<String>,
    /// That policies keep messages from it, where that is so.
    pub refused_by_policy: Option<String>,
}

impl RunnerFacts {
    /// Health of a route that would have this one: what loses messages is never `Green`.
    pub fn not_green(&self, health: &'static str) -> &'static str {
        if self.refused_by_policy.is_some() && health == "Green" { "Yellow" } else { health }
    }
}
