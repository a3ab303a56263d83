//! How much address space the instance pool takes: decided when the process starts.
//!
//! With plenty of it each memory has 4 GiB to itself, so that the compiled code needs no bounds checks. In a small one (`ulimit -v`, 39-bit
//! ARM) the slots are dense: as large as the largest memory, with explicit checks (5 to 10 % slower calls).

use super::{EngineError, EngineOptions};
use crate::limits;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Guard pages behind each memory of a dense pool.
const DENSE_GUARD_BYTES: u64 = 64 * KIB;

/// Fewest instances with which it makes sense to start.
const INSTANCES_MIN: u32 = 8;

/// Largest memory of a dense pool when 64 MiB per slot would leave too few of them.
const DENSE_SMALL_MEMORY_BYTES: u64 = 16 * MIB;

/// Tables for which there is room, per instance.
const TABLES_PER_INSTANCE: u32 = 2;

/// Which kind of pool an engine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// 4 GiB of address space per memory.
    Wide,
    /// As much address space per memory as the largest one may have.
    Dense,
}

/// What an engine reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Kind of the slots.
    pub kind: PoolKind,
    /// Component instances alive at once.
    pub instances_max: u32,
    /// Largest linear memory of one instance, in bytes.
    pub memory_bytes_max: usize,
}

impl Pool {
    /// Memories: an Action of LoT has its own one and the runtime's, shared half and half with hand-written ones that have one.
    fn memories(&self) -> u32 {
        self.instances_max + self.instances_max / 2
    }

    /// Address space that the memories take, in bytes.
    fn bytes(&self) -> u64 {
        let slot = match self.kind {
            PoolKind::Wide => 4 * GIB + 32 * MIB,
            PoolKind::Dense => self.memory_bytes_max as u64 + DENSE_GUARD_BYTES,
        };
        let tables = u64::from(self.instances_max * TABLES_PER_INSTANCE);
        let other = tables * limits::TABLE_ELEMENTS_MAX as u64 * 8;
        slot * u64::from(self.memories())
            + other
            + u64::from(self.stacks()) * limits::FIBER_STACK_BYTES as u64
    }

    /// Stacks of instances on fibers, those of routes: where there is address space, all may be such.
    pub(super) fn stacks(&self) -> u32 {
        match self.kind {
            PoolKind::Wide => self.instances_max,
            PoolKind::Dense => (self.instances_max / 8).clamp(4, 512),
        }
    }

    fn configure(&self, make: impl Fn(InstanceAllocationStrategy) -> Config) -> Config {
        let mut pool = PoolingAllocationConfig::default();
        let instances = self.instances_max;
        pool.total_component_instances(instances)
            .total_core_instances(instances * 4)
            .total_memories(self.memories())
            .total_tables(instances * TABLES_PER_INSTANCE)
            .table_elements(limits::TABLE_ELEMENTS_MAX)
            .total_stacks(self.stacks())
            .max_core_instances_per_component(64)
            .max_memories_per_component(8)
            .max_tables_per_component(16)
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

/// Makes the engine with the largest pool that fits into a quarter of the address space; the rest is for the broker itself.
pub(super) fn reserve(
    options: &EngineOptions,
    make: impl Fn(InstanceAllocationStrategy) -> Config,
) -> Result<(wasmtime::Engine, Pool), EngineError> {
    let address_space = options.address_space_bytes.or_else(limit_of_process).unwrap_or(u64::MAX);
    let budget = if address_space == u64::MAX { u64::MAX } else { address_space / 4 };
    let mut refusal = None;
    for pool in candidates(options).filter(|pool| pool.bytes() <= budget) {
        match wasmtime::Engine::new(&pool.configure(&make)) {
            Ok(engine) => return Ok((engine, pool)),
            Err(error) => refusal = Some(EngineError::Engine(format!("{error:#}"))),
        }
    }
    Err(refusal.unwrap_or_else(|| EngineError::AddressSpace {
        address_space_bytes: address_space,
        needed_bytes: candidates(options).last().map_or(0, |pool| pool.bytes() * 4),
    }))
}

/// Pools from the best to the smallest.
fn candidates(options: &EngineOptions) -> impl Iterator<Item = Pool> {
    let wanted = options.instances_max.max(INSTANCES_MIN);
    let memory = options.memory_bytes_max.clamp(MIB as usize, 4 * GIB as usize);
    let small = memory.min(DENSE_SMALL_MEMORY_BYTES as usize);
    let pool = |kind, instances_max, memory_bytes_max| Pool { kind, instances_max, memory_bytes_max };
    let halves = move || {
        std::iter::successors(Some(wanted), |count| {
            (*count > INSTANCES_MIN).then(|| (count / 2).max(INSTANCES_MIN))
        })
    };
    std::iter::once(pool(PoolKind::Wide, wanted, memory))
        .chain(
            halves().take_while(|count| *count >= 64).map(move |count| pool(PoolKind::Dense, count, memory)),
        )
        .chain(halves().map(move |count| pool(PoolKind::Dense, count, small)))
}

/// `ulimit -v`; `None` when there is no limit.
fn limit_of_process() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_within(budget: u64) -> Option<Pool> {
        candidates(&EngineOptions::default()).find(|pool| pool.bytes() <= budget)
    }

    /// Nothing but their size is smaller in a dense pool, so that what runs on a server runs on a gateway.
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
        let smallest = candidates(&EngineOptions::default()).last().unwrap();
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
}
