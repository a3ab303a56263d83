//! `STORE IN "Route" [WITH TABLE "t"] [WHEN cond]`: an instance handed to a route that stores (LoT
//! reference §9.8).
//!
//! It is written to the topic that stands for the table, as `TRIGGER` writes to that of an event;
//! the broker checks the permission.

use lot_facts::RouteStore;

use super::Builder;
use crate::check::tree::{Statement, Topic};
use crate::diagnostic::{Draft, codes};
use crate::statement::{if_else, to_route};
use crate::syntax::model::Store;
use crate::topic::name_problem;

impl Builder<'_, '_, '_, '_> {
    /// The statements that store the instance, in source order.
    pub(super) fn stores(&mut self) -> Vec<Statement> {
        let stores = self.plan.stores;
        stores.iter().map(|store| self.store(store)).collect()
    }

    fn store(&mut self, store: &Store) -> Statement {
        let at = self.checker.at(store.route.span);
        let RouteStore { route, table } = self.plan.stored(store);
        self.check_names(store, &table);
        let topic = Topic::fixed(format!("$SYS/Coreflux/Routes/{route}/Tables/{table}"), at);
        let value = self.object(&self.plan.fields, "");
        let message = format!("there is no route `{route}`; the instance was not stored");
        let kind = to_route::Checked { topic, value, refusal: (codes::RUN_NOT_STORED, message) }.into();
        let body = vec![Statement { at, kind }];
        let Some(when) = &store.when else {
            return body.into_iter().next().expect("it was just put there");
        };
        let condition = self.checker.operand(when);
        Statement { at, kind: if_else::Checked::when(condition, body).into() }
    }

    fn check_names(&mut self, store: &Store, table: &str) {
        let (name, span) = (&store.route.text, store.route.span);
        if name.contains('/') || name_problem(name).is_some() {
            let message = format!("no route is called `{}`", name.escape_debug());
            let draft = Draft::error(codes::TOPIC_NAME, span, message);
            self.checker.error(draft.suggest("names have no / + # in them"));
        }
        if let Some(problem) = name_problem(table) {
            let span = store.table.as_ref().map_or(span, |table| table.span);
            let message = format!("no table is called `{}`: {problem}", table.escape_debug());
            self.checker.error(Draft::error(codes::TOPIC_NAME, span, message));
        }
    }
}
