//! Compilation for users: in worker processes, which end when nobody wants their result, and with
//! bounds of time and memory.
//!
//! A worker compiles every uploaded component, and programs of the LoT compiler from
//! [`WORKER_PROGRAM_BYTES`] on. Smaller programs take some milliseconds and are compiled on the
//! thread that needs them. A broker without a worker program, such as an embedded one, compiles
//! everything in its process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lotmq_auth::{Account, Identity};
use lotmq_config::Config;
use lotmq_core::tenant::Tenant;
use lotmq_definitions::Owner;
use lotmq_host::{
    Artifact, CompileBudget, CompileElsewhere, CompileJob, ComponentSource, LoadError, WorkerCharge,
    WorkerMemory, WorkerUsage, compile_in_worker,
};
use lotmq_pulse::goes_on;
use lotmq_shares::OwnerKey;

use super::compile_places::{CompileOwner, CompilePlace, CompilePlaces, Rank, TakenPlace};
use crate::limits::{
    COMPILE_PATIENCE, MODULE_WORKERS_MAX, PROGRAM_WORKERS_MAX, WORKER_MEMORY_PART, WORKER_MEMORY_RANGE,
    WORKER_PROGRAM_BYTES,
};
use lotmq_process::machine;

/// Worker processes of a broker.
#[derive(Debug)]
pub struct CompileWorkers {
    /// Program that is a worker with its subcommand; `None` compiles everything in this process.
    program: Option<PathBuf>,
    budget: CompileBudget,
    /// Account of the memory of workers of users.
    memory: WorkerMemory,
    /// Places of uploaded components.
    modules: CompilePlaces,
    /// Places of programs of the LoT compiler, which no module occupies: their cost is bounded by
    /// the compiler.
    programs: CompilePlaces,
    is_stopping: AtomicBool,
}

impl CompileWorkers {
    /// Workers within the bounds of a configuration, whose memory counts in this account.
    pub fn new(config: &Config, account: WorkerMemory) -> Self {
        let memory = match config.modules.compile_memory {
            0 => (machine::memory() / WORKER_MEMORY_PART)
                .clamp(*WORKER_MEMORY_RANGE.start(), *WORKER_MEMORY_RANGE.end()),
            bytes => bytes,
        };
        let cpu = Duration::from_secs(config.modules.compile_time_sec.into());
        Self {
            program: config.compile_worker.clone().filter(|program| is_there(program)),
            budget: CompileBudget { cpu, patience: COMPILE_PATIENCE, memory_bytes: memory },
            memory: account,
            modules: CompilePlaces::new(MODULE_WORKERS_MAX),
            programs: CompilePlaces::new(PROGRAM_WORKERS_MAX),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Ends all workers; further compilations end at once.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Places that are taken now.
    pub fn taken(&self) -> Vec<TakenPlace> {
        [self.modules.taken(), self.programs.taken()].concat()
    }
}

/// Whether a program can be started; warns when it is missing, as `/proc/self/exe` is without
/// `/proc`.
fn is_there(program: &Path) -> bool {
    let is_there = program.exists();
    if !is_there {
        tracing::warn!(path = %program.display(), "no program for compile workers: modules are compiled in this process, and nothing ends that");
    }
    is_there
}

/// Compilation for an owner: what a [`Loader`](super::compile::Loader) needs besides the engine.
#[derive(Clone, Copy)]
pub struct CompileFor<'a> {
    workers: &'a CompileWorkers,
    asker: CompileOwner,
    /// User whose removal ends it.
    user: Option<(&'a Tenant, &'a Identity)>,
    /// Mark that nobody waits for it any more.
    given_up: Option<&'a AtomicBool>,
    /// Whether the definition still waits for it.
    wanted: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Place that was taken before.
    place: Option<&'a CompilePlace<'a>>,
}

impl<'a> CompileFor<'a> {
    /// For the broker, of what it has stored.
    pub(crate) fn broker(workers: &'a CompileWorkers) -> Self {
        Self { workers, asker: CompileOwner::broker(), user: None, given_up: None, wanted: None, place: None }
    }

    /// For the owner of a definition.
    pub(crate) fn owner(workers: &'a CompileWorkers, tenant: &Tenant, owner: Option<&Owner>) -> Self {
        let account = owner.and_then(|owner| tenant.users.account(&owner.name));
        let rank =
            if account.is_some_and(|account| account.is_admin()) { Rank::Administrator } else { Rank::User };
        let quota_key = owner.map_or(0, Owner::quota_key);
        let asker = CompileOwner { owner: OwnerKey { tenant: tenant.number, quota_key }, rank };
        Self { asker, ..Self::broker(workers) }
    }

    /// For the user who gave a command.
    pub fn user(workers: &'a CompileWorkers, tenant: &'a Tenant, identity: &'a Identity) -> Self {
        let account = tenant.users.account_of(identity);
        let rank =
            if account.is_some_and(|account| account.is_admin()) { Rank::Administrator } else { Rank::User };
        let asker = CompileOwner { owner: identity.owner_key(tenant.number), rank };
        Self { asker, user: Some((tenant, identity)), ..Self::broker(workers) }
    }

    /// Ends when this mark is set.
    pub fn until(self, given_up: &'a AtomicBool) -> Self {
        Self { given_up: Some(given_up), ..self }
    }

    /// Ends when this says no. It is asked every 50 ms.
    pub(crate) fn while_wanted(self, is_wanted: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { wanted: Some(is_wanted), ..self }
    }

    /// Compiles at a place that was taken before.
    pub fn at(self, place: Option<&'a CompilePlace<'a>>) -> Self {
        Self { place, ..self }
    }

    /// Waits for a place of an uploaded component, before its bytes are read; `None` where no
    /// worker compiles.
    ///
    /// # Errors
    /// [`LoadError`], when nobody wants it any more, or it has waited for too long.
    pub fn module_place(&self) -> Result<Option<CompilePlace<'a>>, LoadError> {
        let is_here = self.workers.program.is_none();
        if is_here { Ok(None) } else { self.wait(&self.workers.modules).map(Some) }
    }

    fn wait(&self, places: &'a CompilePlaces) -> Result<CompilePlace<'a>, LoadError> {
        let began = Instant::now();
        let patience = self.workers.budget.patience;
        let is_wanted = &mut || self.is_wanted() && began.elapsed() < patience;
        places.take(self.asker, is_wanted).map_err(|_| match self.is_wanted() {
            false => LoadError::CompileGivenUp,
            true => LoadError::CompileDelayed {
                message: format!(
                    "Compilation has waited for {} s for others to end. Try again when the machine has less to do.",
                    patience.as_secs()
                ),
            },
        })
    }

    /// Charge for the memory of a worker; `None` of the broker itself, which restores what it has.
    fn charge(&self) -> Option<WorkerCharge> {
        let is_bounded = match self.asker.rank {
            Rank::Broker => return None,
            // Administrators may install even if guests use all their memory.
            Rank::Administrator => false,
            Rank::User => true,
        };
        Some(self.workers.memory.charge(self.asker.owner.quota_key, is_bounded))
    }

    fn is_wanted(&self) -> bool {
        let is_same = |account: Arc<Account>, identity: &Identity| account.number == identity.account();
        let has_user = |(tenant, identity): (&Tenant, &Identity)| match identity.user() {
            None => true,
            Some(_) => tenant.users.account_of(identity).is_some_and(|account| is_same(account, identity)),
        };
        !self.workers.is_stopping.load(Ordering::Acquire)
            && !self.given_up.is_some_and(|given_up| given_up.load(Ordering::Acquire))
            && self.wanted.is_none_or(|is_wanted| is_wanted())
            && self.user.is_none_or(has_user)
    }
}

impl CompileElsewhere for CompileFor<'_> {
    fn compile(&self, job: &CompileJob<'_>) -> Result<Option<Artifact>, LoadError> {
        let Some(program) = &self.workers.program else { return Ok(None) };
        let places = match job.source() {
            ComponentSource::Compiler if job.bytes() < WORKER_PROGRAM_BYTES => return Ok(None),
            ComponentSource::Compiler => &self.workers.programs,
            ComponentSource::Upload => &self.workers.modules,
        };
        let _place = if self.place.is_some() { None } else { Some(self.wait(places)?) };
        let mut charge = self.charge();
        let look = &mut |usage: WorkerUsage| {
            // The worker has a bound of time, so the thread that waits for it does not hang.
            goes_on(Instant::now());
            if !self.is_wanted() {
                return Err(LoadError::CompileGivenUp);
            }
            charge.as_mut().map_or(Ok(()), |charge| charge.set(usage.memory_bytes))
        };
        compile_in_worker(program, job, &self.workers.budget, look).map(Some)
    }
}
