//! Places of what goes on for somebody on threads of its own, beside those of commands, by who
//! asked for it.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::shares::Payer;

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
    by_payer: Mutex<HashMap<Payer, usize>>,
}

/// Place of one piece of work; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct UserPlace {
    places: Arc<UserPlaces>,
    payer: Payer,
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
        Arc::new(Self { max, by_payer: Mutex::default() })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`NoUserPlace`].
    pub(super) fn begin(self: &Arc<Self>, payer: Payer) -> Result<UserPlace, NoUserPlace> {
        let PlacesMax { all, tenant, user } = self.max;
        let mut by_payer = self.by_payer.lock();
        if by_payer.get(&payer).is_some_and(|count| *count >= user) {
            return Err(NoUserPlace::User(user));
        }
        let of_tenant = by_payer.iter().filter(|(other, _)| other.tenant == payer.tenant);
        if of_tenant.map(|(_, count)| count).sum::<usize>() >= tenant {
            return Err(NoUserPlace::Tenant(tenant));
        }
        if by_payer.values().sum::<usize>() >= all {
            return Err(NoUserPlace::All(all));
        }
        *by_payer.entry(payer.clone()).or_default() += 1;
        Ok(UserPlace { places: Arc::clone(self), payer })
    }

    /// Number of places that are taken.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.by_payer.lock().values().sum()
    }
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        let mut by_payer = self.places.by_payer.lock();
        if let Some(count) = by_payer.get_mut(&self.payer) {
            *count -= 1;
            if *count == 0 {
                by_payer.remove(&self.payer);
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
                match places.begin(Payer::named(tenant, user)) {
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
        assert!(places.begin(Payer::named(1, "a")).is_ok());
        drop((second, third, fourth));
        assert!(places.by_payer.lock().is_empty());
    }
}
