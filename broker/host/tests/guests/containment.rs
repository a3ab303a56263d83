//! What a guest does wrong costs nobody else anything.

use crate::support::{PUBLISH_PAYLOAD, Text, message, published, run_once};
use lotmq_host::RunOutcome;

#[test]
fn a_message_runs_the_guest_and_its_publish_comes_out() {
    let text = Text { on_message: PUBLISH_PAYLOAD, ..Text::default() };
    let (outcome, output) = run_once(text, &message("in", b"hello"));
    assert_eq!(outcome, RunOutcome::Done(Vec::new()));
    assert_eq!(published(&output), [("out".to_owned(), b"hello".to_vec())]);
}
