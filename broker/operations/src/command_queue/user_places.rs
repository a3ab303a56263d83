//! Places of work that goes on for somebody on threads of its own, beside those of commands. All,
//! a tenant and a user have a fixed number of them: it follows from the number of threads.

use std::sync::Arc;

use lotmq_shares::{OwnerKey, OwnerUsage, QuotaLevels};
use parking_lot::Mutex;

/// Places in use, including work that nobody waits for any more.
#[derive(Debug)]
pub(crate) struct UserPlaces {
    max: QuotaLevels<usize>,
    taken: Mutex<OwnerUsage<usize>>,
}

/// Place of one piece of work; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct UserPlace {
    places: Arc<UserPlaces>,
    owner: OwnerKey,
}

/// Reason why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoUserPlace {
    #[error("{0} others of this user")]
    User(usize),
    #[error("{0} others of this tenant")]
    Tenant(usize),
    #[error("{0} others")]
    All(usize),
}

impl UserPlaces {
    pub(super) fn new(max: QuotaLevels<usize>) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default() })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`NoUserPlace`].
    pub(super) fn begin(self: &Arc<Self>, owner: OwnerKey) -> Result<UserPlace, NoUserPlace> {
        let (mut taken, max) = (self.taken.lock(), self.max);
        let used = taken.of(owner);
        if used.owner >= max.owner {
            return Err(NoUserPlace::User(max.owner));
        }
        if used.tenant >= max.tenant {
            return Err(NoUserPlace::Tenant(max.tenant));
        }
        if used.all >= max.all {
            return Err(NoUserPlace::All(max.all));
        }
        taken.change(owner, |places| *places += 1);
        Ok(UserPlace { places: Arc::clone(self), owner })
    }

    /// Number of places that are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().all()
    }
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        self.places.taken.lock().change(self.owner, |places| *places -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_tenant_leave_places_to_others() {
        let places = UserPlaces::new(QuotaLevels { all: 8, tenant: 6, owner: 3 });
        let taken = |tenant: u32, quota_key: u64| -> (Vec<UserPlace>, NoUserPlace) {
            let mut taken = Vec::new();
            loop {
                match places.begin(OwnerKey { tenant, quota_key }) {
                    Ok(place) => taken.push(place),
                    Err(reason) => return (taken, reason),
                }
            }
        };
        let (first, reason) = taken(1, 1);
        assert_eq!((first.len(), reason), (3, NoUserPlace::User(3)));
        let (second, _) = taken(1, 2);
        let (third, reason) = taken(1, 3);
        assert_eq!(first.len() + second.len() + third.len(), 6);
        assert_eq!(reason, NoUserPlace::Tenant(6));
        let (fourth, reason) = taken(2, 1);
        assert_eq!((fourth.len(), reason), (2, NoUserPlace::All(8)));
        drop(first);
        assert!(places.begin(OwnerKey { tenant: 1, quota_key: 1 }).is_ok());
        drop((second, third, fourth));
        assert!(places.taken.lock().is_empty());
    }
}
