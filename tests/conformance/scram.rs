//! A client of SCRAM-SHA-256 that shares nothing with the broker's side of it (RFC 5802, RFC 7677).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// One exchange of a client.
pub(crate) struct Scram {
    password: String,
    bare: String,
    /// Signature that the server must prove in the end.
    expected: String,
}

impl Scram {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        let bare = format!("n={user},r=a-nonce-of-{user}");
        Self { password: password.to_owned(), bare, expected: String::new() }
    }

    /// The client's first message.
    pub(crate) fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.bare).into_bytes()
    }

    /// The client's final message, in answer to the server's first one.
    pub(crate) fn last(&mut self, server_first: &[u8]) -> Vec<u8> {
        let server_first = std::str::from_utf8(server_first).unwrap();
        let field = |name: &str| server_first.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        assert!(field("r=").starts_with(self.bare.split_once("r=").unwrap().1), "{server_first}");
        let salt = STANDARD.decode(field("s=")).unwrap();
        let rounds = field("i=").parse().unwrap();
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, self.password.as_bytes(), &mut salted);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let without_proof = format!("c=biws,r={}", field("r="));
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        let signature = sign(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
        let server_key = sign(&salted, b"Server Key");
        self.expected = format!("v={}", STANDARD.encode(sign(&server_key, signed.as_bytes())));
        format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes()
    }

    /// Whether the server has proved that it knows the password, too.
    pub(crate) fn is_proved_by(&self, server_last: &[u8]) -> bool {
        self.expected.as_bytes() == server_last
    }
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}
