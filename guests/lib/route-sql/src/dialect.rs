//! Dialects of SQL: how names, parameters and types are written.

/// Kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// CrateDB, which speaks the protocol of PostgreSQL.
    Crate,
    /// MySQL.
    MySql,
    /// MariaDB.
    MariaDb,
    /// SQL Server.
    SqlServer,
}

/// Kind of a column that a value of JSON becomes (routes reference §4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// `true` and `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// Any other number.
    Double,
    /// A text.
    Text,
    /// An object or an array.
    Json,
}

impl Dialect {
    /// Whether it is MySQL or MariaDB.
    #[must_use]
    pub fn is_mysql(self) -> bool {
        matches!(self, Dialect::MySql | Dialect::MariaDb)
    }

    /// Whether it is SQL Server.
    #[must_use]
    pub fn is_sqlserver(self) -> bool {
        self == Dialect::SqlServer
    }

    /// Whether names of columns are the same in capitals and small letters.
    #[must_use]
    pub fn ignores_case(self) -> bool {
        self.is_mysql() || self.is_sqlserver()
    }

    /// A name in quotes, whatever stands in it.
    #[must_use]
    pub fn name(self, name: &str) -> String {
        let (open, close) = match self {
            Dialect::Postgres | Dialect::Crate => ('"', '"'),
            Dialect::MySql | Dialect::MariaDb => ('`', '`'),
            Dialect::SqlServer => ('[', ']'),
        };
        let mut quoted = String::with_capacity(name.len() + 2);
        quoted.push(open);
        for character in name.chars() {
            if character == close {
                quoted.push(close);
            }
            quoted.push(character);
        }
        quoted.push(close);
        quoted
    }

    /// The name of a table, with its schema where a dot divides them.
    #[must_use]
    pub fn table(self, table: &str) -> String {
        match table.split_once('.') {
            Some((schema, table)) => [&self.name(schema), ".", &self.name(table)].concat(),
            None => self.name(table),
        }
    }

    /// A parameter by its number from 1.
    #[must_use]
    pub fn parameter(self, number: usize) -> String {
        match self {
            Dialect::MySql | Dialect::MariaDb => "?".to_owned(),
            Dialect::SqlServer => format!("@p{number}"),
            Dialect::Postgres | Dialect::Crate => format!("${number}"),
        }
    }

    /// The type of a new column.
    #[must_use]
    pub fn column_type(self, kind: ColumnKind) -> &'static str {
        match (kind, self) {
            (ColumnKind::Boolean, Dialect::SqlServer) => "BIT",
            (ColumnKind::Double, Dialect::SqlServer) => "FLOAT",
            // It has no type of JSON that all of its versions know.
            (ColumnKind::Text | ColumnKind::Json, Dialect::SqlServer) => "NVARCHAR(MAX)",
            (ColumnKind::Boolean, _) => "BOOLEAN",
            (ColumnKind::Integer, _) => "BIGINT",
            (ColumnKind::Double, Dialect::MySql | Dialect::MariaDb) => "DOUBLE",
            (ColumnKind::Double, _) => "DOUBLE PRECISION",
            // A text of MySQL's type TEXT has at most 64 KiB.
            (ColumnKind::Text, Dialect::MySql | Dialect::MariaDb) => "LONGTEXT",
            (ColumnKind::Json, Dialect::Crate) | (ColumnKind::Text, _) => "TEXT",
            (ColumnKind::Json, _) => "JSON",
        }
    }

    /// Returns the column that numbers the rows of our tables, to find the newest ones: its name
    /// and the rest of its definition.
    #[must_use]
    pub fn row_number(self) -> (&'static str, &'static str) {
        let rest = match self {
            Dialect::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            // It has no numbers that rise by themselves.
            Dialect::Crate => "TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP",
            Dialect::MySql | Dialect::MariaDb => "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
            Dialect::SqlServer => "BIGINT IDENTITY(1,1) PRIMARY KEY",
        };
        ("lotmq_row", rest)
    }

    /// Whether a backslash in a literal takes the character behind it.
    pub(crate) fn has_backslashes(self) -> bool {
        self.is_mysql()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names_whatever_stands_in_them() {
        for (dialect, name, expected) in [
            (Dialect::Postgres, "t", r#""t""#),
            (Dialect::Postgres, r#"a"; DROP TABLE t; --"#, r#""a""; DROP TABLE t; --""#),
            (Dialect::Postgres, "plant.t", r#""plant"."t""#),
            (Dialect::MySql, "a`b", "`a``b`"),
            (Dialect::MariaDb, r#"a"b"#, r#"`a"b`"#),
            (Dialect::SqlServer, "dbo.a]b", "[dbo].[a]]b]"),
        ] {
            assert_eq!(dialect.table(name), expected);
        }
    }
}
