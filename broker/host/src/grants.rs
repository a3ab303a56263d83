//! Grants of a definition and the user that it acts for. Every host call checks them, whatever the
//! facts or the custom sections of the definition say.

use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lotmq_router::{filter_includes, filter_matches};

/// Topics that a definition was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TopicGrant {
    /// None at all.
    #[default]
    None,
    /// Every topic that does not begin with `$SYS/`; the default of Actions.
    NotSystem,
    /// The topics that match one of these Topic Filters.
    Filters(Box<[Box<str>]>),
}

impl TopicGrant {
    /// Whether the grant covers a Topic Name.
    pub fn covers(&self, topic: &str) -> bool {
        match self {
            TopicGrant::None => false,
            TopicGrant::NotSystem => !is_system(topic),
            TopicGrant::Filters(filters) => filters.iter().any(|filter| filter_matches(filter, topic)),
        }
    }

    /// Whether the grant covers all topics outside `$SYS` that a Topic Filter matches.
    pub(crate) fn includes(&self, filter: &str) -> bool {
        match self {
            TopicGrant::None => false,
            TopicGrant::NotSystem => !is_system(filter),
            TopicGrant::Filters(filters) => filters.iter().any(|granted| filter_includes(granted, filter)),
        }
    }

    /// Whether the server has to check a write to a Topic Name. The grant covers it, or it is below
    /// `$SYS/` with [`NotSystem`](TopicGrant::NotSystem).
    pub(crate) fn reaches(&self, topic: &str) -> bool {
        self.covers(topic) || (*self == TopicGrant::NotSystem && is_system(topic))
    }
}

/// Names of environment values, secrets or definitions that a definition was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameGrant {
    /// None at all.
    #[default]
    None,
    /// Every name.
    All,
    /// These names.
    Names(Box<[Box<str>]>),
}

impl NameGrant {
    /// Whether the grant covers a name.
    pub fn covers(&self, name: &str) -> bool {
        match self {
            NameGrant::None => false,
            NameGrant::All => true,
            NameGrant::Names(names) => names.iter().any(|granted| **granted == *name),
        }
    }

    /// Whether the grant covers a path: the same, or one above it. Paths with `..` are covered by
    /// no other.
    pub fn covers_path(&self, path: &str) -> bool {
        match self {
            NameGrant::None => false,
            NameGrant::All => true,
            NameGrant::Names(names) => names.iter().any(|granted| is_below(path, granted)),
        }
    }
}

/// Whether a path is a folder or below it, by its words alone.
fn is_below(path: &str, folder: &str) -> bool {
    let is_plain = |path: &Path| path.components().all(|part| part != Component::ParentDir);
    let (path, folder) = (Path::new(path), Path::new(folder));
    is_plain(path) && is_plain(folder) && path.starts_with(folder)
}

/// Values that a definition was granted: which it may read, and which it may set and remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueGrant {
    /// Values that it may read.
    pub read: NameGrant,
    /// Values that it may set and remove.
    pub write: NameGrant,
}

impl ValueGrant {
    /// Grant of every value, to read and to write.
    pub fn all() -> Self {
        ValueGrant { read: NameGrant::All, write: NameGrant::All }
    }
}

/// Kind of thing that a definition may be granted; each is granted by name or topic, but for the
/// state, which is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Reading the last value of a topic.
    ReadTopic,
    /// Publishing to a topic, keeping and forgetting its value.
    WriteTopic,
    /// Reading an environment value.
    ReadEnvironment,
    /// Setting and removing an environment value.
    WriteEnvironment,
    /// Reading a secret.
    ReadSecret,
    /// Setting and removing a secret.
    WriteSecret,
    /// Calling an Action.
    CallAction,
    /// Publishing an instance of a Model.
    PublishModel,
    /// Calling functions of a Python script.
    CallScript,
    /// Calling a module.
    CallModule,
    /// Asking a Route for rows.
    AskRoute,
    /// Connecting to an address of the network.
    Connect,
    /// Reading files of a folder.
    ReadFile,
    /// Making, writing, renaming and removing files of a folder.
    WriteFile,
    /// Opening a serial port.
    OpenSerialPort,
    /// Keeping values of its own.
    KeepState,
}

impl Capability {
    /// Every capability, in the order in which they are shown.
    pub const ALL: [Capability; 16] = [
        Capability::ReadTopic,
        Capability::WriteTopic,
        Capability::ReadEnvironment,
        Capability::WriteEnvironment,
        Capability::ReadSecret,
        Capability::WriteSecret,
        Capability::CallAction,
        Capability::PublishModel,
        Capability::CallScript,
        Capability::CallModule,
        Capability::AskRoute,
        Capability::Connect,
        Capability::ReadFile,
        Capability::WriteFile,
        Capability::OpenSerialPort,
        Capability::KeepState,
    ];

    /// Word for it in manifests, commands and replies.
    pub fn word(self) -> &'static str {
        match self {
            Capability::ReadTopic => "read",
            Capability::WriteTopic => "write",
            Capability::ReadEnvironment => "env-read",
            Capability::WriteEnvironment => "env-write",
            Capability::ReadSecret => "secret-read",
            Capability::WriteSecret => "secret-write",
            Capability::CallAction => "action",
            Capability::PublishModel => "model",
            Capability::CallScript => "python",
            Capability::CallModule => "module",
            Capability::AskRoute => "rows",
            Capability::Connect => "endpoint",
            Capability::ReadFile => "file-read",
            Capability::WriteFile => "file-write",
            Capability::OpenSerialPort => "serial",
            Capability::KeepState => "state",
        }
    }
}

/// On whose behalf a version of a definition's code acts. Chosen by the server, never interpreted
/// here; it stands in all that the code writes, so that what becomes of the definition meanwhile
/// gives nobody else's name to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// The version of the code.
    pub version: u64,
    /// The account of its owner; 0 for nobody.
    pub account: u64,
}

/// For whom a version of a definition's code acts at any time: its owner's account may go while the
/// code stays.
#[derive(Clone, Debug, Default)]
pub struct Acting {
    /// The version of the code.
    pub version: u64,
    /// Account of the owner. The server shares it and sets it to 0 when the owner is removed.
    pub account: Arc<AtomicU64>,
}

impl Acting {
    /// For whom it acts now.
    pub fn now(&self) -> Authority {
        Authority { version: self.version, account: self.account.load(Ordering::Acquire) }
    }
}

/// All grants of one version of a definition. The default grants nothing.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// On whose behalf it acts.
    pub acting: Acting,
    /// Topics that it may publish to, keep and forget. The server is asked about those below
    /// `$SYS/` ([`Services::may_publish_system`](crate::Services::may_publish_system)), with
    /// [`TopicGrant::NotSystem`] about all of them.
    pub write: TopicGrant,
    /// Topics whose last values it may read.
    pub read: TopicGrant,
    /// Environment values.
    pub environment: ValueGrant,
    /// Secrets.
    pub secrets: ValueGrant,
    /// Actions that it may call.
    pub actions: NameGrant,
    /// Models of which it may publish instances.
    pub models: NameGrant,
    /// Python scripts whose functions it may call.
    pub scripts: NameGrant,
    /// Modules that it may call.
    pub modules: NameGrant,
    /// Routes that it may ask for rows.
    pub routes: NameGrant,
    /// Folders of this machine, by their paths; a path stands for all below it, too.
    pub files: ValueGrant,
    /// Serial ports, by the paths of their devices.
    pub serial_ports: NameGrant,
    /// Whether it may keep values of its own.
    pub state: bool,
    /// Configuration that the operator set and the definition may read: JSON on one line. `None` if
    /// there is none.
    pub config: Option<Arc<str>>,
}

impl Grants {
    /// Whether they cover a topic or name. Writing below `$SYS/` is for the server to decide, too.
    pub fn cover(&self, capability: Capability, name: &str) -> bool {
        match capability {
            Capability::ReadTopic => self.read.covers(name),
            Capability::WriteTopic => self.write.covers(name),
            Capability::ReadEnvironment => self.environment.read.covers(name),
            Capability::WriteEnvironment => self.environment.write.covers(name),
            Capability::ReadSecret => self.secrets.read.covers(name),
            Capability::WriteSecret => self.secrets.write.covers(name),
            Capability::CallAction => self.actions.covers(name),
            Capability::PublishModel => self.models.covers(name),
            Capability::CallScript => self.scripts.covers(name),
            Capability::CallModule => self.modules.covers(name),
            Capability::AskRoute => self.routes.covers(name),
            // Routes have endpoints of their own.
            Capability::Connect => false,
            Capability::ReadFile => self.files.read.covers_path(name),
            Capability::WriteFile => self.files.write.covers_path(name),
            Capability::OpenSerialPort => self.serial_ports.covers(name),
            Capability::KeepState => self.state,
        }
    }

    /// Grants of every Action compiled from LoT (language reference §6): write all topics but
    /// `$SYS/`, read all topics, read all values.
    pub fn action() -> Self {
        Grants {
            acting: Acting::default(),
            write: TopicGrant::NotSystem,
            read: TopicGrant::Filters(Box::new(["#".into(), "$SYS/#".into()])),
            environment: ValueGrant::all(),
            secrets: ValueGrant::all(),
            actions: NameGrant::All,
            models: NameGrant::All,
            scripts: NameGrant::All,
            modules: NameGrant::All,
            routes: NameGrant::All,
            files: ValueGrant::default(),
            serial_ports: NameGrant::None,
            state: true,
            config: None,
        }
    }

    /// Grants of every Model: those of an Action without calls, plus its own memory below
    /// `$LOT/Models/` to read.
    pub fn model() -> Self {
        Grants {
            read: TopicGrant::Filters(Box::new(["#".into(), "$SYS/#".into(), "$LOT/Models/#".into()])),
            actions: NameGrant::None,
            models: NameGrant::None,
            scripts: NameGrant::None,
            modules: NameGrant::None,
            ..Grants::action()
        }
    }
}

pub(crate) fn is_system(topic: &str) -> bool {
    topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its list is its own: it is a package that others build.
    #[test]
    fn guests_in_rust_can_ask_for_every_capability() {
        let sdk = include_str!("../../../sdk/rust/src/manifest.rs");
        for capability in Capability::ALL {
            let is_whole = capability == Capability::KeepState;
            let kind =
                if is_whole { "b\"state\"".to_owned() } else { format!("    \"{}:\",\n", capability.word()) };
            assert!(sdk.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn topic_grants_cover_what_they_say() {
        let filters = TopicGrant::Filters(Box::new(["a/#".into(), "b/+".into()]));
        for (grant, topic, expected) in [
            (&TopicGrant::None, "a", false),
            (&TopicGrant::NotSystem, "a", true),
            (&TopicGrant::NotSystem, "$SYS/x", false),
            (&TopicGrant::NotSystem, "$SYSTEM/x", true),
            (&filters, "a", true),
            (&filters, "a/b/c", true),
            (&filters, "b/c", true),
            (&filters, "b/c/d", false),
        ] {
            assert_eq!(grant.covers(topic), expected, "{topic}");
        }
    }

    #[test]
    fn a_granted_folder_is_granted_with_all_below_it_and_nothing_else() {
        let names = |name: &str| NameGrant::Names(Box::new([name.into()]));
        for (granted, path, expected) in [
            ("logs", "logs", true),
            ("logs", "logs/a/b", true),
            ("logs/", "logs", true),
            ("logs", "logsx", false),
            ("logs", "/logs", false),
            ("logs", "logs/../secret", false),
            ("logs/..", "logs/../secret", false),
            ("/srv/data", "/srv/data/x", true),
            ("/srv/data", "/srv", false),
            ("/", "/srv", true),
        ] {
            assert_eq!(names(granted).covers_path(path), expected, "{path} by {granted}");
        }
        assert!(NameGrant::All.covers_path("x") && !NameGrant::None.covers_path("x"));
    }

    #[test]
    fn nothing_is_granted_by_default() {
        let grants = Grants::default();
        assert!(!grants.write.covers("a") && !grants.read.covers("a"));
        let ValueGrant { read, write } = grants.environment;
        let files = grants.files;
        let values = [read, write, grants.secrets.read, grants.secrets.write, files.read, files.write];
        let ports = grants.serial_ports;
        let calls = [ports, grants.actions, grants.models, grants.scripts, grants.modules, grants.routes];
        assert!(!values.iter().chain(&calls).any(|grant| grant.covers("A")) && !grants.state);
    }
}
