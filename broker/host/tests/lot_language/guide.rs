//! The programs of `docs/lot/`: each block of LoT runs with the messages of the block behind it.

use std::path::Path;

use crate::bench::Bench;

#[test]
fn every_program_of_the_guide_does_what_the_guide_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lot");
    let mut programs = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let blocks = blocks(&text);
        for pair in blocks.windows(2) {
            if let [("lot", program), ("messages", messages)] = pair {
                programs += 1;
                run(&path, program, messages);
            }
        }
        let of_kind = |kind: &str| blocks.iter().filter(|(found, _)| *found == kind).count();
        // Pages without messages, such as that of rules, have a test of their own.
        let is_here = of_kind("messages") > 0;
        assert!(
            !is_here || of_kind("lot") == of_kind("messages"),
            "each program of {} is run",
            path.display()
        );
    }
    assert!(programs > 0, "there is a guide");
}

/// Kinds and texts of the fenced blocks.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(kind) if !is_open => blocks.push((kind, String::new())),
            Some(_) => {}
            None if is_open => {
                let block = &mut blocks.last_mut().unwrap().1;
                block.push_str(line);
                block.push('\n');
                continue;
            }
            None => continue,
        }
        is_open = !is_open;
    }
    blocks
}

fn run(path: &Path, program: &str, messages: &str) {
    let mut bench = Bench::new(program);
    let mut expected: Vec<&str> = Vec::new();
    let compare = |bench: &mut Bench, expected: &mut Vec<&str>| {
        assert_eq!(bench.published(), *expected, "{}\n{program}{messages}", path.display());
        expected.clear();
    };
    for line in messages.lines() {
        match line.strip_prefix("> ").and_then(|sent| sent.split_once('=')) {
            Some((topic, payload)) => {
                compare(&mut bench, &mut expected);
                bench.send(topic, payload);
            }
            None => expected.push(line),
        }
    }
    compare(&mut bench, &mut expected);
}
