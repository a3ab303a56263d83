//! The matrix of rights: each operation, for a user who may, may not, or may no more, live, offline
//! and after `kill -9`, in both versions of MQTT, for each source of users.
//!
//! A combination is run or stands in [`LEFT_OUT`](cases::LEFT_OUT) with its reason. The test of a
//! source fails if a combination is neither. Users have the right to everything below `x/` through
//! their group, or through the grants of their token or their guest.

mod cases;
mod scene;
mod sources;
mod steps;

use std::collections::BTreeSet;

use cases::{Case, LEFT_OUT, Moment};
use scene::Scene;
use sources::SourceKind;

/// Runs all combinations of a source on one broker.
fn run(source: SourceKind) {
    let mut scene = Scene::start(source);
    let cases: Vec<Case> = Case::all().filter(|case| case.left_out(source).is_none()).collect();
    let mut subjects: Vec<_> = cases.iter().map(|case| scene.prepare(*case)).collect();
    scene.let_leave(&mut subjects);
    scene.revoke(&mut subjects);
    let mut checked = BTreeSet::new();
    for moment in Moment::ALL {
        if moment == Moment::Restart {
            scene.restart();
        }
        for subject in subjects.extract_if(.., |subject| subject.case.moment == moment) {
            checked.insert(subject.case);
            scene.check(subject);
        }
    }
    scene.check_commands();
    assert_eq!(checked, cases.into_iter().collect(), "each combination that is not left out is run");
}

#[test]
fn accounts_have_the_rights_of_rules_in_each_state() {
    run(SourceKind::Account);
}

#[test]
fn users_of_certificates_have_the_rights_of_rules_in_each_state() {
    run(SourceKind::Certificate);
}

#[test]
fn users_of_tokens_have_the_rights_of_grants_in_each_state() {
    run(SourceKind::Token);
}

#[test]
fn users_of_guests_have_the_rights_of_grants_in_each_state() {
    run(SourceKind::Guest);
}

#[test]
fn each_reason_to_leave_combinations_out_leaves_some_out() {
    for (at, reason) in LEFT_OUT.iter().enumerate() {
        let used = SourceKind::ALL.into_iter().any(|source| {
            // The first reason counts.
            Case::all().any(|case| LEFT_OUT.iter().position(|row| (row.is_such)(&case, source)) == Some(at))
        });
        assert!(used, "{}", reason.because);
    }
}
