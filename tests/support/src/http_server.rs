//! An HTTP server whose answers a test writes byte by byte, so that they can be wrong in any way.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::free_address;

/// A request as a server has read it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Request line and fields, with their ends.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
    /// Number of its connection, from 1.
    pub connection: usize,
}

impl Asked {
    /// Its first line, without the version.
    pub fn line(&self) -> &str {
        self.head.lines().next().and_then(|line| line.strip_suffix(" HTTP/1.1")).unwrap_or_default()
    }

    /// A field by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Reaction of a server to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Sends these bytes and waits for the next request.
    Keep(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends these bytes, then the others again and again until the client goes.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends these bytes, then nothing until the client goes.
    Stall(Vec<u8>),
    /// Sends these bytes past TLS, then nothing until the client goes.
    PastTls(Vec<u8>),
}

impl Answer {
    /// A whole response with a body.
    pub fn of(status: u16, body: &str) -> Answer {
        let length = body.len();
        Answer::Keep(format!("HTTP/1.1 {status} So\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
    }
}

/// An HTTP server of a test. Dropping it ends it with its connections.
pub struct HttpServer {
    /// Address on which it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Box<dyn Fn(&Asked) -> Answer + Send + Sync>,
    tls: Option<Arc<ServerConfig>>,
    asked: Mutex<Vec<Asked>>,
    /// Connections that were accepted, and those that are open.
    accepted: AtomicUsize,
    open: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl HttpServer {
    /// A server on a free port of this machine.
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> HttpServer {
        HttpServer::start_at(free_address(), None, answer)
    }

    /// A server at an address, with TLS where it has a configuration.
    pub fn start_at(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> HttpServer {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            tls,
            asked: Mutex::default(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            streams: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.is_over.load(Ordering::SeqCst) {
                    return;
                }
                Arc::clone(&of_thread).accepted(stream);
            }
        });
        HttpServer { address, shared }
    }

    /// The requests that have come.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Ends it. The requests that have come; no other is answered.
    pub fn end(self) -> Vec<Asked> {
        let asked = self.shared.asked.lock().unwrap();
        self.shared.is_over.store(true, Ordering::SeqCst);
        asked.clone()
    }

    /// Number of connections that were accepted.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Number of connections that are open.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Closes the connections that are open.
    pub fn close_all(&self) {
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which then lets the port go.
        let _ = TcpStream::connect(self.address);
        self.close_all();
    }
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Shared {
    fn accepted(self: Arc<Self>, stream: TcpStream) {
        let connection = self.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        self.open.fetch_add(1, Ordering::SeqCst);
        stream.set_nodelay(true).unwrap();
        self.streams.lock().unwrap().push(stream.try_clone().unwrap());
        thread::spawn(move || {
            let below = stream.try_clone().unwrap();
            let mut served: Box<dyn Stream> = match &self.tls {
                None => Box::new(stream),
                Some(tls) => {
                    Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(tls)).unwrap(), stream))
                }
            };
            // Its end is that of the client or of the test.
            if self.serve(connection, &mut served, &below).is_err() {
                // Reads the rest after the alert, because a reset would take the alert away from
                // the client.
                let _ = below.shutdown(Shutdown::Write);
                let _ = std::io::copy(&mut &below, &mut std::io::sink());
            }
            drop(served);
            let _ = below.shutdown(Shutdown::Both);
            self.open.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn serve(
        &self,
        connection: usize,
        stream: &mut Box<dyn Stream>,
        mut below: &TcpStream,
    ) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(asked) = read(&mut stream, connection)? {
            {
                let mut all = self.asked.lock().unwrap();
                if self.is_over.load(Ordering::SeqCst) {
                    break;
                }
                all.push(asked.clone());
            }
            let stays = match (self.answer)(&asked) {
                Answer::Keep(bytes) => {
                    stream.get_mut().write_all(&bytes)?;
                    true
                }
                Answer::Close(bytes) => {
                    stream.get_mut().write_all(&bytes)?;
                    false
                }
                Answer::Endless(first, again) => {
                    stream.get_mut().write_all(&first)?;
                    loop {
                        stream.get_mut().write_all(&again)?;
                    }
                }
                Answer::Stall(bytes) => {
                    stream.get_mut().write_all(&bytes)?;
                    stream.get_mut().flush()?;
                    stream.read_to_end(&mut Vec::new())?;
                    false
                }
                Answer::PastTls(bytes) => {
                    below.write_all(&bytes)?;
                    stream.read_to_end(&mut Vec::new())?;
                    false
                }
            };
            stream.get_mut().flush()?;
            if !stays {
                break;
            }
        }
        Ok(())
    }
}

/// The next request; `None` when the client has gone.
fn read(stream: &mut BufReader<&mut Box<dyn Stream>>, connection: usize) -> std::io::Result<Option<Asked>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut asked = Asked { head, body: Vec::new(), connection };
    let length = asked.field("content-length").map_or(0, |length| length.parse().unwrap());
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body)?;
    Ok(Some(asked))
}
