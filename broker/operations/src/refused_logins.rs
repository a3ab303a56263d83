//! Refused logins since the start, and the last one: whoever asks how the broker is learns that
//! nobody gets in.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::limits::REFUSED_LOGIN_CHARACTERS_SHOWN;

/// Count of refused logins, and the last one.
#[derive(Debug, Default)]
pub(crate) struct RefusedLogins {
    all: AtomicU64,
    last: Mutex<Option<RefusedLogin>>,
}

/// Login that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedLogin {
    /// Client Identifier, the beginning of a long one.
    pub(crate) client_id: String,
    /// Address that it came from.
    pub(crate) endpoint: String,
    /// Why, as the log says it.
    pub(crate) reason: String,
    /// In milliseconds since 1970.
    pub(crate) at_ms: u64,
}

impl RefusedLogins {
    /// Counts a refusal at this time.
    pub(crate) fn note(&self, client_id: &str, endpoint: &dyn Display, reason: &dyn Display, at_ms: u64) {
        self.all.fetch_add(1, Ordering::Relaxed);
        let shown = |text: &str| text.chars().take(REFUSED_LOGIN_CHARACTERS_SHOWN).collect();
        *self.last.lock() = Some(RefusedLogin {
            client_id: shown(client_id),
            endpoint: endpoint.to_string(),
            reason: shown(&reason.to_string()),
            at_ms,
        });
    }

    /// How many there were since the start, and the last one.
    pub(crate) fn so_far(&self) -> (u64, Option<RefusedLogin>) {
        (self.all.load(Ordering::Relaxed), self.last.lock().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_last_is_kept_cut_short() {
        let refused = RefusedLogins::default();
        assert_eq!(refused.so_far(), (0, None));
        refused.note("a", &"here", &"wrong", 1);
        refused.note(&"b".repeat(200), &"there", &"denied", 2);
        let last = RefusedLogin {
            client_id: "b".repeat(100),
            endpoint: "there".to_owned(),
            reason: "denied".to_owned(),
            at_ms: 2,
        };
        assert_eq!(refused.so_far(), (2, Some(last)));
    }
}
