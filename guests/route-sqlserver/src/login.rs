//! Login before statements: PRELOGIN, TLS, LOGIN7 (\[MS-TDS\] §2.2.6.4, §2.2.6.5).

use crate::fault::{Fault, broken};
use crate::limits::LOGIN_CHARACTERS_MAX;
use crate::options::{Options, Protection};
use crate::source::{Source, as_utf16};

/// Options of PRELOGIN.
const VERSION: u8 = 0;
const ENCRYPTION: u8 = 1;
const INSTANCE: u8 = 2;
const THREAD: u8 = 3;
const SEVERAL_RESULTS: u8 = 4;
const END: u8 = 0xff;

/// PRELOGIN values for TLS: not supported, on, and required.
const NOT_SUPPORTED: u8 = 2;
const ON: u8 = 1;
const REQUIRED: u8 = 3;

/// Version 7.4 of the protocol, and 8.0, which is within TLS from the beginning.
const TDS_7_4: u32 = 0x7400_0004;
const TDS_8_0: u32 = 0x0800_0000;

/// Bytes of a LOGIN7 before its texts.
const FIXED_BYTES: usize = 94;

/// Credentials of a login.
pub(crate) struct Login<'a> {
    pub(crate) server: &'a str,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) database: &'a str,
    pub(crate) options: &'a Options,
}

/// A PRELOGIN.
pub(crate) fn prelogin(protection: Protection) -> Vec<u8> {
    let encryption = match protection {
        Protection::InTds => ON,
        // Below TLS there is no other.
        Protection::None | Protection::Strict => NOT_SUPPORTED,
    };
    let options: [(u8, &[u8]); 5] = [
        (VERSION, &[1, 0, 0, 0, 0, 0]),
        (ENCRYPTION, &[encryption]),
        (INSTANCE, &[0]),
        (THREAD, &[0; 4]),
        (SEVERAL_RESULTS, &[0]),
    ];
    let (mut heads, mut values) = (Vec::new(), Vec::new());
    let mut at = u16::try_from(options.len() * 5 + 1).unwrap_or_default();
    for (option, value) in options {
        let length = u16::try_from(value.len()).unwrap_or_default();
        heads.push(option);
        heads.extend(at.to_be_bytes());
        heads.extend(length.to_be_bytes());
        values.extend_from_slice(value);
        at += length;
    }
    heads.push(END);
    [heads, values].concat()
}

/// Checks what the server answers of TLS.
pub(crate) fn check_prelogin(answer: &[u8], protection: Protection) -> Result<(), Fault> {
    let said = said_of_encryption(answer).ok_or_else(|| broken("an answer to PRELOGIN that is none"))?;
    match (protection, said) {
        (Protection::Strict, _) | (Protection::InTds, ON | REQUIRED) => Ok(()),
        (Protection::InTds, _) => Err(Fault::Lost("the server has no TLS".to_owned())),
        (Protection::None, ON | REQUIRED) => {
            Err(Fault::Fatal("the server takes nobody without TLS: write USE_SSL TRUE".to_owned()))
        }
        (Protection::None, _) => Ok(()),
    }
}

fn said_of_encryption(answer: &[u8]) -> Option<u8> {
    let mut heads = answer;
    loop {
        let (head, rest) = heads.split_at_checked(5)?;
        let &[option, high, low, 0, length] = head else { return None };
        if option == END {
            return None;
        }
        if option == ENCRYPTION {
            let at = usize::from(u16::from_be_bytes([high, low]));
            return if length == 0 { None } else { answer.get(at).copied() };
        }
        heads = rest;
    }
}

/// A LOGIN7.
pub(crate) fn login7(login: &Login<'_>, packet_bytes: u32) -> Result<Vec<u8>, Fault> {
    let options = login.options;
    let version = if options.protection == Protection::Strict { TDS_8_0 } else { TDS_7_4 };
    let only_reads = if options.only_reads { 0x20 } else { 0 };
    let mut fixed = Vec::with_capacity(FIXED_BYTES);
    for number in [0, version, packet_bytes, 0, 0, 0] {
        fixed.extend(number.to_le_bytes());
    }
    // A database or a language that is not there is an error; settings as of ODBC.
    fixed.extend([0xe0, 0x03, only_reads, 0]);
    // Zone and locale, which nothing depends on.
    fixed.extend([0; 8]);
    let mut texts = Vec::new();
    let mut text = |name: &str, value: &str, change: fn(u8) -> u8| -> Result<[u8; 4], Fault> {
        let value = as_utf16(value);
        if value.len() / 2 > LOGIN_CHARACTERS_MAX {
            let reason = format!("{name} is longer than {LOGIN_CHARACTERS_MAX} characters");
            return Err(Fault::Fatal(reason));
        }
        let at = u16::try_from(FIXED_BYTES + texts.len()).map_err(broken)?.to_le_bytes();
        let length = u16::try_from(value.len() / 2).map_err(broken)?.to_le_bytes();
        texts.extend(value.into_iter().map(change));
        Ok([at[0], at[1], length[0], length[1]])
    };
    let as_it_is = |byte| byte;
    // Not to hide it, which TLS does.
    let mixed = |byte: u8| byte.rotate_left(4) ^ 0xa5;
    for (name, value, change) in [
        ("Workstation ID", options.workstation.as_str(), as_it_is as fn(u8) -> u8),
        ("USERNAME", login.user, as_it_is),
        ("PASSWORD", login.password, mixed),
        ("Application Name", options.application.as_str(), as_it_is),
        ("SERVER", login.server, as_it_is),
        ("", "", as_it_is),
        ("", "lotmq", as_it_is),
        ("Language", options.language.as_str(), as_it_is),
        ("DATABASE", login.database, as_it_is),
    ] {
        fixed.extend(text(name, value, change)?);
    }
    // Address of the network card.
    fixed.extend([0; 6]);
    for _ in 0..3 {
        fixed.extend(text("", "", as_it_is)?);
    }
    fixed.extend([0; 4]);
    let mut message = [fixed, texts].concat();
    let length = u32::try_from(message.len()).map_err(broken)?;
    message.splice(..4, length.to_le_bytes());
    Ok(message)
}

/// Checks the version of the protocol that the server has chosen.
pub(crate) fn check_acknowledgement(source: &mut impl Source) -> Result<(), Fault> {
    let length = usize::from(source.short()?);
    let said = source.take(length)?;
    match said {
        [_, 0x72..=0x7f, ..] | [_, 0x08, ..] => Ok(()),
        [_, major, ..] => {
            let reason =
                format!("the server speaks version {major:#x} of TDS; from SQL Server 2005 on it is 0x72");
            Err(Fault::Fatal(reason))
        }
        _ => Err(broken("a login that is none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_servers_say_whether_there_is_tls() {
        let answer = |said| [&b"\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x10\0\0\0\0\0"[..], &[said]].concat();
        for (said, protection, expected) in [
            (1, Protection::InTds, "Ok(())"),
            (3, Protection::InTds, "Ok(())"),
            (2, Protection::InTds, "Err(Lost("),
            (0, Protection::InTds, "Err(Lost("),
            (2, Protection::None, "Ok(())"),
            (0, Protection::None, "Ok(())"),
            (3, Protection::None, "Err(Fatal("),
            (2, Protection::Strict, "Ok(())"),
        ] {
            let told = format!("{:?}", check_prelogin(&answer(said), protection));
            assert!(told.starts_with(expected), "{said} {protection:?}: {told}");
        }
        for answer in [&b""[..], b"\xff", b"\x01\0\x07\0\x01\xff", b"HTTP/1.1"] {
            assert!(matches!(check_prelogin(answer, Protection::None), Err(Fault::Broken(_))), "{answer:?}");
        }
        assert_eq!(said_of_encryption(&prelogin(Protection::InTds)), Some(ON));
    }

    #[test]
    fn a_login_says_who_logs_in_where() {
        let options = Options { application: "app".to_owned(), ..Options::default() };
        let login =
            Login { server: "db", user: "me", password: "a\u{e9}", database: "plant", options: &options };
        let message = login7(&login, 8_000).unwrap();
        assert_eq!(message[..4], u32::try_from(message.len()).unwrap().to_le_bytes());
        let text = |place: usize| {
            let at = 36 + place * 4;
            let number = |at: usize| usize::from(u16::from_le_bytes([message[at], message[at + 1]]));
            message[number(at)..][..2 * number(at + 2)].to_vec()
        };
        assert_eq!(text(1), as_utf16("me"));
        assert_eq!(text(2), [0xb3, 0xa5, 0x3b, 0xa5]);
        assert_eq!((text(3), text(4)), (as_utf16("app"), as_utf16("db")));
        assert_eq!(text(8), as_utf16("plant"));
        let long = "x".repeat(129);
        let told = login7(&Login { user: &long, ..login }, 8_000).unwrap_err();
        assert_eq!(told, Fault::Fatal("USERNAME is longer than 128 characters".to_owned()));
    }
}
