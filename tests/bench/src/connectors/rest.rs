//! Calls of HTTP in both directions: routes, and `hyper`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::free_port;

use super::publishers::Publishers;
use super::{Figures, Meter, Native, add_route, broker, rounds, route_figure, served, wait_for};

/// Payload of messages, calls and answers.
pub(super) const BODY: &[u8; 32] = b"{\"machine\":\"press\",\"value\":81.5}";

/// Calls that are made in a run.
const ASKED: usize = 40 * Publishers::STEP;

/// Calls that are answered in a run, and the clients that make them.
const SERVED: usize = 40_000;
const CLIENTS: usize = 8;

/// Routes that ask, one call after the other.
pub(super) fn asking(binary: &str, times: usize) {
    let server = server();
    rounds(
        "calls",
        times,
        &[
            ("native: hyper, one connection", Box::new(|| asked_by_hand(server))),
            ("route, with its messages of QoS 1", Box::new(|| asked_by_route(binary, server))),
        ],
    );
}

/// A server that answers each request in the same way.
fn server() -> SocketAddr {
    served(answer)
}

fn answer(stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut stream) = (BufReader::new(stream.try_clone().unwrap()), stream);
    let mut line = String::new();
    let mut body = 0;
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        let field = line.to_ascii_lowercase();
        if let Some(length) = field.strip_prefix("content-length:") {
            body = length.trim().parse().unwrap();
        }
        if line == "\r\n" {
            reader.read_exact(&mut vec![0; std::mem::take(&mut body)]).unwrap();
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
        line.clear();
    }
}

fn asked_by_hand(server: SocketAddr) -> Figures {
    let mut native = Native::start(&["native-http-client", &server.to_string(), &ASKED.to_string()]);
    let meter = Meter::start(vec![native.process()]);
    native.wait_ready();
    meter.figures(ASKED)
}

fn asked_by_route(binary: &str, server: SocketAddr) -> Figures {
    let broker = broker(binary);
    add_route(
        &broker,
        &format!(
            "DEFINE ROUTE Api WITH TYPE REST_API
    ADD REST_API_CONFIG
        WITH BASE_ADDRESS \"http://{server}/v1\"
    ADD EVENT Put
        WITH SOURCE_TOPIC \"in/+\"
        WITH METHOD \"POST\"
        WITH ENDPOINT \"/put\"
"
        ),
    );
    let mut publishers = Publishers::connect(broker.address(), "in", BODY);
    let meter = Meter::start(vec![broker.process_id()]);
    publishers.publish(ASKED);
    wait_for(|| route_figure(&broker, "delivered_total") == ASKED as f64);
    meter.figures(ASKED)
}

/// Routes that serve: the last value of a topic is told.
pub(super) fn serving(binary: &str, times: usize) {
    rounds(
        "calls",
        times,
        &[
            ("native: hyper, a value of its own", Box::new(served_by_hand)),
            ("route, the last value of a topic", Box::new(|| served_by_route(binary))),
        ],
    );
}

fn served_by_hand() -> Figures {
    let mut native = Native::start(&["native-http-server"]);
    let address = native.line().parse().unwrap();
    let meter = Meter::start(vec![native.process()]);
    ask_all(address);
    meter.figures(SERVED)
}

fn served_by_route(binary: &str) -> Figures {
    let broker = broker(binary);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    add_route(
        &broker,
        &format!(
            "DEFINE ROUTE Web WITH TYPE REST_API
    ADD REST_API_CONFIG
        WITH SERVER_PORT {}
        WITH SERVER_BIND \"127.0.0.1\"
    ADD EVENT State
        WITH METHOD \"GET\"
        WITH ENDPOINT \"/dev/{{id}}\"
        WITH SOURCE_TOPIC \"dev/{{id}}/state\"
",
            address.port()
        ),
    );
    let mut client = broker.client("state");
    client.publish(&Publication::new("dev/7/state", *BODY).qos(QoS::AtLeastOnce).retained()).unwrap();
    let meter = Meter::start(vec![broker.process_id()]);
    ask_all(address);
    meter.figures(SERVED)
}

/// Makes all calls, some clients at a time, each one after the other.
fn ask_all(address: SocketAddr) {
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| ask(address, SERVED / CLIENTS));
        }
    });
}

fn ask(address: SocketAddr, calls: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    for _ in 0..calls {
        stream.write_all(b"GET /dev/7 HTTP/1.1\r\nhost: bench\r\n\r\n").unwrap();
        let mut filled = 0;
        // The body is the end of the answer.
        while !buffer[..filled].ends_with(BODY) {
            let read = stream.read(&mut buffer[filled..]).unwrap();
            assert!(read > 0, "closed behind {}", String::from_utf8_lossy(&buffer[..filled]));
            filled += read;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..filled]));
    }
}
