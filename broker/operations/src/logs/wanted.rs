//! Wanted lines of the log: levels by those who are subscribed to `Log/<Level>`, and trace logs.

use std::sync::Arc;

use super::line::{Category, Level, Line};
use super::trace_log::TraceLog;
use lotmq_core::tenant::Tenant;

/// Topics of a level: the present spelling and the older one.
const TOPICS: [[&str; 2]; 4] = [
    ["$SYS/Coreflux/Log/Error", "$SYS/Coreflux/Logs/Error"],
    ["$SYS/Coreflux/Log/Warning", "$SYS/Coreflux/Logs/Warning"],
    ["$SYS/Coreflux/Log/Info", "$SYS/Coreflux/Logs/Info"],
    ["$SYS/Coreflux/Log/Debug", "$SYS/Coreflux/Logs/Debug"],
];

/// Topics of the lines of a level; `None` for the level that only trace logs have.
pub(super) fn topics_of(level: Level) -> Option<[&'static str; 2]> {
    TOPICS.get(usize::from(level.number()) - 1).copied()
}

/// Whether a filter may reach the topics of lines.
pub(super) fn may_be_of_log(filter: &str) -> bool {
    let filter = match lotmq_router::parse_shared(filter) {
        Ok(Some(shared)) => shared.filter,
        _ => filter,
    };
    let mut levels = filter.split('/');
    let third = (levels.next() == Some("$SYS")).then(|| (levels.next(), levels.next()));
    match third {
        Some((Some("#"), _)) => true,
        Some((Some("+" | "Coreflux"), third)) => matches!(third, Some("#" | "+" | "Log" | "Logs")),
        _ => false,
    }
}

/// Lines that somebody wants.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Whether a level is wanted, by its number less one.
    levels: [bool; 4],
    /// Trace logs with readers, and the categories that are read.
    trace_logs: Vec<(Arc<TraceLog>, [bool; Category::COUNT])>,
    /// Most verbose level of each category.
    verbosity: [u8; Category::COUNT],
}

impl Wanted {
    pub(super) fn by(tenant: &Tenant, trace_logs: &[Arc<TraceLog>]) -> Self {
        let levels = TOPICS.map(|topics| topics.iter().any(|topic| has_readers(tenant, topic)));
        let read = |log: &Arc<TraceLog>| {
            let read = Category::ALL.map(|category| {
                log.may_have(Level::Error, category) && has_readers(tenant, &log.topic(category))
            });
            read.contains(&true).then(|| (Arc::clone(log), read))
        };
        Self::new(levels, trace_logs.iter().filter_map(read).collect())
    }

    /// Lines wanted by these levels and trace logs.
    #[cfg(test)]
    pub(super) fn of(levels: &[Level], trace_logs: Vec<Arc<TraceLog>>) -> Self {
        let levels =
            [Level::Error, Level::Warning, Level::Info, Level::Debug].map(|level| levels.contains(&level));
        Self::new(levels, trace_logs.into_iter().map(|log| (log, [true; Category::COUNT])).collect())
    }

    fn new(levels: [bool; 4], trace_logs: Vec<(Arc<TraceLog>, [bool; Category::COUNT])>) -> Self {
        let of_log =
            Level::ALL.into_iter().zip(levels).filter(|(_, is)| *is).map(|(level, _)| level.number());
        let mut verbosity = [of_log.max().unwrap_or(0); Category::COUNT];
        for (log, read) in &trace_logs {
            for (verbosity, is_read) in verbosity.iter_mut().zip(read) {
                if *is_read {
                    *verbosity = log.level.number().max(*verbosity);
                }
            }
        }
        Self { levels, trace_logs, verbosity }
    }

    /// Most verbose level of each category; 0 for none.
    pub(super) fn verbosity(&self) -> [u8; Category::COUNT] {
        self.verbosity
    }

    pub(super) fn wants(&self, level: Level, category: Category) -> bool {
        level.number() <= self.verbosity[category as usize]
    }

    pub(super) fn is_for_log(&self, level: Level) -> bool {
        self.levels.get(usize::from(level.number()) - 1) == Some(&true)
    }

    /// Trace logs that have the line, and are read.
    pub(super) fn trace_logs_of(&self, line: &Line) -> Vec<Arc<TraceLog>> {
        let is_read = |read: &[bool; Category::COUNT]| read[line.category as usize];
        let having = self.trace_logs.iter().filter(|(log, read)| is_read(read) && log.admits(line));
        having.map(|(log, _)| Arc::clone(log)).collect()
    }
}

/// Whether a connected Client gets a topic.
fn has_readers(tenant: &Tenant, topic: &str) -> bool {
    if !tenant.has_subscribers(topic) {
        return false;
    }
    let route = tenant.route(topic);
    !route.groups.is_empty() || route.targets.iter().any(|target| target.client.wire_version().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_may_reach_lines_are_known() {
        for (filter, expected) in [
            ("$SYS/#", true),
            ("$SYS/Coreflux/#", true),
            ("$SYS/+/Log/#", true),
            ("$SYS/Coreflux/Logs/Error", true),
            ("$SYS/Coreflux/+/Error", true),
            ("$share/g/$SYS/Coreflux/Log/#", true),
            ("$SYS/Coreflux/Actions/#", false),
            ("$SYS/broker/#", false),
            ("$SYS/Coreflux", false),
            ("#", false),
            ("Coreflux/Log", false),
        ] {
            assert_eq!(may_be_of_log(filter), expected, "{filter}");
        }
    }
}
