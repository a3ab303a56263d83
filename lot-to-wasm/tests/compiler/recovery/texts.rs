//! Whole texts with mistakes, and all their diagnostics, as in [`bodies`](super::bodies).

/// Whole texts, with all their diagnostics.
#[rustfmt::skip]
pub(super) const TEXTS: &[(&str, &[&str])] = &[
    (r#"DEFINE ACTION A
ON START DO
    KEEP TOPIC "k" WITH 1
  KEEP TOPIC "l" WITH 1
    KEEP TOPIC "m" WITH 1
"#, &[
        r#"LOT105 4 =>     KEEP TOPIC "l" WITH 1"#,
    ]),
    (r#"DEFINE ACTION A
ON START DO {
    KEEP TOPIC "k" WITH 1
}
"#, &[
        "LOT220 2 => ON START DO",
    ]),
    (r#"DEFINE ACTION A
ON START {
    KEEP TOPIC "k" WITH 1
}
"#, &[
        "LOT220 2 => ON START DO",
    ]),
    (r#"DEFINE ACTION A {
ON START DO
    KEEP TOPIC "k" WITH 1
}
"#, &[
        "LOT220 1 => DEFINE ACTION A",
    ]),
    (r#"DEFINE ACTION A
ON START
{
    KEEP TOPIC "k" WITH 1
}
"#, &[
        "LOT220 3 => ",
        "LOT204 4 => ON START DO",
    ]),
    (r#"DEFINE ACTION A
ON START DO
    KEEP TOPIC "k" WITH 1
KEEP TOPIC "l" WITH 1
KEEP TOPIC "m" WITH 1
"#, &[
        r#"LOT251 4 =>     KEEP TOPIC "l" WITH 1"#,
        r#"LOT251 5 =>     KEEP TOPIC "m" WITH 1"#,
    ]),
    (r#"DEFINE ACTION A
ON TOPIC a/b DO
    KEEP TOPIC "k" WITH 1
"#, &[
        r#"LOT243 2 => ON TOPIC "a/b" DO"#,
    ]),
    (r#"DEFINE ACTION A
ON TOPIC a/# DO
    KEEP TOPIC "k" WITH 1
"#, &[
        r#"LOT243 2 => ON TOPIC "a/#" DO"#,
    ]),
    (r#"DEFINE ACTION A:
ON START DO:
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT220 1 => DEFINE ACTION A",
        "LOT220 2 => ON START DO",
    ]),
    (r#"DEFINE ACTION A
ON START do
    KEEP TOPIC "k" WITH 1
  RETURN
    OUTPUT x
"#, &[
        "LOT209 2 => ON START DO",
        "LOT105 4 => RETURN",
        "LOT329 4: publish or keep the value, or leave out the trigger and CALL the action",
    ]),
    (r#"DEFINE ACTION A
INPUT a as int
DO
    KEEP TOPIC "k" WITH {a}
"#, &[
        "LOT209 2 => INPUT a AS INT",
    ]),
    (r#"DEFINE ACTION A
DO
    KEEP TOPIC "k" WITH 1
    RETURN
        OUTPUT x
"#, &[
        "LOT236 4: write it in column 1 after the statements, with each OUTPUT on an indented line below; it ends no run early: put what is to be skipped below ELSE",
    ]),
    (r#"DEFINE ACTION A
DO
    SET x WITH 1
    RETURN {x}
"#, &[
        "LOT236 4: write it in column 1 after the statements, with each OUTPUT on an indented line below; it ends no run early: put what is to be skipped below ELSE",
    ]),
    (r#"DEFINE ACTION A
ON START
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT204 3 => ON START DO",
    ]),
    (r#"DEFINE ACTION A B
ON START DO
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT247 1 => DEFINE ACTION A_B",
    ]),
    (r#"DEFINE ACTION 1A
ON EVERY 1 DAY AT "12:00" DO
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT245 1 => DEFINE ACTION _1A",
        r#"LOT213 2 => ON EVERY DAY AT "12:00" DO"#,
    ]),
    (r#"DEFINE ACTION A
ON EVERY 2 DAYS AT "12:00"
DO
    KEEP TOPIC "k" WITH 1
"#, &[
        r#"LOT213 2: write ON EVERY DAY AT "12:00""#,
    ]),
    (r#"DEFINE ACTION A
ON EVERY FRIDAY "12:00" DO
    KEEP TOPIC "k" WITH 1
"#, &[
        r#"LOT242 2 => ON EVERY FRIDAY AT "12:00" DO"#,
    ]),
    (r#"DEFINE ACTION A
ON TOPIC "$share/g/a" DO
    KEEP TOPIC "k" WITH 1
"#, &[
        r#"LOT401 2 => ON TOPIC "a" DO"#,
    ]),
    (r#"DEFINE ACTION A
INPUT c AS INTEGER
INPUT b AS FLOAT
DO
    KEEP TOPIC "k" WITH {b} + {c}
"#, &[
        "LOT234 2 => INPUT c AS INT",
        "LOT234 3 => INPUT b AS DOUBLE",
    ]),
    (r#"DEFINE MODEL M WITH TOPIC "m"
    ADD INTEGER "a"
    ADD INT b WITH 1
    ADD INT "c" TOPIC "x"
    ADD INT "d" WITH TOPIC x
    ADD INT "e" AS TRIGGER WITH TOPIC "x"
"#, &[
        r#"LOT234 2 =>     ADD INT "a""#,
        r#"LOT243 3 =>     ADD INT "b" WITH 1"#,
        r#"LOT215 4 =>     ADD INT "c" WITH TOPIC "x""#,
        r#"LOT243 5 =>     ADD INT "d" WITH TOPIC "x""#,
        r#"LOT201 6 =>     ADD INT "e" WITH TOPIC "x" AS TRIGGER"#,
    ]),
    (r#"DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC "a/#"
    IF USER = "x" OR USER != "y" OR USER IS z THEN
        ALLOW
    ELSE
        DENY
"#, &[
        r#"LOT235 2 =>     IF USER IS "x" OR USER != "y" OR USER IS z THEN"#,
        r#"LOT235 2 =>     IF USER = "x" OR USER IS NOT "y" OR USER IS z THEN"#,
        r#"LOT243 2 =>     IF USER = "x" OR USER != "y" OR USER IS "z" THEN"#,
    ]),
    (r#"DEFINE ACTION A
TOPIC "a" DO
    KEEP TOPIC "k" WITH PAYLOAD
ACTION B
ON START DO
    KEEP TOPIC "k" WITH 1
"#, &[
        r#"LOT212 2 => ON TOPIC "a" DO"#,
        "LOT242 4 => DEFINE ACTION B",
    ]),
    (r#"DEFINE ACTION A
ON START DO
    CALL ACTION B WITH a = 1, b = 2 RETURN x, y
    KEEP TOPIC "k" WITH {x} + {y}
DEFINE ACTION B
INPUT a
INPUT
DO
    SET x WITH {a}
RETURN
    OUTPUT
"#, &[
        "LOT245 7",
        "LOT245 11",
    ]),
    (r#"DEFINE ROUTE R WITH TYPE LOOPBACK
    ADD EVENT e
        SOURCE_TOPIC "a"
"#, &[
        r#"LOT242 3 =>         WITH SOURCE_TOPIC "a""#,
    ]),
    (r#"DEFINE MODEL M WITH TOPIC "m"
    INT "a" WITH TOPIC "x" AS TRIGGER
    ADD INT "b" WITH a + 1
"#, &[
        r#"LOT242 2 =>     ADD INT "a" WITH TOPIC "x" AS TRIGGER"#,
    ]),
    (r#"DEFINE ACTION A
a AS INT
INPUT b
c AS JSON
DO
    KEEP TOPIC "k" WITH {a} + {b} + {c}
"#, &[
        "LOT242 2 => INPUT a AS INT",
        "LOT242 4 => INPUT c AS JSON",
    ]),
    (r#"DEFINE ROUTE R WITH TYPE MQTT_BRIDGE
    ADD MQTT_CONFIG
        WITH BROKER_ADDRESS GET "HOST"
"#, &[
        "LOT242 3",
    ]),
    (r#"DEFINE ACTION Ähre
ON START DO
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT101 1 => DEFINE ACTION Aehre",
    ]),
    (r#"DEFINE ACTION A
ON START
        DO
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT205 3 => ON START DO",
    ]),
    (r#"DEFINE MODEL M
    ADD STRING "a"
  ADD STRING "b"
    ADD STRING "c"
"#, &[
        r#"LOT105 3 =>     ADD STRING "b""#,
    ]),
    (r#"DEFINE MODEL M
ADD STRING "a"
ADD STRING "b"
"#, &[
        "LOT251 2: indent the lines below DEFINE by 4 spaces",
    ]),
    (r#"DEFINE MODEL M {
    ADD STRING "a"
}
"#, &[
        "LOT220 1 => DEFINE MODEL M",
    ]),
    (r#"DEFINE MODEL M WITH TOPIC a/b
    ADD STRING "a" WITH TOPIC b/c AS TRIGGER
"#, &[
        r#"LOT243 1 => DEFINE MODEL M WITH TOPIC "a/b""#,
        r#"LOT243 2 =>     ADD STRING "a" WITH TOPIC "b/c" AS TRIGGER"#,
    ]),
    (r#"DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC a/#
    ALLOW
"#, &[
        r#"LOT243 1 => DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC "a/#""#,
    ]),
    (r#"DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC "a/#"
    IF USER IS "a" THEN
        ALLOW
      ELSE
        DENY
"#, &[
        "LOT105 4 =>     ELSE",
    ]),
    (r#"DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC "a/#"
    if USER IS "a" and USER IS "b" then
        allow
    else
        deny
"#, &[
        r#"LOT209 2 =>     IF USER IS "a" AND USER IS "b" THEN"#,
        "LOT209 3 =>         ALLOW",
        "LOT209 4 =>     ELSE",
        "LOT209 5 =>         DENY",
    ]),
    (r#"DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC "a/#"
    IF USER IS "a" THEN
        ALLOW
    ELSEIF USER IS "b" THEN
        ALLOW
    ELSE
        DENY
"#, &[
        r#"LOT220 4 =>     ELSE IF USER IS "b" THEN"#,
    ]),
    (r#"DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC "a/#"
    IF (USER IS "a") {
        ALLOW
    } ELSE {
        DENY
    }
"#, &[
        r#"LOT220 2 =>     IF (USER IS "a") THEN"#,
        "LOT220 4 =>     } ELSE",
    ]),
    (r#"DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC "a/#"
ALLOW
"#, &[
    ]),
    (r#"DEFINE ROUTE R WITH TYPE LOOPBACK
    ADD EVENT e
        WITH SOURCE_TOPIC "a"
      WITH DESTINATION_TOPIC "b"
"#, &[
        r#"LOT105 4 =>         WITH DESTINATION_TOPIC "b""#,
    ]),
    (r#"DEFINE ACTION A
/* x
ON START DO
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT103 2: write */ where the comment ends",
    ]),
    (r#"DEFINE ACTION A
ON TOPIC "a" DO { KEEP TOPIC "k" WITH 1 }
"#, &[
        "LOT220 2: end the line after DO and indent the statements by 4 spaces",
    ]),
    (r#"DEFINE ACTION A
  ON START DO
    KEEP TOPIC "k" WITH 1
"#, &[
        "LOT205 2 => ON START DO",
    ]),
    (r#"DEFINE ACTION A
DO
    CALL ACTION B
 DESCRIPTION "x"
"#, &[
        r#"LOT105 4 => DESCRIPTION "x""#,
    ]),
    (r#"define action A
on start do
    KEEP TOPIC "k" WITH 1
return
    output x
"#, &[
        "LOT209 1 => DEFINE ACTION A",
        "LOT209 2 => ON START DO",
        "LOT209 4 => RETURN",
        "LOT329 4: publish or keep the value, or leave out the trigger and CALL the action",
        "LOT209 5 =>     OUTPUT x",
    ]),
    (r#"DEFINE MODEL M COLLAPSED
    ADD OBJECT "o"
        ADD STRING "a"
      ADD STRING "b"
    ADD STRING "c"
"#, &[
        r#"LOT105 4 =>         ADD STRING "b""#,
    ]),
    (r#"DEFINE PANEL "P"
    ADD COMPONENT "c"
        WITH TYPE "button"
        ON CLICK DO {
            PUBLISH TOPIC "a" WITH 1
        }
"#, &[
        "LOT220 4 =>         ON CLICK DO",
    ]),
];
