//! The data directory: which one holds when `--data` names none (commands reference §9.2).

use std::path::{Path, PathBuf};

/// Properties of the process that decide the paths of its files.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Whether the process runs as the superuser.
    pub is_root: bool,
    /// Its environment.
    pub environment: Vec<(String, String)>,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            is_root: rustix::process::geteuid().is_root(),
            environment: std::env::vars_os().filter_map(text).collect(),
        }
    }

    /// Whether the process is the service, or a tool that was called as its account, whose home
    /// packages put where its data are: `sudo -u lotmq lotmq passwd root`.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.variable("STATE_DIRECTORY").is_some() || self.variable("HOME") == Some(SERVICE_DIRECTORY)
    }

    /// Returns the cache directory that processes of one user share; see
    /// [`DataDirectory::user_cache`].
    #[must_use]
    pub fn user_cache(&self) -> Option<PathBuf> {
        if self.is_service() {
            return None;
        }
        let home = || Some(Path::new(self.variable("HOME")?).join(".cache"));
        let base = self.variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        base.is_absolute().then(|| base.join("lotmq"))
    }

    /// The value of a variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// Data directory of the service.
const SERVICE_DIRECTORY: &str = "/var/lib/lotmq";

/// Directory of all durable data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataDirectory {
    /// The directory; need not exist yet.
    pub path: PathBuf,
    /// Source of the path, in the words of `lotmq config show --origin`.
    pub origin: &'static str,
    /// Cache that processes of one user share, such as native code: `$XDG_CACHE_HOME/lotmq`, else
    /// `~/.cache/lotmq`. `None` for a service, which uses its data directory alone, and without a
    /// home.
    pub user_cache: Option<PathBuf>,
}

impl DataDirectory {
    /// `flag` if given, else the first that applies: `$CONFIG_PATH/Coreflux`, `$STATE_DIRECTORY`,
    /// `/var/lib/lotmq` as root and for the account whose home that is, `$XDG_STATE_HOME/lotmq`,
    /// `~/.local/state/lotmq`; without even a home, `./lotmq-data`.
    #[must_use]
    pub fn find(flag: Option<&Path>, surroundings: &Surroundings) -> Self {
        let of_variable = |name: &str| surroundings.variable(name).map(Path::new);
        let (path, origin) = if let Some(path) = flag {
            (path.to_owned(), "flag --data")
        } else if let Some(root) = of_variable("CONFIG_PATH") {
            (root.join("Coreflux"), "environment CONFIG_PATH")
        } else if let Some(state) = of_variable("STATE_DIRECTORY") {
            (state.to_owned(), "environment STATE_DIRECTORY")
        } else if surroundings.is_root || surroundings.is_service() {
            (PathBuf::from(SERVICE_DIRECTORY), "default")
        } else if let Some(state) = of_variable("XDG_STATE_HOME") {
            (state.join("lotmq"), "environment XDG_STATE_HOME")
        } else if let Some(home) = of_variable("HOME") {
            (home.join(".local/state/lotmq"), "default")
        } else {
            (PathBuf::from("lotmq-data"), "default")
        };
        Self { path, origin, user_cache: surroundings.user_cache() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--data`, whether root, environment, expected directory.
    type Case = (Option<&'static str>, bool, &'static [(&'static str, &'static str)], &'static str);

    #[test]
    fn first_that_applies_names_the_directory() {
        let cases: [Case; 8] = [
            (Some("/d"), true, &[("CONFIG_PATH", "/c")], "/d"),
            (None, true, &[("CONFIG_PATH", "/c"), ("STATE_DIRECTORY", "/s")], "/c/Coreflux"),
            (None, true, &[("STATE_DIRECTORY", "/s")], "/s"),
            (None, true, &[("HOME", "/home/ada")], "/var/lib/lotmq"),
            (None, false, &[("HOME", "/var/lib/lotmq")], "/var/lib/lotmq"),
            (None, false, &[("HOME", "/home/ada"), ("XDG_STATE_HOME", "/x")], "/x/lotmq"),
            (None, false, &[("HOME", "/home/ada"), ("XDG_STATE_HOME", "")], "/home/ada/.local/state/lotmq"),
            (None, false, &[], "lotmq-data"),
        ];
        for (flag, is_root, variables, expected) in cases {
            let environment =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let surroundings = Surroundings { is_root, environment };
            let found = DataDirectory::find(flag.map(Path::new), &surroundings);
            assert_eq!(found.path, Path::new(expected), "{variables:?}");
        }
    }
}
