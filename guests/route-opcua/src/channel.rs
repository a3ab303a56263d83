//! Secure channel to a server: greeting, opening and renewal, requests and their responses in
//! chunks.
//!
//! `async-opcua-core` does chunks, signatures and encryption; this file decides their order.
//! Invariant: a response goes to its waiting caller, or is kept for the next [`Channel::take`]. The
//! channel keeps at most as many as it has requests without an answer.

use std::collections::{HashMap, VecDeque};
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use lotmq_guest::route::ambient;
use opcua_core::comms::chunker::Chunker;
use opcua_core::comms::message_chunk::{MessageChunk, MessageIsFinalType};
use opcua_core::comms::secure_channel::{Role, SecureChannel};
use opcua_core::comms::sequence_number::SequenceNumberHandle;
use opcua_core::comms::tcp_types::{AcknowledgeMessage, ErrorMessage, HelloMessage};
use opcua_core::{RequestMessage, ResponseMessage};
use opcua_crypto::{CertificateStore, SecurityPolicy, X509};
use opcua_types::{
    CloseSecureChannelRequest, ContextOwned, DateTime, DecodingOptions, MessageSecurityMode, NamespaceMap,
    NodeId, OpenSecureChannelRequest, OpenSecureChannelResponse, RequestHeader, SecurityTokenRequestType,
    SimpleBinaryDecodable as _, SimpleBinaryEncodable as _,
};
use parking_lot::RwLock;
use route_tags::FrameStream;

use crate::certificates::Identity;
use crate::frame;
use crate::limits::{
    ARRAY_LENGTH_MAX, CHUNK_BYTES, CHUNK_BYTES_MIN, CHUNKS_MAX, MESSAGE_BYTES_MAX, PUBLISH_REQUESTS_MAX,
    SECURITY_BYTES, TOKEN_LIFETIME_MS,
};
use crate::notices;
use crate::status::{Trouble, heeded, lost, named};

/// How messages are secured; `None` where they are not.
pub(crate) struct Securing<'a> {
    pub(crate) policy: SecurityPolicy,
    pub(crate) mode: MessageSecurityMode,
    pub(crate) own: &'a Identity,
    pub(crate) server: &'a X509,
}

/// An open channel.
pub(crate) struct Channel {
    stream: FrameStream,
    secure: SecureChannel,
    sent: SequenceNumberHandle,
    /// Number that the next chunk of the server has; `None` before the first.
    expected: Option<SequenceNumberHandle>,
    last_request: u32,
    /// Most bytes of a chunk for the server, and of a message if the server limits it.
    chunk_bytes: usize,
    message_bytes: usize,
    /// Chunks of messages that have not come to their end, by request.
    parts: HashMap<u32, Vec<MessageChunk>>,
    /// Responses that came while another one was waited for.
    kept: VecDeque<(u32, ResponseMessage)>,
    token: NodeId,
    renew_at_ms: u64,
    timeout_ms: u32,
}

impl Channel {
    /// Connects and opens a channel.
    pub(crate) fn open(
        url: &str,
        securing: Option<Securing<'_>>,
        timeout_ms: u32,
    ) -> Result<Channel, Trouble> {
        let stream = FrameStream::connect("opcua", timeout_ms)
            .map_err(|error| Trouble::Lost(lotmq_guest::route::failure(&error)))?;
        let policy = securing.as_ref().map_or(SecurityPolicy::None, |securing| securing.policy);
        let mut channel = Channel {
            stream,
            secure: secure_channel(securing),
            sent: SequenceNumberHandle::new(policy.legacy_sequence_numbers()),
            expected: None,
            last_request: 0,
            chunk_bytes: CHUNK_BYTES,
            message_bytes: 0,
            parts: HashMap::new(),
            kept: VecDeque::new(),
            token: NodeId::null(),
            renew_at_ms: u64::MAX,
            timeout_ms,
        };
        channel.greet(url)?;
        channel.issue(SecurityTokenRequestType::Issue)?;
        Ok(channel)
    }

    /// Patience with each request from now on, in milliseconds.
    pub(crate) fn be_patient(&mut self, timeout_ms: u32) {
        self.timeout_ms = timeout_ms;
    }

    /// Notes by what the server knows the session.
    pub(crate) fn belongs_to(&mut self, token: NodeId) {
        self.token = token;
    }

    fn greet(&mut self, url: &str) -> Result<(), Trouble> {
        let hello = HelloMessage::new(url, CHUNK_BYTES, CHUNK_BYTES, MESSAGE_BYTES_MAX, CHUNKS_MAX);
        let mut bytes = Vec::with_capacity(hello.byte_len());
        hello.encode(&mut bytes).map_err(Trouble::broken)?;
        let until_ms = deadline(self.timeout_ms);
        self.stream.send(&bytes, until_ms).map_err(|fault| lost(fault, self.timeout_ms))?;
        let frame = self.frame(until_ms)?;
        if !frame.starts_with(b"ACK") {
            return Err(refusal(&frame));
        }
        let agreed = AcknowledgeMessage::decode(&mut Cursor::new(&frame), &DecodingOptions::default())
            .map_err(|_| Trouble::broken("the server's greeting cannot be read"))?;
        let bytes = usize::try_from(agreed.receive_buffer_size).unwrap_or(0);
        if bytes < CHUNK_BYTES_MIN {
            return Err(Trouble::broken(format!(
                "the server takes chunks of {bytes} bytes, and {CHUNK_BYTES_MIN} is the least"
            )));
        }
        self.chunk_bytes = bytes.min(CHUNK_BYTES);
        self.message_bytes = usize::try_from(agreed.max_message_size).unwrap_or(0);
        Ok(())
    }

    /// Opens the channel, or renews its keys.
    fn issue(&mut self, request_type: SecurityTokenRequestType) -> Result<(), Trouble> {
        let nonce = self.secure.security_policy().random_nonce();
        self.secure.set_local_nonce(nonce.as_ref());
        let request = OpenSecureChannelRequest {
            request_header: self.header(),
            client_protocol_version: 0,
            request_type,
            security_mode: self.secure.security_mode(),
            client_nonce: nonce,
            requested_lifetime: TOKEN_LIFETIME_MS,
        };
        match self.ask(request)? {
            ResponseMessage::OpenSecureChannel(_) => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes the keys of a response before any message that needs them.
    fn issued(&mut self, response: &OpenSecureChannelResponse) -> Result<(), Trouble> {
        heeded(response.response_header.service_result)?;
        let token = response.security_token.clone();
        let known = self.secure.secure_channel_id();
        if known != 0 && known != token.channel_id {
            return Err(Trouble::broken("the server renews another channel"));
        }
        self.renew_at_ms = deadline(token.revised_lifetime / 4 * 3);
        self.secure.set_security_token(token);
        if self.secure.security_policy() != SecurityPolicy::None {
            let nonce = &response.server_nonce;
            let taken = self.secure.validate_secure_channel_nonce_length(nonce);
            taken
                .and_then(|()| self.secure.set_remote_nonce_from_byte_string(nonce))
                .map_err(Trouble::broken)?;
            self.secure.derive_keys();
        }
        Ok(())
    }

    /// Renews the keys if it is time. Returns the time of the next renewal, in milliseconds of the
    /// monotonic clock.
    pub(crate) fn renew(&mut self) -> Result<u64, Trouble> {
        if ambient::monotonic_ms() >= self.renew_at_ms {
            self.issue(SecurityTokenRequestType::Renew)?;
        }
        Ok(self.renew_at_ms)
    }

    /// Header of a request.
    pub(crate) fn header(&self) -> RequestHeader {
        RequestHeader {
            authentication_token: self.token.clone(),
            timestamp: DateTime::now(),
            request_handle: self.last_request.wrapping_add(1),
            timeout_hint: self.timeout_ms,
            ..RequestHeader::default()
        }
    }

    /// Makes a request; gives its number.
    pub(crate) fn send(&mut self, request: impl Into<RequestMessage>) -> Result<u32, Trouble> {
        let request = request.into();
        self.last_request = self.last_request.wrapping_add(1);
        let chunks = Chunker::encode(
            self.sent.clone(),
            self.last_request,
            self.message_bytes,
            self.chunk_bytes,
            &self.secure,
            &request,
        );
        let chunks =
            chunks.map_err(|error| Trouble::broken(format!("a request cannot be encoded: {error}")))?;
        self.sent.increment(u32::try_from(chunks.len()).unwrap_or(1));
        let until_ms = deadline(self.timeout_ms);
        for chunk in &chunks {
            let mut bytes = vec![0; chunk.data.len() + SECURITY_BYTES];
            let length = self.secure.apply_security(chunk, &mut bytes);
            let length = length.map_err(|status| {
                Trouble::broken(format!("a request cannot be secured: {}", named(status)))
            })?;
            let secured = bytes.get(..length).unwrap_or_default();
            self.stream.send(secured, until_ms).map_err(|fault| lost(fault, self.timeout_ms))?;
        }
        Ok(self.last_request)
    }

    /// Makes a request and waits for its response.
    pub(crate) fn ask(&mut self, request: impl Into<RequestMessage>) -> Result<ResponseMessage, Trouble> {
        let number = self.send(request)?;
        let until_ms = deadline(self.timeout_ms);
        loop {
            let frame = self.frame(until_ms)?;
            match self.heard(frame)? {
                Some((of, response)) if of == number => {
                    heeded(response.response_header().service_result)?;
                    return Ok(response);
                }
                Some(_) if self.kept.len() >= PUBLISH_REQUESTS_MAX => {
                    return Err(Trouble::broken("the server answers what nobody has asked"));
                }
                Some(other) => self.kept.push_back(other),
                None => {}
            }
        }
    }

    /// Returns the next response that no caller waited for, if there is one.
    pub(crate) fn take(&mut self) -> Result<Option<(u32, ResponseMessage)>, Trouble> {
        if let Some(kept) = self.kept.pop_front() {
            return Ok(Some(kept));
        }
        loop {
            let frame = self.stream.received(frame::length).map_err(|fault| lost(fault, self.timeout_ms))?;
            let Some(frame) = frame else { return Ok(None) };
            if let Some(response) = self.heard(frame)? {
                return Ok(Some(response));
            }
        }
    }

    /// Waits until something comes, the host has work, or the time is over.
    pub(crate) fn listen(&self, wait_ms: u32) {
        if self.kept.is_empty() {
            self.stream.listen(wait_ms);
        }
    }

    /// Says farewell to the server, which does not answer.
    pub(crate) fn close(mut self) {
        let request = CloseSecureChannelRequest { request_header: self.header() };
        // Whether it hears that makes no difference any more.
        let _ = self.send(request);
    }

    fn frame(&mut self, until_ms: u64) -> Result<Vec<u8>, Trouble> {
        self.stream.receive(until_ms, frame::length).map_err(|fault| lost(fault, self.timeout_ms))
    }

    /// Takes a frame; gives the response that it ends.
    fn heard(&mut self, frame: Vec<u8>) -> Result<Option<(u32, ResponseMessage)>, Trouble> {
        if !frame.starts_with(b"MSG") && !frame.starts_with(b"OPN") {
            return Err(refusal(&frame));
        }
        frame::check(&frame, &self.secure)?;
        let unreadable = |error| Trouble::broken(format!("a message of the server cannot be read: {error}"));
        let chunk = self.secure.verify_and_remove_security(frame.into()).map_err(unreadable)?;
        let info = chunk.chunk_info(&self.secure).map_err(unreadable)?;
        self.count(info.sequence_header.sequence_number)?;
        let request = info.sequence_header.request_id;
        match info.message_header.is_final {
            MessageIsFinalType::FinalError => {
                self.parts.remove(&request);
                let options = self.secure.decoding_options();
                let body = chunk.final_error_body(&info, &options).map_err(unreadable)?;
                Err(Trouble::broken(format!(
                    "the server gives up a response: {} {}",
                    named(body.status),
                    body.reason
                )))
            }
            MessageIsFinalType::Intermediate => {
                let parts = self.parts.entry(request).or_default();
                parts.push(chunk);
                let bytes: usize = self.parts.values().flatten().map(|chunk| chunk.data.len()).sum();
                if bytes > MESSAGE_BYTES_MAX {
                    return Err(Trouble::broken(format!(
                        "a message of the server has more than {MESSAGE_BYTES_MAX} bytes"
                    )));
                }
                Ok(None)
            }
            MessageIsFinalType::Final => {
                let mut chunks = self.parts.remove(&request).unwrap_or_default();
                chunks.push(chunk);
                Chunker::validate_chunks(&self.secure, &chunks).map_err(unreadable)?;
                let response: ResponseMessage =
                    Chunker::decode(&chunks, &self.secure, None).map_err(unreadable)?;
                if let ResponseMessage::OpenSecureChannel(response) = &response {
                    self.issued(response)?;
                }
                Ok(Some((request, response)))
            }
        }
    }

    /// Counts chunks, so that none is missing, doubled or slipped in.
    fn count(&mut self, number: u32) -> Result<(), Trouble> {
        let is_legacy = self.sent.is_legacy();
        let expected = self.expected.get_or_insert_with(|| {
            // A server may start with any sequence number.
            let mut first = SequenceNumberHandle::new(is_legacy);
            first.set(number);
            first
        });
        expected.validate_and_increment(number).map_err(Trouble::broken)
    }
}

fn secure_channel(securing: Option<Securing<'_>>) -> SecureChannel {
    let options = DecodingOptions {
        max_message_size: MESSAGE_BYTES_MAX,
        max_chunk_count: CHUNKS_MAX,
        max_string_length: MESSAGE_BYTES_MAX,
        max_byte_string_length: MESSAGE_BYTES_MAX,
        max_array_length: ARRAY_LENGTH_MAX,
        ..DecodingOptions::default()
    };
    let context = ContextOwned::new(NamespaceMap::new(), notices::loaders(), options);
    // It finds nothing there: certificates come below.
    let store = CertificateStore::new(Path::new(""));
    let mut secure =
        SecureChannel::new(Arc::new(RwLock::new(store)), Role::Client, Arc::new(RwLock::new(context)));
    secure.set_security_mode(MessageSecurityMode::None);
    if let Some(Securing { policy, mode, own, server }) = securing {
        secure.set_security_policy(policy);
        secure.set_security_mode(mode);
        secure.set_cert(Some(own.certificate.clone()));
        secure.set_private_key(Some(own.key.clone()));
        secure.set_remote_cert(Some(server.clone()));
    }
    secure
}

/// Returns the error in a frame that is no message.
fn refusal(frame: &[u8]) -> Trouble {
    let said = frame
        .starts_with(b"ERR")
        .then(|| ErrorMessage::decode(&mut Cursor::new(frame), &DecodingOptions::default()).ok());
    match said.flatten() {
        Some(error) if error.reason.is_empty() => {
            Trouble::broken(format!("the server says {}", named(error.error)))
        }
        Some(error) => Trouble::broken(format!("the server says {}: {}", named(error.error), error.reason)),
        None => Trouble::broken("the server does not speak OPC UA"),
    }
}

/// A response that no server gives to that request.
pub(crate) fn unexpected(response: &ResponseMessage) -> Trouble {
    let status = response.response_header().service_result;
    match heeded(status) {
        Err(trouble) => trouble,
        Ok(()) => Trouble::broken("the server gives another answer than what was asked for"),
    }
}

fn deadline(timeout_ms: u32) -> u64 {
    ambient::monotonic_ms().saturating_add(timeout_ms.into())
}
