//! Our tools with a broker that means harm: orders to the terminal in every text, and answers
//! without end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use lotmq_test_support::{Finished, Program};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::LOTMQ;

/// Orders to a terminal: the title, a cleared screen, C1, a mark of direction, and a line that
/// looks like ours.
const EVIL: &str = "evil\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{7f}\r\nready";

const OUTPUT: &str = "$SYS/Coreflux/Command/Output";

/// Behaviour of the broker.
type Script = Arc<dyn Fn(&mut Peer, &Told) + Send + Sync>;

/// Packets of a client.
enum Told {
    Connect,
    /// Filter of a subscription, which was granted.
    Subscribed(String),
    /// Topic and payload of a message, which was acknowledged.
    Published(String, Vec<u8>),
}

/// One client of the broker.
struct Peer(TcpStream);

impl Peer {
    /// Errors are those of a client that has left.
    fn send(&mut self, packet: &[u8]) -> std::io::Result<()> {
        self.0.write_all(packet)
    }

    fn publish(&mut self, topic: &str, payload: &[u8]) -> std::io::Result<()> {
        let mut body = text(topic);
        body.push(0);
        body.extend_from_slice(payload);
        self.send(&packet(0x30, &body))
    }

    fn reply(&mut self, reply: &Value) {
        self.publish(OUTPUT, reply.to_string().as_bytes()).ok();
    }

    /// Reads a packet, answers it as any broker does, and says what it was.
    fn next(&mut self) -> Option<Told> {
        loop {
            let mut first = [0];
            self.0.read_exact(&mut first).ok()?;
            let body = self.body()?;
            match first[0] >> 4 {
                1 => return Some(Told::Connect),
                3 => {
                    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
                    let mut at = 2 + length;
                    if first[0] & 0b110 != 0 {
                        self.send(&packet(0x40, &body[at..at + 2])).ok()?;
                        at += 2;
                    }
                    // The length of properties, which are short here.
                    let payload = body[at + 1 + usize::from(body[at])..].to_vec();
                    return Some(Told::Published(topic, payload));
                }
                8 => {
                    let at = 3 + usize::from(body[2]);
                    let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
                    let filter = String::from_utf8(body[at + 2..at + 2 + length].to_vec()).unwrap();
                    let mut answer = body[..2].to_vec();
                    answer.extend(reason());
                    answer.push(1);
                    self.send(&packet(0x90, &answer)).ok()?;
                    return Some(Told::Subscribed(filter));
                }
                10 => self.send(&packet(0xb0, &[body[0], body[1], 0, 0])).ok()?,
                12 => self.send(&[0xd0, 0]).ok()?,
                14 => return None,
                _ => {}
            }
        }
    }

    fn body(&mut self) -> Option<Vec<u8>> {
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let mut byte = [0];
            self.0.read_exact(&mut byte).ok()?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some(body)
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&length[..], text.as_bytes()].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut packet, mut left) = (vec![first], body.len());
    loop {
        let byte = u8::try_from(left % 128).unwrap();
        left /= 128;
        packet.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// Properties of a packet: a Reason String.
fn reason() -> Vec<u8> {
    let mut properties = vec![0x1f];
    properties.extend(text(EVIL));
    properties.insert(0, u8::try_from(properties.len()).unwrap());
    properties
}

fn accept() -> Vec<u8> {
    packet(0x20, &[0, 0, 0])
}

/// Starts a broker that does this with each client. It ends with the process of the test.
fn broker(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let script = Arc::clone(&script);
            std::thread::spawn(move || {
                let mut peer = Peer(stream.unwrap());
                while let Some(told) = peer.next() {
                    script(&mut peer, &told);
                }
            });
        }
    });
    address
}

/// Request id of a command.
fn request_id(command: &[u8]) -> String {
    String::from_utf8_lossy(command).rsplit(' ').next().unwrap().to_owned()
}

/// A tool and its arguments, between which stand those of the connection.
type Tool<'a> = (&'a [&'a str], &'a [&'a str]);

fn run(address: SocketAddr, (before, behind): Tool<'_>) -> Finished {
    let port = address.port().to_string();
    let arguments = [before, &["-p", &port], behind].concat();
    // It goes on until it is stopped.
    if before[0] == "watch" {
        return Program::run("timeout", &[&["-s", "INT", "2", LOTMQ][..], &arguments].concat()).unwrap();
    }
    Program::run(LOTMQ, &arguments).unwrap()
}

/// Asserts that nothing that was written is an order to a terminal.
fn assert_clean(finished: &Finished, what: &str) {
    for (stream, text) in [("stdout", &finished.stdout), ("stderr", &finished.stderr)] {
        let is_order =
            |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}');
        assert!(!text.contains(is_order), "{what}, {stream}: {text:?}");
    }
}

/// A folder with a program and a project.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plant")).unwrap();
    let program = "DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH PAYLOAD\n";
    for file in ["a.lot", "plant/a.lot"] {
        std::fs::write(folder.path().join(file), program).unwrap();
    }
    folder
}

fn name_in(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

/// Does this with every tool that connects; `saved` is a file that is not there.
fn with_each_tool(folder: &Path, saved: &str, check: impl Fn(Tool<'_>)) {
    let (program, project) = (name_in(folder, "a.lot"), name_in(folder, "plant"));
    let tools: &[Tool<'_>] = &[
        (&["pub"], &["-t", "a", "-m", "1", "-q", "1"]),
        (&["sub"], &["-t", "a", "-W", "2"]),
        (&["request"], &["-t", "a", "-m", "1", "--timeout", "2"]),
        (&["cmd", "--timeout", "2"], &["-listUsers"]),
        (&["cmd", "--json", "--timeout", "2"], &["-listUsers"]),
        (&["status", "--timeout", "2"], &[]),
        (&["status", "--json", "--timeout", "2"], &[]),
        (&["routes", "--timeout", "2"], &[]),
        (&["routes", "--json", "--timeout", "2"], &[]),
        (&["top", "--once", "--interval", "0.2"], &[]),
        (&["topics", "--for", "0.2"], &[]),
        (&["watch"], &[]),
        (&["deploy", &program, "--timeout", "2"], &[]),
        (&["deploy", &project, "--timeout", "2"], &[]),
        (&["undeploy", "plant", "--timeout", "2"], &[]),
        (&["rollback", "plant", "--timeout", "2"], &[]),
        (&["backup", saved, "--timeout", "2"], &[]),
        (&["guest", "list", "--timeout", "2"], &[]),
        (&["guest", "logs", "m", "--timeout", "2"], &[]),
        (&["guest", "remove", "m", "--yes", "--timeout", "2"], &[]),
        (&["guest", "download", "m", "-o", saved, "--timeout", "2"], &[]),
    ];
    tools.iter().for_each(|tool| check(*tool));
}

#[test]
fn reason_strings_reach_no_terminal_unescaped() {
    let folder = folder();
    let saved = name_in(folder.path(), "saved");
    let refuses = broker(Arc::new(|peer, told| {
        if let Told::Connect = told {
            peer.send(&packet(0x20, &[&[0, 0x87][..], &reason()].concat())).ok();
        }
    }));
    let ends = broker(Arc::new(|peer, told| match told {
        Told::Connect => drop(peer.send(&accept())),
        Told::Subscribed(_) | Told::Published(..) => {
            peer.send(&packet(0xe0, &[&[0x8b][..], &reason()].concat())).ok();
        }
    }));
    with_each_tool(folder.path(), &saved, |tool| {
        let refused = run(refuses, tool);
        assert_clean(&refused, &format!("{tool:?}"));
        assert!(!refused.status.success(), "{tool:?}: {refused:?}");
        assert!(refused.stderr.contains("evil\\u001b]0;x"), "{tool:?}: {refused:?}");
        assert!(!refused.stderr.contains("\nready"), "{tool:?}: {refused:?}");
        assert_clean(&run(ends, tool), &format!("{tool:?} that was connected"));
    });
}

#[test]
fn replies_reach_no_terminal_unescaped() {
    let folder = folder();
    let saved = name_in(folder.path(), "saved");
    for success in [false, true] {
        let row =
            json!({"name": EVIL, "type": EVIL, "health": EVIL, "reason": EVIL, "state": EVIL, "verb": EVIL});
        let error = json!({"code": EVIL, "message": EVIL, "file": EVIL, "line": 1, "column": 1, "sourceLines": [EVIL], "suggestions": [EVIL], "notes": [EVIL]});
        let answers = broker(Arc::new(move |peer, told| match told {
            Told::Connect => drop(peer.send(&accept())),
            Told::Subscribed(filter) if filter.ends_with("/#") || filter == "#" => {
                peer.publish(&filter.replace('#', "x\u{9b}y"), EVIL.as_bytes()).ok();
            }
            Told::Subscribed(_) => {}
            Told::Published(topic, command) if topic.ends_with("/Command") => {
                peer.reply(&json!({
                    "command": EVIL, "requestId": request_id(command), "success": success, "message": EVIL,
                    "data": [row], "errors": [error], "warnings": [error],
                }));
            }
            Told::Published(..) => {}
        }));
        with_each_tool(folder.path(), &saved, |tool| {
            assert_clean(&run(answers, tool), &format!("{tool:?}, success: {success}"));
        });
    }
}

#[test]
fn json_of_a_reply_stays_json_without_orders_to_the_terminal() {
    let answers = broker(Arc::new(|peer, told| match told {
        Told::Connect => drop(peer.send(&accept())),
        Told::Published(_, command) => {
            peer.reply(&json!({"requestId": request_id(command), "success": true, "message": EVIL}));
        }
        Told::Subscribed(_) => {}
    }));
    let told = run(answers, (&["cmd", "--json"], &["-listUsers"]));
    assert_clean(&told, "cmd --json");
    let reply: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(reply["message"], EVIL);
}

/// Sends messages to a topic until the client leaves; at most as many as fit this many bytes, which
/// no tool may take.
fn flood(peer: &mut Peer, bytes_max: usize, mut next: impl FnMut(u64) -> (String, Vec<u8>)) {
    let mut sent = 0;
    for number in 0.. {
        let (topic, payload) = next(number);
        sent += topic.len() + payload.len();
        if peer.publish(&topic, &payload).is_err() {
            return;
        }
        assert!(sent < bytes_max, "the tool takes {sent} bytes");
    }
}

#[test]
fn a_download_ends_where_no_component_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let saved = name_in(folder.path(), "m.wasm");
    for name in ["", "/", "é0"] {
        let (sends, whole) = (
            move |peer: &mut Peer| {
                flood(peer, 256 << 20, |number| {
                    let name = if name == "/" { format!("/{number}") } else { name.to_owned() };
                    (format!("$SYS/Coreflux/Modules/m/download{name}"), vec![0; 1 << 20])
                });
            },
            name.is_empty(),
        );
        let broker = broker(Arc::new(move |peer, told| match told {
            Told::Connect => drop(peer.send(&accept())),
            Told::Published(..) => sends(peer),
            Told::Subscribed(_) => {}
        }));
        let got = run(broker, (&["guest", "download", "m", "-o", &saved], &[]));
        assert_eq!(got.status.code(), Some(1), "{got:?}");
        let expected = match name {
            "/" => "which no component has",
            _ if whole => "is missing",
            _ => "part 0 of the component is missing",
        };
        assert!(got.stderr.contains(expected), "{got:?}");
        assert!(!Path::new(&saved).exists());
    }
}

/// A chunk of a backup.
fn chunk(seq: u64, total: u64, data: &[u8]) -> Vec<u8> {
    let sha256 = HEXLOWER.encode(&Sha256::digest(data));
    json!({"seq": seq, "total": total, "sha256": sha256, "data": STANDARD.encode(data)})
        .to_string()
        .into_bytes()
}

#[test]
fn a_backup_ends_at_what_was_announced() {
    let folder = tempfile::tempdir().unwrap();
    let saved = name_in(folder.path(), "saved");
    let topic = "$SYS/Coreflux/Backup/saved/download";
    type Chunks = fn(u64) -> Vec<u8>;
    let cases: [(Chunks, &str); 4] = [
        (|number| chunk(number + 1, 3, &[0; 1000]), "more chunks come than the 3 that were announced"),
        (|number| chunk(number + 1, 3 + number, &[0; 1000]), "the broker announced 3 chunks, and now 4"),
        (|_| chunk(1, u64::MAX, &[0; 1000]), "and the disk has"),
        (|number| chunk(number + 1, 9, &vec![0; 1000 << number.min(3)]), "chunk 2 has 2000 bytes"),
    ];
    for (chunks, expected) in cases {
        let broker = broker(Arc::new(move |peer, told| match told {
            Told::Connect => drop(peer.send(&accept())),
            Told::Published(..) => flood(peer, 256 << 20, |number| (topic.to_owned(), chunks(number))),
            Told::Subscribed(_) => {}
        }));
        let taken = run(broker, (&["backup", &saved], &[]));
        assert_eq!(taken.status.code(), Some(1), "{taken:?}");
        assert!(taken.stderr.contains(expected), "{taken:?}");
        assert!(!Path::new(&saved).exists());
    }
}

#[test]
fn a_timeout_holds_while_other_replies_come_without_pause() {
    let broker = broker(Arc::new(|peer, told| match told {
        Told::Connect => drop(peer.send(&accept())),
        // No bound: that the tools end by themselves is what is tested.
        Told::Published(..) => while peer.publish(OUTPUT, b"{\"requestId\":\"another\"}").is_ok() {},
        Told::Subscribed(_) => {}
    }));
    for tool in [
        (&["cmd", "--timeout", "1"][..], &["-listUsers"][..]),
        (&["undeploy", "plant", "--timeout", "1"], &[]),
        (&["rollback", "plant", "--timeout", "1"], &[]),
        (&["routes", "--timeout", "1"], &[]),
        (&["guest", "list", "--timeout", "1"], &[]),
        (&["guest", "download", "m", "--timeout", "1"], &[]),
    ] {
        let ended = run(broker, tool);
        assert_eq!(ended.status.code(), Some(3), "{tool:?}: {ended:?}");
        assert!(ended.stderr.contains(" within 1 s"), "{tool:?}: {ended:?}");
    }
}

#[test]
fn a_timeout_holds_while_an_acknowledgement_does_not_come() {
    // Acknowledgements of what was never sent, without pause.
    let broker = broker(Arc::new(|peer, told| match told {
        Told::Connect => {
            peer.send(&accept()).ok();
            while peer.send(&[0xd0, 0].repeat(1000)).is_ok() {}
        }
        Told::Subscribed(_) | Told::Published(..) => {}
    }));
    let ended = run(broker, (&["cmd", "--timeout", "1"], &["-listUsers"]));
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(ended.stderr.contains("no SUBACK within 1 s"), "{ended:?}");
}

#[test]
fn larger_packets_than_an_answer_are_refused() {
    let broker = broker(Arc::new(|peer, told| match told {
        Told::Connect => drop(peer.send(&accept())),
        Told::Published(..) => drop(peer.publish(OUTPUT, &vec![b'x'; 32 << 20])),
        Told::Subscribed(_) => {}
    }));
    let ended = run(broker, (&["cmd"], &["-listUsers"]));
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(ended.stderr.contains("malformed"), "{ended:?}");
}
