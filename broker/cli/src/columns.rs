//! Tables for people: each column as wide as it needs to be.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use lotmq_terminal::text::printable;
use serde_json::Value;

/// Table with a head; `right` are the numbers of columns whose cells stand to the right, as figures
/// do. Each line ends with a line break and without spaces.
///
/// Cells with line breaks or control characters are shown with `?` in their place, so that what a
/// client has named moves no cursor.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]], right: &[usize]) -> String {
    table_of(&(0..N).collect::<Vec<_>>(), head, rows, right)
}

/// As [`table`], of some of its columns.
pub(crate) fn table_of<const N: usize>(
    shown: &[usize],
    head: [&str; N],
    rows: &[[String; N]],
    right: &[usize],
) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.iter().cloned())
        .map(|row| row.map(|cell| printable(&cell)))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for column in shown.iter().copied() {
            let (cell, width) = (&row[column], widths[column]);
            let _ = match right.contains(&column) {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// Columns and lines of the terminal on standard output; `None` where that is none, or does not
/// say.
pub(crate) fn terminal_size() -> Option<(usize, usize)> {
    let stdout = std::io::stdout();
    let size = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Characters of a topic that an error about it shows.
pub(crate) const TOPIC_SHOWN_CHARS: usize = 200;

/// The line, or what of it has room, with `…` at its end.
pub(crate) fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Span of time in its largest two units.
pub(crate) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, ..) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Bytes in the largest binary unit that leaves a whole number: `1.0 MiB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit behind the point")]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Place of an error: line and column, with the file of the project in front of it, and the cell of
/// a notebook.
pub(crate) fn place(record: &Value) -> Option<String> {
    let line = record["line"].as_u64().filter(|line| *line > 0)?;
    let line = format!("{line}:{}", record["column"]);
    Some(match (record["file"].as_str(), record["cell"].as_u64()) {
        (Some(file), Some(cell)) => format!("{file}, cell {cell}, {line}"),
        (Some(file), None) => format!("{file}:{line}"),
        (None, _) => line,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        for (seconds, expected) in [(0, "0s"), (59, "59s"), (61, "1m01s"), (3661, "1h01m"), (90_061, "1d01h")]
        {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn sizes_have_the_largest_unit() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn cells_move_no_cursor() {
        let rows = [["a\x1b[2J".to_owned(), "1".to_owned()], ["b\n".to_owned(), "12".to_owned()]];
        assert_eq!(table(["NAME", "N"], &rows, &[1]), "NAME    N\na?[2J   1\nb      12\n");
    }
}
