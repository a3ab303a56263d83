//! Documents: topics below `$SYS/Coreflux` that always exist, one line each, with the function that
//! computes its payload. Commands reference §5.

use lotmq_auth::built_in::BUILT_INS;
use lotmq_changes::{QuarantineRow, TenantId};
use lotmq_definitions::DefinitionKind;
use serde_json::{Map, Value, json};

use super::clients;
use super::figures::Figures;
use super::rows::Rows;
use super::users::users_json;
use crate::broker::Broker;
use crate::limits::LISTING_ROWS_MAX;
use crate::managed::Managing as _;
use lotmq_core::tenant::Tenant;
use lotmq_process::usage;
use lotmq_programs::HasPrograms as _;

/// Topic with the function that computes its payload.
pub(super) struct Document {
    pub(super) topic: &'static str,
    pub(super) payload: fn(&Broker, &Tenant) -> String,
}

/// Documents whose computation is short.
pub(super) static DOCUMENTS: &[Document] = &[
    Document { topic: "$SYS/Coreflux/Version", payload: |_, _| version() },
    Document { topic: "$SYS/Coreflux/License", payload: license },
    Document { topic: "$SYS/Coreflux/License/Status", payload: license },
    Document { topic: "$SYS/Coreflux/Config", payload: config },
    Document { topic: "$SYS/Coreflux/Config/Users", payload: users },
    Document { topic: "$SYS/Coreflux/Config/users", payload: users },
    Document { topic: "$SYS/Coreflux/Config/Rules", payload: rules },
    Document {
        topic: "$SYS/Coreflux/Python/Scripts",
        payload: |_, tenant| tenant.programs().scripts.to_json(),
    },
    Document {
        topic: "$SYS/Coreflux/Projects/list",
        payload: |_, tenant| tenant.managed().projects.list().to_string(),
    },
    Document {
        topic: "$SYS/Coreflux/Projects/active",
        payload: |_, tenant| tenant.managed().projects.active_json(),
    },
];

/// Documents about the cluster of a single broker; published every seven seconds.
pub(super) static CLUSTER: &[Document] = &[
    Document { topic: "$SYS/Coreflux/Cluster/Role", payload: |_, _| "Leader".to_owned() },
    Document { topic: "$SYS/Coreflux/Cluster/IsLeader", payload: |_, _| "true".to_owned() },
    Document {
        topic: "$SYS/Coreflux/Cluster/Leader",
        payload: |broker, _| broker.hosting.config.broker.name.clone(),
    },
    Document { topic: "$SYS/Coreflux/Cluster/Term", payload: |_, _| "1".to_owned() },
    Document {
        topic: "$SYS/Coreflux/Cluster/Members",
        payload: |broker, _| json!([broker.hosting.config.broker.name]).to_string(),
    },
    Document { topic: "$SYS/Coreflux/Cluster/Status", payload: |_, _| "standalone".to_owned() },
];

/// Documents that change all the time: published every ten seconds.
pub(super) static PERIODIC: &[Document] = &[
    Document { topic: "$SYS/Coreflux/Resources/Memory", payload: |_, _| usage::memory().0.to_string() },
    Document {
        topic: "$SYS/Coreflux/Resources/Cpu",
        payload: |broker, _| format!("{:.1}", broker.sys.cpu_percent()),
    },
    Document { topic: "$SYS/Coreflux/Status", payload: |broker, tenant| status(broker, tenant).to_string() },
    Document { topic: "$SYS/Coreflux/Status/State", payload: |_, _| "running".to_owned() },
    Document {
        topic: "$SYS/Coreflux/Status/Uptime",
        payload: |broker, tenant| leaf(broker, tenant, "Uptime"),
    },
    Document {
        topic: "$SYS/Coreflux/Status/Connections",
        payload: |broker, tenant| leaf(broker, tenant, "Connections"),
    },
    Document {
        topic: "$SYS/Coreflux/Status/MessagesIn",
        payload: |broker, tenant| leaf(broker, tenant, "MessagesIn"),
    },
    Document {
        topic: "$SYS/Coreflux/Status/MessagesOut",
        payload: |broker, tenant| leaf(broker, tenant, "MessagesOut"),
    },
    Document { topic: "$SYS/Coreflux/Status/Store", payload: |broker, tenant| leaf(broker, tenant, "Store") },
];

/// Arrays of bounded length whose computation may take long: see `listing`.
pub(super) static LISTINGS: &[Document] = &[
    Document { topic: "$SYS/Coreflux/Comms/Clients", payload: |_, tenant| clients::connected(tenant) },
    Document { topic: "$SYS/Coreflux/Comms/Sessions", payload: |_, tenant| clients::sessions(tenant) },
    Document {
        topic: "$SYS/Coreflux/Actions",
        payload: |_, tenant| deployed(tenant, DefinitionKind::Action),
    },
    Document { topic: "$SYS/Coreflux/Models", payload: |_, tenant| deployed(tenant, DefinitionKind::Model) },
    Document { topic: "$SYS/Coreflux/Rules", payload: |_, tenant| rule_listing(tenant) },
    Document { topic: "$SYS/Coreflux/Routes", payload: |_, tenant| deployed(tenant, DefinitionKind::Route) },
    Document { topic: "$SYS/Coreflux/Store/Quarantine", payload: quarantine },
    Document { topic: "$SYS/Coreflux/Entities/ownership", payload: |_, tenant| ownership(tenant) },
];

/// List of damaged rows that were put aside: where they were, what is wrong with them, since when.
fn quarantine(broker: &Broker, tenant: &Tenant) -> String {
    let is_own = |row: &&QuarantineRow| {
        tenant.id == TenantId::DEFAULT || row.key.starts_with(&tenant.id.0.to_be_bytes())
    };
    let own = broker.quarantined.iter().filter(is_own);
    Rows::of(own.clone().count()).json(
        own.map(|row| json!({ "table": row.table, "reason": row.reason, "foundAtMs": row.found_at_ms })),
    )
}

fn version() -> String {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        // Version that the original reports to its clients.
        "compat": "2.14",
        "product": "lotmq",
        "build": option_env!("LOTMQ_BUILD").unwrap_or(env!("CARGO_PKG_VERSION")),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    })
    .to_string()
}

/// License document: no license is required, and nothing is limited by one (commands reference
/// §13).
fn license(broker: &Broker, tenant: &Tenant) -> String {
    json!({
        "status": "Valid",
        "tier": "Open",
        "expiry": null,
        "connections": Figures::of(broker, tenant).connected,
        "limits": { "routes": null, "actions": null, "models": null },
    })
    .to_string()
}

pub(crate) fn config(broker: &Broker, tenant: &Tenant) -> String {
    let mut shown = broker.hosting.config.to_json();
    if tenant.number != 0 {
        // All other keys belong to `root` of `default` alone (commands reference §7.5).
        shown.retain(|key, _| matches!(key.as_str(), "Name" | "AnonymousLogin"));
        shown.insert("Tenant".to_owned(), json!(&*tenant.name));
    }
    if tenant.users.root_has_default_password() {
        shown.insert("defaultPassword".to_owned(), json!(true));
    }
    Value::Object(shown).to_string()
}

fn users(_: &Broker, tenant: &Tenant) -> String {
    Value::Array(users_json(&tenant.users)).to_string()
}

fn rules(_: &Broker, tenant: &Tenant) -> String {
    lotmq_programs::rules::count(tenant).to_string()
}

fn status(broker: &Broker, tenant: &Tenant) -> Value {
    json!({
        "State": "running",
        "Uptime": broker.sys.uptime().as_secs(),
        "Connections": Figures::of(broker, tenant).connected,
        "MessagesIn": broker.core.counters.publish_received.get(),
        "MessagesOut": broker.core.counters.publish_sent.get(),
        "Store": store_bytes(broker),
    })
}

/// Bytes of the store's file; where it has none, those of the messages in memory.
pub(super) fn store_bytes(broker: &Broker) -> u64 {
    let file = std::fs::metadata(broker.hosting.config.store_path());
    file.map_or_else(|_| broker.core.log.metrics().log_bytes, |file| file.len())
}

fn leaf(broker: &Broker, tenant: &Tenant, key: &str) -> String {
    status(broker, tenant)[key].to_string()
}

fn deployed(tenant: &Tenant, kind: DefinitionKind) -> String {
    let registry = tenant.programs().guests.registry.read();
    let listed = registry.listing(kind, LISTING_ROWS_MAX);
    let rows = Rows::of(registry.count(kind));
    drop(registry);
    rows.json(listed.iter().map(|row| json!(row)))
}

/// List of rules: the built-in ones, then the others.
fn rule_listing(tenant: &Tenant) -> String {
    let registry = tenant.programs().guests.registry.read();
    let listed = registry.listing(DefinitionKind::Rule, LISTING_ROWS_MAX - BUILT_INS.len());
    drop(registry);
    let rows = Rows::of(lotmq_programs::rules::count(tenant));
    let built_in =
        BUILT_INS.iter().map(|rule| json!({ "name": rule.name, "state": "running", "origin": "builtin" }));
    rows.json(built_in.chain(listed.iter().map(|row| json!(row))))
}

/// Owners of definitions, as an object and not an array: two keys tell when it is cut.
fn ownership(tenant: &Tenant) -> String {
    let owned = crate::tenant_projects::owned(tenant);
    let total = owned.len();
    let mut rows: Map<String, Value> =
        owned.into_iter().take(LISTING_ROWS_MAX).map(|(key, origin)| (key, json!(origin))).collect();
    if total > LISTING_ROWS_MAX {
        rows.insert("truncated".to_owned(), json!(true));
        rows.insert("total".to_owned(), json!(total));
    }
    Value::Object(rows).to_string()
}
