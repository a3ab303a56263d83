//! A tunnel from TCP to a QUIC listener, so that programs without QUIC can measure one: prints its
//! address and runs until it is ended.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for measurements")]

use std::path::PathBuf;

use lotmq_test_support::{QuicOptions, QuicTunnel};

/// Arguments: port of the QUIC listener on this machine, PEM file of the authority.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, authority] = &arguments[..] else { panic!("quic_tunnel PORT AUTHORITY.pem") };
    let options = QuicOptions::new(&PathBuf::from(authority));
    let tunnel = QuicTunnel::new(port.parse().unwrap(), &options);
    println!("{}", tunnel.address());
    loop {
        std::thread::park();
    }
}
