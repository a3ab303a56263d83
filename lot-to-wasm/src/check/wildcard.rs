//! Wildcards of other languages in filters and topics: they match only themselves.

use crate::diagnostic::{Draft, Sink, codes};
use crate::source::Span;
use crate::topic::{ForeignWildcard, foreign_wildcard, with_own_wildcards};

/// Warns of wildcards that are none in MQTT, in a filter or topic that a program writes at `span`.
pub(crate) fn warn_of_foreign_wildcard(filter: &str, span: Span, sink: &mut Sink<'_>) {
    let Some(found) = foreign_wildcard(filter) else { return };
    let (ForeignWildcard::Level(level, _) | ForeignWildcard::Within(level)) = found;
    let message = format!("`{}` is no wildcard of MQTT, it matches only itself", level.escape_debug());
    let draft = Draft::warning(codes::FOREIGN_WILDCARD, span, message)
        .note("+ is one level, # at the end is all that follow");
    let ForeignWildcard::Level(_, own) = found else {
        return sink.push(draft.suggest("a wildcard is a whole level: write + or #"));
    };
    let draft = draft.suggest(format!("write {own} in its place"));
    let quoted = format!("\"{}\"", with_own_wildcards(filter));
    let is_plain = sink.source().slice(span).get(1..).is_some_and(|inside| inside.starts_with(filter));
    sink.push(if is_plain { draft.fix(span, quoted) } else { draft });
}
