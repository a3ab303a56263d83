//! `lotmq request`: sends a request and prints the answer; a stand-in for `mosquitto_rr`.

use std::time::{Duration, Instant};

use clap::Args;
use lotmq_client::{Client, Message, PropertyId, PropertyPlace, PropertyValue, Publication, ReasonCode};
use lotmq_connect::{ConnectArgs, Quality, SessionArgs, qos, random_text};
use lotmq_router::topic_name_valid;
use lotmq_terminal::{Exit, Misuse, OrMisuse as _, output, seconds};

use crate::columns::{TOPIC_SHOWN_CHARS, cut};
use crate::publish::PayloadArgs;
use crate::subscribe::Format;

/// Send a request and print the answer, by the response topic and correlation data of MQTT 5.0.
///
/// As in: lotmq request -t machines/press3/serial -n, or: lotmq request -t orders/new -m
/// '{"item":7}' --timeout 30 --pretty. The answer comes from an action with REPLY WITH, or from any
/// client of 5.0. It is published to the response topic of the request and repeats its correlation
/// data.
///
/// Exit codes: 0 answered, 1 refused by the broker or the file cannot be read, 2 wrong usage, 3 no
/// broker, 27 no answer in time.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct RequestArgs {
    /// Topic of the request
    #[arg(short = 't', long)]
    topic: Option<String>,
    #[command(flatten)]
    payload: PayloadArgs,
    /// QoS of the request and, at most, of the answer: 0, 1 or 2
    #[arg(short = 'q', long, value_parser = qos, default_value = "1")]
    qos: Quality,
    /// Topic of the answer [default: lotmq/answers/ and random characters]
    #[arg(short = 'e', long, value_name = "TOPIC")]
    response_topic: Option<String>,
    /// Seconds to wait for the answer
    #[arg(short = 'W', long, default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
    /// How to print the answer, as with lotmq sub
    #[arg(short = 'F', long, value_parser = Format::parse)]
    format: Option<Format>,
    /// Print JSON over several lines: the payload, and %j
    #[arg(long)]
    pretty: bool,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

pub(crate) fn request(args: &RequestArgs) -> anyhow::Result<Exit> {
    let question = args.question()?;
    let mut connect = args.connect.clone();
    connect.login.needs_version_5("lotmq request")?;
    let mut client = connect.connect(&args.session)?;
    let granted = client.subscribe_to(&question.response_topic, args.qos)?;
    if granted.is_failure() {
        let topic = &question.response_topic;
        output::error(&format!(
            "the broker refused the subscription to `{topic}`, for the answer: {granted}"
        ));
        client.disconnect()?;
        return Ok(Exit::Failure);
    }
    let exit = answered(args, &question, &mut client)?;
    client.disconnect()?;
    Ok(exit)
}

fn answered(args: &RequestArgs, question: &Question, client: &mut Client) -> anyhow::Result<Exit> {
    let deadline = Instant::now() + Duration::from_secs_f64(args.timeout);
    let told = client.publish(&question.publication)?;
    if told.is_failure() {
        output::error(&format!("the broker refused the request: {told}"));
        return Ok(Exit::Failure);
    }
    let Some(answer) = question.wait(client, deadline)? else {
        output::error(&question.unanswered(told, args));
        return Ok(Exit::TimeOver);
    };
    output::bytes(&args.format().render(&answer, jiff::Timestamp::now()))?;
    Ok(Exit::Success)
}

/// A request and what its answer is known by.
struct Question {
    publication: Publication,
    response_topic: String,
    /// Whether nobody else knows the response topic, so that an answer without correlation data is
    /// ours too.
    is_own_topic: bool,
    correlation_data: Vec<u8>,
}

impl Question {
    /// Returns the message for a request without an answer: whether a client got the request, as
    /// far as the broker reports it, and the topic of the missing answer.
    fn unanswered(&self, told: ReasonCode, args: &RequestArgs) -> String {
        let heard = if told == ReasonCode::NoMatchingSubscribers {
            format!(
                "no client is subscribed to `{}`, so no client got the request; of an action or a module that answers it, lotmq watch shows what failed",
                self.publication.topic
            )
        } else if args.qos == Quality::AtMostOnce {
            "whether anybody got the request is told with -q 1 only".to_owned()
        } else {
            "the broker has handed the request to somebody".to_owned()
        };
        let timeout = args.timeout;
        format!("no answer within {timeout} s; {heard}; it was waited for at `{}`", self.response_topic)
    }

    fn wait(&self, client: &mut Client, deadline: Instant) -> anyhow::Result<Option<Message>> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match client.receive(left)? {
                Some(message) if self.is_answer(&message) => return Ok(Some(message)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    fn is_answer(&self, message: &Message) -> bool {
        let data = message.properties().correlation_data();
        data.map_or(self.is_own_topic, |data| data == self.correlation_data)
    }
}

impl RequestArgs {
    fn question(&self) -> anyhow::Result<Question> {
        let url_topic = self.connect.login.url.as_ref().and_then(|url| url.topic().map(str::to_owned));
        let Some(topic) = self.topic.clone().or(url_topic) else {
            return Err(Misuse("no topic; give one with -t".to_owned()).into());
        };
        topic_name_valid(&topic)
            .or_misuse(&format!("`{}` is no topic to publish to", cut(&topic, TOPIC_SHOWN_CHARS)))?;
        let response_topic = match &self.response_topic {
            Some(topic) => topic.clone(),
            None => format!("lotmq/answers/{}", random_text(16)?),
        };
        topic_name_valid(&response_topic)
            .or_misuse(&format!("`{response_topic}` is no topic for an answer"))?;
        let mut publication = Publication::new(topic, self.payload.read()?).qos(self.qos);
        let properties = &self.session.properties;
        properties.refuse(PropertyPlace::Subscribe, "lotmq request")?;
        publication.properties = properties.of(PropertyPlace::PublishFromClient);
        if publication.properties.properties().contains(PropertyId::ResponseTopic) {
            return Err(Misuse("the response topic is given with -e".to_owned()).into());
        }
        publication.properties.push(PropertyId::ResponseTopic, PropertyValue::Utf8(&response_topic))?;
        let correlation_data = match publication.properties.properties().correlation_data() {
            Some(given) => given.to_owned(),
            None => {
                let data = random_text(16)?.into_bytes();
                publication.properties.push(PropertyId::CorrelationData, PropertyValue::Binary(&data))?;
                data
            }
        };
        let is_own_topic = self.response_topic.is_none();
        Ok(Question { publication, response_topic, is_own_topic, correlation_data })
    }

    fn format(&self) -> Format {
        let format = self.format.clone().unwrap_or_else(|| Format::plain(false));
        if self.pretty { format.pretty() } else { format }.shown()
    }
}
