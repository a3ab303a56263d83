use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// Listeners belong to the whole process, so one test runs at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn read(name: &str, arguments: &str) -> Result<TraceLog, TraceLogError> {
    TraceLog::read(name, &arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

/// The lines of events, each with its level and the trace logs that have it, for somebody who wants
/// these levels and trace logs.
fn heard(
    levels: &[Level],
    trace_logs: &[(&str, &str)],
    say: impl FnOnce(&Logs),
) -> Vec<(String, Vec<String>)> {
    let _one = ONE_AT_A_TIME.lock();
    let logs = Logs::start(Arc::default());
    let trace_logs = trace_logs.iter().map(|(name, arguments)| Arc::new(read(name, arguments).unwrap()));
    *logs.wanted.write() = Arc::new(Wanted::of(levels, trace_logs.collect()));
    let subscriber = tracing_subscriber::registry().with(layer());
    tracing::subscriber::with_default(subscriber, || {
        layer::verbosity_changed();
        say(&logs);
    });
    *logs.wanted.write() = Arc::default();
    layer::verbosity_changed();
    let queue = std::mem::take(&mut *logs.queue.lock());
    let line = |queued: Queued| {
        let mut json: serde_json::Value = serde_json::from_str(&queued.line.to_json()).unwrap();
        json.as_object_mut().unwrap().shift_remove("ts").unwrap();
        let names = queued.trace_logs.iter().map(|log| log.name.to_string()).collect();
        (format!("{} {json}", queued.is_for_log), names)
    };
    queue.lines.into_iter().map(line).collect()
}

#[test]
fn only_what_is_wanted_is_heard() {
    assert_eq!(heard(&[], &[], |_| error!("nobody reads it")), []);
    let lines = heard(&[Level::Error, Level::Info], &[], |_| {
        error!(target: "client", client_id = "c1", count = 3, "an \"error\"");
        warn!(target: "client", "not wanted");
        info!(target: "wasmtime", "not ours");
        info!(target: "lotmq_store", error = %"no room", "told");
        info!(target: "guest", text = "whatever a module prints", "guest output");
        debug!(target: "client", "not wanted either");
    });
    let texts: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            r#"true {"level":"Error","category":"mqtt","message":"an \"error\"","fields":{"client_id":"c1","count":"3"}}"#,
            r#"true {"level":"Info","category":"broker","message":"told","fields":{"error":"no room"}}"#,
            r#"true {"level":"Info","category":"lot","message":"guest output"}"#,
        ]
    );
}

#[test]
fn trace_logs_have_the_lines_that_meet_all_their_conditions() {
    let logs = [
        ("all", "trace"),
        ("of-client", "debug client=pump-*"),
        ("of-topic", "trace category=mqtt topic=plant/+/t"),
        ("of-definition", "definition=Heater"),
        ("of-text", "info broken"),
    ];
    let lines = heard(&[], &logs, |_| {
        debug!(target: "client", client_id = "pump-7", "client connected");
        trace!(target: "mqtt", client_id = "pump-7", topic = "plant/a/t", "publish");
        trace!(target: "rules", client_id = "pump", topic = "plant/a/t", "rule asked");
        debug!(target: "lot", definition = "Heater", "run failed");
        info!(target: "routes", reason = "it is broken", "route not connected");
        error!(target: "lotmq_store", "the broker itself has no trace");
    });
    let names: Vec<Vec<&str>> =
        lines.iter().map(|(_, names)| names.iter().map(String::as_str).collect()).collect();
    assert_eq!(
        names,
        [
            vec!["all", "of-client"],
            vec!["all", "of-topic"],
            vec!["all"],
            vec!["all", "of-definition"],
            vec!["all", "of-text"]
        ]
    );
}

#[test]
fn log_lines_emitted_during_publishing_are_not_published() {
    let lines = heard(&[Level::Info], &[], |_| {
        layer::without_logging(|| info!(target: "client", "of a line"));
        info!(target: "client", "of something else");
    });
    assert_eq!(lines.len(), 1);
    assert!(lines[0].0.contains("of something else"));
}

#[test]
fn too_many_lines_are_dropped_and_counted() {
    let counters = Counters::default();
    let lines = heard(&[Level::Info], &[], |logs| {
        for n in 0..LOG_LINES_WAITING_MAX + 7 {
            info!(target: "client", n, "line");
        }
        logs.count(&counters);
    });
    assert_eq!(lines.len(), LOG_LINES_WAITING_MAX);
    assert_eq!(counters.log_lines_dropped.get(), 7);
}

#[test]
fn trace_logs_are_read_and_stored() {
    for (name, arguments, expected) in [
        ("a", "", Ok((Level::Debug, ""))),
        ("a.b-c_1", "WARNING", Ok((Level::Warning, ""))),
        ("a", "client=x topic=a/#", Ok((Level::Debug, "client=x topic=a/#"))),
        ("a", "trace some text", Ok((Level::Trace, "some text"))),
        ("", "", Err(TraceLogError::NameInvalid(String::new()))),
        ("a/b", "", Err(TraceLogError::NameInvalid("a/b".to_owned()))),
        ("a", "loud", Err(TraceLogError::LevelUnknown("loud".to_owned()))),
        ("a", "category=broker", Err(TraceLogError::CategoryUnknown("broker".to_owned()))),
        ("a", "topic=a/#/b", Err(TraceLogError::TopicInvalid("a/#/b".to_owned()))),
        ("a", "client=", Err(TraceLogError::ValueMissing("client".to_owned()))),
        ("a", "colour=red", Err(TraceLogError::KeyUnknown("colour".to_owned()))),
    ] {
        let log = read(name, arguments);
        let found = log.as_ref().map(|log| (log.level, log.filter.as_str()));
        assert_eq!(found, expected.as_ref().copied(), "{name} {arguments}");
        let Ok(log) = log else { continue };
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let row = log.setting(lotmq_changes::TenantId::DEFAULT, &arguments);
        let restored = TraceLog::restored(&row).unwrap().unwrap();
        assert_eq!((restored.level, &restored.filter, &restored.name), (log.level, &log.filter, &log.name));
    }
    let other = SettingRow { tenant: lotmq_changes::TenantId::DEFAULT, name: "x".into(), value: "y".into() };
    assert!(TraceLog::restored(&other).is_none());
    let long = "x".repeat(crate::limits::TRACE_LOG_FILTER_BYTES_MAX + 1);
    assert_eq!(read("a", &format!("info {long}")).unwrap_err(), TraceLogError::TooLong(long.len()));
}
