//! Log lines of a chain: whom they name, and how many there are in a flood.

use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, subscriber};

use super::tests::{allow, login, member, outcome, tokens, users};
use super::*;

/// Keeps the lines of this crate as `message field=value …`.
#[derive(Clone, Default)]
struct KeptLines(Arc<Mutex<Vec<String>>>);

struct LineText(String);

impl Visit for LineText {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl Subscriber for KeptLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "login"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = LineText(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Lines that so many logins with this password cause. Each is of another Client, as those of
/// strangers are, so that no login has to wait for an earlier one.
fn lines_of(chain: &Arc<LoginChain>, count: usize, password: &str) -> Vec<String> {
    let (users, lines) = (users(), KeptLines::default());
    subscriber::with_default(lines.clone(), || {
        for number in 0..count {
            let mut login = login(None, Some(password));
            login.request.client_id = format!("c{number}").into();
            drop(outcome(&users, chain, login));
        }
    });
    lines.0.lock().unwrap().clone()
}

#[test]
fn line_about_a_refused_login_names_the_member_and_the_user() {
    let root = member("namesake", |_| allow("root"));
    let chain = Arc::new(LoginMembers::new([tokens(), root]).chain(&["token", "namesake"]).unwrap());
    for (password, said, what) in [
        ("token:bad", "denied by a member", "member=\"token\" client_id=\"c1\" user=\"ann\""),
        ("token:outage", "refused because of a member", "what=\"it failed\" reason=\"no keys\""),
        ("other", "refused because of a member", "what=\"its answer is refused\""),
    ] {
        let (users, lines) = (users(), KeptLines::default());
        let refusal = subscriber::with_default(lines.clone(), || {
            outcome(&users, &chain, login(Some("ann"), Some(password)))
        });
        assert!(refusal.is_err(), "{password}");
        let lines = lines.0.lock().unwrap().clone();
        let [line] = &*lines else { panic!("{password}: {lines:?}") };
        assert!(line.contains(said) && line.contains(what), "{line}");
        assert!(!line.contains("token:"), "the password is in no line: {line}");
    }
}

#[test]
fn strangers_cause_few_lines_of_a_member_and_the_next_one_has_their_number() {
    for (password, max) in [("token:outage", FAILED_LINES_PER_SECOND), ("token:bad", DENIED_LINES_PER_SECOND)]
    {
        let members = LoginMembers::new([tokens()]);
        let chain = Arc::new(members.chain(&["token", "builtin"]).unwrap());
        let max = usize::try_from(max).unwrap();
        assert_eq!(lines_of(&chain, max + 7, password).len(), max, "{password}");
        let member = &chain.members[0];
        let suppressed = match password {
            "token:bad" => member.lines.denied.next(1_000),
            _ => member.lines.failed.next(1_000),
        };
        assert_eq!(suppressed.unwrap().suppressed, Some(7), "{password}");
        // Every login is counted.
        let counts = member.figures.counts();
        assert_eq!(counts.denied + counts.failed, max as u64 + 7, "{password}");
    }
}
