//! The inert WASI set: the imports that a standard library built for `wasm32-wasip2` needs at
//! start.
//!
//! It has an empty environment, no arguments, no preopened folders, and output to the log. Clocks
//! and random numbers come from [`Ambient`](crate::Ambient). A call of any other function traps.
//! The set is listed in `wit/inert-wasi.txt`.
//!
//! Invariant: nothing here reaches a file, a socket, or another guest.

use crate::{ambient::Perceives, texts::cut, validate::is_inert};
use wasmtime::{
    StoreContextMut,
    component::{
        Component, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType, WasmList,
        types::ComponentItem,
    },
};

/// Random bytes per call; a standard library asks for 16 to seed its maps.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of output that one call may bring to the log.
const LOG_BYTES_MAX: usize = 1024;

/// Placeholder for WASI resources, without state.
struct Nothing;

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    #[component(name = "seconds")]
    seconds: u64,
    #[component(name = "nanoseconds")]
    nanoseconds: u32,
}

/// Error of an output stream that never fails.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<Nothing>),
    #[component(name = "closed")]
    Closed,
}

/// Ended by the guest itself.
#[derive(Debug, thiserror::Error)]
#[error("the guest ended itself with exit")]
struct Exit;

/// Wants to sleep.
#[derive(Debug, thiserror::Error)]
#[error(
    "a guest cannot sleep: a route waits by `net::wait`, or returns from `run` when it wants to be called again"
)]
struct NoSleep;

/// A linker for a component with these imports: `linker` itself, unless it asks for the inert set,
/// which is then added at the versions that the component names.
pub(crate) fn link<T: Perceives + 'static>(
    linker: &Linker<T>,
    component: &Component,
    imports: &[String],
) -> wasmtime::Result<Linker<T>> {
    if !imports.iter().any(|import| is_inert(import)) {
        return Ok(linker.clone());
    }
    link_with(linker, component, Waits::AreOver)
}

/// Provider of the WASI functions with which a guest waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Provided here: every pollable is ready at once, and the guest cannot sleep.
    AreOver,
    /// Somebody else's: nothing from here.
    AreNotOurs,
}

/// Like [`link`], for our own component whose libraries import more of WASI than they call. All
/// imports resolve, and functions outside of the inert set trap. The caller provides the functions
/// that wait.
pub(crate) fn link_all<T: Perceives + 'static>(
    linker: &Linker<T>,
    component: &Component,
) -> wasmtime::Result<Linker<T>> {
    link_with(linker, component, Waits::AreNotOurs)
}

fn link_with<T: Perceives + 'static>(
    linker: &Linker<T>,
    component: &Component,
    waits: Waits,
) -> wasmtime::Result<Linker<T>> {
    let mut linker = linker.clone();
    let engine = component.engine().clone();
    // The resources of an interface are defined first, and once more by those that hand them out.
    linker.allow_shadowing(true);
    for (import, item) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(wanted) = item.ty else { continue };
        if !import.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(import)?;
        for (name, item) in wanted.exports(&engine) {
            if matches!(item.ty, ComponentItem::Resource(_)) {
                resource(&mut instance, name)?;
            }
        }
        let interface = import.split_once('@').map_or(import, |(interface, _)| interface);
        provide(&mut instance, interface)?;
        if waits == Waits::AreOver {
            provide_waits(&mut instance, interface)?;
        }
    }
    // The rest of these interfaces: functions that trap.
    linker.define_unknown_imports_as_traps(component)?;
    Ok(linker)
}

fn provide<T: Perceives + 'static>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
) -> wasmtime::Result<()> {
    match interface {
        "wasi:cli/environment" => environment(instance),
        "wasi:cli/exit" => {
            instance.func_wrap("exit", |_, (_status,): (Result<(), ()>,)| Err::<(), _>(Exit.into()))
        }
        "wasi:cli/stdin" => instance.func_wrap("get-stdin", |_, (): ()| Ok((nothing(),))),
        "wasi:cli/stdout" => instance.func_wrap("get-stdout", |_, (): ()| Ok((nothing(),))),
        "wasi:cli/stderr" => instance.func_wrap("get-stderr", |_, (): ()| Ok((nothing(),))),
        "wasi:cli/terminal-input" => resource(instance, "terminal-input"),
        "wasi:cli/terminal-output" => resource(instance, "terminal-output"),
        "wasi:cli/terminal-stdin" => instance.func_wrap("get-terminal-stdin", |_, (): ()| Ok((none(),))),
        "wasi:cli/terminal-stdout" => instance.func_wrap("get-terminal-stdout", |_, (): ()| Ok((none(),))),
        "wasi:cli/terminal-stderr" => instance.func_wrap("get-terminal-stderr", |_, (): ()| Ok((none(),))),
        "wasi:clocks/monotonic-clock" => monotonic_clock(instance),
        "wasi:clocks/wall-clock" => wall_clock(instance),
        "wasi:random/random" => random_numbers(instance, "get-random-bytes", "get-random-u64"),
        "wasi:random/insecure" => {
            random_numbers(instance, "get-insecure-random-bytes", "get-insecure-random-u64")
        }
        "wasi:random/insecure-seed" => {
            instance.func_wrap("insecure-seed", |store: StoreContextMut<'_, T>, (): ()| {
                let state = store.data();
                Ok(((state.random(), state.random()),))
            })
        }
        "wasi:io/error" => resource(instance, "error"),
        "wasi:io/poll" => resource(instance, "pollable"),
        "wasi:io/streams" => streams(instance),
        "wasi:filesystem/types" => {
            resource(instance, "descriptor")?;
            resource(instance, "directory-entry-stream")
        }
        "wasi:filesystem/preopens" => instance
            .func_wrap("get-directories", |_, (): ()| Ok((Vec::<(Resource<Nothing>, String)>::new(),))),
        _ => Ok(()),
    }
}

/// Links pollables that are always ready: output is always accepted, and a guest cannot sleep.
fn provide_waits<T: Perceives + 'static>(
    instance: &mut LinkerInstance<'_, T>,
    interface: &str,
) -> wasmtime::Result<()> {
    match interface {
        "wasi:io/streams" => instance
            .func_wrap("[method]output-stream.subscribe", |_, (_own,): (Resource<Nothing>,)| {
                Ok((nothing(),))
            }),
        "wasi:io/poll" => {
            instance.func_wrap("[method]pollable.block", |_, (_own,): (Resource<Nothing>,)| Ok(()))?;
            instance.func_wrap("[method]pollable.ready", |_, (_own,): (Resource<Nothing>,)| Ok((true,)))?;
            instance.func_wrap("poll", |_, (all,): (Vec<Resource<Nothing>>,)| {
                Ok(((0..u32::try_from(all.len())?).collect::<Vec<u32>>(),))
            })
        }
        "wasi:clocks/monotonic-clock" => {
            ["subscribe-duration", "subscribe-instant"].into_iter().try_for_each(|name| {
                instance.func_wrap(name, |_, (_when,): (u64,)| Err::<(Resource<Nothing>,), _>(NoSleep.into()))
            })
        }
        _ => Ok(()),
    }
}

fn resource<T: Perceives + 'static>(
    instance: &mut LinkerInstance<'_, T>,
    name: &str,
) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<Nothing>(), |_, _| Ok(()))
}

fn nothing() -> Resource<Nothing> {
    Resource::new_own(0)
}

fn none() -> Option<Resource<Nothing>> {
    None
}

fn environment<T: Perceives + 'static>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    instance.func_wrap("get-environment", |_, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
    instance.func_wrap("get-arguments", |_, (): ()| Ok((Vec::<String>::new(),)))?;
    instance.func_wrap("initial-cwd", |_, (): ()| Ok((None::<String>,)))
}

fn monotonic_clock<T: Perceives + 'static>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    instance.func_wrap("now", |store: StoreContextMut<'_, T>, (): ()| {
        Ok((u64::try_from(store.data().monotonic().as_nanos()).unwrap_or(u64::MAX),))
    })?;
    instance.func_wrap("resolution", |_, (): ()| Ok((1_u64,)))
}

fn wall_clock<T: Perceives + 'static>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    instance.func_wrap("now", |store: StoreContextMut<'_, T>, (): ()| {
        let since = store.data().wall();
        Ok((Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() },))
    })?;
    instance.func_wrap("resolution", |_, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 1 },)))
}

fn random_numbers<T: Perceives + 'static>(
    instance: &mut LinkerInstance<'_, T>,
    bytes: &str,
    number: &str,
) -> wasmtime::Result<()> {
    instance.func_wrap(bytes, |store: StoreContextMut<'_, T>, (len,): (u64,)| {
        if len > RANDOM_BYTES_MAX {
            return Err(wasmtime::Error::msg(format!(
                "{len} random bytes asked for, limit {RANDOM_BYTES_MAX}"
            )));
        }
        let numbers = std::iter::repeat_with(|| store.data().random()).flat_map(u64::to_le_bytes);
        Ok((numbers.take(usize::try_from(len)?).collect::<Vec<u8>>(),))
    })?;
    instance.func_wrap(number, |store: StoreContextMut<'_, T>, (): ()| Ok((store.data().random(),)))
}

/// Output goes to the log; input cannot be read.
fn streams<T: Perceives + 'static>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    type Done = (Result<(), StreamError>,);
    resource(instance, "input-stream")?;
    resource(instance, "output-stream")?;
    instance.func_wrap("[method]output-stream.check-write", |_, (_own,): (Resource<Nothing>,)| {
        Ok((Ok::<u64, StreamError>(4096),))
    })?;
    for name in ["write", "blocking-write-and-flush"] {
        instance.func_wrap(
            &format!("[method]output-stream.{name}"),
            |store: StoreContextMut<'_, T>,
             (_own, bytes): (Resource<Nothing>, WasmList<u8>)|
             -> wasmtime::Result<Done> {
                let text = String::from_utf8_lossy(bytes.as_le_slice(&store));
                tracing::info!(target: "guest", text = cut(&text, LOG_BYTES_MAX), "guest output");
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        instance.func_wrap(
            &format!("[method]output-stream.{name}"),
            |_, (_own,): (Resource<Nothing>,)| -> wasmtime::Result<Done> { Ok((Ok(()),)) },
        )?;
    }
    Ok(())
}
