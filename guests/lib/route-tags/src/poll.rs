//! Polls: select the next request of a mapping and process its answer.
//!
//! A value without clock or network. [`next`](Polls::next) returns the next step,
//! [`answered`](Polls::answered) takes values and returns due messages, and
//! [`published`](Polls::published) marks them as published.
//! Invariants: one poll runs at a time, so polls never overlap. A tag that the device rejects is
//! requested apart from all others, with growing pauses, so that it does not delay them. Once the
//! device rejects none, all are requested together again, since one request has values of one
//! moment. If the device rejects only that, the pauses grow.

use crate::limits::{REFUSED_PAUSE_MS, REFUSED_PAUSE_MS_MAX, TAGS_TOLD_MAX};
use crate::planned::{Planned, Reading};
use crate::ticks::Ticks;
use crate::{Tag, Value};

/// All mappings of a route.
pub(crate) struct Polls<R> {
    mappings: Vec<Polled<R>>,
    /// The poll that is under way: a mapping and its next request.
    under_way: Option<(usize, usize)>,
    /// Tags that have begun to fail in it.
    failed: Vec<String>,
}

struct Polled<R> {
    ticks: Ticks,
    requests: Vec<Asked<R>>,
    /// End of the time in which tags that were rejected together are requested apart; `None` if all
    /// requests are as planned.
    apart_until_ms: Option<u64>,
    /// For how long they are next time.
    apart_ms: u64,
}

impl<R> Polled<R> {
    /// At the end of a poll: asks for all together again, when it is time and none is refused.
    fn rejoin(&mut self, now_ms: u64, plan: impl Fn(&[usize]) -> Vec<Planned<R>>) {
        let Some(until_ms) = self.apart_until_ms else {
            self.apart_ms = REFUSED_PAUSE_MS;
            return;
        };
        if until_ms > now_ms || self.requests.iter().any(|asked| asked.rest.is_some()) {
            return;
        }
        let mut tags: Vec<usize> =
            self.requests.iter().flat_map(|asked| asked.planned.tags.iter().copied()).collect();
        tags.sort_unstable();
        self.requests = plan(&tags).into_iter().map(Asked::new).collect();
        self.apart_until_ms = None;
        self.apart_ms = (self.apart_ms * 2).min(REFUSED_PAUSE_MS_MAX);
    }
}

struct Asked<R> {
    planned: Planned<R>,
    /// When it is asked again and the pause behind that, where the device has refused its only tag.
    rest: Option<(u64, u64)>,
}

impl<R> Asked<R> {
    fn new(planned: Planned<R>) -> Self {
        Self { planned, rest: None }
    }
}

/// Next step.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Send the request of [`Polls::request`].
    Read,
    /// A poll is at its end; the next one is due in so many milliseconds.
    Wait(u64),
}

/// A message that is due.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) tag: usize,
    pub(crate) value: (String, Vec<f64>),
}

impl<R> Polls<R> {
    /// Mappings with their periods and requests, all due now.
    pub(crate) fn new(mappings: Vec<(u64, Vec<Planned<R>>)>, now_ms: u64) -> Polls<R> {
        let mappings = mappings.into_iter().map(|(period_ms, planned)| Polled {
            ticks: Ticks::new(period_ms, now_ms),
            requests: planned.into_iter().map(Asked::new).collect(),
            apart_until_ms: None,
            apart_ms: REFUSED_PAUSE_MS,
        });
        Polls { mappings: mappings.collect(), under_way: None, failed: Vec::new() }
    }

    /// Goes on with the poll that is under way, or begins the one that has been due for longest.
    pub(crate) fn next(&mut self, now_ms: u64) -> Step {
        if let Some((mapping, request)) = self.under_way {
            let polled = &mut self.mappings[mapping];
            let is_asked = |asked: &Asked<R>| asked.rest.is_none_or(|(until_ms, _)| until_ms <= now_ms);
            if let Some(at) = (request..polled.requests.len()).find(|at| is_asked(&polled.requests[*at])) {
                self.under_way = Some((mapping, at));
                return Step::Read;
            }
            polled.ticks.done(now_ms);
            self.under_way = None;
            return Step::Wait(self.wait_ms(now_ms));
        }
        let due = self.mappings.iter().enumerate().min_by_key(|(_, polled)| polled.ticks.next_ms());
        match due.filter(|(_, polled)| polled.ticks.next_ms() <= now_ms) {
            Some((mapping, _)) => {
                self.under_way = Some((mapping, 0));
                self.next(now_ms)
            }
            None => Step::Wait(self.wait_ms(now_ms)),
        }
    }

    fn wait_ms(&self, now_ms: u64) -> u64 {
        let next = self.mappings.iter().map(|polled| polled.ticks.next_ms()).min();
        next.map_or(u64::MAX, |next| next.saturating_sub(now_ms))
    }

    /// The request whose turn it is.
    pub(crate) fn request(&self) -> Option<&Planned<R>> {
        let (mapping, request) = self.under_way?;
        Some(&self.mappings[mapping].requests[request].planned)
    }

    /// Takes the values of a request and returns the due messages. The poll goes on with
    /// [`done`](Self::done).
    pub(crate) fn answered<A>(&mut self, tags: &mut [Tag<A>], readings: Vec<Reading>) -> Vec<Due> {
        let mut due = Vec::new();
        for (tag, value) in readings {
            match value {
                Ok(value) => {
                    due.extend(self.has_value(&mut tags[tag], &value).map(|value| Due { tag, value }))
                }
                Err(reason) => self.fails(&mut tags[tag], reason),
            }
        }
        due
    }

    fn has_value<A>(&mut self, tag: &mut Tag<A>, value: &Value) -> Option<(String, Vec<f64>)> {
        tag.failing = None;
        tag.due(value)
    }

    /// Notes why a tag has no value. Reports a new reason.
    pub(crate) fn fails<A>(&mut self, tag: &mut Tag<A>, reason: String) {
        if tag.failing.as_ref() != Some(&reason) {
            self.failed.push(format!("{}/{}: {reason}", tag.settings.mapping, tag.settings.name));
            tag.failing = Some(reason);
        }
    }

    /// Moves to the next request. Splits a request with `refused` tags into halves from now on; a
    /// single tag is requested less often.
    pub(crate) fn done(
        &mut self,
        refused: &[usize],
        now_ms: u64,
        plan: impl Fn(&[usize]) -> Vec<Planned<R>>,
    ) {
        let Some((mapping, request)) = self.under_way else { return };
        let mut next = request + 1;
        let polled = &mut self.mappings[mapping];
        let asked = &mut polled.requests[request];
        if refused.is_empty() {
            asked.rest = None;
        } else if asked.planned.tags.len() == 1 {
            let pause =
                asked.rest.map_or(REFUSED_PAUSE_MS, |(_, pause)| (pause * 2).min(REFUSED_PAUSE_MS_MAX));
            asked.rest = Some((now_ms.saturating_add(pause), pause));
        } else {
            let good: Vec<usize> =
                asked.planned.tags.iter().copied().filter(|tag| !refused.contains(tag)).collect();
            let (first, second) = refused.split_at(refused.len() / 2);
            let parts = [&good[..], first, second].into_iter().filter(|part| !part.is_empty());
            let replacement: Vec<_> = parts.flat_map(&plan).map(Asked::new).collect();
            // The good ones have had their turn; those that were refused come at once, apart.
            let skipped = replacement.len() - usize::from(!first.is_empty()) - 1;
            next = request + skipped.min(replacement.len());
            polled.requests.splice(request..=request, replacement);
            polled.apart_until_ms.get_or_insert(now_ms.saturating_add(polled.apart_ms));
        }
        if next == polled.requests.len() {
            polled.rejoin(now_ms, plan);
            next = polled.requests.len();
        }
        self.under_way = Some((mapping, next));
    }

    /// Returns the failures that have begun since the last call, as text for people.
    pub(crate) fn take_failed(&mut self) -> Option<String> {
        let failed = std::mem::take(&mut self.failed);
        let told = failed.iter().take(TAGS_TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
        match failed.len().checked_sub(TAGS_TOLD_MAX) {
            _ if failed.is_empty() => None,
            Some(further) if further > 0 => Some(format!("{told}; and {further} further tags")),
            _ => Some(told),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(tags: &[usize]) -> Vec<Planned<()>> {
        vec![Planned { tags: tags.to_vec(), request: () }]
    }

    /// One poll of a device that refuses some tags: the requests, as lists of tags.
    fn poll(polls: &mut Polls<()>, bad: &[usize], now_ms: u64) -> Vec<Vec<usize>> {
        let mut asked = Vec::new();
        while polls.next(now_ms) == Step::Read {
            let tags = polls.request().unwrap().tags.clone();
            // A request is refused as a whole.
            let refused = if tags.iter().any(|tag| bad.contains(tag)) { tags.clone() } else { Vec::new() };
            asked.push(tags);
            polls.done(&refused, now_ms, plan);
        }
        asked
    }

    #[test]
    fn a_tag_that_is_refused_is_found_and_then_costs_the_others_nothing() {
        let mut polls = Polls::new(vec![(1_000, plan(&[0, 1, 2, 3]))], 0);
        assert_eq!(poll(&mut polls, &[2], 0), [vec![0, 1, 2, 3], vec![0, 1], vec![2, 3], vec![2], vec![3]]);
        assert_eq!(poll(&mut polls, &[2], 1_000), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(poll(&mut polls, &[2], 2_000), [vec![0, 1], vec![3]]);
        assert_eq!(poll(&mut polls, &[], 3_000), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(poll(&mut polls, &[], 4_000), [vec![0, 1, 2, 3]], "values of one moment again");
    }

    #[test]
    fn what_is_refused_only_together_is_tried_together_less_and_less_often() {
        let mut polls = Polls::new(vec![(1_000, plan(&[0, 1]))], 0);
        let mut together = Vec::new();
        for now_s in 0..200 {
            let now_ms = now_s * 1_000;
            while polls.next(now_ms) == Step::Read {
                let tags = polls.request().unwrap().tags.clone();
                let refused = if tags.len() > 1 { tags } else { Vec::new() };
                if !refused.is_empty() {
                    together.push(now_s);
                }
                polls.done(&refused, now_ms, plan);
            }
        }
        assert_eq!(together, [0, 2, 5, 10, 19, 36, 69, 130, 191]);
    }

    #[test]
    fn the_mapping_that_has_been_due_for_longest_comes_first() {
        let mut polls = Polls::new(vec![(100, plan(&[0])), (250, plan(&[1]))], 0);
        let mut asked = Vec::new();
        for now in [0, 0, 100, 200, 250, 300] {
            asked.extend(poll(&mut polls, &[], now).concat());
        }
        assert_eq!(asked, [0, 1, 0, 0, 1, 0]);
        assert_eq!(polls.next(310), Step::Wait(90));
    }
}
