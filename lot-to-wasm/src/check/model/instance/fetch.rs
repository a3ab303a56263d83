//! `FETCH FROM "Route" [WITH TABLE "t"] [WHEN …]`: a row of a route that stores fills the fields
//! that have no source (LoT reference §9.8).
//!
//! The row is an object in a variable; a field takes the member of its name, the first row that has
//! one.

use super::Builder;
use crate::check::kind::KindSet;
use crate::check::model::order::Leaf;
use crate::check::tree::{Constant, Expression, ExpressionKind};
use crate::syntax::model::Fetch;

impl Builder<'_, '_, '_, '_> {
    /// Asks for the row.
    pub(super) fn fetch(&mut self, fetch: &Fetch) {
        let row = self.checker.scope.add(format!("row {}", self.fetched.len()));
        let value = self.checker.fetch(fetch, self.plan.name);
        self.set(fetch.route.span, row, value);
        self.fetched.push(row);
    }

    /// Returns the value of a field from fetched rows; `None` when no row fills it.
    pub(super) fn fetched_value(&mut self, leaf: &Leaf<'_>, fillers: &[usize]) -> Option<Expression> {
        let rows: Vec<_> = fillers.iter().filter_map(|number| self.fetched.get(*number).copied()).collect();
        if rows.is_empty() {
            return None;
        }
        let mut value = self.constant(Constant::Null);
        for row in rows.into_iter().rev() {
            let row = self.variable(row);
            let column = self.json_member(&leaf.path, row);
            let is_absent = self.node(KindSet::BOOL, ExpressionKind::IsAbsent(Box::new(column.clone())));
            let column =
                if leaf.node.elements.is_some() { column } else { self.typed(leaf.node.kind, column) };
            value = self.choice(is_absent, value, column);
        }
        Some(value)
    }
}
