//! Results of changes of the registry: states, warnings, refusals.

use std::fmt;
use std::sync::Arc;

use lot_facts::Cycle;
use lotmq_router::TopicError;
use serde::Serialize;

use crate::definition::{Definition, DefinitionKind, Need};

/// Effect of an accepted message on the last values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Nothing: nobody reads this topic.
    Skip,
    /// Nobody reads this topic, but a `KEEP` may have written it:
    /// [`clear`](crate::LastValues::clear), because the last write wins.
    Clear,
    /// [`publish`](crate::LastValues::publish), or [`clear`](crate::LastValues::clear) for a
    /// retained delete.
    Store,
}

/// Policy for a name that is already taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    /// Replace atomically, whosever it is: with `-replace`.
    Replace,
    /// Replace atomically what belongs to the same owner or to nobody: Models, Actions, Routes,
    /// Panels and Themes.
    ReplaceOwn,
    /// Refuse: Rules.
    Refuse,
}

/// Life-cycle state of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Armed.
    Running,
    /// Armed, and its native code is still being compiled: what starts it waits.
    Compiling,
    /// Waits for a dependency.
    Pending,
    /// Cannot run; the reason is in its report.
    Error,
    /// A module that was switched off.
    Disabled,
}

impl State {
    /// Whether triggers lead to a definition in this state.
    pub fn is_armed(self) -> bool {
        matches!(self, State::Running | State::Compiling)
    }
}

/// Warning to the author of a definition that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// It waits for these.
    Pending {
        /// Missing dependencies, in the order of the source.
        missing: Vec<Need>,
    },
    /// Its timer never fires: the instant is past.
    NeverRuns,
    /// Its writes, or messages that it carries, trigger it again.
    Cycle(Cycle),
}

impl Warning {
    /// Stable code, upper-case words.
    pub fn code(&self) -> &'static str {
        match self {
            Warning::Pending { .. } => "PENDING",
            Warning::NeverRuns => "NEVER_RUNS",
            Warning::Cycle(_) => "TRIGGER_CYCLE",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Pending { missing } => {
                f.write_str("pending until these are added: ")?;
                join(f, missing, ", ")
            }
            Warning::NeverRuns => f.write_str("the time of the trigger is past; the action never runs"),
            Warning::Cycle(cycle) => cycle.fmt(f),
        }
    }
}

/// Definitions that a change armed or disarmed, in the order of deployment.
#[derive(Debug, Default)]
pub struct Changed {
    /// Newly armed versions: their guests are to be ready.
    pub armed: Vec<Arc<Definition>>,
    /// No longer armed: removed or replaced versions, and those whose dependency went.
    pub disarmed: Vec<Arc<Definition>>,
    /// Newly armed with `ON START`, to be run once now. Empty while loading.
    pub starts: Vec<Arc<Definition>>,
}

/// A definition was installed.
#[derive(Debug)]
pub struct Installed {
    /// The new version.
    pub definition: Arc<Definition>,
    /// The version that it replaced.
    pub replaced: Option<Arc<Definition>>,
    /// Whether it runs.
    pub state: State,
    /// Warnings to the author.
    pub warnings: Vec<Warning>,
    /// Consequences, for this definition and for those that waited for it.
    pub changed: Changed,
}

/// A definition was removed.
#[derive(Debug)]
pub struct Removed {
    /// The removed definition.
    pub definition: Arc<Definition>,
    /// Consequences.
    pub changed: Changed,
}

/// Why a definition was not installed. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The name is taken, and replacing was not asked for.
    #[error("A {} with the name '{name}' already exists", kind.title().to_lowercase())]
    Exists {
        /// Kind.
        kind: DefinitionKind,
        /// Name.
        name: Arc<str>,
    },
    /// It belongs to another user, and the command did not ask to replace it.
    #[error("{} '{name}' belongs to user '{owner}'. Use -replace to take it over.", kind.title())]
    OfAnother {
        /// Kind.
        kind: DefinitionKind,
        /// Name.
        name: Arc<str>,
        /// Its owner.
        owner: Arc<str>,
    },
    /// The tenant's bound.
    #[error("there are already {limit} definitions")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// The share of its owner, beyond which only administrators have any.
    #[error("the definitions of this owner are {own} already; others leave {max} of {limit} to one user")]
    TooManyOfOwner {
        /// Definitions of the owner.
        own: u64,
        /// Most definitions that the owner may have.
        max: u64,
        /// How many all may have.
        limit: usize,
    },
    /// A topic in its facts is no valid Topic Filter. The compiler never does this; an upload may.
    #[error("topic '{filter}' is invalid: {reason}")]
    FilterInvalid {
        /// The text.
        filter: String,
        /// Reason why it is invalid.
        reason: TopicError,
    },
}

/// No definition has this kind and name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} '{name}' not found.", kind.title())]
pub struct NotFound {
    /// Kind.
    pub kind: DefinitionKind,
    /// Name.
    pub name: Arc<str>,
}

fn join<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
