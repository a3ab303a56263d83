//! Instances of a module whose command it is: they follow a replacement, and go with their module.

use std::sync::Arc;

use lotmq_changes::Batch;
use lotmq_definitions::DefinitionKind;

use super::compiling::{self, ComponentPlace};
use crate::assets;
use crate::command::add_entity::refused;
use crate::command::ownership::Removal;
use crate::command::reply::Refusal;
use crate::command::verb::Call;
use crate::managed::Managing as _;
use lotmq_codes::Code;
use lotmq_programs::Guests;
use lotmq_programs::asset_names;

/// Puts the present version of a module in the place of that which its instances run; gives those
/// that run on with the version before, with the reasons.
pub(in crate::command) fn follow(call: &mut Call<'_>, package: &str) -> Vec<(Arc<str>, String)> {
    let instances = call.tenant.managed().assets.of_package(package);
    let mut left = Vec::new();
    for name in instances {
        if let Err(refusal) = follow_one(call, package, &name) {
            left.push((name, refusal.message));
        }
    }
    left
}

fn follow_one(call: &Call<'_>, package: &str, name: &str) -> Result<(), Refusal> {
    let managed = call.tenant.managed();
    let (Some(module), Some(record)) = (managed.modules.get(package), managed.assets.get(name)) else {
        return Ok(());
    };
    let Some(instance) = &record.instance else { return Ok(()) };
    let of_instance = assets::as_module(&module, name, instance);
    let policies = managed.assets.effective(&record);
    let compiled = compiling::compile(call, (of_instance, ComponentPlace::Stored), policies.clone());
    let _changes = call.commands.changes.lock();
    let is_present = managed.modules.get(package).is_some_and(|now| Arc::ptr_eq(&now, &module))
        && managed.assets.get(name).is_some_and(|now| Arc::ptr_eq(&now, &record))
        && managed.assets.effective(&record) == policies;
    if !is_present {
        // The later change has done this, too.
        return Ok(());
    }
    let compiled = compiled?;
    // Its stored data stays the same.
    assets::arm(call.tenant, call.hosting, compiled, &mut Batch::new()).map_err(refused)
}

/// Removes the instances of a module that is going to be removed, adds that to `batch`, and clears
/// their topics. Called under the lock of changes.
///
/// # Errors
/// When there are any, and the command does not say that they are to go all the same.
pub(super) fn remove(
    call: &mut Call<'_>,
    package: &str,
    removal: &Removal,
    batch: &mut Batch,
) -> Result<(), Refusal> {
    let instances = call.tenant.managed().assets.of_package(package);
    if let Some(first) = instances.first().filter(|_| !removal.is_forced) {
        let more = match instances.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message = format!("Module '{package}' is used by asset '{first}'{more}. Use -force.");
        return Err(Refusal::new(Code::InUse, message));
    }
    for name in instances {
        remove_one(call, &name, batch);
    }
    Ok(())
}

/// Removes an instance, adds that to `batch`, and clears its topics. Called under the lock of
/// changes.
pub(in crate::command) fn remove_one(call: &mut Call<'_>, name: &str, batch: &mut Batch) {
    remove_definition(call, name, batch);
    let assets = &call.tenant.managed().assets;
    let owner = assets.instance(name).and_then(|instance| instance.owner);
    assets.remove(call.tenant.id, name, owner.as_ref(), batch);
}

/// Removes an instance that has another name now, adds that to `batch`, and clears its topics.
/// Called under the lock of changes.
pub(in crate::command) fn moved(call: &mut Call<'_>, name: &str, batch: &mut Batch) {
    remove_definition(call, name, batch);
    call.tenant.managed().assets.moved(call.tenant.id, name, batch);
}

fn remove_definition(call: &mut Call<'_>, name: &str, batch: &mut Batch) {
    let removed = Guests::remove(call.tenant, call.hosting, DefinitionKind::Module, name, batch);
    if removed.is_ok_and(|removed| super::has_error(&removed.definition)) {
        call.changed(format!("{}/Error", super::topic(name)), Vec::new());
    }
    call.changed(asset_names::topic_of(name), Vec::new());
}
