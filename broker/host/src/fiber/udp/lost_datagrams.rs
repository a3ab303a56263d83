//! Datagrams that the system has dropped because the socket of a guest had no room for them. The
//! last column of `/proc/net/udp` has the number for each socket.
//!
//! Invariant: the tables are read for all sockets together, for at most a hundredth of the time,
//! however many sockets the machine has.

use crate::{
    RunContext,
    fiber::{dial::Dialer, services::FiberServices},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs::read_to_string,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;

/// Shortest time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// For so many times as long as a reading takes there is none.
const REST: u32 = 100;

/// Tables of the system, for IPv4 and IPv6.
const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// Latest reading, for all guests.
static READ: Mutex<Option<Reading>> = Mutex::new(None);

/// Numbers of dropped datagrams by the inodes of sockets.
struct Reading {
    dropped: HashMap<u64, u32>,
    /// When they are read again.
    due: Instant,
}

/// Count of the datagrams that were dropped at one socket.
pub(super) struct LostDatagrams {
    /// Its inode; `None` if the system does not return it.
    inode: Option<u64>,
    told: u32,
    /// When it is looked at again.
    due: Instant,
    services: Arc<dyn FiberServices>,
    run: RunContext,
}

impl LostDatagrams {
    /// That of a socket that has just been opened.
    pub(super) fn of(socket: &UdpSocket, dialer: &Dialer) -> Self {
        let inode = rustix::fs::fstat(socket).ok().map(|stat| stat.st_ino);
        let (services, due) = (Arc::clone(&dialer.services), Instant::now() + PERIOD);
        Self { inode, told: 0, due, services, run: dialer.run }
    }

    /// Reports newly dropped datagrams to the broker, at most once per period.
    pub(super) fn look(&mut self) {
        if Instant::now() >= self.due {
            self.due = Instant::now() + PERIOD;
            self.tell();
        }
    }

    fn tell(&mut self) {
        let Some(dropped) = self.inode.and_then(dropped) else { return };
        // The system counts round.
        let new = dropped.wrapping_sub(self.told);
        if new > 0 {
            self.told = dropped;
            self.services.lost_datagrams(&self.run, new.into());
        }
    }
}

impl Drop for LostDatagrams {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Datagrams that were dropped at a socket, as far as the last reading knows it.
fn dropped(inode: u64) -> Option<u32> {
    let mut read = READ.lock();
    let now = Instant::now();
    if read.as_ref().is_none_or(|reading| now >= reading.due) {
        let tables = TABLES.map(|table| read_to_string(table).unwrap_or_default());
        let dropped = tables.iter().flat_map(|table| table.lines().filter_map(of_line)).collect();
        let due = Instant::now() + (now.elapsed() * REST).max(PERIOD / 2);
        *read = Some(Reading { dropped, due });
    }
    read.as_ref()?.dropped.get(&inode).copied()
}

/// Inode and number of dropped datagrams of the socket that a line of a table is about; those
/// without any are left out.
fn of_line(line: &str) -> Option<(u64, u32)> {
    let mut columns = line.split_ascii_whitespace();
    let inode = columns.nth(9)?.parse().ok()?;
    let dropped = columns.nth(2)?.parse().ok()?;
    (dropped > 0).then_some((inode, dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_tells_what_was_dropped() {
        for (line, expected) in [
            (
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
                None,
            ),
            (
                " 1087: 0100007F:14EB 00000000:0000 07 00000000:00034B00 00:00000000 00000000   999        0 52911 2 00000000c6c3a8f4 118",
                Some((52_911, 118)),
            ),
            (
                "29014: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4294967297 2 0000000000000000 0",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(of_line(line), expected, "{line}");
        }
    }
}
