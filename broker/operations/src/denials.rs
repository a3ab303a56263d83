//! Denials by rules, with warnings in the log: at the first denial of each user and scope, then at
//! doubled counts.
//!
//! The log shows an administrator why no messages arrive, and a Client that is denied a thousand
//! messages a second writes ten lines. The audit also records each denial.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lotmq_auth::{Denier, Scope};
use lotmq_core::tenant::Tenant;
use lotmq_definitions::DefinitionKind;
use parking_lot::Mutex;

use lotmq_programs::HasPrograms as _;

/// Most users and scopes that are told apart; of further ones the count begins anew. More than
/// there are accounts in most plants.
const KNOWN_MAX: usize = 10_000;

/// Denials of a tenant that are remembered for questions why.
const RECENT_MAX: usize = 256;

/// Bytes of a topic that are remembered with a denial.
const RECENT_TOPIC_BYTES_MAX: usize = 1_024;

/// Counts of denials by user and scope. Anonymous Clients count as one user: their identifiers are
/// their own choice.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    by_user: Mutex<HashMap<Denied, u64>>,
    all: AtomicU64,
    /// The last denials, oldest first.
    recent: Mutex<VecDeque<LastDenial>>,
}

/// Denial that came last.
#[derive(Clone, Debug)]
pub(crate) struct LastDenial {
    /// Whom; nobody of an anonymous Client.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) scope: &'static str,
    /// Empty where the scope has none.
    pub(crate) topic: String,
    /// Client Identifier.
    pub(crate) client_id: Arc<str>,
    /// Rule or grant that denied it.
    pub(crate) by: Denier,
    /// In milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// User, if any, and scope of a denial.
type Denied = (Option<Arc<str>>, Scope);

impl Denials {
    /// Counts a denial; returns the number of denials so far, when this one is to be logged.
    pub(crate) fn note(&self, user: Option<&Arc<str>>, scope: Scope, denial: LastDenial) -> Option<u64> {
        self.all.fetch_add(1, Ordering::Relaxed);
        {
            let mut recent = self.recent.lock();
            if recent.len() >= RECENT_MAX {
                recent.pop_front();
            }
            recent.push_back(denial);
        }
        let mut known = self.by_user.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let count = known.entry((user.cloned(), scope)).or_default();
        *count += 1;
        count.is_power_of_two().then_some(*count)
    }
}

impl Denials {
    /// How many there were since the start, and the last one.
    pub(crate) fn so_far(&self) -> (u64, Option<LastDenial>) {
        (self.all.load(Ordering::Relaxed), self.recent.lock().back().cloned())
    }

    /// The last denials, oldest first: at most [`RECENT_MAX`].
    pub(crate) fn recent(&self) -> Vec<LastDenial> {
        self.recent.lock().iter().cloned().collect()
    }
}

/// Part of a topic that is remembered with a denial.
pub(crate) fn remembered(topic: &str) -> &str {
    &topic[..topic.floor_char_boundary(RECENT_TOPIC_BYTES_MAX)]
}

/// Returns the name and place of the rule that denied a request: `rule Valves
/// (rules/valves.lot:3)`.
pub fn by(tenant: &Tenant, denier: &Denier) -> String {
    let place = match denier {
        Denier::Rule(name) => place(tenant, name),
        Denier::Grant(_) | Denier::NoGrant | Denier::BuiltIn | Denier::Nobody => None,
    };
    place.map_or_else(|| denier.to_string(), |place| format!("{denier} ({place})"))
}

/// File and line of a rule that came from a file.
pub(crate) fn place(tenant: &Tenant, rule: &str) -> Option<String> {
    let registry = tenant.programs().guests.registry.read();
    let rule = registry.get(DefinitionKind::Rule, rule)?;
    let (file, _) = rule.deployed.origin.file();
    (!file.is_empty()).then(|| format!("{file}:{}", rule.line_of_file(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(at_ms: u64) -> LastDenial {
        LastDenial {
            user: None,
            scope: "Publish",
            topic: "t".to_owned(),
            client_id: "c".into(),
            by: Denier::Nobody,
            at_ms,
        }
    }

    #[test]
    fn denials_are_reported_first_and_then_at_doubled_counts() {
        let denials = Denials::default();
        let ada: Arc<str> = "ada".into();
        let told: Vec<u64> =
            (0..9).filter_map(|_| denials.note(Some(&ada), Scope::Publish, last(1))).collect();
        assert_eq!(told, [1, 2, 4, 8]);
        assert_eq!(denials.note(Some(&ada), Scope::Subscribe, last(2)), Some(1), "another scope");
        assert_eq!(denials.note(None, Scope::Publish, last(3)), Some(1), "somebody else");
        let (all, denial) = denials.so_far();
        assert_eq!((all, denial.unwrap().at_ms), (11, 3));
    }

    #[test]
    fn number_of_remembered_users_is_bounded() {
        let denials = Denials::default();
        for number in 0..2 * KNOWN_MAX {
            denials.note(Some(&number.to_string().into()), Scope::Publish, last(0));
        }
        assert!(denials.by_user.lock().len() <= KNOWN_MAX);
    }
}
