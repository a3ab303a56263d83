//! Modules uploaded in parts: out of order, resumed, refused or cancelled, with the installed
//! module untouched and no memory left behind.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{
    Client, ConnectOptions, PropertyBuf, PropertyId, PropertyValue, Publication, QoS, ReasonCode,
};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{broker, options, send};

/// The example guest as a component, padded to so many bytes by a section that means nothing.
fn padded(bytes: usize) -> Vec<u8> {
    let mut component = STANDARD.decode(crate::modules::scale()).unwrap();
    let room = bytes - component.len() - 6;
    component.push(0);
    let mut len = room;
    // Five bytes of a number, so that its length does not depend on it.
    for at in 0..5 {
        let more = if at < 4 { 0x80 } else { 0 };
        component.push(u8::try_from(len & 0x7f).unwrap() | more);
        len >>= 7;
    }
    component.extend_from_slice(&[1, b'p']);
    component.resize(component.len() + room - 2, 0x55);
    component
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Somebody who uploads, and gets all replies and what is told of progress.
struct Uploader {
    client: Client,
    /// Statuses that came while something else was waited for.
    statuses: Vec<Value>,
}

impl Uploader {
    fn connect(broker: &Broker, id: &str) -> Uploader {
        let mut client = broker.connect(&ConnectOptions::v5(id).user("root", "coreflux"));
        client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        client.subscribe_to("$SYS/Coreflux/Modules/+/status", QoS::AtLeastOnce).unwrap();
        Uploader { client, statuses: Vec::new() }
    }

    /// Gives a command and waits for its reply.
    fn command(&mut self, command: &str) -> Value {
        self.client
            .publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce))
            .unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Value {
        loop {
            let message = self.client.receive(WAIT_MAX).unwrap().expect("a reply");
            let said: Value = serde_json::from_str(&message.text()).unwrap();
            // Commands of the test's own connections, which the broker's user sees as well.
            match message.topic.ends_with("/Output") {
                true if said.get("user").is_some() => {}
                true if said["requestId"].as_str().is_some_and(|id| id.starts_with('t')) => {}
                true => return said,
                false => self.statuses.push(said),
            }
        }
    }

    /// Waits for a status.
    fn status(&mut self, state: &str) -> Value {
        loop {
            if let Some(at) = self.statuses.iter().position(|status| status["state"] == state) {
                return self.statuses.remove(at);
            }
            let message = self.client.receive(WAIT_MAX).unwrap().expect("a status");
            self.statuses.push(serde_json::from_str(&message.text()).unwrap());
        }
    }

    fn part(&mut self, upload: &Upload, index: &str, bytes: &[u8]) -> ReasonCode {
        let topic = format!("{}/{index}", upload.topic);
        self.client.publish(&Publication::new(topic, bytes).qos(QoS::AtLeastOnce)).unwrap()
    }

    fn parts(&mut self, upload: &Upload, bytes: &[u8], indexes: impl IntoIterator<Item = usize>) {
        for index in indexes {
            let end = bytes.len().min((index + 1) * upload.part_bytes);
            let code = self.part(upload, &index.to_string(), &bytes[index * upload.part_bytes..end]);
            assert_eq!(code, ReasonCode::Success, "{index}");
        }
    }

    fn begin(&mut self, options: &str, bytes: &[u8]) -> Upload {
        let command = announced(options, bytes);
        Upload::of(&self.command(&command))
    }
}

fn announced(options: &str, bytes: &[u8]) -> String {
    format!("-addModule {options} -size {} -sha256 {} -requestId q7", bytes.len(), digest(bytes))
}

struct Upload {
    id: String,
    topic: String,
    part_bytes: usize,
    parts: usize,
    missing: Value,
}

impl Upload {
    fn of(reply: &Value) -> Upload {
        let data = &reply["data"];
        let number = |name: &str| usize::try_from(data[name].as_u64().unwrap()).unwrap();
        assert_eq!((&reply["success"], &reply["requestId"]), (&json!(true), &json!("q7")), "{reply}");
        Upload {
            id: data["uploadId"].as_str().unwrap().to_owned(),
            topic: data["topic"].as_str().unwrap().to_owned(),
            part_bytes: number("chunkSize"),
            parts: number("chunks"),
            missing: data["missing"].clone(),
        }
    }
}

fn scaled(broker: &Broker, raw: &str) -> String {
    let mut client = broker.client("");
    client.subscribe_to("scaled/#", QoS::AtMostOnce).unwrap();
    send(broker, "raw/s1", raw);
    client.receive(WAIT_MAX).unwrap().unwrap().text()
}

const SCALE: &str = "scale -world action -on raw/# -grantAll";

fn code(reply: &Value) -> &str {
    reply["errors"][0]["code"].as_str().unwrap_or_default()
}

#[test]
fn a_module_above_the_inline_bound_comes_in_parts_in_any_order_and_goes_on_after_a_break() {
    let mut broker = broker();
    let bytes = padded((9 << 20) + 17);
    let mut uploader = Uploader::connect(&broker, "uploader");
    let upload = uploader.begin(SCALE, &bytes);
    assert_eq!((upload.part_bytes, upload.parts), (262_144, 37));
    assert_eq!(upload.missing, json!([[0, 36]]));
    assert_eq!(upload.topic, format!("$SYS/Coreflux/Modules/scale/upload/{}", upload.id));
    uploader.parts(&upload, &bytes, [36, 3, 4, 0, 4]);
    let progress = uploader.status("uploading");
    assert_eq!((&progress["uploadId"], &progress["total"]), (&json!(upload.id), &json!(bytes.len())));
    uploader.client.abort();

    // The same command finds the same upload; the version is another one.
    let mut uploader = Uploader::connect(&broker, "uploader");
    let again = uploader.begin(&format!("{SCALE} -version 2"), &bytes);
    assert_eq!((&again.id, &again.missing), (&upload.id, &json!([[1, 2], [5, 35]])));
    uploader.parts(&again, &bytes, [1, 2].into_iter().chain((5..36).rev()));
    let done = uploader.reply();
    assert_eq!((&done["success"], &done["command"]), (&json!(true), &json!("AddModule")), "{done}");
    assert_eq!((&done["requestId"], &done["entityName"]), (&json!("q7"), &json!("scale")));
    assert_eq!((&done["data"]["version"], &done["data"]["bytes"]), (&json!("2"), &json!(bytes.len())));
    assert_eq!(done["data"]["sha256"], digest(&bytes));
    uploader.status("compiling");
    assert_eq!(uploader.status("installed")["uploadId"], upload.id);
    assert_eq!(scaled(&broker, "215"), "21.5");
    broker.kill();
    broker.start_again();
    assert_eq!(scaled(&broker, "5"), "0.5", "it is stored");
}

#[test]
fn a_part_that_does_not_fit_is_refused_and_the_upload_goes_on() {
    let broker = broker();
    let bytes = padded(600_000);
    let mut uploader = Uploader::connect(&broker, "uploader");
    let upload = uploader.begin(SCALE, &bytes);
    let part = upload.part_bytes;
    uploader.parts(&upload, &bytes, [0]);
    for (index, sent, expected, message) in [
        ("3", &bytes[..part], "CHUNK_RANGE", "Chunk index 3 is out of range 0..2."),
        ("-1", &bytes[..part], "CHUNK_RANGE", "Chunk index -1 is out of range 0..2."),
        ("00", &bytes[..part], "CHUNK_RANGE", "Chunk index 00 is out of range 0..2."),
        ("0/1", &bytes[..part], "CHUNK_RANGE", "Chunk index 0/1 is out of range 0..2."),
        ("", &bytes[..part], "CHUNK_RANGE", "Chunk index  is out of range 0..2."),
        ("99999999999999999999", &bytes[..part], "CHUNK_RANGE", "is out of range 0..2."),
        ("18446744073709551615", &bytes[..part], "CHUNK_RANGE", "is out of range 0..2."),
        ("1", &bytes[..part - 1], "CHUNK_SIZE", "Chunk 1 has 262143 bytes, not 262144."),
        ("2", &bytes[..part], "CHUNK_SIZE", "Chunk 2 has 262144 bytes, not 75712."),
        ("1", b"", "CHUNK_SIZE", "Chunk 1 has 0 bytes, not 262144."),
        ("0", &bytes[1..=part], "CHUNK_CHANGED", "Chunk 0 came before with other bytes."),
    ] {
        assert_eq!(uploader.part(&upload, index, sent), ReasonCode::ImplementationSpecificError);
        let reply = uploader.reply();
        assert_eq!((code(&reply), &reply["requestId"]), (expected, &json!("q7")), "{index}: {reply}");
        assert!(reply["message"].as_str().unwrap().contains(message), "{reply}");
    }
    for (said, expected) in [
        (digest(b"other"), ReasonCode::ImplementationSpecificError),
        (digest(&bytes[part..2 * part]), ReasonCode::Success),
    ] {
        let mut properties = PropertyBuf::new();
        properties.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("sha256", &said)).unwrap();
        let topic = format!("{}/1", upload.topic);
        let publication = Publication { properties, ..Publication::new(topic, &bytes[part..2 * part]) };
        assert_eq!(uploader.client.publish(&publication.qos(QoS::AtLeastOnce)).unwrap(), expected);
    }
    assert_eq!(code(&uploader.reply()), "HASH_MISMATCH");
    // Neither another client of the same user nor one of the same name of another user has a part
    // in it.
    let mut other = Uploader::connect(&broker, "other");
    other.part(&upload, "2", &bytes[2 * part..]);
    assert_eq!(code(&other.reply()), "UPLOAD_UNKNOWN");
    assert_eq!(code(&uploader.reply()), "UPLOAD_UNKNOWN", "what a user does is told to him");
    broker.command_ok("-addUser second pw");
    broker.command_ok("-changeUserSettings second AllowedSystemConfiguration true");
    let mut second = broker.connect(&ConnectOptions::v5("uploader").user("second", "pw"));
    second.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let last = Publication::new(format!("{}/2", upload.topic), &bytes[2 * part..]);
    second.publish(&last.qos(QoS::AtLeastOnce)).unwrap();
    let reply: Value = serde_json::from_str(&second.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
    assert_eq!(code(&reply), "UPLOAD_UNKNOWN");
    let nobody = broker.command(&format!("-cancelModuleUpload {}x", upload.id));
    assert_eq!(nobody.code(), "UPLOAD_UNKNOWN");

    uploader.parts(&upload, &bytes, [2]);
    let done = uploader.reply();
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(scaled(&broker, "215"), "21.5");
    uploader.part(&upload, "2", &bytes[2 * part..]);
    assert_eq!(code(&uploader.reply()), "UPLOAD_UNKNOWN", "it is over");
    let (version, config) = ("v".repeat(129), format!("\"{}\"", "c".repeat(65_537)));
    for (options, expected) in [
        (format!("-version {version}"), "ARGUMENT_INVALID"),
        (format!("-config {config}"), "TOO_LARGE"),
        (format!("-sig {}", "s".repeat(65_536)), "TOO_LARGE"),
    ] {
        let command = format!("-addModule m -world action {options} -size 9 -sha256 {}", digest(b""));
        assert_eq!(code(&uploader.command(&command)), expected, "{:.40}", options);
    }
}

#[test]
fn an_upload_that_ends_badly_leaves_the_running_module_alone() {
    let broker = broker();
    let good = padded(300_000);
    let mut uploader = Uploader::connect(&broker, "uploader");
    broker.command_ok(&format!("-addModule {SCALE} wasm64:{}", crate::modules::scale()));
    let replace = format!("{SCALE} -replace");
    // Bytes that are not those that were announced.
    let upload = uploader.begin(&replace, &good);
    let mut other = good.clone();
    *other.last_mut().unwrap() ^= 1;
    uploader.parts(&upload, &other, [0, 1]);
    let reply = uploader.reply();
    assert_eq!(code(&reply), "HASH_MISMATCH", "{reply}");
    assert_eq!(uploader.status("refused")["code"], "HASH_MISMATCH");
    // Bytes that are no component, or that cannot be compiled.
    let mut broken = good.clone();
    broken[1000..200_000].fill(0xff);
    for (bytes, expected) in [(b"\0asm\x01\0\0\0".to_vec(), "NOT_A_COMPONENT"), (broken, "COMPILE_FAILED")] {
        let upload = uploader.begin(&replace, &bytes);
        uploader.parts(&upload, &bytes, 0..upload.parts);
        let reply = uploader.reply();
        assert_eq!(code(&reply), expected, "{reply}");
    }
    // One that is cancelled.
    let upload = uploader.begin(&replace, &good);
    uploader.parts(&upload, &good, [0]);
    uploader
        .client
        .publish(
            &Publication::new("$SYS/Coreflux/Command", format!("-cancelModuleUpload {}", upload.id))
                .qos(QoS::AtLeastOnce),
        )
        .unwrap();
    let ended = uploader.reply();
    assert_eq!((code(&ended), &ended["requestId"]), ("UPLOAD_CANCELLED", &json!("q7")), "{ended}");
    assert_eq!(uploader.reply()["command"], "CancelModuleUpload");
    assert_eq!(uploader.part(&upload, "1", &good[262_144..]), ReasonCode::ImplementationSpecificError);
    assert_eq!(code(&uploader.reply()), "UPLOAD_UNKNOWN");
    // One whose client never comes back, and one whose broker ends.
    uploader.begin(&replace, &good);
    assert_eq!(scaled(&broker, "215"), "21.5");
    assert_eq!(
        broker.command_ok("-moduleInfo scale").data()["bytes"],
        STANDARD.decode(crate::modules::scale()).unwrap().len()
    );
}

#[test]
fn users_that_a_user_manager_has_made_share_its_uploads() {
    let broker = options().start();
    for scope in ["CommandCall", "ModuleManagementCreation"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE {scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IN GROUP \"deployers\" THEN\n        ALLOW"
        ));
    }
    let connect = |user: &str| {
        broker.command_ok(&format!("-addUserToGroup {user} deployers"));
        let mut client = broker.connect(&ConnectOptions::v5(user).user(user, "pw"));
        client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        Uploader { client, statuses: Vec::new() }
    };
    broker.command_ok("-addUser manager pw");
    broker.command_ok("-changeUserSettings manager AllowedUserManagement true");
    let mut manager = connect("manager");
    let made = manager.command("-addUser made pw");
    assert_eq!(made["success"], true, "{made}");
    for number in 0..4 {
        manager.begin(&format!("m{number} -world action"), b"bytes");
    }
    let refused = connect("made").command(&announced("m4 -world action", b"bytes"));
    assert_eq!(code(&refused), "QUOTA_EXCEEDED", "{refused}");
    broker.command_ok("-addUser other pw");
    connect("other").begin("m5 -world action", b"bytes");
}

#[test]
fn uploads_are_bounded_in_number_and_bytes() {
    let broker = options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "8192").start();
    let mut uploader = Uploader::connect(&broker, "uploader");
    let hash = digest(b"");
    for (arguments, expected, message) in [
        ("-world action -size 67108865", "TOO_LARGE", "Module has 67108865 bytes, limit 67108864."),
        ("-world action -size 0", "ARGUMENT_INVALID", "-size takes a number from 1 to 67108864, not '0'."),
        ("-world action -size x", "ARGUMENT_INVALID", "-size takes a number from 1 to 67108864, not 'x'."),
        ("-size 9 -world nowhere", "WORLD_UNKNOWN", "World 'nowhere' is unknown."),
    ] {
        let reply = uploader.command(&format!("-addModule m -sha256 {hash} {arguments}"));
        assert_eq!(code(&reply), expected, "{reply}");
        assert!(reply["message"].as_str().unwrap().contains(message), "{reply}");
    }
    let reply = uploader.command("-addModule m -world action -size 9");
    assert_eq!(code(&reply), "MISSING_ARGUMENT");
    let reply = uploader.command(&format!("-addModule m -world action -on -replace -size 9 -sha256 {hash}"));
    assert_eq!(code(&reply), "MISSING_ARGUMENT", "{reply}");
    let reply = uploader.command("-addModule m -world action -size 9 -sha256 12");
    assert_eq!(code(&reply), "ARGUMENT_INVALID");
    let of_size = |name: &str, bytes: usize| {
        format!("-addModule {name} -world action -size {bytes} -sha256 {hash} -requestId q7")
    };
    let largest = |name: &str| of_size(name, 60_000_000);
    let mut under_way = Vec::new();
    for number in 0..4 {
        let begun = Upload::of(&uploader.command(&of_size(&format!("m{number}"), 30_000_000)));
        under_way.push(format!("{} of 'm{number}'", begun.id));
        assert_eq!(begun.part_bytes, 8192 - 512, "a listener that takes less gets smaller parts");
    }
    let reply = uploader.command(&of_size("m4", 1));
    assert_eq!(code(&reply), "QUOTA_EXCEEDED");
    let told = reply["message"].as_str().unwrap();
    assert!(told.starts_with("You have 4 uploads of modules under way: "), "{told}");
    assert!(under_way.iter().all(|upload| told.contains(upload)), "{told}");
    let again = Upload::of(&uploader.command(&of_size("m3", 30_000_000)));
    for scope in ["CommandCall", "ModuleManagementCreation"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE {scope} WITH PRIORITY 5 FOR {scope}\n    IF USER IN GROUP \"deployers\" THEN\n        ALLOW"
        ));
    }
    // Others have what is left of the bytes, and of the places.
    let another = |name: &str| {
        broker.command_ok(&format!("-addUser {name} pw"));
        broker.command_ok(&format!("-addUserToGroup {name} deployers"));
        let options = ConnectOptions::v5("uploader").user(name, "pw");
        let mut uploader = Uploader { client: broker.connect(&options), statuses: Vec::new() };
        uploader.client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        uploader
    };
    let mut second = another("second");
    Upload::of(&second.command(&largest("n")));
    Upload::of(&second.command(&largest("o")));
    let reply = second.command(&largest("p"));
    assert_eq!(code(&reply), "QUOTA_EXCEEDED");
    let message = "Your uploads of modules would have more than 135266304 bytes; finish or cancel one.";
    assert_eq!(reply["message"], message);
    let refused = second.command(&format!("-cancelModuleUpload {}", again.id));
    assert_eq!(code(&refused), "UPLOAD_UNKNOWN", "it is another user's");
    uploader
        .client
        .publish(
            &Publication::new("$SYS/Coreflux/Command", format!("-cancelModuleUpload {}", again.id))
                .qos(QoS::AtLeastOnce),
        )
        .unwrap();
    assert_eq!(code(&uploader.reply()), "UPLOAD_CANCELLED");
    let mut third = another("third");
    let reply = third.command(&largest("q"));
    assert_eq!(code(&reply), "QUOTA_EXCEEDED");
    assert!(reply["message"].as_str().unwrap().starts_with("Uploads of modules have 210"), "{reply}");
    assert_eq!(
        Upload::of(&third.command(&of_size("q", 30_000_000))).parts,
        30_000_000_usize.div_ceil(8192 - 512)
    );
    // Administrators find room for one of the largest size, whatever others have taken.
    assert_eq!(code(&third.command(&of_size("r", 30_000_000))), "QUOTA_EXCEEDED");
    broker.command_ok("-addUser chief pw");
    broker.command_ok("-changeUserSettings chief AllowedSystemConfiguration true");
    let options = ConnectOptions::v5("chief").user("chief", "pw");
    let mut chief = Uploader { client: broker.connect(&options), statuses: Vec::new() };
    chief.client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    Upload::of(&chief.command(&of_size("s", 67_108_864)));
}

/// Downloads a module in pieces.
fn downloaded(broker: &Broker, name: &str) -> Vec<u8> {
    let mut client = broker.connect(&ConnectOptions::v5("download").user("root", "coreflux"));
    let topic = format!("$SYS/Coreflux/Modules/{name}/download");
    client.subscribe_to(&format!("{topic}/#"), QoS::AtLeastOnce).unwrap();
    client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let command = format!("-getModule {name} -requestId d1");
    client.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
    let mut bytes = Vec::new();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("a piece, or the reply");
        if message.topic.ends_with("/Output") {
            let reply: Value = serde_json::from_str(&message.text()).unwrap();
            if reply["requestId"] == "d1" {
                assert_eq!((&reply["success"], &reply["data"]["bytes"]), (&json!(true), &json!(bytes.len())));
                return bytes;
            }
        } else {
            bytes.extend_from_slice(&message.payload);
        }
    }
}

#[test]
fn stored_modules_are_on_the_disk_and_not_in_memory() {
    const BYTES: usize = 32 << 20;
    // Of six: some of the store's cache, and what the allocator has kept.
    const GROWN_MAX: u64 = 3 * BYTES as u64;
    let mut broker = broker();
    let mut uploader = Uploader::connect(&broker, "uploader");
    let before = broker.resident_bytes();
    let version = |number: u8| {
        let mut bytes = padded(BYTES);
        *bytes.last_mut().unwrap() = number;
        bytes
    };
    for number in 0..6 {
        let bytes = version(number);
        let name = ["a", "b", "c"][usize::from(number) / 2];
        let upload =
            uploader.begin(&format!("{name} -world action -on raw/{name} -grantAll -replace"), &bytes);
        uploader.parts(&upload, &bytes, 0..upload.parts);
        let done = uploader.reply();
        assert_eq!(
            (&done["success"], &done["data"]["sha256"]),
            (&json!(true), &json!(digest(&bytes))),
            "{done}"
        );
    }
    let grown = |broker: &Broker| {
        let deadline = Instant::now() + WAIT_MAX;
        let mut grown = broker.resident_bytes().saturating_sub(before);
        while grown > GROWN_MAX && Instant::now() < deadline {
            std::thread::yield_now();
            grown = broker.resident_bytes().saturating_sub(before);
        }
        grown
    };
    let uploaded = grown(&broker);
    assert!(uploaded < GROWN_MAX, "{uploaded} bytes more");
    broker.kill();
    broker.start_again();
    let restarted = grown(&broker);
    println!("{} KiB more once all are there, {} KiB after a restart", uploaded >> 10, restarted >> 10);
    assert!(restarted < GROWN_MAX, "{restarted} bytes more after a restart");

    // They are read when somebody wants them.
    let back = broker.command_ok("-rollbackModule b");
    assert_eq!(back.data()["sha256"], digest(&version(2)));
    assert_eq!(back.data()["former"]["sha256"], digest(&version(3)));
    assert!(downloaded(&broker, "b") == version(2));
    broker.command_ok("-grantModule b -grant write:more");
    broker.command_ok("-removeModule a");
    broker.kill();
    broker.start_again();
    assert!(downloaded(&broker, "b") == version(2) && downloaded(&broker, "c") == version(5));
    let info = broker.command_ok("-moduleInfo b");
    assert_eq!(info.data()["former"]["sha256"], digest(&version(3)));
    assert!(info.data()["granted"].as_array().unwrap().contains(&json!("write:more")), "{}", info.data());
    assert_eq!(broker.command("-getModule a").code(), "MODULE_NOT_FOUND");
    let last = grown(&broker);
    assert!(last < GROWN_MAX, "{last} bytes more after downloads");
}
