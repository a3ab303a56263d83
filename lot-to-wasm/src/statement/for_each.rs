//! `FOR EACH {item} IN list DO`: the members of a JSON array or object, or the topics that a filter
//! matches, one after the other (ours).
//!
//! ```text
//! forEach = "FOR" "EACH" var { "WITH" ( "INDEX" | "NAME" ) var }
//!           "IN" ( value | "TOPICS" topic ) "DO" block ;
//! var     = ident | string | "{" ident "}" ;  -- INDEX and NAME once each; with NAME an object
//!
//! FOR EACH {row} WITH INDEX {i} IN GET JSON "rows" IN PAYLOAD DO
//!     PUBLISH TOPIC "row/" + {i} WITH {row.value}
//! FOR EACH {value} WITH NAME {name} IN PAYLOAD DO
//!     PUBLISH TOPIC "sensor/" + {name} WITH {value}
//! FOR EACH {t} IN TOPICS "line/+/state" DO
//!     SET "running" WITH {running} + (GET TOPIC {t} == "run" AS INT)
//! ```

use wasm_encoder::{Instruction, ValType};

use super::{
    CheckedKind, Construct, Executable, Form, Part, Statement, StatementKind, Word, each_expression,
};
use crate::check::kind::KindSet;
use crate::check::tree::walk::{self, Need, Times, parts};
use crate::check::tree::{self, CastKind, Function, JsonShape, VariableId};
use crate::check::{Checker, TopicUse};
use crate::diagnostic::{Draft, codes};
use crate::limits::LOOP_PASSES_MAX;
use crate::lower::{ADDRESS_BYTES, Generator, Local, Representation, Runtime, memory};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, block, text, topic};
use crate::syntax::{CastType, Expression, ExpressionKind, Name, Position, TopicOperand};

/// `FOR EACH item WITH INDEX index WITH NAME name IN list DO body`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// The variable that is one member after the other.
    pub item: Name,
    /// The variable that counts them, from 0.
    pub index: Option<Name>,
    /// The variable that is their names; then they are those of an object.
    pub name: Option<Name>,
    /// Members that the loop visits.
    pub list: LoopMembers,
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
}

/// Members that a loop visits.
#[derive(Debug, Clone, PartialEq)]
pub enum LoopMembers {
    /// The members of a value.
    List(Expression),
    /// The topics that a filter matches.
    Topics(TopicOperand),
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["FOR", "EACH"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[
    Word {
        word: "EACH",
        is: &[],
        text: "`FOR EACH {item} IN list DO`, with statements below it: one pass for each member of a JSON array; with `WITH NAME {name}` of an object.",
    },
    Word {
        word: "NAME",
        is: &[],
        text: "`FOR EACH {value} WITH NAME {name} IN object DO`: one pass for each member of a JSON object, with its value and its name.",
    },
    Word {
        word: "TOPICS",
        is: &[],
        text: "`FOR EACH {topic} IN TOPICS \"line/+/state\" DO`: one pass for each topic that a filter matches and that has a last value.",
    },
];

/// Reads what follows `FOR EACH`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let words = parser.previous();
    parser.non_portable(words, "FOR EACH");
    let item = parser.expect_variable("FOR EACH")?;
    let (index, name) = parse_options(parser)?;
    if !parser.eat_keyword("IN") {
        let message = format!("expected IN after the variable `{}`, found {}", item.text, parser.found());
        let draft = Draft::error(codes::EXPECTED_WORD, parser.here(), message).expected(&["IN", "WITH"]);
        return parser.fail(draft.suggest(format!("write: FOR EACH {{{}}} IN list DO", item.text)));
    }
    let list = if parser.eat_word("TOPICS") {
        refuse_names_of_topics(parser, &item, name.as_ref());
        LoopMembers::Topics(parser.chained_topic("TOPICS")?)
    } else {
        LoopMembers::List(parser.value()?)
    };
    if !parser.eat_keyword("DO") {
        let message = format!("expected DO after the list, found {}", parser.found());
        let draft = Draft::error(codes::EXPECTED_DO, parser.here(), message).expected(&["DO"]);
        let draft = draft.suggest("write DO at the end of the line");
        let is_end = parser.is_line_end();
        let at = parser.previous().after();
        return parser.fail(if is_end { draft.fix(at, " DO") } else { draft });
    }
    let body = parser.block("DO")?;
    Ok(StatementKind::ForEach(ForEach { item, index, name, list, body }))
}

/// `WITH INDEX {index}` and `WITH NAME {name}`, each at most once, in any order.
fn parse_options(parser: &mut Parser<'_, '_>) -> Parsed<(Option<Name>, Option<Name>)> {
    let (mut index, mut name) = (None, None);
    while parser.eat_keyword("WITH") {
        let (word, variable) = if parser.eat_word("INDEX") {
            ("WITH INDEX", &mut index)
        } else if parser.eat_word("NAME") {
            ("WITH NAME", &mut name)
        } else {
            let message = format!("expected INDEX or NAME after WITH, found {}", parser.found());
            let draft = Draft::error(codes::EXPECTED_WORD, parser.here(), message);
            let draft = draft.expected(&["INDEX", "NAME"]);
            return parser
                .fail(draft.suggest("write WITH INDEX {i} for the place, WITH NAME {name} for the name"));
        };
        let span = parser.previous();
        let found = parser.expect_variable(word)?;
        if variable.replace(found).is_some() {
            let message = format!("{word} stands twice");
            parser
                .sink
                .push(Draft::error(codes::DUPLICATE_NAME, span, message).suggest("leave one of them out"));
        }
    }
    Ok((index, name))
}

/// Reports `WITH NAME` in front of `TOPICS`.
fn refuse_names_of_topics(parser: &mut Parser<'_, '_>, item: &Name, name: Option<&Name>) {
    if let Some(name) = name {
        let message = format!("a topic has no name beside itself, which is in `{}`", item.text);
        let draft = Draft::error(codes::NO_LIST, name.span, message);
        parser.sink.push(draft.suggest("leave WITH NAME out; it is for the members of an object"));
    }
}

impl ForEach {
    /// Reports a list that can never have members.
    fn check_list(span: Span, list: &tree::Expression, checker: &mut Checker<'_, '_, '_>) {
        let is_text = matches!(list.kind, tree::ExpressionKind::Constant(tree::Constant::Text(_)));
        let never = KindSet::NUMBER | KindSet::BOOL | KindSet::TIME | KindSet::NULL;
        let draft = if list.kinds.is(never) {
            Draft::warning(codes::NO_LIST, span, "this is no JSON array: there is nothing to go through")
        } else if is_text {
            let message = "a text is no JSON array";
            let draft = Draft::warning(codes::NO_LIST, span, message);
            draft.suggest("write SPLIT text USING \";\" for its pieces, or [\"a\", \"b\"] for an array")
        } else {
            return;
        };
        checker.error(draft);
    }

    /// Reports an object without a variable for the names of members, and such a variable without
    /// an object.
    fn check_shape(&self, span: Span, list: &tree::Expression, checker: &mut Checker<'_, '_, '_>) {
        let item = &self.item.text;
        let draft = match (shape(list), &self.name) {
            (Some(JsonShape::Object), None) => {
                let message = "without WITH NAME it goes through an array, and this is an object";
                let draft = Draft::warning(codes::NO_LIST, span, message);
                draft.suggest(format!(
                    "write FOR EACH {{{item}}} WITH NAME {{name}} IN …: {{{item}}} is the value of each member"
                ))
            }
            (Some(JsonShape::Array), Some(_)) => {
                let message = "WITH NAME goes through an object, and this is an array";
                let draft = Draft::warning(codes::NO_LIST, span, message);
                draft.suggest("write WITH INDEX {i} for the place of each member, or leave WITH NAME out")
            }
            (Some(_) | None, Some(_) | None) => return,
        };
        checker.error(draft);
    }

    /// Reports a variable that stands for two things of the same pass.
    fn check_names(&self, checker: &mut Checker<'_, '_, '_>) {
        let named = [Some(&self.item), self.index.as_ref(), self.name.as_ref()];
        let roles = ["the member", "its index", "its name"];
        let named: Vec<(&Name, &str)> =
            named.into_iter().zip(roles).filter_map(|(name, role)| Some((name?, role))).collect();
        for (at, (name, role)) in named.iter().enumerate() {
            let before = named.iter().take(at).find(|(before, _)| before.text == name.text);
            if let Some((_, first)) = before {
                let message = format!("`{}` is {first} and {role}", name.text);
                checker.error(Draft::error(codes::DUPLICATE_NAME, name.span, message));
            }
        }
    }

    fn variable(name: &Name, kinds: KindSet, checker: &mut Checker<'_, '_, '_>) -> Option<VariableId> {
        checker.variable_name(name);
        let variable = checker.scope.find(&name.text)?;
        checker.scope.set(variable, kinds);
        Some(variable)
    }
}

impl Construct for ForEach {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let list = match &self.list {
            LoopMembers::List(value) => {
                // One row is an object, as it is wherever rows are read.
                let list = if matches!(value.kind, ExpressionKind::GetModel(_)) {
                    checker.cast(value, CastType::Array, value.span)
                } else {
                    checker.operand(value)
                };
                Self::check_list(value.span, &list, checker);
                self.check_shape(value.span, &list, checker);
                CheckedMembers::List(list)
            }
            LoopMembers::Topics(filter) => CheckedMembers::Topics(checker.filter(filter)),
        };
        self.check_names(checker);
        let before = checker.scope.save();
        checker.scope.enter_loop(&self.body);
        let item = Self::variable(&self.item, list.kinds(), checker)?;
        let index = self.index.as_ref().and_then(|name| Self::variable(name, KindSet::INT, checker));
        let name = self.name.as_ref().and_then(|name| Self::variable(name, KindSet::TEXT_DATA, checker));
        let body = checker.statements(&self.body);
        let after = checker.scope.save();
        // Of an empty list there is no pass.
        checker.scope.join(vec![before, after]);
        Some(Checked { list, item, index, name, body }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Assigned(&self.item));
        self.index.iter().chain(&self.name).for_each(|name| visit(Part::Assigned(name)));
        match &self.list {
            LoopMembers::List(value) => visit(Part::Expression(value)),
            LoopMembers::Topics(filter) => each_expression(&filter.parts, visit),
        }
        visit(Part::Block(&self.body));
    }

    fn write(&self, writer: &mut Writer) {
        let option = |word: &str, name: &Option<Name>| {
            name.as_ref().map_or(String::new(), |name| format!(" ({word} {})", name.text))
        };
        let (index, name) = (option("index", &self.index), option("name", &self.name));
        let list = match &self.list {
            LoopMembers::List(value) => text(value),
            LoopMembers::Topics(filter) => format!("(topics {})", topic(filter)),
        };
        writer.push(&format!("(for-each {}{index}{name} {list}", self.item.text));
        block(writer, &self.body);
        writer.push(")");
    }
}

/// Once for each member.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Members that the loop visits, evaluated once.
    pub list: CheckedMembers,
    /// Holds the member.
    pub item: VariableId,
    /// Holds its place, from 0.
    pub index: Option<VariableId>,
    /// Holds its name; then a list is an object.
    pub name: Option<VariableId>,
    /// The statements; each pass counts against the run's budget of iterations.
    pub body: Vec<tree::Statement>,
}

/// Whether a value is known to be an array or an object.
#[allow(clippy::wildcard_enum_match_arm, reason = "nothing is known of the others")]
fn shape(value: &tree::Expression) -> Option<JsonShape> {
    use tree::ExpressionKind as Kind;
    match &value.kind {
        Kind::Object(_) | Kind::Cast { to: CastKind::Json(JsonShape::Object), .. } => Some(JsonShape::Object),
        Kind::Constant(tree::Constant::Json(text)) if text.starts_with('{') => Some(JsonShape::Object),
        Kind::Array(_)
        | Kind::Constant(tree::Constant::Json(_))
        | Kind::Cast { to: CastKind::Json(JsonShape::Array), .. }
        | Kind::Split { at: None, .. }
        | Kind::Function { function: Function::Append | Function::Last, .. } => Some(JsonShape::Array),
        _ => None,
    }
}

/// Members that a loop visits.
#[derive(Debug, Clone)]
pub enum CheckedMembers {
    /// An array, or an object where names are wanted; anything else has no members.
    List(tree::Expression),
    /// The topics that a filter matches.
    Topics(tree::Topic),
}

impl CheckedMembers {
    /// Returns the kinds of a member.
    fn kinds(&self) -> KindSet {
        match self {
            CheckedMembers::List(_) => KindSet::FROM_JSON,
            CheckedMembers::Topics(_) => KindSet::TEXT_DATA,
        }
    }
}

impl Executable for Checked {
    parts!(|Checked { list, item, index, name, body }, visit| {
        visit(walk::Part::Need(Need::Unbounded));
        visit(walk::Part::Received(*item, list.kinds()));
        match list {
            CheckedMembers::List(value) => visit(walk::Part::Value(value)),
            CheckedMembers::Topics(filter) => visit(walk::Part::Topic(filter, TopicUse::List)),
        }
        if let Some(index) = index {
            visit(walk::Part::Received(*index, KindSet::INT));
        }
        if let Some(name) = name {
            visit(walk::Part::Received(*name, KindSet::TEXT_DATA));
        }
        visit(walk::Part::Block(body, Times::Passes(u64::from(LOOP_PASSES_MAX))));
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let passes = generator.passes();
        let step = self.push_members(generator, at);
        let count = self.index.map(|variable| (variable, generator.code.new_local(ValType::I64)));
        if let Some((_, count)) = count {
            generator.code.i64(0);
            generator.code.set(count);
        }
        generator.each(step, |generator, next| {
            generator.begin_pass(passes, at);
            self.assign_member(generator, next);
            if let Some((variable, count)) = count {
                generator.code.get(count);
                generator.assign(variable, Representation::Int);
                generator.code.get(count);
                generator.code.i64(1);
                generator.code.push(Instruction::I64Add);
                generator.code.set(count);
            }
            generator.block(&self.body);
        });
    }
}

impl Checked {
    /// Pushes the list of members; the result is how many bytes of it each member has.
    fn push_members(&self, generator: &mut Generator<'_>, at: Position) -> i32 {
        match &self.list {
            CheckedMembers::List(list) => {
                generator.cell(list);
                generator.flush_notes(at);
                if self.name.is_some() {
                    generator.runtime(Runtime::Members);
                    return 2 * ADDRESS_BYTES;
                }
                generator.runtime(Runtime::Elements);
                ADDRESS_BYTES
            }
            CheckedMembers::Topics(filter) => {
                generator.topics(filter, at);
                2 * ADDRESS_BYTES
            }
        }
    }

    /// Assigns the member at `next`, and its name.
    fn assign_member(&self, generator: &mut Generator<'_>, next: Local) {
        let push = |generator: &mut Generator<'_>, offset: u64| {
            generator.code.get(next);
            generator.code.push(Instruction::I32Load(memory(offset, 2)));
        };
        match (&self.list, self.name) {
            (CheckedMembers::List(_), None) => push(generator, 0),
            // The name stands before the value.
            (CheckedMembers::List(_), Some(name)) => {
                push(generator, 0);
                generator.assign(name, Representation::Cell);
                push(generator, 4);
            }
            (CheckedMembers::Topics(_), _) => {
                push(generator, 0);
                push(generator, 4);
                generator.runtime(Runtime::Data);
            }
        }
        generator.assign(self.item, Representation::Cell);
    }
}
