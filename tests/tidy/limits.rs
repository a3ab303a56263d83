//! `docs/limits.md`: limits that can be set, from the server's table, and bounds that cannot, from
//! the `limits.rs` of every crate.

use std::fmt::Write as _;

use lotmq_config::KEYS;

use crate::details::fold;
use crate::{assert_none, root};

/// Folders whose `limits.rs` has bounds, and what each is about.
const PARTS: [(&str, &str); 25] = [
    ("broker/core/src", "The data path"),
    ("broker/net/src", "Listeners and shards"),
    ("broker/programs/src", "Programs and routes"),
    ("broker/operations/src", "Commands, audit, modules"),
    ("broker/admin/src", "Health and metrics"),
    ("broker/server/src/server", "Start and storage"),
    ("broker/process/src", "Process and machine"),
    ("broker/session/src", "A session's flows"),
    ("broker/router/src", "Topics and subscriptions"),
    ("broker/codec/src", "The wire format"),
    ("broker/websocket/src", "WebSocket"),
    ("broker/zstd/src", "The zstd stream"),
    ("broker/changes/src", "Batches and log records"),
    ("broker/store/src", "The store"),
    ("broker/auth/src", "Users and logins"),
    ("broker/import/src", "Imports from other brokers"),
    ("broker/jwt/src", "Tokens and their keys"),
    ("broker/definitions/src", "What is deployed"),
    ("broker/host/src", "Guests"),
    ("broker/client/src", "Our own client"),
    ("broker/chain/src", "Chains of certificates"),
    ("broker/pulse/src", "Threads that stand still"),
    ("lot-to-wasm/src", "LoT programs"),
    ("lot-to-wasm/route-catalogue/src", "Descriptions of routes"),
    ("lot-to-wasm/patterns/src", "Regular expressions with look-around"),
];

/// File with the defaults of settings.
const DEFAULTS: &str = "broker/config/src/limit_table/default_values.rs";

/// Beginning of the comment on the default of a setting.
const DEFAULT_OF: &str = "Default of `";

const PREFACE: &str = include_str!("limits.md");

/// A bound that cannot be set.
struct Bound {
    name: String,
    value: String,
    doc: String,
}

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = PREFACE.replace("{settings}", lotmq_server::limits_markdown().trim_end());
    for (folder, title) in PARTS {
        let _ = write!(page, "\n### {title}\n\n| bound | value | |\n|---|---|---|\n{}", rows(folder));
    }
    fold(&page, &["at the bound"])
}

/// Rows of the table of a folder's bounds.
pub(crate) fn rows(folder: &str) -> String {
    let mut rows = String::new();
    for Bound { name, value, doc } in bounds(folder) {
        if !doc.starts_with(DEFAULT_OF) {
            let _ = writeln!(rows, "| `{name}` | {value} | {doc} |");
        }
    }
    rows
}

fn bounds(folder: &str) -> Vec<Bound> {
    let folder = root().join(folder);
    let mut found = constants(&std::fs::read_to_string(folder.join("limits.rs")).unwrap());
    // Further bounds of a crate whose file would be too long.
    if let Ok(sums) = std::fs::read_to_string(folder.join("limits/sums.rs")) {
        found.extend(constants(&sums));
    }
    found
}

/// Every constant with what stands above it.
fn constants(text: &str) -> Vec<Bound> {
    let mut found = Vec::new();
    let mut doc = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("///") {
            doc.push(comment.trim().to_owned());
        } else if let Some((_, rest)) = line
            .split_once("const ")
            .filter(|(before, rest)| before.starts_with("pub") && !rest.starts_with("fn "))
        {
            let mut rest = rest.to_owned();
            while !rest.ends_with(';') {
                rest.push_str(lines.next().unwrap());
            }
            let (name, rest) = rest.split_once(':').unwrap();
            let (_, value) = rest.split_once(" = ").unwrap();
            let value = shown(value.trim_end_matches(';').trim(), name);
            found.push(Bound {
                name: name.to_owned(),
                value,
                doc: plain(&std::mem::take(&mut doc).join(" ")),
            });
        } else {
            doc.clear();
        }
    }
    found
}

/// A value as people write it.
fn shown(value: &str, name: &str) -> String {
    let value = value
        .rsplit_once("NonZeroU32::new(")
        .map_or(value, |(_, inner)| inner.split_once(')').map_or(inner, |(number, _)| number));
    let range = value.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')?.split_once(", "));
    if let Some((low, high)) = range {
        return format!("{} to {}", shown(low, name), shown(high, name));
    }
    let list = value.strip_prefix("&[").and_then(|inner| inner.strip_suffix(']'));
    if let Some(list) = list.filter(|list| list.contains("Duration::")) {
        let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
        return parts.map(|part| shown(part, name)).collect::<Vec<_>>().join(", ");
    }
    let shifted = value.split_once(" << ").and_then(|(base, shift)| Some((base, shift.parse::<u32>().ok()?)));
    if let Some((base, shift)) = shifted {
        return in_bytes(product(base).expect("a number is shifted") << shift, name);
    }
    for (call, unit) in [
        ("Duration::from_mins(", "min"),
        ("Duration::from_secs(", "s"),
        ("Duration::from_millis(", "ms"),
        ("Duration::from_micros(", "µs"),
    ] {
        let argument = value.split_once(call).map(|(_, rest)| rest.trim_end_matches(')'));
        if let Some(number) = argument.and_then(product) {
            return format!("{} {unit}", grouped(number));
        }
    }
    match product(value) {
        Some(number) if value.contains('*') => in_bytes(number, name),
        Some(number) => grouped(number),
        // More than a number: as it stands in the code.
        None => format!("`{value}`"),
    }
}

/// The number that a literal is, or several that are multiplied.
fn product(value: &str) -> Option<u64> {
    value.split(" * ").map(|factor| factor.replace('_', "").parse::<u64>().ok()).product()
}

/// A number, with a space between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    if digits.len() > 4 { groups.join(" ") } else { digits }
}

/// A number, with the unit where it is one of bytes.
fn in_bytes(number: u64, name: &str) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| number.is_multiple_of(*size)) {
        Some((size, unit)) if name.contains("BYTES") => format!("{} {unit}", number / size),
        _ => grouped(number),
    }
}

/// A comment as plain Markdown: without links to code, on one line.
fn plain(doc: &str) -> String {
    let doc = doc.replace("](crate::", "]\0(").replace("  ", " ");
    let without_targets = doc.split('\0').enumerate().map(|(at, part)| match part.split_once(')') {
        Some((_, rest)) if at > 0 => rest.to_owned(),
        _ => part.to_owned(),
    });
    without_targets
        .collect::<String>()
        .replace("[`", "`")
        .replace("`]", "`")
        .replace("\\[", "[")
        .replace("\\]", "]")
        .replace('|', "\\|")
}

#[test]
fn every_limit_that_can_be_set_is_in_the_page() {
    let page = page();
    let is_limit = |path: &str| path.starts_with("limits.");
    let limits = KEYS.iter().filter(|key| is_limit(key.path) || key.is_inherited);
    let names = limits.filter_map(|key| Some((key.path, key.path.rsplit_once('.')?.1)));
    let missing: Vec<String> = names
        .filter(|(_, name)| !page.contains(&format!("`{name}`")))
        .map(|(path, _)| format!("{path} is not in docs/limits.md"))
        .collect();
    assert_none(&missing);
}

#[test]
fn every_default_names_its_setting_and_every_bound_says_what_it_is() {
    let mut findings = Vec::new();
    let settings = constants(&std::fs::read_to_string(root().join(DEFAULTS)).unwrap());
    assert!(settings.len() > 30, "there are many settings");
    let not_default = settings.iter().filter(|bound| !bound.doc.starts_with(DEFAULT_OF));
    findings
        .extend(not_default.map(|bound| format!("{DEFAULTS}: {} is the default of no setting", bound.name)));
    for (folder, found) in
        PARTS.map(|(folder, _)| (folder, bounds(folder))).into_iter().chain([(DEFAULTS, settings)])
    {
        for Bound { name, doc, .. } in found {
            if doc.is_empty() {
                findings.push(format!("{folder}: {name} says nothing"));
            }
            let setting = doc.strip_prefix(DEFAULT_OF).and_then(|rest| rest.split_once('`'));
            if let Some((setting, _)) = setting
                && folder == DEFAULTS
                && !KEYS.iter().any(|key| key.path == format!("limits.{setting}"))
            {
                findings.push(format!("{folder}: {name} is the default of no setting"));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn values_are_read() {
    let text = "/// One.\npub(crate) const A_BYTES: usize = 64 << 10;\n\n/// Two\n/// lines.\npub const B: u32 =\n    1_000;\n";
    let read: Vec<(String, String, String)> =
        constants(text).into_iter().map(|bound| (bound.name, bound.value, bound.doc)).collect();
    let row = |name: &str, value: &str, doc: &str| (name.to_owned(), value.to_owned(), doc.to_owned());
    assert_eq!(read, [row("A_BYTES", "64 KiB", "One."), row("B", "1000", "Two lines.")]);
    assert_eq!(shown("std::time::Duration::from_millis(4)", "T"), "4 ms");
    assert_eq!(shown("std::time::Duration::from_mins(1)", "T"), "1 min");
    assert_eq!(shown("1 << 20", "MESSAGES"), "1 048 576");
    assert_eq!(shown("Duration::from_secs(30 * 24 * 3_600)", "T"), "2 592 000 s");
    assert_eq!(shown("std::num::NonZeroU32::new(15_000).expect(\"it is not 0\")", "N"), "15 000");
    assert_eq!(shown("(Duration::from_micros(200), Duration::from_micros(500))", "T"), "200 µs to 500 µs");
    let list = "&[    Duration::from_millis(5),    std::time::Duration::from_secs(3_600),]";
    assert_eq!(shown(list, "T"), "5 ms, 3600 s");
    assert_eq!(shown("crate::OTHER", "T"), "`crate::OTHER`");
}
