//! Everything that is not a queue: retained messages, subscriptions, commands. One operation at a time, each with its acknowledgement.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lotmq_client::{Client, ConnectOptions, ProtocolVersion, Publication, QoS};
use lotmq_test_support::WAIT_MAX;
use serde_json::Value;

use crate::link::Identity;
use crate::random::Random;

/// Things of each kind.
const THINGS: u64 = 8;
/// A filter that is always subscribed to: its message says that all before it have come.
const END: &str = "s/end";

/// A thing that only ever gets a higher number.
#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    /// The last number that was acknowledged; 0 before the first.
    acknowledged: u64,
    /// The last number that was sent.
    sent: u64,
}

/// A subscription that comes and goes.
#[derive(Debug, Default, Clone, Copy)]
struct Switched {
    is_on: bool,
    /// A change was sent and not acknowledged.
    is_open: bool,
}

#[derive(Debug)]
pub(crate) struct Clerk {
    random: Random,
    /// Retained messages, variables and actions, by name.
    counted: BTreeMap<String, Counted>,
    switched: BTreeMap<String, Switched>,
    switcher: Identity,
    requests: u64,
}

/// The broker has gone away: no answer is none of the clerk's faults.
struct Gone;

impl<E: std::error::Error> From<E> for Gone {
    fn from(_: E) -> Self {
        Self
    }
}

impl Clerk {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            counted: BTreeMap::new(),
            switched: BTreeMap::new(),
            switcher: Identity::new("switcher", ProtocolVersion::V5),
            requests: 0,
        }
    }

    /// Makes the session that subscribes.
    pub(crate) fn prepare(&mut self, broker: SocketAddr) {
        let mut client = Client::connect(broker, &self.switcher.options()).unwrap();
        assert!(!client.subscribe_to(END, QoS::AtLeastOnce).unwrap().is_failure());
        self.switcher.is_known = true;
        client.disconnect().unwrap();
    }

    /// Works until the broker dies or the flag is set; counts what is acknowledged.
    pub(crate) fn work(
        &mut self,
        broker: SocketAddr,
        stop: &AtomicBool,
        count: &AtomicU64,
    ) -> Result<(), String> {
        let connected = connect(broker, &self.switcher);
        let Ok((mut root, mut switcher)) = connected else { return Ok(()) };
        while !stop.load(Ordering::Relaxed) {
            let done = match self.random.below(4) {
                0 => self.retain(&mut root),
                1 => self.set_variable(&mut root),
                2 => self.add_action(&mut root),
                _ => self.switch(&mut switcher),
            };
            match done {
                Ok(()) => count.fetch_add(1, Ordering::Relaxed),
                Err(Gone) => break,
            };
        }
        Ok(())
    }

    fn retain(&mut self, root: &mut Client) -> Result<(), Gone> {
        let topic = format!("r/{}", self.random.below(THINGS));
        let number = self.begin(&topic);
        let mut publication = Publication::new(&*topic, number.to_string()).qos(QoS::AtLeastOnce);
        publication.retain = true;
        (!root.publish(&publication)?.is_failure()).then_some(()).ok_or(Gone)?;
        self.end(&topic, number);
        Ok(())
    }

    fn set_variable(&mut self, root: &mut Client) -> Result<(), Gone> {
        let name = format!("V{}", self.random.below(THINGS));
        let number = self.begin(&name);
        self.command(root, &format!("-setEnv {name}={number}"))?;
        self.end(&name, number);
        Ok(())
    }

    fn add_action(&mut self, root: &mut Client) -> Result<(), Gone> {
        let name = format!("A{}", self.random.below(THINGS));
        let number = self.begin(&name);
        let source =
            format!("DEFINE ACTION {name}\nON TOPIC \"never\" DO\n    PUBLISH TOPIC \"x\" WITH {number}");
        self.command(root, &format!("-addAction {source}"))?;
        self.end(&name, number);
        Ok(())
    }

    fn switch(&mut self, switcher: &mut Client) -> Result<(), Gone> {
        let filter = format!("s/{}", self.random.below(THINGS));
        let state = self.switched.entry(filter.clone()).or_default();
        state.is_open = true;
        let wanted = !state.is_on;
        if wanted {
            switcher.subscribe_to(&filter, QoS::AtLeastOnce)?;
        } else {
            switcher.unsubscribe(&[&filter])?;
        }
        *state = Switched { is_on: wanted, is_open: false };
        Ok(())
    }

    fn begin(&mut self, name: &str) -> u64 {
        let thing = self.counted.entry(name.to_owned()).or_default();
        thing.sent += 1;
        thing.sent
    }

    fn end(&mut self, name: &str, number: u64) {
        self.counted.entry(name.to_owned()).or_default().acknowledged = number;
    }

    fn command(&mut self, root: &mut Client, command: &str) -> Result<Value, Gone> {
        self.requests += 1;
        let request = format!("c{}", self.requests);
        let payload = format!("{command} -requestId {request}");
        root.publish(&Publication::new("$SYS/Coreflux/Command", payload).qos(QoS::AtLeastOnce))?;
        loop {
            let message = root.receive(WAIT_MAX)?.ok_or(Gone)?;
            let reply: Value = serde_json::from_slice(&message.payload)?;
            if reply["requestId"] == request.as_str() {
                return if reply["success"] == true { Ok(reply) } else { Err(Gone) };
            }
        }
    }

    /// Compares what the broker has with what it acknowledged.
    pub(crate) fn verify(&mut self, broker: SocketAddr) -> Result<(), String> {
        let (mut root, mut switcher) = connect(broker, &self.switcher)
            .map_err(|Gone| "the clerk cannot connect, or its session is lost")?;
        let found = self.found(&mut root).map_err(|Gone| "the broker does not tell what it has")?;
        for (name, thing) in &mut self.counted {
            let number = found.get(name).copied().unwrap_or_default();
            if !(thing.acknowledged..=thing.sent).contains(&number) {
                return Err(format!("{name} is {number}, and {thing:?} was promised"));
            }
            // What was seen must stay.
            thing.acknowledged = number;
            thing.sent = thing.sent.max(number);
        }
        self.verify_subscriptions(&mut root, &mut switcher)
    }

    /// The numbers of all things, by name.
    fn found(&mut self, root: &mut Client) -> Result<BTreeMap<String, u64>, Gone> {
        let mut found = BTreeMap::new();
        let variables = self.command(root, "-listEnv")?;
        for row in variables["data"].as_array().ok_or(Gone)? {
            let number = row["value"].as_str().and_then(|text| text.parse().ok());
            found.insert(row["name"].as_str().unwrap_or_default().to_owned(), number.unwrap_or_default());
        }
        root.subscribe_to("r/#", QoS::AtLeastOnce)?;
        root.subscribe_to("$SYS/Coreflux/Actions/+", QoS::AtLeastOnce)?;
        // Retained messages come before the answer to what is asked later.
        let wanted = self.counted.keys().filter(|name| !name.starts_with('V')).count();
        let deadline = Instant::now() + WAIT_MAX;
        while found.len() < wanted + variables["data"].as_array().map_or(0, Vec::len)
            && Instant::now() < deadline
        {
            let Some(message) = root.receive(std::time::Duration::from_millis(500))? else { break };
            let name =
                message.topic.strip_prefix("$SYS/Coreflux/Actions/").unwrap_or(&message.topic).to_owned();
            let text = message.text();
            let number = text.rsplit(' ').next().and_then(|word| word.trim().parse().ok());
            found.insert(name, number.unwrap_or_default());
        }
        root.unsubscribe(&["r/#", "$SYS/Coreflux/Actions/+"])?;
        Ok(found)
    }

    fn verify_subscriptions(&mut self, root: &mut Client, switcher: &mut Client) -> Result<(), String> {
        let failed = |Gone| "the broker fails while subscriptions are tried".to_owned();
        let came = self.try_filters(root, switcher).map_err(failed)?;
        for (filter, state) in &mut self.switched {
            let is_on = came.contains(filter);
            if !state.is_open && is_on != state.is_on {
                return Err(format!("subscription {filter}: {is_on}, and {} was acknowledged", state.is_on));
            }
            *state = Switched { is_on, is_open: false };
        }
        Ok(())
    }

    /// Publishes to every filter and says which of the messages the session gets.
    fn try_filters(&self, root: &mut Client, switcher: &mut Client) -> Result<Vec<String>, Gone> {
        let mark = format!("mark {}", self.requests);
        for filter in self.switched.keys().map(String::as_str).chain([END]) {
            root.publish(&Publication::new(filter, mark.as_str()).qos(QoS::AtLeastOnce))?;
        }
        let mut came = Vec::new();
        loop {
            let message = switcher.receive(WAIT_MAX)?.ok_or(Gone)?;
            // An older mark may come again after a crash.
            if message.text() != mark {
                continue;
            }
            if message.topic == END {
                return Ok(came);
            }
            came.push(message.topic);
        }
    }
}

/// The administrator, listening for replies, and the session that subscribes, which must still be there.
fn connect(broker: SocketAddr, switcher: &Identity) -> Result<(Client, Client), Gone> {
    let mut root = Client::connect(broker, &ConnectOptions::new("clerk").user("root", "coreflux"))?;
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce)?;
    let switcher = Client::connect(broker, &switcher.options())?;
    switcher.session_present().then_some(()).ok_or(Gone)?;
    Ok((root, switcher))
}
