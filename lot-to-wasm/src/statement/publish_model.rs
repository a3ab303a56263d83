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

use super::StatementKind;
use super::{Construct, Part, each_expression};
use crate::check::tree;
use crate::check::{Checker, Known, TopicUse, assignable_of, find_model};
use crate::diagnostic::{Draft, Sink, codes};
use crate::limits::ASSIGNED_ELEMENTS_MAX;
use crate::source::Source;
use crate::source::Span;
use crate::syntax::model::Model;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, assignments, topic};
use crate::syntax::{Expression, Name, Path, PathStep, TopicOperand};
use crate::token::{Sign, TokenKind};

/// `PUBLISH MODEL model TO topic WITH assignments`.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishModel {
    /// The Model.
    pub model: Name,
    /// Where to.
    pub topic: TopicOperand,
    /// Fields that get a value.
    pub assignments: Vec<Assignment>,
}

/// `target = value`, of `PUBLISH MODEL` and of calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// A field or input.
    pub target: Path,
    /// Its value.
    pub value: Expression,
}

/// Reads what follows `PUBLISH MODEL`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
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

/// Assignments separated by commas; one at the end is ignored.
fn assignment_list(parser: &mut Parser<'_, '_>, assignments: &mut Vec<Assignment>) -> Parsed<()> {
    loop {
        assignments.push(parser.assignment()?);
        if !parser.eat_sign(Sign::Comma) || parser.is_line_end() {
            return Ok(());
        }
    }
}

/// The part of a target that is no field. Whatever is below a field that stands in `fields` with a dot at its end is free.
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

impl Parser<'_, '_> {
    /// `target = value`.
    pub(crate) fn assignment(&mut self) -> Parsed<Assignment> {
        let target = if self.is_text() {
            let text = self.expect_text("WITH")?;
            Path { name: text.value, steps: Vec::new(), span: text.span }
        } else {
            self.path("WITH")?
        };
        self.expect_sign(Sign::Equal, "the name")?;
        let value = self.value()?;
        Ok(Assignment { target, value })
    }

    /// `WITH a = 1, b = 2`, with or without parentheses; nothing when there is no `WITH`.
    pub(crate) fn arguments(&mut self) -> Parsed<Vec<Assignment>> {
        let mut assignments = Vec::new();
        if !self.eat_with_before_arguments() {
            return Ok(assignments);
        }
        if !self.eat_sign(Sign::OpenParen) {
            assignment_list(self, &mut assignments)?;
            return Ok(assignments);
        }
        self.items(Sign::CloseParen, "the arguments", Self::assignment)
    }

    /// `RETURN [AS] a, b`; nothing when there is no `RETURN`.
    pub(crate) fn return_variables(&mut self) -> Parsed<Vec<Name>> {
        let mut names = Vec::new();
        if self.eat_word("RETURN") {
            self.eat_word("AS");
            names.push(self.expect_variable("RETURN")?);
            while self.eat_sign(Sign::Comma) {
                names.push(self.expect_variable("`,`")?);
            }
        }
        Ok(names)
    }

    /// `RETURN AS {r}`; nothing when there is no `RETURN`.
    pub(crate) fn return_variable(&mut self) -> Parsed<Option<Name>> {
        let mut names = self.return_variables()?;
        if let Some(second) = names.get(1) {
            let draft = Draft::error(codes::RETURN_COUNT, second.span, "this call returns one value");
            return self.fail(draft);
        }
        Ok(names.pop())
    }
}

impl PublishModel {
    /// Reports assignments to fields that the model and its parents do not have; nothing while one of them is not known.
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
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<tree::StatementKind> {
        let topic = checker.topic(&self.topic, TopicUse::Publish);
        self.check_fields(checker);
        let mut assignments: Vec<tree::Argument> = Vec::new();
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
            assignments.push(tree::Argument { name, value: checker.value(value) });
        }
        Some(tree::StatementKind::PublishModel { model: self.model.text.clone(), topic, assignments })
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

/// What may be assigned to a Model; `None` while something that it is made of is not known.
fn whole(model: &Model, known: &dyn Known) -> Option<Vec<String>> {
    let source = Source::new("");
    let mut quiet = Sink::new(&source);
    assignable_of(model, known, &mut quiet)
}
