//! Implementation of `route-sql`'s database: writes in one transaction, questions, and columns of
//! tables.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use lotmq_guest::route::Failure;
use route_sql::rows::{self, Column, Row};
use route_sql::{
    Answer, Block, Database, Dialect, Filled, KnownTable, KnownTables, Parameter, Server, Target, Write,
    affected,
};

use crate::fault::{Fault, broken};
use crate::inserts::{Inserts, Planned};
use crate::options::Options;
use crate::parameter::{Bound, Kind, without_zones};
use crate::session::{Done, OnRow, Session};
use crate::value::Value;

/// An open database.
pub(crate) struct SqlServer {
    session: Session,
    is_raw: bool,
    /// Tables that rows were stored in.
    tables: KnownTables<Rc<KnownTable>>,
}

impl SqlServer {
    /// Connects and logs in.
    pub(crate) fn open(server: &Server, options: &Options) -> Result<SqlServer, Failure> {
        let (session, is_raw) = (Session::open(server, options)?, server.is_raw);
        Ok(SqlServer { session, is_raw, tables: KnownTables::default() })
    }

    /// Does something, and once more where what was known of the server is not so any more.
    fn fresh<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, Fault>) -> Result<T, Failure> {
        let outcome = match work(self) {
            Err(fault) if fault.is_stale() => {
                self.tables.clear();
                work(self)
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
        let tables: BTreeSet<_> = writes.iter().filter_map(|write| write.table(Dialect::SqlServer)).collect();
        let mut is_outdated = false;
        for table in tables {
            let Some(known) = self.tables.get(&table) else { continue };
            self.tables.forget(&table);
            is_outdated |= self.known_table(&table)? != Some(known);
        }
        Ok(is_outdated)
    }

    /// Writes all; where a time with a zone is none for the server, it gets the same in UTC.
    fn write_all(&mut self, writes: &[Write<'_>]) -> Result<(), Fault> {
        // Each makes its own transaction of a table or a column, so that it is done before.
        for write in writes {
            if let Write::Rows(table, rows) = write {
                self.prepare_table(table, rows)?;
            }
        }
        match self.write_once(writes, false) {
            Err(fault) if fault.is_of_a_time() && has_zones(writes) => self.write_once(writes, true),
            outcome => outcome,
        }
    }

    fn write_once(&mut self, writes: &[Write<'_>], is_utc: bool) -> Result<(), Fault> {
        let mut planned = Vec::new();
        for write in writes {
            match write {
                Write::Statement(filled) => planned.push(of_filled(filled, is_utc)?),
                Write::Inserts(block) => planned.extend(self.block(block, is_utc)?),
                Write::Rows(table, rows) => planned.extend(self.rows(table, rows)?),
            }
        }
        // By itself a statement is done or not.
        if let [one] = planned.as_slice() {
            return self.run(one, &mut |_, _| {}).map(drop);
        }
        self.command("BEGIN TRANSACTION")?;
        let written = planned.iter().try_for_each(|one| self.run(one, &mut |_, _| {}).map(drop));
        match written.and_then(|()| self.command("COMMIT TRANSACTION")) {
            Ok(()) => Ok(()),
            Err(fault) if fault.is_of_the_connection() => Err(fault),
            Err(fault) => {
                // Most errors have ended the transaction (`XACT_ABORT`), and a doomed one can only
                // roll back.
                self.command("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")?;
                Err(fault)
            }
        }
    }

    fn command(&mut self, sql: &str) -> Result<(), Fault> {
        self.session.run(sql, &[], &mut |_, _| {}).map(drop)
    }

    fn run(&mut self, planned: &Planned, on_row: OnRow<'_>) -> Result<Done, Fault> {
        let values: Vec<(Kind, &Parameter)> =
            planned.values.iter().map(|(kind, value)| (*kind, value)).collect();
        self.session.run(&planned.sql, &values, on_row)
    }

    /// The same insert for several messages.
    fn block(&mut self, block: &Block<'_>, is_utc: bool) -> Result<Vec<Planned>, Fault> {
        let kinds = self.kinds_of(block)?;
        let kind = |place: usize| kinds.get(place).map_or("", String::as_str);
        let mut values = Vec::with_capacity(block.rows.len());
        for row in &block.rows {
            // Columns of a known type take the zone that the type needs.
            let other = without_zones(row).filter(|_| is_utc);
            let bound = row.iter().enumerate().map(|(place, parameter)| {
                let other = other.as_ref().and_then(|other| other.get(place));
                let parameter = other.filter(|_| kind(place).is_empty()).unwrap_or(parameter);
                Bound::new(parameter, kind(place))
            });
            values.push(bound.collect::<Result<Vec<Bound>, Fault>>()?);
        }
        let row = |parameters: &[String]| {
            block.insert.row(|place| parameters.get(place).cloned().unwrap_or_default())
        };
        let inserts = Inserts { head: &block.insert.head, row: &row, tail: &block.insert.tail };
        Ok(inserts.planned(&values))
    }

    /// Returns the column types for the parameters of an insert; none if the table is unknown.
    fn kinds_of(&mut self, block: &Block<'_>) -> Result<Vec<String>, Fault> {
        let Some(target) = Target::of_insert(Dialect::SqlServer, &block.insert.head) else {
            return Ok(Vec::new());
        };
        let known = self.known_table(&target.table)?;
        Ok(known.map(|known| known.kinds_of(&target, block.insert)).unwrap_or_default())
    }

    /// Rows of a table of ours.
    fn rows(&mut self, table: &str, rows: &[Row]) -> Result<Vec<Planned>, Fault> {
        let (Some(first), Some(known)) = (rows.first(), self.known_table(table)?) else {
            return Err(Fault::Rejected(format!("the table '{table}' is not there")));
        };
        let places = known.places(first);
        let names: Vec<String> = places.iter().map(|(_, column)| column.name.clone()).collect();
        if names.is_empty() {
            let sql = format!("INSERT INTO {} DEFAULT VALUES", Dialect::SqlServer.table(table));
            return Ok(rows.iter().map(|_| Planned { sql: sql.clone(), values: Vec::new() }).collect());
        }
        let head = rows::insert_head(Dialect::SqlServer, table, &names);
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            let bound = places.iter().map(|(place, column)| {
                let value = row.cells.get(*place).map_or(&Parameter::Null, |(_, parameter)| parameter);
                Bound::new(value, &column.kind)
            });
            values.push(bound.collect::<Result<Vec<Bound>, Fault>>()?);
        }
        let row = |parameters: &[String]| parameters.join(", ");
        Ok(Inserts { head: &head, row: &row, tail: "" }.planned(&values))
    }

    /// Makes a table ready for rows.
    fn prepare_table(&mut self, table: &str, rows: &[Row]) -> Result<(), Fault> {
        let known = self.known_table(table)?;
        let all: Vec<&Row> = rows.iter().collect();
        let columns = known.as_ref().map(|known| known.columns.as_slice());
        let statements = rows::preparation(Dialect::SqlServer, table, columns, &all);
        for statement in &statements {
            match self.command(statement) {
                // Another instance was faster.
                Err(fault) if fault.is_there_already() => {}
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
        let Some(found) = self.asked_table(table)?.map(Rc::new) else { return Ok(None) };
        self.tables.put(table, Rc::clone(&found));
        Ok(Some(found))
    }

    fn asked_table(&mut self, table: &str) -> Result<Option<KnownTable>, Fault> {
        const COLUMNS: &str = "SELECT c.name, ISNULL(TYPE_NAME(c.system_type_id), ''), c.is_identity, c.is_computed FROM sys.columns AS c WHERE c.object_id = OBJECT_ID(@p1) ORDER BY c.column_id";
        let name = Parameter::Text(Dialect::SqlServer.table(table));
        let (mut found, mut is_known) = (KnownTable { columns: Vec::new(), given: Vec::new() }, true);
        self.session.run(COLUMNS, &[(Kind::Text { is_long: false }, &name)], &mut |_, row| match row {
            [Value::Text(name), Value::Text(kind), Value::Boolean(numbers), Value::Boolean(reckons)] => {
                if !numbers && !reckons {
                    found.given.push(found.columns.len());
                }
                found.columns.push(Column { name: name.clone(), kind: kind.clone() });
            }
            _ => is_known = false,
        })?;
        if !is_known {
            return Err(broken("columns that cannot be read"));
        }
        Ok((!found.columns.is_empty()).then_some(found))
    }

    fn asked(&mut self, filled: &Filled) -> Result<(String, u64), Fault> {
        match self.asked_once(filled, false) {
            Err(fault) if fault.is_of_a_time() && without_zones(&filled.parameters).is_some() => {
                self.asked_once(filled, true)
            }
            outcome => outcome,
        }
    }

    fn asked_once(&mut self, filled: &Filled, is_utc: bool) -> Result<(String, u64), Fault> {
        let planned = of_filled(filled, is_utc)?;
        let mut answer = Answer::default();
        let done = self.run(&planned, &mut |columns, row| {
            // Left-out rows are counted, and not written.
            if answer.is_full() {
                answer.row(std::iter::empty());
                return;
            }
            answer.row(columns.iter().zip(row).map(|(column, value)| (column.name.as_str(), value.json())));
        })?;
        Ok(if done.has_rows { answer.end() } else { (affected(done.affected), 0) })
    }
}

/// A statement of one message.
fn of_filled(filled: &Filled, is_utc: bool) -> Result<Planned, Fault> {
    let other = without_zones(&filled.parameters).filter(|_| is_utc);
    let mut values = Vec::new();
    for parameter in other.as_ref().unwrap_or(&filled.parameters) {
        let Bound { kind, value } = Bound::new(parameter, "")?;
        values.push((kind.unwrap_or(Kind::Text { is_long: false }), value));
    }
    Ok(Planned { sql: filled.sql.clone(), values })
}

/// Whether there is a time with a zone among the values of statements.
fn has_zones(writes: &[Write<'_>]) -> bool {
    writes.iter().any(|write| match write {
        Write::Statement(filled) => without_zones(&filled.parameters).is_some(),
        Write::Inserts(block) => block.rows.iter().any(|row| without_zones(row).is_some()),
        Write::Rows(..) => false,
    })
}

impl Database for SqlServer {
    fn dialect(&self) -> Dialect {
        Dialect::SqlServer
    }

    fn write(&mut self, writes: &[Write<'_>]) -> Result<(), Failure> {
        self.fresh(|database| database.write_known(writes))
    }

    fn ask(&mut self, filled: &Filled) -> Result<(String, u64), Failure> {
        self.fresh(|database| database.asked(filled))
    }

    fn columns(&mut self, table: &str) -> Result<Option<Cow<'_, [Column]>>, Failure> {
        // Others may have changed it.
        let found = self.fresh(|database| database.asked_table(table))?;
        Ok(found.map(|found| Cow::Owned(found.columns)))
    }
}
