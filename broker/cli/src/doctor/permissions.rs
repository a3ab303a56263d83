//! Permissions of the data directory, its keys and the configuration file.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use lotmq_config::{Config, ConfigFile};

use super::finding::Finding;

const CHECK: &str = "permissions";

/// Files of the data directory that hold keys, or all data.
const SECRET_FILES: [&str; 4] = ["secret.key", "lotmq.redb", "lan/ca.key", "lan/broker.pem"];

/// Bits of a mode by which others than the owner have access.
const OTHERS: u32 = 0o077;

/// Bits of a mode by which others than the owner write.
const WRITTEN_BY_OTHERS: u32 = 0o022;

/// Findings about files and folders that exist.
pub(super) fn look(config: &Config, file: Option<&ConfigFile>) -> Vec<Finding> {
    let data = &config.data.path;
    let mut findings: Vec<Finding> =
        std::fs::metadata(data).ok().iter().filter_map(|found| of_folder(data, found)).collect();
    for name in SECRET_FILES {
        let path = data.join(name);
        if let Ok(found) = std::fs::metadata(&path) {
            findings.extend(of_secret(&path, &found));
        }
    }
    if let Some(path) = file.map(|file| &file.path)
        && let Ok(found) = std::fs::metadata(path)
        && found.permissions().mode() & WRITTEN_BY_OTHERS != 0
    {
        let message =
            format!("others may change the configuration {} (mode {})", path.display(), mode(&found));
        findings.push(Finding::error(CHECK, message, format!("chmod go-w {}", path.display())));
    }
    if findings.is_empty() {
        let message = if data.exists() { "data and configuration belong to one user" } else { "no data yet" };
        findings.push(Finding::ok(CHECK, message));
    }
    findings
}

fn mode(found: &Metadata) -> String {
    format!("{:o}", found.permissions().mode() & 0o7777)
}

fn of_folder(data: &Path, found: &Metadata) -> Option<Finding> {
    let path = data.display();
    let own = rustix::process::geteuid();
    if !own.is_root() && found.uid() != own.as_raw() {
        let message = format!("{path} belongs to user {}, and this is user {}", found.uid(), own.as_raw());
        let remedy = "run broker and tools as the user of the folder, such as: sudo -u lotmq lotmq doctor";
        return Some(Finding::error(CHECK, message, remedy));
    }
    (found.permissions().mode() & OTHERS != 0).then(|| {
        let message = format!("others may look into the data directory {path} (mode {})", mode(found));
        Finding::warning(CHECK, message, format!("chmod 700 {path}"))
    })
}

fn of_secret(path: &Path, found: &Metadata) -> Option<Finding> {
    (found.permissions().mode() & OTHERS != 0).then(|| {
        let message = format!("others may use {} (mode {})", path.display(), mode(found));
        Finding::error(CHECK, message, format!("chmod 600 {}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::super::finding::FindingLevel::{Error, Ok, Warning};
    use super::*;

    #[test]
    fn files_that_others_may_use_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let config = || {
            let mut config = Config::default();
            config.data.path.clone_from(&data);
            config
        };
        let levels = |file: Option<&ConfigFile>| -> Vec<_> {
            look(&config(), file).into_iter().map(|finding| finding.level).collect()
        };
        assert_eq!(levels(None), [Ok], "no data yet");
        std::fs::create_dir(&data).unwrap();
        let file = ConfigFile { path: folder.path().join("lotmq.toml"), text: String::new() };
        for path in [&data.join("secret.key"), &file.path] {
            std::fs::write(path, "").unwrap();
        }
        let give = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for (of_data, of_key, of_file, expected) in [
            (0o700, 0o600, 0o644, &[Ok][..]),
            (0o755, 0o600, 0o644, &[Warning]),
            (0o700, 0o640, 0o644, &[Error]),
            (0o700, 0o600, 0o666, &[Error]),
        ] {
            give(&data, of_data);
            give(&data.join("secret.key"), of_key);
            give(&file.path, of_file);
            assert_eq!(levels(Some(&file)), expected, "{of_data:o} {of_key:o} {of_file:o}");
        }
    }
}
