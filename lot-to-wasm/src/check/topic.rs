//! Checking topic operands: variables in literals (OD-8), wildcards of the trigger (§5.5),
//! validity.

use lot_facts::TopicFact;

use super::Checker;
use super::fold;
use super::level::Levels;
use super::text;
use super::tree::{Constant, Expression, Topic, TopicPart};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::{ExpressionKind as Source, Path, TopicOperand};

/// Purpose of a topic operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicUse {
    Read,
    Publish,
    Keep,
    /// A Topic Filter, whose topics are listed.
    List,
}

/// A piece of a topic before wildcards are looked at.
enum Piece {
    /// Text of the program.
    Text(String, Span),
    Value(Expression),
}

impl Checker<'_, '_, '_> {
    /// A Topic Filter: a topic operand whose wildcards stay unchanged.
    pub(crate) fn filter(&mut self, operand: &TopicOperand) -> Topic {
        let (pieces, _) = self.pieces(operand);
        let parts = pieces.into_iter().map(|piece| match piece {
            Piece::Text(text, _) => TopicPart::Text(text),
            Piece::Value(value) => TopicPart::Value(value),
        });
        let parts = merge(parts.collect());
        let topic = Topic { parts, fact: TopicFact::Any, at: self.at(operand.span) };
        if let Some(filter) = topic.constant()
            && let Some(problem) = crate::topic::filter_problem(filter)
        {
            let message = format!("invalid topic filter \"{}\": {problem}", filter.escape_debug());
            let draft = Draft::error(codes::TOPIC_FILTER, operand.span, message);
            self.error(draft.suggest_if(crate::topic::filter_help(filter)));
        }
        topic
    }

    /// A topic operand, resolved.
    pub(crate) fn topic(&mut self, operand: &TopicOperand, usage: TopicUse) -> Topic {
        let (pieces, has_unset) = self.pieces(operand);
        let parts = merge(self.captures(pieces));
        let topic = Topic { parts, fact: TopicFact::Any, at: self.at(operand.span) };
        // A variable that is not set has been reported.
        if !has_unset || topic.constant() != Some("") {
            self.judge(&topic, operand.span, usage);
        }
        topic
    }

    /// The pieces of an operand, and whether a variable among them is not set.
    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn pieces(&mut self, operand: &TopicOperand) -> (Vec<Piece>, bool) {
        let mut pieces = Vec::new();
        let mut has_unset = false;
        for part in &operand.parts {
            match &part.kind {
                Source::Text(text) => {
                    crate::check::warn_of_foreign_wildcard(text, part.span, self.sink);
                    self.literal(text, part.span, &mut pieces);
                }
                _ => {
                    let value = self.operand(part);
                    has_unset |= matches!(part.kind, Source::Variable(_) | Source::Name(_))
                        && fold::constant(&value) == Some(&Constant::Empty);
                    match fold::constant(&value).and_then(fold::text) {
                        Some(text) => pieces.push(Piece::Text(text, part.span)),
                        None => pieces.push(Piece::Value(value)),
                    }
                }
            }
        }
        (pieces, has_unset)
    }

    /// A literal with `{name}` replaced where the Action has such a variable (OD-8).
    fn literal(&mut self, text: &str, span: Span, pieces: &mut Vec<Piece>) {
        let mut rest = text;
        let mut kept = String::new();
        while let Some((before, name, after)) = placeholder(rest) {
            kept.push_str(before);
            match self.scope.find(name) {
                Some(id) => {
                    if !self.scope.may_be_set(id) {
                        let path = Path { name: name.to_owned(), steps: Vec::new(), span };
                        self.report_unset(&path, span);
                    }
                    pieces.push(Piece::Text(std::mem::take(&mut kept), span));
                    pieces.push(Piece::Value(self.read(id, span)));
                }
                None => {
                    self.report_no_variable(name, text, span);
                    kept.push_str(rest.get(before.len()..rest.len() - after.len()).unwrap_or(""));
                }
            }
            rest = after;
        }
        kept.push_str(rest);
        self.warn_of_members(&kept, span);
        pieces.push(Piece::Text(kept, span));
    }

    /// A name in a topic that no statement sets, where all of them could be read.
    fn report_no_variable(&mut self, name: &str, text: &str, span: Span) {
        if !self.names_are_complete {
            return;
        }
        let near = lot_nearest::nearest(name, self.scope.names());
        let hint = near.map(|near| format!("did you mean {{{near}}}?"));
        let message = format!("`{{{name}}}` in a topic names no variable and stays as it is");
        let draft = Draft::warning(codes::TOPIC_PLACEHOLDER, span, message);
        self.error(match text::sum_of_values(text).filter(|_| text::is_value_word(name)) {
            Some(sum) => draft.suggest(format!("write {sum}")).fix(span, sum),
            None => draft.suggest_if(hint),
        });
    }

    /// A member of a variable in braces, blanks round its name, or another value: that is not
    /// filled in.
    fn warn_of_members(&mut self, text: &str, span: Span) {
        let braces = text.match_indices('{').find_map(|(open, _)| {
            let (inside, after) = text.get(open + 1..)?.split_once('}')?;
            let name = inside.trim();
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let is_variable = self.scope.find(name.get(..end)?).is_some();
            let is_value = name.split_once(' ').is_some_and(|(word, _)| text::is_value_word(word));
            let value = if is_variable { format!("{{{name}}}") } else { name.to_owned() };
            (is_variable || is_value).then(|| (text.get(..open).unwrap_or_default(), name, value, after))
        });
        let Some((before, name, value, after)) = braces else { return };
        let quoted = |text: &str| (!text.is_empty()).then(|| format!("{text:?}"));
        let sum: Vec<String> = [quoted(before), Some(value), quoted(after)].into_iter().flatten().collect();
        let message = format!("`{{{name}}}` in a topic is no name of a variable alone, and stays as it is");
        let draft = Draft::warning(codes::TOPIC_PLACEHOLDER, span, message);
        self.error(draft.suggest(format!("join it: {}", sum.join(" + "))));
    }

    /// Replaces whole-level wildcards in literals by the levels that the trigger matched.
    fn captures(&mut self, pieces: Vec<Piece>) -> Vec<TopicPart> {
        let last = pieces.len().saturating_sub(1);
        let mut parts = Vec::new();
        let mut ordinal = 0usize;
        for (index, piece) in pieces.into_iter().enumerate() {
            let (text, span) = match piece {
                Piece::Value(value) => {
                    parts.push(TopicPart::Value(value));
                    continue;
                }
                Piece::Text(text, span) => (text, span),
            };
            let levels: Vec<&str> = text.split('/').collect();
            for (place, level) in levels.iter().enumerate() {
                let starts = place > 0 || index == 0;
                let ends = place + 1 < levels.len() || index == last;
                let is_last = index == last && place + 1 == levels.len();
                match *level {
                    "+" if starts && ends => {
                        if place > 0 {
                            parts.push(TopicPart::Text("/".to_owned()));
                        }
                        parts.push(self.capture(span, |filter| plus(filter, ordinal)));
                        ordinal += 1;
                    }
                    "#" if starts && is_last => {
                        parts.push(self.capture(span, |filter| rest(filter, place > 0)))
                    }
                    level if place > 0 => parts.push(TopicPart::Text(format!("/{level}"))),
                    level => parts.push(TopicPart::Text(level.to_owned())),
                }
            }
        }
        parts
    }

    /// Returns the part of the trigger's topic that a wildcard matched; the filters may differ.
    fn capture(&mut self, span: Span, of: impl Fn(&str) -> TopicPart) -> TopicPart {
        let parts: Vec<TopicPart> = self.filters().iter().map(|filter| of(filter)).collect();
        let is_missing = parts.iter().any(|part| matches!(part, TopicPart::Missing)) || parts.is_empty();
        if is_missing && !matches!(self.start, super::Start::Unreadable) {
            let draft =
                Draft::warning(codes::NO_CAPTURE, span, "wildcard without a counterpart in the trigger");
            self.error(draft.note("a read gives Empty, a publish is dropped with an error record"));
        }
        match parts.as_slice() {
            [] => TopicPart::Missing,
            [first, others @ ..] if others.iter().all(|other| same(first, other)) => first.clone(),
            _ => TopicPart::ByFilter(parts),
        }
    }

    fn judge(&mut self, topic: &Topic, span: Span, usage: TopicUse) {
        if let Some(problem) = problem(topic) {
            let name = topic.constant().map(|name| format!(" \"{}\"", name.escape_debug()));
            let message = format!("invalid topic{}: {problem}", name.unwrap_or_default());
            let mut draft = Draft::warning(codes::TOPIC_NAME, span, message);
            if problem == crate::topic::WILDCARD {
                draft = draft.note("a level `+`, and `#` at the end, take what the trigger matched");
            }
            self.error(draft.label(match usage {
                TopicUse::Read | TopicUse::List => "there is never a message",
                TopicUse::Publish | TopicUse::Keep => "the statement has no effect but an error record",
            }));
        }
        if usage == TopicUse::Read {
            return;
        }
        if let Some(TopicPart::Text(start)) = topic.parts.first()
            && (start == "$SYS" || start.starts_with("$SYS/"))
            && !(usage == TopicUse::Publish && topic.constant() == Some("$SYS/Coreflux/Command"))
        {
            let draft = Draft::error(codes::SYS_TOPIC, span, "actions do not write below $SYS");
            self.error(draft.suggest("only $SYS/Coreflux/Command may be published"));
        }
    }
}

/// Returns the first `{name}` of a text: the text before it, the name, the text after it.
pub(super) fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find('{')?;
        let inside = text.get(open + 1..)?;
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let name = inside.get(..end)?;
        let starts = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if starts && inside.get(end..)?.starts_with('}') {
            return Some((text.get(..open)?, name, inside.get(end + 1..)?));
        }
        from = open + 1;
    }
}

/// The level that the n-th `+` of a filter matches.
fn plus(filter: &str, ordinal: usize) -> TopicPart {
    let levels = filter.split('/').enumerate().filter(|(_, level)| *level == "+");
    match levels.map(|(index, _)| index).nth(ordinal).and_then(|index| u32::try_from(index + 1).ok()) {
        Some(level) => TopicPart::Level(level),
        None => TopicPart::Missing,
    }
}

/// The levels that the `#` of a filter matches.
fn rest(filter: &str, slash: bool) -> TopicPart {
    let Some(index) = filter.split('/').position(|level| level == "#") else { return TopicPart::Missing };
    u32::try_from(index + 1).map_or(TopicPart::Missing, |from| TopicPart::Rest { from, slash })
}

pub(super) fn same(left: &TopicPart, right: &TopicPart) -> bool {
    match (left, right) {
        (TopicPart::Level(left), TopicPart::Level(right)) => left == right,
        (TopicPart::Rest { from: left, .. }, TopicPart::Rest { from: right, .. }) => left == right,
        (TopicPart::Missing, TopicPart::Missing) => true,
        _ => false,
    }
}

/// Joins neighbouring texts and drops empty ones, unless nothing else is left.
pub(super) fn merge(parts: Vec<TopicPart>) -> Vec<TopicPart> {
    let mut merged: Vec<TopicPart> = Vec::new();
    for part in parts {
        match (part, merged.last_mut()) {
            (TopicPart::Text(text), Some(TopicPart::Text(before))) => before.push_str(&text),
            (part, _) => merged.push(part),
        }
    }
    merged.retain(|part| !matches!(part, TopicPart::Text(text) if text.is_empty()));
    if merged.is_empty() {
        merged.push(TopicPart::Text(String::new()));
    }
    merged
}

/// Returns the reason why a topic is invalid in every run.
fn problem(topic: &Topic) -> Option<&'static str> {
    let text = |part: &TopicPart| {
        let TopicPart::Text(text) = part else { return None };
        text.contains(['+', '#', '\0']).then(|| crate::topic::name_problem(text)).flatten()
    };
    topic.constant().map_or_else(|| topic.parts.iter().find_map(text), crate::topic::name_problem)
}

/// Returns the facts about a topic before the run: `None` when it can never be used.
pub(super) fn fact(topic: &Topic, levels: &Levels) -> Option<TopicFact> {
    if topic.is_unresolvable() || problem(topic).is_some() {
        return None;
    }
    Some(pattern_fact(topic, levels))
}

/// Returns the facts about the topics that a computed filter matches.
pub(super) fn filter_fact(topic: &Topic, levels: &Levels) -> TopicFact {
    match pattern_fact(topic, levels) {
        TopicFact::Exact(filter) if filter == "#" => TopicFact::Any,
        TopicFact::Exact(filter) | TopicFact::Pattern(filter)
            if crate::topic::filter_problem(&filter).is_some() =>
        {
            TopicFact::Any
        }
        TopicFact::Exact(filter) if filter.contains(['+', '#']) => TopicFact::Pattern(filter),
        fact @ (TopicFact::Exact(_) | TopicFact::Pattern(_) | TopicFact::Any) => fact,
    }
}

fn pattern_fact(topic: &Topic, levels: &Levels) -> TopicFact {
    /// Stands for a run-time part inside one level.
    const PART: char = '\u{1}';
    let mut pattern = String::new();
    let mut is_open = false;
    for part in &topic.parts {
        match part {
            TopicPart::Text(text) => pattern.push_str(text),
            TopicPart::Level(_) => pattern.push(PART),
            TopicPart::ByFilter(parts)
                if !parts.iter().any(|part| matches!(part, TopicPart::Rest { .. })) =>
            {
                pattern.push(PART);
            }
            TopicPart::Value(value) if levels.hold(value) => pattern.push(PART),
            TopicPart::Rest { slash: true, .. } => {
                pattern.push('/');
                is_open = true;
            }
            TopicPart::ByFilter(_) | TopicPart::Value(_) | TopicPart::Rest { .. } | TopicPart::Missing => {
                is_open = true
            }
        }
        if is_open {
            break;
        }
    }
    if !is_open && !pattern.contains(PART) {
        return TopicFact::Exact(pattern);
    }
    let mut levels: Vec<&str> = pattern.split('/').collect();
    if is_open {
        levels.pop();
        levels.push("#");
    }
    let levels: Vec<&str> =
        levels.into_iter().map(|level| if level.contains(PART) { "+" } else { level }).collect();
    let pattern = levels.join("/");
    if pattern == "#" { TopicFact::Any } else { TopicFact::Pattern(pattern) }
}
