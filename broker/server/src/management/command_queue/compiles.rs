//! Count of the modules of which native code is made on threads of their own, by tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::{MODULE_COMPILES_MAX, MODULE_COMPILES_PER_TENANT_MAX};

/// Modules that are being compiled, those included that nobody waits for any more.
#[derive(Debug, Default)]
pub(crate) struct Compiles(Mutex<BTreeMap<u32, usize>>);

/// Place of one module among those that are compiled; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct CompilePlace {
    compiles: Arc<Compiles>,
    tenant: u32,
}

/// Reason why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCompilePlace {
    #[error(
        "{MODULE_COMPILES_PER_TENANT_MAX} modules of this tenant are being compiled, those included that were cancelled. Try again later."
    )]
    OfTenant,
    #[error("{MODULE_COMPILES_MAX} other modules are being compiled. Try again later.")]
    OfAll,
}

impl Compiles {
    /// Takes a place for a tenant, by its number.
    ///
    /// # Errors
    /// [`NoCompilePlace`].
    pub(crate) fn begin(self: &Arc<Self>, tenant: u32) -> Result<CompilePlace, NoCompilePlace> {
        let mut of_tenants = self.0.lock();
        if of_tenants.get(&tenant).is_some_and(|count| *count >= MODULE_COMPILES_PER_TENANT_MAX) {
            return Err(NoCompilePlace::OfTenant);
        }
        if of_tenants.values().sum::<usize>() >= MODULE_COMPILES_MAX {
            return Err(NoCompilePlace::OfAll);
        }
        *of_tenants.entry(tenant).or_default() += 1;
        Ok(CompilePlace { compiles: Arc::clone(self), tenant })
    }
}

impl Drop for CompilePlace {
    fn drop(&mut self) {
        let mut of_tenants = self.compiles.0.lock();
        if let Some(count) = of_tenants.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                of_tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_leaves_places_to_others() {
        let compiles = Arc::<Compiles>::default();
        let of_one: Vec<_> =
            (0..MODULE_COMPILES_PER_TENANT_MAX).map(|_| compiles.begin(1).unwrap()).collect();
        assert_eq!(compiles.begin(1).unwrap_err(), NoCompilePlace::OfTenant);
        let left = MODULE_COMPILES_MAX - MODULE_COMPILES_PER_TENANT_MAX;
        let of_other: Vec<_> = (0..left).map(|_| compiles.begin(2).unwrap()).collect();
        assert_eq!(compiles.begin(2).unwrap_err(), NoCompilePlace::OfAll);
        drop(of_one);
        assert!(compiles.begin(1).is_ok());
        drop(of_other);
        assert!(compiles.0.lock().is_empty());
    }
}
