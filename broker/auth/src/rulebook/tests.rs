//! The decision of LoT reference §10.4 with rules that are closures, and the cache of their
//! answers.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::*;
use crate::login::Identity;
use crate::opinion::{Answer, Still};
use crate::password::tests::cheap_credential;
use crate::peer::Peer;
use crate::{AccountReference, DirectoryOptions, PasswordCost, Principal};

/// A rule that is a function of the question.
pub(crate) struct Says<F>(pub(crate) F, pub(crate) AtomicUsize);

impl<F: Fn(&Question<'_>) -> Answer + Send + Sync> Ask for Says<F> {
    fn ask(&self, question: &Question<'_>, _account: Option<&Arc<Account>>) -> Answer {
        self.1.fetch_add(1, Ordering::Relaxed);
        (self.0)(question)
    }
}

pub(crate) fn says<F: Fn(&Question<'_>) -> Opinion + Send + Sync + 'static>(said: F) -> Arc<dyn Ask> {
    let answer =
        move |question: &Question<'_>| Answer { opinion: said(question), validity: Validity::Lasting };
    Arc::new(Says(answer, AtomicUsize::new(0)))
}

pub(crate) fn rule(name: &str, priority: u64, scope: &str, topic: Option<&str>, ask: Arc<dyn Ask>) -> Rule {
    with_inputs(name, (priority, scope, topic), RuleInputs::default(), ask)
}

fn with_inputs(
    name: &str,
    (priority, scope, topic): (u64, &str, Option<&str>),
    inputs: RuleInputs,
    ask: Arc<dyn Ask>,
) -> Rule {
    let facts = RuleFacts { priority, scope: scope.to_owned(), topic: topic.map(str::to_owned), inputs };
    Rule { name: name.into(), facts: Some(facts), ask }
}

/// The three rules of a fresh installation.
pub(crate) fn seeds() -> Vec<Rule> {
    let allow = || says(|_| Opinion::Allow);
    vec![
        rule("AllowConnect", 1_000_000, "Connect", None, allow()),
        rule("AllowPublishTopic", 1_000_000, "Publish", Some("#"), allow()),
        rule("AllowSubscribeTopic", 1_000_000, "Subscribe", Some("#"), allow()),
    ]
}

pub(super) fn book(rules: Vec<Rule>) -> Rulebook {
    let options =
        DirectoryOptions { cost: PasswordCost::TEST, remembered_max: 16, ..DirectoryOptions::default() };
    let directory = Directory::new(options).unwrap();
    for name in ["root", "x", "y"] {
        directory.add_user(name, cheap_credential("pw")).unwrap();
    }
    let book = Rulebook::new(Arc::new(directory));
    book.put(rules);
    book
}

fn who(user: &str, client_id: &str) -> Identity {
    let principal = Principal::of_reference(AccountReference::read(user));
    Identity::new(principal, client_id.into(), Peer::Tcp("10.0.0.7".parse().unwrap()))
}

fn user_is(name: &'static str, yes: Opinion, no: Opinion) -> Arc<dyn Ask> {
    says(move |question| if question.identity.user_name() == Some(name) { yes } else { no })
}

fn of_user() -> RuleInputs {
    RuleInputs { login: true, user: true, ..RuleInputs::default() }
}

fn publishes(book: &Rulebook, user: &str, topic: &str) -> bool {
    book.decide(&Question::publish(&who(user, "c1"), topic)).is_allowed()
}

fn subscribes(book: &Rulebook, filter: &str) -> bool {
    book.decide(&Question::subscribe(&who("x", "c1"), filter)).is_allowed()
}

#[test]
fn without_rules_nobody_but_root_may() {
    let book = book(Vec::new());
    assert!(!publishes(&book, "x", "a/b"));
    assert!(publishes(&book, "root", "a/b"));
}

#[test]
fn the_seeds_allow_what_no_other_rule_decides() {
    let book = book(seeds());
    assert!(publishes(&book, "x", "a/b"));
    for first_level in ["$foo/bar", "$SYSTEM/x"] {
        assert!(!subscribes(&book, first_level) && !publishes(&book, "x", first_level), "{first_level}");
    }
}

#[test]
fn the_lowest_number_decides_first() {
    let mut rules = seeds();
    let ask = user_is("x", Opinion::Allow, Opinion::Deny);
    rules.push(with_inputs("R", (100, "Publish", Some("a/#")), of_user(), ask));
    let book = book(rules);
    assert!(publishes(&book, "x", "a/b"));
    assert!(!publishes(&book, "y", "a/b"));
    assert!(publishes(&book, "y", "c"));
    assert!(publishes(&book, "root", "a/b"), "root bypasses rules");
}

#[test]
fn deny_wins_at_one_priority_in_any_order() {
    let yes = || rule("Yes", 100, "Publish", Some("a"), says(|_| Opinion::Allow));
    let no = || rule("No", 100, "Publish", Some("#"), says(|_| Opinion::Deny));
    for rules in [vec![yes(), no()], vec![no(), yes()]] {
        assert!(!publishes(&book(rules), "x", "a"));
    }
}

#[test]
fn a_rule_that_says_nothing_leaves_it_to_the_next() {
    let ask = user_is("x", Opinion::Deny, Opinion::Nothing);
    let rules = vec![
        with_inputs("First", (100, "Publish", Some("#")), of_user(), ask),
        rule("Second", 200, "Publish", Some("#"), says(|_| Opinion::Allow)),
    ];
    let book = book(rules);
    assert!(!publishes(&book, "x", "a"));
    assert!(publishes(&book, "y", "a"));
    book.remove("Second");
    assert!(!publishes(&book, "y", "a"), "nobody decided");
}

#[test]
fn filters_are_covered_level_by_level_and_shared_ones_behind_their_group() {
    let mut rules = seeds();
    rules.push(rule("D", 100, "Subscribe", Some("d/#"), says(|_| Opinion::Deny)));
    rules.push(rule("S", 100, "Subscribe", Some("secret/#"), says(|_| Opinion::Deny)));
    rules.push(rule("F", 100, "Subscribe", Some("$foo/#"), says(|_| Opinion::Allow)));
    let book = book(rules);
    for (filter, expected) in [
        ("d/+/t", false),
        ("#", true),
        ("+/x", true),
        ("$share/g/secret/#", false),
        ("$share/secret/a", true),
        ("$foo/bar", true),
        ("$share/g/$foo/bar", true),
        ("$bar/x", false),
    ] {
        assert_eq!(subscribes(&book, filter), expected, "{filter}");
    }
}

#[test]
fn a_rule_is_asked_about_the_part_behind_the_group() {
    let ask =
        says(|question| if question.topic == Some("secret/#") { Opinion::Allow } else { Opinion::Nothing });
    let inputs = RuleInputs { topic: true, ..RuleInputs::default() };
    let book = book(vec![with_inputs("R", (100, "Subscribe", Some("#")), inputs, ask)]);
    assert!(subscribes(&book, "$share/g/secret/#"));
    assert!(!subscribes(&book, "$share/g/secret/a"));
}

#[test]
fn built_in_rules_take_part_at_their_priorities() {
    let identity = who("x", "c1");
    let command = Question::publish(&identity, "$SYS/Coreflux/Command");
    let operation = Question::operation(&identity, Scope::ActionManagementCreation);
    let tree = Question::subscribe(&identity, "$SYS/Coreflux/Version");
    let allow = || says(|_| Opinion::Allow);
    // Only holders of the permission: "else deny" at 10 is final for later priorities.
    let book = book(vec![
        rule("Commands", 100, "CommandCall", None, allow()),
        rule("Actions", 100, "ActionManagementCreation", None, allow()),
        rule("Tree", 100, "SubscribeSys", Some("$SYS/#"), allow()),
    ]);
    assert!(!book.decide(&command).is_allowed());
    assert!(book.decide(&operation).is_allowed(), "the built-in one says nothing, 100 widens");
    assert!(book.decide(&tree).is_allowed());
    book.put(vec![rule("Commands", 5, "CommandCall", None, allow())]);
    assert!(book.decide(&command).is_allowed(), "5 comes before 10");
    book.put(vec![rule("Commands", 10, "CommandCall", None, allow())]);
    assert!(!book.decide(&command).is_allowed(), "at 10 the built-in DENY wins");
    book.put(vec![rule("Actions", 5, "ActionManagementCreation", None, says(|_| Opinion::Deny))]);
    book.directory.change_setting("x", "AllowedSystemConfiguration", "true").unwrap();
    assert!(!book.decide(&operation).is_allowed(), "5 comes before the holder's 10");
}

#[test]
fn a_rule_of_which_nothing_is_known_denies_everything() {
    let mut rules = seeds();
    rules.push(Rule { name: "Lost".into(), facts: None, ask: says(|_| Opinion::Deny) });
    let book = book(rules);
    assert!(!publishes(&book, "x", "a") && !subscribes(&book, "a"));
    for scope in Scope::ALL {
        assert!(!book.decide(&Question::operation(&who("x", "c"), *scope)).is_allowed(), "{}", scope.name());
    }
    assert!(publishes(&book, "root", "a"));
}

/// A rule whose calls are counted.
fn counted(
    inputs: RuleInputs,
    said: impl Fn(&Question<'_>) -> Answer + Send + Sync + 'static,
) -> (Rule, Arc<dyn Fn() -> usize>) {
    let says = Arc::new(Says(said, AtomicUsize::new(0)));
    let calls = Arc::clone(&says);
    let rule = with_inputs("R", (100, "Publish", Some("#")), inputs, says);
    (rule, Arc::new(move || calls.1.load(Ordering::Relaxed)))
}

#[test]
fn a_rule_is_asked_once_for_all_that_it_looks_at() {
    let lasting = |_: &Question<'_>| Answer { opinion: Opinion::Allow, validity: Validity::Lasting };
    let (of_nothing, calls) = counted(RuleInputs::default(), lasting);
    let book = book(vec![of_nothing]);
    for topic in ["a", "b", "c"] {
        assert!(publishes(&book, "x", topic) && publishes(&book, "y", topic));
    }
    assert_eq!(calls(), 1, "it depends on nothing");

    let inputs = RuleInputs { topic_levels: vec![2], client_id: true, ..RuleInputs::default() };
    let (of_level, calls) = counted(inputs, lasting);
    book.put(vec![of_level]);
    for (topic, expected) in [("a/1/x", 1), ("b/1/y", 1), ("a/2", 2), ("a", 3), ("b", 3), ("a/1/x", 3)] {
        assert!(publishes(&book, "x", topic));
        assert_eq!(calls(), expected, "{topic}");
    }
    assert!(book.decide(&Question::publish(&who("x", "c2"), "a/1")).is_allowed());
    assert_eq!(calls(), 4, "another client");
}

#[test]
fn a_change_of_the_user_is_another_question() {
    let inputs = RuleInputs {
        login: true,
        groups: vec!["g".into()],
        properties: vec!["P".into()],
        ..RuleInputs::default()
    };
    let lasting = |_: &Question<'_>| Answer { opinion: Opinion::Allow, validity: Validity::Lasting };
    let (rule, calls) = counted(inputs, lasting);
    let book = book(vec![rule]);
    let expect = |expected: usize| {
        let before = book.generation();
        assert!(publishes(&book, "x", "a"));
        assert_eq!((calls(), book.generation()), (expected, before));
    };
    expect(1);
    expect(1);
    book.directory.add_to_group("x", "g").unwrap();
    expect(2);
    book.directory.change_setting("x", "P", "1").unwrap();
    expect(3);
    book.directory.change_setting("x", "Q", "1").unwrap();
    expect(3);
    book.directory.remove_from_group("x", "g").unwrap();
    expect(4);
    book.directory.add_to_group("x", "g").unwrap();
    expect(4);
}

struct While(Arc<AtomicBool>);

impl Still for While {
    fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn cached_decision_is_valid_while_its_reads_are_unchanged() {
    let same = Arc::new(AtomicBool::new(true));
    let reads = Arc::clone(&same);
    let inputs = RuleInputs { reads: true, ..RuleInputs::default() };
    let (rule, calls) = counted(inputs, move |_| Answer {
        opinion: Opinion::Allow,
        validity: Validity::While(Arc::new(While(Arc::clone(&reads)))),
    });
    let book = book(vec![rule]);
    let identity = who("x", "c1");
    let decision = || book.decision(&Question::publish(&identity, "a"));
    assert_eq!(decision(), Decision { authorization: Authorization::Allow, is_stable: false });
    assert_eq!(decision(), Decision { authorization: Authorization::Allow, is_stable: false });
    assert_eq!(calls(), 1);
    same.store(false, Ordering::Relaxed);
    decision();
    assert_eq!(calls(), 2);
}

#[test]
fn a_payload_is_looked_at_each_time() {
    let inputs = RuleInputs { payload: true, ..RuleInputs::default() };
    let (rule, calls) = counted(inputs, |question| Answer {
        opinion: if question.payload == Some(b"on") { Opinion::Allow } else { Opinion::Deny },
        validity: Validity::Lasting,
    });
    let book = book(vec![rule]);
    let identity = who("x", "c1");
    let ask = |payload| book.decision(&Question::publish(&identity, "a").with_payload(payload));
    assert_eq!(ask(b"on"), Decision { authorization: Authorization::Allow, is_stable: false });
    assert_eq!(ask(b"no"), Decision { authorization: Authorization::Deny, is_stable: false });
    assert_eq!(calls(), 2);
}

#[test]
fn a_payload_is_carried_only_to_rules_that_look_at_it() {
    for inputs in [RuleInputs::default(), of_user()] {
        let (rule, calls) = counted(inputs, |question| {
            assert_eq!(question.payload, None);
            Answer { opinion: Opinion::Allow, validity: Validity::Never }
        });
        let book = book(vec![rule]);
        book.decision(&Question::publish(&who("x", "c1"), "a").with_payload(b"on"));
        assert_eq!(calls(), 1);
    }
}

#[test]
fn decision_with_validity_never_is_not_cached() {
    let (rule, calls) =
        counted(RuleInputs::default(), |_| Answer { opinion: Opinion::Deny, validity: Validity::Never });
    let book = book(vec![rule]);
    assert!(!publishes(&book, "x", "a") && !publishes(&book, "x", "a"));
    assert_eq!(calls(), 2);
}

#[test]
fn every_change_moves_the_generation() {
    let book = book(Vec::new());
    let mut last = book.generation();
    let mut moved = |what: &str| {
        let now = book.generation();
        assert_ne!(now, last, "{what}");
        last = now;
    };
    book.put(seeds());
    moved("a rule added");
    book.remove("AllowConnect");
    moved("a rule removed");
    book.directory.add_to_group("x", "g").unwrap();
    moved("a user changed");
}

#[test]
fn rules_without_client_inputs_decide_delivery_once_for_all_clients() {
    let book = book(seeds());
    assert_eq!(book.delivers_to_all("a"), None, "not asked yet");
    assert!(subscribes(&book, "a"));
    assert_eq!(book.delivers_to_all("a"), Some(true));
    book.put(vec![rule("D", 100, "Subscribe", Some("d/#"), says(|_| Opinion::Deny))]);
    let identity = who("x", "c1");
    assert!(!book.decide(&Question::subscribe(&identity, "d/1")).is_allowed());
    assert_eq!(book.delivers_to_all("d/1"), Some(false));
    assert_eq!(book.delivers_to_all("a"), Some(true));
    let book = book.without_delivery();
    assert_eq!(book.delivers_to_all("d/1"), Some(true));
    assert_eq!(book.delivers_to_all("$SYS/x"), None);
    assert!(!book.decide(&Question::subscribe(&identity, "d/1")).is_allowed());
}
