//! Type of values that are public keys for signatures.

use data_encoding::BASE64;
use serde_json::Value;

use super::setting::Setting;
use super::web::texts;
use crate::value_error::ValueError;

/// Beginning of the text of a key and of a signature: the one algorithm.
const ED25519: &str = "ed25519:";

/// Public keys of Ed25519 \[RFC 8032\].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicKeys(Vec<[u8; 32]>);

impl PublicKeys {
    /// The keys, each with its text.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; 32], String)> {
        self.0.iter().map(|key| (key, show(key)))
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let bytes = BASE64.decode(text.strip_prefix(ED25519)?.as_bytes()).ok()?;
    bytes.try_into().ok()
}

fn show(key: &[u8; 32]) -> String {
    format!("{ED25519}{}", BASE64.encode(key))
}

impl Setting for PublicKeys {
    const TYPE: &'static str = "public keys as `ed25519:<base64 of 32 bytes>`: a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let keys = texts(value).and_then(|texts| texts.iter().map(|text| parse(text)).collect());
        keys.map(Self).ok_or(ValueError::WrongType { expected: Self::TYPE })
    }

    fn show(&self) -> Value {
        self.0.iter().map(show).map(Value::String).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn public_keys_are_parsed_and_rendered() {
        let (one, two) = (show(&[1; 32]), show(&[2; 32]));
        let both = PublicKeys(vec![[1; 32], [2; 32]]);
        for value in [json!([one, two]), json!(format!("{one}, {two}"))] {
            assert_eq!(PublicKeys::parse(&value).unwrap(), both, "{value}");
        }
        assert_eq!(both.show(), json!([one, two]));
        assert_eq!(PublicKeys::parse(&json!("")).unwrap(), PublicKeys::default());
        let short = format!("{ED25519}{}", BASE64.encode(&[1; 31]));
        for wrong in
            [json!("x"), json!([one, "x"]), json!(short), json!(one.replace("ed25519", "rsa")), json!(1)]
        {
            assert!(PublicKeys::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
