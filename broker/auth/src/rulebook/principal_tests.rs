//! Decisions about users for whom a member of the login chain vouches.

use std::collections::{BTreeMap, BTreeSet};

use lot_facts::RuleInputs;

use super::tests::{book, seeds};
use super::*;
use crate::decide::AskedMessage;
use crate::opinion::Answer;
use crate::password::tests::cheap_credential;
use crate::{ClaimRefusal, Claims, Grant, GrantEffect, Identity, Peer, Principal};

fn identity(claims: Claims) -> Identity {
    let (principal, _) = Principal::of_member(&"jwt".into(), claims).unwrap();
    Identity::new(Arc::new(principal), "c1".into(), Peer::Tcp([10, 0, 0, 7].into()))
}

fn ann() -> Claims {
    Claims { user: "ann".to_owned(), ..Claims::default() }
}

fn with_grants(grants: Vec<Grant>) -> Identity {
    identity(Claims { grants: Some(GrantList::new(grants).unwrap()), ..ann() })
}

fn grant(effect: GrantEffect, filter: &str) -> Grant {
    Grant::new(effect, GrantActions::All, filter).unwrap()
}

/// Rule that looks at a group and a property of the user.
struct Looks;

impl Ask for Looks {
    fn ask(&self, question: &Question<'_>, account: Option<&Arc<Account>>) -> Answer {
        assert!(account.is_none(), "no account stands for a user of a member");
        let principal = &question.identity.principal;
        let fits = principal.in_group("ops") && principal.property("site") == Some("lisbon");
        let opinion = if fits { Opinion::Allow } else { Opinion::Deny };
        Answer { opinion, validity: Validity::Lasting }
    }
}

#[test]
fn without_grants_rules_decide_and_see_groups_and_properties() {
    let inputs = RuleInputs {
        groups: vec!["ops".to_owned()],
        properties: vec!["site".to_owned()],
        ..RuleInputs::default()
    };
    let facts =
        RuleFacts { priority: 5, scope: "Publish".to_owned(), topic: Some("plant/#".to_owned()), inputs };
    let rule = Rule { name: "Ops".into(), facts: Some(facts), ask: Arc::new(Looks) };
    let book = book(seeds().into_iter().chain([rule]).collect());
    let of = |groups: &[&str], site: &str| {
        let groups: BTreeSet<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let properties: BTreeMap<_, _> = [("site".to_owned(), site.to_owned())].into();
        identity(Claims { groups, properties, ..ann() })
    };
    // Twice, so that the second answer comes from the cache.
    for _ in 0..2 {
        for (identity, expected) in
            [(of(&["ops"], "lisbon"), true), (of(&["ops"], "porto"), false), (of(&[], "lisbon"), false)]
        {
            let decided = book.decide(&Question::publish(&identity, "plant/1"));
            assert_eq!(decided.is_allowed(), expected, "{identity:?}");
        }
    }
    let other = of(&[], "porto");
    assert!(book.decide(&Question::publish(&other, "other")).is_allowed(), "a rule of the installation");
}

#[test]
fn grants_decide_about_topics_in_place_of_rules() {
    let book = book(Vec::new());
    let identity = with_grants(vec![grant(GrantEffect::Deny, "a/secret"), grant(GrantEffect::Allow, "a/#")]);
    for (topic, expected) in
        [("a/x", None), ("a/secret", Some(Denier::Grant("a/secret".into()))), ("b", Some(Denier::NoGrant))]
    {
        for question in [Question::publish(&identity, topic), Question::subscribe(&identity, topic)] {
            let (decision, denier) = book.weigh(&question);
            assert_eq!(denier, expected, "{topic}");
            assert_eq!(decision.authorization.is_allowed(), expected.is_none(), "{topic}");
            assert!(decision.is_stable, "{topic}");
            let (explained, steps) = book.explain(&question);
            assert_eq!(explained, decision, "{topic}");
            let number = match steps.last() {
                Some(DecisionStep::Grant { number, is_allowed, .. }) => {
                    assert_eq!(*is_allowed, expected.is_none(), "{topic}");
                    *number
                }
                Some(DecisionStep::NoGrant) => 0,
                other => panic!("{topic}: {other:?}"),
            };
            assert_eq!(
                number,
                ["b", "a/secret", "a/x"].iter().position(|it| *it == topic).unwrap(),
                "{topic}"
            );
        }
    }
    let shared = Question::subscribe(&identity, "$share/g/a/x");
    assert!(book.decide(&shared).is_allowed(), "the filter behind the share name counts");
    let connect = Question::operation(&identity, Scope::Connect);
    assert!(!book.decide(&connect).is_allowed(), "rules decide about all else");
}

#[test]
fn grant_gives_nothing_that_only_administrators_have() {
    let book = book(seeds());
    let all = ["#", "$SYS/#"].map(|filter| grant(GrantEffect::Allow, filter));
    let identity = with_grants(all.into());
    for topic in ["$SYS/x", "$SYS/Coreflux/Config/New", "$SYS/Coreflux/Command"] {
        assert!(!book.decide(&Question::publish(&identity, topic)).is_allowed(), "{topic}");
    }
    for (filter, expected) in [("$SYS/#", false), ("$SYS/Coreflux/#", false), ("$SYS/broker/uptime", true)] {
        assert_eq!(book.decide(&Question::subscribe(&identity, filter)).is_allowed(), expected, "{filter}");
    }
    for scope in [Scope::SystemConfiguration, Scope::UserManagementCreation, Scope::ActionManagementCreation]
    {
        assert!(!book.decide(&Question::operation(&identity, scope)).is_allowed(), "{}", scope.name());
    }
    let narrow = with_grants(vec![grant(GrantEffect::Allow, "a/#")]);
    let uptime = Question::subscribe(&narrow, "$SYS/broker/uptime");
    assert_eq!(book.denier(&uptime), Some(Denier::NoGrant));
}

#[test]
fn user_of_a_member_has_no_rights_of_an_account_with_its_name() {
    let book = book(seeds());
    book.directory.add_user("ann", cheap_credential("pw")).unwrap();
    book.directory.change_setting("ann", "AllowedSystemConfiguration", "true").unwrap();
    let identity = identity(ann());
    let question = Question::operation(&identity, Scope::SystemConfiguration);
    assert!(!book.decide(&question).is_allowed());
    assert!(book.directory.account_of(&identity).is_none());
}

#[test]
fn account_wins_a_name_from_the_moment_it_exists() {
    let book = book(Vec::new());
    let member = "jwt".into();
    let (principal, _) = book.directory.vouched(&member, ann()).unwrap();
    let identity = Identity::new(principal, "c1".into(), Peer::Unix);
    assert!(book.directory.is_current(&identity));
    book.directory.add_user("ann", cheap_credential("pw")).unwrap();
    assert!(!book.directory.is_current(&identity) && !book.directory.exists(&identity));
    let refused = book.directory.vouched(&member, ann());
    assert_eq!(refused.map(drop), Err(ClaimRefusal::NameOfAccount));
}

#[test]
fn grant_limits_quality_of_service_and_retain() {
    let book = book(Vec::new());
    let limited = grant(GrantEffect::Allow, "a").up_to_qos(1).unwrap().without_retain();
    let identity = with_grants(vec![limited]);
    for (qos, retain, expected) in [(1, false, true), (2, false, false), (0, true, false)] {
        let message = AskedMessage { qos, retain, properties: &[], expires_at_ms: None };
        let decision = book.decision(&Question::publish(&identity, "a").with_message(message));
        assert_eq!(decision.authorization.is_allowed(), expected, "{qos} {retain}");
        assert!(!decision.is_stable, "the next message may be another");
    }
    let delivery = book.decision(&Question::subscribe(&identity, "a"));
    assert!(delivery.authorization.is_allowed() && delivery.is_stable);
}

#[test]
fn topics_depend_on_the_session_once_a_user_has_grants() {
    let book = book(seeds());
    let root = Identity::new(book.directory.principal("x").unwrap(), "c".into(), Peer::Unix);
    assert!(book.decide(&Question::subscribe(&root, "a")).is_allowed());
    assert_eq!(book.delivers_to_all("a"), Some(true));
    let before = book.generation();
    let grants = Some(GrantList::default());
    book.directory.vouched(&"jwt".into(), Claims { grants, ..ann() }).unwrap();
    assert_eq!(book.delivers_to_all("a"), None);
    assert_ne!(book.generation(), before, "what threads remember is void");
}
