//! Packages: `cargo xtask dist` builds the broker for one processor and wraps it as an archive, a
//! `.deb`, an `.rpm` and the files of a container image.
//!
//! All have the same [`PackagedFile`](contents::PackagedFile)s, at places of their own; what is
//! written does not depend on when or where. Not here: what the broker is built of (`sources`), and
//! how the formats look (`deb`, `redhat`, `archive`).

mod archive;
mod build;
mod contents;
mod deb;
mod elf;
mod licences;
mod redhat;
mod redhat_header;
mod sbom;
mod sources;
mod target;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use self::build::Built;
use self::contents::PackageContents;
use self::target::Processor;

/// Name and date of a set of packages, the same in every format.
pub(crate) struct PackagedRelease {
    /// Version of the workspace.
    pub(crate) version: String,
    /// Seconds since 1970, which all files are dated with: those of the commit, or
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) time: u64,
    pub(crate) target: Processor,
}

impl PackagedRelease {
    /// Name of the files and of the folder in the archive, without an ending.
    fn name(&self) -> String {
        format!("lotmq-{}-{}-linux", self.version, self.target.processor())
    }
}

/// Builds the packages for a processor into `target/packages`, and says how large they are.
///
/// # Errors
/// When the compiler, or what it needs, is missing; when a file cannot be written.
pub(crate) fn dist(root: &Path, processor: &str, is_built: bool) -> Result<()> {
    let target = Processor::of(processor)?;
    let release = PackagedRelease { version: build::version(root)?, time: build::time(root)?, target };
    let built = if is_built { Built::find(root, target)? } else { Built::make(root, target)? };
    let packages = sources::all(root, target)?;
    let licences = licences::document(root, &packages)?;
    let sbom = sbom::document(&release, &packages)?;
    let contents = PackageContents::read(root, &release, &built, licences, &sbom)?;
    // Beside `target/dist`, which is the folder of cargo's profile of that name.
    let out = root.join("target/packages");
    let container = format!("container-{}", release.target.processor());
    let folder = out.join(&container);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let name = release.name();
    let files = [
        (format!("{name}.tar.gz"), archive::portable(&release, &contents)?),
        (deb::file_name(&release), deb::package(&release, &contents)?),
        (redhat::file_name(&release), redhat::package(&release, &contents)?),
        (format!("{name}.cdx.json"), sbom),
        (format!("{container}/root.tar"), archive::image(&release, &contents)?),
        (format!("{container}/Containerfile"), contents::CONTAINERFILE.as_bytes().to_vec()),
    ];
    for (name, bytes) in &files {
        write(&out.join(name), bytes)?;
        println!("{:>10}  {name}", bytes.len());
    }
    println!("{:>10}  lotmq, of it", contents.binary_bytes());
    checksums(&out, files.map(|(name, _)| name))
}

/// Writes `SHA256SUMS` of the files that were `made`, and of those that it has from before, such as
/// of another processor, as far as they are there.
fn checksums(out: &Path, made: impl IntoIterator<Item = String>) -> Result<()> {
    let before = fs::read_to_string(out.join(SUMS)).unwrap_or_default();
    let before = before.lines().filter_map(|line| Some(line.split_once("  ")?.1.to_owned()));
    let names: BTreeSet<String> = made.into_iter().chain(before).collect();
    let mut lines = String::new();
    for name in names {
        let path = out.join(&name);
        if path.is_file() {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            lines += &format!("{}  {name}\n", digest(&bytes));
        }
    }
    write(&out.join(SUMS), lines.as_bytes())
}

/// Name of the file of checksums.
const SUMS: &str = "SHA256SUMS";

/// SHA-256 in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod rpm_tests;
#[cfg(test)]
mod script_tests;
#[cfg(test)]
mod tests;
