//! Panics of the database, which end in an error instead of the process.
//!
//! redb verifies its pages only in a repair or an explicit check; on damaged ones it can panic (2
//! of 3,000 flipped bits in the prototype). Code that touches a file that may be damaged runs in
//! here. The panic is one line of the log; the process's panic hook, if it asks [`takes_panic`],
//! need not print it as well.
//!
//! Invariant: nothing that was borrowed is used again after a panic, but to be closed or loaded
//! anew.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};

thread_local! {
    static IS_CONTAINING: Cell<bool> = const { Cell::new(false) };
    /// Source location of the last contained panic.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// For panic hooks: whether the store catches this panic, logs it and makes an error of it.
pub fn takes_panic(panic: &PanicHookInfo<'_>) -> bool {
    // Not there any more while the thread ends: then nobody catches anything.
    let takes = IS_CONTAINING.try_with(Cell::get).unwrap_or(false);
    if takes {
        // Only this module borrows it.
        let _ = PLACE.try_with(|place| *place.borrow_mut() = panic.location().map(ToString::to_string));
    }
    takes
}

/// Runs what may panic; the error is what the panic said.
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let outer = IS_CONTAINING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_CONTAINING.set(outer);
    result.map_err(|panic| {
        let text = text(&*panic);
        let place = PLACE.take().unwrap_or_default();
        tracing::error!(panic = text, place, "the database panicked, which was contained");
        text
    })
}

/// Drops what must not do anything when it is dropped, as redb does not while a panic unwinds: a
/// database whose tree is damaged would write to it, and end the process when it panics twice.
pub(crate) fn abandon<T>(value: T) {
    // No hook is called.
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _value = value;
        resume_unwind(Box::new(()))
    }));
    debug_assert!(unwound.is_err(), "nothing else ends it");
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_owned()
}
