//! Cache of table definitions for tables that rows are stored in.

use std::collections::HashMap;

use crate::limits::TABLES_MAX;
use crate::rows::{Column, Row};
use crate::{Insert, Target};

/// Definition of a table, as read from the database.
#[derive(Debug, PartialEq)]
pub struct KnownTable {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Places of those that an insert without names gives: none that the server fills by itself.
    pub given: Vec<usize>,
}

impl KnownTable {
    /// A column by its name, in capitals or small letters.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Returns the column types for the parameters of an insert; an empty text for an unknown type.
    #[must_use]
    pub fn kinds_of(&self, target: &Target, insert: &Insert) -> Vec<String> {
        let column_at = |place: usize| match &target.columns {
            Some(names) => names.get(place).and_then(|name| self.column(name)),
            None => self.given.get(place).and_then(|place| self.columns.get(*place)),
        };
        let kind = |place| column_at(place).map(|column| column.kind.clone()).unwrap_or_default();
        insert.positions().into_iter().map(kind).collect()
    }

    /// Returns the columns for the cells of a row, each with the index of its cell. Skips cells
    /// without a column, which are null in every row.
    #[must_use]
    pub fn places(&self, row: &Row) -> Vec<(usize, &Column)> {
        let names = row.columns.iter().enumerate();
        names.filter_map(|(place, name)| Some((place, self.column(name)?))).collect()
    }
}

/// Tables by their names, as many as there is room for.
#[derive(Debug)]
pub struct KnownTables<T>(HashMap<String, T>);

impl<T> Default for KnownTables<T> {
    fn default() -> Self {
        KnownTables(HashMap::new())
    }
}

impl<T: Clone> KnownTables<T> {
    /// Returns the cached entry of a table.
    #[must_use]
    pub fn get(&self, table: &str) -> Option<T> {
        self.0.get(table).cloned()
    }

    /// Remembers a table.
    pub fn put(&mut self, table: &str, known: T) {
        if self.0.len() >= TABLES_MAX {
            self.0.clear();
        }
        self.0.insert(table.to_owned(), known);
    }

    /// Forgets a table.
    pub fn forget(&mut self, table: &str) {
        self.0.remove(table);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
