//! `lotmq demo plc`: a simulated controller of a press, which speaks Modbus TCP, so that a route
//! has something to talk to on a desk.
//!
//! Clients are tasks of one thread. Not here: how the press behaves (`press`), and what is said on
//! the wire (`modbus`).

mod modbus;
mod press;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use lotmq_terminal::{Exit, output};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

use modbus::{HEADER_BYTES, PDU_BYTES_MAX};
use press::Press;

/// Most clients at a time; a connection beyond them is closed at once. Controllers have 4 to 32.
const CLIENTS_MAX: usize = 32;

/// Time after which a client that asks nothing, or does not finish what it has begun, is not kept
/// any more: whoever polls asks more often.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Meaning of the registers, for people: lines that a manual page does not fill.
const TABLE: &str = "\
Registers:
  40001  INT16    temperature in 0.1 °C
  40002  INT16    pressure in 0.01 bar
  40003  UINT16   speed in parts a minute
  40004  UINT32   parts since the start
  40006  FLOAT32  energy in kWh
  40008  INT16    setpoint of the temperature, may be written
  40009  UINT16   setpoint of the speed, may be written
  00001  coil     the press runs, may be written
  10001  input    it is hotter than 85 °C
  30001 to 30007  the same as 40001 to 40007";

/// Simulate a press with a Modbus TCP server, until Ctrl-C.
///
/// Temperature and speed follow their setpoints, parts are counted while it runs. A route of type
/// MODBUS_TCP reads and writes it (docs/routes/modbus_tcp.md). It answers to every unit, at most 32
/// clients, and functions 1 to 6, 15 and 16.
///
/// Exit codes: 0 ended by a signal, 1 it could not listen, 2 wrong usage.
#[derive(Args, Debug)]
#[command(after_help = TABLE)]
pub(super) struct PlcArgs {
    /// Address and port to listen at
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5020")]
    listen: SocketAddr,
    /// How many seconds of the press pass in one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    speed: u32,
}

pub(super) fn plc(args: &PlcArgs) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let press = Arc::new(Mutex::new(Press::new(Instant::now(), args.speed)));
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("cannot listen at {}", args.listen))?;
        output::line(&format!("listening modbus {}\n{TABLE}", listener.local_addr()?))?;
        serve(&listener, &press).await?;
        Ok(Exit::Success)
    })
}

/// Serves clients until SIGINT or SIGTERM; then those that are connected are closed.
async fn serve(listener: &TcpListener, press: &Arc<Mutex<Press>>) -> io::Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            // All of them only wait: none loses anything when another one wins.
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() < CLIENTS_MAX => {
                    clients.spawn(client(stream, Arc::clone(press)));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            },
            Some(_) = clients.join_next() => {}
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
        }
    }
}

/// Answers a client until it goes, is silent for too long, or says what is not Modbus. That a
/// connection breaks is no news.
async fn client(mut stream: TcpStream, press: Arc<Mutex<Press>>) {
    let mut header = [0; HEADER_BYTES];
    let mut pdu = [0; PDU_BYTES_MAX];
    while let Ok(Ok(bytes)) = timeout(SILENCE_MAX, request(&mut stream, &mut header, &mut pdu)).await {
        let Some(request) = pdu.get(..bytes) else { return };
        let reply = {
            let mut press = press.lock();
            press.goes_on(Instant::now());
            modbus::reply(&header, request, &mut press)
        };
        if !matches!(timeout(SILENCE_MAX, stream.write_all(&reply)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Reads a request: its header, and its PDU, of which it gives the length.
async fn request(
    stream: &mut TcpStream,
    header: &mut [u8; HEADER_BYTES],
    pdu: &mut [u8; PDU_BYTES_MAX],
) -> io::Result<usize> {
    stream.read_exact(header).await?;
    let pdu = modbus::pdu_bytes(header).and_then(|bytes| pdu.get_mut(..bytes));
    let pdu = pdu.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    stream.read_exact(pdu).await
}
