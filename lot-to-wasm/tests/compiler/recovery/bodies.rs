//! Statements with mistakes, and all their diagnostics: per diagnostic its code and line, and after
//! `=>` the lines as the fix leaves them, or after `:` its suggestion.

/// Statements of an action that has a message, with all their diagnostics. The first two lines of
/// the action stand before them.
#[rustfmt::skip]
pub(super) const BODIES: &[(&str, &[&str])] = &[
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "k" WITH 1
  ELSE IF PAYLOAD > 2 THEN
    KEEP TOPIC "k" WITH 2
ELSE
    KEEP TOPIC "k" WITH 3"#, &[
        "LOT105 5 =>     ELSE IF PAYLOAD > 2 THEN",
    ]),
    ("KEEP TOPIC \"k\" WITH 1\n\u{c}KEEP TOPIC \"l\" WITH 1\nKEEP TOPIC \"m\" WITH 1", &[
        r#"LOT101 4 =>     KEEP TOPIC "l" WITH 1"#,
    ]),
    (r#"SWITCH PAYLOAD
CASE 1 THEN
    KEEP TOPIC "k" WITH 1
DEFAULT
    KEEP TOPIC "k" WITH 2
KEEP TOPIC "z" WITH 1"#, &[
        r#"LOT206 3 =>         CASE 1 THEN
            KEEP TOPIC "k" WITH 1
        DEFAULT
            KEEP TOPIC "k" WITH 2"#,
    ]),
    (r#"/* x
KEEP TOPIC "k" WITH 1"#, &[
        "LOT103 3: write */ where the comment ends",
    ]),
    (r#"IF (PAYLOAD > 1) {
    KEEP TOPIC "k" WITH 1
} ELSE {
    KEEP TOPIC "k" WITH 2
}"#, &[
        "LOT220 3 =>     IF (PAYLOAD > 1) THEN",
        "LOT220 5 =>     } ELSE",
    ]),
    (r#"IF PAYLOAD > 1 THEN {
    KEEP TOPIC "k" WITH 1
}
ELSE {
    KEEP TOPIC "k" WITH 2
}"#, &[
        "LOT220 3 =>     IF PAYLOAD > 1 THEN",
        "LOT220 6 =>     ELSE",
    ]),
    (r#"IF PAYLOAD > 1 then
    KEEP TOPIC "k" WITH 1
else
    KEEP TOPIC "k" WITH 2"#, &[
        "LOT209 3 =>     IF PAYLOAD > 1 THEN",
        "LOT209 5 =>     ELSE",
    ]),
    (r#"if PAYLOAD > 1 and PAYLOAD < 9 then
    keep topic "k" with payload
else if PAYLOAD > 2 then
    KEEP TOPIC "k" WITH 2"#, &[
        "LOT209 3 =>     IF PAYLOAD > 1 AND PAYLOAD < 9 THEN",
        r#"LOT209 4 =>         KEEP TOPIC "k" WITH PAYLOAD"#,
        "LOT209 5 =>     ELSE IF PAYLOAD > 2 THEN",
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "k" WITH 1
ELSEIF PAYLOAD > 2 THEN
    KEEP TOPIC "k" WITH 2
ELSE
    KEEP TOPIC "k" WITH 3"#, &[
        "LOT220 5 =>     ELSE IF PAYLOAD > 2 THEN",
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "k" WITH 1
ELIF PAYLOAD > 2 THEN
    KEEP TOPIC "k" WITH 2"#, &[
        "LOT220 5 =>     ELSE IF PAYLOAD > 2 THEN",
    ]),
    ("PUBLISH TOPIC a/b WITH 1", &[
        r#"LOT243 3 =>     PUBLISH TOPIC "a/b" WITH 1"#,
    ]),
    ("PUBLISH TOPIC a/#/b WITH 1", &[
        r#"LOT243 3 =>     PUBLISH TOPIC "a/#/b" WITH 1"#,
        "LOT402 3",
    ]),
    (r#"x = 5
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT230 3 =>     SET x = 5",
    ]),
    (r#"PRINT "x""#, &[
        r#"LOT220 3: publish the text: PUBLISH TOPIC "log" WITH value"#,
    ]),
    (r#"PUBLISH TOPIC "a" WITH "a" PAYLOAD"#, &[
        r#"LOT247 3 =>     PUBLISH TOPIC "a" WITH "a" + PAYLOAD"#,
    ]),
    ("UNTIL PAYLOAD > 1", &[
        "LOT236 3: it ends a loop: write LOOP above the statements that repeat, in the column of UNTIL",
    ]),
    (r#"CALL ACTION B WITH frist = 1 RETURN x
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT305 3 =>     CALL ACTION B WITH first = 1 RETURN x",
    ]),
    (r#"IF PAYLOAD > 1 && PAYLOAD < 9 THEN
    KEEP TOPIC "k" WITH 1"#, &[
        "LOT101 3 =>     IF PAYLOAD > 1 AND PAYLOAD < 9 THEN",
    ]),
    (r#"KEEP TOPIC "k" WITH 1;
KEEP TOPIC "l" WITH 1"#, &[
        r#"LOT101 3 =>     KEEP TOPIC "k" WITH 1"#,
    ]),
    (r#"KEEP TOPIC "k" WITH 1
  KEEP TOPIC "l" WITH 1
KEEP TOPIC "m" WITH 1"#, &[
        r#"LOT237 4 =>     KEEP TOPIC "l" WITH 1"#,
    ]),
    (r#"LOOP
    SET "x" WITH 1
  UNTIL {x} > 1
KEEP TOPIC "m" WITH 1"#, &[
        "LOT105 5 =>     UNTIL {x} > 1",
    ]),
    (r#"LOOP {
    SET "x" WITH 1
} UNTIL {x} > 1
KEEP TOPIC "m" WITH 1"#, &[
        "LOT220 3 =>     LOOP",
    ]),
    (r#"IF PAYLOAD > 1 THEN
KEEP TOPIC "m" WITH 1
ELSE
KEEP TOPIC "m" WITH 2"#, &[
        "LOT206 3: write at least one statement below, indented by 4 more spaces",
    ]),
    (r#"IF PAYLOAD > 1 THEN:
    KEEP TOPIC "m" WITH 1"#, &[
        "LOT220 3 =>     IF PAYLOAD > 1 THEN",
    ]),
    (r#"IF PAYLOAD > 1:
    KEEP TOPIC "m" WITH 1"#, &[
        "LOT220 3 =>     IF PAYLOAD > 1 THEN",
    ]),
    (r#"IF PAYLOAD === 1 THEN
    KEEP TOPIC "m" WITH 1"#, &[
        "LOT250 3 =>     IF PAYLOAD == 1 THEN",
    ]),
    ("KEEP TOPIC “m” WITH 1", &[
        r#"LOT101 3 =>     KEEP TOPIC "m" WITH 1"#,
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "m" WITH 1
ENDIF"#, &[
        "LOT217 5 => ",
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "m" WITH 1
    ELSE
    KEEP TOPIC "m" WITH 2"#, &[
        "LOT222 5: put ELSE into the column of its IF, directly after the IF's block",
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "m" WITH 1
        ELSE
        KEEP TOPIC "m" WITH 2"#, &[
        "LOT222 5: put ELSE into the column of its IF, after the IF's block",
    ]),
    (r#"SET x WITH (1 + 2
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT104 3 =>     SET x WITH (1 + 2)",
    ]),
    (r#"SET x WITH 1 + 2)
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT109 3 =>     SET x WITH 1 + 2",
    ]),
    (r#"SET x WITH {
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT104 3 =>     SET x WITH {}",
    ]),
    ("x++", &[
        "LOT230 3: write SET x WITH {x} and what is to be done with it",
    ]),
    ("LET x = 5", &[
        "LOT220 3 =>     SET x = 5",
    ]),
    ("VAR x = 5", &[
        "LOT220 3 =>     SET x = 5",
    ]),
    ("SET x := 5", &[
        "LOT214 3 =>     SET x WITH 5",
    ]),
    ("RETURN 5", &[
        "LOT236 3: write it in column 1 after the statements, with each OUTPUT on an indented line below; it ends no run early: put what is to be skipped below ELSE",
    ]),
    ("BREAK", &[
        "LOT220 3: a loop ends with UNTIL condition; skip statements with IF",
    ]),
    (r#"PUBLISH "a/b" WITH 1"#, &[
        r#"LOT242 3 =>     PUBLISH TOPIC "a/b" WITH 1"#,
    ]),
    ("PUBLISH a/b WITH 1", &[
        r#"LOT242 3 =>     PUBLISH TOPIC "a/b" WITH 1"#,
    ]),
    (r#"PUBLISH TOPIC "a", 1"#, &[
        r#"LOT215 3 =>     PUBLISH TOPIC "a" WITH 1"#,
    ]),
    (r#"PUBLISH TOPIC "a" PAYLOAD"#, &[
        r#"LOT215 3 =>     PUBLISH TOPIC "a" WITH PAYLOAD"#,
    ]),
    (r#"PUBLISH TOPIC "a" WITH "b" . PAYLOAD"#, &[
        r#"LOT247 3 =>     PUBLISH TOPIC "a" WITH "b" + PAYLOAD"#,
    ]),
    (r#"PUBLISH TOPIC "a" WITH "b" & PAYLOAD"#, &[
        r#"LOT101 3 =>     PUBLISH TOPIC "a" WITH "b" + PAYLOAD"#,
    ]),
    (r#"IF payload > 5 THEN
    PUBLISH TOPIC "x" WITH payload"#, &[
        "LOT209 3 =>     IF PAYLOAD > 5 THEN",
        r#"LOT209 4 =>         PUBLISH TOPIC "x" WITH PAYLOAD"#,
    ]),
    (r#"SWITCH PAYLOAD
    CASE 1:
        KEEP TOPIC "k" WITH 1
    DEFAULT:
        KEEP TOPIC "k" WITH 1"#, &[
        "LOT220 4 =>         CASE 1",
        "LOT220 6 =>         DEFAULT",
    ]),
    (r#"SWITCH PAYLOAD
    case 1 then
        KEEP TOPIC "k" WITH 1
    default
        KEEP TOPIC "k" WITH 1"#, &[
        "LOT209 4 =>         CASE 1 THEN",
        "LOT209 6 =>         DEFAULT",
    ]),
    (r#"SWITCH PAYLOAD {
    CASE 1 THEN
        KEEP TOPIC "k" WITH 1
}"#, &[
        "LOT220 3 =>     SWITCH PAYLOAD",
    ]),
    (r#"FOR i IN PAYLOAD
    KEEP TOPIC "k" WITH 1"#, &[
        "LOT218 3: write FOR EACH {item} IN list DO, or LOOP … UNTIL condition to count",
    ]),
    ("GET TOPIC a/b", &[
        r#"LOT220 3: write SET "name" WITH GET …, or use it where a value stands"#,
    ]),
    ("SET x WITH GET TOPIC a/b + 1", &[
        r#"LOT243 3 =>     SET x WITH GET TOPIC "a/b" + 1"#,
    ]),
    (r#"SET x WITH GET TOPIC a/b/c
KEEP TOPIC a/$SYS/x WITH {x}"#, &[
        r#"LOT243 3 =>     SET x WITH GET TOPIC "a/b/c""#,
        r#"LOT243 4 =>     KEEP TOPIC "a/$SYS/x" WITH {x}"#,
    ]),
    ("\u{c}KEEP TOPIC \"l\" WITH 1", &[
        r#"LOT101 3 =>     KEEP TOPIC "l" WITH 1"#,
    ]),
    ("\u{a0}KEEP TOPIC \"l\"\u{a0}WITH 1", &[
        "LOT107 3: indent by 4 spaces per level",
        "LOT101 3 =>      KEEP TOPIC \"l\"\u{a0}WITH 1",
        "LOT101 3 =>     \u{a0}KEEP TOPIC \"l\" WITH 1",
    ]),
    ("KEEP TOPIC \"l\"\u{200b} WITH 1\u{7}", &[
        "LOT101 3 =>     KEEP TOPIC \"l\" WITH 1\u{7}",
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "a" WITH 1
  IF PAYLOAD > 2 THEN
      KEEP TOPIC "b" WITH 2
  ELSE
      KEEP TOPIC "c" WITH 3
KEEP TOPIC "d" WITH 1"#, &[
        "LOT105 5 =>         IF PAYLOAD > 2 THEN",
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "a" WITH 1
  KEEP TOPIC "b" WITH 1
  KEEP TOPIC "c" WITH 1
ELSE
    KEEP TOPIC "d" WITH 1"#, &[
        r#"LOT105 5 =>         KEEP TOPIC "b" WITH 1"#,
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "a" WITH 1
 KEEP TOPIC "b" WITH 1
KEEP TOPIC "c" WITH 1"#, &[
        r#"LOT105 5 =>     KEEP TOPIC "b" WITH 1"#,
    ]),
    (r#"SWITCH PAYLOAD
    CASE 1 THEN
        KEEP TOPIC "a" WITH 1
  CASE 2 THEN
        KEEP TOPIC "b" WITH 1
      DEFAULT
        KEEP TOPIC "c" WITH 1"#, &[
        "LOT105 6 =>         CASE 2 THEN",
        "LOT105 8 =>         DEFAULT",
    ]),
    (r#"PUBLISH TOPIC "a" WIHT 1
/* x
KEEP TOPIC "k" WITH 1"#, &[
        r#"LOT215 3 =>     PUBLISH TOPIC "a" WITH 1"#,
        "LOT103 4: write */ where the comment ends",
    ]),
    (r#"IF PAYLOAD > 1 {
    SET x 5
}"#, &[
        "LOT220 3 =>     IF PAYLOAD > 1 THEN",
        "LOT214 4 =>         SET x WITH 5",
    ]),
    (r#"  KEEP TOPIC "a" WITH 1
SET x 5"#, &[
        "LOT107 3: indent by 4 spaces per level",
        "LOT105 4 =>       SET x 5",
        "LOT214 4 =>     SET x WITH 5",
    ]),
    (r#"IF PAYLOAD > 1 THEN { KEEP TOPIC "a" WITH 1 }"#, &[
        "LOT220 3: write the statements on the next lines, indented by 4 spaces",
    ]),
    (r#"IF PAYLOAD > 1
{
    KEEP TOPIC "a" WITH 1
}
ELSE
{
    KEEP TOPIC "a" WITH 2
}"#, &[
        "LOT203 3 =>     IF PAYLOAD > 1 THEN",
        "LOT220 4 => ",
        "LOT220 8 => ",
    ]),
    (r#"IF PAYLOAD > 1 THEN
{
    KEEP TOPIC "a" WITH 1
}"#, &[
        "LOT220 4 => ",
    ]),
    (r#"WHILE PAYLOAD > 1 {
    KEEP TOPIC "a" WITH 1
}"#, &[
        "LOT218 3: write LOOP … UNTIL condition",
    ]),
    (r#"IF PAYLOAD > 1 THEN
    KEEP TOPIC "a" WITH 1
}
KEEP TOPIC "b" WITH 1"#, &[
        "LOT109 5 => ",
    ]),
    (r#"SET x WITH ((1 + 2)
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT104 3 =>     SET x WITH ((1 + 2))",
    ]),
    (r#"SET x WITH (1 + [2)
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT104 3 =>     SET x WITH (1 + [2])",
    ]),
    (r#"PUBLISH TOPIC "a" WITH {
    "k": 1
KEEP TOPIC "k" WITH 1"#, &[
        "LOT104 3: write `}` where the bracket ends",
    ]),
    (r#"PUBLISH TOPIC "a" WITH {
    "k": PAYLOAD
}
IF PAYLOAD > 1 THEN
    PUBLISH TOPIC "a" WITH {
        "k": 1
    }"#, &[
    ]),
    ("x += 1", &[
        "LOT230 3: write SET x WITH {x} and what is to be done with it",
    ]),
    (r#"KEEP TOPIC "a" WITH 1 KEEP TOPIC "b" WITH 2"#, &[
        "LOT247 3: write each statement on a line of its own",
    ]),
    (r#"KEEP TOPIC "a" WITH 1; KEEP TOPIC "b" WITH 2"#, &[
        "LOT101 3: leave it out: a statement ends with its line",
    ]),
    (r#"SET x WITH payload as int
IF not {x} equals 5 or {x} contains 1 THEN
    KEEP TOPIC "a" WITH {x}"#, &[
        "LOT209 3 =>     SET x WITH PAYLOAD AS INT",
        "LOT209 4 =>     IF NOT {x} EQUALS 5 OR {x} CONTAINS 1 THEN",
    ]),
    (r#"CALL ACTION B WITH value = 1 RETURN x
KEEP TOPIC "k" WITH {x}"#, &[
        "LOT305 3: its inputs: first",
    ]),
    (r#"LOOP
    SET "x" WITH 1
UNTL {x} > 1"#, &[
        "LOT249 5 =>     UNTIL {x} > 1",
    ]),
    (r#"CALL ACTION Avg
    WITH first = 2,
         other = 8
    RETURN AS m
PUBLISH TOPIC "m2" WITH {m}
PUBLISH TOPIC "m3" WITH {m}"#, &[
        "LOT237 5 =>         WITH first = 2, other = 8",
    ]),
    (r#"CALL ACTION Avg
    WITH first = 2
         other = 8
    RETURN AS m
PUBLISH TOPIC "m2" WITH 1
PUBLISH TOPIC "m3" WITH 1"#, &[
        "LOT237 5: write it on one line with the line before, or parentheses round what takes several",
    ]),
    (r#"IF PAYLOAD > 1 AND
   PAYLOAD < 8
   THEN
    KEEP TOPIC "a" WITH 1
ELSE
    KEEP TOPIC "a" WITH PAYLOAD
        * 2"#, &[
        "LOT237 4 =>     IF PAYLOAD > 1 AND PAYLOAD < 8",
        "LOT237 5 =>        PAYLOAD < 8 THEN",
        "LOT237 9 =>         KEEP TOPIC \"a\" WITH PAYLOAD * 2",
    ]),
    (r#"SET größe WITH 1
KEEP TOPIC "k" WITH {größe}"#, &[
        "LOT101 3 =>     SET groesse WITH 1",
        r#"LOT101 4 =>     KEEP TOPIC "k" WITH {groesse}"#,
    ]),
    (r#"SET "größe" WITH 1
SET "a b" WITH 2
SET "" WITH 3"#, &[
        r#"LOT327 3 =>     SET "groesse" WITH 1"#,
        r#"LOT327 4 =>     SET "a_b" WITH 2"#,
        "LOT327 5: give it a name that can be read as {name}",
    ]),
    (r#"CALL MODULE "Calc.scale" WITH (a = 1) RETURN AS {r}
KEEP TOPIC "k" WITH {r}"#, &[
        "LOT332 3: write the module, a dot, and the function: \"calc.scale\"",
    ]),
    (r#"CALL PYTHON "nodot""#, &[
        "LOT328 3: write the script, a dot, and the function: \"Script.function\"",
    ]),
    (r#"LOOP
    SET "x" WITH 1
    UNTIL {x} > 1
KEEP TOPIC "m" WITH 1"#, &[
        "LOT236 5 =>     UNTIL {x} > 1",
    ]),
    (r#"LOOP UNTIL {x} > 1
    SET "x" WITH 1
KEEP TOPIC "m" WITH 1"#, &[
        "LOT236 3: write LOOP alone, and UNTIL condition below its block, in the column of LOOP",
    ]),
    (r#"KEEP TOPIC "m" WITH "one
    two"
KEEP TOPIC "n" WITH 1"#, &[
        r#"LOT102 3 =>     KEEP TOPIC "m" WITH "one\n        two""#,
    ]),
    ("KEEP TOPIC \"m\" WITH \"one\ntwo\nthree\"\nKEEP TOPIC \"n\" WITH \"a", &[
        r#"LOT102 3 =>     KEEP TOPIC "m" WITH "one\n    two\n    three""#,
        r#"LOT102 6: close it with ""#,
    ]),
    (r#"SET x WITH PAYLOAD.temp
SET y WITH PAYLOAD[0] + PAYLOAD["a"][1].b
KEEP TOPIC "k" WITH {x} + {y}"#, &[
        r#"LOT220 3 =>     SET x WITH GET JSON "temp" IN PAYLOAD"#,
        r#"LOT220 4 =>     SET y WITH GET JSON "[0]" IN PAYLOAD + PAYLOAD["a"][1].b"#,
        r#"LOT220 4 =>     SET y WITH PAYLOAD[0] + GET JSON "a[1].b" IN PAYLOAD"#,
    ]),
    ("PUBLISH TOPIC \"a\" WIT 1", &[
        r#"LOT215 3 =>     PUBLISH TOPIC "a" WITH 1"#,
    ]),
    (r#"SWITCH PAYLOAD
    CASE 1 THEN
        KEEP TOPIC "k" WITH 1
    ELSE
        KEEP TOPIC "k" WITH 2"#, &[
        "LOT242 6 =>         DEFAULT",
    ]),
    (r#"SWITCH PAYLOAD
    "on", 1 THEN
        KEEP TOPIC "k" WITH 1
    DEFAULT
        KEEP TOPIC "k" WITH 2"#, &[
        r#"LOT242 4 =>         CASE "on", 1 THEN"#,
    ]),
    (r#"CALL ACTION B(first = 1)
CALL PYTHON "S.f" (1, 2)
KEEP TOPIC "k" WITH TIMESTAMP("ISO")"#, &[
        "LOT215 3 =>     CALL ACTION B WITH (first = 1)",
        r#"LOT215 4 =>     CALL PYTHON "S.f" WITH (1, 2)"#,
        r#"LOT220 5 =>     KEEP TOPIC "k" WITH TIMESTAMP "ISO""#,
    ]),
    (r#"KEEP TOPIC "k" WITH {k: 1, "l" 2, "m": 3}
KEEP TOPIC "l" WITH {"a" 1}"#, &[
        r#"LOT243 3 =>     KEEP TOPIC "k" WITH {"k": 1, "l" 2, "m": 3}"#,
        r#"LOT246 3 =>     KEEP TOPIC "k" WITH {k: 1, "l": 2, "m": 3}"#,
        r#"LOT246 4 =>     KEEP TOPIC "l" WITH {"a": 1}"#,
    ]),
    (r#"KEEP TOPIC "k" WITH GET JSON "a" FROM PAYLOAD
KEEP TOPIC "l" WITH GET "x"
KEEP TOPIC "m" WITH PAYLOAD AS INTEGER
KEEP TOPIC "n" WITH PAYLOAD AS NUMBER"#, &[
        r#"LOT242 3 =>     KEEP TOPIC "k" WITH GET JSON "a" IN PAYLOAD"#,
        r#"LOT242 4 =>     KEEP TOPIC "l" WITH GET TOPIC "x""#,
        r#"LOT234 5 =>     KEEP TOPIC "m" WITH PAYLOAD AS INT"#,
        r#"LOT234 6 =>     KEEP TOPIC "n" WITH PAYLOAD AS DOUBLE"#,
    ]),
    (r#"SET text WITH "abc
KEEP TOPIC "k" WITH {text}"#, &[
        r#"LOT102 3: close it with ""#,
    ]),
];
