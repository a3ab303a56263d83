//! Memory of native code: shares of its users, one copy of equal code, and a start with less of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, Reply, WAIT_MAX, eventually};

use crate::assets::state;
use crate::compile_workers::{leb, section};
use crate::{modules, options};

const ANN: (&str, &str) = ("ann", "pw");
const BOB: (&str, &str) = ("bob", "pw");
const ROOT: (&str, &str) = ("root", "coreflux");

const CODE_MEMORY: &str = "lotmq_code_memory_bytes";

/// Installed instances of one module.
const INSTANCES: usize = 12;

/// Number of the sections of this kind at the top of a component.
fn count_sections(component: &[u8], kind: u8) -> usize {
    let (mut rest, mut count) = (&component[8..], 0);
    while let [id, after @ ..] = rest {
        count += usize::from(*id == kind);
        let digits = after.iter().take_while(|byte| **byte & 0x80 > 0).count() + 1;
        let number = |length: usize, byte: &u8| length << 7 | usize::from(byte & 0x7f);
        let length = after[..digits].iter().rev().fold(0, number);
        rest = &after[digits + length..];
    }
    count
}

/// The example guest with another core module, whose native code is fourteen times as large as
/// itself. Each number makes another one.
fn large(number: u8) -> String {
    // local.get 0, i64.trunc_f64_s, f64.convert_i64_s, local.set 0
    let mut body = vec![0];
    body.extend([0x20, 0, 0xb0, 0xb9, 0x21, 0].repeat(5_000));
    // A constant makes the difference.
    body.extend([0x41, number, 0x1a, 0x0b]);
    let code = [vec![1], leb(body.len()), body].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 1, 0x7c, 0]),
        section(3, &[1, 0]),
        section(10, &code),
    ];
    let mut component = STANDARD.decode(modules::scale()).unwrap();
    let index = count_sections(&component, 1);
    component.extend(section(1, &module.concat()));
    // An instance of it, without arguments.
    component.extend(section(2, &[&[1, 0], leb(index).as_slice(), &[0]].concat()));
    STANDARD.encode(component)
}

fn add(broker: &Broker, user: (&str, &str), number: u8) -> Reply {
    let name = format!("m{number}");
    let granted = "-world action -on in -grantAll";
    broker.command_as(user, &format!("-addModule {name} {granted} wasm64:{}", large(number)))
}

/// Adds modules with these numbers until one is refused; how many there are then, and the refusal.
fn fill(broker: &Broker, user: (&str, &str), numbers: std::ops::Range<u8>) -> (u8, Reply) {
    let first = numbers.start;
    for number in numbers {
        let reply = add(broker, user, number);
        if !reply.success() {
            assert_eq!(reply.code(), "QUOTA_EXCEEDED", "{reply:?}");
            return (number - first, reply);
        }
    }
    panic!("nothing is refused");
}

fn with_memory(options: BrokerOptions, bytes: u64) -> BrokerOptions {
    options.variable("LOTMQ_LIMITS_CODE_MEMORY", &bytes.to_string())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^53")]
fn used(broker: &Broker) -> u64 {
    broker.metric(CODE_MEMORY).unwrap() as u64
}

/// A broker with users who may deploy; bytes of their rules, and of one module.
fn measured(options: BrokerOptions) -> (Broker, u64, u64) {
    let broker = options.start();
    for (user, password) in [ANN, BOB] {
        broker.command_ok(&format!("-addUser {user} {password}"));
    }
    for scope in ["ModuleManagementCreation", "AssetManagementCreation", "CommandCall"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IS \"ann\" OR USER IS \"bob\" THEN\n        ALLOW\n"
        ));
    }
    let of_rules = used(&broker);
    assert!(add(&broker, ROOT, 127).success());
    let of_module = used(&broker) - of_rules;
    assert!(of_module > 300_000, "{of_module}: fourteen times 30,000");
    broker.command_ok("-removeModule m127 -force");
    eventually("a removed module gives back its memory", || (used(&broker) == of_rules).then_some(()));
    (broker, of_rules, of_module)
}

#[test]
fn native_code_of_one_user_leaves_memory_to_others_and_equal_code_counts_once() {
    let data = tempfile::tempdir().unwrap();
    let (mut broker, of_rules, of_module) = measured(options().data(data.path()));
    assert!(broker.stop().success());

    let modules = |tenths: u64| of_rules + of_module * tenths / 10;
    let mut broker = with_memory(options().data(data.path()), modules(84)).start();
    let (of_ann, refused) = fill(&broker, ANN, 0..20);
    assert_eq!(of_ann, 6, "three quarters");
    assert!(refused.message().contains("bytes of native code, and this one needs"), "{refused:?}");
    let (before, resident) = (used(&broker), broker.resident_bytes());
    for number in 0..INSTANCES {
        let installed = broker.command_as(ANN, &format!("-install m0 -name i{number}"));
        assert!(installed.success(), "{installed:?}");
    }
    assert_eq!(used(&broker), before, "instances share the code of their module");
    let grown = broker.resident_bytes().saturating_sub(resident);
    assert!(grown < INSTANCES as u64 * of_module / 2, "{grown} bytes for {INSTANCES} instances");
    assert_eq!(fill(&broker, BOB, 20..30).0, 1, "three quarters of what she leaves");
    assert_eq!(fill(&broker, ROOT, 30..40).0, 1, "all that is left");
    let status = broker.command_ok("-brokerStatus").data().to_string();
    assert!(status.contains("\"limit\":\"code_memory\""), "{status}");
    for counter in ["lotmq_limit_reached_total{limit=\"code_memory\"}", "lotmq_code_memory_refused_total"] {
        assert_eq!(broker.metric(counter), Some(3.0), "{counter}");
    }
    assert!(broker.stop().success());

    // Of eight modules, four fit. Their instances need no more.
    let broker = with_memory(options().data(data.path()), modules(44)).start();
    assert!(used(&broker) <= modules(44));
    for name in ["m4", "m5", "m20", "m30"] {
        let not_restored = format!("definition=\"{name}\" kind=\"module\" reason=All compiled programs have");
        broker.log().expect(&not_restored);
    }
    for (name, expected) in [("m0", "running"), ("m3", "running"), ("i0", "stopped"), ("m5", "none")] {
        assert_eq!(state(&broker, name), expected, "{name}");
    }
    let mut client = broker.client("client");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("out", "alive")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "alive");
}

/// A module takes the place of a small one of the same user, and may not exceed the bound by that.
#[test]
fn replacing_a_small_module_by_a_large_one_is_bounded() {
    let data = tempfile::tempdir().unwrap();
    let (mut broker, of_rules, of_module) = measured(options().data(data.path()));
    assert!(broker.stop().success());
    let broker = with_memory(options().data(data.path()), of_rules + of_module * 2).start();
    let small =
        |name: &str| format!("-addModule {name} -world action -on in -grantAll wasm64:{}", modules::scale());
    for name in ["m1", "m2"] {
        assert!(broker.command_as(ANN, &small(name)).success(), "{name}");
    }
    let replace = |number: u8| {
        let text =
            format!("-addModule m{number} -replace -world action -on in -grantAll wasm64:{}", large(number));
        broker.command_as(ANN, &text)
    };
    assert!(replace(1).success());
    let refused = replace(2);
    assert_eq!(refused.code(), "QUOTA_EXCEEDED", "{refused:?}");
    assert!(used(&broker) <= of_rules + of_module * 2);
}
