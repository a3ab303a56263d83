//! permessage-deflate, RFC 7692: what is negotiated, and both directions.
//!
//! A message is compressed by a compressor that the connections of a thread share: it is reset,
//! given what was last sent to this peer as its dictionary, and emits what a compressor of the
//! connection's own would. So a connection keeps [`HISTORY_BYTES`] instead of a quarter of a
//! megabyte, and a message that is sent as it is leaves no trace in the context, as the standard
//! wants it.

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Method, Status, Strategy};

use crate::frame::Role;
use crate::limits::{COMPRESSED_BYTES_MIN, HISTORY_BYTES};
use crate::violation::Violation;

/// The largest window that is used for sending; no reference can go farther back than the history
/// anyway.
const WINDOW_BITS: u8 = 13;

/// The smallest window that the compressor has.
const WINDOW_BITS_MIN: u8 = 9;

/// Level of compression, 1 to 9. The usual one: half the time of 9, and nearly all of its gain.
const LEVEL: i32 = 6;

/// Last bytes of a sync flush, which a message omits. RFC 7692 §7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Negotiated parameters of permessage-deflate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeflateParams {
    /// The server forgets what it sent before each message.
    pub server_no_context_takeover: bool,
    /// The client does.
    pub client_no_context_takeover: bool,
    /// The window that the client has for what the server sends, if it named one: 9 to 15.
    pub server_max_window_bits: Option<u8>,
    /// The window that the server has for what the client sends, if it named one: 9 to 15.
    pub client_max_window_bits: Option<u8>,
}

impl DeflateParams {
    /// The first of the client's offers that can be accepted, as a value of
    /// `Sec-WebSocket-Extensions`.
    pub(crate) fn choose(offers: &str) -> Option<Self> {
        offers.split(',').find_map(|offer| Self::parse(offer, true))
    }

    /// Reads an offer, or the server's answer to one.
    pub(crate) fn parse(text: &str, is_offer: bool) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut params = Self::default();
        let mut seen = Vec::new();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (part, None),
            };
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            match (name, value) {
                ("server_no_context_takeover", None) => params.server_no_context_takeover = true,
                ("client_no_context_takeover", None) => params.client_no_context_takeover = true,
                ("server_max_window_bits", Some(bits)) => params.server_max_window_bits = Some(window(bits)?),
                ("client_max_window_bits", Some(bits)) => params.client_max_window_bits = Some(window(bits)?),
                // It only says that it could be told one, which we do not.
                ("client_max_window_bits", None) if is_offer => {}
                _ => return None,
            }
        }
        Some(params)
    }

    /// The server's answer to the offer.
    pub(crate) fn answer(&self) -> String {
        let mut text = "permessage-deflate".to_owned();
        if self.server_no_context_takeover {
            text.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            text.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            text.push_str(&format!("; server_max_window_bits={bits}"));
        }
        text
    }
}

/// A window of 256 bytes is legal and impossible with this compressor.
fn window(bits: &str) -> Option<u8> {
    bits.parse().ok().filter(|bits| (WINDOW_BITS_MIN..=15).contains(bits))
}

/// Decompresses what a peer sends.
pub(crate) struct Incoming {
    keeps_context: bool,
    /// Made when the first compressed message comes: 40 KiB.
    inflate: Option<Box<Inflate>>,
    /// Bytes of the tail that were added to the message under way.
    tail: usize,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Incoming")
    }
}

impl Incoming {
    pub(crate) fn new(params: &DeflateParams, role: Role) -> Self {
        let forgets = match role {
            Role::Server => params.client_no_context_takeover,
            Role::Client => params.server_no_context_takeover,
        };
        Self { keeps_context: !forgets, inflate: None, tail: 0 }
    }

    /// Decompresses; `ends_message` when `input` is the last of a message. Returns what was taken,
    /// what was written, and whether nothing is left inside: then, at the end of a message, it is
    /// over.
    pub(crate) fn inflate(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        ends_message: bool,
    ) -> Result<(usize, usize, bool), Violation> {
        let inflate = self.inflate.get_or_insert_with(|| Box::new(Inflate::new(false, 15)));
        let (taken, mut written) = run(inflate, input, output)?;
        if taken < input.len() || written == output.len() {
            return Ok((taken, written, false));
        }
        if ends_message {
            let tail = TAIL.get(self.tail..).unwrap_or_default();
            let (tail_taken, more) = run(inflate, tail, output.get_mut(written..).unwrap_or_default())?;
            self.tail += tail_taken;
            written += more;
            if self.tail < TAIL.len() || written == output.len() {
                return Ok((taken, written, false));
            }
            self.tail = 0;
            if !self.keeps_context {
                inflate.reset(false);
            }
        }
        Ok((taken, written, true))
    }
}

/// Runs until the input is used up or the output full.
fn run(inflate: &mut Inflate, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), Violation> {
    let (mut taken, mut written) = (0, 0);
    loop {
        let (rest, space) =
            (input.get(taken..).unwrap_or_default(), output.get_mut(written..).unwrap_or_default());
        if space.is_empty() {
            return Ok((taken, written));
        }
        let before = (inflate.total_in(), inflate.total_out());
        let status =
            inflate.decompress(rest, space, InflateFlush::SyncFlush).map_err(|_| Violation::Payload)?;
        let moved_in = usize::try_from(inflate.total_in() - before.0).unwrap_or_default();
        let moved_out = usize::try_from(inflate.total_out() - before.1).unwrap_or_default();
        taken += moved_in;
        written += moved_out;
        if status == Status::StreamEnd {
            // A block that calls itself the last is legal; the next one begins anew.
            inflate.reset(false);
        } else if moved_in == 0 && moved_out == 0 {
            return Ok((taken, written));
        }
    }
}

/// Compression state of one connection, for the messages that it sends.
#[derive(Debug)]
pub struct Outgoing {
    window_bits: u8,
    keeps_context: bool,
    /// Bytes that were sent compressed, at most [`HISTORY_BYTES`].
    history: Vec<u8>,
}

impl Outgoing {
    /// For the side `role` of a connection.
    #[must_use]
    pub fn new(params: &DeflateParams, role: Role) -> Self {
        let (bits, forgets) = match role {
            Role::Server => (params.server_max_window_bits, params.server_no_context_takeover),
            Role::Client => (params.client_max_window_bits, params.client_no_context_takeover),
        };
        let window_bits = bits.unwrap_or(WINDOW_BITS).min(WINDOW_BITS);
        Self { window_bits, keeps_context: !forgets, history: Vec::new() }
    }

    /// Bytes that a message of `len` bytes may become longer, because the ones behind it may then
    /// refer to it. Most short messages alone cannot be compressed.
    fn investment(&self, len: usize) -> usize {
        if self.keeps_context && self.history.len() < HISTORY_BYTES / 2 { len / 16 + 8 } else { 0 }
    }

    fn remember(&mut self, parts: &[&[u8]]) {
        if !self.keeps_context {
            return;
        }
        for part in parts {
            let start = part.len().saturating_sub(HISTORY_BYTES);
            self.history.extend_from_slice(part.get(start..).unwrap_or_default());
            let excess = self.history.len().saturating_sub(HISTORY_BYTES);
            self.history.drain(..excess);
        }
    }
}

/// Compresses for all connections of a thread. A quarter of a megabyte for each size of window that
/// is asked for, of five.
#[derive(Default)]
pub struct Compressor {
    /// By the bits of their window, from [`WINDOW_BITS_MIN`] on.
    by_window: [Option<Box<Deflate>>; (WINDOW_BITS - WINDOW_BITS_MIN) as usize + 1],
}

impl fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Compressor")
    }
}

impl Compressor {
    /// Appends the compressed form of a message. False, with nothing appended, when it is better
    /// sent as it is.
    pub fn compress(&mut self, outgoing: &mut Outgoing, parts: &[&[u8]], out: &mut Vec<u8>) -> bool {
        self.compress_next(outgoing, parts, out, &mut false)
    }

    /// As [`compress`](Self::compress), of one of several messages that follow each other.
    /// `is_primed`, false before the first, says whether the compressor is as the last one has left
    /// it, so that it need not learn again what was sent.
    pub fn compress_next(
        &mut self,
        outgoing: &mut Outgoing,
        parts: &[&[u8]],
        out: &mut Vec<u8>,
        is_primed: &mut bool,
    ) -> bool {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len < COMPRESSED_BYTES_MIN {
            return false;
        }
        let start = out.len();
        let end = start + len + outgoing.investment(len);
        let is_worth_it = self.run(outgoing, parts, out, end, *is_primed).is_some();
        *is_primed = is_worth_it && outgoing.keeps_context;
        if is_worth_it {
            outgoing.remember(parts);
        } else {
            out.truncate(start);
        }
        is_worth_it
    }

    /// `None` when the result does not end within `end` bytes of `out`.
    fn run(
        &mut self,
        outgoing: &Outgoing,
        parts: &[&[u8]],
        out: &mut Vec<u8>,
        end: usize,
        is_primed: bool,
    ) -> Option<()> {
        let deflate = self.by_window.get_mut(usize::from(outgoing.window_bits - WINDOW_BITS_MIN))?;
        let deflate = deflate.get_or_insert_with(|| {
            Box::new(Deflate::new_with_config(DeflateConfig {
                level: LEVEL,
                method: Method::Deflated,
                window_bits: -i32::from(outgoing.window_bits),
                mem_level: 8,
                strategy: Strategy::Default,
            }))
        });
        if !is_primed {
            deflate.reset();
            if !outgoing.history.is_empty() {
                deflate.set_dictionary(&outgoing.history).ok()?;
            }
        }
        let start = out.len();
        let mut written = start;
        // Room for the tail, which is cut off.
        out.resize(end + TAIL.len(), 0);
        for (index, part) in parts.iter().enumerate() {
            let is_last = index + 1 == parts.len();
            let flush = if is_last { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
            let mut taken = 0;
            loop {
                let before = (deflate.total_in(), deflate.total_out());
                let space = out.get_mut(written..)?;
                let has_space = !space.is_empty();
                deflate.compress(part.get(taken..)?, space, flush).ok()?;
                taken += usize::try_from(deflate.total_in() - before.0).ok()?;
                written += usize::try_from(deflate.total_out() - before.1).ok()?;
                if !has_space {
                    return None;
                }
                // With room left everything is out.
                if taken == part.len() && written < out.len() {
                    break;
                }
            }
        }
        out.truncate(written);
        let kept = out.strip_suffix(&TAIL)?.len();
        out.truncate(kept);
        (kept < end).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_acceptable_offer_is_answered() {
        for (offers, answer) in [
            ("permessage-deflate", Some("permessage-deflate")),
            ("permessage-deflate; client_max_window_bits", Some("permessage-deflate")),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
            ),
            (
                "permessage-deflate;server_max_window_bits=\"10\"",
                Some("permessage-deflate; server_max_window_bits=10"),
            ),
            // A window of 256 bytes cannot be had; the second offer can.
            ("permessage-deflate; server_max_window_bits=8, Permessage-Deflate", Some("permessage-deflate")),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; unknown", None),
            ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
            ("x-webkit-deflate-frame", None),
            ("", None),
        ] {
            let chosen = DeflateParams::choose(offers).map(|params| params.answer());
            assert_eq!(chosen.as_deref(), answer, "{offers}");
        }
    }

    #[test]
    fn repeated_messages_become_short_and_the_history_stays_bounded() {
        let mut compressor = Compressor::default();
        let mut outgoing = Outgoing::new(&DeflateParams::default(), Role::Server);
        let mut forgets = Outgoing::new(
            &DeflateParams { server_no_context_takeover: true, ..DeflateParams::default() },
            Role::Server,
        );
        let mut last = (0, 0);
        for round in 0..500 {
            let message = format!(
                r#"{{"device":"press-{:02}","temperature":{}.5,"state":"running"}}"#,
                round % 7,
                20 + round % 30
            );
            let mut lens = [0; 2];
            for (len, outgoing) in lens.iter_mut().zip([&mut outgoing, &mut forgets]) {
                let mut out = Vec::new();
                let is_compressed = compressor.compress(outgoing, &[message.as_bytes()], &mut out);
                *len = if is_compressed { out.len() } else { message.len() };
            }
            last = (lens[0], lens[1]);
            assert!(outgoing.history.len() <= HISTORY_BYTES);
        }
        assert!(last.0 < 20 && last.1 > 40, "{last:?}");
        assert!(forgets.history.is_empty());
        let mut out = Vec::new();
        assert!(!compressor.compress(&mut outgoing, &[b"\x40\x02\x00\x01"], &mut out) && out.is_empty());
    }
}
