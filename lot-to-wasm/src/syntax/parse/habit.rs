//! Operators and values of other languages: reported with their LoT replacement, and read as that
//! if it is unambiguous.

use super::{Parsed, Parser};
use crate::diagnostic::{Draft, codes};
use crate::identifier::is_identifier;
use crate::source::Span;
use crate::syntax::{BinaryOperator, Expression, ExpressionKind};
use crate::token::{Sign, TokenKind};

/// Comparisons in words.
const COMPARISONS: [(&str, &str); 12] = [
    ("GT", ">"),
    ("LT", "<"),
    ("GE", ">="),
    ("GTE", ">="),
    ("LE", "<="),
    ("LTE", "<="),
    ("EQ", "=="),
    ("NE", "!="),
    ("NEQ", "!="),
    ("STARTSWITH", "STARTS_WITH"),
    ("ENDSWITH", "ENDS_WITH"),
    ("INCLUDES", "CONTAINS"),
];

/// Functions of other languages, with their LoT replacement; in any case.
const FUNCTIONS: [(&[&str], &str); 27] = [
    (&["CONCATENATE", "CONCAT", "FORMAT", "JOIN"], "join texts with +"),
    (&["LEN", "SIZE", "STRLEN", "CHAR_LENGTH"], "write LENGTH(value)"),
    (&["COUNT"], "write LENGTH(list AS ARRAY), or WINDOW COUNT in ON WINDOW"),
    (&["AVG", "AVERAGE"], "write MEAN(list), or WINDOW MEAN in ON WINDOW"),
    (
        &["NOW", "GETDATE", "CURRENT_TIMESTAMP", "DATETIME", "GET_TIME"],
        "write TIMESTAMP \"ISO\", or TIMESTAMP \"UNIX\" for seconds",
    ),
    (&["DATE", "TODAY", "CURDATE"], "write TIMESTAMP \"yyyy-MM-dd\""),
    (&["UUID", "GUID", "NEWID"], "write RANDOM UUID"),
    (&["INT", "PARSEINT", "TO_INT", "TOINT", "TRUNC", "TRUNCATE"], "write value AS INT"),
    (&["STR", "STRING", "TO_STRING", "TOSTRING", "TO_CHAR"], "write value AS STRING"),
    (&["DOUBLE", "FLOAT", "REAL", "NUMBER", "PARSEFLOAT", "TO_NUMBER"], "write value AS DOUBLE"),
    (&["BOOL", "BOOLEAN", "TO_BOOL"], "write value AS BOOL"),
    (
        &["SUBSTRING", "SUBSTR", "LEFT", "RIGHT", "MID", "SLICE"],
        "write FILTER value USING REGEX \"pattern\", such as \"^.{3}\" for the first three characters",
    ),
    (&["EXTRACT_FROM_TOPIC"], "write TOPIC POSITION n"),
    (&["GET_TIME_HOUR", "HOUR"], "write TIMESTAMP \"HOUR\""),
    (&["COALESCE", "IFNULL", "NVL", "ISNULL"], "write IF value == EMPTY THEN other ELSE value"),
    (&["POWER", "EXPT"], "write POW(base, exponent)"),
    (&["LOG"], "write LN(value) for base e, LOG10(value) for base 10"),
    (&["LOG2"], "write LN(value) / LN(2)"),
    (&["PI"], "write 3.141592653589793"),
    (
        &["STDEV", "STDDEV_SAMP", "STDEVP", "STDDEVP"],
        "write STDDEV(list) of a sample, STDDEV_POP(list) of a population",
    ),
    (
        &["SINH", "COSH", "TANH", "GAMMA", "ERF"],
        "call a Python script for it: CALL PYTHON \"Script.function\" WITH (value) RETURN AS {x}",
    ),
    (&["LIMIT", "CLAMP", "CONSTRAIN"], "write MIN(MAX(value, low), high)"),
    (&["ISNAN", "ISNUMBER", "ISNUMERIC", "IS_NUMBER"], "write value MATCHES REGEX \"^-?[0-9.]+$\""),
    (&["MOD", "FMOD"], "write a % b for the rest of a division"),
    (&["IIF", "SEL", "DECODE"], "write IF condition THEN value ELSE value"),
    (&["FIND", "INDEXOF", "INSTR", "CONTAINS"], "write text CONTAINS \"part\""),
    (
        &["KEYS", "OBJECT_KEYS", "ENTRIES", "ITEMS"],
        "go through the members: FOR EACH {value} WITH NAME {name} IN object DO",
    ),
];

/// Methods of values in other languages, with the replacement for `PAYLOAD.method(…)`.
const METHODS: [(&[&str], &str); 10] = [
    (&["get"], "write GET JSON \"path\" IN PAYLOAD"),
    (&["startswith", "startsWith"], "write PAYLOAD STARTS_WITH \"text\""),
    (&["endswith", "endsWith"], "write PAYLOAD ENDS_WITH \"text\""),
    (&["includes", "contains", "indexOf", "find"], "write PAYLOAD CONTAINS \"text\""),
    (&["upper", "toUpperCase"], "write UPPER(PAYLOAD)"),
    (&["lower", "toLowerCase"], "write LOWER(PAYLOAD)"),
    (&["split"], "write SPLIT PAYLOAD USING \";\""),
    (&["strip", "trim"], "write TRIM PAYLOAD"),
    (&["replace"], "write REPLACE \"a\" WITH \"b\" IN PAYLOAD"),
    (&["loads", "parse"], "a JSON text is read as it is: GET JSON \"path\" IN PAYLOAD"),
];

/// Returns the LoT replacement for a function of another language.
pub(crate) fn function_hint(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    FUNCTIONS.iter().find(|(names, _)| names.contains(&upper.as_str())).map(|(_, hint)| *hint)
}

/// Returns the LoT replacement for a bare word that is a value in other languages.
pub(crate) fn word_hint(word: &str) -> Option<&'static str> {
    Some(match word {
        "None" | "none" | "NONE" | "nil" | "NIL" | "undefined" | "Undefined" | "Nothing" | "nothing"
        | "NaN" | "nan" => "EMPTY",
        "NOW" | "now" | "CURRENT_TIMESTAMP" | "SYSDATE" | "GETDATE" => "TIMESTAMP \"ISO\"",
        "TODAY" | "CURRENT_DATE" => "TIMESTAMP \"yyyy-MM-dd\"",
        "msg" | "message" | "value" | "VALUE" | "data" => "PAYLOAD",
        "HOUR" => "TIMESTAMP \"HOUR\"",
        "RESPONSE_TOPIC" | "RESPONSETOPIC" | "REPLY_TOPIC" => "RESPONSE TOPIC",
        "CORRELATION_DATA" | "CORRELATIONDATA" | "CORRELATION_ID" => "CORRELATION DATA",
        "CONTENT_TYPE" | "CONTENTTYPE" => "CONTENT TYPE",
        "USERNAME" | "USER_NAME" | "username" => "USER",
        "CLIENT_ID" | "clientid" | "client_id" => "CLIENTID",
        _ => return None,
    })
}

/// Returns the replacement for a test of a type of other languages, `PAYLOAD IS NUMBER`: values of
/// LoT have no type to ask for.
pub(crate) fn type_hint(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_uppercase().as_str() {
        "NUMBER" | "NUMERIC" | "INT" | "INTEGER" | "FLOAT" | "DOUBLE" | "REAL" | "DECIMAL" => {
            "values are not asked for their type; whether one can be read as a number asks value MATCHES REGEX \"^-?[0-9]+(\\.[0-9]+)?$\""
        }
        "STRING" | "TEXT" => {
            "values are not asked for their type, and any can be read as text; whether one is no number asks NOT value MATCHES REGEX \"^-?[0-9]+(\\.[0-9]+)?$\""
        }
        "BOOL" | "BOOLEAN" => {
            "values are not asked for their type; whether one is a truth value asks value MATCHES REGEX \"^(true|false)$\""
        }
        "JSON" | "OBJECT" => {
            "values are not asked for their type; a JSON object is what value STARTS_WITH \"{\""
        }
        "ARRAY" | "LIST" => {
            "values are not asked for their type; a JSON array is what value STARTS_WITH \"[\""
        }
        _ => return None,
    })
}

impl Parser<'_, '_> {
    /// Returns the error for an operator of another language behind the operand that begins at
    /// `start`.
    pub(super) fn foreign_operator(&mut self, start: Span) -> Option<Draft> {
        let (word, next) = (self.word().to_ascii_uppercase(), self.word_at(1).to_ascii_uppercase());
        let left = self.slice(Span { end: self.previous().end, ..start }).to_owned();
        let one = self.span();
        let two = one.to(self.peek_at(1).span);
        let no = |span: Span, what: &str| {
            Draft::error(codes::UNKNOWN_OPERATOR, span, format!("{what} is no operator"))
        };
        let whole = |end: Span| Span { end: end.end, ..start };
        Some(match (word.as_str(), next.as_str()) {
            ("NOT", "IN") => {
                let ours = format!("NOT {left} IN");
                no(two, "NOT IN").suggest(format!("write {ours} …")).fix(whole(two), ours)
            }
            ("NOT", "LIKE") => self.like(no(two, "NOT LIKE"), two, 2, Some((&left, start))),
            ("LIKE" | "ILIKE", _) => self.like(no(one, "LIKE"), one, 1, None),
            ("NOT", "BETWEEN") => {
                no(two, "NOT BETWEEN").suggest(format!("write: {left} < low OR {left} > high"))
            }
            ("XOR", _) => {
                no(one, "XOR").suggest("write (a) != (b) for conditions of which one alone is true")
            }
            ("STARTS", "WITH") => no(two, "STARTS WITH").suggest("write STARTS_WITH").fix(two, "STARTS_WITH"),
            ("ENDS", "WITH") => no(two, "ENDS WITH").suggest("write ENDS_WITH").fix(two, "ENDS_WITH"),
            ("DOES", "NOT") => {
                let span = one.to(self.peek_at(2).span);
                no(span, "DOES NOT CONTAIN").suggest("write NOT CONTAINS").fix(span, "NOT CONTAINS")
            }
            ("ISNULL", _) => no(one, "ISNULL").suggest("write == EMPTY").fix(one, "== EMPTY"),
            ("MOD", _) | ("DIV", _) => return None,
            _ => {
                let (_, ours) = COMPARISONS.iter().find(|(theirs, _)| *theirs == word)?;
                no(one, &word).suggest(format!("write {ours}")).fix(one, *ours)
            }
        })
    }

    /// `LIKE "pattern"`, of which `words` words stand here.
    fn like(&self, draft: Draft, span: Span, words: usize, negated: Option<(&str, Span)>) -> Draft {
        let pattern = self.peek_at(words);
        let TokenKind::Text(text) = &pattern.kind else {
            return draft.suggest("write CONTAINS, STARTS_WITH, ENDS_WITH or MATCHES REGEX");
        };
        let bare = text.trim_matches('%');
        if bare.contains(['%', '_']) || bare.is_empty() {
            return draft
                .suggest("write MATCHES REGEX \"pattern\": .* stands for any text, . for one character");
        }
        let operator = match (text.starts_with('%'), text.ends_with('%')) {
            (true, true) => "CONTAINS",
            (false, true) => "STARTS_WITH",
            (true, false) => "ENDS_WITH",
            (false, false) => "==",
        };
        let ours = format!("{operator} \"{}\"", bare.escape_debug());
        match negated {
            None => draft.suggest(format!("write {ours}")).fix(span.to(pattern.span), ours),
            Some((left, start)) => {
                let ours = format!("NOT {left} {ours}");
                draft.suggest(format!("write {ours}")).fix(start.to(pattern.span), ours)
            }
        }
    }

    /// `IN (a, b)`: reported, and read as the list that it is.
    pub(super) fn list_in_parentheses(&mut self) -> Parsed<Expression> {
        let start = self.span();
        self.advance();
        let elements = self.items(Sign::CloseParen, "the list", Self::value)?;
        let span = self.span_from(start);
        let inside = Span { start: start.end, end: self.previous().start };
        let ours = format!("[{}]", self.slice(inside).trim());
        let draft = Draft::error(codes::EXPECTED_SIGN, start, "a list stands in brackets");
        self.sink.push(draft.suggest(format!("write {ours}")).fix(span, ours));
        self.node(start, ExpressionKind::Array(elements))
    }

    /// `value IF condition ELSE other`, as Python writes it, of which the value has been read:
    /// reported, and read.
    pub(super) fn python_choice(&mut self, then: Expression) -> Parsed<Expression> {
        let (start, at) = (then.span, self.span());
        self.advance();
        let condition = self.condition()?;
        if !self.is_keyword("ELSE") {
            let draft = Draft::error(codes::AFTER_LINE, at, "IF behind a value");
            return self
                .fail(draft.suggest("write IF condition THEN value ELSE value, or IF on a line of its own"));
        }
        self.advance();
        let otherwise = self.value()?;
        let span = self.span_from(start);
        let part = |inner: Span| self.slice(inner);
        let ours =
            format!("IF {} THEN {} ELSE {}", part(condition.span), part(then.span), part(otherwise.span));
        let draft = Draft::error(codes::NOT_LOT, at, "the condition stands before its values");
        self.sink.push(draft.suggest(format!("write {ours}")).fix(span, ours));
        let (condition, then) = (Box::new(condition), Box::new(then));
        self.node(start, ExpressionKind::If { condition, then, otherwise: Some(Box::new(otherwise)) })
    }

    /// `IF(condition, value, other)`, as spreadsheets write it, of which IF has been read:
    /// reported, and read where it has these three.
    pub(super) fn if_as_call(&mut self, start: Span) -> Parsed<Expression> {
        self.advance();
        let arguments = self.items(Sign::CloseParen, "the arguments", Self::value)?;
        let draft = Draft::error(codes::NOT_LOT, start, "IF has no arguments in parentheses");
        let Ok([condition, then, otherwise]) = <[Expression; 3]>::try_from(arguments) else {
            return self.fail(draft.suggest("write IF condition THEN value ELSE value"));
        };
        let part = |inner: Span| self.slice(inner);
        let ours =
            format!("IF {} THEN {} ELSE {}", part(condition.span), part(then.span), part(otherwise.span));
        self.sink.push(draft.suggest(format!("write {ours}")).fix(self.span_from(start), ours));
        let (condition, then) = (Box::new(condition), Box::new(then));
        self.node(start, ExpressionKind::If { condition, then, otherwise: Some(Box::new(otherwise)) })
    }

    /// `CAST(value AS TYPE)`: reported, and read as the cast in it.
    pub(super) fn cast_as_call(&mut self, start: Span) -> Parsed<Expression> {
        let word = self.span();
        self.advance();
        let value = self.primary()?;
        let ours = self.slice(Span { start: word.end, end: self.previous().end }).to_owned();
        let draft = Draft::error(codes::NOT_LOT, start, "CAST is not part of the language");
        self.sink.push(draft.suggest(format!("write {ours}")).fix(word, ""));
        Ok(value)
    }

    /// A method of PAYLOAD, `PAYLOAD.get("a")`: reported.
    pub(super) fn is_method_call(&self) -> bool {
        let is_call = self.peek_at(2).kind == TokenKind::Sign(Sign::OpenParen) && self.touches(2);
        self.is_sign(Sign::Dot)
            && self.touches(0)
            && self.touches(1)
            && is_call
            && !self.word_at(1).is_empty()
    }

    /// Reports a method, of which the dot before its name stands here.
    pub(super) fn method_call<T>(&mut self) -> Parsed<T> {
        let name = self.word_at(1);
        let span = self.span().to(self.peek_at(1).span);
        let hint =
            METHODS.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| (*hint).to_owned());
        let upper = name.to_ascii_uppercase();
        let own = crate::function::call(&upper).map(|row| format!("write {}(value)", row.keyword));
        let hint = hint.or(own).or_else(|| function_hint(name).map(str::to_owned));
        let draft = Draft::error(codes::NOT_LOT, span, format!("values have no methods: `.{name}(…)`"));
        self.fail(draft.suggest_if(
            hint.or_else(|| Some("the functions of the language are in docs/lot/reference.md".to_owned())),
        ))
    }

    /// A function of another language whose operand stands behind it without parentheses,
    /// `KEYS {o}`.
    pub(super) fn function_without_parentheses(&self) -> Option<Draft> {
        let (word, is_braced) = (self.word(), self.peek_at(1).kind == TokenKind::Sign(Sign::OpenBrace));
        let hint = function_hint(word).filter(|_| is_braced)?;
        let draft = Draft::error(codes::NOT_LOT, self.span(), format!("there is no function {word}"));
        Some(draft.suggest(hint))
    }

    /// An index that is no number, at its bracket in the path of a variable: `{steps[{n}].name}`.
    /// `name` is the variable's, `start` where that stands.
    pub(super) fn computed_index(&self, name: &str, start: Span) -> Option<Draft> {
        let bracket = self.span();
        let (first, span) = match self.peek_at(1).kind {
            TokenKind::Sign(Sign::OpenBrace) => (2, self.peek_at(1).span.to(self.peek_at(3).span)),
            TokenKind::Word => (1, self.peek_at(1).span),
            _ => return None,
        };
        let (index, is_braced) = (self.word_at(first), first == 2);
        let close = if is_braced { 4 } else { 2 };
        let is = |ahead: usize, sign: Sign| self.peek_at(ahead).kind == TokenKind::Sign(sign);
        let is_whole = is(close, Sign::CloseBracket) && (!is_braced || is(3, Sign::CloseBrace));
        let draft = Draft::error(codes::EXPECTED_NUMBER, span, "the index of a variable's path is a number");
        let draft =
            draft.note("an index that is computed stands in a path of GET JSON, whose texts are joined by +");
        let inside = Span { start: start.end, end: bracket.start };
        let before = self.slice(inside).trim_start_matches('.');
        if index.is_empty() || !is_whole {
            let ours = format!("GET JSON \"{before}[\" + (index) + \"]\" IN {{{name}}}");
            return Some(draft.suggest(format!("write {ours}")));
        }
        let behind = Span { start: self.peek_at(close).span.start, end: self.rest_of_line().end };
        let behind = self.slice(behind).split('}').next().unwrap_or("]");
        let ours = format!("GET JSON \"{before}[\" + {{{index}}} + \"{behind}\" IN {{{name}}}");
        Some(draft.suggest(format!("write {ours}")))
    }

    /// `{x}.a` and `{x}[0]`: members stand inside of the braces. Reported, and read.
    pub(super) fn member_behind_braces(&mut self, start: Span) -> Parsed<Vec<crate::syntax::PathStep>> {
        let is_closed = self.peek_at(2).kind == TokenKind::Sign(Sign::CloseBracket);
        let is_member = match (&self.peek().kind, &self.peek_at(1).kind) {
            (TokenKind::Sign(Sign::Dot), TokenKind::Word) => self.touches(1),
            (TokenKind::Sign(Sign::OpenBracket), TokenKind::Int(_)) => is_closed,
            (TokenKind::Sign(Sign::OpenBracket), TokenKind::Text(_)) if is_closed && self.touches(0) => {
                return self.members_in_quotes(start);
            }
            _ => false,
        };
        if !is_member || !self.touches(0) || self.is_method_call() {
            return Ok(Vec::new());
        }
        let (brace, at) = (self.previous(), self.span());
        let steps = self.path_steps()?;
        let span = self.span_from(start);
        let inside = self.slice(Span { end: brace.start, ..start }).to_owned();
        let behind = self.slice(Span { start: brace.end, end: span.end }).to_owned();
        let ours = format!("{inside}{behind}}}");
        let draft = Draft::error(codes::NOT_LOT, at, "members stand inside of the braces");
        self.sink.push(draft.suggest(format!("write {ours}")).fix(span, ours));
        Ok(steps)
    }

    /// `{x}["a"]`, as JavaScript and Python write members: reported, and read where the names need
    /// no quotes.
    fn members_in_quotes(&mut self, start: Span) -> Parsed<Vec<crate::syntax::PathStep>> {
        let (brace, at) = (self.previous(), self.span());
        let mut names = Vec::new();
        while let (TokenKind::Sign(Sign::OpenBracket), TokenKind::Text(name)) =
            (&self.peek().kind, &self.peek_at(1).kind)
            && self.peek_at(2).kind == TokenKind::Sign(Sign::CloseBracket)
            && self.touches(0)
        {
            names.push(name.clone());
            (0..3).for_each(|_| drop(self.advance()));
        }
        let span = self.span_from(start);
        let inside = self.slice(Span { end: brace.start, ..start }).to_owned();
        let draft = Draft::error(codes::NOT_LOT, at, "members stand inside of the braces, without quotes");
        if names.iter().any(|name| !is_identifier(name)) {
            let path = names.join(".").escape_debug().to_string();
            let ours = format!("(GET JSON \"{path}\" IN {inside}}})");
            return self.fail(draft.suggest(format!("write {ours}")).fix(span, ours));
        }
        let ours = format!("{inside}.{}}}", names.join("."));
        self.sink.push(draft.suggest(format!("write {ours}")).fix(span, ours));
        Ok(names.into_iter().map(crate::syntax::PathStep::Key).collect())
    }

    /// Signs that are operators in other languages alone, of which the second one stands where a
    /// value should.
    pub(super) fn foreign_signs(&self) -> Option<Draft> {
        let before = self.slice(self.previous());
        let span = self.previous().to(self.span());
        let sign = |sign: Sign| self.is_sign(sign) && self.touches(0);
        let hint = if before == "*" && sign(Sign::Star) {
            "write POW(base, exponent) for a power"
        } else if before == "<" && sign(Sign::Less) || before == ">" && sign(Sign::Greater) {
            "numbers have no bits to shift: multiply or divide by a power of 2"
        } else {
            return None;
        };
        let draft =
            Draft::error(codes::UNKNOWN_OPERATOR, span, format!("`{}` is no operator", self.slice(span)));
        Some(draft.suggest(hint))
    }

    /// `.5`: reported, and read.
    pub(super) fn fraction(&mut self, start: Span) -> Option<Parsed<Expression>> {
        let TokenKind::Int(_) = self.peek_at(1).kind else { return None };
        if !self.is_sign(Sign::Dot) || self.peek_at(1).span.start != start.end {
            return None;
        }
        let span = start.to(self.peek_at(1).span);
        let ours = format!("0{}", self.slice(span));
        let number = ours.parse().unwrap_or(0.0);
        let draft = Draft::error(codes::EXPECTED_NUMBER, span, "a number begins with a digit");
        self.sink.push(draft.suggest(format!("write {ours}")).fix(span, ours));
        self.advance();
        self.advance();
        Some(self.node(start, ExpressionKind::Double(number)))
    }

    /// Returns the hint for a word that touches the number or word before it, or for a value behind
    /// a function's name.
    pub(super) fn touching(&self) -> Option<(String, Option<(Span, String)>)> {
        let before = self.previous();
        let (last, word) = (self.slice(before), self.word());
        let is_number = last.starts_with(|c: char| c.is_ascii_digit());
        if last == "0" && self.touches(0) && word.starts_with(['x', 'X']) {
            let number = i64::from_str_radix(word.get(1..)?, 16).ok()?;
            let fix = (before.to(self.span()), number.to_string());
            return Some((format!("numbers are decimal: write {number}"), Some(fix)));
        }
        if is_number && self.touches(0) && !word.is_empty() {
            return Some((
                "numbers have no unit and no suffix: leave it out".to_owned(),
                Some((self.span(), String::new())),
            ));
        }
        if self.is_text() && self.touches(0) && matches!(last, "f" | "F" | "r" | "b" | "L" | "u") {
            return Some(("texts have no values in them: write \"text \" + PAYLOAD".to_owned(), None));
        }
        if self.is_text() && last == "TOPIC" {
            let place = Span { end: before.start, ..before };
            return Some((
                "write GET TOPIC for the last value of a topic".to_owned(),
                Some((place, "GET ".to_owned())),
            ));
        }
        if self.is_text() && last == "JSON" {
            let place = Span { end: before.start, ..before };
            return Some(("write GET JSON \"path\" IN PAYLOAD".to_owned(), Some((place, "GET ".to_owned()))));
        }
        if let Some(row) = crate::function::call(last) {
            return Some((format!("arguments stand in parentheses: {}(value)", row.keyword), None));
        }
        matches!((last, word), ("RETAIN", "TRUE" | "true" | "FALSE" | "false"))
            .then(|| ("write RETAIN alone, or leave it out".to_owned(), None))
    }

    /// A level of the topic as an element or a method of it, `TOPIC[2]`, `TOPIC.POSITION(2)`:
    /// reported, and read.
    pub(super) fn foreign_topic_level(&mut self, start: Span) -> Option<Parsed<Expression>> {
        let is_method = self.is_method_call() && self.word_at(1).eq_ignore_ascii_case("POSITION");
        let (at, end) = match self.peek().kind {
            TokenKind::Sign(Sign::OpenBracket) if self.touches(0) => (1, Sign::CloseBracket),
            _ if is_method => (3, Sign::CloseParen),
            _ => return None,
        };
        let TokenKind::Int(number) = self.peek_at(at).kind else { return None };
        if self.peek_at(at + 1).kind != TokenKind::Sign(end) {
            return None;
        }
        let position = self.peek_at(at).span;
        (0..at + 2).for_each(|_| drop(self.advance()));
        let span = self.span_from(start);
        let ours = format!("TOPIC POSITION {number}");
        let draft =
            Draft::error(codes::NOT_LOT, span, "a level of the topic is TOPIC POSITION and its number");
        let draft = draft.note("levels count from 1");
        self.sink.push(draft.suggest(format!("write {ours}")).fix(span, ours));
        let position = Expression { kind: ExpressionKind::Int(number), span: position, depth: 1 };
        Some(self.node(start, ExpressionKind::TopicPosition(Box::new(position))))
    }

    /// An argument of a function; a comma that is missing behind it is reported, and the next
    /// argument left.
    pub(super) fn argument(&mut self) -> Parsed<Expression> {
        let value = self.value()?;
        if self.begins_value(0) || self.is_sign(Sign::OpenBrace) {
            let message = format!("expected `,` or `)` after the argument, found {}", self.found());
            let draft = Draft::error(codes::EXPECTED_SIGN, self.span(), message).expected(&["`,`", "`)`"]);
            let gap = Span { start: self.previous().end, end: self.span().start };
            return self.fail(draft.suggest("write , between arguments").fix(gap, ", "));
        }
        Ok(value)
    }

    /// Whether the right side of an operator is a list in parentheses.
    pub(super) fn is_list_in_parentheses(&self, operator: BinaryOperator) -> bool {
        operator == BinaryOperator::In && self.is_sign(Sign::OpenParen) && self.comma_follows_in_parens()
    }
}
