//! How much address space the instance pool takes: decided when the process starts.
//!
//! With plenty of it each memory has 4 GiB to itself, so that the compiled code needs no bounds
//! checks. In a small one (`ulimit -v`, 39-bit ARM) the slots are dense: as large as the largest
//! memory, with explicit checks (5 to 10 % slower calls).
//!
//! The pool also takes memory mappings, of which a process has 65,530 by default: two for each
//! stack from the start, and up to four for each memory that an instance has used. They stay with
//! the slot. The pool takes at most half of those of the process.

use super::{EngineError, EngineOptions, code};
use crate::{limits, memory::PoolPlaces};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Guard pages behind each memory of a dense pool.
const DENSE_GUARD_BYTES: u64 = 64 * KIB;

/// Fewest instances with which it makes sense to start.
const INSTANCES_MIN: u32 = 8;

/// Fewest stacks: of a few routes.
const STACKS_MIN: u32 = 4;

/// Largest memory of a dense pool when 64 MiB per slot would leave too few of them.
const DENSE_SMALL_MEMORY_BYTES: u64 = 16 * MIB;

/// Tables for which there is room, per instance.
const TABLES_PER_INSTANCE: u32 = 2;

/// Memory mappings of a stack: itself, and its guard page.
const MAPPINGS_PER_STACK: u64 = 2;

/// Memory mappings of a memory: before its image, the image, behind it, and the unused rest.
const MAPPINGS_PER_MEMORY: u64 = 4;

/// Mappings of the process for each stack: stacks take a sixteenth of them at most.
const STACKS_PER_MAPPINGS: u64 = 32;

/// Part of the mappings of the process that the pool takes at most, one in so many.
const POOL_MAPPINGS_PART: u64 = 2;

/// Kind of the pool of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// 4 GiB of address space per memory.
    Wide,
    /// As much address space per memory as the largest one may have.
    Dense,
}

/// Resources that an engine reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Kind of the slots.
    pub kind: PoolKind,
    /// Component instances alive at once.
    pub instances_max: u32,
    /// Largest linear memory of one instance, in bytes.
    pub memory_bytes_max: usize,
    /// Stacks of instances on fibers, those of routes and of modules for logins.
    pub stacks_max: u32,
}

impl Pool {
    /// Memories: an Action of LoT has its own one and the runtime's, shared half and half with
    /// hand-written ones that have one.
    fn memories(&self) -> u32 {
        self.instances_max + self.instances_max / 2
    }

    /// Tables: of functions that are called indirectly.
    fn tables(&self) -> u32 {
        self.instances_max * TABLES_PER_INSTANCE
    }

    /// Places that it has for instances.
    pub(super) fn places(&self) -> PoolPlaces {
        PoolPlaces { instances: self.instances_max, memories: self.memories(), tables: self.tables() }
    }

    /// Memory mappings that it takes at most.
    pub fn mappings(&self) -> u64 {
        u64::from(self.stacks_max) * MAPPINGS_PER_STACK + u64::from(self.memories()) * MAPPINGS_PER_MEMORY
    }

    /// Address space that the memories take, in bytes.
    fn bytes(&self) -> u64 {
        let slot = match self.kind {
            PoolKind::Wide => 4 * GIB + 32 * MIB,
            PoolKind::Dense => self.memory_bytes_max as u64 + DENSE_GUARD_BYTES,
        };
        let other = u64::from(self.tables()) * limits::TABLE_ELEMENTS_MAX as u64 * 8;
        slot * u64::from(self.memories())
            + other
            + u64::from(self.stacks_max) * limits::FIBER_STACK_BYTES as u64
    }

    fn configure(&self, make: impl Fn(InstanceAllocationStrategy) -> Config) -> Config {
        let mut pool = PoolingAllocationConfig::default();
        let instances = self.instances_max;
        // Nothing is reserved for core instances: they are only counted, so that there are as many
        // as all instances may have.
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(limits::CORE_INSTANCES_MAX))
            .total_memories(self.memories())
            .total_tables(self.tables())
            .table_elements(limits::TABLE_ELEMENTS_MAX)
            .total_stacks(self.stacks_max)
            .max_core_instances_per_component(limits::CORE_INSTANCES_MAX)
            .max_memories_per_component(limits::MEMORIES_MAX)
            .max_tables_per_component(limits::TABLES_MAX)
            .max_memory_size(self.memory_bytes_max);
        let mut config = make(InstanceAllocationStrategy::Pooling(pool));
        self.layout().apply(&mut config);
        config
    }

    /// How code for this pool addresses memories.
    pub(crate) fn layout(&self) -> MemoryLayout {
        MemoryLayout { kind: self.kind, memory_bytes_max: self.memory_bytes_max }
    }
}

/// Layout of linear memories, as far as compiled code depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLayout {
    pub(crate) kind: PoolKind,
    /// Largest linear memory in bytes.
    pub(crate) memory_bytes_max: usize,
}

impl MemoryLayout {
    pub(super) fn apply(self, config: &mut Config) {
        if self.kind == PoolKind::Dense {
            config.memory_reservation(self.memory_bytes_max as u64).memory_guard_size(DENSE_GUARD_BYTES);
        }
    }
}

/// Makes the engine with the largest pool that fits into a quarter of the address space and half of
/// the memory mappings; the rest is for the broker itself.
pub(super) fn reserve(
    options: &EngineOptions,
    make: impl Fn(InstanceAllocationStrategy) -> Config,
) -> Result<(wasmtime::Engine, Pool), EngineError> {
    let address_space = options.address_space_bytes.or_else(limit_of_process).unwrap_or(u64::MAX);
    let budget = if address_space == u64::MAX { u64::MAX } else { address_space / 4 };
    let mappings = options.mappings.unwrap_or_else(code::of_process);
    let mut refusal = None;
    for pool in candidates(options, mappings).filter(|pool| pool.bytes() <= budget) {
        match wasmtime::Engine::new(&pool.configure(&make)) {
            Ok(engine) => return Ok((engine, pool)),
            Err(error) => refusal = Some(EngineError::Engine(format!("{error:#}"))),
        }
    }
    Err(refusal.unwrap_or_else(|| EngineError::AddressSpace {
        address_space_bytes: address_space,
        needed_bytes: candidates(options, mappings).last().map_or(0, |pool| pool.bytes() * 4),
    }))
}

/// Pools from the best to the smallest, for a process with so many memory mappings.
fn candidates(options: &EngineOptions, mappings: u64) -> impl Iterator<Item = Pool> {
    let memory = options.memory_bytes_max.clamp(MIB as usize, 4 * GIB as usize);
    let small = memory.min(DENSE_SMALL_MEMORY_BYTES as usize);
    let stacks = u32::try_from(mappings / STACKS_PER_MAPPINGS).unwrap_or(u32::MAX).max(STACKS_MIN);
    let pool = move |kind, instances_max: u32, memory_bytes_max| {
        // With enough address space all instances may be on fibers.
        let wanted = match kind {
            PoolKind::Wide => instances_max,
            PoolKind::Dense => (instances_max / 8).clamp(STACKS_MIN, 512),
        };
        Pool { kind, instances_max, memory_bytes_max, stacks_max: wanted.min(stacks) }
    };
    let has_mappings =
        |count: &u32| pool(PoolKind::Wide, *count, memory).mappings() <= mappings / POOL_MAPPINGS_PART;
    let wanted = halves(options.instances_max.max(INSTANCES_MIN)).find(has_mappings).unwrap_or(INSTANCES_MIN);
    std::iter::once(pool(PoolKind::Wide, wanted, memory))
        .chain(
            halves(wanted)
                .take_while(|count| *count >= 64)
                .map(move |count| pool(PoolKind::Dense, count, memory)),
        )
        .chain(halves(wanted).map(move |count| pool(PoolKind::Dense, count, small)))
}

/// Numbers of instances from the wanted one to the fewest, each half of the one before.
fn halves(wanted: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(wanted), |count| {
        (*count > INSTANCES_MIN).then(|| (count / 2).max(INSTANCES_MIN))
    })
}

/// `ulimit -v`; `None` when there is no limit.
fn limit_of_process() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many mappings as many distributions set.
    const PLENTY: u64 = 1_048_576;

    fn first_within(budget: u64) -> Option<Pool> {
        candidates(&EngineOptions::default(), PLENTY).find(|pool| pool.bytes() <= budget)
    }

    /// A dense pool is smaller only in its sizes, so that a guest of a server runs on a gateway.
    #[test]
    fn the_interpreter_of_scripts_fits_into_the_smallest_pool() {
        let packed = include_bytes!("../../../../guests/python/prebuilt/python.wasm.zst");
        let component = crate::packed::unpack(packed).unwrap();
        let (mut elements, mut pages) = (0, 0);
        for payload in wasmparser::Parser::new(0).parse_all(&component) {
            let payload = payload.unwrap();
            if let wasmparser::Payload::TableSection(tables) = &payload {
                tables
                    .clone()
                    .into_iter()
                    .for_each(|table| elements = table.unwrap().ty.initial.max(elements));
            }
            if let wasmparser::Payload::MemorySection(memories) = &payload {
                memories.clone().into_iter().for_each(|memory| pages = memory.unwrap().initial.max(pages));
            }
        }
        assert!((1_000..=limits::TABLE_ELEMENTS_MAX as u64).contains(&elements), "{elements} elements");
        assert!((1..=DENSE_SMALL_MEMORY_BYTES / 65_536).contains(&pages), "{pages} pages");
        let smallest = candidates(&EngineOptions::default(), PLENTY).last().unwrap();
        let make = |strategy| {
            let mut config = Config::new();
            config.allocation_strategy(strategy);
            config
        };
        let engine = wasmtime::Engine::new(&smallest.configure(make)).unwrap();
        let table = format!(
            "(component (core module $m (table {elements} funcref)) (core instance (instantiate $m)))"
        );
        wasmtime::component::Component::new(&engine, wat::parse_str(table).unwrap()).unwrap();
    }

    #[test]
    fn a_smaller_address_space_gets_a_smaller_pool() {
        for (budget, expected) in [
            (u64::MAX, Some((PoolKind::Wide, 4000, 64 * MIB))),
            (400 * GIB, Some((PoolKind::Dense, 4000, 64 * MIB))),
            (128 * GIB, Some((PoolKind::Dense, 1000, 64 * MIB))),
            (4 * GIB, Some((PoolKind::Dense, 125, 16 * MIB))),
            (GIB, Some((PoolKind::Dense, 31, 16 * MIB))),
            (100 * MIB, None),
        ] {
            let found = first_within(budget)
                .map(|pool| (pool.kind, pool.instances_max, pool.memory_bytes_max as u64));
            assert_eq!(found, expected, "{budget}");
        }
    }

    #[test]
    fn fewer_memory_mappings_get_a_smaller_pool() {
        for (mappings, expected) in [
            (PLENTY, (4000, 4000)),
            (65_530, (4000, 2047)),
            (16_000, (1000, 500)),
            (1_000, (62, 31)),
            (10, (8, 4)),
        ] {
            let pool = candidates(&EngineOptions::default(), mappings).next().unwrap();
            assert_eq!((pool.instances_max, pool.stacks_max), expected, "{mappings}");
            assert!(pool.mappings() <= mappings / 2 || pool.instances_max == INSTANCES_MIN, "{mappings}");
        }
    }
}
