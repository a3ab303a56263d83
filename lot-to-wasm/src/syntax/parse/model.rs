//! `DEFINE MODEL`: header options, fields, STORE IN, FETCH FROM (LoT reference §3, §9).

use super::{Parsed, Parser, option};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::model::{
    DefineModel, Fetch, Field, FieldSource, FieldType, ModelFormat, ModelOptions, Store,
};
use crate::syntax::{CastType, Name};
use crate::token::{Sign, TokenKind};

const FIELD_TYPES: [(&str, CastType); 8] = [
    ("STRING", CastType::String),
    ("INT", CastType::Int),
    ("DOUBLE", CastType::Double),
    ("FLOAT", CastType::Double),
    ("BOOL", CastType::Bool),
    ("ARRAY", CastType::Array),
    ("OBJECT", CastType::Object),
    ("TIMESTAMP", CastType::Timestamp),
];

impl Parser<'_, '_> {
    /// Reads the Model after its name. Errors are reported; the readable parts are returned.
    pub(crate) fn model(&mut self, name: Name) -> DefineModel {
        self.in_model = true;
        let mut options = ModelOptions::default();
        while !self.is_line_end() {
            self.skip_foreign_opener();
            if self.is_line_end() {
                break;
            }
            if self.model_option(&mut options).is_err() {
                self.skip_line();
            }
        }
        let mut model =
            DefineModel { name, options, fields: Vec::new(), stores: Vec::new(), fetches: Vec::new() };
        let mut fields = Vec::new();
        let (mut stores, mut fetches) = (Vec::new(), Vec::new());
        self.lines(|parser| match parser.word() {
            "STORE" => parser.store_line().map(|store| stores.push(store)),
            "FETCH" => parser.fetch_line().map(|fetch| fetches.push(fetch)),
            _ => parser.field().map(|field| fields.push(field)),
        });
        (model.fields, model.stores, model.fetches) = (fields, stores, fetches);
        self.expect_entity_end("the model");
        model
    }

    fn model_option(&mut self, options: &mut ModelOptions) -> Parsed<()> {
        let joiner = self.eat_any(&["WITH", "AND"]);
        let span = self.span();
        match self.word() {
            "COLLAPSED" if joiner == Some("WITH") => {
                let draft = Draft::error(codes::WITH_COLLAPSED, span, "COLLAPSED is written without WITH");
                let joined = self.previous().to(span);
                self.fail(draft.suggest("write DEFINE MODEL name COLLAPSED").fix(joined, "COLLAPSED"))
            }
            "FORMATS" => {
                let draft = Draft::error(codes::WITH_FORMATS, span, "the option is called FORMAT");
                self.fail(draft.suggest("write WITH FORMAT JSON, PROTOBUF or BOTH").fix(span, "FORMAT"))
            }
            "COLLAPSED" => self.flag(&mut options.collapsed),
            // Two spellings of one option (§9.1).
            "RETAIN" | "KEEP" => self.flag(&mut options.retain),
            "FROM" => {
                self.advance();
                let parent = self.expect_name("FROM")?;
                if parent.quoted {
                    let message = "STRING found where IDENTIFIER was expected";
                    let draft = Draft::error(codes::QUOTED_PARENT, parent.span, message);
                    let hint = format!("write the parent without quotes: FROM {}", parent.text);
                    self.sink.push(draft.suggest(hint).fix(parent.span, parent.text.as_str()));
                }
                options.parent = Some(parent);
                Ok(())
            }
            "TOPIC" => {
                self.advance();
                options.topic = Some(self.expect_text("TOPIC")?);
                Ok(())
            }
            "FORMAT" => {
                self.advance();
                let format = self.eat_any(&["JSON", "PROTOBUF", "BOTH"]);
                options.format = Some(match format {
                    Some("JSON") => ModelFormat::Json,
                    Some("PROTOBUF") => ModelFormat::Protobuf,
                    Some(_) => ModelFormat::Both,
                    None => {
                        let what = ["JSON", "PROTOBUF", "BOTH"];
                        return self.missing(&what, "FORMAT");
                    }
                });
                Ok(())
            }
            word if word.starts_with("QOS") => {
                options.qos = Some(option::qos(self)?);
                Ok(())
            }
            _ => {
                let what =
                    ["COLLAPSED", "FROM", "WITH TOPIC", "RETAIN", "KEEP", "QOS", "FORMAT", super::LINE_END];
                self.missing(&what, "the name of the model")
            }
        }
    }

    fn flag(&mut self, flag: &mut bool) -> Parsed<()> {
        self.advance();
        *flag = true;
        Ok(())
    }

    fn field(&mut self) -> Parsed<Field> {
        let start = self.span();
        if FIELD_TYPES.iter().any(|(name, _)| *name == self.word()) && self.begins_value(1) {
            self.missing_first_word("ADD", &["ADD"]);
        } else {
            self.expect_word("ADD", "the line before")?;
        }
        if self.eat_word("COLLECTION") {
            let name = self.expect_text("COLLECTION")?;
            self.expect_word("OF", "the collection's name")?;
            let kind = Some(FieldType::Collection(self.expect_name("OF")?));
            self.eat_sign(Sign::Comma);
            let span = self.span_from(start);
            self.expect_line_end("the field")?;
            return Ok(Field { kind, name, source: None, is_trigger: false, children: Vec::new(), span });
        }
        let kind = match self.word() {
            "" => None,
            _ => Some(FieldType::Cast(self.type_word(&FIELD_TYPES, "ADD")?)),
        };
        let name = self.expect_text("ADD")?;
        let kind = if kind.is_none() { self.type_behind_name()? } else { kind };
        let trigger_first = self.as_trigger();
        let is_older = self.is_word("FROM") && self.word_at(1) == "TOPIC";
        if is_older {
            self.advance();
        }
        let source =
            if is_older || self.eat_with_before_source() { Some(self.field_source()?) } else { None };
        if let (Some(trigger), Some(_)) = (trigger_first, &source) {
            self.report_order(trigger);
        }
        let is_trigger = trigger_first.is_some() | self.as_trigger().is_some();
        self.eat_sign(Sign::Comma);
        let span = self.span_from(start);
        self.expect_line_end("the field")?;
        let children = self.child_fields()?;
        Ok(Field { kind, name, source, is_trigger, children, span })
    }

    /// The type of a field in the older spelling, `ADD "name" AS STRING FROM TOPIC "t"`.
    fn type_behind_name(&mut self) -> Parsed<Option<FieldType>> {
        if !self.is_word("AS") || self.word_at(1) == "TRIGGER" {
            return Ok(None);
        }
        self.advance();
        self.type_word(&FIELD_TYPES, "AS").map(|cast| Some(FieldType::Cast(cast)))
    }

    /// Takes `AS TRIGGER` if it stands here.
    fn as_trigger(&mut self) -> Option<Span> {
        let start = self.span();
        if self.is_word("TRIGGER") {
            let message = "expected AS before TRIGGER";
            let draft = Draft::error(codes::EXPECTED_WORD, start, message).expected(&["AS TRIGGER"]);
            self.sink.push(draft.suggest("write AS TRIGGER").fix(start, "AS TRIGGER"));
            self.advance();
            return Some(start);
        }
        let is_here = self.is_word("AS") && self.word_at(1) == "TRIGGER";
        if is_here {
            self.advance();
            self.advance();
        }
        is_here.then(|| self.span_from(start))
    }

    /// Takes WITH; where the source follows without it, which is reported, it is as if it stood
    /// there.
    fn eat_with_before_source(&mut self) -> bool {
        if self.eat_word("WITH") {
            return true;
        }
        if self.is_sign(Sign::Equal) || self.is_sign(Sign::Colon) {
            let message = format!("expected WITH after the field's name, found {}", self.found());
            let draft = Draft::error(codes::EXPECTED_WITH, self.span(), message).expected(&["WITH"]);
            let place = Span { start: self.previous().end, ..self.span() };
            let is_apart = self.peek_at(1).span.start > self.span().end;
            let ours = if is_apart { " WITH" } else { " WITH " };
            self.sink.push(draft.suggest("write WITH in its place").fix(place, ours));
            self.advance();
            return true;
        }
        let is_value = matches!(
            self.peek().kind,
            TokenKind::Text(_)
                | TokenKind::Int(_)
                | TokenKind::Double(_)
                | TokenKind::Sign(Sign::OpenBrace | Sign::OpenBracket | Sign::OpenParen)
        );
        let is_missing =
            is_value || matches!(self.word(), "TOPIC" | "GET" | "PAYLOAD" | "TIMESTAMP" | "LOCAL");
        if is_missing {
            let message = format!("expected WITH after the field's name, found {}", self.found());
            let draft = Draft::error(codes::EXPECTED_WITH, self.span(), message).expected(&["WITH"]);
            let place = Span { end: self.span().start, ..self.span() };
            self.sink.push(draft.suggest("write WITH before what the field takes").fix(place, "WITH "));
        }
        is_missing
    }

    /// Reports AS TRIGGER in front of the source of the field, which ends here.
    fn report_order(&mut self, trigger: Span) {
        let source = Span { start: trigger.end, ..self.previous() };
        let text = format!("{} AS TRIGGER", self.slice(source).trim());
        let draft =
            Draft::error(codes::UNEXPECTED_TOKEN, trigger, "AS TRIGGER stands at the end of the line");
        self.sink.push(draft.suggest(format!("write {text}")).fix(trigger.to(source), text));
    }

    fn child_fields(&mut self) -> Parsed<Vec<Field>> {
        let mut children = Vec::new();
        if self.peek().kind == TokenKind::Indent {
            self.deeper(|parser| {
                parser.lines(|parser| {
                    let child = parser.field()?;
                    children.push(child);
                    Ok(())
                });
                Ok(())
            })?;
        }
        Ok(children)
    }

    fn field_source(&mut self) -> Parsed<FieldSource> {
        if self.is_word("VALUE") && !self.is_name_alone() {
            let draft =
                Draft::error(codes::WITH_VALUE, self.span(), "WITH VALUE is not part of the language");
            let word = Span { end: self.peek_at(1).span.start, ..self.span() };
            return self.fail(draft.suggest("write the value directly after WITH").fix(word, ""));
        }
        let is_word = self.word_at(1).contains(|c: char| c.is_lowercase());
        let names_topic =
            matches!(self.peek_at(1).kind, TokenKind::Text(_)) || self.is_topic_without_quotes(1) || is_word;
        if self.is_word("TOPIC") && names_topic {
            self.advance();
            let topic = self.expect_text("TOPIC")?;
            let mut cast = None;
            if self.is_word("AS") && self.word_at(1) != "TRIGGER" {
                self.advance();
                cast = Some(self.cast_type()?);
            }
            return Ok(FieldSource::Topic(topic, cast));
        }
        Ok(FieldSource::Value(self.value()?))
    }

    /// Whether the word here is a whole value: a field that is called like a keyword.
    fn is_name_alone(&self) -> bool {
        matches!(
            self.peek_at(1).kind,
            TokenKind::Newline | TokenKind::Dedent | TokenKind::End | TokenKind::Sign(_)
        )
    }

    fn store_line(&mut self) -> Parsed<Store> {
        self.advance();
        self.expect_word("IN", "STORE")?;
        let route = self.expect_name("IN")?;
        let table = self.table_clause()?;
        let when = if self.eat_word("WHEN") { Some(self.condition()?) } else { None };
        self.expect_line_end("STORE IN")?;
        Ok(Store { route, table, when })
    }

    fn fetch_line(&mut self) -> Parsed<Fetch> {
        self.advance();
        self.expect_word("FROM", "FETCH")?;
        let route = self.expect_name("FROM")?;
        let table = self.table_clause()?;
        let when = if self.eat_word("WHEN") { Some(self.query_filter()?) } else { None };
        let limit = if self.eat_word("LIMIT") { Some(self.count("LIMIT")?) } else { None };
        self.expect_line_end("FETCH FROM")?;
        Ok(Fetch { route, table, when, limit })
    }

    fn table_clause(&mut self) -> Parsed<Option<crate::syntax::Text>> {
        if !self.eat_word("WITH") {
            return Ok(None);
        }
        self.expect_word("TABLE", "WITH")?;
        self.expect_text("TABLE").map(Some)
    }
}
