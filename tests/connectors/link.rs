//! A TCP link that can be cut or slow, and counts what goes over it: a port of its own, from which
//! everything goes on to a server.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The link; its threads live as long as the test's process.
pub(crate) struct Link {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    /// How long each piece is on its way.
    delay: Duration,
    /// Both ends of each connection.
    ends: Vec<TcpStream>,
    /// Bytes that went over it, both ways.
    carried: usize,
}

impl Link {
    /// A link to a port of this machine.
    pub(crate) fn to(port: u16) -> Link {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let link = Link { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let of_thread = Arc::clone(&link.state);
        thread::spawn(move || {
            for near in listener.incoming() {
                let mut state = of_thread.lock().unwrap();
                if let (false, Ok(near)) = (state.is_cut, near)
                    && let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                {
                    carry(&near, &far, &of_thread);
                    carry(&far, &near, &of_thread);
                    state.ends.extend([near, far]);
                }
            }
        });
        link
    }

    /// Bytes that went over it, both ways.
    pub(crate) fn carried(&self) -> usize {
        self.state.lock().unwrap().carried
    }

    /// Ends all connections, and each new one at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.is_cut = true;
        for end in state.ends.drain(..) {
            // The other side may have been faster.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Holds up each piece, either way, for so long.
    pub(crate) fn slow_down(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    pub(crate) fn join(&self) {
        self.state.lock().unwrap().is_cut = false;
    }
}

/// Carries what comes from one end to the other, until either ends.
fn carry(from: &TcpStream, to: &TcpStream, state: &Arc<Mutex<State>>) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let state = Arc::clone(state);
    thread::spawn(move || {
        let mut piece = vec![0; 64 * 1024];
        let mut carried = || -> io::Result<usize> {
            let count = from.read(&mut piece)?;
            let delay = state.lock().unwrap().delay;
            thread::sleep(delay);
            to.write_all(&piece[..count])?;
            state.lock().unwrap().carried += count;
            Ok(count)
        };
        while carried().is_ok_and(|count| count > 0) {}
        let _ = to.shutdown(Shutdown::Both);
    });
}
