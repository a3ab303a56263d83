//! Contents of every package: the files, and the place of each in a system.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::dist::PackagedRelease;
use crate::dist::build::Built;
use crate::page_links::drop_outside_links;

/// Unit of the service.
pub(crate) const SERVICE: &str = include_str!("../../../packaging/lotmq.service");
/// Unit that compiles what is stored, at an upgrade.
pub(crate) const WARM_SERVICE: &str = include_str!("../../../packaging/lotmq-warm.service");
/// Account of the service.
pub(crate) const SYSUSERS: &str = include_str!("../../../packaging/lotmq.sysusers");
/// Configuration as it is installed.
pub(crate) const CONFIGURATION: &str = include_str!("../../../packaging/lotmq.toml");
/// How the container's image is built.
pub(crate) const CONTAINERFILE: &str = include_str!("../../../packaging/container/Containerfile");

/// Path of the configuration.
pub(crate) const CONFIGURATION_PATH: &str = "etc/lotmq/lotmq.toml";

/// Pages of `docs` that are packed; the others are about how the broker is made and tested.
const PAGES: [&str; 20] = [
    "README",
    "assets",
    "audit-and-logs",
    "backups",
    "codes",
    "commands",
    "comparison",
    "configuration",
    "damaged-store",
    "durability",
    "features",
    "install",
    "limits",
    "metrics",
    "performance",
    "running",
    "security",
    "tls",
    "tools",
    "zstd-transport",
];

/// Files that the page about metrics offers for other programs.
const OF_METRICS: [&str; 3] =
    ["docs/grafana/broker.json", "docs/grafana/routes.json", "docs/prometheus/alerts.yml"];

/// A file.
pub(crate) struct PackagedFile {
    /// Place in the system, without the first `/`.
    pub(crate) path: String,
    /// Place in the folder of the archive; `None` for what only a package manager needs.
    pub(crate) portable: Option<String>,
    /// Permissions.
    pub(crate) mode: u32,
    pub(crate) bytes: Vec<u8>,
}

impl PackagedFile {
    fn new(path: &str, portable: Option<&str>, bytes: impl Into<Vec<u8>>) -> Self {
        let mode = 0o644;
        Self { path: path.to_owned(), portable: portable.map(str::to_owned), mode, bytes: bytes.into() }
    }

    fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Whether an administrator may change it, and an upgrade must not.
    pub(crate) fn is_configuration(&self) -> bool {
        self.path == CONFIGURATION_PATH
    }

    /// Whether a container has it: what runs, and the licences.
    pub(crate) fn is_for_image(&self) -> bool {
        let of_service = ["usr/lib/systemd", "usr/lib/sysusers", "etc/", "usr/share/man"];
        let to_read = ["CHANGELOG.md", "README.md", "docs/", "sdk/", "examples/"]
            .map(|place| format!("usr/share/doc/lotmq/{place}"));
        let is_to_read = to_read.iter().any(|start| self.path.starts_with(start));
        let is_completion = self.portable.as_deref().is_some_and(|place| place.starts_with("completion/"));
        !is_completion && !is_to_read && !of_service.iter().any(|start| self.path.starts_with(start))
    }
}

/// All files, by their places.
pub(crate) struct PackageContents {
    pub(crate) items: Vec<PackagedFile>,
}

impl PackageContents {
    /// Reads what was built and what the repository has.
    pub(crate) fn read(
        root: &Path,
        release: &PackagedRelease,
        built: &Built,
        licences: String,
        sbom: &[u8],
    ) -> Result<Self> {
        let file = |path: &str| read(&root.join(path));
        let mut items = vec![
            PackagedFile::new("usr/bin/lotmq", Some("lotmq"), read(&built.binary)?).mode(0o755),
            PackagedFile::new(
                "usr/lib/lotmq/python.wasm.zst",
                Some("python.wasm.zst"),
                file("guests/python/prebuilt/python.wasm.zst")?,
            ),
            PackagedFile::new("usr/share/doc/lotmq/LICENSE-MIT", Some("LICENSE-MIT"), file("LICENSE-MIT")?),
            PackagedFile::new(
                "usr/share/doc/lotmq/LICENSE-APACHE",
                Some("LICENSE-APACHE"),
                file("LICENSE-APACHE")?,
            ),
            PackagedFile::new("usr/share/doc/lotmq/LICENSES-OF-OTHERS", Some("LICENSES-OF-OTHERS"), licences),
            PackagedFile::new("usr/share/doc/lotmq/lotmq.cdx.json", Some("lotmq.cdx.json"), sbom),
            changelog(root)?,
        ];
        for (page, bytes) in documentation(root)? {
            items.push(document(&page, bytes));
        }
        items.extend(of_service());
        items.extend(completions(&built.completions));
        items.extend(pages(&built.pages, release.time)?);
        items.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { items })
    }

    /// Size of the binary.
    pub(crate) fn binary_bytes(&self) -> usize {
        self.items.iter().find(|item| item.path == "usr/bin/lotmq").map_or(0, |item| item.bytes.len())
    }
}

/// Paths of the pages for operators and programmers, and of the examples. A machine without
/// internet has no others.
pub(crate) fn documents(root: &Path) -> Result<Vec<String>> {
    let mut found: Vec<String> = PAGES.iter().map(|name| format!("docs/{name}.md")).collect();
    for folder in ["docs/lot", "docs/routes", "docs/sdk"] {
        let entries = fs::read_dir(root.join(folder)).with_context(|| format!("cannot read {folder}"))?;
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    found.extend(OF_METRICS.map(str::to_owned));
    let mut shown = guests(root)?;
    collect(root, "examples", &mut shown)?;
    found.extend(shown);
    Ok(found)
}

/// Makes a file to read, at its place. Only scripts are executable.
pub(crate) fn document(page: &str, bytes: Vec<u8>) -> PackagedFile {
    let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
    PackagedFile::new(&format!("usr/share/doc/lotmq/{page}"), Some(page), bytes).mode(mode)
}

/// All that is there to read, by path, with links within the package only.
pub(crate) fn documentation(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut named = documents(root)?;
    named.push("README.md".to_owned());
    let beside = ["CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "LICENSES-OF-OTHERS"];
    let files: BTreeSet<String> = named.iter().cloned().chain(beside.map(str::to_owned)).collect();
    let packed = named.into_iter().map(|path| {
        let bytes = read(&root.join(&path))?;
        if !path.ends_with(".md") {
            return Ok((path, bytes));
        }
        let text = String::from_utf8(bytes).with_context(|| format!("{path} is no text"))?;
        let text = drop_outside_links(&path, &text, &files);
        Ok((path, text.into_bytes()))
    });
    packed.collect()
}

/// Files from which `lotmq guest build` makes a guest, in its folder, beside those in `src`.
const OF_GUEST: [&str; 3] = ["Cargo.lock", "Cargo.toml", "guest.toml"];

/// Guests of `sdk/examples`, and the crate that they are built with, at the same relative place.
fn guests(root: &Path) -> Result<BTreeSet<String>> {
    const SDK: &str = "sdk/rust";
    const EXAMPLES: &str = "sdk/examples";
    let mut found: BTreeSet<String> =
        ["sdk/README.md", "sdk/rust/Cargo.toml", "sdk/rust/README.md"].map(str::to_owned).into();
    for folder in ["src", "wit"] {
        collect(root, &format!("{SDK}/{folder}"), &mut found)?;
    }
    let entries = fs::read_dir(root.join(EXAMPLES)).with_context(|| format!("cannot read {EXAMPLES}"))?;
    for entry in entries {
        let guest = format!("{EXAMPLES}/{}", entry?.file_name().to_string_lossy());
        found.extend(OF_GUEST.map(|file| format!("{guest}/{file}")));
        found.extend(cases(root, &guest)?);
        collect(root, &format!("{guest}/src"), &mut found)?;
    }
    Ok(found)
}

/// Files with the cases of a guest, and the programs that they name.
fn cases(root: &Path, guest: &str) -> Result<Vec<String>> {
    let entries = fs::read_dir(root.join(guest)).with_context(|| format!("cannot read {guest}"))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<Result<Vec<String>>>()?;
    let is_of_cases = |name: &String| name.ends_with(".test.toml") || name.ends_with(".lot");
    Ok(names.iter().filter(|name| is_of_cases(name)).map(|name| format!("{guest}/{name}")).collect())
}

/// Adds all files below a folder, by their paths seen from the root.
fn collect(root: &Path, folder: &str, found: &mut BTreeSet<String>) -> Result<()> {
    let entries = fs::read_dir(root.join(folder)).with_context(|| format!("cannot read {folder}"))?;
    for entry in entries {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(root, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// Returns the files that make the broker a service.
pub(crate) fn of_service() -> [PackagedFile; 4] {
    [
        PackagedFile::new("usr/lib/systemd/system/lotmq.service", Some("lotmq.service"), SERVICE),
        PackagedFile::new(
            "usr/lib/systemd/system/lotmq-warm.service",
            Some("lotmq-warm.service"),
            WARM_SERVICE,
        ),
        PackagedFile::new("usr/lib/sysusers.d/lotmq.conf", Some("lotmq.sysusers"), SYSUSERS),
        // The group comes with the account, when it is installed.
        PackagedFile::new(CONFIGURATION_PATH, Some("lotmq.toml"), CONFIGURATION).mode(0o640),
    ]
}

/// Returns the changes from version to version, under the name that links lead to.
pub(crate) fn changelog(root: &Path) -> Result<PackagedFile> {
    const NAME: &str = "CHANGELOG.md";
    Ok(PackagedFile::new(&format!("usr/share/doc/lotmq/{NAME}"), Some(NAME), read(&root.join(NAME))?))
}

/// Completions in the order of `SHELLS`, where each shell looks for those of packages.
fn completions(texts: &[String]) -> Vec<PackagedFile> {
    let places = [
        ("usr/share/bash-completion/completions/lotmq", "completion/lotmq.bash"),
        ("usr/share/zsh/site-functions/_lotmq", "completion/_lotmq"),
        ("usr/share/fish/vendor_completions.d/lotmq.fish", "completion/lotmq.fish"),
    ];
    let item =
        |((path, portable), text): (_, &String)| PackagedFile::new(path, Some(portable), text.as_str());
    places.into_iter().zip(texts).map(item).collect()
}

/// Manual pages, compressed as distributions have them.
fn pages(folder: &Path, time: u64) -> Result<Vec<PackagedFile>> {
    let mut items = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().context("a page has a name")?.to_string_lossy().into_owned();
        let text = read(&path)?;
        let packed = gzip(&text, time)?;
        items.push(PackagedFile::new(
            &format!("usr/share/man/man1/{name}.gz"),
            Some(&format!("man/{name}.gz")),
            packed,
        ));
    }
    Ok(items)
}

/// Compresses, the same on every machine.
pub(crate) fn gzip(bytes: &[u8], time: u64) -> Result<Vec<u8>> {
    let time = u32::try_from(time).unwrap_or(0);
    let mut packed = GzBuilder::new().mtime(time).write(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
