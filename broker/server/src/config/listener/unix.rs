//! Section `[listener.unix]`.

use std::path::PathBuf;

use crate::config::key::section;
use crate::config::setting::FileMode;

section! {
    /// MQTT through a Unix socket. Its clients count as clients of this machine.
    UnixListener at "listener.unix", |config| config.listener.unix => {
        /// The file of the socket; without it there is none. A file that a broker left behind is replaced, any other is not; the broker removes it
        /// when it stops.
        path: Option<PathBuf> = None;
        /// Permissions of the file, as octal digits: who may write to it may connect.
        mode: FileMode = FileMode::GROUP;
        /// Time in seconds from the connection to CONNECT; that of `[limits]` until it is set.
        connect_timeout_sec: Option<u32> = None, range 1..=3_600;
        /// Connections that may be without CONNECT at once; more are closed at once. That of `[limits]` until it is set.
        half_open: Option<u32> = None, range 1..=10_000_000;
        /// Largest packet in bytes that clients may send; that of `[limits]` until it is set.
        max_packet_size: Option<u32> = None, range 1_024..=268_435_460;
    }
}
