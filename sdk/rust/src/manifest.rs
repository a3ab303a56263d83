//! Manifest of a guest: the grants that it asks for.

/// Declares the grants that the guest asks for. The broker shows them to the operator who adds it.
/// Once per crate.
///
/// Each text is a kind, a colon, and a topic filter or name; `state` stands alone:
///
/// ```
/// lotmq_guest::manifest!("read:raw/#", "write:scaled/#", "env-read:SCALE", "state");
/// ```
///
/// | kind | asks for |
/// |---|---|
/// | `read`, `write` | last values of topics; publishing to, keeping and forgetting them |
/// | `env-read`, `env-write` | an environment value; `*` for all |
/// | `secret-read`, `secret-write` | a secret; `*` for all |
/// | `action`, `model` | calling an Action, publishing a Model; `*` for all |
/// | `python`, `rows` | calling a script, asking a Route for rows; `*` for all |
/// | `endpoint` | connecting to, or listening at, `host:port` |
/// | `file-read`, `file-write` | files in and below a folder of the route; `*` for all |
/// | `serial` | opening a serial port, by the path of its device; `*` for all |
/// | `state` | values of its own |
///
/// After the grants, `configuration` may describe the guest's settings in JSON Schema. The broker
/// and `lotmq guest` then check its configuration:
///
/// ```
/// lotmq_guest::manifest!(
///     "write:scaled/#",
///     configuration = r#"{"additionalProperties": false, "required": ["unit"], "properties": {
///         "unit": {"enum": ["bar", "mbar"]}, "factor": {"type": "number", "default": 0.1}}}"#,
/// );
/// ```
///
/// The macro grants nothing: the operator grants rights when adding the guest (`-grantAll`,
/// `-grant`). A text of another kind does not compile:
///
/// ```compile_fail
/// lotmq_guest::manifest!("reads:raw/#");
/// ```
#[macro_export]
macro_rules! manifest {
    ($first:literal $(, $other:literal)* $(, configuration = $schema:literal)? $(,)?) => {
        const _: () = {
            $crate::manifest::check($first);
            $($crate::manifest::check($other);)*
            const TEXT: &str = concat!(
                "{\"asks\":[", stringify!($first), $(",", stringify!($other),)* "]" $(, ",\"configuration\":", $schema)?, "}"
            );
            $crate::manifest!(@section TEXT);
        };
    };
    (configuration = $schema:literal $(,)?) => {
        const _: () = {
            const TEXT: &str = concat!("{\"asks\":[],\"configuration\":", $schema, "}");
            $crate::manifest!(@section TEXT);
        };
    };
    (@section $text:ident) => {
        #[used]
        #[cfg_attr(target_family = "wasm", unsafe(link_section = "lotmq:manifest"))]
        static MANIFEST: [u8; $text.len()] = *$text.as_bytes().first_chunk().expect("it has its own length");
    };
}

/// Kinds of grants; `state` alone has no name.
const KINDS: [&str; 15] = [
    "read:",
    "write:",
    "env-read:",
    "env-write:",
    "secret-read:",
    "secret-write:",
    "action:",
    "model:",
    "python:",
    "module:",
    "rows:",
    "endpoint:",
    "file-read:",
    "file-write:",
    "serial:",
];

/// Stops the compiler at a text that is no grant.
#[doc(hidden)]
pub const fn check(grant: &str) {
    if is_same(grant.as_bytes(), b"state") {
        return;
    }
    let mut n = 0;
    while n < KINDS.len() {
        if begins_with(grant.as_bytes(), KINDS[n].as_bytes()) {
            return;
        }
        n += 1;
    }
    panic!(
        "a grant begins with read:, write:, env-read:, env-write:, secret-read:, secret-write:, action:, model:, python:, module:, rows:, endpoint:, file-read:, file-write: or serial:, or is state"
    );
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && begins_with(one, other)
}

/// Whether bytes begin with others.
const fn begins_with(bytes: &[u8], beginning: &[u8]) -> bool {
    if bytes.len() < beginning.len() {
        return false;
    }
    let mut n = 0;
    while n < beginning.len() {
        if bytes[n] != beginning[n] {
            return false;
        }
        n += 1;
    }
    true
}
