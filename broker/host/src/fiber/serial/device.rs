//! Open serial devices: one descriptor for all instances of this process that use the same device,
//! and their turns.
//!
//! Invariants: a device is open once. Opening and closing may wait for a driver, so they run on a
//! blocking thread, even after the caller gave up. An unplugged device is opened anew, even if an
//! instance still has the former one.

use super::{super::bindings::lotmq::guest::serial::SerialError, line::SerialLine, line::SerialSettings};
use crate::limits::SERIAL_OPENINGS_MAX;
use parking_lot::Mutex;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    termios::{ioctl_tiocexcl, ioctl_tiocnxcl, tcgetattr},
};
use serial2::{SerialPort, rs4xx::Rs485Config};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking};

/// Permits to open devices.
static OPENINGS: Semaphore = Semaphore::const_new(SERIAL_OPENINGS_MAX);

/// Devices that are open or being opened, by their numbers.
static PLACES: Mutex<BTreeMap<u64, Place>> = Mutex::new(BTreeMap::new());

/// Place of one device. Locked while it is opened, so that nobody opens it beside.
type Place = Arc<Mutex<Weak<Device>>>;

/// A device that is open.
pub(in crate::fiber) struct Device {
    /// There until it is dropped.
    file: Option<File>,
    settings: SerialSettings,
    /// The right to read and write.
    pub(super) turn: Arc<Semaphore>,
    is_gone: AtomicBool,
}

/// Opens the device of a line, or shares it with another instance.
pub(in crate::fiber) async fn open(line: SerialLine) -> Result<Arc<Device>, SerialError> {
    let permit = OPENINGS.acquire().await;
    let opened = spawn_blocking(move || {
        // Held until the driver has answered, also when nobody waits any more.
        let _permit = permit;
        shared(&line)
    });
    opened.await.unwrap_or_else(|_| Err(SerialError::Other("it was given up".to_owned())))
}

fn shared(line: &SerialLine) -> Result<Arc<Device>, SerialError> {
    let place = place(device_number(&line.device)?);
    let mut known = place.lock();
    match known.upgrade().filter(|device| device.is_there()) {
        Some(device) if device.settings == line.settings => Ok(device),
        Some(device) => {
            Err(SerialError::Busy(format!("it is open with other settings ({})", device.settings)))
        }
        None => {
            let device = Arc::new(Device::open(line)?);
            *known = Arc::downgrade(&device);
            Ok(device)
        }
    }
}

/// The place of a device; those that nobody has any more are let go.
fn place(number: u64) -> Place {
    let mut places = PLACES.lock();
    // The place of a device that is being opened has a second owner.
    places.retain(|_, place| Arc::strong_count(place) > 1 || place.lock().strong_count() > 0);
    Arc::clone(places.entry(number).or_default())
}

/// Number of the device that a path leads to.
fn device_number(path: &str) -> Result<u64, SerialError> {
    let found = std::fs::metadata(path).map_err(|error| opening_error(&error))?;
    if found.file_type().is_char_device() { Ok(found.rdev()) } else { Err(no_port("it is no device")) }
}

impl Device {
    fn open(line: &SerialLine) -> Result<Device, SerialError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = options.open(&line.device).map_err(|error| opening_error(&error))?;
        let settings = line.settings;
        if settings.is_exclusive {
            claim(&file)?;
        }
        let mut port = SerialPort::from(OwnedFd::from(file));
        configure(&mut port, settings)?;
        let file = Some(File::from(OwnedFd::from(port)));
        let turn = Arc::new(Semaphore::new(1));
        Ok(Device { file, settings, turn, is_gone: AtomicBool::new(false) })
    }

    /// Another descriptor of it.
    pub(super) fn descriptor(&self) -> io::Result<File> {
        self.file.as_ref().expect("it is there until it is dropped").try_clone()
    }

    /// Notes that it was unplugged.
    pub(super) fn is_unplugged(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    fn is_there(&self) -> bool {
        !self.is_gone.load(Ordering::Acquire)
            && self.file.as_ref().is_some_and(|file| tcgetattr(file).is_ok())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        if self.settings.is_exclusive {
            // Frees the device at once for the next program: closing waits until all written bytes
            // are sent. An error means that the device is gone.
            let _ = ioctl_tiocnxcl(&file);
            let _ = flock(&file, FlockOperation::Unlock);
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// Keeps other programs out: by the lock that such programs ask for, and by the kernel, which asks
/// everybody but root.
fn claim(file: &File) -> Result<(), SerialError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(SerialError::Busy("another program has it".to_owned())),
        Err(error) => return Err(SerialError::Other(error.to_string())),
    }
    ioctl_tiocexcl(file).map_err(|_| no_port("it is no serial port"))
}

/// Applies settings, and checks that the device does them.
fn configure(port: &mut SerialPort, settings: SerialSettings) -> Result<(), SerialError> {
    let mut kernel = port.get_configuration().map_err(|error| match is_gone(&error) {
        true => SerialError::Disconnected,
        false => no_port("it is no serial port"),
    })?;
    let unfit = |error: io::Error| SerialError::Unfit(format!("it does not do {settings}: {error}"));
    settings.apply(&mut kernel).map_err(unfit)?;
    port.set_configuration(&kernel).map_err(unfit)?;
    if settings.is_rs485 {
        let set = port.set_rs4xx_mode(Rs485Config::new());
        set.map_err(|error| {
            SerialError::Unfit(format!("its driver does not switch an RS-485 line: {error}"))
        })?;
    }
    port.discard_buffers().map_err(|error| SerialError::Other(error.to_string()))
}

fn no_port(reason: &str) -> SerialError {
    SerialError::Unfit(reason.to_owned())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list grows")]
fn opening_error(error: &io::Error) -> SerialError {
    match error.kind() {
        io::ErrorKind::NotFound => SerialError::NotFound,
        io::ErrorKind::ResourceBusy => SerialError::Busy("another program has it".to_owned()),
        // It may pass: the system creates a device first and sets its permissions then.
        io::ErrorKind::PermissionDenied => SerialError::Other(format!("the broker may not open it: {error}")),
        _ if is_gone(error) => SerialError::NotFound,
        _ => SerialError::Other(error.to_string()),
    }
}

/// Whether an error says that there is no device behind a name or a descriptor any more.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::NXIO | Errno::NODEV))
}
