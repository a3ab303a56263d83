//! Tags that have no value: the guest is asked for them behind a run that has failed, and again until all have one.
//!
//! A guest tells what begins to fail as the failure of a run, and says nothing when that is over; one that has nothing to say of tags is not asked again.

use std::sync::Arc;
use std::time::Instant;

use lotmq_host::route::Abilities;
use tracing::warn;

use super::super::{Ended, Serving, count_call, too_long, trapped};
use crate::guests::routes::failing_tags::FailingTags;
use crate::limits::ROUTE_TAGS_PAUSE;

/// Request by which a guest is asked.
const OPERATION: &str = "tags";

/// When a guest is asked for the tags that have no value.
pub(super) struct TagsAsked {
    /// `None` where it has nothing new to say.
    due: Option<Instant>,
    /// Whether it has ever said something that is no answer.
    has_none: bool,
    /// Number of times that tags had begun to fail.
    news: u64,
}

impl TagsAsked {
    /// A guest that is asked behind its first run.
    pub(super) fn at_once() -> TagsAsked {
        TagsAsked { due: Some(Instant::now()), has_none: false, news: 0 }
    }
}

impl Serving<'_> {
    /// Asks the guest behind a run, when it is time: at once when that has failed.
    pub(super) async fn ask_for_tags(&mut self, has_failed: bool) -> Result<(), Ended> {
        let has_tags = self.version.said().mappings.iter().any(|mapping| !mapping.tags.is_empty());
        let Some(tags) = self.runs.as_ref().map(|runs| &runs.tags) else { return Ok(()) };
        let is_due = has_failed || tags.due.is_some_and(|due| due <= Instant::now());
        if !has_tags || tags.has_none || !is_due || !self.abilities.contains(Abilities::REQUEST) {
            return Ok(());
        }
        self.instance.comes_behind(0);
        count_call(self.figures.as_ref());
        let call_time = self.version.call_time();
        let asked = tokio::time::timeout(call_time, self.instance.request(OPERATION, b"{}")).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer.ok(),
            Ok(Err(trap)) => return Err(Ended::Away(trapped(self.figures.as_ref(), &trap))),
            Err(_) => return Err(Ended::Away(too_long(call_time))),
        };
        let told = answer.and_then(|answer| FailingTags::read(&answer, |text| self.driver.masked(text)));
        self.tags_are(told.map(Arc::new), has_failed);
        Ok(())
    }

    fn tags_are(&mut self, told: Option<Arc<FailingTags>>, has_failed: bool) {
        let Some(runs) = &mut self.runs else { return };
        let asked = &mut runs.tags;
        asked.has_none = told.is_none();
        asked.due = None;
        if let Some(tags) = told.as_ref().filter(|tags| tags.count() > 0) {
            asked.due = Some(Instant::now() + ROUTE_TAGS_PAUSE);
            asked.news += u64::from(has_failed);
            if has_failed && asked.news.is_power_of_two() {
                let (route, tag) = (&**self.version.definition.name(), tags.first());
                // The reason may be the far side's own words, which are for the route's topics.
                warn!(target: "routes", route, tag, failing = tags.count(), times = asked.news, "tags of a route have no value");
            }
        }
        let route = &self.driver.route;
        if route.standing().failing_tags != told {
            route.update(|standing| standing.failing_tags = told);
        }
    }
}
