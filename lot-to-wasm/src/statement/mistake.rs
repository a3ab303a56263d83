//! Errors for a line that begins with no word of a statement: most such lines are of other
//! languages, or belong elsewhere.

use lot_nearest::nearest;

use super::dispatch::{first_of_each, first_words};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser, Reported};
use crate::token::{Sign, TokenKind};

/// Whether `++`, `--`, `+=` or another such operator follows the word here.
fn is_update(parser: &Parser<'_, '_>) -> bool {
    let sign = |ahead: usize| {
        let TokenKind::Sign(sign) = parser.peek_at(ahead).kind else { return None };
        Some(sign)
    };
    let is_arithmetic = matches!(sign(1), Some(Sign::Plus | Sign::Minus | Sign::Star | Sign::Slash));
    is_arithmetic && (sign(2) == sign(1) || sign(2) == Some(Sign::Equal))
}

/// The variable of a line that begins with `{name} =`, `{name} +=` or `{name} :=`.
fn braced_update<'p>(parser: &'p Parser<'_, '_>) -> Option<&'p str> {
    let is = |ahead: usize, sign: Sign| parser.peek_at(ahead).kind == TokenKind::Sign(sign);
    let is_assigned = is(3, Sign::Equal) || is(4, Sign::Equal);
    let is_braced = is(0, Sign::OpenBrace) && is(2, Sign::CloseBrace) && is_assigned;
    let name = parser.word_at(1);
    (is_braced && !name.is_empty()).then_some(name)
}

/// Returns a hint about the right place for a word that begins no statement.
fn place_of(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_uppercase().as_str() {
        "STORE" | "FETCH" | "ADD" => "it belongs to a model, a route or a panel: indent it below DEFINE",
        "CASE" | "DEFAULT" => "it belongs to SWITCH: indent it by 4 more spaces than its SWITCH",
        "OUTPUT" => "indent it below RETURN, which stands in column 1 after the statements",
        "INPUT" => "write it in column 1, before DO",
        "UNTIL" => "it ends a loop: write LOOP above the statements that repeat, in the column of UNTIL",
        "THEN" => "write it at the end of the line of its IF",
        "RETURN" => {
            "write it in column 1 after the statements, with each OUTPUT on an indented line below; it ends no run early: put what is to be skipped below ELSE"
        }
        "ON" | "DO" | "DESCRIPTION" | "DEFINE" => "write it in column 1",
        _ => return None,
    })
}

/// Returns the LoT replacement for a statement of another language.
fn foreign(word: &str) -> Option<&'static str> {
    Some(match word {
        "PRINT" | "PRINTLN" | "ECHO" | "LOG" | "WRITE" | "CONSOLE" | "DEBUG" => {
            "publish the text: PUBLISH TOPIC \"log\" WITH value"
        }
        "BREAK" | "CONTINUE" | "EXIT" | "LEAVE" => {
            "a loop ends with UNTIL condition; skip statements with IF"
        }
        "STOP" | "QUIT" | "ABORT" | "HALT" | "GOTO" => {
            "nothing ends a run early: put what is to be skipped below ELSE, or turn the condition round"
        }
        "SEND" | "EMIT" => "write PUBLISH TOPIC \"topic\" WITH value",
        "REJECT" | "REFUSE" | "BLOCK" | "ALLOW" | "DENY" | "ACCEPT" => {
            "an action refuses nothing: who may publish what says a rule, DEFINE RULE Name WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\""
        }
        "SUBSCRIBE" => {
            "an action reads its messages by ON TOPIC \"filter\" DO; a topic's last value is GET TOPIC"
        }
        "FUNCTION" | "DEF" => "define another action with INPUT lines and DO, and CALL ACTION it",
        "TRY" | "CATCH" | "EXCEPT" | "FINALLY" | "THROW" => {
            "errors end the run and are recorded; there is nothing to catch"
        }
        "PASS" | "NOP" => "a block needs a statement: leave out the IF, or turn its condition round with NOT",
        "SELECT" => {
            "read a topic by GET TOPIC \"topic\", rows of a database by GET MODEL \"Name\" FROM \"Route\""
        }
        "INSERT" | "UPDATE" | "UPSERT" => {
            "rows are stored by STORE IN of a model, or by TRIGGER \"Event\" TO Route WITH value"
        }
        "TON" | "TOF" | "TP" => {
            "there are no timer blocks: keep in a topic when it began, or use ON SILENCE OF \"topic\" FOR 30 SECONDS"
        }
        "IMPORT" | "USE" | "INCLUDE" | "REQUIRE" => {
            "files of a project know each other: CALL ACTION Name, CALL PYTHON \"Script.function\""
        }
        "ASSERT" | "RAISE" => "check values with IF, and publish what is wrong",
        "CLASS" | "STRUCT" => "a structure of fields is a model: DEFINE MODEL Name",
        "CREATE" => "an entity begins with DEFINE in column 1",
        "INCREMENT" | "INC" => {
            "write SET name WITH {name} + 1; what outlives the run is kept: KEEP TOPIC \"n\" WITH (GET TOPIC \"n\" AS INT) + 1"
        }
        "WAIT" | "SLEEP" | "DELAY" => {
            "an action does not wait: define one with ON EVERY, and keep what it needs with KEEP TOPIC"
        }
        _ => return None,
    })
}

/// Words that declare or assign a variable elsewhere.
const DECLARATIONS: [&str; 6] = ["LET", "VAR", "CONST", "DIM", "LOCAL", "ASSIGN"];

fn declaration(word: &str, span: Span) -> Draft {
    let message = format!("{word} is not part of the language");
    Draft::error(codes::NOT_LOT, span, message).suggest("write SET").fix(span, "SET")
}

/// Takes a word that declares a variable elsewhere, and reports it, where the rest of the line can
/// be read as that of the statement which is returned.
pub(super) fn skip_declaration(parser: &mut Parser<'_, '_>) -> Option<&'static str> {
    let word = parser.word();
    let is_one = DECLARATIONS.contains(&&*word.to_ascii_uppercase()) && !parser.word_at(1).is_empty();
    let is_set = parser.peek_at(2).kind == TokenKind::Sign(Sign::Equal) || parser.word_at(2) == "WITH";
    (is_one && is_set).then(|| {
        let draft = declaration(word, parser.span());
        parser.sink.push(draft);
        parser.advance();
        "SET"
    })
}

/// A line that begins with none of the statements' words.
pub(super) fn unknown<T>(parser: &mut Parser<'_, '_>) -> Parsed<T> {
    if parser.is_keyword("CASE") && (parser.word_at(2) == "OF" || parser.word_at(4) == "OF") {
        return case_of(parser);
    }
    if let Some(draft) = known(parser) {
        return parser.fail(draft);
    }
    if parser.peek_at(1).kind == TokenKind::Sign(Sign::OpenParen) && !parser.word().is_empty() {
        let word = parser.word();
        let message = format!("expected a statement, found {word}");
        let draft = Draft::error(codes::UNKNOWN_STATEMENT, parser.here(), message);
        return parser.fail(draft.suggest(format!("write CALL ACTION {word} WITH input = value")));
    }
    let near = parser.misspelt_else().or_else(|| nearest(parser.word(), first_of_each()));
    let message = format!("expected a statement, found {}", parser.found());
    let mut first_words: Vec<&str> = first_words().filter_map(|words| words.first().copied()).collect();
    first_words.dedup();
    let draft = Draft::error(codes::UNKNOWN_STATEMENT, parser.here(), message)
        .expected(&first_words)
        .did_you_mean(near);
    parser.fail(draft)
}

/// `CASE value OF` with all of its lines up to `END_CASE`: reported once, and left out.
fn case_of<T>(parser: &mut Parser<'_, '_>) -> Parsed<T> {
    let start = parser.span();
    loop {
        parser.skip_line();
        parser.skip_newlines();
        if parser.peek().kind == TokenKind::Indent {
            parser.advance();
            parser.skip_block();
        }
        if parser.is_keyword("END_CASE") {
            parser.skip_line();
            break;
        }
        if !matches!(parser.peek().kind, TokenKind::Int(_)) && !parser.is_else_at(0) {
            break;
        }
    }
    let draft =
        Draft::error(codes::NOT_LOT, parser.span_from(start), "CASE … OF is not part of the language");
    parser.sink.push_over(draft.suggest(
        "write SWITCH value, and below it, indented, CASE 1 THEN with its statements, indented again",
    ));
    Err(Reported)
}

/// Returns the error for a line that begins as in other languages, or with a word that belongs
/// elsewhere.
pub(super) fn known(parser: &Parser<'_, '_>) -> Option<Draft> {
    let span = parser.here();
    let word = parser.word();
    Some(match word.to_ascii_uppercase().as_str() {
        "END" | "ENDIF" | "END_IF" | "END_CASE" | "END_FOR" | "END_WHILE" | "END_REPEAT" | "END_VAR"
        | "ENDFOR" | "ENDWHILE" | "ENDCASE" | "ENDSWITCH" | "WEND" | "FI" | "DONE" | "ESAC" => {
            let message = format!("{word}: blocks are closed by indentation");
            Draft::error(codes::END_IF, span, message)
                .suggest("remove the line")
                .fix(parser.rest_of_line(), "")
        }
        "FOREACH" => {
            let message = format!("{word} is not part of the language");
            let draft = Draft::error(codes::NO_SUCH_LOOP, span, message);
            draft.suggest("write FOR EACH {item} IN list DO").fix(span, "FOR EACH")
        }
        "WHILE" | "REPEAT" => {
            let message = format!("{word} is not part of the language");
            Draft::error(codes::NO_SUCH_LOOP, span, message).suggest("write LOOP … UNTIL condition")
        }
        "ELSE" | "ELSEIF" | "ELSIF" | "ELIF" => Draft::error(codes::STRAY_ELSE, span, "ELSE without its IF")
            .suggest("put ELSE into the column of its IF, directly after the IF's block"),
        "VALIDATE" => Draft::error(codes::NOT_LOT, span, "VALIDATE is not part of the language")
            .suggest("check values with IF"),
        "UNLESS" => {
            let draft = Draft::error(codes::NOT_LOT, span, format!("{word} is not part of the language"));
            draft.suggest("write IF NOT").fix(span, "IF NOT")
        }
        "WHEN" if parser.word_at(1) != "OTHERS" => {
            let draft = Draft::error(codes::NOT_LOT, span, "WHEN begins no statement");
            draft.suggest("write IF").fix(span, "IF")
        }
        "ON" if parser.column(span) == 1 => {
            let draft = Draft::error(codes::MISPLACED_CLAUSE, span, "an action has one trigger");
            draft.suggest("write ON TOPIC \"a\" OR \"b\" DO, or a second action")
        }
        "VAR" | "VAR_INPUT" | "VAR_OUTPUT" if parser.ends_after_next() => {
            let draft = Draft::error(codes::NOT_LOT, span, "variables are not declared");
            draft.suggest("leave the block out: SET \"name\" WITH value makes a variable")
        }
        "STORE" | "FETCH" | "ADD" | "CASE" | "DEFAULT" | "OUTPUT" | "INPUT" | "UNTIL" | "THEN" | "RETURN"
        | "ON" | "DO" | "DESCRIPTION" | "DEFINE" => {
            let message = format!("{word} is not allowed here");
            Draft::error(codes::MISPLACED_CLAUSE, span, message).suggest_if(place_of(word).map(str::to_owned))
        }
        upper if DECLARATIONS.contains(&upper) => declaration(word, span),
        "REM" => {
            let draft = Draft::error(codes::NOT_LOT, span, "REM is not part of the language");
            draft.suggest("begin a comment with -- or //").fix(span, "--")
        }
        _ => return assignment(parser, word, span).or_else(|| of_other_languages(word, span)),
    })
}

/// A line that assigns as other languages do.
fn assignment(parser: &Parser<'_, '_>, word: &str, span: Span) -> Option<Draft> {
    let is = |ahead: usize, sign: Sign| parser.peek_at(ahead).kind == TokenKind::Sign(sign);
    let message = format!("expected a statement, found {}", parser.found());
    let draft = Draft::error(codes::UNKNOWN_STATEMENT, span, message);
    if let Some(name) = braced_update(parser) {
        let help = format!("write SET {name} WITH and the new value; {{{name}}} reads the variable");
        return Some(draft.suggest(help));
    }
    if word.is_empty() {
        return None;
    }
    if is(1, Sign::Colon) && is(2, Sign::Equal) {
        let place = span.to(parser.peek_at(2).span);
        let draft = draft.suggest(format!("write SET {word} WITH value"));
        return Some(draft.fix(place, format!("SET {word} WITH")));
    }
    if is(1, Sign::Equal) {
        let place = Span { end: span.start, ..span };
        return Some(draft.suggest(format!("write SET {word} = value")).fix(place, "SET "));
    }
    let help = format!("write SET {word} WITH {{{word}}} and what is to be done with it");
    is_update(parser).then(|| draft.suggest(help))
}

/// A statement of other languages, or a value where a statement stands.
fn of_other_languages(word: &str, span: Span) -> Option<Draft> {
    let upper = word.to_ascii_uppercase();
    if upper == "GET" {
        let draft = Draft::error(codes::NOT_LOT, span, "GET is a value, no statement");
        return Some(draft.suggest("write SET \"name\" WITH GET …, or use it where a value stands"));
    }
    let help = foreign(&upper)?;
    let message = format!("{word} is not part of the language");
    Some(Draft::error(codes::NOT_LOT, span, message).suggest(help))
}
