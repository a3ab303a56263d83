//! `DEFINE ROUTE`: blocks of settings (LoT reference §3, §11). The check of the route's type
//! validates keys and sections.

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::syntax::route::{AddBlock, DefineRoute, RouteItem, Setting};
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, Name, Path};
use crate::token::{Sign, TokenKind};

impl Parser<'_, '_> {
    /// Reads the Route after its name. Errors are reported; the readable parts are returned.
    pub(crate) fn route(&mut self, name: Name) -> DefineRoute {
        let mut route = DefineRoute { name, kind: None, items: Vec::new() };
        route.kind = self.route_type().ok();
        if route.kind.is_none() {
            self.skip_line();
        }
        route.items = self.route_items(None);
        self.expect_entity_end("the route");
        route
    }

    fn route_type(&mut self) -> Parsed<Name> {
        if !(self.eat_keyword("WITH") && self.eat_keyword("TYPE")) {
            let message = format!("expected WITH TYPE after the name of the route, found {}", self.found());
            let draft = Draft::error(codes::ROUTE_TYPE, self.here(), message).expected(&["WITH TYPE"]);
            return self.fail(draft.suggest("write DEFINE ROUTE name WITH TYPE MQTT_BRIDGE"));
        }
        if self.peek().kind != TokenKind::Word {
            let message = format!("expected a type after WITH TYPE, found {}", self.found());
            return self.fail(Draft::error(codes::ROUTE_TYPE, self.here(), message));
        }
        let mut kind = self.expect_name("TYPE")?;
        while self.is_sign(Sign::Minus) && self.touches(0) && self.touches(1) && !self.word_at(1).is_empty() {
            kind.text = format!("{}-{}", kind.text, self.word_at(1));
            kind.span = kind.span.to(self.peek_at(1).span);
            self.advance();
            self.advance();
        }
        self.expect_line_end("the type of the route")?;
        Ok(kind)
    }

    fn route_items(&mut self, inside: Option<&str>) -> Vec<RouteItem> {
        let mut items = Vec::new();
        self.lines(|parser| {
            let item = match parser.word() {
                "ADD" => RouteItem::Block(parser.deeper(|parser| parser.route_block(inside))?),
                "STORE" if inside.is_none() => parser.route_store()?,
                "WITH" if parser.word_at(1).eq_ignore_ascii_case("EVERY") => parser.route_every()?,
                "WITH" => parser.setting()?,
                word if !word.is_empty() && parser.begins_value(1) => {
                    parser.missing_first_word("WITH", &["ADD", "WITH"]);
                    parser.setting()?
                }
                _ => return parser.missing(&["ADD", "WITH"], "the line before"),
            };
            items.push(item);
            Ok(())
        });
        items
    }

    fn route_block(&mut self, inside: Option<&str>) -> Parsed<AddBlock> {
        self.advance();
        let kind = self.expect_name("ADD")?;
        match kind.text.to_ascii_uppercase().as_str() {
            "METADATA" => {
                let message = "METADATA is for templates, and no part of a route";
                let draft = Draft::error(codes::ADD_METADATA, kind.span, message).unless_stored();
                self.sink.push(draft.suggest("remove the block"));
            }
            "TAG" if inside != Some("MAPPING") => {
                let draft = Draft::error(codes::TAG_OUTSIDE_MAPPING, kind.span, "TAG outside of a MAPPING");
                return self.fail(draft.suggest("indent ADD TAG below ADD MAPPING"));
            }
            _ => {}
        }
        let name = if self.is_line_end() { None } else { Some(self.expect_name("the kind of block")?) };
        self.expect_line_end("ADD")?;
        let items = self.route_items(Some(&kind.text.to_ascii_uppercase()));
        Ok(AddBlock { kind, name, items })
    }

    fn route_store(&mut self) -> Parsed<RouteItem> {
        let start = self.span();
        self.advance();
        let route = self.expect_name("STORE")?;
        self.expect_word("WITH", "the storage route")?;
        let key = self.expect_name("WITH")?;
        let target = self.expect_text("the key")?;
        self.non_portable(start, "STORE in a route");
        self.expect_line_end("STORE")?;
        Ok(RouteItem::Store { route, key, target })
    }

    fn route_every(&mut self) -> Parsed<RouteItem> {
        let start = self.span();
        self.advance();
        self.advance();
        let interval = crate::trigger::every::fixed_interval(self)?;
        let span = self.span_from(start);
        self.expect_line_end("the interval")?;
        Ok(RouteItem::Every(interval, span))
    }

    /// `WITH KEY value`; without its WITH, too, which is reported then.
    fn setting(&mut self) -> Parsed<RouteItem> {
        self.eat_word("WITH");
        let key = self.expect_name("WITH")?;
        let value = if self.is_line_end() { None } else { Some(joined(self.setting_value()?)) };
        self.no_number_with_more()?;
        self.expect_line_end("the value")?;
        Ok(RouteItem::Setting(Setting { key, value }))
    }

    /// Reports text that touches a number, as in `0x4020` and `10s`.
    fn no_number_with_more(&mut self) -> Parsed<()> {
        let is_number = self.slice(self.previous()).starts_with(|sign: char| sign.is_ascii_digit());
        let touching = self.touching().filter(|_| is_number && !self.is_line_end()).map(|(hint, _)| hint);
        // As in `3.1.1`, a version.
        let has_dots = is_number && self.touches(0) && self.slice(self.span()).starts_with('.');
        let dots = "a number has one dot at most: write the value in quotation marks";
        let Some(hint) = touching.or_else(|| has_dots.then(|| dots.to_owned())) else { return Ok(()) };
        let message = format!("expected the end of the line after the value, found {}", self.found());
        let draft = Draft::error(codes::AFTER_LINE, self.span(), message).suggest(hint);
        self.fail(draft.note("a text in quotation marks is handed on as it stands"))
    }

    /// A value, or a word that means text although it is a keyword elsewhere: `WITH DIRECTION IN`.
    fn setting_value(&mut self) -> Parsed<Expression> {
        let start = self.span();
        if self.is_word("GET") && self.begins_value(1) {
            self.advance();
            return self.missing(&["ENV", "SECRET"], "GET");
        }
        let is_operator = ["IN", "OR", "AND", "IS", "NOT", "MATCHES"]
            .iter()
            .any(|word| self.word().eq_ignore_ascii_case(word));
        if !is_operator {
            return self.value();
        }
        let word = self.expect_name("the key")?;
        let path = Path { name: word.text, steps: Vec::new(), span: word.span };
        self.node(start, ExpressionKind::Name(path))
    }
}

/// Texts that are joined by `+`, and nothing else, are one text wherever a setting is looked at.
fn joined(value: Expression) -> Expression {
    match text_of(&value) {
        Some(text) => Expression { kind: ExpressionKind::Text(text), ..value },
        None => value,
    }
}

/// Text of a sum of literals with a text among its operands: two numbers are none.
fn text_of(value: &Expression) -> Option<String> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "every other operand is known later")]
    fn operand(value: &Expression) -> Option<String> {
        match &value.kind {
            ExpressionKind::Text(text) => Some(text.clone()),
            ExpressionKind::Int(number) => Some(number.to_string()),
            ExpressionKind::Name(path) => Some(path.to_string()),
            _ => text_of(value),
        }
    }
    let ExpressionKind::Binary { operator: BinaryOperator::Add, left, right } = &value.kind else {
        return None;
    };
    let is_number = |side: &Expression| matches!(side.kind, ExpressionKind::Int(_));
    if is_number(left) && is_number(right) {
        return None;
    }
    Some(operand(left)? + &operand(right)?)
}
