//! Text syntax of OPC UA: the server's address, message security, and tag addresses, which are node
//! ids or paths of browse names.

use std::fmt;

/// How the address of a server begins.
pub const SCHEME: &str = "opc.tcp://";

/// Ending of the error for a policy that is [broken](SecurityPolicy::broken_name), after its name.
pub const BROKEN: &str = "which is broken and not spoken any more: Basic256Sha256, Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss are";

/// Names of the nodes at which paths may begin, besides node ids.
pub const ROOTS: [&str; 4] = ["Objects", "Root", "Types", "Views"];

/// Node id (part 6 §5.3.1.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId<'a> {
    /// Index of its namespace; 0 is that of the standard.
    pub namespace: u16,
    /// Identifier within that namespace.
    pub id: NodeIdentifier<'a>,
}

/// Identifier of a node in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeIdentifier<'a> {
    /// `i=5`.
    Number(u32),
    /// `s=Line.Speed`.
    Text(&'a str),
    /// `g=72962b91-fa75-4ae6-8d28-b404dc7daf63`.
    Guid(&'a str),
    /// `b=AQL/`: bytes in Base64.
    Bytes(&'a str),
}

/// The node id that a text is.
pub fn node_id(text: &str) -> Option<NodeId<'_>> {
    let (namespace, text) = match text.strip_prefix("ns=") {
        Some(rest) => rest.split_once(';').and_then(|(index, rest)| Some((index.parse().ok()?, rest)))?,
        None => (0, text),
    };
    let (kind, id) = text.split_once('=').filter(|(_, id)| !id.is_empty())?;
    let id = match kind {
        "i" => NodeIdentifier::Number(id.parse().ok()?),
        "s" => NodeIdentifier::Text(id),
        "g" => NodeIdentifier::Guid(Some(id).filter(|id| is_guid(id))?),
        "b" => NodeIdentifier::Bytes(Some(id).filter(|id| is_base64(id))?),
        _ => return None,
    };
    Some(NodeId { namespace, id })
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let are_hexadecimal = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    are_hexadecimal && groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.bytes().all(is_digit) && text.len().is_multiple_of(4) && text.len() - digits.len() <= 2
}

/// Browse name of one step of a path; without a namespace it matches any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrowseName {
    /// Index of its namespace.
    pub namespace: Option<u16>,
    /// The name itself.
    pub text: String,
}

impl fmt::Display for BrowseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace {
            Some(namespace) => write!(f, "{namespace}:{}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Splits a path into its steps at `/`. `&` escapes the next character, as in OPC UA part 4 annex
/// A.2. Returns `None` if a step is empty.
pub fn path(text: &str) -> Option<Vec<BrowseName>> {
    let mut steps = vec![String::new()];
    let mut signs = text.trim().trim_start_matches('/').chars();
    while let Some(sign) = signs.next() {
        let step = steps.last_mut()?;
        match sign {
            '/' => steps.push(String::new()),
            '&' => step.push(signs.next()?),
            _ => step.push(sign),
        }
    }
    steps.iter().map(|step| name(step)).collect()
}

fn name(step: &str) -> Option<BrowseName> {
    let parsed = step.split_once(':').and_then(|(namespace, text)| Some((namespace.parse().ok()?, text)));
    let (namespace, text) = parsed.map_or((None, step), |(namespace, text)| (Some(namespace), text));
    (!text.is_empty()).then(|| BrowseName { namespace, text: text.to_owned() })
}

/// Returns whether paths may begin at this name: one of [`ROOTS`], in any case, or a node id.
pub fn is_root(name: &str) -> bool {
    ROOTS.iter().any(|root| root.eq_ignore_ascii_case(name)) || node_id(name).is_some()
}

/// Returns the flaw of a tag's address, as words to follow it. `by_path`: addresses are paths.
pub fn address_flaw(text: &str, by_path: bool) -> Option<&'static str> {
    match by_path {
        true => path(text).is_none().then_some("a step of the path is empty"),
        false => node_id(text.trim())
            .is_none()
            .then_some("it is no node id such as ns=2;s=Line.Speed, ns=2;i=5, ns=2;g=… or ns=2;b=…"),
    }
}

/// SecurityPolicy by which messages are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what the standard calls them")]
pub enum SecurityPolicy {
    None,
    Basic128Rsa15,
    Basic256,
    Basic256Sha256,
    Aes128Sha256RsaOaep,
    Aes256Sha256RsaPss,
}

impl SecurityPolicy {
    /// The policy of a number or name.
    pub fn of(text: &str) -> Option<SecurityPolicy> {
        let plain: String =
            text.to_ascii_lowercase().chars().filter(|letter| !matches!(letter, '_' | '-')).collect();
        Some(match plain.as_str() {
            "0" | "none" => SecurityPolicy::None,
            "1" | "basic128rsa15" => SecurityPolicy::Basic128Rsa15,
            "2" | "basic256" => SecurityPolicy::Basic256,
            "3" | "basic256sha256" => SecurityPolicy::Basic256Sha256,
            "4" | "aes128sha256rsaoaep" => SecurityPolicy::Aes128Sha256RsaOaep,
            "5" | "aes256sha256rsapss" => SecurityPolicy::Aes256Sha256RsaPss,
            _ => return None,
        })
    }

    /// Its name, where it is one that the standard has withdrawn because it is broken.
    pub fn broken_name(self) -> Option<&'static str> {
        match self {
            SecurityPolicy::Basic128Rsa15 => Some("Basic128Rsa15"),
            SecurityPolicy::Basic256 => Some("Basic256"),
            SecurityPolicy::None
            | SecurityPolicy::Basic256Sha256
            | SecurityPolicy::Aes128Sha256RsaOaep
            | SecurityPolicy::Aes256Sha256RsaPss => None,
        }
    }
}

/// Protection of each message: none, signed, or signed and encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are what the standard calls them")]
pub enum SecurityMode {
    None,
    Sign,
    SignAndEncrypt,
}

impl SecurityMode {
    /// The mode of a number or name.
    pub fn of(text: &str) -> Option<SecurityMode> {
        Some(match text.to_ascii_lowercase().as_str() {
            "0" | "none" => SecurityMode::None,
            "1" | "sign" => SecurityMode::Sign,
            "2" | "signandencrypt" => SecurityMode::SignAndEncrypt,
            _ => return None,
        })
    }
}

/// Security settings of `OPCUA_CONFIG`; `None` for those that it omits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecuritySettings {
    /// `USE_SECURITY`.
    pub uses: Option<bool>,
    /// `SECURITY_POLICY`.
    pub policy: Option<SecurityPolicy>,
    /// `SECURITY_MODE`.
    pub mode: Option<SecurityMode>,
}

impl SecuritySettings {
    /// Returns the policy and mode to use. `USE_SECURITY FALSE` overrides both. Security without
    /// details defaults to the policy and mode that every current server has.
    pub fn security(self) -> (SecurityPolicy, SecurityMode) {
        let policy = self.policy.unwrap_or(SecurityPolicy::None);
        let mode = self.mode.unwrap_or(SecurityMode::None);
        match (self.uses, policy, mode) {
            (Some(false), ..) | (None, SecurityPolicy::None, SecurityMode::None) => {
                (SecurityPolicy::None, SecurityMode::None)
            }
            (Some(true), SecurityPolicy::None, SecurityMode::None) => {
                (SecurityPolicy::Basic256Sha256, SecurityMode::SignAndEncrypt)
            }
            (_, SecurityPolicy::None, mode) => (SecurityPolicy::Basic256Sha256, mode),
            (_, policy, SecurityMode::None) => (policy, SecurityMode::SignAndEncrypt),
            (_, policy, mode) => (policy, mode),
        }
    }

    /// Returns whether security is requested, although its settings say that there is none.
    pub fn is_contradictory(self) -> bool {
        let are_none = self.policy.is_none_or(|policy| policy == SecurityPolicy::None)
            && self.mode.is_none_or(|mode| mode == SecurityMode::None);
        self.uses == Some(true) && are_none && (self.policy.is_some() || self.mode.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_of_all_kinds_are_read() {
        let guid = "72962b91-fa75-4ae6-8d28-b404dc7daf63";
        for (text, namespace, id) in [
            ("ns=2;s=A.B", 2, NodeIdentifier::Text("A.B")),
            ("ns=2;i=5", 2, NodeIdentifier::Number(5)),
            ("i=2258", 0, NodeIdentifier::Number(2258)),
            (r#"ns=3;s="Data"."list"[0]"#, 3, NodeIdentifier::Text(r#""Data"."list"[0]"#)),
            (&format!("ns=1;g={guid}"), 1, NodeIdentifier::Guid(guid)),
            ("ns=1;b=AQL/", 1, NodeIdentifier::Bytes("AQL/")),
            ("b=AQ==", 0, NodeIdentifier::Bytes("AQ==")),
        ] {
            assert_eq!(node_id(text), Some(NodeId { namespace, id }), "{text}");
        }
        for text in [
            "",
            "A.B",
            "ns=;i=1",
            "ns=x;i=1",
            "ns=70000;i=1",
            "i=x",
            "s=",
            "é=1",
            "ns=2",
            "b=?",
            "b=AQL",
            "b====",
            "g=1",
        ] {
            assert_eq!(node_id(text), None, "{text}");
        }
    }

    #[test]
    fn paths_have_steps_with_or_without_namespace() {
        let names =
            |text| path(text).map(|names| names.iter().map(BrowseName::to_string).collect::<Vec<_>>());
        assert_eq!(names("Line1/2:Motor/Speed").unwrap(), ["Line1", "2:Motor", "Speed"]);
        assert_eq!(names("/a&/b/c").unwrap(), ["a/b", "c"]);
        for text in ["", "a//b", "a/", "2:", "a&"] {
            assert_eq!(names(text), None, "{text}");
        }
    }

    #[test]
    fn security_settings_resolve_to_a_policy_and_a_mode() {
        let asked = |uses, policy: &str, mode: &str| SecuritySettings {
            uses,
            policy: SecurityPolicy::of(policy),
            mode: SecurityMode::of(mode),
        };
        for (uses, policy, mode, expected) in [
            (None, "", "", (SecurityPolicy::None, SecurityMode::None)),
            (Some(true), "", "", (SecurityPolicy::Basic256Sha256, SecurityMode::SignAndEncrypt)),
            (None, "3", "1", (SecurityPolicy::Basic256Sha256, SecurityMode::Sign)),
            (
                None,
                "Aes256_Sha256_RsaPss",
                "",
                (SecurityPolicy::Aes256Sha256RsaPss, SecurityMode::SignAndEncrypt),
            ),
            (
                Some(true),
                "aes128-sha256-rsaoaep",
                "Sign",
                (SecurityPolicy::Aes128Sha256RsaOaep, SecurityMode::Sign),
            ),
            (None, "", "SignAndEncrypt", (SecurityPolicy::Basic256Sha256, SecurityMode::SignAndEncrypt)),
            (Some(true), "0", "2", (SecurityPolicy::Basic256Sha256, SecurityMode::SignAndEncrypt)),
            (Some(false), "3", "2", (SecurityPolicy::None, SecurityMode::None)),
        ] {
            assert_eq!(asked(uses, policy, mode).security(), expected, "{uses:?} {policy} {mode}");
        }
        for (uses, policy, mode, expected) in [
            (Some(true), "0", "0", true),
            (Some(true), "None", "", true),
            (Some(true), "", "", false),
            (Some(true), "3", "0", false),
            (None, "0", "0", false),
            (Some(false), "0", "0", false),
        ] {
            assert_eq!(asked(uses, policy, mode).is_contradictory(), expected, "{uses:?} {policy} {mode}");
        }
        assert_eq!(SecurityPolicy::of("Basic256").and_then(SecurityPolicy::broken_name), Some("Basic256"));
    }
}
