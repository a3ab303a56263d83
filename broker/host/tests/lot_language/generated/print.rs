//! Prints a tree as text, with a random choice between spellings. Parentheses are where precedence
//! (§5.1) needs them, and at random places.

use super::random::Random;
use super::tree::{
    Action, Expression, Field, FieldSource, Function, Model, Operator, Program, Statement, StatementKind,
    Topic, TopicPart, Transform, Trigger, Type,
};

/// Prints a program, and notes the line of each statement, counted from the first line of its
/// definition.
pub(super) fn print(program: &mut Program) -> String {
    let mut printer =
        Printer { text: String::new(), line: 1, said: 0, random: Random::new(program.spelling) };
    for model in &program.models {
        printer.model(model);
    }
    // Callees first or last: the order of definitions must not matter.
    if printer.random.one_in(2) {
        program.actions.iter_mut().for_each(|action| printer.action(action));
    } else {
        program.actions.iter_mut().rev().for_each(|action| printer.action(action));
    }
    printer.text
}

/// How tightly an expression binds (§5.1). An operand is printed with the least that its place
/// takes.
mod level {
    pub(super) const VALUE: u8 = 0;
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const NOT: u8 = 3;
    pub(super) const COMPARISON: u8 = 4;
    pub(super) const SUM: u8 = 5;
    pub(super) const PRODUCT: u8 = 6;
    pub(super) const CAST: u8 = 7;
    pub(super) const UNARY: u8 = 8;
    pub(super) const PRIMARY: u8 = 9;
}

struct Printer {
    text: String,
    line: u32,
    /// End of the last line, before blank lines and comments between lines.
    said: usize,
    random: Random,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn one_of(&mut self, spellings: &[&str]) {
        let spelling = self.random.pick(spellings);
        self.put(spelling);
    }

    fn begin(&mut self, depth: usize) {
        self.put(&"    ".repeat(depth));
    }

    fn end(&mut self) {
        if self.random.one_in(20) {
            self.one_of(&["  ", " -- note", " // \"no\" string", " /* DEFINE */"]);
        }
        self.put("\n");
        self.line += 1;
        self.said = self.text.len();
        if self.random.one_in(25) {
            self.one_of(&["\n", "   \n", "-- between\n", "          // at any column\n"]);
            self.line += 1;
        }
    }

    /// Begins a definition, the lines of which are counted from here: a comment in front of it
    /// would be a part of it.
    fn define(&mut self, kind: &str, name: &str) {
        self.text.truncate(self.said);
        self.line = 1;
        self.put(&format!("DEFINE {kind} {name}"));
    }

    fn action(&mut self, action: &mut Action) {
        self.define("ACTION", &action.name);
        match &action.trigger {
            Trigger::Callable { inputs, .. } => {
                self.end();
                for (name, kind) in inputs {
                    self.put(&format!("INPUT {name}"));
                    if let Some(kind) = kind {
                        self.put(&format!(" AS {}", type_name(*kind)));
                    }
                    self.end();
                }
            }
            triggered => {
                if self.random.one_in(6) {
                    self.put(" ")
                } else {
                    self.end()
                }
                let text = trigger_text(triggered);
                self.put(&text);
                if self.random.one_in(6) { self.end() } else { self.put(" ") }
            }
        }
        self.put("DO");
        self.end();
        self.block(&mut action.body, 1);
        if let Trigger::Callable { outputs, .. } = &action.trigger
            && !outputs.is_empty()
        {
            self.put("RETURN");
            self.end();
            for output in outputs {
                self.put(&format!("    OUTPUT {output}"));
                self.end();
            }
        }
    }

    fn block(&mut self, statements: &mut [Statement], depth: usize) {
        for statement in statements {
            self.statement(statement, depth);
        }
    }

    fn statement(&mut self, statement: &mut Statement, depth: usize) {
        statement.line = self.line;
        self.begin(depth);
        match &mut statement.kind {
            StatementKind::Set { name, value } => {
                self.put("SET ");
                let name: &str = name;
                match self.random.below(3) {
                    0 => self.put(&format!("\"{name}\"")),
                    1 => self.put(name),
                    _ => self.put(&format!("{{{name}}}")),
                }
                self.one_of(&[" WITH ", " TO ", " AS ", " = "]);
                self.value(value);
            }
            StatementKind::Publish { topic, value, qos, retain } => {
                self.put("PUBLISH TOPIC ");
                self.topic(topic);
                self.put(" WITH ");
                self.value(value);
                let (qos, retain) = (*qos, *retain);
                if qos > 0 {
                    self.one_of(&[" WITH ", " AND "]);
                    match self.random.below(3) {
                        0 => self.put(&format!("QOS {qos}")),
                        1 => self.put(&format!("QOS = {qos}")),
                        _ => self.put(&format!("QOS{qos}")),
                    }
                }
                if retain {
                    if qos > 0 {
                        self.one_of(&[" ", " AND "])
                    } else {
                        self.one_of(&[" WITH ", " AND "])
                    }
                    self.put("RETAIN");
                }
            }
            StatementKind::Keep { topic, value } => {
                self.put("KEEP TOPIC ");
                self.topic(topic);
                self.put(" WITH ");
                self.value(value);
            }
            StatementKind::KeepEnv { name, value } => {
                self.put(&format!("KEEP ENV \"{name}\" WITH "));
                self.value(value);
            }
            StatementKind::DeleteEnv { name } => self.put(&format!("DELETE ENV \"{name}\"")),
            StatementKind::DeleteTopic { topic } => self.put(&format!("DELETE TOPIC \"{topic}\"")),
            StatementKind::If { branches, otherwise } => {
                for (index, (condition, block)) in branches.iter_mut().enumerate() {
                    if index > 0 {
                        self.begin(depth);
                        self.put("ELSE ");
                    }
                    self.put("IF ");
                    self.expression(condition, level::OR);
                    self.put(" THEN");
                    self.end();
                    self.block(block, depth + 1);
                }
                if let Some(block) = otherwise {
                    self.begin(depth);
                    self.put("ELSE");
                    self.end();
                    self.block(block, depth + 1);
                }
                return;
            }
            StatementKind::Switch { value, cases, default } => {
                self.put("SWITCH ");
                self.value(value);
                self.end();
                for (values, block) in cases {
                    self.begin(depth + 1);
                    self.put("CASE ");
                    self.list(values);
                    self.one_of(&["", " THEN"]);
                    self.end();
                    self.block(block, depth + 2);
                }
                if let Some(block) = default {
                    self.begin(depth + 1);
                    self.put("DEFAULT");
                    self.one_of(&["", " THEN"]);
                    self.end();
                    self.block(block, depth + 2);
                }
                return;
            }
            StatementKind::Loop { body, until } => {
                self.put("LOOP");
                self.end();
                self.block(body, depth + 1);
                self.begin(depth);
                self.put("UNTIL ");
                self.expression(until, level::OR);
            }
            StatementKind::Call { name, arguments, returns } => {
                self.put(&format!("CALL ACTION {name}"));
                if !arguments.is_empty() {
                    let brackets = self.random.one_in(2);
                    self.put(if brackets { " WITH (" } else { " WITH " });
                    self.assignments(arguments);
                    if brackets {
                        self.put(")");
                    }
                }
                if !returns.is_empty() {
                    self.one_of(&[" RETURN ", " RETURN AS "]);
                    self.put(&returns.join(", "));
                }
            }
            StatementKind::PublishModel { name, topic, assignments } => {
                self.put(&format!("PUBLISH MODEL {name} TO "));
                self.topic(topic);
                self.put(" WITH");
                if self.random.one_in(2) {
                    self.put(" ");
                    self.assignments(assignments);
                } else {
                    for (field, value) in assignments.iter() {
                        self.put("\n");
                        self.line += 1;
                        self.begin(depth + 1);
                        self.put(&format!("{field} = "));
                        self.value(value);
                    }
                }
            }
        }
        self.end();
    }

    fn assignments(&mut self, assignments: &[(String, Expression)]) {
        for (index, (name, value)) in assignments.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.put(&format!("{name} = "));
            self.expression(value, level::OR);
        }
    }

    fn list(&mut self, values: &[Expression]) {
        for (index, value) in values.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.expression(value, level::OR);
        }
    }

    fn topic(&mut self, topic: &Topic) {
        match topic {
            Topic::Literal(text) => self.string(text),
            Topic::Parts(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    self.put(if index > 0 { " + " } else { "" });
                    match part {
                        TopicPart::Literal(text) => self.string(text),
                        TopicPart::Variable(name) => self.variable(name),
                        TopicPart::Position(number) => self.put(&format!("TOPIC POSITION {number}")),
                        TopicPart::Payload => self.put("PAYLOAD"),
                    }
                }
            }
            Topic::Value(value) => self.in_parentheses(value),
        }
    }

    fn variable(&mut self, name: &str) {
        if self.random.one_in(8) {
            self.put(&format!("{{ {name} }}"))
        } else {
            self.put(&format!("{{{name}}}"))
        }
    }

    fn string(&mut self, text: &str) {
        self.put("\"");
        for character in text.chars() {
            match character {
                '"' => self.put("\\\""),
                '\\' => self.put("\\\\"),
                '\n' => self.put("\\n"),
                '\t' => self.put("\\t"),
                'é' if self.random.one_in(2) => self.put("\\u00e9"),
                other => self.text.push(other),
            }
        }
        self.put("\"");
    }

    fn value(&mut self, value: &Expression) {
        self.expression(value, level::VALUE);
    }

    fn in_parentheses(&mut self, value: &Expression) {
        self.put("(");
        self.value(value);
        self.put(")");
    }

    /// Prints an operand of a place that takes what binds at least as tightly as `least`.
    fn expression(&mut self, value: &Expression, least: u8) {
        let way = self.way_of(value);
        if way.level < least || (self.random.one_in(12) && !matches!(value, Expression::Array(_))) {
            self.in_parentheses(value);
        } else {
            self.bare(value, way.after);
        }
    }

    /// Prints what REPLACE looks for; TIMESTAMP would take the WITH and the text behind it for its
    /// own (`docs/decisions`).
    fn sought(&mut self, value: &Expression) {
        let last = if let Expression::Negate(operand) = value { operand } else { value };
        if matches!(last, Expression::Timestamp(None)) {
            self.in_parentheses(value);
        } else {
            self.expression(value, level::UNARY);
        }
    }

    /// How an expression would be printed without parentheses, and how tightly that binds.
    fn way_of(&mut self, value: &Expression) -> Way {
        use Expression as E;
        let tight = |level| Way { level, after: false };
        match value {
            E::Binary(operator, ..) => tight(level_of(*operator)),
            E::IsEmpty { .. } | E::MatchesRegex(..) | E::In(..) => tight(level::COMPARISON),
            E::Not(_) => tight(level::NOT),
            E::Negate(_) => tight(level::UNARY),
            E::Cast(..) => tight(level::CAST),
            E::If { .. } => tight(level::VALUE),
            // The tokens behind it may become a part of it (§5.4).
            E::GetTopic(_) | E::TopicExists(_) => tight(level::COMPARISON),
            // `IN` and `AS` would become a part of it.
            E::GetJson { source: None, .. } => tight(level::AND),
            E::Random(_) => tight(level::CAST),
            E::Apply(transform, _) => {
                let after = self.random.one_in(2);
                match transform {
                    // CSV has no form behind AND_THEN in §3.
                    Transform::FilterCsv(_) => tight(level::PRIMARY),
                    _ if after => Way { level: level::VALUE, after },
                    Transform::Upper | Transform::Lower => tight(level::PRIMARY),
                    Transform::Trim | Transform::Replace(..) => tight(level::CAST),
                    Transform::FilterRegex(_) | Transform::Split { .. } => tight(level::PRIMARY),
                }
            }
            _ => tight(level::PRIMARY),
        }
    }

    fn bare(&mut self, value: &Expression, after: bool) {
        use Expression as E;
        match value {
            E::Int(value) => self.put(&value.to_string()),
            E::Double(value) => {
                let text = format!("{value}");
                self.put(&text);
                if !text.contains('.') {
                    self.put(".0");
                }
            }
            E::Text(text) => self.string(text),
            E::Bool(true) => self.one_of(&["TRUE", "true", "True"]),
            E::Bool(false) => self.one_of(&["FALSE", "false", "False"]),
            E::Null => self.one_of(&["NULL", "null"]),
            E::Empty => self.put("EMPTY"),
            E::Variable(name) => self.variable(name),
            E::Member(name, path) => {
                let dot = if path.starts_with('[') { "" } else { "." };
                self.put(&format!("{{{name}{dot}{path}}}"));
            }
            E::Field(path) => self.put(path),
            E::Payload => self.put("PAYLOAD"),
            E::Topic => self.put("TOPIC"),
            E::Result => self.put("RESULT"),
            E::Session(word) => self.put(word),
            E::Position(number) => {
                self.put("TOPIC POSITION ");
                match number.as_ref() {
                    E::Int(_) | E::Variable(_) => self.bare(number, false),
                    other => self.in_parentheses(other),
                }
            }
            E::GetTopic(topic) => {
                self.put("GET TOPIC ");
                self.topic(topic);
            }
            E::TopicExists(topic) => {
                self.put("TOPIC EXISTS ");
                self.topic(topic);
            }
            E::GetJson { path, source } => {
                self.put("GET JSON ");
                self.string(path);
                if let Some(source) = source {
                    self.put(" IN ");
                    self.source(source);
                }
            }
            E::GetEnv(name) => self.put(&format!("GET ENV \"{name}\"")),
            E::Timestamp(None) => self.put("TIMESTAMP"),
            E::Timestamp(Some(pattern)) => {
                self.one_of(&["TIMESTAMP ", "TIMESTAMP WITH "]);
                self.string(pattern);
            }
            E::Random(number) => {
                self.one_of(&["RANDOM INT BETWEEN ", "RANDOM BETWEEN "]);
                self.put(&format!("{number} AND {number}"));
            }
            E::Negate(operand) => {
                self.put("-");
                self.expression(operand, level::PRIMARY);
            }
            E::Not(operand) => {
                self.put("NOT ");
                self.expression(operand, level::COMPARISON);
            }
            E::Binary(operator, left, right) => self.binary(*operator, left, right),
            E::IsEmpty { value, negated } => {
                self.comparand(value);
                if *negated {
                    self.one_of(&[" != EMPTY", " IS NOT EMPTY"])
                } else {
                    self.one_of(&[" == EMPTY", " IS EMPTY", " EQUALS EMPTY"])
                }
            }
            E::MatchesRegex(value, pattern) => {
                self.comparand(value);
                self.put(" MATCHES REGEX ");
                self.string(pattern);
            }
            E::In(value, values) => {
                self.comparand(value);
                self.put(" IN [");
                self.list(values);
                self.put("]");
            }
            E::Cast(operand, to) => {
                match operand.as_ref() {
                    // These would take the cast for themselves.
                    E::Random(_) | E::Apply(..) => self.in_parentheses(operand),
                    E::GetTopic(_) | E::GetJson { .. } if self.random.one_in(2) => self.bare(operand, false),
                    other => self.expression(other, level::CAST),
                }
                self.put(" AS ");
                if *to == Type::Double { self.one_of(&["DOUBLE", "FLOAT"]) } else { self.put(type_name(*to)) }
            }
            E::If { condition, then, otherwise } => {
                self.put("IF ");
                self.expression(condition, level::OR);
                self.put(" THEN ");
                self.expression(then, level::OR);
                if let Some(otherwise) = otherwise {
                    self.put(" ELSE ");
                    match otherwise.as_ref() {
                        E::If { .. } => self.bare(otherwise, false),
                        other => self.expression(other, level::OR),
                    }
                }
            }
            E::Object(members) => {
                self.put("{ ");
                for (index, (key, value)) in members.iter().enumerate() {
                    self.put(if index > 0 { ", " } else { "" });
                    self.string(key);
                    self.put(": ");
                    self.expression(value, level::OR);
                }
                self.put(" }");
            }
            E::Array(elements) => {
                self.put("[");
                self.list(elements);
                self.put("]");
            }
            E::Apply(transform, operand) if after => {
                match operand.as_ref() {
                    // Chains are read from left to right.
                    E::Apply(inner, _)
                        if !matches!(inner, Transform::FilterCsv(_)) && self.random.one_in(2) =>
                    {
                        self.bare(operand, true);
                    }
                    other => self.expression(other, level::OR),
                }
                self.put(" AND_THEN ");
                self.transform_after(transform);
            }
            E::Apply(transform, operand) => self.transform_before(transform, operand),
            E::Function(function, arguments) => {
                self.put(function_name(*function));
                self.put("(");
                self.list(arguments);
                self.put(")");
            }
        }
    }

    fn binary(&mut self, operator: Operator, left: &Expression, right: &Expression) {
        let level = level_of(operator);
        match level {
            level::COMPARISON => self.comparand(left),
            level::SUM => match left {
                Expression::Binary(inner, ..) if level_of(*inner) == level::SUM => {
                    self.expression(left, level)
                }
                _ => self.expression(left, level + 1),
            },
            _ => self.expression(left, level),
        }
        self.put(" ");
        self.one_of(operator_spellings(operator));
        self.put(" ");
        if level == level::COMPARISON { self.comparand(right) } else { self.expression(right, level + 1) }
    }

    /// A side of a comparison, at which a `GET TOPIC` may stand as it is.
    fn comparand(&mut self, side: &Expression) {
        match side {
            Expression::GetTopic(_) if self.random.one_in(2) => self.bare(side, false),
            other => self.expression(other, level::SUM),
        }
    }

    /// Prints the source of a document or text.
    fn source(&mut self, source: &Expression) {
        match source {
            Expression::Payload | Expression::Variable(_) | Expression::Text(_) | Expression::Result => {
                self.bare(source, false);
            }
            other => self.in_parentheses(other),
        }
    }

    fn transform_before(&mut self, transform: &Transform, operand: &Expression) {
        match transform {
            Transform::FilterRegex(pattern) => {
                self.put("FILTER ");
                self.source(operand);
                self.put(" USING REGEX ");
                self.string(pattern);
            }
            Transform::FilterCsv(number) => {
                self.put("FILTER ");
                self.source(operand);
                self.put(&format!(" USING CSV \"{number}\""));
            }
            Transform::Replace(search, replacement) => {
                self.put("REPLACE ");
                self.sought(search);
                self.put(" WITH ");
                self.expression(replacement, level::UNARY);
                self.put(" IN ");
                self.expression(operand, level::CAST);
            }
            Transform::Trim => {
                self.put("TRIM ");
                self.expression(operand, level::CAST);
            }
            Transform::Split { separator, at } => {
                self.put("SPLIT ");
                self.source(operand);
                self.put(" USING ");
                self.string(separator);
                if let Some(at) = at {
                    self.put(&format!(" AT {at}"));
                }
            }
            Transform::Upper | Transform::Lower => {
                self.put(if matches!(transform, Transform::Upper) { "UPPER(" } else { "LOWER(" });
                self.value(operand);
                self.put(")");
            }
        }
    }

    fn transform_after(&mut self, transform: &Transform) {
        match transform {
            Transform::FilterRegex(pattern) => {
                self.put("FILTER USING REGEX ");
                self.string(pattern);
            }
            Transform::FilterCsv(_) => unreachable!("printed in front of its operand"),
            Transform::Replace(search, replacement) => {
                self.put("REPLACE ");
                self.sought(search);
                self.put(" WITH ");
                self.expression(replacement, level::UNARY);
            }
            Transform::Trim => self.put("TRIM"),
            Transform::Split { separator, at } => {
                self.put("SPLIT USING ");
                self.string(separator);
                if let Some(at) = at {
                    self.put(&format!(" AT {at}"));
                }
            }
            Transform::Upper => self.put("UPPER"),
            Transform::Lower => self.put("LOWER"),
        }
    }

    fn model(&mut self, model: &Model) {
        self.define("MODEL", &model.name);
        if model.collapsed {
            self.put(" COLLAPSED");
        }
        if let Some(parent) = &model.parent {
            self.put(&format!(" FROM {parent}"));
        }
        if let Some(base) = &model.base {
            self.put(&format!(" WITH TOPIC \"{base}\""));
        }
        if model.retain {
            self.one_of(&[" RETAIN", " WITH RETAIN"]);
        }
        if let Some(qos) = model.qos {
            self.one_of(&[" ", " AND "]);
            self.put(&format!("QOS{qos}"));
        }
        self.end();
        self.fields(&model.fields, 1);
    }

    fn fields(&mut self, fields: &[Field], depth: usize) {
        for field in fields {
            self.begin(depth);
            self.put("ADD ");
            if let Some(kind) = field.kind {
                self.put(&format!("{} ", type_name(kind)));
            }
            self.string(&field.name);
            match &field.source {
                FieldSource::None | FieldSource::Children(_) => {}
                FieldSource::Topic { topic, is_trigger } => {
                    self.put(&format!(" WITH TOPIC \"{topic}\""));
                    if *is_trigger {
                        self.put(" AS TRIGGER");
                    }
                }
                FieldSource::Value(value) => {
                    self.put(" WITH ");
                    if self.random.one_in(2) { self.in_parentheses(value) } else { self.value(value) }
                }
            }
            self.end();
            if let FieldSource::Children(children) = &field.source {
                self.fields(children, depth + 1);
            }
        }
    }
}

/// Decision of [`Printer::way_of`].
struct Way {
    level: u8,
    /// As `x AND_THEN …`.
    after: bool,
}

fn trigger_text(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Topic(filters) => {
            let quoted: Vec<String> = filters.iter().map(|filter| format!("\"{filter}\"")).collect();
            format!("ON TOPIC {}", quoted.join(" OR "))
        }
        Trigger::Start => "ON START".to_owned(),
        Trigger::Timer => "ON EVERY 5 SECONDS".to_owned(),
        Trigger::Connect => "ON CONNECT".to_owned(),
        Trigger::Disconnect => "ON DISCONNECT".to_owned(),
        Trigger::Subscribe => "ON SUBSCRIBE".to_owned(),
        Trigger::Callable { .. } => String::new(),
    }
}

fn level_of(operator: Operator) -> u8 {
    match operator {
        Operator::Or => level::OR,
        Operator::And => level::AND,
        Operator::Add | Operator::Subtract => level::SUM,
        Operator::Multiply | Operator::Divide | Operator::Remainder => level::PRODUCT,
        _ => level::COMPARISON,
    }
}

fn operator_spellings(operator: Operator) -> &'static [&'static str] {
    match operator {
        Operator::Or => &["OR"],
        Operator::And => &["AND"],
        Operator::Equal => &["==", "=", "EQUALS", "IS"],
        Operator::NotEqual => &["!=", "<>", "NOT EQUALS", "IS NOT"],
        Operator::Less => &["<"],
        Operator::LessOrEqual => &["<="],
        Operator::Greater => &[">"],
        Operator::GreaterOrEqual => &[">="],
        Operator::Contains => &["CONTAINS"],
        Operator::NotContains => &["NOT CONTAINS"],
        Operator::StartsWith => &["STARTS_WITH"],
        Operator::EndsWith => &["ENDS_WITH"],
        Operator::Matches => &["MATCHES"],
        Operator::Add => &["+"],
        Operator::Subtract => &["-"],
        Operator::Multiply => &["*"],
        Operator::Divide => &["/"],
        Operator::Remainder => &["%"],
    }
}

fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Int => "INT",
        Type::Double => "DOUBLE",
        Type::Bool => "BOOL",
        Type::String => "STRING",
        Type::Timestamp => "TIMESTAMP",
        Type::Array => "ARRAY",
        Type::Object => "OBJECT",
        Type::Json => "JSON",
        Type::Bytes => "BYTES",
    }
}

fn function_name(function: Function) -> &'static str {
    match function {
        Function::Upper => "UPPER",
        Function::Lower => "LOWER",
        Function::Length => "LENGTH",
        Function::Abs => "ABS",
        Function::Round => "ROUND",
        Function::Floor => "FLOOR",
        Function::Ceil => "CEIL",
        Function::Sqrt => "SQRT",
        Function::Min => "MIN",
        Function::Max => "MAX",
    }
}
