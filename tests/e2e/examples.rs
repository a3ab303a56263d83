//! The examples: each is without a warning, formatted, and does what its cases say.

use lotmq_test_support::Program;

use crate::LOTMQ;

#[test]
fn examples_are_checked_formatted_and_do_what_their_cases_say() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut tested = 0;
    for entry in std::fs::read_dir(&examples).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.to_str().unwrap();
        let checked = Program::run(LOTMQ, &["check", name]).unwrap();
        let checked = checked.output();
        assert!(checked.contains(": ok ") && !checked.contains("warning"), "{checked}");
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "lot") {
                Program::run(LOTMQ, &["fmt", "--check", file.to_str().unwrap()]).unwrap().output();
            }
        }
        let ran = Program::run(LOTMQ, &["test", name]).unwrap();
        let ran = ran.output();
        assert!(ran.ends_with(", 0 failed"), "{ran}");
        tested += 1;
    }
    assert_eq!(tested, 6);
}
