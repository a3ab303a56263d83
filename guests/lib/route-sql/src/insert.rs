//! Inserts of one row whose values are placeholders and constants. Many messages become one
//! statement.

use lotmq_guest::route::Value;

use crate::piece::{Part, Piece};
use crate::scanner::is_of_name;
use crate::{Parameter, Statement};

/// `INSERT … VALUES (…) …` of one row.
#[derive(Debug)]
pub struct Insert {
    /// Up to `VALUES`, without it.
    pub head: String,
    items: Vec<Item>,
    /// Behind the row, such as `ON CONFLICT …`.
    pub tail: String,
}

#[derive(Debug)]
enum Item {
    /// With the cast behind it, such as `::jsonb`; empty where there is none.
    Literal(Vec<Part>, String),
    Bare(usize, String),
    /// Text that is the same for all rows.
    Constant(String),
}

impl Insert {
    /// The insert that a statement is; `None` when it is something else, or more.
    #[must_use]
    pub fn of(statement: &Statement) -> Option<Insert> {
        let mut pieces = statement.pieces().iter();
        let Some(Piece::Sql(first)) = pieces.next() else { return None };
        let (head, mut rest) = split_values(first)?;
        let mut row = Row { items: Vec::new(), constant: String::new(), depth: 0, tail: None };
        loop {
            row.text(rest)?;
            rest = "";
            match pieces.next() {
                None => break,
                Some(Piece::Sql(sql)) => rest = sql,
                Some(Piece::Literal { parts, cast: None }) => {
                    row.place(|| Item::Literal(parts_of(parts), String::new()))?
                }
                Some(Piece::Bare { place, is_bound: true }) => {
                    row.place(|| Item::Bare(*place, String::new()))?
                }
                Some(Piece::Literal { .. } | Piece::Bare { .. }) => return None,
            }
        }
        let tail = row.tail?;
        let has_places = row.items.iter().any(|item| !matches!(item, Item::Constant(_)));
        let lower = tail.to_ascii_lowercase();
        let is_more =
            lower.trim_start().starts_with(',') || lower.contains("returning") || lower.contains(';');
        (has_places && !is_more).then(|| Insert { head: head.to_owned(), items: row.items, tail })
    }

    /// Values of a row for its parameters.
    ///
    /// # Errors
    /// Why this message can never pass.
    pub fn values(&self, statement: &Statement, values: &[Value]) -> Result<Vec<Parameter>, String> {
        let value = |item: &Item| match item {
            Item::Literal(parts, _) => Some(statement.literal(parts, values)),
            Item::Bare(place, _) => Some(statement.bare(*place, values)),
            Item::Constant(_) => None,
        };
        self.items.iter().filter_map(value).collect()
    }

    /// Returns for each parameter, in order, whether it is a placeholder outside of a literal.
    #[must_use]
    pub fn bare(&self) -> Vec<bool> {
        let places = self.items.iter().filter(|item| !matches!(item, Item::Constant(_)));
        places.map(|item| matches!(item, Item::Bare(..))).collect()
    }

    /// Places of the parameters among the items of the row, from 0.
    #[must_use]
    pub fn positions(&self) -> Vec<usize> {
        let places = self.items.iter().enumerate();
        places.filter(|(_, item)| !matches!(item, Item::Constant(_))).map(|(place, _)| place).collect()
    }

    /// The items of the row, with something in place of each parameter by its number from 0.
    #[must_use]
    pub fn row(&self, mut parameter: impl FnMut(usize) -> String) -> String {
        let mut count = 0;
        let items = self.items.iter().map(|item| match item {
            Item::Constant(text) => text.clone(),
            Item::Literal(_, cast) | Item::Bare(_, cast) => {
                count += 1;
                parameter(count - 1) + cast
            }
        });
        items.collect::<Vec<_>>().join(", ")
    }
}

fn parts_of(parts: &[Part]) -> Vec<Part> {
    let copied = parts.iter().map(|part| match part {
        Part::Text(text) => Part::Text(text.clone()),
        Part::Place(place) => Part::Place(*place),
    });
    copied.collect()
}

/// Splits an insert at `VALUES` into the texts before and after it.
fn split_values(sql: &str) -> Option<(&str, &str)> {
    let lower = sql.to_ascii_lowercase();
    if !lower.trim_start().starts_with("insert") && !lower.trim_start().starts_with("replace") {
        return None;
    }
    // A name between quotes could hold the word, and a query has values of its own.
    let at = lower.find("values")?;
    let (head, rest) = (&sql[..at], &sql[at + "values".len()..]);
    let is_word = !head.ends_with(is_of_name) && !rest.starts_with(is_of_name);
    let is_simple =
        head.matches(['"', '`']).count() % 2 == 0 && !lower[..at].contains("select") && !head.contains("--");
    (is_word && is_simple).then_some((head, rest))
}

struct Row {
    items: Vec<Item>,
    /// The item that is being read, as far as it is text.
    constant: String,
    depth: u32,
    tail: Option<String>,
}

impl Row {
    fn text(&mut self, text: &str) -> Option<()> {
        let mut quote = None;
        for (at, next) in text.char_indices() {
            if let Some(tail) = &mut self.tail {
                tail.push_str(&text[at..]);
                return Some(());
            }
            match next {
                _ if quote == Some(next) => quote = None,
                _ if quote.is_some() => {}
                '\'' | '"' | '`' => quote = Some(next),
                '(' => {
                    self.depth += 1;
                    if self.depth == 1 {
                        continue;
                    }
                }
                ')' => {
                    self.depth = self.depth.checked_sub(1)?;
                    if self.depth == 0 {
                        self.end_item()?;
                        self.tail = Some(String::new());
                        continue;
                    }
                }
                ',' if self.depth == 1 => {
                    self.end_item()?;
                    continue;
                }
                _ if self.depth == 0 && !next.is_whitespace() => return None,
                _ => {}
            }
            self.constant.push(next);
        }
        Some(())
    }

    fn place(&mut self, item: impl FnOnce() -> Item) -> Option<()> {
        let is_alone = self.tail.is_none() && self.depth == 1 && self.constant.trim().is_empty();
        is_alone.then(|| {
            self.items.push(item());
            // Until the next comma there may be nothing more.
            self.constant = PLACED.to_owned();
        })
    }

    fn end_item(&mut self) -> Option<()> {
        let constant = std::mem::take(&mut self.constant);
        if let Some(behind) = constant.strip_prefix(PLACED) {
            let behind = behind.trim();
            return match self.items.last_mut() {
                _ if behind.is_empty() => Some(()),
                Some(Item::Literal(_, cast) | Item::Bare(_, cast)) if is_cast(behind) => {
                    behind.clone_into(cast);
                    Some(())
                }
                _ => None,
            };
        }
        let constant = constant.trim();
        let is_constant = !constant.is_empty() && !constant.eq_ignore_ascii_case("default");
        is_constant.then(|| self.items.push(Item::Constant(constant.to_owned())))
    }
}

/// Whether a text is one or more casts, as `::numeric(10,2)` or `::text::jsonb`.
fn is_cast(text: &str) -> bool {
    let is_of_type = |next: char| is_of_name(next) || matches!(next, ' ' | '(' | ')' | ',' | '[' | ']' | '.');
    text.strip_prefix("::").is_some_and(|types| types.split("::").all(|one| one.chars().all(is_of_type)))
}

/// Mark of an item that is a placeholder; no statement has it.
const PLACED: &str = "\0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use crate::statement::tests::template;

    fn shown(sql: &str) -> Option<String> {
        let statement = Statement::parse(&template(sql), Dialect::Postgres, false).unwrap();
        let insert = Insert::of(&statement)?;
        let bare = insert.bare().iter().map(|is| if *is { 'b' } else { 'q' }).collect::<String>();
        Some(format!("{}[{}]{} {bare}", insert.head, insert.row(|number| format!("c{number}")), insert.tail))
    }

    #[test]
    fn inserts_of_one_row_are_found() {
        for (sql, expected) in [
            ("INSERT INTO t (a, b) VALUES ('{x}', {y})", Some("INSERT INTO t (a, b) [c0, c1] qb")),
            (
                "insert into t values('{x}',now(),f(1, 'a,)b'), 'a{y}' )",
                Some("insert into t [c0, now(), f(1, 'a,)b'), c1] qq"),
            ),
            (
                "INSERT INTO t (a) VALUES ('{x}') ON CONFLICT (a) DO UPDATE SET b = excluded.b",
                Some("INSERT INTO t (a) [c0] ON CONFLICT (a) DO UPDATE SET b = excluded.b q"),
            ),
            ("INSERT INTO t (a) VALUES ('{x}') RETURNING *", None),
            ("INSERT INTO t (a) VALUES ('{x}'), ('{y}')", None),
            ("INSERT INTO t (a) VALUES (f('{x}'))", None),
            ("INSERT INTO t (a) VALUES ('{x}'::int + 1)", None),
            ("INSERT INTO t (a) VALUES ('{x}'::int COLLATE \"C\")", None),
            (
                "INSERT INTO t (a, b) VALUES ('{x}'::jsonb, {y} ::numeric(10, 2))",
                Some("INSERT INTO t (a, b) [c0::jsonb, c1::numeric(10, 2)] qb"),
            ),
            ("INSERT INTO t (a, b) VALUES ('{x}', DEFAULT)", None),
            ("INSERT INTO t (a) VALUES (1)", None),
            ("INSERT INTO t (a) SELECT '{x}'", None),
            ("INSERT INTO t (a) VALUES ('{x}') ON CONFLICT (a) DO UPDATE SET b = '{y}'", None),
            ("INSERT INTO t (a) VALUES ('{x}'); DELETE FROM t", None),
            ("UPDATE t SET a = '{x}'", None),
        ] {
            assert_eq!(shown(sql).as_deref(), expected, "{sql}");
        }
    }
}
