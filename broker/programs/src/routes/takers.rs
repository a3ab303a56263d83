//! Takers of a route: its events, mappings and tags, found by the topic of a message.
//!
//! This module bounds the cost of a message: each taker gets a copy in the outbox, made in the turn
//! of the publisher.

use lot_facts::RouteFacts;
use lot_to_wasm::limits::TAKERS_MAX;
use lotmq_core::limits::COPIES_BYTES_MAX;
use lotmq_host::PostError;
use lotmq_router::{SubscriptionIndex, filter_matches};
use smallvec::SmallVec;

use super::mailbox::{Addressee, Takers};

/// Takers up to which it is quicker to compare a topic with the filter of each than to look it up.
const COMPARED_MAX: usize = 16;

/// Takers of one version of a route.
pub(super) struct RouteTakers {
    /// Each with its Topic Filter.
    all: Box<[(Addressee, Box<str>)]>,
    /// Their places by Topic Filter, where there are many.
    places: Option<SubscriptionIndex<usize, ()>>,
}

impl RouteTakers {
    pub(super) fn of(said: &RouteFacts) -> Self {
        let all: Box<[(Addressee, Box<str>)]> =
            said.takers().map(|(taker, filter)| (taker.into(), filter.into())).collect();
        let places = (all.len() > COMPARED_MAX).then(|| {
            let mut places = SubscriptionIndex::new();
            for (place, (_, filter)) in all.iter().enumerate() {
                places.insert(filter, place, ());
            }
            places
        });
        Self { all, places }
    }

    /// Places of those whose filter matches, in the order of the text.
    fn matching(&self, topic: &str) -> SmallVec<[usize; COMPARED_MAX]> {
        let mut found = SmallVec::new();
        match &self.places {
            Some(places) => {
                places.matches(topic, |place, ()| found.push(*place), |_| ());
                found.sort_unstable();
            }
            None => {
                let matches = |(place, (_, filter)): (usize, &(_, Box<str>))| {
                    filter_matches(filter, topic).then_some(place)
                };
                found.extend(self.all.iter().enumerate().filter_map(matches));
            }
        }
        found
    }

    /// The first takers of a message of so many bytes on a topic, in the order of the text; and
    /// what tells of those that do not get it, where there are too many.
    pub(super) fn of_message(&self, topic: &str, bytes: usize) -> (Takers, Option<PostError>) {
        let places = self.matching(topic);
        let takers = places.len();
        let most = TAKERS_MAX.min(1 + COPIES_BYTES_MAX / bytes.max(1));
        let refused = (takers > most).then_some(PostError::TooManyTakers { takers, bytes, most });
        let first = places.into_iter().take(most);
        (first.filter_map(|place| Some(self.all.get(place)?.0.clone())).collect(), refused)
    }
}

#[cfg(test)]
mod tests {
    use lot_facts::{RouteBlock, RouteValue};

    use super::*;

    fn takers(filters: &[&str]) -> RouteTakers {
        let event = |(number, filter): (usize, &&str)| RouteBlock {
            name: format!("e{number}"),
            settings: [("SOURCE_TOPIC".to_owned(), RouteValue::Text((*filter).to_owned()))].into(),
            ..RouteBlock::default()
        };
        let events = filters.iter().enumerate().map(event).collect();
        let (sections, mappings, stores) = (Vec::new(), Vec::new(), Vec::new());
        RouteTakers::of(&RouteFacts { kind: "LOOPBACK".into(), sections, events, mappings, stores })
    }

    #[test]
    fn a_message_is_for_what_its_topic_matches_in_the_order_of_the_text() {
        let mut filters = vec!["a/#", "b", "a/b", "+/b", "a/b", "#"];
        for others in [0, COMPARED_MAX] {
            filters.extend(vec!["else"; others]);
            let takers = takers(&filters);
            for (topic, expected) in
                [("a/b", "e0 e2 e3 e4 e5"), ("b", "e1 e5"), ("x/b", "e3 e5"), ("a", "e0 e5"), ("$SYS/b", "")]
            {
                let (found, refused) = takers.of_message(topic, 1);
                assert_eq!(refused, None);
                let names: Vec<String> = found.iter().map(ToString::to_string).collect();
                assert_eq!(names.join(" "), expected, "{topic} beside {others}");
            }
        }
    }

    #[test]
    fn a_message_is_for_so_many_and_has_so_many_bytes_of_copies() {
        const MIB: usize = 1 << 20;
        for (count, bytes, expected) in [
            (TAKERS_MAX, 10, TAKERS_MAX),
            (TAKERS_MAX + 1, 10, TAKERS_MAX),
            (15_000, 0, TAKERS_MAX),
            (17, MIB, 17),
            (18, MIB, 17),
            (1, 1000 * MIB, 1),
            (2, 16 * MIB, 2),
            (2, 17 * MIB, 1),
        ] {
            let filters: Vec<&str> = ["a/+", "+/b", "#"].into_iter().cycle().take(count).collect();
            let (taken, refused) = takers(&filters).of_message("a/b", bytes);
            assert_eq!(taken.len(), expected);
            assert_eq!(taken.last(), Some(&Addressee::Event(format!("e{}", expected - 1).into())));
            let told = format!(
                "of {count} events, mappings and tags that take this message of {bytes} bytes, the first {expected} get it"
            );
            assert_eq!(refused.map(|error| error.to_string()), (expected < count).then_some(told));
        }
    }
}
