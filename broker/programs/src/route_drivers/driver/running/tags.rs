//! Tags that have no value: the guest is asked for them behind a run that has failed, and again
//! until all have one.
//!
//! A guest tells what begins to fail as the failure of a run, and says nothing when that is over;
//! one that has nothing to say of tags is not asked again.

use std::sync::Arc;
use std::time::Instant;

use lotmq_definitions::RunError;
use lotmq_host::route::RouteInstance;
use tracing::{info, warn};

use super::super::asking::ask_guest;
use super::super::{Driver, Ended};
use crate::limits::{ROUTE_TAGS_PAUSE, ROUTE_TAGS_REPORT_PAUSE};
use crate::route_modules::ModuleFigures;
use crate::routes::failing_tags::FailingTags;
use crate::routes::version::Version;

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
    /// Whether it was told that tags have no value, and not yet that they have them again.
    is_told: bool,
    /// When it was told last.
    told_at: Option<Instant>,
}

impl TagsAsked {
    /// A guest that is asked behind its first run.
    pub(super) fn at_once() -> TagsAsked {
        TagsAsked { due: Some(Instant::now()), has_none: false, news: 0, is_told: false, told_at: None }
    }

    /// Asks the guest behind a run, when it is time: at once when that has failed.
    pub(super) async fn ask(
        &mut self,
        driver: &Driver,
        version: &Version,
        instance: &mut RouteInstance,
        figures: Option<&Arc<ModuleFigures>>,
        has_failed: bool,
    ) -> Result<(), Ended> {
        let has_tags = version.said().mappings.iter().any(|mapping| !mapping.tags.is_empty());
        let is_due = has_failed || self.due.is_some_and(|due| due <= Instant::now());
        if !has_tags || self.has_none || !is_due {
            return Ok(());
        }
        let answer = ask_guest(OPERATION, version, instance, figures).await?;
        let told = answer.and_then(|answer| FailingTags::read(&answer, |text| driver.masked(text)));
        self.hears(driver, version, told.map(Arc::new), has_failed);
        Ok(())
    }

    fn hears(
        &mut self,
        driver: &Driver,
        version: &Version,
        told: Option<Arc<FailingTags>>,
        has_failed: bool,
    ) {
        self.has_none = told.is_none();
        self.due = None;
        if let Some(tags) = told.as_ref().filter(|tags| tags.count() > 0) {
            self.due = Some(Instant::now() + ROUTE_TAGS_PAUSE);
            self.news += u64::from(has_failed);
            if has_failed && self.news.is_power_of_two() {
                let (route, tag) = (&**version.definition.name(), tags.first());
                // The reason may be the far side's own words, which are for the route's topics.
                warn!(target: "routes", route, tag, failing = tags.count(), times = self.news, "tags of a route have no value");
            }
        }
        self.tells(driver, version, told.as_deref());
        if driver.route.status().failing_tags != told {
            driver.route.update(|status| status.failing_tags = told);
        }
    }

    /// Records that tags have lost their values if none lacked one before. Logs when all have
    /// values again. Limits the rate for tags that come and go.
    fn tells(&mut self, driver: &Driver, version: &Version, told: Option<&FailingTags>) {
        let Some(text) = told.and_then(FailingTags::text) else {
            if std::mem::take(&mut self.is_told) {
                info!(target: "routes", route = &**version.definition.name(), "all tags of a route have values again");
            }
            return;
        };
        let is_quiet = self.told_at.is_none_or(|at| at.elapsed() >= ROUTE_TAGS_REPORT_PAUSE);
        if !self.is_told && is_quiet {
            (self.is_told, self.told_at) = (true, Some(Instant::now()));
            driver.record(version, &RunError { code: "ROUTE_TAGS", message: text, ..RunError::default() }, 0);
        }
    }
}
