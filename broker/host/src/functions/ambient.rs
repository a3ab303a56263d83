//! `ambient`: time and chance. No capability needed; both may be replaced by the server, for tests with virtual time.

use crate::{Services, rule::Read, state::RunState};
use std::cell::RefCell;
use wasmtime::component::Linker;

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("ambient"))?;
    interface.func_wrap("now-ms", |store, (): ()| Ok((asked(store.data()).now_ms(),)))?;
    interface.func_wrap("monotonic-ms", |store, (): ()| Ok((asked(store.data()).monotonic_ms(),)))?;
    interface.func_wrap("random", |store, (): ()| Ok((asked(store.data()).random(),)))
}

fn asked(state: &RunState) -> &dyn Services {
    state.note_read(|| Read::Moment);
    &*state.services
}

/// Random bytes of the operating system, fetched for this thread in portions: one system call per 64 numbers.
struct Reserve {
    bytes: [u8; 512],
    used: usize,
}

thread_local! {
    static RESERVE: RefCell<Reserve> = const { RefCell::new(Reserve { bytes: [0; 512], used: 512 }) };
}

/// 64 random bits of the operating system.
pub(crate) fn random() -> u64 {
    RESERVE.with_borrow_mut(|reserve| {
        if reserve.used >= reserve.bytes.len() {
            getrandom::fill(&mut reserve.bytes).expect("the operating system has random numbers");
            reserve.used = 0;
        }
        let number =
            reserve.bytes[reserve.used..].first_chunk::<8>().map_or(0, |chunk| u64::from_le_bytes(*chunk));
        reserve.bytes[reserve.used..reserve.used + 8].fill(0);
        reserve.used += 8;
        number
    })
}
