//! The table of statements: one row each, columns between tabs.
//!
//! `version`, `id`, whose `duty` it is (`server`, `client`, `both`, or `either` for whoever sends
//! or receives), how we `test` it (`wire`: through a socket; `unit`; `untestable`; `-`: a Client's
//! duty whose breach a server cannot see), whether a Client can commit a `violation` that the
//! server answers, what the `statement` says in our words, and a `note`.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    V5_0,
    V3_1_1,
}

/// A statement's name. Ordered by version, not by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) version: Version,
    /// Number behind `MQTT-`.
    pub(super) number: String,
}

impl Id {
    /// The chapter of the standard.
    pub(super) fn chapter(&self) -> usize {
        self.section().0
    }

    /// Chapter and section of the standard; also of `3-8.3-4`, as 3.1.1 has it.
    pub(super) fn section(&self) -> (usize, usize) {
        let mut numbers = self.number.split(['.', '-']).map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}

/// As tests cite it, without the brackets.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.version == Version::V3_1_1 { "3.1.1: " } else { "" };
        write!(f, "{version}MQTT-{}", self.number)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Wire,
    Unit,
    Untestable,
    NotOurs,
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) id: Id,
    pub(super) duty: String,
    pub(super) check: Check,
    pub(super) can_be_violated: bool,
    pub(super) text: String,
    pub(super) note: Option<String>,
}

impl Statement {
    pub(super) fn binds_server(&self) -> bool {
        self.duty != "client"
    }

    pub(super) fn wants_tests(&self) -> bool {
        matches!(self.check, Check::Wire | Check::Unit)
    }
}

/// All rows.
///
/// # Errors
/// The first line that is none, and why.
pub(super) fn read(table: &str) -> Result<Vec<Statement>, String> {
    table.lines().skip(1).map(|line| row(line).ok_or_else(|| format!("not a row: {line}"))).collect()
}

fn row(line: &str) -> Option<Statement> {
    let columns: Vec<&str> = line.split('\t').collect();
    let (&[version, id, duty, check, violation, text], note) = columns.split_first_chunk::<6>()?;
    let version = match version {
        "5.0" => Version::V5_0,
        "3.1.1" => Version::V3_1_1,
        _ => return None,
    };
    let check = match check {
        "wire" => Check::Wire,
        "unit" => Check::Unit,
        "untestable" => Check::Untestable,
        "-" if duty == "client" => Check::NotOurs,
        _ => return None,
    };
    let can_be_violated = match violation {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    let is_duty = ["server", "client", "both", "either"].contains(&duty);
    is_duty.then(|| Statement {
        id: Id { version, number: id.trim_start_matches("MQTT-").to_owned() },
        duty: duty.to_owned(),
        check,
        can_be_violated,
        text: text.to_owned(),
        note: note.first().map(|&note| note.to_owned()),
    })
}

#[test]
fn rows_are_read_or_refused() {
    let read = |row: &str| read(&format!("the head\n{row}\n")).map(|rows| rows[0].clone());
    let good = read("3.1.1\tMQTT-3-8.3-4\tserver\twire\tyes\treserved bits are 0\tnumbered so").unwrap();
    assert_eq!((good.id.to_string().as_str(), good.id.chapter()), ("3.1.1: MQTT-3-8.3-4", 3));
    assert!(good.can_be_violated && good.check == Check::Wire && good.note.is_some());
    for bad in [
        "",
        "5.0\tMQTT-1.0.0-1\tserver\twire\tno",
        "3.0\tMQTT-1.0.0-1\tserver\twire\tno\tx",
        "5.0\tMQTT-1.0.0-1\tnobody\twire\tno\tx",
        "5.0\tMQTT-1.0.0-1\tserver\tsomehow\tno\tx",
        "5.0\tMQTT-1.0.0-1\tserver\t-\tno\tx",
        "5.0\tMQTT-1.0.0-1\tserver\twire\tmaybe\tx",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
