//! Native code of binaries: from memory, from the code cache, from a worker process, or compiled in
//! this process. It is loaded only when its owner may have its bytes.
//!
//! Not here: the checks of a binary (`validate`), and the worker (`compiler`).

use std::sync::OnceLock;

use wasmtime::{
    Module, OptLevel, RegallocAlgorithm,
    component::{Component, InstancePre},
};

use super::loaded::{self, CodeShare, LoadedForm, LoadedKey};
use super::{BinaryKind, CompileJob, Compiler, Engine, MAIN_MODULE, MemoryLayout, Tier, config};
use crate::{
    LoadError, World,
    cache::{
        CodeCache,
        native::{self, Artifact, Native},
    },
    heap, inert,
    state::RunState,
    validate::{self, ComponentSource, Summary},
};

/// A form of native code: component or core module.
pub(super) trait NativeForm: Sized {
    const KIND: BinaryKind;
    fn of_native(engine: &wasmtime::Engine, native: Native<'_>) -> wasmtime::Result<Self>;
    fn into_loaded(self) -> LoadedForm;
    fn of_loaded(loaded: LoadedForm) -> Option<Self>;
}

impl NativeForm for Component {
    const KIND: BinaryKind = BinaryKind::Component;

    fn of_native(engine: &wasmtime::Engine, native: Native<'_>) -> wasmtime::Result<Self> {
        native::component(engine, native)
    }

    fn into_loaded(self) -> LoadedForm {
        LoadedForm::Component(self)
    }

    fn of_loaded(loaded: LoadedForm) -> Option<Self> {
        match loaded {
            LoadedForm::Component(component) => Some(component),
            LoadedForm::CoreModule(_) => None,
        }
    }
}

impl NativeForm for Module {
    const KIND: BinaryKind = BinaryKind::CoreModule;

    fn of_native(engine: &wasmtime::Engine, native: Native<'_>) -> wasmtime::Result<Self> {
        native::module(engine, native)
    }

    fn into_loaded(self) -> LoadedForm {
        LoadedForm::CoreModule(self)
    }

    fn of_loaded(loaded: LoadedForm) -> Option<Self> {
        match loaded {
            LoadedForm::CoreModule(module) => Some(module),
            LoadedForm::Component(_) => None,
        }
    }
}

/// Optimised code of a part of the broker: from the cache, or else made in this process and cached.
/// It counts for nobody.
pub(super) fn found_or_made<F: NativeForm>(
    engine: &wasmtime::Engine,
    cache: Option<&CodeCache>,
    binary: &[u8],
) -> wasmtime::Result<F> {
    let found = cache.and_then(|cache| cache.load(binary, |native| F::of_native(engine, native).ok()));
    if let Some(found) = found {
        return Ok(found);
    }
    let artifact = Artifact::of_this_process(precompile(engine, F::KIND, binary)?);
    let code = F::of_native(engine, (&artifact).into())?;
    if let Some(cache) = cache {
        cache.store(binary, artifact.bytes());
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
    ) -> Result<(InstancePre<RunState>, Summary, CodeShare), LoadError> {
        let summary = validate::check(binary, world, source)?;
        let mismatch = |error: wasmtime::Error| LoadError::world_mismatch(world, &error);
        let shared = &self.engine.0;
        let shell = shared.shells.iter().find(|(of, _)| *of == world);
        if let (true, Some((_, shell))) = (summary.is_linked, shell) {
            let (module, share) = self.code::<Module>(binary, source)?;
            let mut linker = shared.linker.clone();
            linker.root().module(MAIN_MODULE, &module).map_err(mismatch)?;
            return Ok((linker.instantiate_pre(shell).map_err(mismatch)?, summary, share));
        }
        let (component, share) = self.component(binary, source)?;
        let linker = inert::link(&shared.linker, &component, &summary.imports).map_err(mismatch)?;
        Ok((linker.instantiate_pre(&component).map_err(mismatch)?, summary, share))
    }

    /// The native code of a component, and the share that keeps it in memory.
    pub(crate) fn component(
        self,
        binary: &[u8],
        source: ComponentSource,
    ) -> Result<(Component, CodeShare), LoadError> {
        self.code(binary, source)
    }

    fn code<F: NativeForm>(
        self,
        binary: &[u8],
        source: ComponentSource,
    ) -> Result<(F, CodeShare), LoadError> {
        let share = self.share::<F>(binary, source)?;
        let code = F::of_loaded(share.form()).ok_or_else(|| {
            let kind = F::KIND;
            LoadError::compile_failed(&format!("loaded code of a {kind:?} has another form"))
        })?;
        Ok((code, share))
    }

    /// Code that is in memory already, or else from the cache, or else compiled.
    fn share<F: NativeForm>(self, binary: &[u8], source: ComponentSource) -> Result<CodeShare, LoadError> {
        let shared = &self.engine.0;
        let payer = (&shared.code, self.engine.1);
        let optimised = LoadedKey::of(F::KIND, Tier::Optimised, binary);
        if let Some(found) = shared.loaded.find(&optimised, payer)? {
            return Ok(found);
        }
        shared.code.check(self.engine.1)?;
        let cached = shared.cache.as_ref().and_then(|cache| {
            // Code that does not load is compiled anew; code that is refused is not.
            cache.load(binary, |native| self.load::<F>(optimised, native, binary).transpose())
        });
        if let Some(found) = cached {
            return found;
        }
        let key = optimised.with_tier(self.tier);
        if self.tier == Tier::Baseline
            && let Some(found) = shared.loaded.find(&key, payer)?
        {
            return Ok(found);
        }
        let artifact = self.compiled::<F>(binary, source)?;
        let store = || {
            if let Some(cache) = shared.cache.as_ref().filter(|_| self.tier == Tier::Optimised) {
                cache.store(binary, artifact.bytes());
            }
        };
        let bytes = loaded::memory_of(artifact.bytes(), binary);
        // The next try costs no compilation.
        let held = shared.code.take(self.engine.1, bytes).inspect_err(|_| store())?;
        let code = F::of_native(&shared.engine, (&artifact).into()).map_err(compile_failed)?;
        store();
        Ok(shared.loaded.add(key, (code.into_loaded(), bytes), (held, self.engine.1.payer)))
    }

    /// Loads code; `None` where it is not for this engine.
    ///
    /// # Errors
    /// When its owner, or all, have as much code as there may be.
    fn load<F: NativeForm>(
        self,
        key: LoadedKey,
        native: Native<'_>,
        binary: &[u8],
    ) -> Result<Option<CodeShare>, LoadError> {
        let Engine(shared, account) = self.engine;
        let bytes = loaded::memory_of(native.bytes(), binary);
        let held = shared.code.take(*account, bytes)?;
        let code = F::of_native(&shared.engine, native).ok();
        Ok(code.map(|code| shared.loaded.add(key, (code.into_loaded(), bytes), (held, account.payer))))
    }

    fn compiled<F: NativeForm>(self, binary: &[u8], source: ComponentSource) -> Result<Artifact, LoadError> {
        let shared = &self.engine.0;
        let (kind, tier, layout) = (F::KIND, self.tier, shared.pool.layout());
        let job = CompileJob { binary, kind, source, tier, layout };
        if let Some(elsewhere) = self.elsewhere
            && let Some(artifact) = elsewhere.compile(&job)?
        {
            return Ok(artifact);
        }
        let engine = match tier {
            Tier::Baseline => shared.baseline.get(layout).map_err(compile_failed)?,
            Tier::Optimised => &shared.engine,
        };
        let artifact = Artifact::of_this_process(precompile(engine, kind, binary).map_err(compile_failed)?);
        heap::settle_compiled(binary.len());
        Ok(artifact)
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
    use crate::{EngineOptions, PoolKind};

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
                Module::of_native(engine.wasmtime(), (&artifact).into()).unwrap();
                Component::of_native(engine.wasmtime(), (&artifact).into()).map(drop).unwrap_err();
            }
        }
    }
}
