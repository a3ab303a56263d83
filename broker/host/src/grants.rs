//! What a definition may do, and on whose behalf: checked at every host call, whatever its facts or its custom sections say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lotmq_router::filter_matches;

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
}

/// On whose behalf a version of a definition's code acts. Chosen by the server, never interpreted here; it stands in all that the code writes, so that
/// what becomes of the definition meanwhile gives nobody else's name to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// The version of the code.
    pub version: u64,
    /// The account of its owner; 0 for nobody.
    pub account: u64,
}

/// For whom a version of a definition's code acts at any time: its owner's account may go while the code stays.
#[derive(Clone, Debug, Default)]
pub struct Acting {
    /// The version of the code.
    pub version: u64,
    /// The account of its owner, shared with whoever knows when that goes; 0 for nobody from then on.
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
    /// Topics that it may publish to, keep and forget. With [`TopicGrant::NotSystem`] the server is asked about `$SYS/`
    /// ([`Services::may_publish_system`](crate::Services::may_publish_system)).
    pub write: TopicGrant,
    /// Topics whose last values it may read.
    pub read: TopicGrant,
    /// Environment values that it may read, set and remove.
    pub environment: NameGrant,
    /// Secrets that it may read, set and remove.
    pub secrets: NameGrant,
    /// Definitions that it may call.
    pub calls: NameGrant,
    /// Whether it may call Python scripts.
    pub python: bool,
    /// Whether it may ask routes for rows.
    pub rows: bool,
    /// What the operator has set for it: JSON on one line, which it may read; `None` for nothing.
    pub config: Option<Arc<str>>,
}

impl Grants {
    /// What every Action compiled from LoT gets (language reference §6): all topics but `$SYS/` to write, all to read, all values.
    pub fn action() -> Self {
        Grants {
            acting: Acting::default(),
            write: TopicGrant::NotSystem,
            read: TopicGrant::Filters(Box::new(["#".into(), "$SYS/#".into()])),
            environment: NameGrant::All,
            secrets: NameGrant::All,
            calls: NameGrant::All,
            python: true,
            rows: true,
            config: None,
        }
    }

    /// What every Model gets: as an Action, and its own memory below `$LOT/Models/` to read.
    pub fn model() -> Self {
        Grants {
            read: TopicGrant::Filters(Box::new(["#".into(), "$SYS/#".into(), "$LOT/Models/#".into()])),
            calls: NameGrant::None,
            python: false,
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
    fn nothing_is_granted_by_default() {
        let grants = Grants::default();
        assert!(!grants.write.covers("a") && !grants.read.covers("a"));
        assert!(!grants.environment.covers("A") && !grants.secrets.covers("A") && !grants.calls.covers("A"));
    }
}
