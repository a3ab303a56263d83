//! Texts with placeholders for what a login says, by the names that they have in EMQX.

use std::borrow::Cow;
use std::net::SocketAddr;

use lotmq_guest::auth::Login;

use crate::common_name;
use crate::escape::Escape;

/// Bytes of a value, a certificate excepted. A longer one keeps the client out.
pub const VALUE_BYTES_MAX: usize = 4_096;

/// Bytes of a certificate in PEM form.
const PEM_BYTES_MAX: usize = 32 * 1_024;

/// Something that a login says. It is empty if the login does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// User name.
    Username,
    /// Password.
    Password,
    /// Client Identifier; empty if the broker is to choose it.
    ClientId,
    /// IP address of the client.
    PeerHost,
    /// Port of the client.
    PeerPort,
    /// Server name that the client asked for in TLS.
    PeerSni,
    /// Subject of the client's certificate.
    CertSubject,
    /// Common name of the client's certificate.
    CertCommonName,
    /// The client's certificate.
    CertPem,
    /// Name of the listener.
    Listener,
    /// Version of MQTT, as in CONNECT: 3, 4 or 5.
    ProtoVer,
}

/// Placeholders with their names.
const NAMES: [(&str, Placeholder); 11] = [
    ("username", Placeholder::Username),
    ("password", Placeholder::Password),
    ("clientid", Placeholder::ClientId),
    ("peerhost", Placeholder::PeerHost),
    ("peerport", Placeholder::PeerPort),
    ("peersni", Placeholder::PeerSni),
    ("cert_subject", Placeholder::CertSubject),
    ("cert_common_name", Placeholder::CertCommonName),
    ("cert_pem", Placeholder::CertPem),
    ("listener", Placeholder::Listener),
    ("proto_ver", Placeholder::ProtoVer),
];

/// A value of a login that cannot stand where a template has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Placeholder.
    pub placeholder: Placeholder,
    /// Reason, behind the name of the placeholder.
    pub reason: &'static str,
}

impl Unfit {
    /// Reason in words, without the value.
    pub fn text(self) -> String {
        format!("the value of {} {}", self.placeholder.name(), self.reason)
    }
}

impl Placeholder {
    /// Its name in a template.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Its value in a login.
    ///
    /// # Errors
    /// The value is too long.
    pub fn value(self, login: &Login) -> Result<Cow<'_, [u8]>, Unfit> {
        let certificate = login.certificate.as_ref();
        let address = || login.endpoint.parse::<SocketAddr>().ok();
        let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let value: Cow<'_, [u8]> = match self {
            Placeholder::Username => login.user.as_deref().unwrap_or_default().as_bytes().into(),
            Placeholder::Password => login.password.as_deref().unwrap_or_default().into(),
            Placeholder::ClientId => login.client_id.as_bytes().into(),
            Placeholder::Listener => login.listener.as_bytes().into(),
            Placeholder::PeerSni => text(&login.server_name).into_bytes().into(),
            Placeholder::PeerHost => {
                address().map(|at| at.ip().to_string()).unwrap_or_default().into_bytes().into()
            }
            Placeholder::PeerPort => {
                address().map(|at| at.port().to_string()).unwrap_or_default().into_bytes().into()
            }
            Placeholder::CertSubject => {
                certificate.map(|shown| shown.subject.as_bytes()).unwrap_or_default().into()
            }
            Placeholder::CertCommonName => certificate
                .and_then(|shown| common_name(&shown.subject))
                .unwrap_or_default()
                .into_bytes()
                .into(),
            Placeholder::CertPem => certificate.map(|shown| shown.pem.as_bytes()).unwrap_or_default().into(),
            Placeholder::ProtoVer => login.protocol_version.to_string().into_bytes().into(),
        };
        let most = if self == Placeholder::CertPem { PEM_BYTES_MAX } else { VALUE_BYTES_MAX };
        if value.len() > most {
            return Err(Unfit { placeholder: self, reason: "is too long" });
        }
        Ok(value)
    }
}

/// Text with placeholders: `${username}`. `${$}` stands for `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<TemplatePart>,
}

/// TemplatePart of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text as it is.
    Text(String),
    /// Place of a value.
    Placeholder(Placeholder),
}

impl Template {
    /// A text without placeholders.
    pub fn fixed(text: &str) -> Template {
        Template { parts: vec![TemplatePart::Text(text.to_owned())] }
    }

    /// Reads a template.
    ///
    /// # Errors
    /// It has a placeholder that does not exist, or one without an end.
    pub fn parse(text: &str) -> Result<Template, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find("${") {
            let (before, behind) = (&rest[..at], &rest[at + 2..]);
            let (name, after) = behind.split_once('}').ok_or("a placeholder has no }")?;
            plain.push_str(before);
            rest = after;
            if name == "$" {
                plain.push('$');
                continue;
            }
            let Some((_, placeholder)) = NAMES.iter().find(|(known, _)| *known == name) else {
                let name: String = name.chars().take(64).collect();
                let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                let known = known.join(", ");
                return Err(format!("${{{}}} is no placeholder; they are {known}", name.escape_debug()));
            };
            if !plain.is_empty() {
                parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
            }
            parts.push(TemplatePart::Placeholder(*placeholder));
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(plain));
        }
        Ok(Template { parts })
    }

    /// Parts in their order.
    pub fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }

    /// Its text around the placeholders.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Text(text) => Some(text.as_str()),
            TemplatePart::Placeholder(_) => None,
        })
    }

    /// Placeholders in their order.
    pub fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Text(_) => None,
            TemplatePart::Placeholder(placeholder) => Some(*placeholder),
        })
    }

    /// The text with the values of a login, each escaped.
    ///
    /// # Errors
    /// A value cannot stand there.
    pub fn render(&self, login: &Login, escape: Escape) -> Result<Vec<u8>, Unfit> {
        let mut rendered = Vec::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => rendered.extend_from_slice(text.as_bytes()),
                TemplatePart::Placeholder(placeholder) => {
                    let value = placeholder.value(login)?;
                    escape(&value, &mut rendered)
                        .map_err(|reason| Unfit { placeholder: *placeholder, reason })?;
                }
            }
        }
        Ok(rendered)
    }

    /// The text with the values of a login, which have to be UTF-8.
    ///
    /// # Errors
    /// A value cannot stand there.
    pub fn render_text(&self, login: &Login) -> Result<String, Unfit> {
        let rendered = self.render(login, crate::escape::text)?;
        // Each part is UTF-8.
        Ok(String::from_utf8(rendered).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape;
    use lotmq_guest::auth::testing::login;

    #[test]
    fn placeholders_stand_for_what_a_login_says() {
        let mut login = login("ann", "s3cret");
        login.endpoint = "[2001:db8::1]:7000".to_owned();
        login.server_name = Some("plant.example".to_owned());
        let text = "${username}|${clientid}|${peerhost}|${peerport}|${peersni}|${listener}|${proto_ver}|${cert_pem}|${$}{x}|$|{y}";
        let template = Template::parse(text).unwrap();
        let expected = "ann|ann|2001:db8::1|7000|plant.example|mqtt|5||${x}|$|{y}";
        assert_eq!(template.render_text(&login).unwrap(), expected);
        login.endpoint = "unix".to_owned();
        login.user = None;
        let template = Template::parse("<${username}${peerhost}>").unwrap();
        assert_eq!(template.render_text(&login).unwrap(), "<>");
        for (text, reason) in [
            ("${user}", "${user} is no placeholder; they are username, password, clientid"),
            ("${username", "a placeholder has no }"),
            ("${}", "${} is no placeholder"),
        ] {
            assert!(Template::parse(text).unwrap_err().starts_with(reason), "{text}");
        }
    }

    #[test]
    fn value_that_does_not_fit_is_named_and_not_shown() {
        let mut login = login("ann", "p");
        login.password = Some(vec![b'x'; VALUE_BYTES_MAX + 1]);
        let template = Template::parse("p=${password}").unwrap();
        let unfit = template.render(&login, escape::component).unwrap_err();
        assert_eq!(unfit.text(), "the value of password is too long");
        login.password = Some(b"\xFF\n".to_vec());
        assert_eq!(template.render(&login, escape::component).unwrap(), b"p=%FF%0A");
        assert_eq!(template.render_text(&login).unwrap_err().text(), "the value of password is no UTF-8");
        let header = template.render(&login, escape::header).unwrap_err().text();
        assert_eq!(header, "the value of password has a control character, which no header field holds");
    }
}
