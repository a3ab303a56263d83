//! Numbers of guests: a definition of a tenant has one that is unique among all tenants, by which
//! the host names it.

use lotmq_definitions::DefinitionId;
use lotmq_host::GuestId;

use lotmq_core::tenant::Tenant;

/// Bits of a guest's number that hold the definition's own; the tenant's number is above them.
const TENANT_SHIFT: u32 = 40;

/// Definition that a guest runs, within its tenant.
pub(super) fn definition_id(id: GuestId) -> DefinitionId {
    DefinitionId(id.0 & ((1 << TENANT_SHIFT) - 1))
}

/// Number of the guest that runs a tenant's definition.
pub(super) fn guest_id(tenant: &Tenant, id: DefinitionId) -> GuestId {
    GuestId(u64::from(tenant.number) << TENANT_SHIFT | id.0)
}
