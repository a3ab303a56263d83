//! Expressions: representation of values, and code for all expressions that are not operators.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, memory};
use super::constants::ANSWER;
use super::entry::{Generator, cast_function};
use super::host::Host;
use super::rule::question;
use super::runtime::Runtime;
use crate::check::kind::KindSet;
use crate::check::tree::{
    CastKind, Constant, Expression, ExpressionKind, Function, JsonPath, SessionWord, TimestampFormat,
};
use crate::diagnostic::codes;
use crate::syntax::Position;

/// How a value is held on the stack and in locals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Representation {
    /// Address of a cell of the runtime: any kind.
    Cell,
    /// A whole number.
    Int,
    /// A floating-point number.
    Double,
    /// A truth value, 0 or 1.
    Bool,
}

impl Representation {
    /// The representation of a variable that can hold these kinds.
    pub(super) fn of_variable(kinds: KindSet) -> Self {
        if kinds.is(KindSet::INT) {
            Representation::Int
        } else if kinds.is(KindSet::DOUBLE) {
            Representation::Double
        } else if kinds.is(KindSet::BOOL) {
            Representation::Bool
        } else {
            Representation::Cell
        }
    }

    pub(super) fn ty(self) -> ValType {
        match self {
            Representation::Cell | Representation::Bool => ValType::I32,
            Representation::Int => ValType::I64,
            Representation::Double => ValType::F64,
        }
    }
}

/// Offset of the number in a cell.
pub(super) const CELL_NUMBER: u64 = 8;

impl Generator<'_> {
    /// The representation in which [`Generator::value`] leaves an expression.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever is not named here is a cell")]
    pub(super) fn representation(&self, expression: &Expression) -> Representation {
        use ExpressionKind as Kind;
        match &expression.kind {
            Kind::Constant(Constant::Bool(_)) => Representation::Bool,
            Kind::Constant(Constant::Int(_)) => Representation::Int,
            Kind::Constant(Constant::Double(_)) => Representation::Double,
            Kind::Variable(variable) => self.representation_of(*variable),
            Kind::Not(_)
            | Kind::Compare { .. }
            | Kind::IsEmpty(_)
            | Kind::IsAbsent(_)
            | Kind::IsAssigned(_)
            | Kind::MatchesRegex { .. }
            | Kind::OneOf { .. }
            | Kind::And(..)
            | Kind::Or(..)
            | Kind::TopicExists(_)
            | Kind::LoggedIn
            | Kind::InGroup(_)
            | Kind::ModuleAllows(_)
            | Kind::Session(SessionWord::CleanSession) => Representation::Bool,
            Kind::Session(SessionWord::SubscribeQos)
            | Kind::Timestamp(TimestampFormat::Unix | TimestampFormat::UnixMs)
            | Kind::Function { function: Function::Length, .. } => Representation::Int,
            Kind::Cast { to, value } if !value.kinds.intersects(KindSet::EMPTY) => match to {
                CastKind::Int => Representation::Int,
                CastKind::Double => Representation::Double,
                CastKind::Bool => Representation::Bool,
                CastKind::String | CastKind::Timestamp | CastKind::Json(_) | CastKind::Bytes => {
                    Representation::Cell
                }
            },
            Kind::Negate(operand) => self.negated(expression.kinds, operand),
            Kind::Arithmetic { operator, left, right } => {
                self.calculated(expression.kinds, *operator, left, right)
            }
            Kind::If { then, otherwise, .. } => {
                let (then, otherwise) = (self.representation(then), self.representation(otherwise));
                if then == otherwise { then } else { Representation::Cell }
            }
            _ => Representation::Cell,
        }
    }

    /// Pushes the value of an expression in its own representation, which is returned.
    pub(super) fn value(&mut self, expression: &Expression) -> Representation {
        use ExpressionKind as Kind;
        let representation = self.representation(expression);
        match &expression.kind {
            Kind::Constant(Constant::Bool(truth)) => self.code.i32(i32::from(*truth)),
            Kind::Constant(Constant::Int(number)) => self.code.i64(*number),
            Kind::Constant(Constant::Double(number)) => {
                self.code.push(Instruction::F64Const((*number).into()));
            }
            Kind::Constant(constant) => self.push_constant(constant),
            Kind::Variable(variable) => {
                self.push_variable(*variable);
            }
            Kind::Payload => self.payload_cell(),
            Kind::PayloadBytes => self.of_message(|generator, message| {
                generator.code.parameter(message.payload);
                generator.code.parameter(message.payload + 1);
                generator.runtime(Runtime::Bytes);
            }),
            Kind::TopicName => self.of_message(|generator, message| {
                generator.code.parameter(message.topic);
                generator.code.parameter(message.topic + 1);
                generator.runtime(Runtime::Data);
            }),
            Kind::TopicLevel(level) => self.topic_level(*level),
            Kind::TopicLevelAt(level) => self.of_message(|generator, message| {
                generator.code.parameter(message.topic);
                generator.code.parameter(message.topic + 1);
                generator.cell(level);
                generator.runtime(Runtime::LevelAt);
            }),
            Kind::TopicExists(topic) => self.topic_exists(topic),
            Kind::GetTopic(topic) => self.get_topic(topic),
            Kind::GetJson { path, source } => self.get_json(path, source),
            Kind::Select(select) => self.select(select, expression.at),
            Kind::GetEnv(name) => self.get_setting(Host::GetEnvironment, name, None),
            Kind::GetSecret(name) => self.get_setting(Host::GetSecret, name, Some(expression.at)),
            Kind::Timestamp(format) => self.timestamp(format),
            Kind::LocalTimestamp(format) => self.local_timestamp(format),
            Kind::TimestampOf { format, instant } => self.timestamp_of(format, instant),
            Kind::RandomUuid => {
                self.random_bits();
                self.random_bits();
                self.runtime(Runtime::Uuid);
            }
            Kind::RandomInt { low, high } => self.random(Runtime::RandomInt, low, high),
            Kind::RandomDouble { low, high } => self.random(Runtime::RandomDouble, low, high),
            Kind::Session(word) => self.session(*word),
            Kind::Publisher(word) => self.publisher(*word),
            Kind::MessageProperty(property) => self.message_property(*property),
            Kind::MessageUserProperty(name) => self.message_user_property(name),
            Kind::LoggedIn => self.code.parameter(question::USER),
            Kind::UserProperty(name) => self.get_setting(Host::Property, name, None),
            Kind::InGroup(name) => self.in_group(name),
            Kind::ModuleAllows(name) => self.module_allows(name, expression.at),
            Kind::Negate(operand) => self.negate(representation, operand),
            Kind::Not(operand) => {
                self.truth(operand);
                self.code.push(Instruction::I32Eqz);
            }
            Kind::Arithmetic { operator, left, right } => {
                self.arithmetic(representation, *operator, left, right);
            }
            Kind::Concat(parts) => self.concat(&parts.iter().collect::<Vec<_>>()),
            Kind::Compare { operator, left, right } => self.compare(*operator, left, right),
            Kind::IsEmpty(operand) => self.is_empty(operand),
            Kind::MatchesRegex { value, regex } => self.matches(value, *regex, expression.at),
            Kind::OneOf { value, candidates } => self.one_of(value, candidates),
            Kind::And(left, right) => self.and(left, right),
            Kind::Or(left, right) => self.or(left, right),
            Kind::Cast { to, value } => self.cast(*to, value, representation),
            Kind::If { condition, then, otherwise } => {
                self.truth(condition);
                self.code.open_if_value(representation.ty());
                self.value_as(then, representation);
                self.code.or_else();
                self.value_as(otherwise, representation);
                self.code.end();
            }
            Kind::Object(_) | Kind::Array(_) => self.json_literal(expression),
            Kind::FilterRegex { value, regex } => self.filter(value, *regex, expression.at),
            Kind::CsvField { value, field } => self.piece(value, ",", *field),
            Kind::Replace { search, replacement, value } => {
                self.cell(search);
                self.cell(replacement);
                self.cell(value);
                self.runtime(Runtime::Replace);
            }
            Kind::Trim(operand) => {
                self.cell(operand);
                self.runtime(Runtime::Trim);
            }
            Kind::Split { value, separator, at: Some(position) } => self.piece(value, separator, *position),
            Kind::Split { value, separator, at: None } => {
                self.cell(value);
                self.push_text(separator);
                self.runtime(Runtime::Split);
            }
            Kind::Assigned(name) => self.assigned(name),
            Kind::IsAssigned(name) => self.is_assigned(name),
            Kind::IsAbsent(operand) => self.is_absent(operand),
            Kind::Fit { to, value } => self.fit(*to, value),
            Kind::Inferred(operand) => {
                self.cell(operand);
                self.runtime(Runtime::Inferred);
            }
            Kind::Function { function, arguments } => self.function(*function, arguments),
        }
        representation
    }

    /// Pushes a value as cell. Constants are ready.
    pub(crate) fn cell(&mut self, expression: &Expression) {
        self.value_as(expression, Representation::Cell);
    }

    /// Pushes a value in a given representation; its kind must fit.
    pub(crate) fn value_as(&mut self, expression: &Expression, wanted: Representation) {
        if let (ExpressionKind::Constant(constant), Representation::Cell) = (&expression.kind, wanted) {
            return self.push_constant(constant);
        }
        let representation = self.value(expression);
        self.convert(representation, wanted);
    }

    /// Converts the value on the stack. From a cell its kind must be known to be the wanted one.
    pub(super) fn convert(&mut self, from: Representation, to: Representation) {
        match (from, to) {
            (Representation::Int, Representation::Cell) => self.runtime(Runtime::Int),
            (Representation::Double, Representation::Cell) => self.runtime(Runtime::Double),
            (Representation::Bool, Representation::Cell) => self.runtime(Runtime::Bool),
            (Representation::Cell, Representation::Int) => {
                self.code.push(Instruction::I64Load(memory(CELL_NUMBER, 3)))
            }
            (Representation::Cell, Representation::Double) => {
                self.code.push(Instruction::F64Load(memory(CELL_NUMBER, 3)));
            }
            (Representation::Cell, Representation::Bool) => {
                self.code.push(Instruction::I32Load8U(memory(CELL_NUMBER, 0)));
            }
            (Representation::Int, Representation::Double) => self.code.push(Instruction::F64ConvertI64S),
            // Equal ones, and conversions that no checked program needs.
            _ => {}
        }
    }

    /// Pushes the truth of a value.
    pub(crate) fn truth(&mut self, expression: &Expression) {
        match self.value(expression) {
            Representation::Bool => {}
            Representation::Cell => self.runtime(Runtime::Truth),
            Representation::Int => {
                self.code.i64(0);
                self.code.push(Instruction::I64Ne);
            }
            Representation::Double => {
                self.code.push(Instruction::F64Const(0.0.into()));
                self.code.push(Instruction::F64Ne);
            }
        }
    }

    /// Pushes the cell that `push` makes of the triggering message; Empty when there is none.
    pub(super) fn of_message(&mut self, push: impl FnOnce(&mut Self, super::entry::Message)) {
        match self.message {
            None => self.push_constant(&Constant::Empty),
            Some(message) => match message.present {
                None => push(self, message),
                Some(present) => {
                    self.code.parameter(present);
                    self.code.open_if_value(ValType::I32);
                    push(self, message);
                    self.code.or_else();
                    self.push_constant(&Constant::Empty);
                    self.code.end();
                }
            },
        }
    }

    /// Pushes the payload as text. Its cell is made once a run, because it is checked for UTF-8
    /// when it is first looked at.
    fn payload_cell(&mut self) {
        let local = match self.payload_cell {
            Some(local) => local,
            None => *self.payload_cell.insert(self.code.new_local(ValType::I32)),
        };
        self.code.get(local);
        self.code.push(Instruction::I32Eqz);
        self.code.open_if();
        self.of_message(|generator, message| {
            generator.code.parameter(message.payload);
            generator.code.parameter(message.payload + 1);
            generator.runtime(Runtime::Raw);
        });
        self.code.set(local);
        self.code.end();
        self.code.get(local);
    }

    /// Pushes a level of the triggering topic.
    pub(super) fn topic_level(&mut self, level: u32) {
        self.of_message(|generator, message| {
            generator.code.parameter(message.topic);
            generator.code.parameter(message.topic + 1);
            generator.code.u32(level);
            generator.runtime(Runtime::Level);
        });
    }

    fn get_json(&mut self, path: &JsonPath, source: &Expression) {
        self.cell(source);
        match path {
            JsonPath::Literal { text, .. } => {
                self.push_text(text);
                self.runtime(Runtime::JsonGet);
            }
            JsonPath::Computed(path) => {
                self.cell(path);
                self.runtime(Runtime::JsonGetAt);
            }
        }
    }

    /// Pushes an environment value or a secret, or Empty; the lack of a secret is reported at
    /// `report`.
    fn get_setting(&mut self, function: Host, name: &str, report: Option<Position>) {
        self.push_text(name);
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(function));
        self.push_answer_present();
        self.code.open_if_value(ValType::I32);
        self.push_answer_pair();
        self.runtime(Runtime::Data);
        self.code.or_else();
        if let Some(at) = report {
            self.error(codes::RUN_MISSING_SECRET, &format!("secret `{name}` is not set"), at);
        }
        self.push_constant(&Constant::Empty);
        self.code.end();
    }

    /// Whether the `option` in the host's area is some.
    pub(super) fn push_answer_present(&mut self) {
        self.push_constant_address(ANSWER);
        self.code.push(Instruction::I32Load8U(memory(0, 0)));
    }

    /// The two numbers of the `option` in the host's area: address and length, or start and end.
    pub(super) fn push_answer_pair(&mut self) {
        for offset in [4, 8] {
            self.push_constant_address(ANSWER);
            self.code.push(Instruction::I32Load(memory(offset, 2)));
        }
    }

    fn cast(&mut self, to: CastKind, value: &Expression, representation: Representation) {
        let from = self.representation(value);
        match (representation, from) {
            (Representation::Cell, _) => {
                self.cell(value);
                self.runtime(cast_function(to));
            }
            (Representation::Int, Representation::Double) => {
                self.value(value);
                self.code.push(Instruction::I64TruncSatF64S);
            }
            (Representation::Int, Representation::Bool) => {
                self.value(value);
                self.code.push(Instruction::I64ExtendI32U);
            }
            (Representation::Double, Representation::Int) => self.value_as(value, Representation::Double),
            (Representation::Double, Representation::Bool) => {
                self.value(value);
                self.code.push(Instruction::F64ConvertI32U);
            }
            (Representation::Bool, Representation::Int | Representation::Double) => self.truth(value),
            (Representation::Int, Representation::Cell) => self.cast_cell(value, Runtime::IntOf),
            (Representation::Double, Representation::Cell) => self.cast_cell(value, Runtime::DoubleOf),
            (Representation::Bool, Representation::Cell) => self.cast_cell(value, Runtime::BoolOf),
            (Representation::Int, Representation::Int)
            | (Representation::Double, Representation::Double)
            | (Representation::Bool, Representation::Bool) => {
                self.value(value);
            }
        }
    }

    fn cast_cell(&mut self, value: &Expression, function: Runtime) {
        self.cell(value);
        self.runtime(function);
    }

    fn is_empty(&mut self, operand: &Expression) {
        if self.value(operand) == Representation::Cell {
            self.runtime(Runtime::IsEmpty);
        } else {
            self.code.push(Instruction::Drop);
            self.code.i32(0);
        }
    }

    fn piece(&mut self, value: &Expression, separator: &str, position: u32) {
        self.cell(value);
        self.push_text(separator);
        self.code.u32(position);
        self.runtime(Runtime::Piece);
    }

    fn function(&mut self, function: Function, arguments: &[Expression]) {
        let Some((first, rest)) = arguments.split_first() else {
            return self.push_constant(&Constant::Empty);
        };
        self.cell(first);
        let unary = match function {
            Function::Upper => Runtime::Upper,
            Function::Lower => Runtime::Lower,
            Function::Length => Runtime::Length,
            Function::Abs => Runtime::Abs,
            Function::Floor => Runtime::Floor,
            Function::Ceil => Runtime::Ceil,
            Function::Sqrt => Runtime::Sqrt,
            Function::Sin => Runtime::Sin,
            Function::Cos => Runtime::Cos,
            Function::Tan => Runtime::Tan,
            Function::Asin => Runtime::Asin,
            Function::Acos => Runtime::Acos,
            Function::Atan => Runtime::Atan,
            Function::Atan2 => return self.fold(Runtime::Atan2, rest),
            Function::Exp => Runtime::Exp,
            Function::Ln => Runtime::Ln,
            Function::Log10 => Runtime::Log10,
            Function::Pow => return self.fold(Runtime::Pow, rest),
            Function::Round if rest.is_empty() => Runtime::Round,
            Function::Round => return self.fold(Runtime::RoundTo, rest),
            // A missing value among several is left out; in the end it is the number that it counts
            // as.
            Function::Min | Function::Max => {
                let of_two = if function == Function::Min { Runtime::Min } else { Runtime::Max };
                self.fold(of_two, rest);
                if rest.is_empty() {
                    // It may be a list.
                    self.push_constant(&Constant::Empty);
                    self.runtime(of_two);
                }
                self.push_constant(&Constant::Int(1));
                Runtime::Multiply
            }
            Function::Append => return self.fold(Runtime::Append, rest),
            Function::Last => return self.fold(Runtime::Last, rest),
            Function::Sum => Runtime::Sum,
            Function::Mean => Runtime::Mean,
            Function::Stddev => Runtime::Stddev,
            Function::StddevPop => Runtime::StddevPop,
        };
        self.runtime(unary);
    }

    /// Combines the cell on the stack with further ones, one after the other.
    fn fold(&mut self, function: Runtime, rest: &[Expression]) {
        for operand in rest {
            self.cell(operand);
            self.runtime(function);
        }
    }
}
