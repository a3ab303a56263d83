//! Work of commands: by what their verbs occupy a thread, and how many threads each kind may take
//! at once.
//!
//! Invariant: at least one thread neither compiles nor waits, so that what is quickly answered is,
//! whatever else was given.

use crate::limits::{
    COMMAND_THREADS, COMMAND_THREADS_COMPILING_MAX, COMMAND_THREADS_MODULES_MAX, COMMAND_THREADS_WAITING_MAX,
    LARGE_UPLOAD_BYTES, LARGE_UPLOADS_MAX,
};

/// Kind of work by which a verb occupies its command's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It compiles LoT or Python, of its text or of what is stored.
    Compiles,
    /// It compiles a module, which may take minutes. So it takes none of the threads on which large
    /// texts are compiled.
    CompilesModule,
    /// It waits for a far side, a run, a receiver, or a long read of the store.
    Waits,
    /// It does neither: it is answered as soon as what it changes is stored.
    Answers,
}

/// Load of a command on the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) work: Work,
    /// Whether it compiles [`LARGE_UPLOAD_BYTES`] or more.
    pub(crate) is_large: bool,
    /// Whether an administrator gave it, who always finds a thread for a module.
    pub(crate) is_of_admin: bool,
}

impl Load {
    /// Load of a command with so many bytes.
    pub(crate) fn new(work: Work, bytes: usize) -> Self {
        Self { work, is_large: work == Work::Compiles && bytes >= LARGE_UPLOAD_BYTES, is_of_admin: false }
    }
}

/// Numbers of threads that commands occupy, or may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Threads {
    all: usize,
    compiling: usize,
    /// Those of the compiling ones that compile much.
    large: usize,
    /// Those of the compiling ones that compile modules.
    modules: usize,
    waiting: usize,
}

/// Threads that all commands may occupy.
pub(super) const OF_ALL: Threads = Threads {
    all: COMMAND_THREADS,
    compiling: COMMAND_THREADS_COMPILING_MAX,
    large: LARGE_UPLOADS_MAX,
    modules: COMMAND_THREADS_MODULES_MAX,
    waiting: COMMAND_THREADS_WAITING_MAX,
};

/// Threads that commands of one tenant may occupy: one less of each kind, which is there for
/// others.
pub(super) const OF_TENANT: Threads = Threads {
    all: OF_ALL.all - 1,
    compiling: OF_ALL.compiling - 1,
    large: OF_ALL.large - 1,
    modules: OF_ALL.modules - 1,
    waiting: OF_ALL.waiting - 1,
};

/// Threads that commands of one user may occupy: half of each kind, and one for modules, as each
/// user has one worker process.
pub(super) const OF_USER: Threads = Threads {
    all: OF_ALL.all / 2,
    compiling: OF_ALL.compiling / 2,
    large: OF_ALL.large / 2,
    modules: 1,
    waiting: OF_ALL.waiting / 2,
};

const _: () = assert!(OF_ALL.compiling + OF_ALL.waiting < OF_ALL.all);
const _: () = assert!(OF_ALL.modules + 1 + OF_ALL.large / 2 < OF_ALL.compiling);
const _: () = assert!(OF_USER.large > 0 && OF_USER.compiling > 0 && OF_USER.waiting > 0);

impl Threads {
    /// Whether one more command may begin where these are occupied.
    pub(super) fn admit(&self, load: Load, max: &Threads) -> bool {
        let has_kind = match load.work {
            Work::Answers => true,
            Work::Waits => self.waiting < max.waiting,
            Work::CompilesModule => {
                let modules = max.modules + usize::from(load.is_of_admin);
                self.compiling < max.compiling && self.modules < modules
            }
            Work::Compiles => self.compiling < max.compiling && (!load.is_large || self.large < max.large),
        };
        has_kind && self.all < max.all
    }

    pub(super) fn begins(&mut self, load: Load) {
        self.all += 1;
        let is_module = load.work == Work::CompilesModule;
        self.compiling += usize::from(is_module || load.work == Work::Compiles);
        self.large += usize::from(load.is_large);
        self.modules += usize::from(is_module);
        self.waiting += usize::from(load.work == Work::Waits);
    }

    pub(super) fn ends(&mut self, load: Load) {
        self.all -= 1;
        let is_module = load.work == Work::CompilesModule;
        self.compiling -= usize::from(is_module || load.work == Work::Compiles);
        self.large -= usize::from(load.is_large);
        self.modules -= usize::from(is_module);
        self.waiting -= usize::from(load.work == Work::Waits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Load = Load { work: Work::Compiles, is_large: false, is_of_admin: false };
    const LARGE: Load = Load { work: Work::Compiles, is_large: true, is_of_admin: false };
    const MODULE: Load = Load { work: Work::CompilesModule, is_large: false, is_of_admin: false };
    const WAITS: Load = Load { work: Work::Waits, is_large: false, is_of_admin: false };
    const ANSWERS: Load = Load { work: Work::Answers, is_large: false, is_of_admin: false };

    /// Modules occupy neither the threads of large texts nor, whatever users do, the last one,
    /// which is for administrators.
    #[test]
    fn modules_leave_threads_to_texts_and_to_administrators() {
        for max in [OF_ALL, OF_TENANT, OF_USER] {
            let mut threads = Threads::default();
            for _ in 0..max.modules {
                assert!(threads.admit(MODULE, &max));
                threads.begins(MODULE);
            }
            assert!(!threads.admit(MODULE, &max));
            let of_admin = Load { is_of_admin: true, ..MODULE };
            assert!(threads.admit(of_admin, &max), "{max:?}");
            assert!(threads.admit(LARGE, &max) && threads.admit(SMALL, &max));
            threads.begins(of_admin);
            assert!(!threads.admit(of_admin, &max));
            (0..max.modules).for_each(|_| threads.ends(MODULE));
            threads.ends(of_admin);
            assert_eq!(threads, Threads::default());
        }
    }

    #[test]
    fn each_kind_leaves_threads_to_the_others() {
        for max in [OF_ALL, OF_TENANT, OF_USER] {
            let mut threads = Threads::default();
            let mut fill = |load: Load, count: usize| {
                for _ in 0..count {
                    assert!(threads.admit(load, &max), "{load:?} {threads:?}");
                    threads.begins(load);
                }
                threads
            };
            assert!(!fill(LARGE, max.large).admit(LARGE, &max), "no further large one");
            assert!(
                !fill(SMALL, max.compiling - max.large).admit(SMALL, &max),
                "no further one that compiles"
            );
            assert!(!fill(WAITS, max.waiting).admit(WAITS, &max), "no further one that waits");
            let left = max.all - max.compiling - max.waiting;
            assert!(left > 0, "{max:?}");
            let full = fill(ANSWERS, left);
            for load in [SMALL, LARGE, WAITS, ANSWERS] {
                assert!(!full.admit(load, &max), "{load:?}");
            }
            threads.ends(LARGE);
            assert!(threads.admit(SMALL, &max) && threads.admit(LARGE, &max) && threads.admit(ANSWERS, &max));
            threads.begins(SMALL);
            assert!(!threads.admit(LARGE, &max), "a small one took the thread");
            assert_eq!(threads, full_without_large(full));
        }
    }

    fn full_without_large(full: Threads) -> Threads {
        Threads { large: full.large - 1, ..full }
    }
}
