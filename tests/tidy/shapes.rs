//! Sizes of functions, structures and types: what has grown too large is taken apart, and what
//! still is too large is listed.

use std::collections::{BTreeMap, BTreeSet};

use syn::spanned::Spanned as _;

use crate::assert_none;
use crate::exceptions::compare;
use crate::syntax::{File, Look, Walk, crates, type_name};

/// Most lines of a function, from its signature to its last brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that are longer, with their lines at most.
const LONG_FUNCTIONS: &[(&str, usize)] = &[("lot-to-wasm/src/lower/expression.rs: Generator::value", 110)];

/// Most fields of a structure.
const FIELDS_MAX: usize = 20;

/// Structures that have more, with their fields at most.
const LARGE_STRUCTURES: &[(&str, usize)] = &[
    ("broker/config/src/lib.rs: Config", 23),
    ("broker/changes/src/metrics.rs: LogMetrics", 25),
    ("lot-to-wasm/facts/src/lib.rs: Facts", 22),
];

/// Most files with an `impl` of one type, but for those of traits.
const FILES_OF_TYPE_MAX: usize = 3;

/// Types that are spread over more files, with those at most.
const SPREAD_TYPES: &[(&str, usize)] = &[
    ("broker/definitions: Registry", 4),
    ("broker/programs: Guests", 6),
    ("broker/store: Store", 4),
    ("lot-to-wasm: Builder", 5),
    ("lot-to-wasm: Checker", 10),
    ("lot-to-wasm: Generator", 16),
    ("lot-to-wasm: Parser", 15),
    ("lot-to-wasm: Writer", 5),
];

/// Lines of functions and fields of structures, by `file: name`.
#[derive(Default)]
struct Sizes {
    file: String,
    functions: BTreeMap<String, usize>,
    structures: BTreeMap<String, usize>,
}

impl Look for Sizes {
    fn function(walk: &mut Walk<Self>, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line + 1 - signature.span().start().line;
        let mut name: Vec<String> = walk.inside.clone();
        name.push(signature.ident.to_string());
        let name = format!("{}: {}", walk.found.file, name.join("::"));
        let most = walk.found.functions.entry(name).or_default();
        *most = lines.max(*most);
    }

    fn structure(walk: &mut Walk<Self>, item: &syn::ItemStruct) {
        let name = format!("{}: {}", walk.found.file, item.ident);
        walk.found.structures.insert(name, item.fields.len());
    }
}

fn sizes() -> Sizes {
    let mut all = Sizes::default();
    for file in crates().into_values().flatten() {
        let found = Walk::over(&file, Sizes { file: file.path.clone(), ..Sizes::default() });
        all.functions.extend(found.functions);
        all.structures.extend(found.structures);
    }
    assert!(all.functions.len() > 5_000 && all.structures.len() > 500, "there are many of both");
    all
}

#[test]
fn no_function_is_too_long() {
    assert_none(&compare(&sizes().functions, FUNCTION_LINES_MAX, LONG_FUNCTIONS, "lines"));
}

#[test]
fn no_structure_has_too_many_fields() {
    assert_none(&compare(&sizes().structures, FIELDS_MAX, LARGE_STRUCTURES, "fields"));
}

/// Types that a file defines and has an `impl` of.
#[derive(Default)]
struct Types {
    defined: BTreeSet<String>,
    implemented: BTreeSet<String>,
}

impl Look for Types {
    fn structure(walk: &mut Walk<Self>, item: &syn::ItemStruct) {
        walk.found.defined.insert(item.ident.to_string());
    }

    fn implementation(walk: &mut Walk<Self>, item: &syn::ItemImpl) {
        if item.trait_.is_none() {
            walk.found.implemented.extend(type_name(&item.self_ty));
        }
    }
}

/// How many files have an `impl` of a type, by `crate: type`. A file that defines a type of a name
/// means that one; others of the name share the files that define none.
fn files_of_types(files: &[File]) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let found: Vec<Types> = files.iter().map(|file| Walk::over(file, Types::default())).collect();
    for (file, types) in files.iter().zip(&found) {
        for name in types.implemented.difference(&types.defined) {
            *counts.entry(format!("{}: {name}", file.folder)).or_insert(0) += 1;
        }
    }
    for (file, types) in files.iter().zip(&found) {
        let own: BTreeSet<String> = types
            .implemented
            .intersection(&types.defined)
            .map(|name| format!("{}: {name}", file.folder))
            .collect();
        for name in own {
            counts.entry(name).and_modify(|count| *count += 1);
        }
    }
    counts
}

#[test]
fn no_type_is_spread_over_many_files() {
    let counts = crates().values().flat_map(|files| files_of_types(files)).collect();
    assert_none(&compare(&counts, FILES_OF_TYPE_MAX, SPREAD_TYPES, "files with an impl"));
}
