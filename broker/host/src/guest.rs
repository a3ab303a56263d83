//! A compiled component that fits its world, ready to be instantiated.

use crate::complexity::TooComplex;
use crate::{
    ActionInstance, Grants, GuestLimits, Services, Trap, World,
    bindings::{ActionExportsIndices, model::ModelExportsPre},
    engine::Engine,
    state::RunState,
    validate::{Summary, is_ours},
};
use std::sync::Arc;
use wasmtime::component::{ComponentExportIndex, InstancePre};

/// Why a binary was not taken. All but the last two are the sender's fault; [`LoadError::code`] is what a reply says.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is a core module.
    #[error("The binary is a core module, a component is required.")]
    NotAComponent,
    /// It is larger than [`COMPONENT_BYTES_MAX`](crate::limits::COMPONENT_BYTES_MAX).
    #[error("Module has {bytes} bytes, limit {limit}.")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It does not have the exports of its world, or one of another type, or imports one of another type.
    #[error("Module does not fit world '{world}': {reason}.")]
    WorldMismatch {
        /// The world that was asked for.
        world: &'static str,
        /// What is missing or different.
        reason: String,
    },
    /// The world exists, but guests of it cannot be loaded.
    #[error("Module does not fit world '{world}': {reason}.")]
    WorldUnavailable {
        /// The world that was asked for.
        world: &'static str,
        /// Why, and what to use instead.
        reason: String,
    },
    /// It imports something that neither its world nor the inert WASI set has.
    #[error("Import '{import}' is not allowed in world '{world}'.")]
    ImportForbidden {
        /// The import.
        import: String,
        /// The world that was asked for.
        world: &'static str,
    },
    /// It is in our compiler's cache format, which is not self-contained.
    #[error("The component needs core module '{module}'. Compile it without --linked.")]
    Linked {
        /// The core module that it imports.
        module: String,
    },
    /// Compiling it would take too much memory and time.
    #[error("{0}")]
    TooComplex(TooComplex),
    /// It is not valid, or the compiler refused it.
    #[error("{message}")]
    CompileFailed {
        /// The compiler's text, at most 1 KiB.
        message: String,
    },
    /// It was stopped while it was instantiated for the first time.
    #[error("The module does not start: {0}.")]
    StartFailed(Trap),
}

impl From<TooComplex> for LoadError {
    fn from(error: TooComplex) -> Self {
        match error {
            TooComplex::Malformed(error) => LoadError::compile_failed(&error),
            TooComplex::Long { .. } | TooComplex::Function { .. } | TooComplex::Module { .. } => {
                LoadError::TooComplex(error)
            }
        }
    }
}

impl LoadError {
    pub(crate) fn compile_failed(text: &str) -> Self {
        LoadError::CompileFailed { message: crate::output::cut(text, 1024).to_owned() }
    }

    pub(crate) fn world_mismatch(world: World, error: &wasmtime::Error) -> Self {
        LoadError::WorldMismatch { world: world.name(), reason: short(error) }
    }

    /// The code of the commands reference §14.6.
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::NotAComponent => "NOT_A_COMPONENT",
            LoadError::TooLarge { .. } | LoadError::TooComplex(_) => "TOO_LARGE",
            LoadError::WorldMismatch { .. } => "WORLD_MISMATCH",
            LoadError::WorldUnavailable { .. } => "WORLD_UNKNOWN",
            LoadError::ImportForbidden { .. } => "IMPORT_FORBIDDEN",
            LoadError::Linked { .. } => "LINKED_COMPONENT",
            LoadError::CompileFailed { .. } | LoadError::StartFailed(_) => "COMPILE_FAILED",
        }
    }
}

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
}

/// What makes instances, by world.
pub(crate) enum Pre {
    Action(ActionPre),
    Model(ModelExportsPre<RunState>),
}

/// What makes instances of an Action.
pub(crate) struct ActionPre {
    pub(crate) instance: InstancePre<RunState>,
    pub(crate) handler: ActionExportsIndices,
    /// The function that takes many messages. Only that of our own shell is used: nothing says what those of others do.
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

impl Guest {
    pub(crate) fn new(
        engine: &Engine,
        pre: InstancePre<RunState>,
        world: World,
        summary: Summary,
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
        Ok(Guest(Arc::new(Shared { engine: engine.clone(), pre, world, summary })))
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

    /// Makes an instance: some 10 µs. A [`Trap`] of kind [`Start`](crate::TrapKind::Start) when the pool is exhausted or its start code fails.
    pub fn instance(
        &self,
        services: Arc<dyn Services>,
        grants: Arc<Grants>,
        limits: GuestLimits,
    ) -> Result<ActionInstance, Trap> {
        ActionInstance::new(self, services, grants, limits)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn pre(&self) -> &Pre {
        &self.0.pre
    }

    /// Whether it can ask for the message that started its run: for its properties, by a topic read, or by handing it to a callee.
    pub(crate) fn asks_for_its_message(&self) -> bool {
        let interfaces = ["current-message", "topic-store", "actions", "modules", "models"];
        self.0.summary.imports.iter().any(|import| is_ours(import, &interfaces))
    }
}

pub(crate) fn short(error: &wasmtime::Error) -> String {
    crate::output::cut(&format!("{error:#}"), 500).to_owned()
}
