//! TLS of the endpoints of a route: whom they trust and what they show, as their sections say.
//!
//! Invariant: a private key comes of a file below a root of the operator's, of a secret or of an
//! environment value; it goes to the host, and no guest gets it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use lot_facts::{RouteBlock, RouteFacts, RoutePart, RouteValue, TemplatePart};
use lotmq_chain::authorities;
use lotmq_chain::pem::is_text_of_pem;
use lotmq_host::fiber::{
    ClientTls, EndpointTls, ServerTls, ServerTrust, TlsContents, TlsFault, TlsIdentity, TlsProfile, TlsSource,
};

use super::endpoints::{SectionTls, is_far, serves, setting};
use super::folders::{NoFolder, Site, place};
use super::template::Names;

/// Settings that ask for TLS from the first byte, by two names.
const AT_ONCE: [&str; 2] = ["USE_TLS", "USE_SSL"];

/// Setting by which the guest begins with it.
const ON_DEMAND: &str = "USE_STARTTLS";

/// Settings that switch off the check of the server's certificate (routes reference §4.2, §4.4, §6,
/// §7).
const UNCHECKED: [&str; 3] = ["ALLOW_UNTRUSTED_CERTS", "TRUST_SERVER_CERTIFICATE", "IGNORE_CERT_ERRORS"];

/// Oldest version.
const MIN_VERSION: &str = "TLS_MIN_VERSION";

/// Password of a file with a certificate, or with a key.
const PASSWORD: &str = "CLIENT_CERT_PASS";

/// Settings of one thing: a file with it, or the thing itself.
type Pair = [&'static str; 2];

const AUTHORITIES: Pair = ["SERVER_CA_CERT_PATH", "SERVER_CA_CERT"];
const CERTIFICATE: Pair = ["CLIENT_CERT_PATH", "CLIENT_CERT"];
const KEY: Pair = ["CLIENT_KEY_PATH", "CLIENT_KEY"];

/// Certificate that is shown to clients where HTTP is served, and its key.
const SERVED_CERTIFICATE: Pair = ["SERVER_CERT_PATH", "SERVER_CERT"];
const SERVED_KEY: Pair = ["SERVER_KEY_PATH", "SERVER_KEY"];

/// Settings for the host alone, because a private key can be in them.
const WITHHELD: [&str; 5] = [CERTIFICATE[1], KEY[1], PASSWORD, SERVED_CERTIFICATE[1], SERVED_KEY[1]];

/// Marker in the first line of a private key in PEM.
const PRIVATE: &str = "PRIVATE KEY";

/// Reason why the settings of a section make no TLS.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    #[error("{section}: {key} is '{value}', which is neither true nor false")]
    Flag { section: String, key: &'static str, value: String },
    #[error("{section}: TLS_MIN_VERSION is '{value}', which is neither 1.2 nor 1.3")]
    Version { section: String, value: String },
    #[error("{section}: {key} cannot be filled for each message")]
    Template { section: String, key: &'static str },
    #[error("{section}: {first} and {second} say the same; one of them is enough")]
    Both { section: String, first: &'static str, second: &'static str },
    #[error("{section}: {key} has a text in PEM, and is for the path of a file; {text} takes the text")]
    TextForPath { section: String, key: &'static str, text: &'static str },
    #[error("{section}: {key} is set, and neither {} nor {}", certificate[0], certificate[1])]
    KeyAlone { section: String, key: &'static str, certificate: Pair },
    #[error("{section}: it serves with TLS, and neither SERVER_CERT_PATH nor SERVER_CERT is set")]
    NothingToShow { section: String },
    #[error(
        "{section}: {key} has a private key in the definition, where all read it; it comes of a file, GET SECRET or GET ENV"
    )]
    KeyInSight { section: String, key: &'static str },
    #[error(
        "{section}: CLIENT_CERT_PASS is set, and files with a password are not read; `openssl pkcs12 -in FILE -out NEW.pem -nodes` makes one without"
    )]
    Password { section: String },
    #[error("{section}: {key} is set, and none of USE_TLS, USE_SSL and USE_STARTTLS")]
    NotAsked { section: String, key: &'static str },
    #[error(transparent)]
    Place(NoFolder),
    #[error("{section}: {reason}")]
    System { section: String, reason: String },
    #[error("{fault}")]
    Fault { fault: TlsFault, is_of_files: bool },
}

impl NoTls {
    /// Whether it can become good without another definition: files are replaced.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, NoTls::Fault { is_of_files: true, .. })
    }
}

/// TLS that a section asks for.
#[derive(Debug)]
pub(super) struct NamedTls {
    section: String,
    begins_at_once: bool,
    is_unchecked: bool,
    authorities: Option<Named>,
    certificate: Option<Named>,
    key: Option<Named>,
    only_1_3: bool,
}

/// TLS settings that the sections of a route ask for.
#[derive(Debug, Default)]
pub(super) struct NamedSections {
    far: Vec<NamedTls>,
    served: Vec<NamedIdentity>,
}

impl NamedSections {
    pub(super) fn is_empty(&self) -> bool {
        self.far.is_empty() && self.served.is_empty()
    }
}

/// Certificate and key of a section that serves.
#[derive(Debug)]
struct NamedIdentity {
    section: String,
    certificate: Named,
    key: Option<Named>,
    only_1_3: bool,
}

/// Certificates or a key, as a setting has them.
#[derive(Debug)]
struct Named {
    setting: &'static str,
    is_path: bool,
    value: String,
}

/// Returns the TLS settings of the sections of a route. A section that does not connect has none.
pub(super) fn named(route: &RouteFacts, names: &impl Names) -> Result<NamedSections, NoTls> {
    let mut named = NamedSections::default();
    for block in &route.sections {
        let section = Section { block, names };
        if is_far(block) {
            named.far.extend(section.tls()?);
        } else if serves(block) {
            named.served.extend(section.served()?);
        }
    }
    Ok(named)
}

/// TLS of the sections by their names. Asks the disk.
pub(super) fn read(named: NamedSections, site: &Site) -> Result<SectionTls, NoTls> {
    let served = named.served.into_iter().map(|named| named.read(site)).collect::<Result<_, _>>()?;
    Ok(SectionTls { far: read_far(named.far, site)?, served })
}

fn read_far(named: Vec<NamedTls>, site: &Site) -> Result<HashMap<String, EndpointTls>, NoTls> {
    let mut system = None;
    let mut read = HashMap::new();
    for named in named {
        let (section, begins_at_once) = (named.section.clone(), named.begins_at_once);
        let profile = named.profile(site, &mut system)?;
        let is_of_files = profile.has_files();
        let tls = ClientTls::of_profile(profile).map_err(|fault| NoTls::Fault { fault, is_of_files })?;
        let tls = if begins_at_once { EndpointTls::OnConnect(tls) } else { EndpointTls::OnDemand(tls) };
        read.insert(section, tls);
    }
    Ok(read)
}

impl NamedTls {
    /// The profile; `system` are the authorities of this system once they were read.
    fn profile(self, site: &Site, system: &mut Option<ServerTrust>) -> Result<TlsProfile, NoTls> {
        let section = self.section;
        let source = |named: Named| named.source(&section, site);
        let trust = match (self.is_unchecked, self.authorities) {
            (true, _) => ServerTrust::Anybody,
            (false, Some(named)) => ServerTrust::ReadFrom(source(named)?),
            (false, None) => match system {
                Some(trust) => trust.clone(),
                None => {
                    let read = authorities::of_system();
                    let read = read.map_err(|reason| NoTls::System { section: section.clone(), reason })?;
                    system.insert(ServerTrust::Authorities(Arc::new(read))).clone()
                }
            },
        };
        let identity = match (self.certificate, self.key) {
            (None, _) => None,
            (Some(certificate), key) => {
                let certificate = source(certificate)?;
                let key = key.map_or(Ok(certificate.clone()), source)?;
                Some(TlsIdentity { certificate, key })
            }
        };
        Ok(TlsProfile { trust, identity, only_1_3: self.only_1_3 })
    }
}

impl NamedIdentity {
    /// Reads the certificate and key, with the name of the section.
    fn read(self, site: &Site) -> Result<(String, ServerTls), NoTls> {
        let NamedIdentity { section, certificate, key, only_1_3 } = self;
        let is_of_files = certificate.is_path || key.as_ref().is_some_and(|key| key.is_path);
        let certificate = certificate.source(&section, site)?;
        let key = key.map_or(Ok(certificate.clone()), |key| key.source(&section, site))?;
        let tls = ServerTls::of_identity(TlsIdentity { certificate, key }, only_1_3);
        Ok((section, tls.map_err(|fault| NoTls::Fault { fault, is_of_files })?))
    }
}

impl Named {
    fn source(self, section: &str, site: &Site) -> Result<TlsSource, NoTls> {
        let setting = format!("{section}: {}", self.setting);
        if !self.is_path {
            return Ok(TlsSource { setting, contents: TlsContents::Text(self.value.into()) });
        }
        let (root, below) = place(section, self.setting, &self.value, site).map_err(NoTls::Place)?;
        site.check(&root).map_err(NoTls::Place)?;
        let within = site.render(&root);
        Ok(TlsSource { setting, contents: TlsContents::File { named: self.value, root, below, within } })
    }
}

struct Section<'a, N> {
    block: &'a RouteBlock,
    names: &'a N,
}

impl<N: Names> Section<'_, N> {
    fn tls(&self) -> Result<Option<NamedTls>, NoTls> {
        let flags = AT_ONCE.map(|key| self.flag(key));
        let [by_tls, by_ssl] = flags;
        let (at_once, on_demand) = (by_tls? == Some(true) || by_ssl? == Some(true), self.flag(ON_DEMAND)?);
        if !at_once && on_demand != Some(true) {
            return self.check_not_asked().map(|()| None);
        }
        let mut is_unchecked = false;
        for key in UNCHECKED {
            is_unchecked |= self.flag(key)? == Some(true);
        }
        if self.text(PASSWORD)?.is_some() {
            return Err(NoTls::Password { section: self.name() });
        }
        let (certificate, key) = (self.named(CERTIFICATE)?, self.named(KEY)?);
        if let (None, Some(key)) = (&certificate, &key) {
            return Err(NoTls::KeyAlone { section: self.name(), key: key.setting, certificate: CERTIFICATE });
        }
        self.check_key_is_hidden([CERTIFICATE[1], KEY[1]])?;
        Ok(Some(NamedTls {
            section: self.name(),
            begins_at_once: at_once,
            is_unchecked,
            authorities: self.named(AUTHORITIES)?,
            certificate,
            key,
            only_1_3: self.only_1_3()?,
        }))
    }

    /// Returns the certificate and key of a section that serves; `None` without TLS.
    fn served(&self) -> Result<Option<NamedIdentity>, NoTls> {
        let [by_tls, by_ssl] = AT_ONCE.map(|key| self.flag(key));
        let (by_tls, by_ssl) = (by_tls?, by_ssl?);
        let (certificate, key) = (self.named(SERVED_CERTIFICATE)?, self.named(SERVED_KEY)?);
        self.check_key_is_hidden([SERVED_CERTIFICATE[1], SERVED_KEY[1]])?;
        let section = self.name();
        match certificate {
            _ if by_tls == Some(false) || by_ssl == Some(false) => Ok(None),
            Some(certificate) => {
                Ok(Some(NamedIdentity { section, certificate, key, only_1_3: self.only_1_3()? }))
            }
            None => match key {
                Some(key) => {
                    Err(NoTls::KeyAlone { section, key: key.setting, certificate: SERVED_CERTIFICATE })
                }
                None if by_tls == Some(true) || by_ssl == Some(true) => Err(NoTls::NothingToShow { section }),
                None => Ok(None),
            },
        }
    }

    /// Rejects a section that sets certificates but no TLS switch. It would silently connect
    /// without TLS.
    fn check_not_asked(&self) -> Result<(), NoTls> {
        let has = |key: &&str| self.block.settings.contains_key(*key);
        if AT_ONCE.iter().chain([&ON_DEMAND]).any(has) {
            return Ok(());
        }
        match [AUTHORITIES, CERTIFICATE, KEY].iter().flatten().find(|key| has(key)) {
            Some(key) => Err(NoTls::NotAsked { section: self.name(), key }),
            None => Ok(()),
        }
    }

    fn named(&self, [path, text]: Pair) -> Result<Option<Named>, NoTls> {
        match (self.text(path)?, self.text(text)?) {
            (None, None) => Ok(None),
            // No message shows it, as it would show a path.
            (Some(value), None) if is_text_of_pem(&value) => {
                Err(NoTls::TextForPath { section: self.name(), key: path, text })
            }
            (Some(value), None) => Ok(Some(Named { setting: path, is_path: true, value })),
            (None, Some(value)) => Ok(Some(Named { setting: text, is_path: false, value })),
            (Some(_), Some(_)) => Err(NoTls::Both { section: self.name(), first: path, second: text }),
        }
    }

    fn check_key_is_hidden(&self, settings: [&'static str; 2]) -> Result<(), NoTls> {
        let is_key = |text: &str| text.contains(PRIVATE);
        for key in settings {
            let value = self.block.settings.get(key);
            let is_text = matches!(value, Some(RouteValue::Text(text)) if is_key(text));
            let is_key_part = |part: &RoutePart| matches!(part, RoutePart::Text(text) if is_key(text));
            if is_text || matches!(value, Some(RouteValue::Parts(parts)) if parts.iter().any(is_key_part)) {
                return Err(NoTls::KeyInSight { section: self.name(), key });
            }
        }
        Ok(())
    }

    fn only_1_3(&self) -> Result<bool, NoTls> {
        match self.text(MIN_VERSION)? {
            None => Ok(false),
            Some(value) => match &*value {
                "1.2" => Ok(false),
                "1.3" => Ok(true),
                _ => Err(NoTls::Version { section: self.name(), value }),
            },
        }
    }

    fn flag(&self, key: &'static str) -> Result<Option<bool>, NoTls> {
        match self.text(key)? {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) => Err(NoTls::Flag { section: self.name(), key, value }),
        }
    }

    /// A setting; one that is empty is not there.
    fn text(&self, key: &'static str) -> Result<Option<String>, NoTls> {
        if let Some(RouteValue::Template(_)) = self.block.settings.get(key) {
            return Err(NoTls::Template { section: self.name(), key });
        }
        Ok(setting(self.block, self.names, key).filter(|value| !value.is_empty()))
    }

    fn name(&self) -> String {
        self.block.name.clone()
    }
}

/// Whether a setting of a section is for the host alone, because a private key can be in it.
pub(super) fn is_host_only(key: &str) -> bool {
    WITHHELD.contains(&key)
}

/// Names of environment values and of secrets that a route has in settings for the host alone, and
/// nowhere else.
pub(super) fn host_only_names(route: &RouteFacts) -> [BTreeSet<&str>; 2] {
    let (mut host_only, mut others) = (Used::default(), Used::default());
    for block in &route.sections {
        for (key, value) in &block.settings {
            if is_host_only(key) { &mut host_only } else { &mut others }.note(value);
        }
    }
    let inner = route.sections.iter().flat_map(|block| &block.tags);
    let blocks = inner.chain(&route.events).chain(&route.mappings);
    for block in blocks.flat_map(|block| block.tags.iter().chain([block])) {
        block.settings.values().for_each(|value| others.note(value));
    }
    [&host_only.environment - &others.environment, &host_only.secrets - &others.secrets]
}

/// Names that settings use.
#[derive(Default)]
struct Used<'a> {
    environment: BTreeSet<&'a str>,
    secrets: BTreeSet<&'a str>,
}

impl<'a> Used<'a> {
    fn note(&mut self, value: &'a RouteValue) {
        match value {
            RouteValue::Parts(parts) => {
                for part in parts {
                    match part {
                        RoutePart::Env(name) => drop(self.environment.insert(name)),
                        RoutePart::Secret(name) => drop(self.secrets.insert(name)),
                        RoutePart::Text(_) | RoutePart::RandomUuid => {}
                    }
                }
            }
            RouteValue::Template(parts) => {
                for part in parts {
                    if let TemplatePart::Env(name) | TemplatePart::JoinedEnv(name) = part {
                        self.environment.insert(name);
                    } else if let TemplatePart::Secret(name) = part {
                        self.secrets.insert(name);
                    }
                }
            }
            RouteValue::Text(_)
            | RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    struct Set;

    impl Names for Set {
        fn environment(&self, name: &str) -> Option<String> {
            (name == "CA").then(|| "text of the authority".to_owned())
        }
        fn secret(&self, name: &str) -> Option<String> {
            (name == "KEY").then(|| "-----BEGIN PRIVATE KEY-----".to_owned())
        }
    }

    fn text(text: &str) -> RouteValue {
        RouteValue::Text(text.to_owned())
    }

    fn secret(name: &str) -> RouteValue {
        RouteValue::Parts(vec![RoutePart::Secret(name.to_owned())])
    }

    fn route(settings: &[(&str, RouteValue)]) -> RouteFacts {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let section = RouteBlock { name: "PLC_CONFIG".to_owned(), settings, ..RouteBlock::default() };
        RouteFacts {
            kind: "WASM".to_owned(),
            sections: vec![section],
            events: Vec::new(),
            mappings: Vec::new(),
            stores: Vec::new(),
        }
    }

    fn of(settings: &[(&str, RouteValue)]) -> Result<NamedSections, String> {
        let mut all = vec![("HOST", text("plc"))];
        all.extend_from_slice(settings);
        named(&route(&all), &Set).map_err(|reason| reason.to_string())
    }

    #[test]
    fn a_section_says_whom_it_trusts_and_what_it_shows() {
        let on = || ("USE_TLS", RouteValue::Bool(true));
        for settings in [vec![], vec![("USE_TLS", text("false")), ("CLIENT_CERT_PATH", text("a.pem"))]] {
            assert!(of(&settings).unwrap().is_empty(), "{settings:?}");
        }
        let alone = named(&route(&[on(), ("CLIENT_KEY", text("mine"))]), &Set).unwrap();
        assert!(alone.is_empty(), "a section that connects nowhere");

        let plain = &of(&[on()]).unwrap().far[0];
        assert!(plain.begins_at_once && !plain.is_unchecked && !plain.only_1_3);
        assert!(plain.authorities.is_none() && plain.certificate.is_none() && plain.key.is_none());
        let whole = of(&[
            ("USE_STARTTLS", text("TRUE")),
            ("TLS_MIN_VERSION", RouteValue::Double(1.3)),
            ("SERVER_CA_CERT", RouteValue::Parts(vec![RoutePart::Env("CA".to_owned())])),
            ("CLIENT_CERT_PATH", text("certs/plc.pem")),
            ("CLIENT_KEY", secret("KEY")),
            ("CLIENT_CERT_PASS", text("")),
        ]);
        let whole = &whole.unwrap().far[0];
        assert!(!whole.begins_at_once && whole.only_1_3);
        let of_part = |part: &Option<Named>| {
            let part = part.as_ref().unwrap();
            (part.setting, part.is_path, part.value.clone())
        };
        let authority = "text of the authority".to_owned();
        assert_eq!(of_part(&whole.authorities), ("SERVER_CA_CERT", false, authority));
        assert_eq!(of_part(&whole.certificate), ("CLIENT_CERT_PATH", true, "certs/plc.pem".to_owned()));
        assert_eq!(of_part(&whole.key).0, "CLIENT_KEY");
        for key in UNCHECKED {
            assert!(of(&[on(), (key, text("true"))]).unwrap().far[0].is_unchecked, "{key}");
            assert!(!of(&[on(), (key, text("false"))]).unwrap().far[0].is_unchecked, "{key}");
        }
    }

    #[test]
    fn invalid_tls_settings_are_reported() {
        let on = || ("USE_TLS", RouteValue::Bool(true));
        let pem = "-----BEGIN PRIVATE KEY-----";
        for (settings, expected) in [
            (vec![("USE_SSL", text("maybe"))], "USE_SSL is 'maybe', which is neither true nor false"),
            (
                vec![on(), ("ALLOW_UNTRUSTED_CERTS", text("yes"))],
                "ALLOW_UNTRUSTED_CERTS is 'yes', which is neither true nor false",
            ),
            (
                vec![on(), ("TLS_MIN_VERSION", text("1.1"))],
                "TLS_MIN_VERSION is '1.1', which is neither 1.2 nor 1.3",
            ),
            (
                vec![on(), ("SERVER_CA_CERT_PATH", RouteValue::Template(Vec::new()))],
                "SERVER_CA_CERT_PATH cannot be filled for each message",
            ),
            (
                vec![on(), ("CLIENT_CERT_PATH", text("a")), ("CLIENT_CERT", secret("KEY"))],
                "CLIENT_CERT_PATH and CLIENT_CERT say the same; one of them is enough",
            ),
            (
                vec![on(), ("CLIENT_KEY_PATH", text("a"))],
                "CLIENT_KEY_PATH is set, and neither CLIENT_CERT_PATH nor CLIENT_CERT",
            ),
            (
                vec![on(), ("CLIENT_CERT_PATH", text("a")), ("CLIENT_KEY", text(pem))],
                "CLIENT_KEY has a private key in the definition",
            ),
            (vec![on(), ("CLIENT_CERT", text(pem))], "CLIENT_CERT has a private key in the definition"),
            (
                vec![on(), ("CLIENT_CERT_PASS", text("x"))],
                "CLIENT_CERT_PASS is set, and files with a password",
            ),
            (
                vec![("SERVER_CA_CERT_PATH", text("a"))],
                "SERVER_CA_CERT_PATH is set, and none of USE_TLS, USE_SSL and USE_STARTTLS",
            ),
        ] {
            let told = of(&settings).unwrap_err();
            assert!(told.starts_with(&format!("PLC_CONFIG: {expected}")), "{told}");
        }
    }

    #[test]
    fn files_lie_where_the_operator_allows_them() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("data")).unwrap();
        let site = |root: &Path| Site {
            account: 0,
            roots: vec![root.to_owned()],
            own: place.path().join("data/files/default"),
            data_directory: place.path().join("data"),
            is_of_administrator: true,
            reserve_bytes: 0,
        };
        let told = |value: &str, root: &Path| {
            let named = of(&[("USE_TLS", text("true")), ("SERVER_CA_CERT_PATH", text(value))]).unwrap();
            let reason = read(named, &site(root)).unwrap_err();
            (reason.to_string(), reason.may_pass())
        };
        let certs = place.path().join("certs");
        std::fs::create_dir(&certs).unwrap();
        let (reason, may_pass) = told("a.pem", &certs);
        assert!(reason.starts_with("PLC_CONFIG: SERVER_CA_CERT_PATH: 'a.pem' cannot be read"), "{reason}");
        assert!(reason.ends_with(&format!("; it is looked for below {}", certs.display())), "{reason}");
        assert!(may_pass);
        for (value, root, expected) in [
            (
                "/etc/passwd",
                &certs,
                "PLC_CONFIG: SERVER_CA_CERT_PATH is '/etc/passwd', which is below none of",
            ),
            ("../a.pem", &certs, "PLC_CONFIG: SERVER_CA_CERT_PATH is '../a.pem', which is not a path below"),
            ("store.redb", &place.path().join("data"), "routes.file_roots: "),
        ] {
            let (reason, may_pass) = told(value, root);
            assert!(reason.starts_with(expected) && !may_pass, "{reason}");
        }
    }

    #[test]
    fn a_guest_may_not_read_what_only_the_host_needs() {
        let environment = |name: &str| RouteValue::Parts(vec![RoutePart::Env(name.to_owned())]);
        let facts = route(&[
            ("HOST", environment("PLC")),
            ("CLIENT_CERT", environment("CERTIFICATE")),
            ("CLIENT_KEY", secret("KEY")),
            ("CLIENT_CERT_PASS", secret("BOTH")),
            ("PASSWORD", secret("BOTH")),
        ]);
        let [environment, secrets] = host_only_names(&facts);
        assert_eq!((environment, secrets), ([("CERTIFICATE")].into(), ["KEY"].into()));
    }
}
