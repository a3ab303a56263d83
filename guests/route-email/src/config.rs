//! Configuration: the server, the sender, and the parts of the mail for each event and mapping.

use std::collections::BTreeMap;
use std::io::Read as _;

use lettre::message::Mailbox;
use lotmq_guest::route::files::Folder;
use lotmq_guest::route::{Failure, Template};
use route_settings::{Configuration, Settings};

use crate::html::Page;

/// JSON Schema of what is known of the settings.
pub(crate) const SCHEMA: &str = r#"{"properties":{"sections":{"required":["SMTP_CONFIG"],"properties":{"SMTP_CONFIG":{"additionalProperties":false,"properties":{
"USERNAME":{"type":"string","minLength":1},"PASSWORD":{"type":"string"},"FROM":{"type":"string","minLength":1}}}}}}}"#;

/// Bytes of a template file.
const TEMPLATE_BYTES_MAX: u64 = 1024 * 1024;

/// Port at which servers talk TLS from the first byte.
const SECURE_PORT: u64 = 465;

/// When the connection goes on with TLS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Protection {
    /// The host has done it before the first byte.
    FromTheStart,
    /// The server must offer it.
    StartTls,
    /// When the server offers it; without it no password is sent.
    WhenOffered,
    Never,
}

/// Templates of a mail.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) recipient: Template,
    pub(crate) subject: Option<Template>,
    pub(crate) body: Body,
}

/// Content of a mail.
#[derive(Debug)]
pub(crate) enum Body {
    /// The payload.
    Payload,
    Text(Template),
    /// HTML in which values are escaped.
    Html(Template),
    Page(Page),
}

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) from: Mailbox,
    pub(crate) login: Option<(String, String)>,
    pub(crate) protection: Protection,
    pub(crate) events: BTreeMap<String, Form>,
    pub(crate) mappings: BTreeMap<String, Form>,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
        let configuration = Configuration::parse(text)?;
        let section = configuration.section("SMTP_CONFIG");
        let user = section.text("USERNAME")?;
        let from = section.text("FROM")?.or_else(|| user.clone());
        let from = from.ok_or_else(|| Failure::Fatal("SMTP_CONFIG needs FROM or USERNAME".to_owned()))?;
        let wrong = |_| section.wrong("FROM", &format!("is '{from}', which is no address of mail"));
        let login = match user {
            Some(user) => section.text("PASSWORD")?.map(|password| (user, password)),
            None => None,
        };
        let form = |block: Settings<'_>| Ok((block.name().to_owned(), form(&block)?));
        Ok(Config {
            from: from.parse().map_err(wrong)?,
            login,
            protection: protection(&section),
            events: configuration.events().map(form).collect::<Result<_, Failure>>()?,
            mappings: configuration.mappings().map(form).collect::<Result<_, Failure>>()?,
        })
    }
}

fn protection(section: &Settings<'_>) -> Protection {
    if section.number("PORT") == Some(SECURE_PORT) {
        return Protection::FromTheStart;
    }
    match section.raw("USE_TLS").is_null() {
        true => Protection::WhenOffered,
        false if section.is("USE_TLS") => Protection::StartTls,
        false => Protection::Never,
    }
}

fn form(block: &Settings<'_>) -> Result<Form, Failure> {
    let recipient = block.template("RECIPIENT");
    let recipient = recipient.ok_or_else(|| Failure::Fatal(format!("{} needs RECIPIENT", block.name())))?;
    let body = match (block.text("TEMPLATE_PATH")?, block.template("BODY")) {
        (Some(_), Some(_)) => return Err(block.wrong("BODY", "is there as well as TEMPLATE_PATH")),
        (Some(path), None) => Body::Page(page(block, &path)?),
        (None, Some(body)) if is_html(&body) => Body::Html(body),
        (None, Some(body)) => Body::Text(body),
        (None, None) => Body::Payload,
    };
    Ok(Form { recipient, subject: block.template("SUBJECT"), body })
}

/// Whether a body is HTML: by how its own text begins, whatever a message has in it.
fn is_html(body: &Template) -> bool {
    let text = body.texts().first().map(|text| text.trim_start().to_ascii_lowercase()).unwrap_or_default();
    text.starts_with('<') && text[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '!')
}

/// Reads a file of a template, in the folder that the host gives for it.
fn page(block: &Settings<'_>, path: &str) -> Result<Page, Failure> {
    let wrong = |reason: String| block.wrong("TEMPLATE_PATH", &format!("is '{path}': {reason}"));
    let folder = Folder::named(&format!("template:{}", block.name()));
    let name = path.rsplit('/').next().unwrap_or(path);
    let file = folder.open(name).map_err(|error| wrong(format!("{error:?}")))?;
    let mut text = Vec::new();
    file.take(TEMPLATE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > TEMPLATE_BYTES_MAX {
        return Err(wrong(format!("it has more than {TEMPLATE_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(text).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
    Page::parse(&text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(section: &str, event: &str) -> Result<Config, String> {
        let text = format!(
            r#"{{"sections":{{"SMTP_CONFIG":{section}}},"events":{{"E":{event}}},"mappings":{{"M":{{"RECIPIENT":"a@b"}}}}}}"#
        );
        Config::parse(&text).map_err(|failure| match failure {
            Failure::Fatal(reason) => reason,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn settings_become_forms() {
        let config = parse(
            r#"{"HOST":"h","USERNAME":"bot@x.org","PASSWORD":"p"}"#,
            r#"{"RECIPIENT":"a@b","SUBJECT":"s","BODY":{"template":[" <p>",""],"placeholders":["payload"]}}"#,
        )
        .unwrap();
        assert_eq!(config.from.to_string(), "bot@x.org");
        assert_eq!(config.login, Some(("bot@x.org".into(), "p".into())));
        assert!(matches!(config.events["E"].body, Body::Html(_)));
        assert!(matches!(config.mappings["M"].body, Body::Payload));
        for (section, protection) in [
            (r#"{"FROM":"a@b"}"#, Protection::WhenOffered),
            (r#"{"FROM":"a@b","PORT":465}"#, Protection::FromTheStart),
            (r#"{"FROM":"a@b","PORT":"465","USE_TLS":true}"#, Protection::FromTheStart),
            (r#"{"FROM":"a@b","USE_TLS":"true"}"#, Protection::StartTls),
            (r#"{"FROM":"a@b","PORT":25,"USE_TLS":false}"#, Protection::Never),
        ] {
            assert_eq!(parse(section, r#"{"RECIPIENT":"a@b"}"#).unwrap().protection, protection, "{section}");
        }
    }

    #[test]
    fn what_makes_no_mail_is_told() {
        let good = r#"{"FROM":"Plant <a@b>"}"#;
        for (section, event, told) in [
            ("{}", "{}", "SMTP_CONFIG needs FROM or USERNAME"),
            (r#"{"FROM":"nobody"}"#, "{}", "SMTP_CONFIG: FROM is 'nobody', which is no address of mail"),
            (good, "{}", "E needs RECIPIENT"),
            (
                good,
                r#"{"RECIPIENT":"a@b","BODY":"x","TEMPLATE_PATH":"y"}"#,
                "E: BODY is there as well as TEMPLATE_PATH",
            ),
        ] {
            assert_eq!(parse(section, event).unwrap_err(), told);
        }
    }
}
