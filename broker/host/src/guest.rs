//! A compiled component that fits its world, ready to be instantiated.

use crate::{
    World,
    bindings::{ActionExportsIndices, model::ModelExportsPre},
    engine::{CodeShare, Compiler, Engine},
    state::RunState,
    validate::{ComponentSource, LoadError, Summary, is_ours},
};
use std::sync::Arc;
use wasmtime::component::{ComponentExportIndex, InstancePre};

/// The interface through which an Action takes many messages.
const BATCHES: &str = interface!("action-batches");

/// A compiled component. Clones share the code.
#[derive(Clone)]
pub struct Guest(Arc<Shared>);

struct Shared {
    engine: Engine,
    pre: Pre,
    world: World,
    summary: Summary,
    _code: CodeShare,
}

/// Pre-linked guest that makes instances, by world.
pub(crate) enum Pre {
    Action(ActionPre),
    Model(ModelExportsPre<RunState>),
}

/// Pre-linked Action that makes instances.
pub(crate) struct ActionPre {
    pub(crate) instance: InstancePre<RunState>,
    pub(crate) handler: ActionExportsIndices,
    /// The function that takes many messages. Used only of our own shell: those of others have no
    /// defined meaning.
    pub(crate) on_messages: Option<ComponentExportIndex>,
}

impl ActionPre {
    fn new(instance: InstancePre<RunState>, is_linked: bool) -> wasmtime::Result<Self> {
        let handler = ActionExportsIndices::new(&instance)?;
        let component = instance.component();
        let batches = is_linked.then(|| component.get_export_index(None, BATCHES)).flatten();
        let on_messages =
            batches.and_then(|interface| component.get_export_index(Some(&interface), "on-messages"));
        Ok(ActionPre { instance, handler, on_messages })
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("world", &self.0.world).field("summary", &self.0.summary).finish()
    }
}

impl Engine {
    /// Checks and compiles a component, or a core module of our own compiler. Takes 1 to 4 ms for a
    /// usual Action, seconds for megabytes of code: never call it on a thread that serves clients.
    /// With a cache, code that was compiled before takes some 0.1 ms.
    pub fn compile(&self, binary: &[u8], world: World, source: ComponentSource) -> Result<Guest, LoadError> {
        Compiler::from(self).compile(binary, world, source)
    }
}

impl Compiler<'_> {
    /// As [`Engine::compile`], at this tier and where this compiler has it made.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn compile(self, binary: &[u8], world: World, source: ComponentSource) -> Result<Guest, LoadError> {
        let (pre, summary, code) = self.prepare(binary, world, source)?;
        Guest::new(self.engine, pre, world, (summary, code))
    }
}

impl Guest {
    fn new(
        engine: &Engine,
        pre: InstancePre<RunState>,
        world: World,
        (summary, code): (Summary, CodeShare),
    ) -> Result<Guest, LoadError> {
        let mismatch = |error: wasmtime::Error| LoadError::world_mismatch(world, &error);
        let pre = match world {
            World::Action => Pre::Action(ActionPre::new(pre, summary.is_linked).map_err(mismatch)?),
            World::Model => Pre::Model(ModelExportsPre::new(pre).map_err(mismatch)?),
            World::Rule | World::Route | World::Auth => {
                let reason = "only guests of worlds 'action' and 'route' can be uploaded so far".to_owned();
                return Err(LoadError::WorldUnavailable { world: world.name(), reason });
            }
        };
        Ok(Guest(Arc::new(Shared { engine: engine.clone(), pre, world, summary, _code: code })))
    }

    /// The world that it fits.
    pub fn world(&self) -> World {
        self.0.world
    }

    /// Names of its imports, with versions.
    pub fn imports(&self) -> &[String] {
        &self.0.summary.imports
    }

    /// Names of its exports that its world does not have: nobody calls them.
    pub fn further_exports(&self) -> &[String] {
        &self.0.summary.further_exports
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn pre(&self) -> &Pre {
        &self.0.pre
    }

    /// Whether it can ask for the message that started its run: for its properties, by a topic
    /// read, or by handing it to a callee.
    pub(crate) fn asks_for_its_message(&self) -> bool {
        let interfaces = ["current-message", "topic-store", "actions", "modules", "models"];
        self.0.summary.imports.iter().any(|import| is_ours(import, &interfaces))
    }
}
