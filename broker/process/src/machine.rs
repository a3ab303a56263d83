//! Memory of the machine, from which bounds derive.

use std::fs;
use std::path::Path;

use lotmq_config::{Config, Limits, ValueOrigin};

use crate::limits::{GUESTS_MEMORY_PART, GUESTS_MEMORY_RANGE, SUM_MEMORY_MIN, SUM_MEMORY_PART};

/// Memory in bytes that is assumed for a machine which does not tell.
const MEMORY_GUESSED: u64 = 4 << 30;

/// Configuration in which the default sums of memory are cut down to a part of the machine's, so
/// that a small machine survives clients that use them up.
pub fn fitted(config: &Config) -> Config {
    fitted_to(config, memory())
}

fn fitted_to(config: &Config, memory: u64) -> Config {
    let mut fitted = config.clone();
    let bytes_max = (memory / SUM_MEMORY_PART).max(SUM_MEMORY_MIN);
    let limits = &mut fitted.limits;
    for (path, bytes) in [
        ("limits.retained_bytes", &mut limits.retained_bytes),
        ("limits.delayed_bytes", &mut limits.delayed_bytes),
        ("limits.tenant_session_bytes", &mut limits.tenant_session_bytes),
        ("limits.all_output_bytes", &mut limits.all_output_bytes),
        ("limits.all_queue_bytes", &mut limits.all_queue_bytes),
        ("limits.all_inflight_bytes", &mut limits.all_inflight_bytes),
        ("limits.all_alias_bytes", &mut limits.all_alias_bytes),
        ("limits.partial_bytes", &mut limits.partial_bytes),
    ] {
        if *config.origin(path) == ValueOrigin::Default {
            *bytes = bytes_max.min(*bytes);
        }
    }
    fitted
}

/// Memory that all guests together may have, in bytes.
pub fn guests_memory(limits: &Limits) -> u64 {
    if limits.guests_memory > 0 { limits.guests_memory } else { part(memory()) }
}

/// Memory that the native code of all guests together may have, in bytes.
pub fn code_memory(limits: &Limits) -> u64 {
    if limits.code_memory > 0 { limits.code_memory } else { guests_memory(limits) }
}

/// Part of a machine's memory that guests may have where nothing is configured.
fn part(memory: u64) -> u64 {
    (memory / GUESTS_MEMORY_PART).clamp(*GUESTS_MEMORY_RANGE.start(), *GUESTS_MEMORY_RANGE.end())
}

/// Memory of the machine in bytes, or of the container or service where that has less.
pub fn memory() -> u64 {
    let machine =
        fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total).unwrap_or(MEMORY_GUESSED);
    let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    least_limit(&cgroups, Path::new("/sys/fs/cgroup"), &Controller::MEMORY).unwrap_or(u64::MAX).min(machine)
}

/// Controller of control groups, with the files of its limit in version 2 and version 1.
pub(crate) struct Controller {
    name: &'static str,
    file: &'static str,
    former_file: &'static str,
}

impl Controller {
    pub(crate) const MEMORY: Self =
        Self { name: "memory", file: "memory.max", former_file: "memory.limit_in_bytes" };
    pub(crate) const PIDS: Self = Self { name: "pids", file: "pids.max", former_file: "pids.max" };
}

/// The least that a control group leaves: that of the process, or one around it. Of groups as
/// `/proc/self/cgroup` lists them, of version 2 or 1, in the folder at which they are mounted. A
/// container may see its own group as the outermost.
pub(crate) fn least_limit(cgroups: &str, mounted: &Path, of: &Controller) -> Option<u64> {
    let limits = cgroups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers) = (parts.next(), parts.next().unwrap_or_default());
        let path = Path::new(parts.next().unwrap_or_default().trim_start_matches('/'));
        let found = match (number, controllers) {
            (Some("0"), "") => Some((mounted.to_owned(), of.file)),
            _ if controllers.split(',').any(|controller| controller == of.name) => {
                Some((mounted.join(of.name), of.former_file))
            }
            _ => None,
        };
        let around = path.ancestors();
        found.into_iter().flat_map(move |(root, file)| around.map(move |group| root.join(group).join(file)))
    });
    limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

/// Parses the line `MemTotal: 16384256 kB`, to bytes.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_config::Sources;

    #[test]
    fn sums_that_nobody_has_set_fit_the_machine() {
        let sources = Sources {
            environment: vec![("LOTMQ_LIMITS_ALL_QUEUE_BYTES".into(), "700000000".into())],
            ..Sources::default()
        };
        let config = Config::load(sources).unwrap();
        let large = fitted_to(&config, 64 << 30);
        assert_eq!(large.limits, config.limits);
        let small = fitted_to(&config, 1 << 30).limits;
        assert_eq!((small.retained_bytes, small.tenant_session_bytes), (128 << 20, 128 << 20));
        assert_eq!(small.all_queue_bytes, 700_000_000, "it was asked for");
        assert_eq!(fitted_to(&config, 0).limits.all_output_bytes, 32 << 20);
    }

    #[test]
    fn the_least_limit_of_the_groups_around_counts() {
        let mounted = tempfile::tempdir().unwrap();
        for (file, limit) in [
            ("system.slice/lotmq.service/memory.max", "max\n"),
            ("system.slice/memory.max", "300\n"),
            ("memory/docker/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/docker/a/memory.limit_in_bytes", "200\n"),
            ("memory/memory.limit_in_bytes", "500\n"),
            ("system.slice/pids.max", "900\n"),
            ("pids/docker/pids.max", "800\n"),
        ] {
            let file = mounted.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, limit).unwrap();
        }
        let limit = |cgroups: &str| least_limit(cgroups, mounted.path(), &Controller::MEMORY);
        let pids = |cgroups: &str| least_limit(cgroups, mounted.path(), &Controller::PIDS);
        assert_eq!(pids("0::/system.slice/lotmq.service\n"), Some(900));
        assert_eq!(pids("3:pids:/docker/a\n"), Some(800));
        assert_eq!(limit("0::/system.slice/lotmq.service\n"), Some(300));
        assert_eq!(limit("4:cpu,memory:/docker/a\n1:cpu:/\n0::/\n"), Some(200));
        assert_eq!(limit("4:memory:/of/the/host\n"), Some(500), "a container sees its own as the outermost");
        assert_eq!([limit("1:cpu:/\n"), limit("0::/\n"), limit("")], [None; 3]);
    }

    #[test]
    fn guests_have_a_part_of_the_memory() {
        assert_eq!(total("MemFree: 7 kB\nMemTotal:       16384256 kB\n"), Some(16_384_256 * 1024));
        assert_eq!(total("MemFree: 7 kB\n"), None);
        for (memory, expected) in [(512 << 20, 256 << 20), (8 << 30, 2 << 30), (256 << 30, 4 << 30)] {
            assert_eq!(part(memory), expected, "{memory}");
        }
        assert!(memory() > 64 << 20);
    }
}
