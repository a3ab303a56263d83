//! The package for Debian and its like, deb(5): three members in an ar archive.

use std::fmt::Write as _;

use anyhow::Result;

use crate::dist::PackagedRelease;
use crate::dist::archive::PackageArchive;
use crate::dist::contents::{PackageContents, gzip};

/// Scripts that run after an installation, before a removal and after it.
pub(super) const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../../packaging/deb/postinst")),
    ("prerm", include_str!("../../../packaging/deb/prerm")),
    ("postrm", include_str!("../../../packaging/deb/postrm")),
];

/// Name of the file.
pub(crate) fn file_name(release: &PackagedRelease) -> String {
    format!("lotmq_{}-1_{}.deb", release.version, release.target.debian())
}

/// The package.
pub(crate) fn package(release: &PackagedRelease, contents: &PackageContents) -> Result<Vec<u8>> {
    let mut data = PackageArchive::new(release.time);
    for item in &contents.items {
        data.file(&debian_path(&item.path), item.mode, &item.bytes)?;
    }
    let mut ar = b"!<arch>\n".to_vec();
    member(&mut ar, release, "debian-binary", b"2.0\n");
    member(&mut ar, release, "control.tar.gz", &control(release, contents)?);
    member(&mut ar, release, "data.tar.gz", &gzip(&data.finish()?, release.time)?);
    Ok(ar)
}

/// Returns the path on Debian of a file that others have elsewhere.
fn debian_path(path: &str) -> String {
    path.replace("usr/share/zsh/site-functions", "usr/share/zsh/vendor-completions")
}

fn control(release: &PackagedRelease, contents: &PackageContents) -> Result<Vec<u8>> {
    let mut archive = PackageArchive::new(release.time);
    archive.file("control", 0o644, description(release, contents).as_bytes())?;
    let configurations = contents.items.iter().filter(|item| item.is_configuration());
    let conffiles: String = configurations.map(|item| format!("/{}\n", item.path)).collect();
    archive.file("conffiles", 0o644, conffiles.as_bytes())?;
    for (name, text) in SCRIPTS {
        archive.file(name, 0o755, text.as_bytes())?;
    }
    gzip(&archive.finish()?, release.time)
}

/// The file `control`: what package managers know of the package.
pub(crate) fn description(release: &PackagedRelease, contents: &PackageContents) -> String {
    let bytes: usize = contents.items.iter().map(|item| item.bytes.len()).sum();
    let mut text = String::new();
    let fields = [
        ("Package", "lotmq".to_owned()),
        ("Version", format!("{}-1", release.version)),
        ("Architecture", release.target.debian().to_owned()),
        ("Maintainer", "The lotmq contributors <packages@lotmq.invalid>".to_owned()),
        ("Installed-Size", bytes.div_ceil(1024).to_string()),
        ("Depends", "passwd".to_owned()),
        // Authorities that routes with TLS trust, and time zones.
        ("Recommends", "ca-certificates, tzdata".to_owned()),
        ("Section", "net".to_owned()),
        ("Priority", "optional".to_owned()),
        ("Description", "MQTT broker that runs your logic inside it".to_owned()),
    ];
    for (name, value) in fields {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    }
    text + " lotmq speaks MQTT 3.1.1 and 5.0. What should happen with messages is written in\n \
            the Language of Things or any language with a WebAssembly compiler, and runs\n \
            in a sandbox inside the broker.\n"
}

/// Appends a member of an ar archive.
fn member(ar: &mut Vec<u8>, release: &PackagedRelease, name: &str, bytes: &[u8]) {
    let (time, mode, length) = (release.time, "100644", bytes.len());
    ar.extend_from_slice(format!("{name:<16}{time:<12}{:<6}{:<6}{mode:<8}{length:<10}`\n", 0, 0).as_bytes());
    ar.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        ar.push(b'\n');
    }
}
