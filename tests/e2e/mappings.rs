//! Memory of the process that nobody may use up for all: mappings of compiled code, and the
//! allocations for large packets.

use lotmq_client::{ClientError, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, BrokerOptions, Reply, WAIT_MAX, eventually};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::options;

/// Bytes of a large retained message: more than what the C library reserves for one thread.
const LARGE_BYTES: usize = 80 << 20;

/// Address space that the broker has left, in bytes: enough for small messages.
const LEFT_BYTES: u64 = 16 << 20;

/// Limits the address space of the broker to what it has and so much more, or removes the limit.
fn leave_address_space(broker: &Broker, more: Option<u64>) {
    let process = Pid::from_raw(i32::try_from(broker.process_id()).unwrap());
    let sizes = std::fs::read_to_string(format!("/proc/{}/statm", broker.process_id())).unwrap();
    let pages: u64 = sizes.split(' ').next().unwrap().parse().unwrap();
    let now = pages * rustix::param::page_size() as u64;
    let limit = Rlimit { current: more.map(|more| now + more), maximum: None };
    prlimit(process, Resource::As, limit).unwrap();
}

fn large() -> Publication {
    Publication::new("large", vec![7; LARGE_BYTES]).qos(QoS::AtLeastOnce).retained()
}

#[test]
fn a_packet_without_memory_for_it_ends_its_connection_and_nothing_else() {
    let broker = options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "200000000").start();
    let mut other = broker.client("other");
    other.subscribe_to("small", QoS::AtLeastOnce).unwrap();
    leave_address_space(&broker, Some(LEFT_BYTES));
    for client_id in ["first", "second"] {
        let mut client = broker.connect(&ConnectOptions::v5(client_id));
        let ended = client.publish(&large()).unwrap_err();
        // A client that is still sending may notice the end of the connection first.
        if let ClientError::Disconnected { reason, text } = &ended {
            assert_eq!(*reason, ReasonCode::QuotaExceeded, "{text}");
            assert!(text.contains("no memory"), "{text}");
        }
    }
    let counted = "lotmq_disconnects_total{reason=\"out-of-memory\"}";
    eventually("both ends are counted", || broker.metric(counted).filter(|count| *count == 2.0));
    broker.log().expect("no memory for a packet");
    other.publish(&Publication::new("small", "x").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(other.receive(WAIT_MAX).unwrap().unwrap().text(), "x");
    leave_address_space(&broker, None);
    let mut client = broker.connect(&ConnectOptions::v5("first"));
    assert!(!client.publish(&large()).unwrap().is_failure());
}

/// Memory mappings that one compiled program counts for.
const PER_PROGRAM: u64 = 3;

/// Programs that there is room for beside the rules of the test.
const PROGRAMS: u64 = 16;

const CODE_MAPPINGS: &str = "lotmq_code_mappings";

fn with_mappings(options: BrokerOptions, max: u64) -> BrokerOptions {
    options.variable("LOTMQ_LIMITS_CODE_MAPPINGS", &max.to_string())
}

fn add(broker: &Broker, user: (&str, &str), name: &str) -> Reply {
    let text = format!(
        "-addAction DEFINE ACTION {name}\nON TOPIC \"start/{name}\" DO\n    PUBLISH TOPIC \"ran\" WITH \"{name}\"\n"
    );
    broker.command_as(user, &text)
}

/// Adds actions until one is refused; how many there are then, and the refusal.
fn fill(broker: &Broker, user: (&str, &str)) -> (u64, Reply) {
    let mut count = 0;
    loop {
        let reply = add(broker, user, &format!("{}{count}", user.0));
        if !reply.success() {
            assert_eq!(reply.code(), "QUOTA_EXCEEDED", "{reply:?}");
            return (count, reply);
        }
        count += 1;
        assert!(count <= PROGRAMS, "nothing is refused");
    }
}

#[test]
fn compiled_code_of_one_user_leaves_memory_mappings_to_others() {
    const ANN: (&str, &str) = ("ann", "pw");
    const BOB: (&str, &str) = ("bob", "pw");
    const ROOT: (&str, &str) = ("root", "coreflux");
    let data = tempfile::tempdir().unwrap();
    let mut broker = options().data(data.path()).start();
    for (user, password) in [ANN, BOB] {
        broker.command_ok(&format!("-addUser {user} {password}"));
    }
    for scope in ["ActionManagementCreation", "CommandCall"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"ann\" OR USER IS \"bob\" THEN\n        ALLOW\n"
        ));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let of_rules = broker.metric(CODE_MAPPINGS).unwrap() as u64;
    assert!(broker.stop().success());

    let max = of_rules + PROGRAMS * PER_PROGRAM;
    let mut broker = with_mappings(options().data(data.path()), max).start();
    let (of_ann, refused) = fill(&broker, ANN);
    assert_eq!(of_ann, 12, "three quarters");
    assert!(refused.message().contains("36 of 36 memory mappings"), "{refused:?}");
    assert_eq!(fill(&broker, BOB).0, 3, "three quarters of what she leaves");
    assert_eq!(fill(&broker, ROOT).0, 1, "all that is left");
    let replaced = broker.command_as(ANN, "-addAction -replace DEFINE ACTION ann0\nON TOPIC \"start/ann0\" DO\n    PUBLISH TOPIC \"ran\" WITH 1\n");
    assert!(replaced.success(), "{replaced:?}");
    let status = broker.command_ok("-brokerStatus").data().to_string();
    let full = format!("\"limit\":\"code_mappings\",\"used\":{max},\"max\":{max},\"percent\":100");
    assert!(status.contains(&full), "{status}");
    for counter in ["lotmq_limit_reached_total{limit=\"code_mappings\"}", "lotmq_code_mappings_refused_total"]
    {
        assert_eq!(broker.metric(counter), Some(3.0), "{counter}");
    }
    let message = Publication::new("kept", vec![1; 6 << 20]).qos(QoS::AtLeastOnce).retained();
    assert!(!broker.client("publisher").publish(&message).unwrap().is_failure());
    broker.command_ok("-removeAction ann1 -force");
    eventually("the code of a removed action gives back its mappings", || {
        add(&broker, ROOT, "Next").success().then_some(())
    });
    assert!(broker.stop().success());

    let fewer = of_rules + 4 * PER_PROGRAM;
    let broker = with_mappings(options().data(data.path()), fewer).start();
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    let all = fewer as f64;
    assert_eq!(broker.metric(CODE_MAPPINGS), Some(all));
    broker.log().expect("memory mappings, and another one needs 3");
    let last = broker.command_ok("-lotDiagnostic action Next").data().to_string();
    assert!(last.contains("memory mappings"), "{last}");
    let mut client = broker.client("client");
    client.subscribe_to("ran", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("start/ann2", "")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "ann2");
}
