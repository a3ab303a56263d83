//! An administrator who gives each command several times at once, over two connections: "already
//! there" and "not found" promise what was done before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::WAIT_MAX;
use serde_json::Value;

use crate::administrator::{Administrator, Gone};
use crate::random::Random;

/// Things of each kind.
const THINGS: u64 = 3;
/// One thing in so many is a user: a password takes long to hash.
const USER_EVERY: u64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    User,
    Action,
    Rule,
    /// A value that an action keeps, which promises nothing until it is removed.
    Kept,
}

/// State that the broker has promised for a thing.
#[derive(Debug, Default)]
struct Thing {
    /// Whether it is there; `None` while nobody has said so.
    is_on: Option<bool>,
    /// Requested state that the broker has not acknowledged yet.
    open: Option<bool>,
}

pub(crate) struct Petitioner {
    name: String,
    random: Random,
    things: BTreeMap<(Kind, u64), Thing>,
}

impl Petitioner {
    pub(crate) fn new(number: usize, random: Random) -> Self {
        Self { name: format!("petitioner{number}"), random, things: BTreeMap::new() }
    }

    /// Deploys what keeps values.
    pub(crate) fn prepare(&self, broker: SocketAddr) {
        let Self { name, .. } = self;
        let source = format!(
            "DEFINE ACTION {name}\nON TOPIC \"{name}/+\" DO\n    KEEP TOPIC \"kept/{name}/\" + TOPIC POSITION 2 WITH PAYLOAD"
        );
        let mut root = Administrator::connect(broker, name).unwrap();
        assert!(root.command(&format!("-addAction {source}")).is_ok());
    }

    /// Works until the broker dies or the flag is set; counts what is acknowledged.
    pub(crate) fn work(
        &mut self,
        broker: SocketAddr,
        stop: &AtomicBool,
        count: &AtomicU64,
    ) -> Result<(), String> {
        let names = ["a", "b"].map(|side| format!("{}-{side}", self.name));
        let [Ok(one), Ok(other)] = names.map(|name| Administrator::connect(broker, &name)) else {
            return Ok(());
        };
        let mut sides = [one, other];
        while !stop.load(Ordering::Relaxed) {
            let kind = match self.random.below(USER_EVERY) {
                0 => Kind::User,
                1..4 => Kind::Rule,
                4..7 => Kind::Action,
                _ => Kind::Kept,
            };
            let place = (kind, self.random.below(THINGS));
            // As often the same again as the opposite.
            let is_on = self.random.below(2) == 0;
            let done = match (kind, is_on) {
                (Kind::Kept, true) => self.keep(&mut sides[0], place),
                _ => self.ask(&mut sides, place, is_on, count),
            };
            match done {
                Ok(Ok(())) => {}
                Ok(Err(wrong)) => return Err(wrong),
                Err(Gone) => break,
            }
        }
        Ok(())
    }

    /// Gives one command several times at once.
    fn ask(
        &mut self,
        sides: &mut [Administrator; 2],
        place: (Kind, u64),
        is_on: bool,
        count: &AtomicU64,
    ) -> Result<Result<(), String>, Gone> {
        let command = self.command(place, is_on);
        let thing = self.things.entry(place).or_default();
        thing.open = Some(is_on);
        let mut requests = Vec::new();
        for number in 0..2 + self.random.below(2) {
            let side = usize::from(number % 2 == 1);
            requests.push((side, sides[side].send(&command)?));
        }
        for (side, request) in requests {
            let reply = sides[side].reply(&request)?;
            if !promises(&reply, is_on) {
                return Ok(Err(format!("{command}: {reply}")));
            }
            thing.is_on = Some(is_on);
            count.fetch_add(1, Ordering::Relaxed);
        }
        thing.open = None;
        Ok(Ok(()))
    }

    /// Has a value kept.
    fn keep(&mut self, root: &mut Administrator, place: (Kind, u64)) -> Result<Result<(), String>, Gone> {
        *self.things.entry(place).or_default() = Thing::default();
        let topic = format!("{}/{}", self.name, place.1);
        root.client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce))?;
        let wanted = self.shown(place);
        let deadline = Instant::now() + WAIT_MAX;
        while root.list(&format!("-listKept {wanted}"), "topic")?.is_empty() {
            if Instant::now() > deadline {
                return Ok(Err(format!("{wanted} is not kept")));
            }
        }
        Ok(Ok(()))
    }

    fn command(&self, place: (Kind, u64), is_on: bool) -> String {
        let name = self.shown(place);
        match (place.0, is_on) {
            (Kind::User, true) => format!("-addUser {name} s3cret-pump"),
            (Kind::User, false) => format!("-removeUser {name}"),
            (Kind::Action, true) => format!(
                "-addAction DEFINE ACTION {name}\nON TOPIC \"never\" DO\n    PUBLISH TOPIC \"x\" WITH 1"
            ),
            (Kind::Action, false) => format!("-removeAction {name}"),
            (Kind::Rule, true) => format!(
                "-addRule DEFINE RULE {name} WITH PRIORITY 100 FOR Publish TO TOPIC \"never\"\n    IF USER IS \"nobody\" THEN\n        ALLOW"
            ),
            (Kind::Rule, false) => format!("-removeRule {name}"),
            (Kind::Kept, _) => format!("-removeKept {name}"),
        }
    }

    /// The name of a thing where things are listed.
    fn shown(&self, (kind, number): (Kind, u64)) -> String {
        let Self { name, .. } = self;
        match kind {
            Kind::Kept => format!("kept/{name}/{number}"),
            Kind::User | Kind::Action | Kind::Rule => format!("{name}{kind:?}{number}"),
        }
    }

    /// Compares what the broker has with what it acknowledged.
    pub(crate) fn verify(&mut self, broker: SocketAddr) -> Result<(), String> {
        let found = self.found(broker).map_err(|Gone| "the broker does not tell what it has")?;
        for place in self.things.keys().copied().collect::<Vec<_>>() {
            let name = self.shown(place);
            let is_on = found.contains(&name);
            let thing = self.things.entry(place).or_default();
            if thing.open != Some(is_on) && thing.is_on.is_some_and(|promised| promised != is_on) {
                return Err(format!("{name} is {is_on}, and {thing:?} was promised"));
            }
            // The broker must keep a state that the test has seen.
            *thing = Thing { is_on: Some(is_on), open: None };
        }
        Ok(())
    }

    /// The names of all things.
    fn found(&self, broker: SocketAddr) -> Result<Vec<String>, Gone> {
        let mut root = Administrator::connect(broker, &self.name)?;
        let mut found = root.list("-listEntities", "name")?;
        found.extend(root.list("-listUsers", "Username")?);
        found.extend(root.list("-listKept kept/#", "topic")?);
        Ok(found)
    }
}

/// Whether a reply says that the thing is there now, or is not.
fn promises(reply: &Value, is_on: bool) -> bool {
    let code = reply["errors"][0]["code"].as_str().unwrap_or_default();
    reply["success"] == true
        || match is_on {
            true => matches!(code, "USER_EXISTS" | "EXISTS"),
            false => code == "NOT_FOUND",
        }
}
