//! `-listProjects`, and `-loadLicense`, which old clients send. Commands reference §3 and §13.

use serde_json::json;

use super::reply::{Done, Refusal};
use super::verb::{Call, Permission, Verb};

pub(super) static LIST: Verb = Verb {
    name: "listProjects",
    usage: "",
    permission: Permission::CommandCall,
    summary: "Lists projects.",
    example: "-listProjects",
    execute: list,
};

pub(super) static LOAD_LICENSE: Verb = Verb {
    name: "loadLicense",
    usage: "<anything>",
    permission: Permission::CommandCall,
    summary: "Does nothing: no license is required.",
    example: "-loadLicense license.lic",
    execute: |_| Ok(Done::new("No license is required. The command was ignored.")),
};

/// This build cannot load a project, so there is none.
fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    call.arguments(&[], 0)?;
    Ok(Done::new("No projects found.").with_data(json!([])))
}
