//! Modules at the top of a crate point one way, too: none reaches itself through others.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::syntax::{File, Look, Walk, crates};

/// Modules that stand in a circle, by crate.
const IN_CIRCLES: &[(&str, &[&str])] = &[
    ("broker/auth", &["attempts", "login", "rulebook", "verdicts"]),
    ("broker/cli", &["args", "backup", "cmd", "demo", "deploy", "restore"]),
    ("broker/codec", &["error", "frame", "property", "read", "write"]),
    (
        "broker/config",
        &[
            "admin", "audit", "auth", "broker", "compat", "error", "key", "limits", "listener", "log", "lot",
            "mqtt", "networks", "origin", "setting", "store", "sys", "tls", "web",
        ],
    ),
    (
        "broker/core",
        &[
            "above",
            "client",
            "connection",
            "counters",
            "durable",
            "limits",
            "protocol",
            "routing",
            "shared",
            "tenant",
            "triggers",
            "turn",
        ],
    ),
    ("broker/definitions", &["cycle", "definition", "fact_index", "hooks", "registry", "schedule"]),
    (
        "broker/host",
        &[
            "batch",
            "cache",
            "engine",
            "executor",
            "functions",
            "guest",
            "inert",
            "instance",
            "python",
            "rule",
            "services",
            "state",
            "trap",
            "validate",
        ],
    ),
    (
        "broker/lsp",
        &["answer", "completion", "definition", "diagnostics", "formatting", "hover", "server", "symbols"],
    ),
    ("broker/session", &["session", "window"]),
    (
        "broker/store",
        &[
            "backend",
            "batch",
            "directory",
            "export",
            "fault",
            "file_identity",
            "group",
            "load",
            "log",
            "offline",
            "overlay",
            "queue",
            "reader",
            "recovered",
            "rescue",
            "secret",
            "snapshot",
            "staged",
            "store",
            "trouble",
            "writer",
        ],
    ),
    ("broker/websocket", &["decoder", "deflate", "encoder", "frame"]),
    ("guests/lot-runtime", &["number", "time", "value"]),
    (
        "lot-to-wasm",
        &["check", "compile", "diagnostic", "function", "lower", "statement", "syntax", "token", "trigger"],
    ),
    ("xtask", &["rebuild", "toolchain"]),
];

/// Arrows from modules at the top of a crate to one another.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What the root of a crate has: its modules, and which of them is behind a name that it hands on.
#[derive(Default)]
struct Top {
    modules: BTreeSet<String>,
    names: BTreeMap<String, String>,
}

impl Look for Top {
    fn module(walk: &mut Walk<Self>, name: &str) {
        if walk.modules.is_empty() {
            walk.found.modules.insert(name.to_owned());
        }
    }

    fn import(walk: &mut Walk<Self>, name: &str, segments: &[String]) {
        if walk.modules.is_empty() {
            let path = segments.iter().find(|segment| !matches!(segment.as_str(), "crate" | "self"));
            walk.found.names.extend(path.map(|module| (name.to_owned(), module.clone())));
        }
    }
}

/// First names of paths that begin at the root of the crate.
#[derive(Default)]
struct Uses(BTreeSet<String>);

impl Look for Uses {
    fn path(walk: &mut Walk<Self>, segments: &[String]) {
        let ups = segments.iter().take_while(|segment| *segment == "super").count();
        let first = match segments.first().map(String::as_str) {
            Some("crate") => segments.get(1),
            Some("super") if ups == walk.modules.len() => segments.get(ups),
            // Deeper in the tree it stays within the same module at the top.
            _ => None,
        };
        walk.found.0.extend(first.cloned());
    }
}

fn arrows(files: &[File]) -> Arrows {
    let roots = files.iter().filter(|file| file.modules.is_empty());
    let top = roots.fold(Top::default(), |top, file| Walk::over(file, top));
    let mut arrows = Arrows::new();
    for file in files {
        let Some(from) = file.modules.first().filter(|name| top.modules.contains(*name)) else { continue };
        for used in Walk::over(file, Uses::default()).0 {
            let module = if top.modules.contains(&used) { Some(&used) } else { top.names.get(&used) };
            let to = module.filter(|module| top.modules.contains(*module) && *module != from);
            arrows.entry(from.clone()).or_default().extend(to.cloned());
        }
    }
    arrows
}

/// Modules from which a way leads back to themselves.
fn in_circles(arrows: &Arrows) -> BTreeSet<String> {
    let reaches_itself = |start: &&String| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(next) = open.pop() {
            for to in arrows.get(next).into_iter().flatten() {
                if to == *start {
                    return true;
                }
                if reached.insert(to) {
                    open.push(to);
                }
            }
        }
        false
    };
    arrows.keys().filter(reaches_itself).cloned().collect()
}

#[test]
fn modules_at_the_top_of_a_crate_point_one_way() {
    let known: BTreeMap<&str, &[&str]> = IN_CIRCLES.iter().copied().collect();
    let mut findings = Vec::new();
    let crates = crates();
    for (folder, files) in &crates {
        let found = in_circles(&arrows(files));
        let listed = known.get(folder.as_str()).copied().unwrap_or_default();
        let new = found.iter().filter(|module| !listed.contains(&module.as_str()));
        findings.extend(new.map(|module| format!("{folder}: {module} reaches itself through other modules")));
        let needless = listed.iter().filter(|module| !found.contains(**module));
        findings.extend(
            needless.map(|module| format!("{folder}: {module} is in no circle; take it out of the list")),
        );
    }
    let gone = known.keys().filter(|folder| !crates.contains_key(**folder));
    findings.extend(gone.map(|folder| format!("{folder} is no crate; take it out of the list")));
    assert_none(&findings);
}

#[test]
fn circles_are_found() {
    let arrows = |rows: &[(&str, &[&str])]| -> Arrows {
        rows.iter()
            .map(|(from, to)| ((*from).to_owned(), to.iter().map(|to| (*to).to_owned()).collect()))
            .collect()
    };
    let found = in_circles(&arrows(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["a"])]));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["b", "c"]);
}
