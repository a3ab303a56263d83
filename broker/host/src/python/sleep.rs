//! `time.sleep`: the part of WASI that makes a thread wait for the clock.
//!
//! A sleep takes the calling thread, for which another one stands in where runs are waiting, and
//! none of the places of Python; its time counts against that of the call.

use super::instance::ScriptState;
use crate::{
    ambient::Perceives as _,
    deadline::Stopped,
    limits::{PYTHON_TIME, PYTHON_WAITS_MAX},
};
use std::{collections::BTreeMap, time::Duration};
use wasmtime::{
    StoreContextMut,
    component::{Component, Linker, Resource, ResourceType, types::ComponentItem},
};

/// Pollable of WASI: here always a point in time.
pub(super) struct Pollable;

/// The points in time that a script waits for, by its own clock.
#[derive(Default)]
pub(super) struct Waits {
    due: BTreeMap<u32, Duration>,
    last: u32,
}

impl Waits {
    fn add(&mut self, due: Duration) -> wasmtime::Result<Resource<Pollable>> {
        if self.due.len() >= PYTHON_WAITS_MAX {
            return Err(wasmtime::Error::msg(format!(
                "the script waits for {PYTHON_WAITS_MAX} things at once"
            )));
        }
        self.last = self.last.wrapping_add(1);
        self.due.insert(self.last, due);
        Ok(Resource::new_own(self.last))
    }

    fn due(&self, pollable: &Resource<Pollable>) -> wasmtime::Result<Duration> {
        let due = self.due.get(&pollable.rep()).copied();
        due.ok_or_else(|| wasmtime::Error::msg("the script waits for something that is gone"))
    }
}

/// Adds it to the linker of the interpreter.
pub(super) fn provide(linker: &mut Linker<ScriptState>, component: &Component) -> wasmtime::Result<()> {
    let engine = component.engine().clone();
    for (import, item) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(wanted) = item.ty else { continue };
        if !import.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(import)?;
        // Defined by one interface, and again by those that hand it out.
        let has_pollables = wanted
            .exports(&engine)
            .any(|(name, item)| name == "pollable" && matches!(item.ty, ComponentItem::Resource(_)));
        if has_pollables {
            instance.resource("pollable", ResourceType::host::<Pollable>(), |mut store, pollable| {
                store.data_mut().waits.due.remove(&pollable);
                Ok(())
            })?;
        }
        match import.split_once('@').map_or(import, |(interface, _)| interface) {
            "wasi:clocks/monotonic-clock" => {
                instance.func_wrap("subscribe-instant", |store: Store<'_>, (when,): (u64,)| {
                    subscribe(store, Duration::from_nanos(when))
                })?;
                instance.func_wrap("subscribe-duration", |store: Store<'_>, (time,): (u64,)| {
                    let due = store.data().monotonic().saturating_add(Duration::from_nanos(time));
                    subscribe(store, due)
                })?;
            }
            "wasi:io/poll" => {
                instance.func_wrap(
                    "[method]pollable.ready",
                    |store: Store<'_>, (of,): (Resource<Pollable>,)| {
                        Ok((store.data().waits.due(&of)? <= store.data().monotonic(),))
                    },
                )?;
                instance.func_wrap(
                    "[method]pollable.block",
                    |mut store: Store<'_>, (of,): (Resource<Pollable>,)| {
                        let due = store.data().waits.due(&of)?;
                        sleep_until(store.data_mut(), due)
                    },
                )?;
                instance.func_wrap("poll", poll)?;
            }
            _ => {}
        }
    }
    Ok(())
}

type Store<'s> = StoreContextMut<'s, ScriptState>;

fn subscribe(mut store: Store<'_>, due: Duration) -> wasmtime::Result<(Resource<Pollable>,)> {
    Ok((store.data_mut().waits.add(due)?,))
}

/// Waits for the first of some; which of them have come.
fn poll(mut store: Store<'_>, (all,): (Vec<Resource<Pollable>>,)) -> wasmtime::Result<(Vec<u32>,)> {
    let waits = &store.data().waits;
    let due: Vec<Duration> = all.iter().map(|one| waits.due(one)).collect::<wasmtime::Result<_>>()?;
    let first = due.iter().min().copied();
    sleep_until(
        store.data_mut(),
        first.ok_or_else(|| wasmtime::Error::msg("the script waits for nothing"))?,
    )?;
    let now = store.data().monotonic();
    let come = (0..).zip(due).filter(|(_, due)| *due <= now).map(|(number, _)| number);
    Ok((come.collect(),))
}

/// Sleeps, at most for as long as the call may still take.
fn sleep_until(state: &mut ScriptState, due: Duration) -> wasmtime::Result<()> {
    let asked = due.saturating_sub(state.monotonic());
    if asked.is_zero() {
        return Ok(());
    }
    let granted = asked.min(state.deadline.budget);
    state.sleep(granted);
    state.deadline.budget -= granted;
    if granted < asked {
        return Err(Stopped::Time(PYTHON_TIME).into());
    }
    // Nobody may have been running meanwhile.
    state.goes_on();
    Ok(())
}
