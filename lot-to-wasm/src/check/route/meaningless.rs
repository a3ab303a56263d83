//! Checks of values that have the right kind, but that the guest of a type cannot use. The error
//! comes with the definition, and not with the first message.
//!
//! Not here: errors that a guest finds only at its far side, and values that are known when the
//! route is opened.

use std::collections::BTreeMap;

use lot_facts::{RouteBlock, RouteFacts, RouteValue};
use lot_nearest::nearest;

use super::{template, value, value_of};
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::{OF_MODULE, RouteCheck, RouteType};
use crate::source::Span;
use crate::syntax::Name;
use crate::syntax::route::{AddBlock, RouteItem};
use crate::topic::{filter_help, filter_problem};

/// Common commands of Redis, for suggestions for a misspelt command. Modules of the server may
/// bring any other command.
const REDIS_COMMANDS: &str = "\
    APPEND DECR DECRBY DEL EVAL EXPIRE GEOADD GET GETDEL GETSET HDEL HGET HGETALL HINCRBY HINCRBYFLOAT \
    HMGET HMSET HSET HSETNX INCR INCRBY INCRBYFLOAT KEYS LINDEX LLEN LPOP LPUSH LRANGE LREM LSET LTRIM \
    MGET MSET PEXPIRE PING PSETEX PUBLISH RPOP RPUSH SADD SCARD SET SETEX SETNX SETRANGE SMEMBERS \
    SPUBLISH SREM STRLEN TTL TYPE UNLINK XADD XDEL XLEN XRANGE XREAD XTRIM ZADD ZINCRBY ZRANGE ZREM \
    ZSCORE";

/// Checks a section of a type that the broker knows.
pub(super) fn in_section(kind: &RouteType, block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    type Check = fn(&AddBlock, &RouteBlock, &mut Sink<'_>);
    const CHECKS: [(RouteCheck, Check); 6] = [
        (RouteCheck::Login, needs_user),
        (RouteCheck::Bridge, certificates),
        (RouteCheck::Mail, sender),
        (RouteCheck::Http, headers),
        (RouteCheck::Files, begins_anew),
        (RouteCheck::Files, file_pattern),
    ];
    for (_, check) in CHECKS.iter().filter(|(check, _)| kind.has(*check)) {
        check(block, section, sink);
    }
}

/// Checks that the files of a route lie below its folder.
fn file_pattern(block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    let pattern = section.text("FILE_PATTERN").unwrap_or_default();
    if pattern.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
        let message = format!(
            "FILE_PATTERN is a path below the folder, without '.' and '..', not `{}`",
            pattern.escape_debug()
        );
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "FILE_PATTERN"), message);
        sink.push(draft.suggest("write \"{0}.csv\", where {0} is the table").unless_stored());
    }
}

/// Warns of files that the route truncates at each start without an explicit setting: earlier data
/// is lost.
fn begins_anew(block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    let is_other_each_time = match section.settings.get("FILE_PATTERN") {
        None => false,
        Some(RouteValue::Text(pattern)) => pattern.contains('%') || pattern.contains("{date}"),
        // Known when it is opened.
        Some(_) => true,
    };
    if is_other_each_time || section.settings.contains_key("APPEND") {
        return;
    }
    let message =
        "without APPEND a file begins anew when the route or the broker starts: what it held is gone";
    let draft = Draft::warning(codes::MISSING_SETTING, block.kind.span, message);
    sink.push(draft.suggest("add a line WITH APPEND TRUE, or WITH APPEND FALSE where that is meant"));
}

/// Reports another broker that a route names as the one whose messages it is for: it would be for
/// those of this one, without a word.
pub(super) fn in_other_broker(block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    if !section.settings.contains_key("BROKER_ADDRESS") {
        return;
    }
    let named = section.text("BROKER_ADDRESS");
    if named.is_some_and(|text| text.trim().eq_ignore_ascii_case("SELF")) {
        return;
    }
    let key = block_key(block, &["BROKER_ADDRESS", "HOST", "IP", "SERVER", "ADDRESS"]);
    if named.is_some_and(lot_facts::is_loopback) {
        // The broker itself knows its ports, and refuses those of another one on this machine.
        let message =
            "BROKER_ADDRESS of MQTT_CONFIG is this machine: the route is for the messages of this broker";
        let draft = Draft::warning(codes::SETTING_VALUE, value_of(block, key), message);
        return sink.push(draft.suggest("write BROKER SELF"));
    }
    let message = "a route is for the messages of this broker, whatever BROKER_ADDRESS of MQTT_CONFIG names";
    let draft = Draft::error(codes::SETTING_VALUE, value_of(block, key), message).unless_stored();
    let draft = draft.note("a route of type MQTT_BRIDGE brings the messages of another broker here");
    sink.push(draft.suggest(
        "write BROKER SELF, and add an MQTT_BRIDGE with DIRECTION \"in\" where they come from elsewhere",
    ));
}

/// The first of these keys that a block has, or else the first.
fn block_key<'a>(block: &AddBlock, keys: &[&'a str]) -> &'a str {
    keys.iter().find(|key| super::key_of(block, key).is_some()).unwrap_or(&keys[0])
}

/// Checks a route when all of it was read.
pub(super) fn in_whole(kind: &RouteType, name: &Name, said: &RouteFacts, sink: &mut Sink<'_>) {
    if kind.has(RouteCheck::Bridge) && said.mappings.is_empty() && !sink.has_errors() {
        let message = "nothing passes this bridge: it has no mapping";
        let draft = Draft::warning(codes::MISSING_SETTING, name.span, message);
        sink.push(draft.suggest("add ADD MAPPING name with WITH SOURCE_TOPIC \"filter\""));
    }
}

/// Reports certificates of one side of a bridge that uses no TLS.
fn certificates(block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    let certificate = ["SERVER_CA_CERT_PATH", "SERVER_CA_CERT", "CLIENT_CERT_PATH", "CLIENT_CERT"]
        .into_iter()
        .find(|key| section.settings.contains_key(*key));
    // If USE_TLS is off, the author may keep the other settings for the day when it is on again.
    if let Some(key) = certificate.filter(|_| !section.settings.contains_key("USE_TLS")) {
        let message = format!("{key} is of TLS, and there is no USE_TLS");
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, key), message).unless_stored();
        sink.push(draft.suggest("add a line WITH USE_TLS TRUE"));
    }
}

/// Reports a password without a user name.
fn needs_user(block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    let has = |key: &str| section.settings.contains_key(key);
    if has("PASSWORD") && !has("USERNAME") && !has("TOKEN") {
        let span = super::key_of(block, "PASSWORD").map_or(block.kind.span, |setting| setting.key.span);
        let draft = Draft::error(codes::SETTING_VALUE, span, "PASSWORD needs USERNAME").unless_stored();
        sink.push(draft.suggest("add a line WITH USERNAME \"name\""));
    }
}

/// Reports fields of HTTP that are none: lines of `name: value` with `;` between them, or JSON.
fn headers(block: &AddBlock, checked: &RouteBlock, sink: &mut Sink<'_>) {
    let Some(text) = checked.settings.get("HEADERS").and_then(template::plain) else { return };
    let is_field = |field: &str| {
        field.trim().is_empty() || field.split_once(':').is_some_and(|(name, _)| !name.trim().is_empty())
    };
    if text.trim_start().starts_with('{') || text.split(';').all(is_field) {
        return;
    }
    let message = format!("HEADERS is 'name: value; name: value', or JSON, not `{}`", text.escape_debug());
    sink.push(Draft::error(codes::SETTING_VALUE, value_of(block, "HEADERS"), message).unless_stored());
}

/// Checks the topics of a mapping between MQTT and a system that has other wildcards.
pub(super) fn in_mapping(kind: &RouteType, block: &AddBlock, mapping: &RouteBlock, sink: &mut Sink<'_>) {
    // The other side's word for a topic, and the syntax to write there.
    let (theirs, way) = if kind.has(RouteCheck::NatsSubjects) {
        ("subject", "subjects of NATS have * for one token and, at the end, > for the rest")
    } else if kind.has(RouteCheck::KafkaTopics) {
        ("topic of Kafka", "a topic of Kafka has a name without wildcards")
    } else {
        return;
    };
    let is_out = mapping.goes("out");
    let filter = mapping.text("SOURCE_TOPIC").filter(|_| is_out);
    if let Some((filter, problem)) = filter.and_then(|filter| Some((filter, filter_problem(filter)?))) {
        let message = format!("SOURCE_TOPIC \"{}\": {problem}", filter.escape_debug());
        let draft = Draft::error(codes::TOPIC_FILTER, value_of(block, "SOURCE_TOPIC"), message);
        sink.push(draft.suggest_if(filter_help(filter)).unless_stored());
    }
    let key = if is_out { "DESTINATION_TOPIC" } else { "SOURCE_TOPIC" };
    let Some(text) = mapping.text(key) else { return };
    if text.split(['/', '.']).any(|level| matches!(level, "+" | "#")) {
        let message =
            format!("{key} \"{}\" is a {theirs}, in which + and # are letters", text.escape_debug());
        sink.push(Draft::warning(codes::SETTING_VALUE, value_of(block, key), message).suggest(way));
    }
}

/// Checks an event, or a mapping that does an event's work.
pub(super) fn in_event(kind: &RouteType, block: &AddBlock, event: &RouteBlock, sink: &mut Sink<'_>) {
    for key in ["QUERY", "COMMAND"] {
        let is_empty = |value: &RouteValue| template::plain(value).is_some_and(|text| text.trim().is_empty());
        if kind.name != OF_MODULE && event.settings.get(key).is_some_and(is_empty) {
            let draft = Draft::error(codes::SETTING_VALUE, value_of(block, key), format!("{key} is empty"));
            return sink.push(draft.unless_stored());
        }
    }
    type Check = fn(&AddBlock, &RouteBlock, &mut Sink<'_>);
    const CHECKS: [(RouteCheck, Check); 4] = [
        (RouteCheck::RedisCommands, redis),
        (RouteCheck::Files, file_storage),
        (RouteCheck::Http, headers),
        (RouteCheck::Mail, email),
    ];
    for (_, check) in CHECKS.iter().filter(|(check, _)| kind.has(*check)) {
        check(block, event, sink);
    }
}

/// Reports tags that publish at the same topic. A subscriber cannot tell them apart, and gets only
/// one of the retained values.
pub(super) fn same_topics(items: &[RouteItem], sink: &mut Sink<'_>) {
    fn blocks(items: &[RouteItem]) -> impl Iterator<Item = &AddBlock> {
        items.iter().filter_map(|item| match item {
            RouteItem::Block(block) => Some(block),
            RouteItem::Setting(_) | RouteItem::Every(..) | RouteItem::Store { .. } => None,
        })
    }
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    let is_tag = |block: &&AddBlock| block.kind.text.eq_ignore_ascii_case("TAG");
    for tag in blocks(items).flat_map(|mapping| blocks(&mapping.items)).filter(is_tag) {
        let Some(topic) = super::key_of(tag, "SOURCE_TOPIC").and_then(value::written) else { continue };
        let span = value_of(tag, "SOURCE_TOPIC");
        if let Some(before) = first.insert(topic, span) {
            let message = format!("another tag publishes at \"{}\", too", topic.escape_debug());
            let draft = Draft::warning(codes::DUPLICATE_SETTING, span, message).at(before, "this one");
            sink.push(draft.suggest("give each tag a topic of its own, or leave SOURCE_TOPIC out: it has the mapping's and its name"));
        }
    }
}

/// Checks a tag.
pub(super) fn in_tag(kind: &RouteType, block: &AddBlock, tag: &RouteBlock, sink: &mut Sink<'_>) {
    let is_writable = tag.settings.get("WRITABLE") == Some(&RouteValue::Bool(true));
    if is_writable && !tag.settings.contains_key("DESTINATION_TOPIC") {
        let message = format!(
            "nothing is written to tag {}: what comes on its DESTINATION_TOPIC would be, and it has none",
            tag.name
        );
        let draft = Draft::warning(codes::IDLE_SETTING, value_of(block, "WRITABLE"), message);
        sink.push(draft.suggest("add a line WITH DESTINATION_TOPIC \"topic\""));
    }
    // A module's own SCALING may be anything.
    if !kind.is_open && tag.settings.get("SCALING") == Some(&RouteValue::Double(0.0)) {
        let message = "SCALING is a number other than 0, by which each value would be 0";
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "SCALING"), message);
        sink.push(draft.unless_stored());
    }
}

fn redis(block: &AddBlock, event: &RouteBlock, sink: &mut Sink<'_>) {
    let span = value_of(block, "COMMAND");
    let Some(command) = first_word(event, "COMMAND") else { return };
    let upper = command.to_ascii_uppercase();
    // Those of modules have a dot in them.
    if redis_commands().any(|known| known == upper) || !upper.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return;
    }
    if let Some(near) = nearest(&upper, redis_commands()) {
        let message = format!("`{}` is no command of Redis that is known here", command.escape_debug());
        let draft = Draft::warning(codes::SETTING_VALUE, span, message);
        sink.push(draft.suggest(format!("did you mean {near}?")));
    }
}

fn redis_commands() -> impl Iterator<Item = &'static str> {
    REDIS_COMMANDS.split_ascii_whitespace()
}

fn file_storage(block: &AddBlock, event: &RouteBlock, sink: &mut Sink<'_>) {
    let span = value_of(block, "QUERY");
    let Some(word) = first_word(event, "QUERY") else { return };
    let word = word.split([':', '{']).next().unwrap_or_default();
    let words = ["CLEAN", "APPEND"];
    if words.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        if !event.settings.get("QUERY").is_some_and(is_file_query) {
            let message = "QUERY is no whole CLEAN or APPEND";
            let draft = Draft::error(codes::SETTING_VALUE, span, message).unless_stored();
            sink.push(draft.suggest("write CLEAN:{table: name, data: record}, or APPEND file text"));
        }
        return;
    }
    let message = format!("QUERY begins with CLEAN or APPEND, not `{}`", word.escape_debug());
    let draft = Draft::error(codes::SETTING_VALUE, span, message).unless_stored();
    sink.push(match nearest(&word.to_ascii_uppercase(), words) {
        Some(near) => draft.suggest(format!("did you mean {near}?")),
        None => draft.suggest("write CLEAN:{table: name, data: record}, or APPEND file text"),
    });
}

/// Whether a query of files that begins with one of its words has the operands of that word.
fn is_file_query(query: &RouteValue) -> bool {
    // Each placeholder counts as some text, whatever the message fills in.
    let text: String = if let RouteValue::Template(parts) = query {
        parts.iter().map(|part| part.text().unwrap_or("x")).collect()
    } else if let Some(text) = template::plain(query) {
        text
    } else {
        // Known when it is opened.
        return true;
    };
    let text = text.trim();
    let behind =
        |word: &str| text.split_at_checked(word.len()).filter(|(first, _)| first.eq_ignore_ascii_case(word));
    let Some((_, rest)) = behind("CLEAN") else {
        let two_words = |(_, rest): (&str, &str)| rest.trim_start().split_once(' ').is_some();
        return behind("APPEND").is_some_and(two_words);
    };
    let inside = rest.trim_start().strip_prefix(':').map(str::trim);
    let inside = inside.and_then(|inside| inside.strip_prefix('{')?.strip_suffix('}'));
    let is_member = |text: &str, name: &str| {
        let member = text.split_once(':');
        member.is_some_and(|(key, value)| {
            key.trim().trim_matches('"').eq_ignore_ascii_case(name) && !value.trim().is_empty()
        })
    };
    let members = inside.and_then(|inside| inside.split_once(','));
    members.is_some_and(|(table, data)| is_member(table, "table") && is_member(data, "data"))
}

fn email(block: &AddBlock, event: &RouteBlock, sink: &mut Sink<'_>) {
    let has = |key: &str| event.settings.contains_key(key);
    if has("BODY") && has("TEMPLATE_PATH") {
        let message = "a mail has a BODY or a TEMPLATE_PATH, not both";
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, "BODY"), message);
        sink.push(draft.unless_stored());
    }
    let span = value_of(block, if super::key_of(block, "TO").is_some() { "TO" } else { "RECIPIENT" });
    // Addresses that a message brings are its matter.
    let Some(list) = event.settings.get("RECIPIENT").and_then(template::plain) else { return };
    let mut addresses = addresses(&list).into_iter().map(str::trim).filter(|address| !address.is_empty());
    let wrong = match addresses.clone().next() {
        Some(_) => addresses.find(|address| !is_mail_address(address)),
        None => Some(&*list),
    };
    if let Some(wrong) = wrong {
        let message =
            format!("RECIPIENT is an address such as name@example.com, not `{}`", wrong.escape_debug());
        let draft = Draft::error(codes::SETTING_VALUE, span, message).unless_stored();
        let way = wrong.contains(';').then(|| "several addresses have commas between them".to_owned());
        sink.push(draft.suggest_if(way));
    }
}

/// The addresses of a list: commas between quotation marks separate nothing (RFC 5322, §3.4).
fn addresses(list: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |c| {
        let was_escaped = std::mem::replace(&mut is_escaped, is_quoted && c == '\\');
        is_escaped &= !was_escaped;
        is_quoted ^= c == '"' && !was_escaped;
        c == ',' && !is_quoted
    })
    .collect()
}

/// Checks the sender of mails. A missing sender is reported again when the route is opened.
fn sender(block: &AddBlock, section: &RouteBlock, sink: &mut Sink<'_>) {
    let way = "add a line WITH FROM \"name@example.com\"";
    let Some(key) = ["FROM", "USERNAME"].into_iter().find(|key| section.settings.contains_key(*key)) else {
        let message = "mails have a sender, by FROM or USERNAME: without either the route stands still";
        return sink.push(Draft::warning(codes::SETTING_VALUE, block.kind.span, message).suggest(way));
    };
    if let Some(text) = section.text(key).filter(|text| !is_mail_address(text)) {
        let message = format!(
            "{key} is the sender, an address such as name@example.com, not `{}`",
            text.escape_debug()
        );
        let draft = Draft::error(codes::SETTING_VALUE, value_of(block, key), message);
        sink.push(draft.suggest(way).unless_stored());
    }
}

/// Whether a text may be a mail address, as `name@example.com` or `Jo <name@example.com>`. Text
/// with quotes only needs an `@`.
fn is_mail_address(text: &str) -> bool {
    let text = text.trim();
    let address = text.rsplit_once('<').map_or(text, |(_, behind)| behind.trim_end_matches('>'));
    match address.split_once('@') {
        _ if text.contains('"') => text.contains('@'),
        Some((name, domain)) => {
            let is_part = |part: &str| !part.is_empty() && !part.contains(['@', ';', ' ', '\t']);
            is_part(name) && is_part(domain)
        }
        None => false,
    }
}

/// The first word of a setting, where it stands in the definition whole.
fn first_word(block: &RouteBlock, key: &str) -> Option<String> {
    let value = block.settings.get(key)?;
    let whole = template::plain(value);
    let text = match (&whole, value) {
        (Some(text), _) => text.trim_start(),
        (None, RouteValue::Template(parts)) => parts.first()?.text()?.trim_start(),
        (None, _) => return None,
    };
    match text.split_once(char::is_whitespace) {
        Some((word, _)) => Some(word.to_owned()),
        // A text that continues with a placeholder is not a whole word yet.
        None => (whole.is_some() || text.contains([':', '{'])).then(|| text.to_owned()),
    }
}
