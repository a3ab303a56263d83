//! Actions that run when the broker starts.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use lot_facts::{Facts, Kind};
use lotmq_changes::DefinitionRow;
use lotmq_definitions::OnExisting;
use lotmq_programs::restore::{AwaitedStart, new_definition, wait_for_starts};
use lotmq_programs::{HasPrograms as _, records};

use crate::testing::Running;

#[test]
fn an_action_that_starts_slowly_has_an_error_record() {
    let running = Running::start("os");
    let broker = &running.server.broker;
    let tenant = broker.hosting.tenants.default_tenant();
    let row = DefinitionRow {
        tenant: tenant.id,
        kind: "action".into(),
        name: "Slow".into(),
        source: "DEFINE ACTION Slow\nON START DO\n    PUBLISH TOPIC \"o\" WITH 1\n".into(),
        owner: String::new(),
        origin: String::new(),
        order: 0,
        changed_at_ms: 0,
        state: Vec::new(),
    };
    let new = new_definition(&tenant, &row, Facts::new(Kind::Action, "Slow"));
    let now = broker.hosting.definitions_now();
    let installed = tenant.programs().guests.registry.write().install(new, OnExisting::Replace, now).unwrap();
    let (_unanswered, report) = sync_channel(1);
    let starting = AwaitedStart { tenant, definition: Arc::clone(&installed.definition), report };
    wait_for_starts(&broker.hosting, vec![starting], Duration::ZERO);
    assert_eq!(installed.definition.activity.last_error().unwrap().code, records::START_SLOW);
    running.server.stop();
}
