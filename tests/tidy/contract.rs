//! The page about the guest contract, `docs/sdk/reference.md`, of what stands in `wit/guest`; and
//! that all of it is documented there.

use std::fmt::Write as _;

use wit_parser::{
    Docs, Function, Handle, Interface, InterfaceId, Resolve, Stability, Type, TypeDef, TypeDefKind,
    TypeOwner, World, WorldItem,
};

use crate::root;

const HEAD: &str = "\
# The guest contract

What guests export and what the broker gives them: the package `lotmq:guest`, folder `wit` of the crate [`lotmq-guest`](../../sdk/README.md), from which this page is generated. How versions of it fit
brokers is in [compatibility.md](compatibility.md). What is marked as unstable may change with every build.

";

/// Worlds of which people write guests, those first that most begin with.
const WORLDS: [&str; 4] = ["action", "rule", "route", "auth"];

/// The version with which the contract begins.
const FIRST: &str = "0.2.0";

/// The whole contract.
pub(crate) fn page() -> String {
    let resolve = contract();
    let mut out = HEAD.to_owned();
    let (worlds, interfaces) = parts(&resolve);
    out.push_str("## Worlds\n\n");
    for world in &worlds {
        write_world(&mut out, &resolve, world);
    }
    for (id, interface) in &interfaces {
        write_interface(&mut out, &resolve, *id, interface, &worlds);
    }
    out
}

fn contract() -> Resolve {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    resolve.push_dir(root().join("wit/guest")).unwrap();
    resolve
}

/// Worlds and interfaces of the package as who is new to them reads them: the interfaces of a world
/// behind those of the worlds before, its exports first; what no world has comes last.
fn parts(resolve: &Resolve) -> (Vec<&World>, Vec<(InterfaceId, &Interface)>) {
    let mut worlds: Vec<&World> = resolve.worlds.iter().map(|(_, world)| world).collect();
    let place = |world: &World| WORLDS.iter().position(|name| *name == world.name).unwrap_or(WORLDS.len());
    worlds.sort_by_key(|world| (place(world), &world.name));
    let items = worlds.iter().flat_map(|world| world.exports.values().chain(world.imports.values()));
    let named: Vec<InterfaceId> = items
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        })
        .collect();
    let mut interfaces: Vec<_> = resolve.interfaces.iter().collect();
    let place = |id| named.iter().position(|known| *known == id).unwrap_or(named.len());
    interfaces.sort_by_key(|(id, interface)| (place(*id), &interface.name));
    (worlds, interfaces)
}

fn name(interface: &Interface) -> &str {
    interface.name.as_deref().unwrap_or_default()
}

fn names<'a>(resolve: &'a Resolve, items: impl Iterator<Item = &'a WorldItem>) -> String {
    let named: Vec<String> = items
        .filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(name(&resolve.interfaces[*id])),
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        })
        .map(|name| format!("[`{name}`](#{name})"))
        .collect();
    named.join(", ")
}

fn write_world(out: &mut String, resolve: &Resolve, world: &World) {
    writeln!(out, "### `{}`{}\n\n{}\n", world.name, mark(&world.stability), text(&world.docs)).unwrap();
    writeln!(out, "Exports {}.", names(resolve, world.exports.values())).unwrap();
    writeln!(out, "Imports {}.\n", names(resolve, world.imports.values())).unwrap();
}

fn write_interface(
    out: &mut String,
    resolve: &Resolve,
    id: InterfaceId,
    interface: &Interface,
    worlds: &[&World],
) {
    let is_it = |item: &WorldItem| matches!(item, WorldItem::Interface { id: it, .. } if *it == id);
    let of = |has: &dyn Fn(&World) -> bool| -> String {
        let of: Vec<String> =
            worlds.iter().filter(|world| has(world)).map(|it| format!("`{}`", it.name)).collect();
        of.join(", ")
    };
    let (importing, exporting) =
        (of(&|world| world.imports.values().any(is_it)), of(&|world| world.exports.values().any(is_it)));
    writeln!(out, "## {}\n\n{}{}\n", name(interface), text(&interface.docs), mark(&interface.stability))
        .unwrap();
    for (said, worlds) in [("Exported by", exporting), ("Imported by", importing)] {
        if !worlds.is_empty() {
            writeln!(out, "{said} {worlds}.\n").unwrap();
        }
    }
    for type_id in interface.types.values() {
        let of = &resolve.types[*type_id];
        // Types of another interface are described there.
        if of.owner == TypeOwner::Interface(id) && !matches!(of.kind, TypeDefKind::Type(_)) {
            write_type(out, resolve, of);
        }
    }
    for function in interface.functions.values() {
        writeln!(out, "### `{}`\n\n{}\n", signature(resolve, function), text(&function.docs)).unwrap();
    }
}

fn write_type(out: &mut String, resolve: &Resolve, of: &TypeDef) {
    let name = of.name.as_deref().unwrap_or_default();
    writeln!(out, "### {} `{name}`\n\n{}\n", of.kind.as_str(), text(&of.docs)).unwrap();
    let members = members(resolve, of);
    for (member, docs) in &members {
        writeln!(out, "- `{member}`: {}", text(docs).replace('\n', " ")).unwrap();
    }
    if !members.is_empty() {
        out.push('\n');
    }
}

/// Fields, cases or flags of a type, with what they mean.
#[expect(clippy::wildcard_enum_match_arm, reason = "a few kinds of types have members, or no name")]
fn members<'a>(resolve: &Resolve, of: &'a TypeDef) -> Vec<(String, &'a Docs)> {
    let with = |name: &str, of: Option<Type>| match of {
        Some(of) => format!("{name}({})", type_text(resolve, of)),
        None => name.to_owned(),
    };
    match &of.kind {
        TypeDefKind::Record(record) => record
            .fields
            .iter()
            .map(|field| (format!("{}: {}", field.name, type_text(resolve, field.ty)), &field.docs))
            .collect(),
        TypeDefKind::Variant(of) => {
            of.cases.iter().map(|case| (with(&case.name, case.ty), &case.docs)).collect()
        }
        TypeDefKind::Enum(of) => of.cases.iter().map(|case| (case.name.clone(), &case.docs)).collect(),
        TypeDefKind::Flags(of) => of.flags.iter().map(|flag| (flag.name.clone(), &flag.docs)).collect(),
        _ => Vec::new(),
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let named = |(name, of): (&str, Type)| format!("{name}: {}", type_text(resolve, of));
    let parameters: Vec<String> = function.params.iter().map(|it| named((it.name.as_str(), it.ty))).collect();
    let result = function.result.map(|of| format!(" -> {}", type_text(resolve, of))).unwrap_or_default();
    format!("{}({}){result}", function.name.replace(['[', ']'], " ").trim(), parameters.join(", "))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a few kinds of types have members, or no name")]
fn type_text(resolve: &Resolve, of: Type) -> String {
    let Type::Id(id) = of else {
        return format!("{of:?}").to_lowercase();
    };
    let of = &resolve.types[id];
    if let Some(name) = &of.name {
        return name.clone();
    }
    let inner = |of: Option<Type>| of.map_or("_".to_owned(), |of| type_text(resolve, of));
    match &of.kind {
        TypeDefKind::Option(of) => format!("option<{}>", type_text(resolve, *of)),
        TypeDefKind::List(of) => format!("list<{}>", type_text(resolve, *of)),
        TypeDefKind::Result(of) if of.ok.is_none() && of.err.is_none() => "result".to_owned(),
        TypeDefKind::Result(of) => format!("result<{}, {}>", inner(of.ok), inner(of.err)),
        TypeDefKind::Tuple(of) => {
            let types: Vec<String> = of.types.iter().map(|of| type_text(resolve, *of)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Handle(Handle::Own(of)) => resolve.types[*of].name.clone().unwrap_or_default(),
        TypeDefKind::Handle(Handle::Borrow(of)) => {
            format!("borrow<{}>", resolve.types[*of].name.as_deref().unwrap_or_default())
        }
        other => unreachable!("the contract has no {}", other.as_str()),
    }
}

fn text(docs: &Docs) -> &str {
    docs.contents.as_deref().unwrap_or_default().trim()
}

fn mark(stability: &Stability) -> String {
    match stability {
        Stability::Unknown => String::new(),
        // Items from the first version need no remark.
        Stability::Stable { since, .. } if since.to_string() == FIRST => String::new(),
        Stability::Unstable { feature, .. } => format!(" *(unstable: `{feature}`)*"),
        Stability::Stable { since, .. } => format!(" *(since {since})*"),
    }
}

/// The author of a guest finds the meaning of each thing where it stands.
#[test]
fn all_of_the_contract_is_documented() {
    let resolve = contract();
    let (worlds, interfaces) = parts(&resolve);
    let mut bare: Vec<String> =
        worlds.iter().filter(|world| world.docs.is_empty()).map(|world| world.name.clone()).collect();
    for (id, interface) in interfaces {
        let name = name(interface);
        if interface.docs.is_empty() {
            bare.push(name.to_owned());
        }
        for type_id in interface.types.values() {
            let of = &resolve.types[*type_id];
            if of.owner != TypeOwner::Interface(id) || matches!(of.kind, TypeDefKind::Type(_)) {
                continue;
            }
            let own = of.name.clone().unwrap_or_default();
            if of.docs.is_empty() {
                bare.push(format!("{name}.{own}"));
            }
            let members = members(&resolve, of).into_iter().filter(|(_, docs)| docs.is_empty());
            bare.extend(members.map(|(member, _)| format!("{name}.{own}.{member}")));
        }
        let functions = interface.functions.values().filter(|function| function.docs.is_empty());
        bare.extend(functions.map(|function| format!("{name}.{}", function.name)));
    }
    crate::assert_none(&bare);
}

/// The author of a guest sees what is stable: each part of the contract gives its first version, or
/// says that it may change.
#[test]
fn all_of_the_contract_says_since_when_it_is_there() {
    let resolve = contract();
    let (worlds, interfaces) = parts(&resolve);
    let is_said = |stability: &Stability| *stability != Stability::Unknown;
    let mut silent = Vec::new();
    for world in worlds {
        // Items in an unstable world may change with it.
        if matches!(world.stability, Stability::Unstable { .. }) {
            continue;
        }
        let items = world.imports.values().chain(world.exports.values());
        let is_silent = items
            .filter(|item| match item {
                WorldItem::Interface { stability, .. } => !is_said(stability),
                WorldItem::Function(_) | WorldItem::Type { .. } => false,
            })
            .count();
        if is_silent > 0 || !is_said(&world.stability) {
            silent.push(format!("world {}, {is_silent} of its interfaces", world.name));
        }
    }
    for (_, interface) in interfaces {
        let name = name(interface);
        if !is_said(&interface.stability) {
            silent.push(name.to_owned());
        }
        if matches!(interface.stability, Stability::Unstable { .. }) {
            continue;
        }
        let types = interface.types.iter().map(|(own, id)| (own, &resolve.types[*id].stability));
        let functions = interface.functions.iter().map(|(own, function)| (own, &function.stability));
        let without = types.chain(functions).filter(|(_, stability)| !is_said(stability));
        silent.extend(without.map(|(own, _)| format!("{name}.{own}")));
    }
    crate::assert_none(&silent);
}
