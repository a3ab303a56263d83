//! Parser of SCRAM client messages (RFC 5802 §7). The bytes are untrusted: any deviation is
//! rejected.

use std::borrow::Cow;

use crate::limits::SCRAM_MESSAGE_BYTES_MAX;

/// `n,,n=user,r=nonce`: the user name of the client.
#[derive(Debug, PartialEq)]
pub(crate) struct ClientFirst<'a> {
    /// The part in front that says that there is no channel binding, and may name whom to act for.
    pub(crate) header: &'a str,
    /// All that is behind it.
    pub(crate) bare: &'a str,
    /// The user, with `=2C` and `=3D` resolved.
    pub(crate) user: Cow<'a, str>,
    pub(crate) nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// Returns `None` for an invalid message, or one that wants channel binding, a mandatory
    /// extension, or another authorization identity.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let text = text(message)?;
        let (binding, rest) = text.split_once(',')?;
        // "y" would bind if the server could, which it does not claim to.
        if !["n", "y"].contains(&binding) {
            return None;
        }
        let (acts_for, bare) = rest.split_once(',')?;
        let header = &text[..text.len() - bare.len()];
        let mut attributes = bare.split(',');
        let user = name(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let is_oneself = acts_for.is_empty() || name(acts_for.strip_prefix("a=")?)? == user;
        let is_understood = attributes.all(is_extension);
        (is_oneself && is_understood).then_some(Self { header, bare, user, nonce })
    }
}

/// `c=biws,r=nonce,p=proof`: proves that the client knows the password.
#[derive(Debug, PartialEq)]
pub(super) struct ClientFinal<'a> {
    /// The header of the first message in base64.
    pub(super) binding: &'a str,
    pub(super) nonce: &'a str,
    /// The message up to the comma before the proof: the part that the proof signs.
    pub(super) without_proof: &'a str,
    pub(super) proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    /// Returns `None` for an invalid message.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let (without_proof, proof) = text(message)?.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        attributes.all(is_extension).then_some(Self { binding, nonce, without_proof, proof })
    }
}

fn text(message: &[u8]) -> Option<&str> {
    let is_short = message.len() <= SCRAM_MESSAGE_BYTES_MAX;
    std::str::from_utf8(message).ok().filter(|text| is_short && !text.contains('\0'))
}

fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Letter, `=`, value. Unknown ones are ignored, but for `m`, which stands in front and forbids
/// that.
fn is_extension(attribute: &str) -> bool {
    let mut characters = attribute.chars();
    characters.next().is_some_and(|letter| letter.is_ascii_alphabetic() && letter != 'm')
        && characters.next() == Some('=')
        && characters.next().is_some()
}

/// A user name as SCRAM writes it: `=2C` for a comma, `=3D` for `=`, and no other `=`.
fn name(written: &str) -> Option<Cow<'_, str>> {
    if written.is_empty() {
        return None;
    }
    let Some((start, rest)) = written.split_once('=') else { return Some(Cow::Borrowed(written)) };
    let mut name = start.to_owned();
    for part in rest.split('=') {
        let (character, part) = match part.get(..2)? {
            "2C" => (',', &part[2..]),
            "3D" => ('=', &part[2..]),
            _ => return None,
        };
        name.push(character);
        name.push_str(part);
    }
    Some(Cow::Owned(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_messages_are_taken_apart_or_refused() {
        for (message, expected) in [
            ("n,,n=bob,r=abc", Some(("n,,", "bob", "abc"))),
            ("y,,n=bob,r=abc", Some(("y,,", "bob", "abc"))),
            ("n,a=bob,n=bob,r=abc", Some(("n,a=bob,", "bob", "abc"))),
            ("n,,n=b=2Co=3Db,r=a%)c,x=1", Some(("n,,", "b,o=b", "a%)c"))),
            ("n,,n=bøb,r=abc", Some(("n,,", "bøb", "abc"))),
            ("", None),
            ("n=bob,r=abc", None),
            ("p=tls-exporter,,n=bob,r=abc", None),
            ("n,a=eve,n=bob,r=abc", None),
            ("n,eve,n=bob,r=abc", None),
            ("n,,n=,r=abc", None),
            ("n,,n=b=ob,r=abc", None),
            ("n,,n=bob=2,r=abc", None),
            ("n,,n=bob=2c,r=abc", None),
            ("n,,n=bob=ø,r=abc", None),
            ("n,,m=x,n=bob,r=abc", None),
            ("n,,n=bob,r=abc,m=x", None),
            ("n,,n=bob,r=abc,", None),
            ("n,,n=bob,r=", None),
            ("n,,n=bob,r=a b", None),
            ("n,,n=bob,r=aø", None),
            ("n,,r=abc,n=bob", None),
            ("n,,n=b\0b,r=abc", None),
        ] {
            let parsed = ClientFirst::parse(message.as_bytes());
            let found = parsed.as_ref().map(|first| (first.header, &*first.user, first.nonce));
            assert_eq!(found, expected, "{message}");
        }
        assert_eq!(ClientFirst::parse(b"n,,n=b\xFF,r=abc"), None);
        let long = |bytes: usize| format!("n,,n=bob,r={}", "x".repeat(bytes - "n,,n=bob,r=".len()));
        assert!(ClientFirst::parse(long(SCRAM_MESSAGE_BYTES_MAX).as_bytes()).is_some());
        assert!(ClientFirst::parse(long(SCRAM_MESSAGE_BYTES_MAX + 1).as_bytes()).is_none());
    }

    #[test]
    fn final_messages_are_taken_apart_or_refused() {
        for (message, expected) in [
            ("c=biws,r=abc,p=AAAA", Some(("biws", "abc", "c=biws,r=abc", "AAAA"))),
            ("c=biws,r=abc,x=1,p=", Some(("biws", "abc", "c=biws,r=abc,x=1", ""))),
            ("c=biws,r=abc", None),
            ("r=abc,p=AAAA", None),
            ("c=biws,p=AAAA", None),
            ("c=biws,r=,p=AAAA", None),
            ("c=biws,r=abc,m=1,p=AAAA", None),
            ("", None),
        ] {
            let parsed = ClientFinal::parse(message.as_bytes());
            let found =
                parsed.as_ref().map(|last| (last.binding, last.nonce, last.without_proof, last.proof));
            assert_eq!(found, expected, "{message}");
        }
    }
}
