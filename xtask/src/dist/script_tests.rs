//! Effects of the scripts of the `.deb`, each run in a folder of its own, with programs that only
//! note how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::deb::SCRIPTS;

/// A machine: which of its facts hold.
#[derive(Default, Clone, Copy)]
struct Machine {
    has_account: bool,
    /// Whether systemd runs, and not just its files are there.
    runs_systemd: bool,
    has_systemctl: bool,
    has_sysusers: bool,
    is_enabled: bool,
    is_active: bool,
    has_data: bool,
    /// Whether the unit that compiles fails.
    fails_to_warm: bool,
}

const DEBIAN: Machine = Machine {
    has_account: false,
    runs_systemd: true,
    has_systemctl: true,
    has_sysusers: true,
    is_enabled: true,
    is_active: false,
    has_data: false,
    fails_to_warm: false,
};

/// The calls that a script makes on a machine, and what it says. It must succeed.
fn run(name: &str, arguments: &[&str], machine: Machine) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let place = |path: &str| folder.path().join(path).display().to_string();
    let (programs, calls) = (folder.path().join("bin"), folder.path().join("calls"));
    fs::create_dir(&programs).unwrap();
    fs::write(&calls, "").unwrap();
    let note = format!("echo \"${{0##*/}} $*\" >> {}", calls.display());
    let answer = |holds: bool| if holds { "true" } else { "false" };
    let program = |name: &str, body: &str| {
        let path = programs.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("getent", answer(machine.has_account));
    program("stat", "echo root:root");
    for made in ["chown", "groupadd", "useradd", "install", "rm", "rmdir"] {
        program(made, &note);
    }
    if machine.has_sysusers {
        program("systemd-sysusers", &note);
    }
    if machine.has_systemctl {
        let (enabled, active) = (answer(machine.is_enabled), answer(machine.is_active));
        let warmed = format!("{note}; case $2 in lotmq-warm*) {} ;; esac", answer(!machine.fails_to_warm));
        let asked = format!("case $1 in is-enabled) {enabled} ;; is-active) {active} ;; *) {warmed} ;; esac");
        program("systemctl", &asked);
    }
    if machine.runs_systemd {
        fs::create_dir_all(folder.path().join("run/systemd/system")).unwrap();
    }
    if machine.has_data {
        fs::create_dir_all(folder.path().join("var/lib/lotmq")).unwrap();
    }
    let script = SCRIPTS.iter().find(|(known, _)| *known == name).unwrap().1;
    let script = ["/run/systemd", "/var/lib/lotmq", "/etc/"]
        .iter()
        .fold(script.to_owned(), |script, path| script.replace(path, &place(&path[1..])));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script, name]).args(arguments).env_clear().env("PATH", &programs);
    let ran = shell.output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{name} {arguments:?}: {said}");
    let short = |text: String| text.replace(&folder.path().display().to_string(), "");
    (short(read(&calls)), short(said))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

const ACCOUNT: &str = "systemd-sysusers lotmq.conf\ninstall -d -m 0700 -o lotmq -g lotmq /var/lib/lotmq\n";
const OWNED: &str = "chown root:lotmq /etc/lotmq/lotmq.toml\n";

#[test]
fn installing_makes_the_account_and_starts_the_service() {
    let started =
        "systemctl enable lotmq.service\nsystemctl daemon-reload\nsystemctl restart lotmq.service\n";
    assert_eq!(run("postinst", &["configure", ""], DEBIAN).0, format!("{ACCOUNT}{OWNED}{started}"));
    // In a container or an image that is being built.
    let image = Machine { runs_systemd: false, ..DEBIAN };
    let enabled = "systemctl enable lotmq.service\n";
    assert_eq!(run("postinst", &["configure", ""], image).0, format!("{ACCOUNT}{OWNED}{enabled}"));
    let bare = Machine::default();
    let by_hand = "groupadd --system lotmq\nuseradd --system --gid lotmq --home-dir /var/lib/lotmq --no-create-home \
                   --shell /usr/sbin/nologin lotmq\ninstall -d -m 0700 -o lotmq -g lotmq /var/lib/lotmq\n";
    assert_eq!(run("postinst", &["configure", ""], bare).0, format!("{by_hand}{OWNED}"));
}

#[test]
fn upgrading_restarts_what_runs_and_enables_nothing() {
    let installed = Machine { has_account: true, has_data: true, ..DEBIAN };
    let reload = "systemctl daemon-reload\n";
    for (is_enabled, is_active, restarts) in
        [(true, true, true), (true, false, true), (false, true, true), (false, false, false)]
    {
        let machine = Machine { is_enabled, is_active, ..installed };
        // The former version runs, so the new one compiles beside it.
        let warm = if is_active { "systemctl start lotmq-warm.service\n" } else { "" };
        let restart =
            if restarts { format!("{warm}systemctl restart lotmq.service\n") } else { String::new() };
        let (calls, _) = run("postinst", &["configure", "0.0.9-1"], machine);
        assert_eq!(calls, format!("{OWNED}{reload}{restart}"), "enabled {is_enabled}, active {is_active}");
    }
    assert_eq!(run("prerm", &["upgrade", "2.0-1"], installed).0, "", "it runs on until it is replaced");
    assert_eq!(run("postrm", &["upgrade", "2.0-1"], installed).0, reload);
}

#[test]
fn an_upgrade_restarts_the_service_whose_programs_could_not_be_compiled_before() {
    let machine =
        Machine { has_account: true, has_data: true, is_active: true, fails_to_warm: true, ..DEBIAN };
    let (calls, said) = run("postinst", &["configure", "0.0.9-1"], machine);
    assert!(calls.ends_with("systemctl restart lotmq.service\n"), "{calls}");
    assert_eq!(said, "lotmq compiles its programs after its start: journalctl -u lotmq-warm says why\n");
}

#[test]
fn aborted_package_operation_leaves_the_service_running() {
    let installed = Machine { has_account: true, has_data: true, ..DEBIAN };
    for step in ["abort-upgrade", "abort-remove", "abort-deconfigure"] {
        let (calls, _) = run("postinst", &[step, "1.0-1"], installed);
        let started = "systemctl daemon-reload\nsystemctl start lotmq.service\n";
        assert_eq!(calls, format!("{OWNED}{started}"), "{step}");
    }
    assert_eq!(run("postinst", &["triggered"], installed).0, "");
}

#[test]
fn removing_stops_the_service_and_neither_it_nor_purging_touches_the_data() {
    let installed = Machine { has_account: true, has_data: true, ..DEBIAN };
    assert_eq!(run("prerm", &["remove"], installed).0, "systemctl stop lotmq.service\n");
    assert_eq!(run("prerm", &["remove"], Machine { runs_systemd: false, ..installed }).0, "");
    assert_eq!(
        run("postrm", &["remove"], installed),
        ("systemctl daemon-reload\n".to_owned(), String::new())
    );
    let (calls, said) = run("postrm", &["purge"], installed);
    let link = "rm -f /etc/systemd/system/multi-user.target.wants/lotmq.service\n\
                rmdir /var/lib/lotmq\nsystemctl daemon-reload\n";
    assert_eq!(calls, link);
    assert!(said.contains("still in /var/lib/lotmq"), "{said}");
    assert_eq!(run("postrm", &["purge"], Machine { has_data: false, ..installed }).1, "");
}
