//! Null broker: the limit for any broker on this machine.
//!
//! It has the sockets, the runtime, the reads and the turns of a shard of lotmq, and does nothing
//! with messages. CONNECT, SUBSCRIBE and PINGREQ are answered; the first PUBLISH of a connection
//! says who gets what comes on it, and from then on its bytes are passed on unread, but for their
//! fixed headers: streams of several publishers are joined between packets, and DISCONNECT is for
//! nobody else. So pair, fan-in and fan-out work with any load generator, without being told.
//!
//! Acknowledgements go back unread, too, where publisher and subscriber are a pair; with QoS 1 or 2
//! anything else is refused. Not here: later topics, retained messages, sessions, checks, TLS.

mod peer;
mod turn;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use turn::{Turn, Written};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

thread_local! {
    static TURN: RefCell<Turn> = RefCell::new(Turn::new());
}

/// Calls `work` with the turn of this thread.
fn with_turn<R>(work: impl FnOnce(&mut Turn) -> R) -> R {
    TURN.with_borrow_mut(work)
}

/// Serves connections on this thread until it fails; `tell` hears the address first.
pub(crate) fn run(listen: SocketAddr, tell: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = open(listen)?;
        tell(listener.local_addr()?);
        tokio::spawn(flush_turns());
        loop {
            let (socket, _) = listener.accept().await?;
            let socket = Arc::new(socket);
            let peer = with_turn(|turn| turn.add(Arc::clone(&socket)));
            tokio::spawn(serve(peer, socket));
        }
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    // Accepted sockets have it from the listening one.
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Reads from a connection until it ends.
async fn serve(peer: usize, socket: Arc<TcpStream>) {
    let ended = poll_fn(|cx| {
        if with_turn(|turn| turn.waits_for_targets(peer, cx.waker())) {
            return Poll::Pending;
        }
        match socket.poll_read_ready(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => return Poll::Ready(None),
            Poll::Ready(Ok(())) => {}
        }
        match with_turn(|turn| turn.read(peer)) {
            Ok(()) => {}
            Err(ending) => return Poll::Ready(Some(ending)),
        }
        // As in a shard: others have their turn after one read.
        if socket.poll_read_ready(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    });
    if let Some(turn::Ending::Refused(reason)) = ended.await {
        eprintln!("a connection is refused: {reason}");
    }
    with_turn(|turn| turn.remove(peer));
}

/// Ends each turn: woken by its first receiver, it runs behind all tasks that are ready by then.
async fn flush_turns() {
    poll_fn(|cx| {
        let full = with_turn(|turn| turn.flush(cx.waker()));
        for peer in full {
            tokio::spawn(write_rest(peer));
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Writes what the socket of a peer did not take at the end of a turn.
async fn write_rest(peer: usize) {
    let Some(socket) = with_turn(|turn| turn.socket(peer)) else { return };
    poll_fn(|cx| {
        loop {
            match socket.poll_write_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            if matches!(with_turn(|turn| turn.write_rest(peer)), Written::All) {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests;
