//! `lotmq topics`: the topics of a broker as a tree, with last values and rates.

mod tree;

use std::time::{Duration, Instant};

use clap::Args;
use data_encoding::BASE64;
use lotmq_client::{Client, PropertyBuf, QoS, RetainHandling, SubscriptionOptions};
use lotmq_connect::ConnectArgs;
use lotmq_router::topic_filter_valid;
use lotmq_terminal::{Colour, Exit, OrMisuse as _, Paint, output, seconds};
use serde_json::{Value, json};

use crate::cmd::connect_as_root;
use crate::interruption::Interruption;
use tree::{HeardTopic, HeardTopics};

/// With --retained, the silence after which all retained messages have come.
const SILENCE: Duration = Duration::from_millis(800);

/// Longest wait until a signal is noticed.
const LOOK: Duration = Duration::from_millis(200);

/// Show the topics of a broker as a tree, with their last values and rates.
///
/// As in: lotmq topics, or of a part for a minute: lotmq topics 'plant/#' --for 60, or what is
/// stored: lotmq topics --retained. Listens for some seconds and then prints; Ctrl-C prints at
/// once. A topic has its last value, its messages per second while it was listened to, and an R
/// where a message is retained. Without -u it listens as root, as in `lotmq cmd`.
///
/// Exit codes: 0 done, 1 the broker refused the subscription, 2 wrong usage, 3 no broker.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct TopicsArgs {
    /// Topic filter, as in plant/+/temperature or $SYS/broker/#
    #[arg(default_value = "#")]
    filter: String,
    /// Seconds to listen for
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    duration: f64,
    /// Retained messages only; ends when all have come, however long that takes
    #[arg(long, conflicts_with = "duration")]
    retained: bool,
    /// Most topics that are kept; messages on further ones are counted
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max: u32,
    /// Print JSON: one object for each topic, one line each, and one with the sums
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn topics(args: &TopicsArgs) -> anyhow::Result<Exit> {
    topic_filter_valid(&args.filter).or_misuse(&format!("`{}` is no topic filter", args.filter))?;
    let mut client = connect_as_root(&args.connect)?;
    let interruption = Interruption::catch()?;
    let options = SubscriptionOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let granted = client.subscribe(&[(&args.filter, options)], PropertyBuf::new().properties())?;
    if let Some(code) = granted.into_iter().find(|code| code.is_failure()) {
        output::error(&format!("the broker refused the subscription to `{}`: {code}", args.filter));
        return Ok(Exit::Failure);
    }
    let mut topics = HeardTopics::new(args.max as usize);
    let elapsed = args.listen(&mut client, &mut topics, &interruption)?;
    client.disconnect()?;
    if args.json {
        print_json(&topics, elapsed)?;
    } else {
        output::painted_line(topics.tree(elapsed, Paint::of_stdout()).trim_end())?;
        output::painted_line(&Paint::of_stdout().text(Colour::Dim, &topics.summary(elapsed)))?;
    }
    Ok(Exit::Success)
}

impl TopicsArgs {
    /// Takes messages until it is time; returns for how long it did.
    fn listen(
        &self,
        client: &mut Client,
        topics: &mut HeardTopics,
        interruption: &Interruption,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut end = began + if self.retained { SILENCE } else { Duration::from_secs_f64(self.duration) };
        while !interruption.has_come() {
            let now = Instant::now();
            if now >= end {
                break;
            }
            let Some(message) = client.receive(LOOK.min(end - now))? else { continue };
            if !self.retained {
                topics.take(&message);
            } else if message.retain {
                topics.take(&message);
                end = Instant::now() + SILENCE;
            }
        }
        Ok(began.elapsed())
    }
}

fn print_json(topics: &HeardTopics, elapsed: Duration) -> anyhow::Result<()> {
    for (name, topic) in topics.all() {
        output::line(&row(name, topic, elapsed).to_string())?;
    }
    let sums = json!({
        "topics": topics.all().count(),
        "messages": topics.messages,
        "messagesOnFurtherTopics": topics.uncounted,
        "seconds": elapsed.as_secs_f64(),
    });
    output::line(&sums.to_string())?;
    Ok(())
}

fn row(name: &str, topic: &HeardTopic, elapsed: Duration) -> Value {
    let mut row = json!({
        "topic": name,
        "bytes": topic.bytes,
        "messages": topic.live,
        "perSecond": topic.rate(elapsed),
        "retained": topic.is_retained,
        "cut": topic.is_cut(),
    });
    match std::str::from_utf8(&topic.payload) {
        Ok(text) => row["payload"] = json!(text),
        Err(_) => row["base64"] = json!(BASE64.encode(&topic.payload)),
    }
    row
}
