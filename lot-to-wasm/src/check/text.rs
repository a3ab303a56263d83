//! Texts of the program that its author hardly meant literally: names in braces, which are not
//! replaced, and texts that are no number in a calculation.

use super::Checker;
use super::kind::KindSet;
use super::timestamp;
use super::topic::placeholder;
use super::tree::{Arithmetic, Comparison, Constant, Expression, ExpressionKind};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;

/// Words that stand for values, and that other languages would put into a text.
const VALUES: [&str; 4] = ["PAYLOAD", "TOPIC", "CLIENTID", "TIMESTAMP"];

/// Whether a word stands for a value that other languages would put into a text.
pub(super) fn is_value_word(word: &str) -> bool {
    VALUES.contains(&word)
}

/// A text with such words in braces as the sum that it is meant to be; `None` where an escape would
/// have to be written anew.
pub(super) fn sum_of_values(text: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let (mut rest, mut kept) = (text, String::new());
    while let Some((before, name, after)) = placeholder(rest) {
        kept.push_str(before);
        if is_value_word(name) {
            parts.extend((!kept.is_empty()).then(|| quoted(&std::mem::take(&mut kept))));
            parts.push(name.to_owned());
        } else {
            kept.push_str(rest.get(before.len()..rest.len() - after.len()).unwrap_or(""));
        }
        rest = after;
    }
    kept.push_str(rest);
    parts.extend((!kept.is_empty()).then(|| quoted(&kept)));
    (!text.contains(['"', '\\', '\n', '\r', '\t'])).then(|| parts.join(" + "))
}

/// Reports `{name}` in a text that is a value, where there is a variable of that name or a value is
/// called so.
pub(super) fn warn_of_placeholders(checker: &mut Checker<'_, '_, '_>, text: &str, span: Span) {
    let is_value = |checker: &Checker<'_, '_, '_>, name: &str| {
        VALUES.contains(&name) || (checker.scope.fields.is_none() && checker.scope.find(name).is_some())
    };
    let mut parts: Vec<String> = Vec::new();
    let mut first = None;
    let (mut rest, mut kept) = (text, String::new());
    while let Some((before, name, after)) = placeholder(rest) {
        let whole = rest.get(before.len()..rest.len() - after.len()).unwrap_or("");
        rest = after;
        if !is_value(checker, name) {
            kept.push_str(before);
            kept.push_str(whole);
            continue;
        }
        let is_word = VALUES.contains(&name);
        kept.push_str(before.strip_suffix('$').unwrap_or(before));
        if !kept.is_empty() {
            parts.push(quoted(&std::mem::take(&mut kept)));
        }
        parts.push(if is_word { name.to_owned() } else { format!("{{{name}}}") });
        first.get_or_insert(name);
        // A variable that such a placeholder names counts as read.
        if let Some(id) = checker.scope.find(name).filter(|_| !is_word) {
            checker.scope.read(id);
        }
    }
    let Some(name) = first else { return };
    kept.push_str(rest);
    if !kept.is_empty() {
        parts.push(quoted(&kept));
    }
    let message = format!("`{{{name}}}` in a text is not replaced");
    let draft = Draft::warning(codes::TEXT_PLACEHOLDER, span, message);
    if let Some(literal) = json_literal(text, |name| is_value(checker, name)) {
        let draft = draft.note("JSON stands without quotes round it, and what its members take are values");
        return checker.error(draft.suggest(format!("write {literal}")).fix(span, literal));
    }
    let sum = parts.join(" + ");
    let draft = draft.suggest(format!("write {sum}"));
    // An escape would have to be written anew.
    let is_plain = checker.sink.source().slice(span).get(1..).is_some_and(|inside| inside.starts_with(text));
    checker.error(if is_plain { draft.fix(span, sum) } else { draft });
}

/// A text that is JSON but for the names in braces that mean values, as the literal that it is
/// meant to be.
fn json_literal(text: &str, is_value: impl Fn(&str) -> bool) -> Option<String> {
    if !text.trim_start().starts_with(['{', '[']) || text.contains('\\') {
        return None;
    }
    let mut json = JsonText::default();
    let mut rest = text;
    while let Some((before, name, after)) = placeholder(rest) {
        let whole = rest.get(before.len()..rest.len() - after.len()).unwrap_or("");
        rest = after;
        json.push_text(before)?;
        if is_value(name) {
            json.push_value(if VALUES.contains(&name) { name } else { whole });
        } else {
            json.push_text(whole)?;
        }
    }
    json.push_text(rest)?;
    json.finish()
}

/// JSON with values in it, while it is read.
#[derive(Default)]
struct JsonText {
    /// As the language writes it.
    literal: String,
    /// The same with a number or a text for each value, which has to be JSON.
    probe: String,
    /// Summands of the string that is open.
    open: Option<Vec<String>>,
    /// Whether a string with a value in it has just ended: it can be no key.
    is_computed: bool,
}

impl JsonText {
    /// Reads the text between values; `None` where a value would be a part of a key.
    fn push_text(&mut self, text: &str) -> Option<()> {
        for (at, piece) in text.split('"').enumerate() {
            if at > 0 {
                self.turn();
            }
            match &mut self.open {
                Some(parts) if !piece.is_empty() => parts.push(quoted(piece)),
                Some(_) => {}
                None => {
                    let rest = piece.trim_start();
                    if self.is_computed && rest.starts_with(':') {
                        return None;
                    }
                    self.is_computed &= rest.is_empty();
                    self.literal.push_str(piece);
                    self.probe.push_str(piece);
                }
            }
        }
        Some(())
    }

    fn push_value(&mut self, value: &str) {
        match &mut self.open {
            Some(parts) => parts.push(value.to_owned()),
            None => {
                self.literal.push_str(value);
                self.probe.push('0');
            }
        }
    }

    /// Takes a quote, which begins or ends a string.
    fn turn(&mut self) {
        let Some(parts) = self.open.take() else {
            self.open = Some(Vec::new());
            return;
        };
        let is_text = |part: &String| part.starts_with('"');
        self.is_computed = !parts.iter().all(is_text);
        self.literal.push_str(&match parts.as_slice() {
            [] => "\"\"".to_owned(),
            [value] if !is_text(value) => format!("{value} AS STRING"),
            parts => parts.join(" + "),
        });
        self.probe.push_str("\"\"");
    }

    fn finish(self) -> Option<String> {
        let is_whole = self.open.is_none() && self.probe.trim_start().starts_with(['{', '[']);
        let is_json = is_whole && serde_json::from_str::<serde::de::IgnoredAny>(&self.probe).is_ok();
        is_json.then_some(self.literal)
    }
}

/// Reports a text that is no number and is calculated with: it counts as 0.
pub(super) fn warn_of_texts_in(
    checker: &mut Checker<'_, '_, '_>,
    operator: Arithmetic,
    sides: [(&Expression, Span); 2],
) {
    if operator == Arithmetic::Add {
        return;
    }
    for (side, span) in sides {
        if let Some(advice) = timestamp::advice_for_text(side) {
            let message = "the time counts as 0 here: its text is no number";
            checker.error(Draft::warning(codes::TEXT_AS_NUMBER, span, message).suggest(advice));
            continue;
        }
        let Some(text) = text_that_is_no_number(checker, side) else { continue };
        let message = format!("the text \"{}\" counts as 0", text.escape_debug());
        let draft = Draft::warning(codes::TEXT_AS_NUMBER, span, message);
        checker.error(draft.suggest("write a number without quotes, or + to join texts"));
    }
}

/// Reports a number that is compared with a text that is none.
pub(super) fn warn_of_compared_text(
    checker: &mut Checker<'_, '_, '_>,
    operator: Comparison,
    sides: [(&Expression, Span); 2],
) {
    let what = match operator {
        Comparison::Equal | Comparison::NotEqual => "a number never equals the text",
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {
            "a number is compared, as text, with the text"
        }
        Comparison::Contains | Comparison::StartsWith | Comparison::EndsWith | Comparison::In => return,
    };
    let [left, right] = sides;
    for ((side, span), (other, _)) in [(left, right), (right, left)] {
        let Some(text) = text_that_is_no_number(checker, side) else { continue };
        if is_order(operator) && is_payload(other) {
            let message =
                format!("the payload is compared, as text, with the text \"{}\"", text.escape_debug());
            let draft = Draft::warning(codes::TEXT_AS_NUMBER, span, message);
            let draft = draft.note("texts are ordered character by character, so \"9\" stands behind \"10\"");
            checker.error(draft.suggest("compare with a number, without quotes, or ask for equality by =="));
            continue;
        }
        if other.kinds.is(KindSet::NUMBER) {
            let message = format!("{what} \"{}\"", text.escape_debug());
            let draft = Draft::warning(codes::TEXT_AS_NUMBER, span, message);
            checker.error(draft.suggest("compare with a number, or with another text"));
        }
    }
}

/// Whether an operator asks which of two values is greater.
fn is_order(operator: Comparison) -> bool {
    match operator {
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => true,
        Comparison::Equal
        | Comparison::NotEqual
        | Comparison::Contains
        | Comparison::StartsWith
        | Comparison::EndsWith
        | Comparison::In => false,
    }
}

/// Whether a value is the payload, or a member of it.
fn is_payload(value: &Expression) -> bool {
    if let ExpressionKind::GetJson { source, .. } = &value.kind {
        return is_payload(source);
    }
    matches!(value.kind, ExpressionKind::Payload)
}

/// The text of the program that a value certainly is, unless it looks like a number, or like a
/// truth value, which counts as one.
fn text_that_is_no_number(checker: &Checker<'_, '_, '_>, value: &Expression) -> Option<String> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "nothing else is known to be a text of the program")]
    let text = match &value.kind {
        ExpressionKind::Constant(Constant::Text(text)) => text,
        ExpressionKind::Variable(id) => checker.scope.only_text(*id)?,
        _ => return None,
    };
    let is_number = text.trim().parse::<f64>().is_ok();
    (!is_number && !text.is_empty()).then(|| text.clone())
}

/// A text as the source spells it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', character]),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
