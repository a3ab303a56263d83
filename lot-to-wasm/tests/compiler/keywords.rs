//! The table of keywords against the parser.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lot_to_wasm::editor::keywords;

/// Words in capital letters that the parser knows, and that are none of the language: it refuses or
/// explains them, or they name tokens and settings of routes.
#[rustfmt::skip]
const OTHERS: [&str; 283] = [
    "ABORT", "ACCEPT", "ACL", "ALARM", "ALERT", "ASSERT", "ASSIGN", "AVERAGE", "AVG", "BIT", "BLOCK",
    "BOOLEAN", "BOOT", "BREAK", "BRIDGE", "CAST", "CATCH", "CHAR", "CHAR_LENGTH", "CLAMP", "CLASS", "CLIENT_ID",
    "COALESCE", "CONCAT", "CONCATENATE", "CONNECTION", "CONNECTOR", "CONSOLE", "CONST", "CONSTANT", "CONSTRAIN",
    "CONTENTTYPE", "CONTENT_TYPE", "CONTINUE", "CORRELATIONDATA", "CORRELATION_DATA", "CORRELATION_ID", "COSH", "CREATE",
    "CRON", "CURDATE", "CURRENT_DATE", "CURRENT_TIMESTAMP", "DAILY", "DASHBOARD", "DATABASE", "DATE", "DATETIME",
    "DEBUG", "DECIMAL", "DECODE", "DEDENT", "DEF", "DELAY", "DICT", "DIM", "DISALLOW", "DIV", "DOES", "DONE", "DROP",
    "ECHO", "ELIF", "ELSEIF", "ELSE_IF", "ELSIF", "EMIT", "ENDCASE", "ENDFOR", "ENDIF", "ENDS", "ENDSWITCH", "ENDSWITH",
    "ENDWHILE", "END_CASE", "END_FOR", "END_IF", "END_REPEAT", "END_VAR", "END_WHILE", "ENTRIES", "EQ", "ERF", "ERROR", "ESAC", "EVENT",
    "EVENTS", "EXCEPT", "EXCEPTION", "EXIT", "EXPT", "EXTRACT_FROM_TOPIC", "F", "FI", "FINALLY", "FIND", "FLOW",
    "FMOD", "FORBID", "FOREACH", "FORMATS", "FUNCTION", "FUNCTION_BLOCK", "GAMMA", "GE", "GETDATE", "GET_TIME", "GET_TIME_HOUR",
    "GOTO", "GRANT", "GT", "GTE", "GUID", "HALT", "HAVING", "HOURLY", "IFNULL", "IIF", "ILIKE", "IMPORT", "INC", "INCLUDE", "INCLUDES",
    "INCREMENT", "INDENT", "INDEXOF", "INIT", "INSERT", "INSTR", "INT32", "INT64", "INTEGER", "INTERVAL", "ISNAN",
    "ISNULL", "ISNUMBER", "ISNUMERIC", "IS_NUMBER", "ITEMS", "JOB", "JOIN", "KEYS", "L", "LE", "LEAVE", "LEFT", "LEN", "LET", "LIKE",
    "LIST", "LOAD", "LOG", "LOG2", "LONG", "LT", "LTE", "M", "MAP", "MAPPING", "METADATA", "MID", "MISSING",
    "MOD", "MQTT", "N", "NE", "NEQ", "NEWID", "NEWLINE", "NIL", "NO", "NONE", "NOP", "NOW", "NUMBER", "NUMERIC", "NVL",
    "OBJECT_KEYS", "OFFLINE", "OFFSET", "OTHERS", "PAGE", "PARSEFLOAT", "PARSEINT", "PASS", "PERMISSION", "PERMIT", "PI", "POINTS", "POLICY",
    "POWER", "PRINT", "PRINTLN", "PROCEDURE", "PROGRAM", "QUIT", "R", "RAISE", "REAL", "RECEIVE", "RECEIVED", "RECORD",
    "REFUSE", "REJECT", "REM", "REPEAT", "REPLY_TOPIC", "REQUIRE", "RESPONSETOPIC", "RESPONSE_TOPIC", "RIGHT", "SAMPLE",
    "SAMPLES", "SCHEDULE", "SEL", "SELECT", "SEND", "SHORT", "SINCE", "SINH", "SINK", "SIZE", "SLEEP", "SLICE", "SOURCE",
    "STARTING", "STARTS", "STARTSWITH", "STARTUP", "STDDEVP", "STDDEV_SAMP", "STDEV", "STDEVP", "STOP", "STR", "STRLEN", "STRUCT", "SUBSTR", "SUBSTRING", "SYSDATE", "TAG", "TANH",
    "TEXT", "THAN", "THING", "THROW", "TIMEOUT", "TIMER", "TODAY", "TOF", "TOINT", "TON", "TOOL", "TOSTRING",
    "TO_BOOL", "TO_CHAR", "TO_INT", "TO_NUMBER", "TO_STRING", "TP", "TRUNC", "TRUNCATE", "TRY", "UNLESS", "UPDATE",
    "UPSERT", "USE", "USERNAME", "USER_NAME", "VALIDATE", "VALIDATION_FAILURE", "VALUE", "VALUES", "VAR", "VARCHAR",
    "VARIABLE", "VAR_INPUT", "VAR_OUTPUT", "WAIT", "WEND", "WHILE", "WRITE", "XOR",
];

/// The words in capital letters among the string literals of the files that parse.
fn words_of_the_parser() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> = vec![source.join("syntax/parse.rs")];
    for folder in ["syntax/parse", "statement", "trigger", "function"] {
        let entries = std::fs::read_dir(source.join(folder)).expect("a folder of the compiler");
        files.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    let mut words = BTreeSet::new();
    for file in files {
        let text = super::corpus::read(&file).expect("a readable file");
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        let literals =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| line.split('"'));
        let is_word = |word: &&str| {
            word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        };
        words.extend(literals.filter(is_word).map(str::to_owned));
    }
    words
}

#[test]
fn the_table_has_the_words_of_the_parser() {
    let known: BTreeSet<String> = keywords().map(|keyword| keyword.word.to_owned()).collect();
    assert_eq!(known.len(), keywords().count(), "a word stands twice in the table");
    let parsed: BTreeSet<String> =
        words_of_the_parser().into_iter().filter(|word| !OTHERS.contains(&word.as_str())).collect();
    let missing: Vec<_> = parsed.difference(&known).collect();
    let unknown: Vec<_> = known.difference(&parsed).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not in the table: {missing:?}; not in the parser: {unknown:?}"
    );
}
