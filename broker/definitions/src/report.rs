//! Reports of commands about definitions: `-lotDiagnostic`, `-listEntities`, `-getPendingStatus`,
//! the bare listing topics.
//!
//! Data with the keys of the commands reference §4 and §5; the server adds the envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use lot_facts::{CalendarDays, Days, Interval, OnceAt, TimeOfDay, Trigger, WindowExtent};
use serde::Serialize;

use crate::definition::{Definition, DefinitionKind, Need, Origin, Owner};
use crate::record::{ErrorRecord, MessageText, rfc3339_option};
use crate::registry::{CodeState, Entry, Hold, Registry, State};

/// Data of `-lotDiagnostic`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `action`, `model`, …
    pub kind: DefinitionKind,
    /// Name.
    pub name: Arc<str>,
    /// `adhoc` or `project/file/cell`.
    pub origin: String,
    /// Life-cycle state.
    pub state: State,
    /// The trigger as LoT writes it; empty for definitions that are only called.
    pub triggers: Vec<String>,
    /// Its dependencies, and whether each is there.
    pub dependencies: Vec<DependencyReport>,
    /// When the last run ended.
    #[serde(serialize_with = "rfc3339_option")]
    pub last_run: Option<Timestamp>,
    /// The last error.
    pub last_error: Option<ErrorRecord>,
    /// Runs since the deploy.
    pub runs: u64,
    /// Reason of the state `error`, warnings of the deploy that still hold, and warnings of runs
    /// since.
    pub warnings: Vec<String>,
    /// How many of the warnings, at their end, are of runs.
    #[serde(skip)]
    of_runs: usize,
}

impl Report {
    /// Returns the report without data of runs: topics and payloads of messages, and texts that may
    /// quote them.
    #[must_use]
    pub fn without_messages(mut self) -> Report {
        if let Some(error) = &mut self.last_error {
            error.trigger = MessageText::default();
            error.message.clear();
        }
        self.warnings.truncate(self.warnings.len() - self.of_runs);
        self
    }
}

/// One dependency of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DependencyReport {
    /// `action`, `model`, …, `python`.
    pub kind: String,
    /// Name.
    pub name: Arc<str>,
    /// Whether it is deployed.
    pub present: bool,
}

/// One row of `-listEntities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntityRow {
    /// `Action`, `Model`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Name.
    pub name: Arc<str>,
    /// `adhoc` or `project/file/cell`.
    pub origin: String,
    /// Owner, hidden from some readers of the row.
    #[serde(skip)]
    pub owner: Option<Owner>,
}

/// One row of the bare topics `Actions`, `Models`, ….
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListingRow {
    /// Name.
    pub name: Arc<str>,
    /// Life-cycle state.
    pub state: State,
    /// `adhoc` or `project/file/cell`.
    pub origin: String,
}

/// One row of `-getPendingStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PendingRow {
    /// `action`, `model`, …
    pub kind: DefinitionKind,
    /// Name.
    pub name: Arc<str>,
    /// `Model X`, in the order of the source.
    pub missing: Vec<String>,
}

impl Registry {
    /// Data of `-lotDiagnostic kind name`.
    pub fn diagnose(&self, kind: DefinitionKind, name: &str) -> Option<Report> {
        let id = self.id_of(kind, name).ok()?;
        self.entries.get(&id).map(|entry| self.report(entry))
    }

    /// Data of `-lotDiagnostic name`: the definitions of that name of all kinds.
    pub fn diagnose_any(&self, name: &str) -> Vec<Report> {
        DefinitionKind::ALL.into_iter().filter_map(|kind| self.diagnose(kind, name)).collect()
    }

    /// Data of `-listEntities`: by kind in load order, then in the order of deployment.
    pub fn list_entities(&self) -> Vec<EntityRow> {
        let of_kind = |kind| {
            self.list(kind).map(move |definition| EntityRow {
                kind: definition.kind().title(),
                name: Arc::clone(definition.name()),
                origin: definition.deployed.origin.to_string(),
                owner: definition.owner().cloned(),
            })
        };
        DefinitionKind::ALL.into_iter().flat_map(of_kind).collect()
    }

    /// Payload of a bare topic such as `Actions`, at most `rows_max` rows, in the order of
    /// deployment.
    pub fn listing(&self, kind: DefinitionKind, rows_max: usize) -> Vec<ListingRow> {
        let entries = self.entries.values().filter(|entry| entry.definition.kind() == kind);
        let row = |entry: &Entry| ListingRow {
            name: Arc::clone(entry.definition.name()),
            state: entry.state(),
            origin: entry.definition.deployed.origin.to_string(),
        };
        entries.take(rows_max).map(row).collect()
    }

    /// Data of `-getPendingStatus`.
    pub fn pending_status(&self) -> Vec<PendingRow> {
        let pending = self.entries.values().filter(|entry| entry.state() == State::Pending);
        let row = |entry: &Entry| PendingRow {
            kind: entry.definition.kind(),
            name: Arc::clone(entry.definition.name()),
            missing: entry.missing.iter().map(Need::to_string).collect(),
        };
        pending.map(row).collect()
    }

    /// Payload of `Entities/ownership`: `action:N` and its place in a project; definitions that
    /// were added by hand are left out.
    pub fn ownership(&self) -> BTreeMap<String, Origin> {
        let definitions = self.entries.values().map(|entry| &entry.definition);
        let owned = definitions.filter(|definition| definition.deployed.origin != Origin::AdHoc);
        let key = |d: &Definition| format!("{}:{}", d.kind().title().to_lowercase(), d.name());
        owned.map(|definition| (key(definition), definition.deployed.origin.clone())).collect()
    }

    fn report(&self, entry: &Entry) -> Report {
        let Entry { definition, hold, warnings, code, .. } = entry;
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let of_deploy = warnings.len();
        warnings.extend(definition.activity.warnings());
        let of_runs = warnings.len() - of_deploy;
        if let Some(Hold::Failed(reason)) = hold {
            warnings.insert(0, reason.clone());
        }
        if let CodeState::Missing(reason) = code {
            warnings.insert(0, reason.clone());
        }
        Report {
            kind: definition.kind(),
            name: Arc::clone(definition.name()),
            origin: definition.deployed.origin.to_string(),
            state: entry.state(),
            triggers: definition.trigger().map(trigger_texts).unwrap_or_default(),
            dependencies: Need::all(definition.facts())
                .map(|need| DependencyReport {
                    present: self.has(&need),
                    kind: need.title().to_lowercase(),
                    name: Arc::clone(need.name()),
                })
                .collect(),
            last_run: definition.activity.last_run(),
            last_error: definition.activity.last_error(),
            runs: definition.activity.runs(),
            warnings,
            of_runs,
        }
    }
}

/// The trigger as LoT writes it, one text per filter.
fn trigger_texts(trigger: &Trigger) -> Vec<String> {
    let text = match trigger {
        Trigger::Topic { filters } => return filters.iter().map(|f| format!("ON TOPIC \"{f}\"")).collect(),
        Trigger::Change { filters } => return filters.iter().map(|f| format!("ON CHANGE \"{f}\"")).collect(),
        Trigger::Silence { filters, after_ms } => {
            let time = interval_text(Interval::Milliseconds(*after_ms));
            return filters.iter().map(|filter| format!("ON SILENCE OF \"{filter}\" FOR {time}")).collect();
        }
        Trigger::Window { filters, path, extent } => {
            let json = path.as_ref().map_or(String::new(), |path| format!("JSON \"{path}\" IN "));
            let extent = extent_text(*extent);
            return filters.iter().map(|f| format!("ON WINDOW OF {json}\"{f}\" {extent}")).collect();
        }
        Trigger::Every { interval } => format!("ON EVERY {}", interval_text(*interval)),
        Trigger::Calendar { days, at } => {
            let times: Vec<String> = at.iter().map(|at| format!("\"{}\"", time_text(*at))).collect();
            format!("ON EVERY {} AT {}", days_text(days), times.join(", "))
        }
        Trigger::Once(at) => format!("ON TIMESTAMP \"{}\"", once_text(*at)),
        Trigger::Start => "ON START".to_owned(),
        Trigger::Connect => "ON CONNECT".to_owned(),
        Trigger::Disconnect => "ON DISCONNECT".to_owned(),
        Trigger::Subscribe { pattern: None } => "ON SUBSCRIBE".to_owned(),
        Trigger::Subscribe { pattern: Some(pattern) } => format!("ON SUBSCRIBE \"{pattern}\""),
    };
    vec![text]
}

fn extent_text(extent: WindowExtent) -> String {
    let time = |length: u64| interval_text(Interval::Milliseconds(length));
    let messages = |count: u64| format!("{count} {}", if count == 1 { "MESSAGE" } else { "MESSAGES" });
    let (last, every) = match extent {
        WindowExtent::Time { last_ms, every_ms, .. } => (time(last_ms), time(every_ms)),
        WindowExtent::Messages { last, every } => (messages(last), messages(every)),
    };
    let from = match extent {
        WindowExtent::Time { from_ms, .. } if from_ms > 0 => {
            let seconds = from_ms / 1000;
            let part = |value: u64| u8::try_from(value % 60).unwrap_or_default();
            let hour = u8::try_from(seconds / 3600).unwrap_or_default();
            let time = TimeOfDay { hour, minute: part(seconds / 60), second: part(seconds) };
            format!(" FROM \"{}\"", time_text(time))
        }
        WindowExtent::Time { .. } | WindowExtent::Messages { .. } => String::new(),
    };
    let every = format!("EVERY {every}{from}");
    if extent.steps() == 1 { every } else { format!("LAST {last} {every}") }
}

fn interval_text(interval: Interval) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "DAY"), (3_600_000, "HOUR"), (60_000, "MINUTE"), (1000, "SECOND")];
    let (count, unit) = match interval {
        Interval::Months(months) if months % 12 == 0 => (u64::from(months / 12), "YEAR"),
        Interval::Months(months) => (u64::from(months), "MONTH"),
        Interval::Milliseconds(ms) => {
            let largest = UNITS.into_iter().find(|(length, _)| ms % length == 0);
            largest.map_or((ms, "MILLISECOND"), |(length, unit)| (ms / length, unit))
        }
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "S" })
}

fn days_text(days: &CalendarDays) -> String {
    const NAMES: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
    match days {
        CalendarDays::Week(Days::DAILY) => "DAY".to_owned(),
        CalendarDays::Week(Days::WEEKDAY) => "WEEKDAY".to_owned(),
        CalendarDays::Week(Days::WEEKEND) => "WEEKEND".to_owned(),
        CalendarDays::Week(Days(set)) => {
            let named = NAMES.iter().zip(set).filter(|(_, is_set)| **is_set).map(|(name, _)| *name);
            named.collect::<Vec<_>>().join(", ")
        }
        CalendarDays::Month(month) => {
            let days = month.days.iter().map(u8::to_string).chain(month.last.then(|| "LAST".to_owned()));
            format!("DAY {} OF MONTH", days.collect::<Vec<_>>().join(", "))
        }
    }
}

fn time_text(at: TimeOfDay) -> String {
    format!("{:02}:{:02}:{:02}", at.hour, at.minute, at.second)
}

fn once_text(at: OnceAt) -> String {
    let OnceAt { date, time, offset_minutes } = at;
    let text = format!("{:02}-{:02}-{:04} {}", date.day, date.month, date.year, time_text(time));
    match offset_minutes {
        None => text,
        Some(0) => text + "Z",
        Some(minutes) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            let minutes = minutes.unsigned_abs();
            format!("{text}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use lot_facts::{CalendarDate, Facts, Kind, MonthDays};

    use super::*;
    use crate::fixture::{World, action, definition, needs, on_topic};
    use crate::record::RunError;
    use crate::registry::OnExisting;

    fn json<T: Serialize>(value: &T) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn diagnostic_has_the_fields_of_the_reference_in_order() {
        let mut world = World::new();
        let hot = world.add(needs(on_topic("Hot", &["s/+/t", "x"]), Kind::Model, "R")).definition;
        assert_eq!(
            json(&world.registry.diagnose(DefinitionKind::Action, "Hot")),
            r#"{"kind":"action","name":"Hot","origin":"adhoc","state":"pending","#.to_owned()
                + r#""triggers":["ON TOPIC \"s/+/t\"","ON TOPIC \"x\""],"#
                + r#""dependencies":[{"kind":"model","name":"R","present":false}],"lastRun":null,"lastError":null,"#
                + r#""runs":0,"warnings":["pending until these are added: Model R"]}"#
        );
        let model = definition(Facts::new(Kind::Model, "R"));
        world.registry.install(model, OnExisting::Replace, world.now).unwrap();
        hot.activity.run_ended(world.now.wall);
        hot.activity.record_error("Hot", &RunError { code: "LOT501", ..RunError::default() }, world.now.wall);
        let text = json(&world.registry.diagnose_any("Hot"));
        for part in [
            r#""state":"running""#,
            r#""present":true"#,
            r#""lastRun":"2026-11-20T09:00:00.000Z""#,
            r#""lastError":{"action":"Hot","code":"LOT501""#,
            r#""runs":1,"warnings":[]"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(world.registry.diagnose(DefinitionKind::Rule, "Hot"), None);
        world.registry.set_failed(hot.id, "component does not load", world.now);
        let report = world.registry.diagnose(DefinitionKind::Action, "Hot").unwrap();
        assert_eq!((report.state, report.warnings), (State::Error, vec!["component does not load".into()]));
    }

    #[test]
    fn lists_have_the_rows_of_the_reference() {
        let mut world = World::new();
        world.add(needs(on_topic("A", &["a"]), Kind::Action, "B"));
        let project = Origin::Project { project: "plant".into(), file: "main.lotnb".into(), cell: Some(3) };
        let model = definition(Facts::new(Kind::Model, "M"));
        let model = crate::NewDefinition { origin: project, ..model };
        world.registry.install(model, OnExisting::Replace, world.now).unwrap();
        assert_eq!(
            json(&world.registry.list_entities()),
            r#"[{"type":"Model","name":"M","origin":"plant/main.lotnb/3"},{"type":"Action","name":"A","origin":"adhoc"}]"#
        );
        assert_eq!(
            json(&world.registry.listing(DefinitionKind::Action, 10)),
            r#"[{"name":"A","state":"pending","origin":"adhoc"}]"#
        );
        assert!(world.registry.listing(DefinitionKind::Action, 0).is_empty());
        assert_eq!(
            json(&world.registry.pending_status()),
            r#"[{"kind":"action","name":"A","missing":["Action B"]}]"#
        );
        assert_eq!(
            json(&world.registry.ownership()),
            r#"{"model:M":{"project":"plant","file":"main.lotnb","cell":3}}"#
        );
    }

    #[test]
    fn origin_survives_being_stored() {
        let project = Origin::Project { project: "p".into(), file: "f".into(), cell: None };
        for origin in [Origin::AdHoc, project] {
            assert_eq!(serde_json::from_str::<Origin>(&json(&origin)).unwrap(), origin);
            assert_eq!(
                Origin::from_stored(&json(&origin)),
                (origin.clone(), 0),
                "as earlier versions stored it"
            );
            for lines_before in [0, 7] {
                let stored = origin.to_stored(lines_before);
                assert_eq!(Origin::from_stored(&stored), (origin.clone(), lines_before));
                // An earlier version reads it, too.
                assert_eq!(serde_json::from_str::<Origin>(&stored).unwrap_or_default(), origin);
            }
        }
    }

    #[test]
    fn report_renders_triggers_in_source_syntax() {
        let at = TimeOfDay { hour: 18, minute: 0, second: 5 };
        let date = CalendarDate { year: 2026, month: 12, day: 24 };
        let every = |interval| Trigger::Every { interval };
        let on_days = |days| Trigger::Calendar { days: CalendarDays::Week(days), at: vec![at] };
        for (trigger, expected) in [
            (Trigger::Change { filters: vec!["a".into()] }, "ON CHANGE \"a\""),
            (
                Trigger::Silence { filters: vec!["a/+".into()], after_ms: 90_000 },
                "ON SILENCE OF \"a/+\" FOR 90 SECONDS",
            ),
            (every(Interval::Milliseconds(10_000)), "ON EVERY 10 SECONDS"),
            (every(Interval::Milliseconds(1)), "ON EVERY 1 MILLISECOND"),
            (every(Interval::Milliseconds(1500)), "ON EVERY 1500 MILLISECONDS"),
            (every(Interval::Milliseconds(7_200_000)), "ON EVERY 2 HOURS"),
            (every(Interval::Milliseconds(604_800_000)), "ON EVERY 7 DAYS"),
            (every(Interval::Months(1)), "ON EVERY 1 MONTH"),
            (every(Interval::Months(24)), "ON EVERY 2 YEARS"),
            (on_days(Days::WEEKDAY), "ON EVERY WEEKDAY AT \"18:00:05\""),
            (on_days(Days::only(6)), "ON EVERY SUNDAY AT \"18:00:05\""),
            (on_days(Days::only(0).and(Days::only(2))), "ON EVERY MONDAY, WEDNESDAY AT \"18:00:05\""),
            (
                Trigger::Calendar {
                    days: CalendarDays::Month(MonthDays { days: vec![1, 15], last: true }),
                    at: vec![TimeOfDay::default(), at],
                },
                "ON EVERY DAY 1, 15, LAST OF MONTH AT \"00:00:00\", \"18:00:05\"",
            ),
            (
                Trigger::Once(OnceAt { date, time: at, offset_minutes: None }),
                "ON TIMESTAMP \"24-12-2026 18:00:05\"",
            ),
            (
                Trigger::Once(OnceAt { date, time: at, offset_minutes: Some(-90) }),
                "ON TIMESTAMP \"24-12-2026 18:00:05-01:30\"",
            ),
            (Trigger::Start, "ON START"),
            (Trigger::Connect, "ON CONNECT"),
            (Trigger::Disconnect, "ON DISCONNECT"),
            (Trigger::Subscribe { pattern: None }, "ON SUBSCRIBE"),
            (Trigger::Subscribe { pattern: Some("a/#".into()) }, "ON SUBSCRIBE \"a/#\""),
        ] {
            let mut world = World::new();
            world.add(action("A", trigger));
            let report = world.registry.diagnose(DefinitionKind::Action, "A").unwrap();
            assert_eq!(report.triggers, [expected]);
        }
    }
}
