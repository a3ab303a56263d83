//! Signer of JSON Web Tokens (RFC 7519), as an identity provider is one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData as _};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};

/// Key that signs tokens.
pub enum TokenSigner {
    /// Secret of HMAC.
    Hmac(Vec<u8>),
    /// Pair of keys.
    Pair(Box<KeyPair>),
}

impl TokenSigner {
    /// A signer with a secret.
    pub fn hmac(secret: impl Into<Vec<u8>>) -> TokenSigner {
        TokenSigner::Hmac(secret.into())
    }

    /// A signer with RSA 4096, the same one each time.
    pub fn rsa() -> TokenSigner {
        TokenSigner::Pair(Box::new(KeyPair::from_pem(include_str!("rsa_4096.pem")).unwrap()))
    }

    /// A signer with a new key on P-256.
    pub fn p256() -> TokenSigner {
        TokenSigner::Pair(Box::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()))
    }

    /// A signer with a new key on P-384.
    pub fn p384() -> TokenSigner {
        TokenSigner::Pair(Box::new(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()))
    }

    /// A signer with a new key of Ed25519.
    pub fn ed25519() -> TokenSigner {
        TokenSigner::Pair(Box::new(KeyPair::generate_for(&PKCS_ED25519).unwrap()))
    }

    /// A token with this header and these claims. The `alg` of the header chooses how it is signed.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let algorithm = header["alg"].as_str().unwrap();
        let signature = match self {
            TokenSigner::Hmac(secret) => sign_hmac(algorithm, secret, &message),
            TokenSigner::Pair(pair) => sign_by_pair(algorithm, &pair.serialize_der(), &message),
        };
        format!("{message}.{}", encode(signature))
    }

    /// The public key as SubjectPublicKeyInfo in DER.
    pub fn public_key_der(&self) -> Vec<u8> {
        self.pair().subject_public_key_info()
    }

    /// The same in PEM.
    pub fn public_key_pem(&self) -> String {
        self.pair().public_key_pem()
    }

    /// The key as a JSON Web Key: a public key, or the secret.
    pub fn jwk(&self, kid: &str) -> Value {
        let pair = match self {
            TokenSigner::Hmac(secret) => return json!({"kty": "oct", "kid": kid, "k": encode(secret)}),
            TokenSigner::Pair(pair) => pair,
        };
        if let Ok(of_rsa) = RsaKeyPair::from_pkcs8(&pair.serialize_der()) {
            let public = rsa::PublicKeyComponents::<Vec<u8>>::from(of_rsa.public_key());
            return json!({"kty": "RSA", "kid": kid, "n": encode(public.n), "e": encode(public.e)});
        }
        match pair.public_key_raw() {
            [4, point @ ..] => {
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "kid": kid, "crv": curve, "x": encode(x), "y": encode(y)})
            }
            point => json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": encode(point)}),
        }
    }

    fn pair(&self) -> &KeyPair {
        match self {
            TokenSigner::Hmac(_) => panic!("a secret has no public key"),
            TokenSigner::Pair(pair) => pair,
        }
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign_hmac(algorithm: &str, secret: &[u8], message: &str) -> Vec<u8> {
    let algorithm = match algorithm {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        // An attacker's header.
        _ => return Vec::new(),
    };
    hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes()).as_ref().to_vec()
}

fn sign_by_pair(algorithm: &str, pkcs8: &[u8], message: &str) -> Vec<u8> {
    let message = message.as_bytes();
    match algorithm {
        "RS256" => sign_rsa(&RSA_PKCS1_SHA256, pkcs8, message),
        "RS384" => sign_rsa(&RSA_PKCS1_SHA384, pkcs8, message),
        "RS512" => sign_rsa(&RSA_PKCS1_SHA512, pkcs8, message),
        "PS256" => sign_rsa(&RSA_PSS_SHA256, pkcs8, message),
        "PS384" => sign_rsa(&RSA_PSS_SHA384, pkcs8, message),
        "PS512" => sign_rsa(&RSA_PSS_SHA512, pkcs8, message),
        "ES256" => sign_ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, message),
        "ES384" => sign_ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8, message),
        "EdDSA" => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).unwrap();
            pair.sign(message).as_ref().to_vec()
        }
        // An attacker's header.
        _ => Vec::new(),
    }
}

fn sign_rsa(encoding: &'static dyn RsaEncoding, pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    let pair = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn sign_ecdsa(algorithm: &'static EcdsaSigningAlgorithm, pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).unwrap();
    pair.sign(&random, message).unwrap().as_ref().to_vec()
}
