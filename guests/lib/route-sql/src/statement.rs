//! Statements with placeholders (routes reference §2.1). Values are bound beside the text and never
//! become part of it, except numbers.
//!
//! A literal with placeholders becomes one parameter, together with its other text. A placeholder
//! outside of literals is a number, a truth value or NULL. It becomes a parameter if the place is
//! surely an expression, else the number itself.

use lotmq_guest::route::{Template, Value, text_of};

use crate::Dialect;
use crate::number::is_number;
use crate::piece::{Part, Piece};
use crate::scanner::Scanner;

/// A statement as a definition has it.
#[derive(Debug)]
pub struct Statement {
    dialect: Dialect,
    pieces: Vec<Piece>,
    names: Vec<String>,
    takes_parameters: bool,
    /// Template that is filled in without escaping, if the definition asks for that.
    raw: Option<Template>,
}

/// A statement with the values of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// Its text.
    pub sql: String,
    /// Values of its parameters.
    pub parameters: Vec<Parameter>,
}

/// A value that is bound.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// NULL.
    Null,
    /// A text, which the database takes for whatever type is wanted.
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    /// A number, as it is written.
    Number(String),
    /// A truth value.
    Boolean(bool),
}

/// Statements that take parameters; all others are commands.
const WITH_PARAMETERS: [&str; 9] =
    ["select", "insert", "update", "delete", "with", "values", "merge", "replace", "call"];

/// Statements of SQL Server that take none.
const WITHOUT_PARAMETERS: [&str; 9] =
    ["create", "alter", "drop", "grant", "revoke", "deny", "use", "backup", "restore"];

impl Statement {
    /// Parses a statement. With `is_raw` the values replace the placeholders unchanged, and nothing
    /// is bound (`RAW_PLACEHOLDERS`).
    ///
    /// # Errors
    /// Returns why a value cannot be bound to one of its placeholders.
    pub fn parse(template: &Template, dialect: Dialect, is_raw: bool) -> Result<Statement, String> {
        let names = template.placeholders().to_vec();
        let mut scanner = Scanner::new(dialect);
        if !is_raw {
            for (index, text) in template.texts().iter().enumerate() {
                scanner.text(text)?;
                if let Some(name) = names.get(index) {
                    scanner.placeholder(index, name)?;
                }
            }
        }
        let pieces = scanner.end()?;
        let verb = match pieces.first() {
            Some(Piece::Sql(sql)) => verb(sql),
            Some(Piece::Literal { .. } | Piece::Bare { .. }) | None => String::new(),
        };
        let takes_parameters = match dialect {
            Dialect::SqlServer => !WITHOUT_PARAMETERS.contains(&&*verb),
            Dialect::Postgres | Dialect::Crate | Dialect::MySql | Dialect::MariaDb => {
                WITH_PARAMETERS.contains(&&*verb)
            }
        };
        let raw = is_raw.then(|| template.clone());
        Ok(Statement { dialect, pieces, names, takes_parameters, raw })
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        if self.raw.is_some() { &[] } else { &self.pieces }
    }

    /// The statement for a message.
    ///
    /// # Errors
    /// Why this message can never pass.
    pub fn filled(&self, values: &[Value]) -> Result<Filled, String> {
        if let Some(raw) = &self.raw {
            return Ok(Filled { sql: raw.joined(values), parameters: Vec::new() });
        }
        let mut filled = Filled { sql: String::new(), parameters: Vec::new() };
        for piece in &self.pieces {
            match piece {
                Piece::Sql(sql) => filled.sql.push_str(sql),
                Piece::Literal { parts, cast } => {
                    let value = self.literal(parts, values)?;
                    if self.takes_parameters {
                        filled.bind(value, cast.as_deref(), self.dialect);
                    } else {
                        filled.splice(&value, cast.as_deref(), self.dialect)?;
                    }
                }
                Piece::Bare { place, is_bound } => {
                    let value = self.bare(*place, values)?;
                    match (&value, self.number_type(&value)) {
                        (Parameter::Null, _) => filled.sql.push_str("NULL"),
                        (_, cast) if *is_bound && self.takes_parameters => {
                            filled.bind(value, cast, self.dialect)
                        }
                        (_, _) => filled.splice(&value, None, self.dialect)?,
                    }
                }
            }
        }
        Ok(filled)
    }

    /// Returns a sample of the statement, to prepare and not to run. Returns `None` if values are
    /// part of its text, which is then unknown in advance.
    #[must_use]
    pub fn sample(&self) -> Option<Filled> {
        if self.raw.is_some() || !self.takes_parameters {
            return None;
        }
        self.filled(&vec![Value::Integer(1); self.names.len()]).ok()
    }

    /// Returns the type as which the database would read a number, since parameters have none.
    /// Those of MySQL and SQL Server have one.
    fn number_type(&self, value: &Parameter) -> Option<&'static str> {
        match value {
            _ if self.dialect.is_mysql() || self.dialect.is_sqlserver() => None,
            Parameter::Boolean(_) => Some("boolean"),
            Parameter::Number(number) if number.parse::<i32>().is_ok() => Some("integer"),
            Parameter::Number(number) if number.parse::<i64>().is_ok() => Some("bigint"),
            Parameter::Number(_) if self.dialect == Dialect::Crate => Some("double precision"),
            Parameter::Number(_) => Some("numeric"),
            Parameter::Null | Parameter::Text(_) | Parameter::Bytes(_) => None,
        }
    }

    /// The value of a literal with these parts.
    pub(crate) fn literal(&self, parts: &[Part], values: &[Value]) -> Result<Parameter, String> {
        if let [Part::Place(place)] = parts {
            return Ok(match value_at(values, *place) {
                Value::Empty | Value::Null => Parameter::Null,
                Value::Bytes(bytes) => Parameter::Bytes(bytes.clone()),
                value => Parameter::Text(text_of(value)),
            });
        }
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Place(place) => match value_at(values, *place) {
                    Value::Bytes(_) => return Err(format!("{{{}}} is not UTF-8", self.names[*place])),
                    value => text.push_str(&text_of(value)),
                },
            }
        }
        Ok(Parameter::Text(text))
    }

    /// The value of a placeholder outside of literals.
    pub(crate) fn bare(&self, place: usize, values: &[Value]) -> Result<Parameter, String> {
        let value = value_at(values, place);
        match value {
            Value::Empty | Value::Null => Ok(Parameter::Null),
            Value::Boolean(is) => Ok(Parameter::Boolean(*is)),
            // A payload is a text, whatever stands in it.
            Value::Text(text) if text == "true" || text == "false" => Ok(Parameter::Boolean(text == "true")),
            Value::Text(text) if text == "null" => Ok(Parameter::Null),
            Value::Integer(_) | Value::Double(_) | Value::Text(_) | Value::Json(_)
                if is_number(&text_of(value)) =>
            {
                Ok(Parameter::Number(text_of(value)))
            }
            _ => Err(format!(
                "Unsafe unquoted value for {{{name}}}: only a number, true, false and null may stand outside of quotes; write '{{{name}}}' in the QUERY to take it as a text",
                name = self.names[place]
            )),
        }
    }
}

fn value_at(values: &[Value], place: usize) -> &Value {
    values.get(place).unwrap_or(&Value::Empty)
}

/// The first word of a statement, behind comments and parentheses.
fn verb(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        let behind = if rest.starts_with("--") {
            rest.split_once('\n').map(|(_, behind)| behind)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map(|(_, behind)| behind)
        } else {
            rest.strip_prefix('(')
        };
        match behind {
            Some(behind) => rest = behind.trim_start(),
            None => break,
        }
    }
    rest.chars().take_while(|next| next.is_ascii_alphabetic()).collect::<String>().to_ascii_lowercase()
}

impl Filled {
    fn bind(&mut self, value: Parameter, cast: Option<&str>, dialect: Dialect) {
        // A parameter has a type there, and not each type's nothing is one of every other.
        if dialect.is_sqlserver() && value == Parameter::Null {
            self.sql.push_str("NULL");
            return;
        }
        self.parameters.push(value);
        let parameter = dialect.parameter(self.parameters.len());
        match cast {
            // MySQL's type of a time with a date.
            Some(cast) if dialect.is_mysql() && cast.eq_ignore_ascii_case("timestamp") => {
                self.sql.push_str(&format!("CAST({parameter} AS DATETIME(6))"));
            }
            // MySQL has no INTERVAL type for CAST and converts the value by itself.
            Some(cast) if dialect.is_mysql() && cast.eq_ignore_ascii_case("interval") => {
                self.sql.push_str(&format!("INTERVAL {parameter}"));
            }
            Some(cast) => self.sql.push_str(&format!("CAST({parameter} AS {cast})")),
            None => self.sql.push_str(&parameter),
        }
    }

    /// Writes a value into the text, if a statement takes no parameters or a parameter would mean
    /// something else than the number.
    fn splice(&mut self, value: &Parameter, cast: Option<&str>, dialect: Dialect) -> Result<(), String> {
        if let Some(cast) = cast {
            self.sql.push_str(cast);
            self.sql.push(' ');
        }
        match value {
            Parameter::Null => self.sql.push_str("NULL"),
            Parameter::Boolean(is) if dialect.is_sqlserver() => self.sql.push(if *is { '1' } else { '0' }),
            Parameter::Boolean(is) => self.sql.push_str(if *is { "TRUE" } else { "FALSE" }),
            // Two signs would begin a comment.
            Parameter::Number(number) if number.starts_with(['-', '+']) => {
                self.sql.push_str(&["(", number, ")"].concat());
            }
            Parameter::Number(number) => self.sql.push_str(number),
            Parameter::Text(text) => {
                if text.contains('\0') {
                    return Err("a text with the character NUL cannot be written into a command".to_owned());
                }
                self.sql.push_str(if dialect.is_sqlserver() { "N'" } else { "'" });
                for character in text.chars() {
                    if character == '\'' || (character == '\\' && dialect.has_backslashes()) {
                        self.sql.push(character);
                    }
                    self.sql.push(character);
                }
                self.sql.push('\'');
            }
            Parameter::Bytes(_) => return Err("the payload is not UTF-8".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
