//! Completions at the cursor.
//!
//! Three sources, in this order: the words before the cursor ([`AFTER`]), the parser, which names
//! the tokens that it expects at the cursor, and the words that begin or continue a value.

use std::ops::Range;

use lot_facts::Kind;

use super::tokens::{Tokens, entity_at};
use super::words::keyword;
use crate::check::RULE_SCOPES;
use crate::statement::{self, Use};
use crate::{function, route, trigger};

/// Completions at the cursor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposals {
    /// Bytes of the text that it replaces: the part of the word that is written already.
    pub range: Range<usize>,
    /// Words of the language, likeliest first; of several words together the first is the one to
    /// look up.
    pub words: Vec<String>,
    /// Names of definitions elsewhere.
    pub names: Option<Names>,
    /// Variables of the definition around the cursor.
    pub variables: Vec<String>,
    /// The cursor is inside a string.
    pub in_string: bool,
}

/// Names that fit at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Definitions of a kind.
    Entities(Kind),
    /// Inputs of this Action.
    Inputs(String),
    /// `Script.function` of Python.
    Python,
    /// Topics, inside of a string.
    Topics,
}

/// Words that follow others: the last words before the cursor, and the words that may follow them.
const AFTER: &[(&[&str], &[&str])] = &[
    (&["KEEP"], &["TOPIC", "ENV", "SECRET"]),
    (&["DELETE"], &["TOPIC", "ENV", "SECRET"]),
    (&["GET"], &["TOPIC", "JSON", "ENV", "SECRET", "MODEL"]),
    (&["RANDOM"], &["UUID", "INT", "DOUBLE", "BETWEEN"]),
    (&["AND_THEN"], &["FILTER", "REPLACE", "TRIM", "SPLIT", "UPPER", "LOWER"]),
    (&["USING"], &["REGEX", "CSV"]),
    (&["MATCHES"], &["REGEX"]),
    (&["FORMAT"], &["JSON", "PROTOBUF", "BOTH"]),
    (&["IS"], &["NOT", "EMPTY", "NULL"]),
    (&["ORDER"], &["BY"]),
    (&["STORE"], &["IN"]),
    (&["FETCH"], &["FROM"]),
    (&["RETURN"], &["AS"]),
    (&["USER"], &["IS", "HAS", "IN GROUP"]),
];

/// Most lines above the cursor that are looked at for the blocks around it.
const LINES_ABOVE_MAX: usize = 2_000;

/// Days after `ON EVERY`.
const DAYS: [&str; 10] = [
    "DAY",
    "WEEKDAY",
    "WEEKEND",
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
    "SUNDAY",
];

/// Units after a number.
const UNITS: [&str; 8] = ["MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS", "WEEKS", "MONTHS", "YEARS"];

/// Words that begin values.
const VALUES: [&str; 22] = [
    "PAYLOAD",
    "TOPIC",
    "TOPIC POSITION",
    "TOPIC EXISTS",
    "GET TOPIC",
    "GET JSON",
    "GET ENV",
    "GET SECRET",
    "GET MODEL",
    "TIMESTAMP",
    "LOCAL TIMESTAMP",
    "RANDOM",
    "RESULT",
    "IF",
    "NOT",
    "TRUE",
    "FALSE",
    "NULL",
    "EMPTY",
    "CLIENTID",
    "USER",
    "ENDPOINT",
];

/// Words that continue values.
const CONTINUATIONS: [&str; 12] = [
    "AND",
    "OR",
    "AS",
    "AND_THEN",
    "EQUALS",
    "IS",
    "NOT CONTAINS",
    "CONTAINS",
    "STARTS_WITH",
    "ENDS_WITH",
    "MATCHES REGEX",
    "IN",
];

/// Returns the completions at a byte of a text.
///
/// ```
/// use lot_to_wasm::editor::proposals;
/// let text = "DEFINE ACTION A\nON TOPIC \"in\" DO\n    PUBLISH TO";
/// assert_eq!(proposals(text, text.len()).words, ["TOPIC", "MODEL"]);
/// ```
pub fn proposals(text: &str, offset: usize) -> Proposals {
    let Some(entity) = entity_at(text, offset) else {
        return Proposals {
            range: word_before(text, offset),
            words: strings(&["DEFINE"]),
            ..Proposals::default()
        };
    };
    let tokens = Tokens::of(text, entity);
    let cursor = Cursor::of(text, &tokens, offset);
    let mut proposals =
        Proposals { range: cursor.range.clone(), in_string: cursor.in_string, ..Proposals::default() };
    if cursor.is_comment() {
        return proposals;
    }
    cursor.fill(&mut proposals);
    proposals
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Blanks at the start of a line.
fn width(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// Returns the range of the word before the cursor.
fn word_before(text: &str, offset: usize) -> Range<usize> {
    let before = text.get(..offset).unwrap_or("");
    let rest = before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    rest.len()..offset
}

/// Cursor in a text, and the tokens before it.
struct Cursor<'a, 't> {
    text: &'t str,
    tokens: &'a Tokens<'t>,
    offset: usize,
    /// Range of the part of the word that is written already.
    range: Range<usize>,
    in_string: bool,
    /// The token that is being written, or the first one behind the cursor.
    index: usize,
}

impl<'a, 't> Cursor<'a, 't> {
    fn of(text: &'t str, tokens: &'a Tokens<'t>, offset: usize) -> Cursor<'a, 't> {
        let is_before = |index: &usize| {
            let range = tokens.range(*index);
            range.end < offset
                || range.end == offset && !(tokens.is_word(*index) || is_open(tokens.slice(*index)))
        };
        let index = (0..tokens.len())
            .rev()
            .find(|index| is_before(index) && !tokens.slice(*index).is_empty())
            .map_or(0, |before| before + 1);
        let in_string = tokens.is_string(index) && tokens.range(index).start < offset;
        let range = if in_string { tokens.range(index).start + 1..offset } else { word_before(text, offset) };
        Cursor { text, tokens, offset, range, in_string, index }
    }

    /// The line up to the cursor, of the text as it is.
    fn written(&self) -> &'t str {
        let before = self.text.get(..self.range.start).unwrap_or("");
        before.rsplit(['\n', '\r']).next().unwrap_or("")
    }

    /// Whether the cursor is in a comment: between tokens there are only comments and blanks.
    fn is_comment(&self) -> bool {
        let before =
            self.index.checked_sub(1).map_or(self.tokens.entity.start, |last| self.tokens.range(last).end);
        let gap = self.text.get(before..self.range.start).unwrap_or("");
        let line = gap.rsplit(['\n', '\r']).next().unwrap_or("");
        let is_line = line.contains("--") || line.contains("//");
        !self.in_string && (is_line || gap.rfind("/*") > gap.rfind("*/"))
    }

    /// The `count`-th token before the cursor on its line.
    fn before(&self, count: usize) -> &'t str {
        self.index.checked_sub(count).filter(|at| self.is_on_line(*at)).map_or("", |at| self.tokens.slice(at))
    }

    /// Whether a token stands on the line of the cursor.
    fn is_on_line(&self, index: usize) -> bool {
        let last = self.index.saturating_sub(1);
        let line = self.tokens.line_before(last).start..=last;
        let gap = self.text.get(self.tokens.range(last).end..self.range.start).unwrap_or("");
        line.contains(&index) && !gap.contains(['\n', '\r'])
    }

    fn kind(&self) -> Option<Kind> {
        let word = (1..self.tokens.len()).find(|index| self.tokens.word(index - 1) == "DEFINE")?;
        crate::syntax::parse::kind_of(self.tokens.word(word))
    }

    fn fill(&self, proposals: &mut Proposals) {
        if self.in_string {
            proposals.names = self.names();
            return;
        }
        if self.written().trim().is_empty() {
            proposals.words = self.line_starts();
            return;
        }
        if self.before(1) == "{" {
            proposals.variables = self.variables();
            return;
        }
        proposals.names = self.names();
        proposals.words = self.after();
        if !proposals.words.is_empty() || proposals.names.is_some() {
            return;
        }
        proposals.words = self.expected();
        let in_code = matches!(self.kind(), Some(Kind::Action | Kind::Model | Kind::Rule));
        if in_code && self.begins_value() {
            // The parser means any text in quotes.
            proposals.words.retain(|word| word != "STRING");
            proposals.words.extend(strings(&VALUES));
            proposals.words.extend(function::words().map(str::to_owned));
            proposals.variables = self.variables();
        } else if in_code && self.ends_value() {
            proposals.words.extend(strings(&CONTINUATIONS));
        }
        let mut seen = std::collections::BTreeSet::new();
        proposals.words.retain(|word| seen.insert(word.clone()));
    }

    /// Words that begin a line.
    fn line_starts(&self) -> Vec<String> {
        let is_indented = !self.written().is_empty();
        let mut words = match (self.kind(), is_indented) {
            (Some(Kind::Action), false) => strings(&["ON", "INPUT", "DO", "RETURN", "DESCRIPTION"]),
            (Some(Kind::Action), true) => self.statements(),
            (Some(Kind::Model), true) => strings(&["ADD", "STORE IN", "FETCH FROM"]),
            (Some(Kind::Rule), true) => strings(&["IF", "ELSE", "ELSE IF", "ALLOW", "DENY"]),
            (Some(Kind::Route), true) => strings(&["ADD", "WITH"]),
            (Some(Kind::Panel), true) => strings(&["ADD COMPONENT", "WITH", "SET", "BIND", "ON CLICK DO"]),
            (Some(Kind::Theme), true) => strings(&["SET"]),
            (_, false) | (None, true) => Vec::new(),
        };
        if !is_indented {
            words.push("DEFINE".to_owned());
        }
        words
    }

    /// Words that begin a line of an Action, by the blocks around it.
    fn statements(&self) -> Vec<String> {
        let around = self.lines_around();
        let here = width(self.written());
        match around.iter().find(|(width, _)| *width < here) {
            Some((_, "RETURN")) => return strings(&["OUTPUT"]),
            Some((_, "SWITCH")) => return strings(&["CASE", "DEFAULT"]),
            Some(_) | None => {}
        }
        let mut words: Vec<String> = statement::first_words().map(|words| words.join(" ")).collect();
        for (opener, others) in [
            ("IF", &["ELSE", "ELSE IF"][..]),
            ("ELSE", &["ELSE", "ELSE IF"]),
            ("SWITCH", &["CASE", "DEFAULT"]),
            ("LOOP", &["UNTIL"]),
        ] {
            let is_open = around.iter().any(|(_, word)| *word == opener)
                && !others.iter().any(|word| words.iter().any(|known| known == word));
            words.extend(strings(others).into_iter().filter(|_| is_open));
        }
        words
    }

    /// Columns (from 0) and first words of the lines that may have opened the block of the cursor,
    /// the innermost first: the nearest line above that is not deeper than the cursor, and from
    /// there on each one that is less deep.
    fn lines_around(&self) -> Vec<(usize, &'t str)> {
        let above = self.text.get(self.tokens.entity.start..self.range.start).unwrap_or("");
        let mut lines = above.rsplit(['\n', '\r']);
        let mut least = lines.next().map_or(0, width) + 1;
        let mut words = Vec::new();
        for line in lines.filter(|line| !line.trim().is_empty()).take(LINES_ABOVE_MAX) {
            let code = line.trim_start();
            if width(line) >= least || code.starts_with("--") || code.starts_with("//") {
                continue;
            }
            least = width(line);
            let word = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
            words.push((least, word));
        }
        words
    }

    /// Names that the words before the cursor ask for.
    fn names(&self) -> Option<Names> {
        let entities = |kind| Some(Names::Entities(kind));
        let first = self.tokens.word(self.tokens.line_before(self.index.saturating_sub(1)).start);
        match (self.before(2), self.before(1)) {
            ("CALL", "ACTION") => entities(Kind::Action),
            ("CALL", "PYTHON") => Some(Names::Python),
            ("CALL", "MCP" | "LLM" | "AGENT") | ("STORE", "IN") | ("FETCH", "FROM") => entities(Kind::Route),
            ("PUBLISH" | "GET", "MODEL") => entities(Kind::Model),
            ("SILENCE" | "WINDOW", "OF") if self.in_string => Some(Names::Topics),
            (_, "OF") if self.before(3) == "COLLECTION" => entities(Kind::Model),
            (_, "FROM") if first == "DEFINE" => entities(Kind::Model),
            (_, "FROM") if self.before(3) == "MODEL" => entities(Kind::Route),
            (_, "TO") if self.before(3) == "TRIGGER" => entities(Kind::Route),
            (_, "TOPIC" | "CHANGE" | "SUBSCRIBE" | "EXISTS") if self.in_string => Some(Names::Topics),
            (_, "TO") if self.in_string && self.before(3) == "MODEL" => Some(Names::Topics),
            (_, "OR" | ",") if self.in_string && first == "ON" => Some(Names::Topics),
            (_, word) if self.in_string && word.ends_with("_TOPIC") => Some(Names::Topics),
            (_, "WITH" | "," | "(") if !self.in_string => self.callee().map(Names::Inputs),
            _ => None,
        }
    }

    /// The Action whose inputs are given behind `CALL ACTION name WITH`, when the cursor is where
    /// one is named.
    fn callee(&self) -> Option<String> {
        let last = self.index.checked_sub(1)?;
        let line: Vec<usize> = self.tokens.line_before(last).chain([last]).collect();
        let call = line.iter().rposition(|at| self.tokens.word(*at) == "CALL")?;
        let [_, action, name, behind @ ..] = line.get(call..)? else { return None };
        let with = behind.iter().position(|at| self.tokens.word(*at) == "WITH")?;
        let given = behind.get(with + 1..)?;
        let is_past = given.iter().any(|at| matches!(self.tokens.word(*at), "RETURN" | "WITH"));
        // A bracket right behind WITH is round all of them, others are in a value.
        let around = usize::from(given.first().is_some_and(|at| self.tokens.slice(*at) == "("));
        let count =
            |signs: [&str; 3]| given.iter().filter(|at| signs.contains(&self.tokens.slice(**at))).count();
        let depth = count(["(", "[", "{"]).saturating_sub(count([")", "]", "}"]));
        let is_named = self.tokens.word(*action) == "ACTION" && !is_past && depth == around;
        is_named.then(|| self.tokens.name(*name).to_owned())
    }

    /// Words that the words before the cursor ask for.
    fn after(&self) -> Vec<String> {
        let owned = |words: &mut dyn Iterator<Item = &'static str>| words.map(str::to_owned).collect();
        match (self.before(2), self.before(1)) {
            (_, "DEFINE") => return owned(&mut crate::syntax::parse::kind_words()),
            (_, "ON") => return owned(&mut trigger::words().filter(|word| *word != "TIME")),
            (_, "EVERY") => return owned(&mut DAYS.into_iter()),
            ("WITH", "TYPE") if self.kind() == Some(Kind::Route) => {
                return owned(&mut route::all().map(|kind| kind.name.as_str()));
            }
            (_, "FOR") if self.kind() == Some(Kind::Rule) => return owned(&mut RULE_SCOPES.into_iter()),
            (_, "AS") => {
                let trigger = (self.kind() == Some(Kind::Model)).then_some("TRIGGER");
                return owned(&mut crate::syntax::parse::cast_words().chain(trigger));
            }
            ("EVERY" | "FOR", _) if self.index > 0 && self.tokens.is_number(self.index - 1) => {
                return owned(&mut UNITS.into_iter());
            }
            (_, first) => {
                let seconds: Vec<String> = statement::first_words()
                    .filter(|words| words.first() == Some(&first))
                    .filter_map(|words| words.get(1).map(|second| (*second).to_owned()))
                    .collect();
                if !seconds.is_empty() {
                    return seconds;
                }
            }
        }
        let row = AFTER.iter().find(|(before, _)| {
            before.iter().rev().zip(1..).all(|(word, count)| self.before(count) == *word)
        });
        row.map_or(Vec::new(), |(_, words)| strings(words))
    }

    /// Words that the parser expects where the text up to the cursor ends.
    fn expected(&self) -> Vec<String> {
        let before = self.text.get(self.tokens.entity.start..self.range.start).unwrap_or("");
        let (entities, _) = crate::parse(before);
        let end = crate::source::Source::new(before.trim_end());
        let last = end.position(u32::MAX);
        let expected = entities.iter().flat_map(|entity| &entity.diagnostics);
        let here = expected.filter(|found| found.span.start >= last || found.span.end >= last);
        let words = here.flat_map(|found| &found.expected);
        words.filter(|words| words.split(' ').all(|word| keyword(word).is_some())).cloned().collect()
    }

    /// Whether a value may begin here.
    fn begins_value(&self) -> bool {
        let word = self.before(1);
        let is_listed = matches!(
            word,
            "WITH"
                | "THEN"
                | "ELSE"
                | "AND"
                | "OR"
                | "NOT"
                | "IN"
                | "WHEN"
                | "WHERE"
                | "EQUALS"
                | "EQUAL"
                | "CONTAINS"
                | "STARTS_WITH"
                | "ENDS_WITH"
                | "MATCHES"
                | "FILTER"
                | "REPLACE"
                | "TRIM"
                | "SPLIT"
                | "BETWEEN"
                | "=="
                | "="
                | "!="
                | "<>"
                | "<"
                | "<="
                | ">"
                | ">="
                | "+"
                | "-"
                | "*"
                | "/"
                | "%"
                | "("
                | ","
                | "["
                | ":"
        );
        is_listed || statement::is(word, Use::BeforeValue)
    }

    /// Whether a value may have ended here.
    fn ends_value(&self) -> bool {
        let Some(last) = self.index.checked_sub(1).filter(|last| self.is_on_line(*last)) else {
            return false;
        };
        let is_literal = self.tokens.is_string(last) || self.tokens.is_number(last);
        let is_value_word =
            keyword(self.tokens.word(last)).is_some_and(|keyword| VALUES.contains(&keyword.word));
        is_literal
            || is_value_word
            || matches!(self.tokens.slice(last), ")" | "}" | "]")
            || self.before(2) == "AS"
    }

    /// Variables that the definition sets or takes.
    fn variables(&self) -> Vec<String> {
        let entity = self.text.get(self.tokens.entity.clone()).unwrap_or("");
        let mut names: Vec<String> = super::references(entity)
            .into_iter()
            .filter_map(|reference| match reference.target {
                super::Target::Variable(name) => {
                    let here = self.offset - self.tokens.entity.start;
                    (!(reference.range.start..=reference.range.end).contains(&here)).then(|| name.to_owned())
                }
                super::Target::Entity(..)
                | super::Target::Python(_)
                | super::Target::Topic(_)
                | super::Target::Keyword(_) => None,
            })
            .filter(|name| !name.is_empty())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Whether a token is a string that is not closed.
fn is_open(token: &str) -> bool {
    let mut characters = token.chars();
    let Some(quote @ ('"' | '\'')) = characters.next() else { return false };
    let mut is_escaped = false;
    !characters.any(|character| {
        let closes = character == quote && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        closes
    })
}
