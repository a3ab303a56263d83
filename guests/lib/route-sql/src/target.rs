//! The table of an insert and its columns, as the text of the insert names them.

use crate::Dialect;

/// Table that an insert writes to.
#[derive(Debug, PartialEq)]
pub struct Target {
    /// With its schema or database before a dot, where there is one.
    pub table: String,
    /// Columns in their order; `None` where they are those of the table.
    pub columns: Option<Vec<String>>,
}

impl Target {
    /// The table of `INSERT INTO t (a, b)`; `None` where that is not how it is written.
    #[must_use]
    pub fn of_insert(dialect: Dialect, head: &str) -> Option<Target> {
        let spelling = Spelling::of(dialect);
        let mut rest = head.trim_start();
        spelling.word(&mut rest, spelling.verbs)?;
        while spelling.word(&mut rest, spelling.between).is_some() {}
        let mut table = spelling.name(&mut rest)?;
        if let Some(behind) = rest.strip_prefix('.') {
            rest = behind.trim_start();
            table = [&table, ".", &spelling.name(&mut rest)?].concat();
        }
        if rest.is_empty() {
            return Some(Target { table, columns: None });
        }
        rest = rest.strip_prefix('(')?.trim_start();
        let mut columns = Vec::new();
        loop {
            columns.push(spelling.name(&mut rest)?);
            if let Some(behind) = rest.strip_prefix(',') {
                rest = behind.trim_start();
                continue;
            }
            return (rest.strip_prefix(')')?.trim() == "")
                .then_some(Target { table, columns: Some(columns) });
        }
    }
}

/// How a dialect writes inserts.
struct Spelling {
    verbs: &'static [&'static str],
    /// Words that may stand between the verb and the table.
    between: &'static [&'static str],
    /// Quotes that may enclose a name; a doubled end quote stands for itself.
    quotes: &'static [(char, char)],
    /// Characters of a name without quotes, beside letters and digits.
    signs: &'static [char],
}

impl Spelling {
    fn of(dialect: Dialect) -> Spelling {
        match dialect {
            Dialect::Postgres | Dialect::Crate => {
                Spelling { verbs: &["insert"], between: &["into"], quotes: &[('"', '"')], signs: &['_', '$'] }
            }
            Dialect::MySql | Dialect::MariaDb => Spelling {
                verbs: &["insert", "replace"],
                between: &["low_priority", "delayed", "high_priority", "ignore", "into"],
                quotes: &[('`', '`')],
                signs: &['_', '$'],
            },
            Dialect::SqlServer => Spelling {
                verbs: &["insert"],
                between: &["into"],
                quotes: &[('[', ']'), ('"', '"')],
                signs: &['_', '@', '#', '$'],
            },
        }
    }

    fn is_of_name(&self, character: char) -> bool {
        character.is_alphanumeric() || self.signs.contains(&character)
    }

    /// Goes behind the word that a text begins with, if it is one of these.
    fn word(&self, rest: &mut &str, known: &[&str]) -> Option<()> {
        let end = rest.find(|next| !self.is_of_name(next)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        known.iter().any(|known| known.eq_ignore_ascii_case(word)).then(|| *rest = behind.trim_start())
    }

    /// The name that a text begins with, in quotes or without.
    fn name(&self, rest: &mut &str) -> Option<String> {
        for (open, close) in self.quotes {
            let Some(behind) = rest.strip_prefix(*open) else { continue };
            let end = behind.find(*close)?;
            let (name, behind) = behind.split_at(end);
            let behind = behind.strip_prefix(*close)?;
            // Such a name may be written, and is not met.
            if behind.starts_with(*close) || name.contains('.') {
                return None;
            }
            *rest = behind.trim_start();
            return Some(name.to_owned());
        }
        let end = rest.find(|next| !self.is_of_name(next)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        *rest = behind.trim_start();
        (!name.is_empty()).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(dialect: Dialect, head: &str) -> Option<String> {
        Target::of_insert(dialect, head).map(|target| match target.columns {
            Some(columns) => format!("{}({})", target.table, columns.join("|")),
            None => target.table,
        })
    }

    #[test]
    fn inserts_of_mysql_say_where_they_write() {
        for (head, expected) in [
            ("INSERT INTO t (a, `b c`) ", Some("t(a|b c)")),
            ("insert ignore into plant.`t 1`(a)", Some("plant.t 1(a)")),
            ("REPLACE t ", Some("t")),
            ("INSERT LOW_PRIORITY INTO t(a)", Some("t(a)")),
            ("INSERT INTO intot (a)", Some("intot(a)")),
            ("INSERT INTO t (a, f(b))", None),
            ("INSERT INTO t PARTITION (p) (a)", None),
            ("INSERT INTO `a``b` (a)", None),
            ("INSERT INTO `a.b` (a)", None),
            ("INSERT INTO ", None),
        ] {
            assert_eq!(told(Dialect::MySql, head).as_deref(), expected, "{head}");
        }
    }

    #[test]
    fn inserts_of_sql_server_say_where_they_write() {
        for (head, expected) in [
            ("INSERT INTO t (a, [b c]) ", Some("t(a|b c)")),
            ("insert dbo.[t 1](a)", Some("dbo.t 1(a)")),
            ("INSERT INTO \"t\" ", Some("t")),
            ("INSERT INTO #t (a)", Some("#t(a)")),
            ("INSERT INTO intot (a)", Some("intot(a)")),
            ("INSERT INTO t (a) OUTPUT inserted.a", None),
            ("INSERT TOP (1) INTO t (a)", None),
            ("INSERT INTO a.b.c (a)", None),
            ("INSERT INTO t WITH (TABLOCK) (a)", None),
            ("INSERT INTO [a]]b] (a)", None),
            ("REPLACE INTO t (a)", None),
            ("INSERT INTO ", None),
        ] {
            assert_eq!(told(Dialect::SqlServer, head).as_deref(), expected, "{head}");
        }
    }
}
