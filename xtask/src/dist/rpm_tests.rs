//! Effects of an `.rpm` on a small system in a folder, where rpm itself installs, upgrades and
//! removes it.
//!
//! Its scripts run with busybox as the system, and with programs that note how they were called.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::redhat;
use super::tests::{contents, release_of};

/// Commands of the scripts that busybox has.
const OF_BUSYBOX: [&str; 6] = ["sh", "stat", "chown", "chmod", "mkdir", "grep"];

/// Number of the account that the stand-ins make.
const ACCOUNT: u32 = 991;

/// Parts of a machine besides a shell.
#[derive(Clone, Copy)]
struct Machine {
    /// Whether systemd runs, and not just its files are there.
    runs_systemd: bool,
    has_systemd: bool,
}

/// A folder with a small system in it.
struct Root(TempDir);

impl Root {
    /// `None` where rpm or busybox are missing, or the right to change the root; where everything
    /// should be, that is an error.
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    fn new(machine: Machine) -> Option<Root> {
        let is_root = fs::metadata("/proc/self").is_ok_and(|us| us.uid() == 0);
        let missing = ["rpm", "busybox"].into_iter().find(|name| found(name).is_none());
        if let Some(missing) = missing.or((!is_root).then_some("the right to change the root")) {
            let is_required = std::env::var_os("LOTMQ_TEST_REQUIRE_ALL").is_some();
            assert!(!is_required || !is_root, "{missing} is missing");
            eprintln!("skipped: {missing} is missing");
            return None;
        }
        let root = Root(tempfile::tempdir().unwrap());
        for folder in ["bin", "usr/bin", "usr/sbin", "etc", "var/lib/rpm", "dev", "tmp"] {
            fs::create_dir_all(root.path(folder)).unwrap();
        }
        fs::copy(found("busybox").unwrap(), root.path("bin/busybox")).unwrap();
        OF_BUSYBOX.iter().for_each(|name| symlink("busybox", root.path("bin").join(name)).unwrap());
        root.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        root.write("etc/group", "root:x:0:\n");
        root.write("calls", "");
        root.program("getent", "grep -q \"^$2:\" \"/etc/$1\"");
        root.program("install", "mkdir \"$8\"; chmod \"$3\" \"$8\"; chown \"$5:$7\" \"$8\"");
        let group = format!("echo lotmq:x:{ACCOUNT}: >>/etc/group");
        let user = format!("echo lotmq:x:{ACCOUNT}:{ACCOUNT}::/var/lib/lotmq:/sbin/nologin >>/etc/passwd");
        root.program("groupadd", &group);
        root.program("useradd", &user);
        if machine.has_systemd {
            root.program("systemctl", "");
            // It reads its file where the package has put it.
            root.program(
                "systemd-sysusers",
                &format!("[ -f \"/usr/lib/sysusers.d/$1\" ] || exit 1; {group}; {user}"),
            );
        }
        if machine.runs_systemd {
            fs::create_dir_all(root.path("run/systemd/system")).unwrap();
        }
        Some(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Adds a program that notes its call and does something besides. Programs that ask for
    /// accounts or make folders are not noted.
    fn program(&self, name: &str, body: &str) {
        let note = if ["getent", "install"].contains(&name) { "" } else { "echo \"${0##*/} $*\" >>/calls" };
        let path = format!("usr/sbin/{name}");
        self.write(&path, &format!("#!/bin/sh\n{note}\n{body}\n"));
        fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs rpm on it; the calls that its scripts have made. They must succeed, which rpm itself
    /// only warns of.
    fn rpm(&self, arguments: &[&str]) -> String {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(self.0.path()).args(["--dbpath", "/var/lib/rpm", "--nodeps"]).args(arguments);
        let ran = rpm.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{arguments:?}: {said}");
        assert!(!said.contains("scriptlet"), "{arguments:?}: {said}");
        let calls = self.read("calls");
        self.write("calls", "");
        calls
    }

    /// Installs or upgrades to a version.
    fn install(&self, version: &str) -> String {
        let release = release_of(version);
        let package = self.path(&redhat::file_name(&release));
        fs::write(&package, redhat::package(&release, &contents()).unwrap()).unwrap();
        // The one that this machine does not have can be unpacked here all the same.
        self.rpm(&["--ignorearch", "-U", package.to_str().unwrap()])
    }

    fn owner(&self, path: &str) -> (u32, u32, u32) {
        let data = fs::metadata(self.path(path)).unwrap();
        (data.uid(), data.gid(), data.mode() & 0o7777)
    }
}

/// Returns the path of a program.
fn found(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

const RUNNING: Machine = Machine { runs_systemd: true, has_systemd: true };

#[test]
fn an_rpm_makes_the_account_restarts_what_runs_and_leaves_the_data() {
    let Some(root) = Root::new(RUNNING) else { return };
    let first =
        "systemd-sysusers lotmq.conf\nsystemctl --no-reload preset lotmq.service\nsystemctl daemon-reload\n";
    assert_eq!(root.install("1.2.3"), first);
    assert_eq!(root.owner("etc/lotmq/lotmq.toml"), (0, ACCOUNT, 0o640));
    assert_eq!(root.owner("var/lib/lotmq"), (ACCOUNT, ACCOUNT, 0o700));
    assert_eq!(root.rpm(&["-V", "lotmq"]), "", "what the scripts have changed is no damage");

    // The settings of an administrator stay, and so does the data of the broker.
    root.write("etc/lotmq/lotmq.toml", "# mine\n");
    chown(root.path("etc/lotmq/lotmq.toml"), Some(0), Some(0)).unwrap();
    root.write("var/lib/lotmq/store", "messages");
    let again = "systemctl daemon-reload\nsystemctl is-active --quiet lotmq.service\n\
                 systemctl start lotmq-warm.service\nsystemctl try-restart lotmq.service\nsystemctl daemon-reload\n";
    assert_eq!(root.install("1.2.4"), again);
    assert_eq!(root.read("etc/lotmq/lotmq.toml"), "# mine\n");
    assert_eq!(root.owner("etc/lotmq/lotmq.toml"), (0, ACCOUNT, 0o640));
    assert_eq!(root.read("usr/bin/lotmq"), "bytes of usr/bin/lotmq");

    let removed = "systemctl stop lotmq.service\nsystemctl --no-reload disable lotmq.service\nsystemctl daemon-reload\n";
    assert_eq!(root.rpm(&["-e", "lotmq"]), removed);
    for gone in ["usr/bin/lotmq", "usr/lib/lotmq", "usr/share/doc/lotmq", "etc/lotmq/lotmq.toml"] {
        assert!(!root.path(gone).exists(), "{gone}");
    }
    assert_eq!(root.read("etc/lotmq/lotmq.toml.rpmsave"), "# mine\n");
    assert_eq!(root.read("var/lib/lotmq/store"), "messages");
    // A new installation finds the account and the data.
    assert_eq!(root.install("1.2.4"), first.split_once('\n').unwrap().1);
    assert_eq!(root.read("var/lib/lotmq/store"), "messages");
}

#[test]
fn an_rpm_in_an_image_starts_nothing() {
    let Some(root) = Root::new(Machine { runs_systemd: false, ..RUNNING }) else { return };
    assert_eq!(
        root.install("1.2.3"),
        "systemd-sysusers lotmq.conf\nsystemctl --no-reload preset lotmq.service\n"
    );
    assert_eq!(root.install("1.2.4"), "");
    assert_eq!(root.rpm(&["-e", "lotmq"]), "systemctl --no-reload disable lotmq.service\n");
    assert!(!root.path("etc/lotmq").exists(), "nobody has changed it");
}

#[test]
fn an_rpm_needs_no_systemd() {
    let Some(root) = Root::new(Machine { runs_systemd: false, has_systemd: false }) else { return };
    let made = "groupadd --system lotmq\nuseradd --system --gid lotmq --home-dir /var/lib/lotmq --no-create-home \
                --shell /sbin/nologin lotmq\n";
    assert_eq!(root.install("1.2.3"), made);
    assert_eq!(root.owner("var/lib/lotmq"), (ACCOUNT, ACCOUNT, 0o700));
    assert_eq!(root.install("1.2.4"), "");
    assert_eq!(root.rpm(&["-e", "lotmq"]), "");
    assert!(!root.path("usr/bin/lotmq").exists());
}
