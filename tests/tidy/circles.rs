//! Modules at the top of a crate point one way, too, and those within them in large crates: none
//! reaches itself through others.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::syntax::{File, Look, Walk, crates};

/// Modules that stand in a circle, by crate.
const IN_CIRCLES: &[(&str, &[&str])] = &[(
    "lot-to-wasm",
    &["check", "compile", "diagnostic", "function", "lower", "statement", "syntax", "token", "trigger"],
)];

/// Crates whose modules at the top are looked into as well.
const LOOKED_INTO: &[&str] =
    &["broker/core", "broker/host", "broker/net", "broker/operations", "broker/programs", "broker/server"];

/// Modules within one at the top that stand in a circle, by `crate: module`.
const IN_INNER_CIRCLES: &[(&str, &[&str])] = &[
    ("broker/host: engine", &["compiler", "loaded", "native_code"]),
    ("broker/host: executor", &["runner", "spare", "spare_thread", "starts", "worker"]),
    ("broker/host: python", &["code", "instance", "sleep"]),
    ("broker/host: route", &["described", "instance"]),
    ("broker/operations: audit", &["shares", "trail"]),
    (
        "broker/operations: command",
        &[
            "add_entity",
            "answer",
            "assets",
            "definition_verbs",
            "deploy_warnings",
            "modules",
            "remove_entity",
            "reply",
            "rules",
            "run",
            "users",
            "verb",
        ],
    ),
    ("broker/programs: routes", &["dead_letters", "kept_place", "memory_buffer", "outbox", "runner"]),
];

/// Arrows from modules that are directly in another one, or at the top of a crate, to one another.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Content of a module, or of the root of a crate: its modules, and the module behind each name
/// that it hands on.
#[derive(Default)]
struct Above {
    path: Vec<String>,
    modules: BTreeSet<String>,
    names: BTreeMap<String, String>,
}

impl Look for Above {
    fn module(walk: &mut Walk<Self>, name: &str) {
        if walk.modules == walk.found.path {
            walk.found.modules.insert(name.to_owned());
        }
    }

    fn import(walk: &mut Walk<Self>, name: &str, segments: &[String]) {
        if walk.modules == walk.found.path {
            let path = absolute(&walk.modules, segments);
            let below = path.as_deref().unwrap_or(segments);
            let below = below.strip_prefix(&walk.found.path[..]).unwrap_or(below);
            walk.found.names.extend(below.first().map(|module| (name.to_owned(), module.clone())));
        }
    }
}

/// Path from the root of the crate; `None` for one that begins with a name.
fn absolute(here: &[String], segments: &[String]) -> Option<Vec<String>> {
    let ups = segments.iter().take_while(|segment| *segment == "super").count();
    let (from, rest) = match segments.first().map(String::as_str) {
        Some("crate") => (&here[..0], &segments[1..]),
        Some("self") => (here, &segments[1..]),
        Some("super") => (&here[..here.len().checked_sub(ups)?], &segments[ups..]),
        _ => return None,
    };
    Some(from.iter().chain(rest).cloned().collect())
}

/// Paths from the root of the crate.
#[derive(Default)]
struct Uses(BTreeSet<Vec<String>>);

impl Look for Uses {
    fn path(walk: &mut Walk<Self>, segments: &[String]) {
        walk.found.0.extend(absolute(&walk.modules, segments));
    }
}

/// Arrows among the modules that are directly in the one with this path.
fn arrows(files: &[File], path: &[&str]) -> Arrows {
    let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
    let own = files.iter().filter(|file| file.modules == path);
    let above = Above { path: path.clone(), modules: BTreeSet::new(), names: BTreeMap::new() };
    let above = own.fold(above, |above, file| Walk::over(file, above));
    let mut arrows = Arrows::new();
    for file in files.iter().filter(|file| file.modules.starts_with(&path)) {
        let from = file.modules.get(path.len());
        let Some(from) = from.filter(|name| above.modules.contains(*name)) else { continue };
        for used in Walk::over(file, Uses::default()).0 {
            let Some(used) = used.strip_prefix(&path[..]).and_then(<[String]>::first) else { continue };
            let module = if above.modules.contains(used) { Some(used) } else { above.names.get(used) };
            let to = module.filter(|module| above.modules.contains(*module) && *module != from);
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

/// Returns a sentence for each unlisted module in a circle, and for each listed one that is in
/// none.
fn compare(found: &BTreeMap<String, BTreeSet<String>>, known: &[(&str, &[&str])]) -> Vec<String> {
    let listed: BTreeMap<&str, &[&str]> = known.iter().copied().collect();
    let mut findings = Vec::new();
    for (place, found) in found {
        let listed = listed.get(place.as_str()).copied().unwrap_or_default();
        let new = found.iter().filter(|module| !listed.contains(&module.as_str()));
        findings.extend(new.map(|module| format!("{place}: {module} reaches itself through other modules")));
        let needless = listed.iter().filter(|module| !found.contains(**module));
        findings.extend(
            needless.map(|module| format!("{place}: {module} is in no circle; take it out of the list")),
        );
    }
    let gone = listed.keys().filter(|place| !found.contains_key(**place));
    findings.extend(gone.map(|place| format!("{place} is not there; take it out of the list")));
    findings
}

#[test]
fn modules_at_the_top_of_a_crate_point_one_way() {
    let crates = crates();
    let found = crates.iter().map(|(folder, files)| (folder.clone(), in_circles(&arrows(files, &[]))));
    assert_none(&compare(&found.collect(), IN_CIRCLES));
}

#[test]
fn modules_within_others_point_one_way() {
    let crates = crates();
    let mut found = BTreeMap::new();
    for folder in LOOKED_INTO {
        let files = &crates[*folder];
        let tops: BTreeSet<&str> =
            files.iter().filter_map(|file| file.modules.first()).map(String::as_str).collect();
        found.extend(tops.iter().map(|top| (format!("{folder}: {top}"), in_circles(&arrows(files, &[top])))));
    }
    assert_none(&compare(&found, IN_INNER_CIRCLES));
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

#[test]
fn paths_are_followed_from_where_they_stand() {
    let path = |text: &str| -> Vec<String> { text.split("::").map(str::to_owned).collect() };
    let here = path("guests::routes::driver");
    for (written, expected) in [
        ("crate::net::shard", Some("net::shard")),
        ("self::pause", Some("guests::routes::driver::pause")),
        ("super::runner::Version", Some("guests::routes::runner::Version")),
        ("super::super::effects", Some("guests::effects")),
        ("super::super::super::super::nowhere", None),
        ("lotmq_core::turn", None),
    ] {
        assert_eq!(absolute(&here, &path(written)), expected.map(path), "{written}");
    }
}
