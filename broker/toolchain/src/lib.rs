//! Rust toolchain that builds guests: finds one, installs parts if possible, and makes components
//! of the modules.
//!
//! For `wasm32-unknown-unknown` two ways work. If the compiler's own standard library for the
//! target is installed (`rustup target add`), it is used as it is. Otherwise the standard library
//! is built from a `rust-src` of exactly the compiler's version. That is the one in the sysroot
//! (`rustup component add rust-src`), or the distribution's package of that name. The package is
//! unpacked in a [folder](SourceStore) of the caller, without root. The compiler ships the linker.
//! The standard library of `wasm32-wasip2` can only be installed: it contains a C library.
//!
//! For `cargo xtask guests` and `lotmq guest`. Not here: the list of guests, and the use of the
//! components.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The target that a guest is built for, as rustc has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WasmTarget {
    /// `wasm32-unknown-unknown`, whose standard library has no clocks and no random numbers.
    #[default]
    Unknown,
    /// `wasm32-wasip2`, for crates that want those of the standard library.
    Wasip2,
}

impl WasmTarget {
    /// WasmTarget of a name; `None` of others than these.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Unknown, Self::Wasip2].into_iter().find(|target| target.name() == name)
    }

    /// Name that rustc has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "wasm32-unknown-unknown",
            Self::Wasip2 => "wasm32-wasip2",
        }
    }
}

/// SourceStore of what was got.
#[derive(Clone, Copy, Debug)]
pub struct SourceStore<'a> {
    /// Folder for sources of standard libraries.
    pub folder: &'a Path,
    /// Command that gets what is missing, for messages.
    pub install: &'a str,
}

/// How guests are built on this machine.
#[derive(Debug)]
pub struct Toolchain {
    /// Compiler and source of the standard library.
    pub description: String,
    /// Target that it builds for.
    pub target: WasmTarget,
    standard_library: StandardLibrary,
}

#[derive(Debug)]
enum StandardLibrary {
    /// Installed for the target.
    Installed,
    /// Built from the `library` folder of the compiler's own source.
    Source(PathBuf),
}

impl Toolchain {
    /// Finds a toolchain.
    ///
    /// # Errors
    /// There is none; the message says what to install.
    pub fn find(place: SourceStore<'_>, target: WasmTarget) -> Result<Toolchain> {
        find(place, target)
    }

    /// Sets what cargo needs to build with this toolchain.
    pub fn configure(&self, command: &mut Command) {
        command.args(["--target", self.target.name()]);
        if let StandardLibrary::Source(library) = &self.standard_library {
            command.arg("-Zbuild-std=std,panic_abort");
            command.env("RUSTC_BOOTSTRAP", "1");
            command.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
        }
    }

    /// Returns the path of the standard library's source, if the standard library is built.
    pub fn std_source(&self) -> Option<&Path> {
        match &self.standard_library {
            StandardLibrary::Source(library) => Some(library),
            StandardLibrary::Installed => None,
        }
    }
}

fn find(place: SourceStore<'_>, target: WasmTarget) -> Result<Toolchain> {
    let compiler = Compiler::ask()?;
    let name = target.name();
    if compiler.sysroot.join("lib/rustlib").join(name).join("lib").is_dir() {
        return Ok(Toolchain {
            description: format!("rustc {}, installed {name}", compiler.version),
            target,
            standard_library: StandardLibrary::Installed,
        });
    }
    let version = &compiler.version;
    if target == WasmTarget::Wasip2 {
        bail!(
            "rustc {version} cannot build for {name} here: its standard library is not installed\nthis helps:\n  rustup target add {name}"
        );
    }
    for library in source_places(place, &compiler) {
        if is_complete_source(&library) {
            return Ok(Toolchain {
                description: format!("rustc {version}, std built from source"),
                target,
                standard_library: StandardLibrary::Source(library),
            });
        }
    }
    bail!(
        "rustc {version} cannot build for {name} here: neither its standard library nor its source is installed\n\
         one of these helps:\n  rustup target add {name}\n  rustup component add rust-src\n  \
         {install}   (tries the above, then unpacks the distribution's package rust-src {version})",
        install = place.install,
    )
}

/// Gets what is missing: rustup's target, rustup's source, or the distribution's source package, in
/// this order. `tell` hears what is tried.
///
/// # Errors
/// None of them can be had; says what each answered.
pub fn install(place: SourceStore<'_>, target: WasmTarget, tell: impl Fn(&str)) -> Result<Toolchain> {
    if let Ok(found) = find(place, target) {
        return Ok(found);
    }
    let compiler = Compiler::ask()?;
    let mut refusals = Vec::new();
    let ways: &[[&str; 3]] = match target {
        WasmTarget::Unknown => {
            &[["target", "add", WasmTarget::Unknown.name()], ["component", "add", "rust-src"]]
        }
        WasmTarget::Wasip2 => &[["target", "add", WasmTarget::Wasip2.name()]],
    };
    for arguments in ways {
        tell(&format!("rustup {}", arguments.join(" ")));
        match output_of(&program("rustup"), arguments) {
            Ok(_) => break,
            Err(error) => refusals.push(format!("{error:#}")),
        }
    }
    let found = find(place, target);
    if found.is_ok() {
        return found;
    }
    if target == WasmTarget::Wasip2 {
        bail!("no wasm toolchain could be installed\n  {}", refusals.join("\n  "));
    }
    tell(&format!("the distribution's package rust-src {}", compiler.version));
    if let Err(error) = unpack_distribution_source(place, &compiler) {
        bail!("no wasm toolchain could be installed\n  {}\n  {error:#}", refusals.join("\n  "));
    }
    find(place, target)
}

/// Makes a component of a core module that carries its world, as `wit-bindgen` embeds it. Returns a
/// component unchanged, such as one from the linker of `wasm32-wasip2`.
///
/// # Errors
/// The module is neither.
pub fn wrapped(module: &[u8]) -> Result<Vec<u8>> {
    /// Magic, version and layer that a component begins with.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    if module.starts_with(COMPONENT) {
        return Ok(module.to_vec());
    }
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .context("not the core module of a component")
}

/// Flag for the compiler by which a folder is called something else, which keeps this machine's
/// paths out of the module.
pub fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}={to}", from.display())
}

/// Flags for the compiler that all crates have, the same for every guest on this machine: folders
/// of the toolchain have other names, and the crate `getrandom` calls the SDK's function.
///
/// # Errors
/// No home directory is known.
pub fn flags(toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut flags = Vec::new();
    if toolchain.target == WasmTarget::Unknown {
        flags.push("--cfg=getrandom_backend=\"custom\"".to_owned());
    }
    let registry = cargo_home()?.join("registry/src");
    if let Ok(indexes) = std::fs::read_dir(&registry) {
        let mut indexes: Vec<PathBuf> = indexes.filter_map(|entry| Some(entry.ok()?.path())).collect();
        indexes.sort();
        flags.extend(indexes.iter().map(|index| remap(index, "/registry")));
    }
    if let Some(source) = toolchain.std_source() {
        flags.push(remap(source, "/rustc/library"));
    }
    Ok(flags)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?;
    Ok(Path::new(&home).join(".cargo"))
}

/// A program of the toolchain: what the environment variable of its name says, as cargo has it,
/// else the one on the path, else that in cargo's home, which a shell that was open when rustup was
/// installed does not know.
pub fn program(name: &str) -> OsString {
    if let Some(named) = std::env::var_os(name.to_ascii_uppercase()) {
        return named;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |folder: PathBuf| folder.join(name).is_file();
    match cargo_home() {
        Ok(home) if !std::env::split_paths(&path).any(is_there) => {
            let installed = home.join("bin").join(name);
            if installed.is_file() { installed.into() } else { name.into() }
        }
        _ => name.into(),
    }
}

struct Compiler {
    /// As `1.95.0`.
    version: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn ask() -> Result<Self> {
        let version = output_of(&program("rustc"), &["--version"])?;
        let version = version.split_whitespace().nth(1).context("rustc names no version")?.to_owned();
        let sysroot = PathBuf::from(output_of(&program("rustc"), &["--print", "sysroot"])?.trim());
        Ok(Self { version, sysroot })
    }
}

fn unpacked_source(place: SourceStore<'_>, compiler: &Compiler) -> PathBuf {
    place.folder.join(format!("rust-src-{}", compiler.version))
}

fn source_places(place: SourceStore<'_>, compiler: &Compiler) -> [PathBuf; 3] {
    let packaged = format!("usr/src/rustc-{}/library", compiler.version);
    [
        compiler.sysroot.join("lib/rustlib/src/rust/library"),
        unpacked_source(place, compiler).join(&packaged),
        Path::new("/").join(&packaged),
    ]
}

/// Whether the folder has the standard library with its lock file, which cargo requires.
fn is_complete_source(library: &Path) -> bool {
    library.join("std/Cargo.toml").is_file() && library.join("Cargo.lock").is_file()
}

/// Gets the distribution's `rust-src` of the compiler's version with apt, in an apt state of its
/// own, and unpacks it.
///
/// The mirror is the one that the machine's own apt sources name. Backports and the development
/// release are asked, because a compiler is newer than the packages of a stable release.
fn unpack_distribution_source(place: SourceStore<'_>, compiler: &Compiler) -> Result<()> {
    let folder = place.folder.join("apt");
    let lists = folder.join("lists/partial");
    std::fs::create_dir_all(&lists).with_context(|| format!("cannot create {}", lists.display()))?;
    std::fs::create_dir_all(folder.join("cache/archives/partial"))?;
    let sources = folder.join("sources.list");
    std::fs::write(&sources, distribution_sources()?)?;
    let options = [
        format!("-oDir::Etc::sourcelist={}", sources.display()),
        "-oDir::Etc::sourceparts=-".to_owned(),
        format!("-oDir::State::lists={}", folder.join("lists").display()),
        format!("-oDir::Cache={}", folder.join("cache").display()),
        // The unprivileged user that root's apt downloads as may not write here.
        "-oAPT::Sandbox::User=".to_owned(),
    ];
    apt(&folder, &options, "apt-get", &["-qq", "update"])?;
    let versions = apt(&folder, &options, "apt-cache", &["madison", "rust-src"])?;
    let wanted = versions
        .lines()
        .filter_map(|line| line.split('|').nth(1).map(str::trim))
        .find(|version| version.split(['+', '-', '~']).next() == Some(compiler.version.as_str()))
        .with_context(|| format!("the distribution has no rust-src {}", compiler.version))?;
    apt(&folder, &options, "apt-get", &["-qq", "download", &format!("rust-src={wanted}")])?;
    let package = downloaded_package(&folder)?;
    let target = unpacked_source(place, compiler);
    std::fs::create_dir_all(&target)?;
    output_of("dpkg".as_ref(), &["-x", &package.to_string_lossy(), &target.to_string_lossy()])?;
    std::fs::remove_file(&package)?;
    Ok(())
}

fn downloaded_package(folder: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt downloaded no package into {}", folder.display())
}

/// One `deb` line per release whose backports may carry a current `rust-src`, with the mirror of
/// the machine's own sources.
fn distribution_sources() -> Result<String> {
    let indexes =
        output_of("apt-get".as_ref(), &["indextargets", "--format", "$(REPO_URI) $(SIGNED_BY) $(ORIGIN)"])?;
    let mut lines = indexes.lines().map(|line| line.splitn(3, ' ').collect::<Vec<_>>());
    let main = lines
        .find_map(|fields| match fields.as_slice() {
            [uri, key, "Debian"] if uri.trim_end_matches('/').ends_with("/debian") => Some((*uri, *key)),
            _ => None,
        })
        .context("apt knows no mirror of the distribution (run `apt-get update` first)")?;
    let (uri, key) = main;
    let options =
        if key.is_empty() || key.starts_with("$(") { String::new() } else { format!("[signed-by={key}] ") };
    Ok(["trixie-backports", "sid"]
        .iter()
        .map(|release| format!("deb {options}{uri} {release} main\n"))
        .collect())
}

fn apt(folder: &Path, options: &[String], program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .current_dir(folder)
        .args(options)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn output_of(program: &OsStr, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = said.lines().find(|line| line.contains("error")).unwrap_or(said.trim());
        bail!("{} {}: {reason}", program.display(), arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
