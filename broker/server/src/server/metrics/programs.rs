//! Families about definitions: how often and for how long each runs, and the counters and gauges of
//! their own.
//!
//! Invariant: at most [`DEFINITIONS_FIGURED_MAX`] definitions have samples of their own, those that
//! were deployed first; the others are one, `other`.

use lotmq_definitions::DefinitionKind;
use lotmq_histogram::DurationCounts;
use lotmq_host::limits::{RUN_BOUNDS, RUN_BUCKETS};
use lotmq_host::{MetricChange, RunWait, RunnerMetrics};

use super::family::{FamilyRow, Reading, Samples, families};
use super::whole::of_tenants;
use crate::server::limits::DEFINITIONS_FIGURED_MAX;
use lotmq_operations::broker::Broker;
use lotmq_programs::HasPrograms as _;

/// Families about definitions.
#[expect(clippy::cast_precision_loss, reason = "figures beyond 2^53 need no last digit")]
pub(super) static PROGRAMS: &[FamilyRow] = families! {
    Gauge "lotmq_definitions" [] "Actions, models, rules, routes and modules that are deployed."
        |it, to| to.one(of_tenants(it.broker, |tenant| tenant.programs().guests.definitions()));
    Gauge "lotmq_definitions_compiling" [] "Definitions of the start whose native code is still being compiled: what starts them waits, and rules among them deny."
        |it, to| to.one(of_tenants(it.broker, |tenant| tenant.programs().guests.registry.read().compiling().count()));
    Gauge "lotmq_guests_warm" [] "Definitions that have an instance in memory."
        |it, to| {
            let executor = it.broker.hosting.executor.lock();
            to.one(executor.as_ref().map_or(0, |executor| executor.warm_definitions()));
        };
    Gauge "lotmq_guest_runs_waiting" ["reason"] "Runs of definitions that wait, each with a thread for which another one stands in: for a Python script, for rows of a route, or until their many messages are with their receivers and the store."
        |it, to| for reason in RunWait::ALL {
            let executor = it.broker.hosting.executor.lock();
            let waiting = executor.as_ref().map_or(0, |executor| executor.waiting_runs(reason));
            to.with(&[reason.name()], waiting);
        };
    Counter "lotmq_guest_cache_hits_total" [] "Components whose native code came from the cache."
        |it, to| to.one(it.broker.hosting.engine.cache_counts().0);
    Counter "lotmq_guest_cache_misses_total" [] "Components that were compiled to native code."
        |it, to| to.one(it.broker.hosting.engine.cache_counts().1);
    Gauge "lotmq_guests_memory_bytes" [] "Linear memory of all instances of guests, those of rules aside."
        |it, to| to.one(it.broker.hosting.engine.memory_bytes());
    Gauge "lotmq_code_mappings" [] "Memory mappings that count for the compiled code of all definitions."
        |it, to| to.one(it.broker.hosting.engine.code_mappings().used);
    Gauge "lotmq_code_mappings_max" [] "Memory mappings that compiled code may have."
        |it, to| to.one(it.broker.hosting.engine.code_mappings().max);
    Counter "lotmq_code_mappings_refused_total" [] "Programs that were refused because all compiled code, or that of their owner, had as many memory mappings as there may be."
        |it, to| to.one(it.broker.hosting.engine.code_mappings().refused);
    Gauge "lotmq_code_memory_bytes" [] "Memory of the native code of all definitions. Equal code counts once for each owner."
        |it, to| to.one(it.broker.hosting.engine.code_memory().used);
    Gauge "lotmq_code_memory_max_bytes" [] "Memory that native code may have."
        |it, to| to.one(it.broker.hosting.engine.code_memory().max);
    Counter "lotmq_code_memory_refused_total" [] "Programs that were refused because the native code of all programs, or that of their owner, had as much memory as there may be."
        |it, to| to.one(it.broker.hosting.engine.code_memory().refused);
    Counter "lotmq_guest_instances_refused_total" [] "Instances that waited because all of them, or those of their owner, had as many places in the pool as there may be."
        |it, to| to.one(it.broker.hosting.engine.instance_refusals());
    Gauge "lotmq_guests_pattern_bytes" [] "Memory of compiled regular expressions with look-around, of all guests together, about."
        |it, to| to.one(it.broker.hosting.engine.pattern_bytes());
    Gauge "lotmq_last_values_topics" [] "Topics whose last value is remembered."
        |it, to| to.one(of_tenants(it.broker, |tenant| usize::try_from(tenant.programs().guests.values.figures().topics).unwrap_or(usize::MAX)));
    Counter "lotmq_definition_runs_total" ["tenant", "kind", "definition"] "Runs of a definition, those that others call included."
        |it, to| by_definition(it, to, |of| of.runs as f64);
    Counter "lotmq_definition_errors_total" ["tenant", "kind", "definition"] "Errors of a definition, of all its versions: what it reports, runs that fail, and runs that are stopped."
        |it, to| by_definition(it, to, |of| of.errors as f64);
    Counter "lotmq_definition_warnings_total" ["tenant", "kind", "definition"] "Warnings of a definition since it was deployed; of those at one place of a LoT program the first, and then one whenever their number has doubled."
        |it, to| by_definition(it, to, |of| of.warnings as f64);
    Counter "lotmq_definition_traps_total" ["tenant", "kind", "definition"] "Runs that were stopped by force: out of time, of memory, or of what a run may do."
        |it, to| by_definition(it, to, |of| of.traps as f64);
    Counter "lotmq_definition_dropped_total" ["tenant", "kind", "definition"] "Events that did not start the definition, because its mailbox was full or their message is put aside."
        |it, to| by_definition(it, to, |of| of.dropped as f64);
    Counter "lotmq_definition_missed_total" ["tenant", "kind", "definition"] "Messages that would have started a module while it was disabled."
        |it, to| by_definition(it, to, |of| of.missed as f64);
    Counter "lotmq_definition_policy_refused_total" ["tenant", "kind", "definition"] "Messages that would have started a module and are not named by its policy topics."
        |it, to| by_definition(it, to, |of| of.refused as f64);
    Gauge "lotmq_definition_waiting" ["tenant", "kind", "definition"] "Events that wait in the mailbox of a definition."
        |it, to| by_definition(it, to, |of| of.waiting as f64);
    Counter "lotmq_definition_seconds_total" ["tenant", "kind", "definition"] "Time of all runs of a definition: of those that were stopped each, of the others an estimate, the mean of those that are measured, one in eight, times their number."
        |it, to| by_definition(it, to, |of| of.seconds);
    Histogram "lotmq_definition_run_duration_seconds" ["tenant", "kind", "definition"] "Times of runs; one in eight is measured, of messages that run together their mean."
        |it, to| for of in &it.definitions {
            to.histogram(&[&of.tenant, of.kind, &of.name], RUN_BOUNDS, &of.run_times);
        };
    Counter "lotmq_guest_counter_total" ["tenant", "kind", "definition", "name"] "Counters that definitions have of their own."
        |it, to| own_metrics(it.broker, to, true);
    Gauge "lotmq_guest_gauge" ["tenant", "kind", "definition", "name"] "Gauges that definitions have of their own."
        |it, to| own_metrics(it.broker, to, false);
};

/// Figures of a definition, or the sums of several.
#[derive(Default)]
pub(super) struct DefinitionReading {
    tenant: String,
    kind: &'static str,
    name: String,
    runs: u64,
    errors: u64,
    warnings: u64,
    traps: u64,
    dropped: u64,
    missed: u64,
    refused: u64,
    waiting: usize,
    seconds: f64,
    run_times: DurationCounts<RUN_BUCKETS>,
}

impl DefinitionReading {
    /// Those of all tenants, in the order in which they were deployed, and the sums of those beyond
    /// the bound.
    pub(super) fn all(broker: &Broker) -> Vec<Self> {
        let mut all = Vec::new();
        for tenant in broker.hosting.tenants.all().iter() {
            for (definition, figures) in tenant.programs().guests.run_figures() {
                let mut of = Self {
                    tenant: tenant.name.to_string(),
                    kind: definition.kind().title(),
                    name: definition.name().to_string(),
                    ..Self::default()
                };
                of.add(&figures);
                of.missed = definition.activity.missed_of_all_versions();
                if definition.kind() == DefinitionKind::Module {
                    of.refused = tenant.programs().restricted.refused(definition.name());
                }
                of.warnings = definition.activity.warning_count();
                of.errors = definition.activity.errors_of_all_versions();
                all.push(of);
            }
        }
        Self::bounded(all)
    }

    fn bounded(mut all: Vec<Self>) -> Vec<Self> {
        if all.len() <= DEFINITIONS_FIGURED_MAX {
            return all;
        }
        let mut others = Self { name: "other".to_owned(), ..Self::default() };
        for of in all.drain(DEFINITIONS_FIGURED_MAX..) {
            others.merge(&of);
        }
        all.push(others);
        all
    }

    fn add(&mut self, figures: &RunnerMetrics) {
        self.runs = figures.runs;
        self.traps = figures.traps;
        self.dropped = figures.dropped;
        self.waiting = figures.waiting;
        self.seconds = figures.time.as_secs_f64();
        self.run_times = figures.run_times;
    }

    fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.errors += other.errors;
        self.warnings += other.warnings;
        self.traps += other.traps;
        self.dropped += other.dropped;
        self.missed += other.missed;
        self.refused += other.refused;
        self.waiting += other.waiting;
        self.seconds += other.seconds;
        self.run_times.add(&other.run_times);
    }
}

fn by_definition(it: &Reading<'_>, to: &mut Samples<'_>, value: fn(&DefinitionReading) -> f64) {
    for of in &it.definitions {
        to.with(&[&of.tenant, of.kind, &of.name], value(of));
    }
}

/// Samples of the counters, or gauges, that definitions have of their own.
fn own_metrics(broker: &Broker, to: &mut Samples<'_>, counters: bool) {
    for tenant in broker.hosting.tenants.all().iter() {
        let guests = &tenant.programs().guests;
        for (of, metrics) in guests.metrics.all() {
            let Some(definition) = guests.registry.read().by_id(of).cloned() else { continue };
            for (name, value) in if counters { &metrics.counters } else { &metrics.gauges } {
                let values = [&*tenant.name, definition.kind().title(), &**definition.name(), &**name];
                match value {
                    MetricChange::Add(sum) => to.with(&values, sum),
                    MetricChange::Set(value) => to.with(&values, value),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_beyond_the_limit_are_summed_as_other() {
        let named = |number: usize| DefinitionReading {
            name: number.to_string(),
            runs: 1,
            seconds: 0.5,
            ..DefinitionReading::default()
        };
        let all = DefinitionReading::bounded((0..DEFINITIONS_FIGURED_MAX + 3).map(named).collect());
        assert_eq!(all.len(), DEFINITIONS_FIGURED_MAX + 1);
        let others = all.last().unwrap();
        assert_eq!((&*others.name, others.kind, others.runs), ("other", "", 3));
        assert!((others.seconds - 1.5).abs() < 1e-9);
        assert_eq!(DefinitionReading::bounded((0..2).map(named).collect()).len(), 2);
    }
}
