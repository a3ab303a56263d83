//! Signatures of modules: Ed25519 over the bytes of the component, by one of the keys that the
//! operator has named. Commands reference §14.5.
//!
//! Invariant: what counts as signed was checked with the keys of this configuration; what a former
//! one had checked is checked again when it is installed again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_codes::Code;
use ring::signature::{ED25519, UnparsedPublicKey};

/// Beginning of the text of a signature.
const PREFIX: &str = "ed25519:";

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// Reason why the signature of a module, or that it has none, is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("Modules of this broker have to be signed: -sig ed25519:<base64>.")]
    Required,
    #[error("A signature is ed25519:<base64 of {SIGNATURE_BYTES} bytes>.")]
    Form,
    #[error("The signature is by none of modules.keys, or the module was changed after it was signed.")]
    Wrong,
}

impl SignatureError {
    pub(crate) fn code(self) -> Code {
        match self {
            SignatureError::Required => Code::SignatureRequired,
            SignatureError::Form | SignatureError::Wrong => Code::SignatureInvalid,
        }
    }
}

/// Checks that there is a signature where one is needed, and that it is one, before there is a
/// component to compare it with; gives its bytes.
///
/// # Errors
/// [`SignatureError`], but not that it is wrong.
pub(crate) fn read(
    config: &lotmq_config::Modules,
    signature: Option<&str>,
) -> Result<Option<Vec<u8>>, SignatureError> {
    let Some(text) = signature else {
        return if config.require_signature { Err(SignatureError::Required) } else { Ok(None) };
    };
    let base64 = text.strip_prefix(PREFIX).ok_or(SignatureError::Form)?;
    let bytes = STANDARD.decode(base64).ok().filter(|bytes| bytes.len() == SIGNATURE_BYTES);
    bytes.map(Some).ok_or(SignatureError::Form)
}

/// Checks the signature of a component; gives the key that made it, `None` where there is no
/// signature and none is needed.
///
/// # Errors
/// [`SignatureError`].
pub(crate) fn check(
    config: &lotmq_config::Modules,
    component: &[u8],
    signature: Option<&str>,
) -> Result<Option<String>, SignatureError> {
    let Some(signature) = read(config, signature)? else { return Ok(None) };
    let signed_by =
        |key: &[u8; 32]| UnparsedPublicKey::new(&ED25519, key).verify(component, &signature).is_ok();
    let mut keys = config.keys.iter();
    keys.find(|(key, _)| signed_by(key)).map(|(_, text)| Some(text)).ok_or(SignatureError::Wrong)
}
