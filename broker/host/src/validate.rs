//! Checks of a binary before compilation: a component that fits its world and imports only allowed
//! interfaces.
//!
//! Invariant: claims of the bytes about themselves can only lead to a rejection. Each capability is
//! checked again at the call.

mod load_error;

pub use load_error::LoadError;

use crate::complexity::Complexity;
use crate::{
    limits::COMPONENT_BYTES_MAX,
    package::{TRACK, qualified},
};
use wasmparser::{ComponentExternalKind, ComponentTypeRef, Encoding, Parser, Payload};

/// A world of the package `lotmq:guest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum World {
    /// Runs when something happens.
    Action,
    /// Gives data a structure. Only from the LoT compiler.
    Model,
    /// Decides what a client may do.
    Rule,
    /// Connects the broker with another system.
    Route,
    /// Decides who a client is.
    Auth,
}

/// Interface by which a rule asks modules.
pub(crate) const RULE_MODULES: &str = "rule-modules";

/// Interfaces of `lotmq:guest` that components of every world may import.
const EVERYBODY: &[&str] = &["types", "message-properties", "config", "logging", "metrics", "diagnostics"];

impl World {
    /// Worlds whose components may be uploaded.
    pub const OF_UPLOADS: [World; 4] = [World::Action, World::Rule, World::Route, World::Auth];

    /// Its name in `wit/`.
    pub fn name(self) -> &'static str {
        match self {
            World::Action => "action",
            World::Model => "model",
            World::Rule => "rule",
            World::Route => "route",
            World::Auth => "auth",
        }
    }

    /// Interfaces of `lotmq:guest` that its components may import, beside those of [`EVERYBODY`].
    fn imports(self) -> &'static [&'static str] {
        match self {
            World::Action => &[
                "action-handler",
                "messages",
                "current-message",
                "topic-store",
                "environment",
                "ambient",
                "state",
                "actions",
                "modules",
                "python",
                "rows",
                "models",
                "backtracking",
            ],
            World::Model => &[
                "model-handler",
                "messages",
                "current-message",
                "topic-store",
                "environment",
                "ambient",
                "rows",
                "backtracking",
            ],
            World::Rule => &[
                "rule-handler",
                "subject",
                "current-message",
                "topic-store",
                "ambient",
                "state",
                "backtracking",
            ],
            World::Route => &[
                "net",
                "ingest",
                "files",
                "http",
                "http-server",
                "retained",
                "far-side",
                "serial",
                "topic-store",
                "environment",
                "ambient",
                "state",
            ],
            World::Auth => &["principals", "messages", "net", "http", "environment", "ambient", "state"],
        }
    }

    /// Interfaces that only components of our own compiler may import.
    fn imports_of_compiler(self) -> &'static [&'static str] {
        match self {
            World::Rule => &[RULE_MODULES],
            World::Action | World::Model | World::Route | World::Auth => &[],
        }
    }

    /// Whether its components may import an interface.
    fn may_import(self, name: &str, source: ComponentSource) -> bool {
        let is_of_compiler = source == ComponentSource::Compiler && is_ours(name, self.imports_of_compiler());
        is_of_compiler || is_ours(name, EVERYBODY) || is_ours(name, self.imports())
    }

    /// Interfaces of `lotmq:guest` that its components must export.
    fn exports(self) -> &'static [&'static str] {
        match self {
            World::Action => &["action-handler"],
            World::Model => &["model-handler"],
            World::Rule => &["rule-handler"],
            World::Route => &["route-handler"],
            World::Auth => &["auth-handler"],
        }
    }

    /// Interfaces of `lotmq:guest` that its components may export as well.
    fn further_exports(self) -> &'static [&'static str] {
        match self {
            World::Route => &["route-batches"],
            World::Action | World::Model | World::Rule | World::Auth => &[],
        }
    }
}

/// Source of a component, which decides its allowed imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ComponentSource {
    /// Our own LoT compiler, in this process: it may import core modules of the engine, or be one
    /// for the shell.
    Compiler,
    /// Anybody: it must be self-contained.
    Upload,
}

/// Facts about a binary, collected during the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    /// Exports that the world does not have.
    pub(crate) further_exports: Vec<String>,
    /// Whether it is a core module of our own compiler, which needs the shell.
    pub(crate) is_linked: bool,
}

/// Modules from which core modules of our own compiler import: the LoT runtime, and host functions
/// as `interface.function`.
const RUNTIME_MODULE: &str = "rt";
const HOST_MODULE: &str = "host";

/// Export that componentize-py leaves in every component that it makes. Its author does not know
/// it, so there is no warning.
const OF_COMPONENTIZE_PY: &str = "exports";

/// First bytes of every module and component.
const MAGIC: &[u8] = b"\0asm";

/// The inert WASI set, listed in `wit/`.
const INERT_WASI: &str = include_str!("../../../wit/inert-wasi.txt");

/// Checks everything that can be known without compiling.
pub(crate) fn check(bytes: &[u8], world: World, source: ComponentSource) -> Result<Summary, LoadError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge { bytes: bytes.len(), limit: COMPONENT_BYTES_MAX });
    }
    if !bytes.starts_with(MAGIC) {
        return Err(LoadError::compile_failed(
            "The bytes are no WebAssembly, which begins with 00 61 73 6D.",
        ));
    }
    let mut summary = outline(bytes, world, source)?;
    for name in world.exports() {
        if !summary.exports.iter().any(|export| is_ours(export, &[name])) {
            let missing = qualified(name);
            return Err(LoadError::WorldMismatch {
                world: world.name(),
                reason: format!("export '{missing}' is missing"),
            });
        }
    }
    let is_of_world =
        |export: &str| is_ours(export, world.exports()) || is_ours(export, world.further_exports());
    let is_further = |export: &&String| !is_of_world(export) && *export != OF_COMPONENTIZE_PY;
    let further = summary.exports.iter().filter(is_further).cloned();
    summary.further_exports.extend(further);
    Ok(summary)
}

/// Checks everything about an uploaded component that can be known without compiling it.
///
/// # Errors
/// [`LoadError`].
pub fn check_upload(component: &[u8], world: World) -> Result<(), LoadError> {
    check(component, world, ComponentSource::Upload).map(drop)
}

/// Names of the interfaces that an uploaded component imports, with versions; checks it as
/// [`check_upload`] does.
///
/// # Errors
/// [`LoadError`].
pub fn imports_of_upload(component: &[u8], world: World) -> Result<Vec<String>, LoadError> {
    Ok(check(component, world, ComponentSource::Upload)?.imports)
}

/// World of which an uploaded component exports the handler; `None` of what exports none, or is no
/// component.
#[must_use]
pub fn world_by_exports(component: &[u8]) -> Option<World> {
    if component.len() > COMPONENT_BYTES_MAX || !component.starts_with(MAGIC) {
        return None;
    }
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only exports are looked at")]
        match payload.ok()? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                let names = section.into_iter().filter_map(Result::ok).map(|export| export.name.name);
                let world = |name| World::OF_UPLOADS.into_iter().find(|world| is_ours(name, world.exports()));
                if let Some(world) = names.into_iter().find_map(world) {
                    return Some(world);
                }
            }
            _ => {}
        }
    }
    None
}

/// Reads the outermost imports and exports.
fn outline(bytes: &[u8], world: World, source: ComponentSource) -> Result<Summary, LoadError> {
    let mut summary = Summary::default();
    let mut complexity = Complexity::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| LoadError::compile_failed(&error.to_string()))?;
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other sections are the compiler's business")]
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return linked_outline(bytes, world, source);
            }
            Payload::Version { encoding: Encoding::Module, .. } => complexity.begin_module(),
            // Our own compiler bounds its modules itself (LOT506).
            Payload::TypeSection(section) if source == ComponentSource::Upload => {
                complexity.types(section).map_err(|error| LoadError::compile_failed(&error.to_string()))?;
            }
            Payload::CodeSectionEntry(body) if source == ComponentSource::Upload => complexity.add(&body)?,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| LoadError::compile_failed(&error.to_string()))?;
                    let name = import.name.name;
                    allowed(name, &import.ty, world, source)?;
                    summary.imports.push(name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| LoadError::compile_failed(&error.to_string()))?;
                    let exports = match export.kind {
                        ComponentExternalKind::Instance => &mut summary.exports,
                        _ => &mut summary.further_exports,
                    };
                    exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(summary)
}

/// Reads the imports of a core module. Only those of our own compiler are taken, for which the
/// shell has the exports.
fn linked_outline(bytes: &[u8], world: World, source: ComponentSource) -> Result<Summary, LoadError> {
    let failed = |error: wasmparser::BinaryReaderError| LoadError::compile_failed(&error.to_string());
    let mut summary = Summary { is_linked: true, ..Summary::default() };
    let mut needs_runtime = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let Payload::ImportSection(section) = payload.map_err(failed)? else { continue };
        for import in section.into_imports() {
            let import = import.map_err(failed)?;
            needs_runtime |= import.module == RUNTIME_MODULE;
            let interface = import.name.split_once('.').map_or("", |(interface, _)| interface);
            if import.module == HOST_MODULE {
                let name = qualified(interface);
                if !world.may_import(&name, source) {
                    return Err(LoadError::ImportForbidden { import: name, world: world.name() });
                }
                if !summary.imports.contains(&name) {
                    summary.imports.push(name);
                }
            }
        }
    }
    match source {
        ComponentSource::Compiler => {
            summary.exports.extend(world.exports().iter().map(|name| qualified(name)));
            Ok(summary)
        }
        ComponentSource::Upload if needs_runtime => {
            Err(LoadError::Linked { module: RUNTIME_MODULE.to_owned() })
        }
        ComponentSource::Upload => Err(LoadError::NotAComponent),
    }
}

fn allowed(
    name: &str,
    ty: &ComponentTypeRef,
    world: World,
    source: ComponentSource,
) -> Result<(), LoadError> {
    let forbidden = || LoadError::ImportForbidden { import: name.to_owned(), world: world.name() };
    match ty {
        ComponentTypeRef::Module(_) if source == ComponentSource::Compiler => Ok(()),
        ComponentTypeRef::Module(_) => Err(LoadError::Linked { module: name.to_owned() }),
        ComponentTypeRef::Instance(_) if world.may_import(name, source) || is_inert(name) => Ok(()),
        ComponentTypeRef::Instance(_) => match of_contract(name) {
            Some((_, version)) if !is_compatible(version, TRACK) => {
                let is_newer = is_newer(version, TRACK);
                Err(LoadError::OtherContract { import: name.to_owned(), track: TRACK, is_newer })
            }
            Some(_) | None => Err(forbidden()),
        },
        ComponentTypeRef::Func(_)
        | ComponentTypeRef::Value(_)
        | ComponentTypeRef::Type(_)
        | ComponentTypeRef::Component(_) => Err(forbidden()),
    }
}

/// Whether a name is that of one of these interfaces of the package, at a version of its
/// [track](TRACK).
pub(crate) fn is_ours(name: &str, interfaces: &[&str]) -> bool {
    of_contract(name)
        .is_some_and(|(interface, version)| interfaces.contains(&interface) && is_compatible(version, TRACK))
}

/// Interface and version that a name of the package is of.
fn of_contract(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("lotmq:guest/")?.split_once('@')
}

/// Whether a name is one of the inert WASI set, at any 0.2 version.
pub(crate) fn is_inert(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    is_compatible(version, "0.2") && inert_interfaces().any(|inert| inert == interface)
}

fn inert_interfaces() -> impl Iterator<Item = &'static str> {
    INERT_WASI
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once('@').map(|(interface, _)| interface))
}

/// Whether a version is `<track>.<patch>`; a pre-release is a version of its own and never fits.
fn is_compatible(version: &str, track: &str) -> bool {
    version
        .strip_prefix(track)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a version is later than all of a track.
fn is_newer(version: &str, track: &str) -> bool {
    let numbers = |text: &str| {
        let mut numbers = text.split('.').map(|number| number.parse::<u64>().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    matches!((numbers(version), numbers(track)), (Some(version), Some(track)) if version > track)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_newer_by_its_first_two_numbers() {
        for (version, expected) in [
            ("0.3.0", true),
            ("1.0.0", true),
            ("0.10.0-rc1", true),
            ("0.2.9", false),
            ("0.2.0-rc1", false),
            ("0.1.0", false),
            ("0", false),
            ("x.y", false),
        ] {
            assert_eq!(is_newer(version, "0.2"), expected, "{version}");
        }
    }

    #[test]
    fn names_are_compared_by_interface_and_version_track() {
        for (name, expected) in [
            ("lotmq:guest/messages@0.2.0", true),
            ("lotmq:guest/messages@0.2.7", true),
            ("lotmq:guest/messages@0.1.0", false),
            ("lotmq:guest/messages@0.3.0", false),
            ("lotmq:guest/messages@0.2.0-rc1", false),
            ("lotmq:guest/messages", false),
            ("lotmq:guest/net@0.2.0", false),
            ("other:guest/messages@0.2.0", false),
        ] {
            assert_eq!(World::Action.may_import(name, ComponentSource::Upload), expected, "{name}");
        }
    }

    #[test]
    fn only_our_own_compiler_makes_rules_that_ask_modules() {
        let name = "lotmq:guest/rule-modules@0.2.0";
        assert!(World::Rule.may_import(name, ComponentSource::Compiler));
        for (world, source) in [
            (World::Rule, ComponentSource::Upload),
            (World::Action, ComponentSource::Compiler),
            (World::Auth, ComponentSource::Compiler),
        ] {
            assert!(!world.may_import(name, source), "{world:?} {source:?}");
        }
    }

    #[test]
    fn a_component_shows_by_its_exports_which_world_it_is_for() {
        let echo = include_bytes!("../../../sdk/examples/route-echo/prebuilt/route-echo.wasm");
        let table = include_bytes!("../../../sdk/examples/auth-table/prebuilt/auth-table.wasm");
        assert_eq!(world_by_exports(echo), Some(World::Route));
        assert_eq!(world_by_exports(table), Some(World::Auth));
        for none in [&b""[..], b"no wasm", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0", &echo[..echo.len() / 2]]
        {
            assert_eq!(world_by_exports(none), None);
        }
    }

    #[test]
    fn the_inert_set_has_no_sockets_and_no_http() {
        for (name, expected) in [
            ("wasi:cli/environment@0.2.3", true),
            ("wasi:io/streams@0.2.0", true),
            ("wasi:filesystem/preopens@0.2.6", true),
            ("wasi:sockets/tcp@0.2.0", false),
            ("wasi:http/outgoing-handler@0.2.0", false),
            ("wasi:cli/environment@0.3.0", false),
            ("wasi:cli/command@0.2.0", false),
        ] {
            assert_eq!(is_inert(name), expected, "{name}");
        }
    }
}
