//! `lotmq demo plc` answers as a controller does, to so many clients, and ends when it is told to.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_test_support::{Program, WAIT_MAX, eventually};

use crate::LOTMQ;

/// A simulated controller at a free port, and its address.
fn start() -> (Program, String) {
    let plc = Program::start(LOTMQ, &["demo", "plc", "--listen", "127.0.0.1:0"]).unwrap();
    let listening = plc.stdout.expect("listening modbus ");
    (plc, listening.trim_start_matches("listening modbus ").to_owned())
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream
}

/// Sends bytes, and reads so many.
fn exchange(stream: &mut TcpStream, bytes: &[u8], answer: usize) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    let mut read = vec![0; answer];
    stream.read_exact(&mut read).unwrap();
    read
}

/// Whether the controller has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    // A connection that is closed with something unread is reset.
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

/// Reads the setpoints.
const SETPOINTS: [u8; 12] = [0, 7, 0, 0, 0, 6, 1, 3, 0, 7, 0, 2];

#[test]
fn a_simulated_press_answers_each_client_and_refuses_what_it_does_not_have() {
    let (_plc, address) = start();
    let (mut one, mut other) = (connect(&address), connect(&address));
    let read = exchange(&mut one, &SETPOINTS, 13);
    assert_eq!(read, [0, 7, 0, 0, 0, 7, 1, 3, 4, 0x02, 0x8A, 0, 60]);
    let written = [0xAB, 0xCD, 0, 0, 0, 6, 17, 6, 0, 8, 0, 90];
    assert_eq!(exchange(&mut other, &written, 12), written, "each unit is the same press");
    // Two requests in one segment, of which the second is a function that it does not have; then
    // one in two.
    let both = [&SETPOINTS[..], &[0, 8, 0, 0, 0, 2, 1, 0x11]].concat();
    let read = exchange(&mut one, &both, 13 + 9);
    assert_eq!(read[9..], [0x02, 0x8A, 0, 90, 0, 8, 0, 0, 0, 3, 1, 0x91, 1]);
    one.write_all(&SETPOINTS[..5]).unwrap();
    assert_eq!(exchange(&mut other, &SETPOINTS, 13), read[..13]);
    assert_eq!(exchange(&mut one, &SETPOINTS[5..], 13), read[..13]);
    one.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(is_closed(&mut one));
    assert_eq!(exchange(&mut other, &SETPOINTS, 13), read[..13]);
}

#[test]
fn simulated_press_limits_clients_and_ends_on_sigterm() {
    let (plc, address) = start();
    let mut clients: Vec<TcpStream> = (0..32).map(|_| connect(&address)).collect();
    clients.iter_mut().for_each(|client| drop(exchange(client, &SETPOINTS, 13)));
    assert!(is_closed(&mut connect(&address)));
    clients.pop();
    eventually("there is room again", || {
        let mut next = connect(&address);
        next.write_all(&SETPOINTS).ok()?;
        (!is_closed(&mut next)).then_some(())
    });
    Program::run("kill", &["-TERM", &plc.process_id().to_string()]).unwrap();
    plc.wait().output();
    assert!(clients.iter_mut().all(is_closed));
}

#[test]
fn a_simulated_press_says_what_it_cannot_do_and_what_it_has() {
    let (_plc, address) = start();
    let refused = Program::run(LOTMQ, &["demo", "plc", "--listen", &address]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains(&format!("cannot listen at {address}")), "{}", refused.stderr);
    let refused = Program::run(LOTMQ, &["demo", "plc", "--speed", "0"]).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let help = Program::run(LOTMQ, &["demo", "plc", "--help"]).unwrap();
    for part in ["--listen", "--speed", "40009  UINT16   setpoint of the speed"] {
        assert!(help.output().contains(part), "{part}");
    }
}
