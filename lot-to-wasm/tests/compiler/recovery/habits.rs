//! What people write who come from other languages, and all that is said about it; as [`super::bodies`].

/// Statements of an action that has a message.
#[rustfmt::skip]
pub(super) const HABITS: &[(&str, &[&str])] = &[
    ("IF PAYLOAD > 6,5 THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT203 3 =>     IF PAYLOAD > 6.5 THEN"]),
    ("IF PAYLOAD > 1_000 THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT203 3: write numbers without _ in them"]),
    ("IF PAYLOAD => 5 THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT201 3 =>     IF PAYLOAD >= 5 THEN"]),
    ("IF PAYLOAD =< 5 THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT201 3 =>     IF PAYLOAD <= 5 THEN"]),
    ("IF PAYLOAD \u{2264} 5 THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT101 3 =>     IF PAYLOAD <= 5 THEN"]),
    ("IF PAYLOAD > 80% THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT231 3 =>     IF PAYLOAD > 80 THEN"]),
    ("KEEP TOPIC `k` WITH 1", &["LOT101 3: write strings in straight quotes: \"text\"", "LOT101 3: write strings in straight quotes: \"text\""]),
    ("KEEP TOPIC \"k\" WITH PAYLOAD MOD 3", &["LOT201 3 =>     KEEP TOPIC \"k\" WITH PAYLOAD % 3"]),
    ("KEEP TOPIC \"k\" WITH PAYLOAD ^ 2", &["LOT101 3: there are no powers: multiply, x * x"]),
    ("KEEP TOPIC \"k\" WITH PAYLOAD > 5 ? 1 : 2", &["LOT101 3: write IF condition THEN value ELSE value"]),
    ("KEEP TOPIC \"k\" WITH \"{ \"t\": 5, \"u\": 6 }\"", &["LOT201 3: write \\\" for a quote inside, or leave out the quotes round JSON: { \"key\": value }"]),
    ("SET \"x\" WITH 1\nSET \"x\" += 5\nKEEP TOPIC \"k\" WITH {x}", &["LOT214 4 =>     SET \"x\" WITH {x} + 5"]),
    ("x := 5\nKEEP TOPIC \"k\" WITH 1", &["LOT230 3 =>     SET x WITH 5"]),
    ("SET \"x\" WITH 1\n{x} += 5\nKEEP TOPIC \"k\" WITH {x}", &["LOT230 4: write SET x WITH and the new value; {x} reads the variable"]),
    ("REM of it\nKEEP TOPIC \"k\" WITH 1", &["LOT220 3 =>     -- of it"]),
    ("PUBLISH PAYLOAD TO \"o\"", &["LOT201 3: write PUBLISH TOPIC \"topic\" WITH PAYLOAD"]),
    ("PUBLISH TOPIC \"o\" RETAIN WITH 1", &["LOT215 3: write it behind the value: WITH value WITH RETAIN"]),
    // A quote that is missing turns all of its line round.
    ("KEEP TOPIC \"k WITH FILTER PAYLOAD USING REGEX \"[0-9]+(,[0-9]+)?\"", &["LOT102 3: close it with \""]),
];

/// Whole texts.
#[rustfmt::skip]
pub(super) const TEXTS: &[(&str, &[&str])] = &[
    ("DEFINE ACTION A\n    ON TOPIC \"a\" DO\n    KEEP TOPIC \"k\" WITH 1\n    KEEP TOPIC \"l\" WITH 1\n", &["LOT205 2 => ON TOPIC \"a\" DO"]),
    ("DEFINE ACTION A\n    ON TOPIC \"a\" DO\n        KEEP TOPIC \"k\" WITH 1\n", &["LOT205 2 => ON TOPIC \"a\" DO"]),
    ("DEFINE ACTION A\nON TOPIC \"a\" DO\nKEEP TOPIC \"k\" WITH 1\n    KEEP TOPIC \"l\" WITH 1\n", &["LOT206 2: write at least one statement below, indented by 4 more spaces"]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"a\"\n    IF USER IS \"x\" THEN\n        ALLOW\n        DENY\n", &["LOT201 4: write ELSE above it, in the column of IF"]),
];
