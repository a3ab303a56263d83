//! `DEFINE ACTION`: trigger or inputs, `DO`, statements, outputs, description (LoT reference §3,
//! §7).

use lot_facts::{InputKind, Trigger};

use super::{Parsed, Parser, Reported, kind_of};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::statement::Statement;
use crate::syntax::{ActionBody, DefineAction, InputLine, Name, OutputLine, Text};
use crate::token::{Sign, Token, TokenKind};
use crate::trigger::{self, TriggerClause};

const INPUT_KINDS: [(&str, InputKind); 5] = [
    ("STRING", InputKind::String),
    ("INT", InputKind::Int),
    ("DOUBLE", InputKind::Double),
    ("BOOL", InputKind::Bool),
    ("JSON", InputKind::Json),
];

/// Parts of an Action while they are read.
#[derive(Default)]
struct Draught {
    trigger: Option<TriggerClause>,
    inputs: Vec<InputLine>,
    outputs: Vec<OutputLine>,
    body: Vec<Statement>,
    description: Option<Text>,
    /// `DO` was seen, or its absence reported.
    begun: bool,
    /// The line of the trigger, or of DO, is indented by mistake, so that the body may be no
    /// deeper.
    is_indented: bool,
}

impl Parser<'_, '_> {
    /// Reads the Action after its name. Errors are reported; the readable parts are returned.
    pub(crate) fn action(&mut self, name: Name) -> DefineAction {
        let mut draught = Draught::default();
        loop {
            self.skip_newlines();
            if self.is_end() {
                break;
            }
            let before = self.span();
            if self.action_part(&mut draught).is_err() {
                self.recover();
            }
            if self.span() == before && !self.is_end() {
                self.advance();
            }
        }
        if !draught.begun {
            self.missing_start(&draught, &name);
        }
        let entry = match draught.trigger {
            Some(trigger) => ActionBody::Triggered(trigger),
            None => ActionBody::Callable { inputs: draught.inputs, outputs: draught.outputs },
        };
        DefineAction { name, entry, body: draught.body, description: draught.description }
    }

    fn action_part(&mut self, draught: &mut Draught) -> Parsed<()> {
        match self.peek().kind {
            TokenKind::Indent => return self.indented_part(draught),
            TokenKind::Dedent => {
                self.advance();
                return Ok(());
            }
            _ => {}
        }
        let word = self.word();
        match word.to_ascii_uppercase().as_str() {
            "ON" if !draught.begun && draught.trigger.is_none() => self.trigger_part(draught),
            "INPUT" if !draught.begun => self.input_line(draught),
            "DO" if !draught.begun => self.do_part(draught),
            "RETURN" if draught.begun => self.return_part(draught),
            "DESCRIPTION" => {
                self.eat_keyword("DESCRIPTION");
                draught.description = Some(self.expect_text("DESCRIPTION")?);
                self.expect_line_end("the description")
            }
            _ if draught.begun => self.after_body(draught),
            _ => self.before_body(draught),
        }
    }

    /// An indented line where ON, INPUT or DO should stand in column 1.
    fn indented_part(&mut self, draught: &mut Draught) -> Parsed<()> {
        let indent = self.advance();
        if matches!(self.word(), "ON" | "INPUT" | "DO" | "RETURN" | "DESCRIPTION") {
            let word = self.word();
            let span = indent.span.to(self.span());
            let message = format!("unexpected INDENT: {word} must stand in column 1");
            let draft = Draft::error(codes::INDENTED_TRIGGER, span, message);
            let draft =
                draft.suggest(format!("move the {word} line to column 1 and indent the body by 4 spaces"));
            self.sink.push(draft.fix(indent.span, ""));
            draught.is_indented = true;
            return Ok(());
        }
        if draught.begun {
            let draft = Draft::error(codes::UNEXPECTED_INDENT, indent.span, "unexpected INDENT");
            self.sink.push(draft);
            self.skip_block();
            return Ok(());
        }
        self.missing_do(draught);
        draught.body = self.statements();
        Ok(())
    }

    fn trigger_part(&mut self, draught: &mut Draught) -> Parsed<()> {
        let parsed = trigger::parse(self);
        if let Ok(trigger) = parsed {
            draught.trigger = Some(trigger);
        } else {
            // The body can be read all the same.
            while !self.is_line_end() && !self.is_keyword("DO") {
                self.advance();
            }
            draught.trigger = Some(TriggerClause::unreadable());
        }
        if self.skip_foreign_word("DO") {
            return self.do_block(draught);
        }
        self.skip_newlines();
        if self.is_keyword("DO") {
            return self.do_part(draught);
        }
        Ok(())
    }

    fn do_part(&mut self, draught: &mut Draught) -> Parsed<()> {
        self.eat_keyword("DO");
        draught.begun = true;
        self.skip_foreign_opener();
        if self.is_sign(Sign::OpenBrace) {
            let draft = Draft::error(codes::NOT_LOT, self.span(), "blocks are not written in braces");
            return self.fail(draft.suggest("end the line after DO and indent the statements by 4 spaces"));
        }
        if !self.is_line_end() {
            let draft = Draft::error(codes::BLOCK_ON_LINE, self.span(), "statement on the line of DO");
            self.sink.push(draft.suggest("write the statements on the next lines, indented by 4 spaces"));
            draught.body = self.flat_statements();
            return Ok(());
        }
        self.do_block(draught)
    }

    fn do_block(&mut self, draught: &mut Draught) -> Parsed<()> {
        draught.begun = true;
        if draught.is_indented && !self.is_block_below() {
            draught.body = self.flat_statements();
            return Ok(());
        }
        match self.block("DO") {
            Ok(body) => draught.body = body,
            Err(Reported) => draught.body = self.flat_statements(),
        }
        Ok(())
    }

    /// Statements that stand in column 1 by mistake, which has been reported.
    fn flat_statements(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            self.skip_newlines();
            if self.is_end() || matches!(self.word(), "RETURN" | "DESCRIPTION") {
                return statements;
            }
            let before = self.span();
            if matches!(self.peek().kind, TokenKind::Dedent) {
                self.advance();
            } else if matches!(self.peek().kind, TokenKind::Indent) {
                self.advance();
                statements.extend(self.statements());
            } else if let Ok(statement) = self.statement() {
                statements.push(statement);
            } else {
                self.recover();
            }
            if self.span() == before {
                self.advance();
            }
        }
    }

    fn input_line(&mut self, draught: &mut Draught) -> Parsed<()> {
        let start = self.span();
        self.eat_keyword("INPUT");
        let name = self.expect_name("INPUT")?;
        let mut kind = None;
        if self.is_sign(Sign::Colon) {
            let draft =
                Draft::error(codes::EXPECTED_WORD, self.span(), "expected AS before the type, found `:`");
            let gap = Span { start: self.previous().end, ..self.span() };
            self.sink.push(draft.suggest("write AS in its place").fix(gap, " AS"));
            self.advance();
            kind = Some(self.type_word(&INPUT_KINDS, "AS")?);
        } else if self.eat_keyword("AS") {
            kind = Some(self.type_word(&INPUT_KINDS, "AS")?);
        }
        let span = self.span_from(start);
        draught.inputs.push(InputLine { name, kind, span });
        if self.is_sign(Sign::Comma) {
            let draft = Draft::error(codes::AFTER_LINE, self.span(), "one input on each line");
            let gap = Span { start: self.previous().end, end: self.peek_at(1).span.start };
            self.sink.push(draft.suggest("write INPUT again, on a line of its own").fix(gap, "\nINPUT "));
            self.skip_line();
            self.skip_newlines();
            return Ok(());
        }
        if self.is_keyword("DO") { Ok(()) } else { self.expect_line_end("the input") }
    }

    fn return_part(&mut self, draught: &mut Draught) -> Parsed<()> {
        if draught.trigger.is_some() {
            let message = "an action with a trigger returns nothing to anybody";
            let draft = Draft::warning(codes::UNUSED_OUTPUT, self.span(), message);
            self.sink.push(
                draft.suggest("publish or keep the value, or leave out the trigger and CALL the action"),
            );
        }
        self.eat_keyword("RETURN");
        if !self.is_line_end() {
            let draft = Draft::error(codes::RETURN_ON_LINE, self.span(), "RETURN stands alone on its line");
            let draft = draft.suggest("write each OUTPUT on an indented line of its own below RETURN");
            let name = match self.peek().kind {
                TokenKind::Sign(Sign::OpenBrace) => self.word_at(1),
                _ => self.word(),
            };
            let gap = Span { start: self.previous().end, ..self.rest_of_line() };
            let is_name = self.slice(gap).trim().trim_matches(['{', '}']) == name && name != "OUTPUT";
            return self.fail(if is_name && !name.is_empty() {
                draft.fix(gap, format!("\n    OUTPUT {name}"))
            } else {
                draft
            });
        }
        self.skip_newlines();
        if self.peek().kind != TokenKind::Indent {
            let span = self.previous();
            let draft = Draft::error(codes::EMPTY_BLOCK, span, "empty block after RETURN");
            return self.fail(draft.suggest("write OUTPUT name below, indented by 4 spaces"));
        }
        let mut outputs = Vec::new();
        self.lines(|parser| {
            parser.expect_word("OUTPUT", "RETURN")?;
            let name = parser.expect_name("OUTPUT")?;
            if parser.is_sign(Sign::Comma) {
                let draft = Draft::error(codes::RETURN_ON_LINE, parser.span(), "one name per OUTPUT line");
                let next = parser.word_at(1);
                let next = if next.is_empty() { "name" } else { next };
                return parser.fail(draft.suggest(format!("write OUTPUT {next} on a line of its own")));
            }
            outputs.push(OutputLine { name });
            parser.expect_line_end("the output")
        });
        draught.outputs.extend(outputs);
        Ok(())
    }

    /// Something else before `DO`.
    fn before_body(&mut self, draught: &mut Draught) -> Parsed<()> {
        if matches!(self.word(), "OUTPUT" | "RETURN") && self.begins_line() {
            return self.output_before_body();
        }
        if draught.trigger.is_none()
            && self.begins_line()
            && self.word_at(2) == "AS"
            && self.misspelt(&["INPUT"]).is_some()
        {
            let message = format!("expected INPUT, found {}", self.word());
            self.sink
                .push(Draft::error(codes::EXPECTED_WORD, self.span(), message).did_you_mean(Some("INPUT")));
            self.advance();
            return self.input_line(draught);
        }
        let is_input = draught.trigger.is_none() && self.word_at(1) == "AS";
        if !is_input && (draught.trigger.is_some() || !draught.inputs.is_empty()) {
            self.missing_do(draught);
            draught.body = self.flat_statements();
            return Ok(());
        }
        if !self.begins_line() {
            return self.after_name();
        }
        if trigger::words().any(|word| word == self.word()) {
            let message =
                format!("expected ON, INPUT or DO after the name of the action, found {}", self.word());
            let draft = Draft::error(codes::NO_TRIGGER, self.span(), message);
            let place = Span { end: self.span().start, ..self.span() };
            self.sink.push(draft.suggest("write ON before it").fix(place, "ON "));
            return self.trigger_part(draught);
        }
        if self.is_keyword("VAR") || self.is_keyword("VAR_INPUT") || self.is_keyword("VAR_OUTPUT") {
            self.skip_declarations();
            return Ok(());
        }
        if is_input {
            self.missing_first_word("INPUT", &["INPUT"]);
            return self.input_line(draught);
        }
        draught.begun = true;
        if self.word().eq_ignore_ascii_case("ON") || crate::statement::is_first_word(self.word()) {
            let draft = Draft::error(codes::NO_TRIGGER, self.here(), "action without a trigger");
            self.sink.push(
                draft.suggest("write ON TOPIC \"…\" DO below the name, or DO alone to call it by name"),
            );
            draught.body = self.flat_statements();
            return Ok(());
        }
        self.expected(codes::NO_TRIGGER, &["ON", "INPUT", "DO"], "the name of the action")
    }

    /// A block of declarations, as in Structured Text, up to its `END_VAR`: reported once, and left
    /// out.
    fn skip_declarations(&mut self) {
        let start = self.span();
        while !matches!(self.peek().kind, TokenKind::End) && !self.is_keyword("END_VAR") {
            if ["ON", "DO", "INPUT"].iter().any(|word| self.is_keyword(word)) && self.begins_line() {
                break;
            }
            self.advance();
        }
        if self.is_keyword("END_VAR") {
            self.skip_line();
        }
        let draft = Draft::error(codes::NOT_LOT, start.to(self.previous()), "variables are not declared");
        self.sink.push_over(draft.suggest("leave the block out: SET \"name\" WITH value makes a variable"));
        self.skip_newlines();
    }

    /// `OUTPUT` lines in column 1 behind the statements: reported once, with the RETURN that
    /// belongs above them.
    fn output_without_return(&mut self) -> Parsed<()> {
        let message = "OUTPUT stands below RETURN, indented";
        let draft = Draft::error(codes::MISPLACED_CLAUSE, self.span(), message);
        let start = Span { end: self.span().start, ..self.span() };
        self.sink.push(
            draft.suggest("write RETURN above it, and indent it by 4 spaces").fix(start, "RETURN\n    "),
        );
        while self.is_word("OUTPUT") {
            self.skip_line();
            self.skip_newlines();
        }
        Ok(())
    }

    /// `OUTPUT` or `RETURN` before `DO`: reported, and left out.
    fn output_before_body(&mut self) -> Parsed<()> {
        let message = format!("{} stands after the statements, not before DO", self.word());
        let draft = Draft::error(codes::MISPLACED_CLAUSE, self.span(), message);
        self.sink.push(draft.suggest(
            "write RETURN in column 1 after the statements, and each OUTPUT name on an indented line below",
        ));
        self.skip_line();
        self.skip_newlines();
        if self.peek().kind == TokenKind::Indent {
            self.advance();
            self.skip_block();
        }
        Ok(())
    }

    /// Reports further text behind the name, and goes on with the lines below.
    fn after_name(&mut self) -> Parsed<()> {
        let name = self.slice(self.previous());
        let (word, span) = (self.word(), self.span());
        let message =
            format!("expected the end of the line after the name of the action, found {}", self.found());
        let draft = Draft::error(codes::AFTER_LINE, self.here(), message).expected(&["ON", super::LINE_END]);
        let gap = self.previous().after().to(span);
        let gap = Span { end: span.start, ..gap };
        let is_name = !word.is_empty() && self.ends_after_next();
        self.sink.push(if self.is_sign(Sign::OpenParen) {
            draft.suggest("inputs have lines of their own below the name: INPUT x AS INT")
        } else if is_name {
            draft.suggest(format!("a name is one word: write {name}_{word}")).fix(gap, "_")
        } else {
            draft
        });
        while !self.is_line_end() && !["ON", "INPUT", "DO"].iter().any(|word| self.is_keyword(word)) {
            self.advance();
        }
        Ok(())
    }

    fn missing_do(&mut self, draught: &mut Draught) {
        draught.begun = true;
        let (code, message) = if draught.trigger.is_some() || !draught.inputs.is_empty() {
            let after = if draught.trigger.is_some() { "the trigger" } else { "the inputs" };
            (codes::EXPECTED_DO, format!("expected DO after {after}, found {}", self.found()))
        } else {
            (codes::NO_TRIGGER, "action without a trigger".to_owned())
        };
        let draft = Draft::error(code, self.here(), message).expected(&["DO"]);
        let fact = draught.trigger.as_ref().map(|trigger| &trigger.fact);
        self.sink.push(if self.is_keyword("AND") && matches!(fact, Some(Trigger::Calendar { .. })) {
            let gap = Span { start: self.previous().end, ..self.span() };
            draft.suggest("a comma stands between days, and between times of day").fix(gap, ",")
        } else if self.is_keyword("TO") && matches!(fact, Some(Trigger::Calendar { .. })) {
            draft.suggest("name the days with commas between them; WEEKDAY is Monday to Friday")
        } else if self.is_keyword("OR") && fact.is_some() && !self.begins_line() {
            draft.suggest("only ON TOPIC, ON SILENCE and ON WINDOW take several topics, with OR between them: write a second action for the other")
        } else if code == codes::EXPECTED_DO && self.is_keyword("AND") {
            draft.suggest("write OR, or a comma, between topics that start it: ON TOPIC \"a\" OR \"b\" DO")
        } else if code == codes::EXPECTED_DO && matches!(self.word(), "WHEN" | "IF" | "WHERE" | "HAVING") {
            draft.suggest("a trigger has no condition: write DO, and IF condition THEN below it")
        } else if code == codes::EXPECTED_DO && self.is_word("EVERY") && !self.begins_line() {
            draft.suggest("an action has one trigger: write a second action for ON EVERY, or ON WINDOW OF \"topic\" EVERY 5 SECONDS for figures of what came")
        } else if code == codes::EXPECTED_DO && self.is_word("FOR") && !self.begins_line() {
            draft.suggest("a condition that holds for some time: keep in a topic when it began, or write ON SILENCE OF \"topic\" FOR 30 SECONDS")
        } else if code == codes::EXPECTED_DO && !self.begins_line() {
            draft.suggest("write DO in its place, and end the line there")
        } else if code == codes::EXPECTED_DO {
            draft.suggest("write DO at the end of the trigger's line").fix(self.line_before(), " DO")
        } else {
            draft.suggest("write ON TOPIC \"…\" DO below the name, or DO alone to call it by name")
        });
    }

    /// The end of the last line before this place.
    fn line_before(&self) -> Span {
        let is_layout =
            |token: &Token| matches!(token.kind, TokenKind::Newline | TokenKind::Indent | TokenKind::Dedent);
        let before = self.tokens.get(..self.at).unwrap_or_default();
        before
            .iter()
            .rev()
            .find(|token| !is_layout(token))
            .map_or(Span::default(), |token| token.span.after())
    }

    fn missing_start(&mut self, draught: &Draught, name: &Name) {
        let (code, message) = if draught.trigger.is_some() || !draught.inputs.is_empty() {
            (codes::EXPECTED_DO, "expected DO, found end of text".to_owned())
        } else {
            (codes::NO_TRIGGER, format!("action `{}` has no trigger and no DO", name.text))
        };
        let span = if code == codes::NO_TRIGGER { name.span } else { self.previous().after() };
        let draft = Draft::error(code, span, message);
        self.sink.push(draft.suggest("write ON TOPIC \"…\" DO, then the statements, indented by 4 spaces"));
    }

    /// Reads an entity whose DEFINE was forgotten: the lines below belong to it.
    fn without_define(&mut self) -> Parsed<()> {
        self.missing_first_word("DEFINE", &["DEFINE"]);
        while !self.is_end() {
            self.advance();
        }
        Ok(())
    }

    /// Whether a line in column 1 is of another language and not meant as LoT: `var x = 1`, `if (x)
    /// {`. A line in capitals counts as misspelt LoT.
    fn is_foreign_line(&self) -> bool {
        let word = self.word();
        let is_called = self.peek_at(1).kind == TokenKind::Sign(Sign::OpenParen);
        let is_part = ["ON", "DO", "INPUT", "OUTPUT", "RETURN", "DESCRIPTION", "END", "ELSE", "DEFINE"]
            .iter()
            .any(|part| part.eq_ignore_ascii_case(word));
        let is_ours = is_part || crate::statement::is_first_word(word) && !is_called;
        self.is_in_small_letters() && !is_ours
    }

    fn is_in_small_letters(&self) -> bool {
        self.word().starts_with(char::is_lowercase)
    }

    /// Reports lines of another language behind the statements, and the blocks below them, as one
    /// error with their number.
    fn foreign_lines(&mut self, place: &str) {
        let (first, found) = (self.span(), self.found());
        loop {
            self.skip_line();
            self.skip_newlines();
            if self.peek().kind == TokenKind::Indent {
                self.advance();
                self.skip_block();
            }
            while matches!(self.peek().kind, TokenKind::Newline | TokenKind::Dedent) {
                self.advance();
            }
            // Their brackets end in lines of their own.
            let is_sign = self.word().is_empty() && !self.is_end();
            if !is_sign && !self.is_in_small_letters() {
                break;
            }
        }
        let all = self.span_from(first);
        let more = self.slice(all).lines().filter(|line| !line.trim().is_empty()).count().saturating_sub(1);
        let draft =
            Draft::error(codes::AFTER_BODY, first, format!("unexpected {found} in column 1 after {place}"));
        self.sink.push_over_all(
            all,
            match more {
                0 => draft.suggest("after the statements come only RETURN and DESCRIPTION"),
                1 => draft.note("the same on 1 more line").suggest(NO_FOREIGN_LINES),
                more => draft.note(format!("the same on {more} more lines")).suggest(NO_FOREIGN_LINES),
            },
        );
    }

    /// Something else after the body.
    fn after_body(&mut self, draught: &Draught) -> Parsed<()> {
        if kind_of(self.word()).is_some() && !self.word_at(1).is_empty() {
            return self.without_define();
        }
        let place = if draught.outputs.is_empty() { "the statements" } else { "the outputs" };
        if kind_of(self.word_at(1)).is_some()
            && let Some(near) = self.misspelt(&["DEFINE"])
        {
            let message = format!("unexpected {} in column 1 after {place}", self.word());
            let draft = Draft::error(codes::AFTER_BODY, self.span(), message);
            self.sink.push(draft.did_you_mean(Some(near)));
            // The rest is another definition.
            while !self.is_end() {
                self.advance();
            }
            return Ok(());
        }
        if self.is_foreign_line() {
            self.foreign_lines(place);
            return Ok(());
        }
        let hint = match self.word() {
            "ON" => "an action has one trigger; define a second action, or write ON TOPIC \"a\" OR \"b\"",
            "END" => "remove it: blocks are closed by indentation",
            word if crate::statement::is_first_word(word) => "indent the statement by 4 spaces",
            _ => "after the statements come only RETURN and DESCRIPTION",
        };
        let message = format!("unexpected {} in column 1 after {place}", self.found());
        let code = if self.word() == "END" { codes::END_IF } else { codes::AFTER_BODY };
        let draft = Draft::error(code, self.span(), message);
        let draft = draft.suggest(hint);
        let start = Span { end: self.span().start, ..self.span() };
        if self.word() == "OUTPUT" {
            return self.output_without_return();
        }
        let is_statement = crate::statement::is_first_word(self.word());
        self.fail(if is_statement { draft.fix(start, "    ") } else { draft })
    }
}

/// Suggestion for lines of another language.
const NO_FOREIGN_LINES: &str = "leave them out: statements stand below DO, indented by 4 spaces, as SET \"x\" WITH 1; what several actions need is an action of its own, DEFINE ACTION name";
