//! A connection to one server: commands go one behind the other, each with its reply.

use std::io::{ErrorKind, Read as _, Write as _};

use bson::{
    Binary, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc, spec::BinarySubtype,
};
use lotmq_guest::route::{Connection, Failure, IoError, Peer, ambient, described, net};
use route_scram::Scram;

use crate::bson_value::{append, is_true, whole};
use crate::config::{Config, ENDPOINT};
use crate::failures::{COMMAND_NOT_FOUND, ServerError};
use crate::limits::{COMMAND_ITEMS_MAX, MEMBERS_MAX, PIECE_BYTES, WIRE_VERSION_MIN};
use crate::login::{Login, Mechanism};
use crate::wire::{self, HEADER_BYTES, Sequence};

/// Bytes of a document, of a message, and documents of a command, where a server does not say them.
const DOCUMENT_BYTES: i64 = 16 * 1024 * 1024;
const MESSAGE_BYTES: i64 = 48_000_000;
const WRITE_ITEMS: i64 = 1_000;

pub(crate) struct Link {
    /// Server, for people.
    name: String,
    connection: Connection,
    answer_ms: u32,
    last_number: i32,
    pub(crate) bounds: Bounds,
}

/// Limits of a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) document_bytes: usize,
    pub(crate) message_bytes: usize,
    pub(crate) items: usize,
}

/// Answer of a server to `hello`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Hello {
    /// Whether it takes writes: a primary, a server without replicas, a router of shards.
    pub(crate) is_writable: bool,
    pub(crate) replica_set: Option<String>,
    /// The primary that it knows of.
    pub(crate) primary: Option<String>,
    /// Members of its set.
    pub(crate) members: Vec<String>,
    /// Ways in which the user may log in; none where it does not say them.
    pub(crate) mechanisms: Vec<String>,
}

impl Link {
    /// Connects to the endpoint itself or to an address from the servers, and sends `hello`.
    pub(crate) fn open(place: &Peer, is_endpoint: bool, config: &Config) -> Result<(Link, Hello), Failure> {
        let name = name_of(place);
        let connect_ms = config.address.connect_ms;
        let opened = if is_endpoint {
            net::Tcp::connect(ENDPOINT, connect_ms)
        } else {
            net::Tcp::connect_to(ENDPOINT, place, connect_ms)
        };
        let tcp = opened.map_err(|error| {
            let text = format!("{name}: {}", described(&error));
            match error {
                IoError::Denied(_) | IoError::LimitReached => Failure::Fatal(text),
                _ => Failure::Reconnect(text),
            }
        })?;
        let answer_ms = config.address.answer_ms;
        let bounds = Bounds { document_bytes: 0, message_bytes: 0, items: 0 };
        // Answers have a time of their own.
        let connection = Connection::accepted(tcp, answer_ms);
        let mut link = Link { name, connection, answer_ms, last_number: 0, bounds };
        let hello = link.greet(config)?;
        Ok((link, hello))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn greet(&mut self, config: &Config) -> Result<Hello, Failure> {
        let greeting = |word: &str| greeting(word, config).map_err(Failure::Fatal);
        let mut reply = self.ask(&greeting("hello")?, None)?;
        if error_of(&reply).is_some_and(|error| error.code == COMMAND_NOT_FOUND) {
            // Before 4.4.2 it has another name.
            reply = self.ask(&greeting("isMaster")?, None)?;
        }
        if let Some(error) = error_of(&reply) {
            return Err(self.told(error.into_failure_of_login()));
        }
        let speaks = whole(&reply, "maxWireVersion").unwrap_or_default();
        if speaks < WIRE_VERSION_MIN {
            return Err(self.told(Failure::Fatal(format!(
                "it speaks version {speaks} of the protocol; {WIRE_VERSION_MIN}, which is MongoDB 3.6, is the oldest that is spoken here"
            ))));
        }
        let bound = |key: &str, without: i64| {
            let said = whole(&reply, key).filter(|bound| *bound > 0).unwrap_or(without);
            usize::try_from(said).unwrap_or(usize::MAX)
        };
        self.bounds = Bounds {
            document_bytes: bound("maxBsonObjectSize", DOCUMENT_BYTES),
            message_bytes: bound("maxMessageSizeBytes", MESSAGE_BYTES),
            items: bound("maxWriteBatchSize", WRITE_ITEMS).min(COMMAND_ITEMS_MAX),
        };
        if config.address.is_load_balanced && reply.get("serviceId").ok().flatten().is_none() {
            return Err(self.told(Failure::Fatal(
                "it is behind no load balancer, though loadBalanced=true says so: it names no serviceId"
                    .to_owned(),
            )));
        }
        Ok(Hello::of(&reply))
    }

    /// Logs in.
    pub(crate) fn login(&mut self, login: &Login, hello: &Hello) -> Result<(), Failure> {
        let has = |mechanism: Mechanism| hello.mechanisms.iter().any(|name| name == mechanism.name());
        let mechanism = login.mechanism.unwrap_or(match has(Mechanism::Sha256) {
            true => Mechanism::Sha256,
            // Before 4.0 it is the only mechanism, and the server does not list it.
            false => Mechanism::Sha1,
        });
        let nonce = [ambient::random(), ambient::random()];
        let mut scram = Scram::new(mechanism.hash(), &login.user, nonce);
        let found_out = |reason: String| Failure::Fatal(format!("login: {reason}"));
        let password = login.prepared(mechanism).map_err(found_out)?;
        let first = rawdoc! {
            "saslStart": 1,
            "mechanism": mechanism.name(),
            "payload": payload(scram.first()),
            "options": { "skipEmptyExchange": true },
            "$db": login.source.as_str(),
        };
        let challenge = self.challenge(&first)?;
        let proof = scram.last(&challenge.payload, &password).map_err(found_out)?;
        let mut answer = self.challenge(&goes_on(&challenge, login, proof))?;
        scram.check(&answer.payload).map_err(found_out)?;
        if !answer.is_done {
            // A server that cannot leave the empty exchange out.
            answer = self.challenge(&goes_on(&answer, login, String::new()))?;
        }
        if answer.is_done { Ok(()) } else { Err(found_out("it does not end".to_owned())) }
    }

    fn challenge(&mut self, command: &RawDocument) -> Result<Challenge, Failure> {
        let reply = self.ask(command, None)?;
        if let Some(error) = error_of(&reply) {
            return Err(self.told(error.into_failure_of_login()));
        }
        let payload = reply.get_binary("payload").map(|binary| binary.bytes.to_vec());
        let malformed = |_| self.told(Failure::Reconnect("its answer to a login has no payload".to_owned()));
        Ok(Challenge {
            conversation: whole(&reply, "conversationId").unwrap_or_default(),
            payload: payload.map_err(malformed)?,
            is_done: is_true(&reply, "done"),
        })
    }

    /// Sends a command and waits for its reply, which may be an error.
    pub(crate) fn ask(
        &mut self,
        command: &RawDocument,
        sequence: Option<&Sequence<'_>>,
    ) -> Result<RawDocumentBuf, Failure> {
        self.last_number = self.last_number.checked_add(1).unwrap_or(1);
        let message = wire::encode(self.last_number, command, sequence);
        self.connection.write_all(&message).map_err(|error| self.away(&error))?;
        drop(message);
        let mut header = [0; HEADER_BYTES];
        self.connection.read_exact(&mut header).map_err(|error| self.away(&error))?;
        let length = wire::length_of(&header, self.last_number).map_err(|reason| self.broken(&reason))?;
        let mut body = Vec::new();
        while body.len() < length - HEADER_BYTES {
            let start = body.len();
            body.resize((length - HEADER_BYTES).min(start + PIECE_BYTES), 0);
            self.connection.read_exact(&mut body[start..]).map_err(|error| self.away(&error))?;
        }
        wire::decode(&body).map_err(|reason| self.broken(&reason))
    }

    /// Returns whether the server has ended the connection since the last answer, or sends
    /// unrequested bytes.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.connection.tcp().read(1), Err(IoError::WouldBlock))
    }

    /// A failure with the server's name.
    pub(crate) fn told(&self, failure: Failure) -> Failure {
        let text = |reason: String| format!("{}: {reason}", self.name);
        match failure {
            Failure::Retry(reason) => Failure::Retry(text(reason)),
            Failure::Reconnect(reason) => Failure::Reconnect(text(reason)),
            Failure::Reject(reason) => Failure::Reject(reason),
            Failure::Fatal(reason) => Failure::Fatal(text(reason)),
        }
    }

    pub(crate) fn broken(&self, reason: &str) -> Failure {
        self.told(Failure::Reconnect(reason.to_owned()))
    }

    fn away(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::TimedOut => self.broken(&format!("it has not answered for {} ms", self.answer_ms)),
            ErrorKind::UnexpectedEof => self.broken("it has ended the connection"),
            _ => self.broken(&error.to_string()),
        }
    }
}

struct Challenge {
    conversation: i64,
    payload: Vec<u8>,
    is_done: bool,
}

fn goes_on(challenge: &Challenge, login: &Login, text: String) -> RawDocumentBuf {
    // The number of the conversation is one of 32 bits; what is none the server refuses.
    let conversation = i32::try_from(challenge.conversation).unwrap_or_default();
    rawdoc! {
        "saslContinue": 1,
        "conversationId": conversation,
        "payload": payload(text),
        "$db": login.source.as_str(),
    }
}

fn payload(text: String) -> RawBson {
    RawBson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: text.into_bytes() })
}

fn greeting(word: &str, config: &Config) -> Result<RawDocumentBuf, String> {
    let mut greeting = RawDocumentBuf::new();
    append(&mut greeting, word, RawBson::Int32(1))?;
    append(&mut greeting, "helloOk", RawBson::Boolean(true))?;
    if config.address.is_load_balanced {
        append(&mut greeting, "loadBalanced", RawBson::Boolean(true))?;
    }
    let application = config.address.app_name.as_deref().unwrap_or(&config.route);
    // Servers refuse longer names.
    let end = (0..=application.len().min(128)).rev().find(|end| application.is_char_boundary(*end));
    let client = rawdoc! {
        "application": { "name": &application[..end.unwrap_or_default()] },
        "driver": { "name": "lotmq", "version": env!("CARGO_PKG_VERSION") },
        "os": { "type": "wasm" },
    };
    append(&mut greeting, "client", RawBson::Document(client))?;
    if let Some(login) = config.address.login.as_ref().filter(|login| login.mechanism.is_none()) {
        let user = format!("{}.{}", login.source, login.user);
        append(&mut greeting, "saslSupportedMechs", RawBson::String(user))?;
    }
    append(&mut greeting, "$db", RawBson::String("admin".to_owned()))?;
    Ok(greeting)
}

impl Hello {
    fn of(reply: &RawDocument) -> Hello {
        let text = |key: &str| reply.get_str(key).ok().map(str::to_owned);
        let texts = |key: &str| -> Vec<String> {
            let array = reply.get_array(key).ok();
            let elements = array.into_iter().flat_map(|array| array.into_iter().flatten());
            elements.filter_map(|element| element.as_str().map(str::to_owned)).take(MEMBERS_MAX).collect()
        };
        let mut members = texts("hosts");
        members.extend(texts("passives"));
        Hello {
            is_writable: is_true(reply, "isWritablePrimary") || is_true(reply, "ismaster"),
            replica_set: text("setName"),
            primary: text("primary"),
            members,
            mechanisms: texts("saslSupportedMechs"),
        }
    }
}

/// The error that a reply is.
pub(crate) fn error_of(reply: &RawDocument) -> Option<ServerError> {
    if is_true(reply, "ok") { None } else { Some(ServerError::of(reply)) }
}

/// A place for people, and as servers name it.
pub(crate) fn name_of(place: &Peer) -> String {
    if place.host.contains(':') {
        format!("[{}]:{}", place.host, place.port)
    } else {
        format!("{}:{}", place.host, place.port)
    }
}

/// The elements of an array of a reply that are documents.
pub(crate) fn documents<'a>(reply: &'a RawDocument, key: &str) -> Vec<&'a RawDocument> {
    let array = reply.get_array(key).ok();
    let elements = array.into_iter().flat_map(|array| array.into_iter().flatten());
    elements
        .filter_map(|element| match element {
            RawBsonRef::Document(document) => Some(document),
            _ => None,
        })
        .collect()
}

/// An array of one number.
pub(crate) fn list_of(number: i64) -> RawBson {
    let mut list = RawArrayBuf::new();
    list.push(number);
    RawBson::Array(list)
}
