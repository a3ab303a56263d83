//! The Actions that are measured, an engine for them, and the least that a broker does for them.

use lot_facts::Trigger;
use lot_to_wasm::{CompileOptions, lower};
use lotmq_host::{
    Argument, BorrowedMessage, ComponentSource, Engine, EngineOptions, Event, Grants, Guest, GuestId,
    GuestLimits, MailboxOptions, NestedCall, OwnedEvent, OwnedMessage, Qos, RunContext, RunError, RunnerSpec,
    Services, Value, World,
};
use std::{path::Path, sync::Arc};

/// An Action with a message that it is run for.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) topic: &'static str,
    pub(crate) payload: &'static [u8],
    /// Messages that one run publishes.
    pub(crate) publishes: u32,
}

/// The measured programs.
pub(crate) const PROGRAMS: [Program; 7] = [
    Program {
        name: "forward",
        source: "DEFINE ACTION Forward\nON TOPIC \"s/+/t\" DO\n    PUBLISH TOPIC \"x\" WITH PAYLOAD\n",
        topic: "s/cell7/t",
        payload: b"21.5",
        publishes: 1,
    },
    Program {
        name: "threshold",
        source: "DEFINE ACTION Threshold\nON TOPIC \"s/+/t\" DO\n    IF PAYLOAD > 50 THEN\n        PUBLISH TOPIC \"x\" WITH PAYLOAD\n",
        topic: "s/cell7/t",
        payload: b"61.5",
        publishes: 1,
    },
    Program {
        name: "threshold, below",
        source: "DEFINE ACTION Threshold\nON TOPIC \"s/+/t\" DO\n    IF PAYLOAD > 50 THEN\n        PUBLISH TOPIC \"x\" WITH PAYLOAD\n",
        topic: "s/cell7/t",
        payload: b"21.5",
        publishes: 0,
    },
    Program {
        name: "alarm",
        source: "DEFINE ACTION Alarm\nON TOPIC \"s/+/t\" DO\n    IF PAYLOAD > 30 THEN\n        PUBLISH TOPIC \"alarm/\" + TOPIC POSITION 2 WITH PAYLOAD\n",
        topic: "s/cell7/t",
        payload: b"61.5",
        publishes: 1,
    },
    Program {
        name: "convert",
        source: "DEFINE ACTION Convert\nON TOPIC \"s/+/t\" DO\n    PUBLISH TOPIC \"f/\" + TOPIC POSITION 2 WITH PAYLOAD * 1.8 + 32\n",
        topic: "s/cell7/t",
        payload: b"61.5",
        publishes: 1,
    },
    Program {
        name: "model",
        source: r#"DEFINE MODEL Eight COLLAPSED WITH TOPIC "out/+"
    ADD STRING "id" WITH TOPIC POSITION 2
    ADD DOUBLE "t" WITH TOPIC "s/+/t" AS TRIGGER
    ADD DOUBLE "f" WITH (t * 9 / 5 + 32)
    ADD BOOL "hot" WITH (t > 50)
    ADD STRING "state" WITH IF hot THEN "hot" ELSE "ok"
    ADD STRING "unit" WITH "C"
    ADD DOUBLE "h" WITH TOPIC "s/+/h"
    ADD STRING "at" WITH TIMESTAMP "ISO"
"#,
        topic: "s/cell7/t",
        payload: b"61.5",
        publishes: 1,
    },
    Program {
        name: "threshold, text",
        source: "DEFINE ACTION Threshold\nON TOPIC \"s/+/t\" DO\n    IF PAYLOAD > 50 THEN\n        PUBLISH TOPIC \"x\" WITH PAYLOAD\n",
        topic: "s/cell7/t",
        payload: b"warm",
        publishes: 1,
    },
];

impl Program {
    /// The message as a run gets it.
    pub(crate) fn event(&self) -> Event<'_> {
        Event::Message(BorrowedMessage {
            client_id: "sensor",
            ..BorrowedMessage::new(self.topic, self.payload)
        })
    }

    /// The message as it waits in a mailbox.
    pub(crate) fn posted(&self) -> OwnedEvent {
        OwnedEvent::Message(Arc::new(OwnedMessage {
            topic: self.topic.into(),
            payload: self.payload.to_vec().into(),
            qos: Qos::AtMostOnce,
            retain: false,
            client_id: "sensor".into(),
            extras: None,
            received_ms: 0,
            lease: None,
        }))
    }

    /// The first filter of its trigger.
    pub(crate) fn filter(&self) -> String {
        let facts = compile(self.source).1;
        facts.trigger.as_ref().map(Trigger::filters).and_then(<[_]>::first).unwrap().to_string()
    }
}

/// A component of the linked form and its facts.
pub(crate) fn compile(source: &str) -> (Vec<u8>, lot_facts::Facts) {
    let compilation = lot_to_wasm::compile(source, &CompileOptions::default());
    assert!(compilation.succeeded(), "{source}\n{:#?}", compilation.all_diagnostics());
    let output = compilation.entities.into_iter().next().unwrap().output.unwrap();
    (output.component, output.facts)
}

/// An engine with the LoT runtime.
pub(crate) fn engine(cache_dir: Option<&Path>) -> Engine {
    let core_modules = vec![("rt".to_owned(), lower::RUNTIME.into())];
    let cache_dir = cache_dir.map(Path::to_owned);
    let shells = [(World::Action, lower::World::Action), (World::Model, lower::World::Model)]
        .map(|(world, of)| (world, lower::shell(of).into()))
        .into();
    Engine::new(&EngineOptions { cache_dir, core_modules, shells, ..EngineOptions::default() }).unwrap()
}

/// Loads a component of our compiler, of the world that it fits.
pub(crate) fn load(engine: &Engine, component: &[u8]) -> Guest {
    let of_world = |world| engine.compile(component, world, ComponentSource::Compiler);
    of_world(World::Action).or_else(|_| of_world(World::Model)).unwrap()
}

/// Returns the description of a definition for an executor.
pub(crate) fn spec(id: u64, guest: Guest) -> RunnerSpec {
    RunnerSpec {
        id: GuestId(id),
        name: format!("guest-{id}").into(),
        tenant: 0,
        guest,
        services: Arc::new(Nobody),
        grants: Arc::new(Grants::action()),
        limits: GuestLimits::default(),
        mailbox: MailboxOptions::default(),
        is_pure: false,
    }
}

/// A broker without topics, values and time.
pub(crate) struct Nobody;

impl Services for Nobody {
    fn topic_value(&self, _: &RunContext, _: &str, _: &mut Vec<u8>) -> bool {
        false
    }
    fn may_read(&self, _run: &RunContext, _topic: &str) -> bool {
        true
    }
    fn retained_exists(&self, _: &RunContext, _: &str) -> bool {
        false
    }
    fn environment(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }
    fn set_environment(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }
    fn secret(&self, _: &RunContext, _: &str) -> Option<String> {
        None
    }
    fn set_secret(&self, _: &RunContext, _: &str, _: Option<&str>) -> bool {
        false
    }
    fn call_action(&self, _: NestedCall<'_>, _: &str, _: &[Argument]) -> Result<Vec<Value>, RunError> {
        Ok(Vec::new())
    }
    fn monotonic_ms(&self) -> u64 {
        500
    }
    fn now_ms(&self) -> i64 {
        0
    }
}
