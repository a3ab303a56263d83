//! Inserts of rows: as many together as a statement takes, with one type per column in all of them.

use route_sql::Parameter;

use crate::limits::{PARAMETERS_MAX, ROWS_BYTES_MAX, ROWS_MAX};
use crate::parameter::{Bound, Kind};

/// A statement with the types and values of its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub(crate) sql: String,
    pub(crate) values: Vec<(Kind, Parameter)>,
}

/// An insert of rows: the text around them, and that of a row with these parameters.
pub(crate) struct Inserts<'a> {
    pub(crate) head: &'a str,
    pub(crate) row: &'a dyn Fn(&[String]) -> String,
    pub(crate) tail: &'a str,
}

impl Inserts<'_> {
    /// Statements that insert these rows, in their order.
    pub(crate) fn planned(&self, rows: &[Vec<Bound>]) -> Vec<Planned> {
        let (mut planned, mut rest) = (Vec::new(), rows);
        while !rest.is_empty() {
            // Behind one VALUES the values of a column are made one type by rules of their own.
            let (count, kinds) = alike(rest);
            let (mut group, later) = rest.split_at(count);
            rest = later;
            let width = kinds.iter().flatten().count();
            let most = (PARAMETERS_MAX / width.max(1)).clamp(1, ROWS_MAX);
            while !group.is_empty() {
                let mut count = 1_usize << group.len().min(most).ilog2();
                while count > 1 && bytes_of(group, count) > ROWS_BYTES_MAX {
                    count /= 2;
                }
                let (now, later) = group.split_at(count);
                planned.push(self.statement(now, &kinds));
                group = later;
            }
        }
        planned
    }

    fn statement(&self, rows: &[Vec<Bound>], kinds: &[Option<Kind>]) -> Planned {
        let (mut texts, mut values) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let parameters = row.iter().zip(kinds).map(|(bound, kind)| match kind {
                Some(kind) => {
                    values.push((*kind, bound.value.clone()));
                    format!("@p{}", values.len())
                }
                // The nothing of one type is not taken for each other.
                None => "NULL".to_owned(),
            });
            let parameters: Vec<String> = parameters.collect();
            texts.push(format!("({})", (self.row)(&parameters)));
        }
        let sql = [self.head.trim_end(), " VALUES ", &texts.join(", "), self.tail].concat();
        Planned { sql, values }
    }
}

/// Returns how many of the first rows fit one type per column, and these types; `None` for a column
/// that is always NULL.
fn alike(rows: &[Vec<Bound>]) -> (usize, Vec<Option<Kind>>) {
    let mut kinds: Vec<Option<Kind>> = vec![None; rows.first().map_or(0, Vec::len)];
    for (count, row) in rows.iter().enumerate() {
        let merged = kinds.iter().zip(row).map(|(kind, bound)| match (kind, bound.kind) {
            (Some(kind), Some(other)) => kind.with(other).map(Some),
            (kind, other) => Some(kind.or(other)),
        });
        match merged.collect::<Option<Vec<_>>>() {
            Some(merged) => kinds = merged,
            None => return (count, kinds),
        }
    }
    (rows.len(), kinds)
}

fn bytes_of(rows: &[Vec<Bound>], count: usize) -> usize {
    rows.iter().take(count).flatten().map(Bound::bytes).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Parameter]) -> Vec<Bound> {
        values.iter().map(|value| Bound::new(value, "").unwrap()).collect()
    }

    fn number(text: &str) -> Parameter {
        Parameter::Number(text.to_owned())
    }

    fn planned(rows: &[Vec<Bound>]) -> Vec<Planned> {
        let row = |parameters: &[String]| parameters.join(", ");
        Inserts { head: "INSERT INTO t ", row: &row, tail: ";" }.planned(rows)
    }

    #[test]
    fn rows_go_together_as_far_as_their_types_do() {
        let (null, text) = (Parameter::Null, Parameter::Text("x".to_owned()));
        let rows = [
            row(&[number("1"), null.clone()]),
            row(&[number("2.5"), null.clone()]),
            row(&[null.clone(), null.clone()]),
            row(&[text.clone(), null.clone()]),
            row(&[text, number("7")]),
        ];
        let shown: Vec<String> = planned(&rows)
            .iter()
            .map(|one| {
                let kinds: Vec<String> = one.values.iter().map(|(kind, _)| kind.declaration()).collect();
                format!("{} <- {}", one.sql, kinds.join(" "))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "INSERT INTO t VALUES (@p1, NULL), (@p2, NULL); <- decimal(19,1) decimal(19,1)",
                "INSERT INTO t VALUES (@p1, NULL); <- decimal(19,1)",
                "INSERT INTO t VALUES (@p1, @p2), (@p3, @p4); <- nvarchar(4000) int nvarchar(4000) int",
            ]
        );
    }

    #[test]
    fn statements_stay_within_what_the_server_takes() {
        let narrow = vec![row(&[number("1")]); 1_000];
        let counts = |rows: &[Vec<Bound>]| -> Vec<usize> {
            planned(rows).iter().map(|one| one.values.len()).collect()
        };
        assert_eq!(counts(&narrow), [512, 256, 128, 64, 32, 8]);
        let wide = vec![row(&vec![number("1"); 1_000]); 3];
        assert_eq!(counts(&wide), [2_000, 1_000]);
        let long = vec![row(&[Parameter::Text("x".repeat(400_000))]); 3];
        assert_eq!(counts(&long), [1, 1, 1]);
    }
}
