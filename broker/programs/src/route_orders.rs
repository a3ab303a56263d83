//! Standing orders for routes, by name: whether each runs, and within which policies. A route
//! without an order runs without bounds of its own.
//!
//! An order outlives a replacement of its route and is removed with the route. The broker stores it
//! as a setting, in the batch of the change.

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_changes::{Batch, Op, SettingRow, TenantId};
use lotmq_definitions::Owner;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tracing::error;

use super::policies::Policies;

/// Prefix of the names of settings that hold orders; their value is JSON.
const SETTING: &str = "assets.route/";

/// Standing order for a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteOrder {
    /// Whether the route does not run until a command starts it.
    pub is_stopped: bool,
    /// Policies of the route.
    pub policies: Policies,
}

/// Standing orders of a tenant.
#[derive(Default)]
pub struct RouteOrders(RwLock<BTreeMap<Box<str>, Arc<RouteOrder>>>);

impl RouteOrders {
    /// Restores the orders of a tenant at start. Stops routes without autostart. Skips an order
    /// that cannot be read and leaves it in the store.
    pub fn restore(&self, tenant: TenantId, settings: &[SettingRow]) {
        let mut orders = self.0.write();
        for row in settings.iter().filter(|row| row.tenant == tenant) {
            let Some(name) = row.name.strip_prefix(SETTING) else { continue };
            match serde_json::from_str::<RouteOrder>(&row.value) {
                Ok(mut order) => {
                    order.is_stopped |= !order.policies.autostart.0;
                    orders.insert(name.into(), Arc::new(order));
                }
                Err(error) => error!(setting = row.name, %error, "order for a route not restored"),
            }
        }
    }

    /// Applies a setting that another process has stored, or removed where there is no value.
    /// Returns the route with its new order; `None` for a setting that is no order.
    pub fn apply(&self, setting: &str, value: Option<&str>) -> Option<(Box<str>, Arc<RouteOrder>)> {
        let route = setting.strip_prefix(SETTING)?;
        let order = match value.map(serde_json::from_str::<RouteOrder>).transpose() {
            Ok(order) => Arc::new(order.unwrap_or_default()),
            Err(error) => {
                error!(setting, %error, "order for a route not applied");
                return None;
            }
        };
        match value {
            Some(_) => drop(self.0.write().insert(route.into(), Arc::clone(&order))),
            None => drop(self.0.write().remove(route)),
        }
        Some((route.into(), order))
    }

    /// Order for a route.
    pub fn get(&self, route: &str) -> Arc<RouteOrder> {
        self.0.read().get(route).cloned().unwrap_or_default()
    }

    /// Gives an order, and adds it to `batch`.
    pub fn put(&self, tenant: TenantId, route: &str, order: RouteOrder, batch: &mut Batch) {
        let value = serde_json::to_string(&order).expect("an order is texts, numbers and truth values");
        batch.push(Op::PutSetting(&SettingRow { tenant, name: format!("{SETTING}{route}"), value }));
        self.0.write().insert(route.into(), Arc::new(order));
    }

    /// Takes the bounds that were kept for this owner into the order for their route, and adds
    /// that to `batch`.
    pub(super) fn claim(&self, tenant: TenantId, route: &str, owner: Option<&Owner>, batch: &mut Batch) {
        let before = self.get(route);
        let policies = before.policies.clone().claimed_by(owner);
        if policies != before.policies {
            self.put(tenant, route, RouteOrder { policies, is_stopped: before.is_stopped }, batch);
        }
    }

    /// Forgets the order for a route that is gone, and adds that to `batch`. Bounds of an
    /// administrator stay for the next route of this name and owner.
    pub(super) fn forget(&self, tenant: TenantId, route: &str, owner: Option<&Owner>, batch: &mut Batch) {
        if let Some(policies) = self.get(route).policies.kept(owner) {
            self.put(tenant, route, RouteOrder { policies, ..RouteOrder::default() }, batch);
        } else {
            self.delete(tenant, route, batch);
        }
    }

    /// Forgets the order for a route with all its bounds, and adds that to `batch`.
    pub fn delete(&self, tenant: TenantId, route: &str, batch: &mut Batch) {
        if self.0.write().remove(route).is_some() {
            batch.push(Op::DeleteSetting { tenant, name: &format!("{SETTING}{route}") });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::Autostart;

    #[test]
    fn route_without_autostart_is_stopped_at_broker_start() {
        let orders = RouteOrders::default();
        let (mut batch, id) = (Batch::new(), TenantId::DEFAULT);
        let policies = Policies { autostart: Autostart(false), ..Policies::default() };
        orders.put(id, "Up", RouteOrder { is_stopped: false, policies }, &mut batch);
        assert!(!orders.get("Up").is_stopped && !orders.get("Down").is_stopped);
        let setting =
            |name: &str, value: &str| SettingRow { tenant: id, name: name.into(), value: value.into() };
        let rows = [
            setting("assets.route/Up", &serde_json::to_string(&*orders.get("Up")).unwrap()),
            setting("assets.route/Down", r#"{"is_stopped":true}"#),
            setting("assets.route/Bad", "["),
        ];
        let again = RouteOrders::default();
        again.restore(id, &rows);
        assert!(again.get("Up").is_stopped && again.get("Down").is_stopped);
        assert!(!again.get("Bad").is_stopped);
    }
}
