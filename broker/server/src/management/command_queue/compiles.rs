//! Count of the modules of which native code is made on threads of their own, by who has them made.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::shares::Payer;
use crate::limits::{MODULE_COMPILES_MAX, MODULE_COMPILES_PER_TENANT_MAX, MODULE_COMPILES_PER_USER_MAX};

/// Modules that are being compiled, those included that nobody waits for any more.
#[derive(Debug, Default)]
pub(crate) struct Compiles(Mutex<HashMap<Payer, usize>>);

/// Place of one module among those that are compiled; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct CompilePlace {
    compiles: Arc<Compiles>,
    payer: Payer,
}

/// Reason why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCompilePlace {
    #[error(
        "{MODULE_COMPILES_PER_USER_MAX} modules of this user are being compiled, those included that were cancelled. Try again later."
    )]
    User,
    #[error(
        "{MODULE_COMPILES_PER_TENANT_MAX} modules of this tenant are being compiled, those included that were cancelled. Try again later."
    )]
    Tenant,
    #[error("{MODULE_COMPILES_MAX} other modules are being compiled. Try again later.")]
    All,
}

impl Compiles {
    /// Takes a place.
    ///
    /// # Errors
    /// [`NoCompilePlace`].
    pub(super) fn begin(self: &Arc<Self>, payer: Payer) -> Result<CompilePlace, NoCompilePlace> {
        let mut by_payer = self.0.lock();
        if by_payer.get(&payer).is_some_and(|count| *count >= MODULE_COMPILES_PER_USER_MAX) {
            return Err(NoCompilePlace::User);
        }
        let of_tenant = by_payer.iter().filter(|(other, _)| other.tenant == payer.tenant);
        if of_tenant.map(|(_, count)| count).sum::<usize>() >= MODULE_COMPILES_PER_TENANT_MAX {
            return Err(NoCompilePlace::Tenant);
        }
        if by_payer.values().sum::<usize>() >= MODULE_COMPILES_MAX {
            return Err(NoCompilePlace::All);
        }
        *by_payer.entry(payer.clone()).or_default() += 1;
        Ok(CompilePlace { compiles: Arc::clone(self), payer })
    }
}

impl Drop for CompilePlace {
    fn drop(&mut self) {
        let mut by_payer = self.compiles.0.lock();
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
        let compiles = Arc::<Compiles>::default();
        let taken = |tenant: u32, user: &str| -> (Vec<CompilePlace>, NoCompilePlace) {
            let mut places = Vec::new();
            loop {
                match compiles.begin(Payer::named(tenant, user)) {
                    Ok(place) => places.push(place),
                    Err(reason) => return (places, reason),
                }
            }
        };
        let (first, reason) = taken(1, "a");
        assert_eq!((first.len(), reason), (MODULE_COMPILES_PER_USER_MAX, NoCompilePlace::User));
        let (second, _) = taken(1, "b");
        let (third, reason) = taken(1, "c");
        assert_eq!(first.len() + second.len() + third.len(), MODULE_COMPILES_PER_TENANT_MAX);
        assert_eq!(reason, NoCompilePlace::Tenant);
        let (fourth, reason) = taken(2, "a");
        assert_eq!(fourth.len(), MODULE_COMPILES_MAX - MODULE_COMPILES_PER_TENANT_MAX);
        assert_eq!(reason, NoCompilePlace::All);
        drop(first);
        assert!(compiles.begin(Payer::named(1, "a")).is_ok());
        drop((second, third, fourth));
        assert!(compiles.0.lock().is_empty());
    }
}
