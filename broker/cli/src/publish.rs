//! `lotmq pub`: publishes messages; a stand-in for `mosquitto_pub`.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use lotmq_client::{
    ClientError, PacketId, PropertyBuf, PropertyPlace, ProtocolVersion, Publication, QoS, ReasonCode,
};
use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_connect::{ConnectArgs, Quality, SessionArgs, qos};
use lotmq_router::topic_name_valid;
use lotmq_terminal::{Exit, Misuse, OrMisuse as _, output, seconds};

use crate::columns::{TOPIC_SHOWN_CHARS, cut};
use crate::interruption::Interruption;
use crate::lasting_connection::LastingConnection;
use crate::system_topics::{RefusedUse, need};

/// Lines of `-l` that may wait for their acknowledgement; below every server's Receive Maximum that
/// we know of.
const IN_FLIGHT_MAX: usize = 16;

/// Lines of `-l` that are read before there is room for them on their way.
const LINES_AHEAD_MAX: usize = 64;

/// Longest time without a look at what the broker has sent, and whether it is time for a sign of
/// life.
const SERVE_EVERY: Duration = Duration::from_millis(50);

/// Connections of `-l` that end one after the other without that anything was acknowledged, or sent
/// at QoS 0, after which it may be the messages that end them.
const VAIN_CONNECTIONS_MAX: u32 = 5;

/// Publish messages; options that mosquitto_pub has too are named as there.
///
/// As in: lotmq pub -t plant/press3/temperature -q 1 -m 81, or: lotmq pub -t orders -q 1 -f
/// order.json -D publish content-type application/json. It speaks MQTT 5.0, and 3.1.1 with a broker
/// that knows no other. At QoS 0, and before 5.0, a broker cannot say that it refused a message:
/// then 0 means sent. With -l it connects again when the broker goes away, with pauses of up to 8 s
/// between the attempts, and sends what was not acknowledged once more; not with both -q 2 and -c.
/// A line that is refused is told with its number, and the next ones are sent.
///
/// Exit codes: 0 published, 1 refused by the broker, with -l one line or more, or the file cannot
/// be read, 2 wrong usage, 3 no broker.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct PubArgs {
    /// Topic to publish to
    #[arg(short = 't', long)]
    topic: Option<String>,
    #[command(flatten)]
    payload: PayloadArgs,
    /// A message for each line of standard input
    #[arg(short = 'l', long, conflicts_with = "PayloadArgs")]
    stdin_line: bool,
    /// QoS: 0, 1 or 2
    #[arg(short = 'q', long, value_parser = qos, default_value = "0")]
    qos: Quality,
    /// Have the broker keep the message for later subscribers
    #[arg(short = 'r', long)]
    retain: bool,
    /// Publish the message this many times
    #[arg(long, default_value_t = 1, conflicts_with = "stdin_line")]
    repeat: u64,
    /// Seconds between repeats
    #[arg(long, default_value_t = 0.0, value_parser = seconds)]
    repeat_delay: f64,
    /// No hint at the terminal where the broker cannot say that it refused a message, and nothing
    /// of connections that are lost and made again
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

/// Source of the payload: one at most.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct PayloadArgs {
    /// Payload
    #[arg(short = 'm', long, allow_hyphen_values = true)]
    message: Option<String>,
    /// Payload: content of this file
    #[arg(short = 'f', long)]
    file: Option<PathBuf>,
    /// Payload: all of standard input
    #[arg(short = 's', long)]
    stdin_file: bool,
    /// An empty payload; with -r it removes the retained message
    #[arg(short = 'n', long)]
    null_message: bool,
}

pub(crate) fn publish(args: &PubArgs) -> anyhow::Result<Exit> {
    let url_topic = args.connect.login.url.as_ref().and_then(|url| url.topic().map(str::to_owned));
    let Some(topic) = args.topic.clone().or(url_topic) else {
        return Err(Misuse("no topic; give one with -t".to_owned()).into());
    };
    topic_name_valid(&topic)
        .or_misuse(&format!("`{}` is no topic to publish to", cut(&topic, TOPIC_SHOWN_CHARS)))?;
    // Before connecting, so that an unreadable file is told as that.
    let payload = if args.stdin_line { None } else { Some(args.payload.read()?) };
    let mut publication = Publication::new(topic.clone(), payload.unwrap_or_default()).qos(args.qos);
    publication.retain = args.retain;
    let properties = &args.session.properties;
    properties.refuse(PropertyPlace::Subscribe, "lotmq pub")?;
    publication.properties = properties.of(PropertyPlace::PublishFromClient);
    let connection = LastingConnection::open(args.connect.clone(), &args.session, args.quiet)?;
    // In a script nobody reads it, and it comes with each run.
    let is_read = !args.quiet && io::stderr().is_terminal();
    let hint = if is_read { silence(connection.client.version(), args.qos) } else { None };
    let goodbye = properties.of(PropertyPlace::DisconnectFromClient);
    // A session that is kept would take what is sent again, with the identifiers of another
    // connection, for what it knows by them.
    let is_kept = args.session.disable_clean_session && args.qos == QoS::ExactlyOnce;
    let mut sender = Sender::new(connection, args.stdin_line && !is_kept, args.stdin_line);
    if args.stdin_line {
        send_lines(&mut sender, publication)?;
    } else {
        send_repeatedly(&mut sender, &publication, args)?;
    }
    let exit =
        sender.finish(&goodbye, |reason| need(RefusedUse::Publish, &topic, reason, &args.connect.login))?;
    hint.into_iter().for_each(output::note);
    Ok(exit)
}

/// Returns the note for versions and QoS levels at which a broker cannot report a refusal.
fn silence(version: ProtocolVersion, qos: Quality) -> Option<&'static str> {
    match (version, qos) {
        (_, QoS::AtMostOnce) => Some(
            "note: sent; at QoS 0 a broker cannot say whether it refused a message (-q 1 asks for an answer, --quiet leaves this out)",
        ),
        (ProtocolVersion::V5, _) => None,
        (ProtocolVersion::V3_1 | ProtocolVersion::V3_1_1, _) => Some(
            "note: sent; before MQTT 5.0 a broker cannot say whether it refused a message (--quiet leaves this out)",
        ),
    }
}

fn send_lines(sender: &mut Sender<'_>, mut publication: Publication) -> anyhow::Result<()> {
    let lines = lines_of_stdin()?;
    loop {
        match lines.recv_timeout(SERVE_EVERY) {
            Ok(line) => {
                publication.payload = line.context("cannot read standard input")?;
                sender.send(&publication)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        sender.serve()?;
    }
}

/// Lines of standard input, without their ends. A thread reads them, as the connection is served
/// while there is none; it ends with the process at the latest.
fn lines_of_stdin() -> anyhow::Result<Receiver<io::Result<Vec<u8>>>> {
    let (tx, rx) = sync_channel(LINES_AHEAD_MAX);
    let read = move || {
        for line in io::stdin().lock().split(b'\n') {
            let is_last = line.is_err();
            // Nobody receives any more when sending has ended with an error.
            if tx.send(line).is_err() || is_last {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("standard input".to_owned())
        .spawn(read)
        .context("cannot start a thread for standard input")?;
    Ok(rx)
}

fn send_repeatedly(sender: &mut Sender<'_>, publication: &Publication, args: &PubArgs) -> anyhow::Result<()> {
    let delay = Duration::from_secs_f64(args.repeat_delay);
    for round in 0..args.repeat {
        if round > 0 {
            sender.serve_for(delay)?;
        }
        sender.send(publication)?;
    }
    Ok(())
}

impl PayloadArgs {
    /// The payload.
    ///
    /// # Errors
    /// [`Misuse`] when no option says where it comes from; when its file cannot be read.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(path) = &self.file {
            let cannot_read = || format!("cannot read {}", path.display());
            let file = std::fs::File::open(path).with_context(cannot_read)?;
            return read_bounded(file, &path.display()).with_context(cannot_read);
        }
        if self.stdin_file {
            return read_bounded(io::stdin().lock(), &"standard input").context("cannot read standard input");
        }
        match &self.message {
            Some(message) => Ok(message.clone().into_bytes()),
            None if self.null_message => Ok(Vec::new()),
            None => {
                Err(Misuse("no payload; give one with -m, -f or -s, or an empty one with -n".to_owned())
                    .into())
            }
        }
    }
}

/// Reads all of it, up to what no packet holds.
fn read_bounded(input: impl io::Read, what: &dyn std::fmt::Display) -> anyhow::Result<Vec<u8>> {
    let mut payload = Vec::new();
    input.take(u64::from(PACKET_BYTES_MAX)).read_to_end(&mut payload)?;
    anyhow::ensure!(
        payload.len() < PACKET_BYTES_MAX as usize,
        "{what} is longer than any message, which has at most {PACKET_BYTES_MAX} bytes with all that belongs to it"
    );
    Ok(payload)
}

/// Message that is not acknowledged.
struct Waiting {
    id: PacketId,
    publication: Publication,
    /// Its place among those that were to be sent, from 1.
    number: u64,
}

/// Publishes with a few messages in flight, and remembers refusals.
struct Sender<'a> {
    connection: LastingConnection<'a>,
    /// Whether it connects again when the connection is lost.
    comes_back: bool,
    /// Whether each message is a line, whose refusal is told with its number and ends nothing.
    has_lines: bool,
    /// Messages that were to be sent.
    count: u64,
    /// Connections that were lost with messages on their way since something was acknowledged.
    vain: u32,
    /// Messages that are not acknowledged, in their order.
    waiting: VecDeque<Waiting>,
    acknowledged: u64,
    /// Whether there were messages that nobody acknowledges.
    has_unanswered: bool,
    /// Reason of the first refusal, and their number.
    refused: Option<(ReasonCode, u64)>,
    /// Lines that are nothing which can be sent there.
    unsent: u64,
    /// When the connection was served last.
    served_at: Instant,
}

impl<'a> Sender<'a> {
    fn new(connection: LastingConnection<'a>, comes_back: bool, has_lines: bool) -> Self {
        Self {
            connection,
            comes_back,
            has_lines,
            count: 0,
            vain: 0,
            waiting: VecDeque::new(),
            acknowledged: 0,
            has_unanswered: false,
            refused: None,
            unsent: 0,
            served_at: Instant::now(),
        }
    }

    fn send(&mut self, publication: &Publication) -> anyhow::Result<()> {
        while self.waiting.len() >= IN_FLIGHT_MAX {
            self.wait_for_oldest()?;
        }
        self.count += 1;
        let number = self.count;
        loop {
            match self.connection.client.send_publish(publication) {
                Ok(Some(id)) => {
                    self.waiting.push_back(Waiting { id, publication: publication.clone(), number });
                }
                // Nobody acknowledges it, and it does not come again.
                Ok(None) => (self.vain, self.has_unanswered) = (0, true),
                Err(error) if self.has_lines && is_of_message(&error) => self.cannot_send(number, &error),
                Err(error) => {
                    self.lost(error)?;
                    continue;
                }
            }
            return Ok(());
        }
    }

    /// Serves the connection while there is nothing to send.
    fn serve_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SERVE_EVERY));
            self.serve()?;
        }
    }

    /// Takes what the broker has sent, and gives a sign of life where it is time for one; now and
    /// then, as looking takes a moment.
    fn serve(&mut self) -> anyhow::Result<()> {
        if self.served_at.elapsed() < SERVE_EVERY {
            return Ok(());
        }
        let served = loop {
            // A kept session may have subscriptions; what comes of them is for nobody here.
            match self.connection.client.receive(Duration::ZERO) {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Acknowledgements that came before the end count.
        self.take_acknowledged();
        self.served_at = Instant::now();
        let Err(error) = served else { return Ok(()) };
        if self.waiting.is_empty() {
            // No message has ended it.
            self.vain = 0;
        }
        self.lost(error)
    }

    fn take_acknowledged(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            match self.connection.client.take_published(waiting.id) {
                Some(reason) => self.acknowledged(waiting.number, reason),
                None => self.waiting.push_back(waiting),
            }
        }
    }

    /// Waits until the broker has acknowledged the oldest message, however many connections that
    /// takes.
    fn wait_for_oldest(&mut self) -> anyhow::Result<()> {
        while let Some(Waiting { id, number, .. }) = self.waiting.front() {
            let number = *number;
            match self.connection.client.wait_published(*id) {
                Ok(reason) => {
                    self.waiting.pop_front();
                    self.acknowledged(number, reason);
                    break;
                }
                Err(error) => {
                    self.take_acknowledged();
                    self.lost(error)?;
                }
            }
        }
        Ok(())
    }

    fn acknowledged(&mut self, number: u64, reason: ReasonCode) {
        (self.vain, self.acknowledged) = (0, self.acknowledged + 1);
        if !reason.is_failure() {
            return;
        }
        self.refused.get_or_insert((reason, 0)).1 += 1;
        if self.has_lines {
            output::error(&format!("line {number}: the broker refused the message: {reason}"));
        }
    }

    /// A line that is nothing which can be sent there, such as one that is longer than the broker
    /// takes.
    fn cannot_send(&mut self, number: u64, error: &ClientError) {
        self.unsent += 1;
        output::error(&format!("line {number}: {error}"));
    }

    /// Connects again, and sends again what was not acknowledged.
    fn lost(&mut self, mut error: ClientError) -> anyhow::Result<()> {
        loop {
            self.reopen(error)?;
            match self.send_again() {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
    }

    fn reopen(&mut self, error: ClientError) -> anyhow::Result<()> {
        let error = anyhow::Error::from(error);
        if !self.comes_back {
            return Err(error);
        }
        self.vain += 1;
        let (acknowledged, waiting) = (self.acknowledged, self.waiting.len());
        let told = move |error: anyhow::Error| match acknowledged + waiting as u64 {
            0 => error,
            _ => {
                error.context(format!("{acknowledged} lines were acknowledged, {waiting} were on their way"))
            }
        };
        if self.vain >= VAIN_CONNECTIONS_MAX {
            return Err(told(error));
        }
        self.connection.reopen(error, None, &Interruption::never()).map_err(told)?;
        Ok(())
    }

    /// Sends all that waits on a new connection, which knows nothing of the old identifiers.
    fn send_again(&mut self) -> Result<(), ClientError> {
        let mut place = 0;
        while let Some(waiting) = self.waiting.get_mut(place) {
            match self.connection.client.send_publish(&waiting.publication) {
                Ok(id) => {
                    waiting.id = id.expect("only what is acknowledged waits");
                    place += 1;
                }
                Err(error) if self.has_lines && is_of_message(&error) => {
                    let number = waiting.number;
                    self.waiting.remove(place);
                    self.cannot_send(number, &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends when all is acknowledged; `need` says of the reason of a refusal what the topic takes.
    fn finish(
        mut self,
        goodbye: &PropertyBuf,
        need: impl FnOnce(ReasonCode) -> String,
    ) -> anyhow::Result<Exit> {
        while !self.waiting.is_empty() {
            self.wait_for_oldest()?;
        }
        let said = self.connection.client.disconnect_with(ReasonCode::Success, goodbye.properties());
        // After the last acknowledgement it does no harm if the broker is gone.
        let is_said_wrong = matches!(said, Err(ClientError::Encode(_) | ClientError::TooLarge { .. }));
        if self.has_unanswered || is_said_wrong {
            said?;
        }
        let bad = self.unsent + self.refused.map_or(0, |(_, count)| count);
        match self.refused {
            _ if bad == 0 => return Ok(Exit::Success),
            Some((reason, _)) if !self.has_lines => {
                output::error(&format!("the broker refused the message: {reason}{}", need(reason)));
            }
            Some(_) | None => output::error(&format!("{bad} of {} lines were refused", self.count)),
        }
        Ok(Exit::Failure)
    }
}

/// Whether an error is about this message, and leaves the connection as it is.
fn is_of_message(error: &ClientError) -> bool {
    matches!(error, ClientError::TooLarge { .. })
}
