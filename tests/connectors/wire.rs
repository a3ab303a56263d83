//! Serial lines that tests make of pseudo-terminals, and the units of Modbus RTU at their other
//! end.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serial2::SerialPort;
use tempfile::TempDir;

/// How long a thread waits for bytes before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// A serial port that can be plugged in and out.
pub(crate) struct Wire {
    folder: TempDir,
    plugged: Option<Plugged>,
}

/// Port and threads of a plugged wire, which end when it is plugged out.
struct Plugged {
    /// So that the other end hears no end where the broker closes.
    _port: SerialPort,
    has_ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Wire {
    /// A port that is not plugged in yet.
    pub(crate) fn new() -> Wire {
        Wire { folder: tempfile::tempdir().unwrap(), plugged: None }
    }

    /// One with units at its other end, which answer each request as they are told: by its number
    /// and its frame.
    pub(crate) fn with_units(answer: impl Fn(usize, &[u8]) -> Vec<u8> + Send + 'static) -> Wire {
        let mut wire = Wire::new();
        wire.plug_in(answer);
        wire
    }

    /// Path of its device.
    pub(crate) fn device(&self) -> String {
        self.folder.path().join("ttyPLC").display().to_string()
    }

    /// Plugs it in, with such units.
    pub(crate) fn plug_in(&mut self, answer: impl Fn(usize, &[u8]) -> Vec<u8> + Send + 'static) {
        self.plug(|end, has_ended| vec![thread::spawn(move || converse(&end, &has_ended, answer))]);
    }

    /// Plugs it in with another device at its end, for a program; gives the path of that.
    pub(crate) fn plug_into_program(&mut self) -> String {
        let (far, port) = pair();
        let device = terminal(&port).display().to_string();
        self.plug(|near, has_ended| {
            let (far_2, near_2) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let ended = Arc::clone(&has_ended);
            let there = thread::spawn(move || pump(&near, &far, &ended));
            let back = thread::spawn(move || {
                // For as long as there is a line.
                let _port = port;
                pump(&far_2, &near_2, &has_ended);
            });
            vec![there, back]
        });
        device
    }

    fn plug(&mut self, work: impl FnOnce(SerialPort, Arc<AtomicBool>) -> Vec<JoinHandle<()>>) {
        let (end, port) = pair();
        symlink(terminal(&port), self.device()).unwrap();
        let has_ended = Arc::new(AtomicBool::new(false));
        let threads = work(end, Arc::clone(&has_ended));
        self.plugged = Some(Plugged { _port: port, has_ended, threads });
    }

    /// Plugs it out: its name is gone, and who has it open is told.
    pub(crate) fn plug_out(&mut self) {
        fs::remove_file(self.device()).unwrap();
        self.plugged = None;
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

fn pair() -> (SerialPort, SerialPort) {
    let (mut end, port) = SerialPort::pair().unwrap();
    end.set_read_timeout(LOOK).unwrap();
    (end, port)
}

fn terminal(port: &SerialPort) -> PathBuf {
    fs::read_link(format!("/proc/self/fd/{}", port.as_raw_fd())).unwrap()
}

/// Carries bytes from one end to another one.
fn pump(from: &SerialPort, to: &SerialPort, has_ended: &AtomicBool) {
    let mut bytes = [0; 512];
    while !has_ended.load(Ordering::Acquire) {
        if let Ok(count) = from.read(&mut bytes) {
            to.write_all(&bytes[..count]).unwrap();
        }
    }
}

/// Answers requests.
fn converse(line: &SerialPort, has_ended: &AtomicBool, answer: impl Fn(usize, &[u8]) -> Vec<u8>) {
    let (mut received, mut bytes) = (Vec::new(), [0; 512]);
    let mut number = 0;
    while !has_ended.load(Ordering::Acquire) {
        received.extend_from_slice(line.read(&mut bytes).map_or(&[], |count| &bytes[..count]));
        while let Some(frame) = request_length(&received).filter(|length| *length <= received.len()) {
            let rest = received.split_off(frame);
            let frame = std::mem::replace(&mut received, rest);
            assert_eq!(frame, framed(&frame[..frame.len() - 2]), "a request has its checksum");
            line.write_all(&answer(number, &frame)).unwrap();
            number += 1;
        }
    }
}

/// Length of the request at the beginning.
fn request_length(received: &[u8]) -> Option<usize> {
    match received.get(1)? {
        15 | 16 => received.get(6).map(|count| 9 + usize::from(*count)),
        _ => Some(8),
    }
}

/// Bytes with their checksum.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let sum = bytes.iter().fold(0xFFFF_u16, |sum, byte| {
        (0..8)
            .fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 0 { sum >> 1 } else { (sum >> 1) ^ 0xA001 })
    });
    [bytes, &sum.to_le_bytes()].concat()
}

/// The reply to a request for registers that all have this value, or to a write.
pub(crate) fn registers(frame: &[u8], value: u8) -> Vec<u8> {
    if frame[1] > 4 {
        return framed(&frame[..6]);
    }
    let count = frame[5];
    framed(&[&[frame[0], frame[1], count * 2][..], &[0, value].repeat(count.into())].concat())
}
