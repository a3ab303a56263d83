//! The one engine of a process: configuration, instance pool, ticker, core modules, cache.
//!
//! Invariants: epochs are on and move while guests run, fuel is off; the component model's own
//! concurrency is off (it triples the cost of a call); native code comes from this machine's
//! compiler or its authenticated cache, never from an upload. Not here: the checks of a component
//! (`validate`), and running one (`instance`).

mod code;
mod compiler;
mod loaded;
mod native_code;
mod pool;

pub(crate) use crate::ticker::Ticker;
use code::CodeSums;
pub use code::{CodeAccount, CodeBound, CodeUse};
pub use compiler::{
    BinaryKind, CompileBudget, CompileElsewhere, CompileJob, Compiler, Tier, WORKER_COMMAND, WorkerCharge,
    WorkerMemory, WorkerUsage, compile_in_worker, worker_main,
};
pub(crate) use loaded::CodeShare;
use loaded::LoadedCodes;
pub(crate) use native_code::{compiling_engine, precompile};
pub(crate) use pool::MemoryLayout;
pub use pool::{Pool, PoolKind};

use crate::{
    LoadError, MailboxRoom, World,
    cache::{CodeCache, made_for_us_alone},
    functions, heap, limits,
    memory::{GuestSums, SocketSums, shares},
    patterns::PatternCache,
    state::RunState,
};
use lotmq_pulse::Pulses;
use lotmq_shares::AccountShares;
use native_code::{BaselineEngine, compile_failed, found_or_made};
use std::{borrow::Cow, fmt, path::PathBuf, sync::Arc};
use wasmtime::{
    Config, InstanceAllocationStrategy, Module,
    component::{Component, Linker},
};

/// Import of the shell that the core module of a definition takes.
pub const MAIN_MODULE: &str = "main";

/// How an [`Engine`] is made.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Directory for compiled code, made when missing; `None` compiles anew in each process. It
    /// holds a key that must not be copied into backups, see
    /// [`CACHE_KEY_FILE`](crate::CACHE_KEY_FILE).
    pub cache_dir: Option<PathBuf>,
    /// Directory for the native code of what every process of a user has in common and nobody
    /// uploads: the interpreter of Python, and without a `cache_dir` the core modules and shells.
    /// It is looked into only when `cache_dir` has none, and used only while nobody else may write
    /// to it. `None`: that code is in `cache_dir`, too.
    pub shared_cache_dir: Option<PathBuf>,
    /// Component instances alive at once; fewer when the address space is small. Default
    /// [`limits::INSTANCES_MAX`].
    pub instances_max: u32,
    /// Largest linear memory of one instance in bytes; smaller when the address space is small.
    /// Default 64 MiB, at most 4 GiB.
    pub memory_bytes_max: usize,
    /// Linear memory of all instances together in bytes, but for those of rules. Default: no bound
    /// but those of the instances.
    pub all_memory_bytes_max: u64,
    /// Address space that may be used, in bytes. Default: the limit of the process (`ulimit -v`).
    pub address_space_bytes: Option<u64>,
    /// Memory mappings that the process may have. Default: the limit of the system
    /// (`vm.max_map_count`).
    pub mappings: Option<u64>,
    /// Memory mappings that compiled code may have. Default: the rest that the pool and a reserve
    /// for the process leave.
    pub code_mappings_max: Option<u64>,
    /// Memory of compiled code in bytes. Default: no bound.
    pub code_bytes_max: u64,
    /// Core modules that components of our own compiler import by name, such as the LoT runtime as
    /// `rt`.
    pub core_modules: Vec<(String, Cow<'static, [u8]>)>,
    /// Components with which core modules of our own compiler are linked, one for each world that
    /// it compiles to: they import each as the core module [`MAIN_MODULE`]. Native code, types and
    /// glue of a shell are made once for all of its world.
    pub shells: Vec<(World, Cow<'static, [u8]>)>,
    /// Watchdog for the ticker. Default: none.
    pub pulses: Pulses,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            cache_dir: None,
            shared_cache_dir: None,
            instances_max: limits::INSTANCES_MAX,
            memory_bytes_max: limits::ACTION_MEMORY_BYTES,
            all_memory_bytes_max: u64::MAX,
            address_space_bytes: None,
            mappings: None,
            code_mappings_max: None,
            code_bytes_max: u64::MAX,
            core_modules: Vec::new(),
            shells: Vec::new(),
            pulses: Pulses::default(),
        }
    }
}

/// Why an [`Engine`] could not be made. All are of the environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Not even the smallest pool fits.
    #[error(
        "no room for guests: the process may use {address_space_bytes} bytes of address space, {needed_bytes} are needed"
    )]
    AddressSpace {
        /// Bytes that the process may use.
        address_space_bytes: u64,
        /// Bytes that the smallest pool needs.
        needed_bytes: u64,
    },
    /// The engine refused its configuration, or could not reserve memory.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// A core module is not valid.
    #[error("core module '{name}' does not compile: {reason}")]
    CoreModule {
        /// Its import name.
        name: String,
        /// The compiler's text.
        reason: String,
    },
    /// A shell is not valid.
    #[error("the shell of linked definitions does not compile: {0}")]
    Shell(String),
    /// The cache directory or its key cannot be used.
    #[error("code cache {path}: {source}")]
    Cache {
        /// The directory or file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The ticker thread could not be started.
    #[error("the ticker thread does not start: {0}")]
    Ticker(std::io::Error),
}

/// The engine. One per process: it reserves address space for all guests. Clones share it. Each has
/// the account for which the code counts that it compiles.
#[derive(Clone)]
pub struct Engine(Arc<Shared>, CodeAccount);

struct Shared {
    engine: wasmtime::Engine,
    /// Host functions, and the core modules that our own components may import.
    linker: Linker<RunState>,
    shells: Vec<(World, Component)>,
    ticker: Ticker,
    baseline: BaselineEngine,
    cache: Option<CodeCache>,
    shared_cache_dir: Option<PathBuf>,
    pool: Pool,
    code: CodeSums,
    loaded: Arc<LoadedCodes>,
    memory: GuestSums,
    memory_of_rules: GuestSums,
    stacks: Arc<AccountShares>,
    sockets: SocketSums,
    mailboxes: Arc<AccountShares>,
    patterns: Arc<PatternCache>,
    patterns_of_rules: Arc<PatternCache>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("pool", &self.0.pool).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the engine of a command-line tool with the user's directory for compiled code. The
    /// tool compiles in each process if it cannot write there. It also does if other users can
    /// change the files, for example when `root` runs the tool in a user's home.
    pub fn of_user(cache_dir: Option<PathBuf>, options: &EngineOptions) -> Result<Engine, EngineError> {
        let own = cache_dir.filter(|dir| made_for_us_alone(dir).is_ok());
        let kept = EngineOptions { cache_dir: own, ..options.clone() };
        Engine::new(&kept).or_else(|_| Engine::new(options))
    }

    /// Starts the engine: reserves the pool, compiles (or fetches) the core modules, starts the
    /// ticker thread.
    pub fn new(options: &EngineOptions) -> Result<Engine, EngineError> {
        // Before anything large is allocated: a threshold that has grown does not shrink.
        heap::keep_little();
        let (engine, pool) = pool::reserve(options, config)?;
        let cache = options.cache_dir.as_deref().map(|dir| CodeCache::open(dir, &engine)).transpose();
        let cache = cache.map_err(|(path, source)| EngineError::Cache { path, source })?;
        let shared = options.shared_cache_dir.as_deref().filter(|_| cache.is_none());
        let shared = shared.and_then(|dir| CodeCache::open_shared(dir, &engine));
        let of_parts = cache.as_ref().or(shared.as_ref());
        let mut linker = Linker::new(&engine);
        functions::link(&mut linker).map_err(|error| EngineError::Engine(format!("{error:#}")))?;
        for (name, bytes) in &options.core_modules {
            let module = found_or_made::<Module>(&engine, of_parts, bytes)
                .and_then(|module| linker.root().module(name, &module))
                .map_err(|error| EngineError::CoreModule {
                    name: name.clone(),
                    reason: format!("{error:#}"),
                });
            module?;
        }
        let compiled = options.shells.iter().map(|(world, bytes)| {
            let shell = found_or_made::<Component>(&engine, of_parts, bytes);
            Ok((*world, shell.map_err(|error| EngineError::Shell(format!("{error:#}")))?))
        });
        let shells = compiled.collect::<Result<_, EngineError>>()?;
        let pulse = options.pulses.add("the clock of running guests", limits::TICKER_SILENCE_MAX);
        let ticker = Ticker::start(engine.weak(), pulse).map_err(EngineError::Ticker)?;
        let code = CodeSums::new(options, pool.mappings());
        let memory = GuestSums::new(options.all_memory_bytes_max, pool.places());
        let memory_of_rules = memory.of_rules();
        let stacks = shares(pool.stacks_max.into());
        let sockets = SocketSums {
            accepted: shares(limits::ACCEPTED_CONNECTIONS_MAX),
            opened: shares(limits::OPENED_SOCKETS_MAX),
        };
        let mailboxes = shares(options.all_memory_bytes_max / limits::MAILBOXES_MEMORY_PART);
        let patterns = PatternCache::new(limits::PATTERN_CACHE_BYTES_MAX, limits::BACKTRACK_STEPS_MAX);
        let patterns_of_rules =
            PatternCache::new(limits::RULE_PATTERN_CACHE_BYTES_MAX, limits::SHORT_BACKTRACK_STEPS_MAX);
        let shared = Shared {
            engine,
            linker,
            shells,
            ticker,
            baseline: BaselineEngine::default(),
            cache,
            shared_cache_dir: options.shared_cache_dir.clone(),
            pool,
            code,
            loaded: Arc::default(),
            memory,
            memory_of_rules,
            stacks,
            sockets,
            mailboxes,
            patterns,
            patterns_of_rules,
        };
        Ok(Engine(Arc::new(shared), CodeAccount::BROKER))
    }

    /// Returns the same engine for another account, which pays for code compiled from then on.
    #[must_use]
    pub fn for_account(&self, account: CodeAccount) -> Engine {
        Engine(Arc::clone(&self.0), account)
    }

    /// Memory mappings of compiled code.
    pub fn code_mappings(&self) -> CodeUse {
        code::use_of(&self.0.code.mappings)
    }

    /// Memory of compiled code, in bytes.
    pub fn code_memory(&self) -> CodeUse {
        code::use_of(&self.0.code.bytes)
    }

    /// Whether more than half of the mappings or of the memory of compiled code is taken, or of
    /// what this payer may have.
    pub fn code_is_scarce_for(&self, payer: u64) -> bool {
        self.0.code.are_scarce_for(payer)
    }

    /// How often an instance was refused because its owner, or all of them, had as many as there
    /// may be.
    pub fn instance_refusals(&self) -> u64 {
        self.0.memory.instances_refused()
    }

    /// Returns the resources that the pool reserved for instances.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Largest linear memory that one instance can have, in bytes, whatever its own limit says.
    pub fn memory_bytes_max(&self) -> usize {
        self.0.pool.memory_bytes_max
    }

    /// Linear memory that instances have now, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.0.memory.bytes.used()
    }

    /// Memory of compiled patterns, in bytes, about.
    pub fn pattern_bytes(&self) -> u64 {
        self.0.patterns.bytes() + self.0.patterns_of_rules.bytes()
    }

    /// Compiled patterns of all instances but those of rules.
    pub(crate) fn patterns(&self) -> &Arc<PatternCache> {
        &self.0.patterns
    }

    /// Returns the patterns of rules. They have shorter searches, and other guests cannot evict
    /// them.
    pub(crate) fn patterns_of_rules(&self) -> &Arc<PatternCache> {
        &self.0.patterns_of_rules
    }

    /// How often instances were refused memory because all of them together had too much.
    pub fn memory_refusals(&self) -> u64 {
        self.0.memory.bytes.refused()
    }

    /// Account of the memory of worker processes, which share the sum of instances.
    pub fn worker_memory(&self) -> WorkerMemory {
        WorkerMemory::new(&self.0.memory.bytes)
    }

    /// Memory and places in the pool, of all instances but those of rules.
    pub(crate) fn memory(&self) -> &GuestSums {
        &self.0.memory
    }

    /// Stacks for instances on fibers.
    pub(crate) fn stacks(&self) -> &Arc<AccountShares> {
        &self.0.stacks
    }

    /// Sockets of guests.
    pub(crate) fn sockets(&self) -> &SocketSums {
        &self.0.sockets
    }

    /// Sets how many connections all guests together may have accepted by listeners of their own.
    /// The system may allow fewer open files than
    /// [`ACCEPTED_CONNECTIONS_MAX`](limits::ACCEPTED_CONNECTIONS_MAX), which is the upper bound.
    pub fn bound_accepted(&self, connections: u64) {
        self.0.sockets.accepted.set_max(connections.min(limits::ACCEPTED_CONNECTIONS_MAX));
    }

    /// Says how many sockets all guests together may have opened, likewise: at most
    /// [`OPENED_SOCKETS_MAX`](limits::OPENED_SOCKETS_MAX).
    pub fn bound_opened(&self, sockets: u64) {
        self.0.sockets.opened.set_max(sockets.min(limits::OPENED_SOCKETS_MAX));
    }

    /// Bytes that may wait in mailboxes, beyond a first part of each.
    pub(crate) fn mailboxes(&self) -> &Arc<AccountShares> {
        &self.0.mailboxes
    }

    /// Room for a mailbox that the server keeps for a guest which acts for this account.
    pub fn mailbox_room(&self, account: u64) -> MailboxRoom {
        MailboxRoom::new(account, self.mailboxes())
    }

    /// That of rules, of which there are few instances: a rule that gets none denies, and no other
    /// guest is to bring that about.
    pub(crate) fn memory_of_rules(&self) -> &GuestSums {
        &self.0.memory_of_rules
    }

    /// Whether the code cache has optimised code of a binary. It may be evicted before it is used.
    pub fn is_cached(&self, binary: &[u8]) -> bool {
        self.0.cache.as_ref().is_some_and(|cache| cache.has(binary))
    }

    /// Like [`is_cached`](Self::is_cached) for a binary that is read in parts, until `next` returns
    /// `None`.
    ///
    /// # Errors
    /// That of `next`.
    pub fn is_cached_of_parts<B: AsRef<[u8]>, E>(
        &self,
        next: impl FnMut() -> Result<Option<B>, E>,
    ) -> Result<bool, E> {
        self.0.cache.as_ref().map_or(Ok(false), |cache| cache.has_of_parts(next))
    }

    /// How often compiled code was found in the cache, and how often not, since the start.
    pub fn cache_counts(&self) -> (u64, u64) {
        self.0.cache.as_ref().map_or((0, 0), CodeCache::counts)
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.0.ticker
    }

    /// The native code of a component that is kept packed. It is unpacked only when the cache,
    /// which knows it by its packed form, has no code of it.
    pub(crate) fn native_of_packed(
        &self,
        packed: &[u8],
        unpack: impl FnOnce() -> Result<Vec<u8>, LoadError>,
    ) -> Result<Component, LoadError> {
        let cache = self.0.cache.as_ref();
        if let Some(found) = cache.and_then(|cache| cache.component(&self.0.engine, packed)) {
            return Ok(found);
        }
        // Opened on demand, so that a broker without scripts has no files and no thread for it.
        let shared =
            self.0.shared_cache_dir.as_deref().and_then(|dir| CodeCache::open_shared(dir, &self.0.engine));
        if let Some(found) = shared.as_ref().and_then(|shared| shared.component(&self.0.engine, packed)) {
            return Ok(found);
        }
        let compiled = Component::from_binary(&self.0.engine, &unpack()?).map_err(compile_failed)?;
        if let Some(cache) = shared.as_ref().or(cache) {
            cache.store(packed, &compiled.serialize().map_err(compile_failed)?);
        }
        Ok(compiled)
    }
}

/// Everything but the pool.
fn config(strategy: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(strategy)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(limits::GUEST_STACK_BYTES)
        .async_stack_size(limits::FIBER_STACK_BYTES)
        // Compiling must not take the cores that serve clients; an upload compiles on one
        // background thread.
        .parallel_compilation(false)
        // Traps name functions, not offsets: nobody but the engine reads the tables, and they cost
        // memory per definition.
        .generate_address_map(false)
        .debug_symbols(false)
        .native_unwind_info(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false);
    config
}
