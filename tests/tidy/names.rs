//! Names of types: one name for one thing in all crates, so that whoever reads a name knows what it
//! is.

use std::collections::BTreeMap;

use crate::assert_none;
use crate::exceptions::compare;
use crate::syntax::{Look, Walk, crates};

/// Names that several types have, with the number of those at most. Types that only their own
/// module can see are not counted.
const HOMONYMS: &[(&str, usize)] = &[
    ("Accepted", 2),
    ("Action", 2),
    ("Activity", 2),
    ("AnonymousLogin", 2),
    ("Answer", 3),
    ("ArchiveError", 2),
    ("Argument", 2),
    ("Asker", 2),
    ("Assignment", 3),
    ("Awaited", 2),
    ("Callee", 2),
    ("Case", 2),
    ("Cell", 2),
    ("Client", 2),
    ("Clock", 2),
    ("Code", 5),
    ("Connection", 4),
    ("Contents", 2),
    ("Damage", 2),
    ("Decoder", 3),
    ("Delivery", 2),
    ("Due", 2),
    ("Effect", 2),
    ("Endpoint", 2),
    ("Entered", 2),
    ("Entity", 2),
    ("Entry", 6),
    ("Event", 3),
    ("Expression", 2),
    ("ExpressionKind", 2),
    ("Fault", 2),
    ("Fields", 2),
    ("Figures", 2),
    ("Foreign", 2),
    ("Form", 2),
    ("Guest", 2),
    ("Header", 3),
    ("Identifiers", 2),
    ("ImportError", 2),
    ("Incoming", 2),
    ("Input", 3),
    ("Installed", 2),
    ("Job", 2),
    ("Kept", 2),
    ("Key", 3),
    ("Kind", 3),
    ("Label", 2),
    ("Language", 2),
    ("Layers", 2),
    ("Leaf", 2),
    ("Level", 3),
    ("Levels", 2),
    ("LoadError", 2),
    ("Log", 2),
    ("Mailbox", 2),
    ("Manifest", 3),
    ("Member", 2),
    ("Message", 3),
    ("Module", 2),
    ("Names", 2),
    ("Need", 4),
    ("Next", 3),
    ("Offer", 2),
    ("Origin", 2),
    ("Outbound", 2),
    ("Outgoing", 2),
    ("Output", 3),
    ("Overlay", 2),
    ("Pace", 3),
    ("Part", 4),
    ("Patterns", 2),
    ("Peer", 2),
    ("Pending", 2),
    ("Piece", 3),
    ("Plan", 2),
    ("Progress", 2),
    ("Project", 2),
    ("Publication", 2),
    ("Question", 3),
    ("Queue", 2),
    ("Range", 2),
    ("Rare", 2),
    ("Reader", 4),
    ("Received", 2),
    ("Record", 2),
    ("Refusal", 3),
    ("Report", 3),
    ("Request", 2),
    ("Route", 2),
    ("Rule", 2),
    ("Row", 4),
    ("Rows", 3),
    ("RunError", 2),
    ("Schedule", 2),
    ("Scope", 3),
    ("Scripts", 2),
    ("Secret", 2),
    ("Sent", 2),
    ("Server", 2),
    ("Setting", 2),
    ("Severity", 2),
    ("Shard", 2),
    ("Share", 2),
    ("Shared", 3),
    ("SharedGroup", 2),
    ("Sink", 2),
    ("Slots", 2),
    ("Socket", 2),
    ("Source", 3),
    ("Span", 2),
    ("Spares", 2),
    ("Start", 2),
    ("Statement", 2),
    ("Steps", 2),
    ("Store", 2),
    ("Stored", 2),
    ("Subject", 3),
    ("Subscribers", 2),
    ("Surroundings", 3),
    ("Target", 3),
    ("Text", 2),
    ("Tls", 3),
    ("Topic", 2),
    ("Transport", 2),
    ("Unfinished", 3),
    ("UnixSocket", 2),
    ("Value", 2),
    ("Variable", 2),
    ("Version", 2),
    ("Violation", 3),
    ("Waiting", 3),
    ("Wanted", 2),
    ("Watched", 2),
    ("WebSocket", 2),
    ("What", 2),
    ("Will", 2),
    ("Wire", 2),
    ("Work", 4),
    ("World", 2),
    ("WriteError", 2),
    ("Writer", 3),
    ("Written", 3),
    ("Zstd", 2),
];

/// Name that each construct of the language has for its own in the checked tree.
const OF_EACH_CONSTRUCT: &str = "Checked";

/// How often each name is declared for more than its own module.
#[derive(Default)]
struct Declarations(BTreeMap<String, usize>);

impl Look for Declarations {
    fn named_type(walk: &mut Walk<Self>, name: &syn::Ident, visibility: &syn::Visibility) {
        if !matches!(visibility, syn::Visibility::Inherited) && name != OF_EACH_CONSTRUCT {
            *walk.found.0.entry(name.to_string()).or_default() += 1;
        }
    }
}

/// Whether a crate is a connector, a guest for logins, or a library of these. They are programs of
/// their own, as those of strangers are, which know the SDK and nothing of the broker.
fn is_connector(folder: &str) -> bool {
    ["guests/auth-", "guests/route-", "guests/lib/"].iter().any(|place| folder.starts_with(place))
}

#[test]
fn no_name_is_given_to_two_types() {
    let of_broker = crates().into_iter().filter(|(folder, _)| !is_connector(folder));
    let files = of_broker.flat_map(|(_, files)| files);
    let declared = files.fold(Declarations::default(), |all, file| Walk::over(&file, all));
    assert!(declared.0.len() > 500, "there are many types");
    assert_none(&compare(&declared.0, 1, HOMONYMS, "types of this name"));
}
