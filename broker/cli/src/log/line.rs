//! How a line looks: as the library writes it, but those about Clients that come and go are put
//! together by less code.
//!
//! There are two for each connection, and in the library's way they took a fifth of what a
//! connection costs. Values of fields are cut in all lines: many come from Clients, whose names and
//! topics have up to 64 KiB.

use std::cell::Cell;
use std::fmt::{self, Debug, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use lotmq_terminal::text::is_order;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct LineFormat(Format);

/// Fields as the library writes them, each cut to its bound.
#[derive(Default)]
pub(super) struct CutFields;

impl<'w> FormatFields<'w> for CutFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut fields_to = Fields { writer: &mut writer, is_first: true, result: Ok(()) };
        fields.record(&mut fields_to);
        fields_to.result
    }
}

/// Bytes of the text of an event, which is the broker's own or a guest's, before escapes.
const TEXT_BYTES_MAX: usize = 4096;

/// Bytes of any other value: Clients choose many of them, and may have a line for each packet.
const VALUE_BYTES_MAX: usize = 512;

/// Bytes of the value of a field.
pub(super) fn bytes_max(field: &Field) -> usize {
    match field.name() {
        "message" | "text" => TEXT_BYTES_MAX,
        _ => VALUE_BYTES_MAX,
    }
}

/// Length of `2026-11-20T15:40:57`.
const SECOND_LEN: usize = 19;

thread_local! {
    /// The second that was written last, and how it reads.
    static SECOND: Cell<(u64, [u8; SECOND_LEN])> = const { Cell::new((u64::MAX, [0; SECOND_LEN])) };
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let is_short = super::is_of_client(event.metadata());
        if !is_short || writer.has_ansi_escapes() || context.lookup_current().is_some() {
            return self.0.format_event(context, writer, event);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        write_time(&mut writer, now.as_secs(), now.subsec_micros())?;
        let metadata = event.metadata();
        write_padded_level(&mut writer, metadata.level().as_str())?;
        writer.write_str(metadata.target())?;
        writer.write_str(": ")?;
        let mut fields = Fields { writer: &mut writer, is_first: true, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        writer.write_char('\n')
    }
}

fn write_padded_level(writer: &mut Writer<'_>, level: &str) -> fmt::Result {
    writer.write_str(if level.len() < 5 { "  " } else { " " })?;
    writer.write_str(level)?;
    writer.write_char(' ')
}

fn write_time(writer: &mut Writer<'_>, seconds: u64, micros: u32) -> fmt::Result {
    let (mut known, mut text) = SECOND.get();
    if known != seconds {
        (known, text) = (seconds, second_text(seconds));
        SECOND.set((known, text));
    }
    writer.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)?;
    let mut fraction = *b".000000Z";
    let mut rest = micros;
    for digit in fraction[1..7].iter_mut().rev() {
        *digit += u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    writer.write_str(str::from_utf8(&fraction).map_err(|_| fmt::Error)?)
}

fn second_text(seconds: u64) -> [u8; SECOND_LEN] {
    let seconds = i64::try_from(seconds).unwrap_or(0);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    let text = time.to_string();
    let mut second = *b"1970-01-01T00:00:00";
    let len = text.len().min(SECOND_LEN);
    second[..len].copy_from_slice(&text.as_bytes()[..len]);
    second
}

/// Writes fields one by one. Control characters become escapes, so that no value can fake a line.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    is_first: bool,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn write(&mut self, field: &Field, write_value: impl FnOnce(&mut Clean<'_, '_>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.try_write(field, write_value);
        }
    }

    fn try_write(
        &mut self,
        field: &Field,
        write_value: impl FnOnce(&mut Clean<'_, '_>) -> fmt::Result,
    ) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        if field.name() != "message" {
            // As the library does: nothing of it without colours.
            let (name, equals) = if self.writer.has_ansi_escapes() {
                (Style::ITALIC, Style::DIM)
            } else {
                (Style::NONE, Style::NONE)
            };
            name.write(self.writer, field.name().trim_start_matches("r#"))?;
            equals.write(self.writer, "=")?;
        }
        write_value(&mut Clean { writer: self.writer, left: bytes_max(field) })
    }
}

/// How a word is shown on a terminal.
#[derive(Clone, Copy)]
struct Style(&'static str);

impl Style {
    const NONE: Self = Self("");
    const ITALIC: Self = Self("\u{1b}[3m");
    const DIM: Self = Self("\u{1b}[2m");

    fn write(self, writer: &mut Writer<'_>, word: &str) -> fmt::Result {
        let end = if self.0.is_empty() { "" } else { "\u{1b}[0m" };
        write!(writer, "{}{word}{end}", self.0)
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if value.is_empty() && field.name() != "message" {
            // There is nothing of it, as the code of who was never let in.
            return;
        }
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        self.write(field, |clean| {
            if field.name() == "message" {
                clean.write_str(value)
            } else if value.len() <= clean.left && value.as_bytes().iter().all(is_plain) {
                clean.writer.write_char('"')?;
                clean.writer.write_str(value)?;
                clean.writer.write_char('"')
            } else {
                write!(clean, "{value:?}")
            }
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write(field, |clean| write!(clean, "{value:?}"));
    }
}

/// Writer of one value.
struct Clean<'a, 'w> {
    writer: &'a mut Writer<'w>,
    /// Bytes that it may have still.
    left: usize,
}

impl fmt::Write for Clean<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.left == 0 {
            return Ok(());
        }
        let cut = &text[..text.floor_char_boundary(self.left)];
        let is_whole = cut.len() == text.len();
        self.left = if is_whole { self.left - cut.len() } else { 0 };
        if !cut.contains(is_order) {
            self.writer.write_str(cut)?;
        } else {
            cut.chars().try_for_each(|char| match is_order(char) {
                true => write!(self.writer, "{}", char.escape_default()),
                false => self.writer.write_char(char),
            })?;
        }
        if is_whole { Ok(()) } else { self.writer.write_char('…') }
    }
}

#[cfg(test)]
mod tests {
    use tracing::{info, warn};

    use super::super::collected::Collected;
    use super::*;

    fn say_all() {
        let peer: std::net::SocketAddr = "127.0.0.1:1883".parse().unwrap();
        info!(target: "client", %peer, client_id = "c1", "client connected");
        info!(target: "client", %peer, client_id = "q\"\\ü", "client disconnected");
        warn!(target: "client", %peer, client_id = "line\nbreak", reason = %"no way", "login refused");
        info!(target: "client", count = 3, is = true, "numbers");
        info!(target: "other", "not short");
    }

    /// Lines without their time, which is that of the moment.
    fn lines(subscriber: impl Subscriber + Send + Sync + 'static, collected: &Collected) -> Vec<String> {
        tracing::subscriber::with_default(subscriber, say_all);
        let text = collected.text();
        text.lines()
            .map(|line| {
                let (time, rest) = line.split_once(' ').unwrap();
                assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == 27, "{time}");
                rest.to_owned()
            })
            .collect()
    }

    #[test]
    fn short_lines_read_as_the_library_writes_them() {
        let (ours, theirs) = (Collected::default(), Collected::default());
        let with_ours = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(CutFields)
            .event_format(LineFormat::default())
            .with_writer(ours.clone())
            .finish();
        let with_theirs = tracing_subscriber::fmt().with_ansi(false).with_writer(theirs.clone()).finish();
        assert_eq!(lines(with_ours, &ours), lines(with_theirs, &theirs));
    }

    #[test]
    fn log_line_omits_empty_fields() {
        let collected = Collected::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(CutFields)
            .event_format(LineFormat::default())
            .with_writer(collected.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            info!(target: "client", client_id = "c", code = "", error = "", "client disconnected");
            warn!(target: "rules", user = "", count = 1, "denied");
        });
        let written = collected.text();
        let lines: Vec<&str> = written.lines().collect();
        assert!(lines[0].ends_with(" client: client disconnected client_id=\"c\""), "{}", lines[0]);
        assert!(lines[1].ends_with(" rules: denied count=1"), "{}", lines[1]);
    }

    #[test]
    fn nobody_makes_a_line_of_his_own() {
        let collected = Collected::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(LineFormat::default())
            .with_writer(collected.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            info!(target: "client", shown = %"a\nb\u{1b}", "client connected");
        });
        let text = collected.text();
        assert!(text.ends_with(" INFO client: client connected shown=a\\nb\\u{1b}\n"), "{text:?}");
    }

    #[test]
    fn values_are_cut_in_every_line() {
        let collected = Collected::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .fmt_fields(CutFields)
            .event_format(LineFormat::default())
            .with_writer(collected.clone())
            .finish();
        let (id, text) = ("é".repeat(30_000), "t".repeat(60_000));
        tracing::subscriber::with_default(subscriber, || {
            info!(target: "client", client_id = id, "client connected");
            warn!(client_id = id, shown = %id, known = ?id, "denied");
            warn!(target: "guest", text, "{}", "m".repeat(60_000));
        });
        let written = collected.text();
        let lines: Vec<&str> = written.lines().collect();
        assert!(lines[0].ends_with(&format!("client_id=\"{}…", "é".repeat(255))), "{}", lines[0]);
        let fields =
            format!("denied client_id=\"{0}… shown={1}… known=\"{0}…", "é".repeat(255), "é".repeat(256));
        assert!(lines[1].ends_with(&fields), "{}", lines[1]);
        let (message, text) = ("m".repeat(4096), "t".repeat(4095));
        assert!(lines[2].ends_with(&format!("{message}… text=\"{text}…")), "{}", lines[2]);
    }

    #[test]
    fn seconds_read_as_in_the_standard() {
        for (seconds, expected) in [(0, "1970-01-01T00:00:00"), (951_782_399, "2000-02-28T23:59:59")] {
            assert_eq!(str::from_utf8(&second_text(seconds)).unwrap(), expected);
        }
    }
}
