//! Everything that is not a queue: retained messages, subscriptions, commands. One operation at a
//! time, each with its acknowledgement.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lotmq_client::{Client, ProtocolVersion, Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::administrator::{Administrator, Gone};
use crate::link::Identity;
use crate::random::Random;
use crate::sounding::Sounding;

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
}

impl Clerk {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            counted: BTreeMap::new(),
            switched: BTreeMap::new(),
            switcher: Identity::new("switcher", ProtocolVersion::V5),
        }
    }

    /// Makes the session that subscribes.
    pub(crate) fn prepare(&mut self, broker: SocketAddr) {
        self.switcher.settle(broker, END);
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

    fn retain(&mut self, root: &mut Administrator) -> Result<(), Gone> {
        let topic = format!("r/{}", self.random.below(THINGS));
        let number = self.begin(&topic);
        let mut publication = Publication::new(&*topic, number.to_string()).qos(QoS::AtLeastOnce);
        publication.retain = true;
        (!root.client.publish(&publication)?.is_failure()).then_some(()).ok_or(Gone)?;
        self.end(&topic, number);
        Ok(())
    }

    fn set_variable(&mut self, root: &mut Administrator) -> Result<(), Gone> {
        let name = format!("V{}", self.random.below(THINGS));
        let number = self.begin(&name);
        root.command(&format!("-setEnv {name}={number}"))?;
        self.end(&name, number);
        Ok(())
    }

    fn add_action(&mut self, root: &mut Administrator) -> Result<(), Gone> {
        let name = format!("A{}", self.random.below(THINGS));
        let number = self.begin(&name);
        let source =
            format!("DEFINE ACTION {name}\nON TOPIC \"never\" DO\n    PUBLISH TOPIC \"x\" WITH {number}");
        root.command(&format!("-addAction {source}"))?;
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
            // The broker must keep a number that the test has seen.
            thing.acknowledged = number;
            thing.sent = thing.sent.max(number);
        }
        self.verify_subscriptions(&mut root, &mut switcher)
    }

    /// The numbers of all things, by name.
    fn found(&self, root: &mut Administrator) -> Result<BTreeMap<String, u64>, Gone> {
        let mut found = BTreeMap::new();
        let variables = root.command("-listEnv")?;
        for row in variables["data"].as_array().ok_or(Gone)? {
            let number = row["value"].as_str().and_then(|text| text.parse().ok());
            found.insert(row["name"].as_str().unwrap_or_default().to_owned(), number.unwrap_or_default());
        }
        root.client.subscribe_to("r/#", QoS::AtLeastOnce)?;
        root.client.subscribe_to("$SYS/Coreflux/Actions/+", QoS::AtLeastOnce)?;
        // Retained messages come before the answer to what is asked later.
        let wanted = self.counted.keys().filter(|name| !name.starts_with('V')).count();
        let deadline = Instant::now() + WAIT_MAX;
        while found.len() < wanted + variables["data"].as_array().map_or(0, Vec::len)
            && Instant::now() < deadline
        {
            let Some(message) = root.client.receive(std::time::Duration::from_millis(500))? else { break };
            let name =
                message.topic.strip_prefix("$SYS/Coreflux/Actions/").unwrap_or(&message.topic).to_owned();
            let text = message.text();
            let number = text.rsplit(' ').next().and_then(|word| word.trim().parse().ok());
            // Others have actions, too.
            if self.counted.contains_key(&name) {
                found.insert(name, number.unwrap_or_default());
            }
        }
        root.client.unsubscribe(&["r/#", "$SYS/Coreflux/Actions/+"])?;
        Ok(found)
    }

    fn verify_subscriptions(
        &mut self,
        root: &mut Administrator,
        switcher: &mut Client,
    ) -> Result<(), String> {
        let sounding = Sounding::new(END, &mut self.random);
        let filters = self.switched.keys().map(String::as_str);
        let came = sounding.publish(&mut root.client, filters).and_then(|()| sounding.collect(switcher));
        let came = came.map_err(|_| "the broker fails while subscriptions are tried")?;
        for (filter, state) in &mut self.switched {
            let is_on = came.contains(filter);
            if !state.is_open && is_on != state.is_on {
                return Err(format!("subscription {filter}: {is_on}, and {} was acknowledged", state.is_on));
            }
            *state = Switched { is_on, is_open: false };
        }
        Ok(())
    }
}

/// The administrator, and the session that subscribes, which must still be there.
fn connect(broker: SocketAddr, switcher: &Identity) -> Result<(Administrator, Client), Gone> {
    let root = Administrator::connect(broker, "clerk")?;
    let switcher = Client::connect(broker, &switcher.options())?;
    switcher.session_present().then_some(()).ok_or(Gone)?;
    Ok((root, switcher))
}
