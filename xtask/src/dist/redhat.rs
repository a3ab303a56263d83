//! The package for Fedora, SUSE and their like, format 4 of RPM: a lead that nobody reads any more,
//! a header with digests, one with all that is known of package and files, and the files as a cpio
//! archive.
//!
//! Not signed. Tags by their numbers in rpm's `rpmtag.h`.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::dist::contents::{PackageContents, PackagedFile, gzip};
use crate::dist::redhat_header::{Region, RpmHeader, RpmValue};
use crate::dist::{PackagedRelease, digest};

/// Scripts that run after an installation, before a removal and after it. Each has the tag of the
/// script and that of its interpreter.
const SCRIPTS: [(u32, u32, &str); 3] = [
    (1024, 1086, include_str!("../../../packaging/rpm/post")),
    (1025, 1087, include_str!("../../../packaging/rpm/preun")),
    (1026, 1088, include_str!("../../../packaging/rpm/postun")),
];

/// Folders that are ours alone, so that they go with the package; those below the last one are,
/// too.
const FOLDERS: [&str; 3] = ["etc/lotmq", "usr/lib/lotmq", DOCUMENTATION];

/// Folder of the pages to read.
const DOCUMENTATION: &str = "usr/share/doc/lotmq";

/// Requirements of the package: a name, a version, and the flags of it (`rpmds.h`).
const REQUIRED: [(&str, &str, u32); 5] = [
    ("/bin/sh", "", 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12),
    ("/usr/sbin/useradd", "", 1 << 10),
    ("rpmlib(CompressedFileNames)", "3.0.4-1", RPMLIB),
    ("rpmlib(FileDigests)", "4.6.0-1", RPMLIB),
    ("rpmlib(PayloadFilesHavePrefix)", "4.0-1", RPMLIB),
];

/// At most this version of what rpm itself can do.
const RPMLIB: u32 = 1 << 24 | 2 | 8;

/// A version that is exactly this one.
const EQUAL: u32 = 8;

/// Packages that it uses if they are there.
const RECOMMENDED: [&str; 2] = ["ca-certificates", "tzdata"];

/// Flag of a file of configuration.
const CONFIGURATION: u32 = 1;

/// SHA-256, as rpm numbers digests.
const SHA_256: u32 = 8;

/// Name of the file.
pub(crate) fn file_name(release: &PackagedRelease) -> String {
    format!("lotmq-{}-1.{}.rpm", release.version, release.target.processor())
}

/// The package.
pub(crate) fn package(release: &PackagedRelease, contents: &PackageContents) -> Result<Vec<u8>> {
    let files = files(contents);
    let plain = cpio(&files, release)?;
    let payload = gzip(&plain, release.time)?;
    let header = header(release, &files, &payload)?.bytes(Region::Immutable);
    let mut signature = RpmHeader::default();
    signature.add(273, RpmValue::Text(digest(&header)));
    signature.add(1000, RpmValue::Number32(vec![u32::try_from(header.len() + payload.len())?]));
    signature.add(1007, RpmValue::Number32(vec![u32::try_from(plain.len())?]));
    let mut package = lead(release);
    package.extend(signature.bytes(Region::Signatures));
    package.resize(package.len().next_multiple_of(8), 0);
    package.extend(header);
    package.extend(payload);
    Ok(package)
}

/// A file or folder of the package.
struct File<'a> {
    path: &'a str,
    mode: u16,
    bytes: &'a [u8],
    flags: u32,
}

fn files(contents: &PackageContents) -> Vec<File<'_>> {
    let of_pages = contents.items.iter().flat_map(|item| folders_of(&item.path));
    let folders: BTreeSet<&str> = FOLDERS.into_iter().chain(of_pages).collect();
    let folders = folders.into_iter().map(|path| File { path, mode: 0o040_755, bytes: &[], flags: 0 });
    let items = contents.items.iter().map(|item| File {
        path: &item.path,
        // Permissions have twelve bits.
        mode: 0o100_000 | (item.mode & 0o7777) as u16,
        bytes: &item.bytes,
        flags: flags(item),
    });
    let mut files: Vec<File<'_>> = folders.chain(items).collect();
    files.sort_by_key(|file| file.path);
    files
}

/// Folders below that of the pages in which a file lies.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    let below = path.strip_prefix(DOCUMENTATION).is_some_and(|rest| rest.starts_with('/'));
    let ends = path.match_indices('/').map(|(end, _)| &path[..end]);
    ends.filter(move |folder| below && folder.len() > DOCUMENTATION.len())
}

/// Returns the flags of a file for rpm: configuration that rpm does not replace, documentation, a
/// licence.
fn flags(item: &PackagedFile) -> u32 {
    if item.is_configuration() {
        CONFIGURATION | 1 << 4
    } else if item.path.contains("/LICENSE") {
        1 << 7
    } else if item.path.starts_with("usr/share/doc/") || item.path.starts_with("usr/share/man/") {
        1 << 1
    } else {
        0
    }
}

/// The first 96 bytes, by which programs know the format.
fn lead(release: &PackagedRelease) -> Vec<u8> {
    let mut lead = vec![0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0, 0, 1];
    lead.extend_from_slice(format!("lotmq-{}-1", release.version).as_bytes());
    lead.resize(76, 0);
    lead.extend_from_slice(&[0, 1, 0, 5]);
    lead.resize(96, 0);
    lead
}

fn header(release: &PackagedRelease, files: &[File<'_>], payload: &[u8]) -> Result<RpmHeader> {
    let text = |text: &str| RpmValue::Text(text.to_owned());
    let texts = |texts: &[&str]| RpmValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
    let processor = release.target.processor();
    let mut header = RpmHeader::default();
    header.add(100, texts(&["C"]));
    header.add(1000, text("lotmq"));
    header.add(1001, text(&release.version));
    header.add(1002, text("1"));
    header.add(1004, RpmValue::Translated("MQTT broker that runs your logic inside it".to_owned()));
    header.add(
        1005,
        RpmValue::Translated(
            "lotmq speaks MQTT 3.1.1 and 5.0. What should happen with messages runs in a sandbox inside the broker.".to_owned(),
        ),
    );
    header.add(1006, RpmValue::Number32(vec![u32::try_from(release.time)?]));
    header.add(1007, text("localhost"));
    header.add(1014, text("MIT OR Apache-2.0"));
    header.add(1016, RpmValue::Translated("Unspecified".to_owned()));
    header.add(1021, text("linux"));
    header.add(1022, text(processor));
    for (script, interpreter, source) in SCRIPTS {
        header.add(script, text(source));
        header.add(interpreter, text("/bin/sh"));
    }
    // A package without it is one of source.
    header.add(1044, text(&format!("lotmq-{}-1.src.rpm", release.version)));
    header.add(1047, texts(&["lotmq"]));
    header.add(1112, RpmValue::Number32(vec![EQUAL]));
    header.add(1113, RpmValue::Texts(vec![format!("{}-1", release.version)]));
    header.add(1048, RpmValue::Number32(REQUIRED.map(|it| it.2).to_vec()));
    header.add(1049, texts(&REQUIRED.map(|it| it.0)));
    header.add(1050, texts(&REQUIRED.map(|it| it.1)));
    header.add(5046, texts(&RECOMMENDED));
    header.add(5047, texts(&RECOMMENDED.map(|_| "")));
    header.add(5048, RpmValue::Number32(RECOMMENDED.map(|_| 0).to_vec()));
    header.add(1124, text("cpio"));
    header.add(1125, text("gzip"));
    header.add(1126, text("9"));
    header.add(5011, RpmValue::Number32(vec![SHA_256]));
    header.add(5092, RpmValue::Texts(vec![digest(payload)]));
    header.add(5093, RpmValue::Number32(vec![SHA_256]));
    add_files(&mut header, release, files)?;
    Ok(header)
}

fn add_files(header: &mut RpmHeader, release: &PackagedRelease, files: &[File<'_>]) -> Result<()> {
    let time = u32::try_from(release.time)?;
    let numbers = |number: &dyn Fn(&File<'_>) -> u32| RpmValue::Number32(files.iter().map(number).collect());
    let texts = |text: &dyn Fn(&File<'_>) -> String| RpmValue::Texts(files.iter().map(text).collect());
    let sizes: Vec<u32> =
        files.iter().map(|file| u32::try_from(file.bytes.len())).collect::<Result<_, _>>()?;
    header.add(1009, RpmValue::Number32(vec![sizes.iter().sum()]));
    header.add(1028, RpmValue::Number32(sizes));
    header.add(1030, RpmValue::Number16(files.iter().map(|file| file.mode).collect()));
    header.add(1033, RpmValue::Number16(vec![0; files.len()]));
    header.add(1034, numbers(&|_| time));
    header.add(1035, texts(&|file| if file.is_folder() { String::new() } else { digest(file.bytes) }));
    header.add(1036, texts(&|_| String::new()));
    header.add(1037, numbers(&|file| file.flags));
    header.add(1039, texts(&|_| "root".to_owned()));
    header.add(1040, texts(&|_| "root".to_owned()));
    // All of a file is verified, but the group of the configuration, which comes with the account.
    header.add(1045, numbers(&|file| if file.flags & CONFIGURATION == 0 { u32::MAX } else { !(1 << 4) }));
    header.add(1095, numbers(&|_| 1));
    header.add(1096, RpmValue::Number32((1..).take(files.len()).collect()));
    header.add(1097, texts(&|_| String::new()));
    let mut folders: Vec<String> = Vec::new();
    let mut indexes = Vec::new();
    for file in files {
        let folder = format!("/{}", file.path.rsplit_once('/').map_or("", |(folder, _)| folder));
        let folder = if folder == "/" { folder } else { folder + "/" };
        let known = folders.iter().position(|known| *known == folder);
        indexes.push(u32::try_from(known.unwrap_or(folders.len()))?);
        if known.is_none() {
            folders.push(folder);
        }
    }
    header.add(1116, RpmValue::Number32(indexes));
    header.add(1117, texts(&|file| file.path.rsplit('/').next().unwrap_or_default().to_owned()));
    header.add(1118, RpmValue::Texts(folders));
    Ok(())
}

impl File<'_> {
    fn is_folder(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// The files as a cpio archive of format `newc`.
fn cpio(files: &[File<'_>], release: &PackagedRelease) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (index, file) in files.iter().enumerate() {
        entry(&mut out, &format!("./{}", file.path), index + 1, file.mode, release.time, file.bytes);
    }
    entry(&mut out, "TRAILER!!!", 0, 0, 0, &[]);
    Ok(out)
}

fn entry(out: &mut Vec<u8>, name: &str, inode: usize, mode: u16, time: u64, bytes: &[u8]) {
    let (length, name_length) = (bytes.len(), name.len() + 1);
    let links = 1;
    let head = format!(
        "070701{inode:08x}{mode:08x}{:08x}{:08x}{links:08x}{time:08x}{length:08x}{:08x}{:08x}{:08x}{:08x}{name_length:08x}{:08x}",
        0, 0, 0, 0, 0, 0, 0
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}
