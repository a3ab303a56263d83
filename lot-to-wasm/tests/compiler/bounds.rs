//! Tests that the output of the worst accepted programs is bounded, so that the machine code of no
//! text costs more than some seconds and some hundred MiB.

use std::fmt::Write as _;

use lot_to_wasm::diagnostic::codes;
use lot_to_wasm::{CompileOptions, check_project, compile};

/// Most bytes of a component within the bounds. Each instruction has up to 11, a constant number of
/// 64 bits; the others are texts.
const COMPONENT_BYTES_MAX: usize = 1024 * 1024;

/// A program that grows with a number.
type Shape = fn(usize) -> String;

const SHAPES: &[(&str, Shape)] = &[
    ("many values of one CASE", |size| {
        let values: Vec<String> = (0..size).map(|number| format!("\"k{number}\"")).collect();
        on_topic(&format!(
            "    SWITCH PAYLOAD\n        CASE {} THEN\n            PUBLISH TOPIC \"o\" WITH 1\n",
            values.join(", ")
        ))
    }),
    ("many CASEs", |size| {
        let mut cases = "    SWITCH PAYLOAD\n".to_owned();
        for number in 0..size.min(4900) {
            let _ =
                write!(cases, "        CASE \"k{number}\" THEN\n            PUBLISH TOPIC \"o\" WITH 1\n");
        }
        on_topic(&cases)
    }),
    ("a long list of texts", |size| {
        let values: Vec<String> = (0..size).map(|number| format!("\"k{number}\"")).collect();
        on_topic(&format!(
            "    IF PAYLOAD IN [{}] THEN\n        PUBLISH TOPIC \"o\" WITH 1\n",
            values.join(", ")
        ))
    }),
    ("a long list of computed values", |size| {
        let values: Vec<String> = (0..size).map(|number| format!("PAYLOAD + {number}")).collect();
        on_topic(&format!(
            "    IF PAYLOAD IN [{}] THEN\n        PUBLISH TOPIC \"o\" WITH 1\n",
            values.join(", ")
        ))
    }),
    ("a large JSON literal", |size| {
        on_topic(&format!("    PUBLISH TOPIC \"o\" WITH [{}]\n", vec!["PAYLOAD"; size].join(", ")))
    }),
    ("many reads of topics", |size| {
        on_topic(&format!("    PUBLISH TOPIC \"o\" WITH [{}]\n", vec!["GET TOPIC \"a\""; size].join(", ")))
    }),
    ("many placeholders in a topic", |size| {
        let levels = "{a}".repeat(size);
        on_topic(&format!("    SET \"a\" WITH PAYLOAD\n    PUBLISH TOPIC \"{levels}\" WITH 1\n"))
    }),
    ("many inline IFs", |size| {
        let values = vec!["IF PAYLOAD THEN 1 ELSE 2"; size].join(", ");
        on_topic(&format!("    PUBLISH TOPIC \"o\" WITH [{values}]\n"))
    }),
    ("long chains of AND", |size| chains(size, " AND ", "PAYLOAD == \"k\"")),
    ("long chains of OR", |size| chains(size, " OR ", "PAYLOAD")),
    ("long sums", |size| {
        let sum = vec!["PAYLOAD"; 150].join(" + ");
        on_topic(&format!("    PUBLISH TOPIC \"o\" WITH {sum}\n").repeat((size / 150).min(4900)))
    }),
    ("many ELSE IFs", |size| {
        let mut chain = String::new();
        for number in 0..size.min(4900) {
            let start = if number == 0 { "IF" } else { "ELSE IF" };
            let _ = write!(
                chain,
                "    {start} PAYLOAD == \"k{number}\" THEN\n        PUBLISH TOPIC \"o\" WITH 1\n"
            );
        }
        on_topic(&chain)
    }),
    ("many statements", |size| {
        on_topic(&"    PUBLISH TOPIC \"o/\" + PAYLOAD WITH PAYLOAD * 2 + 1\n".repeat(size.min(5000)))
    }),
    ("many patterns", |size| {
        let mut statements = String::new();
        for number in 0..size.min(4900) {
            let _ = writeln!(statements, "    SET \"x\" WITH FILTER PAYLOAD USING REGEX \"(a|b)*{number}\"");
        }
        on_topic(&format!("{statements}    PUBLISH TOPIC \"o\" WITH {{x}}\n"))
    }),
    ("a model with many fields", |size| {
        let mut model = "DEFINE MODEL M COLLAPSED\n".to_owned();
        for number in 0..size.min(1000) {
            let _ = writeln!(model, "    ADD STRING \"f{number}\" WITH PAYLOAD");
        }
        model
    }),
    ("a rule with a long condition", |size| {
        let condition = vec!["TOPIC POSITION 2 IS USER"; size.min(190)].join(" OR ");
        let branch = format!("IF {condition} THEN\n        ALLOW\n");
        let mut rule = format!("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\"\n    {branch}");
        for _ in 0..(size / 190) {
            let _ = write!(rule, "    ELSE {branch}");
        }
        format!("{rule}    ELSE\n        DENY\n")
    }),
];

fn on_topic(statements: &str) -> String {
    format!("DEFINE ACTION A\nON TOPIC \"h\" DO\n{statements}")
}

fn chains(size: usize, operator: &str, operand: &str) -> String {
    let chain = vec![operand; 190].join(operator);
    on_topic(
        &format!("    IF {chain} THEN\n        PUBLISH TOPIC \"o\" WITH 1\n").repeat((size / 190).max(1)),
    )
}

/// Bytes of the component; `None` when the program is refused for being too large.
fn component_bytes(what: &str, text: &str) -> Option<usize> {
    let compilation = compile(text, &CompileOptions::default());
    let bytes = compilation.entities.first()?.output.as_ref().map(|output| output.component.len());
    if bytes.is_none() {
        let found = compilation.all_diagnostics();
        let large = [codes::TOO_MUCH_CODE, codes::TEXT_TOO_LONG];
        assert!(found.iter().any(|found| large.contains(&found.code)), "{what}: {found:?}");
    }
    bytes
}

#[test]
fn accepted_program_compiles_to_a_bounded_component() {
    for (what, shape) in SHAPES {
        let mut accepted = 0;
        for size in [300, 1000, 2500, 4900, 10_000, 20_000] {
            let text = shape(size);
            if let Some(bytes) = component_bytes(what, &text) {
                assert!(bytes <= COMPONENT_BYTES_MAX, "{what}, {size}: {bytes} bytes");
                accepted += 1;
            }
        }
        assert!(accepted >= 2, "{what}: not even 1,000 are accepted");
    }
}

/// Programs can have the nesting and the statements that the page of limits promises.
#[test]
fn limits_are_where_the_page_says() {
    let is_accepted = |text: &str| compile(text, &CompileOptions::default()).entities[0].output.is_some();
    let parentheses = |pairs: usize| {
        on_topic(&format!("    PUBLISH TOPIC \"o\" WITH {}1{}\n", "(".repeat(pairs), ")".repeat(pairs)))
    };
    assert!(is_accepted(&parentheses(22)) && !is_accepted(&parentheses(24)));
    let blocks = |depth: usize| {
        let line = |level: usize| "    ".repeat(level + 1);
        let ifs = (0..depth).map(|level| format!("{}IF PAYLOAD > {level} THEN\n", line(level)));
        on_topic(&(ifs.collect::<String>() + &line(depth) + "PUBLISH TOPIC \"o\" WITH 1\n"))
    };
    assert!(is_accepted(&blocks(31)) && !is_accepted(&blocks(32)));
    let many = |line: &str, count: usize| on_topic(&format!("    {line}\n").repeat(count));
    let (publish, set) = ("PUBLISH TOPIC \"o\" WITH 1", "SET \"x\" WITH PAYLOAD");
    assert!(is_accepted(&many(publish, 4_000)));
    assert!(is_accepted(&many(set, 5_000)) && !is_accepted(&many(set, 5_001)));
}

/// Making native code takes memory that grows with the square of the branches of a function.
#[test]
fn long_programs_are_several_functions() {
    for (what, shape) in SHAPES {
        if !["many statements", "a model with many fields"].contains(what) {
            continue;
        }
        let compilation = compile(&shape(1000), &CompileOptions::default());
        let component = &compilation.entities[0].output.as_ref().expect("it is accepted").component;
        let text = wasmprinter::print_bytes(component).unwrap();
        let is_branch =
            |line: &&str| ["if", "block", "loop"].iter().any(|word| line.trim().starts_with(word));
        let branches = |function: &str| function.lines().filter(is_branch).count();
        let most = text.split("(func ").map(branches).max().unwrap_or_default();
        assert!(most * 8 < branches(&text), "{what}: {most} of {}", branches(&text));
    }
}

#[test]
fn lists_of_some_thousand_values_are_accepted() {
    for (what, shape) in SHAPES.iter().take(4) {
        let text = shape(1900);
        let bytes = component_bytes(what, &text);
        assert!(bytes.is_some(), "{what}");
        // In proportion: nothing is written once for each pair.
        assert!(bytes < Some(120 * 1900), "{what}: {bytes:?}");
    }
}

#[test]
fn check_also_rejects_programs_with_too_much_code() {
    let text = SHAPES[0].1(20_000);
    let checked = check_project(&[&text], &CompileOptions::default());
    let found = checked[0].all_diagnostics();
    assert!(found.iter().any(|found| found.code == codes::TOO_MUCH_CODE), "{found:?}");
    let message = &found[0].message;
    assert!(message.contains("`A`") && message.contains("the limit is"), "{message}");
}

/// Actions, each of which has patterns that cost as much as one definition's may.
fn dear_actions(count: usize) -> String {
    let pattern = |number: usize, nth: usize| {
        let pattern = format!(r"(?!{number}x{nth})\w{{1,42}}");
        format!("    IF PAYLOAD MATCHES REGEX \"{pattern}\" THEN\n        PUBLISH TOPIC \"o\" WITH 1\n")
    };
    let action = |number: usize| {
        let body: String = (0..4).map(|nth| pattern(number, nth)).collect();
        format!("DEFINE ACTION A{number}\nON TOPIC \"t\" DO\n{body}")
    };
    (0..count).map(action).collect()
}

#[test]
fn patterns_of_a_text_are_bounded_together_however_many_entities_it_has() {
    let compilation = compile(&dear_actions(20), &CompileOptions::default());
    let succeeded = compilation.entities.iter().filter(|entity| entity.output.is_some()).count();
    assert!((4..8).contains(&succeeded), "{succeeded}");
    let refused = compilation.entities.last().expect("there are 20");
    let found = &refused.diagnostics[0];
    assert_eq!(found.code, codes::PATTERNS_OF_TEXT, "{found:?}");
    assert_eq!(found.message, "the patterns with look-around of this text cost more than 2560000 together");
    assert_eq!(
        found.suggestions,
        ["add the definitions with several commands, or lower the upper bounds of repetitions"]
    );
    assert_eq!(found.span.start.line, 3);
    let stored = CompileOptions { is_stored: true, ..CompileOptions::default() };
    assert!(compile(&dear_actions(6), &stored).succeeded(), "what was accepted goes on");
}

#[test]
fn entities_of_another_kind_than_the_wanted_one_are_read_alone() {
    let text = format!(
        "{}DEFINE ACTION Wrong\nON TOPIC \"t\" DO\n    PUBLISH TOPIC \"o\" WITH {{nothing}}\n\nDEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"a\"\n    ALLOW\n",
        dear_actions(20)
    );
    let count = std::cell::Cell::new(0);
    let options = CompileOptions {
        only: Some(lot_facts::Kind::Rule),
        goes_on: &|| count.set(count.get() + 1),
        ..CompileOptions::default()
    };
    let compilation = compile(&text, &options);
    let [actions @ .., rule] = &*compilation.entities else { panic!("there are 22") };
    assert_eq!(actions.len(), 21);
    for action in actions {
        assert!(action.kind == Some(lot_facts::Kind::Action) && action.output.is_none(), "{action:?}");
        assert!(action.diagnostics.is_empty(), "{action:?}");
    }
    assert!(rule.output.is_some(), "{rule:?}");
    assert_eq!(count.get(), 22, "a sign of life before each");
}

#[test]
fn diagnostic_of_a_long_line_prints_only_the_text_around_the_error() {
    let text = on_topic(&format!(
        "    PUBLISH TOPIC \"o\" WITH \"{0}\" + {{nothing}} + \"{0}\"\n",
        "a".repeat(100_000)
    ));
    let found = check_project(&[&text], &CompileOptions::default()).remove(0).all_diagnostics().remove(0);
    let shown = lot_to_wasm::diagnostic::render::to_text("a.lot", &found);
    assert!(shown.len() < 2000, "{} bytes", shown.len());
    let lines: Vec<&str> = shown.lines().collect();
    let column = |line: &str, part: &str| line.find(part).map(|at| line[..at].chars().count());
    let place = column(lines[3], "{nothing}");
    assert!(place.is_some() && place == column(lines[4], "^"), "{shown}");
    assert!(lines[3].ends_with('…'), "{shown}");
}
