//! `FOR EACH {item} IN list DO`: the members of a JSON array, or the topics that a filter matches, one after the other (ours).
//!
//! ```text
//! forEach = "FOR" "EACH" var [ "WITH" "INDEX" var ] "IN" ( value | "TOPICS" topic ) "DO" block ;
//! var     = ident | string | "{" ident "}" ;
//!
//! FOR EACH {row} WITH INDEX {i} IN GET JSON "rows" IN PAYLOAD DO
//!     PUBLISH TOPIC "row/" + {i} WITH {row.value}
//! FOR EACH {t} IN TOPICS "line/+/state" DO
//!     SET "running" WITH {running} + (GET TOPIC {t} == "run" AS INT)
//! ```

use wasm_encoder::{Instruction, ValType};

use super::{
    CheckedKind, Construct, Executable, Form, Part, Statement, StatementKind, Word, each_expression,
};
use crate::check::kind::KindSet;
use crate::check::tree::walk::{self, Need, Times, parts};
use crate::check::tree::{self, VariableId};
use crate::check::{Checker, TopicUse};
use crate::diagnostic::{Draft, codes};
use crate::limits::LOOP_PASSES_MAX;
use crate::lower::{ADDRESS_BYTES, Generator, Representation, Runtime, memory};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, block, text, topic};
use crate::syntax::{CastType, Expression, ExpressionKind, Name, Position, TopicOperand};

/// `FOR EACH item WITH INDEX index IN list DO body`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForEach {
    /// The variable that is one member after the other.
    pub item: Name,
    /// The variable that counts them, from 0.
    pub index: Option<Name>,
    /// What is gone through.
    pub list: LoopMembers,
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
}

/// What a loop goes through.
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
        text: "`FOR EACH {item} IN list DO`, with statements below it: one pass for each member of a JSON array.",
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
    let index = if parser.eat_keyword("WITH") {
        parser.expect_word("INDEX", "WITH")?;
        Some(parser.expect_variable("WITH INDEX")?)
    } else {
        None
    };
    if !parser.eat_keyword("IN") {
        let message = format!("expected IN after the variable `{}`, found {}", item.text, parser.found());
        let draft = Draft::error(codes::EXPECTED_WORD, parser.here(), message).expected(&["IN", "WITH"]);
        return parser.fail(draft.suggest(format!("write: FOR EACH {{{}}} IN list DO", item.text)));
    }
    let list = if parser.eat_word("TOPICS") {
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
    Ok(StatementKind::ForEach(ForEach { item, index, list, body }))
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
                CheckedMembers::List(list)
            }
            LoopMembers::Topics(filter) => CheckedMembers::Topics(checker.filter(filter)),
        };
        if let Some(index) = self.index.as_ref().filter(|index| index.text == self.item.text) {
            let message = format!("`{}` is the member and its index", index.text);
            checker.error(Draft::error(codes::DUPLICATE_NAME, index.span, message));
        }
        let before = checker.scope.save();
        checker.scope.enter_loop(&self.body);
        let item = Self::variable(&self.item, list.kinds(), checker)?;
        let index = self.index.as_ref().and_then(|name| Self::variable(name, KindSet::INT, checker));
        let body = checker.statements(&self.body);
        let after = checker.scope.save();
        // Of an empty list there is no pass.
        checker.scope.join(vec![before, after]);
        Some(Checked { list, item, index, body }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Assigned(&self.item));
        self.index.iter().for_each(|name| visit(Part::Assigned(name)));
        match &self.list {
            LoopMembers::List(value) => visit(Part::Expression(value)),
            LoopMembers::Topics(filter) => each_expression(&filter.parts, visit),
        }
        visit(Part::Block(&self.body));
    }

    fn write(&self, writer: &mut Writer) {
        let index = self.index.as_ref().map_or(String::new(), |name| format!(" (index {})", name.text));
        let list = match &self.list {
            LoopMembers::List(value) => text(value),
            LoopMembers::Topics(filter) => format!("(topics {})", topic(filter)),
        };
        writer.push(&format!("(for-each {}{index} {list}", self.item.text));
        block(writer, &self.body);
        writer.push(")");
    }
}

/// Once for each member.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What is gone through, evaluated once.
    pub list: CheckedMembers,
    /// Holds the member.
    pub item: VariableId,
    /// Holds its place, from 0.
    pub index: Option<VariableId>,
    /// The statements; each pass counts against the run's budget of iterations.
    pub body: Vec<tree::Statement>,
}

/// What a loop goes through.
#[derive(Debug, Clone)]
pub enum CheckedMembers {
    /// An array; anything else has no members.
    List(tree::Expression),
    /// The topics that a filter matches.
    Topics(tree::Topic),
}

impl CheckedMembers {
    /// What a member can be.
    fn kinds(&self) -> KindSet {
        match self {
            CheckedMembers::List(_) => KindSet::FROM_JSON,
            CheckedMembers::Topics(_) => KindSet::TEXT_DATA,
        }
    }
}

impl Executable for Checked {
    parts!(|Checked { list, item, index, body }, visit| {
        visit(walk::Part::Need(Need::Unbounded));
        visit(walk::Part::Received(*item, list.kinds()));
        match list {
            CheckedMembers::List(value) => visit(walk::Part::Value(value)),
            CheckedMembers::Topics(filter) => visit(walk::Part::Topic(filter, TopicUse::List)),
        }
        if let Some(index) = index {
            visit(walk::Part::Received(*index, KindSet::INT));
        }
        visit(walk::Part::Block(body, Times::Passes(u64::from(LOOP_PASSES_MAX))));
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let passes = generator.passes();
        let step = match &self.list {
            CheckedMembers::List(list) => {
                generator.cell(list);
                generator.flush_notes(at);
                generator.runtime(Runtime::Elements);
                ADDRESS_BYTES
            }
            CheckedMembers::Topics(filter) => {
                generator.topics(filter, at);
                2 * ADDRESS_BYTES
            }
        };
        let count = self.index.map(|variable| (variable, generator.code.new_local(ValType::I64)));
        if let Some((_, count)) = count {
            generator.code.i64(0);
            generator.code.set(count);
        }
        generator.each(step, |generator, next| {
            generator.begin_pass(passes, at);
            generator.code.get(next);
            generator.code.push(Instruction::I32Load(memory(0, 2)));
            if let CheckedMembers::Topics(_) = &self.list {
                generator.code.get(next);
                generator.code.push(Instruction::I32Load(memory(4, 2)));
                generator.runtime(Runtime::Data);
            }
            generator.assign(self.item, Representation::Cell);
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
