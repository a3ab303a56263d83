//! The pages of `docs/lot/`: each program is uploaded, each block of messages, steps or commands is
//! done, each named file is written, in the order of the page, on one broker per page.

use std::path::Path;

use lotmq_client::{Client, ConnectOptions, Message, Publication, QoS};
use lotmq_codec::{Properties, PropertyBuf, PropertyId, PropertyValue, RetainHandling, SubscriptionOptions};
use lotmq_test_support::{Broker, Program, WAIT_MAX};
use serde_json::Value;

use crate::python::cache_home;
use crate::{LOTMQ, options};

/// A fenced block of a page.
pub(crate) struct Block {
    /// The word behind the fence.
    pub(crate) kind: String,
    /// The word behind that: the file that the block is.
    pub(crate) file: Option<String>,
    pub(crate) text: String,
    pub(crate) line: usize,
}

pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), is_open) {
            (Some(kind), false) => {
                let (kind, file) =
                    kind.split_once(' ').map_or((kind, None), |(kind, file)| (kind, Some(file)));
                let (kind, file) = (kind.to_owned(), file.map(str::to_owned));
                found.push(Block { kind, file, text: String::new(), line: number + 1 });
                is_open = true;
            }
            (Some(_), true) => is_open = false,
            (None, true) => {
                let block = found.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!is_open, "a block is not closed");
    found
}

/// Uploads each definition of a program with the verb of its kind.
fn upload(broker: &Broker, program: &str) {
    let starts: Vec<usize> = program.match_indices("DEFINE ").map(|(at, _)| at).collect();
    assert!(!starts.is_empty(), "a program has a DEFINE");
    for (number, start) in starts.iter().enumerate() {
        let definition = &program[*start..starts.get(number + 1).copied().unwrap_or(program.len())];
        broker.command_ok(&addition(definition));
    }
}

/// A message as the pages write it.
fn shown(message: &Message) -> String {
    let options = match (message.qos, message.retain) {
        (QoS::AtMostOnce, false) => "",
        (QoS::AtMostOnce, true) => " (retained)",
        (_, false) => " (QoS 1)",
        (_, true) => " (QoS 1, retained)",
    };
    format!("{}={}{options}{}", message.topic, message.text(), shown_properties(message.properties()))
}

/// Names of properties as the pages write them; what has another one is a User Property.
const PROPERTIES: [(&str, PropertyId); 3] = [
    ("content type", PropertyId::ContentType),
    ("response topic", PropertyId::ResponseTopic),
    ("correlation data", PropertyId::CorrelationData),
];

/// Properties of a message as the pages write them, but for those of the one who is subscribed.
fn shown_properties(properties: Properties<'_>) -> String {
    let name = |id| PROPERTIES.iter().find(|(_, known)| *known == id).map(|(name, _)| *name);
    let shown = properties.iter().filter_map(|(id, value)| match value {
        PropertyValue::Utf8Pair(name, value) => Some(format!(" [{name}: {value}]")),
        PropertyValue::Utf8(text) => Some(format!(" [{}: {text}]", name(id)?)),
        PropertyValue::Binary(data) => Some(format!(" [{}: {}]", name(id)?, String::from_utf8_lossy(data))),
        PropertyValue::Byte(_)
        | PropertyValue::TwoByte(_)
        | PropertyValue::FourByte(_)
        | PropertyValue::VarInt(_) => None,
    });
    shown.collect()
}

/// Splits a line into its text and the properties in brackets at its end, each as `[name: value]`.
fn properties_behind(mut line: &str) -> (&str, PropertyBuf) {
    let mut found = Vec::new();
    while let Some((before, inner)) = line.strip_suffix(']').and_then(|line| line.rsplit_once(" [")) {
        let Some(pair) = inner.split_once(": ") else { break };
        found.push(pair);
        line = before;
    }
    let mut properties = PropertyBuf::new();
    for (name, value) in found.into_iter().rev() {
        let known = PROPERTIES.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
        let value = match known {
            Some(PropertyId::CorrelationData) => PropertyValue::Binary(value.as_bytes()),
            Some(_) => PropertyValue::Utf8(value),
            None => PropertyValue::Utf8Pair(name, value),
        };
        properties.push(known.unwrap_or(PropertyId::UserProperty), value).unwrap();
    }
    (line, properties)
}

/// Sends each message behind `>`; the lines behind it are all that comes of it, in order.
fn exchange(broker: &Broker, lines: &str) {
    let mut watcher = broker.connect(&ConnectOptions::v5("watcher"));
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
        ..SubscriptionOptions::default()
    };
    watcher.subscribe(&[("#", options)], Properties::EMPTY).unwrap();
    let mut sender = broker.connect(&ConnectOptions::v5("sender"));
    let mut receive = || shown(&watcher.receive(WAIT_MAX).unwrap().expect("a message"));
    for line in lines.lines().chain(["> the/end="]) {
        let Some(sent) = line.strip_prefix("> ") else {
            assert_eq!(receive(), line, "{lines}");
            continue;
        };
        let (message, properties) = properties_behind(sent);
        let (topic, payload) = message.split_once('=').unwrap();
        sender.publish(&Publication { properties, ..Publication::new(topic, payload) }).unwrap();
        assert_eq!(receive(), sent, "nothing else came before in\n{lines}");
    }
}

/// Runs commands of a shell, in a folder and with the port of the broker. The answer is what they
/// write.
fn shell(broker: &Broker, folder: &Path, commands: &str) -> String {
    let script = format!(
        "cd '{}'\nexport XDG_CACHE_HOME='{}'\nlotmq() {{ case $1 in cmd|pub|deploy) verb=$1; shift; '{LOTMQ}' $verb -p {} \"$@\";; *) '{LOTMQ}' \"$@\";; esac; }}\n{commands}",
        folder.display(),
        cache_home().display(),
        broker.port(),
    );
    Program::run("sh", &["-e", "-c", &script]).unwrap().output().to_owned()
}

/// Text of the one definition of a program, behind the verb of its kind.
fn addition(definition: &str) -> String {
    let kind = definition.split_whitespace().nth(1).unwrap();
    format!("-add{}{} {definition}", &kind[..1], kind[1..].to_ascii_lowercase())
}

/// Whether the command of a user, who need not be allowed to give any, succeeds.
fn succeeds(mut client: Client, command: &str) -> bool {
    client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    let command = format!("{command} -requestId step");
    let sent = client.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce));
    if sent.unwrap().is_failure() {
        return false;
    }
    loop {
        let reply = client.receive(WAIT_MAX).unwrap().expect("a reply comes");
        let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
        if reply["requestId"] == "step" {
            return reply["success"] == true;
        }
    }
}

/// Does one step: `-command`, or `<user> [as <client id>] publishes <topic> [= <payload>]
/// [<properties>] -> yes|no`, and so on for `subscribes`, `connects`, `gives` a command and
/// `uploads` a file of the folder.
fn step(broker: &Broker, folder: &Path, step: &str) {
    if step.starts_with('-') {
        broker.command_ok(step);
        return;
    }
    let (action, expected) = step.split_once(" -> ").unwrap_or_else(|| panic!("what comes of `{step}`?"));
    let mut words = action.split_whitespace();
    let user = words.next().unwrap();
    let mut verb = words.next().unwrap();
    let mut client_id = format!("{user}-1");
    if verb == "as" {
        words.next().unwrap().clone_into(&mut client_id);
        verb = words.next().unwrap();
    }
    let options = ConnectOptions::v5(client_id);
    let options = if user == "anonymous" { options } else { options.user(user, "s3cret-pw") };
    let connected = Client::connect(broker.address(), &options);
    let is_done = match verb {
        "connects" => connected.is_ok(),
        "publishes" => {
            let topic = words.next().unwrap();
            let (action, properties) = properties_behind(action);
            let payload = action.split_once(" = ").map_or("x", |(_, payload)| payload);
            let publication = Publication { properties, ..Publication::new(topic, payload) };
            let publication = publication.qos(QoS::AtLeastOnce);
            !connected.unwrap().publish(&publication).unwrap().is_failure()
        }
        "subscribes" => {
            let filter = words.next().unwrap();
            !connected.unwrap().subscribe_to(filter, QoS::AtMostOnce).unwrap().is_failure()
        }
        "gives" => succeeds(connected.unwrap(), action.split_once(" gives ").unwrap().1),
        "uploads" => {
            let program = std::fs::read_to_string(folder.join(words.next().unwrap())).unwrap();
            succeeds(connected.unwrap(), &addition(&program))
        }
        other => panic!("nobody can do `{other}`: {step}"),
    };
    let expected = match expected {
        "yes" => true,
        "no" => false,
        other => panic!("what comes of a step is yes or no, not `{other}`"),
    };
    assert_eq!(is_done, expected, "{step}");
}

#[test]
fn every_block_of_the_pages_does_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lot");
    let mut pages: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(!pages.is_empty());
    std::thread::scope(|scope| {
        for page in &pages {
            let text = std::fs::read_to_string(page).unwrap();
            scope.spawn(move || run(&page.display().to_string(), &blocks(&text)));
        }
    });
}

fn run(page: &str, blocks: &[Block]) {
    let (broker, _data) = if blocks.iter().any(|block| block.kind == "python") {
        let (broker, data) = crate::python::broker();
        (broker, Some(data))
    } else {
        (options().prepared().start(), None)
    };
    let folder = tempfile::tempdir().unwrap();
    let (mut program, mut output) = ("", String::new());
    for (number, block) in blocks.iter().enumerate() {
        if let Some(file) = &block.file {
            std::fs::write(folder.path().join(file), &block.text).unwrap();
            continue;
        }
        match block.kind.as_str() {
            "lot" => {
                program = &block.text;
                // Some are uploaded by the commands behind them.
                let is_uploaded_below = blocks
                    .get(number + 1)
                    .is_some_and(|next| next.kind == "sh" && next.text.contains("cmd -add"));
                if !is_uploaded_below {
                    upload(&broker, program);
                }
            }
            "python" => {
                broker.command_ok(&format!("-addPython {}", block.text));
            }
            "messages" => exchange(&broker, &block.text),
            "steps" => block.text.lines().for_each(|line| step(&broker, folder.path(), line)),
            "sh" => {
                // The program above may be named by the commands only.
                let name = block.text.split_whitespace().find(|word| word.ends_with(".lot"));
                if let Some(file) = name.map(|name| folder.path().join(name)).filter(|file| !file.exists()) {
                    std::fs::write(file, program).unwrap();
                }
                output = shell(&broker, folder.path(), &block.text);
            }
            // Grammar.
            "ebnf" => {}
            "text" => assert_eq!(block.text.trim_end(), output.trim_end(), "{page}:{}", block.line),
            other => panic!("{page}:{}: no test runs blocks of `{other}`", block.line),
        }
    }
}
