//! Frames of OPC UA over TCP: their length, and checks of their header before any other code parses
//! them.

use opcua_core::comms::secure_channel::SecureChannel;
use opcua_crypto::SecurityPolicy;
use opcua_types::MessageSecurityMode;

use crate::limits::CHUNK_BYTES;
use crate::status::Trouble;

/// Bytes of the header of every frame: type, kind of chunk, length.
const HEADER_BYTES: usize = 8;

/// Bytes of a chunk before its body without security: header, channel, token, and the numbers of
/// chunk and request.
const CHUNK_HEADER_BYTES: usize = HEADER_BYTES + 4 + 4 + 8;

/// Bytes before what is encrypted.
const PLAIN_BYTES: usize = HEADER_BYTES + 4 + 4;

/// Bytes of a block of AES.
const BLOCK_BYTES: usize = 16;

/// Length of the frame at the beginning of what was received, once it is known.
pub(crate) fn length(received: &[u8]) -> Result<Option<usize>, String> {
    let Some(header) = received.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [kind @ .., _, a, b, c, d] = header;
    if ![b"MSG", b"OPN", b"ACK", b"ERR", b"CLO"].contains(&kind) {
        return Err("the server does not speak OPC UA".to_owned());
    }
    let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
    if !(HEADER_BYTES..=CHUNK_BYTES).contains(&length) {
        return Err(format!("the server sends a frame of {length} bytes, and {CHUNK_BYTES} were agreed"));
    }
    Ok(Some(length))
}

/// Checks that a chunk is long enough for its security header, which the parsing crates assume.
pub(crate) fn check(frame: &[u8], secure: &SecureChannel) -> Result<(), Trouble> {
    let short = || Trouble::broken(format!("the server sends a chunk of {} bytes", frame.len()));
    if frame.len() < CHUNK_HEADER_BYTES {
        return Err(short());
    }
    let policy = secure.security_policy();
    if policy == SecurityPolicy::None || frame.starts_with(b"OPN") {
        return Ok(());
    }
    let signed = policy.symmetric_signature_size();
    match secure.security_mode() {
        MessageSecurityMode::SignAndEncrypt => {
            let encrypted = frame.len() - PLAIN_BYTES;
            if !encrypted.is_multiple_of(BLOCK_BYTES) || encrypted < 8 + signed + 1 {
                return Err(short());
            }
        }
        _ if frame.len() < CHUNK_HEADER_BYTES + signed => return Err(short()),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_say_their_length() {
        assert_eq!(length(b"MSGF\x18\0\0"), Ok(None));
        assert_eq!(length(b"MSGF\x18\0\0\0"), Ok(Some(24)));
        for (bytes, expected) in [
            (b"HTTP/1.1".as_slice(), "does not speak OPC UA"),
            (b"MSGF\xFF\xFF\xFF\xFF", "a frame of 4294967295 bytes"),
            (b"ERRF\x01\0\0\0", "a frame of 1 bytes"),
        ] {
            let told = length(bytes).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
    }
}
