//! Effects of one run, in program order, in one reusable buffer.
//!
//! The host functions fill it while the guest runs. The server reads it when the run has ended,
//! also after an error.
//!
//! Invariants: effects keep their order; those of nested calls are at the place of the call. Topics
//! are valid Topic Names. The bounds of the run that was started from outside hold for all of it.
//! Not here: carrying the effects out, and the check whether the definition may write at all
//! (`functions::messages`).

use crate::{
    Authority, GuestLimits, Qos, SourcePlace, limits,
    texts::{coded, line_of},
};

/// Number of a deployed guest, by which the server knows it: chosen there, never interpreted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuestId(pub u64);

/// Author of an effect, as it was at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// The definition: the one that was started, or one that it called.
    pub definition: GuestId,
    /// On whose behalf its code acted.
    pub authority: Authority,
}

/// How bad a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something was done in another way than the author may have wanted.
    Warning,
    /// A statement had no effect, or a wrong one; it belongs on the definition's `Error` topic.
    Error,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For authors who look for a mistake in the guest.
    Trace,
    /// For readers who want to know how the guest decided.
    Debug,
    /// Something that happens seldom and is as it should be.
    Info,
    /// Something was lost, refused or given up.
    Warn,
    /// Somebody must do something.
    Error,
}

/// Change of a counter or gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricChange {
    /// A counter grows.
    Add(u64),
    /// A gauge has this value.
    Set(f64),
}

/// One thing that a run wants done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect<'a> {
    /// Publish a message: deliver it, let it trigger, make it the topic's last value.
    Publish {
        /// A valid Topic Name.
        topic: &'a str,
        /// Payload, possibly empty.
        payload: &'a [u8],
        /// Quality of service.
        qos: Qos,
        /// RETAIN flag.
        retain: bool,
        /// Properties of MQTT 5.0 as they are encoded in PUBLISH, without their length.
        properties: &'a [u8],
        /// Seconds that it has to live; `None` when it never expires.
        expiry_seconds: Option<u32>,
    },
    /// Make this the topic's last value, durably, without a message.
    Keep {
        /// A valid Topic Name.
        topic: &'a str,
        /// The value.
        payload: &'a [u8],
    },
    /// Remove the topic's kept value.
    Forget {
        /// A valid Topic Name.
        topic: &'a str,
    },
    /// Tell people that something went wrong at a place of the source.
    Report {
        /// How bad it is.
        severity: Severity,
        /// Stable code.
        code: &'a str,
        /// One sentence.
        message: &'a str,
        /// Line from 1; 0 when unknown.
        line: u32,
        /// Column from 1; 0 when unknown.
        column: u32,
    },
    /// Write a line to the log.
    Log {
        /// How much it matters.
        level: LogLevel,
        /// The line.
        text: &'a str,
    },
    /// Change a counter or gauge of the definition.
    Metric {
        /// Its name; counters have names of their own.
        name: &'a str,
        /// Change of its value.
        change: MetricChange,
    },
}

/// Why a write was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitReached;

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The properties are so many bytes in front of the payload.
    Publish {
        qos: Qos,
        retain: bool,
        properties_len: u32,
        expiry_seconds: Option<u32>,
    },
    Keep,
    Forget,
    Report {
        severity: Severity,
        line: u32,
        column: u32,
    },
    Log {
        level: LogLevel,
    },
    Metric {
        change: MetricChange,
    },
}

/// An effect by offsets: `head` is a topic or a code in `text`, `body` a payload in `data` or a
/// message in `text`.
#[derive(Clone, Copy, Debug)]
struct Record {
    kind: Kind,
    /// Place of its writer.
    writer: u32,
    head: (u32, u32),
    body: (u32, u32),
}

/// The effects of one run.
///
/// One per thread is enough: [`clear`](RunOutput::clear) keeps the memory, and adding an effect
/// allocates only while the buffer grows.
///
/// ```
/// let output = lotmq_host::RunOutput::new();
/// assert_eq!(output.effects().count(), 0);
/// ```
#[derive(Debug, Default)]
pub struct RunOutput(Box<Buffers>);

/// Storage of a [`RunOutput`], boxed because each run moves it into its state and back.
#[derive(Debug, Default)]
struct Buffers {
    text: String,
    data: Vec<u8>,
    records: Vec<Record>,
    /// Writers of records that follow one another, each once.
    writers: Vec<Writer>,
    writes: u32,
    reports: u32,
    reports_dropped: u32,
    lines: u32,
    lines_dropped: u32,
    /// Places of the changes of metrics among the records.
    metrics: Vec<u32>,
    writes_refused: u32,
    writes_max: u32,
    bytes_max: usize,
}

impl RunOutput {
    /// An empty output; it allocates nothing yet.
    pub fn new() -> Self {
        RunOutput::default()
    }

    /// Forgets all effects and keeps the memory, unless one huge run made it larger than a usual
    /// run needs.
    pub fn clear(&mut self) {
        const KEPT_BYTES: usize = 1024 * 1024;
        self.0.text.clear();
        self.0.data.clear();
        self.0.records.clear();
        self.0.writers.clear();
        self.0.text.shrink_to(KEPT_BYTES);
        self.0.data.shrink_to(KEPT_BYTES);
        self.0.records.shrink_to(KEPT_BYTES / size_of::<Record>());
        self.0.writers.shrink_to(KEPT_BYTES / size_of::<Writer>());
        (self.0.writes, self.0.reports, self.0.reports_dropped, self.0.writes_refused) = (0, 0, 0, 0);
        (self.0.lines, self.0.lines_dropped) = (0, 0);
        self.0.metrics.clear();
    }

    /// The effects in program order, each with what wrote it.
    pub fn effects(&self) -> impl Iterator<Item = (Writer, Effect<'_>)> {
        self.0.records.iter().map(|record| (self.writer(record), self.effect(record)))
    }

    /// Whether there is no effect.
    pub fn is_empty(&self) -> bool {
        self.0.records.is_empty()
    }

    /// How many writes (publish, keep, forget) there are.
    pub fn writes(&self) -> u32 {
        self.0.writes
    }

    /// How many writes were refused because the run had reached a bound.
    pub fn writes_refused(&self) -> u32 {
        self.0.writes_refused
    }

    /// How many reports were dropped because the run had reached their bound.
    pub fn reports_dropped(&self) -> u32 {
        self.0.reports_dropped
    }

    /// How many lines for the log were dropped because the run had reached their bound.
    pub fn lines_dropped(&self) -> u32 {
        self.0.lines_dropped
    }

    /// Returns the last effect if it is a line of level error, such as the text of a panic.
    pub(crate) fn last_words(&self) -> Option<&str> {
        let last = self.0.records.last()?;
        matches!(last.kind, Kind::Log { level: LogLevel::Error }).then(|| self.text(last.head))
    }

    /// Adds a line for the log, at the end.
    pub(crate) fn log(&mut self, writer: Writer, level: LogLevel, text: &str) {
        if self.0.lines >= limits::LOG_LINES_PER_RUN_MAX {
            self.0.lines_dropped = self.0.lines_dropped.saturating_add(1);
            return;
        }
        self.0.lines += 1;
        let head = self.push_text(&line_of(text));
        self.push(writer, Kind::Log { level }, head, (0, 0));
    }

    /// Changes a counter or gauge: one effect for each of them, at the place of its first change.
    pub(crate) fn metric(
        &mut self,
        writer: Writer,
        name: &str,
        change: MetricChange,
    ) -> Result<(), LimitReached> {
        for place in &self.0.metrics {
            let record = self.0.records.get_mut(*place as usize).expect("places are those of records");
            let known = self.0.text.get(record.head.0 as usize..record.head.1 as usize);
            if let Kind::Metric { change: before } = &mut record.kind
                && self.0.writers.get(record.writer as usize) == Some(&writer)
                && known == Some(name)
                && before.took(change)
            {
                return Ok(());
            }
        }
        if self.0.metrics.len() >= limits::METRICS_PER_RUN_MAX {
            return Err(LimitReached);
        }
        self.0.metrics.push(offset(self.0.records.len()));
        let head = self.push_text(name);
        self.push(writer, Kind::Metric { change }, head, (0, 0));
        Ok(())
    }

    /// Adds a report of the host's own, such as a suppressed write, at the end.
    pub fn report(
        &mut self,
        writer: Writer,
        severity: Severity,
        code: &str,
        message: &str,
        SourcePlace { line, column }: SourcePlace,
    ) {
        if self.0.reports >= limits::REPORTS_PER_RUN_MAX {
            self.0.reports_dropped += 1;
            return;
        }
        self.0.reports += 1;
        let (code, message) = coded(code, message);
        let head = self.push_text(code);
        let body = self.push_text(&message);
        self.push(writer, Kind::Report { severity, line, column }, head, body);
    }

    pub(crate) fn begin(&mut self, limits: &GuestLimits) {
        self.clear();
        (self.0.writes_max, self.0.bytes_max) = (limits.writes, limits.write_bytes);
    }

    pub(crate) fn publish(
        &mut self,
        writer: Writer,
        topic: &str,
        payload: &[u8],
        (qos, retain): (Qos, bool),
    ) -> Result<(), LimitReached> {
        self.publish_with(writer, topic, payload, (qos, retain), (&[], None))
    }

    /// Adds a message with encoded properties, and the seconds that it has to live.
    pub(crate) fn publish_with(
        &mut self,
        writer: Writer,
        topic: &str,
        payload: &[u8],
        (qos, retain): (Qos, bool),
        (properties, expiry_seconds): (&[u8], Option<u32>),
    ) -> Result<(), LimitReached> {
        let properties_len = u32::try_from(properties.len()).map_err(|_| LimitReached)?;
        let kind = Kind::Publish { qos, retain, properties_len, expiry_seconds };
        self.write(kind, writer, topic, (properties, payload))
    }

    pub(crate) fn keep(&mut self, writer: Writer, topic: &str, payload: &[u8]) -> Result<(), LimitReached> {
        self.write(Kind::Keep, writer, topic, (&[], payload))
    }

    pub(crate) fn forget(&mut self, writer: Writer, topic: &str) -> Result<(), LimitReached> {
        self.write(Kind::Forget, writer, topic, (&[], &[]))
    }

    /// Returns the last write of this run to a topic, with its writer. `None` if there is none; the
    /// value is `None` if the run forgot it.
    pub(crate) fn last_written(&self, topic: &str) -> Option<(Writer, Option<&[u8]>)> {
        let topic = topic.as_bytes();
        let record = self.0.records.iter().rev().find(|record| {
            let head = self.0.text.as_bytes().get(record.head.0 as usize..record.head.1 as usize);
            !matches!(record.kind, Kind::Report { .. } | Kind::Log { .. } | Kind::Metric { .. })
                && head == Some(topic)
        })?;
        let value = match record.kind {
            Kind::Forget => None,
            Kind::Publish { .. }
            | Kind::Keep
            | Kind::Report { .. }
            | Kind::Log { .. }
            | Kind::Metric { .. } => Some(self.payload(record.body)),
        };
        Some((self.writer(record), value))
    }

    /// The topics that this run has written, in order, each with who did, and whether it has a
    /// value afterwards.
    pub(crate) fn written_topics(&self) -> impl Iterator<Item = (Writer, &str, bool)> {
        self.0.records.iter().filter_map(|record| {
            let is_there = match record.kind {
                Kind::Report { .. } | Kind::Log { .. } | Kind::Metric { .. } => return None,
                Kind::Forget => false,
                Kind::Publish { .. } | Kind::Keep => true,
            };
            let topic = self.0.text.get(record.head.0 as usize..record.head.1 as usize)?;
            Some((self.writer(record), topic, is_there))
        })
    }

    fn write(
        &mut self,
        kind: Kind,
        writer: Writer,
        topic: &str,
        (properties, payload): (&[u8], &[u8]),
    ) -> Result<(), LimitReached> {
        let added = topic.len() + properties.len() + payload.len();
        let bytes = self.0.text.len() + self.0.data.len() + added;
        if self.0.writes >= self.0.writes_max || bytes > self.0.bytes_max {
            self.0.writes_refused = self.0.writes_refused.saturating_add(1);
            return Err(LimitReached);
        }
        self.0.writes += 1;
        let head = self.push_text(topic);
        self.0.data.extend_from_slice(properties);
        let start = offset(self.0.data.len());
        self.0.data.extend_from_slice(payload);
        let body = (start, offset(self.0.data.len()));
        self.push(writer, kind, head, body);
        Ok(())
    }

    #[inline(always)]
    fn push(&mut self, writer: Writer, kind: Kind, head: (u32, u32), body: (u32, u32)) {
        if self.0.writers.last() != Some(&writer) {
            self.0.writers.push(writer);
        }
        let writer = offset(self.0.writers.len() - 1);
        self.0.records.push(Record { kind, writer, head, body });
    }

    fn push_text(&mut self, text: &str) -> (u32, u32) {
        let start = offset(self.0.text.len());
        self.0.text.push_str(text);
        (start, offset(self.0.text.len()))
    }

    fn effect(&self, record: &Record) -> Effect<'_> {
        let head = self.text(record.head);
        match record.kind {
            Kind::Publish { qos, retain, properties_len, expiry_seconds } => {
                let start = record.body.0;
                let properties = self.payload((start - properties_len, start));
                let payload = self.payload(record.body);
                Effect::Publish { topic: head, payload, qos, retain, properties, expiry_seconds }
            }
            Kind::Keep => Effect::Keep { topic: head, payload: self.payload(record.body) },
            Kind::Forget => Effect::Forget { topic: head },
            Kind::Log { level } => Effect::Log { level, text: head },
            Kind::Metric { change } => Effect::Metric { name: head, change },
            Kind::Report { severity, line, column } => {
                Effect::Report { severity, code: head, message: self.text(record.body), line, column }
            }
        }
    }

    fn writer(&self, record: &Record) -> Writer {
        *self.0.writers.get(record.writer as usize).expect("places are made by push")
    }

    fn text(&self, (start, end): (u32, u32)) -> &str {
        self.0.text.get(start as usize..end as usize).expect("ranges are made by push_text")
    }

    fn payload(&self, (start, end): (u32, u32)) -> &[u8] {
        self.0.data.get(start as usize..end as usize).expect("ranges are made by write")
    }
}

impl MetricChange {
    /// Takes in a later change of the same figure. False when that is of the other kind, and so of
    /// another figure.
    pub fn took(&mut self, later: MetricChange) -> bool {
        match (self, later) {
            (MetricChange::Add(sum), MetricChange::Add(by)) => *sum = sum.saturating_add(by),
            (MetricChange::Set(value), MetricChange::Set(later)) => *value = later,
            (MetricChange::Add(_), MetricChange::Set(_)) | (MetricChange::Set(_), MetricChange::Add(_)) => {
                return false;
            }
        }
        true
    }
}

/// Buffers stay far below 4 GiB: `write` bounds them by `bytes_max`, `report` by count and length.
fn offset(len: usize) -> u32 {
    u32::try_from(len).expect("bounded by the limits of a run")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Writer = Writer { definition: GuestId(7), authority: Authority { version: 2, account: 3 } };
    const CALLEE: Writer = Writer { definition: GuestId(8), authority: Authority { version: 1, account: 4 } };

    fn output(writes: u32, write_bytes: usize) -> RunOutput {
        let mut output = RunOutput::new();
        output.begin(&GuestLimits { writes, write_bytes, ..GuestLimits::default() });
        output
    }

    #[test]
    fn effects_come_out_in_program_order() {
        let mut output = output(10, 1000);
        output.publish_with(ID, "a/b", b"1", (Qos::AtLeastOnce, true), (b"p", Some(3))).unwrap();
        output.report(CALLEE, Severity::Error, "LOT501", "went wrong", SourcePlace { line: 3, column: 4 });
        output.keep(ID, "k", b"2").unwrap();
        output.forget(ID, "k").unwrap();
        let effects: Vec<_> = output.effects().collect();
        assert_eq!(
            effects,
            [
                (
                    ID,
                    Effect::Publish {
                        topic: "a/b",
                        payload: b"1",
                        qos: Qos::AtLeastOnce,
                        retain: true,
                        properties: b"p",
                        expiry_seconds: Some(3)
                    }
                ),
                (
                    CALLEE,
                    Effect::Report {
                        severity: Severity::Error,
                        code: "LOT501",
                        message: "went wrong",
                        line: 3,
                        column: 4
                    }
                ),
                (ID, Effect::Keep { topic: "k", payload: b"2" }),
                (ID, Effect::Forget { topic: "k" }),
            ]
        );
    }

    #[test]
    fn writes_beyond_a_bound_are_refused_and_counted() {
        let mut by_count = output(2, 1000);
        for expected in [Ok(()), Ok(()), Err(LimitReached)] {
            assert_eq!(by_count.keep(ID, "t", b"x"), expected);
        }
        assert_eq!((by_count.writes(), by_count.writes_refused()), (2, 1));
        let mut by_bytes = output(100, 10);
        assert_eq!(by_bytes.keep(ID, "topic", b"12345"), Ok(()));
        assert_eq!(by_bytes.keep(ID, "t", b""), Err(LimitReached));
    }

    #[test]
    fn last_written_sees_the_latest_write_of_a_topic() {
        let mut output = output(10, 1000);
        assert_eq!(output.last_written("t"), None);
        output.report(ID, Severity::Warning, "t", "not a topic", SourcePlace::default());
        assert_eq!(output.last_written("t"), None);
        output.keep(ID, "t", b"1").unwrap();
        output.publish(ID, "t", b"2", (Qos::AtMostOnce, false)).unwrap();
        assert_eq!(output.last_written("t"), Some((ID, Some(&b"2"[..]))));
        output.forget(ID, "t").unwrap();
        assert_eq!(output.last_written("t"), Some((ID, None)));
    }

    #[test]
    fn lines_are_bounded_and_no_writes() {
        let mut output = output(1, 1);
        for _ in 0..limits::LOG_LINES_PER_RUN_MAX + 2 {
            output.log(ID, LogLevel::Info, "t");
        }
        assert_eq!((output.lines_dropped(), output.writes(), output.last_written("t")), (2, 0, None));
        assert_eq!(output.effects().count(), limits::LOG_LINES_PER_RUN_MAX as usize);
        output.clear();
        assert_eq!((output.lines_dropped(), output.effects().count()), (0, 0));
        output.log(CALLEE, LogLevel::Error, &"ä".repeat(limits::MESSAGE_BYTES_MAX));
        let text = "ä".repeat(limits::MESSAGE_BYTES_MAX / 2 - 2) + "…";
        let line = (CALLEE, Effect::Log { level: LogLevel::Error, text: &text });
        assert_eq!(output.effects().collect::<Vec<_>>(), [line]);
    }

    #[test]
    fn a_metric_has_one_effect_and_there_are_so_many() {
        let mut output = output(1, 1);
        for (name, change) in [
            ("a", MetricChange::Add(1)),
            ("a", MetricChange::Set(1.0)),
            ("a", MetricChange::Add(u64::MAX)),
            ("a", MetricChange::Set(-2.5)),
        ] {
            output.metric(ID, name, change).unwrap();
        }
        output.metric(CALLEE, "a", MetricChange::Add(2)).unwrap();
        let metric = |change| Effect::Metric { name: "a", change };
        assert_eq!(
            output.effects().collect::<Vec<_>>(),
            [
                (ID, metric(MetricChange::Add(u64::MAX))),
                (ID, metric(MetricChange::Set(-2.5))),
                (CALLEE, metric(MetricChange::Add(2))),
            ]
        );
        for number in 3..limits::METRICS_PER_RUN_MAX {
            output.metric(ID, &format!("n{number}"), MetricChange::Add(1)).unwrap();
        }
        assert_eq!(output.metric(ID, "one_more", MetricChange::Add(1)), Err(LimitReached));
        assert_eq!(output.metric(ID, "a", MetricChange::Add(1)), Ok(()));
        assert_eq!((output.writes(), output.last_written("a")), (0, None));
    }

    #[test]
    fn reports_are_bounded_and_cut_at_a_character() {
        let mut output = output(1, 1);
        let long = "ä".repeat(limits::MESSAGE_BYTES_MAX);
        for _ in 0..=limits::REPORTS_PER_RUN_MAX {
            output.report(ID, Severity::Error, "C", &long, SourcePlace::default());
        }
        assert_eq!(output.reports_dropped(), 1);
        assert_eq!(output.effects().count(), limits::REPORTS_PER_RUN_MAX as usize);
    }
}
