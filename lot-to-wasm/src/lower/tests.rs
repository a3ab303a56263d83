//! Tests that generated code is a valid component that fits the WIT files. Tests of its behaviour
//! are in the host, where it can run.

use lot_facts::{Facts, Kind, TopicFact, Trigger};
use wasmparser::{Validator, WasmFeatures};

use crate::check::kind::KindSet;
use crate::check::tree::*;
use crate::compile::Form;
use crate::statement::{
    CheckedKind, call_action, delete, if_else, keep, loop_until, publish_topic, set as set_variable, switch,
};
use crate::syntax::Position;

const AT: Position = Position { line: 3, column: 5 };

fn expression(kinds: KindSet, kind: ExpressionKind) -> Expression {
    Expression { at: AT, kinds, kind }
}

fn constant(constant: Constant) -> Expression {
    let kinds = match constant {
        Constant::Empty => KindSet::EMPTY,
        Constant::Null => KindSet::NULL,
        Constant::Bool(_) => KindSet::BOOL,
        Constant::Int(_) => KindSet::INT,
        Constant::Double(_) => KindSet::DOUBLE,
        Constant::Text(_) => KindSet::TEXT_LITERAL,
        Constant::Json(_) => KindSet::JSON,
    };
    expression(kinds, ExpressionKind::Constant(constant))
}

fn text(content: &str) -> Expression {
    constant(Constant::Text(content.to_owned()))
}

fn payload() -> Expression {
    expression(KindSet::TEXT_DATA, ExpressionKind::Payload)
}

fn topic(name: &str) -> Topic {
    Topic { parts: vec![TopicPart::Text(name.to_owned())], fact: TopicFact::Exact(name.to_owned()), at: AT }
}

fn statement(kind: impl Into<CheckedKind>) -> Statement {
    Statement { at: AT, kind: kind.into() }
}

fn publish(value: Expression) -> Statement {
    let topic = topic("o");
    statement(publish_topic::Checked { topic, value, qos: 0, retain: false, when_empty: WhenEmpty::Report })
}

fn set(variable: u32, value: Expression) -> Statement {
    statement(set_variable::Checked { variable: VariableId(variable), value })
}

/// An Action with the variables `a` (Int), `d` (Double), `b` (Bool) and `x` (anything), and one
/// pattern for each engine.
fn action(entry: Entry, body: Vec<Statement>) -> Action {
    let variables = [("a", KindSet::INT), ("d", KindSet::DOUBLE), ("b", KindSet::BOOL), ("x", KindSet::ANY)]
        .map(|(name, kinds)| Variable { name: name.to_owned(), kinds, bound: None });
    let regex = |pattern: &str, engine| Regex { pattern: pattern.to_owned(), engine, has_value_group: false };
    Action {
        name: "Test".to_owned(),
        entry,
        variables: variables.into(),
        regexes: vec![regex("(?<=a)b", RegexEngine::Backtracking), regex("[0-9]+", RegexEngine::Linear)],
        body,
        facts: Facts::new(Kind::Action, "Test"),
    }
}

fn on_topic(filters: &[&str]) -> Entry {
    Entry::Triggered(Trigger::Topic { filters: filters.iter().map(|filter| (*filter).to_owned()).collect() })
}

/// Checks that both forms are valid, and that the standalone one fits the world `action` of the WIT
/// files.
fn check(action: &Action) {
    for form in [Form::Linked, Form::Standalone] {
        let binary = super::action(action, form).unwrap();
        assert_valid(&binary, &format!("{form:?}"));
        assert_eq!(super::action(action, form).unwrap(), binary, "the same bytes again");
        if form == Form::Standalone {
            fits_the_world(&binary, "action");
        }
    }
}

fn assert_valid(binary: &[u8], name: &str) {
    if let Err(error) = Validator::new_with_features(WasmFeatures::all()).validate_all(binary) {
        panic!("{name}: {error}\n{binary:?}");
    }
}

fn fits_the_world(component: &[u8], world: &str) {
    let mut resolve = wit_parser::Resolve { all_features: true, ..wit_parser::Resolve::default() };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/guest");
    let (package, _) = resolve.push_path(folder).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::targets(&resolve, world, component).unwrap();
}

fn boxed(expression: Expression) -> Box<Expression> {
    Box::new(expression)
}

#[test]
fn the_shell_is_a_component_that_takes_any_action() {
    let shell = super::shell(super::World::Action);
    assert_valid(&shell, "shell");
    // With runtime and core module put in, it equals the standalone form.
    assert!(wasmparser::Parser::is_component(&shell));
}

#[test]
fn a_rule_is_a_component_of_its_world() {
    assert_valid(&super::shell(super::World::Rule), "shell");
    let source = "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\"
    IF USER IN GROUP \"g\" AND USER HAS p == 2 OR GET TOPIC \"s\" IS PAYLOAD OR TOPIC EXISTS \"e/\" + CLIENTID OR NOT MODULE \"m\" THEN
        ALLOW
    ELSE IF ENDPOINT MATCHES REGEX \"(?=a)a\" AND TOPIC POSITION 2 IS USER THEN
        DENY
";
    for form in [Form::Linked, Form::Standalone] {
        let options = crate::CompileOptions { form, ..crate::CompileOptions::default() };
        let output = crate::compile(source, &options).entities.remove(0).output.unwrap();
        assert_valid(&output.component, &format!("{form:?}"));
        if form == Form::Standalone {
            fits_the_world(&output.component, "rule");
        } else {
            assert!(output.component.len() < 3000, "{} bytes", output.component.len());
        }
    }
}

#[test]
fn a_small_action_is_small() {
    let action = action(on_topic(&["in"]), vec![publish(payload())]);
    check(&action);
    let size = super::action(&action, Form::Linked).unwrap().len();
    assert!(size < 2000, "{size} bytes");
}

#[test]
fn every_trigger_has_its_export() {
    for trigger in [
        Trigger::Start,
        Trigger::Connect,
        Trigger::Disconnect,
        Trigger::Subscribe { pattern: None },
        Trigger::Topic { filters: vec!["a/+".into(), "b".into()] },
        Trigger::Change { filters: vec!["a".into()] },
    ] {
        check(&action(Entry::Triggered(trigger), vec![publish(text("x"))]));
    }
}

#[test]
fn every_session_word_is_read() {
    use SessionWord::*;
    let words = [
        (ClientId, KindSet::TEXT_LITERAL),
        (User, KindSet::TEXT_LITERAL | KindSet::EMPTY),
        (Endpoint, KindSet::TEXT_LITERAL),
        (CleanSession, KindSet::BOOL),
        (DisconnectReason, KindSet::TEXT_LITERAL),
        (SubscribeTopic, KindSet::TEXT_LITERAL),
        (SubscribeQos, KindSet::INT),
    ];
    let body = words
        .into_iter()
        .map(|(word, kinds)| publish(expression(kinds, ExpressionKind::Session(word))))
        .collect();
    check(&action(Entry::Triggered(Trigger::Connect), body));
}

#[test]
fn every_statement_is_written() {
    let level = |parts| Topic { parts, fact: TopicFact::Any, at: AT };
    let by_filter = TopicPart::ByFilter(vec![TopicPart::Level(2), TopicPart::Missing]);
    let kept = |topic| keep::Checked::Topic { topic, value: payload(), when_empty: WhenEmpty::Report };
    let setting = |store, value| keep::Checked::Setting {
        store,
        name: "N".into(),
        value,
        when_empty: WhenEmpty::Report,
    };
    let variable = |index, kinds| expression(kinds, ExpressionKind::Variable(VariableId(index)));
    check(&action(
        on_topic(&["a/+", "b/#"]),
        vec![
            statement(kept(topic("k"))),
            statement(kept(level(vec![TopicPart::Text("k/".into()), by_filter]))),
            statement(kept(level(vec![TopicPart::Missing]))),
            statement(kept(level(vec![
                TopicPart::Text("k".into()),
                TopicPart::Rest { from: 2, slash: true },
                TopicPart::Text("/x/".into()),
                TopicPart::Value(payload()),
            ]))),
            statement(delete::Checked::Topic(topic("k"))),
            statement(setting(SettingStore::Environment, payload())),
            statement(setting(SettingStore::Secret, variable(3, KindSet::ANY))),
            statement(delete::Checked::Setting { store: SettingStore::Environment, name: "N".into() }),
            statement(delete::Checked::Setting { store: SettingStore::Secret, name: "N".into() }),
            set(0, constant(Constant::Int(4))),
            set(1, constant(Constant::Double(0.5))),
            set(2, constant(Constant::Bool(true))),
            set(3, variable(0, KindSet::INT)),
            statement(switch::Checked {
                subject: payload(),
                cases: vec![switch::Case {
                    candidates: [text("on"), text("1")].map(Candidate::Value).into(),
                    body: vec![publish(text("1"))],
                }],
                otherwise: vec![publish(constant(Constant::Empty))],
            }),
            statement(loop_until::Checked {
                body: vec![publish(variable(3, KindSet::ANY))],
                until: variable(2, KindSet::BOOL),
                until_at: AT,
            }),
            statement(if_else::Checked {
                branches: vec![if_else::Branch {
                    condition: variable(1, KindSet::DOUBLE),
                    body: vec![publish(payload())],
                }],
                otherwise: vec![],
            }),
            statement(call_action::Checked {
                name: "Other".into(),
                arguments: vec![Argument { name: "n".into(), value: payload() }],
                returns: vec![VariableId(3)],
                result: Some(VariableId(3)),
            }),
        ],
    ));
}

#[test]
fn callables_take_inputs_and_return_outputs() {
    let inputs = [Some(lot_facts::InputKind::Double), Some(lot_facts::InputKind::Json), None]
        .map(|kind| Input { name: "x".into(), variable: VariableId(3), kind, at: AT });
    let outputs = [0, 1, 2, 3].map(|index| Output { name: "o".into(), variable: VariableId(index) });
    let entry = Entry::Callable { inputs: inputs.into(), outputs: outputs.into() };
    let topic_name = expression(KindSet::TEXT_DATA | KindSet::EMPTY, ExpressionKind::TopicName);
    check(&action(entry, vec![publish(payload()), publish(topic_name)]));
}

#[test]
fn every_expression_is_written() {
    use ExpressionKind as E;
    let any = || expression(KindSet::ANY, E::Variable(VariableId(3)));
    let int = || expression(KindSet::INT, E::Variable(VariableId(0)));
    let double = || expression(KindSet::DOUBLE, E::Variable(VariableId(1)));
    let truth = || expression(KindSet::BOOL, E::Variable(VariableId(2)));
    let operands = [any, int, double, truth];
    let mut kinds = vec![
        E::PayloadBytes,
        E::TopicName,
        E::TopicLevel(2),
        E::TopicLevelAt(boxed(int())),
        E::TopicExists(topic("t")),
        E::GetTopic(topic("t")),
        E::GetJson {
            path: JsonPath::Literal { text: "a.b".into(), steps: vec![] },
            source: boxed(payload()),
        },
        E::GetJson { path: JsonPath::Computed(boxed(any())), source: boxed(any()) },
        E::Select(Box::new(Select {
            route: "R".into(),
            query: "{}".into(),
            parameters: vec![any(), int(), text("x")],
        })),
        E::GetEnv("E".into()),
        E::GetSecret("S".into()),
        E::Timestamp(TimestampFormat::Iso),
        E::Timestamp(TimestampFormat::Unix),
        E::Timestamp(TimestampFormat::UnixMs),
        E::Timestamp(TimestampFormat::Pattern("yyyy".into())),
        E::Timestamp(TimestampFormat::Part(DatePart::Hour)),
        E::RandomUuid,
        E::RandomInt { low: boxed(int()), high: boxed(any()) },
        E::RandomDouble { low: boxed(int()), high: boxed(any()) },
        E::Concat(vec![text("a"), any()]),
        E::Concat(vec![text("a"), any(), int()]),
        E::Concat(vec![text("a"), any(), int(), truth()]),
        E::OneOf {
            value: boxed(any()),
            candidates: vec![Candidate::Value(text("a")), Candidate::Empty, Candidate::Value(int())],
        },
        E::And(boxed(any()), boxed(int())),
        E::Or(boxed(double()), boxed(truth())),
        E::Object(vec![
            ("k\"".into(), any()),
            ("l".into(), expression(KindSet::JSON, E::Array(vec![int(), text("x")]))),
        ]),
        E::CsvField { value: boxed(any()), field: 2 },
        E::Replace { search: boxed(text("a")), replacement: boxed(any()), value: boxed(payload()) },
        E::Trim(boxed(any())),
        E::Split { value: boxed(any()), separator: ";".into(), at: None },
        E::Split { value: boxed(any()), separator: ";".into(), at: Some(2) },
    ];
    for regex in [RegexId(0), RegexId(1)] {
        kinds.push(E::MatchesRegex { value: boxed(any()), regex });
        kinds.push(E::FilterRegex { value: boxed(any()), regex });
    }
    for operand in operands {
        kinds.extend([E::Negate(boxed(operand())), E::Not(boxed(operand())), E::IsEmpty(boxed(operand()))]);
        for to in [
            CastKind::Int,
            CastKind::Double,
            CastKind::Bool,
            CastKind::String,
            CastKind::Timestamp,
            CastKind::Bytes,
        ] {
            kinds.push(E::Cast { to, value: boxed(operand()) });
        }
        for shape in [JsonShape::Any, JsonShape::Array, JsonShape::Object] {
            kinds.push(E::Cast { to: CastKind::Json(shape), value: boxed(operand()) });
        }
        for other in operands {
            pairs(&mut kinds, operand, other);
        }
    }
    use Function::*;
    for function in [
        Upper, Lower, Length, Abs, Round, Floor, Ceil, Sqrt, Sin, Cos, Tan, Asin, Acos, Atan, Exp, Ln, Log10,
        Min, Max, Sum, Mean, Stddev, StddevPop,
    ] {
        kinds.push(E::Function { function, arguments: vec![any()] });
    }
    for function in [Round, Min, Max, Atan2, Pow, Append, Last] {
        kinds.push(E::Function { function, arguments: vec![any(), int()] });
    }
    let body = kinds.into_iter().map(|kind| publish(expression(KindSet::ANY, kind))).collect();
    check(&action(on_topic(&["a/+"]), body));
}

/// Every operator between two operands.
fn pairs(kinds: &mut Vec<ExpressionKind>, left: impl Fn() -> Expression, right: impl Fn() -> Expression) {
    use Arithmetic::*;
    use Comparison::*;
    for operator in [Add, Subtract, Multiply, Divide, Remainder] {
        kinds.push(ExpressionKind::Arithmetic { operator, left: boxed(left()), right: boxed(right()) });
    }
    for operator in
        [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, Contains, StartsWith, EndsWith, In]
    {
        kinds.push(ExpressionKind::Compare { operator, left: boxed(left()), right: boxed(right()) });
    }
    kinds.push(ExpressionKind::If {
        condition: boxed(left()),
        then: boxed(left()),
        otherwise: boxed(right()),
    });
}

/// The text of the core module of a program's only Action.
fn core_text(source: &str) -> String {
    let compilation = crate::compile(source, &crate::CompileOptions::default());
    let [entity] = compilation.entities.as_slice() else { panic!("one entity is wanted") };
    let module = &entity.output.as_ref().unwrap_or_else(|| panic!("{:?}", entity.diagnostics)).component;
    let print = wasmprinter::Config::new();
    let mut text = String::new();
    print.print(module, &mut wasmprinter::PrintFmtWrite(&mut text)).unwrap();
    // The facts have tests of their own.
    text.lines().filter(|line| !line.contains("@custom")).map(|line| format!("{line}\n")).collect()
}

/// Reviewed like code: the calls, the machine instructions, and the constants.
#[test]
fn generated_code_is_as_expected() {
    for (name, source) in [
        ("pass_through", "DEFINE ACTION P\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n"),
        (
            "known_kinds_are_machine_numbers",
            "DEFINE ACTION K\nON TOPIC \"in\" DO\n    SET \"t\" WITH PAYLOAD AS DOUBLE\n    SET \"f\" WITH {t} * 9 / 5 + 32\n    IF {f} > 80.5 AND NOT {t} == 0 THEN\n        PUBLISH TOPIC \"o\" WITH {f}\n",
        ),
        (
            "wildcards_and_literals",
            "DEFINE ACTION W\nON TOPIC \"s/+/t\" DO\n    PUBLISH TOPIC \"out/+/x\" WITH { \"id\": TOPIC POSITION 2, \"v\": PAYLOAD, \"ok\": TRUE } AND QOS 1 RETAIN\n",
        ),
        (
            "callable",
            "DEFINE ACTION C\nINPUT a AS DOUBLE\nDO\n    SET \"m\" WITH FILTER {a} USING REGEX \"[0-9]+\"\nRETURN\n    OUTPUT m\n",
        ),
    ] {
        insta::assert_snapshot!(name, core_text(source));
    }
}
