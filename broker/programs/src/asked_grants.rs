//! Grants that modules ask for in their manifests: what advice names where a grant is missing.
//!
//! A manifest gives nothing. It says more than the topic or the place that happened to be wanted
//! first, so whoever follows the advice does so once.

use std::collections::BTreeMap;
use std::sync::Arc;

use lotmq_host::{Capability, NameGrant, TopicGrant};
use parking_lot::RwLock;

use super::grant_intersection::reaches;

/// Grants that a module asks for: kinds and names, such as `write` and `scale/+/tons`.
#[derive(Clone, Debug, Default)]
pub struct AskedGrants(Arc<[(Capability, Box<str>)]>);

impl FromIterator<(Capability, Box<str>)> for AskedGrants {
    fn from_iter<T: IntoIterator<Item = (Capability, Box<str>)>>(all: T) -> Self {
        Self(all.into_iter().collect())
    }
}

impl AskedGrants {
    /// The grant that covers what was wanted, such as `write:scale/+/tons` for `scale/2/tons`; of
    /// several that with the longest name.
    pub(crate) fn covering(&self, capability: Capability, wanted: &str) -> Option<String> {
        let of_kind = self.0.iter().filter(|(kind, name)| *kind == capability && covers(*kind, name, wanted));
        let (kind, name) = of_kind.max_by_key(|(_, name)| name.len())?;
        Some(match name.is_empty() {
            true => kind.word().to_owned(),
            false => format!("{}:{name}", kind.word()),
        })
    }
}

fn covers(capability: Capability, asked: &str, wanted: &str) -> bool {
    let names = || match asked {
        "*" => NameGrant::All,
        name => NameGrant::Names([name.into()].into()),
    };
    match capability {
        Capability::ReadTopic | Capability::WriteTopic => {
            TopicGrant::Filters([asked.into()].into()).covers(wanted)
        }
        Capability::ReadFile | Capability::WriteFile => names().covers_path(wanted),
        Capability::Connect => reaches(asked, wanted),
        Capability::KeepState => true,
        Capability::ReadEnvironment
        | Capability::WriteEnvironment
        | Capability::ReadSecret
        | Capability::WriteSecret
        | Capability::CallAction
        | Capability::PublishModel
        | Capability::CallScript
        | Capability::CallModule
        | Capability::AskRoute
        | Capability::OpenSerialPort => names().covers(wanted),
    }
}

/// Grants that each module of a tenant asks for, by the name of its definition.
#[derive(Default)]
pub(crate) struct Manifests(RwLock<BTreeMap<Arc<str>, AskedGrants>>);

impl Manifests {
    /// Returns the grants that a module asks for. Empty without a manifest or without the module.
    pub(crate) fn of(&self, module: &str) -> AskedGrants {
        self.0.read().get(module).cloned().unwrap_or_default()
    }

    pub(super) fn put(&self, module: &Arc<str>, asked: AskedGrants) {
        self.0.write().insert(Arc::clone(module), asked);
    }

    pub(super) fn remove(&self, module: &str) {
        self.0.write().remove(module);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covering_grant_is_found_for_a_name() {
        let asked: AskedGrants = [
            (Capability::WriteTopic, "#".into()),
            (Capability::WriteTopic, "scale/+/tons".into()),
            (Capability::ReadEnvironment, "*".into()),
            (Capability::ReadSecret, "KEY".into()),
            (Capability::ReadFile, "data".into()),
            (Capability::Connect, "10.0.0.0/24:502".into()),
            (Capability::KeepState, "".into()),
        ]
        .into_iter()
        .collect();
        for (capability, wanted, expected) in [
            (Capability::WriteTopic, "scale/2/tons", Some("write:scale/+/tons")),
            (Capability::WriteTopic, "other", Some("write:#")),
            (Capability::ReadTopic, "other", None),
            (Capability::ReadEnvironment, "ANY", Some("env-read:*")),
            (Capability::ReadSecret, "KEY", Some("secret-read:KEY")),
            (Capability::ReadSecret, "OTHER", None),
            (Capability::Connect, "10.0.0.7:502", Some("endpoint:10.0.0.0/24:502")),
            (Capability::Connect, "10.0.1.7:502", None),
            (Capability::KeepState, "", Some("state")),
            (Capability::CallAction, "A", None),
        ] {
            assert_eq!(asked.covering(capability, wanted).as_deref(), expected, "{capability:?} {wanted}");
        }
    }
}
