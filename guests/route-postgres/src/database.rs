//! Implementation of `route-sql`'s database: writes in one transaction, questions, and columns of
//! tables.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use lotmq_guest::route::{Failure, Level, log, metrics};
use route_sql::limits::TABLES_MAX;
use route_sql::rows::{self, Column, Row};
use route_sql::{
    Block, Database, Dialect, Filled, Insert, KnownTables, Parameter, Server, Tasks, UNPREPARED, UnknownName,
    Write,
};

use crate::fault::{Fault, SAME_ROW_TWICE};
use crate::limits::NAME_BYTES_MAX;
use crate::parameter;
use crate::session::{Session, Step, Values};
use crate::together::{self, Arrays, Parts};

/// Counters of rows by the way that they went.
const TOGETHER: &str = "rows_by_unnest";
const APART: &str = "rows_one_by_one";

/// An open database.
pub(crate) struct Postgres {
    session: Session,
    dialect: Dialect,
    is_raw: bool,
    arrays: Arrays,
    /// Columns of tables that rows were stored in.
    tables: KnownTables<Rc<[Column]>>,
    /// Statements for one row that the server does not take for many.
    apart: HashSet<String>,
}

/// Way to write the messages of a query.
enum Way {
    /// Rows of a batch in one statement.
    Together,
    /// Each message with its own statement, with the reason where it might be otherwise.
    Apart(Option<String>),
    /// None: what the server has against the query.
    Unprepared(String),
}

/// Steps for a batch, and the number of its rows for each way.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    together: u64,
    apart: u64,
    /// Statements for one row of what goes together.
    joined: Vec<String>,
}

impl Postgres {
    /// Connects and logs in.
    pub(crate) fn open(server: &Server, dialect: Dialect) -> Result<Postgres, Failure> {
        Ok(Postgres {
            session: Session::open(server, dialect)?,
            dialect,
            is_raw: server.is_raw,
            arrays: Arrays::default(),
            tables: KnownTables::default(),
            apart: HashSet::new(),
        })
    }

    /// Logs how the messages of each query are written, and known errors of the server in it.
    pub(crate) fn tell_ways(&mut self, tasks: &Tasks) -> Result<(), Failure> {
        for (name, insert) in tasks.queries() {
            let (level, told) = match self.way_of(insert)? {
                Way::Together => (Level::Info, "rows of a batch go together, by unnest".to_owned()),
                Way::Apart(None) => (Level::Info, "each message goes with a statement of its own".to_owned()),
                Way::Apart(Some(reason)) => {
                    (Level::Info, format!("each row goes with a statement of its own: {reason}"))
                }
                Way::Unprepared(reason) => (Level::Warn, format!("QUERY cannot be prepared: {reason}")),
            };
            log(level, &format!("{name}: {told}"));
        }
        Ok(())
    }

    fn way_of(&mut self, insert: Option<&Insert>) -> Result<Way, Failure> {
        let Some(insert) = insert.filter(|_| self.dialect == Dialect::Postgres) else {
            return Ok(Way::Apart(None));
        };
        let single = with_parts(insert, |parts| parts.single());
        if self.apart.contains(&single) {
            return Ok(Way::Apart(Some("the server does not take many rows with it".to_owned())));
        }
        match self.type_without_arrays(&single) {
            Ok(None) => Ok(Way::Together),
            Ok(Some(kind)) => {
                Ok(Way::Apart(Some(format!("there are no arrays of the type {kind} that it takes"))))
            }
            Err(Fault { failure: Failure::Reject(reason), .. }) => Ok(Way::Unprepared(reason)),
            Err(fault) => Err(fault.failure),
        }
    }

    /// The type for which rows of an insert cannot go together.
    fn type_without_arrays(&mut self, single: &str) -> Result<Option<u32>, Fault> {
        let single = self.session.prepare(single, &[])?;
        Ok(self.arrays.of(&mut self.session, &single.parameters)?.err())
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        self.session.close();
    }

    /// Writes, and tries again if cached state of the server is outdated, or if it rejects combined
    /// rows that it may accept one by one.
    fn write_again(&mut self, writes: &[Write<'_>]) -> Result<(), Fault> {
        let (mut is_new, mut may_join) = (self.session.knows_nothing() && self.tables.is_empty(), true);
        let mut refused = Vec::new();
        // Steps that were rejected, perhaps because of outdated types.
        let mut doubted: Option<(Vec<Step>, Fault)> = None;
        loop {
            let mut plan = Plan::default();
            let planned = self.plan(&mut plan, writes, may_join);
            let written = planned.and_then(|()| match doubted.take() {
                Some((steps, fault)) if steps == plan.steps => Err(fault),
                _ => self.session.execute(&plan.steps),
            });
            let Err(fault) = written else {
                self.told(&plan, refused);
                return Ok(());
            };
            if !is_new && (fault.is_stale() || fault.may_come_of_types()) {
                is_new = true;
                self.session.forget();
                self.tables.clear();
                // A missing table or column may have been created by the plan.
                let may_be_there = [UNDEFINED_TABLE, UNDEFINED_COLUMN].contains(&fault.code.as_str());
                doubted = (!fault.is_stale() && !may_be_there).then_some((plan.steps, fault));
            } else if may_join && !plan.joined.is_empty() && is_about_the_statement(&fault) {
                may_join = false;
                if fault.code != SAME_ROW_TWICE {
                    refused = plan.joined;
                }
            } else {
                return Err(fault);
            }
        }
    }

    /// Counts the written rows. Remembers statements that the server rejected for many rows and
    /// accepts for one.
    fn told(&mut self, plan: &Plan, refused: Vec<String>) {
        self.apart.extend(refused);
        for (counter, count) in [(TOGETHER, plan.together), (APART, plan.apart)] {
            if count > 0 {
                // More counters than it may have, it has not.
                let _ = metrics::add(counter, count);
            }
        }
        if self.apart.len() > TABLES_MAX {
            self.apart.clear();
        }
    }

    fn plan(&mut self, plan: &mut Plan, writes: &[Write<'_>], may_join: bool) -> Result<(), Fault> {
        for write in writes {
            match write {
                Write::Statement(filled) => self.each(plan, std::slice::from_ref(filled))?,
                Write::Inserts(block) => self.block(plan, block, may_join)?,
                Write::Rows(table, rows) => self.rows(plan, table, rows, may_join)?,
            }
        }
        Ok(())
    }

    /// A statement for each message.
    fn each(&mut self, plan: &mut Plan, filled: &[Filled]) -> Result<(), Fault> {
        for one in filled {
            plan.steps.push(self.step(one)?);
        }
        plan.apart += filled.len() as u64;
        Ok(())
    }

    fn step(&mut self, filled: &Filled) -> Result<Step, Fault> {
        let prepared = self.session.prepare(&filled.sql, &[])?;
        let values = filled.parameters.iter().zip(&prepared.parameters);
        let values = values.map(|(value, kind)| Ok(parameter::text(value, *kind)?.map(Cow::into_owned)));
        let values: Values = values.collect::<Result<_, String>>().map_err(Failure::Reject)?;
        Ok(Step { prepared, values })
    }

    fn block(&mut self, plan: &mut Plan, block: &Block<'_>, may_join: bool) -> Result<(), Fault> {
        let is_one = block.rows.len() < 2 || self.dialect != Dialect::Postgres;
        if may_join && !is_one {
            let joined = with_parts(block.insert, |parts| self.joined_block(plan, block, parts))?;
            if joined {
                return Ok(());
            }
        }
        self.each(plan, &block.each)
    }

    /// Puts the rows of a block together; false where that cannot be.
    fn joined_block(&mut self, plan: &mut Plan, block: &Block<'_>, parts: &Parts<'_>) -> Result<bool, Fault> {
        let single = parts.single();
        if self.apart.contains(&single) {
            return Ok(false);
        }
        let columns = self.session.prepare(&single, &[])?;
        let Some(types) = together::types(&columns.parameters, &block.insert.bare(), &block.rows) else {
            return Ok(false);
        };
        plan.joined.push(single);
        let step = together::step(
            &mut self.session,
            &mut self.arrays,
            parts,
            &types,
            &block.rows,
            |value: &Parameter, kind| parameter::text(value, kind),
        )?;
        Ok(plan.takes(step, block.rows.len()))
    }

    fn rows(&mut self, plan: &mut Plan, table: &str, rows: &[Row], may_join: bool) -> Result<(), Fault> {
        let Some(first) = rows.first() else { return Ok(()) };
        let known = self.prepared_table(table, rows)?;
        // Columns that are null in each row need not exist.
        let is_known = |name: &String| known.iter().any(|column| column.name == *name);
        let (places, names): (Vec<usize>, Vec<String>) =
            first.columns.iter().cloned().enumerate().filter(|(_, name)| is_known(name)).unzip();
        if names.is_empty() {
            let sql = format!("INSERT INTO {} DEFAULT VALUES", self.dialect.table(table));
            let empty = Filled { sql, parameters: Vec::new() };
            return self.each(plan, &vec![empty; rows.len()]);
        }
        let head = rows::insert_head(self.dialect, table, &names);
        let row =
            |place: &dyn Fn(usize) -> String| (0..names.len()).map(place).collect::<Vec<_>>().join(", ");
        let parts = Parts { head: &head, row: &row, tail: "" };
        let single = parts.single();
        let prepared = self.session.prepare(&single, &[])?;
        let cells = rows.iter().map(|row| places.iter().filter_map(|place| row.cells.get(*place)).collect());
        let cells: Vec<Vec<&(Option<_>, Parameter)>> = cells.collect();
        let is_many = rows.len() > 1 && self.dialect == Dialect::Postgres && !self.apart.contains(&single);
        if may_join && is_many {
            plan.joined.push(single);
            let (session, arrays) = (&mut self.session, &mut self.arrays);
            let step =
                together::step(session, arrays, &parts, &prepared.parameters, &cells, |cell, kind| {
                    parameter::cell(cell, kind)
                })?;
            if plan.takes(step, rows.len()) {
                return Ok(());
            }
        }
        for row in &cells {
            let values = row.iter().zip(&prepared.parameters);
            let values = values.map(|(cell, kind)| Ok(parameter::cell(cell, *kind)?.map(Cow::into_owned)));
            let values: Values = values.collect::<Result<_, String>>().map_err(Failure::Reject)?;
            plan.steps.push(Step { prepared: Rc::clone(&prepared), values });
        }
        plan.apart += rows.len() as u64;
        Ok(())
    }

    /// Returns the columns of a table that fits the rows. Creates the table and adds columns, in
    /// separate statements before the rows.
    fn prepared_table(&mut self, table: &str, rows: &[Row]) -> Result<Rc<[Column]>, Fault> {
        let long = rows.iter().flat_map(|row| &row.columns).find(|name| name.len() > NAME_BYTES_MAX);
        if let Some(name) = long {
            let reason = format!("the name of the column '{name}' has more than {NAME_BYTES_MAX} bytes");
            return Err(Failure::Reject(reason).into());
        }
        let known = match self.tables.get(table) {
            Some(known) => Some(known),
            None => self.asked_columns(table)?,
        };
        let all: Vec<&Row> = rows.iter().collect();
        let statements = rows::preparation(self.dialect, table, known.as_deref(), &all);
        let known = if statements.is_empty() {
            known
        } else {
            for statement in statements {
                match self.session.query(&statement) {
                    // Another instance was faster.
                    Err(fault) if IS_THERE.contains(&fault.code.as_str()) => {}
                    other => drop(other?),
                }
            }
            self.session.renew(&format!("INSERT INTO {} ", self.dialect.table(table)));
            self.asked_columns(table)?
        };
        let gone = || Failure::Retry(format!("the table '{table}' was made and is not there"));
        let known = known.ok_or_else(gone)?;
        self.tables.put(table, Rc::clone(&known));
        Ok(known)
    }

    fn asked_columns(&mut self, table: &str) -> Result<Option<Rc<[Column]>>, Fault> {
        let filled = columns_of(self.dialect, table);
        let step = self.step(&filled)?;
        let (json, _) = self.session.ask(&step)?;
        let listed: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
        let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let columns = listed
            .iter()
            .filter_map(|row| Some(Column { name: text(&row["name"])?, kind: text(&row["kind"])? }));
        Ok((!listed.is_empty()).then(|| columns.collect()))
    }

    fn asked(&mut self, filled: &Filled) -> Result<(String, u64), Fault> {
        if self.is_raw {
            return self.session.query(&filled.sql);
        }
        let step = self.step(filled)?;
        self.session.ask(&step)
    }
}

/// Errors of a name that is not there.
const UNDEFINED_COLUMN: &str = "42703";
const UNDEFINED_TABLE: &str = "42P01";

/// Errors of a table or a column that is there already.
const IS_THERE: [&str; 4] = ["42P07", "42701", "42710", "23505"];

/// Returns whether an error concerns the statement and not its values. Rows that cannot be combined
/// may work one by one.
fn is_about_the_statement(fault: &Fault) -> bool {
    fault.code == SAME_ROW_TWICE || ["42", "0A"].contains(&fault.code.get(..2).unwrap_or_default())
}

/// Does something with the parts of an insert.
fn with_parts<T>(insert: &Insert, work: impl FnOnce(&Parts<'_>) -> T) -> T {
    let row = |place: &dyn Fn(usize) -> String| insert.row(place);
    work(&Parts { head: &insert.head, row: &row, tail: &insert.tail })
}

/// The query for the columns of a table.
fn columns_of(dialect: Dialect, table: &str) -> Filled {
    if dialect == Dialect::Postgres {
        let sql = "SELECT attname AS name, pg_catalog.format_type(atttypid, NULL) AS kind FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        return Filled { sql: sql.to_owned(), parameters: vec![Parameter::Text(dialect.table(table))] };
    }
    let select = "SELECT column_name AS name, data_type AS kind FROM information_schema.columns WHERE table_name = $1 AND table_schema =";
    let (schema, name) = match table.split_once('.') {
        Some((schema, name)) => (Some(schema), name),
        None => (None, table),
    };
    // Columns within objects have brackets in their names.
    let rest = "AND column_name NOT LIKE '%[%' ORDER BY ordinal_position";
    let sql = match schema {
        Some(_) => format!("{select} $2 {rest}"),
        None => format!("{select} current_schema() {rest}"),
    };
    let parameters = [Some(name), schema].into_iter().flatten();
    Filled { sql, parameters: parameters.map(|text| Parameter::Text(text.to_owned())).collect() }
}

impl Plan {
    /// Takes rows that go together, where they do.
    fn takes(&mut self, step: Option<Step>, rows: usize) -> bool {
        let Some(step) = step else {
            self.joined.pop();
            return false;
        };
        self.steps.push(step);
        self.together += rows as u64;
        true
    }
}

impl Database for Postgres {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn is_atomic(&self) -> bool {
        self.dialect == Dialect::Postgres && !self.is_raw
    }

    fn write(&mut self, writes: &[Write<'_>]) -> Result<(), Failure> {
        if self.is_raw
            && let [Write::Statement(filled)] = writes
        {
            return self.session.query(&filled.sql).map(drop).map_err(|fault| fault.of_statement(true));
        }
        self.write_again(writes).map_err(|fault| fault.of_statement(self.is_raw))
    }

    fn ask(&mut self, filled: &Filled) -> Result<(String, u64), Failure> {
        let mut asked = self.asked(filled);
        if let Err(fault) = &asked
            && (fault.is_stale() || fault.may_come_of_types())
            && !self.is_raw
        {
            let before = self.step(filled).ok().filter(|_| !fault.is_stale());
            self.session.forget();
            let now = self.step(filled).ok();
            if before.is_none() || before != now {
                asked = self.asked(filled);
            }
        }
        asked.map_err(|fault| fault.of_statement(self.is_raw))
    }

    fn path(&mut self, insert: Option<&Insert>) -> Result<String, Failure> {
        Ok(match self.way_of(insert)? {
            Way::Together => "unnest".to_owned(),
            Way::Apart(None) => "one by one".to_owned(),
            Way::Apart(Some(reason)) => format!("one by one: {reason}"),
            Way::Unprepared(reason) => format!("{UNPREPARED}: {reason}"),
        })
    }

    fn unknown_name(&mut self, statement: &Filled) -> Result<Option<UnknownName>, Failure> {
        match self.session.prepare(&statement.sql, &[]) {
            Ok(_) => Ok(None),
            Err(Fault { code, failure: Failure::Reject(reason), .. }) => Ok(match code.as_str() {
                UNDEFINED_COLUMN => Some(UnknownName::Column(reason)),
                UNDEFINED_TABLE => Some(UnknownName::Table(reason)),
                _ => None,
            }),
            Err(fault) => Err(fault.failure),
        }
    }

    fn columns(&mut self, table: &str) -> Result<Option<Cow<'_, [Column]>>, Failure> {
        // Others may have changed it meanwhile.
        let columns = self.asked_columns(table).map_err(|fault| fault.of_statement(self.is_raw))?;
        Ok(columns.map(|columns| Cow::Owned(columns.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_asked_for_in_the_words_of_each_database() {
        let shown = |filled: Filled| {
            let parameters = filled.parameters.iter().map(|parameter| format!("{parameter:?}"));
            (filled.sql, parameters.collect::<Vec<_>>().join(" "))
        };
        let (sql, parameters) = shown(columns_of(Dialect::Postgres, "a.b\"c"));
        assert!(sql.contains("to_regclass($1)"), "{sql}");
        assert_eq!(parameters, r#"Text("\"a\".\"b\"\"c\"")"#);
        let (sql, parameters) = shown(columns_of(Dialect::Crate, "b"));
        assert!(sql.contains("table_schema = current_schema()"), "{sql}");
        assert_eq!(parameters, r#"Text("b")"#);
        let (sql, parameters) = shown(columns_of(Dialect::Crate, "a.b"));
        assert!(sql.contains("table_name = $1 AND table_schema = $2"), "{sql}");
        assert_eq!(parameters, r#"Text("b") Text("a")"#);
    }
}
