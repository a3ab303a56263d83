//! Rules: conditions and verdicts of the language reference §10.3, and C22 to C24 of §18.1, asked
//! in the sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lot_facts::{Facts, RuleInputs};
use lot_to_wasm::{CompileOptions, Form};
use lotmq_host::rule::{About, ModuleQuestion, Read, Request, RuleGuest, RuleOutcome, Subject, Verdict};
use lotmq_host::{
    Argument, ComponentSource, Effect, GuestId, NestedCall, RunContext, RunError, RunOutput, Services,
    TrapKind, Value,
};
use parking_lot::Mutex;

use crate::bench::{State, engine};

/// User, client and operation of a question.
#[derive(Clone)]
struct Ask {
    user: Option<&'static str>,
    groups: BTreeSet<&'static str>,
    properties: BTreeMap<&'static str, &'static str>,
    client_id: &'static str,
    endpoint: &'static str,
    topic: Option<&'static str>,
    payload: Option<&'static [u8]>,
}

impl Ask {
    /// A client with a user, about a topic.
    fn of(user: &'static str, client_id: &'static str, topic: &'static str) -> Ask {
        Ask {
            user: Some(user),
            groups: BTreeSet::new(),
            properties: BTreeMap::new(),
            client_id,
            endpoint: "10.0.0.7",
            topic: Some(topic),
            payload: None,
        }
    }

    fn anonymous() -> Ask {
        Ask { user: None, ..Ask::of("", "c1", "a/b") }
    }

    fn group(mut self, group: &'static str) -> Ask {
        self.groups.insert(group);
        self
    }

    fn property(mut self, name: &'static str, value: &'static str) -> Ask {
        self.properties.insert(name, value);
        self
    }
}

struct Account(Ask);

impl Subject for Account {
    fn property(&self, name: &str) -> Option<String> {
        self.0.properties.get(name).map(|value| (*value).to_owned())
    }
    fn in_group(&self, name: &str) -> bool {
        self.0.groups.contains(name)
    }
}

/// A rule in both forms, with what it may read.
struct Rule {
    state: Arc<State>,
    guests: Vec<RuleGuest>,
    facts: lot_facts::RuleFacts,
}

impl Rule {
    fn new(source: &str) -> Rule {
        Rule::in_forms(source, &[Form::Linked, Form::Standalone])
    }

    fn in_forms(source: &str, forms: &[Form]) -> Rule {
        let compiled = forms.iter().map(|form| {
            let form = *form;
            let options = CompileOptions { form, ..CompileOptions::default() };
            let mut compilation = lot_to_wasm::compile(source, &options);
            assert!(compilation.succeeded(), "{source}\n{:#?}", compilation.all_diagnostics());
            let output = compilation.entities.remove(0).output.unwrap();
            let origin =
                if form == Form::Linked { ComponentSource::Compiler } else { ComponentSource::Upload };
            (RuleGuest::compile(engine(), &output.component, origin).unwrap(), output.facts)
        });
        let (guests, facts): (Vec<_>, Vec<_>) = compiled.unzip();
        Rule { state: Arc::default(), guests, facts: facts[0].rule.clone().unwrap() }
    }

    /// A rule with one condition: ALLOW where it holds, else DENY.
    fn when(condition: &str) -> Rule {
        let source = format!(
            "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"#\"\n    IF {condition} THEN\n        ALLOW\n    ELSE\n        DENY\n"
        );
        // One form is enough for what is said in a table: the component round both is the same for
        // all.
        Rule::in_forms(&source, &[Form::Linked])
    }

    fn ask(&self, ask: &Ask) -> (RuleOutcome, Vec<Read>, RunOutput) {
        let request = Request {
            scope: "Publish".to_owned(),
            client_id: ask.client_id.to_owned(),
            user: ask.user.map(str::to_owned),
            endpoint: ask.endpoint.to_owned(),
            topic: ask.topic.map(str::to_owned),
            payload: ask.payload.map(<[u8]>::to_vec),
        };
        let answers = self.guests.iter().map(|guest| {
            let mut instance = guest.instance(Arc::clone(&self.state) as Arc<_>).unwrap();
            let mut output = RunOutput::new();
            let mut check = || {
                let subject: Option<Arc<dyn Subject>> =
                    ask.user.map(|_| Arc::new(Account(ask.clone())) as Arc<_>);
                instance.check(
                    (&request, About::default()),
                    subject,
                    RunContext::new(GuestId(1)),
                    &mut output,
                )
            };
            let first = check();
            if matches!(first, RuleOutcome::Trapped(_)) {
                return (first, instance.take_reads(), output);
            }
            assert_eq!(check(), first, "an instance answers alike each time");
            let reads = instance.take_reads();
            (first, reads[..reads.len() / 2].to_vec(), output)
        });
        let answers: Vec<_> = answers.collect();
        for other in &answers {
            assert_eq!((&other.0, &other.1), (&answers[0].0, &answers[0].1), "all forms answer alike");
        }
        answers.into_iter().next().unwrap()
    }

    fn verdict(&self, ask: &Ask) -> Verdict {
        match self.ask(ask).0 {
            RuleOutcome::Said(verdict) => verdict,
            other @ (RuleOutcome::Failed(_) | RuleOutcome::Trapped(_)) => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn says(&self, ask: &Ask, expected: Verdict) {
        assert_eq!(self.verdict(ask), expected);
    }
}

#[track_caller]
fn holds(condition: &str, ask: &Ask, expected: bool) {
    let verdict = Rule::when(condition).verdict(ask);
    let expected = if expected { Verdict::Allow } else { Verdict::Deny };
    assert_eq!(verdict, expected, "{condition}");
}

#[test]
fn conditions_about_the_user_hold_as_the_table_says() {
    let ann = Ask::of("ann", "c1", "a/b");
    let nobody = Ask::anonymous();
    for (condition, ask, expected) in [
        ("USER IS \"ann\"", ann.clone(), true),
        ("USER IS \"Ann\"", ann.clone(), false),
        ("USER IS NOT \"bob\"", ann.clone(), true),
        ("USER IS NOT \"ann\"", ann.clone(), false),
        // Anonymous has no name: whatever is said about the user is false.
        ("USER IS \"\"", nobody.clone(), false),
        ("USER IS NOT \"bob\"", nobody.clone(), false),
        ("USER HAS NOT P", nobody.clone(), false),
        ("USER HAS P != \"x\"", nobody.clone(), false),
        ("USER NOT IN GROUP \"g\"", nobody.clone(), false),
        ("TOPIC POSITION 9 IS USER", nobody.clone(), false),
        ("NOT USER IS \"bob\"", nobody, true),
        ("USER IN GROUP \"g\"", ann.clone().group("g"), true),
        ("USER IN GROUP \"g\"", ann.clone().group("h"), false),
        ("USER NOT IN GROUP \"g\"", ann.clone().group("h"), true),
        ("USER HAS P", ann.clone(), false),
        ("USER HAS NOT P", ann.clone(), true),
        ("USER HAS \"P\"", ann.clone().property("P", "true"), true),
        ("USER HAS P", ann.clone().property("P", "anything"), true),
        ("USER HAS P", ann.clone().property("P", "1"), true),
        ("USER HAS P", ann.clone().property("P", "False"), false),
        ("USER HAS P", ann.clone().property("P", "0"), false),
        ("USER HAS P", ann.clone().property("P", "OFF"), false),
        ("USER HAS P", ann.clone().property("P", "no"), false),
        ("USER HAS P", ann.clone().property("P", ""), false),
        ("USER HAS P == \"v\"", ann.clone().property("P", "v"), true),
        ("USER HAS P == \"v\"", ann.clone().property("P", "w"), false),
        ("USER HAS tier == 2 AND CLIENTID IS \"c1\"", ann.clone().property("tier", "2"), true),
        ("USER HAS tier > 2", ann.clone().property("tier", "10"), true),
        ("USER HAS tier > 2", ann, false),
    ] {
        holds(condition, &ask, expected);
    }
}

#[test]
fn conditions_about_client_address_and_topic_hold_as_the_table_says() {
    let ask = |client_id, topic| Ask::of("ann", client_id, topic);
    for (condition, ask, expected) in [
        ("CLIENTID IS \"c1\"", ask("c1", "a"), true),
        ("CLIENTID MATCHES \"c1\"", ask("c1", "a"), true),
        ("CLIENTID MATCHES \"c.\"", ask("c1", "a"), false),
        ("CLIENTID MATCHES REGEX \"^gw[0-9]+$\"", ask("gw12", "a"), true),
        ("CLIENTID MATCHES REGEX \"^gw[0-9]+$\"", ask("gwx", "a"), false),
        ("CLIENTID MATCHES REGEX \"^(?!test)gw\"", ask("gw1", "a"), true),
        ("CLIENTID STARTS_WITH \"gw\"", ask("gw1", "a"), true),
        ("CLIENTID ENDS_WITH \"-ro\"", ask("x-ro", "a"), true),
        ("CLIENTID CONTAINS \"mid\"", ask("a-mid-b", "a"), true),
        ("CLIENTID IS TOPIC POSITION 2", ask("c1", "dev/c1/x"), true),
        ("CLIENTID IS TOPIC POSITION 2", ask("c1", "dev/c2/x"), false),
        ("CLIENTID IS TOPIC POSITION 4", ask("c1", "dev/c1/x"), false),
        // Names are texts, not numbers.
        ("CLIENTID IS TOPIC POSITION 2", ask("1", "dev/01/x"), false),
        ("CLIENTID IS TOPIC POSITION 2", ask("0", "dev//x"), false),
        // That of a program is empty.
        ("CLIENTID IS TOPIC POSITION 2", ask("", "dev//x"), false),
        ("CLIENTID IS NOT TOPIC POSITION 2", ask("", "dev//x"), true),
        ("TOPIC POSITION 2 IS CLIENTID", ask("", "dev//x"), false),
        ("CLIENTID IS GET TOPIC \"owner/of/nobody\"", ask("", "dev/a/x"), false),
        ("TOPIC CONTAINS CLIENTID", ask("", "dev/a/x"), false),
        ("TOPIC CONTAINS CLIENTID", ask("a", "dev/a/x"), true),
        ("CLIENTID == \"\"", ask("", "dev//x"), true),
        ("CLIENTID IN [\"\", \"a\"]", ask("", "dev//x"), true),
        ("CLIENTID != \"a\"", ask("", "dev//x"), true),
        ("CLIENTID IS TOPIC POSITION 4", ask("0", "dev/c1/x"), false),
        ("TOPIC POSITION 2 IS CLIENTID", ask("1e0", "dev/1/x"), false),
        ("CLIENTID IS 1", ask("1.0", "a"), false),
        ("TOPIC POSITION 1 IS USER", ask("c1", "ann/x"), true),
        ("TOPIC IS \"a/b\"", ask("c1", "a/b"), true),
        ("TOPIC IS NOT \"a/b\"", ask("c1", "a/b"), false),
        ("TOPIC STARTS_WITH \"a/\" + CLIENTID", ask("c1", "a/c1/x"), true),
        ("TOPIC POSITION 3 IS EMPTY", ask("c1", "a/b"), true),
        // A missing value is no prefix, no suffix and no part of a text.
        ("TOPIC STARTS_WITH GET TOPIC \"acl/\" + USER", ask("c1", "site/x"), false),
        ("TOPIC CONTAINS GET TOPIC \"acl/\" + USER", ask("c1", "site/x"), false),
        ("TOPIC ENDS_WITH GET TOPIC \"acl/\" + USER", ask("c1", "site/x"), false),
        ("TOPIC POSITION 4 IN \"a,b\"", ask("c1", "a/b"), false),
        ("ENDPOINT IS \"10.0.0.7\"", ask("c1", "a"), true),
        ("ENDPOINT STARTS_WITH \"10.\"", ask("c1", "a"), true),
        ("ENDPOINT STARTS_WITH \"192.\"", ask("c1", "a"), false),
    ] {
        holds(condition, &ask, expected);
    }
}

#[test]
fn a_list_of_names_is_a_list_of_texts() {
    let rule = Rule::when("TOPIC POSITION 2 IN GET TOPIC \"acl/\" + USER");
    rule.state.topics.lock().insert("acl/ann".to_owned(), b"[\"7\", \"x\"]".to_vec());
    for (topic, expected) in [
        ("list/7", Verdict::Allow),
        ("list/x", Verdict::Allow),
        ("list/07", Verdict::Deny),
        ("list/7e0", Verdict::Deny),
        ("list", Verdict::Deny),
    ] {
        rule.says(&Ask::of("ann", "c1", topic), expected);
    }
}

#[test]
fn a_topic_with_the_user_in_it_is_nobodys_without_one() {
    for condition in ["TOPIC EXISTS \"acl/\" + USER", "TOPIC STARTS_WITH GET TOPIC \"acl/\" + USER"] {
        let rule = Rule::when(condition);
        for state in [&rule.state.retained, &rule.state.topics] {
            state.lock().insert("acl/".to_owned(), b"site".to_vec());
            state.lock().insert("acl/ann".to_owned(), b"site".to_vec());
        }
        let ask = Ask { topic: Some("site/x"), ..Ask::anonymous() };
        rule.says(&Ask { user: Some("ann"), ..ask.clone() }, Verdict::Allow);
        rule.says(&ask, Verdict::Deny);
    }
}

#[test]
fn not_binds_tighter_than_and_and_that_than_or() {
    let (yes, no) = ("USER IS \"ann\"", "USER IS \"bob\"");
    let ann = Ask::of("ann", "c1", "a/b");
    for (condition, expected) in [
        (format!("{yes} OR {no} AND {no}"), true),
        (format!("({yes} OR {no}) AND {no}"), false),
        (format!("NOT {no} AND {yes}"), true),
        (format!("NOT ({no} OR {yes})"), false),
        (format!("NOT {yes} OR {yes}"), true),
    ] {
        holds(&condition, &ann, expected);
    }
}

#[test]
fn an_if_without_else_says_nothing() {
    let rule = Rule::new(
        "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"#\"\n    IF USER IS \"g\" THEN\n        DENY\n",
    );
    rule.says(&Ask::of("g", "c1", "a"), Verdict::Deny);
    rule.says(&Ask::of("h", "c1", "a"), Verdict::Nothing);
}

#[test]
fn branches_are_tried_in_order_and_may_nest() {
    let rule = Rule::new(
        "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"#\"
    IF USER IS \"a\" THEN
        IF CLIENTID IS \"c1\" THEN
            ALLOW
        ELSE
            DENY
    ELSE IF USER IS \"b\" THEN
        DENY
    ELSE IF USER IN GROUP \"g\" THEN
        ALLOW
",
    );
    rule.says(&Ask::of("a", "c1", "t"), Verdict::Allow);
    rule.says(&Ask::of("a", "c2", "t"), Verdict::Deny);
    rule.says(&Ask::of("b", "c1", "t").group("g"), Verdict::Deny);
    rule.says(&Ask::of("c", "c1", "t").group("g"), Verdict::Allow);
    rule.says(&Ask::of("c", "c1", "t"), Verdict::Nothing);
}

#[test]
fn a_bare_verdict_is_always_the_same_and_depends_on_nothing() {
    for (word, verdict) in [("ALLOW", Verdict::Allow), ("DENY", Verdict::Deny)] {
        let rule = Rule::new(&format!("DEFINE RULE R WITH PRIORITY 100 FOR Connect\n    {word}\n"));
        rule.says(&Ask::anonymous(), verdict);
        assert_eq!(rule.facts.inputs, RuleInputs::default());
    }
}

#[test]
fn c22_property_and_group() {
    let rule = Rule::new(
        "DEFINE RULE Ops WITH PRIORITY 150 FOR Publish TO TOPIC \"plant/#\"
    IF (USER IN GROUP \"ops\" OR USER HAS \"PlantWriter\") AND NOT CLIENTID STARTS_WITH \"guest\" THEN
        ALLOW
    ELSE
        DENY
",
    );
    let ask = |client| Ask::of("ann", client, "plant/x");
    rule.says(&ask("hmi1").group("ops"), Verdict::Allow);
    rule.says(&ask("guest3").group("ops"), Verdict::Deny);
    rule.says(&ask("hmi1").property("PlantWriter", "true"), Verdict::Allow);
    rule.says(&ask("hmi1").property("PlantWriter", "false"), Verdict::Deny);
    let inputs = &rule.facts.inputs;
    assert_eq!(
        (&inputs.groups[..], &inputs.properties[..]),
        (&["ops".to_owned()][..], &["PlantWriter".to_owned()][..])
    );
    assert!(inputs.client_id && inputs.login && !inputs.user && !inputs.topic && !inputs.reads);
}

#[test]
fn whether_a_rule_says_the_names_that_it_means() {
    for (condition, may_mean_any) in [
        ("USER IS \"ann\"", false),
        ("USER IS NOT \"ann\"", false),
        ("USER IN [\"ann\", \"ben\"]", false),
        ("USER IS \"ann\" AND TOPIC POSITION 2 IS \"x\"", false),
        ("USER IS TOPIC POSITION 2", true),
        ("USER IS NOT TOPIC POSITION 2", true),
        ("TOPIC POSITION 2 IS USER", true),
        ("GET TOPIC \"admin/duty\" IS USER", true),
        ("USER IS \"ann\" OR USER IS TOPIC POSITION 2", true),
        ("CLIENTID IS \"ann\"", false),
    ] {
        let rule = Rule::new(&format!(
            "DEFINE RULE R WITH PRIORITY 5 FOR Publish TO TOPIC \"a/#\"\n    IF {condition} THEN\n        ALLOW\n"
        ));
        assert_eq!(rule.facts.inputs.any_user, may_mean_any, "{condition}");
    }
}

#[test]
fn c23_connection_admission_by_a_retained_message() {
    let rule = Rule::new(
        "DEFINE RULE Adm WITH PRIORITY 100 FOR Connect
    IF CLIENTID MATCHES REGEX \"^gw[0-9]+$\" AND TOPIC EXISTS \"allow/\" + CLIENTID THEN
        ALLOW
    ELSE
        DENY
",
    );
    rule.state.retained.lock().insert("allow/gw1".to_owned(), b"x".to_vec());
    // A kept value is not a retained message.
    rule.state.topics.lock().insert("allow/gw2".to_owned(), b"x".to_vec());
    let ask = |client_id| Ask { topic: None, ..Ask::of("u", client_id, "") };
    rule.says(&ask("gw1"), Verdict::Allow);
    rule.says(&ask("gw2"), Verdict::Deny);
    rule.says(&ask("other"), Verdict::Deny);
    let reads = rule.ask(&ask("gw2")).1;
    assert_eq!(reads, [Read::Retained { topic: "allow/gw2".into(), exists: false }]);
    assert_eq!(rule.ask(&ask("other")).1, [], "what is not reached is not read");
    assert!(rule.facts.inputs.reads);
}

#[test]
fn c24_a_state_opens_and_shuts_a_gate() {
    let rule = Rule::new(
        "DEFINE RULE Gate WITH PRIORITY 120 FOR Publish TO TOPIC \"cmd/#\"
    IF GET TOPIC \"state/locked\" IS \"true\" THEN
        DENY
    ELSE
        ALLOW
",
    );
    let ask = Ask::of("u", "c1", "cmd/x");
    rule.says(&ask, Verdict::Allow);
    assert_eq!(rule.ask(&ask).1, [Read::Value { topic: "state/locked".into(), value: None }]);
    rule.state.topics.lock().insert("state/locked".to_owned(), b"true".to_vec());
    rule.says(&ask, Verdict::Deny);
    let value = Some(b"true".as_slice().into());
    assert_eq!(rule.ask(&ask).1, [Read::Value { topic: "state/locked".into(), value }]);
}

#[test]
fn a_payload_is_compared_like_everywhere() {
    let ask = |payload| Ask { payload: Some(payload), ..Ask::of("u", "c1", "a") };
    for (condition, payload, expected) in [
        ("PAYLOAD > 3", b"10".as_slice(), true),
        ("PAYLOAD > 3", b"3.0", false),
        ("PAYLOAD IS \"on\"", b"on", true),
        ("PAYLOAD CONTAINS \"x\"", b"", false),
        ("PAYLOAD CONTAINS \"x\"", b"\xffx", true),
    ] {
        holds(condition, &ask(payload), expected);
    }
    assert!(Rule::when("PAYLOAD > 3").facts.inputs.payload);
    holds("PAYLOAD IS EMPTY", &Ask::of("u", "c1", "a"), true);
}

#[test]
fn an_error_in_a_condition_is_false_and_reported() {
    let rule = Rule::when("GET TOPIC \"n\" == 1 / GET TOPIC \"zero\"");
    let ask = Ask::of("u", "c1", "a");
    rule.state.topics.lock().insert("n".to_owned(), b"5".to_vec());
    rule.state.topics.lock().insert("zero".to_owned(), b"0".to_vec());
    rule.says(&ask, Verdict::Deny);
    let output = rule.ask(&ask).2;
    let codes: Vec<_> = output
        .effects()
        .map(|(_, effect)| match effect {
            Effect::Report { code, .. } => code.to_owned(),
            other @ (Effect::Publish { .. }
            | Effect::Keep { .. }
            | Effect::Forget { .. }
            | Effect::Log { .. }
            | Effect::Metric { .. }) => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, ["LOT602"]);
}

#[test]
fn a_search_without_end_is_false_and_costs_little() {
    let rule = Rule::when(r#"CLIENTID MATCHES REGEX "^(?=(a+)+$)(a+)+\1b$""#);
    let client_id: &'static str = Box::leak(format!("{}b", "a".repeat(60)).into_boxed_str());
    rule.says(&Ask::of("u", client_id, "a"), Verdict::Deny);
}

/// A step of this search reads what is left of the text: in 20,000 of them that is a gigabyte.
#[test]
fn a_search_ends_with_the_time_of_the_rule() {
    let rule = Rule::when(r#"TOPIC MATCHES REGEX "(?<!x)[a-z ]+9""#);
    let topic: &'static str = Box::leak("a".repeat(60_000).into_boxed_str());
    let (outcome, ..) = rule.ask(&Ask::of("u", "c", topic));
    assert!(matches!(&outcome, RuleOutcome::Trapped(trap) if trap.kind == TrapKind::Time), "{outcome:?}");
}

#[test]
fn facts_name_exactly_what_a_verdict_depends_on() {
    let none = RuleInputs::default;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (condition, expected) in [
        ("CLIENTID IS TOPIC POSITION 2", RuleInputs { client_id: true, topic_levels: vec![2], ..none() }),
        ("TOPIC IS USER", RuleInputs { login: true, user: true, any_user: true, topic: true, ..none() }),
        (
            "USER HAS b OR USER HAS a OR USER HAS b",
            RuleInputs { login: true, properties: names(&["a", "b"]), ..none() },
        ),
        (
            "ENDPOINT IS \"::1\" AND USER NOT IN GROUP \"g\"",
            RuleInputs { login: true, endpoint: true, groups: names(&["g"]), ..none() },
        ),
        (
            "TOPIC EXISTS \"a/\" + TOPIC POSITION 1",
            RuleInputs { topic_levels: vec![1], reads: true, ..none() },
        ),
        ("PAYLOAD IS \"on\"", RuleInputs { payload: true, ..none() }),
    ] {
        assert_eq!(Rule::when(condition).facts.inputs, expected, "{condition}");
    }
}

/// Verdicts of modules, by name, and the record of their questions.
#[derive(Default)]
struct Modules {
    said: BTreeMap<&'static str, Result<Verdict, RunError>>,
    asked: Mutex<Vec<String>>,
}

impl Services for Modules {
    fn ask_module(&self, question: &ModuleQuestion<'_>, name: &str) -> Result<Verdict, RunError> {
        let payload = question.request.payload.as_deref().map(String::from_utf8_lossy);
        self.asked.lock().push(format!("{name} {} {payload:?}", question.request.client_id));
        self.said.get(name).cloned().unwrap_or_else(|| Err(RunError::unknown_module(name)))
    }
    fn topic_value(&self, _: &RunContext, _: &str, _: &mut Vec<u8>) -> bool {
        false
    }
    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        true
    }
    fn retained_exists(&self, _: &RunContext, _: &str) -> bool {
        false
    }
    fn environment(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }
    fn set_environment(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }
    fn secret(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }
    fn set_secret(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }
    fn call_action(&self, _: NestedCall<'_>, name: &str, _: &[Argument]) -> Result<Vec<Value>, RunError> {
        Err(RunError::unknown_action(name))
    }
    fn now_ms(&self) -> i64 {
        0
    }
    fn monotonic_ms(&self) -> u64 {
        0
    }
}

/// Commands reference §14.8: what a module says of a question, and what the rule that asks it says
/// then.
#[test]
fn a_module_allows_denies_or_has_nothing_to_say() {
    let said = || {
        BTreeMap::from([
            ("yes", Ok(Verdict::Allow)),
            ("no", Ok(Verdict::Deny)),
            ("silent", Ok(Verdict::Nothing)),
            ("broken", Err(RunError::new("OWN", "out of order"))),
        ])
    };
    let verdict = RuleOutcome::Said;
    for (condition, expected, asked) in [
        ("MODULE \"yes\"", verdict(Verdict::Allow), &["yes"][..]),
        ("MODULE \"silent\"", verdict(Verdict::Nothing), &["silent"]),
        // A DENY of a module is the rule's, wherever it stands.
        ("MODULE \"no\"", verdict(Verdict::Deny), &["no"]),
        ("NOT MODULE \"no\"", verdict(Verdict::Deny), &["no"]),
        ("NOT MODULE \"silent\"", verdict(Verdict::Allow), &["silent"]),
        ("NOT MODULE \"yes\"", verdict(Verdict::Nothing), &["yes"]),
        ("MODULE \"yes\" OR MODULE \"no\"", verdict(Verdict::Allow), &["yes"]),
        ("MODULE \"silent\" AND MODULE \"no\"", verdict(Verdict::Nothing), &["silent"]),
        ("MODULE \"silent\" OR MODULE \"yes\"", verdict(Verdict::Allow), &["silent", "yes"]),
        ("CLIENTID IS \"c2\" AND MODULE \"no\"", verdict(Verdict::Nothing), &[]),
    ] {
        let source = format!(
            "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"#\"\n    IF {condition} THEN\n        ALLOW\n"
        );
        let (outcome, modules, _) = asked_of(&source, said());
        assert_eq!(outcome, expected, "{condition}");
        let expected: Vec<String> =
            asked.iter().map(|name| format!("{name} c1 {:?}", Some("the payload"))).collect();
        assert_eq!(*modules.asked.lock(), expected, "{condition}");
    }
    for (module, message) in [
        ("broken", "module `broken`: out of order"),
        ("gone", "module `gone`: module 'gone' is not installed"),
    ] {
        let source = format!(
            "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"#\"\n    IF NOT MODULE \"{module}\" THEN\n        ALLOW\n    ELSE\n        ALLOW\n"
        );
        let (outcome, _, facts) = asked_of(&source, said());
        let RuleOutcome::Failed(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!((&*error.code, &*error.message, error.line, error.column), ("LOT624", message, 2, 12));
        assert_eq!(facts.programs.modules, [module]);
        // The answer holds for this question only.
        assert!(facts.rule.unwrap().inputs.modules);
    }
}

/// Asks a rule whose modules say this.
fn asked_of(
    source: &str,
    said: BTreeMap<&'static str, Result<Verdict, RunError>>,
) -> (RuleOutcome, Arc<Modules>, Facts) {
    let mut compilation = lot_to_wasm::compile(source, &CompileOptions::default());
    let output = compilation.entities.remove(0).output.expect(source);
    let guest = RuleGuest::compile(engine(), &output.component, ComponentSource::Compiler).unwrap();
    let modules = Arc::new(Modules { said, ..Modules::default() });
    let mut instance = guest.instance(Arc::clone(&modules) as Arc<_>).unwrap();
    let request = Request {
        scope: "Publish".to_owned(),
        client_id: "c1".to_owned(),
        user: None,
        endpoint: "unix".to_owned(),
        topic: Some("a".to_owned()),
        payload: Some(b"the payload".to_vec()),
    };
    let run = RunContext::new(GuestId(1));
    let outcome = instance.check((&request, About::default()), None, run, &mut RunOutput::new());
    (outcome, modules, output.facts)
}
