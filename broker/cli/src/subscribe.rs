//! `lotmq sub`: subscribes and prints what comes; a stand-in for `mosquitto_sub`.

mod format;
mod pretty;

use std::time::{Duration, Instant};

use clap::Args;
use lotmq_client::{
    Client, Message, PropertyPlace, Publication, ReasonCode, RetainHandling, SubscriptionOptions,
};
use lotmq_connect::{ConnectArgs, Quality, SessionArgs, qos};
use lotmq_router::{filter_matches, topic_filter_valid};
use lotmq_terminal::{Exit, Misuse, OrMisuse as _, output, seconds};

use crate::interruption::Interruption;
use crate::lasting_connection::{LOOK, LastingConnection};
use crate::system_topics::{RefusedUse, need};
pub(crate) use format::Format;

/// Subscribe and print messages; options that mosquitto_sub has too are named as there.
///
/// As in: lotmq sub -t 'plant/#' -v, or: lotmq sub -t orders -F '%t %C %P' --pretty. When the
/// broker goes away, it connects again, with pauses of up to 8 s between the attempts. A refused
/// subscription is told, and the others go on. Ctrl-C and SIGTERM end it with a goodbye to the
/// broker, so that no Will is sent.
///
/// Exit codes: 0 done or ended by a signal, 1 a subscription was refused, 2 wrong usage, 3 no
/// broker, 27 the time of -W is over.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct SubArgs {
    /// Topic filter, as in plant/+/temperature or plant/#; may be given several times
    #[arg(short = 't', long = "topic")]
    topics: Vec<String>,
    /// Print nothing of topics that match this filter; may be given several times
    #[arg(short = 'T', long = "filter-out")]
    filtered_out: Vec<String>,
    /// Filter to unsubscribe from, as for a kept session; may be given several times
    #[arg(short = 'U', long = "unsubscribe")]
    unsubscribe: Vec<String>,
    /// Highest QoS to receive with: 0, 1 or 2
    #[arg(short = 'q', long, value_parser = qos, default_value = "0")]
    qos: Quality,
    /// End after this many messages
    #[arg(short = 'C', long)]
    count: Option<u64>,
    /// End after this many seconds, with exit code 27
    #[arg(short = 'W', long, value_parser = seconds)]
    timeout: Option<f64>,
    /// End once subscribed, to make a kept session
    #[arg(short = 'E', long)]
    exit_after_subscribe: bool,
    /// Print the topic before the payload; means nothing beside -F
    #[arg(short = 'v', long)]
    verbose: bool,
    #[allow(rustdoc::invalid_html_tags, reason = "shown by --help, where it is plain text")]
    /// How to print: %t topic, %p payload, %x payload in hex, %l its length, %q QoS, %r retain, %m
    /// packet id, %I and %U time, %j and %J JSON, %C content type, %D correlation data, %E expiry,
    /// %F payload format, %P user properties, %R response topic, %S subscription identifiers, %A
    /// topic alias, \n line break
    #[arg(short = 'F', long, value_parser = Format::parse)]
    format: Option<Format>,
    /// Print JSON over several lines: payloads, and %j
    #[arg(long)]
    pretty: bool,
    /// No line break after each message
    #[arg(short = 'N')]
    no_line_break: bool,
    /// Skip retained messages
    #[arg(short = 'R', conflicts_with = "retained_only")]
    no_retained: bool,
    /// Print retained messages only
    #[arg(long)]
    retained_only: bool,
    /// Remove every retained message that comes
    #[arg(long)]
    remove_retained: bool,
    /// Do not get what this client publishes itself; implies version 5
    #[arg(long)]
    no_local: bool,
    /// Say nothing of connections that are lost and made again
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

pub(crate) fn subscribe(args: &SubArgs) -> anyhow::Result<Exit> {
    let filters = args.filters();
    if filters.is_empty() && args.unsubscribe.is_empty() {
        return Err(Misuse("no topic; give one with -t".to_owned()).into());
    }
    for filter in &filters {
        topic_filter_valid(filter).or_misuse(&format!("`{filter}` is no topic filter"))?;
    }
    let properties = &args.session.properties;
    properties.refuse(PropertyPlace::PublishFromClient, "lotmq sub")?;
    let mut connect = args.connect.clone();
    if args.no_local {
        connect.login.needs_version_5("--no-local")?;
    }
    let interruption = Interruption::catch()?;
    let mut connection = LastingConnection::open(connect, &args.session, args.quiet)?;
    let granted = args.make_subscriptions(&mut connection.client, &filters)?;
    let exit = if granted.is_nothing() {
        Exit::Failure
    } else if args.exit_after_subscribe || filters.is_empty() {
        Exit::Success
    } else {
        match args.print_messages(&mut connection, &filters, &interruption)? {
            Some(exit) => exit,
            // It ended while there was no connection, so that nobody has to be told.
            None => return Ok(Exit::Success),
        }
    };
    let goodbye = properties.of(PropertyPlace::DisconnectFromClient);
    connection.client.disconnect_with(ReasonCode::Success, goodbye.properties())?;
    Ok(if granted.refused > 0 { Exit::Failure } else { exit })
}

/// How many of the subscriptions came about.
#[derive(Clone, Copy, Debug, Default)]
struct Granted {
    granted: usize,
    refused: usize,
}

impl Granted {
    /// Whether subscriptions were wanted and none is left to wait for.
    fn is_nothing(self) -> bool {
        self.granted == 0 && self.refused > 0
    }
}

/// How far printing has come.
struct Progress<'a> {
    interruption: &'a Interruption,
    /// Messages that are left to print; `None` for any number.
    left: Option<u64>,
    deadline: Option<Instant>,
}

impl SubArgs {
    fn filters(&self) -> Vec<&str> {
        let url_topic = self.connect.login.url.as_ref().and_then(|url| url.topic());
        self.topics.iter().map(String::as_str).chain(url_topic).collect()
    }

    fn make_subscriptions(&self, client: &mut Client, filters: &[&str]) -> anyhow::Result<Granted> {
        if !self.unsubscribe.is_empty() {
            let filters: Vec<&str> = self.unsubscribe.iter().map(String::as_str).collect();
            client.unsubscribe(&filters)?;
        }
        let mut granted = Granted::default();
        if filters.is_empty() {
            return Ok(granted);
        }
        let options = SubscriptionOptions {
            qos: self.qos,
            no_local: self.no_local,
            retain_as_published: false,
            retain_handling: if self.no_retained { RetainHandling::DoNotSend } else { RetainHandling::Send },
        };
        let wanted: Vec<(&str, SubscriptionOptions)> =
            filters.iter().map(|filter| (*filter, options)).collect();
        let properties = self.session.properties.of(PropertyPlace::Subscribe);
        let codes = client.subscribe(&wanted, properties.properties())?;
        for (filter, code) in filters.iter().zip(codes) {
            if code.is_failure() {
                granted.refused += 1;
                let hint = need(RefusedUse::Subscribe, filter, code, &self.connect.login);
                output::error(&format!("the broker refused the subscription to `{filter}`: {code}{hint}"));
            } else {
                granted.granted += 1;
                self.connect.login.debug(&format!("subscribed to `{filter}`: {code}"));
            }
        }
        Ok(granted)
    }
    /// Prints messages to the end, over as many connections as it takes; `None` when a signal came
    /// between two of them.
    fn print_messages(
        &self,
        connection: &mut LastingConnection<'_>,
        filters: &[&str],
        interruption: &Interruption,
    ) -> anyhow::Result<Option<Exit>> {
        let deadline = self.timeout.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
        let mut progress = Progress { left: self.count, deadline, interruption };
        let mut outcome = self.print_until_lost(&mut connection.client, &mut progress);
        loop {
            let lost = match outcome {
                Ok(exit) => return Ok(Some(exit)),
                Err(error) => error,
            };
            if !connection.reopen(lost, deadline, interruption)? {
                return Ok((!interruption.has_come()).then_some(Exit::TimeOver));
            }
            outcome = self.resume(&mut connection.client, filters, &mut progress);
        }
    }

    /// Goes on after a loss; a session that the broker kept has its subscriptions.
    fn resume(
        &self,
        client: &mut Client,
        filters: &[&str],
        progress: &mut Progress<'_>,
    ) -> anyhow::Result<Exit> {
        if !client.session_present() && self.make_subscriptions(client, filters)?.is_nothing() {
            return Ok(Exit::Failure);
        }
        self.print_until_lost(client, progress)
    }

    fn print_until_lost(&self, client: &mut Client, progress: &mut Progress<'_>) -> anyhow::Result<Exit> {
        let format = self.format();
        while progress.left != Some(0) && !progress.interruption.has_come() {
            let until = progress.deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match client.receive(until.map_or(LOOK, |until| until.min(LOOK)))? {
                Some(message) if self.wants(&message) => {
                    output::bytes(&format.render(&message, jiff::Timestamp::now()))?;
                    progress.left = progress.left.map(|count| count - 1);
                    self.forget(client, &message)?;
                }
                Some(_) => {}
                None if progress.deadline.is_some_and(|at| at <= Instant::now()) => {
                    return Ok(Exit::TimeOver);
                }
                None => {}
            }
        }
        Ok(Exit::Success)
    }

    fn format(&self) -> Format {
        let format = match &self.format {
            Some(format) => format.clone(),
            None => Format::plain(self.verbose),
        };
        let format = if self.no_line_break { format.without_line_break() } else { format };
        if self.pretty { format.pretty() } else { format }.for_terminal()
    }

    fn wants(&self, message: &Message) -> bool {
        let is_filtered = self.filtered_out.iter().any(|filter| filter_matches(filter, &message.topic));
        let retain_fits = if message.retain { !self.no_retained } else { !self.retained_only };
        !is_filtered && retain_fits
    }

    fn forget(&self, client: &mut Client, message: &Message) -> anyhow::Result<()> {
        if self.remove_retained && message.retain {
            client.publish(&Publication::new(&message.topic, "").retained())?;
        }
        Ok(())
    }
}
