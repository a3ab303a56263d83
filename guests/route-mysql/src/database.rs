//! Implementation of `route-sql`'s database: writes in one transaction, questions, and columns of
//! tables.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use lotmq_guest::route::{Connection, Failure};
use mysql_common::Value;
use mysql_session::{Done, Fault, OnRow, Session, broken};
use route_sql::rows::{self, Column, Row};
use route_sql::{
    Answer, Block, Database, Dialect, Filled, KnownTable, KnownTables, Server, Target, UnknownName, Write,
    affected,
};

use crate::connect::connect;
use crate::fault::FaultClass as _;
use crate::limits::{PARAMETERS_MAX, ROWS_MAX};
use crate::parameter::{bound, without_zones};

/// An open database.
pub(crate) struct MySql {
    session: Session<Connection>,
    dialect: Dialect,
    is_raw: bool,
    /// Tables that rows were stored in.
    tables: KnownTables<Rc<KnownTable>>,
}

/// An insert of rows: the text around each of them, and their values.
struct Rows<'a> {
    head: &'a str,
    /// A row with its question marks, in parentheses.
    row: &'a str,
    tail: &'a str,
    values: Vec<Vec<Value>>,
}

impl MySql {
    /// Connects and logs in.
    pub(crate) fn open(server: &Server, dialect: Dialect) -> Result<MySql, Failure> {
        let (session, is_raw) = (connect(server)?, server.is_raw);
        Ok(MySql { session, dialect, is_raw, tables: KnownTables::default() })
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        self.session.close();
    }

    /// Does something, and once more where what was known of the server is not so any more.
    fn fresh<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, Fault>) -> Result<T, Failure> {
        let outcome = match work(self) {
            Err(fault) if fault.is_stale() => {
                self.tables.clear();
                self.session.forget().and_then(|()| work(self))
            }
            outcome => outcome,
        };
        outcome.map_err(|fault| fault.of_statement(self.is_raw))
    }

    /// Writes. Before it rejects a message, compares the cached definition of its table with the
    /// current one, and tries once more if they differ.
    fn write_known(&mut self, writes: &[Write<'_>]) -> Result<(), Fault> {
        match self.write_all(writes) {
            Err(fault) if fault.is_refusal() && self.is_outdated(writes)? => self.write_all(writes),
            outcome => outcome,
        }
    }

    /// Returns whether the columns of a written table have changed. Caches the new ones.
    fn is_outdated(&mut self, writes: &[Write<'_>]) -> Result<bool, Fault> {
        let tables: BTreeSet<_> = writes.iter().filter_map(|write| write.table(self.dialect)).collect();
        let mut is_outdated = false;
        for table in tables {
            let Some(known) = self.tables.get(&table) else { continue };
            self.tables.forget(&table);
            is_outdated |= self.known_table(&table)? != Some(known);
        }
        Ok(is_outdated)
    }

    fn write_all(&mut self, writes: &[Write<'_>]) -> Result<(), Fault> {
        // Making a table or a column ends a transaction, so that it is done before.
        for write in writes {
            if let Write::Rows(table, rows) = write {
                self.prepare_table(table, rows)?;
            }
        }
        let is_one = match writes {
            [Write::Statement(_)] => true,
            [Write::Inserts(block)] => block.rows.len() == 1,
            [Write::Rows(_, rows)] => rows.len() == 1,
            _ => false,
        };
        if is_one {
            return writes.iter().try_for_each(|write| self.write_one(write));
        }
        self.command("START TRANSACTION")?;
        let written = writes.iter().try_for_each(|write| self.write_one(write));
        match written.and_then(|()| self.command("COMMIT")) {
            Ok(()) => Ok(()),
            Err(fault) if fault.is_of_the_connection() => Err(fault),
            Err(fault) => {
                self.command("ROLLBACK")?;
                Err(fault)
            }
        }
    }

    fn write_one(&mut self, write: &Write<'_>) -> Result<(), Fault> {
        match write {
            Write::Statement(filled) => self.run(filled, &mut |_, _| {}).map(drop),
            Write::Inserts(block) => self.block(block),
            Write::Rows(table, rows) => self.rows(table, rows),
        }
    }

    fn command(&mut self, sql: &str) -> Result<(), Fault> {
        self.session.query(sql, &mut |_, _| {}).map(drop)
    }

    /// Runs a statement of one message. If the server rejects a time with a zone, sends the same
    /// time in UTC.
    fn run(&mut self, filled: &Filled, on_row: OnRow<'_>) -> Result<Done, Fault> {
        if filled.parameters.is_empty() {
            return self.session.query(&filled.sql, on_row);
        }
        let values: Vec<Value> = filled.parameters.iter().map(|parameter| bound(parameter, "")).collect();
        self.execute(&filled.sql, &values, on_row)
    }

    fn execute(&mut self, sql: &str, values: &[Value], on_row: OnRow<'_>) -> Result<Done, Fault> {
        match self.session.execute(sql, values, on_row) {
            Err(fault) if fault.is_of_a_value() => match without_zones(values) {
                Some(values) => self.session.execute(sql, &values, on_row),
                None => Err(fault),
            },
            outcome => outcome,
        }
    }

    /// The same insert for several messages.
    fn block(&mut self, block: &Block<'_>) -> Result<(), Fault> {
        let kinds = self.kinds_of(block)?;
        let row = format!("({})", block.insert.row(|_| "?".to_owned()));
        let kind = |place: usize| kinds.get(place).map_or("", String::as_str);
        let values = block.rows.iter().map(|row| {
            row.iter().enumerate().map(|(place, parameter)| bound(parameter, kind(place))).collect()
        });
        let values = values.collect();
        self.insert(&Rows { head: &block.insert.head, row: &row, tail: &block.insert.tail, values })
    }

    /// Returns the column types for the parameters of an insert; none if the table is unknown.
    fn kinds_of(&mut self, block: &Block<'_>) -> Result<Vec<String>, Fault> {
        let Some(target) = Target::of_insert(self.dialect, &block.insert.head) else {
            return Ok(Vec::new());
        };
        let known = self.known_table(&target.table)?;
        Ok(known.map(|known| known.kinds_of(&target, block.insert)).unwrap_or_default())
    }

    /// Rows of a table of ours.
    fn rows(&mut self, table: &str, rows: &[Row]) -> Result<(), Fault> {
        let (Some(first), Some(known)) = (rows.first(), self.known_table(table)?) else {
            return Err(Fault::Rejected(format!("the table '{table}' is not there")));
        };
        let places = known.places(first);
        let names: Vec<String> = places.iter().map(|(_, column)| column.name.clone()).collect();
        let head = rows::insert_head(self.dialect, table, &names);
        let row = format!("({})", vec!["?"; names.len()].join(", "));
        let values = rows.iter().map(|row| {
            let value = |(place, column): &(usize, &Column)| {
                row.cells.get(*place).map_or(Value::NULL, |(_, parameter)| bound(parameter, &column.kind))
            };
            places.iter().map(value).collect()
        });
        let values = values.collect();
        self.insert(&Rows { head: &head, row: &row, tail: "", values })
    }

    /// Inserts rows, as many per statement as possible: a power of two, so that few statements are
    /// prepared.
    fn insert(&mut self, rows: &Rows<'_>) -> Result<(), Fault> {
        let width = rows.values.first().map_or(0, Vec::len);
        let most = (PARAMETERS_MAX / width.max(1)).clamp(1, ROWS_MAX);
        let mut rest = rows.values.as_slice();
        while !rest.is_empty() {
            let mut count = 1_usize << rest.len().min(most).ilog2();
            while count > 1 && self.session.check_size(bytes_of_rows(rest, count)).is_err() {
                count /= 2;
            }
            let (now, later) = rest.split_at(count);
            let places = vec![rows.row; count].join(", ");
            let sql = [rows.head.trim_end(), " VALUES ", &places, rows.tail].concat();
            let values = now.concat();
            match values.is_empty() {
                true => self.session.query(&sql, &mut |_, _| {})?,
                false => self.execute(&sql, &values, &mut |_, _| {})?,
            };
            rest = later;
        }
        Ok(())
    }

    /// Makes a table ready for rows.
    fn prepare_table(&mut self, table: &str, rows: &[Row]) -> Result<(), Fault> {
        let known = self.known_table(table)?;
        let all: Vec<&Row> = rows.iter().collect();
        let columns = known.as_ref().map(|known| known.columns.as_slice());
        let statements = rows::preparation(self.dialect, table, columns, &all);
        for statement in &statements {
            match self.command(statement) {
                // Another instance was faster.
                Err(fault) if fault.is_duplicate_column() => {}
                outcome => outcome?,
            }
        }
        if !statements.is_empty() {
            self.tables.forget(table);
        }
        Ok(())
    }

    /// Returns the cached definition of a table. Others may still create a missing table.
    fn known_table(&mut self, table: &str) -> Result<Option<Rc<KnownTable>>, Fault> {
        if let Some(known) = self.tables.get(table) {
            return Ok(Some(known));
        }
        let Some(columns) = self.asked_columns(table)? else { return Ok(None) };
        let known = Rc::new(KnownTable { given: (0..columns.len()).collect(), columns });
        self.tables.put(table, Rc::clone(&known));
        Ok(Some(known))
    }

    fn asked_columns(&mut self, table: &str) -> Result<Option<Vec<Column>>, Fault> {
        const OF_TABLE: &str =
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ";
        const REST: &str = " AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";
        let text = |text: &str| Value::Bytes(text.as_bytes().to_vec());
        let (sql, values) = match table.split_once('.') {
            Some((schema, table)) => ([OF_TABLE, "?", REST].concat(), vec![text(schema), text(table)]),
            None => ([OF_TABLE, "DATABASE()", REST].concat(), vec![text(table)]),
        };
        let mut columns = Some(Vec::new());
        self.session.execute(&sql, &values, &mut |_, row| {
            let text = |place: usize| match row.get(place) {
                Some(Value::Bytes(text)) => String::from_utf8(text.clone()).ok(),
                _ => None,
            };
            let column = text(0).zip(text(1)).map(|(name, kind)| Column { name, kind });
            columns = columns.take().zip(column).map(|(mut columns, column)| {
                columns.push(column);
                columns
            });
        })?;
        let columns = columns.ok_or_else(|| broken("columns that cannot be read"))?;
        Ok((!columns.is_empty()).then_some(columns))
    }

    fn asked(&mut self, filled: &Filled) -> Result<(String, u64), Fault> {
        let mut answer = Answer::default();
        let done = self.run(filled, &mut |columns, row| {
            answer.row(
                columns.iter().zip(row).map(|(column, value)| (column.name.as_str(), column.json(value))),
            );
        })?;
        Ok(if done.has_rows { answer.end() } else { (affected(done.affected), 0) })
    }
}

/// Bytes of so many rows, which is more than they have in a packet.
fn bytes_of_rows(rows: &[Vec<Value>], count: usize) -> usize {
    let value = |value: &Value| usize::try_from(value.bin_len()).unwrap_or(usize::MAX).saturating_add(3);
    rows.iter().take(count).flatten().map(value).fold(64, usize::saturating_add)
}

impl Database for MySql {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn write(&mut self, writes: &[Write<'_>]) -> Result<(), Failure> {
        self.fresh(|database| database.write_known(writes))
    }

    fn ask(&mut self, filled: &Filled) -> Result<(String, u64), Failure> {
        self.fresh(|database| database.asked(filled))
    }

    fn unknown_name(&mut self, statement: &Filled) -> Result<Option<UnknownName>, Failure> {
        match self.session.prepare(&statement.sql) {
            Err(fault) if fault.is_of_the_connection() => Err(fault.of_statement(self.is_raw)),
            Err(fault) => Ok(fault.unknown_name()),
            Ok(_) => Ok(None),
        }
    }

    fn columns(&mut self, table: &str) -> Result<Option<Cow<'_, [Column]>>, Failure> {
        // Others may have changed it.
        let columns = self.fresh(|database| database.asked_columns(table))?;
        Ok(columns.map(Cow::Owned))
    }
}
