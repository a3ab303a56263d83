//! Compiled patterns of all instances: regular expressions with look-around.
//!
//! All instances share them, so that dropping an idle instance costs no compilation. They are
//! bounded in sum. Each instance remembers the patterns that it used lately. The crate
//! `lot-patterns` says which cost a pattern may have.
//!
//! Invariant: nothing is compiled under the lock. Not here: searching (`functions::backtracking`).

use crate::{deadline::Stopped, limits::PATTERNS_MAX};
use fancy_regex::Regex;
use lot_patterns::limits::PATTERN_BYTES_MAX;
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

/// Bytes of an entry beside the text and the machines of the pattern.
const ENTRY_BYTES: u64 = 512;

/// A pattern that was judged: a machine, or the reason why there is none.
pub(crate) struct JudgedPattern {
    pub(crate) regex: Result<Regex, String>,
    bytes: u64,
    /// It was used since its turn to go came last.
    was_used: AtomicBool,
}

impl JudgedPattern {
    fn new(pattern: &str, steps_max: usize) -> Self {
        let compiled = lot_patterns::compile(pattern, steps_max);
        let machines = compiled.as_ref().map_or(0, |compiled| compiled.price.bytes());
        let text = pattern.len() as u64 * 2;
        let regex = compiled.map(|compiled| compiled.regex).map_err(|error| error.to_string());
        JudgedPattern { regex, bytes: machines + text + ENTRY_BYTES, was_used: AtomicBool::new(false) }
    }

    fn use_it(&self) {
        // Written once for many uses: other threads read it.
        if !self.was_used.load(Ordering::Relaxed) {
            self.was_used.store(true, Ordering::Relaxed);
        }
    }
}

/// Patterns of all instances, up to so many bytes.
pub(crate) struct PatternCache {
    kept: Mutex<Kept>,
    bytes_max: u64,
    /// Steps of one search.
    steps_max: usize,
}

#[derive(Default)]
struct Kept {
    judged: HashMap<Arc<str>, Arc<JudgedPattern>>,
    /// The one whose turn to go comes next first.
    order: VecDeque<Arc<str>>,
    bytes: u64,
}

impl PatternCache {
    pub(crate) fn new(bytes_max: u64, steps_max: usize) -> Arc<Self> {
        Arc::new(PatternCache { kept: Mutex::default(), bytes_max, steps_max })
    }

    /// Returns the approximate size of the cache, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.lock().bytes
    }

    fn find(&self, pattern: &str) -> Option<Arc<JudgedPattern>> {
        self.kept.lock().judged.get(pattern).cloned()
    }

    /// Compiles one that is not kept; some 15 ms at most.
    fn add(&self, pattern: &Arc<str>) -> Arc<JudgedPattern> {
        let judged = Arc::new(JudgedPattern::new(pattern, self.steps_max));
        let mut kept = self.kept.lock();
        // Another thread was faster.
        if let Some(known) = kept.judged.get(pattern) {
            return Arc::clone(known);
        }
        kept.bytes += judged.bytes;
        kept.judged.insert(Arc::clone(pattern), Arc::clone(&judged));
        kept.order.push_back(Arc::clone(pattern));
        kept.shrink(self.bytes_max);
        judged
    }
}

impl Kept {
    /// Lets patterns go until there is room, first those that were not used since their turn came
    /// last.
    fn shrink(&mut self, bytes_max: u64) {
        let mut spared_max = self.order.len();
        while self.bytes > bytes_max
            && let Some(next) = self.order.pop_front()
        {
            let was_used =
                self.judged.get(&next).is_some_and(|it| it.was_used.swap(false, Ordering::Relaxed));
            if was_used && spared_max > 0 {
                spared_max -= 1;
                self.order.push_back(next);
            } else if let Some(gone) = self.judged.remove(&next) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

/// Patterns that one instance has used lately.
pub(crate) struct Patterns {
    cache: Arc<PatternCache>,
    /// The one used longest ago first.
    used: RefCell<Vec<(Arc<str>, Weak<JudgedPattern>)>>,
}

impl Patterns {
    pub(crate) fn new(cache: &Arc<PatternCache>) -> Self {
        Patterns { cache: Arc::clone(cache), used: RefCell::default() }
    }

    /// A pattern; it is compiled where it is not kept, if `check_time` says that there is time
    /// left.
    pub(crate) fn get(
        &self,
        pattern: &str,
        check_time: &dyn Fn() -> Result<(), Stopped>,
    ) -> Result<Arc<JudgedPattern>, Stopped> {
        // It can be as long as a guest's memory.
        if pattern.len() > PATTERN_BYTES_MAX {
            return Ok(Arc::new(JudgedPattern::new(pattern, self.cache.steps_max)));
        }
        let mut used = self.used.borrow_mut();
        let found = used.iter().position(|(known, _)| **known == *pattern).map(|index| used.remove(index));
        let judged = found.as_ref().and_then(|(_, judged)| judged.upgrade());
        let text = found.map_or_else(|| Arc::from(pattern), |(text, _)| text);
        let judged = match judged.or_else(|| self.cache.find(pattern)) {
            Some(judged) => judged,
            None => {
                check_time()?;
                self.cache.add(&text)
            }
        };
        judged.use_it();
        let surplus = (used.len() + 1).saturating_sub(PATTERNS_MAX);
        used.drain(..surplus);
        used.push((text, Arc::downgrade(&judged)));
        Ok(judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BACKTRACK_STEPS_MAX, PATTERN_CACHE_BYTES_MAX};

    fn get(patterns: &Patterns, pattern: &str) -> Arc<JudgedPattern> {
        patterns.get(pattern, &|| Ok(())).unwrap()
    }

    #[test]
    fn an_instance_remembers_few() {
        let patterns = Patterns::new(&PatternCache::new(PATTERN_CACHE_BYTES_MAX, BACKTRACK_STEPS_MAX));
        assert!(get(&patterns, &"x".repeat(PATTERN_BYTES_MAX + 1)).regex.is_err());
        assert_eq!(patterns.cache.bytes(), 0, "what is too long is not kept");
        for number in 0..2 * PATTERNS_MAX {
            assert!(get(&patterns, &format!("p{number}")).regex.is_ok());
        }
        assert_eq!(patterns.used.borrow().len(), PATTERNS_MAX);
    }

    /// The next instance does not compile it again, whatever its owner.
    #[test]
    fn instances_share_what_is_compiled() {
        let cache = PatternCache::new(PATTERN_CACHE_BYTES_MAX, BACKTRACK_STEPS_MAX);
        let first = get(&Patterns::new(&cache), "(?<=a)b");
        let second = get(&Patterns::new(&cache), "(?<=a)b");
        assert!(Arc::ptr_eq(&first, &second));
        assert!(cache.bytes() >= first.bytes);
    }

    #[test]
    fn all_together_are_bounded_and_those_in_use_stay() {
        let bytes_max = 8 << 20;
        let cache = PatternCache::new(bytes_max, BACKTRACK_STEPS_MAX);
        let patterns = Patterns::new(&cache);
        let in_use = get(&patterns, "(?<=a)b");
        for number in 0..40 {
            assert!(get(&patterns, &format!(r"(?={number}\w{{1,20}})a")).regex.is_ok());
            assert!(Arc::ptr_eq(&in_use, &get(&patterns, "(?<=a)b")), "after {number}");
            assert!(cache.bytes() <= bytes_max);
        }
        assert!(cache.find(r"(?=0\w{1,20})a").is_none());
        let kept = cache.kept.lock();
        assert_eq!(kept.order.len(), kept.judged.len());
        drop(kept);
        // The cache compiles an evicted pattern again.
        assert!(get(&patterns, r"(?=0\w{1,20})a").regex.is_ok());
    }

    #[test]
    fn nothing_is_compiled_when_the_time_is_over() {
        let cache = PatternCache::new(PATTERN_CACHE_BYTES_MAX, BACKTRACK_STEPS_MAX);
        let patterns = Patterns::new(&cache);
        assert!(matches!(patterns.get("(?<=a)b", &|| Err(Stopped::Slice)), Err(Stopped::Slice)));
        assert_eq!(cache.bytes(), 0);
    }

    /// `(?=aa\pL{14})(?=ba\pL{14})…` took 0.3 s and 200 MiB.
    #[test]
    fn one_that_costs_too_much_is_not_compiled() {
        let pattern = (0..290).fold("x".to_owned(), |text, number| {
            let letter = |number: u32| char::from_u32(97 + number % 26).unwrap();
            format!("{text}(?={}{}\\pL{{14}})", letter(number), letter(number / 26))
        });
        let cache = PatternCache::new(PATTERN_CACHE_BYTES_MAX, BACKTRACK_STEPS_MAX);
        let judged = get(&Patterns::new(&cache), &pattern);
        let reason = judged.regex.as_ref().err().unwrap();
        assert!(reason.starts_with("too large: it costs "), "{reason}");
    }
}
