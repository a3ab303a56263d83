//! What people write in their first hours, and all that is said about it; as [`super::bodies`].

/// Statements of an action that has a message.
#[rustfmt::skip]
pub(super) const BODIES: &[(&str, &[&str])] = &[
    ("SWITCH PAYLOAD\n    CASE 1 THEN KEEP TOPIC \"k\" WITH 1\n    CASE 2 THEN KEEP TOPIC \"k\" WITH 2\n    DEFAULT KEEP TOPIC \"k\" WITH 3", &["LOT247 4 =>         CASE 1 THEN\n            KEEP TOPIC \"k\" WITH 1", "LOT247 5 =>         CASE 2 THEN\n            KEEP TOPIC \"k\" WITH 2", "LOT247 6 =>         DEFAULT\n            KEEP TOPIC \"k\" WITH 3"]),
    ("SWITCH PAYLOAD\n    CASE 1 THEN KEEP TOPIC \"k\" WITH 1\n        KEEP TOPIC \"l\" WITH 1\n    CASE 2 THEN\n        KEEP TOPIC \"k\" WITH 2", &["LOT247 4 =>         CASE 1 THEN\n            KEEP TOPIC \"k\" WITH 1"]),
    ("LOOP SET x WITH 1\nUNTIL PAYLOAD > 5\nKEEP TOPIC \"k\" WITH 1", &["LOT247 3 =>     LOOP\n        SET x WITH 1"]),
    ("PUBLISH TOPIC RESPONSE_TOPIC WITH PAYLOAD", &["LOT301 3 =>     PUBLISH TOPIC RESPONSE TOPIC WITH PAYLOAD"]),
    ("PUBLISH TOPIC Machine WITH PAYLOAD", &["LOT301 3: write {Machine} for a variable, or \"Machine\" for text"]),
    ("var now = TIMESTAMP \"ISO\"\nPUBLISH TOPIC \"o\" WITH now", &["LOT220 3 =>     SET now = TIMESTAMP \"ISO\"", "LOT303 4 =>     PUBLISH TOPIC \"o\" WITH {now}"]),
    ("let n = PAYLOAD\nPUBLISH TOPIC \"o\" WITH {n}", &["LOT220 3 =>     SET n = PAYLOAD"]),
    ("publish topic \"o\" with payload", &["LOT209 3 =>     PUBLISH TOPIC \"o\" WITH PAYLOAD"]),
    ("KEEP TOPIC \"k\" WITH RESPONSE_TOPIC", &["LOT301 3 =>     KEEP TOPIC \"k\" WITH RESPONSE TOPIC"]),
    ("KEEP TOPIC \"k\" WITH CORRELATION_DATA", &["LOT301 3 =>     KEEP TOPIC \"k\" WITH CORRELATION DATA"]),
    ("KEEP TOPIC \"k\" WITH USERNAME", &["LOT301 3 =>     KEEP TOPIC \"k\" WITH USER"]),
];

/// Whole texts.
#[rustfmt::skip]
pub(super) const TEXTS: &[(&str, &[&str])] = &[
    ("DEFINE ACTION A\nON TOPIC \"a\" DO KEEP TOPIC \"k\" WITH 1\n", &["LOT207 2: write the statements on the next lines, indented by 4 spaces"]),
    ("DEFINE ROUTE R WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADRESS \"h\"\n", &["LOT322 5 =>         WITH BROKER_ADDRESS \"h\""]),
    ("DEFINE ROUTE R WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_PORT 1883\n", &["LOT322 4: add a line WITH BROKER_ADDRESS …"]),
];
