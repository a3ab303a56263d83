//! Properties of MQTT 5.0: those of the message as values, and the beginnings of clauses about
//! those of a published message.
//!
//! Their words are keywords only side by side: each alone is a name as any other.

use super::{Parsed, Parser};
use crate::check::tree::MessageProperty;
use crate::source::Span;
use crate::syntax::{Expression, ExpressionKind};
use crate::token::{Sign, TokenKind};

/// Both words of each property that is there once.
const PROPERTIES: [(&str, &str, MessageProperty); 4] = [
    ("RESPONSE", "TOPIC", MessageProperty::ResponseTopic),
    ("CORRELATION", "DATA", MessageProperty::CorrelationData),
    ("CONTENT", "TYPE", MessageProperty::ContentType),
    ("MESSAGE", "EXPIRY", MessageProperty::MessageExpiry),
];

/// The words of a property.
pub(crate) fn message_property_name(property: MessageProperty) -> String {
    let row = PROPERTIES.iter().find(|(_, _, known)| *known == property);
    row.map_or(String::new(), |(first, second, _)| format!("{first} {second}"))
}

/// The property that the words `ahead` places after the next one name, if they name one that is
/// there once.
pub(crate) fn property_at(parser: &Parser<'_, '_>, ahead: usize) -> Option<MessageProperty> {
    let words = (parser.word_at(ahead), parser.word_at(ahead + 1));
    PROPERTIES.iter().find(|(first, second, _)| words == (*first, *second)).map(|(_, _, property)| *property)
}

/// Whether a value begins here that is a property of the message.
pub(super) fn is_property(parser: &Parser<'_, '_>) -> bool {
    property_at(parser, 0).is_some() || (parser.word() == "USER" && parser.word_at(1) == "PROPERTY")
}

/// Whether a clause about a property of a published message begins `ahead` tokens after the next
/// word.
pub(crate) fn is_clause_at(parser: &Parser<'_, '_>, ahead: usize) -> bool {
    let is_user =
        parser.word_at(ahead) == "USER" && matches!(parser.word_at(ahead + 1), "PROPERTY" | "PROPERTIES");
    is_user || property_at(parser, ahead).is_some()
}

/// Reads a property of the message, both of whose words stand here.
pub(super) fn property(parser: &mut Parser<'_, '_>, start: Span) -> Parsed<Expression> {
    let property = property_at(parser, 0);
    parser.advance();
    parser.advance();
    let kind = match property {
        Some(property) => ExpressionKind::MessageProperty(property),
        None => ExpressionKind::UserProperty(Box::new(user_property_name(parser)?)),
    };
    parser.non_portable(parser.span_from(start), "a property of the message");
    parser.node(start, kind)
}

/// Reads the name of a User Property: a string, a variable, or an expression in parentheses.
pub(crate) fn user_property_name(parser: &mut Parser<'_, '_>) -> Parsed<Expression> {
    match parser.peek().kind {
        TokenKind::Text(_) | TokenKind::Sign(Sign::OpenParen | Sign::OpenBrace) => parser.primary(),
        _ => parser.missing(&["STRING", "{variable}", "`(`"], "USER PROPERTY"),
    }
}
