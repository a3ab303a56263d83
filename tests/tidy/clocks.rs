//! Readers of clocks are known by name: everything else gets time as an argument, so that it can be
//! tested in virtual time.

use std::collections::BTreeMap;

use crate::assert_none;
use crate::syntax::{Look, Walk, crates};

/// Types whose `now` reads a clock.
const CLOCKS: [&str; 5] = ["Instant", "SystemTime", "Timestamp", "Zoned", "CoarseClock"];

/// Files that read one, and what for.
const READERS: &[(&str, &str)] = &[
    ("broker/cli/src/backup.rs", "patience with the next chunk"),
    ("broker/cli/src/bench/connects.rs", "measures"),
    ("broker/cli/src/bench/figures.rs", "measures"),
    ("broker/cli/src/bench/traffic.rs", "measures and keeps a rate"),
    ("broker/cli/src/cmd.rs", "patience with a reply"),
    ("broker/cli/src/demo.rs", "sensors of the demonstration"),
    ("broker/cli/src/demo/plc.rs", "time of the simulated press"),
    ("broker/cli/src/deploy/file_plan.rs", "patience with what is retained"),
    ("broker/cli/src/doctor/disk.rs", "how long syncs take"),
    ("broker/cli/src/guest/download.rs", "patience with the next part"),
    ("broker/cli/src/guest/installed.rs", "patience with what is retained"),
    ("broker/cli/src/lasting_connection.rs", "pauses between attempts to connect"),
    ("broker/cli/src/log/json.rs", "time of a log line"),
    ("broker/cli/src/log/line.rs", "time of a log line"),
    ("broker/cli/src/publish.rs", "when the connection is served, and the pauses between repeats"),
    ("broker/cli/src/request.rs", "patience with an answer, and the time that is printed"),
    ("broker/cli/src/restore.rs", "patience with a restart"),
    ("broker/cli/src/subscribe.rs", "the time of -W, and times that are printed"),
    ("broker/cli/src/top.rs", "times between readings"),
    ("broker/cli/src/topics.rs", "for how long it listens"),
    ("broker/cli/src/watch.rs", "when values that are held back are due, and attempts to connect"),
    ("broker/cli/src/watch/event.rs", "times that are printed"),
    ("broker/cli/src/watch/traces.rs", "when traces are armed again"),
    ("broker/client/src/client.rs", "keep alive and patience"),
    ("broker/client/src/connection.rs", "patience with the peer"),
    ("broker/core/src/clock.rs", "through the clock of the data path"),
    ("broker/core/src/protocol/accept.rs", "through the clock of the data path: how long a login took"),
    ("broker/core/src/protocol/request.rs", "through the clock of the data path: when CONNECT came"),
    ("broker/core/src/turn.rs", "through the clock of the data path: how long deliveries took"),
    ("broker/core/src/turn/time_share.rs", "through the clock of the data path"),
    ("broker/host/src/ambient.rs", "clocks of guests"),
    ("broker/host/src/cache/files.rs", "age of cached files"),
    ("broker/host/src/engine/compiler/parent.rs", "patience with a compile worker"),
    ("broker/host/src/executor.rs", "patience of who waits for runs"),
    ("broker/host/src/executor/called.rs", "pauses after traps in calls"),
    ("broker/host/src/executor/runner.rs", "pauses after traps, and figures"),
    ("broker/host/src/executor/inline.rs", "slices and figures"),
    ("broker/host/src/executor/queue.rs", "pauses that end"),
    ("broker/host/src/executor/worker.rs", "sweeps and figures"),
    ("broker/host/src/executor/spare_thread.rs", "threads that stand still"),
    ("broker/host/src/functions/backtracking/watched.rs", "time of a regular expression"),
    ("broker/host/src/deadline.rs", "processor time of a run"),
    ("broker/host/src/python/code.rs", "how long it took, for the log"),
    ("broker/host/src/python/script.rs", "patience with the interpreter"),
    ("broker/host/src/fiber/dial.rs", "patience with a connect and each address"),
    ("broker/host/src/fiber/functions/http.rs", "patience with an exchange"),
    ("broker/host/src/fiber/http/pool.rs", "connections that nobody uses"),
    ("broker/host/src/fiber/functions/http_server.rs", "time that is left for an answer"),
    ("broker/host/src/fiber/http_server/callers.rs", "how long a client has brought nothing whole"),
    ("broker/host/src/fiber/http_server/connection.rs", "patience with an answer"),
    ("broker/host/src/fiber/udp/lost_datagrams.rs", "when the system is asked for counts"),
    ("broker/host/src/fiber/state.rs", "time of a call"),
    ("broker/host/src/ticker.rs", "epochs"),
    ("broker/jwt/src/key_store.rs", "when files are looked at, keys fetched, and outages end"),
    ("broker/lsp/src/live.rs", "time of a value that is shown"),
    ("broker/runner/src/mock_server.rs", "patience with what is on its way to a server of a case"),
    ("broker/runner/src/mock_server/datagram_recorder.rs", "when nobody has said a word for a while"),
    ("broker/runner/src/mock_server/recorder.rs", "when nobody has said a word for a while"),
    ("broker/runner/src/player.rs", "a recording"),
    ("broker/runner/src/program.rs", "when a program starts, if nothing else is said"),
    ("broker/runner/src/scripted_client.rs", "time that a client of a route has in a case"),
    ("broker/programs/src/cold_start.rs", "pauses between attempts to compile"),
    ("broker/programs/src/compile_places.rs", "threads that stand still"),
    ("broker/programs/src/compile_workers.rs", "patience with others, and threads that stand still"),
    ("broker/programs/src/events.rs", "time of definitions that publishers do not wait for"),
    ("broker/programs/src/interrupted_runs.rs", "patience at a start"),
    ("broker/programs/src/models.rs", "threads that stand still"),
    ("broker/programs/src/relaying.rs", "time of a turn on an executor"),
    ("broker/programs/src/restore.rs", "patience at a start"),
    ("broker/programs/src/route_modules.rs", "traps of the last minute"),
    ("broker/programs/src/routes.rs", "latency of a probe"),
    ("broker/programs/src/auth_modules/asked.rs", "how long a login waits"),
    ("broker/programs/src/auth_modules/driver.rs", "patience with guests"),
    ("broker/programs/src/route_drivers/driver.rs", "how long an instance was open"),
    ("broker/programs/src/route_drivers/driver/away.rs", "when a guest is asked again"),
    ("broker/programs/src/route_drivers/driver/failing.rs", "retries"),
    ("broker/programs/src/route_drivers/driver/paths.rs", "when a guest is asked again"),
    ("broker/programs/src/route_drivers/driver/proof.rs", "how long an instance was open"),
    ("broker/programs/src/route_drivers/driver/running.rs", "when a guest runs again"),
    ("broker/programs/src/route_drivers/driver/running/tags.rs", "when a guest is asked again"),
    ("broker/programs/src/route_drivers/thread.rs", "patience with guests at a stop"),
    ("broker/programs/src/routes/ingest_waits.rs", "for how long what a route brings has waited"),
    ("broker/programs/src/routes/keeping.rs", "when an outbox is read again"),
    ("broker/programs/src/skipping.rs", "patience with a call of a guest"),
    ("broker/programs/src/routes/mailbox.rs", "batches that wait to be full"),
    ("broker/programs/src/routes/mailbox/lane.rs", "batches that wait to be full"),
    ("broker/programs/src/routes/mailbox/backoff.rs", "what rests after a failure"),
    ("broker/programs/src/routes/questions.rs", "patience with rows"),
    ("broker/programs/src/rules/modules.rs", "traps of the last minute"),
    ("broker/operations/src/audit/query.rs", "threads that stand still"),
    ("broker/operations/src/backup/archive.rs", "threads that stand still"),
    ("broker/operations/src/backup/download.rs", "patience with the reader"),
    ("broker/operations/src/command/add_entity.rs", "threads that stand still"),
    ("broker/operations/src/command/broker_status.rs", "threads that stand still"),
    ("broker/operations/src/command_queue/blocking_pool.rs", "threads that stand still"),
    ("broker/operations/src/command/dependents.rs", "threads that stand still"),
    ("broker/operations/src/command/modules/compiling.rs", "patience with the compiler"),
    ("broker/operations/src/command/projects/compiled.rs", "threads that stand still"),
    ("broker/operations/src/command/workers.rs", "threads that stand still"),
    ("broker/operations/src/command_queue.rs", "threads that stand still"),
    ("broker/operations/src/system_state.rs", "how long the broker runs"),
    ("broker/operations/src/system_state/listing.rs", "how long lists are good"),
    ("broker/operations/src/logins.rs", "threads that stand still"),
    ("broker/operations/src/logs.rs", "pauses between published lines"),
    ("broker/operations/src/sys/periodic.rs", "periods of figures"),
    ("broker/net/src/certificates.rs", "files that are looked at again"),
    ("broker/net/src/accept.rs", "log lines that are told once in a while"),
    ("broker/net/src/quic.rs", "age of a connection"),
    ("broker/net/src/quic/overhead.rs", "rates of frames without data"),
    ("broker/net/src/rest.rs", "threads that stand still"),
    ("broker/net/src/shard.rs", "age of a connection, and patience at a stop"),
    ("broker/process/src/restoring.rs", "how long a start has taken"),
    ("broker/process/src/alarm.rs", "until when a thread sleeps"),
    ("broker/process/src/clock.rs", "the clock of the data path"),
    ("broker/process/src/time_zone.rs", "the offset of a zone without a name"),
    ("broker/process/src/heap.rs", "how long it took"),
    ("broker/process/src/usage.rs", "processor time of the process"),
    ("broker/process/src/watchdog.rs", "threads that stand still"),
    ("broker/server/src/server.rs", "patience at a stop"),
    ("broker/server/src/server/cold_start.rs", "how long the compilation takes, for the log"),
    ("broker/server/src/server/warm.rs", "time of `lotmq store warm`"),
    ("broker/server/src/server/embedded.rs", "patience with a run"),
    ("broker/server/src/server/embedded/ambient.rs", "through the clock of its broker"),
    ("broker/server/src/server/embedded/clients.rs", "through the clock of its broker"),
    ("broker/server/src/server/embedded/logins.rs", "for how long a guest for logins runs"),
    ("broker/server/src/server/embedded/running.rs", "for how long the guest of a route runs"),
    ("broker/server/src/server/embedded/time.rs", "is a clock"),
    ("broker/admin/src/heartbeat.rs", "threads that stand still"),
    ("broker/server/src/server/housekeeping.rs", "periods, and patience at a stop"),
    ("broker/server/src/server/signals.rs", "threads that stand still"),
    ("broker/server/src/server/storage_watch.rs", "looks at the disk"),
    ("broker/server/src/server/storage_watch/in_flight.rs", "looks at the memory of sessions"),
    ("broker/store/src/clock.rs", "the clock of a store with threads"),
    ("broker/store/src/directory.rs", "patience with a lock"),
    ("broker/store/src/reader.rs", "threads that stand still"),
    ("broker/store/src/rescue/rebuild.rs", "name of what is put aside"),
    ("broker/store/src/writer.rs", "threads that stand still"),
    ("sdk/rust/src/double.rs", "clocks of guests that are tested on the machine itself"),
    ("sdk/rust/src/double/net.rs", "patience of the double of `wait`"),
    ("sdk/rust/src/testing.rs", "the start of the monotonic clock of such a test"),
];

/// How often a file reads a clock.
#[derive(Default)]
struct Reads(usize);

impl Look for Reads {
    fn path(walk: &mut Walk<Self>, segments: &[String]) {
        let is_now = |pair: &[String]| CLOCKS.contains(&pair[0].as_str()) && pair[1] == "now";
        let is_system_call = segments.last().is_some_and(|name| name.starts_with("clock_get"));
        walk.found.0 += usize::from(segments.windows(2).any(is_now) || is_system_call);
    }

    fn method(walk: &mut Walk<Self>, name: &str) {
        walk.found.0 += usize::from(name == "elapsed");
    }
}

#[test]
fn readers_of_clocks_are_named() {
    let files = crates().into_values().flatten();
    let reads: BTreeMap<String, usize> = files
        .map(|file| (file.path.clone(), Walk::over(&file, Reads::default()).0))
        .filter(|(_, reads)| *reads > 0)
        .collect();
    let is_known = |path: &str| READERS.iter().any(|(known, _)| *known == path);
    let unknown = reads
        .keys()
        .filter(|path| !is_known(path))
        .map(|path| format!("{path} reads a clock and is not named"));
    let needless = READERS.iter().filter(|(path, _)| !reads.contains_key(*path));
    let needless = needless.map(|(path, _)| format!("{path} reads no clock; take it out of the list"));
    assert_none(&unknown.chain(needless).collect::<Vec<_>>());
}
