//! Expressions with operators, by precedence (LoT reference §3, §5.1).
//!
//! ```text
//! value   = choice { "AND_THEN" transform } ;
//! choice  = "IF" expr "THEN" value [ "ELSE" choice ] | expr ;
//! expr    = OR < AND < NOT < comparison (does not chain) < + - < * / % < AS < unary - ;
//! ```

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::function;
use crate::limits::TREE_DEPTH_MAX;
use crate::source::Span;
use crate::syntax::{BinaryOperator, CastType, Expression, ExpressionKind};
use crate::token::{Sign, TokenKind};

/// Digits of the least whole number.
const LEAST_INT_DIGITS: &str = "9223372036854775808";

/// How tightly an operator binds; a higher one binds more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    Cast,
}

impl Level {
    /// The level of the right operand of a left-associative operator.
    fn tighter(self) -> Level {
        match self {
            Level::Or => Level::And,
            Level::And => Level::Not,
            Level::Not => Level::Comparison,
            Level::Comparison => Level::Sum,
            Level::Sum => Level::Product,
            Level::Product | Level::Cast => Level::Cast,
        }
    }
}

const CAST_TYPES: [(&str, CastType); 10] = [
    ("INT", CastType::Int),
    ("DOUBLE", CastType::Double),
    ("FLOAT", CastType::Double),
    ("BOOL", CastType::Bool),
    ("STRING", CastType::String),
    ("TIMESTAMP", CastType::Timestamp),
    ("ARRAY", CastType::Array),
    ("OBJECT", CastType::Object),
    ("JSON", CastType::Json),
    ("BYTES", CastType::Bytes),
];

/// The types after `AS`.
pub(crate) fn cast_words() -> impl Iterator<Item = &'static str> {
    CAST_TYPES.into_iter().map(|(word, _)| word)
}

impl Parser<'_, '_> {
    /// A value: an expression or an inline IF, and transforms after it.
    pub(crate) fn value(&mut self) -> Parsed<Expression> {
        self.deeper(|parser| {
            let mut value = parser.choice()?;
            while parser.eat_word("AND_THEN") {
                value = parser.chained_transform(value)?;
            }
            Ok(value)
        })
    }

    /// An inline IF or an expression, without transforms after it.
    fn choice(&mut self) -> Parsed<Expression> {
        let value = if self.is_word("IF") { self.inline_if()? } else { self.binary(Level::Or)? };
        if self.is_keyword("IF") && !self.begins_line() {
            return self.python_choice(value);
        }
        Ok(value)
    }

    /// A condition.
    pub(crate) fn condition(&mut self) -> Parsed<Expression> {
        self.deeper(|parser| parser.binary(Level::Or))
    }

    /// An operand that ends before comparisons: the right side in rules and queries.
    pub(crate) fn sum(&mut self) -> Parsed<Expression> {
        self.deeper(|parser| parser.binary(Level::Sum))
    }

    /// An operand that ends before arithmetic: arguments of REPLACE, bounds of BETWEEN.
    pub(crate) fn cast(&mut self) -> Parsed<Expression> {
        self.deeper(|parser| {
            let start = parser.span();
            let mut value = parser.unary()?;
            while parser.is_keyword("AS") && parser.word_at(1) != "TRIGGER" {
                parser.eat_keyword("AS");
                let to = parser.cast_type()?;
                value = parser.node(start, ExpressionKind::Cast { value: Box::new(value), to })?;
            }
            Ok(value)
        })
    }

    /// The type after `AS`.
    pub(crate) fn cast_type(&mut self) -> Parsed<CastType> {
        self.type_word(&CAST_TYPES, "AS")
    }

    /// The transform after `AND_THEN`.
    fn chained_transform(&mut self, value: Expression) -> Parsed<Expression> {
        let start = value.span;
        let word = self.word();
        if let Some(row) = function::TRANSFORMS.iter().find(|row| row.keyword == word) {
            self.advance();
            let transform = (row.chained)(self)?;
            return function::apply(self, start, transform, value);
        }
        if let Some(row) = function::call(word).filter(|row| matches!(row.keyword, "UPPER" | "LOWER")) {
            self.non_portable(self.span(), row.keyword);
            self.advance();
            return self.node(start, ExpressionKind::Call { function: row.function, arguments: vec![value] });
        }
        let what = ["FILTER", "REPLACE", "TRIM", "SPLIT", "UPPER", "LOWER"];
        self.missing(&what, "AND_THEN")
    }

    fn inline_if(&mut self) -> Parsed<Expression> {
        let start = self.span();
        self.advance();
        if self.is_sign(Sign::OpenParen) && self.comma_follows_in_parens() {
            return self.if_as_call(start);
        }
        let condition = Box::new(self.condition()?);
        self.expect_then("the condition of the inline IF")?;
        let then = Box::new(self.value()?);
        let has_otherwise = self.eat_keyword("ELSE");
        let otherwise = has_otherwise.then(|| self.deeper(Self::choice)).transpose()?.map(Box::new);
        self.node(start, ExpressionKind::If { condition, then, otherwise })
    }

    /// THEN after a condition.
    pub(crate) fn expect_then(&mut self, after: &str) -> Parsed<()> {
        if self.eat_keyword("THEN") {
            return Ok(());
        }
        if self.is_word("BETWEEN") || self.slice(self.previous()) == "BETWEEN" {
            return self.between_condition();
        }
        if self.is_word("THAN") {
            let draft = Draft::error(codes::NOT_LOT, self.span(), "THAN is no part of a comparison");
            return self.fail(draft.suggest("write an operator: x > 5, x >= 5, x < 5 or x <= 5"));
        }
        if self.skip_foreign_word("THEN") {
            return Ok(());
        }
        if self.is_keyword("DO") {
            let draft = Draft::error(codes::EXPECTED_THEN, self.span(), "expected THEN, found DO");
            self.sink.push(draft.suggest("write THEN in its place").fix(self.span(), "THEN"));
            self.advance();
            return Ok(());
        }
        if self.then_on_next_line() {
            return Ok(());
        }
        let line = self.sink.source().position(self.previous().start).line;
        let text = self.sink.source().line(line).trim();
        let message = format!("expected THEN after {after}, found {}", self.found());
        let mut draft = Draft::error(codes::EXPECTED_THEN, self.here(), message).expected(&["THEN"]);
        if self.is_line_end() && text.len() < 200 {
            draft = draft.suggest(format!("write: {text} THEN")).fix(self.previous().after(), " THEN");
        } else if let Some(number) = self.decimal_comma() {
            draft = draft.suggest(format!("write {number}: the sign is a point")).fix(self.span(), ".");
        } else if self.slice(self.span()).starts_with('_') {
            draft = draft.suggest("write numbers without _ in them");
        } else {
            draft = draft.suggest("write THEN after the condition");
        }
        self.fail(draft)
    }

    /// THEN on a line of its own: reported, and taken.
    fn then_on_next_line(&mut self) -> bool {
        let ahead = self.newlines_ahead();
        if ahead == 0 || self.word_at(ahead) != "THEN" {
            return false;
        }
        let (then, end) = (self.peek_at(ahead).span, self.previous().end);
        let draft =
            Draft::error(codes::EXPECTED_THEN, then, "THEN stands at the end of the condition's line");
        self.sink.push(draft.suggest("write it there").fix(Span { start: end, ..then }, " THEN"));
        (0..=ahead).for_each(|_| drop(self.advance()));
        true
    }

    fn between_condition<T>(&mut self) -> Parsed<T> {
        let message = "BETWEEN is no comparison";
        let draft = Draft::error(codes::NOT_LOT, self.span(), message);
        self.fail(draft.suggest("write: x >= low AND x <= high"))
    }

    fn binary(&mut self, least: Level) -> Parsed<Expression> {
        let start = self.span();
        let mut left = if least <= Level::Not && self.is_negation() {
            self.eat_keyword("NOT");
            let operand = self.deeper(|parser| parser.binary(Level::Not))?;
            self.node(start, ExpressionKind::Not(Box::new(operand)))?
        } else {
            self.cast()?
        };
        let mut compared = false;
        while let Some((operator, level, words)) = self.operator() {
            if level < least {
                break;
            }
            for ahead in 0..words {
                self.report_case_at(ahead);
            }
            if level == Level::Comparison && compared {
                return self.chained_comparison();
            }
            compared = level == Level::Comparison;
            for _ in 0..words {
                self.advance();
            }
            let right = match level {
                Level::Comparison if self.is_list_in_parentheses(operator) => self.list_in_parentheses()?,
                Level::Product | Level::Cast => self.cast()?,
                Level::Or | Level::And | Level::Not | Level::Comparison | Level::Sum => {
                    self.deeper(|parser| parser.binary(level.tighter()))?
                }
            };
            let kind = ExpressionKind::Binary { operator, left: Box::new(left), right: Box::new(right) };
            left = self.node(start, kind)?;
        }
        if least <= Level::Comparison && self.is_word("BETWEEN") {
            return self.between_condition();
        }
        if least <= Level::Comparison
            && let Some(draft) = self.foreign_operator(start)
        {
            return self.fail(draft);
        }
        Ok(left)
    }

    /// Whether NOT stands here. In another case it counts only before the beginning of a value,
    /// because oldest programs have bare names.
    fn is_negation(&self) -> bool {
        let begins_value = match &self.peek_at(1).kind {
            TokenKind::Word => matches!(
                self.word_at(1).to_ascii_uppercase().as_str(),
                "PAYLOAD" | "TOPIC" | "GET" | "TRUE" | "FALSE" | "NOT" | "USER" | "CLIENTID"
            ),
            TokenKind::Sign(sign) => matches!(sign, Sign::OpenBrace | Sign::OpenParen),
            _ => false,
        };
        self.is_word("NOT") || (self.is_keyword("NOT") && begins_value)
    }

    fn chained_comparison<T>(&mut self) -> Parsed<T> {
        let draft = Draft::error(codes::CHAINED_COMPARISON, self.span(), "comparisons do not chain");
        self.fail(draft.suggest("join two comparisons with AND"))
    }

    /// Returns the operator here, its binding strength, and its number of tokens.
    pub(crate) fn operator(&self) -> Option<(BinaryOperator, Level, usize)> {
        match &self.peek().kind {
            TokenKind::Sign(sign) => sign_operator(*sign).map(|(operator, level)| (operator, level, 1)),
            TokenKind::Word => self.word_operator(),
            _ => None,
        }
    }

    fn word_operator(&self) -> Option<(BinaryOperator, Level, usize)> {
        use BinaryOperator as Op;
        let (word, next) = (self.word().to_ascii_uppercase(), self.word_at(1).to_ascii_uppercase());
        Some(match (word.as_str(), next.as_str()) {
            ("AND", next) if self.options_follow && super::option::is_option(next) => return None,
            ("AND", _) if self.options_follow && super::message::is_clause_at(self, 1) => return None,
            ("AND", _) => (Op::And, Level::And, 1),
            ("OR", _) => (Op::Or, Level::Or, 1),
            ("IS", "NOT") => (Op::NotEqual, Level::Comparison, 2),
            ("EQUALS" | "EQUAL" | "IS", _) => (Op::Equal, Level::Comparison, 1),
            ("NOT", "EQUALS" | "EQUAL") => (Op::NotEqual, Level::Comparison, 2),
            ("NOT", "CONTAINS") => (Op::NotContains, Level::Comparison, 2),
            ("CONTAINS", _) => (Op::Contains, Level::Comparison, 1),
            ("STARTS_WITH", _) => (Op::StartsWith, Level::Comparison, 1),
            ("ENDS_WITH", _) => (Op::EndsWith, Level::Comparison, 1),
            ("MATCHES", "REGEX") => (Op::MatchesRegex, Level::Comparison, 2),
            ("MATCHES", _) => (Op::Matches, Level::Comparison, 1),
            ("IN", _) => (Op::In, Level::Comparison, 1),
            _ => return None,
        })
    }

    fn unary(&mut self) -> Parsed<Expression> {
        let start = self.span();
        if self.eat_sign(Sign::Minus) {
            // The only whole number whose digits alone are none.
            if matches!(self.peek().kind, TokenKind::Double(_)) && self.slice(self.span()) == LEAST_INT_DIGITS
            {
                self.advance();
                return self.node(start, ExpressionKind::Int(i64::MIN));
            }
            let operand = self.deeper(Self::unary)?;
            return self.node(start, ExpressionKind::Negate(Box::new(operand)));
        }
        if self.eat_sign(Sign::Plus) {
            return self.deeper(Self::unary);
        }
        self.primary()
    }

    /// A node from `start` to here; refused when its tree would be too high.
    pub(crate) fn node(&mut self, start: Span, kind: ExpressionKind) -> Parsed<Expression> {
        let depth = 1 + kind.children_depth();
        let span = self.span_from(start);
        if usize::from(depth) > TREE_DEPTH_MAX {
            return self.too_deep(span, TREE_DEPTH_MAX);
        }
        Ok(Expression { kind, span, depth })
    }
}

fn sign_operator(sign: Sign) -> Option<(BinaryOperator, Level)> {
    use BinaryOperator as Op;
    Some(match sign {
        Sign::Plus => (Op::Add, Level::Sum),
        Sign::Minus => (Op::Subtract, Level::Sum),
        Sign::Star => (Op::Multiply, Level::Product),
        Sign::Slash => (Op::Divide, Level::Product),
        Sign::Percent => (Op::Remainder, Level::Product),
        Sign::EqualEqual | Sign::Equal => (Op::Equal, Level::Comparison),
        Sign::NotEqual => (Op::NotEqual, Level::Comparison),
        Sign::Less => (Op::Less, Level::Comparison),
        Sign::LessEqual => (Op::LessOrEqual, Level::Comparison),
        Sign::Greater => (Op::Greater, Level::Comparison),
        Sign::GreaterEqual => (Op::GreaterOrEqual, Level::Comparison),
        Sign::OpenParen
        | Sign::CloseParen
        | Sign::OpenBracket
        | Sign::CloseBracket
        | Sign::OpenBrace
        | Sign::CloseBrace
        | Sign::Comma
        | Sign::Colon
        | Sign::Dot => return None,
    })
}
