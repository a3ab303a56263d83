//! `DEFINE RULE`: header, conditions, verdicts (LoT reference §3, §10).

use super::expression::Level;
use super::{Parsed, Parser, message};
use crate::check::tree::SessionWord;
use crate::diagnostic::{Draft, codes};
use crate::limits::TREE_DEPTH_MAX;
use crate::source::Span;
use crate::syntax::rule::{DefineRule, RuleBody, RuleCondition, RuleConditionKind, Verdict};
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, Name};
use crate::token::{Sign, TokenKind};

impl Parser<'_, '_> {
    /// Reads the Rule after its name. Errors are reported; the readable parts are returned.
    pub(crate) fn rule(&mut self, name: Name) -> DefineRule {
        let scope = Name { text: String::new(), span: name.span, quoted: false };
        let mut rule = DefineRule { name, priority: 0, scope, topic: None, body: None };
        if self.rule_header(&mut rule).is_err() {
            return rule;
        }
        if self.more_in_header().is_err() {
            return rule;
        }
        self.skip_newlines();
        if self.peek().kind == TokenKind::Indent {
            self.advance();
        }
        self.skip_newlines();
        let start = self.span();
        if let Ok(body) = self.rule_body() {
            let is_told = self.second_verdict(&body, self.column(start));
            rule.body = Some(body);
            if !is_told {
                self.expect_entity_end("the rule");
            }
        }
        rule
    }

    fn rule_header(&mut self, rule: &mut DefineRule) -> Parsed<()> {
        if !(self.eat_keyword("WITH") && self.eat_keyword("PRIORITY")) {
            return self.header_error(&["WITH PRIORITY"], "the name of the rule");
        }
        rule.priority = match self.peek().kind {
            TokenKind::Int(number) => number,
            _ => return self.header_error(&["whole number"], "PRIORITY"),
        };
        self.advance();
        if !self.eat_keyword("FOR") {
            return self.header_error(&["FOR"], "the priority");
        }
        if self.is_word("TOPIC") || self.peek().kind != TokenKind::Word {
            return self.header_error(&["scope such as Publish"], "FOR");
        }
        rule.scope = self.expect_name("FOR")?;
        if self.eat_to_topic()? {
            rule.topic = Some(self.expect_text("TOPIC")?);
        }
        Ok(())
    }

    /// Takes `TO TOPIC` behind the scope; where a part of it is missing, or another word stands for
    /// it, that is reported, and it is as if it stood there.
    fn eat_to_topic(&mut self) -> Parsed<bool> {
        if !self.eat_keyword("TO") {
            let is_other = matches!(self.word(), "ON" | "IN" | "AT" | "OF" | "WITH")
                && (self.word_at(1) == "TOPIC" || self.begins_value(1));
            if !is_other && !self.is_word("TOPIC") && !self.is_text() {
                return Ok(false);
            }
            let message = format!("expected TO TOPIC after the scope, found {}", self.found());
            let draft = Draft::error(codes::EXPECTED_WORD, self.span(), message).expected(&["TO TOPIC"]);
            let (from, topic) = if is_other { (self.span(), 1) } else { (self.span().before(), 0) };
            let is_whole = self.word_at(topic) != "TOPIC";
            let gap = Span { end: self.peek_at(topic).span.start, ..from };
            let ours = if is_whole { "TO TOPIC " } else { "TO " };
            self.sink.push(draft.suggest("write TO TOPIC before the topic").fix(gap, ours));
            (0..topic).for_each(|_| drop(self.advance()));
            self.eat_word("TOPIC");
            return Ok(true);
        }
        if self.is_text() {
            let draft =
                Draft::error(codes::EXPECTED_WORD, self.span(), "expected TOPIC after TO, found STRING");
            let draft = draft.expected(&["TOPIC"]).suggest("write TOPIC before the topic");
            self.sink.push(draft.fix(self.span().before(), "TOPIC "));
            return Ok(true);
        }
        self.expect_word("TOPIC", "TO")?;
        Ok(true)
    }

    /// Reports a verdict or a question below a rule that ended: it lacks its ELSE. `column` is that
    /// in which the rule began.
    fn second_verdict(&mut self, body: &RuleBody, column: u32) -> bool {
        self.skip_newlines();
        let (word, span) = (self.word(), self.span());
        if !matches!(word, "ALLOW" | "DENY" | "IF") {
            return false;
        }
        let draft = Draft::error(codes::AFTER_BODY, span, format!("unexpected {word} after the rule"));
        let is_open = matches!(body, RuleBody::If { otherwise: None, .. }) && self.column(span) == column;
        let draft = match (is_open, word) {
            (true, "IF") => draft.suggest("write ELSE IF").fix(span, "ELSE IF"),
            (true, _) => {
                let ours = format!("ELSE\n{}{word}", " ".repeat(column as usize + 3));
                draft.suggest(format!("write ELSE in its place, and {word} below it, indented")).fix(span, ours)
            }
            (false, _) => draft.suggest(
                "a rule is one verdict, or one IF with ELSE IF and ELSE: what stands behind it is never asked",
            ),
        };
        self.sink.push(draft);
        true
    }

    /// Reports common mistakes behind the header, with their replacement.
    fn more_in_header(&mut self) -> Parsed<()> {
        self.skip_foreign_opener();
        if self.is_keyword("DO") {
            let draft = Draft::error(codes::RULE_HEADER, self.span(), "a rule has no DO");
            let gap = Span { start: self.previous().end, ..self.span() };
            self.sink.push(draft.suggest("end the line before it").fix(gap, ""));
            self.advance();
        }
        if self.peek().kind == TokenKind::Sign(Sign::Comma) || self.is_keyword("OR") || self.is_keyword("AND")
        {
            let message = format!("a rule is about one scope and one topic, found {}", self.found());
            let draft = Draft::error(codes::RULE_HEADER, self.span(), message);
            return self.fail(draft.suggest("write a rule for each; a topic may have + and # in it"));
        }
        Ok(())
    }

    fn header_error<T>(&mut self, what: &[&str], after: &str) -> Parsed<T> {
        let message = format!("expected {} after {after}, found {}", what.join(" or "), self.found());
        let draft = Draft::error(codes::RULE_HEADER, self.here(), message).expected(what);
        self.fail(draft.suggest("write DEFINE RULE name WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\""))
    }

    fn rule_body(&mut self) -> Parsed<RuleBody> {
        self.deeper(|parser| if parser.is_keyword("IF") { parser.rule_if() } else { parser.verdict() })
    }

    fn verdict(&mut self) -> Parsed<RuleBody> {
        let verdict = match self.eat_any(&["ALLOW", "DENY"]) {
            Some("ALLOW") => Verdict::Allow,
            Some(_) => Verdict::Deny,
            None if self.is_keyword("FOR") => {
                let message = format!("{} is no part of a rule", self.word());
                let draft = Draft::error(codes::NOT_LOT, self.span(), message);
                return self.fail(draft.suggest("a rule has IF, ALLOW and DENY alone; keep in a topic what it is to read by GET TOPIC, or ask a MODULE"));
            }
            None => match self.foreign_verdict() {
                Some(verdict) => verdict,
                None => return self.missing(&["ALLOW", "DENY", "IF"], "the line before"),
            },
        };
        if !self.is_line_end() && !self.is_else_at(0) {
            let message = format!("a verdict stands alone, found {}", self.found());
            let draft = Draft::error(codes::NOT_LOT, self.span(), message);
            return self.fail(draft.suggest("write ALLOW or DENY alone; the header says what it is about"));
        }
        Ok(RuleBody::Verdict(verdict))
    }

    /// A verdict as others call it: reported, and read.
    fn foreign_verdict(&mut self) -> Option<Verdict> {
        let (verdict, ours) = match self.word().to_ascii_uppercase().as_str() {
            "REJECT" | "REFUSE" | "BLOCK" | "FORBID" | "DISALLOW" | "DROP" => (Verdict::Deny, "DENY"),
            "ACCEPT" | "PERMIT" | "GRANT" => (Verdict::Allow, "ALLOW"),
            _ => return None,
        };
        let message = format!("{} is no verdict", self.word());
        let draft = Draft::error(codes::NOT_LOT, self.span(), message);
        self.sink.push(draft.suggest(format!("write {ours}")).fix(self.span(), ours));
        self.advance();
        Some(verdict)
    }

    fn rule_if(&mut self) -> Parsed<RuleBody> {
        let mut branches = Vec::new();
        let mut otherwise = None;
        self.eat_keyword("IF");
        loop {
            let condition = self.rule_condition()?;
            self.expect_then("the condition")?;
            branches.push((condition, self.verdict_block("THEN")?));
            self.skip_newlines();
            if !self.is_else_at(0) {
                break;
            }
            if self.eat_else() {
                continue;
            }
            otherwise = Some(Box::new(self.verdict_block("ELSE")?));
            break;
        }
        Ok(RuleBody::If { branches, otherwise })
    }

    fn verdict_block(&mut self, opener: &str) -> Parsed<RuleBody> {
        self.skip_foreign_opener();
        if !self.is_line_end() {
            return self.rule_body();
        }
        self.skip_newlines();
        if self.peek().kind != TokenKind::Indent {
            let span = self.previous();
            let draft = Draft::error(codes::EMPTY_BLOCK, span, format!("empty block after {opener}"));
            return self.fail(draft.suggest("write ALLOW or DENY below, indented by 4 more spaces"));
        }
        self.advance();
        let body = self.rule_body()?;
        self.skip_newlines();
        if self.peek().kind == TokenKind::Dedent {
            self.advance();
            return Ok(body);
        }
        if matches!(self.word(), "ALLOW" | "DENY") {
            let message = format!("a second verdict in one block: {}", self.word());
            let draft = Draft::error(codes::UNEXPECTED_TOKEN, self.here(), message);
            return self.fail(draft.suggest("write ELSE above it, in the column of IF"));
        }
        self.missing(&["end of the block"], "the verdict")
    }

    fn rule_condition(&mut self) -> Parsed<RuleCondition> {
        self.deeper(|parser| {
            let start = parser.span();
            let mut left = parser.rule_and()?;
            while parser.eat_keyword("OR") {
                let right = match parser.value_alone(&left) {
                    Some(read) => read?,
                    None => parser.rule_and()?,
                };
                let kind = RuleConditionKind::Or(Box::new(left), Box::new(right));
                left = parser.rule_node(start, kind)?;
            }
            Ok(left)
        })
    }

    fn rule_and(&mut self) -> Parsed<RuleCondition> {
        let start = self.span();
        let mut left = self.rule_not()?;
        while self.eat_keyword("AND") {
            let right = match self.value_alone(&left) {
                Some(read) => read?,
                None => self.rule_not()?,
            };
            left = self.rule_node(start, RuleConditionKind::And(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    /// A value alone behind OR or AND, `USER IS "ann" OR "bob"`: reported, and read as compared
    /// like the one before.
    fn value_alone(&mut self, left: &RuleCondition) -> Option<Parsed<RuleCondition>> {
        let start = self.span();
        let compared = left.last_compared().filter(|_| self.begins_value(0))?;
        let asked =
            |value: Span| self.slice(Span { end: value.start, ..compared.span }).trim_end().to_owned();
        let (asked, is_user) = match &compared.kind {
            RuleConditionKind::UserIs { name, .. } => (asked(name.span), true),
            RuleConditionKind::Compare { value, .. } => (asked(value.span), false),
            _ => return None,
        };
        if is_user && !self.is_text() || asked.contains(['[', '\n']) {
            return None;
        }
        let (joiner, found) = (self.slice(self.previous()), self.slice(start));
        let message = format!("expected a condition of a rule after {joiner}, found {}", self.found());
        let draft = Draft::error(codes::RULE_CONDITION, start, message);
        let names = format!("; for several names USER IN [\"ann\", {found}]");
        let names = if asked == "USER IS" && joiner == "OR" { &*names } else { "" };
        let draft = draft.suggest(format!("write {joiner} {asked} {found}{names}"));
        self.sink.push(draft.fix(start.before(), format!("{asked} ")));
        let kind = match compared.kind.clone() {
            RuleConditionKind::UserIs { negated, .. } => {
                self.expect_text("USER IS").map(|name| RuleConditionKind::UserIs { negated, name })
            }
            RuleConditionKind::Compare { subject, operator, .. } => {
                self.cast().map(|value| RuleConditionKind::Compare { subject, operator, value })
            }
            other => Ok(other),
        };
        Some(kind.and_then(|kind| self.rule_node(start, kind)))
    }

    fn rule_not(&mut self) -> Parsed<RuleCondition> {
        let start = self.span();
        if self.eat_keyword("NOT") {
            let inner = self.deeper(Self::rule_not)?;
            return self.rule_node(start, RuleConditionKind::Not(Box::new(inner)));
        }
        self.rule_atom()
    }

    /// A node from `start` to here; refused when its tree would be too high.
    fn rule_node(&mut self, start: Span, kind: RuleConditionKind) -> Parsed<RuleCondition> {
        let depth = 1 + kind.children_depth();
        let span = self.span_from(start);
        if usize::from(depth) > TREE_DEPTH_MAX {
            return self.too_deep(span, TREE_DEPTH_MAX);
        }
        Ok(RuleCondition { kind, span, depth })
    }

    fn rule_atom(&mut self) -> Parsed<RuleCondition> {
        let start = self.span();
        if self.is_sign(Sign::OpenParen) && self.is_value_in_parens() {
            let kind = self.compare_atom()?;
            return self.rule_node(start, kind);
        }
        if self.eat_sign(Sign::OpenParen) {
            let inner = self.rule_condition()?;
            self.expect_sign(Sign::CloseParen, "the condition")?;
            return Ok(inner);
        }
        let kind = match self.word() {
            _ if message::is_property(self) => self.compare_atom()?,
            "USER" => self.user_atom()?,
            "MODULE" => {
                self.advance();
                let name = self.expect_text("MODULE")?;
                self.non_portable(name.span, "asking a module");
                RuleConditionKind::Module(name)
            }
            "TOPIC" if self.word_at(1) == "EXISTS" => {
                self.advance();
                self.advance();
                RuleConditionKind::TopicExists(self.chained_topic("EXISTS")?)
            }
            "CLIENTID" | "ENDPOINT" | "TOPIC" | "PAYLOAD" | "GET" => self.compare_atom()?,
            _ => {
                let message = format!("expected a condition of a rule, found {}", self.found());
                let draft = Draft::error(codes::RULE_CONDITION, self.here(), message);
                let draft = self.turned_condition(draft);
                let what =
                    ["USER", "CLIENTID", "ENDPOINT", "TOPIC", "PAYLOAD", "GET TOPIC", "MODULE", "NOT", "`(`"];
                let near =
                    self.misspelt(&["USER", "CLIENTID", "ENDPOINT", "TOPIC", "PAYLOAD", "MODULE", "NOT"]);
                return self.fail(draft.expected(&what).did_you_mean(near));
            }
        };
        self.rule_node(start, kind)
    }

    /// Whether the parentheses that open here enclose a value, which is compared behind them.
    fn is_value_in_parens(&self) -> bool {
        let Some(length) = self.bracket_length(0) else { return false };
        let after = self.peek_at(length);
        let word = self.word_at(length);
        match after.kind {
            TokenKind::Sign(sign) => {
                matches!(
                    sign,
                    Sign::Equal
                        | Sign::EqualEqual
                        | Sign::NotEqual
                        | Sign::Less
                        | Sign::LessEqual
                        | Sign::Greater
                        | Sign::GreaterEqual
                )
            }
            TokenKind::Word => matches!(
                word,
                "IS" | "EQUALS"
                    | "EQUAL"
                    | "CONTAINS"
                    | "STARTS_WITH"
                    | "ENDS_WITH"
                    | "MATCHES"
                    | "IN"
                    | "AS"
            ),
            _ => false,
        }
    }

    /// Suggests a replacement for a condition that begins with a value, or with a function.
    fn turned_condition(&self, draft: Draft) -> Draft {
        let begins_value =
            matches!(self.peek().kind, TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_));
        let is_call = crate::function::call(self.word()).is_some();
        if begins_value {
            draft.suggest("write what is asked about on the left: PAYLOAD > 5, USER IS \"name\"")
        } else if is_call {
            draft.suggest(
                "a rule does not calculate: let an action keep the result, and ask GET TOPIC \"topic\"",
            )
        } else if self.is_sign(Sign::OpenBrace) {
            draft.suggest(
                "a rule has no variables: ask for USER, CLIENTID, TOPIC POSITION n, PAYLOAD or GET TOPIC",
            )
        } else {
            draft
        }
    }

    fn user_atom(&mut self) -> Parsed<RuleConditionKind> {
        let start = self.span();
        self.advance();
        let user = self.node(start, ExpressionKind::Session(SessionWord::User))?;
        if self.eat_word("IS") {
            let negated = self.eat_word("NOT");
            return self.user_is(user, negated);
        }
        if let TokenKind::Sign(sign @ (Sign::Equal | Sign::EqualEqual | Sign::NotEqual)) = self.peek().kind {
            let negated = sign == Sign::NotEqual;
            let is = if negated { "IS NOT" } else { "IS" };
            let message = format!("expected IS, HAS or IN GROUP after USER, found `{}`", sign.text());
            let draft = Draft::error(codes::RULE_CONDITION, self.span(), message);
            self.sink.push(draft.suggest(format!("write {is}")).fix(self.span(), is));
            self.advance();
            return self.user_is(user, negated);
        }
        if self.eat_word("HAS") {
            let negated = self.eat_word("NOT");
            let property = self.expect_name("USER HAS")?;
            let mut compare = None;
            if matches!(self.operator(), Some((_, Level::Comparison, _))) {
                self.non_portable(property.span, "comparing a user property");
                compare = Some(self.comparison("the property")?);
            }
            return Ok(RuleConditionKind::UserHas { negated, property, compare });
        }
        let negated = self.eat_word("NOT");
        if self.eat_word("IN") {
            if self.is_sign(Sign::OpenBracket) {
                return self.user_in_list(start, negated);
            }
            if !self.is_word("GROUP") {
                let message = format!("expected GROUP after IN, found {}", self.found());
                let draft = Draft::error(codes::RULE_CONDITION, self.here(), message).expected(&["GROUP"]);
                return self.fail(
                    draft.suggest("write USER IN GROUP \"ops\", or for names USER IS \"a\" OR USER IS \"b\""),
                );
            }
            self.advance();
            return Ok(RuleConditionKind::InGroup { negated, group: self.expect_text("GROUP")? });
        }
        self.expected(codes::RULE_CONDITION, &["IS", "HAS", "IN GROUP"], "USER")
    }

    /// Behind `USER [NOT] IN`: a list of names, which is `USER IS` for each of them.
    fn user_in_list(&mut self, start: Span, negated: bool) -> Parsed<RuleConditionKind> {
        let open = self.span();
        self.advance();
        let names = self.items(Sign::CloseBracket, "the names", |parser| parser.expect_text("`[`"))?;
        self.non_portable(self.span_from(open), "a list of users");
        if names.is_empty() {
            let draft = Draft::error(codes::RULE_CONDITION, self.span_from(open), "a list without names");
            return self.fail(draft.suggest("write the names: USER IN [\"ann\", \"ben\"]"));
        }
        let mut level = Vec::new();
        for name in names {
            level.push(self.rule_node(start, RuleConditionKind::UserIs { negated, name })?);
        }
        // In pairs, so that the tree of a long list is low.
        while level.len() > 1 {
            let mut above = Vec::new();
            let mut sides = level.into_iter();
            while let Some(left) = sides.next() {
                above.push(match sides.next() {
                    Some(right) => {
                        let (left, right) = (Box::new(left), Box::new(right));
                        let kind = if negated {
                            RuleConditionKind::And(left, right)
                        } else {
                            RuleConditionKind::Or(left, right)
                        };
                        self.rule_node(start, kind)?
                    }
                    None => left,
                });
            }
            level = above;
        }
        Ok(level.pop().map_or(RuleConditionKind::Invalid, |whole| whole.kind))
    }

    /// Reads the operand of `USER IS [NOT]`: a name, or a part of the question with one.
    fn user_is(&mut self, user: Expression, negated: bool) -> Parsed<RuleConditionKind> {
        if !matches!(self.word(), "TOPIC" | "CLIENTID") {
            return Ok(RuleConditionKind::UserIs { negated, name: self.expect_text("USER IS")? });
        }
        let value = self.cast()?;
        self.non_portable(value.span, "comparing USER with what is asked about");
        let operator = if negated { BinaryOperator::NotEqual } else { BinaryOperator::Equal };
        Ok(RuleConditionKind::Compare { subject: user, operator, value })
    }

    fn compare_atom(&mut self) -> Parsed<RuleConditionKind> {
        let subject = self.cast()?;
        let allowed = match &subject.kind {
            ExpressionKind::Cast { value, .. } => {
                matches!(
                    value.kind,
                    ExpressionKind::GetTopic(_)
                        | ExpressionKind::GetJson { .. }
                        | ExpressionKind::Payload
                        | ExpressionKind::UserProperty(_)
                )
            }
            kind => matches!(
                kind,
                ExpressionKind::GetTopic(_)
                    | ExpressionKind::GetJson { .. }
                    | ExpressionKind::Session(_)
                    | ExpressionKind::WindowFigure(_)
                    | ExpressionKind::MessageProperty(_)
                    | ExpressionKind::UserProperty(_)
                    | ExpressionKind::Topic
                    | ExpressionKind::TopicPosition(_)
                    | ExpressionKind::Payload
            ),
        };
        if !allowed {
            let draft = Draft::error(codes::RULE_CONDITION, subject.span, "a rule cannot ask about this");
            return self.fail(draft.suggest(
                "write on the left USER, CLIENTID, ENDPOINT, TOPIC, PAYLOAD, GET JSON \"path\" IN PAYLOAD, GET TOPIC or a property of the message; a rule does not calculate",
            ));
        }
        let (operator, value) = self.comparison("the subject of the condition")?;
        let is_literal = matches!(value.kind, ExpressionKind::Text(_));
        if operator == BinaryOperator::MatchesRegex && !is_literal {
            let draft = Draft::error(codes::BAD_REGEX, value.span, "MATCHES REGEX needs a string");
            return self.fail(draft);
        }
        Ok(RuleConditionKind::Compare { subject, operator, value })
    }
}
