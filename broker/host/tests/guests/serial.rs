//! Serial ports of routes: a real guest and pseudo-terminals.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use lotmq_host::fiber::{SerialLine, SerialParity, SerialSettings};
use lotmq_host::route::{RouteGuest, RouteInstance, RouteSpec};
use lotmq_host::{ComponentSource, Grants, GuestId, GuestLimits};
use rustix::fs::{FlockOperation, flock};
use serial2::SerialPort;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::routes::Taker;
use crate::support::engine;

/// The guest `route-serial`.
const SERIAL: &[u8] = include_bytes!("../../../../tests/guests/route-serial/prebuilt/route-serial.wasm");

/// A device that can be plugged in and out: a name that leads to a pseudo-terminal.
struct Device {
    folder: TempDir,
    /// The other side, and a descriptor of the guest's, so that the line is there while no guest
    /// has it.
    ends: Option<(SerialPort, SerialPort)>,
}

impl Device {
    fn new() -> Device {
        let mut device = Device { folder: tempfile::tempdir().unwrap(), ends: None };
        device.plug_in();
        device
    }

    fn path(&self) -> String {
        self.folder.path().join("ttyTest").display().to_string()
    }

    fn plug_in(&mut self) {
        let (mut other, port) = SerialPort::pair().unwrap();
        let terminal = fs::read_link(format!("/proc/self/fd/{}", port.as_raw_fd())).unwrap();
        std::os::unix::fs::symlink(terminal, self.path()).unwrap();
        other.set_read_timeout(Duration::from_secs(10)).unwrap();
        self.ends = Some((other, port));
    }

    fn plug_out(&mut self) {
        fs::remove_file(self.path()).unwrap();
        self.ends = None;
    }

    fn other(&mut self) -> &mut SerialPort {
        &mut self.ends.as_mut().unwrap().0
    }

    /// Reads so many bytes that the guest has sent.
    fn hears(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.other().read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn says(&mut self, text: &str) {
        self.other().write_all(text.as_bytes()).unwrap();
    }

    fn line(&self) -> SerialLine {
        SerialLine { device: self.path(), settings: SerialSettings::default() }
    }
}

/// An instance with a port `line`.
struct Guest(RouteInstance);

impl Guest {
    async fn with(line: SerialLine) -> Guest {
        let guest = RouteGuest::compile(engine(), SERIAL, ComponentSource::Upload).unwrap();
        let (arrivals, _receiver) = mpsc::unbounded_channel();
        let spec = RouteSpec {
            id: GuestId(1),
            services: Arc::new(Taker::new(Vec::new(), arrivals)),
            grants: Arc::new(Grants::default()),
            endpoints: Arc::default(),
            folders: Arc::default(),
            serial_lines: Arc::new(HashMap::from([("line".to_owned(), line)])),
            limits: GuestLimits::default(),
        };
        Guest(guest.instance(spec).await.unwrap())
    }

    async fn does(&mut self, command: &str) -> String {
        let answer = self.0.request("do", command.as_bytes()).await.unwrap().unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Gives commands until one is answered so: what is on its way needs a moment.
    async fn does_at_last(&mut self, command: &str, expected: &str) {
        for _ in 0..1_000 {
            if self.does(command).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{command} never gave {expected}");
    }
}

#[tokio::test]
async fn a_guest_asks_and_is_answered() {
    let mut device = Device::new();
    let mut guest = Guest::with(device.line()).await;
    assert_eq!(guest.does("open line").await, "done");
    assert_eq!(guest.does("receive").await, "SerialError::WouldBlock");
    device.says("21.5 kg\r\n");
    assert_eq!(guest.does("ask S").await, "21.5 kg");
    assert_eq!(device.hears(2), "S\n");
    device.says("22.5 kg\n");
    assert_eq!(guest.does("ask-asynchronously T").await, "22.5 kg");
    assert_eq!(device.hears(2), "T\n");
    assert_eq!(guest.does("ask U").await, "TimedOut: timed out", "nobody answers");
    assert_eq!(device.hears(2), "U\n");
    device.says("late");
    assert_eq!(guest.does("is-readable").await, "true");
    assert_eq!(guest.does("discard").await, "done");
    assert_eq!(guest.does("receive").await, "SerialError::WouldBlock");
    assert_eq!(guest.does("fill 1000000").await, "TimedOut", "the other side takes no more");
}

#[tokio::test]
async fn two_instances_use_a_line_by_turns() {
    let mut device = Device::new();
    let mut one = Guest::with(device.line()).await;
    let mut other = Guest::with(device.line()).await;
    assert_eq!(one.does("open-shared line").await, "done");
    assert_eq!(other.does("open-shared line").await, "done");
    assert_eq!(one.does("send x").await, "SerialError::NotBegun");
    assert_eq!(one.does("receive").await, "SerialError::NotBegun");
    assert_eq!(one.does("begin").await, "done");
    assert_eq!(one.does("begin").await, "done", "it has its turn");
    let busy = "SerialError::Busy(\"the turn of another instance has not ended\")";
    assert_eq!(other.does("begin").await, busy);
    device.says("for the one");
    assert_eq!(one.does("is-readable").await, "true");
    assert_eq!(other.does("is-readable").await, "false", "it is not its turn");
    assert_eq!(one.does("receive").await, "for the one");
    assert_eq!(one.does("end").await, "done");
    assert_eq!(other.does("begin").await, "done");
    device.says("for the other");
    assert_eq!(other.does("is-readable").await, "true");
    assert_eq!(other.does("receive").await, "for the other");
    drop(other);
    assert_eq!(one.does("begin").await, "done", "the turn of an instance that is gone ends");
    assert_eq!(
        one.does("open-all line").await,
        "31 SerialError::LimitReached",
        "two signals each, beside its own"
    );
}

#[tokio::test]
async fn unplugged_serial_device_is_reported_and_can_be_reopened() {
    let mut device = Device::new();
    let mut guest = Guest::with(device.line()).await;
    let mut idle = Guest::with(device.line()).await;
    assert_eq!(idle.does("open-shared line").await, "done");
    assert_eq!(guest.does("open line").await, "done");
    device.plug_out();
    guest.does_at_last("receive", "SerialError::Disconnected").await;
    assert_eq!(guest.does("send x").await, "SerialError::Disconnected");
    assert_eq!(guest.does("open line").await, "SerialError::NotFound");
    device.plug_in();
    assert_eq!(guest.does("open line").await, "done", "although another one has the former device");
    device.says("back");
    assert_eq!(guest.does("is-readable").await, "true");
    assert_eq!(guest.does("receive").await, "back");
}

#[tokio::test]
async fn serial_open_failure_is_reported_with_its_cause() {
    let device = Device::new();
    let plain = SerialSettings::default();
    let at = |path: &str| SerialLine { device: path.to_owned(), settings: plain };
    let other_settings = SerialSettings { baud_rate: 19_200, ..plain };
    let even = SerialSettings { parity: SerialParity::Even, ..plain };
    let mut first = Guest::with(device.line()).await;
    for (line, expected) in [
        (at("/dev/denied"), "SerialError::Denied(\"the operator says no\")"),
        (at("/dev/no-such-device"), "SerialError::NotFound"),
        (at("/etc/hostname"), "SerialError::Unfit(\"it is no device\")"),
        (at("/dev/null"), "SerialError::Unfit(\"it is no serial port\")"),
        (SerialLine { settings: even, ..device.line() }, "SerialError::Unfit(\"it does not do 9600 8E1: "),
        (
            SerialLine { settings: SerialSettings { is_rs485: true, ..plain }, ..device.line() },
            "SerialError::Unfit(\"its driver does not switch an RS-485 line: ",
        ),
    ] {
        let told = Guest::with(line.clone()).await.does("open line").await;
        assert!(told.starts_with(expected), "{line:?}: {told}");
    }
    assert_eq!(first.does("open other").await, "SerialError::Denied(\"there is no serial port 'other'\")");
    assert_eq!(first.does("open line").await, "done");
    let mut second = Guest::with(SerialLine { settings: other_settings, ..device.line() }).await;
    let busy = "SerialError::Busy(\"it is open with other settings (9600 8N1)\")";
    assert_eq!(second.does("open line").await, busy);
    assert_eq!(first.does("close").await, "done");
    assert_eq!(second.does("open line").await, "done");
}

#[tokio::test]
async fn a_device_that_another_program_has_is_busy() {
    let device = Device::new();
    let program = fs::File::options().read(true).write(true).open(device.path()).unwrap();
    flock(&program, FlockOperation::NonBlockingLockExclusive).unwrap();
    let mut guest = Guest::with(device.line()).await;
    assert_eq!(guest.does("open line").await, "SerialError::Busy(\"another program has it\")");
    let settings = SerialSettings { is_exclusive: false, ..SerialSettings::default() };
    let mut tolerant = Guest::with(SerialLine { settings, ..device.line() }).await;
    assert_eq!(tolerant.does("open line").await, "done");
    drop((program, tolerant));
    guest.does_at_last("open line", "done").await;
    let late = fs::File::open(device.path());
    let locked = late.map(|late| flock(&late, FlockOperation::NonBlockingLockExclusive));
    assert!(!matches!(locked, Ok(Ok(()))), "it is the guest's alone");
}
