//! Values of the right kind that the guest of a type can do nothing with: told with the definition, and not with the first message.
//!
//! Not here: what a guest finds out only from its far side, and all of a value that is known when the route is opened.

use lot_facts::{RouteBlock, RouteValue};
use lot_nearest::nearest;

use super::{template, value_of};
use crate::diagnostic::{Draft, Sink, codes};
use crate::route::RouteType;
use crate::source::Span;
use crate::syntax::route::AddBlock;

/// Commands of Redis that are written often, for what is nearly one of them: modules of the server may bring any other.
const REDIS_COMMANDS: &str = "\
    APPEND DECR DECRBY DEL EVAL EXPIRE GEOADD GET GETDEL GETSET HDEL HGET HGETALL HINCRBY HINCRBYFLOAT \
    HMGET HMSET HSET HSETNX INCR INCRBY INCRBYFLOAT KEYS LINDEX LLEN LPOP LPUSH LRANGE LREM LSET LTRIM \
    MGET MSET PEXPIRE PING PSETEX PUBLISH RPOP RPUSH SADD SCARD SET SETEX SETNX SETRANGE SMEMBERS \
    SPUBLISH SREM STRLEN TTL TYPE UNLINK XADD XDEL XLEN XRANGE XREAD XTRIM ZADD ZINCRBY ZRANGE ZREM \
    ZSCORE";

/// Reports what is so of an event, or of a mapping that does an event's work.
pub(super) fn in_event(kind: &str, block: &AddBlock, event: &RouteBlock, sink: &mut Sink<'_>) {
    match kind {
        "REDIS" => redis(event, value_of(block, "COMMAND"), sink),
        "FILE_STORAGE" => file_storage(event, value_of(block, "QUERY"), sink),
        "EMAIL" => {
            let key = if super::key_of(block, "TO").is_some() { "TO" } else { "RECIPIENT" };
            email(event, value_of(block, key), sink);
        }
        _ => {}
    }
}

/// Reports what is so of a tag.
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

fn redis(event: &RouteBlock, span: Span, sink: &mut Sink<'_>) {
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

fn file_storage(event: &RouteBlock, span: Span, sink: &mut Sink<'_>) {
    let Some(word) = first_word(event, "QUERY") else { return };
    let word = word.split([':', '{']).next().unwrap_or_default();
    let words = ["CLEAN", "APPEND"];
    if words.iter().any(|known| known.eq_ignore_ascii_case(word)) {
        return;
    }
    let message = format!("QUERY begins with CLEAN or APPEND, not `{}`", word.escape_debug());
    let draft = Draft::error(codes::SETTING_VALUE, span, message).unless_stored();
    sink.push(match nearest(&word.to_ascii_uppercase(), words) {
        Some(near) => draft.suggest(format!("did you mean {near}?")),
        None => draft.suggest("write CLEAN:{table: name, data: record}, or APPEND file text"),
    });
}

fn email(event: &RouteBlock, span: Span, sink: &mut Sink<'_>) {
    // Addresses that a message brings are its matter.
    let Some(list) = event.settings.get("RECIPIENT").and_then(template::plain) else { return };
    let mut addresses = list.split(',').map(str::trim).filter(|address| !address.is_empty());
    let wrong = match addresses.clone().next() {
        Some(_) => addresses.find(|address| !address.contains('@')),
        None => Some(&*list),
    };
    if let Some(wrong) = wrong {
        let message =
            format!("RECIPIENT is an address such as name@example.com, not `{}`", wrong.escape_debug());
        sink.push(Draft::error(codes::SETTING_VALUE, span, message).unless_stored());
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
        // What a placeholder goes on with is no word yet.
        None => (whole.is_some() || text.contains([':', '{'])).then(|| text.to_owned()),
    }
}
