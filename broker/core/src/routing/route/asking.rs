//! Asking of rules about the receivers of one topic, one after the other, over as many turns as
//! needed.
//!
//! An answer takes some 15 µs where a rule has to run for it: a thousand of them are as much as a
//! turn has time for. The PUBLISH that wants the route waits meanwhile, as whole as it came;
//! nothing of it is done before all have been asked. Of a group those are asked about who come into
//! question before the one that may have it.
//!
//! Those who subscribe meanwhile are asked about as well, because a retained message is retained
//! when its route is known: who has looked for retained ones before that must get it as a live one.
//! Invariant: targets before `next` have been asked about.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lotmq_router::GroupId;

use super::members::{PREFERENCES, preference};
use super::{Route, RouteCache};
use crate::limits::{ANSWERS_PER_LOOK, STEPS_PER_LOOK};
use crate::tenant::Tenant;

/// Route under construction: rules have not been asked about all of its receivers.
pub struct Asking {
    /// Route, which nobody else has yet.
    route: Arc<Route>,
    /// Hash for the cache, if the route is to be cached.
    hash: Option<u64>,
    /// Index of the first target that has not been asked about.
    next: usize,
    /// Bytes of the message, if members of groups are asked about too.
    bytes: Option<usize>,
    member: Member,
    /// How often it may be laid out anew for those who have subscribed meanwhile, before the rest
    /// of them is asked about at once.
    rounds: u8,
    /// Whether those get the message at all.
    takes_late: bool,
}

/// Member of a group about whom rules are asked next.
#[derive(Clone, Copy, Default)]
struct Member {
    group: usize,
    /// Position in the group at which the round began.
    first: Option<usize>,
    /// Index of the preference that members must meet.
    preference: usize,
    passed_over: usize,
}

impl Member {
    /// Next member in a group of so many. All members are looked at for each preference.
    fn next(self, of: usize) -> Self {
        if self.passed_over + 1 < of {
            Self { passed_over: self.passed_over + 1, ..self }
        } else if self.preference + 1 < PREFERENCES {
            Self { preference: self.preference + 1, passed_over: 0, ..self }
        } else {
            self.next_group()
        }
    }

    fn next_group(self) -> Self {
        Self { group: self.group + 1, ..Self::default() }
    }
}

/// How often a route is laid out anew while it is asked about: else changes that never end would
/// keep its message for ever.
const ROUNDS_MAX: u8 = 2;

/// Steps that count for an answer, beside a look at a member.
const STEPS_PER_ANSWER: usize = STEPS_PER_LOOK / ANSWERS_PER_LOOK;

impl Asking {
    pub(super) fn new(route: Arc<Route>, hash: Option<u64>, bytes: Option<usize>) -> Self {
        let (member, rounds) = (Member::default(), ROUNDS_MAX);
        Self { route, hash, next: 0, bytes, member, rounds, takes_late: true }
    }

    /// Leaves out who subscribes after this generation of subscriptions: they have the message as
    /// the retained one.
    pub(crate) fn close_at(&mut self, generation: u64, tenant: &Tenant) {
        if self.route.generation < generation {
            self.lay_out_again(tenant);
        }
        self.takes_late = false;
    }

    /// Route for one message that goes to a member of this group alone: nobody has to be asked
    /// about in advance.
    pub(crate) fn for_group(mut self, group: GroupId) -> Arc<Route> {
        let route = own(&mut self.route);
        route.targets.clear();
        route.groups.retain(|candidate| candidate.id() == group);
        route.is_stable = false;
        self.route
    }

    /// Asks about further receivers until the time `is_over`.
    ///
    /// # Errors
    /// The remaining work, for a later turn.
    pub(crate) fn go_on_until(
        mut self: Box<Self>,
        cache: &mut RouteCache,
        tenant: &Arc<Tenant>,
        is_over: impl Fn() -> bool,
    ) -> Result<Arc<Route>, Box<Self>> {
        while !self.part(tenant) || self.has_others_now(tenant) {
            if is_over() {
                return Err(self);
            }
        }
        Ok(self.conclude(cache, tenant))
    }

    /// Route as far as it is known: without the decisions of rules.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Asks about all remaining receivers, however long that takes.
    pub fn finish(mut self, cache: &mut RouteCache, tenant: &Arc<Tenant>) -> Arc<Route> {
        while !self.part(tenant) {}
        self.conclude(cache, tenant)
    }

    /// Asks about a few receivers. True after the last.
    fn part(&mut self, tenant: &Tenant) -> bool {
        let Route { targets, asked, topic, is_stable, .. } = own(&mut self.route);
        let end = targets.len().min(self.next + ANSWERS_PER_LOOK);
        for target in &targets[self.next..end] {
            if asked.of(&target.client).is_none() {
                asked.ask(tenant, &target.client, topic, is_stable);
            }
        }
        self.next = end;
        end == targets.len() && self.part_of_groups(tenant)
    }

    /// Asks about a few members of groups, in the order in which one is chosen.
    fn part_of_groups(&mut self, tenant: &Tenant) -> bool {
        let Some(bytes) = self.bytes else { return true };
        let Route { groups, answers, topic, is_stable, .. } = own(&mut self.route);
        let mut steps = 0;
        while steps < STEPS_PER_LOOK {
            let at = self.member;
            let Some(group) = groups.get(at.group) else { return true };
            let first = at.first.unwrap_or_else(|| group.turn());
            self.member = Member { first: Some(first), ..at }.next(group.len());
            steps += 1;
            let Some((_, member)) = group.at(first + at.passed_over) else { continue };
            if preference(member, topic, (bytes, true)) != Some(at.preference) {
                continue;
            }
            let is_allowed = answers.of(&member.client).unwrap_or_else(|| {
                steps += STEPS_PER_ANSWER;
                answers.ask(tenant, &member.client, topic, is_stable)
            });
            if is_allowed {
                self.member = at.next_group();
            }
        }
        false
    }

    /// Whether subscriptions have changed meanwhile, so that others may have to be asked about.
    fn has_others_now(&mut self, tenant: &Tenant) -> bool {
        if !self.takes_late || self.rounds == 0 || self.is_current(tenant) {
            return false;
        }
        self.rounds -= 1;
        self.lay_out_again(tenant);
        true
    }

    fn is_current(&self, tenant: &Tenant) -> bool {
        self.route.generation == tenant.generation.load(Ordering::Acquire)
    }

    /// Begins anew, with the answers so far.
    fn lay_out_again(&mut self, tenant: &Tenant) {
        let before = own(&mut self.route);
        let answers = before.take_answers();
        self.route = Arc::new(Route::laid_out(&before.topic, answers, tenant));
        (self.hash, self.next, self.member) = (None, 0, Member::default());
    }

    fn conclude(mut self, cache: &mut RouteCache, tenant: &Tenant) -> Arc<Route> {
        let is_current = self.is_current(tenant);
        let route = own(&mut self.route);
        if !is_current {
            let answers = route.take_answers();
            return Arc::new(Route::after(&route.topic, answers, tenant, self.takes_late));
        }
        route.settle(tenant, self.takes_late);
        if route.is_stable {
            // These answers are remembered elsewhere.
            route.take_answers();
        }
        if let Some(hash) = self.hash {
            cache.remember(tenant, hash, &self.route);
        }
        self.route
    }
}

fn own(route: &mut Arc<Route>) -> &mut Route {
    Arc::get_mut(route).expect("a route that is being made has one owner")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use lot_facts::{RuleFacts, RuleInputs};
    use lotmq_auth::{Account, Answer, Ask, Opinion, Question, Rule, Validity};
    use lotmq_codec::QoS;

    use super::*;
    use crate::fixture;
    use crate::hashing::Hashing;
    use crate::tenant::client::Client;
    use crate::tenant::subscription::Options;

    const RECEIVERS: usize = 5 * ANSWERS_PER_LOOK;

    /// A rule that lets those with an even number have what they asked for, and its answers.
    struct Even {
        answers: Arc<AtomicUsize>,
        is_lasting: bool,
    }

    impl Ask for Even {
        fn ask(&self, question: &Question<'_>, _account: Option<&Arc<Account>>) -> Answer {
            self.answers.fetch_add(1, Ordering::Relaxed);
            let is_even = question.identity.client_id.ends_with(['0', '2', '4', '6', '8']);
            Answer {
                opinion: if is_even { Opinion::Allow } else { Opinion::Deny },
                validity: if self.is_lasting { Validity::Lasting } else { Validity::Never },
            }
        }
    }

    fn name(number: usize) -> String {
        format!("c-{number:02}")
    }

    fn client(tenant: &Arc<Tenant>, number: usize, filter: &str) -> Arc<Client> {
        let client = fixture::client(tenant, u32::try_from(number).unwrap(), &name(number));
        tenant.subscribe(&client, filter, Options { qos: QoS::AtLeastOnce, ..fixture::PLAIN });
        client
    }

    /// A tenant with this rule, and those about whom it is asked, who are subscribed to this
    /// filter; how often it has answered.
    fn asked(is_lasting: bool, filter: &str) -> (Arc<Tenant>, Vec<Arc<Client>>, Arc<AtomicUsize>) {
        let tenant = fixture::tenant();
        let clients = (0..RECEIVERS).map(|number| client(&tenant, number, filter)).collect();
        let answers = Arc::new(AtomicUsize::new(0));
        let inputs = RuleInputs { client_id: true, ..RuleInputs::default() };
        let topic = Some("asked/#".to_owned());
        let facts = RuleFacts { priority: 1, scope: "Subscribe".to_owned(), topic, inputs };
        let ask = Arc::new(Even { answers: Arc::clone(&answers), is_lasting });
        tenant.permissions.put(vec![Rule { name: "Even".into(), facts: Some(facts), ask }]);
        (tenant, clients, answers)
    }

    fn receivers(route: &Route) -> Vec<String> {
        route.targets.iter().map(|target| target.client.client_id.to_string()).collect()
    }

    #[test]
    fn a_route_that_was_asked_about_in_parts_is_remembered() {
        let (tenant, _clients, answers) = asked(true, "asked/#");
        let mut cache = RouteCache::new(Hashing::fixed(0));
        let even: Vec<String> = (0..RECEIVERS).step_by(2).map(name).collect();
        // The first time it is for this message, the second time the topic comes again.
        for _ in 0..2 {
            let mut asking = cache.begin(&tenant, b"asked/x", Some(1)).err().expect("they are many");
            assert!(!asking.part(&tenant));
            let route = asking.finish(&mut cache, &tenant);
            assert_eq!(receivers(&route), even);
            assert!(route.is_stable);
        }
        assert_eq!(answers.load(Ordering::Relaxed), RECEIVERS);
        let route = cache.begin(&tenant, b"asked/x", Some(1)).ok().expect("it is known");
        assert_eq!(receivers(&route), even);
    }

    #[test]
    fn a_message_reaches_those_who_are_still_subscribed_when_all_have_been_asked_about() {
        let (tenant, clients, answers) = asked(false, "asked/#");
        let mut cache = RouteCache::new(Hashing::fixed(0));
        let mut asking = cache.begin(&tenant, b"asked/x", Some(1)).err().expect("they are many");
        assert!(!asking.part(&tenant));
        assert!(tenant.unsubscribe(&clients[0], "asked/#"));
        assert!(tenant.unsubscribe(&clients[RECEIVERS - 2], "asked/#"));
        let _late = client(&tenant, RECEIVERS, "asked/#");
        let _late_and_denied = client(&tenant, RECEIVERS + 1, "asked/#");
        clients[2].state.lock().identity = fixture::identity(&name(2));
        let before = answers.load(Ordering::Relaxed);
        let route = asking.finish(&mut cache, &tenant);
        let expected: Vec<String> = (2..RECEIVERS - 2).step_by(2).chain([RECEIVERS]).map(name).collect();
        assert_eq!(receivers(&route), expected);
        assert!(!route.is_stable, "it is for one message");
        // Once more about the one who was allowed and has come back since, and about those who have
        // come meanwhile.
        let left = RECEIVERS - ANSWERS_PER_LOOK;
        assert_eq!(answers.load(Ordering::Relaxed) - before, left + 3);
    }

    #[test]
    fn client_that_subscribes_during_a_long_route_lookup_is_included() {
        let (tenant, _clients, answers) = asked(false, "asked/#");
        let mut cache = RouteCache::new(Hashing::fixed(0));
        let mut asking = cache.begin(&tenant, b"asked/x", Some(1)).err().expect("they are many");
        let mut late = Vec::new();
        // Some come each time that it goes on, for ever.
        let route = loop {
            late.push(client(&tenant, RECEIVERS + 2 * late.len(), "asked/#"));
            match asking.go_on_until(&mut cache, &tenant, || true) {
                Ok(route) => break route,
                Err(rest) => asking = rest,
            }
        };
        assert_eq!(route.targets.len(), RECEIVERS / 2 + late.len());
        assert_eq!(answers.load(Ordering::Relaxed), RECEIVERS + late.len(), "about each once");
        assert!(late.len() < 4 * RECEIVERS / ANSWERS_PER_LOOK, "{} turns", late.len());
    }

    #[test]
    fn client_that_subscribes_after_the_retain_is_not_a_route_target() {
        let (tenant, _clients, _) = asked(false, "asked/#");
        let mut cache = RouteCache::new(Hashing::fixed(0));
        let mut asking = cache.begin(&tenant, b"asked/x", Some(1)).err().expect("they are many");
        let early = client(&tenant, RECEIVERS, "asked/#");
        asking.close_at(tenant.generation.load(Ordering::Acquire), &tenant);
        let _late = client(&tenant, RECEIVERS + 2, "asked/#");
        let route = asking.finish(&mut cache, &tenant);
        assert_eq!(route.targets.len(), RECEIVERS / 2 + 1);
        assert!(route.targets.iter().any(|target| Arc::ptr_eq(&target.client, &early)));
    }

    #[test]
    fn members_of_a_group_that_may_have_a_message_take_turns() {
        for is_lasting in [true, false] {
            let (tenant, _clients, answers) = asked(is_lasting, "$share/g/asked/#");
            let mut cache = RouteCache::new(Hashing::fixed(0));
            let mut chosen = Vec::new();
            for _ in 0..RECEIVERS {
                let found = cache.begin(&tenant, b"asked/x", Some(1));
                let route = found.unwrap_or_else(|asking| asking.finish(&mut cache, &tenant));
                let group = &route.groups[0];
                let before = answers.load(Ordering::Relaxed);
                let first = route.choose(group, (1, true), &[], &mut 0).expect("half of them may");
                chosen.push(first.client.client_id.to_string());
                let asked = answers.load(Ordering::Relaxed) - before;
                assert!(is_lasting || asked == 0, "{asked} more were asked about");
                cache.put_back(&tenant, route);
            }
            chosen.sort_unstable();
            let twice: Vec<String> = (0..RECEIVERS).step_by(2).flat_map(|it| [name(it), name(it)]).collect();
            assert_eq!(chosen, twice);
        }
    }

    #[test]
    fn another_member_gets_what_the_one_that_was_asked_about_cannot_take() {
        let (tenant, _clients, _) = asked(false, "$share/g/asked/#");
        let mut cache = RouteCache::new(Hashing::fixed(0));
        let asking = cache.begin(&tenant, b"asked/x", Some(1)).err().expect("they are many");
        let route = asking.finish(&mut cache, &tenant);
        let mut tried = Vec::new();
        while let Some(next) = route.choose(&route.groups[0], (1, true), &tried, &mut 0) {
            tried.push(next.client.session_id);
        }
        assert_eq!(tried.len(), RECEIVERS / 2, "all that may have it were tried, each once");
    }
}
