//! `metrics`: counters and gauges of the definition. No capability needed. Bounds: length of names,
//! metrics per run; how many a definition has is the server's.

use crate::{MetricChange, limits::METRIC_NAME_BYTES_MAX, state::RunState};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmStr};

/// Why a figure was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum MetricError {
    #[component(name = "invalid-name")]
    InvalidName,
    #[component(name = "limit-reached")]
    LimitReached,
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("metrics"))?;
    interface.func_wrap("add", |store, (counter, by): (WasmStr, u64)| {
        let name = counter.to_str(&store)?;
        Ok((change(store.data(), &name, MetricChange::Add(by)),))
    })?;
    interface.func_wrap("set", |store, (gauge, value): (WasmStr, f64)| {
        let name = gauge.to_str(&store)?;
        Ok((change(store.data(), &name, MetricChange::Set(value)),))
    })
}

fn change(state: &RunState, name: &str, change: MetricChange) -> Result<(), MetricError> {
    if !is_name(name) {
        return Err(MetricError::InvalidName);
    }
    let mut output = state.output.borrow_mut();
    output.metric(state.writer(), name, change).map_err(|_| MetricError::LimitReached)
}

/// Whether a counter or gauge may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= METRIC_NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_of_lower_case() {
        let long = "a".repeat(METRIC_NAME_BYTES_MAX);
        for (name, expected) in [
            ("", false),
            ("rows", true),
            ("rows_2_written", true),
            ("2rows", false),
            ("_rows", false),
            ("Rows", false),
            ("rows\"}", false),
            ("zähler", false),
            (&*long, true),
            (&*(long.clone() + "a"), false),
        ] {
            assert_eq!(is_name(name), expected, "{name:?}");
        }
    }
}
