//! Rows of an insert: one statement over arrays (`unnest`) for many messages if the server supports
//! it, else one statement each.

use std::borrow::Cow;
use std::collections::HashMap;

use lotmq_guest::route::Failure;
use postgres_protocol::Oid;
use route_sql::Parameter;

use crate::array;
use crate::fault::Fault;
use crate::limits::TYPES_MAX;
use crate::session::{Session, Step, Values};

/// `int8`, `int2` and `int4`, and the types of all other numbers.
const WHOLE: [Oid; 3] = [20, 21, 23];
const FRACTIONAL: [Oid; 3] = [700, 701, 1700];
const NUMERIC: Oid = 1700;
const BOOLEAN: Oid = 16;

/// Writer of the items of a row, with a writer of its parameters by their numbers from 0.
pub(crate) type RowOf<'a> = dyn Fn(&dyn Fn(usize) -> String) -> String + 'a;

/// An insert, in the parts of which statements for one row and for many are made.
pub(crate) struct Parts<'a> {
    /// Up to `VALUES`, without it.
    pub(crate) head: &'a str,
    /// The items of the row, with something in place of each parameter by its number from 0.
    pub(crate) row: &'a RowOf<'a>,
    /// Behind the row.
    pub(crate) tail: &'a str,
}

impl Parts<'_> {
    /// The statement for one row.
    pub(crate) fn single(&self) -> String {
        let row = (self.row)(&|number| format!("${}", number + 1));
        format!("{}VALUES ({row}){}", self.head, self.tail)
    }

    /// The statement for as many rows as its arrays have values.
    fn many(&self, columns: usize) -> String {
        let row = (self.row)(&|number| format!("u.c{number}"));
        let list = |one: &dyn Fn(usize) -> String| (0..columns).map(one).collect::<Vec<_>>().join(", ");
        let (arrays, names) =
            (list(&|number| format!("${}", number + 1)), list(&|number| format!("c{number}")));
        format!("{}SELECT {row} FROM unnest({arrays}) AS u({names}){}", self.head, self.tail)
    }
}

/// Array types by element type; `None` for types whose arrays cannot be written here.
#[derive(Default)]
pub(crate) struct Arrays(HashMap<Oid, Option<Oid>>);

impl Arrays {
    /// The types of arrays of these types, or the first type that has none.
    pub(crate) fn of(
        &mut self,
        session: &mut Session,
        types: &[Oid],
    ) -> Result<Result<Vec<Oid>, Oid>, Fault> {
        if types.iter().any(|kind| !self.0.contains_key(kind)) {
            self.ask(session, types)?;
        }
        let arrays = types.iter().map(|kind| self.0.get(kind).copied().flatten().ok_or(*kind));
        Ok(arrays.collect())
    }

    fn ask(&mut self, session: &mut Session, types: &[Oid]) -> Result<(), Fault> {
        if self.0.len() + types.len() > TYPES_MAX {
            self.0.clear();
        }
        self.0.extend(types.iter().map(|kind| (*kind, None)));
        let listed = types.iter().map(Oid::to_string).collect::<Vec<_>>().join(", ");
        // An array of arrays would become dimensions, and a type with another delimiter has another
        // syntax.
        let sql = format!(
            "SELECT oid, typarray FROM pg_catalog.pg_type WHERE oid IN ({listed}) AND typarray <> 0 AND typdelim = ',' AND typcategory <> 'A'"
        );
        let (rows, _) = session.query(&sql)?;
        let rows: serde_json::Value = serde_json::from_str(&rows).unwrap_or_default();
        let number = |value: &serde_json::Value| value.as_u64().and_then(|number| Oid::try_from(number).ok());
        for row in rows.as_array().into_iter().flatten() {
            if let (Some(kind), Some(array)) = (number(&row["oid"]), number(&row["typarray"])) {
                self.0.insert(kind, Some(array));
            }
        }
        Ok(())
    }
}

/// Returns the types for the values of a block: those of the columns. A number outside of a literal
/// keeps its own type if it differs, so that the server converts it like the number itself. Returns
/// `None` if the rows differ in that.
pub(crate) fn types(columns: &[Oid], is_bare: &[bool], rows: &[Vec<Parameter>]) -> Option<Vec<Oid>> {
    let mut types = columns.to_vec();
    for (number, kind) in
        types.iter_mut().enumerate().filter(|(number, _)| is_bare.get(*number) == Some(&true))
    {
        let mut values = rows.iter().filter_map(|row| row.get(number));
        let all = |is: &dyn Fn(&str) -> bool| {
            values.clone().all(|value| match value {
                Parameter::Null => true,
                Parameter::Number(text) => is(text),
                Parameter::Text(_) | Parameter::Bytes(_) | Parameter::Boolean(_) => false,
            })
        };
        let is_as_it_is = (FRACTIONAL.contains(kind) && all(&|_| true))
            || (WHOLE.contains(kind) && all(&|text| text.parse::<i64>().is_ok()));
        let is_null = values.clone().all(|value| *value == Parameter::Null);
        if is_as_it_is || is_null {
            continue;
        }
        *kind = if all(&|_| true) {
            NUMERIC
        } else if values.all(|value| matches!(value, Parameter::Null | Parameter::Boolean(_))) {
            BOOLEAN
        } else {
            return None;
        };
    }
    Some(types)
}

/// Returns the statement that inserts rows together, with an array of values for each column.
/// Returns `None` if a type has no arrays.
pub(crate) fn step<'a, C>(
    session: &mut Session,
    arrays: &mut Arrays,
    parts: &Parts<'_>,
    types: &[Oid],
    rows: &'a [Vec<C>],
    text: impl Fn(&'a C, Oid) -> Result<Option<Cow<'a, [u8]>>, String>,
) -> Result<Option<Step>, Fault> {
    let Ok(array_types) = arrays.of(session, types)? else { return Ok(None) };
    let prepared = session.prepare(&parts.many(types.len()), &array_types)?;
    let values = types.iter().enumerate().map(|(number, kind)| {
        let column: Result<Vec<_>, String> =
            rows.iter().filter_map(|row| row.get(number)).map(|value| text(value, *kind)).collect();
        column.map(|column| Some(array::text(column.iter().map(Option::as_deref))))
    });
    let values: Values = values.collect::<Result<_, String>>().map_err(Failure::Reject)?;
    Ok(Some(Step { prepared, values }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_is_made_for_one_row_and_for_many() {
        let row = |place: &dyn Fn(usize) -> String| format!("{}, now(), {}::jsonb", place(0), place(1));
        let parts = Parts { head: "INSERT INTO t (a, b, c) ", row: &row, tail: " ON CONFLICT DO NOTHING" };
        assert_eq!(
            parts.single(),
            "INSERT INTO t (a, b, c) VALUES ($1, now(), $2::jsonb) ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            parts.many(2),
            "INSERT INTO t (a, b, c) SELECT u.c0, now(), u.c1::jsonb FROM unnest($1, $2) AS u(c0, c1) ON CONFLICT DO NOTHING"
        );
    }

    #[test]
    fn numbers_outside_of_literals_keep_their_types() {
        let number = |text: &str| Parameter::Number(text.to_owned());
        let (on, off) = (Parameter::Boolean(true), Parameter::Null);
        for (column, values, expected) in [
            (23, vec![number("1"), off.clone()], Some(23)),
            (23, vec![number("1"), number("1.5")], Some(NUMERIC)),
            (701, vec![number("1"), number("1.5")], Some(701)),
            (25, vec![number("1")], Some(NUMERIC)),
            (16, vec![on.clone(), off.clone()], Some(BOOLEAN)),
            (23, vec![on.clone()], Some(BOOLEAN)),
            (23, vec![on, number("1")], None),
            (25, vec![off], Some(25)),
        ] {
            let rows: Vec<Vec<Parameter>> = values.into_iter().map(|value| vec![value]).collect();
            assert_eq!(types(&[column], &[true], &rows), expected.map(|kind| vec![kind]), "{rows:?}");
        }
        assert_eq!(types(&[23], &[false], &[vec![number("1.5")]]), Some(vec![23]));
    }
}
