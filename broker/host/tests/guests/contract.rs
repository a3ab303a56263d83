//! The WIT package: complete, documented, and gated where it is not stable.

use std::path::Path;
use wit_parser::{Docs, PackageId, Resolve, WorldItem};

fn parsed(all_features: bool) -> (Resolve, PackageId) {
    let mut resolve = Resolve { all_features, ..Resolve::default() };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/guest");
    let (package, _) = resolve.push_dir(&folder).unwrap();
    (resolve, package)
}

fn worlds(all_features: bool) -> Vec<String> {
    let (resolve, package) = parsed(all_features);
    let mut names: Vec<_> = resolve.packages[package].worlds.keys().cloned().collect();
    names.sort();
    names
}

#[test]
fn route_and_auth_are_behind_gates() {
    assert_eq!(worlds(false), ["action", "model", "rule"]);
    assert_eq!(worlds(true), ["action", "auth", "model", "route", "route-in-batches", "rule"]);
}

#[test]
fn no_interface_has_the_name_of_a_world() {
    let (resolve, package) = parsed(true);
    let package = &resolve.packages[package];
    for world in package.worlds.keys() {
        assert!(!package.interfaces.contains_key(world), "{world}");
    }
}

#[test]
fn every_item_is_documented() {
    let (resolve, _) = parsed(true);
    let mut undocumented = Vec::new();
    let mut check = |docs: &Docs, name: String| {
        if docs.contents.as_deref().unwrap_or_default().trim().is_empty() {
            undocumented.push(name);
        }
    };
    for (_, world) in &resolve.worlds {
        check(&world.docs, world.name.clone());
    }
    for (_, interface) in &resolve.interfaces {
        let owner = interface.name.clone().unwrap_or_default();
        check(&interface.docs, owner.clone());
        for (name, function) in &interface.functions {
            check(&function.docs, format!("{owner}.{name}"));
        }
        for (name, id) in &interface.types {
            check_type(&resolve, &resolve.types[*id], &format!("{owner}.{name}"), &mut check);
        }
    }
    assert!(undocumented.is_empty(), "{undocumented:#?}");
}

fn check_type(
    _resolve: &Resolve,
    ty: &wit_parser::TypeDef,
    name: &str,
    check: &mut impl FnMut(&Docs, String),
) {
    use wit_parser::TypeDefKind as Kind;
    match &ty.kind {
        // A `use` of a type that is documented where it is defined.
        Kind::Type(_) => return,
        Kind::Record(record) => {
            record.fields.iter().for_each(|field| check(&field.docs, format!("{name}.{}", field.name)));
        }
        Kind::Variant(variant) => {
            variant.cases.iter().for_each(|case| check(&case.docs, format!("{name}.{}", case.name)));
        }
        Kind::Enum(cases) => {
            cases.cases.iter().for_each(|case| check(&case.docs, format!("{name}.{}", case.name)));
        }
        Kind::Flags(flags) => {
            flags.flags.iter().for_each(|flag| check(&flag.docs, format!("{name}.{}", flag.name)));
        }
        _ => {}
    }
    check(&ty.docs, name.to_owned());
}

#[test]
fn an_action_exports_its_handler_and_imports_only_capabilities() {
    let (resolve, package) = parsed(false);
    let world = resolve.select_world(&[package], Some("action")).unwrap();
    let names = |items: Vec<&WorldItem>| {
        let mut names: Vec<_> = items
            .into_iter()
            .filter_map(|item| match item {
                WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone(),
                _ => None,
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(resolve.worlds[world].exports.values().collect()), ["action-handler"]);
    assert_eq!(
        names(resolve.worlds[world].imports.values().collect()),
        [
            "actions",
            "ambient",
            "backtracking",
            "config",
            "current-message",
            "diagnostics",
            "environment",
            "logging",
            "message-properties",
            "messages",
            "metrics",
            "models",
            "modules",
            "python",
            "rows",
            "state",
            "topic-store",
            "types"
        ]
    );
}
