//! Places of what goes on for somebody on threads of its own, beside those of commands, by who
//! asked for it.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::shares::QuotaKey;

/// Most places: of all, of one tenant, of one user.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacesMax {
    pub(super) all: usize,
    pub(super) tenant: usize,
    pub(super) user: usize,
}

/// Places in use by payer, including work that nobody waits for any more.
#[derive(Debug)]
pub(crate) struct UserPlaces {
    max: PlacesMax,
    by_key: Mutex<HashMap<QuotaKey, usize>>,
}

/// Place of one piece of work; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct UserPlace {
    places: Arc<UserPlaces>,
    quota_key: QuotaKey,
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
    pub(super) fn new(max: PlacesMax) -> Arc<Self> {
        Arc::new(Self { max, by_key: Mutex::default() })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`NoUserPlace`].
    pub(super) fn begin(self: &Arc<Self>, quota_key: QuotaKey) -> Result<UserPlace, NoUserPlace> {
        let PlacesMax { all, tenant, user } = self.max;
        let mut by_key = self.by_key.lock();
        if by_key.get(&quota_key).is_some_and(|count| *count >= user) {
            return Err(NoUserPlace::User(user));
        }
        let of_tenant = by_key.iter().filter(|(other, _)| other.tenant == quota_key.tenant);
        if of_tenant.map(|(_, count)| count).sum::<usize>() >= tenant {
            return Err(NoUserPlace::Tenant(tenant));
        }
        if by_key.values().sum::<usize>() >= all {
            return Err(NoUserPlace::All(all));
        }
        *by_key.entry(quota_key.clone()).or_default() += 1;
        Ok(UserPlace { places: Arc::clone(self), quota_key })
    }

    /// Number of places that are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.by_key.lock().values().sum()
    }
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        let mut by_key = self.places.by_key.lock();
        if let Some(count) = by_key.get_mut(&self.quota_key) {
            *count -= 1;
            if *count == 0 {
                by_key.remove(&self.quota_key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_tenant_leave_places_to_others() {
        let places = UserPlaces::new(PlacesMax { all: 8, tenant: 6, user: 3 });
        let taken = |tenant: u32, user: &str| -> (Vec<UserPlace>, NoUserPlace) {
            let mut taken = Vec::new();
            loop {
                match places.begin(QuotaKey::named(tenant, user)) {
                    Ok(place) => taken.push(place),
                    Err(reason) => return (taken, reason),
                }
            }
        };
        let (first, reason) = taken(1, "a");
        assert_eq!((first.len(), reason), (3, NoUserPlace::User(3)));
        let (second, _) = taken(1, "b");
        let (third, reason) = taken(1, "c");
        assert_eq!(first.len() + second.len() + third.len(), 6);
        assert_eq!(reason, NoUserPlace::Tenant(6));
        let (fourth, reason) = taken(2, "a");
        assert_eq!((fourth.len(), reason), (2, NoUserPlace::All(8)));
        drop(first);
        assert!(places.begin(QuotaKey::named(1, "a")).is_ok());
        drop((second, third, fourth));
        assert!(places.by_key.lock().is_empty());
    }
}
