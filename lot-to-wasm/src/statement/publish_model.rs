//! `PUBLISH MODEL M TO t WITH …`: publishes an instance of a Model (LoT reference §8.6).
//!
//! ```text
//! publishModel = "PUBLISH" "MODEL" ( ident | string ) "TO" topicExpr "WITH" assigns ;
//! assigns      = assign { "," assign } [ "," ] | NL IN assign [ "," ] { NL assign [ "," ] } DE ;
//! assign       = ( path | string ) "=" value ;
//!
//! PUBLISH MODEL Reading TO "clean/" + TOPIC POSITION 2 WITH
//!     id = TOPIC POSITION 2
//!     value = PAYLOAD AS DOUBLE
//! ```

use lot_nearest::nearest;

use super::arguments::assignment_list;
use super::{
    Assignment, CheckedKind, Construct, Executable, Form, Part, StatementKind, Word, each_expression,
};
use crate::check::tree::walk::{self, Need, parts};
use crate::check::tree::{self, Argument};
use crate::check::{Checker, Known, TopicUse, assignable_of, find_model};
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::ASSIGNED_ELEMENTS_MAX;
use crate::lower::{ANSWER, Callee, Generator, Host};
use crate::source::{Source, Span};
use crate::syntax::model::DefineModel;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, assignments, topic};
use crate::syntax::{Name, Path, PathStep, Position, TopicOperand};
use crate::token::TokenKind;

/// `PUBLISH MODEL model TO topic WITH assignments`.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishModel {
    /// The Model.
    pub model: Name,
    /// Topic to publish to.
    pub topic: TopicOperand,
    /// Fields that get a value.
    pub assignments: Vec<Assignment>,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["PUBLISH", "MODEL"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[];

/// Reads what follows `PUBLISH MODEL`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let model = parser.expect_name("PUBLISH MODEL")?;
    parser.expect_word("TO", "the model")?;
    let topic = parser.chained_topic("TO")?;
    if !parser.eat_keyword("WITH") {
        return parser.expected(codes::EXPECTED_WITH, &["WITH"], "the topic");
    }
    let mut assignments = Vec::new();
    if !parser.is_line_end() {
        assignment_list(parser, &mut assignments)?;
        return Ok(StatementKind::PublishModel(PublishModel { model, topic, assignments }));
    }
    parser.skip_newlines();
    if parser.peek().kind != TokenKind::Indent {
        let draft = Draft::error(codes::EXPECTED_WITH, parser.previous(), "WITH without assignments");
        return parser
            .fail(draft.suggest("write field = value on the next lines, indented by 4 more spaces"));
    }
    parser.lines(|parser| {
        assignment_list(parser, &mut assignments)?;
        parser.expect_line_end("the assignment")
    });
    Ok(StatementKind::PublishModel(PublishModel { model, topic, assignments }))
}

/// Returns the part of a target that is no field. If `fields` has a field with a dot at its end,
/// any name below that field is valid.
fn unknown_part(target: &Path, fields: &[String]) -> Option<String> {
    let mut path = target.name.clone();
    let is_field = |path: &str| fields.iter().any(|field| field == path);
    if !is_field(&path) {
        return Some(path);
    }
    for step in &target.steps {
        if is_field(&format!("{path}.")) {
            return None;
        }
        match step {
            PathStep::Key(key) => path = format!("{path}.{key}"),
            PathStep::Index(index) => path = format!("{path}[{index}]"),
        }
        if !is_field(&path) {
            return Some(path);
        }
    }
    None
}

impl PublishModel {
    /// Reports assignments to fields that the model and its parents do not have; nothing while one
    /// of them is not known.
    fn check_fields(&self, checker: &mut Checker<'_, '_, '_>) {
        let Some(model) = find_model(checker.known, &self.model.text) else { return };
        let Some(fields) = whole(&model, checker.known) else { return };
        for Assignment { target, .. } in &self.assignments {
            let Some(unknown) = unknown_part(target, &fields) else { continue };
            let hint = nearest(&unknown, fields.iter().map(String::as_str));
            let known: Vec<&str> =
                fields.iter().map(String::as_str).filter(|field| !field.contains('.')).collect();
            let message = format!("model `{}` has no field `{unknown}`", self.model.text);
            let draft = Draft::error(codes::UNKNOWN_FIELD, target.span, message);
            checker.error(
                draft
                    .note(format!("its fields: {}", known.join(", ")))
                    .did_you_mean_path(target, &unknown, hint),
            );
        }
    }
}

impl Construct for PublishModel {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let topic = checker.topic(&self.topic, TopicUse::Publish);
        self.check_fields(checker);
        let mut assignments: Vec<Argument> = Vec::new();
        for Assignment { target, value } in &self.assignments {
            check_indices(target, checker);
            let name = target.to_string();
            if assignments.iter().any(|before| before.name == name) {
                let draft = Draft::error(
                    codes::DUPLICATE_NAME,
                    target.span,
                    format!("field `{name}` is assigned twice"),
                );
                checker.error(draft);
            }
            assignments.push(Argument { name, value: checker.value(value) });
        }
        Some(Checked { model: self.model.text.clone(), topic, assignments }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        let assigned = self.assignments.iter().map(|assignment| &assignment.value);
        each_expression(self.topic.parts.iter().chain(assigned), visit);
    }

    fn write(&self, writer: &mut Writer) {
        let head = format!("(publish-model {} {}", self.model.text, topic(&self.topic));
        writer.push(&format!("{head}{})", assignments(&self.assignments)));
    }
}

/// Has the host make the Model build an instance, and publish it; an error of the Model ends the
/// run.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Name of the Model.
    pub model: String,
    /// Topic to publish to.
    pub topic: tree::Topic,
    /// Assignments by field, in source order.
    pub assignments: Vec<Argument>,
}

impl Executable for Checked {
    parts!(|Checked { model, topic, assignments }, visit| {
        visit(walk::Part::Need(Need::Model(model)));
        visit(walk::Part::Topic(topic, TopicUse::Publish));
        for Argument { value, .. } in assignments {
            visit(walk::Part::Value(value));
        }
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let Some((_, topic)) = generator.begin_write(&self.topic, at) else { return };
        let list = generator.arguments(&self.assignments, at);
        generator.push_text(&self.model);
        generator.push_topic(&topic);
        generator.code.get(list);
        generator.code.u32(u32::try_from(self.assignments.len()).unwrap_or(u32::MAX));
        generator.push_constant_address(ANSWER);
        generator.code.call(Callee::Host(Host::PublishModel));
        generator.code.release(list);
        generator.pass_on_error(codes::RUN_MODEL_FAILED, format!("model `{}` failed: ", self.model), at);
        generator.code.end();
        generator.release_topic(topic);
    }
}

/// Reports an index of more than an array can have by assignment.
fn check_indices(target: &Path, checker: &mut Checker<'_, '_, '_>) {
    let is_beyond =
        |step: &PathStep| matches!(step, PathStep::Index(index) if *index >= ASSIGNED_ELEMENTS_MAX);
    if target.steps.iter().any(is_beyond) {
        let message = format!("more than {ASSIGNED_ELEMENTS_MAX} elements of an array cannot be assigned");
        let draft = Draft::error(codes::BAD_INDEX, target.span, message);
        checker.error(draft.suggest(format!("the last that can be is [{}]", ASSIGNED_ELEMENTS_MAX - 1)));
    }
}

/// Returns the assignable fields of a Model; `None` while a Model that it is made of is not known.
fn whole(model: &DefineModel, known: &dyn Known) -> Option<Vec<String>> {
    let source = Source::new("");
    let mut quiet = Sink::new(&source);
    assignable_of(model, known, &mut quiet)
}
