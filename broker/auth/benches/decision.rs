//! How long a decision takes: asked again, with as many rules as a plant may have. The call of a
//! guest is not in it; here rules are closures.
//!
//! `cargo bench -p lotmq-auth`

use std::sync::Arc;

use divan::{Bencher, black_box};
use lot_facts::{RuleFacts, RuleInputs};
use lotmq_auth::{
    AccountReference, Answer, Ask, Claims, Credential, Decide, Directory, DirectoryOptions, Grant,
    GrantActions, GrantEffect, GrantList, Identity, Opinion, PasswordCost, Peer, Principal, Question, Rule,
    Rulebook, Validity,
};

fn main() {
    divan::main();
}

struct Says;

impl Ask for Says {
    fn ask(&self, _question: &Question<'_>, _account: Option<&Arc<lotmq_auth::Account>>) -> Answer {
        Answer { opinion: Opinion::Allow, validity: Validity::Lasting }
    }
}

fn rule(name: String, priority: u64, topic: String, inputs: RuleInputs) -> Rule {
    let facts = RuleFacts { priority, scope: "Publish".to_owned(), topic: Some(topic), inputs };
    Rule { name: name.into(), facts: Some(facts), ask: Arc::new(Says) }
}

/// The rule of a fresh installation, and others, each about a branch of its own.
fn book(rules: usize, inputs: &RuleInputs) -> Rulebook {
    let options = DirectoryOptions { cost: PasswordCost::TEST, ..DirectoryOptions::default() };
    let directory = Directory::new(options).expect("an empty directory");
    let credential = Credential::hash(b"pw", PasswordCost::TEST).expect("a password can be hashed");
    directory.add_user("ann", credential).expect("the first of its name");
    let book = Rulebook::new(Arc::new(directory));
    let others = (0..rules).map(|n| rule(format!("R{n}"), 100, format!("plant/{n}/+/#"), inputs.clone()));
    let seed = rule("AllowPublishTopic".to_owned(), 1_000_000, "#".to_owned(), RuleInputs::default());
    book.put(others.chain([seed]).collect());
    book
}

fn decide(bencher: Bencher<'_, '_>, rules: usize, inputs: &RuleInputs, topic: &str) {
    let book = book(rules, inputs);
    let ann = Principal::of_reference(AccountReference::read("ann"));
    let identity = Identity::new(ann, "c1".into(), Peer::Unix);
    bencher.bench_local(|| book.decide(black_box(&Question::publish(&identity, topic))));
}

/// The topic is under none of the rules, so that the one of a fresh installation decides.
#[divan::bench(args = [0, 10, 1000])]
fn of_a_topic_without_rules(bencher: Bencher<'_, '_>, rules: usize) {
    decide(bencher, rules, &RuleInputs::default(), "other/1/x");
}

/// One rule matches and asks for a group and the second level:
/// `USER IN GROUP "ops" OR CLIENTID IS TOPIC POSITION 2`.
#[divan::bench(args = [10, 1000])]
fn of_a_topic_with_one_rule(bencher: Bencher<'_, '_>, rules: usize) {
    let inputs = RuleInputs {
        login: true,
        groups: vec!["ops".to_owned()],
        client_id: true,
        topic_levels: vec![2],
        ..RuleInputs::default()
    };
    decide(bencher, rules, &inputs, "plant/7/line/x");
}

/// Grants decide, the last one of so many. Each has a placeholder.
#[divan::bench(args = [1, 4, 16])]
fn of_a_topic_by_grants(bencher: Bencher<'_, '_>, grants: usize) {
    let book = book(10, &RuleInputs::default());
    let grant = |n: usize| Grant::new(GrantEffect::Allow, GrantActions::Publish, &format!("plant/{n}/%c/#"));
    let list = (0..grants).map(|n| grant(n).expect("a topic filter")).collect();
    let grants_of_ann = Some(GrantList::new(list).expect("few grants"));
    let claims = Claims { user: "ann".to_owned(), grants: grants_of_ann, ..Claims::default() };
    let (principal, _) = Principal::of_member(&"jwt".into(), claims).expect("a user name");
    let identity = Identity::new(Arc::new(principal), "c1".into(), Peer::Unix);
    let topic = format!("plant/{}/c1/temperature", grants - 1);
    assert!(book.decide(&Question::publish(&identity, &topic)).is_allowed());
    bencher.bench_local(|| book.decide(black_box(&Question::publish(&identity, &topic))));
}

/// Check of a connection for a message on the same topic as before: it compares the generation.
#[divan::bench(args = [0, 1000])]
fn generation(bencher: Bencher<'_, '_>, rules: usize) {
    let book = book(rules, &RuleInputs::default());
    bencher.bench_local(|| black_box(&book).generation());
}
