//! A mail: its head, its body, and for whom it is.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, SinglePart};
use lettre::{Address, Message};
use lotmq_guest::route::{Delivery, Template, text_of};

use crate::config::{Body, Form};
use crate::html::escaped;

/// Recipients of one mail; servers take at least so many (RFC 5321, §4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;

/// Most bytes of a header line without a blank for folding. A line of a mail may have 998 (RFC
/// 5322, §2.1.1).
const UNFOLDED_BYTES_MAX: usize = 900;

/// Bytes of text in one encoded word. A word has at most 75 characters, in a line of 76 (RFC 2047,
/// §2) after the field name.
const ENCODED_BYTES_MAX: usize = 39;

/// A mail that can be handed over.
#[derive(Debug)]
pub(crate) struct Letter {
    /// Message-ID.
    pub(crate) id: String,
    pub(crate) from: Address,
    pub(crate) recipients: Vec<Address>,
    /// Head and body with line ends of the network.
    pub(crate) bytes: Vec<u8>,
}

/// Builds the mail of a message. Returns the reason if that is impossible.
pub(crate) fn letter(
    form: &Form,
    from: &Mailbox,
    delivery: &Delivery,
    now_ms: i64,
) -> Result<Letter, String> {
    let recipients = recipients(&form.recipient.filled(delivery))?;
    // A retry has the same id, so that a repeated mail can be recognized.
    let id = format!("<{}.{}.lotmq@{}>", delivery.received_ms, delivery.sequence, from.email.domain());
    let date = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    let mut builder = Message::builder().from(from.clone()).message_id(Some(id.clone())).date(date);
    for recipient in &recipients {
        builder = builder.to(recipient.clone());
    }
    if let Some(subject) = &form.subject {
        builder = with_subject(builder, on_one_line(&subject.filled(delivery)));
    }
    let message = builder.singlepart(part(&form.body, delivery)?).map_err(|error| error.to_string())?;
    let recipients = recipients.into_iter().map(|recipient| recipient.email).collect();
    Ok(Letter { id, from: from.email.clone(), recipients, bytes: message.formatted() })
}

/// Sets the subject: unchanged if blanks allow lines that servers accept, else as encoded words.
fn with_subject(builder: MessageBuilder, subject: String) -> MessageBuilder {
    if is_foldable(&subject) {
        return builder.subject(subject);
    }
    let encoded = encoded_words(&subject);
    let name = HeaderName::new_from_ascii_str("Subject");
    builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, subject, encoded))
}

/// Whether a text can be folded, before blanks, into lines of a head.
fn is_foldable(text: &str) -> bool {
    let (mut unfolded, mut last) = (0, b' ');
    text.bytes().all(|byte| {
        unfolded = if byte == b' ' && last != b' ' { 1 } else { unfolded + 1 };
        last = byte;
        unfolded <= UNFOLDED_BYTES_MAX
    })
}

/// Converts a text to encoded words of RFC 2047, each on its own line. Decoders drop the space
/// between them.
fn encoded_words(text: &str) -> String {
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.floor_char_boundary(ENCODED_BYTES_MAX));
        words.push(format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
        rest = behind;
    }
    words.join("\r\n ")
}

fn part(body: &Body, delivery: &Delivery) -> Result<SinglePart, String> {
    let plain =
        |text: String| SinglePart::builder().header(ContentType::TEXT_PLAIN).body(with_line_ends(&text));
    let html =
        |text: String| SinglePart::builder().header(ContentType::TEXT_HTML).body(with_line_ends(&text));
    Ok(match body {
        Body::Payload => plain(String::from_utf8_lossy(&delivery.message.payload).into_owned()),
        Body::Text(template) => plain(template.filled(delivery)),
        Body::Html(template) => html(with_escaped(template, delivery)),
        Body::Page(page) => html(page.filled(delivery)?),
    })
}

/// Converts line ends to CRLF. Servers reject a lone line feed or carriage return, because either
/// has been taken for the end of a mail.
fn with_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

fn with_escaped(template: &Template, delivery: &Delivery) -> String {
    let values = template.values(delivery);
    template.with(|place, _| {
        values.get(place - 1).map(|value| escaped(&text_of(value))).unwrap_or_default().into()
    })
}

/// The recipients of a list with commas between them (RFC 5322, §3.4).
fn recipients(list: &str) -> Result<Vec<Mailbox>, String> {
    let mut recipients = Vec::new();
    for name in split(&on_one_line(list)).into_iter().map(str::trim).filter(|name| !name.is_empty()) {
        let mailbox: Mailbox = name.parse().map_err(|_| format!("'{name}' is no address of mail"))?;
        if !mailbox.email.to_string().is_ascii() {
            return Err(format!(
                "'{name}' has letters beyond ASCII, which mail servers do not take everywhere"
            ));
        }
        recipients.push(mailbox);
    }
    match recipients.len() {
        0 => Err("it has no recipient".to_owned()),
        1..=RECIPIENTS_MAX => Ok(recipients),
        count => Err(format!("it has {count} recipients, of {RECIPIENTS_MAX}")),
    }
}

/// The addresses of a list: commas between quotation marks, and in comments, separate nothing.
fn split(list: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped, mut comments) = (false, false, 0_usize);
    list.split(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            _ if was_escaped => {}
            '\\' if is_quoted || comments > 0 => is_escaped = true,
            '"' if comments == 0 => is_quoted = !is_quoted,
            '(' if !is_quoted => comments += 1,
            ')' if !is_quoted => comments = comments.saturating_sub(1),
            ',' => return !is_quoted && comments == 0,
            _ => {}
        }
        false
    })
    .collect()
}

/// A text without line breaks and other controls: in a head they would begin another field.
fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_guest::route::{Addressee, Message as Published, PlaceholderValues, QoS, Value};

    fn delivery(values: &[(&str, &str)]) -> Delivery {
        let message = Published {
            topic: "alert/oven".to_owned(),
            payload: "line\n.dot ü".into(),
            qos: QoS::AtMostOnce,
            retain: false,
            client_id: String::new(),
        };
        let placeholders = values.iter().map(|(setting, value)| PlaceholderValues {
            setting: (*setting).to_owned(),
            values: vec![Value::Text((*value).to_owned())],
        });
        let to = Addressee::Event("E".to_owned());
        Delivery {
            sequence: 7,
            to,
            message,
            properties: None,
            received_ms: 5,
            placeholders: placeholders.collect(),
        }
    }

    fn template(setting: &str, before: &str, after: &str) -> Template {
        Template::new(setting, [before.to_owned(), after.to_owned()], ["x".to_owned()]).unwrap()
    }

    fn made(body: Body, values: &[(&str, &str)]) -> Result<String, String> {
        let form = Form {
            recipient: template("RECIPIENT", "ops@b.org,", ""),
            subject: Some(template("SUBJECT", "Alert ", "")),
            body,
        };
        let from: Mailbox = "Plant <bot@x.org>".parse().unwrap();
        let letter = letter(&form, &from, &delivery(values), 1_795_166_305_120)?;
        Ok(format!(
            "{:?}\n{}",
            letter.recipients.iter().map(ToString::to_string).collect::<Vec<_>>(),
            String::from_utf8(letter.bytes).unwrap()
        ))
    }

    #[test]
    fn a_mail_has_a_head_and_a_body() {
        let text = made(Body::Payload, &[("RECIPIENT", " Jo <jo@c.org>"), ("SUBJECT", "oven")]).unwrap();
        for part in [
            "[\"ops@b.org\", \"jo@c.org\"]\n",
            "From: Plant <bot@x.org>\r\n",
            "To: ops@b.org, Jo <jo@c.org>\r\n",
            "Subject: Alert oven\r\n",
            "Message-ID: <5.7.lotmq@x.org>\r\n",
            "Date: Fri, 20 Nov 2026 09:18:25 +0000\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches('\n').count() - 1, text.matches("\r\n").count(), "{text}");
        assert!(text.ends_with("\r\n\r\nline\r\n.dot =C3=BC\r\n"), "{text:?}");
    }

    #[test]
    fn no_value_writes_into_the_head_or_becomes_markup() {
        let html = Body::Html(template("BODY", "<p>", "</p>"));
        let values = [("SUBJECT", "x\r\nBcc: all@d.org\r\n\r\nbody"), ("BODY", "<b>&</b>")];
        let text = made(html, &values).unwrap();
        assert!(text.contains("Subject: Alert x  Bcc: all@d.org    body\r\n"), "{text}");
        assert!(!text.contains("\nBcc"), "{text}");
        assert!(text.contains("<p>&lt;b&gt;&amp;&lt;/b&gt;</p>"), "{text}");
        assert!(text.contains("Content-Type: text/html"), "{text}");
    }

    #[test]
    fn every_line_end_is_one_of_the_network() {
        assert_eq!(with_line_ends("a\r\nb\nc\r.\rRSET\r"), "a\r\nb\r\nc\r\n.\r\nRSET\r\n");
    }

    #[test]
    fn no_subject_makes_a_line_that_servers_refuse() {
        for subject in ["x".repeat(2_000), format!("a{}b", " ".repeat(2_000)), "ü".repeat(2_000)] {
            let text = made(Body::Payload, &[("RECIPIENT", " c@d.org"), ("SUBJECT", &subject)]).unwrap();
            let longest = text.lines().map(str::len).max().unwrap();
            assert!(longest <= 76, "a line of {longest} bytes: {text}");
            let (_, field) = text.split_once("Subject: ").unwrap();
            let words = field.split("\r\n").map_while(|line| line.trim_start().strip_prefix("=?utf-8?b?"));
            let decoded = words.map(|word| STANDARD.decode(word.strip_suffix("?=").unwrap()).unwrap());
            let decoded = decoded.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(decoded.collect::<String>(), format!("Alert {subject}"));
        }
        let text = made(Body::Payload, &[("RECIPIENT", " c@d.org"), ("SUBJECT", &"x".repeat(800))]).unwrap();
        assert!(text.contains(&format!("\r\n {}\r\n", "x".repeat(800))), "as it is: {text}");
    }

    #[test]
    fn commas_in_names_separate_nothing() {
        for (list, expected) in [
            (r#""Doe, Jo" <jo@example.org>"#, &["jo@example.org"][..]),
            (r#""Doe, Jo" <jo@example.org>, max@example.org"#, &["jo@example.org", "max@example.org"]),
            (r#""Doe \"J\", Jo" <jo@example.org>,a@b.org"#, &["jo@example.org", "a@b.org"]),
            (r#"a@b.org,"x\\" <c@d.org>"#, &["a@b.org", "c@d.org"]),
        ] {
            let found = recipients(list).unwrap();
            let found: Vec<_> = found.iter().map(|recipient| recipient.email.to_string()).collect();
            assert_eq!(found, expected, "{list}");
        }
        assert!(recipients(r#""Doe, Jo <jo@example.org>"#).is_err(), "the quotation mark does not end");
    }

    #[test]
    fn what_is_no_recipient_is_told() {
        for (list, told) in [
            ("", "it has no recipient"),
            (" , ", "it has no recipient"),
            ("a@b, nobody", "'nobody' is no address of mail"),
            ("a@b>\r\nRCPT TO:<x@y", "'a@b>  RCPT TO:<x@y' is no address of mail"),
            ("ö@b.org", "'ö@b.org' has letters beyond ASCII, which mail servers do not take everywhere"),
        ] {
            assert_eq!(recipients(list).unwrap_err(), told, "{list}");
        }
        let many = vec!["a@b.org"; 101].join(",");
        assert_eq!(recipients(&many).unwrap_err(), "it has 101 recipients, of 100");
    }
}
