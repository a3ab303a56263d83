//! Our Rust code as syntax trees, for rules that text cannot tell: what is in which module, how
//! long a function is, who calls what.
//!
//! Code under `#[cfg(test)]` and the crates under `tests/` are left out: these rules are for what
//! users run.

#![allow(clippy::wildcard_enum_match_arm, reason = "the enumerations of `syn` are not exhaustive")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::files::{Source, sources};
use crate::root;

/// A file with its place among the modules of its crate.
pub(crate) struct File {
    /// Folder of the crate, from the root of the repository.
    pub(crate) folder: String,
    /// Path from the root of the repository.
    pub(crate) path: String,
    /// Names of the modules from the root of the crate down to the file.
    pub(crate) modules: Vec<String>,
    pub(crate) tree: syn::File,
}

/// All files of what users run, by crate.
pub(crate) fn crates() -> BTreeMap<String, Vec<File>> {
    let mut crates: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        if let Some(file) = parsed(source) {
            crates.entry(file.folder.clone()).or_default().push(file);
        }
    }
    assert!(crates.len() > 15, "the repository has many crates");
    crates
}

/// A file below the `src` of a crate; `None` for build scripts and the like.
fn parsed(source: &Source) -> Option<File> {
    let (folder, inside) = split(&source.path)?;
    let tree =
        syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path.display()));
    let modules: Vec<String> =
        inside.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let modules = match modules.as_slice() {
        [only] if only == "lib" || only == "main" => Vec::new(),
        [above @ .., last] if last == "mod" => above.to_vec(),
        all => all.to_vec(),
    };
    Some(File {
        folder: folder.to_str().unwrap().to_owned(),
        path: source.path.to_str().unwrap().to_owned(),
        modules,
        tree,
    })
}

/// Takes a path apart at the `src` of a crate.
fn split(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let folder = path.ancestors().find(|above| above.file_name().is_some_and(|name| name == "src"))?;
    let above = folder.parent()?;
    let is_crate = root().join(above).join("Cargo.toml").exists();
    is_crate.then(|| (above.to_owned(), path.strip_prefix(folder).unwrap().to_owned()))
}

/// Whether an item is there in tests only.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
            || attribute.path().is_ident("test")
    })
}

/// Attributes of an item, for [`is_test`].
fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Names of the modules that an item is in, as far as tests are not meant.
#[derive(Default)]
pub(crate) struct Walk<Found> {
    pub(crate) modules: Vec<String>,
    /// Names of the function, and of the type whose `impl` it is in, that are open.
    pub(crate) inside: Vec<String>,
    pub(crate) found: Found,
}

/// Visitor of a rule, called on the way through a file, with the modules and functions that are
/// open.
pub(crate) trait Look: Sized {
    /// A function or method with its block.
    fn function(_walk: &mut Walk<Self>, _signature: &syn::Signature, _block: &syn::Block) {}
    /// A structure.
    fn structure(_walk: &mut Walk<Self>, _item: &syn::ItemStruct) {}
    /// A structure, enumeration, trait or alias of a type.
    fn named_type(_walk: &mut Walk<Self>, _name: &syn::Ident, _visibility: &syn::Visibility) {}
    /// An `impl`.
    fn implementation(_walk: &mut Walk<Self>, _item: &syn::ItemImpl) {}
    /// A path, wherever it is: in a `use`, an expression, a type, or among the tokens of a macro.
    fn path(_walk: &mut Walk<Self>, _segments: &[String]) {}
    /// A method that is called.
    fn method(_walk: &mut Walk<Self>, _name: &str) {}
    /// A module that is declared.
    fn module(_walk: &mut Walk<Self>, _name: &str) {}
    /// A name that a `use` brings in, and the path behind it.
    fn import(_walk: &mut Walk<Self>, _name: &str, _segments: &[String]) {}
}

impl<Found: Look + Default> Walk<Found> {
    /// Goes through a file.
    pub(crate) fn over(file: &File, found: Found) -> Found {
        let mut walk = Self { modules: file.modules.clone(), inside: Vec::new(), found };
        walk.visit_file(&file.tree);
        walk.found
    }

    fn imported(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.imported(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Name(name) => {
                self.one_imported(&name.ident.to_string(), &name.ident.to_string(), before)
            }
            syn::UseTree::Rename(name) => {
                self.one_imported(&name.ident.to_string(), &name.rename.to_string(), before)
            }
            syn::UseTree::Glob(_) => Found::path(self, before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.imported(tree, before)),
        }
    }

    fn one_imported(&mut self, name: &str, known_as: &str, before: &[String]) {
        let mut path = before.to_vec();
        if name != "self" {
            path.push(name.to_owned());
        }
        Found::path(self, &path);
        let known_as =
            if known_as == "self" { path.last().cloned().unwrap_or_default() } else { known_as.to_owned() };
        Found::import(self, &known_as, &path);
    }

    /// Paths and methods among the tokens of a macro, which have no tree.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut is_method) = (0, false);
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 && !path.is_empty() => {
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Ident(name) => {
                    if is_method {
                        Found::method(self, &name.to_string());
                    }
                    self.path_ended(&mut path);
                    path.push(name.to_string());
                    (colons, is_method) = (0, false);
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Punct(mark) => {
                    self.path_ended(&mut path);
                    (colons, is_method) = (0, mark.as_char() == '.');
                }
                TokenTree::Group(group) => {
                    self.path_ended(&mut path);
                    (colons, is_method) = (0, false);
                    self.tokens(group.stream());
                }
                TokenTree::Literal(_) => {
                    self.path_ended(&mut path);
                    (colons, is_method) = (0, false);
                }
            }
        }
        self.path_ended(&mut path);
    }

    fn path_ended(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            Found::path(self, path);
        }
        path.clear();
    }
}

impl<'a, Found: Look + Default> Visit<'a> for Walk<Found> {
    fn visit_item(&mut self, item: &'a syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        Found::module(self, &item.ident.to_string());
        self.modules.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.modules.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        self.imported(&item.tree, &mut Vec::new());
    }

    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        Found::named_type(self, &item.ident, &item.vis);
        Found::structure(self, item);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        Found::named_type(self, &item.ident, &item.vis);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        Found::named_type(self, &item.ident, &item.vis);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        Found::named_type(self, &item.ident, &item.vis);
        visit::visit_item_type(self, item);
    }

    fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
        Found::implementation(self, item);
        self.inside.push(type_name(&item.self_ty).unwrap_or_default());
        visit::visit_item_impl(self, item);
        self.inside.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if is_test(&item.attrs) {
            return;
        }
        Found::function(self, &item.sig, &item.block);
        self.inside.push(item.sig.ident.to_string());
        visit::visit_impl_item_fn(self, item);
        self.inside.pop();
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        Found::function(self, &item.sig, &item.block);
        self.inside.push(item.sig.ident.to_string());
        visit::visit_item_fn(self, item);
        self.inside.pop();
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        if let Some(block) = &item.default {
            Found::function(self, &item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        Found::path(self, &segments);
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        Found::method(self, &call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        visit::visit_macro(self, call);
        self.tokens(call.tokens.clone());
    }
}

/// Name of a type that an `impl` is for, without its path.
pub(crate) fn type_name(of: &syn::Type) -> Option<String> {
    match of {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        _ => None,
    }
}
