//! A thousand tags that are read each second: the route, and the same by hand.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use lotmq_client::QoS;

use super::{Figures, Meter, Native, add_route, broker, rounds, served};

/// Registers that are read, each a tag.
pub(super) const REGISTERS: u16 = 1000;

/// Registers of a request, as many as there can be.
pub(super) const REGISTERS_OF_A_REQUEST: u16 = 125;

/// Time of a run.
const TIME: Duration = Duration::from_secs(20);

pub(super) fn group(binary: &str, times: usize) {
    let device = device();
    println!("  a core at 5 % is 20,000 tags/CPU-s");
    rounds(
        "tags",
        times,
        &[
            ("native: std, client crate", Box::new(|| by_hand(binary, device))),
            ("route", Box::new(|| by_route(binary, device))),
        ],
    );
}

/// A device that has all registers, each with its own address in it.
pub(crate) fn device() -> SocketAddr {
    served(answer)
}

/// Answers requests of function 3 until the client goes.
fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut request = [0; 12];
    while stream.read_exact(&mut request).is_ok() {
        assert_eq!(request[7], 3, "{request:?}");
        let number = |at: usize| u16::from_be_bytes([request[at], request[at + 1]]);
        let (first, count) = (number(8), number(10));
        let bytes = u8::try_from(count * 2).unwrap();
        let mut reply = vec![request[0], request[1], 0, 0, 0, bytes + 3, request[6], 3, bytes];
        reply.extend((first..first + count).flat_map(u16::to_be_bytes));
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}

fn by_route(binary: &str, device: SocketAddr) -> Figures {
    let broker = broker(binary);
    let mut text = format!(
        "DEFINE ROUTE Plc WITH TYPE MODBUS_TCP
    ADD MODBUS_CONFIG
        WITH HOST \"127.0.0.1\"
        WITH PORT {}
    ADD MAPPING M
        WITH SOURCE_TOPIC \"plc\"
        WITH EVERY 1 SECOND
",
        device.port()
    );
    for register in 0..REGISTERS {
        let address = 40_001 + u32::from(register);
        write!(
            text,
            "        ADD TAG t{register}\n            WITH ADDRESS \"{address}\"\n            WITH DATA_TYPE \"INT16\"\n"
        )
        .unwrap();
    }
    // Everything arrives, before the measurement.
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("plc/+", QoS::AtMostOnce).unwrap();
    add_route(&broker, &text);
    for _ in 0..3 * REGISTERS {
        let message = watcher.receive(Duration::from_secs(10)).unwrap().expect("a value");
        assert_eq!(message.topic, format!("plc/t{}", message.text()));
    }
    drop(watcher);
    measure(&Meter::start(vec![broker.process_id()]))
}

fn by_hand(binary: &str, device: SocketAddr) -> Figures {
    let broker = broker(binary);
    let native = Native::start(&["native-modbus", &device.to_string(), &broker.address().to_string()]);
    thread::sleep(Duration::from_secs(3));
    measure(&Meter::start(vec![broker.process_id(), native.process()]))
}

fn measure(meter: &Meter) -> Figures {
    thread::sleep(TIME);
    let seconds = usize::try_from(TIME.as_secs()).unwrap();
    meter.figures(seconds * usize::from(REGISTERS))
}
