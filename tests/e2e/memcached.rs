//! A memcached of a test, as far as routes need one: `set` and `version`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A server; it ends with [`Memcached::end`].
pub(crate) struct Memcached {
    pub(crate) address: SocketAddr,
    inside: Arc<Inside>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Inside {
    values: Mutex<BTreeMap<String, String>>,
    connections: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl Memcached {
    /// Starts one without values at an address.
    pub(crate) fn start_at(address: SocketAddr) -> Memcached {
        let listener = TcpListener::bind(address).unwrap();
        let (address, inside) = (listener.local_addr().unwrap(), Arc::<Inside>::default());
        let of_thread = Arc::clone(&inside);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.is_over.load(Ordering::Acquire) {
                    return;
                }
                let (stream, inside) = (stream.unwrap(), Arc::clone(&of_thread));
                inside.connections.lock().unwrap().push(stream.try_clone().unwrap());
                std::thread::spawn(move || inside.serve(stream));
            }
        });
        Memcached { address, inside, accepting }
    }

    /// The value of a key.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.inside.values.lock().unwrap().get(key).cloned()
    }

    /// The keys that begin with a text.
    pub(crate) fn keys(&self, start: &str) -> BTreeSet<String> {
        let values = self.inside.values.lock().unwrap();
        values.keys().filter(|key| key.starts_with(start)).cloned().collect()
    }

    /// Ends it in the midst of what it does, and gives the address and the keys that it had.
    pub(crate) fn end(self) -> (SocketAddr, BTreeSet<String>) {
        self.inside.is_over.store(true, Ordering::Release);
        // So that it looks.
        drop(TcpStream::connect(self.address));
        self.accepting.join().unwrap();
        for connection in self.inside.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let keys = self.inside.values.lock().unwrap().keys().cloned().collect();
        (self.address, keys)
    }
}

impl Inside {
    /// Serves a connection until it ends.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let answer = match words[..] {
                ["set", key, _, _, length] => {
                    let mut value = vec![0; length.parse::<usize>().unwrap() + 2];
                    if reader.read_exact(&mut value).is_err() {
                        return;
                    }
                    value.truncate(value.len() - 2);
                    let value = String::from_utf8(value).unwrap();
                    self.values.lock().unwrap().insert(key.to_owned(), value);
                    "STORED\r\n"
                }
                ["version"] => "VERSION 1.6.38\r\n",
                _ => "ERROR\r\n",
            };
            if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
            line.clear();
        }
    }
}
