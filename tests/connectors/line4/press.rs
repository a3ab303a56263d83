//! The press of the line as somebody sees it who stands beside it: its controller, asked without a
//! broker.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use lotmq_test_support::{Program, eventually, free_port};

/// A simulated controller.
pub(super) struct Press {
    _program: Program,
    pub(super) port: u16,
}

impl Press {
    /// Starts one, of which so many seconds pass in one.
    pub(super) fn start(speed: u32) -> Press {
        let (port, speed) = (free_port(), speed.to_string());
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["demo", "plc", "--listen", &listen, "--speed", &speed];
        let program = Program::start(env!("CARGO_BIN_EXE_lotmq"), &arguments).unwrap();
        program.stdout.expect(&format!("listening modbus {listen}"));
        Press { _program: program, port }
    }

    /// Sends a Modbus request and returns the answer: its function and the bytes behind it.
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let bytes = u8::try_from(request.len() + 1).unwrap();
        stream.write_all(&[&[0, 1, 0, 0, 0, bytes, 1], request].concat()).unwrap();
        let mut header = [0; 7];
        stream.read_exact(&mut header).unwrap();
        let mut answer = vec![0; usize::from(header[5]) - 1];
        stream.read_exact(&mut answer).unwrap();
        answer
    }

    /// Its holding registers.
    pub(super) fn registers(&self) -> Vec<u16> {
        let answer = self.ask(&[3, 0, 0, 0, 9]);
        assert_eq!(answer[..2], [3, 18], "{answer:?}");
        answer[2..].chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect()
    }

    /// Switches it off, and gives the number of parts that it has made when it stands still.
    pub(super) fn switch_off(&self) -> u64 {
        assert_eq!(self.ask(&[5, 0, 0, 0, 0]), [5, 0, 0, 0, 0]);
        let registers = eventually("the press stands still", || {
            let registers = self.registers();
            (registers[2] == 0).then_some(registers)
        });
        u64::from(registers[3]) << 16 | u64::from(registers[4])
    }
}
