//! Rules in a whole broker: failing closed, and the built-in ones as texts. See
//! `tests/e2e/rules.rs` for the behavior that users see.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lot_facts::{Facts, Kind, RuleFacts, RuleInputs};
use lotmq_auth::built_in::BUILT_INS;
use lotmq_auth::{
    Account, AccountReference, Answer, Ask, Authorization, Decide as _, Identity, Opinion, Peer, Principal,
    Question, Rule, Scope, covers,
};
use lotmq_changes::{Batch, DefinitionRow, Op, TenantId};
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_definitions::{DefinitionKind, NewDefinition, OnExisting, Origin};

use crate::testing::{PATIENCE, Running, connect, receive};
use lotmq_programs::compile::CompiledDefinition;
use lotmq_programs::install::{install, put};

/// A core module of the world `rule` whose only function has this body.
fn component(body: &[u8]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // One type, 15 numbers to one; one function of it, exported as `check`.
    module.extend([0x01, 20, 1, 0x60, 15]);
    module.extend([0x7f; 15]);
    module.extend([1, 0x7f]);
    module.extend([0x03, 2, 1, 0]);
    module.extend(b"\x07\x09\x01\x05check\x00\x00");
    let length = u8::try_from(body.len()).unwrap();
    module.extend([0x0a, length + 4, 1, length + 2, 0]);
    module.extend(body);
    module.push(0x0b);
    module
}

fn rule_facts(name: &str, topic: &str) -> Facts {
    let mut facts = Facts::new(Kind::Rule, name);
    facts.rule = Some(RuleFacts {
        priority: 100,
        scope: "Publish".to_owned(),
        topic: Some(topic.to_owned()),
        inputs: RuleInputs::default(),
    });
    facts
}

fn new_rule(facts: Facts, source: &str) -> NewDefinition {
    NewDefinition {
        kind: DefinitionKind::Rule,
        name: facts.name.as_str().into(),
        source: source.into(),
        origin: Origin::AdHoc,
        lines_before: 0,
        owner: None,
        facts: Arc::new(facts),
        installed_at: jiff::Timestamp::now(),
        order: None,
    }
}

fn compiled(running: &Running, component: &[u8], new: NewDefinition) -> CompiledDefinition {
    let loader = running.server.broker.hosting.loader();
    CompiledDefinition::of_entity(loader, component, new, OnExisting::Refuse).unwrap()
}

fn is_taken(client: &mut Client, topic: &str) -> bool {
    !client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap().is_failure()
}

#[test]
fn a_rule_that_traps_or_runs_on_denies_and_says_so() {
    let running = Running::start("os");
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    for (name, body, code) in [
        // `unreachable`, and a loop without end.
        ("Traps", &[0x00][..], "GUEST_PANIC"),
        ("RunsOn", &[0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00], "GUEST_TIME"),
    ] {
        let new = new_rule(rule_facts(name, &format!("{name}/#")), "");
        let compiled = compiled(&running, &component(body), new);
        let installed = install(&tenant, &broker.hosting, compiled, &mut Batch::new()).unwrap();
        let mut client = connect(running.address(), &ConnectOptions::v5("c"));
        assert!(is_taken(&mut client, "elsewhere"));
        let options = ConnectOptions::v5("root").user("root", "coreflux");
        let mut root = connect(running.address(), &options);
        root.subscribe_to(&format!("$SYS/Coreflux/Rules/{name}/Error"), QoS::AtMostOnce).unwrap();
        assert!(!is_taken(&mut client, &format!("{name}/1")), "{name}");
        let record = root.receive(PATIENCE).unwrap().expect("a record comes").text();
        assert!(record.contains(code), "{name}: {record}");
        assert!(!is_taken(&mut client, &format!("{name}/2")), "{name}");
        assert_eq!(installed.definition.activity.runs(), 1, "what a pure rule did once it does again");
        assert!(is_taken(&mut root, &format!("{name}/3")), "root bypasses rules");
    }
    running.server.stop();
}

#[test]
fn a_rule_that_cannot_be_restored_denies_what_it_was_about() {
    for (state, elsewhere) in [(true, true), (false, false)] {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::start_in(dir.path(), "os");
        let facts = rule_facts("Lost", "lost/#").rule;
        let row = DefinitionRow {
            tenant: TenantId::DEFAULT,
            kind: "rule".to_owned(),
            name: "Lost".to_owned(),
            source: "DEFINE RULE Lost WITH SOMETHING a later version knows".to_owned(),
            owner: String::new(),
            origin: "null".to_owned(),
            order: 99,
            changed_at_ms: 1,
            // Without it, not even what the rule was about is known.
            state: if state { serde_json::to_vec(&facts).unwrap() } else { Vec::new() },
        };
        let mut batch = Batch::new();
        batch.push(Op::PutDefinition(&row));
        running.server.broker.core.log.commit(batch).unwrap();
        running.server.stop();

        let running = Running::start_in(dir.path(), "os");
        let options = ConnectOptions::v5("root").user("root", "coreflux");
        let mut root = connect(running.address(), &options);
        root.subscribe_to("$SYS/Coreflux/Rules/Lost/Error", QoS::AtMostOnce).unwrap();
        let record = root.receive(PATIENCE).unwrap().expect("a record comes").text();
        assert!(record.contains("NOT_RESTORED") && record.contains("does not compile"), "{record}");
        match Client::connect(running.address().to_string(), &ConnectOptions::v5("c")) {
            Ok(mut client) => {
                assert!(elsewhere, "not even a connection");
                assert!(is_taken(&mut client, "elsewhere"));
                assert!(!is_taken(&mut client, "lost/1"));
            }
            Err(error) => assert!(!elsewhere, "{error}"),
        }
        running.server.stop();
    }
}

/// Nobody here and elsewhere, a plain user, each flag, an admin; root is not asked.
const WHO: [&str; 8] = ["anon-local", "anon-remote", "plain", "config", "users", "logs", "assets", "admins"];

#[test]
fn the_texts_of_built_in_rules_decide_what_the_table_decides() {
    let running = Running::start("os");
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    for name in ["plain", "config", "users", "logs", "assets", "admins"] {
        tenant.users.add_user(name, tenant.users.hash("pw").unwrap()).unwrap();
    }
    for (name, flag) in [
        ("config", "AllowedSystemConfiguration"),
        ("users", "AllowedUserManagement"),
        ("logs", "AllowedLogManagement"),
        ("assets", "AllowedAssetManipulation"),
    ] {
        tenant.users.change_setting(name, flag, "true").unwrap();
    }
    tenant.users.add_to_group("admins", "admin").unwrap();
    let rules: Vec<_> = BUILT_INS
        .iter()
        .map(|rule| {
            let mut compilation = lot_to_wasm::compile(rule.source, &lot_to_wasm::CompileOptions::default());
            let output = compilation.entities.remove(0).output.expect(rule.name);
            let facts = output.facts.rule.clone().unwrap();
            let shown =
                (rule.name.to_owned(), rule.priority, rule.scope.to_owned(), rule.topic.map(str::to_owned));
            assert_eq!((output.facts.name.clone(), facts.priority, facts.scope.clone(), facts.topic), shown);
            let new = new_rule(output.facts, rule.source);
            // Their names are taken, so these have others.
            let new = NewDefinition { name: format!("{} as text", rule.name).into(), ..new };
            let compiled = compiled(&running, &output.component, new);
            put(&tenant, &broker.hosting, compiled, &mut Batch::new()).unwrap().1.expect("it is a rule")
        })
        .collect();
    // Combined decision of the texts, by §10.4.
    let by_text = |question: &Question<'_>| {
        let account = tenant.users.account_of(question.identity);
        for priority in [10, 20] {
            let asked = rules.iter().filter(|rule| {
                let facts = rule.facts.as_ref().unwrap();
                let covers = |pattern: &String| question.topic.is_some_and(|topic| covers(pattern, topic));
                let is_covered = facts.topic.as_ref().is_none_or(covers);
                facts.priority == priority && facts.scope == question.scope.name() && is_covered
            });
            let said: Vec<Opinion> =
                asked.map(|rule| rule.ask.ask(question, account.as_ref()).opinion).collect();
            if said.contains(&Opinion::Deny) {
                return false;
            }
            if said.contains(&Opinion::Allow) {
                return true;
            }
        }
        false
    };
    let subscriptions = [
        "$SYS/#",
        "$SYS/broker/#",
        "$SYS/broker/uptime",
        "$SYS/Coreflux/#",
        "$SYS/Coreflux/Command/Output",
        "$SYS/Coreflux/Command/+",
        "$SYS/Coreflux/Projects/#",
        "$SYS/Coreflux/Projects",
        "$SYS/Coreflux/Projects/list",
        "$SYS/Coreflux/Version",
    ];
    let asked_by_rules = [Scope::Connect, Scope::Publish, Scope::Subscribe];
    for who in WHO {
        let address = if who == "anon-remote" { "10.0.0.7" } else { "127.0.0.1" };
        let principal = match who.starts_with("anon") {
            true => Principal::anonymous(),
            false => Principal::of_reference(AccountReference::read(who)),
        };
        let identity = Identity::new(principal, "c1".into(), Peer::Tcp(address.parse().unwrap()));
        let operations = Scope::ALL.iter().filter(|scope| {
            !asked_by_rules.contains(scope) && !matches!(scope, Scope::SubscribeSys | Scope::PublishSys)
        });
        let questions = subscriptions.map(|filter| Question::subscribe(&identity, filter)).into_iter();
        let publishes = [
            "$SYS/Coreflux/Command",
            "$SYS/Coreflux/Stats",
            "$SYS/broker/connection/other/state",
            "$SYS/broker/connection/c1/state",
        ];
        let publishes = publishes.map(|topic| Question::publish(&identity, topic));
        let questions = questions.chain(publishes);
        for question in questions.chain(operations.map(|scope| Question::operation(&identity, *scope))) {
            let authorization = tenant.permissions.decide(&question);
            // Only the table can allow less than the question asks for.
            if matches!(authorization, Authorization::AllowOnly(_)) {
                continue;
            }
            assert_eq!(by_text(&question), authorization.is_allowed(), "{who} {question:?}");
        }
    }
    running.server.stop();
}

#[test]
fn every_scope_of_the_compiler_is_one_of_the_broker() {
    for scope in Scope::ALL {
        let source = format!("DEFINE RULE R WITH PRIORITY 100 FOR {}\n    ALLOW\n", scope.name());
        let compilation = lot_to_wasm::compile(&source, &lot_to_wasm::CompileOptions::default());
        assert!(compilation.succeeded(), "{}", scope.name());
    }
    assert_eq!(Scope::ALL.len(), lot_to_wasm::RULE_SCOPES.len());
}

/// A fault of the broker's own.
struct Panics;

impl Ask for Panics {
    fn ask(&self, _question: &Question<'_>, _account: Option<&Arc<Account>>) -> Answer {
        panic!("on purpose")
    }
}

#[test]
fn a_panic_in_reading_ends_one_connection_and_nothing_else() {
    let running = Running::start("os");
    let mut other = running.client("other");
    other.subscribe_to("o", QoS::AtMostOnce).unwrap();
    let tenant = running.server.broker.hosting.tenants.default_tenant();
    let facts = rule_facts("Panics", "damaged").rule;
    tenant.permissions.put(vec![Rule { name: "Panics".into(), facts, ask: Arc::new(Panics) }]);
    // One for each shard at least.
    for id in ["a", "b", "c"] {
        let mut client = connect(running.address(), &ConnectOptions::v5(id));
        client.publish(&Publication::new("damaged", "x").qos(QoS::AtLeastOnce)).unwrap_err();
    }
    for payload in ["1", "2"] {
        other.publish(&Publication::new("o", payload)).unwrap();
        assert_eq!(receive(&mut other), ("o".into(), payload.into()));
    }
    let broker = &running.server.broker;
    assert!(broker.hosting.watchdog.ended().is_none());
    // A Client may see the end of its connection before its session has ended.
    let deadline = Instant::now() + PATIENCE;
    while tenant.sessions.lock().len() > 1 {
        assert!(Instant::now() < deadline, "their sessions end");
        thread::sleep(Duration::from_millis(1));
    }
    running.server.stop();
}
