//! Programs from seeds: everything of §5 and §8 that needs neither route nor Python, in reach of
//! what the reference says.

mod expression;
mod model;
mod statement;
mod whole;

use super::json::Json;
use super::random::Random;
use super::tree::{Action, Event, Input, Program, Trigger, Type};

/// Names of variables.
const VARIABLES: &[&str] = &["a", "b", "c", "count", "topic", "x_1"];

/// Topics that are read, and some of them written.
const TOPICS: &[&str] = &["k/1", "k/2", "cfg/limit", "s/x/h", "never", "in/x"];

/// A program and what happens to it.
pub(super) fn program(seed: u64) -> Program {
    let mut random = Random::new(seed);
    let scope = Scope { counts: random.one_in(2), ..Scope::default() };
    let mut generator = Generator { random, scope };
    if generator.random.one_in(6) { generator.streaming_model() } else { generator.actions() }
}

/// Names that the generator may use at its position.
#[derive(Default, Clone)]
struct Scope {
    /// There is a PAYLOAD.
    has_message: bool,
    /// Words of the trigger.
    words: &'static [&'static str],
    /// Wildcards of the trigger: number of `+`, and whether there is a `#`.
    wildcards: (usize, bool),
    /// Actions that may be called: name, inputs, outputs.
    callees: Vec<Callee>,
    /// Models that may be published: name, and paths of fields that may be assigned.
    models: Vec<(String, Vec<String>)>,
    /// Fields that an expression of a model may name; there, nothing of an action may be.
    fields: Option<Vec<String>>,
    /// Loops around.
    loops: usize,
    /// There are counters.
    counts: bool,
}

#[derive(Clone)]
struct Callee {
    name: String,
    inputs: Vec<String>,
    outputs: usize,
}

struct Generator {
    random: Random,
    scope: Scope,
}

impl Generator {
    fn actions(&mut self) -> Program {
        let models = if self.random.one_in(3) { self.schemas() } else { Vec::new() };
        let mut actions = Vec::new();
        for number in 0..self.random.below(3) {
            actions.push(self.callee(&format!("Callee{number}")));
        }
        let trigger = self.trigger();
        self.enter(&trigger);
        let mut body = self.begin_counters();
        body.extend(self.block(0, 5));
        let events = self.events(&trigger);
        actions.insert(0, Action { name: "Main".to_owned(), trigger, body });
        let stored = |generator: &mut Generator| {
            let topic = generator.random.pick(TOPICS);
            (topic.to_owned(), generator.payload())
        };
        let topics =
            (0..self.random.below(4)).map(|_| stored(self)).filter(|(topic, _)| topic != "never").collect();
        let retained =
            (0..self.random.below(2)).map(|_| stored(self)).filter(|(topic, _)| topic != "never").collect();
        Program { actions, models, events, topics, retained, spelling: self.random.next() }
    }

    fn trigger(&mut self) -> Trigger {
        match self.random.below(12) {
            0 => Trigger::Start,
            1 => Trigger::Timer,
            2 => Trigger::Connect,
            3 => Trigger::Disconnect,
            4 => Trigger::Subscribe,
            5 => {
                let kinds = [
                    None,
                    Some(Type::Int),
                    Some(Type::Double),
                    Some(Type::Bool),
                    Some(Type::String),
                    Some(Type::Json),
                ];
                let inputs = VARIABLES[..self.random.below(4)].iter();
                let inputs = inputs.map(|name| ((*name).to_owned(), self.random.pick(&kinds))).collect();
                Trigger::Callable { inputs, outputs: self.outputs() }
            }
            6 => Trigger::Topic(vec!["in/+".to_owned(), "other".to_owned()]),
            7 => Trigger::Topic(vec!["in/#".to_owned()]),
            8 => Trigger::Topic(vec!["in/+/t/+".to_owned()]),
            _ => Trigger::Topic(vec!["in/x".to_owned()]),
        }
    }

    fn outputs(&mut self) -> Vec<String> {
        VARIABLES[..self.random.below(3)].iter().map(|name| (*name).to_owned()).collect()
    }

    fn enter(&mut self, trigger: &Trigger) {
        let scope = &mut self.scope;
        (scope.has_message, scope.words, scope.wildcards) = match trigger {
            Trigger::Topic(filters) => {
                let pluses = filters.iter().map(|filter| filter.matches('+').count()).max().unwrap_or(0);
                (true, &[][..], (pluses, filters[0].ends_with('#')))
            }
            Trigger::Callable { .. } => (true, &[][..], (0, false)),
            Trigger::Start | Trigger::Timer => (false, &[][..], (0, false)),
            Trigger::Connect => (false, &["CLIENTID", "USER", "ENDPOINT", "CLEANSESSION"][..], (0, false)),
            Trigger::Disconnect => (false, &["CLIENTID", "USER", "DISCONNECTREASON"][..], (0, false)),
            Trigger::Subscribe => (false, &["CLIENTID", "SUBSCRIBETOPIC", "SUBSCRIBEQOS"][..], (0, false)),
        };
    }

    /// An action that others call; it knows those that were made before it.
    fn callee(&mut self, name: &str) -> Action {
        let kinds = [
            None,
            Some(Type::Int),
            Some(Type::Double),
            Some(Type::Bool),
            Some(Type::String),
            Some(Type::Json),
        ];
        let inputs: Vec<(String, Option<Type>)> = VARIABLES[..self.random.below(3)]
            .iter()
            .map(|name| ((*name).to_owned(), self.random.pick(&kinds)))
            .collect();
        let trigger = Trigger::Callable { inputs: inputs.clone(), outputs: self.outputs() };
        self.enter(&trigger);
        let mut body = self.begin_counters();
        body.extend(self.block(0, 3));
        let Trigger::Callable { outputs, .. } = &trigger else { unreachable!("made above") };
        self.scope.callees.push(Callee {
            name: name.to_owned(),
            inputs: inputs.into_iter().map(|(name, _)| name).collect(),
            outputs: outputs.len(),
        });
        Action { name: name.to_owned(), trigger, body }
    }

    fn events(&mut self, trigger: &Trigger) -> Vec<Event> {
        (0..self.random.between(1, 4)).map(|_| self.event(trigger)).collect()
    }

    fn event(&mut self, trigger: &Trigger) -> Event {
        let topic: &str = match trigger {
            Trigger::Start => return Event::Start,
            Trigger::Timer => return Event::Timer,
            Trigger::Connect => return Event::Connected,
            Trigger::Disconnect => return Event::Disconnected,
            Trigger::Subscribe => return Event::Subscribed,
            Trigger::Callable { inputs, .. } => {
                let mut given = Vec::new();
                for (name, _) in inputs {
                    if !self.random.one_in(4) {
                        given.push((name.clone(), self.input()));
                    }
                }
                return Event::Call { inputs: given };
            }
            Trigger::Topic(filters) => match (filters[0].as_str(), filters.len()) {
                ("in/+", _) => self.random.pick(&["in/x", "in/7", "in/", "other"]),
                ("in/#", _) => self.random.pick(&["in", "in/x", "in/a/b", "in//c"]),
                ("in/+/t/+", _) => self.random.pick(&["in/x/t/y", "in/k1/t/2"]),
                _ => "in/x",
            },
        };
        Event::Message { topic: topic.to_owned(), payload: self.payload(), from_client: true }
    }

    fn input(&mut self) -> Input {
        match self.random.below(7) {
            0 => Input::Int(self.random.below(200) as i64 - 100),
            1 => Input::Double(self.random.below(2000) as f64 / 8.0 - 100.0),
            2 => Input::Bool(self.random.one_in(2)),
            3 => Input::Json(self.document(2).text()),
            4 => Input::Null,
            _ => Input::Text(String::from_utf8_lossy(&self.payload()).into_owned()),
        }
    }

    /// Returns a payload as devices send it: numbers in all spellings, words, JSON, and other
    /// texts.
    fn payload(&mut self) -> Vec<u8> {
        const PLAIN: &[&str] = &[
            "0",
            "1",
            "5",
            "5.0",
            "-3",
            "12.9",
            " 42 ",
            "1e3",
            "2.5e-1",
            "007",
            "+8",
            "80",
            "9223372036854775807",
            "9223372036854775808",
            "0.1",
            "-0.5",
            "on",
            "off",
            "ON",
            "true",
            "True",
            "false",
            "yes",
            "no",
            "",
            " ",
            "null",
            "abc",
            "t=42C 7",
            "a,b,c",
            "a;b;;c",
            "  q ",
            "NaN",
            "1.2.3",
            "12abc",
            "ä€😀",
            "line\nend",
            "quo\"te\\",
            "2026-01-15 10:30:00",
            "1700000000",
            "{",
            "[1,2",
            "[]",
            "{}",
            "5",
            "x",
            "7",
            "3",
        ];
        match self.random.below(10) {
            0 => vec![0xff, b'a', 0x00, 0x80],
            1 | 2 => {
                let mut text = String::new();
                let mut blanks = Random::new(self.random.next());
                self.document(3).print(&mut text, &mut || blanks.pick(&["", "", "", " ", "\n  "]));
                text.into_bytes()
            }
            3 => (self.random.below(4000) as f64 / 8.0 - 100.0).to_string().into_bytes(),
            4 => (self.random.below(300) as i64 - 50).to_string().into_bytes(),
            _ => self.random.pick(PLAIN).as_bytes().to_vec(),
        }
    }

    /// An object or array.
    fn document(&mut self, depth: usize) -> Json {
        if self.random.one_in(4) {
            Json::Array((0..self.random.below(4)).map(|_| self.node(depth)).collect())
        } else {
            let mut members: Vec<(String, Json)> = Vec::new();
            for key in ["a", "b", "n", "list", "a.b", "é"] {
                if self.random.one_in(2) {
                    members.push((key.to_owned(), self.node(depth)));
                }
            }
            Json::Object(members)
        }
    }

    fn node(&mut self, depth: usize) -> Json {
        match self.random.below(10) {
            0 | 1 if depth > 0 => self.document(depth - 1),
            2 => Json::Null,
            3 => Json::Bool(self.random.one_in(2)),
            4 => Json::Double(self.random.below(400) as f64 / 8.0 - 10.0),
            5 => Json::Text(
                (self.random.pick(&["", "t", "5", "on", "é\"\\\n", "null", "[1]", "true", "-2.5"]))
                    .to_owned(),
            ),
            _ => Json::Int(self.random.below(100) as i64 - 20),
        }
    }
}
