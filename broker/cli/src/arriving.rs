//! Options of messages that arrive in a program without a broker: QoS, RETAIN and properties of
//! MQTT 5.0.

use clap::Args;
use lotmq_connect::{Quality, qos};
use lotmq_runner::{HandSent, StatedProperties};

/// How the messages of `--in` and of standard input are sent.
#[derive(Args, Debug)]
pub(crate) struct ArrivingArgs {
    /// QoS of the messages of --in and -l: 0, 1 or 2
    #[arg(short = 'q', long, value_parser = qos, default_value = "0")]
    qos: Quality,
    /// They are retained messages
    #[arg(short = 'r', long)]
    retain: bool,
    /// A user property that they have; may be given several times, they keep their order
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    user_property: Vec<(String, String)>,
    /// Content type of the payload, such as application/json
    #[arg(long, value_name = "TEXT")]
    content_type: Option<String>,
    /// Topic for the answer
    #[arg(long, value_name = "TOPIC")]
    response_topic: Option<String>,
    /// Correlation data of the answer
    #[arg(long, value_name = "TEXT")]
    correlation_data: Option<String>,
    /// Seconds that they have to live
    #[arg(long, value_name = "SECONDS")]
    expiry: Option<u32>,
}

impl ArrivingArgs {
    pub(crate) fn sent(&self) -> HandSent {
        HandSent {
            qos: self.qos,
            retain: self.retain,
            properties: StatedProperties {
                user: self.user_property.clone(),
                is_utf8: None,
                response_topic: self.response_topic.clone(),
                correlation_data: self.correlation_data.clone().map(String::into_bytes),
                content_type: self.content_type.clone(),
                expiry: self.expiry,
            },
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
