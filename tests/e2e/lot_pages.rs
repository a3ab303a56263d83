//! The pages of `docs/lot/`: each program is uploaded, each block of steps is done, in the order of the page, on one broker per page.

use std::path::Path;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::Broker;

use crate::broker;

/// A fenced block of a page.
struct Block {
    /// The word behind the fence.
    kind: String,
    text: String,
    line: usize,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), is_open) {
            (Some(kind), false) => {
                found.push(Block { kind: kind.trim().to_owned(), text: String::new(), line: number + 1 });
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

/// Uploads a program with the verb of its kind.
fn upload(broker: &Broker, program: &str) {
    let kind = program.lines().find_map(|line| line.strip_prefix("DEFINE ")).expect("a program has a DEFINE");
    let kind = kind.split_whitespace().next().unwrap();
    let verb = format!("-add{}{}", &kind[..1], kind[1..].to_ascii_lowercase());
    broker.command_ok(&format!("{verb} {program}"));
}

/// Does one step: `-command`, or `<user> [as <client id>] publishes <topic> [= <payload>] -> yes|no`, and so on for `subscribes` and `connects`.
fn step(broker: &Broker, step: &str) {
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
    let options = if user == "anonymous" { options } else { options.user(user, "pw") };
    let connected = Client::connect(broker.address(), &options);
    let is_done = match verb {
        "connects" => connected.is_ok(),
        "publishes" => {
            let topic = words.next().unwrap();
            let payload = action.split_once(" = ").map_or("x", |(_, payload)| payload);
            let publication = Publication::new(topic, payload).qos(QoS::AtLeastOnce);
            !connected.unwrap().publish(&publication).unwrap().is_failure()
        }
        "subscribes" => {
            let filter = words.next().unwrap();
            !connected.unwrap().subscribe_to(filter, QoS::AtMostOnce).unwrap().is_failure()
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
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        // Pages with blocks of messages are run by `lot_language/guide.rs` of the host, those with cases by `command_line`.
        if text.contains("```messages") || text.contains("```toml") {
            continue;
        }
        let broker = broker();
        for block in blocks(&text) {
            let place = format!("{}:{}", page.display(), block.line);
            match block.kind.as_str() {
                "lot" => upload(&broker, &block.text),
                "steps" => block.text.lines().for_each(|line| step(&broker, line)),
                "text" => {}
                other => panic!("{place}: no test runs blocks of `{other}`"),
            }
        }
    }
}
