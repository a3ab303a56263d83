//! Stub resolver for records that the system's resolver does not give to programs: SRV and TXT.
//!
//! One name server after another is asked, over UDP, and over TCP if its answer was truncated. A
//! datagram is an answer only if it comes from the server that was
//! asked and repeats the number and the question. Each question has a socket of its own, whose port
//! the system chooses at random.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Time that a name server has for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// How often all name servers are asked.
const ROUNDS: usize = 2;

/// Name servers that are asked, as of the system's resolver (`MAXNS` of glibc).
const SERVERS_MAX: usize = 3;

/// Bytes of a datagram. Without EDNS an answer has 512; a few servers send more.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Records of one answer, of any section. A cluster has a handful of servers.
const RECORDS_MAX: u16 = 256;

/// Bytes of the header of a message, RFC 1035 §4.1.1.
const HEADER_BYTES: usize = 12;

/// Port of name servers.
const PORT: u16 = 53;

/// Reason why records could not be looked up.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(in crate::route_drivers) enum LookupError {
    #[error("'{0}' is no name that DNS can have")]
    Name(String),
    #[error("no name server says what '{name}' is: {reasons}")]
    NoAnswer { name: String, reasons: String },
}

/// DnsRecord of a name.
#[derive(Debug, PartialEq)]
pub(super) enum DnsRecord {
    /// SRV: a host and its port.
    Server(String, u16),
    /// TXT: the strings of one record, joined.
    Text(String),
}

/// Question for the records of one type.
#[derive(Clone, Copy)]
pub(super) struct DnsQuestion<'a> {
    pub(super) name: &'a str,
    pub(super) kind: TYPE,
}

/// Meaning of a message as an answer to a question.
#[derive(Debug, PartialEq)]
enum Reply {
    /// Records of the type that was asked for; none if the name has none, or is not there.
    Records(Vec<DnsRecord>),
    /// The rest has to be asked for over TCP.
    Truncated,
    /// It answers something else.
    Foreign,
}

/// Asks name servers for records; none if the name has none of the type, or is not there.
///
/// # Errors
/// [`LookupError`] when none of them has an answer.
pub(super) async fn records(
    servers: &[SocketAddr],
    asked: DnsQuestion<'_>,
) -> Result<Vec<DnsRecord>, LookupError> {
    let mut reasons: Vec<String> = Vec::new();
    for _ in 0..ROUNDS {
        for server in servers.iter().take(SERVERS_MAX) {
            let number = u16::try_from(getrandom::u32().unwrap_or_default() & 0xffff).unwrap_or_default();
            let query = query(number, asked).ok_or_else(|| LookupError::Name(asked.name.to_owned()))?;
            let exchange = exchange(*server, &query, (number, asked));
            let reason = match timeout(ANSWER_TIME, exchange).await {
                Ok(Ok(records)) => return Ok(records),
                Ok(Err(reason)) => format!("{server}: {reason}"),
                Err(_) => format!("{server}: no answer within {} s", ANSWER_TIME.as_secs()),
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    Err(LookupError::NoAnswer { name: asked.name.to_owned(), reasons: reasons.join(", ") })
}

/// The message that asks.
fn query(number: u16, asked: DnsQuestion<'_>) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(number);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(asked.name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(asked.kind), CLASS::IN.into(), false));
    packet.build_bytes_vec().ok()
}

async fn exchange(
    server: SocketAddr,
    query: &[u8],
    expected: (u16, DnsQuestion<'_>),
) -> Result<Vec<DnsRecord>, String> {
    let told = |error: io::Error| error.to_string();
    match over_udp(server, query, expected).await.map_err(told)?? {
        Some(records) => Ok(records),
        None => over_tcp(server, query, expected).await.map_err(told)?,
    }
}

/// Asks over UDP; `None` if the answer was truncated.
async fn over_udp(
    server: SocketAddr,
    query: &[u8],
    expected: (u16, DnsQuestion<'_>),
) -> io::Result<Result<Option<Vec<DnsRecord>>, String>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let read = socket.recv(&mut datagram).await?;
        match reply(datagram.get(..read).unwrap_or_default(), expected) {
            Ok(Reply::Records(records)) => return Ok(Ok(Some(records))),
            Ok(Reply::Truncated) => return Ok(Ok(None)),
            Ok(Reply::Foreign) => {}
            Err(reason) => return Ok(Err(reason)),
        }
    }
}

async fn over_tcp(
    server: SocketAddr,
    query: &[u8],
    expected: (u16, DnsQuestion<'_>),
) -> io::Result<Result<Vec<DnsRecord>, String>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(match reply(&message, expected) {
        Ok(Reply::Records(records)) => Ok(records),
        Ok(Reply::Truncated | Reply::Foreign) => {
            Err("its answer over TCP is none to the question".to_owned())
        }
        Err(reason) => Err(reason),
    })
}

/// Reads a message as the reply to a question.
///
/// # Errors
/// Why the server has no records, or what it says is not read.
fn reply(message: &[u8], (number, asked): (u16, DnsQuestion<'_>)) -> Result<Reply, String> {
    // Looked at before the message is read, as memory is reserved by these counts.
    let Some(header) = message.get(..HEADER_BYTES) else { return Ok(Reply::Foreign) };
    let mut counts =
        header.chunks_exact(2).map(|pair| pair.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)));
    let is_ours = counts.next() == Some(number) && counts.nth(1) == Some(1);
    if !is_ours {
        return Ok(Reply::Foreign);
    }
    if counts.any(|count| count > RECORDS_MAX) {
        return Err(format!("its answer has more than {RECORDS_MAX} records"));
    }
    let packet = Packet::parse(message).map_err(|_| "its answer is malformed".to_owned())?;
    let repeats = packet.questions.first().is_some_and(|question| {
        question.qtype == QTYPE::TYPE(asked.kind)
            && Name::new(asked.name).is_ok_and(|name| name == question.qname)
    });
    if !packet.has_flags(PacketFlag::RESPONSE) || !repeats {
        return Ok(Reply::Foreign);
    }
    let code = packet.rcode();
    if code == RCODE::NoError && packet.has_flags(PacketFlag::TRUNCATION) {
        return Ok(Reply::Truncated);
    }
    if !matches!(code, RCODE::NoError | RCODE::NameError) {
        return Err(format!("it answers {code:?}"));
    }
    let answers = packet.answers.into_iter().filter(|answer| answer.class == CLASS::IN);
    let records = answers.filter_map(|answer| {
        if asked.kind == TYPE::SRV
            && let RData::SRV(found) = answer.rdata
        {
            Some(DnsRecord::Server(found.target.to_string(), found.port))
        } else if asked.kind == TYPE::TXT
            && let RData::TXT(found) = answer.rdata
        {
            Some(DnsRecord::Text(String::try_from(found).unwrap_or_else(|_| "\u{fffd}".to_owned())))
        } else {
            None
        }
    });
    Ok(Reply::Records(records.collect()))
}

/// Name servers of this system, by the text of `/etc/resolv.conf`; that of this machine where it
/// names none.
pub(super) fn of_system(resolv_conf: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let (word, rest) = line.trim_start().split_once([' ', '\t'])?;
        let text = rest.split_whitespace().next().filter(|_| word == "nameserver")?;
        text.parse::<IpAddr>().ok()
    };
    let mut servers: Vec<_> =
        resolv_conf.lines().filter_map(address).map(|address| SocketAddr::new(address, PORT)).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{SRV, TXT};

    const NAME: &str = "_mongodb._tcp.c.plant.example";
    const ASKED: DnsQuestion<'static> = DnsQuestion { name: NAME, kind: TYPE::SRV };

    /// An answer to `ASKED` with this number, changed by the test.
    fn answer(number: u16, change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let mut packet = Packet::new_reply(number);
        let name = Name::new("_MongoDB._tcp.c.plant.example").unwrap();
        packet.questions.push(Question::new(name.clone(), TYPE::SRV.into(), CLASS::IN.into(), false));
        let target = Name::new("a.plant.example").unwrap();
        let found = SRV { priority: 0, weight: 0, port: 27_017, target };
        packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, RData::SRV(found)));
        change(&mut packet);
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn an_answer_repeats_number_and_question() {
        let expected = Reply::Records(vec![DnsRecord::Server("a.plant.example".to_owned(), 27_017)]);
        assert_eq!(reply(&answer(7, |_| ()), (7, ASKED)), Ok(expected));
        for (message, why) in [
            (answer(8, |_| ()), "another number"),
            (answer(7, |packet| packet.questions.clear()), "no question"),
            (answer(7, |packet| packet.questions[0].qname = Name::new("x").unwrap()), "another name"),
            (answer(7, |packet| packet.questions[0].qtype = TYPE::TXT.into()), "another type"),
            (answer(7, |packet| packet.remove_flags(PacketFlag::RESPONSE)), "a question"),
            (Vec::new(), "nothing"),
        ] {
            assert_eq!(reply(&message, (7, ASKED)), Ok(Reply::Foreign), "{why}");
        }
        let none = answer(7, |packet| {
            packet.answers.clear();
            *packet.rcode_mut() = RCODE::NameError;
        });
        assert_eq!(reply(&none, (7, ASKED)), Ok(Reply::Records(Vec::new())));
        let cut = answer(7, |packet| packet.set_flags(PacketFlag::TRUNCATION));
        assert_eq!(reply(&cut, (7, ASKED)), Ok(Reply::Truncated));
        let failed = answer(7, |packet| *packet.rcode_mut() = RCODE::ServerFailure);
        assert_eq!(reply(&failed, (7, ASKED)), Err("it answers ServerFailure".to_owned()));
    }

    #[test]
    fn truncated_or_inflated_dns_reply_is_handled_safely() {
        let whole = answer(7, |_| ());
        for length in 0..whole.len() {
            let read = reply(&whole[..length], (7, ASKED));
            assert!(matches!(read, Ok(Reply::Foreign) | Err(_)), "{length}: {read:?}");
        }
        for place in 0..whole.len() {
            for byte in [0, 1, 0x3f, 0xc0, 0xff] {
                let mut changed = whole.clone();
                changed[place] = byte;
                let _ = reply(&changed, (7, ASKED));
            }
        }
        let mut many = whole;
        many[6..8].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(reply(&many, (7, ASKED)), Err("its answer has more than 256 records".to_owned()));
    }

    #[test]
    fn strings_of_a_text_are_joined() {
        let mut packet = Packet::new_reply(1);
        let name = Name::new("c.plant.example").unwrap();
        packet.questions.push(Question::new(name.clone(), TYPE::TXT.into(), CLASS::IN.into(), false));
        let text = TXT::new().with_string("authSource=ad").unwrap().with_string("min").unwrap();
        packet.answers.push(ResourceRecord::new(name, CLASS::IN, 60, RData::TXT(text)));
        let asked = DnsQuestion { name: "c.plant.example", kind: TYPE::TXT };
        let found = reply(&packet.build_bytes_vec().unwrap(), (1, asked));
        assert_eq!(found, Ok(Reply::Records(vec![DnsRecord::Text("authSource=admin".to_owned())])));
    }

    #[test]
    fn name_servers_of_the_system_are_read() {
        let text = "# nameserver 9.9.9.9\nsearch plant.example\nnameserver 10.0.0.1\n nameserver\t::1 # own\nnameserver fe80::1%eth0\noptions ndots:1\n";
        let servers: Vec<String> = of_system(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[::1]:53"]);
        assert_eq!(of_system(""), ["127.0.0.1:53".parse().unwrap()]);
    }
}
