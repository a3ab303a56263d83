//! Deliveries as two lists: who exports `route-batches` gets all by it, who does not goes on with
//! records, and nothing is lost on the way into a real guest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use lotmq_host::fiber::Endpoint;
use lotmq_host::route::{LentDelivery, PlaceholderValues, RouteGuest, RouteInstance, RouteSpec, Value};
use lotmq_host::{ComponentSource, Grants, GuestId, GuestLimits, LoadError};
use tokio::sync::mpsc;

use crate::routes::{Taker, all_topics, delivery, echo, lines, listen};
use crate::support::{component, contract_folder, engine, wrap_of};

/// A guest of world `route` in which `deliver` accepts as many as `accepted` says, by `$first` and
/// `$second`, the lengths of its lists.
fn guest(accepted_of_records: &str, batches: &str) -> String {
    let answer = |accepted: &str| format!("(i32.store (i32.const 68) {accepted}) (i32.const 64)");
    let batches = match batches {
        "" => String::new(),
        accepted => format!(
            r#"(func (export "lotmq:guest/route-batches@0.2.0#deliver")
                (param i32) (param $first i32) (param i32) (param $second i32) (result i32) {})"#,
            answer(accepted)
        ),
    };
    format!(
        r#"(module
  (memory (export "memory") 4)
  (global $heap (mut i32) (i32.const 8192))
  (func (export "cabi_realloc") (param i32 i32 i32) (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $len)))
    (local.get $at))
  (func (export "lotmq:guest/route-handler@0.2.0#describe") (result i32) (i32.const 128))
  (func (export "lotmq:guest/route-handler@0.2.0#open") (param i32 i32) (result i32) (i32.const 128))
  (func (export "lotmq:guest/route-handler@0.2.0#deliver") (param i32) (param $first i32) (result i32) {})
  (func (export "lotmq:guest/route-handler@0.2.0#run") (param i32) (result i32) (i32.const 128))
  (func (export "lotmq:guest/route-handler@0.2.0#request") (param i32 i32 i32 i32) (result i32) (i32.const 128))
  (func (export "lotmq:guest/route-handler@0.2.0#close"))
  {batches}
)"#,
        answer(accepted_of_records)
    )
}

async fn instance(component: &[u8]) -> RouteInstance {
    let guest = RouteGuest::compile(engine(), component, ComponentSource::Upload).unwrap();
    assert_eq!(guest.further_exports(), [""; 0], "the world knows all that it exports");
    let spec = RouteSpec {
        id: GuestId(1),
        services: Arc::new(Taker::new(Vec::new(), mpsc::unbounded_channel().0)),
        grants: Arc::new(Grants::default()),
        endpoints: Arc::new(HashMap::new()),
        folders: Arc::default(),
        serial_lines: Arc::default(),
        limits: GuestLimits::default(),
    };
    guest.instance(spec).await.unwrap()
}

#[tokio::test]
async fn a_route_gets_its_deliveries_in_the_form_that_it_exports() {
    let batch = [delivery(1, "one"), delivery(2, "three")];
    let records = component(&guest("(local.get $first)", ""), "route");
    let receipt = instance(&records).await.deliver(&batch).await.unwrap().unwrap();
    assert_eq!(receipt.accepted, 2, "records");
    for (accepted, expected) in
        [("(local.get $first)", 22), ("(local.get $second)", 2 * "lineto/echoc1".len() as u32 + 8)]
    {
        let batches = component(&guest("(unreachable)", accepted), "route-in-batches");
        let mut instance = instance(&batches).await;
        assert_eq!(instance.deliver(&batch).await.unwrap().unwrap().accepted, expected, "{accepted}");
        assert_eq!(instance.deliver(&[]).await.unwrap().unwrap().accepted, 0, "{accepted}");
    }
}

#[test]
fn batches_of_another_type_are_refused_when_the_guest_is_compiled() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(contract_folder()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let file = folder.path().join("unstable-route-batches.wit");
    let text = std::fs::read_to_string(&file).unwrap();
    for (from, to) in [
        ("numbers: list<u32>", "numbers: list<s32>"),
        ("bytes: list<u8>)", "bytes: list<u16>)"),
        ("result<receipt, failure>", "result<failure, receipt>"),
        ("deliver: func", "hand-over: func"),
    ] {
        std::fs::write(&file, text.replace(from, to)).unwrap();
        let core = guest("(unreachable)", "(unreachable)");
        let core = core.replace(
            "route-batches@0.2.0#deliver",
            match to {
                "hand-over: func" => "route-batches@0.2.0#hand-over",
                _ => "route-batches@0.2.0#deliver",
            },
        );
        let component =
            wrap_of(Path::new(folder.path()), wat::parse_str(core).unwrap(), "route-in-batches", &[]);
        let refused = RouteGuest::compile(engine(), &component, ComponentSource::Upload).unwrap_err();
        assert!(matches!(&refused, LoadError::WorldMismatch { .. }), "{to}: {refused:?}");
        assert!(refused.to_string().contains("'lotmq:guest/route-batches@0.2.0'"), "{to}: {refused}");
    }
}

#[tokio::test]
async fn values_of_every_kind_come_as_they_were_sent() {
    let port = listen(|stream| stream);
    let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port, ..Endpoint::default() };
    let (mut instance, mut arrivals) = echo(endpoint, all_topics()).await;
    let template = r#"{"template":["","|","|","|","|","|","|","|","|",""],"placeholders":["a","b","c","d","e","f","g","h","i"]}"#;
    let configuration = format!(r#"{{"sections":{{}},"events":{{"line":{{"LINE":{template}}}}}}}"#);
    instance.open(&configuration).await.unwrap().unwrap();
    let values = |number: i64, text: &str| {
        vec![
            Value::Empty,
            Value::Null,
            Value::Boolean(number < 0),
            Value::Integer(number),
            Value::Double(number as f64 / 4.0),
            Value::Text(text.to_owned()),
            Value::Json(format!("[{text:?}]")),
            Value::Bytes(text.as_bytes().to_vec()),
            Value::Time(number.clamp(0, 1000)),
        ]
    };
    let filled = |sequence, number, text| LentDelivery {
        placeholders: vec![PlaceholderValues { setting: "LINE".to_owned(), values: values(number, text) }],
        ..delivery(sequence, "unused")
    };
    let batch = [filled(1, i64::MIN, ""), delivery(2, "plain"), filled(u64::MAX, 7, "grün")];
    assert_eq!(instance.deliver(&batch).await.unwrap().unwrap().accepted, 3);
    let expected = [
        "hello",
        "echo ||true|-9223372036854775808|-2.305843009213694e18||[\"\"]||1970-01-01T00:00:00.000Z",
        "echo ||||||||",
        "echo ||false|7|1.75|grün|[\"grün\"]|grün|1970-01-01T00:00:00.007Z",
    ];
    assert_eq!(lines(&mut instance, &mut arrivals, 4).await, expected);
}
