//! Instances of a definition beside the one of its mailbox: for nested calls, and for threads that
//! run it beside one another.

use super::Runner;
use crate::{ActionInstance, Trap, limits::SPARE_INSTANCES_MAX};
use parking_lot::Mutex;
use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

/// No version of a definition's code.
const CLOSED: u64 = u64::MAX;

/// Instances that wait, and the version of the code that they have to be of.
#[derive(Default)]
pub(super) struct Spares {
    version: AtomicU64,
    instances: Mutex<Instances>,
}

#[derive(Default)]
struct Instances {
    #[expect(clippy::vec_box, reason = "they are taken out and put back as pointers")]
    waiting: Vec<Box<ActionInstance>>,
    /// How many were taken and not put back yet.
    taken: usize,
}

impl Spares {
    /// The version in force; no instance is of the one after the definition's end.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Replaces the version: drops idle instances, and running ones when they end.
    pub(super) fn replace(&self, version: u64) {
        self.version.store(version, Ordering::Release);
        self.clear();
    }

    /// No version is in force any more.
    pub(super) fn close(&self) {
        self.replace(CLOSED);
    }

    /// Drops what waits. Whether any is left that runs.
    pub(super) fn clear(&self) -> bool {
        let mut instances = self.instances.lock();
        let waiting = std::mem::take(&mut instances.waiting);
        let runs = instances.taken > 0;
        drop(instances);
        drop(waiting);
        runs
    }

    pub(super) fn is_empty(&self) -> bool {
        let instances = self.instances.lock();
        instances.waiting.is_empty() && instances.taken == 0
    }
}

/// The place of an instance in use.
pub(super) struct Taken<D: Deref<Target = Runner>> {
    pub(super) runner: D,
    /// The version in force when it was taken.
    version: u64,
    pub(super) instance: Option<Box<ActionInstance>>,
}

impl<D: Deref<Target = Runner>> Taken<D> {
    /// Takes an instance that waits, or makes one. Dropped, it waits for the next one.
    pub(super) fn new(runner: D) -> Result<Self, Trap> {
        let spares = &runner.spares;
        let mut instances = spares.instances.lock();
        instances.taken += 1;
        let (version, instance) = (spares.version(), instances.waiting.pop());
        drop(instances);
        let mut taken = Taken { runner, version, instance };
        if taken.instance.is_none() {
            taken.instance = Some(taken.runner.instance()?);
        }
        Ok(taken)
    }

    /// Whether there is an instance, and of the code in force.
    pub(super) fn is_good(&self) -> bool {
        self.instance.is_some() && self.runner.may_run(self.version)
    }
}

impl<D: Deref<Target = Runner>> Drop for Taken<D> {
    fn drop(&mut self) {
        let spares = &self.runner.spares;
        let mut instances = spares.instances.lock();
        instances.taken -= 1;
        let is_room = instances.waiting.len() < SPARE_INSTANCES_MAX;
        // Asked under the lock, so that nothing gets in behind the clearing by `replace`.
        let is_current = spares.version() == self.version;
        let is_good = |instance: &mut Box<ActionInstance>| is_room && is_current && !instance.is_poisoned();
        instances.waiting.extend(self.instance.take_if(is_good));
    }
}
