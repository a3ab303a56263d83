//! Log lines about a server that stays away.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{login, route_of};
use crate::{broker, event};

#[test]
fn a_server_that_stays_away_is_warned_of_at_doubled_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let speaks = Arc::new(AtomicBool::new(false));
    let may_speak = Arc::clone(&speaks);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1_024]);
            if may_speak.load(Ordering::Relaxed) {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
            // Bytes that nobody has read would make a reset of the end.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let broker = broker();
    let section = format!("{}\nPOOL_SIZE 4", login());
    broker.command_ok(&route_of("POSTGRESQL", port, &section, &event("E", "in", "TABLE_NAME \"t\"")));
    let warned = |reason: &str, last: &str| -> Vec<String> {
        let is_ours = |line: &str| {
            line.contains("WARN") && line.contains("route not connected") && line.contains(reason)
        };
        let is_last = |line: &str| (is_ours(line) && line.contains(last)).then_some(());
        broker.log().wait_for(last, is_last).expect("the broker goes on");
        let lines = broker.log().all();
        let counts = lines
            .iter()
            .filter(|line| is_ours(line))
            .map(|line| line.split("count=").nth(1).unwrap().trim().to_owned());
        counts.collect()
    };
    assert_eq!(warned("the server has ended the connection", "count=8"), ["1", "2", "4", "8"]);
    speaks.store(true, Ordering::Relaxed);
    assert_eq!(warned("does not speak the protocol", "count=2"), ["1", "2"]);
    let log = broker.log().text();
    let failed = log.lines().find(|line| line.contains("WARN lot: route failed")).expect("a line of the log");
    assert!(!failed.contains(" line=") && !failed.contains(" column="), "{failed}");
}
