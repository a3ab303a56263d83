//! The kernel ends a broker that takes more memory than its control group has: what was
//! acknowledged is there at the next start.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use lotmq_client::{Client, ClientError, ConnectOptions, PacketId, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually};

use crate::LOTMQ;

/// Memory that the broker may have: more than one needs that has nothing to do, in builds for tests
/// too.
const LIMIT_BYTES: &str = "201326592";
/// Bytes of a payload.
const PAYLOAD_BYTES: usize = 64 * 1024;
/// Messages by which the limit is passed several times over.
const MESSAGES_MAX: u32 = 20_000;
/// Messages that are sent before the first of them must be acknowledged.
const IN_FLIGHT: usize = 32;

/// Script that starts a broker within the control group `GROUP`, as long as there is one. The
/// process stays the same.
const SCRIPT: &str = r#"#!/bin/sh
if [ -d "GROUP" ]; then echo $$ > "GROUP/cgroup.procs" || exit 1; fi
exec "LOTMQ" "$@"
"#;

/// Control group with a limit of memory, of either version of the kernel's interface; it is removed
/// when this is dropped.
struct MemoryGroup {
    path: PathBuf,
    /// File that counts what the kernel killed.
    events: &'static str,
}

impl MemoryGroup {
    /// A new group; `None` when this machine lets us make none.
    fn new() -> Option<Self> {
        let name = format!("lotmq-test-{}", std::process::id());
        let second = || {
            let root = Path::new("/sys/fs/cgroup");
            // If it is on already, as below systemd, this changes nothing.
            fs::write(root.join("cgroup.subtree_control"), "+memory")?;
            Self::limited(root.join(&name), "memory.max", "memory.swap.max", "0", "memory.events")
        };
        let first = || {
            let path = Path::new("/sys/fs/cgroup/memory").join(&name);
            let swap = "memory.memsw.limit_in_bytes";
            Self::limited(path, "memory.limit_in_bytes", swap, LIMIT_BYTES, "memory.oom_control")
        };
        first().or_else(|_: io::Error| second()).ok()
    }

    fn limited(
        path: PathBuf,
        limit: &str,
        swap_limit: &str,
        swap: &str,
        events: &'static str,
    ) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let group = Self { path, events };
        fs::write(group.path.join(limit), LIMIT_BYTES)?;
        let swap_limit = group.path.join(swap_limit);
        // A kernel that does not count swap has no such file.
        if swap_limit.exists() {
            fs::write(swap_limit, swap)?;
        }
        Ok(group)
    }

    /// Processes that the kernel has killed for want of memory.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.path.join(self.events)).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap();
        count.parse().unwrap()
    }

    /// Removes it, as soon as the kernel has taken its last process out of it.
    fn remove(&self) {
        eventually("an empty control group", || fs::remove_dir(&self.path).ok());
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Retains messages of topics of their own, one behind the other, until the broker is no more;
/// numbers of those that it has acknowledged.
fn retain_until_the_end(broker: &Broker) -> Vec<u32> {
    let mut client = broker.client("publisher");
    let mut in_flight: Vec<(PacketId, u32)> = Vec::new();
    let mut acknowledged = Vec::new();
    let mut wait = |client: &mut Client, (packet, number)| -> Result<(), ClientError> {
        let reason = client.wait_published(packet)?;
        assert!(!reason.is_failure(), "message {number}: {reason:?}");
        acknowledged.push(number);
        Ok(())
    };
    for number in 0..MESSAGES_MAX {
        let mut message = Publication::new(format!("kept/{number}"), payload(number));
        message.retain = true;
        let Ok(Some(packet)) = client.send_publish(&message.qos(QoS::AtLeastOnce)) else {
            return acknowledged;
        };
        in_flight.push((packet, number));
        if in_flight.len() == IN_FLIGHT && wait(&mut client, in_flight.remove(0)).is_err() {
            return acknowledged;
        }
    }
    panic!("{MESSAGES_MAX} messages of {PAYLOAD_BYTES} bytes found room in {LIMIT_BYTES}");
}

fn payload(number: u32) -> Vec<u8> {
    let mut payload = vec![b'x'; PAYLOAD_BYTES];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

#[test]
fn acknowledged_messages_survive_the_oom_killer() {
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    let Some(group) = MemoryGroup::new() else {
        let required = std::env::var_os("LOTMQ_TEST_REQUIRE_ALL").is_some() && is_root();
        assert!(!required, "no control group of memory can be made, of neither version");
        eprintln!("skipped: a control group of memory needs root");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let start = place.path().join("start");
    fs::write(&start, SCRIPT.replace("GROUP", group.path.to_str().unwrap()).replace("LOTMQ", LOTMQ)).unwrap();
    fs::set_permissions(&start, fs::Permissions::from_mode(0o755)).unwrap();
    let mut broker = BrokerOptions::new(&start)
        .prepared()
        .variable("LOTMQ_LIMITS_RETAINED_BYTES", "8000000000")
        .variable("LOTMQ_LIMITS_TENANT_SESSION_BYTES", "8000000000")
        .start();
    let mut absent = broker.connect(&ConnectOptions::v5("absent").session_expiry(3_600));
    absent.subscribe_to("kept/+", QoS::AtLeastOnce).unwrap();
    absent.abort();
    assert_eq!(group.kills(), 0);

    let acknowledged = retain_until_the_end(&broker);
    let ended = broker.wait_for_end();
    assert_eq!((ended.signal(), group.kills()), (Some(9), 1), "{ended:?}:\n{}", broker.log().text());
    assert!(acknowledged.len() > 100, "only {} messages", acknowledged.len());

    group.remove();
    broker.start_again();
    let mut absent = broker.connect(&ConnectOptions {
        clean_start: false,
        ..ConnectOptions::v5("absent").session_expiry(3_600)
    });
    let mut reader = broker.client("reader");
    for number in &acknowledged {
        // It was kept for the session that was away, in its order, and it is retained.
        let message = absent.receive(WAIT_MAX).unwrap().expect("what was queued");
        assert!(message.topic == format!("kept/{number}") && message.payload == payload(*number)[..]);
        reader.subscribe_to(&message.topic, QoS::AtMostOnce).unwrap();
        let message = reader.receive(WAIT_MAX).unwrap().expect("what was retained");
        assert!(message.retain && message.payload == payload(*number)[..], "{}", message.topic);
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
