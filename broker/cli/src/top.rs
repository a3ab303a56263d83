//! `lotmq top`: what of a broker does most, again and again: clients, topics or definitions by
//! rate, bytes and time.
//!
//! Rates are differences between two readings of what the broker has counted; of topics, what came
//! in between.

mod heard;
mod rates;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use lotmq_client::Client;
use lotmq_connect::ConnectArgs;
use lotmq_router::topic_filter_valid;
use lotmq_terminal::{Colour, Exit, OrMisuse as _, Paint, output, seconds};
use serde_json::{Map, Value, json};

use crate::cmd::{asked, connect_as_root, quoted};
use crate::columns::{cut, table, terminal_size};
use crate::interruption::Interruption;
use crate::watch::{connect_again, is_lost};
use heard::Heard;
use rates::{CountedRow, RATES_OF_CLIENTS, RATES_OF_DEFINITIONS, Rated, RatedColumn, rated};

/// Longest wait until a signal is noticed.
const LOOK: Duration = Duration::from_millis(100);

/// Shortest time between two readings: each asks the broker for all clients or definitions.
const INTERVAL_MIN: f64 = 0.2;

/// Pages of clients that are read: so many thousands.
const PAGES_MAX: usize = 20;

/// Show what of a broker does most: clients, topics or definitions by rate, refreshed again and
/// again.
///
/// As in: lotmq top, which shows clients, or every 10 seconds: lotmq top definitions --interval 10,
/// or once for a script: lotmq top topics --once --json. Clients and definitions are read twice and
/// compared; of topics it counts the messages that come meanwhile, which the broker sends it for
/// that. Without -u it asks as root, as in `lotmq cmd`; others need to be users who may configure
/// the system.
///
/// On a terminal it shows as many rows and columns as that has; elsewhere one table after the
/// other. When the broker goes away, it connects again. Ctrl-C ends it.
///
/// IN is what clients publish, OUT what they are sent. BUSY is the time of a definition's runs as
/// part of one processor, waiting included.
///
/// Exit codes: 0 done, 1 the broker refused, 2 wrong usage, 3 no broker.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct TopArgs {
    /// Kind of rows to show
    #[arg(value_enum, default_value_t = Ranked::Clients)]
    what: Ranked,
    /// Seconds between two readings
    #[arg(long, short = 'n', value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    interval: f64,
    /// Most rows that are shown
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rows: u32,
    /// Of topics, those that match this filter
    #[arg(long, value_name = "TOPIC FILTER", default_value = "#")]
    filter: String,
    /// Show the first rates and end
    #[arg(long)]
    once: bool,
    /// Print JSON: one object a reading, one line each
    #[arg(long)]
    json: bool,
    /// Seconds to wait for each reply
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Kind of rows that are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ranked {
    /// Clients that are connected
    Clients,
    /// Topics on which messages come
    Topics,
    /// Actions, models, scripts and modules
    Definitions,
}

impl Ranked {
    /// Returns the column titles of a row: its name, and its second name.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Clients => ("client", "user"),
            Self::Topics => ("topic", ""),
            Self::Definitions => ("definition", "kind"),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Topics => "topics",
            Self::Definitions => "definitions",
        }
    }
}

/// Outcome of a question to the broker: what it said, or the exit code after that was told.
type Told<T> = anyhow::Result<Result<T, Exit>>;

pub(crate) fn top(args: &TopArgs) -> anyhow::Result<Exit> {
    topic_filter_valid(&args.filter).or_misuse(&format!("`{}` is no topic filter", args.filter))?;
    if args.what != Ranked::Topics && args.filter != "#" {
        return Err(lotmq_terminal::Misuse("--filter is for `lotmq top topics`".to_owned()).into());
    }
    let mut client = connect_as_root(&args.connect)?;
    let interruption = Interruption::catch()?;
    loop {
        let error = match args.follow(&mut client, &interruption) {
            Ok(exit) => {
                client.disconnect().ok();
                return Ok(exit);
            }
            Err(error) => error,
        };
        if args.once || !is_lost(&error) {
            client.disconnect().ok();
            return Err(error);
        }
        output::note(&format!("{}; connecting again", output::chain(&error)));
        match connect_again(&args.connect, &interruption)? {
            Some(again) => client = again,
            None => return Ok(Exit::Success),
        }
        output::note("connected again");
    }
}

impl TopArgs {
    /// Shows rates until a signal comes, or once.
    fn follow(&self, client: &mut Client, interruption: &Interruption) -> anyhow::Result<Exit> {
        match self.what {
            Ranked::Clients => self.compare(client, interruption, clients, RATES_OF_CLIENTS),
            Ranked::Definitions => self.compare(client, interruption, definitions, RATES_OF_DEFINITIONS),
            Ranked::Topics => self.listen(client, interruption),
        }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.interval.max(INTERVAL_MIN))
    }

    /// Reads again and again, and shows the rates between.
    fn compare(
        &self,
        client: &mut Client,
        interruption: &Interruption,
        read: fn(&mut Client, f64) -> Told<Vec<CountedRow>>,
        columns: &[RatedColumn],
    ) -> anyhow::Result<Exit> {
        let mut before = match read(client, self.timeout)? {
            Ok(rows) => (Instant::now(), rows),
            Err(exit) => return Ok(exit),
        };
        loop {
            let end = before.0 + self.interval();
            while Instant::now() < end {
                if interruption.has_come() {
                    return Ok(Exit::Success);
                }
                // Messages that nobody asked for are dropped.
                client.receive(LOOK.min(end.saturating_duration_since(Instant::now())))?;
            }
            let now = match read(client, self.timeout)? {
                Ok(rows) => (Instant::now(), rows),
                Err(exit) => return Ok(exit),
            };
            let elapsed = now.0 - before.0;
            self.show(rated(&before.1, &now.1, columns, elapsed), columns, elapsed)?;
            if self.once {
                return Ok(Exit::Success);
            }
            before = now;
        }
    }

    /// Counts what comes, and shows it again and again.
    fn listen(&self, client: &mut Client, interruption: &Interruption) -> anyhow::Result<Exit> {
        let granted = Heard::subscribe(client, &self.filter)?;
        if granted.is_failure() {
            output::error(&format!("the broker refused the subscription to `{}`: {granted}", self.filter));
            return Ok(Exit::Failure);
        }
        loop {
            let (began, mut heard) = (Instant::now(), Heard::default());
            let end = began + self.interval();
            while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if interruption.has_come() {
                    return Ok(Exit::Success);
                }
                if let Some(message) = client.receive(LOOK.min(left))? {
                    heard.take(&message);
                }
            }
            let elapsed = began.elapsed();
            self.show(heard.rated(elapsed), heard::COLUMNS, elapsed)?;
            if self.once {
                return Ok(Exit::Success);
            }
        }
    }

    fn show(&self, mut rows: Vec<Rated>, columns: &[RatedColumn], elapsed: Duration) -> anyhow::Result<()> {
        rows.sort_by(|a, b| b.rank().total_cmp(&a.rank()).then_with(|| a.name.cmp(&b.name)));
        let all = rows.len();
        let size = if self.once || self.json { None } else { terminal_size() };
        // Beside the rows there are two lines, and the one of the cursor.
        let fitting = size.map_or(usize::MAX, |(_, lines)| lines.saturating_sub(3).max(1));
        rows.truncate(fitting.min(self.rows as usize));
        if self.json {
            let (_, of) = self.what.names();
            let listed: Vec<Value> = rows.iter().map(|row| row.json(of, columns)).collect();
            let mut object = Map::new();
            object.insert("seconds".to_owned(), json!(elapsed.as_secs_f64()));
            object.insert("total".to_owned(), json!(all));
            object.insert(self.what.word().to_owned(), Value::Array(listed));
            output::line(&Value::Object(object).to_string())?;
            return Ok(());
        }
        let paint = Paint::of_stdout();
        let summary = format!("{} of {all} {}, {:.1} s", rows.len(), self.what.word(), elapsed.as_secs_f64());
        let width = size.map_or(usize::MAX, |(columns, _)| columns);
        let table = self.table(&rows, columns, false);
        // Too wide lines are cut off at the right, so names move to the left then.
        let is_narrow = table.lines().any(|line| line.chars().count() > width);
        let table = if is_narrow { self.table(&rows, columns, true) } else { table };
        let table: String = table.lines().map(|line| cut(line, width) + "\n").collect();
        let screen = format!("{}\n{table}", paint.text(Colour::Dim, &cut(&summary, width)));
        // To the upper left corner, and everything away that was there.
        let clears = !self.once && io::stdout().is_terminal();
        if clears {
            output::clear_screen()?;
        }
        output::painted_line(screen.trim_end())?;
        if !clears && !self.once {
            output::line("")?;
        }
        Ok(())
    }

    /// The rows with their figures, and their names behind them or in front.
    fn table(&self, rows: &[Rated], columns: &[RatedColumn], names_first: bool) -> String {
        let (name, of) = self.what.names();
        let names = [name.to_uppercase(), of.to_uppercase()];
        let line = |figures: Vec<String>, names: [String; 2]| {
            let mut cells = if names_first {
                [names.to_vec(), figures].concat()
            } else {
                [figures, names.to_vec()].concat()
            };
            cells.resize(rates::COLUMNS_MAX + 2, String::new());
            <[String; rates::COLUMNS_MAX + 2]>::try_from(cells).unwrap_or_default()
        };
        let head = line(columns.iter().map(|column| column.title.to_owned()).collect(), names);
        let cells: Vec<_> =
            rows.iter().map(|row| line(row.cells(columns), [row.name.clone(), row.of.clone()])).collect();
        let first = if names_first { 2 } else { 0 };
        let right: Vec<usize> = (first..first + columns.len()).collect();
        table(head.each_ref().map(String::as_str), &cells, &right)
    }
}

/// Connected clients, by what they have sent and were sent.
fn clients(client: &mut Client, timeout: f64) -> Told<Vec<CountedRow>> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..PAGES_MAX {
        let behind = cursor.as_deref().map(quoted).unwrap_or_default();
        let mut reply = match asked(client, &format!("-listClients \"\" {behind}"), timeout)? {
            Ok(reply) => reply,
            Err(exit) => return Ok(Err(exit)),
        };
        let data = reply["data"].take();
        let page = data["clients"].as_array().map_or(&[][..], Vec::as_slice);
        rows.extend(page.iter().map(|row| CountedRow::of(row, ("clientId", "username"), RATES_OF_CLIENTS)));
        cursor = data["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(Ok(rows))
}

/// Definitions, by what they have done.
fn definitions(client: &mut Client, timeout: f64) -> Told<Vec<CountedRow>> {
    let reply = match asked(client, "-listRuns", timeout)? {
        Ok(reply) => reply,
        Err(exit) => return Ok(Err(exit)),
    };
    let rows = reply["data"]["definitions"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(Ok(rows.iter().map(|row| CountedRow::of(row, ("name", "type"), RATES_OF_DEFINITIONS)).collect()))
}
