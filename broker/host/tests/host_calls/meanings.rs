//! Meanings of the parameters of a host function: which are addresses of texts, which choose a
//! case.

use wit_parser::{Function, Handle, InterfaceId, Resolve, Type, TypeDefKind, WorldId, WorldItem};

/// Meaning of a parameter, as the bindings of a language would pass it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Any number.
    Number,
    /// One of so many cases.
    Case(u8),
    /// A text or bytes: an address, with the length behind it.
    Text,
    /// A list of something larger: an address, with the number of elements behind it.
    List,
    /// A handle.
    Handle,
    /// Address of parameters in memory, or of the result.
    Memory,
}

/// Numbers of parameters beyond which they are in memory.
const FLAT_MAX: usize = 16;

/// Returns the meanings of the parameters of each imported function, by interface and name. An
/// address and its length share one.
pub(crate) fn meanings(resolve: &Resolve, world: WorldId) -> Vec<(String, String, Vec<Meaning>)> {
    let interfaces = resolve.worlds[world].imports.values().filter_map(|item| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        WorldItem::Function(_) | WorldItem::Type { .. } => None,
    });
    interfaces.flat_map(|id| of_interface(resolve, id)).collect()
}

fn of_interface(resolve: &Resolve, id: InterfaceId) -> impl Iterator<Item = (String, String, Vec<Meaning>)> {
    let module = resolve.id_of(id).expect("an interface of a package has a name");
    let functions = resolve.interfaces[id].functions.values();
    functions.map(move |function| (module.clone(), function.name.clone(), of_function(resolve, function)))
}

fn of_function(resolve: &Resolve, function: &Function) -> Vec<Meaning> {
    let mut all = Vec::new();
    function.params.iter().for_each(|it| flatten(resolve, it.ty, &mut all));
    let is_pair = |meaning: &Meaning| matches!(meaning, Meaning::Text | Meaning::List);
    if all.iter().map(|meaning| 1 + usize::from(is_pair(meaning))).sum::<usize>() > FLAT_MAX {
        all = vec![Meaning::Memory];
    }
    let mut result = Vec::new();
    function.result.iter().for_each(|of| flatten(resolve, *of, &mut result));
    if result.len() > 1 || result.iter().any(is_pair) {
        all.push(Meaning::Memory);
    }
    all
}

fn flatten(resolve: &Resolve, of: Type, out: &mut Vec<Meaning>) {
    let id = match of {
        Type::Id(id) => id,
        Type::Bool => return out.push(Meaning::Case(2)),
        Type::String => return out.push(Meaning::Text),
        _ => return out.push(Meaning::Number),
    };
    let count = |cases: usize| Meaning::Case(u8::try_from(cases).unwrap_or(u8::MAX));
    match &resolve.types[id].kind {
        TypeDefKind::Type(of) => flatten(resolve, *of, out),
        TypeDefKind::Record(record) => record.fields.iter().for_each(|field| flatten(resolve, field.ty, out)),
        TypeDefKind::Tuple(tuple) => tuple.types.iter().for_each(|of| flatten(resolve, *of, out)),
        TypeDefKind::List(Type::U8) => out.push(Meaning::Text),
        TypeDefKind::List(_) => out.push(Meaning::List),
        TypeDefKind::Handle(Handle::Own(_) | Handle::Borrow(_)) => out.push(Meaning::Handle),
        TypeDefKind::Enum(of) => out.push(count(of.cases.len())),
        TypeDefKind::Option(of) => {
            out.push(Meaning::Case(2));
            flatten(resolve, *of, out);
        }
        TypeDefKind::Variant(of) => {
            out.push(count(of.cases.len()));
            any_of(resolve, of.cases.iter().map(|case| case.ty), out);
        }
        TypeDefKind::Result(of) => {
            out.push(Meaning::Case(2));
            any_of(resolve, [of.ok, of.err].into_iter(), out);
        }
        _ => out.push(Meaning::Number),
    }
}

/// The longest of several cases, which share their numbers.
fn any_of(resolve: &Resolve, cases: impl Iterator<Item = Option<Type>>, out: &mut Vec<Meaning>) {
    let flat = cases.flatten().map(|of| {
        let mut case = Vec::new();
        flatten(resolve, of, &mut case);
        case
    });
    out.extend(flat.max_by_key(Vec::len).unwrap_or_default());
}
