//! Primary expressions: literals, variables, values from outside, and everything in brackets (LoT
//! reference §3, §5.2).

use super::{Parsed, Parser, Reported, habit, message, window};
use crate::check::json_path;
use crate::check::tree::{SessionWord, SettingStore};
use crate::diagnostic::{Draft, codes};
use crate::function;
use crate::source::Span;
use crate::syntax::{
    Expression, ExpressionKind, Member, Path, PathStep, Random, RandomKind, Text, TimestampOf,
};
use crate::token::{Sign, TokenKind};

/// Words about the client of the trigger, §7.6.
pub(crate) const SESSION_WORDS: [(&str, SessionWord); 7] = [
    ("CLIENTID", SessionWord::ClientId),
    ("USER", SessionWord::User),
    ("ENDPOINT", SessionWord::Endpoint),
    ("CLEANSESSION", SessionWord::CleanSession),
    ("DISCONNECTREASON", SessionWord::DisconnectReason),
    ("SUBSCRIBETOPIC", SessionWord::SubscribeTopic),
    ("SUBSCRIBEQOS", SessionWord::SubscribeQos),
];

/// The session word that a keyword is.
pub(crate) fn session_word(keyword: &str) -> Option<SessionWord> {
    SESSION_WORDS.iter().find(|(word, _)| *word == keyword).map(|(_, session)| *session)
}

/// The keyword of a session word.
pub(crate) fn session_name(word: SessionWord) -> &'static str {
    SESSION_WORDS.iter().find(|(_, session)| *session == word).map_or("", |(name, _)| name)
}

impl Parser<'_, '_> {
    /// An operand without operators around it.
    pub(crate) fn primary(&mut self) -> Parsed<Expression> {
        let start = self.span();
        if let Some(number) = self.fraction(start) {
            return number;
        }
        match self.peek().kind.clone() {
            TokenKind::Int(number) => self.leaf(ExpressionKind::Int(number)),
            TokenKind::Double(number) => self.leaf(ExpressionKind::Double(number)),
            TokenKind::Text(text) => self.leaf(ExpressionKind::Text(text)),
            TokenKind::Sign(Sign::OpenParen) => self.parenthesised(),
            TokenKind::Sign(Sign::OpenBracket) => self.array(),
            TokenKind::Sign(Sign::OpenBrace) => self.brace(),
            TokenKind::Word => self.word_primary(start),
            _ => self.no_expression(),
        }
    }

    fn leaf(&mut self, kind: ExpressionKind) -> Parsed<Expression> {
        let start = self.span();
        self.advance();
        self.node(start, kind)
    }

    fn no_expression<T>(&mut self) -> Parsed<T> {
        if self.peek().kind == TokenKind::Unknown {
            return Err(Reported);
        }
        let is_third_equal = self.is_sign(Sign::Equal) && self.slice(self.previous()).ends_with('=');
        if is_third_equal {
            let draft =
                Draft::error(codes::UNKNOWN_OPERATOR, self.span(), "unexpected `=` after an operator");
            return self.fail(draft.suggest("equality is ==, inequality is !=").fix(self.span(), ""));
        }
        let draft = self.turned_comparison().or_else(|| self.percentage()).or_else(|| self.foreign_signs());
        if let Some(draft) = draft {
            return self.fail(draft);
        }
        let message = format!("expected a value, found {}", self.found());
        let draft = Draft::error(codes::EXPECTED_EXPRESSION, self.here(), message);
        if self.is_word("IF") {
            return self
                .fail(draft.suggest("put the IF in parentheses: (IF condition THEN value ELSE value)"));
        }
        self.fail(draft.expected(&["number", "STRING", "{variable}", "PAYLOAD", "TOPIC", "GET", "`(`"]))
    }

    fn word_primary(&mut self, start: Span) -> Parsed<Expression> {
        let word = self.word();
        if let Some(literal) = literal(word) {
            return self.leaf(literal);
        }
        if let Some(row) = function::TRANSFORMS.iter().find(|row| row.keyword == word) {
            self.advance();
            return self.deeper(|parser| (row.prefix)(parser, start));
        }
        if message::is_property(self) {
            return self.deeper(|parser| message::property(parser, start));
        }
        if let Some(session) = session_word(word) {
            return self.leaf(ExpressionKind::Session(session));
        }
        // Most of these words take a value, which may begin with such a word again.
        self.deeper(|parser| parser.word_with_operands(start))
    }

    fn word_with_operands(&mut self, start: Span) -> Parsed<Expression> {
        let word = self.word();
        match word {
            "PAYLOAD" => self.payload(start),
            "TOPIC" => self.topic_word(start),
            "GET" => self.get(start),
            "TIMESTAMP" => self.timestamp(start),
            "LOCAL" if self.is_local_timestamp() => self.local_timestamp(start),
            "RANDOM" => self.random(start),
            "RESULT" => self.leaf(ExpressionKind::Result),
            "USING" if function::TRANSFORMS.iter().any(|row| row.keyword == self.word_at(1)) => {
                self.advance();
                self.primary()
            }
            "MESSAGE" => self.message_word(),
            "WINDOW" if self.peek_at(1).kind == TokenKind::Word => window::figure(self, start),
            _ if self.peek_at(1).kind == TokenKind::Sign(Sign::OpenParen) => self.call(start),
            _ if is_clause(word) => self.no_expression(),
            _ => {
                if let Some(draft) = self.function_without_parentheses() {
                    return self.fail(draft);
                }
                if word == "CASE" {
                    let draft = Draft::error(codes::NOT_LOT, start, "CASE is no value");
                    return self.fail(draft.suggest("write IF condition THEN value ELSE value"));
                }
                if self.peek_at(1).kind == TokenKind::Sign(Sign::Dot)
                    && self.peek_at(3).kind == TokenKind::Sign(Sign::OpenParen)
                {
                    self.advance();
                    if self.is_method_call() {
                        return self.method_call();
                    }
                }
                let path = self.path("the name")?;
                self.node(start, ExpressionKind::Name(path))
            }
        }
    }

    /// `PAYLOAD` or `PAYLOAD JSON path`.
    fn payload(&mut self, start: Span) -> Parsed<Expression> {
        self.advance();
        let payload = self.node(start, ExpressionKind::Payload)?;
        if self.is_method_call() {
            return self.method_call();
        }
        if let Some(Text { value, span }) = self.payload_member(start) {
            let path = Box::new(Expression { span, ..self.node(start, ExpressionKind::Text(value))? });
            return self.node(start, ExpressionKind::GetJson { path, source: Some(Box::new(payload)) });
        }
        if !self.is_word("JSON") {
            return Ok(payload);
        }
        self.advance();
        let path = self.json_path_operand(true)?;
        let kind = ExpressionKind::GetJson { path: Box::new(path), source: Some(Box::new(payload)) };
        self.node(start, kind)
    }

    /// `TOPIC`, `TOPIC POSITION n` or `TOPIC EXISTS t`.
    fn topic_word(&mut self, start: Span) -> Parsed<Expression> {
        self.advance();
        if self.eat_word("POSITION") {
            let position = self.position_operand()?;
            return self.node(start, ExpressionKind::TopicPosition(Box::new(position)));
        }
        if let Some(level) = self.foreign_topic_level(start) {
            return level;
        }
        if self.eat_word("EXISTS") {
            let topic = self.chained_topic("EXISTS")?;
            return self.node(start, ExpressionKind::TopicExists(Box::new(topic)));
        }
        if self.in_model && self.is_text() {
            let text = self.expect_text("TOPIC")?;
            return self.node(start, ExpressionKind::LiveTopic(Box::new(text)));
        }
        self.node(start, ExpressionKind::Topic)
    }

    /// Reads a number, a variable or a parenthesised expression. Tokens after it are not part of
    /// the position.
    fn position_operand(&mut self) -> Parsed<Expression> {
        let is_operand = match self.peek().kind {
            TokenKind::Int(_) | TokenKind::Sign(Sign::OpenParen | Sign::OpenBrace) => true,
            // A negative number is refused with a better message than a missing one.
            TokenKind::Sign(Sign::Minus) => return self.cast(),
            _ => false,
        };
        if is_operand {
            return self.primary();
        }
        self.missing(&["whole number", "{variable}", "`(`"], "TOPIC POSITION")
    }

    fn get(&mut self, start: Span) -> Parsed<Expression> {
        self.advance();
        let kind = match self.word() {
            "TOPIC" => {
                self.advance();
                if self.is_word("VALUE") {
                    let draft = Draft::error(codes::NOT_LOT, self.span(), "GET TOPIC VALUE is not LoT");
                    return self.fail(draft.suggest("write GET TOPIC \"topic\""));
                }
                ExpressionKind::GetTopic(Box::new(self.read_topic()?))
            }
            "JSON" => {
                self.advance();
                let path = Box::new(self.json_path_operand(false)?);
                let source = if self.eat_in() { Some(Box::new(self.primary()?)) } else { None };
                ExpressionKind::GetJson { path, source }
            }
            "ENV" => {
                self.advance();
                ExpressionKind::GetSetting(SettingStore::Environment, Box::new(self.expect_text("ENV")?))
            }
            "SECRET" => {
                self.advance();
                ExpressionKind::GetSetting(SettingStore::Secret, Box::new(self.expect_text("SECRET")?))
            }
            "MODEL" => {
                self.advance();
                ExpressionKind::GetModel(Box::new(self.model_query()?))
            }
            _ if self.is_text() && self.word_at(1) != "FROM" => {
                let what = ["TOPIC", "JSON", "ENV", "SECRET", "MODEL"];
                let message = "expected TOPIC, JSON, ENV, SECRET or MODEL after GET, found STRING";
                let draft = Draft::error(codes::EXPECTED_WORD, self.span(), message).expected(&what);
                let place = Span { end: self.span().start, ..self.span() };
                self.sink.push(draft.suggest("write TOPIC before the topic").fix(place, "TOPIC "));
                ExpressionKind::GetTopic(Box::new(self.read_topic()?))
            }
            "PAYLOAD" => {
                let draft = Draft::error(codes::EXPECTED_WORD, self.span(), "GET before PAYLOAD");
                let gap = Span { end: self.span().start, ..start };
                return self.fail(
                    draft
                        .suggest("write PAYLOAD alone, or GET JSON \"path\" IN PAYLOAD for a member")
                        .fix(gap, ""),
                );
            }
            _ => {
                let what = ["TOPIC", "JSON", "ENV", "SECRET", "MODEL"];
                return self.missing(&what, "GET");
            }
        };
        self.node(start, kind)
    }

    /// Takes the IN of GET JSON; another word for it is reported, and taken, and one that is
    /// missing is reported.
    fn eat_in(&mut self) -> bool {
        if matches!(self.word(), "PAYLOAD" | "GET") || self.is_sign(Sign::OpenBrace) {
            let message = format!("expected IN after the path, found {}", self.found());
            let draft = Draft::error(codes::EXPECTED_WORD, self.span(), message);
            let place = Span { end: self.span().start, ..self.span() };
            self.sink.push(draft.suggest("write IN before what is read").fix(place, "IN "));
            return true;
        }
        if !matches!(self.word(), "FROM" | "OF") {
            return self.eat_word("IN");
        }
        let message = format!("expected IN after the path, found {}", self.word());
        let draft = Draft::error(codes::EXPECTED_WORD, self.span(), message);
        self.sink.push(draft.suggest("write IN").fix(self.span(), "IN"));
        self.advance();
        true
    }

    /// The path of GET JSON: a string, a variable or an expression in parentheses; after
    /// `PAYLOAD JSON` also a bare path. A string that is no path by itself and goes on with `+`
    /// begins a sum: behind a whole path `+` adds to the member.
    fn json_path_operand(&mut self, bare: bool) -> Parsed<Expression> {
        let start = self.span();
        let goes_on = self.peek_at(1).kind == TokenKind::Sign(Sign::Plus);
        match &self.peek().kind {
            TokenKind::Text(text) if goes_on && json_path::parse(text).is_none() => {
                self.non_portable(start, "a computed path");
                self.sum()
            }
            TokenKind::Sign(Sign::OpenParen) => {
                self.non_portable(start, "a computed path");
                self.primary()
            }
            TokenKind::Text(_) | TokenKind::Sign(Sign::OpenBrace) => self.primary(),
            TokenKind::Word if bare => {
                let path = self.path("JSON")?;
                self.node(start, ExpressionKind::Text(path.to_string()))
            }
            _ => self.json_path_missing(start),
        }
    }

    /// Reports the token in place of a path.
    fn json_path_missing(&mut self, start: Span) -> Parsed<Expression> {
        let what = ["STRING", "{variable}", "`(`"];
        let is_keyword = self.word().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if is_keyword {
            if matches!(self.word(), "PAYLOAD" | "IN") {
                let message = format!("expected the path after JSON, found {}", self.word());
                let draft = Draft::error(codes::EXPECTED_TEXT, self.span(), message).expected(&what);
                return self.fail(draft.suggest("write the path first: GET JSON \"path\" IN PAYLOAD"));
            }
            return self.missing(&what, "JSON");
        }
        let path = self.path("JSON")?;
        let span = self.span_from(start);
        let draft = Draft::error(codes::EXPECTED_TEXT, span, format!("path without quotes: {path}"));
        let quoted = format!("\"{path}\"");
        self.fail(draft.expected(&what).suggest(format!("write GET JSON {quoted}")).fix(span, quoted))
    }

    fn timestamp(&mut self, start: Span) -> Parsed<Expression> {
        self.advance();
        if self.is_word("LOCAL") {
            let words = self.span_from(start).to(self.span());
            let draft = Draft::error(codes::NOT_LOT, self.span(), "LOCAL stands before TIMESTAMP");
            self.sink.push(draft.suggest("write LOCAL TIMESTAMP").fix(words, "LOCAL TIMESTAMP"));
            self.advance();
            return self.shown_time(start, true);
        }
        self.shown_time(start, false)
    }

    /// Whether these are the words `LOCAL TIMESTAMP`, and not a name and one that takes a value.
    pub(super) fn is_local_timestamp(&self) -> bool {
        self.is_word("LOCAL")
            && self.word_at(1) == "TIMESTAMP"
            && self.peek_at(2).kind != TokenKind::Sign(Sign::Equal)
    }

    /// `LOCAL TIMESTAMP ["F"] [OF x]`: the time on the clocks of the broker's time zone.
    fn local_timestamp(&mut self, start: Span) -> Parsed<Expression> {
        self.advance();
        self.advance();
        let words = self.span_from(start);
        self.non_portable(words, "LOCAL TIMESTAMP");
        self.shown_time(start, true)
    }

    /// `["F"] [OF x]`, behind `TIMESTAMP`. The time behind OF may have a cast:
    /// `OF {t} AS TIMESTAMP`.
    fn shown_time(&mut self, start: Span, is_local: bool) -> Parsed<Expression> {
        let format = self.timestamp_format()?;
        if self.eat_word("OF") {
            self.non_portable(self.previous(), "OF behind TIMESTAMP");
            let instant = self.cast()?;
            return self.node(
                start,
                ExpressionKind::TimestampOf(Box::new(TimestampOf { is_local, format, instant })),
            );
        }
        let kind = if is_local { ExpressionKind::LocalTimestamp } else { ExpressionKind::Timestamp };
        self.node(start, kind(format))
    }

    /// Reads the format behind TIMESTAMP: `["WITH"] ["F"]`.
    fn timestamp_format(&mut self) -> Parsed<Option<Box<Text>>> {
        if self.is_word("WITH") && matches!(self.peek_at(1).kind, TokenKind::Text(_)) {
            self.advance();
        }
        self.take_off_parentheses();
        if self.is_text() { Ok(Some(Box::new(self.expect_text("TIMESTAMP")?))) } else { Ok(None) }
    }

    /// Parentheses round the one text that follows are reported, and read as none.
    fn take_off_parentheses(&mut self) {
        let is_in_parens = self.is_sign(Sign::OpenParen)
            && matches!(self.peek_at(1).kind, TokenKind::Text(_))
            && self.peek_at(2).kind == TokenKind::Sign(Sign::CloseParen);
        if is_in_parens {
            let (text, end) = (self.slice(self.peek_at(1).span), self.peek_at(2).span);
            let whole = Span { start: self.previous().end, ..end };
            let draft = Draft::error(codes::NOT_LOT, self.span(), "the pattern stands without parentheses");
            self.sink.push(draft.suggest(format!("write TIMESTAMP {text}")).fix(whole, format!(" {text}")));
            self.tokens.remove(self.at + 2);
            self.tokens.remove(self.at);
        }
    }

    fn random(&mut self, start: Span) -> Parsed<Expression> {
        self.advance();
        let kind = match self.eat_any(&["UUID", "INT", "DOUBLE"]) {
            Some("UUID") => RandomKind::Uuid,
            Some("INT") => RandomKind::Int,
            Some(_) => RandomKind::Double,
            None => RandomKind::Untyped,
        };
        let mut bounds = None;
        if kind != RandomKind::Uuid {
            if self.is_sign(Sign::OpenParen) {
                let draft =
                    Draft::error(codes::NOT_LOT, self.span(), "RANDOM has no arguments in parentheses");
                return self.fail(draft.suggest(
                    "write RANDOM INT BETWEEN 1 AND 6, RANDOM DOUBLE BETWEEN 0 AND 1 or RANDOM UUID",
                ));
            }
            if !self.eat_keyword("BETWEEN") {
                let what: &[&str] = if kind == RandomKind::Untyped {
                    &["UUID", "INT", "DOUBLE", "BETWEEN"]
                } else {
                    &["BETWEEN"]
                };
                return self.missing(what, "RANDOM");
            }
            let low = self.cast()?;
            self.expect_word("AND", "the lower bound")?;
            bounds = Some((low, self.cast()?));
        }
        self.node(start, ExpressionKind::Random(Box::new(Random { kind, bounds })))
    }

    fn message_word<T>(&mut self) -> Parsed<T> {
        let draft = Draft::error(codes::PUBLISH_MESSAGE, self.span(), "MESSAGE is not part of the language");
        self.fail(draft.suggest("write the value after WITH: PUBLISH TOPIC \"t\" WITH value"))
    }

    fn call(&mut self, start: Span) -> Parsed<Expression> {
        let word = self.word();
        let Some(row) = function::call(word) else {
            if word.eq_ignore_ascii_case("CAST") {
                return self.cast_as_call(start);
            }
            let hint = habit::function_hint(word).map(str::to_owned);
            let code = if hint.is_some() { codes::NOT_LOT } else { codes::UNKNOWN_IDENTIFIER };
            let names = function::CALLS.iter().map(|row| row.keyword);
            let near = lot_nearest::nearest(word, names).filter(|_| hint.is_none());
            let draft = Draft::error(code, start, format!("there is no function {word}"));
            return self.fail(draft.suggest_if(hint).did_you_mean(near));
        };
        self.non_portable(start, row.keyword);
        self.advance();
        self.advance();
        let arguments = self.items(Sign::CloseParen, "the arguments", Self::argument)?;
        self.node(start, ExpressionKind::Call { function: row.function, arguments })
    }

    fn parenthesised(&mut self) -> Parsed<Expression> {
        let is_after_if = self.slice(self.previous()) == "IF";
        self.advance();
        let mut value = self.enclosed(Self::value)?;
        let inner = value.span;
        if self.is_sign(Sign::Comma) {
            let draft = Draft::error(
                codes::EXPECTED_SIGN,
                self.span(),
                "expected `)` after the expression, found `,`",
            );
            let draft = draft.expected(&["`)`"]);
            return self.fail(draft.suggest(if is_after_if {
                "IF has no arguments: write IF condition THEN, and the statements below, indented"
            } else {
                "a list stands in brackets, [a, b]; TRIM, SPLIT and FILTER have words between what they take: SPLIT x USING \";\""
            }));
        }
        self.expect_sign(Sign::CloseParen, "the expression")?;
        value.span = inner;
        Ok(value)
    }

    fn array(&mut self) -> Parsed<Expression> {
        let start = self.span();
        self.advance();
        let elements = self.items(Sign::CloseBracket, "the elements of the array", Self::value)?;
        self.node(start, ExpressionKind::Array(elements))
    }

    /// `{name}`, `{name.path}` or a JSON object.
    fn brace(&mut self) -> Parsed<Expression> {
        match (&self.peek_at(1).kind, &self.peek_at(2).kind) {
            (TokenKind::Word, TokenKind::Sign(Sign::Colon)) => self.object(),
            (TokenKind::Word, _) => self.variable(),
            (TokenKind::Sign(Sign::CloseBrace), _) | (TokenKind::Text(_), TokenKind::Sign(Sign::Colon)) => {
                self.object()
            }
            (TokenKind::Text(_), TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_)) => {
                self.object()
            }
            (TokenKind::Text(_), TokenKind::Sign(Sign::CloseBrace)) => {
                let draft = Draft::error(codes::EXPECTED_NAME, self.span(), "variable name in quotes");
                let name = self.peek_at(1);
                let bare = self.slice(name.span).trim_matches(['"', '\'']);
                self.fail(draft.suggest("read a variable as {name}, without quotes").fix(name.span, bare))
            }
            _ => {
                self.advance();
                if self.is_line_end() {
                    // The layout has reported the brace that is open here.
                    return Err(Reported);
                }
                self.missing(&["variable name", "\"key\":", "`}`"], "`{`")
            }
        }
    }

    fn variable(&mut self) -> Parsed<Expression> {
        let start = self.span();
        self.advance();
        let mut path = self.path("`{`")?;
        self.expect_sign(Sign::CloseBrace, "the variable's name")?;
        path.steps.extend(self.member_behind_braces(start)?);
        if !path.steps.is_empty() {
            self.non_portable(start, "a path inside a variable");
        }
        self.node(start, ExpressionKind::Variable(path))
    }

    /// `a.b[0]`.
    pub(crate) fn path(&mut self, after: &str) -> Parsed<Path> {
        let start = self.span();
        let name = self.path_word(after)?;
        let of_name = self.previous();
        let steps = self.path_steps_of(Some((&name, of_name)))?;
        Ok(Path { name, steps, span: self.span_from(start) })
    }

    /// `.b[0]`, any number of them.
    pub(super) fn path_steps(&mut self) -> Parsed<Vec<PathStep>> {
        self.path_steps_of(None)
    }

    /// The same, behind a name that errors may mention.
    fn path_steps_of(&mut self, name: Option<(&str, Span)>) -> Parsed<Vec<PathStep>> {
        let mut steps = Vec::new();
        loop {
            if self.eat_sign(Sign::Dot) {
                steps.push(match self.peek().kind {
                    TokenKind::Int(index) => {
                        self.advance();
                        PathStep::Key(index.to_string())
                    }
                    _ => PathStep::Key(self.path_word("`.`")?),
                });
            } else if self.is_sign(Sign::OpenBracket) {
                if let Some(draft) = name.and_then(|(name, start)| self.computed_index(name, start)) {
                    return self.fail(draft);
                }
                self.advance();
                let index = self.expect_int("`[`")?;
                steps.push(PathStep::Index(u32::try_from(index).unwrap_or(u32::MAX)));
                self.expect_sign(Sign::CloseBracket, "the index")?;
            } else {
                return Ok(steps);
            }
        }
    }

    fn path_word(&mut self, after: &str) -> Parsed<String> {
        if self.peek().kind != TokenKind::Word {
            return self.missing(&["name"], after);
        }
        let word = self.word().to_owned();
        self.advance();
        Ok(word)
    }

    fn object(&mut self) -> Parsed<Expression> {
        let start = self.span();
        self.advance();
        let members = self.items(Sign::CloseBrace, "the members of the object", |parser| {
            let key = parser.key()?;
            parser.colon()?;
            Ok(Member { key, value: parser.value()? })
        })?;
        self.node(start, ExpressionKind::Object(members))
    }

    /// The key of a member; one without quotes is reported, and taken.
    fn key(&mut self) -> Parsed<Text> {
        let (word, span) = (self.word().to_owned(), self.span());
        if word.is_empty() || self.peek_at(1).kind != TokenKind::Sign(Sign::Colon) {
            return self.expect_text("`{` or `,`");
        }
        let quoted = format!("\"{word}\"");
        let draft = Draft::error(codes::EXPECTED_TEXT, span, "key without quotes");
        self.sink.push(draft.suggest(format!("write it in quotes: {quoted}")).fix(span, quoted));
        self.advance();
        Ok(Text { value: word, span })
    }

    /// The colon behind a key; a missing one is reported with its place.
    fn colon(&mut self) -> Parsed<()> {
        let is_missing =
            matches!(self.peek().kind, TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Double(_));
        if !is_missing {
            return self.expect_sign(Sign::Colon, "the key");
        }
        let message = format!("expected `:` after the key, found {}", self.found());
        let draft = Draft::error(codes::EXPECTED_SIGN, self.span(), message).expected(&["`:`"]);
        self.sink.push(draft.suggest("write : behind the key").fix(self.previous().after(), ":"));
        Ok(())
    }

    /// Whether a comma stands directly inside the parentheses that open here.
    pub(crate) fn comma_follows_in_parens(&self) -> bool {
        let mut open = 0usize;
        for ahead in 0.. {
            match &self.peek_at(ahead).kind {
                TokenKind::Sign(Sign::Comma) if open == 1 => return true,
                TokenKind::Sign(sign) if sign.closing().is_some() => open += 1,
                TokenKind::Sign(sign) if sign.closes() => open = open.saturating_sub(1),
                TokenKind::Newline | TokenKind::End => return false,
                _ => {}
            }
            if open == 0 {
                return false;
            }
        }
        false
    }
}

/// Literals that are words.
fn literal(word: &str) -> Option<ExpressionKind> {
    Some(match word {
        "TRUE" | "true" | "True" => ExpressionKind::Bool(true),
        "FALSE" | "false" | "False" => ExpressionKind::Bool(false),
        "NULL" | "null" | "Null" => ExpressionKind::Null,
        "EMPTY" | "empty" | "Empty" => ExpressionKind::Empty,
        _ => return None,
    })
}

/// Keywords that never begin a value: a keyword or operator before them lacks its value.
fn is_clause(word: &str) -> bool {
    matches!(
        word,
        "WITH"
            | "THEN"
            | "ELSE"
            | "AND"
            | "OR"
            | "AND_THEN"
            | "IN"
            | "TO"
            | "AS"
            | "DO"
            | "RETURN"
            | "UNTIL"
            | "EQUALS"
            | "IS"
            | "CONTAINS"
            | "NOT"
            | "SET"
            | "PUBLISH"
            | "KEEP"
            | "IF"
    )
}
