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
    ("KEEP TOPIC \"k\" WITH ROUND(PAYLOAD; 2)", &["LOT101 3 =>     KEEP TOPIC \"k\" WITH ROUND(PAYLOAD, 2)"]),
    ("KEEP TOPIC \"k\" WITH ROUND(PAYLOAD 2)", &["LOT246 3 =>     KEEP TOPIC \"k\" WITH ROUND(PAYLOAD, 2)"]),
    ("KEEP TOPIC \"k\" WITH 1;", &["LOT101 3 =>     KEEP TOPIC \"k\" WITH 1"]),
    ("PUBLISH TOPIC \"uns/\" + TOPIC[2] WITH 1", &["LOT220 3 =>     PUBLISH TOPIC \"uns/\" + TOPIC POSITION 2 WITH 1"]),
    ("PUBLISH TOPIC \"uns/\" + TOPIC.POSITION(2) WITH 1", &["LOT220 3 =>     PUBLISH TOPIC \"uns/\" + TOPIC POSITION 2 WITH 1"]),
    ("KEEP TOPIC \"k\" WITH {PAYLOAD.a}", &["LOT302 3 =>     KEEP TOPIC \"k\" WITH GET JSON \"a\" IN PAYLOAD"]),
    ("KEEP TOPIC \"k\" WITH {PAYLOAD}", &["LOT302 3 =>     KEEP TOPIC \"k\" WITH PAYLOAD"]),
    ("PUBLISH TOPIC \"o/{PAYLOAD}\" WITH 1", &["LOT314 3 =>     PUBLISH TOPIC \"o/\" + PAYLOAD WITH 1"]),
    ("PUBLISH TOPIC \"o/{TOPIC}/x\" WITH 1", &["LOT314 3 =>     PUBLISH TOPIC \"o/\" + TOPIC + \"/x\" WITH 1"]),
    ("KEEP TOPIC \"k\" WITH TIMESTAMP \"UNIXMS\"", &["LOT420 3: write \"UNIX-MS\""]),
    ("IF PAYLOAD > \"eighty\" THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT441 3: compare with a number, without quotes, or ask for equality by =="]),
    ("IF GET JSON \"t\" IN PAYLOAD <= \"low\" THEN\n    KEEP TOPIC \"k\" WITH 1", &["LOT441 3: compare with a number, without quotes, or ask for equality by =="]),
    ("IF PAYLOAD > \"80\" THEN\n    KEEP TOPIC \"k\" WITH 1", &[]),
    ("(* the limit *)\nKEEP TOPIC \"k\" WITH 1 (* it *)", &["LOT220 3 =>     /* the limit */", "LOT220 4 =>     KEEP TOPIC \"k\" WITH 1 /* it */"]),
    ("(* of several\n   lines *)\nKEEP TOPIC \"k\" WITH (2)", &["LOT220 3 =>     /* of several\n       lines */"]),
    ("REJECT", &["LOT220 3: an action refuses nothing: who may publish what says a rule, DEFINE RULE Name WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\""]),
];

/// Whole texts.
#[rustfmt::skip]
pub(super) const TEXTS: &[(&str, &[&str])] = &[
    ("DEFINE ACTION A\nON TOPIC \"a\" DO KEEP TOPIC \"k\" WITH 1\n", &["LOT207 2: write the statements on the next lines, indented by 4 spaces"]),
    ("DEFINE ROUTE R WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADRESS \"h\"\n", &["LOT322 5 =>         WITH BROKER_ADDRESS \"h\""]),
    ("DEFINE ROUTE R WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_PORT 1883\n", &["LOT322 4: add a line WITH BROKER_ADDRESS …"]),
    ("DEFINE ACTION A\nON TOPIC \"plc/#/data\" DO\n    KEEP TOPIC \"k\" WITH 1\n", &["LOT401 2: write \"plc/+/data\" for one level there, or end with /#"]),
    ("DEFINE ACTION A\nON TOPIC \"a+/b\" DO\n    KEEP TOPIC \"k\" WITH 1\n", &["LOT401 2: a wildcard is a whole level: write +, and ask for a part of it by TOPIC POSITION 1 STARTS_WITH \"a\""]),
    ("DEFINE ROUTE R WITH TYPE MQTT-BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"h\"\n", &["LOT319 1 => DEFINE ROUTE R WITH TYPE MQTT_BRIDGE"]),
    ("DEFINE ROUTE R WITH TYPE MQTT\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"h\"\n", &["LOT319 1 => DEFINE ROUTE R WITH TYPE MQTT_BRIDGE"]),
    ("DEFINE ROUTE R WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"h\"\n    ADD MAPPING m\n        WITH SOURCE_TOPIC \"a/#\"\n        WITH DESTINATION_TOPIC \"b/#\"\n        WITH DIRECTION \"inout\"\n", &["LOT432 9: did you mean both?"]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Write TO TOPIC \"x/#\"\n    IF USER IS \"a\" THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT309 1 => DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\""]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publsh TO TOPIC \"x/#\"\n    IF USER IS \"a\" THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT309 1 => DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\""]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Everything TO TOPIC \"x/#\"\n    IF USER IS \"a\" THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT309 1: write Publish, Subscribe, Connect, or one of those for commands in docs/lot/rules.md"]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\"\n    IF USER IS \"a\" THEN\n        ALLOW\n    ELSE\n        REJECT\n", &["LOT220 5 =>         DENY"]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/*\"\n    IF USER IS \"a\" THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT444 1 => DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\""]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"*/x\"\n    IF USER IS \"a\" THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT444 1 => DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"+/x\""]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x*\"\n    IF USER IS \"a\" THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT444 1: a wildcard is a whole level: write +, and ask for a part of it by IF TOPIC POSITION 1 STARTS_WITH \"a\""]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\"\n    IF USER IN [\"ann\", \"ben\", \"cid\"] THEN\n        ALLOW\n    ELSE\n        DENY\n", &[]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\"\n    IF USER NOT IN [\"ann\", \"ben\"] THEN\n        ALLOW\n    ELSE\n        DENY\n", &[]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\"\n    IF USER IN [] THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT235 2: write the names: USER IN [\"ann\", \"ben\"]"]),
    ("DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"x/#\"\n    IF USER IN \"ann\" THEN\n        ALLOW\n    ELSE\n        DENY\n", &["LOT235 2: write USER IN GROUP \"ops\", or for names USER IS \"a\" OR USER IS \"b\""]),
];
