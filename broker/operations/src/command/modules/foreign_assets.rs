//! Assets of other users that run a module which its owner replaces: they stop, and their owners
//! start them with the new version.
//!
//! Code runs with the rights of the asset's owner, so new code begins there when they say so.
//! Refusing the owner of the module instead would let anybody keep a version with a flaw in use, by
//! one `-install`. Not here: who may put code where (`authority`).

use std::sync::Arc;

use lotmq_changes::Batch;

use super::authority;
use crate::asset_catalog::{AssetRecord, InstanceRecord};
use crate::assets::{Asset, AssetKind};
use crate::command::assets::running::give_order;
use crate::command::reply::Done;
use crate::command::verb::Call;
use crate::managed::Managing as _;
use crate::modules;
use lotmq_codes::Code;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::asset_names;
use lotmq_programs::route_orders::RouteOrder;

/// Assets that were stopped, with what was ordered for each before.
#[derive(Default)]
pub(super) struct StoppedAssets(Vec<(Asset, Before)>);

enum Before {
    Route(Arc<RouteOrder>),
    Instance(Arc<AssetRecord>),
}

/// Stops the assets of others that run a module, before it is replaced, and adds that to `batch`.
/// Called under the lock of changes.
pub(super) fn stop(call: &Call<'_>, module: &str, batch: &mut Batch) -> StoppedAssets {
    let mut stopped = StoppedAssets::default();
    for (kind, name, _) in authority::foreign(call, module) {
        let before = match kind {
            AssetKind::Route => {
                let before = call.tenant.programs().guests.route_orders.get(&name);
                (!before.is_stopped).then_some(Before::Route(before))
            }
            AssetKind::Module | AssetKind::Instance => {
                let before = call.tenant.managed().assets.get(&name);
                let runs =
                    |record: &Arc<AssetRecord>| record.instance.as_ref().is_some_and(|it| !it.is_stopped);
                before.filter(runs).map(Before::Instance)
            }
        };
        let Some(before) = before else { continue };
        let asset_name = match kind {
            AssetKind::Route => asset_names::of_route(&call.tenant.programs().guests, &name),
            AssetKind::Module | AssetKind::Instance => name.as_ref().to_owned(),
        };
        let asset = Asset { kind, name: asset_name, definition: name };
        order(call, &asset, &before, true, batch);
        stopped.0.push((asset, before));
    }
    stopped
}

/// Gives an asset the order that it had before, or that to stop.
fn order(call: &Call<'_>, asset: &Asset, before: &Before, is_stopped: bool, batch: &mut Batch) {
    match before {
        Before::Route(before) => {
            let order = RouteOrder { is_stopped, ..(**before).clone() };
            give_order(call, asset, order, batch);
        }
        Before::Instance(before) => {
            let mut record = (**before).clone();
            record.instance = record.instance.map(|instance| InstanceRecord { is_stopped, ..instance });
            modules::set_disabled(call.tenant, call.hosting, &asset.definition, is_stopped);
            call.tenant.managed().assets.put(call.tenant.id, &asset.definition, record, batch);
        }
    }
}

impl StoppedAssets {
    /// Has them run again, because the module was not replaced; what was to be stored is dropped
    /// with its batch.
    pub(super) fn undo(self, call: &Call<'_>) {
        for (asset, before) in self.0 {
            order(call, &asset, &before, false, &mut Batch::new());
        }
    }

    /// Adds a record to the errors of each asset, for its owner, and a warning to the reply.
    pub(super) fn tell(self, call: &Call<'_>, module: &str, mut done: Done) -> Done {
        for (asset, _) in self.0 {
            let name = &asset.name;
            let message =
                format!("module '{module}' was changed by its owner; -run {name} starts it as it is now");
            if let Some(known) = asset.known(call.tenant) {
                let now = call.hosting.definitions_now().wall;
                lotmq_programs::note_not_followed(call.core, call.tenant, &known, &message, now);
            }
            let warning = format!("Asset '{name}' of another user was stopped: they start it with -run.");
            done = done.with_warning(Code::InstanceNotFollowed, &warning);
        }
        done
    }
}
