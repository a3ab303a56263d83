//! Clusters of these tests: the mock cluster of librdkafka with librdkafka as a client, and a
//! broker of our own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use lotmq_test_support::{Program, eventually, python_with_module};
use serde_json::{Value as Json, json};

const CLUSTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/kafka/cluster.py");
const FAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/connectors/kafka/fake.py");

/// A record as a client has read it; its bytes are characters up to 255.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) partition: i64,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
    pub(super) headers: Vec<(String, String)>,
}

impl Row {
    /// A row of a value alone.
    pub(super) fn of(value: &str) -> Row {
        Row { value: Some(value.to_owned()), ..Row::default() }
    }

    fn read(told: &Json) -> Row {
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let headers = told[3].as_array().into_iter().flatten();
        Row {
            partition: told[0].as_i64().unwrap(),
            key: text(&told[1]),
            value: text(&told[2]),
            headers: headers.map(|pair| (text(&pair[0]).unwrap(), text(&pair[1]).unwrap())).collect(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.value.as_deref().unwrap_or_default().chars().map(|byte| u8::try_from(byte).unwrap()).collect()
    }
}

/// A mock cluster; it is killed when this is dropped.
pub(super) struct Cluster {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Addresses of its brokers.
    pub(super) servers: String,
}

impl Cluster {
    /// Starts one of so many brokers; `None` where librdkafka is not installed.
    pub(super) fn start(brokers: usize) -> Option<Cluster> {
        Cluster::run(&[&brokers.to_string()])
    }

    /// The client alone, beside brokers of others.
    pub(super) fn beside(servers: &str) -> Option<Cluster> {
        Cluster::run(&["beside", servers])
    }

    fn run(arguments: &[&str]) -> Option<Cluster> {
        let python = python_with_module("confluent_kafka")?;
        let mut command = Command::new(python);
        command
            .arg(CLUSTER)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut cluster = Cluster { child, input, output, servers: String::new() };
        cluster.servers = cluster.answer()["servers"].as_str().unwrap().to_owned();
        Some(cluster)
    }

    fn answer(&mut self) -> Json {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the cluster has ended: {line}"))
    }

    /// Asks for one of the functions of the script.
    pub(super) fn ask(&mut self, asked: &Json) -> Json {
        writeln!(self.input, "{asked}").unwrap();
        self.answer()
    }

    /// The same of one that says nothing.
    pub(super) fn tell(&mut self, asked: &Json) {
        assert_eq!(self.ask(asked), json!(0), "{asked}");
    }

    pub(super) fn create(&mut self, topic: &str, partitions: usize) {
        self.tell(&json!({ "do": "create", "topic": topic, "partitions": partitions }));
    }

    /// Writes key, value, headers and partition of each message.
    pub(super) fn produce(&mut self, topic: &str, messages: &[Json], compression: &str) {
        self.produce_by(topic, messages, compression, "consistent_random");
    }

    pub(super) fn produce_by(
        &mut self,
        topic: &str,
        messages: &[Json],
        compression: &str,
        partitioner: &str,
    ) {
        let asked = json!({ "do": "produce", "topic": topic, "messages": messages, "compression": compression, "partitioner": partitioner });
        assert_eq!(self.ask(&asked), json!([]));
    }

    /// All records of a topic, when there are so many.
    pub(super) fn read(&mut self, topic: &str, count: usize) -> Vec<Row> {
        rows(&self.ask(&json!({ "do": "read", "topic": topic, "count": count })))
    }

    /// Waits until a group has noted that it has read so far.
    pub(super) fn wait_for_commit(&mut self, group: &str, topic: &str, offsets: &[i64]) {
        let asked = json!({ "do": "committed", "group": group, "topic": topic, "partitions": offsets.len() });
        eventually("the offsets are noted", || (self.ask(&asked) == json!(offsets)).then_some(()));
    }

    pub(super) fn signal(&self, signal: &str) {
        Program::run("kill", &[signal, &self.child.id().to_string()]).unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn rows(told: &Json) -> Vec<Row> {
    told.as_array().unwrap().iter().map(Row::read).collect()
}

/// A broker of our own.
pub(super) struct Fake {
    program: Program,
    port: u16,
}

impl Fake {
    pub(super) fn start(settings: &Json) -> Option<Fake> {
        let python = python_with_module("json")?;
        let program = Program::start(python, &[FAKE, &settings.to_string()])?;
        let port = program.stdout.wait_for("a port", |line| line.parse().ok()).expect("a port");
        Some(Fake { program, port })
    }

    pub(super) fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the appended records, in order for each partition.
    pub(super) fn rows(&self) -> Vec<Row> {
        let lines = self.program.stdout.all().into_iter();
        let row = |line: String| {
            let (partition, value) = line.split_once(' ')?;
            Some(Row { partition: partition.parse().ok()?, ..Row::of(value) })
        };
        lines.filter_map(row).collect()
    }
}
