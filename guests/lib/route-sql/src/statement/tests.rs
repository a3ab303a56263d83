//! Tests of statements: results for placeholders in each place, and rejected statements.

use super::*;

/// A statement of a text with its placeholders in braces.
pub(crate) fn template(text: &str) -> Template {
    let (mut texts, mut placeholders, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').unwrap();
        texts.push(before.to_owned());
        placeholders.push(name.to_owned());
        rest = behind;
    }
    texts.push(rest.to_owned());
    Template::new("QUERY", texts, placeholders).unwrap()
}

fn filled(dialect: Dialect, text: &str, values: &[Value]) -> String {
    let statement = match Statement::parse(&template(text), dialect, false) {
        Ok(statement) => statement,
        Err(reason) => return format!("refused: {reason}"),
    };
    match statement.filled(values) {
        Ok(filled) if filled.parameters.is_empty() => filled.sql,
        Ok(filled) => {
            let shown = filled.parameters.iter().map(|parameter| match parameter {
                Parameter::Null => "NULL".to_owned(),
                Parameter::Text(text) => text.clone(),
                Parameter::Bytes(bytes) => format!("{bytes:?}"),
                Parameter::Number(number) => format!("#{number}"),
                Parameter::Boolean(is) => is.to_string(),
            });
            format!("{} <- {}", filled.sql, shown.collect::<Vec<_>>().join(" | "))
        }
        Err(reason) => format!("rejected: {reason}"),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn values_are_bound_and_never_become_text_of_a_statement() {
    let quote = || text("o'hara'); DROP TABLE t; --");
    for (sql, value, expected) in [
        ("SELECT '{a}'", quote(), "SELECT $1 <- o'hara'); DROP TABLE t; --"),
        ("SELECT 'dev-{a}-x'", quote(), "SELECT $1 <- dev-o'hara'); DROP TABLE t; ---x"),
        ("SELECT 'it''s {a}'", text("b"), "SELECT $1 <- it's b"),
        ("SELECT '{a}'", Value::Empty, "SELECT $1 <- NULL"),
        ("SELECT '{a}'", Value::Null, "SELECT $1 <- NULL"),
        ("SELECT 'x{a}'", Value::Null, "SELECT $1 <- x"),
        ("SELECT '{a}'", Value::Double(20.0), "SELECT $1 <- 20.0"),
        ("SELECT '{a}'", Value::Bytes(vec![255]), "SELECT $1 <- [255]"),
        ("SELECT 'x{a}'", Value::Bytes(vec![255]), "rejected: {a} is not UTF-8"),
        ("SELECT E'a\\n{a}\\'b'", text("c"), "SELECT $1 <- a\nc'b"),
        ("SELECT TIMESTAMP '{a}', 1", text("2026-01-05"), "SELECT CAST($1 AS TIMESTAMP), 1 <- 2026-01-05"),
        ("SELECT '{a}'::jsonb", text("{}"), "SELECT $1::jsonb <- {}"),
        (
            "SELECT v FROM t WHERE a = {a}",
            Value::Integer(5),
            "SELECT v FROM t WHERE a = CAST($1 AS integer) <- #5",
        ),
        ("SELECT f({a})", Value::Integer(1 << 40), "SELECT f(CAST($1 AS bigint)) <- #1099511627776"),
        ("SELECT f(1, {a})", Value::Double(21.5), "SELECT f(1, CAST($1 AS numeric)) <- #21.5"),
        ("SELECT f({a})", Value::Boolean(true), "SELECT f(CAST($1 AS boolean)) <- true"),
        ("SELECT f({a})", Value::Null, "SELECT f(NULL)"),
        ("SELECT f({a})", text("7.5"), "SELECT f(CAST($1 AS numeric)) <- #7.5"),
        (
            "SELECT f({a})",
            text("7; DROP TABLE t"),
            "rejected: Unsafe unquoted value for {a}: only a number, true, false and null may stand outside of quotes; write '{a}' in the QUERY to take it as a text",
        ),
        (
            "SELECT f({a})",
            Value::Time(0),
            "rejected: Unsafe unquoted value for {a}: only a number, true, false and null may stand outside of quotes; write '{a}' in the QUERY to take it as a text",
        ),
        (
            "SELECT f({a})",
            Value::Json("[1]".to_owned()),
            "rejected: Unsafe unquoted value for {a}: only a number, true, false and null may stand outside of quotes; write '{a}' in the QUERY to take it as a text",
        ),
        ("SELECT v FROM t LIMIT {a}", Value::Integer(5), "SELECT v FROM t LIMIT 5"),
        ("SELECT v FROM t ORDER BY {a}", Value::Integer(2), "SELECT v FROM t ORDER BY 2"),
        ("SELECT 1 -{a}", Value::Integer(-5), "SELECT 1 -CAST($1 AS integer) <- #-5"),
        ("SELECT v FROM t LIMIT {a}", Value::Integer(-5), "SELECT v FROM t LIMIT (-5)"),
        ("SELECT v FROM t_{a}", Value::Integer(5), "SELECT v FROM t_5"),
        ("SELECT v FROM t WHERE a={a}.5", Value::Integer(5), "SELECT v FROM t WHERE a=5.5"),
        ("SELECT 1 -- {a}\n", text("b"), "SELECT 1 -- {a}\n"),
        ("SELECT 1 /* '{a} */ + {a}", Value::Integer(1), "SELECT 1 /* '{a} */ + NULL"),
        ("-- c\nSELECT '{a}'", text("b"), "-- c\nSELECT $1 <- b"),
        ("SET x = '{a}'", quote(), "SET x = 'o''hara''); DROP TABLE t; --'"),
        ("SET x = {a}", Value::Integer(3), "SET x = 3"),
        ("SET x = '{a}'", Value::Bytes(vec![255]), "rejected: the payload is not UTF-8"),
    ] {
        assert_eq!(filled(Dialect::Postgres, sql, &[value]), expected, "{sql}");
    }
}

#[test]
fn mysql_has_backslashes_and_two_quotes() {
    for (sql, value, expected) in [
        (r"SELECT 'a\'{a}'", text("b"), "SELECT ? <- a'b"),
        (r#"SELECT "{a}""#, text("b"), "SELECT ? <- b"),
        (r"SELECT 'a\\', '{a}'", text("b"), r"SELECT 'a\\', ? <- b"),
        ("SELECT f({a})", Value::Double(21.5), "SELECT f(?) <- #21.5"),
        ("SELECT TIMESTAMP '{a}'", text("b"), "SELECT CAST(? AS DATETIME(6)) <- b"),
        ("SELECT 1 # {a}\n", text("b"), "SELECT 1 # {a}\n"),
        ("SET @x = '{a}'", text(r"\' OR 1"), r"SET @x = '\\'' OR 1'"),
    ] {
        assert_eq!(filled(Dialect::MySql, sql, &[value]), expected, "{sql}");
    }
}

#[test]
fn sql_server_has_brackets_and_parameters_with_a_type() {
    for (sql, value, expected) in [
        ("SELECT '{a}'", text("b"), "SELECT @p1 <- b"),
        ("SELECT N'dev-{a}'", text("b"), "SELECT @p1 <- dev-b"),
        ("SELECT '{a}', 1", Value::Null, "SELECT NULL, 1"),
        ("SELECT [a]] $$], '{a}'", text("b"), "SELECT [a]] $$], @p1 <- b"),
        ("SELECT a'{a}'", text("b"), "refused: a literal that begins with a' can have no placeholder"),
        (
            "SELECT [a]]{a}]",
            text("b"),
            "refused: {a} stands in a quoted name or text that ] ends, where no value can be bound",
        ),
        ("SELECT f({a})", Value::Double(21.5), "SELECT f(@p1) <- #21.5"),
        ("SELECT f({a})", Value::Boolean(true), "SELECT f(@p1) <- true"),
        ("SELECT TOP {a} v FROM t", Value::Integer(3), "SELECT TOP 3 v FROM t"),
        ("EXEC f @x = {a}", text("1"), "EXEC f @x = @p1 <- #1"),
        ("EXEC f {a}", Value::Boolean(true), "EXEC f 1"),
        ("CREATE USER x WITH PASSWORD = '{a}'", text("o'hara"), "CREATE USER x WITH PASSWORD = N'o''hara'"),
    ] {
        assert_eq!(filled(Dialect::SqlServer, sql, &[value]), expected, "{sql}");
    }
}

#[test]
fn what_can_bind_nothing_is_refused() {
    for (sql, expected) in [
        (
            "SELECT \"{a}\"",
            "refused: {a} stands in a quoted name or text that \" ends, where no value can be bound",
        ),
        (
            "SELECT $$ {a} $$",
            "refused: {a} stands in a quoted name or text that $$ ends, where no value can be bound",
        ),
        (
            "SELECT $b$ {a} $b$",
            "refused: {a} stands in a quoted name or text that $b$ ends, where no value can be bound",
        ),
        ("SELECT X'{a}'", "refused: a literal that begins with X' can have no placeholder"),
        ("SELECT '{a}", "refused: the literal ' does not end"),
        ("SELECT \"a", "refused: it ends before \""),
    ] {
        assert_eq!(filled(Dialect::Postgres, sql, &[text("b")]), expected, "{sql}");
    }
}

#[test]
fn raw_placeholders_are_filled_in_as_they_are() {
    let statement = Statement::parse(&template("SELECT * FROM {a}"), Dialect::Postgres, true).unwrap();
    assert_eq!(statement.filled(&[text("t; --")]).unwrap().sql, "SELECT * FROM t; --");
}
