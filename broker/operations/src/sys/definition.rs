//! Retained topics of a definition: its source, and others about it. Commands reference §5.
//!
//! Literal passwords in a source are for its owner and for those who may configure the system.
//! Other readers get a mask.

use std::borrow::Cow;

use lot_facts::ViewState;
use lotmq_definitions::{Definition, DefinitionKind, Installed, Owner};

use lotmq_programs::views::view;

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

    /// Payload without its passwords; `None` if it has none.
    pub(super) fn masked(self, payload: &str) -> Option<String> {
        match self {
            Self::Source | Self::Visu => match lot_to_wasm::masked_source(payload) {
                Cow::Owned(masked) => Some(masked),
                Cow::Borrowed(_) => None,
            },
            Self::Tree | Self::Description | Self::Error => None,
        }
    }
}

/// Retained topic of the tree that changed.
pub(crate) struct ChangedTopic {
    pub(crate) topic: String,
    /// New payload; empty if there is none any more.
    pub(crate) payload: Vec<u8>,
    /// Present if the payload has passwords.
    pub(crate) masked: Option<MaskedPayload>,
}

/// Payload without its passwords, for all but the owner and those who may configure the system.
pub(crate) struct MaskedPayload {
    pub(crate) payload: Vec<u8>,
    pub(crate) owner: Option<Owner>,
}

impl ChangedTopic {
    /// A topic whose payload is the same for everybody.
    pub(crate) fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), masked: None }
    }

    fn of(definition: &Definition, leaf: Leaf, payload: String) -> Self {
        let masked = leaf
            .masked(&payload)
            .map(|masked| MaskedPayload { payload: masked.into_bytes(), owner: definition.owner().cloned() });
        Self { topic: leaf.topic(definition), payload: payload.into_bytes(), masked }
    }
}

/// Topics to be published for a definition that was installed; an empty payload clears a topic of
/// its former version.
pub(crate) fn installed_topics(installed: &Installed) -> Vec<ChangedTopic> {
    let definition = &installed.definition;
    let former = installed.replaced.as_deref();
    let changed = |leaf: Leaf| match leaf.payload(definition) {
        Some(payload) => Some(ChangedTopic::of(definition, leaf, payload)),
        None => former
            .and_then(|former| leaf.payload(former))
            .map(|_| ChangedTopic::new(leaf.topic(definition), Vec::new())),
    };
    LEAVES.into_iter().filter_map(changed).collect()
}

/// Retained topics of a definition, with their payloads.
pub(crate) fn retained_topics(definition: &Definition) -> impl Iterator<Item = ChangedTopic> {
    LEAVES.into_iter().filter_map(|leaf| Some(ChangedTopic::of(definition, leaf, leaf.payload(definition)?)))
}

/// Topics that are cleared for a removed definition, its source last.
pub(crate) fn removed_topics(definition: &Definition) -> Vec<ChangedTopic> {
    let had = LEAVES.into_iter().rev().filter(|leaf| leaf.payload(definition).is_some());
    had.map(|leaf| ChangedTopic::new(leaf.topic(definition), Vec::new())).collect()
}
