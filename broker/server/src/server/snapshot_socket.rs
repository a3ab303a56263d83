//! Configuration of a running broker for tools of the same user: a Unix socket in the data
//! directory.
//!
//! The broker keeps its store locked. `lotmq store warm` compiles stored programs while the former
//! version of the broker still runs, so it asks here. A client gets an export of definitions,
//! modules and users, but no messages, sessions or secrets. Only the broker's user and root can
//! connect: the socket has mode 0600. Bounds: one connection at a time, and [`WRITE_PATIENCE`] for
//! each part.

use std::io::{self, BufWriter, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use lotmq_changes::table::BackupClass;
use lotmq_changes::{LogArchive, SnapshotError};
use lotmq_config::{Config, Durability};
use lotmq_store::{OpenError, Store};
use socket2::SockRef;
use tracing::{debug, info, warn};

use lotmq_net::listening_socket::{ListeningSocket, SocketFile, bind_unix};

/// Name of the socket within the data directory.
const SOCKET_FILE: &str = "snapshot.sock";

/// Mode of the socket: of the broker's user only.
const SOCKET_MODE: u32 = 0o600;

/// How long a reader may leave a part unread. The store keeps its pages meanwhile.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that are written at once.
const PART_BYTES: usize = 256 << 10;

/// Parts of the store that tools get.
const CLASSES: [BackupClass; 1] = [BackupClass::Configuration];

/// Socket with the thread that serves it. Dropping it without [`stop`](Self::stop) leaves the
/// thread running.
pub(super) struct SnapshotSocket {
    listener: Arc<UnixListener>,
    thread: JoinHandle<()>,
    _file: SocketFile,
}

/// Path of the socket of a data directory.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(SOCKET_FILE)
}

/// Writes what a broker that does not run would hand out.
///
/// # Errors
/// As [`Store::export`].
pub(super) fn export(directory: &Path, out: &mut UnixStream) -> Result<(), OpenError> {
    Store::export(directory, &CLASSES, &mut BufWriter::with_capacity(PART_BYTES, out)).map(drop)
}

impl SnapshotSocket {
    /// Opens the socket in the data directory and serves it. `None` where nothing is stored, or
    /// that is not possible, as with a path that is too long for a socket; tools then need a broker
    /// that is stopped.
    pub(super) fn start(config: &Config, archive: &Arc<dyn LogArchive>) -> Option<Self> {
        if config.store.durability == Durability::None {
            return None;
        }
        let path = path(&config.data.path);
        match Self::serve_at(&path, Arc::clone(archive)) {
            Ok(socket) => Some(socket),
            Err(error) => {
                info!(path = %path.display(), %error, "no socket for `lotmq store warm`; it needs the broker stopped");
                None
            }
        }
    }

    fn serve_at(path: &Path, archive: Arc<dyn LogArchive>) -> io::Result<Self> {
        let ListeningSocket::Unix(listener, file) = bind_unix(path, SOCKET_MODE)? else {
            return Err(io::Error::other("it is no Unix socket"));
        };
        listener.set_nonblocking(false)?;
        let listener = Arc::new(listener);
        let served = Arc::clone(&listener);
        let thread = Builder::new().name("snapshots".to_owned()).spawn(move || serve(&served, &*archive))?;
        Ok(Self { listener, thread, _file: file })
    }

    /// Closes the socket and waits for the thread.
    pub(super) fn stop(self) {
        // It fails when the socket is closed already, and that is the aim.
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if self.thread.join().is_err() {
            warn!("the thread of snapshots ended by a panic");
        }
    }
}

/// Serves one connection after another until the socket is closed.
fn serve(listener: &UnixListener, archive: &dyn LogArchive) {
    while let Ok((mut stream, _)) = listener.accept() {
        if let Err(error) = hand_out(&mut stream, archive) {
            debug!(%error, "a snapshot was not read to its end");
        }
    }
}

fn hand_out(stream: &mut UnixStream, archive: &dyn LogArchive) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_write_timeout(Some(WRITE_PATIENCE))?;
    let mut out = BufWriter::with_capacity(PART_BYTES, stream);
    // Bytes written before a snapshot was lost cannot be taken back, so there is no retry.
    let snapshot: Result<_, SnapshotError> = archive.snapshot()?.export(&CLASSES, &mut out);
    snapshot?;
    Ok(out.flush()?)
}
