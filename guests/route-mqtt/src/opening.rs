//! Opening of a connection: the first dialect that the other broker speaks, up to its CONNACK.

use lotmq_codec::{ProtocolVersion, ReasonCode};
use lotmq_guest::println;
use lotmq_guest::route::{Failure, Interest, IoError, ambient, failure, net};

use crate::config::FarConfig;
use crate::failures;
use crate::limits::{OPEN_MS, PIECE_BYTES};
use crate::link::{Broken, Dialect, Event, Granted, Link};

/// Why a connection was not made.
enum NotOpen {
    /// The broker does not speak this version, or gave no answer.
    OtherVersion(Failure),
    Failed(Failure),
}

/// Connects in the first dialect that the broker speaks. Returns whether it has kept the session.
pub(crate) fn connect(config: &FarConfig) -> Result<(net::Tcp, Link, bool), Failure> {
    let bridge = |version| [Dialect { version, says_bridge: true }, Dialect { version, says_bridge: false }];
    let v5 = Dialect { version: ProtocolVersion::V5, says_bridge: false };
    let dialects = match config.version {
        Some(ProtocolVersion::V5) => vec![v5],
        None => [&[v5][..], &bridge(ProtocolVersion::V3_1_1)].concat(),
        Some(version) => bridge(version).to_vec(),
    };
    let mut first = None;
    for dialect in dialects {
        match connect_as(config, dialect) {
            Ok(connected) => return Ok(connected),
            Err(NotOpen::OtherVersion(failure)) => {
                first.get_or_insert(failure);
            }
            Err(NotOpen::Failed(failure)) => return Err(failure),
        }
    }
    Err(first.unwrap_or_else(|| failures::of_connect(ReasonCode::UnsupportedProtocolVersion)))
}

fn connect_as(config: &FarConfig, dialect: Dialect) -> Result<(net::Tcp, Link, bool), NotOpen> {
    let began = ambient::monotonic_ms();
    let tcp = net::Tcp::connect(config.endpoint, OPEN_MS).map_err(|error| not_open(config, &error))?;
    let mut opening = Opening { config, dialect, tcp, link: Link::new(dialect, began), began };
    let asked = opening.link.connect(config, &config.client_id, config.clean_session);
    asked.map_err(|Broken(reason)| {
        NotOpen::Failed(Failure::Fatal(format!("{}: {reason}", config.endpoint)))
    })?;
    loop {
        opening.write()?;
        if let Some(Granted { session_present, zstd }) = opening.answer()? {
            opening.goes_on_with(zstd)?;
            return Ok((opening.tcp, opening.link, session_present));
        }
        opening.read()?;
    }
}

/// A connection on its way.
struct Opening<'a> {
    config: &'a FarConfig,
    dialect: Dialect,
    tcp: net::Tcp,
    link: Link,
    began: u64,
}

impl Opening<'_> {
    fn write(&mut self) -> Result<(), NotOpen> {
        while !self.link.output().is_empty() {
            match self.tcp.write(self.link.output()) {
                Ok(written) => self.link.was_sent(written as usize, self.began),
                Err(IoError::WouldBlock) => break,
                Err(error) => return Err(not_open(self.config, &error)),
            }
        }
        Ok(())
    }

    /// Goes on with the zstd stream, where the broker has granted what it was asked for.
    fn goes_on_with(&mut self, zstd: bool) -> Result<(), NotOpen> {
        match (self.config.wants_zstd, zstd) {
            (true, true) => {
                let received = self.link.take_received();
                self.tcp.start_zstd(&received).map_err(|error| not_open(self.config, &error))
            }
            (true, false) => {
                println!("{}: the broker grants no zstd, so nothing is packed", self.config.endpoint);
                Ok(())
            }
            (false, _) => Ok(()),
        }
    }

    /// The answer to CONNECT, if it has come.
    fn answer(&mut self) -> Result<Option<Granted>, NotOpen> {
        match self.link.next_event() {
            Ok(None) => Ok(None),
            Ok(Some(Event::Connected(granted))) => Ok(Some(granted)),
            Ok(Some(Event::Refused(reason @ ReasonCode::UnsupportedProtocolVersion))) => {
                Err(NotOpen::OtherVersion(failures::of_connect(reason)))
            }
            Ok(Some(Event::Refused(reason))) => Err(NotOpen::Failed(failures::of_connect(reason))),
            Ok(Some(_)) => Err(NotOpen::Failed(self.away("its first packet is no CONNACK"))),
            // A broker that does not know the version may answer in another one.
            Err(Broken(reason)) if self.dialect.version == ProtocolVersion::V5 => {
                Err(NotOpen::OtherVersion(self.away(&reason)))
            }
            Err(Broken(reason)) => Err(NotOpen::Failed(self.away(&reason))),
        }
    }

    fn read(&mut self) -> Result<(), NotOpen> {
        let now = ambient::monotonic_ms();
        let left = self.began.saturating_add(OPEN_MS.into()).saturating_sub(now);
        if left == 0 {
            let reason = format!("it has not answered CONNECT for {} s", OPEN_MS / 1000);
            return Err(NotOpen::Failed(self.away(&reason)));
        }
        net::wait(&[Interest::Readable(&self.tcp)], u32::try_from(left).unwrap_or(OPEN_MS));
        match self.tcp.read(u32::try_from(PIECE_BYTES).unwrap_or(u32::MAX)) {
            Ok(bytes) if bytes.is_empty() => Err(not_open(self.config, &IoError::Closed)),
            Ok(bytes) => {
                self.link.receive(&bytes, now);
                Ok(())
            }
            Err(IoError::WouldBlock) => Ok(()),
            Err(error) => Err(not_open(self.config, &error)),
        }
    }

    fn away(&self, reason: &str) -> Failure {
        Failure::Reconnect(format!("{}: {reason}", self.config.endpoint))
    }
}

/// Returns the failure of opening. A broker may end the connection because of the version; other
/// causes are independent of it.
fn not_open(config: &FarConfig, error: &IoError) -> NotOpen {
    let of_endpoint = |reason: String| format!("{}: {reason}", config.endpoint);
    match (error, failure(error)) {
        (IoError::Closed, _) => {
            NotOpen::OtherVersion(Failure::Reconnect(of_endpoint("it has ended the connection".to_owned())))
        }
        (_, Failure::Fatal(reason)) => NotOpen::Failed(Failure::Fatal(of_endpoint(reason))),
        (_, Failure::Retry(reason) | Failure::Reconnect(reason) | Failure::Reject(reason)) => {
            NotOpen::Failed(Failure::Reconnect(of_endpoint(reason)))
        }
    }
}
