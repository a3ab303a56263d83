//! `-run`, `-stop`: whether an asset is to run, which outlives the broker. Commands reference
//! §13.1.

use lotmq_auth::Scope;
use lotmq_changes::Batch;
use serde_json::json;

use super::super::argument::{self, FORCE};
use super::super::ownership::Removal;
use super::super::reply::{Done, EntityType, Refusal};
use super::super::verb::{Call, Effect, Permission, Verb, Work};
use super::{find, masked_status, not_found, tell, without_module};
use crate::asset_catalog::{AssetRecord, InstanceRecord};
use crate::assets::{Asset, AssetKind};
use crate::managed::Managing as _;
use crate::modules;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::route_orders::RouteOrder;

pub(in crate::command) static RUN: Verb = Verb {
    name: "run",
    arguments: &[argument::word("asset"), FORCE],
    permission: Permission::Scope(Scope::AssetManagementStart),
    effect: Effect::Stores,
    work: Work::CompilesModule,
    summary: "Starts an asset, also one that has failed or makes a pause; one that runs is left as it is. One of another user with -force only. Short form: -R.",
    example: "-run Up",
    execute: |call| order(call, false),
};

pub(in crate::command) static STOP: Verb = Verb {
    name: "stop",
    arguments: &[argument::word("asset"), FORCE],
    permission: Permission::Scope(Scope::AssetManagementStop),
    effect: Effect::Stores,
    work: Work::Answers,
    summary: "Stops an asset until -run; what waits for a route goes on waiting. One of another user with -force only. Short form: -S.",
    example: "-stop Up",
    execute: |call| order(call, true),
};

fn order(call: &mut Call<'_>, is_stopped: bool) -> Result<Done, Refusal> {
    let (asked, name) = (Removal::of(call), call.text("asset"));
    call.about(EntityType::Asset, name);
    {
        let mut batch = Batch::new();
        let _changes = call.commands.changes.lock();
        call.check_current()?;
        let asset = find(call, name)?;
        asked.check_definitions(call, asset.definition_kind(), [&*asset.definition])?;
        if !is_stopped && asset.runs_well(call.tenant) {
            let done = Done::new(format!("Asset '{name}' runs already."));
            let info = masked_status(call, &asset, asset.info(call.tenant, call.core.clock.wall_ms()));
            return Ok(with_waiting(call, name, done.with_data(info)));
        }
        match asset.kind {
            AssetKind::Route => order_route(call, &asset, is_stopped, &mut batch),
            AssetKind::Module => switch_module(call, &asset, is_stopped, &mut batch)?,
            AssetKind::Instance => switch_instance(call, &asset, is_stopped, &mut batch)?,
        }
        call.commit(batch)?;
    }
    let done = tell(call, name, &format!("Asset '{name}' {} successfully!", word(is_stopped)))?;
    Ok(with_waiting(call, name, done))
}

fn word(is_stopped: bool) -> &'static str {
    if is_stopped { "stopped" } else { "started" }
}

/// Adds what waits for a route.
fn with_waiting(call: &Call<'_>, name: &str, done: Done) -> Done {
    let asset = Asset::find(call.tenant, name).filter(|asset| asset.kind == AssetKind::Route);
    let route = asset.and_then(|asset| call.tenant.programs().guests.route(&asset.definition));
    match route.map(|route| route.waiting()) {
        Some((messages, bytes)) => {
            done.with_member("waiting", json!({ "messages": messages, "bytes": bytes }))
        }
        None => done,
    }
}

fn order_route(call: &Call<'_>, asset: &Asset, is_stopped: bool, batch: &mut Batch) {
    let orders = &call.tenant.programs().guests.route_orders;
    let order = RouteOrder { is_stopped, ..(*orders.get(&asset.definition)).clone() };
    give_order(call, asset, order, batch);
}

/// Gives a route an order, which it follows at once.
pub(in crate::command) fn give_order(call: &Call<'_>, asset: &Asset, order: RouteOrder, batch: &mut Batch) {
    let guests = &call.tenant.programs().guests;
    guests.route_orders.put(call.tenant.id, &asset.definition, order.clone(), batch);
    // Also one that is disabled, so that it is as ordered when it is enabled.
    let route = asset.known(call.tenant).and_then(|known| guests.route_by_id(known.id));
    if let Some(route) = route {
        route.follow(&order);
    }
}

fn switch_module(
    call: &mut Call<'_>,
    asset: &Asset,
    is_stopped: bool,
    batch: &mut Batch,
) -> Result<(), Refusal> {
    let module = call.tenant.managed().modules.get(&asset.definition);
    let module = module.ok_or_else(|| not_found(call, &asset.name))?;
    modules::switch(call.tenant, call.hosting, &module, is_stopped, batch);
    let changed = call.tenant.managed().modules.get(&asset.definition);
    if let Some(module) = changed {
        let info = modules::info(call.tenant, &module).to_string();
        call.changed(format!("$SYS/Coreflux/Modules/{}", module.name), info);
    }
    Ok(())
}

fn switch_instance(
    call: &Call<'_>,
    asset: &Asset,
    is_stopped: bool,
    batch: &mut Batch,
) -> Result<(), Refusal> {
    let managed = call.tenant.managed();
    let record = managed.assets.get(&asset.definition);
    let (record, instance) = record
        .and_then(|record| Some((AssetRecord::clone(&record), record.instance.clone()?)))
        .ok_or_else(|| not_found(call, &asset.name))?;
    if asset.package(call.tenant).is_none() {
        return Err(without_module(&asset.name, &instance.package));
    }
    modules::set_disabled(call.tenant, call.hosting, &asset.definition, is_stopped);
    let instance = Some(InstanceRecord { is_stopped, ..instance });
    managed.assets.put(call.tenant.id, &asset.definition, AssetRecord { instance, ..record }, batch);
    Ok(())
}
