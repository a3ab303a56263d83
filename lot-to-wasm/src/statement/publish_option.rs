//! Options of `PUBLISH TOPIC` and `REPLY`: the parts of a message beside topic and payload.
//!
//! ```text
//! pubOpt   = [ "WITH" | "AND" ]
//!            ( "RETAIN" | "QOS" [ "=" ] number | "QOS0" | "QOS1" | "QOS2" | property ) ;
//! property = "USER" "PROPERTIES" | "USER" "PROPERTY" name "=" value | word value ;
//! word     = "RESPONSE" "TOPIC" | "CORRELATION" "DATA" | "CONTENT" "TYPE" | "MESSAGE" "EXPIRY" ;
//! name     = string | "{" name "}" | "(" value ")" ;
//! ```

use super::{Part, each_expression};
use crate::check::Checker;
use crate::check::tree::{self, MessageProperty};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Expression;
use crate::syntax::parse::option::{self, is_option};
use crate::syntax::parse::{Parsed, Parser, message, message_property_name};
use crate::syntax::sexpr::text;
use crate::token::Sign;

/// Options of a message that is published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PublishOptions {
    /// `QOS n`, default 0.
    pub qos: u8,
    /// `RETAIN`.
    pub retain: bool,
    /// Properties, in source order.
    pub properties: Vec<(Property<Expression>, Span)>,
    /// Span of the options, if there are any: they are not portable (OD-11).
    pub span: Option<Span>,
}

/// A property of a message that is published, with expressions as written or as checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Property<E> {
    /// `USER PROPERTIES`: all User Properties of the message that started the run, before others.
    AllUser,
    /// `USER PROPERTY name = value`. Left out where the value is Empty or Null.
    User {
        /// Its name.
        name: E,
        /// Its value.
        value: E,
    },
    /// One that is there once. Left out where the value is Empty or Null.
    Single(MessageProperty, E),
}

impl<E> Property<E> {
    /// The same with each expression turned into another one.
    fn map<T>(&self, mut turn: impl FnMut(&E) -> T) -> Property<T> {
        match self {
            Property::AllUser => Property::AllUser,
            Property::User { name, value } => Property::User { name: turn(name), value: turn(value) },
            Property::Single(property, value) => Property::Single(*property, turn(value)),
        }
    }
}

/// Message with properties that is published.
#[derive(Debug, Clone)]
pub struct CheckedMessage {
    /// Topic to publish to. An [unresolvable](tree::Topic::is_unresolvable) topic drops the message
    /// with an error record.
    pub topic: tree::Topic,
    /// Payload; sent as canonical text, bytes unchanged.
    pub value: tree::Expression,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The RETAIN flag.
    pub retain: bool,
    /// Properties, in source order.
    pub properties: Vec<Property<tree::Expression>>,
    /// Whether the topic is the message's response topic, whose lack is an error record of its own.
    pub is_reply: bool,
    /// Report for an Empty value.
    pub when_empty: tree::WhenEmpty,
}

/// Reads a value behind which options may follow.
pub(super) fn value(parser: &mut Parser<'_, '_>) -> Parsed<Expression> {
    let outer = std::mem::replace(&mut parser.options_follow, true);
    let value = parser.value();
    parser.options_follow = outer;
    value
}

/// Reads all options that stand here.
pub(super) fn options(parser: &mut Parser<'_, '_>, of: &str) -> Parsed<PublishOptions> {
    let start = parser.span();
    let mut options = PublishOptions::default();
    loop {
        let follows = |parser: &Parser<'_, '_>, ahead: usize| {
            is_option(parser.word_at(ahead)) || message::is_clause_at(parser, ahead)
        };
        if matches!(parser.word(), "WITH" | "AND") && follows(parser, 1) {
            parser.advance();
        }
        if message::is_clause_at(parser, 0) {
            let start = parser.span();
            let property = property(parser)?;
            options.properties.push((property, parser.span_from(start)));
        } else if parser.word() == "RETAIN" {
            parser.advance();
            options.retain = true;
        } else if is_option(parser.word()) {
            options.qos = option::qos(parser)?;
        } else {
            break;
        }
        options.span = Some(parser.span_from(start));
    }
    if let Some(span) = options.span {
        parser.non_portable(span, &format!("an option of {of}"));
    }
    Ok(options)
}

/// Reads a property, whose words stand here.
fn property(parser: &mut Parser<'_, '_>) -> Parsed<Property<Expression>> {
    let single = message::property_at(parser, 0);
    let is_all = parser.word_at(1) == "PROPERTIES";
    parser.advance();
    parser.advance();
    match single {
        Some(property) => Ok(Property::Single(property, value(parser)?)),
        None if is_all => Ok(Property::AllUser),
        None => {
            let name = message::user_property_name(parser)?;
            parser.expect_sign(Sign::Equal, "the name of the property")?;
            Ok(Property::User { name, value: value(parser)? })
        }
    }
}

impl PublishOptions {
    /// Checks the properties. Reports a property that is given twice.
    pub(super) fn check(&self, checker: &mut Checker<'_, '_, '_>) -> Vec<Property<tree::Expression>> {
        for (at, (property, span)) in self.properties.iter().enumerate() {
            let words = match property {
                Property::AllUser => {
                    checker.need_message("USER PROPERTIES", *span);
                    "USER PROPERTIES".to_owned()
                }
                Property::User { .. } => continue,
                Property::Single(property, _) => message_property_name(*property),
            };
            let is_same = |other: &Property<Expression>| match (property, other) {
                (Property::Single(this, _), Property::Single(other, _)) => this == other,
                (Property::AllUser, Property::AllUser) => true,
                _ => false,
            };
            if self.properties.iter().take(at).any(|(other, _)| is_same(other)) {
                let message = format!("{words} stands twice");
                checker.error(Draft::error(codes::DUPLICATE_PROPERTY, *span, message));
            }
        }
        self.properties.iter().map(|(property, _)| property.map(|value| checker.value(value))).collect()
    }

    /// Calls `visit` for each expression.
    pub(super) fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        for (property, _) in &self.properties {
            match property {
                Property::AllUser => {}
                Property::User { name, value } => each_expression([name, value], visit),
                Property::Single(_, value) => each_expression([value], visit),
            }
        }
    }

    /// The options as a nested list shows them behind the value.
    pub(super) fn shown(&self) -> String {
        let qos = if self.qos > 0 { format!(" qos{}", self.qos) } else { String::new() };
        let retain = if self.retain { " retain" } else { "" };
        let properties = self.properties.iter().map(|(property, _)| match property {
            Property::AllUser => " user-properties".to_owned(),
            Property::User { name, value } => format!(" (user-property {} {})", text(name), text(value)),
            Property::Single(property, value) => {
                let words = message_property_name(*property).to_lowercase().replace(' ', "-");
                format!(" ({words} {})", text(value))
            }
        });
        format!("{qos}{retain}{}", properties.collect::<String>())
    }
}
