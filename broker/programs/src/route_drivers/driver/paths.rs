//! Paths of messages: which way those of each `QUERY` go to the other side, as the guest tells it
//! for the standing of the route.
//!
//! A guest that answers requests is asked when it is open, and again behind batches, as the other
//! side may have taught it better; one that has nothing to say is not asked again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use lot_facts::RouteFacts;
use lotmq_definitions::RunError;
use lotmq_host::route::{Abilities, RouteInstance};
use tracing::warn;

use super::asking::ask_guest;
use super::{Driver, Ended};
use crate::limits::{ROUTE_PATH_CHARACTERS_MAX, ROUTE_PATHS_PAUSE};
use crate::route_modules::ModuleFigures;
use crate::routes::version::Version;

/// Request by which a guest is asked.
const OPERATION: &str = "paths";

/// Beginning of the path of a query that the other side does not take.
const UNPREPARED: &str = "cannot be prepared";

/// When a guest is asked for the paths of its messages.
pub(super) struct Paths {
    /// `None` where it has nothing to say.
    due: Option<Instant>,
}

impl Paths {
    /// Those of an instance that has just been opened.
    pub(super) fn of(driver: &Driver, version: &Version, abilities: Abilities) -> Paths {
        // With a stepped clock nobody sees the status.
        let has_some = abilities.contains(Abilities::REQUEST)
            && !driver.is_at_once()
            && queries(version.said()).next().is_some();
        Paths { due: has_some.then(Instant::now) }
    }

    /// Asks the guest, when it is time.
    pub(super) async fn ask(
        &mut self,
        driver: &Driver,
        version: &Version,
        instance: &mut RouteInstance,
        figures: Option<&Arc<ModuleFigures>>,
    ) -> Option<Ended> {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return None;
        }
        match ask_guest(OPERATION, version, instance, figures).await {
            Ok(answer) => {
                let told = answer.and_then(|answer| paths(version.said(), &answer));
                self.due = told.is_some().then(|| Instant::now() + ROUTE_PATHS_PAUSE);
                tell(driver, version, told.unwrap_or_default());
                None
            }
            Err(ended) => Some(ended),
        }
    }
}

fn tell(driver: &Driver, version: &Version, paths: BTreeMap<String, String>) {
    let masked = paths.into_iter().map(|(name, path)| (name, driver.masked(&path)));
    let paths: BTreeMap<String, String> = masked.collect();
    if *driver.route.status().told.paths == paths {
        return;
    }
    let refused = refused(&paths);
    let (mut is_news, now) = (false, driver.now());
    driver.route.update(|status| is_news = status.paths_are(paths, refused.clone(), now));
    if let Some((_, text)) = refused.filter(|_| is_news) {
        // The reason is the other side's own words, which are for the route's topics.
        warn!(target: "routes", route = &**version.definition.name(), "a query of a route cannot be prepared");
        driver.record(version, &RunError { code: "ROUTE_QUERY", message: &text, ..RunError::default() }, 0);
    }
}

/// Returns the name of the first query that the other side rejects. Also returns a text with the
/// name, the reason and the number of others.
fn refused(paths: &BTreeMap<String, String>) -> Option<(String, String)> {
    let mut refused = paths.iter().filter(|(_, path)| path.starts_with(UNPREPARED));
    let (name, path) = refused.next()?;
    let others = match refused.count() {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    Some((name.clone(), format!("{name}: QUERY {path}{others}")))
}

/// Names of the events and mappings that have a query.
fn queries(said: &RouteFacts) -> impl Iterator<Item = &str> {
    let blocks = said.events.iter().chain(&said.mappings);
    blocks.filter(|block| block.settings.contains_key("QUERY")).map(|block| &*block.name)
}

/// Reads the answer of a guest about the existing queries; `None` if it is not valid.
fn paths(said: &RouteFacts, answer: &[u8]) -> Option<BTreeMap<String, String>> {
    let told: BTreeMap<String, String> = serde_json::from_slice(answer).ok()?;
    let path = |name: &str| {
        let path = told.get(name)?.chars().take(ROUTE_PATH_CHARACTERS_MAX).collect();
        Some((name.to_owned(), path))
    };
    Some(queries(said).filter_map(path).collect()).filter(|paths: &BTreeMap<_, _>| !paths.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_is_not_taken_is_named() {
        let of = |paths: &[(&str, &str)]| {
            refused(&paths.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect())
        };
        assert_eq!(of(&[("a", "unnest"), ("b", "one by one: cannot be prepared")]), None);
        assert_eq!(
            of(&[("a", "unnest"), ("b", "cannot be prepared: no x"), ("c", "cannot be prepared: y")])
                .unwrap(),
            ("b".to_owned(), "b: QUERY cannot be prepared: no x (and 1 more)".to_owned())
        );
    }

    #[test]
    fn only_what_is_said_of_queries_that_there_are_is_taken() {
        let said: RouteFacts = serde_json::from_value(serde_json::json!({
            "type": "POSTGRESQL",
            "events": [
                { "name": "Put", "settings": { "QUERY": { "text": "SELECT 1" } } },
                { "name": "Row", "settings": { "TABLE": { "text": "t" } } },
            ],
        }))
        .unwrap();
        let long = "x".repeat(ROUTE_PATH_CHARACTERS_MAX + 1);
        for (answer, expected) in [
            (r#"{"Put":"unnest","Row":"unnest","Other":"x"}"#.to_owned(), Some("unnest".to_owned())),
            (format!(r#"{{"Put":"{long}"}}"#), Some(long[1..].to_owned())),
            (r#"{"Row":"unnest"}"#.to_owned(), None),
            (r#"{"Put":1}"#.to_owned(), None),
            ("{}".to_owned(), None),
            ("PG".to_owned(), None),
        ] {
            let found = paths(&said, answer.as_bytes());
            let expected = expected.map(|path| BTreeMap::from([("Put".to_owned(), path)]));
            assert_eq!(found, expected, "{answer}");
        }
    }
}
