//! Native code of binaries: from the code cache, from a worker process, or made in this process.
//!
//! Not here: what a binary must look like (`validate`), and the worker (`compiler`).

use std::sync::OnceLock;

use wasmtime::{
    Module, OptLevel, RegallocAlgorithm,
    component::{Component, InstancePre},
};

use super::{BinaryKind, CompileJob, Compiler, MAIN_MODULE, MemoryLayout, Tier, config};
use crate::{
    LoadError, World,
    cache::{
        CodeCache,
        native::{self, Artifact},
    },
    heap, inert,
    state::RunState,
    validate::{self, ComponentSource, Summary},
};

/// A form of native code: component or core module.
pub(super) trait NativeForm: Sized {
    const KIND: BinaryKind;
    fn cached(cache: &CodeCache, engine: &wasmtime::Engine, binary: &[u8]) -> Option<Self>;
    fn of_artifact(engine: &wasmtime::Engine, artifact: &Artifact) -> wasmtime::Result<Self>;
    fn compile(engine: &wasmtime::Engine, binary: &[u8]) -> wasmtime::Result<Self>;
    fn serialize(&self) -> wasmtime::Result<Vec<u8>>;
}

impl NativeForm for Component {
    const KIND: BinaryKind = BinaryKind::Component;

    fn cached(cache: &CodeCache, engine: &wasmtime::Engine, binary: &[u8]) -> Option<Self> {
        cache.component(engine, binary)
    }

    fn of_artifact(engine: &wasmtime::Engine, artifact: &Artifact) -> wasmtime::Result<Self> {
        native::component(engine, artifact.into())
    }

    fn compile(engine: &wasmtime::Engine, binary: &[u8]) -> wasmtime::Result<Self> {
        Component::from_binary(engine, binary)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Component::serialize(self)
    }
}

impl NativeForm for Module {
    const KIND: BinaryKind = BinaryKind::CoreModule;

    fn cached(cache: &CodeCache, engine: &wasmtime::Engine, binary: &[u8]) -> Option<Self> {
        cache.module(engine, binary)
    }

    fn of_artifact(engine: &wasmtime::Engine, artifact: &Artifact) -> wasmtime::Result<Self> {
        native::module(engine, artifact.into())
    }

    fn compile(engine: &wasmtime::Engine, binary: &[u8]) -> wasmtime::Result<Self> {
        Module::from_binary(engine, binary)
    }

    fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        Module::serialize(self)
    }
}

/// Optimised code from the cache, or else made in this process and cached.
pub(super) fn found_or_made<F: NativeForm>(
    engine: &wasmtime::Engine,
    cache: Option<&CodeCache>,
    binary: &[u8],
) -> wasmtime::Result<F> {
    match cache.and_then(|cache| F::cached(cache, engine, binary)) {
        Some(found) => Ok(found),
        None => made(engine, cache, binary),
    }
}

fn made<F: NativeForm>(
    engine: &wasmtime::Engine,
    cache: Option<&CodeCache>,
    binary: &[u8],
) -> wasmtime::Result<F> {
    let code = F::compile(engine, binary)?;
    if let Some(cache) = cache {
        cache.store(binary, &code.serialize()?);
    }
    heap::settle_compiled(binary.len());
    Ok(code)
}

/// An engine that compiles for one with this layout, and runs nothing: it has no pool.
pub(crate) fn compiling_engine(layout: MemoryLayout, tier: Tier) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = config(wasmtime::InstanceAllocationStrategy::OnDemand);
    layout.apply(&mut config);
    if tier == Tier::Baseline {
        // An engine that optimises loads this code as well: wasmtime compares neither setting.
        config
            .cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    wasmtime::Engine::new(&config)
}

/// Native code of a form of binary, made in this process.
pub(crate) fn precompile(
    engine: &wasmtime::Engine,
    kind: BinaryKind,
    binary: &[u8],
) -> wasmtime::Result<Vec<u8>> {
    match kind {
        BinaryKind::Component => engine.precompile_component(binary),
        BinaryKind::CoreModule => engine.precompile_module(binary),
    }
}

/// Engine of the baseline tier in this process, made when it is first needed.
#[derive(Default)]
pub(super) struct BaselineEngine(OnceLock<wasmtime::Engine>);

impl BaselineEngine {
    fn get(&self, layout: MemoryLayout) -> wasmtime::Result<&wasmtime::Engine> {
        if let Some(engine) = self.0.get() {
            return Ok(engine);
        }
        let made = compiling_engine(layout, Tier::Baseline)?;
        Ok(self.0.get_or_init(|| made))
    }
}

impl Compiler<'_> {
    /// The native code of a component, or of a core module in its shell, with everything linked
    /// that it imports.
    pub(crate) fn prepare(
        self,
        binary: &[u8],
        world: World,
        source: ComponentSource,
    ) -> Result<(InstancePre<RunState>, Summary), LoadError> {
        let summary = validate::check(binary, world, source)?;
        let mismatch = |error: wasmtime::Error| LoadError::world_mismatch(world, &error);
        let shared = &self.engine.0;
        let shell = shared.shells.iter().find(|(of, _)| *of == world);
        if let (true, Some((_, shell))) = (summary.is_linked, shell) {
            let module = self.code::<Module>(binary, source)?;
            let mut linker = shared.linker.clone();
            linker.root().module(MAIN_MODULE, &module).map_err(mismatch)?;
            return Ok((linker.instantiate_pre(shell).map_err(mismatch)?, summary));
        }
        let component = self.component(binary, source)?;
        let linker = inert::link(&shared.linker, &component, &summary.imports).map_err(mismatch)?;
        Ok((linker.instantiate_pre(&component).map_err(mismatch)?, summary))
    }

    /// The native code of a component.
    pub(crate) fn component(self, binary: &[u8], source: ComponentSource) -> Result<Component, LoadError> {
        self.code(binary, source)
    }

    fn code<F: NativeForm>(self, binary: &[u8], source: ComponentSource) -> Result<F, LoadError> {
        let shared = &self.engine.0;
        let cache = shared.cache.as_ref();
        if let Some(found) = cache.and_then(|cache| F::cached(cache, &shared.engine, binary)) {
            return Ok(found);
        }
        let (kind, tier, layout) = (F::KIND, self.tier, shared.pool.layout());
        let job = CompileJob { binary, kind, source, tier, layout };
        let elsewhere = self.elsewhere.map(|elsewhere| elsewhere.compile(&job)).transpose()?.flatten();
        let artifact = match (elsewhere, tier) {
            (Some(artifact), _) => artifact,
            (None, Tier::Baseline) => {
                let baseline = shared.baseline.get(layout).map_err(compile_failed)?;
                Artifact::of_this_process(precompile(baseline, kind, binary).map_err(compile_failed)?)
            }
            (None, Tier::Optimised) => return made(&shared.engine, cache, binary).map_err(compile_failed),
        };
        let code = F::of_artifact(&shared.engine, &artifact).map_err(compile_failed)?;
        if let Some(cache) = cache.filter(|_| tier == Tier::Optimised) {
            cache.store(binary, artifact.bytes());
        }
        Ok(code)
    }
}

pub(super) fn compile_failed(error: wasmtime::Error) -> LoadError {
    let text = format!("{error:#}");
    match text.contains("memory does not fit in pooling allocator") {
        true => LoadError::compile_failed(&format!(
            "A memory of the component begins larger than that of a module may be, whatever -memory says: {text}"
        )),
        false => LoadError::compile_failed(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, EngineOptions, PoolKind};

    /// Code of a worker, whose engine has no pool, is loaded by an engine of each kind of pool,
    /// at both tiers.
    #[test]
    fn code_of_each_tier_made_without_a_pool_is_loaded_with_one() {
        let module =
            wat::parse_str("(module (memory 1) (func (export \"f\") (result i32) (i32.load (i32.const 8))))");
        let module = module.unwrap();
        for address_space_bytes in [None, Some(2 << 30)] {
            let options =
                EngineOptions { instances_max: 16, address_space_bytes, ..EngineOptions::default() };
            let engine = Engine::new(&options).unwrap();
            assert_eq!(engine.pool().kind == PoolKind::Dense, address_space_bytes.is_some());
            for tier in [Tier::Baseline, Tier::Optimised] {
                let compiling = compiling_engine(engine.pool().layout(), tier).unwrap();
                let bytes = precompile(&compiling, BinaryKind::CoreModule, &module).unwrap();
                let artifact = Artifact::of_this_process(bytes);
                Module::of_artifact(engine.wasmtime(), &artifact).unwrap();
                Component::of_artifact(engine.wasmtime(), &artifact).map(drop).unwrap_err();
            }
        }
    }
}
