//! TLS that begins in packets of TDS, and TLS for a protocol by its name, against a server that
//! does both.

use crate::routes::how;
use crate::tls::{endpoint, greeted, profile};
use lotmq_host::fiber::{ClientTls, Endpoint, EndpointTls};
use lotmq_test_support::Authority;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    io::{Cursor, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Reads a packet of TDS and gives what is in it; `None` at the end.
fn packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).ok()?;
    assert_eq!(header[0], 0x12);
    let mut payload = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]])) - 8];
    stream.read_exact(&mut payload).ok()?;
    Some(payload)
}

/// A handshake in packets, of which each that goes out has few bytes.
fn handshake(
    config: Arc<ServerConfig>,
    mut stream: TcpStream,
) -> Option<StreamOwned<ServerConnection, TcpStream>> {
    const PIECE_BYTES: usize = 700;
    let mut connection = ServerConnection::new(config).unwrap();
    while connection.is_handshaking() {
        let mut records = Cursor::new(packet(&mut stream)?);
        while connection.read_tls(&mut records).unwrap() > 0 {}
        let processed = connection.process_new_packets();
        let mut answer = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut answer).unwrap();
        }
        // Of both types in which servers answer.
        for (piece, kind) in answer.chunks(PIECE_BYTES).zip([0x12, 0x04].into_iter().cycle()) {
            let length = u16::try_from(piece.len() + 8).unwrap().to_be_bytes();
            stream.write_all(&[&[kind, 1, length[0], length[1], 0, 0, 1, 0], piece].concat()).ok()?;
        }
        processed.ok()?;
    }
    Some(StreamOwned::new(connection, stream))
}

/// A server that greets whoever gets through its handshake in packets.
fn greeter(config: Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            thread::spawn(move || {
                let Some(mut stream) = handshake(config, stream.unwrap()) else { return };
                if stream.write_all(b"hello\n").and_then(|()| stream.flush()).is_ok() {
                    let _ = stream.read(&mut [0]);
                }
            });
        }
    });
    port
}

fn later(port: u16, tls: ClientTls) -> Endpoint {
    endpoint(port, EndpointTls::OnDemand(tls))
}

#[tokio::test]
async fn tls_begins_in_packets_of_tds_and_goes_on_without_them() {
    let (authority, other) = (Authority::new(), Authority::new());
    let port = greeter(authority.server("localhost").server_config());
    let trusting = |authority: &Authority| ClientTls::of_profile(profile(authority, None)).unwrap();
    assert_eq!(greeted(later(port, trusting(&authority)), &how("starttls=in tds")).await, Ok(()));
    let named = Endpoint { server_name: Some("elsewhere".to_owned()), ..later(port, trusting(&authority)) };
    let only_1_3 = lotmq_host::fiber::TlsProfile { only_1_3: true, ..profile(&authority, None) };
    for (endpoint, told) in [
        (later(port, trusting(&other)), "BadSignature"),
        (named, "not valid for name"),
        (later(port, ClientTls::of_profile(only_1_3).unwrap()), "TLS_MIN_VERSION"),
        (endpoint(port, EndpointTls::Never), "not one on which TLS begins later"),
    ] {
        let refused = greeted(endpoint, &how("starttls=in tds")).await.unwrap_err();
        assert!(refused.contains(told), "{told}: {refused}");
    }
}

#[tokio::test]
async fn server_without_tls_in_the_tds_handshake_is_reported() {
    let authority = Authority::new();
    for (answer, told) in [
        (&b"\x0f\x01\0\x0d\0\0\0\0\xfd\0\0\0\0"[..], "a packet of TDS of type 0x0f"),
        (b"\x04\x01\0\x0d\0\0\0\0\xfd\0\0\0\0", "TLS: "),
        (b"\x12\x01\0\x0d\0\0\0\0\x17\x03\x03\0\0", "TLS: "),
        (b"", "the other side ended the handshake"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            packet(&mut stream).unwrap();
            stream.write_all(answer).unwrap();
        });
        let tls = ClientTls::of_profile(profile(&authority, None)).unwrap();
        let refused = greeted(later(port, tls), &how("starttls=in tds")).await.unwrap_err();
        assert!(refused.contains(told), "{told}: {refused}");
    }
}

#[tokio::test]
async fn tls_names_the_protocol_behind_it() {
    let authority = Authority::new();
    let config = |protocols: &[&str]| {
        let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let mut config = ServerConfig::clone(&authority.server("localhost").server_config());
        config.alpn_protocols = protocols;
        Arc::new(config)
    };
    let tls = || ClientTls::of_profile(profile(&authority, None)).unwrap();
    for (known, named, told) in [
        (&["tds/8.0"][..], "tds/8.0", None),
        (&[], "tds/8.0", None),
        (&["http/1.1"], "tds/8.0", Some("TLS: ")),
        (&["tds/8.0"], &"x".repeat(256), Some("a protocol has a name of 1 to 255 bytes")),
    ] {
        let port = crate::tls::greeter(config(known));
        let done = greeted(later(port, tls()), &how(&format!("starttls={named}"))).await;
        match told {
            None => assert_eq!(done, Ok(()), "{known:?}"),
            Some(told) => assert!(done.unwrap_err().contains(told), "{known:?}"),
        }
    }
    let never = endpoint(crate::tls::greeter(config(&[])), EndpointTls::Never);
    assert!(
        greeted(never, &how("starttls=tds/8.0")).await.unwrap_err().contains("not one on which TLS begins")
    );
}
