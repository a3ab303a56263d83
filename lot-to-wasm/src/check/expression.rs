//! Checking expressions: each node of the syntax tree to one of the checked tree.

use std::collections::BTreeSet;

use super::kind::KindSet;
use super::tree::{
    Arithmetic, Candidate, CastKind, Comparison, Constant, Expression, ExpressionKind, JsonPath, RESULT,
    SettingStore,
};
use super::{Checker, TopicUse, constant, empty, fold, infer, json_path, text, timestamp};
use crate::diagnostic::{Draft, codes};
use crate::function;
use crate::identifier::{identifier_like, is_identifier};
use crate::source::Span;
use crate::syntax::parse::message_property_name;
use crate::syntax::{
    self, BinaryOperator, CastType, ExpressionKind as Source, Member, Name, Random, RandomKind, Text,
    Transform,
};

impl Checker<'_, '_, '_> {
    /// Any value.
    pub(crate) fn value(&mut self, source: &syntax::Expression) -> Expression {
        let mut expression = self.kind(source);
        if expression.kinds == KindSet::NONE {
            expression.kinds = infer::kinds_of(&expression.kind);
        }
        expression
    }

    fn kind(&mut self, source: &syntax::Expression) -> Expression {
        let span = source.span;
        let kind = match &source.kind {
            Source::Invalid => return self.constant(span, Constant::Empty),
            Source::Int(number) => return self.constant(span, Constant::Int(*number)),
            Source::Double(number) => return self.constant(span, Constant::Double(*number)),
            Source::Text(text) => return self.text(text, span),
            Source::Bool(value) => return self.constant(span, Constant::Bool(*value)),
            Source::Null => return self.constant(span, Constant::Null),
            Source::Empty => return self.constant(span, Constant::Empty),
            Source::Variable(path) => return self.variable(path, span),
            Source::Name(path) => return self.bare_name(path, span),
            Source::Session(word) => return self.session(*word, span),
            Source::WindowFigure(word) => return self.window_figure(word, span),
            Source::MessageProperty(property) => {
                self.need_message(&message_property_name(*property), span);
                ExpressionKind::MessageProperty(*property)
            }
            Source::UserProperty(name) => {
                self.need_message("USER PROPERTY", span);
                ExpressionKind::MessageUserProperty(self.boxed(name))
            }
            Source::Payload => return self.payload(span, ExpressionKind::Payload, KindSet::TEXT_DATA),
            Source::Topic => {
                self.need_message("TOPIC", span);
                let kinds = KindSet::TEXT_DATA | self.absent_message();
                return self.node(span, kinds, ExpressionKind::TopicName);
            }
            Source::Result => return self.result(span),
            Source::Binary { operator, left, right } => return self.binary(*operator, left, right, span),
            Source::Negate(operand) => return self.negate(operand, span),
            Source::Cast { value, to } => return self.cast(value, *to, span),
            Source::Object(members) => return self.object(members, span),
            Source::Array(elements) => return self.array(elements, span),
            Source::Apply { transform, value } => return self.apply(transform, value, span),
            Source::TopicPosition(position) => self.topic_position(position, span),
            Source::TopicExists(topic) => ExpressionKind::TopicExists(self.topic(topic, TopicUse::Read)),
            Source::GetTopic(topic) => ExpressionKind::GetTopic(self.topic(topic, TopicUse::Read)),
            Source::LiveTopic(topic) if self.scope.fields.is_some() => {
                ExpressionKind::GetTopic(self.model_topic(&topic.value, topic.span))
            }
            Source::LiveTopic(topic) => {
                let draft = Draft::error(codes::MISPLACED_CLAUSE, topic.span, "live topics belong to models");
                self.error(draft.suggest("write GET TOPIC \"topic\""));
                return self.constant(span, Constant::Empty);
            }
            Source::GetJson { path, source } => self.get_json(path, source.as_deref(), span),
            Source::GetSetting(store, name) => {
                self.setting_name(name);
                match store {
                    SettingStore::Environment => ExpressionKind::GetEnv(name.value.clone()),
                    SettingStore::Secret => ExpressionKind::GetSecret(name.value.clone()),
                }
            }
            Source::GetModel(query) => return self.get_model(query, span),
            Source::Timestamp(format) => return timestamp::timestamp(self, format.as_deref(), span),
            Source::LocalTimestamp(format) => {
                return timestamp::local_timestamp(self, format.as_deref(), span);
            }
            Source::TimestampOf(shown) => return timestamp::timestamp_of(self, shown, span),
            Source::Random(random) => self.random(random),
            Source::Not(operand) => ExpressionKind::Not(self.boxed(operand)),
            Source::If { condition, then, otherwise } => {
                self.choice((condition, then), otherwise.as_deref(), span)
            }
            Source::Call { function, arguments } => self.call(*function, arguments, span),
        };
        self.node(span, KindSet::NONE, kind)
    }

    fn choice(
        &mut self,
        (condition, then): (&syntax::Expression, &syntax::Expression),
        otherwise: Option<&syntax::Expression>,
        span: Span,
    ) -> ExpressionKind {
        let condition = self.boxed(condition);
        let then = Box::new(self.value(then));
        let otherwise = match otherwise {
            Some(otherwise) => self.value(otherwise),
            None => self.constant(span, Constant::Empty),
        };
        ExpressionKind::If { condition, then, otherwise: Box::new(otherwise) }
    }

    fn text(&mut self, text: &str, span: Span) -> Expression {
        text::warn_of_placeholders(self, text, span);
        self.constant(span, Constant::Text(text.to_owned()))
    }

    /// `EMPTY` where a run may have no message at all.
    pub(super) fn absent_message(&self) -> KindSet {
        match self.start {
            super::Start::Triggered(_) => KindSet::NONE,
            super::Start::Callable | super::Start::Asked(_) | super::Start::Unreadable => KindSet::EMPTY,
        }
    }

    fn payload(&mut self, span: Span, kind: ExpressionKind, kinds: KindSet) -> Expression {
        self.need_message("PAYLOAD", span);
        self.node(span, kinds | self.absent_message(), kind)
    }

    fn result(&mut self, span: Span) -> Expression {
        let id = self.scope.find(RESULT).filter(|id| self.scope.may_be_set(*id));
        let Some(id) = id else {
            let draft = Draft::warning(codes::UNSET_VARIABLE, span, "RESULT before any CALL without RETURN");
            self.error(draft.label("the value is Empty"));
            return self.constant(span, Constant::Empty);
        };
        self.read(id, span)
    }

    fn topic_position(&mut self, position: &syntax::Expression, span: Span) -> ExpressionKind {
        self.need_message("TOPIC", span);
        let number = self.operand(position);
        match fold::constant(&number) {
            Some(Constant::Int(level)) => match u32::try_from(*level) {
                Ok(level) if level > 0 => {
                    self.warn_of_deep_level(level, span);
                    ExpressionKind::TopicLevel(level)
                }
                _ => {
                    let draft =
                        Draft::error(codes::POSITION_ZERO, position.span, "TOPIC POSITION counts from 1");
                    self.error(draft.suggest("write TOPIC POSITION 1 for the first level"));
                    ExpressionKind::TopicLevel(1)
                }
            },
            _ => ExpressionKind::TopicLevelAt(Box::new(number)),
        }
    }

    /// Reports a level that no topic of the trigger has.
    fn warn_of_deep_level(&mut self, level: u32, span: Span) {
        let count = |filter: &String| {
            let is_open = filter.split('/').any(|level| level == "#");
            (!is_open).then(|| filter.split('/').count())
        };
        // The fewest that a trigger's filter has are of no use: one that is deep enough gives the
        // level.
        let counts: Option<Vec<usize>> = self.filters().iter().map(count).collect();
        let Some(most) = counts.unwrap_or_default().into_iter().max() else { return };
        if u32::try_from(most).is_ok_and(|most| level > most) {
            let (levels, write) = match most {
                1 => ("1 level".to_owned(), "1".to_owned()),
                most => (format!("{most} levels"), format!("a number from 1 to {most}")),
            };
            let message =
                format!("TOPIC POSITION {level} is always Empty: topics of the trigger have {levels}");
            let draft = Draft::warning(codes::NO_SUCH_LEVEL, span, message);
            self.error(draft.suggest(format!("write {write}, or a filter that ends with # in the trigger")));
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn get_json(
        &mut self,
        path: &syntax::Expression,
        source: Option<&syntax::Expression>,
        span: Span,
    ) -> ExpressionKind {
        let path = match &path.kind {
            Source::Text(text) => {
                let steps = json_path::parse(text);
                if steps.is_none() {
                    let message = format!("bad JSON path \"{}\"", text.escape_debug());
                    let draft = Draft::error(codes::JSON_PATH, path.span, message);
                    let draft = draft.suggest("write keys joined by dots, with [n] for elements: a.b[0].c");
                    self.error(draft.note("a computed path is \"a[\" + {i} + \"]\", or in parentheses"));
                }
                self.warn_of_foreign_path(text, path.span);
                JsonPath::Literal { text: text.clone(), steps: steps.unwrap_or_default() }
            }
            _ => JsonPath::Computed(self.boxed(path)),
        };
        let source = match source {
            Some(source) => self.boxed(source),
            None => Box::new(self.payload(span, ExpressionKind::Payload, KindSet::TEXT_DATA)),
        };
        ExpressionKind::GetJson { path, source }
    }

    /// Reports an empty name of an environment value or secret.
    /// A variable that no `{name}` could read is none.
    pub(crate) fn variable_name(&mut self, name: &Name) {
        if is_identifier(&name.text) {
            return;
        }
        let message = format!("`{}` is no name of a variable", name.text.escape_debug());
        let draft = Draft::error(codes::VARIABLE_NAME, name.span, message);
        let draft = draft.note("names have letters from a to z, digits and _, and begin with no digit");
        self.error(match identifier_like(&name.text) {
            Some(near) => draft.suggest(format!("write {near}")).fix(name.span, name.spell(&near)),
            None => draft.suggest("give it a name that can be read as {name}"),
        });
    }

    pub(crate) fn setting_name(&mut self, name: &Text) {
        if name.value.is_empty() {
            self.error(Draft::error(codes::SETTING_NAME, name.span, "the name is empty"));
        }
    }

    fn random(&mut self, random: &Random) -> ExpressionKind {
        let Some((low, high)) = &random.bounds else { return ExpressionKind::RandomUuid };
        let (low, high) = (self.boxed(low), self.boxed(high));
        let both_whole = low.kinds.is(KindSet::INT)
            && high.kinds.is(KindSet::INT)
            && fold::constant(&low).is_some()
            && fold::constant(&high).is_some();
        match random.kind {
            RandomKind::Int => ExpressionKind::RandomInt { low, high },
            RandomKind::Untyped if both_whole => ExpressionKind::RandomInt { low, high },
            RandomKind::Uuid | RandomKind::Double | RandomKind::Untyped => {
                ExpressionKind::RandomDouble { low, high }
            }
        }
    }

    fn negate(&mut self, operand: &syntax::Expression, span: Span) -> Expression {
        let operand = self.operand(operand);
        if let Some(constant) = fold::constant(&operand).and_then(fold::negate) {
            return self.constant(span, constant);
        }
        self.node(span, KindSet::NONE, ExpressionKind::Negate(Box::new(operand)))
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn binary(
        &mut self,
        operator: BinaryOperator,
        left: &syntax::Expression,
        right: &syntax::Expression,
        span: Span,
    ) -> Expression {
        use BinaryOperator as Op;
        let kind = match operator {
            Op::Or => {
                constant::warn_of_operands(self, [left, right]);
                ExpressionKind::Or(self.boxed(left), self.boxed(right))
            }
            Op::And => {
                constant::warn_of_operands(self, [left, right]);
                ExpressionKind::And(self.boxed(left), self.boxed(right))
            }
            Op::Equal => self.equality(left, right),
            Op::NotEqual => {
                let kind = self.equality(left, right);
                match kind {
                    ExpressionKind::Compare { left, right, .. } => {
                        ExpressionKind::Compare { operator: Comparison::NotEqual, left, right }
                    }
                    kind => ExpressionKind::Not(Box::new(self.node(span, KindSet::BOOL, kind))),
                }
            }
            Op::Less => self.compare(Comparison::Less, left, right),
            Op::LessOrEqual => self.compare(Comparison::LessOrEqual, left, right),
            Op::Greater => self.compare(Comparison::Greater, left, right),
            Op::GreaterOrEqual => self.compare(Comparison::GreaterOrEqual, left, right),
            Op::Contains => self.compare(Comparison::Contains, left, right),
            Op::NotContains => {
                let kind = self.compare(Comparison::Contains, left, right);
                ExpressionKind::Not(Box::new(self.node(span, KindSet::BOOL, kind)))
            }
            Op::StartsWith => self.compare(Comparison::StartsWith, left, right),
            Op::EndsWith => self.compare(Comparison::EndsWith, left, right),
            Op::Matches => self.text_equality(left, right),
            Op::MatchesRegex => self.matches_regex(left, right),
            Op::In => self.membership(left, right),
            Op::Add => return self.arithmetic(Arithmetic::Add, left, right, span),
            Op::Subtract => return self.arithmetic(Arithmetic::Subtract, left, right, span),
            Op::Multiply => return self.arithmetic(Arithmetic::Multiply, left, right, span),
            Op::Divide => return self.arithmetic(Arithmetic::Divide, left, right, span),
            Op::Remainder => return self.arithmetic(Arithmetic::Remainder, left, right, span),
        };
        self.node(span, KindSet::BOOL, kind)
    }

    fn compare(
        &mut self,
        operator: Comparison,
        left: &syntax::Expression,
        right: &syntax::Expression,
    ) -> ExpressionKind {
        let spans = (left.span, right.span);
        let (left, right) = (self.boxed(left), self.boxed(right));
        let sides = [(&*left, spans.0), (&*right, spans.1)];
        if !constant::is_reported(self, sides) {
            text::warn_of_compared_text(self, operator, sides);
            empty::warn_of_unset(self, operator, sides);
        }
        ExpressionKind::Compare { operator, left, right }
    }

    /// `==`; with EMPTY on a side it asks for emptiness, which bytes may be asked too.
    fn equality(&mut self, left: &syntax::Expression, right: &syntax::Expression) -> ExpressionKind {
        match (&left.kind, &right.kind) {
            (_, Source::Empty) => ExpressionKind::IsEmpty(Box::new(self.value(left))),
            (Source::Empty, _) => ExpressionKind::IsEmpty(Box::new(self.value(right))),
            _ => {
                let kind = self.compare(Comparison::Equal, left, right);
                if let ExpressionKind::Compare { left: a, right: b, .. } = &kind {
                    empty::warn_of_zero(self, [(a, left.span), (b, right.span)]);
                }
                kind
            }
        }
    }

    /// MATCHES without REGEX is equality of texts (§10.3).
    fn text_equality(&mut self, left: &syntax::Expression, right: &syntax::Expression) -> ExpressionKind {
        self.warn_of_pattern(right);
        let left = self.boxed(left);
        let value = self.boxed(right);
        let cast = ExpressionKind::Cast { to: CastKind::String, value };
        let right = Box::new(self.node(right.span, infer::kinds_of(&cast), cast));
        ExpressionKind::Compare { operator: Comparison::Equal, left, right }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn matches_regex(&mut self, left: &syntax::Expression, right: &syntax::Expression) -> ExpressionKind {
        let value = self.boxed(left);
        let pattern = match &right.kind {
            Source::Text(pattern) => Text { value: pattern.clone(), span: right.span },
            _ => {
                let draft = Draft::error(codes::BAD_REGEX, right.span, "MATCHES REGEX needs a string");
                self.error(draft.suggest("write the pattern as a string literal"));
                Text { value: String::new(), span: right.span }
            }
        };
        ExpressionKind::MatchesRegex { value, regex: self.regex(&pattern) }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn membership(&mut self, left: &syntax::Expression, right: &syntax::Expression) -> ExpressionKind {
        match &right.kind {
            Source::Array(elements) => {
                let value = self.boxed(left);
                let candidates = elements.iter().map(|element| self.candidate(element)).collect();
                ExpressionKind::OneOf { value, candidates }
            }
            Source::Text(text) => {
                self.warn_of_text_as_list(text, right.span);
                self.compare(Comparison::In, left, right)
            }
            _ => self.compare(Comparison::In, left, right),
        }
    }

    /// Warns of a text in which IN looks for a member; that of a JSON array or object has some.
    pub(super) fn warn_of_text_as_list(&mut self, text: &str, span: Span) {
        if !text.trim_start().starts_with(['[', '{']) {
            let draft = Draft::warning(codes::NO_LIST, span, "a text is the only member of itself");
            self.error(
                draft.suggest("write \"text\" CONTAINS value for a part of it, or [\"a\", \"b\"] for a list"),
            );
        }
    }

    /// A member of `IN […]`, or a value of `CASE`.
    pub(crate) fn candidate(&mut self, source: &syntax::Expression) -> Candidate {
        if matches!(source.kind, Source::Empty) {
            Candidate::Empty
        } else {
            Candidate::Value(self.operand(source))
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &syntax::Expression,
        right: &syntax::Expression,
        span: Span,
    ) -> Expression {
        let divides = matches!(operator, Arithmetic::Divide | Arithmetic::Remainder);
        let (left_span, right_span) = (left.span, right.span);
        let (left, right) = (self.operand(left), self.operand(right));
        text::warn_of_texts_in(self, operator, [(&left, left_span), (&right, right_span)]);
        if let (Some(first), Some(second)) = (fold::constant(&left), fold::constant(&right))
            && let Some(constant) = fold::arithmetic(operator, first, second)
        {
            return self.constant(span, constant);
        }
        if divides && fold::constant(&right).is_some_and(fold::is_zero) {
            let draft = Draft::warning(codes::DIVISION_BY_ZERO, right_span, "division by zero");
            self.error(draft.label("the result is Null"));
        }
        let is_text = |side: &Expression| {
            matches!(side.kind, ExpressionKind::Constant(Constant::Text(_)) | ExpressionKind::Concat(_))
        };
        let kind = if operator == Arithmetic::Add && (is_text(&left) || is_text(&right)) {
            let mut parts = match left.kind {
                ExpressionKind::Concat(parts) => parts,
                _ => vec![left],
            };
            match right.kind {
                ExpressionKind::Concat(more) => parts.extend(more),
                _ => parts.push(right),
            }
            fold::concat(parts)
        } else {
            ExpressionKind::Arithmetic { operator, left: Box::new(left), right: Box::new(right) }
        };
        self.node(span, KindSet::NONE, kind)
    }

    /// Checks a cast of a value to another type.
    pub(crate) fn cast(&mut self, value: &syntax::Expression, to: CastType, span: Span) -> Expression {
        if to == CastType::Bytes && value.kind == Source::Payload {
            return self.payload(span, ExpressionKind::PayloadBytes, KindSet::BYTES);
        }
        let to = CastKind::from(to);
        if value.kind == Source::Empty {
            empty::warn_of_constant(self, to, span);
        }
        let value = self.operand(value);
        if let Some(constant) = fold::constant(&value).and_then(|constant| fold::cast(to, constant)) {
            return self.constant(span, constant);
        }
        self.node(span, KindSet::NONE, ExpressionKind::Cast { to, value: Box::new(value) })
    }

    fn object(&mut self, members: &[Member], span: Span) -> Expression {
        let mut checked: Vec<(String, Expression)> = Vec::new();
        let mut keys = BTreeSet::new();
        for Member { key, value } in members {
            if !keys.insert(&key.value) {
                let message = format!("key \"{}\" is used twice", key.value.escape_debug());
                self.error(Draft::error(codes::DUPLICATE_KEY, key.span, message));
                continue;
            }
            checked.push((key.value.clone(), self.operand(value)));
        }
        let constant: Option<Vec<String>> = checked
            .iter()
            .map(|(key, value)| {
                let key = serde_json::to_string(key).ok()?;
                let value = fold::constant(value).and_then(fold::json)?;
                Some(format!("{key}:{value}"))
            })
            .collect();
        if let Some(members) = constant {
            return self.constant(span, Constant::Json(format!("{{{}}}", members.join(","))));
        }
        self.node(span, KindSet::JSON, ExpressionKind::Object(checked))
    }

    fn array(&mut self, elements: &[syntax::Expression], span: Span) -> Expression {
        let checked: Vec<Expression> = elements.iter().map(|element| self.operand(element)).collect();
        let constant: Option<Vec<String>> =
            checked.iter().map(|element| fold::constant(element).and_then(fold::json)).collect();
        if let Some(elements) = constant {
            return self.constant(span, Constant::Json(format!("[{}]", elements.join(","))));
        }
        self.node(span, KindSet::JSON, ExpressionKind::Array(checked))
    }

    fn apply(&mut self, transform: &Transform, value: &syntax::Expression, span: Span) -> Expression {
        let kind = match transform {
            Transform::FilterRegex(pattern) => {
                let value = self.boxed(value);
                ExpressionKind::FilterRegex { value, regex: self.regex(pattern) }
            }
            Transform::FilterCsv(field) => {
                let value = self.boxed(value);
                let number = field.value.trim().parse::<u32>().ok().filter(|number| *number > 0);
                if number.is_none() {
                    let draft = Draft::error(codes::BAD_INDEX, field.span, "fields count from 1");
                    self.error(draft.suggest("write for instance CSV \"1\""));
                }
                ExpressionKind::CsvField { value, field: number.unwrap_or(1) }
            }
            Transform::Replace { search, replacement } => ExpressionKind::Replace {
                // The search text may be a name in braces.
                search: if let Source::Text(text) = &search.kind {
                    Box::new(self.constant(search.span, Constant::Text(text.clone())))
                } else {
                    self.boxed(search)
                },
                replacement: self.boxed(replacement),
                value: self.boxed(value),
            },
            Transform::Trim => ExpressionKind::Trim(self.boxed(value)),
            Transform::Split { separator, at } => {
                let value = self.boxed(value);
                self.split(value, separator.as_ref(), *at)
            }
        };
        self.node(span, KindSet::NONE, kind)
    }

    fn split(
        &mut self,
        value: Box<Expression>,
        separator: Option<&Text>,
        at: Option<(u32, Span)>,
    ) -> ExpressionKind {
        if let Some(text) = separator.filter(|text| text.value.is_empty()) {
            self.error(Draft::error(codes::BAD_SEPARATOR, text.span, "the separator is empty"));
        }
        if let Some((_, span)) = at.filter(|(number, _)| *number == 0) {
            self.error(Draft::error(codes::BAD_INDEX, span, "pieces count from 1"));
        }
        let separator = separator.map_or(",".to_owned(), |text| text.value.clone());
        ExpressionKind::Split { value, separator, at: at.map(|(number, _)| number.max(1)) }
    }

    fn call(
        &mut self,
        function: super::tree::Function,
        arguments: &[syntax::Expression],
        span: Span,
    ) -> ExpressionKind {
        let row = function::CALLS.iter().find(|row| row.function == function);
        if let Some(row) = row.filter(|row| !row.arguments.contains(&arguments.len())) {
            let (least, most) = (row.arguments.start(), row.arguments.end());
            let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
            let message = format!("{} takes {wanted} arguments, found {}", row.keyword, arguments.len());
            self.error(Draft::error(codes::ARGUMENT_COUNT, span, message));
        }
        if let ([syntax::Expression { kind: Source::Payload, .. }], Some(row)) = (arguments, row) {
            self.warn_of_window(row.keyword, span);
        }
        let arguments = arguments.iter().map(|argument| self.operand(argument)).collect();
        ExpressionKind::Function { function, arguments }
    }

    /// A path as JSONPath or JSON Pointer write it, which names a member called `$`, or one with
    /// `/` in its name.
    fn warn_of_foreign_path(&mut self, text: &str, span: Span) {
        let own = match (text.strip_prefix("$."), text.strip_prefix('/')) {
            (Some(rest), _) => rest.to_owned(),
            (None, Some(rest)) if !rest.is_empty() => rest.replace('/', "."),
            (None, Some(_) | None) => return,
        };
        let message = format!("the path \"{}\" names a member of that very name", text.escape_debug());
        let own = format!("\"{own}\"");
        let draft = Draft::warning(codes::FOREIGN_PATH, span, message);
        self.error(draft.suggest(format!("write {own}")).fix(span, own));
    }

    /// A function over the payload of a window, which is no list but the JSON of its figures.
    fn warn_of_window(&mut self, keyword: &str, span: Span) {
        let in_window = matches!(self.start, super::Start::Triggered(lot_facts::Trigger::Window { .. }));
        if !in_window || !["SUM", "MEAN", "STDDEV", "STDDEV_POP", "MIN", "MAX"].contains(&keyword) {
            return;
        }
        let figure = format!("WINDOW {keyword}");
        let message = format!("{keyword}(PAYLOAD) is not the figure of the window");
        let draft = Draft::warning(codes::WINDOW_FIGURE, span, message);
        let draft =
            draft.note("PAYLOAD of ON WINDOW is the JSON of all its figures, not the list of its numbers");
        self.error(draft.suggest(format!("write {figure}")).fix(span, figure));
    }
}
