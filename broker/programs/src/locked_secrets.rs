//! Secrets that are stored and that the key of this broker does not open, where a program says of
//! one that it is not set: it cannot tell.

use lot_to_wasm::diagnostic::codes::{Code, RUN_MISSING_SECRET};
use lotmq_core::tenant::Tenant;
use lotmq_definitions::Definition;

use super::HasPrograms as _;
use super::rights::{Access, Rights, Variable};

/// Text in the place of the report of a definition, where that says of such a secret that it is not
/// set. Whether there is one is nobody's business who may not read it.
pub(super) fn masked_report(
    tenant: &Tenant,
    definition: &Definition,
    (code, message): (&str, &str),
) -> Option<String> {
    if Code::parse(code) != Some(RUN_MISSING_SECRET) {
        return None;
    }
    let name = message.split('`').nth(1)?;
    let programs = tenant.programs();
    let rights = Rights::of(programs.guests.authority, definition);
    let is_told =
        programs.variables.is_locked(name) && rights.may_use(tenant, Variable::Secret, name, Access::Read);
    is_told.then(|| {
        format!("secret `{name}` is stored, and the key of this broker does not open it (SECRETS_LOCKED)")
    })
}
