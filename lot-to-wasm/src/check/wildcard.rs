//! Wildcards of other languages in filters and topics: they match only themselves.

use crate::diagnostic::{Draft, Sink, codes};
use crate::source::Span;
use crate::topic::{ForeignWildcard, foreign_wildcard, with_own_wildcards};

/// Warns of wildcards that are none in MQTT, in a filter or topic that a program writes at `span`.
pub(crate) fn warn_of_foreign_wildcard(filter: &str, span: Span, sink: &mut Sink<'_>) {
    let Some(found) = foreign_wildcard(filter) else { return };
    let draft = Draft::warning(codes::FOREIGN_WILDCARD, span, message(found))
        .note("+ is one level, # at the end is all that follow");
    let ForeignWildcard::Level(_, own) = found else {
        return sink.push(draft.suggest("a wildcard is a whole level: write + or #"));
    };
    let draft = draft.suggest(format!("write {own} in its place"));
    with_fix(draft, filter, &with_own_wildcards(filter), span, sink);
}

/// Refuses such wildcards in the pattern of a rule. The rule would be about one topic that no
/// client uses, and protect nothing.
pub(super) fn refuse_foreign_wildcard(pattern: &str, span: Span, sink: &mut Sink<'_>) {
    if let Some(braces) = braces(pattern) {
        let message = format!("`{braces}` in the filter of a rule is text: nothing is filled in");
        let draft = Draft::error(codes::FOREIGN_WILDCARD, span, message).unless_stored();
        let hint = "write + for the level, and ask for it: IF USER IS TOPIC POSITION 2 THEN";
        return sink
            .push(draft.note("the rule would be about a topic with these very braces in it").suggest(hint));
    }
    let Some(found) = foreign_wildcard(pattern) else { return };
    let draft = Draft::error(codes::FOREIGN_WILDCARD, span, message(found))
        .unless_stored()
        .note("the rule would be about a topic with this very sign in it, and about no other");
    let ForeignWildcard::Level(..) = found else {
        return sink.push(draft.suggest(
            "a wildcard is a whole level: write +, and ask for a part of it by IF TOPIC POSITION 1 STARTS_WITH \"a\"",
        ));
    };
    let own = with_own_wildcards(pattern);
    // An author who protects `a/*` hardly means to leave `a/b/c` open.
    let own = own.strip_suffix("/+").map_or(own.clone(), |start| format!("{start}/#"));
    with_fix(draft.suggest(format!("write \"{own}\"")), pattern, &own, span, sink);
}

fn message(found: ForeignWildcard<'_>) -> String {
    let (ForeignWildcard::Level(level, _) | ForeignWildcard::Within(level)) = found;
    format!("`{}` is no wildcard of MQTT, it matches only itself", level.escape_debug())
}

/// Reports with the filter as it should be, where its text can be replaced as it stands.
fn with_fix(draft: Draft, filter: &str, own: &str, span: Span, sink: &mut Sink<'_>) {
    let is_plain = sink.source().slice(span).get(1..).is_some_and(|inside| inside.starts_with(filter));
    sink.push(if is_plain { draft.fix(span, format!("\"{own}\"")) } else { draft });
}

/// The first name in braces.
fn braces(pattern: &str) -> Option<&str> {
    let start = pattern.find('{')?;
    let rest = pattern.get(start..)?;
    rest.get(..=rest.find('}')?)
}
