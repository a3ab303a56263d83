//! A session with a mail server (RFC 5321), over any stream.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Address;
use lotmq_guest::route::Failure;
use smtp_proto::Error;
use smtp_proto::response::parser::ResponseReceiver;

use crate::letter::Letter;

/// Bytes of one read.
const PIECE_BYTES: usize = 4096;

/// Lines that a server may answer with; the crate bounds their length.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// Letters of what was sent that are masked where a server repeats a part of it.
const REPEATED_CHARS_MIN: usize = 8;

/// Reply of the server.
#[derive(Debug)]
struct Reply {
    code: u16,
    text: String,
}

/// Extensions that a server offers.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Offers {
    pub(crate) start_tls: bool,
    plain: bool,
    login: bool,
}

/// Recipients that have not got a mail.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Left {
    /// Recipients for a later try, with the answers of the server.
    pub(crate) later: Vec<(Address, String)>,
    /// Recipients that were refused for good, with the answers of the server.
    pub(crate) refused: Vec<String>,
}

/// A session.
pub(crate) struct Session<S> {
    stream: S,
    /// Bytes from the server after the last reply.
    received: Vec<u8>,
}

impl<S: Read + Write> Session<S> {
    /// Waits for the greeting.
    pub(crate) fn greeted(stream: S) -> Result<Session<S>, Failure> {
        let mut session = Session { stream, received: Vec::new() };
        let greeting = session.reply()?;
        match greeting.code {
            220 => Ok(session),
            _ => Err(Failure::Reconnect(greeting.described("does not want to talk"))),
        }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Says hello; what the server offers.
    pub(crate) fn hello(&mut self) -> Result<Offers, Failure> {
        let reply = self.command("EHLO lotmq.invalid")?;
        match reply.code {
            250 => Ok(Offers::of(&reply.text)),
            _ => Err(Failure::Reconnect(reply.described("answers EHLO"))),
        }
    }

    /// Asks for TLS. Rejects plain-text bytes after the answer, which would otherwise count as
    /// protected.
    pub(crate) fn wants_tls(&mut self) -> Result<(), Failure> {
        let reply = self.command("STARTTLS")?;
        match (reply.code, self.received.is_empty()) {
            (220, true) => Ok(()),
            (220, false) => Err(Failure::Reconnect("the server talks before TLS has begun".to_owned())),
            _ => Err(Failure::Reconnect(reply.described("answers STARTTLS"))),
        }
    }

    /// Logs in, by the way that the server offers.
    pub(crate) fn log_in(&mut self, offers: &Offers, user: &str, password: &str) -> Result<(), Failure> {
        let in_one = STANDARD.encode(format!("\0{user}\0{password}"));
        let answers = [user, password].map(|answer| STANDARD.encode(answer));
        let mut reply = if offers.plain {
            self.command(&format!("AUTH PLAIN {in_one}"))?
        } else if offers.login {
            let mut reply = self.command("AUTH LOGIN")?;
            for answer in &answers {
                if reply.code == 334 {
                    reply = self.command(answer)?;
                }
            }
            reply
        } else {
            return Err(Failure::Fatal("the server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned()));
        };
        // Some servers repeat what they refuse.
        let [of_user, of_password] = &answers;
        reply.text = without_sent(&reply.text, &[&in_one, of_user, of_password]);
        match reply.code {
            235 => Ok(()),
            400..500 => Err(Failure::Reconnect(reply.described("answers AUTH"))),
            _ => Err(Failure::Fatal(reply.described("does not let us in"))),
        }
    }

    /// Hands a mail over for some of its recipients; to whom it was not sent.
    pub(crate) fn send(&mut self, letter: &Letter, recipients: &[Address]) -> Result<Left, Failure> {
        self.expect(&format!("MAIL FROM:<{}>", letter.from), 250)?;
        let mut left = Left::default();
        let mut taken = 0;
        for recipient in recipients {
            let reply = self.command(&format!("RCPT TO:<{recipient}>"))?;
            match reply.code {
                250..=252 => taken += 1,
                421 => return Err(Failure::Reconnect(reply.described("ends the session"))),
                400..500 => {
                    let reason = reply.described(&format!("does not take {recipient} now"));
                    left.later.push((recipient.clone(), reason));
                }
                _ => left.refused.push(reply.described(&format!("refuses {recipient}"))),
            }
        }
        if taken == 0 {
            self.forget()?;
            return Ok(left);
        }
        self.expect("DATA", 354)?;
        self.write(&stuffed(&letter.bytes))?;
        let reply = self.reply()?;
        if reply.code == 250 { Ok(left) } else { Err(reply.failure()) }
    }

    /// Cancels a started mail. Fails if the session has ended.
    pub(crate) fn forget(&mut self) -> Result<(), Failure> {
        self.expect("RSET", 250)
    }

    /// Says goodbye.
    pub(crate) fn quit(&mut self) {
        // It is over either way.
        let _ = self.write(b"QUIT\r\n");
    }

    fn expect(&mut self, command: &str, code: u16) -> Result<(), Failure> {
        let reply = self.command(command)?;
        if reply.code == code { Ok(()) } else { Err(reply.failure()) }
    }

    fn command(&mut self, command: &str) -> Result<Reply, Failure> {
        self.write(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        written.map_err(|error| Failure::Reconnect(format!("the server cannot be written to: {error}")))
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        let broken = |reason: String| Failure::Reconnect(reason);
        let mut receiver = ResponseReceiver::default();
        let mut seen = 0;
        loop {
            let mut bytes = self.received.iter();
            let parsed = receiver.parse(&mut bytes);
            let left = bytes.as_slice().to_vec();
            self.received = left;
            match parsed {
                Ok(response) => return Ok(Reply { code: response.code(), text: response.message().clone() }),
                Err(Error::NeedsMoreData { .. }) => {}
                Err(error) => return Err(broken(format!("the server talks no SMTP: {error:?}"))),
            }
            let mut piece = [0; PIECE_BYTES];
            let read = self.stream.read(&mut piece);
            let read = read.map_err(|error| broken(format!("the server does not answer: {error}")))?;
            seen += read;
            match read {
                0 => return Err(broken("the server has ended the session".to_owned())),
                _ if seen > REPLY_BYTES_MAX => {
                    return Err(broken(format!("the answer has more than {REPLY_BYTES_MAX} bytes")));
                }
                _ => self.received.extend_from_slice(&piece[..read]),
            }
        }
    }
}

impl Offers {
    /// Those of the lines of a hello, of which the first is the server's name.
    fn of(lines: &str) -> Offers {
        let mut offers = Offers::default();
        for line in lines.lines().skip(1) {
            let line = line.trim().to_ascii_uppercase();
            offers.start_tls |= line == "STARTTLS";
            if let Some(ways) = line.strip_prefix("AUTH").filter(|ways| ways.starts_with([' ', '='])) {
                let mut ways = ways[1..].split_whitespace();
                offers.plain |= ways.clone().any(|way| way == "PLAIN");
                offers.login |= ways.any(|way| way == "LOGIN");
            }
        }
        offers
    }
}

impl Reply {
    /// Returns the failure for a negative reply. A server that requires a login never accepts mail
    /// without one.
    fn failure(&self) -> Failure {
        let reason = self.described("refuses the mail");
        match self.code {
            421 => Failure::Reconnect(reason),
            530 | 534 | 538 => Failure::Fatal(reason),
            500..600 => Failure::Reject(reason),
            400..500 => Failure::Retry(reason),
            _ => Failure::Reconnect(self.described("answers out of turn")),
        }
    }

    fn described(&self, what: &str) -> String {
        let text: String =
            self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
        format!("the server {what}: {} {}", self.code, text.trim()).trim_end().to_owned()
    }
}

/// Masks base64 texts in a server's reply that were sent to it before. This affects each word that
/// equals one, is a part of one, or contains one. Ignores parts shorter than
/// [`REPEATED_CHARS_MIN`], which match by chance.
fn without_sent(text: &str, sent: &[&str]) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let is_sent = |word: &str| {
        let word = word.trim_end_matches('=');
        sent.iter().map(|sent| sent.trim_end_matches('=')).any(|sent| {
            let (short, long) = if word.len() < sent.len() { (word, sent) } else { (sent, word) };
            !short.is_empty() && (short == long || short.len() >= REPEATED_CHARS_MIN && long.contains(short))
        })
    };
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.find(|c| !is_letter(c)).unwrap_or(rest.len()));
        kept.push_str(if is_sent(word) { "***" } else { word });
        let (between, next) = behind.split_at(behind.find(is_letter).unwrap_or(behind.len()));
        kept.push_str(between);
        rest = next;
    }
    kept
}

/// A mail as it is sent behind DATA: no line of it is taken for its end.
fn stuffed(bytes: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(bytes.len() + 5);
    let mut begins_line = true;
    for byte in bytes {
        if begins_line && *byte == b'.' {
            stuffed.push(b'.');
        }
        stuffed.push(*byte);
        begins_line = *byte == b'\n';
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::io;

    /// Test server that sends these replies in sequence, one after each command.
    struct Scripted {
        says: VecDeque<&'static str>,
        heard: Vec<u8>,
    }

    impl Read for Scripted {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let Some(said) = self.says.pop_front() else { return Ok(0) };
            bytes[..said.len()].copy_from_slice(said.as_bytes());
            Ok(said.len())
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn session(says: &[&'static str]) -> Session<Scripted> {
        let says = [&["220 hi\r\n"], says].concat().into();
        Session::greeted(Scripted { says, heard: Vec::new() }).unwrap()
    }

    fn heard(session: &Session<Scripted>) -> String {
        String::from_utf8(session.stream.heard.clone()).unwrap()
    }

    fn letter(recipients: &[&str]) -> Letter {
        let recipients = recipients.iter().map(|one| one.parse().unwrap()).collect();
        Letter {
            id: String::new(),
            from: "a@b.org".parse().unwrap(),
            recipients,
            bytes: b"Subject: x\r\n\r\n.one\r\n..two".to_vec(),
        }
    }

    #[test]
    fn a_session_runs_from_hello_to_the_mail() {
        let mut session = session(&[
            "250-mail\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 AUTH",
            " LOGIN PLAIN\r\n",
            "235 in\r\n",
            "250 ok\r\n",
            "250 ok\r\n",
            "354 go\r\n",
            "250 queued\r\n",
        ]);
        let offers = session.hello().unwrap();
        assert_eq!(offers, Offers { start_tls: true, plain: true, login: true });
        session.log_in(&offers, "u", "p").unwrap();
        let letter = letter(&["c@d.org"]);
        assert_eq!(session.send(&letter, &letter.recipients).unwrap(), Left::default());
        assert_eq!(
            heard(&session),
            "EHLO lotmq.invalid\r\nAUTH PLAIN AHUAcA==\r\nMAIL FROM:<a@b.org>\r\nRCPT TO:<c@d.org>\r\nDATA\r\nSubject: x\r\n\r\n..one\r\n...two\r\n.\r\n"
        );
    }

    #[test]
    fn login_takes_the_way_that_is_offered() {
        let offers = Offers { login: true, ..Offers::default() };
        let mut good = session(&["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n", "235 in\r\n"]);
        good.log_in(&offers, "u", "p").unwrap();
        assert_eq!(heard(&good), "AUTH LOGIN\r\ndQ==\r\ncA==\r\n");
        let told = session(&["535 5.7.8 no\r\n"]).log_in(&offers, "u", "p");
        assert!(
            matches!(told, Err(Failure::Fatal(reason)) if reason == "the server does not let us in: 535 no")
        );
        let told = session(&["454 later\r\n"]).log_in(&offers, "u", "p");
        assert!(matches!(told, Err(Failure::Reconnect(_))));
        assert!(matches!(session(&[]).log_in(&Offers::default(), "u", "p"), Err(Failure::Fatal(_))));
    }

    #[test]
    fn what_was_sent_for_the_login_is_not_passed_on() {
        let (user, password) = ("xoxo@example.org", "kp-secret-77");
        let in_one = STANDARD.encode(format!("\0{user}\0{password}"));
        let of_password = STANDARD.encode(password);
        let refused = |says: &str| says.replace("IN_ONE", &in_one).replace("WORD", &of_password);
        let plain = Offers { plain: true, ..Offers::default() };
        let login = Offers { login: true, ..Offers::default() };
        let begin = ["334 VXNlcm5hbWU6\r\n", "334 UGFzc3dvcmQ6\r\n"];
        for (offers, before, says, told) in [
            (&plain, &[][..], "535 failed: AUTH PLAIN IN_ONE", "failed: AUTH PLAIN ***"),
            (&plain, &[], "535 failed: <AUTH PLAIN IN_ONE>, 'IN_ONE'", "failed: <AUTH PLAIN ***>, '***'"),
            (&plain, &[], "535 base64:IN_ONEx", "base64:***"),
            (&login, &begin, "535 bad password (WORD)", "bad password (***)"),
            (&login, &begin, "454 WORD: later, authentication is away", "***: later, authentication is away"),
        ] {
            let says: &'static str = format!("{}\r\n", refused(says)).leak();
            let failure = session(&[before, &[says]].concat()).log_in(offers, user, password).unwrap_err();
            let (Failure::Fatal(reason) | Failure::Reconnect(reason)) = failure else {
                panic!("{failure:?}")
            };
            assert!(reason.ends_with(told), "{reason}");
        }
        let cut: &'static str = format!("535 AUTH PLAIN {}\r\n", &in_one[..24]).leak();
        let failure = session(&[cut]).log_in(&plain, user, password).unwrap_err();
        assert!(format!("{failure:?}").contains("AUTH PLAIN ***"), "{failure:?}");
        let long: &'static str = format!("535 {}{in_one}\r\n", " ".repeat(360)).leak();
        let failure = session(&[long]).log_in(&plain, user, password).unwrap_err();
        assert!(!format!("{failure:?}").contains(&in_one[..9]), "{failure:?}");
    }

    #[test]
    fn each_recipient_is_heeded_by_itself() {
        let letter = letter(&["a@x.org", "b@x.org", "c@x.org"]);
        let mut some = session(&[
            "250 ok\r\n",
            "550 no such user\r\n",
            "450 busy\r\n",
            "250 ok\r\n",
            "354 go\r\n",
            "250 ok\r\n",
        ]);
        let left = some.send(&letter, &letter.recipients).unwrap();
        assert_eq!(
            left.later,
            [(letter.recipients[1].clone(), "the server does not take b@x.org now: 450 busy".to_owned())]
        );
        assert_eq!(left.refused, ["the server refuses a@x.org: 550 no such user"]);
        let mut none = session(&["250 ok\r\n", "550 no\r\n", "550 no\r\n", "550 no\r\n", "250 ok\r\n"]);
        let left = none.send(&letter, &letter.recipients).unwrap();
        assert_eq!((left.later.len(), left.refused.len()), (0, 3));
        assert!(heard(&none).ends_with("RSET\r\n"));
    }

    #[test]
    fn what_the_server_says_decides_what_becomes_of_a_mail() {
        let letter = letter(&["a@x.org"]);
        for (says, class) in [
            (&["550 no\r\n"][..], "Reject"),
            (&["451 later\r\n"], "Retry"),
            (&["421 bye\r\n"], "Reconnect"),
            (&["530 log in\r\n"], "Fatal"),
            (&["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "554 spam\r\n"], "Reject"),
            (&["250 ok\r\n", "250 ok\r\n", "354 go\r\n", "452 full\r\n"], "Retry"),
            (&["250 ok\r\n", "421 bye\r\n"], "Reconnect"),
            (&["250 ok\r\n", "250 ok\r\n"], "Reconnect"),
            (&["HTTP/1.1 400 Bad\r\n"], "Reconnect"),
            (&["220 what\r\n"], "Reconnect"),
        ] {
            let failure = session(says).send(&letter, &letter.recipients).unwrap_err();
            assert!(format!("{failure:?}").contains(class), "{says:?}: {failure:?}");
        }
    }

    #[test]
    fn nothing_of_before_tls_is_taken_for_protected() {
        assert!(session(&["220 go\r\n"]).wants_tls().is_ok());
        assert!(session(&["220 go\r\n250 injected\r\n"]).wants_tls().is_err());
        assert!(session(&["454 no\r\n"]).wants_tls().is_err());
        let scripted = Scripted { says: ["554 go away\r\n"].into(), heard: Vec::new() };
        assert!(
            matches!(Session::greeted(scripted), Err(Failure::Reconnect(reason)) if reason.contains("554 go away"))
        );
        let endless = Scripted { says: vec!["250-x\r\n"; 20_000].into(), heard: Vec::new() };
        assert!(Session::greeted(endless).is_err());
    }
}
