//! One definition: an Action, Model, Rule, Route or module as it was deployed.
//!
//! A value of this type is one *version*: replacing makes a new one under the same
//! [`DefinitionId`]. It is shared by the registry, the server's route caches and the executors, so
//! that a run needs no look-up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use lot_facts::{Facts, Trigger};
use lotmq_shares::payer;
use serde::{Deserialize, Serialize};

use crate::activity::Activity;

/// Identifies a definition while something of its kind and name exists and belongs to the same
/// owner. A replacement keeps it. Removing and adding again gives another one, and so does a new
/// owner. So waiting events and runs of one owner never reach the definition of another. Ascends in
/// the order of deployment and is not kept across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DefinitionId(pub u64);

/// Kind of a definition. Each kind has its own name space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefinitionKind {
    /// `DEFINE MODEL`.
    Model,
    /// `DEFINE ACTION`.
    Action,
    /// `DEFINE ROUTE`.
    Route,
    /// `DEFINE RULE`.
    Rule,
    /// An uploaded component, `-addModule`.
    Module,
    /// `DEFINE THEME`.
    Theme,
    /// `DEFINE PANEL`.
    Panel,
}

impl DefinitionKind {
    /// Kind of the entities of a LoT text that are of this kind; `None` where there are none.
    pub fn of_text(self) -> Option<lot_facts::Kind> {
        match self {
            Self::Action => Some(lot_facts::Kind::Action),
            Self::Model => Some(lot_facts::Kind::Model),
            Self::Rule => Some(lot_facts::Kind::Rule),
            Self::Route => Some(lot_facts::Kind::Route),
            Self::Theme => Some(lot_facts::Kind::Theme),
            Self::Panel => Some(lot_facts::Kind::Panel),
            Self::Module => None,
        }
    }

    /// All kinds in the order in which they are loaded, LoT reference §1.6.
    pub const ALL: [DefinitionKind; 7] = [
        DefinitionKind::Model,
        DefinitionKind::Action,
        DefinitionKind::Route,
        DefinitionKind::Rule,
        DefinitionKind::Module,
        DefinitionKind::Theme,
        DefinitionKind::Panel,
    ];

    /// The kind as replies spell it: `Action`.
    pub fn title(self) -> &'static str {
        match self {
            DefinitionKind::Model => "Model",
            DefinitionKind::Action => "Action",
            DefinitionKind::Route => "Route",
            DefinitionKind::Rule => "Rule",
            DefinitionKind::Module => "Module",
            DefinitionKind::Theme => "Theme",
            DefinitionKind::Panel => "Panel",
        }
    }

    /// The kind as the store writes it: `action`.
    pub fn key(self) -> &'static str {
        match self {
            DefinitionKind::Model => "model",
            DefinitionKind::Action => "action",
            DefinitionKind::Route => "route",
            DefinitionKind::Rule => "rule",
            DefinitionKind::Module => "module",
            DefinitionKind::Theme => "theme",
            DefinitionKind::Panel => "panel",
        }
    }

    /// The level below `$SYS/Coreflux` where definitions of this kind are published, commands
    /// reference §5.
    pub fn sys_level(self) -> &'static str {
        match self {
            DefinitionKind::Model => "Models",
            DefinitionKind::Action => "Actions",
            DefinitionKind::Route => "Routes",
            DefinitionKind::Rule => "Rules",
            DefinitionKind::Module => "Modules",
            DefinitionKind::Theme => "VoT/Themes",
            DefinitionKind::Panel => "VoT/Panels",
        }
    }

    /// The kind of this name, in any case: `action`, `Model`.
    pub fn by_name(name: &str) -> Option<DefinitionKind> {
        DefinitionKind::ALL.into_iter().find(|kind| kind.title().eq_ignore_ascii_case(name))
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl From<lot_facts::Kind> for DefinitionKind {
    fn from(kind: lot_facts::Kind) -> DefinitionKind {
        match kind {
            lot_facts::Kind::Action => DefinitionKind::Action,
            lot_facts::Kind::Model => DefinitionKind::Model,
            lot_facts::Kind::Rule => DefinitionKind::Rule,
            lot_facts::Kind::Route => DefinitionKind::Route,
            lot_facts::Kind::Panel => DefinitionKind::Panel,
            lot_facts::Kind::Theme => DefinitionKind::Theme,
        }
    }
}

/// From where a definition came. Serialises as the object of `Entities/ownership`; `Display` gives
/// the text of `-listEntities`: `adhoc` or `project/file/cell`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    /// Part of a project.
    Project {
        /// Name of the project.
        project: Arc<str>,
        /// File inside it.
        file: Arc<str>,
        /// Number of the notebook's cell, from 1; `None` for a plain file.
        #[serde(default)]
        cell: Option<u32>,
    },
    /// Added by a command.
    #[default]
    AdHoc,
}

impl Origin {
    /// File, empty of none, and cell that it came from.
    pub fn file(&self) -> (&str, Option<u32>) {
        match self {
            Origin::Project { file, cell, .. } => (file, *cell),
            Origin::AdHoc => ("", None),
        }
    }

    /// As it is stored, with the number of lines before.
    pub fn to_stored(&self, lines_before: u32) -> String {
        let mut stored = serde_json::json!(self);
        if lines_before > 0 {
            if stored.is_null() {
                stored = serde_json::json!({});
            }
            stored["lines_before"] = lines_before.into();
        }
        stored.to_string()
    }

    /// Parses a stored origin, with the number of lines before. Rows of earlier versions lack that
    /// number, which is then 0.
    pub fn from_stored(stored: &str) -> (Origin, u32) {
        #[derive(Default, Deserialize)]
        struct Place {
            #[serde(default)]
            lines_before: u32,
        }
        let origin = serde_json::from_str(stored).unwrap_or_default();
        let place: Place = serde_json::from_str(stored).unwrap_or_default();
        (origin, place.lines_before)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::AdHoc => f.write_str("adhoc"),
            Origin::Project { project, file, cell: None } => write!(f, "{project}/{file}"),
            Origin::Project { project, file, cell: Some(cell) } => write!(f, "{project}/{file}/{cell}"),
        }
    }
}

/// The user to whom a definition belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Name of the user.
    pub name: Arc<str>,
    /// Number of the account; never 0. Another user of the same name has another number.
    pub account: u64,
}

impl Owner {
    /// Returns the key of the owner's share of bounded resources.
    pub fn payer(&self) -> u64 {
        payer(self.account)
    }
}

/// Definition to deploy. Kind and name of LoT definitions are those of the facts.
#[derive(Debug, Clone)]
pub struct NewDefinition {
    /// Kind.
    pub kind: DefinitionKind,
    /// Name, case-sensitive, unique within the kind.
    pub name: Arc<str>,
    /// The text as submitted, published byte for byte; empty for a module.
    pub source: Arc<str>,
    /// From where it came.
    pub origin: Origin,
    /// Lines of the file, or of the text that it came in, before the first one that its code
    /// counts.
    pub lines_before: u32,
    /// The user who deployed it; `None` = an anonymous one. Ask [`Definition::owner`] who it is
    /// now.
    pub owner: Option<Owner>,
    /// Facts of the compiler. For a module: a trigger from its hints, and the topics that it was
    /// granted as reads, writes and keeps. The broker does not trust the claims of an upload about
    /// itself.
    pub facts: Arc<Facts>,
    /// When it was deployed first in this version; a recovered one keeps its time.
    pub installed_at: Timestamp,
    /// Place in the load order that it had before a restart; `None` of a new one, which comes
    /// behind all others.
    pub order: Option<u64>,
}

/// Dependency that a definition needs before it is armed. `Display` gives `Model X`, `Python Stat`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// A definition of this kind and name.
    Definition(DefinitionKind, Arc<str>),
    /// A Python script.
    Script(Arc<str>),
}

impl Need {
    /// All that facts name: definitions in the order of the source, then scripts.
    pub(crate) fn all(facts: &Facts) -> impl Iterator<Item = Need> {
        let of_definitions = facts.depends_on.iter();
        let definitions =
            of_definitions.map(|need| Need::Definition(need.kind.into(), need.name.as_str().into()));
        definitions.chain(facts.programs.scripts.iter().map(|name| Need::Script(name.as_str().into())))
    }

    /// `Action`, `Model`, …, `Python`.
    pub fn title(&self) -> &'static str {
        match self {
            Need::Definition(kind, _) => kind.title(),
            Need::Script(_) => "Python",
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Need::Definition(_, name) | Need::Script(name) => name,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.title(), self.name())
    }
}

/// One version of a definition. Immutable but for its [`Activity`].
#[derive(Debug)]
pub struct Definition {
    /// Names it across versions.
    pub id: DefinitionId,
    /// 1 for the first version under this name, then counting up.
    pub version: u64,
    /// Place in the load order, which a replacement keeps.
    pub order: u64,
    /// The definition as it was deployed.
    pub deployed: NewDefinition,
    /// Runs, errors and traces since then.
    pub activity: Activity,
}

impl Definition {
    /// Kind.
    pub fn kind(&self) -> DefinitionKind {
        self.deployed.kind
    }

    /// Name.
    pub fn name(&self) -> &Arc<str> {
        &self.deployed.name
    }

    /// The user who deployed it, on whose behalf it acts; `None` for an anonymous or a removed one.
    pub fn owner(&self) -> Option<&Owner> {
        self.deployed.owner.as_ref().filter(|_| self.account() != 0)
    }

    /// The number of its owner's account; 0 for nobody.
    pub fn account(&self) -> u64 {
        self.activity.account().load(Ordering::Acquire)
    }

    /// Key of the share that its work counts in; 0 without an owner.
    pub fn payer(&self) -> u64 {
        payer(self.account())
    }

    /// The number of its owner's account as it changes.
    pub fn shared_account(&self) -> Arc<AtomicU64> {
        Arc::clone(self.activity.account())
    }

    /// Removes the owner for good, so that a later user of the same name does not get the
    /// definition.
    pub fn disown(&self) {
        self.activity.disown();
    }

    /// Whether what its code wrote for this account is still done: the definition is there, and
    /// belongs to that account.
    pub fn acts_for(&self, account: u64) -> bool {
        !self.activity.is_retired() && self.account() == account
    }

    /// As others need it.
    pub(crate) fn as_need(&self) -> Need {
        Need::Definition(self.kind(), Arc::clone(self.name()))
    }

    /// Returns the facts of the compiler.
    pub fn facts(&self) -> &Facts {
        &self.deployed.facts
    }

    /// Returns the trigger; `None` for callable Actions and for kinds without a trigger.
    pub fn trigger(&self) -> Option<&Trigger> {
        self.deployed.facts.trigger.as_ref()
    }

    /// Text of `DESCRIPTION`, else `Action <N>`, commands reference §5.
    pub fn description(&self) -> String {
        match &self.facts().description {
            Some(text) => text.clone(),
            None => format!("{} {}", self.kind().title(), self.name()),
        }
    }

    /// Whether a message that matches the trigger starts a run: always for `ON TOPIC`; for
    /// `ON CHANGE` when the bytes differ from the topic's message before. Notes the message, so
    /// call it once per message.
    pub fn fires(&self, topic: &str, payload: &[u8]) -> bool {
        self.activity.differs(topic, payload)
    }

    /// Whether only messages of clients start it on this topic: a Model that splits JSON there (LoT
    /// reference §9.5).
    pub fn only_receives(&self, topic: &str) -> bool {
        let filters = self.trigger().map(Trigger::filters).unwrap_or_default();
        self.facts().reception.is_some()
            && !filters.iter().any(|filter| lotmq_router::filter_matches(filter, topic))
    }

    /// A line that its code counts as a line of its file, or of the text that it came in; 0 for
    /// unknown stays.
    pub fn line_of_file(&self, line: u32) -> u32 {
        if line == 0 { 0 } else { line.saturating_add(self.deployed.lines_before) }
    }

    /// The topic below which everything about this definition is published:
    /// `$SYS/Coreflux/Actions/<N>`.
    pub fn sys_topic(&self) -> String {
        format!("$SYS/Coreflux/{}/{}", self.kind().sys_level(), self.name())
    }
}
