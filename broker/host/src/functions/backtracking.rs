//! `backtracking`: regular expressions with look-around. No capability needed. Bounds: cost of a
//! pattern, bytes in the cache, steps, and the time of the run, which a search counts against.

mod watched;

use crate::{Severity, SourcePlace, deadline::Stopped, state::RunState};
use fancy_regex::Regex;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmStr};
use watched::Watched;

/// Part of a text in bytes.
#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
struct Span {
    #[component(name = "start")]
    start: u32,
    #[component(name = "end")]
    end: u32,
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("backtracking"))?;
    interface.func_wrap("find", |store, (pattern, text, line, column): (WasmStr, WasmStr, u32, u32)| {
        let (pattern, text) = (pattern.to_str(&store)?, text.to_str(&store)?);
        let state = store.data();
        let judged = state.patterns.get(&pattern, &|| state.check_time())?;
        let found = match &judged.regex {
            Ok(regex) => find(regex, &text, &|| state.check_time())?.map_err(|error| error.to_string()),
            Err(reason) => Err(reason.clone()),
        };
        Ok((found.unwrap_or_else(|message| {
            let mut output = state.output.borrow_mut();
            output.report(state.writer(), Severity::Error, "PATTERN", &message, SourcePlace { line, column });
            None
        }),))
    })
}

/// Searches until `check_time` says that the time is over.
fn find(
    regex: &Regex,
    text: &str,
    check_time: &dyn Fn() -> Result<(), Stopped>,
) -> Result<Result<Option<Span>, fancy_regex::Error>, Stopped> {
    let watched = Watched::new(text, check_time);
    // The view of the text is dropped here, and the engine resets its scratch memory before each
    // search.
    let found = catch_unwind(AssertUnwindSafe(|| {
        let captures = regex.captures(&watched)?;
        let found = captures.as_ref().and_then(|captures| captures.name("value").or_else(|| captures.get(0)));
        Ok(found.flatten())
    }));
    found.map_err(|panic| match panic.downcast() {
        Ok(stopped) => *stopped,
        Err(panic) => resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BACKTRACK_STEPS_MAX;

    fn compiled(pattern: &str) -> Regex {
        lot_patterns::compile(pattern, BACKTRACK_STEPS_MAX).unwrap().regex
    }

    fn found(pattern: &str, text: &str) -> Result<Option<Span>, fancy_regex::Error> {
        find(&compiled(pattern), text, &|| Ok(())).unwrap()
    }

    #[test]
    fn find_gives_the_match_or_its_value_group() {
        for (pattern, text, expected) in [
            (r"(?<=#)\d+", "a#42b", Some((2, 4))),
            (r"(?<=ä)\w(?=ü)", "xäöü", Some((3, 5))),
            (r"k=(?<value>\w+);", "x k=on; y", Some((4, 6))),
            (r"(\w)\1", "abba", Some((1, 3))),
            (r"z", "abba", None),
        ] {
            let found = found(pattern, text).unwrap();
            assert_eq!(found.map(|span| (span.start, span.end)), expected, "{pattern}");
        }
    }

    #[test]
    fn a_search_without_end_is_given_up() {
        use fancy_regex::{Error::RuntimeError, RuntimeError::BacktrackLimitExceeded};
        let text = format!("{}b", "a".repeat(60));
        let given_up = found(r"(?=a)((a|aa)+)+\1$", &text).unwrap_err();
        assert!(matches!(given_up, RuntimeError(BacktrackLimitExceeded)));
    }

    /// Each of its few steps reads the whole text.
    #[test]
    fn a_search_ends_with_the_time_of_the_run() {
        let regex = compiled(r"(?<!x)[a-z ]+9");
        let text = "a".repeat(1_000_000);
        let asked = std::cell::Cell::new(0);
        let check_time = || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { Ok(()) } else { Err(Stopped::Slice) }
        };
        assert!(matches!(find(&regex, &text, &check_time), Err(Stopped::Slice)));
        assert_eq!(asked.get(), 3, "nobody is asked after that");
        // The regex still works after the unwinding.
        assert!(find(&regex, "abc9", &|| Ok(())).unwrap().unwrap().is_some());
    }
}
