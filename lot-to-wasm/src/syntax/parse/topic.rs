//! Topic operands: how far they extend (LoT reference §5.4, OD-26).

use super::primary::session_word;
use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, TopicOperand};
use crate::token::{Sign, TokenKind};

impl Parser<'_, '_> {
    /// The topic of PUBLISH, KEEP, EXISTS: a chain of parts joined by `+`.
    pub(crate) fn chained_topic(&mut self, after: &str) -> Parsed<TopicOperand> {
        let start = self.span();
        if self.is_line_end() {
            return self.missing(&["topic"], after);
        }
        let mut parts = vec![self.first_topic_part(Self::cast, after)?];
        while self.eat_sign(Sign::Plus) {
            parts.push(self.cast()?);
        }
        Ok(self.topic(start, parts))
    }

    /// The topic of GET TOPIC inside an expression: after the first part, a `+` belongs to the
    /// topic only when a part of a topic evidently follows.
    pub(crate) fn read_topic(&mut self) -> Parsed<TopicOperand> {
        let start = self.span();
        let is_whole = matches!(self.peek().kind, TokenKind::Sign(Sign::OpenParen))
            || crate::function::TRANSFORMS.iter().any(|row| self.is_word(row.keyword));
        // Oldest programs divide the value of a bare name: `GET TOPIC name/2`.
        let is_quotient = matches!(self.peek_at(2).kind, TokenKind::Int(_) | TokenKind::Double(_));
        let first =
            if is_quotient { self.primary() } else { self.first_topic_part(Self::primary, "GET TOPIC") };
        let mut parts = vec![first?];
        while !is_whole && self.is_sign(Sign::Plus) && self.absorbs(&parts) {
            let plus = self.span();
            self.advance();
            let part = self.primary()?;
            self.warn_of_text(start, plus, &parts, &part);
            parts.push(part);
        }
        if !is_whole && self.is_sign(Sign::Plus) && ends_open(&parts) {
            self.warn_of_value(start);
        }
        Ok(self.topic(start, parts))
    }

    /// Warns of a text that continues the topic without a sign of it: the author may have meant the
    /// value.
    fn warn_of_text(&mut self, start: Span, plus: Span, parts: &[Expression], part: &Expression) {
        let ExpressionKind::Text(text) = &part.kind else { return };
        if text.starts_with(['/', '-', '_', '.', ':']) || ends_open(parts) {
            return;
        }
        let (topic, text) = (self.before(start, plus), self.slice(part.span));
        let message = format!("{text} is joined to the topic, not to its value");
        let draft = Draft::warning(codes::TOPIC_OR_VALUE, plus, message);
        let value = format!("for the value write (GET TOPIC {topic}) + {text}");
        self.sink
            .push(draft.suggest(format!("for the topic write GET TOPIC ({topic} + {text})")).suggest(value));
    }

    /// A `+` that adds to the value of a topic that is not at its end: the topic may have been
    /// meant.
    fn warn_of_value(&mut self, start: Span) {
        let plus = self.span();
        let topic = self.before(start, plus);
        let length = match self.peek_at(1).kind {
            TokenKind::Word if self.peek_at(2).kind == TokenKind::Sign(Sign::OpenParen) => {
                self.bracket_length(2).map(|length| length + 1)
            }
            TokenKind::Sign(_) => self.bracket_length(1),
            TokenKind::Int(_) | TokenKind::Double(_) => Some(1),
            _ => None,
        };
        let last = length.map_or(self.rest_of_line(), |length| self.peek_at(length).span);
        let operand = self.slice(Span { start: self.peek_at(1).span.start, ..last });
        let rest = length.map_or("", |length| self.rest_of_sum(length + 1));
        let message = format!("`+` is added to the value of the topic {topic}, not to the topic");
        let draft = Draft::warning(codes::TOPIC_OR_VALUE, plus, message);
        let value = format!("for the value write (GET TOPIC {topic}) + {operand}{rest}");
        self.sink.push(
            draft
                .suggest(format!("for the topic write GET TOPIC ({topic} + {operand}{rest})"))
                .suggest(value),
        );
    }

    /// Returns the rest of a chain of `+` whose next operator is `ahead` tokens further. In a
    /// topic, the chain is the whole topic. Operands are texts, numbers, expressions in brackets,
    /// and words that name a part of a topic.
    fn rest_of_sum(&self, ahead: usize) -> &str {
        let mut end = ahead;
        while self.peek_at(end).kind == TokenKind::Sign(Sign::Plus) {
            let length = match self.peek_at(end + 1).kind {
                TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_) => Some(1),
                TokenKind::Sign(sign) if sign.closing().is_some() => self.bracket_length(end + 1),
                _ => self.topic_part_length(end + 1),
            };
            let Some(length) = length else { break };
            end += 1 + length;
        }
        if end == ahead {
            return "";
        }
        let start = self.peek_at(ahead - 1).span.end;
        self.slice(Span { start, end: self.peek_at(end - 1).span.end })
    }

    /// The text from a place up to another one.
    fn before(&self, start: Span, end: Span) -> String {
        self.slice(Span { start: start.start, end: end.start }).trim_end().to_owned()
    }

    /// The first part of a topic, which may be the whole of one without its quotes.
    fn first_topic_part(
        &mut self,
        part: fn(&mut Self) -> Parsed<Expression>,
        after: &str,
    ) -> Parsed<Expression> {
        let start = self.span();
        if self.is_topic_without_quotes(0)
            && let Some(text) = self.text_without_quotes(after)
        {
            return self.node(start, ExpressionKind::Text(text.value));
        }
        part(self)
    }

    /// Whether the operand after the `+` here is part of the topic.
    fn absorbs(&self, parts: &[Expression]) -> bool {
        if matches!(self.peek_at(1).kind, TokenKind::Text(_)) {
            return true;
        }
        let Some(length) = self.topic_part_length(1) else { return false };
        let after = 1 + length;
        let slash_follows = self.peek_at(after).kind == TokenKind::Sign(Sign::Plus)
            && matches!(&self.peek_at(after + 1).kind, TokenKind::Text(text) if text.starts_with('/'));
        ends_open(parts) || slash_follows
    }

    /// Tokens of a variable, `TOPIC POSITION n`, `PAYLOAD` or session word that begins `ahead`
    /// places further.
    fn topic_part_length(&self, ahead: usize) -> Option<usize> {
        if self.peek_at(ahead).kind == TokenKind::Sign(Sign::OpenBrace) {
            return self.bracket_length(ahead);
        }
        match (self.word_at(ahead), self.word_at(ahead + 1)) {
            ("PAYLOAD", "JSON") => None,
            ("PAYLOAD", _) => Some(1),
            ("TOPIC", "POSITION") => match self.peek_at(ahead + 2).kind {
                TokenKind::Int(_) => Some(3),
                _ => self.bracket_length(ahead + 2).map(|length| length + 2),
            },
            (word, _) => session_word(word).map(|_| 1),
        }
    }

    /// Tokens from an opening bracket to its end.
    pub(crate) fn bracket_length(&self, ahead: usize) -> Option<usize> {
        let mut open = 0usize;
        for length in 0..64 {
            match &self.peek_at(ahead + length).kind {
                TokenKind::Sign(sign) if sign.closing().is_some() => open += 1,
                TokenKind::Sign(sign) if sign.closes() => open = open.saturating_sub(1),
                TokenKind::Newline | TokenKind::End => return None,
                _ => {}
            }
            if open == 0 {
                return (length > 0).then_some(length + 1);
            }
        }
        None
    }

    fn topic(&self, start: Span, mut parts: Vec<Expression>) -> TopicOperand {
        if parts.len() == 1
            && let Some(part) = parts.pop()
        {
            parts = joined_parts(part);
        }
        TopicOperand { parts, span: self.span_from(start) }
    }
}

/// Whether the last part is a text that a topic does not end with.
fn ends_open(parts: &[Expression]) -> bool {
    parts.last().is_some_and(|part| match &part.kind {
        ExpressionKind::Text(text) => text.ends_with(['/', '-', '_', '.', ':']),
        _ => false,
    })
}

/// A parenthesised `"a/" + {b} + "/c"` as its parts: a chain of `+` that begins with a literal in
/// one of its first two places joins texts.
fn joined_parts(part: Expression) -> Vec<Expression> {
    let mut parts = Vec::new();
    let mut rest = part;
    loop {
        match rest {
            Expression {
                kind: ExpressionKind::Binary { operator: BinaryOperator::Add, left, right },
                ..
            } => {
                parts.push(*right);
                rest = *left;
            }
            first => {
                parts.push(first);
                break;
            }
        }
    }
    parts.reverse();
    let is_text = |part: &Expression| matches!(part.kind, ExpressionKind::Text(_));
    if parts.len() == 1 || parts.iter().take(2).any(is_text) {
        return parts;
    }
    vec![sum(parts)]
}

/// The sum that [`joined_parts`] took apart.
fn sum(parts: Vec<Expression>) -> Expression {
    let mut parts = parts.into_iter();
    let first =
        parts.next().unwrap_or(Expression { kind: ExpressionKind::Invalid, span: Span::default(), depth: 1 });
    parts.fold(first, |left, right| {
        let span = left.span.to(right.span);
        let depth = 1 + left.depth.max(right.depth);
        let kind = ExpressionKind::Binary {
            operator: BinaryOperator::Add,
            left: Box::new(left),
            right: Box::new(right),
        };
        Expression { kind, span, depth }
    })
}
