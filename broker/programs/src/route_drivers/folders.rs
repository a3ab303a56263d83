//! Folders of a route: the places on this machine's disks that its settings name, for its guest.
//!
//! Each section with a `STORAGE_DIR` is a folder by its own name: of `LOG_CONFIG` it is `log`. A
//! client of OPC UA that needs certificates has one without it, too: `opcua/<route>`. A folder lies
//! below a root that the operator has set (`routes.file_roots`), or without any below
//! `files/<tenant>` of the data directory, those of users other than `root` there below
//! `users/<name>`, and of routes that belong to nobody below `nobody`. The folder of the file that
//! a `TEMPLATE_PATH` of an event or a mapping names is there to be read, by the name of that event
//! or mapping behind `template:`.
//!
//! Invariant: no root is the data directory, in it, or around it, but for the one of the tenant.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use lot_facts::{RouteBlock, RouteFacts};
use lot_tags::opcua::{SecurityMode, SecurityPolicy, SecuritySettings};
use lotmq_auth::ROOT;
use lotmq_config::Config;
use lotmq_definitions::Owner;
use lotmq_host::fiber::RouteFolder;
use lotmq_host::{Capability, Grants};

use super::endpoints::{name_of, setting};
use super::template::Names;
use crate::limits::{FILES_RESERVE_BYTES_MAX, FILES_RESERVE_PART};
use crate::route_types::is_opcua;

/// Setting by which a section has a folder.
const SETTING: &str = "STORAGE_DIR";

/// Setting by which an event or a mapping has the folder of a file, to read.
const TEMPLATE: &str = "TEMPLATE_PATH";

/// Reason why the settings of a section make no folder.
#[derive(Debug, thiserror::Error)]
pub enum NoFolder {
    /// The value is no path below a folder.
    #[error("{section}: {key} is '{value}', which is not a path below a folder, without '.' and '..'")]
    Path {
        /// Section of the route.
        section: String,
        /// Key of the folder.
        key: &'static str,
        /// Value of the key.
        value: String,
    },
    /// The path is below no folder that the operator allows.
    #[error(
        "{section}: {key} is '{value}', which is below none of routes.file_roots; put a folder around it there, or write a path that does not begin with /: it lies below {first}"
    )]
    Outside {
        /// Section of the route.
        section: String,
        /// Key of the folder.
        key: &'static str,
        /// Value of the key.
        value: String,
        /// First allowed folder.
        first: String,
    },
    /// The module was granted no access to the folder.
    #[error(
        "{section}: module '{module}' was not granted file-read:{value} or file-write:{value}; -grantModule {module} -grant \"file-read:{value}\" grants reading"
    )]
    NotGranted {
        /// Section of the route.
        section: String,
        /// Name of the module.
        module: String,
        /// Value of the key.
        value: String,
    },
    /// An allowed folder cannot be used.
    #[error("routes.file_roots: '{root}' cannot be used: {error}", root = root.display())]
    Root {
        /// The folder.
        root: PathBuf,
        /// Error of the system.
        error: io::Error,
    },
    /// An allowed folder overlaps with the data directory.
    #[error("routes.file_roots: '{root}' is the data directory, in it, or around it", root = root.display())]
    OfBroker {
        /// The folder.
        root: PathBuf,
    },
}

/// Folders that the operator allows for an owner.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Folders below which routes have theirs; without any they have them below `own`.
    pub(super) roots: Vec<PathBuf>,
    /// Folder of the owner, in the data directory.
    pub(super) own: PathBuf,
    /// Account of the owner; 0 of nobody.
    pub(super) account: u64,
    pub(super) data_directory: PathBuf,
    /// Whether the owner may know where the data directory is.
    pub(super) is_of_administrator: bool,
    /// Bytes that stay free on each disk; 0 for none.
    pub(super) reserve_bytes: u64,
}

impl Site {
    /// Reads the folders for an owner in a tenant from the configuration. The caller knows whether
    /// the owner is an administrator.
    pub(super) fn of(
        config: &Config,
        tenant: &str,
        (owner, is_of_administrator): (Option<&Owner>, bool),
    ) -> Self {
        let of_tenant = of_tenant(&config.data.path, tenant);
        Self {
            roots: config.routes.file_roots.iter().map(Into::into).collect(),
            own: of_owner(&of_tenant, owner),
            account: owner.map_or(0, |owner| owner.account),
            data_directory: config.data.path.clone(),
            is_of_administrator,
            reserve_bytes: config.limits.disk_reserve_bytes,
        }
    }

    /// A folder as messages name it: with all of its path for those who may know that.
    pub(super) fn render(&self, folder: &Path) -> String {
        let below_data = folder.strip_prefix(&self.data_directory);
        match below_data {
            _ if self.is_of_administrator => {
                std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string()
            }
            Ok(below) => format!("{} of the data directory", below.display()),
            Err(_) => "the first of routes.file_roots".to_owned(),
        }
    }

    /// Bytes that stay free on the disk of a folder: a part of that with the data directory, so
    /// that files which nobody removes leave the store room.
    fn reserve_at(&self, root: &Path) -> u64 {
        let device = |path: &Path| path.metadata().ok().map(|found| found.dev());
        let is_of_store =
            root.starts_with(&self.data_directory) || device(root) == device(&self.data_directory);
        if self.reserve_bytes == 0 || !is_of_store {
            return self.reserve_bytes;
        }
        let disk = lotmq_store::disk_bytes(&self.data_directory).unwrap_or_default();
        self.reserve_bytes.saturating_add((disk / FILES_RESERVE_PART).min(FILES_RESERVE_BYTES_MAX))
    }
}

/// Folder in the data directory that contains the folders and certificates of an owner's routes.
/// Each user has a separate one, so that no user reads or overwrites files of another. Routes
/// without owner, for example of a removed user, share one. The folder of `root` contains all.
pub(super) fn of_owner(of_tenant: &Path, owner: Option<&Owner>) -> PathBuf {
    match owner {
        None => of_tenant.join("nobody"),
        Some(owner) if *owner.name == *ROOT => of_tenant.to_owned(),
        Some(owner) => of_tenant.join("users").join(file_name(&owner.name)),
    }
}

/// Moves the folder of a removed user aside, as `<name>.<seconds since 1970>`. No user has that
/// name, so a later user of the old name does not get the files.
///
/// # Errors
/// Errors of the system, except that the folder is missing.
pub fn archive_files(of_tenant: &Path, user: &str, now_ms: u64) -> io::Result<()> {
    let folder = of_tenant.join("users").join(file_name(user));
    let aside = folder.with_file_name(format!("{}.{}", file_name(user), now_ms / 1000));
    match std::fs::rename(&folder, aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        put => put,
    }
}

/// Folder of a tenant's routes in the data directory.
pub fn of_tenant(data_directory: &Path, tenant: &str) -> PathBuf {
    data_directory.join("files").join(tenant)
}

/// The name as that of one file: what is no ASCII letter, digit, `_` or `-` is `%` and the byte.
fn file_name(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut made, byte| {
        match byte {
            b'_' | b'-' => made.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => made.push(byte.into()),
            _ => made.push_str(&format!("%{byte:02X}")),
        }
        made
    })
}

/// Folder that a section names.
#[derive(Debug, PartialEq)]
pub(super) struct NamedFolder {
    section: String,
    key: &'static str,
    name: String,
    value: String,
}

impl fmt::Display for NamedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} '{}'", self.section, self.key, self.value)
    }
}

/// The folders that the route of a name names, or has without that.
pub(super) fn named(route: &RouteFacts, route_name: &str, names: &impl Names) -> Vec<NamedFolder> {
    let of_section = |block: &RouteBlock| {
        let (section, name) = (block.name.clone(), name_of(block));
        let own = || needs_certificates(route, block, names).then(|| format!("opcua/{route_name}"));
        let value = setting(block, names, SETTING).or_else(own)?;
        Some(NamedFolder { section, key: SETTING, name, value })
    };
    let of_template = |block: &RouteBlock| {
        let (section, name) = (block.name.clone(), format!("template:{}", block.name));
        setting(block, names, TEMPLATE).map(|value| NamedFolder { section, key: TEMPLATE, name, value })
    };
    let sections = route.sections.iter().filter_map(of_section);
    sections.chain(route.events.iter().chain(&route.mappings).filter_map(of_template)).collect()
}

/// Whether a section is that of a client of OPC UA which signs messages, or logs in with a
/// certificate.
fn needs_certificates(route: &RouteFacts, block: &RouteBlock, names: &impl Names) -> bool {
    if !is_opcua(&route.kind) || block.name != "OPCUA_CONFIG" {
        return false;
    }
    let text = |key| setting(block, names, key);
    let asked = SecuritySettings {
        uses: text("USE_SECURITY").and_then(|text| text.trim().to_ascii_lowercase().parse().ok()),
        policy: text("SECURITY_POLICY").and_then(|text| SecurityPolicy::of(&text)),
        mode: text("SECURITY_MODE").and_then(|text| SecurityMode::of(&text)),
    };
    asked.security() != (SecurityPolicy::None, SecurityMode::None)
        || text("AUTH_MODE").as_deref() == Some("2")
}

/// The folders of a route, as it may use them by its grants; a `module` must have been granted
/// something of each. Asks the disk.
pub(super) fn folders(
    named: Vec<NamedFolder>,
    grants: &Grants,
    module: Option<&str>,
    site: &Site,
) -> Result<HashMap<String, RouteFolder>, NoFolder> {
    let mut folders = HashMap::new();
    for NamedFolder { section, key, name, value } in named {
        let (root, below) = place(&section, key, &value, site)?;
        let is_template = key == TEMPLATE;
        let below = if is_template { folder_of(&below) } else { below };
        let may = |capability| grants.cover(capability, &value);
        let (may_read, may_write) = (may(Capability::ReadFile), may(Capability::WriteFile) && !is_template);
        if let Some(module) = module
            && !(may_read || may_write)
        {
            return Err(NoFolder::NotGranted { section, module: module.to_owned(), value });
        }
        site.check(&root)?;
        let reserve_bytes = site.reserve_at(&root);
        let account = site.account;
        let folder = RouteFolder { named: value, root, below, may_read, may_write, reserve_bytes, account };
        folders.insert(name, folder);
    }
    Ok(folders)
}

/// Returns the path of a file's folder below the same root; `.` for the root itself.
fn folder_of(file: &str) -> String {
    file.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned()
}

/// The root that the path of a setting is below, and where below it.
pub(super) fn place(
    section: &str,
    key: &'static str,
    value: &str,
    site: &Site,
) -> Result<(PathBuf, String), NoFolder> {
    let own = std::slice::from_ref(&site.own);
    let roots = if site.roots.is_empty() { own } else { &*site.roots };
    let path = Path::new(value);
    let found = if path.is_absolute() {
        roots.iter().find_map(|root| Some((root, path.strip_prefix(root).ok()?)))
    } else {
        roots.first().map(|root| (root, path))
    };
    let section = section.to_owned();
    let Some((root, below)) = found else {
        let first = roots.first().map(|root| site.render(root)).unwrap_or_default();
        return Err(NoFolder::Outside { section, key, value: value.to_owned(), first });
    };
    match plain(below) {
        Some(below) => Ok((root.clone(), below)),
        None => Err(NoFolder::Path { section, key, value: value.to_owned() }),
    }
}

/// A path of names, with one `/` between each; `None` where it is empty or anything else.
fn plain(path: &Path) -> Option<String> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => name.to_str().filter(|name| !name.contains('\0')).map(str::to_owned),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    };
    let names: Option<Vec<_>> = path.components().map(name).collect();
    names.filter(|names| !names.is_empty()).map(|names| names.join("/"))
}

impl Site {
    /// Checks that a root is there, and nothing of the broker's; the tenant's own is made.
    pub(super) fn check(&self, root: &Path) -> Result<(), NoFolder> {
        let wrong = |error| NoFolder::Root { root: root.to_owned(), error };
        if self.roots.is_empty() {
            return std::fs::create_dir_all(root).map_err(wrong);
        }
        let (real, data) =
            (root.canonicalize().map_err(wrong)?, self.data_directory.canonicalize().map_err(wrong)?);
        if !real.is_dir() {
            return Err(wrong(io::ErrorKind::NotADirectory.into()));
        }
        if real.starts_with(&data) || data.starts_with(&real) {
            return Err(NoFolder::OfBroker { root: root.to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lot_facts::RouteValue;
    use lotmq_host::{NameGrant, ValueGrant};

    use super::*;

    struct NoNames;

    impl Names for NoNames {
        fn environment(&self, _name: &str) -> Option<String> {
            None
        }
        fn secret(&self, _name: &str) -> Option<String> {
            None
        }
    }

    fn route(value: &str) -> RouteFacts {
        let settings = [(SETTING.to_owned(), RouteValue::Text(value.to_owned()))].into();
        let section = RouteBlock { name: "LOG_CONFIG".to_owned(), settings, ..RouteBlock::default() };
        RouteFacts {
            kind: "WASM".to_owned(),
            sections: vec![RouteBlock { name: "OTHER".to_owned(), ..RouteBlock::default() }, section],
            events: Vec::new(),
            mappings: Vec::new(),
            stores: Vec::new(),
        }
    }

    fn made(value: &str, site: &Site, files: ValueGrant) -> Result<HashMap<String, RouteFolder>, NoFolder> {
        let grants = Grants { files, ..Grants::default() };
        folders(named(&route(value), "R", &NoNames), &grants, Some("m"), site)
    }

    fn site(place: &Path) -> Site {
        let data_directory = place.join("data");
        for folder in ["data", "srv", "more/inner"] {
            std::fs::create_dir_all(place.join(folder)).unwrap();
        }
        let own = data_directory.join("files/default");
        let roots = vec![place.join("srv"), place.join("more")];
        Site { roots, own, account: 0, data_directory, is_of_administrator: true, reserve_bytes: 7 }
    }

    #[test]
    fn a_folder_is_below_a_root() {
        let place = tempfile::tempdir().unwrap();
        let site = site(place.path());
        let at = |path: &str| place.path().join(path).display().to_string();
        for (value, root, below) in [
            ("logs", "srv", "logs"),
            ("logs//a/", "srv", "logs/a"),
            (&at("srv/x"), "srv", "x"),
            (&at("more/inner/x"), "more", "inner/x"),
        ] {
            let folders = made(value, &site, ValueGrant::all()).unwrap();
            let folder = &folders["log"];
            assert_eq!((&*folder.root, &*folder.below), (&*place.path().join(root), below), "{value}");
            let disk = lotmq_store::disk_bytes(place.path()).unwrap();
            let reserve = 7 + (disk / FILES_RESERVE_PART).min(FILES_RESERVE_BYTES_MAX);
            assert_eq!((&*folder.named, folder.reserve_bytes, folders.len()), (value, reserve, 1));
        }
        for value in ["", ".", "./a", "..", "a/..", "../x", &at("srv"), &at("srv/../data/x"), "a\0"] {
            let refused = made(value, &site, ValueGrant::all()).unwrap_err();
            assert!(matches!(refused, NoFolder::Path { .. }), "{value}: {refused}");
        }
        for value in ["/", "/etc", &at("data/files/default/x"), &at("srvx")] {
            let refused = made(value, &site, ValueGrant::all()).unwrap_err();
            assert!(matches!(refused, NoFolder::Outside { .. }), "{value}: {refused}");
        }
    }

    #[test]
    fn operator_chooses_the_disk_reserve_on_other_disks() {
        let place = tempfile::tempdir().unwrap();
        let site = site(place.path());
        assert_eq!(site.reserve_at(Path::new("/proc")), 7);
        assert_eq!(Site { reserve_bytes: 0, ..site.clone() }.reserve_at(&site.own), 0);
        assert!(site.reserve_at(&site.own) > 7, "also before it is made");
    }

    #[test]
    fn users_have_folders_of_their_own() {
        let of = |name: &str| Some(Owner { name: name.into(), account: 1 });
        for (owner, expected) in [
            (None, "/d/files/default/nobody"),
            (of("root"), "/d/files/default"),
            (of("ann-1_B"), "/d/files/default/users/ann-1_B"),
            (of("../bob"), "/d/files/default/users/%2E%2E%2Fbob"),
            (of("é"), "/d/files/default/users/%C3%A9"),
        ] {
            let found = of_owner(Path::new("/d/files/default"), owner.as_ref());
            assert_eq!(found, Path::new(expected), "{owner:?}");
        }
    }

    #[test]
    fn the_folder_of_a_template_is_there_to_be_read() {
        let place = tempfile::tempdir().unwrap();
        let site = site(place.path());
        let of = |value: &str| {
            let settings = [(TEMPLATE.to_owned(), RouteValue::Text(value.to_owned()))].into();
            let event = RouteBlock { name: "Mail".to_owned(), settings, ..RouteBlock::default() };
            let route = RouteFacts { events: vec![event], ..route("logs") };
            let files = ValueGrant::all();
            folders(named(&route, "R", &NoNames), &Grants { files, ..Grants::default() }, None, &site)
        };
        for (value, below) in [("mail.html", "."), ("a/b/mail.html", "a/b")] {
            let folders = of(value).unwrap();
            let folder = &folders["template:Mail"];
            assert_eq!((&*folder.below, folder.may_read, folder.may_write), (below, true, false), "{value}");
        }
        assert_eq!(
            of("../x").unwrap_err().to_string(),
            "Mail: TEMPLATE_PATH is '../x', which is not a path below a folder, without '.' and '..'"
        );
    }

    #[test]
    fn without_roots_a_folder_is_the_tenant_s() {
        let place = tempfile::tempdir().unwrap();
        let site = Site { roots: Vec::new(), ..site(place.path()) };
        assert_eq!(made("logs", &site, ValueGrant::all()).unwrap()["log"].root, site.own);
        assert!(site.own.is_dir());
        let own = site.own.display().to_string();
        for (is_of_administrator, first) in [(true, &*own), (false, "files/default of the data directory")] {
            let site = Site { is_of_administrator, ..site.clone() };
            let told = made("/srv/x", &site, ValueGrant::all()).unwrap_err().to_string();
            assert!(told.ends_with(&format!("does not begin with /: it lies below {first}")), "{told}");
        }
    }

    #[test]
    fn a_root_is_nothing_of_the_broker_s() {
        let place = tempfile::tempdir().unwrap();
        let site = site(place.path());
        std::fs::create_dir(site.data_directory.join("files")).unwrap();
        std::os::unix::fs::symlink(&site.data_directory, place.path().join("link")).unwrap();
        for root in ["data", "data/files", "", "link", "link/files"] {
            let site = Site { roots: vec![place.path().join(root)], ..site.clone() };
            let refused = made("logs", &site, ValueGrant::all()).unwrap_err();
            assert!(matches!(refused, NoFolder::OfBroker { .. }), "{root}: {refused}");
        }
        std::fs::write(place.path().join("file"), "").unwrap();
        for root in ["nowhere", "file"] {
            let site = Site { roots: vec![place.path().join(root)], ..site.clone() };
            assert!(matches!(made("logs", &site, ValueGrant::all()), Err(NoFolder::Root { .. })), "{root}");
        }
    }

    #[test]
    fn a_module_has_of_a_folder_what_it_was_granted() {
        let place = tempfile::tempdir().unwrap();
        let site = site(place.path());
        let names = |name: &str| NameGrant::Names(Box::new([name.into()]));
        let grant = ValueGrant { read: names("logs"), write: names("logs/a") };
        let may = |value: &str| {
            let folders = made(value, &site, grant.clone());
            folders.map(|folders| (folders["log"].may_read, folders["log"].may_write))
        };
        assert_eq!(may("logs").unwrap(), (true, false));
        assert_eq!(may("logs/a/b").unwrap(), (true, true));
        let refused = may("other").unwrap_err().to_string();
        assert_eq!(
            refused,
            "LOG_CONFIG: module 'm' was not granted file-read:other or file-write:other; -grantModule m -grant \"file-read:other\" grants reading"
        );
    }
}
