//! Long programs, whose code is several functions and whose variables are in memory: they do what
//! short ones do.

use std::fmt::Write as _;

use crate::bench::{Bench, action, on_in};

/// Statements that do nothing that anybody sees, more than one piece has.
fn filler(prefix: &str) -> String {
    (0..150).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "SET \"{prefix}{number}\" WITH PAYLOAD + {number}");
        text
    })
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "    {line}");
        out
    })
}

#[test]
fn variables_of_all_kinds_go_from_piece_to_piece() {
    let (first, second) = (filler("a"), filler("b"));
    let program = format!(
        "SET \"i\" WITH 7\nSET \"d\" WITH 0.5\nSET \"t\" WITH PAYLOAD == 5\nSET \"s\" WITH \"5\"\n{first}SET \"i\" WITH {{i}} + 1\nSET \"d\" WITH {{d}} * {{i}}\n\
         IF {{t}} THEN\n{}    SET \"i\" WITH {{i}} + {{b149}}\n{second}SET \"unset\" WITH IF PAYLOAD == 4 THEN 1\n\
         PUBLISH TOPIC \"o/+\" WITH {{i}} + \" \" + {{d}} + \" \" + {{t}} + \" \" + ({{s}} + 1) + \" \" + {{a0}} + \" \" + {{b149}} + \" <\" + {{unset}} + \">\"",
        indented(&second)
    );
    let mut bench = Bench::new(&action("ON TOPIC \"in/+\" DO", &program));
    assert_eq!(bench.send("in/x", "5").published(), ["o/x=162 4 true 51 5 154 <>"]);
    // Nothing of a run is left to the next one.
    assert_eq!(bench.send("in/y", "4").published(), ["o/y=8 4 false 51 4 153 <1>"]);
    assert_eq!(bench.reports(), [""; 0]);
}

#[test]
fn a_run_ends_in_the_middle_of_a_piece() {
    let endless = "LOOP\n    SET \"x\" WITH 1\nUNTIL FALSE\n";
    for program in [
        format!(
            "PUBLISH TOPIC \"o\" WITH 1\n{}{endless}{}PUBLISH TOPIC \"o\" WITH 2",
            filler("a"),
            filler("b")
        ),
        // In a piece of a block of a piece.
        format!(
            "PUBLISH TOPIC \"o\" WITH 1\n{}IF PAYLOAD == 5 THEN\n{}PUBLISH TOPIC \"o\" WITH 2",
            filler("a"),
            indented(&format!("{}{endless}{}", filler("b"), filler("c")))
        ),
    ] {
        let program = on_in(&program);
        let mut bench = Bench::new(&program);
        for _ in 0..2 {
            assert_eq!(bench.send("in", "5").published(), ["o=1"]);
            let [error] = bench.failures().try_into().unwrap();
            let line = program.lines().position(|line| line.contains("UNTIL")).unwrap() + 1;
            assert_eq!((error.code.as_str(), error.line as usize), ("LOT608", line));
        }
    }
}

#[test]
fn pieces_count_passes_together() {
    for (passes, expected) in [(50_000, &["o=150000"][..]), (50_001, &[])] {
        let counted = |name: &str, passes: u32| {
            format!(
                "SET \"{name}\" WITH 0\nLOOP\n    SET \"{name}\" WITH {{{name}}} + 1\n    SET \"n\" WITH {{n}} + 1\nUNTIL {{{name}}} == {passes}\n"
            )
        };
        let program = format!(
            "SET \"n\" WITH 50000\n{}{}{}PUBLISH TOPIC \"o\" WITH {{n}}",
            counted("i", 50_000),
            filler("a"),
            counted("j", passes)
        );
        let mut bench = Bench::new(&on_in(&program));
        assert_eq!(bench.send("in", "5").published(), expected);
        assert_eq!(bench.failures().len(), usize::from(expected.is_empty()));
    }
}

/// A body of more statements than a piece has, again and again.
#[test]
fn a_loop_may_have_pieces() {
    let program = format!(
        "SET \"i\" WITH 0\nSET \"all\" WITH \"\"\nLOOP\n{}    SET \"i\" WITH {{i}} + 1\n    SET \"all\" WITH {{all}} + {{a3}} + {{i}} + \",\"\nUNTIL {{i}} == 3\nPUBLISH TOPIC \"o\" WITH {{all}}",
        indented(&filler("a"))
    );
    assert_eq!(Bench::new(&on_in(&program)).send("in", "5").published(), ["o=81,82,83,"]);
}

#[test]
fn for_each_may_have_pieces() {
    let program = format!(
        "SET \"all\" WITH \"\"\nFOR EACH {{x}} WITH INDEX {{i}} IN [1, PAYLOAD] DO\n{}    SET \"all\" WITH {{all}} + {{a3}} + {{x}} + {{i}} + \",\"\nPUBLISH TOPIC \"o\" WITH {{all}}",
        indented(&filler("a"))
    );
    assert_eq!(Bench::new(&on_in(&program)).send("in", "5").published(), ["o=810,851,"]);
}

#[test]
fn long_callees_take_and_return() {
    let program = format!(
        "DEFINE ACTION Long\nINPUT p AS INT\nDO\n{}    SET \"q\" WITH {{p}} + {{a149}}\nRETURN\n    OUTPUT q\n    OUTPUT a0\n{}",
        indented(&filler("a")),
        on_in(&format!(
            "{}CALL ACTION Long WITH p = 2 RETURN x, y\nPUBLISH TOPIC \"o\" WITH {{x}} + \" \" + {{y}} + \" \" + {{a1}}",
            filler("a")
        ))
    );
    assert_eq!(Bench::new(&program).send("in", "5").published(), ["o=156 5 6"]);
}

#[test]
fn models_may_have_many_fields() {
    let mut model = "DEFINE MODEL Wide COLLAPSED\n    ADD INT \"f0\" WITH PAYLOAD\n".to_owned();
    for field in 1..1000 {
        let _ = writeln!(model, "    ADD INT \"f{field}\" WITH (f{} + 1)", field - 1);
    }
    let program =
        format!("{model}{}", on_in("PUBLISH MODEL Wide TO \"o\" WITH f500 = \"7\", f998 = PAYLOAD"));
    let published = Bench::new(&program).send("in", "5").published();
    let [instance] = published.try_into().unwrap();
    let instance: serde_json::Value = serde_json::from_str(instance.strip_prefix("o=").unwrap()).unwrap();
    let expected = |field: u32| match field {
        998.. => field - 998 + 5,
        500.. => field - 500 + 7,
        _ => field + 5,
    };
    for field in 0..1000 {
        assert_eq!(instance[format!("f{field}")], expected(field), "f{field}");
    }
}
