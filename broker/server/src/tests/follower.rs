//! One broker writes, a second one applies: both answer the same questions equally.

use lotmq_changes::{ManagedChanges, Recovered};
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_codec::ReasonCode;
use serde_json::Value;

use crate::testing::{Running, connect, receive};
use crate::{apply_changes, stored_contents};

/// Commands whose answers both brokers give equally.
const QUESTIONS: [&str; 6] =
    ["-listUsers", "-listRules", "-listEntities", "-listEnv", "-listSecrets", "-listTraceLogs"];

/// Writer of changes, and a broker that follows it.
struct Pair {
    writer: Running,
    follower: Running,
    /// Contents of the writer that the follower has applied.
    applied: Recovered,
}

impl Pair {
    fn start() -> Self {
        let [writer, follower] = [(); 2].map(|()| Running::start("os"));
        let applied = stored_contents(&writer.server).unwrap();
        Self { writer, follower, applied }
    }

    /// Gives the writer commands, and has the follower apply what they have changed.
    fn change(&mut self, commands: &[&str]) {
        let mut root = root(&self.writer);
        for command in commands {
            let answer = ask(&mut root, command);
            assert_eq!(answer["success"], true, "{command}: {answer}");
        }
        let contents = stored_contents(&self.writer.server).unwrap();
        apply_changes(&self.follower.server, ManagedChanges::between(&self.applied, contents));
        self.applied = stored_contents(&self.writer.server).unwrap();
    }

    fn both(&self) -> [&Running; 2] {
        [&self.writer, &self.follower]
    }

    /// Asks both brokers everything, and compares.
    fn compare(&self) {
        let [mut writer, mut follower] = self.both().map(root);
        for question in QUESTIONS {
            let answers = [ask(&mut writer, question), ask(&mut follower, question)];
            let [of_writer, of_follower] = answers.each_ref().map(|answer| {
                let mut data = answer["data"].clone();
                forget_times(&mut data);
                (answer["success"].clone(), answer["message"].clone(), data)
            });
            assert_eq!(of_writer, of_follower, "{question}");
        }
    }
}

/// Removes what counts or dates what happens in one broker alone.
fn forget_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !name.to_lowercase().contains("lastlogin") && name != "lines");
            members.values_mut().for_each(forget_times);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn root(running: &Running) -> Client {
    let mut root = connect(running.address(), &ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    root
}

fn ask(root: &mut Client, command: &str) -> Value {
    root.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
    serde_json::from_str(&receive(root).1).unwrap()
}

/// Output of an action that tells what it was given and what it knows.
fn run(running: &Running, input: &str) -> String {
    let mut client = connect(running.address(), &ConnectOptions::v5("runs").user("root", "coreflux"));
    client.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    client.publish(&Publication::new("in", input).qos(QoS::AtLeastOnce)).unwrap();
    receive(&mut client).1
}

/// Whether a user may publish to a topic.
fn may_publish(running: &Running, topic: &str) -> bool {
    let mut ann = connect(running.address(), &ConnectOptions::v5("ann").user("ann", "s3cret-pump"));
    ann.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap() != ReasonCode::NotAuthorized
}

const ACTION: &str = "-addAction DEFINE ACTION Tells ON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH (GET ENV \"SITE\") + \" \" + (GET SECRET \"KEY\") + \" \" + PAYLOAD\n";
const RULE: &str = "-addRule DEFINE RULE Closed WITH PRIORITY 1 FOR Publish TO TOPIC \"closed/#\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY\n";

#[test]
fn follower_answers_as_the_broker_whose_changes_it_applies() {
    let mut pair = Pair::start();
    pair.compare();
    pair.change(&[
        "-addUser ann s3cret-pump",
        "-addUser bob s3cret-pump",
        "-setEnv SITE=north",
        "-setSecret KEY=k1",
        ACTION,
        RULE,
    ]);
    pair.compare();
    for running in pair.both() {
        assert_eq!(run(running, "1"), "north k1 1");
        assert!(may_publish(running, "open/a"));
        assert!(!may_publish(running, "closed/a"));
    }

    pair.change(&[
        "-setEnv SITE=south",
        "-setSecret KEY=k2",
        "-removeRule Closed",
        "-removeUser bob",
        "-changeUserPassword ann another-pump",
    ]);
    pair.compare();
    for running in pair.both() {
        assert_eq!(run(running, "2"), "south k2 2");
        let login = |user: &str, password: &str| {
            let options = ConnectOptions::v5(user).user(user, password);
            Client::connect(running.address().to_string(), &options).is_ok()
        };
        assert!(!login("ann", "s3cret-pump") && login("ann", "another-pump"));
        assert!(!login("bob", "s3cret-pump"));
        let mut ann = connect(running.address(), &ConnectOptions::v5("ann").user("ann", "another-pump"));
        let answer = ann.publish(&Publication::new("closed/a", "x").qos(QoS::AtLeastOnce)).unwrap();
        assert_ne!(answer, ReasonCode::NotAuthorized);
    }

    pair.change(&["-removeAction Tells", "-removeEnv SITE", "-removeSecret KEY"]);
    pair.compare();
    pair.writer.server.stop();
    pair.follower.server.stop();
}
