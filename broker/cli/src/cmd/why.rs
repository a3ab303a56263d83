//! `lotmq why`: who or what allows or denies something, without trying it.

use clap::{Args, Subcommand};
use lotmq_connect::ConnectArgs;
use lotmq_terminal::text::printable;
use lotmq_terminal::{Exit, output, seconds};
use serde_json::Value;

use super::{asked, connect_within, quoted};

/// Explain a decision of a running broker, without trying it.
///
/// As in: lotmq why publish bob sensor-7 plant/1/temperature, or: lotmq why delivery sensor-7
/// plant/1/set. The answer names the rule with its file and line, the grant or the login module
/// that decides, and all that was asked before. It needs a user who may configure the system;
/// without -u that is root, as in `lotmq cmd`.
///
/// Exit codes: 0 allowed, 1 denied or not known, 2 wrong usage, 3 no broker or no reply.
#[derive(Args, Debug)]
pub(crate) struct WhyArgs {
    #[command(subcommand)]
    about: About,
}

#[derive(Subcommand, Debug)]
enum About {
    /// Explain whether a client may publish to a topic.
    ///
    /// As in: lotmq why publish bob sensor-7 plant/1/temperature --payload 21.5
    ///
    /// Exit codes: 0 allowed, 1 denied or not known, 2 wrong usage, 3 no broker or no reply.
    #[command(disable_help_flag = true)]
    Publish {
        #[command(flatten)]
        client: ClientArgs,
        /// Topic of the message
        topic: String,
        /// Payload of the message, for rules that look at it
        #[arg(long)]
        payload: Option<String>,
        /// Quality of service of the message
        #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
        qos: u8,
        /// Whether the message is to be retained
        #[arg(long)]
        retain: bool,
        #[command(flatten)]
        asking: AskingArgs,
    },
    /// Explain whether a client may subscribe to a topic filter.
    ///
    /// As in: lotmq why subscribe bob sensor-7 'plant/#'
    ///
    /// Exit codes: 0 allowed, 1 denied or not known, 2 wrong usage, 3 no broker or no reply.
    #[command(disable_help_flag = true)]
    Subscribe {
        #[command(flatten)]
        client: ClientArgs,
        /// Topic Filter of the subscription
        filter: String,
        #[command(flatten)]
        asking: AskingArgs,
    },
    /// Explain whether a client may connect, and which login modules a listener asks.
    ///
    /// As in: lotmq why connect bob sensor-7 --from 192.0.2.7
    ///
    /// Exit codes: 0 allowed, 1 denied or not known, 2 wrong usage, 3 no broker or no reply.
    #[command(disable_help_flag = true)]
    Connect {
        #[command(flatten)]
        client: ClientArgs,
        #[command(flatten)]
        asking: AskingArgs,
    },
    /// Explain why the sessions of a client do or do not get messages of a topic.
    ///
    /// As in: lotmq why delivery sensor-7 plant/1/set
    ///
    /// Exit codes: 0 allowed, 1 denied or not known, 2 wrong usage, 3 no broker or no reply.
    #[command(disable_help_flag = true)]
    Delivery {
        /// Client Identifier
        client_id: String,
        /// Topic of the messages
        topic: String,
        #[command(flatten)]
        asking: AskingArgs,
    },
}

/// Client that a question is about.
#[derive(Args, Debug)]
struct ClientArgs {
    /// User of the client; "" for one without a user
    user: String,
    /// Client Identifier
    client_id: String,
    /// IP address that the client comes from
    #[arg(long, value_name = "ADDRESS")]
    from: Option<std::net::IpAddr>,
}

/// Broker that is asked, and the form of the answer.
#[derive(Args, Debug)]
struct AskingArgs {
    /// Print JSON: the data of the reply
    #[arg(long)]
    json: bool,
    /// Seconds to wait for the reply
    #[arg(long, default_value_t = 15.0, value_parser = seconds)]
    timeout: f64,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl ClientArgs {
    fn words(&self, operation: &str) -> String {
        let from = self.from.map(|from| format!(" -from {from}")).unwrap_or_default();
        format!("-why {operation} {} {}{from}", quoted(&self.user), quoted(&self.client_id))
    }
}

impl About {
    /// Command for the broker, and how it is asked.
    fn command(&self) -> (String, &AskingArgs) {
        match self {
            Self::Publish { client, topic, payload, qos, retain, asking } => {
                let payload = payload.as_deref().map(|text| format!(" -payload {}", quoted(text)));
                let (payload, retain) = (payload.unwrap_or_default(), if *retain { " -retain" } else { "" });
                let words = client.words("publish");
                (format!("{words} {} -qos {qos}{retain}{payload}", quoted(topic)), asking)
            }
            Self::Subscribe { client, filter, asking } => {
                (format!("{} {}", client.words("subscribe"), quoted(filter)), asking)
            }
            Self::Connect { client, asking } => (client.words("connect"), asking),
            Self::Delivery { client_id, topic, asking } => {
                (format!("-whyDelivery {} {}", quoted(client_id), quoted(topic)), asking)
            }
        }
    }
}

pub(crate) fn why(args: &WhyArgs) -> anyhow::Result<Exit> {
    let (command, asking) = args.about.command();
    let mut client = connect_within(&asking.connect, asking.timeout)?;
    let reply = asked(&mut client, &command, asking.timeout);
    client.disconnect().ok();
    let mut reply = match reply? {
        Ok(reply) => reply,
        Err(exit) => return Ok(exit),
    };
    let data = reply["data"].take();
    if asking.json {
        output::line(&data.to_string())?;
    } else {
        output::line(render(&reply, &data).trim_end())?;
    }
    Ok(if is_allowed(&data) { Exit::Success } else { Exit::Failure })
}

/// Whether the decision is yes, of one session at least.
fn is_allowed(data: &Value) -> bool {
    match data["sessions"].as_array() {
        Some(sessions) => sessions.iter().any(|session| session["decision"] == "allow"),
        None => data["decision"] == "allow",
    }
}

/// The answer for people: the decision, then the steps on its path.
fn render(reply: &Value, data: &Value) -> String {
    let mut text = format!("{}\n", words(&reply["message"]));
    match data["sessions"].as_array() {
        Some(sessions) => sessions.iter().for_each(|session| text += &render_session(session)),
        None => {
            text += &render_steps(&data["steps"]);
            for listener in list(&data["listeners"]) {
                let asks: Vec<String> = list(&listener["asks"]).iter().map(words).collect();
                text += &format!("  listener {} asks: {}\n", words(&listener["listener"]), asks.join(", "));
            }
        }
    }
    text
}

fn render_session(session: &Value) -> String {
    let user = if session["user"].is_null() { "(anonymous)".to_owned() } else { words(&session["user"]) };
    let state = if session["connected"] == true { "connected" } else { "away" };
    let mut text = format!("session of {user}, {state}\n{}", render_steps(&session["steps"]));
    for filter in list(&session["matching"]) {
        text += &format!("  filter {} at QoS {}\n", words(&filter["filter"]), filter["qos"]);
    }
    let others: Vec<String> = list(&session["otherFilters"]).iter().map(words).collect();
    if !others.is_empty() {
        text += &format!("  other filters: {}\n", others.join(", "));
    }
    for denial in list(&session["lastDenials"]) {
        let (by, topic, at) = (words(&denial["by"]), words(&denial["topic"]), words(&denial["timestamp"]));
        text += &format!("  denied before: {topic} by {by}, {at}\n");
    }
    text
}

fn render_steps(steps: &Value) -> String {
    let line = |step: &Value| format!("  {:<7} {}\n", words(&step["says"]), words(&step["text"]));
    list(steps).iter().map(line).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Text of a value, without characters that a terminal obeys.
fn words(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn explanation_shows_each_step_and_the_decision_first() {
        let reply = json!({"message": "deny: rule Valves (rules/valves.lot:3) of priority 5."});
        let data = json!({
            "decision": "deny",
            "steps": [
                {"says": "pass", "text": "rule Readers of priority 3"},
                {"says": "deny", "text": "rule Valves (rules/valves.lot:3) of priority 5"},
            ],
            "listeners": [{"listener": "mqtt", "asks": ["jwt", "builtin"]}],
        });
        let expected = "\
deny: rule Valves (rules/valves.lot:3) of priority 5.
  pass    rule Readers of priority 3
  deny    rule Valves (rules/valves.lot:3) of priority 5
  listener mqtt asks: jwt, builtin
";
        assert_eq!(render(&reply, &data), expected);
        assert!(!is_allowed(&data));
        assert!(is_allowed(&json!({"sessions": [{"decision": "deny"}, {"decision": "allow"}]})));
    }
}
