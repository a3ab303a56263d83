//! `ambient`: time and chance. No capability needed; both may be replaced by the server, for tests
//! with virtual time.

use crate::{Services, services::question::Read, state::RunState};
use wasmtime::component::Linker;

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("ambient"))?;
    interface.func_wrap("now-ms", |store, (): ()| Ok((asked(store.data()).now_ms(),)))?;
    interface.func_wrap("monotonic-ms", |store, (): ()| Ok((asked(store.data()).monotonic_ms(),)))?;
    interface.func_wrap("utc-offset-seconds", |store, (at_ms,): (i64,)| {
        Ok((asked(store.data()).utc_offset_seconds(at_ms),))
    })?;
    interface.func_wrap("random", |store, (): ()| Ok((asked(store.data()).random(),)))
}

fn asked(state: &RunState) -> &dyn Services {
    state.note_read(|| Read::Moment);
    &*state.services
}
