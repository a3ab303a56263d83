//! Serial port of an attacking route: a pseudo-terminal of its own, beside one that the operator
//! does not allow.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use lotmq_host::fiber::{SerialLine, SerialSettings};
use serial2::SerialPort;

use crate::watch::DENIED_DEVICE;

const PAIRS_TRIED: u32 = 10;

/// A pseudo-terminal whose other end nobody reads.
pub(crate) struct Line {
    _other: SerialPort,
    /// So that it is there before a guest opens it, and behind that.
    _port: SerialPort,
    device: String,
}

impl Line {
    pub(crate) fn new() -> Self {
        // A cancelled instance may still open a device. A new pair may reuse its number and be set
        // up by that instance.
        let pair = (0..PAIRS_TRIED).find_map(|_| SerialPort::pair().ok());
        let (other, port) = pair.expect("there are pseudo-terminals");
        other.write_all(b"what comes").unwrap();
        let device =
            fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&port))).unwrap();
        Self { _other: other, _port: port, device: device.into_os_string().into_string().unwrap() }
    }

    /// `echo`, and `DENIED`, which never is opened.
    pub(crate) fn serial_lines(&self) -> Arc<HashMap<String, SerialLine>> {
        let line =
            |device: &str| SerialLine { device: device.to_owned(), settings: SerialSettings::default() };
        Arc::new(HashMap::from([
            ("echo".to_owned(), line(&self.device)),
            ("DENIED".to_owned(), line(DENIED_DEVICE)),
        ]))
    }

    /// Waits until nobody but the test has it open: it is opened and closed on threads of their
    /// own.
    pub(crate) fn judge(self) {
        for _ in 0..1_000 {
            if descriptors(Path::new(&self.device)) == 1 {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("a serial port stays behind");
    }
}

/// How often this process has a device open.
fn descriptors(device: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).filter(|target| target == device).count()
}
