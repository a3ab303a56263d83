//! `lotmq sub`: subscribes and prints what comes; a stand-in for `mosquitto_sub`.

mod format;

use std::time::{Duration, Instant};

use clap::Args;
use lotmq_client::{Client, Message, Publication, RetainHandling, SubscriptionOptions};
use lotmq_connect::{ConnectArgs, Quality, SessionArgs, qos};
use lotmq_router::{filter_matches, topic_filter_valid};
use lotmq_terminal::{Exit, Misuse, OrMisuse as _, output, seconds};

use format::Format;

/// Subscribe and print messages; options that mosquitto_sub has too are named as there.
///
/// Exit codes: 0 done, 1 a subscription was refused, 2 wrong usage, 3 no broker, 27 the time of -W is over.
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
    /// Print the topic before the payload
    #[arg(short = 'v', long)]
    verbose: bool,
    #[allow(rustdoc::invalid_html_tags, reason = "shown by --help, where it is plain text")]
    /// How to print: %t topic, %p payload, %x payload in hex, %l its length, %q QoS, %r retain, %m packet id, %I and %U time, %j and %J JSON, %C %D %E %F %P %R %S properties, \n line break
    #[arg(short = 'F', long, value_parser = Format::parse, conflicts_with = "verbose")]
    format: Option<Format>,
    /// No line break after the payload
    #[arg(short = 'N', conflicts_with = "format")]
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
    let mut connect = args.connect.clone();
    if args.no_local {
        connect.login.needs_version_5("--no-local")?;
    }
    let mut client = connect.connect(&args.session)?;
    if !args.make_subscriptions(&mut client, &filters)? {
        return Ok(Exit::Failure);
    }
    let exit = if args.exit_after_subscribe || filters.is_empty() {
        Exit::Success
    } else {
        args.print_messages(&mut client)?
    };
    client.disconnect()?;
    Ok(exit)
}

impl SubArgs {
    fn filters(&self) -> Vec<&str> {
        let url_topic = self.connect.login.url.as_ref().and_then(|url| url.topic());
        self.topics.iter().map(String::as_str).chain(url_topic).collect()
    }

    /// Whether every filter was granted.
    fn make_subscriptions(&self, client: &mut Client, filters: &[&str]) -> anyhow::Result<bool> {
        if !self.unsubscribe.is_empty() {
            let filters: Vec<&str> = self.unsubscribe.iter().map(String::as_str).collect();
            client.unsubscribe(&filters)?;
        }
        if filters.is_empty() {
            return Ok(true);
        }
        let options = SubscriptionOptions {
            qos: self.qos,
            no_local: self.no_local,
            retain_as_published: false,
            retain_handling: if self.no_retained { RetainHandling::DoNotSend } else { RetainHandling::Send },
        };
        let wanted: Vec<(&str, SubscriptionOptions)> =
            filters.iter().map(|filter| (*filter, options)).collect();
        let codes = client.subscribe(&wanted, lotmq_client::PropertyBuf::new().properties())?;
        let mut is_granted = true;
        for (filter, code) in filters.iter().zip(codes) {
            if code.is_failure() {
                is_granted = false;
                output::error(&format!("the broker refused the subscription to `{filter}`: {code}"));
            } else {
                self.connect.login.debug(&format!("subscribed to `{filter}`: {code}"));
            }
        }
        Ok(is_granted)
    }

    fn print_messages(&self, client: &mut Client) -> anyhow::Result<Exit> {
        let deadline = self.timeout.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
        let format = self.format();
        let mut left = self.count;
        while left != Some(0) {
            let wait =
                deadline.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
            match client.receive(wait)? {
                Some(message) if self.wants(&message) => {
                    output::bytes(&format.render(&message, jiff::Timestamp::now()))?;
                    self.forget(client, &message)?;
                    left = left.map(|count| count - 1);
                }
                Some(_) => {}
                None if deadline.is_some_and(|at| at <= Instant::now()) => return Ok(Exit::TimeOver),
                None => {}
            }
        }
        Ok(Exit::Success)
    }

    fn format(&self) -> Format {
        match &self.format {
            Some(format) => format.clone(),
            None => Format::plain(self.verbose, !self.no_line_break),
        }
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
