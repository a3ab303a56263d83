//! The formats, read again by other readers than their writers.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use lotmq_test_support::guests_changed;

use super::*;
use crate::dist::contents::{PackagedFile, changelog, document, documentation, documents, of_service};
use crate::page_links;

/// Pages that the README names for those who change the broker; a package has the texts of the
/// links alone.
const FOR_CONTRIBUTORS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/decisions/README.md"];

fn release(target: Processor) -> PackagedRelease {
    PackagedRelease { version: "1.2.3".to_owned(), time: 1_700_000_000, target }
}

/// Another version.
pub(super) fn release_of(version: &str) -> PackagedRelease {
    PackagedRelease { version: version.to_owned(), ..release(Processor::X86_64) }
}

/// PackageContents without what is built.
pub(super) fn contents() -> PackageContents {
    let file = |path: &str, portable: &str, mode| PackagedFile {
        path: path.to_owned(),
        portable: Some(portable.to_owned()),
        mode,
        bytes: format!("bytes of {path}").into_bytes(),
    };
    let mut items = vec![
        file("usr/bin/lotmq", "lotmq", 0o755),
        file("usr/lib/lotmq/python.wasm.zst", "python.wasm.zst", 0o644),
        file("usr/share/doc/lotmq/LICENSE-MIT", "LICENSE-MIT", 0o644),
        file("usr/share/man/man1/lotmq.1.gz", "man/lotmq.1.gz", 0o644),
        file("usr/share/zsh/site-functions/_lotmq", "completion/_lotmq", 0o644),
    ];
    items.extend(of_service());
    PackageContents { items }
}

/// Files of an archive with their modes; folders end with `/`.
fn listed(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let header = entry.header().clone();
        // The container's user has its data folder, and root everything else.
        let owner = if path == "var/lib/lotmq/" { archive::USER } else { 0 };
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
            (owner, 0, 1_700_000_000)
        );
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        found.insert(path, (header.mode().unwrap(), bytes));
    }
    found
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// Members of an ar archive.
fn members(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut rest = bytes.strip_prefix(b"!<arch>\n").unwrap();
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        let (head, body) = rest.split_at(60);
        assert_eq!(&head[58..], b"`\n");
        let text =
            |range: std::ops::Range<usize>| std::str::from_utf8(&head[range]).unwrap().trim().to_owned();
        let length: usize = text(48..58).parse().unwrap();
        found.insert(text(0..16), body[..length].to_vec());
        rest = &body[(length + length % 2).min(body.len())..];
    }
    found
}

#[test]
fn pages_to_read_are_there_and_in_no_image() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = documents(root).unwrap();
    for wanted in
        ["docs/commands.md", "docs/lot/reference.md", "docs/routes/README.md", "docs/sdk/tutorial.md"]
    {
        assert!(pages.iter().any(|page| page == wanted), "{wanted}");
    }
    // Examples that the pages of the SDK name lie where their links lead.
    for page in pages.iter().filter(|page| page.starts_with("docs/sdk/")) {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for link in text.split("](../../").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            assert!(pages.iter().any(|page| page == link), "{page}: {link}");
        }
    }
    assert!(pages.iter().any(|page| page == "docs/prometheus/alerts.yml"));
    for file in ["Cargo.toml", "cases.test.toml", "lines.lot"] {
        assert!(pages.iter().any(|page| *page == format!("sdk/examples/route-lines/{file}")), "{file}");
    }
    for example in ["README.md", "home/heating.lot", "patterns/oee.test.toml", "line4/run"] {
        assert!(pages.iter().any(|page| *page == format!("examples/{example}")), "{example}");
    }
    for page in pages {
        let file = document(&page, fs::read(root.join(&page)).unwrap());
        let mode = if page == "examples/line4/run" { 0o755 } else { 0o644 };
        assert_eq!(file.mode, mode, "{page}");
        assert!(!file.is_for_image(), "{}", file.path);
    }
}

#[test]
fn the_examples_of_a_package_are_built_from_what_is_in_it() {
    if !guests_changed() {
        return;
    }
    // Beside the folder of the tests lies the program under test, where it was built.
    let lotmq = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("lotmq");
    if !lotmq.is_file() {
        assert!(std::env::var_os("LOTMQ_TEST_REQUIRE_ALL").is_none(), "not built: {}", lotmq.display());
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut guests = Vec::new();
    for (path, bytes) in documentation(root).unwrap() {
        if !path.starts_with("sdk/") {
            continue;
        }
        let file = place.path().join(&path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
        guests.extend(path.strip_suffix("/guest.toml").map(str::to_owned));
    }
    assert!(guests.len() >= 11, "{guests:?}");
    for guest in guests {
        let mut build = Command::new(&lotmq);
        build.args(["guest", "build"]).current_dir(place.path().join(&guest));
        // The guests build their common crates once. Variables of the cargo that runs the tests are
        // removed.
        build.env("CARGO_TARGET_DIR", place.path().join("target"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || ["CARGO_MANIFEST_DIR", "CARGO"].contains(&&*text) {
                build.env_remove(name);
            }
        }
        let built = build.output().unwrap();
        let told = String::from_utf8_lossy(&built.stdout);
        assert!(built.status.success(), "{guest}: {told}{}", String::from_utf8_lossy(&built.stderr));
        assert!(told.contains("fits world "), "{guest}: {told}");
    }
}

#[test]
fn each_link_of_a_page_leads_to_a_file_of_the_package() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let packed = documentation(root).unwrap();
    let mut files: Vec<&str> = packed.iter().map(|(path, _)| path.as_str()).collect();
    files.extend(["CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "LICENSES-OF-OTHERS"]);
    let mut links = 0;
    for (page, bytes) in packed.iter().filter(|(path, _)| path.ends_with(".md")) {
        let text = std::str::from_utf8(bytes).unwrap();
        let prose: String = text.split("```").step_by(2).collect();
        for link in prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let Some(target) = page_links::target(page, link) else { continue };
            assert!(files.contains(&&*target), "{page}: {link}");
            links += 1;
        }
    }
    assert!(links > 300, "{links}");
    // Links of the README and of the page on installation lead to pages that are there.
    for page in ["README.md", "docs/install.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let Some(target) = page_links::target(page, link) else { continue };
            let is_for_contributors = FOR_CONTRIBUTORS.contains(&&*target);
            assert!(files.contains(&&*target) || is_for_contributors, "{page}: {link} is in no package");
        }
    }
    let changelog = changelog(root).unwrap();
    assert_eq!(changelog.path, "usr/share/doc/lotmq/CHANGELOG.md", "links lead to it");
    // A removed link leaves its text.
    let (_, durability) = packed.iter().find(|(path, _)| path == "docs/durability.md").unwrap();
    assert!(!String::from_utf8_lossy(durability).contains("](durability-evidence.md)"));
}

#[test]
fn the_archive_is_one_folder_that_runs_where_it_lies() {
    let files = listed(&unzip(&archive::portable(&release(Processor::X86_64), &contents()).unwrap()));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let folder = "lotmq-1.2.3-x86_64-linux/";
    assert!(names.iter().all(|name| name.starts_with(folder)), "{names:?}");
    assert_eq!(files[&format!("{folder}lotmq")], (0o755, b"bytes of usr/bin/lotmq".to_vec()));
    for name in ["python.wasm.zst", "lotmq.service", "lotmq.toml", "man/lotmq.1.gz", "completion/_lotmq"] {
        assert_eq!(files[&format!("{folder}{name}")].0, 0o644, "{name}");
    }
}

#[test]
fn a_deb_has_its_control_file_its_scripts_and_its_files() {
    let deb = deb::package(&release(Processor::Aarch64), &contents()).unwrap();
    let members = members(&deb);
    assert_eq!(members["debian-binary"], b"2.0\n");
    let control = listed(&unzip(&members["control.tar.gz"]));
    let text = String::from_utf8(control["control"].1.clone()).unwrap();
    for line in ["Package: lotmq\n", "Version: 1.2.3-1\n", "Architecture: arm64\n", "Depends: passwd\n"] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(control["conffiles"].1, b"/etc/lotmq/lotmq.toml\n");
    let data = listed(&unzip(&members["data.tar.gz"]));
    assert_eq!(data["usr/bin/lotmq"].0, 0o755);
    assert_eq!(data["etc/lotmq/lotmq.toml"].0, 0o640);
    assert_eq!(data["usr/"].0, 0o755);
    assert!(data.contains_key("usr/share/zsh/vendor-completions/_lotmq"), "{:?}", data.keys());
    for name in ["postinst", "prerm", "postrm"] {
        assert_eq!(control[name].0, 0o755);
        let script = String::from_utf8(control[name].1.clone()).unwrap();
        assert!(script.starts_with("#!/bin/sh\n"), "{name}");
        reads(&script);
    }
    // Debian's own reader, where there is one.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(deb::file_name(&release(Processor::Aarch64)));
    fs::write(&path, &deb).unwrap();
    if let Ok(read) = Command::new("dpkg-deb").arg("--contents").arg(&path).output() {
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        assert!(text.contains(" usr/lib/systemd/system/lotmq.service"), "{text}");
    }
}

/// A shell understands the script.
fn reads(script: &str) {
    let checked = Command::new("sh").args(["-n", "-c", script]).output().unwrap();
    assert!(checked.status.success(), "{}\n{script}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn an_rpm_has_its_header_its_scripts_and_its_files() {
    let bytes = redhat::package(&release(Processor::X86_64), &contents()).unwrap();
    assert_eq!(&bytes[..4], b"\xed\xab\xee\xdb");
    for script in ["post", "preun", "postun"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/rpm").join(script);
        reads(&fs::read_to_string(path).unwrap());
    }
    // The payload comes last, and begins as gzip does.
    let start = bytes.windows(3).rposition(|bytes| bytes == [0x1f, 0x8b, 8]).unwrap();
    let payload = unzip(&bytes[start..]);
    let text = String::from_utf8_lossy(&payload).into_owned();
    for part in ["070701", "./usr/bin/lotmq\0", "bytes of usr/bin/lotmq", "./etc/lotmq\0", "TRAILER!!!"] {
        assert!(text.contains(part), "{part}");
    }
    // The tool itself, where it is installed.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(redhat::file_name(&release(Processor::X86_64)));
    fs::write(&path, &bytes).unwrap();
    let query =
        "%{NAME} %{VERSION}-%{RELEASE} %{ARCH}\\n[%{FILEMODES:perms} %{FILENAMES} %{FILEFLAGS:fflags}\\n]";
    let rpm = |arguments: &[&str]| {
        let database = folder.path().join("database");
        Command::new("rpm").arg("--dbpath").arg(database).args(arguments).arg(&path).output()
    };
    let Ok(read) = rpm(&["-qp", "--qf", query]) else { return };
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    for line in [
        "lotmq 1.2.3-1 x86_64\n",
        "-rwxr-xr-x /usr/bin/lotmq \n",
        "-rw-r----- /etc/lotmq/lotmq.toml cn\n",
        "drwxr-xr-x /usr/lib/lotmq \n",
        "-rw-r--r-- /usr/share/doc/lotmq/LICENSE-MIT l\n",
    ] {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
    let checked = rpm(&["-K", "--nosignature"]).unwrap();
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && text.contains("digests OK"), "{text}");
}

#[test]
fn an_image_has_what_runs_and_a_data_folder_for_any_user() {
    let files = listed(&archive::image(&release(Processor::X86_64), &contents()).unwrap());
    assert_eq!(files["usr/bin/lotmq"].0, 0o755);
    assert_eq!(files["var/lib/lotmq/"].0, 0o777);
    assert_eq!(files["tmp/"].0, 0o1777);
    for absent in
        ["usr/lib/systemd/system/lotmq.service", "etc/lotmq/lotmq.toml", "usr/share/man/man1/lotmq.1.gz"]
    {
        assert!(!files.contains_key(absent), "{absent}");
    }
    assert!(files.contains_key("usr/lib/lotmq/python.wasm.zst"));
    assert!(files.contains_key("usr/share/doc/lotmq/LICENSE-MIT"));
}

#[test]
fn packages_are_the_same_whenever_they_are_made() {
    let made = || {
        let (release, contents) = (release(Processor::X86_64), contents());
        let deb = deb::package(&release, &contents).unwrap();
        (archive::portable(&release, &contents).unwrap(), deb, redhat::package(&release, &contents).unwrap())
    };
    let (first, second) = (made(), made());
    assert!(first == second, "one of three packages differs");
}

#[test]
fn the_container_lets_nobody_in_without_a_password_unless_asked() {
    let command = contents::CONTAINERFILE.lines().find(|line| line.starts_with("CMD ")).unwrap();
    assert!(command.contains("\"--secure\""), "{command}");
    let user = contents::CONTAINERFILE.lines().find(|line| line.starts_with("USER ")).unwrap();
    assert_eq!(user, format!("USER {}:0", archive::USER));
}

#[test]
fn processors_with_32_bits_are_refused_by_name() {
    let error = |name| Processor::of(name).unwrap_err().to_string();
    assert_eq!(error("armv7l"), "armv7l has 32 bits; lotmq needs a processor with 64");
    assert_eq!(error("riscv64"), "there are packages for x86_64 and aarch64, not for `riscv64`");
    assert_eq!(Processor::of("aarch64").unwrap(), Processor::Aarch64);
}

#[test]
fn checksums_are_of_all_packages_and_what_sha256sum_checks() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("container-x86_64")).unwrap();
    let image = "container-x86_64/root.tar";
    // Files of somebody else are not among them, nor are files that are gone.
    for name in ["b.deb", "a.rpm", image, ".cargo-lock", "old.deb"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    checksums(folder.path(), ["b.deb", image, "old.deb"].map(str::to_owned)).unwrap();
    fs::remove_file(folder.path().join("old.deb")).unwrap();
    // Of another processor.
    checksums(folder.path(), ["a.rpm".to_owned()]).unwrap();
    let text = fs::read_to_string(folder.path().join(SUMS)).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once("  ")).map(|it| it.1).collect();
    assert_eq!(names, ["a.rpm", "b.deb", image]);
    let checked =
        Command::new("sha256sum").args(["--check", "--quiet", SUMS]).current_dir(folder.path()).status();
    assert!(checked.unwrap().success());
}

#[test]
fn the_unit_waits_for_readiness_watches_and_leaves_the_data_to_the_broker_alone() {
    let lines: Vec<&str> = contents::SERVICE.lines().collect();
    for line in [
        "Type=notify",
        "WatchdogSec=60",
        "Restart=always",
        "User=lotmq",
        "StateDirectory=lotmq",
        "StateDirectoryMode=0700",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
    // Programs are compiled to native code, which this forbids.
    assert!(!lines.iter().any(|line| line.starts_with("MemoryDenyWriteExecute")));
    let programs = lines.iter().filter_map(|line| line.strip_prefix("Exec")?.split_once('=')).map(|it| it.1);
    let programs: Vec<&str> = programs.filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(programs, ["/usr/bin/lotmq", "/bin/sh"], "what every system has");
}

#[test]
fn only_a_linker_that_makes_static_binaries_links() {
    assert_eq!(Processor::X86_64.linker(), None, "musl-gcc compiles, and does not link");
    assert_eq!(Processor::Aarch64.linker(), Some(Processor::Aarch64.compiler().0));
}
