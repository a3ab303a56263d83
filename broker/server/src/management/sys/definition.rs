//! Retained topics of a definition: its source, and others about it. Commands reference §5.

use lot_facts::ViewState;
use lotmq_definitions::{Definition, DefinitionKind, Installed};

use crate::guests::views::view;

/// Topic of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Source,
    /// The source of a panel where older clients look for it.
    Visu,
    /// A panel or theme as a tree.
    Tree,
    Description,
    Error,
}

/// All topics.
pub(super) const LEAVES: [Leaf; 5] = [Leaf::Source, Leaf::Visu, Leaf::Tree, Leaf::Description, Leaf::Error];

impl Leaf {
    pub(super) fn topic(self, definition: &Definition) -> String {
        let base = definition.sys_topic();
        match self {
            Self::Source => base,
            Self::Visu => format!("$SYS/Coreflux/Visus/{}", definition.name()),
            Self::Tree => base + "/Tree",
            Self::Description => base + "/Description",
            Self::Error => base + "/Error",
        }
    }

    /// Payload; `None` where the topic has no retained message.
    pub(super) fn payload(self, definition: &Definition) -> Option<String> {
        let source = || Some(definition.deployed.source.as_ref().to_owned());
        let kind = definition.kind();
        match (self, view(definition)) {
            (Self::Error, _) => definition.activity.last_error().map(|error| error.to_json()),
            // Only what is published is distributed.
            (_, Some(view)) if view.state != ViewState::Published => None,
            (Self::Source, Some(_)) => source(),
            (Self::Visu, Some(_)) => (kind == DefinitionKind::Panel).then(source).flatten(),
            (Self::Tree, Some(view)) => Some(view.tree.to_string()),
            (Self::Description, Some(_)) | (Self::Visu | Self::Tree, None) => None,
            // A module has a document of its own instead of a source.
            (Self::Source | Self::Description, None) if kind == DefinitionKind::Module => None,
            (Self::Source, None) => source(),
            (Self::Description, None) => Some(definition.description()),
        }
    }
}

/// Topics to be published for a definition that was installed; an empty payload clears a topic of
/// its former version.
pub(crate) fn installed_topics(installed: &Installed) -> Vec<(String, Vec<u8>)> {
    let definition = &installed.definition;
    let former = installed.replaced.as_deref();
    let payload = |leaf: Leaf| match leaf.payload(definition) {
        None => former.and_then(|former| leaf.payload(former)).map(|_| Vec::new()),
        Some(payload) => Some(payload.into_bytes()),
    };
    LEAVES.into_iter().filter_map(|leaf| Some((leaf.topic(definition), payload(leaf)?))).collect()
}

/// Retained topics of a definition, with their payloads.
pub(crate) fn retained_topics(definition: &Definition) -> impl Iterator<Item = (String, Vec<u8>)> {
    LEAVES
        .into_iter()
        .filter_map(|leaf| Some((leaf.topic(definition), leaf.payload(definition)?.into_bytes())))
}

/// Topics that are cleared for a removed definition, its source last.
pub(crate) fn removed_topics(definition: &Definition) -> Vec<(String, Vec<u8>)> {
    let had = LEAVES.into_iter().rev().filter(|leaf| leaf.payload(definition).is_some());
    had.map(|leaf| (leaf.topic(definition), Vec::new())).collect()
}
