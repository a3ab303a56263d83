//! The configuration: a JSON object, from the option `-config` of the module.

use auth_settings::{Settings, Template, parse};

use crate::limits::{
    CACHE_DENY_SECONDS, CACHE_ENTRIES, CACHE_ENTRIES_RANGE, CACHE_SECONDS, TIMEOUT_RANGE, TIMEOUT_SECONDS,
};
use crate::request::RequestTemplate;

/// Name of the endpoint of the HTTP server.
pub(crate) const ENDPOINT: &str = "http";

/// Members of the configuration.
const MEMBERS: [&str; 12] = [
    "endpoints",
    "method",
    "path",
    "headers",
    "body_type",
    "body",
    "user",
    "unknown_user",
    "timeout_seconds",
    "cache_seconds",
    "cache_deny_seconds",
    "cache_entries",
];

/// Checked configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) request: RequestTemplate,
    /// Name of the user in the broker.
    pub(crate) user: Template,
    /// Whether the next member of the chain decides when the server answers `ignore`.
    pub(crate) passes_unknown: bool,
    pub(crate) timeout_ms: u32,
    pub(crate) cache: CacheSettings,
}

/// Settings of the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CacheSettings {
    /// Time to live of an answer in milliseconds; 0 for no cache.
    pub(crate) allow_ms: u64,
    /// Time to live of an answer that lets in nobody.
    pub(crate) deny_ms: u64,
    pub(crate) entries: usize,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// The member that is wrong, and the values that it may have.
    pub(crate) fn parse(text: &str) -> Result<Config, String> {
        let json = parse(text)?;
        let settings = Settings::of(&json, &MEMBERS)?;
        settings.check_endpoint(ENDPOINT)?;
        let timeout_s = settings.number("timeout_seconds", TIMEOUT_SECONDS, TIMEOUT_RANGE, "seconds")?;
        let user = settings.template("user")?.map_or_else(|| Template::parse("${username}"), Ok)?;
        Ok(Config {
            request: RequestTemplate::read(&settings)?,
            user,
            passes_unknown: settings.passes_unknown()?,
            timeout_ms: u32::try_from(timeout_s * 1_000).unwrap_or(u32::MAX),
            cache: CacheSettings::read(&settings)?,
        })
    }
}

impl CacheSettings {
    fn read(settings: &Settings<'_>) -> Result<CacheSettings, String> {
        let allow_s = settings.number("cache_seconds", 0, CACHE_SECONDS, "seconds")?;
        let default_s = allow_s.min(CACHE_DENY_SECONDS);
        let deny_s = settings.number("cache_deny_seconds", default_s, 0..=allow_s, "seconds")?;
        let entries = settings.number("cache_entries", CACHE_ENTRIES, CACHE_ENTRIES_RANGE, "entries")?;
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        Ok(CacheSettings { allow_ms: allow_s * 1_000, deny_ms: deny_s * 1_000, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_member_is_reported_with_its_name() {
        let endpoint = r#""endpoints":{"http":{"HOST":"h","PORT":80}}"#;
        for (members, reason) in [
            ("", "path: needed; a text that begins with /"),
            (r#","path":"x""#, "path: needed; a text that begins with /"),
            (r#","path":"/a b""#, "path: printable ASCII without spaces, # and \\"),
            (r##","path":"/a#b""##, "path: printable ASCII without spaces, # and \\"),
            (r#","path":"/${user}""#, "path: ${user} is no placeholder; they are username"),
            (r#","path":"/","method":"PUT""#, "method: \"POST\" or \"GET\""),
            (r#","path":"/","method":"GET","body":{}"#, "body: only with method POST"),
            (r#","path":"/","method":"GET","body_type":"form""#, "body_type: only with method POST"),
            (r#","path":"/","body":[]"#, "body: an object"),
            (r#","path":"/","body":{"p":"${pass}"}"#, "body.p: ${pass} is no placeholder"),
            (r#","path":"/","body":{"p":{"q":[1,"${x}"]}}"#, "body.p.q[1]: ${x} is no placeholder"),
            (r#","path":"/","body_type":"form","body":{"p":1}"#, "body.p: a text or {\"secret\": \"NAME\"}"),
            (r#","path":"/","body_type":"xml""#, "body_type: \"json\" or \"form\""),
            (r#","path":"/","headers":1"#, "headers: an object"),
            (r#","path":"/","headers":{"a b":"x"}"#, "headers.a b: no name of a header field"),
            (r#","path":"/","headers":{"Host":"x"}"#, "headers.Host: the broker sets this field"),
            (r#","path":"/","headers":{"x":"1","X":"2"}"#, "headers.X: there twice"),
            (r#","path":"/","headers":{"x":"a\nb"}"#, "headers.x: has a control character"),
            (r#","path":"/","headers":{"x":"${y}"}"#, "headers.x: ${y} is no placeholder"),
            (r#","path":"/","user":1"#, "user: a text or {\"secret\": \"NAME\"}"),
            (r#","path":"/","unknown_user":"allow""#, "unknown_user: \"deny\" or \"continue\""),
            (r#","path":"/","timeout_seconds":5"#, "timeout_seconds: 1 to 4 seconds"),
            (r#","path":"/","cache_seconds":-1"#, "cache_seconds: 0 to 86400 seconds"),
            (
                r#","path":"/","cache_seconds":10,"cache_deny_seconds":11"#,
                "cache_deny_seconds: 0 to 10 seconds",
            ),
            (r#","path":"/","cache_entries":0"#, "cache_entries: 1 to 100000 entries"),
            (r#","path":"/","url":"http://h""#, "url: unknown; the members are endpoints"),
        ] {
            let text = format!("{{{endpoint}{members}}}");
            let error = Config::parse(&text).unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
        let error = Config::parse(r#"{"path":"/"}"#).unwrap_err();
        assert_eq!(error, "endpoints.http: needed; an object with HOST and PORT");
    }

    #[test]
    fn answers_are_not_cached_unless_the_configuration_says_so() {
        let text = r#"{"path":"/","endpoints":{"http":{}}}"#;
        assert_eq!(Config::parse(text).unwrap().cache.allow_ms, 0);
        let text = r#"{"path":"/","cache_seconds":60,"endpoints":{"http":{}}}"#;
        let cache = Config::parse(text).unwrap().cache;
        assert_eq!(cache, CacheSettings { allow_ms: 60_000, deny_ms: 5_000, entries: 10_000 });
    }
}
