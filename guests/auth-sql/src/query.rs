//! Query with parameters in place of its placeholders. No value becomes a part of the statement.

use auth_settings::{Placeholder, Settings, Template, TemplatePart, escape};
use lotmq_guest::auth::Login;

use crate::server::Kind;

/// A statement with `$1`, `$2`, … for PostgreSQL, or `?` for MySQL, and the values that they stand
/// for.
#[derive(Debug, PartialEq)]
pub(crate) struct Query {
    /// Text of the statement.
    pub(crate) sql: String,
    placeholders: Vec<Placeholder>,
}

impl Query {
    /// Reads a member of the configuration; `None` if it is missing.
    ///
    /// # Errors
    /// The member is no query with placeholders.
    pub(crate) fn read(settings: &Settings<'_>, member: &str, kind: Kind) -> Result<Option<Query>, String> {
        let Some(json) = settings.raw(member) else { return Ok(None) };
        let text = json.as_str().ok_or_else(|| settings.wrong(member, "a text"))?;
        let query = Template::parse(text).and_then(|template| Query::of(&template, kind));
        query.map(Some).map_err(|reason| settings.wrong(member, &reason))
    }

    fn of(template: &Template, kind: Kind) -> Result<Query, String> {
        let (mut sql, mut placeholders) = (String::new(), Vec::new());
        for part in template.parts() {
            match part {
                TemplatePart::Text(text) => sql.push_str(text),
                TemplatePart::Placeholder(Placeholder::Password) => {
                    return Err("${password} would stand in the log of the database".to_owned());
                }
                TemplatePart::Placeholder(_) if sql.ends_with(['\'', '"', '`']) => {
                    return Err("no quotation marks around a placeholder".to_owned());
                }
                TemplatePart::Placeholder(placeholder) if kind == Kind::Mysql => {
                    placeholders.push(*placeholder);
                    sql.push('?');
                }
                TemplatePart::Placeholder(placeholder) => {
                    let known = placeholders.iter().position(|known| known == placeholder);
                    let at = known.unwrap_or(placeholders.len());
                    if known.is_none() {
                        placeholders.push(*placeholder);
                    }
                    sql.push_str(&format!("${}", at + 1));
                }
            }
        }
        if kind == Kind::Mysql && template.texts().any(|text| text.contains('?')) {
            return Err("? and ${…} do not go together".to_owned());
        }
        let mut behind_dollars = template.texts().flat_map(|text| text.split('$').skip(1));
        if kind == Kind::Postgres
            && behind_dollars.any(|behind| behind.starts_with(|next: char| next.is_ascii_digit()))
        {
            return Err("$1 and ${…} do not go together".to_owned());
        }
        if sql.contains('\0') {
            return Err("a text without NUL".to_owned());
        }
        if placeholders.is_empty() {
            return Err("it has no placeholder, such as ${username}".to_owned());
        }
        Ok(Query { sql, placeholders })
    }

    /// Values of the parameters for a login.
    ///
    /// # Errors
    /// A value that no text of the database holds, without the value.
    pub(crate) fn values(&self, login: &Login) -> Result<Vec<Vec<u8>>, String> {
        let value = |placeholder: &Placeholder| {
            let mut text = Vec::new();
            let value = placeholder.value(login).map_err(|unfit| unfit.text())?;
            let is_text = !value.contains(&0) && escape::text(&value, &mut text).is_ok();
            is_text
                .then_some(text)
                .ok_or_else(|| format!("the value of {} has NUL in it, or is no UTF-8", placeholder.name()))
        };
        self.placeholders.iter().map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_guest::auth::testing::login;

    #[test]
    fn placeholders_become_parameters() {
        let text = "SELECT h FROM t WHERE u = ${username} AND (c = ${clientid} OR v = ${username}) -- ${$}x";
        let query = Query::of(&Template::parse(text).unwrap(), Kind::Postgres).unwrap();
        assert_eq!(query.sql, "SELECT h FROM t WHERE u = $1 AND (c = $2 OR v = $1) -- $x");
        let mysql = Query::of(&Template::parse(text).unwrap(), Kind::Mysql).unwrap();
        assert_eq!(mysql.sql, "SELECT h FROM t WHERE u = ? AND (c = ? OR v = ?) -- $x");
        assert_eq!(mysql.values(&login("u", "p")).unwrap().len(), 3);
        let mut login = login("'; DROP TABLE t; --", "p");
        login.client_id = "c".to_owned();
        assert_eq!(query.values(&login).unwrap(), [b"'; DROP TABLE t; --".to_vec(), b"c".to_vec()]);
        login.client_id = "c\0".to_owned();
        assert_eq!(query.values(&login).unwrap_err(), "the value of clientid has NUL in it, or is no UTF-8");
    }
}
