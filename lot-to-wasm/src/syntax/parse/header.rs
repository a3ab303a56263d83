//! `DEFINE KIND name`: which entity a text holds (LoT reference §1).

use lot_facts::Kind;
use lot_nearest::nearest;

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::limits::NAME_BYTES_MAX;
use crate::source::Span;
use crate::syntax::{Entity, Name};
use crate::token::{Sign, TokenKind};

/// Words after `DEFINE`.
const KINDS: [(&str, Kind); 7] = [
    ("ACTION", Kind::Action),
    ("MODEL", Kind::Model),
    ("RULE", Kind::Rule),
    ("ROUTE", Kind::Route),
    ("PANEL", Kind::Panel),
    ("VISU", Kind::Panel),
    ("THEME", Kind::Theme),
];

/// The kind that a word after `DEFINE` names, in any case.
pub(crate) fn kind_of(word: &str) -> Option<Kind> {
    KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

/// The words after `DEFINE`.
pub(crate) fn kind_words() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().map(|(word, _)| word)
}

impl Parser<'_, '_> {
    /// The whole entity.
    pub(crate) fn entity(&mut self) -> Parsed<Entity> {
        self.skip_newlines();
        self.expect_word("DEFINE", "the start of the text")?;
        let kind = self.entity_kind()?;
        let name = self.entity_name(kind)?;
        self.skip_foreign_opener();
        if name.text.len() > NAME_BYTES_MAX {
            let message = format!("the name has {} bytes, the limit is {NAME_BYTES_MAX}", name.text.len());
            self.sink.push(Draft::error(codes::NAME_TOO_LONG, name.span, message));
        }
        Ok(match kind {
            Kind::Action => Entity::Action(self.action(name)),
            Kind::Model => Entity::Model(self.model(name)),
            Kind::Rule => Entity::Rule(self.rule(name)),
            Kind::Route => Entity::Route(self.route(name)),
            Kind::Panel => Entity::Panel(self.panel(name)),
            Kind::Theme => Entity::Theme(self.theme(name)),
        })
    }

    fn entity_kind(&mut self) -> Parsed<Kind> {
        let word = self.word();
        if let Some(kind) = kind_of(word) {
            let upper = word.to_ascii_uppercase();
            if word != upper {
                self.report_case(&upper);
            }
            self.advance();
            return Ok(kind);
        }
        let names = KINDS.map(|(name, _)| name);
        if word == "THING" {
            let draft = Draft::error(codes::THING_UNSUPPORTED, self.span(), "DEFINE THING is not supported");
            return self.fail(draft.suggest("define a MODEL for data and ACTIONs for behaviour"));
        }
        let foreign = match word {
            "FUNCTION" | "PROCEDURE" | "METHOD" | "FUNCTION_BLOCK" | "PROGRAM" => {
                Some("define an ACTION with INPUT lines, DO, RETURN and OUTPUT, and CALL ACTION it")
            }
            "VARIABLE" | "VAR" | "CONST" | "CONSTANT" | "TAG" => Some(
                "variables belong to an action: SET \"name\" WITH value; what outlives a run is kept: KEEP TOPIC",
            ),
            "BRIDGE" | "CONNECTION" | "DATABASE" | "CONNECTOR" | "SOURCE" | "SINK" => {
                Some("define a ROUTE: DEFINE ROUTE Name WITH TYPE MQTT_BRIDGE")
            }
            "TRIGGER" | "TIMER" | "EVENT" | "ALARM" | "ALERT" | "FLOW" | "JOB" => {
                Some("define an ACTION with a trigger")
            }
            "TABLE" | "STRUCT" | "TYPE" | "CLASS" | "OBJECT" => Some("define a MODEL"),
            "PERMISSION" | "ACL" | "POLICY" | "USER" => Some("define a RULE"),
            "DASHBOARD" | "PAGE" => Some("define a PANEL"),
            _ => None,
        };
        if let Some(foreign) = foreign {
            let message = format!("expected a kind of entity after DEFINE, found {word}");
            let draft = Draft::error(codes::UNKNOWN_ENTITY, self.here(), message).expected(&names);
            return self.fail(draft.suggest(foreign));
        }
        let hint = nearest(word, names);
        let message = format!("expected a kind of entity after DEFINE, found {}", self.found());
        let draft = Draft::error(codes::UNKNOWN_ENTITY, self.here(), message).expected(&names);
        self.fail(draft.did_you_mean(hint))
    }

    fn entity_name(&mut self, kind: Kind) -> Parsed<Name> {
        let may_be_quoted = matches!(kind, Kind::Panel | Kind::Theme);
        let start = self.span();
        if let TokenKind::Text(text) = &self.peek().kind {
            let name = Name { text: text.clone(), span: start, quoted: true };
            if !may_be_quoted {
                let message = "STRING found where IDENTIFIER was expected";
                let draft = Draft::error(codes::QUOTED_NAME, start, message);
                self.sink.push(match bare_name(&name.text) {
                    Some(bare) => {
                        draft.suggest(format!("write the name without quotes: {bare}")).fix(start, bare)
                    }
                    None => draft.suggest("write a name of letters, digits and _, without quotes"),
                });
            }
            self.advance();
            return Ok(name);
        }
        if let TokenKind::Int(_) | TokenKind::Double(_) = self.peek().kind {
            let message = format!("expected name after the kind of entity, found {}", self.found());
            let draft = Draft::error(codes::EXPECTED_NAME, start, message);
            let place = Span { end: start.start, ..start };
            self.sink.push(draft.suggest("a name begins with a letter or _").fix(place, "_"));
        } else if self.peek().kind != TokenKind::Word {
            return self.missing(&["name"], "the kind of entity");
        }
        self.advance();
        // Names may contain `-` and `.`, so tokens that touch belong together.
        while self.peek().span.start == self.previous().end && self.continues_name() {
            self.advance();
        }
        let span = self.span_from(start);
        let text = self.slice(span).to_owned();
        if text.contains(['-', '.']) {
            let message = format!("name `{text}` has a character that other brokers may refuse");
            let hint = format!("every broker takes `{}`", text.replace(['-', '.'], "_"));
            self.sink.push(Draft::warning(codes::ENTITY_NAME, span, message).suggest(hint));
        }
        Ok(Name { text, span, quoted: false })
    }

    fn continues_name(&self) -> bool {
        matches!(
            self.peek().kind,
            TokenKind::Word
                | TokenKind::Int(_)
                | TokenKind::Double(_)
                | TokenKind::Sign(Sign::Minus | Sign::Dot)
        )
    }

    /// Reports further tokens after an entity is complete.
    pub(crate) fn expect_entity_end(&mut self, what: &str) {
        while self.peek().kind == TokenKind::Newline || self.peek().kind == TokenKind::Dedent {
            self.advance();
        }
        if !self.is_end() {
            let found = self.found();
            let span: Span = self.span();
            let message = format!("unexpected {found} after {what}");
            let draft = Draft::error(codes::AFTER_BODY, span, message);
            let is_flat = self.column(span) == 1;
            let hint = "indent the lines below DEFINE by 4 spaces".to_owned();
            let near = self.misspelt_else();
            self.sink.push(draft.did_you_mean(near).suggest_if(is_flat.then_some(hint)));
        }
    }
}

/// A name in quotes as it may stand without them: characters that no name has become `_`.
fn bare_name(text: &str) -> Option<String> {
    let is_usual = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let bare: String = text.trim().chars().map(|c| if is_usual(c) { c } else { '_' }).collect();
    bare.starts_with(|c: char| c.is_alphabetic() || c == '_').then_some(bare)
}
