//! The world `rule`: guests that say what a client may do, asked by Rules that say `IF MODULE "name" THEN`.

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from wit")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "lotmq:guest/rule",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "lotmq_guest::rule::bindings",
    });
}

use crate::output;
use bindings::exports::lotmq::guest::rule_handler;
pub use bindings::{
    exports::lotmq::guest::rule_handler::{Request, Verdict},
    lotmq::guest::{
        ambient, config, current_message, diagnostics,
        logging::{Level, log},
        message_properties::{PayloadFormat, Properties, UserProperty},
        metrics, state, subject, topic_store,
        types::{Qos as QoS, RunError},
    },
};

/// What a Rule does.
pub trait Rule {
    /// Decides. An `Err` and a panic deny. An instance is thrown away after a panic and may be dropped between two questions: what must last is in `state`.
    fn check(request: Request) -> Result<Verdict, RunError>;
}

/// The last value of a topic: the live value, or the retained message; none where it was not granted `read:` of the topic.
pub fn last_value(topic: &str) -> Option<Vec<u8>> {
    topic_store::get(topic)
}

/// An error of the guest's own.
pub fn error(code: &str, message: impl Into<String>) -> RunError {
    RunError { code: code.to_owned(), message: message.into(), line: 0, column: 0 }
}

fn start() {
    output::start(|level, text| {
        let level = match level {
            output::LineLevel::Trace => Level::Trace,
            output::LineLevel::Debug => Level::Debug,
            output::LineLevel::Info => Level::Info,
            output::LineLevel::Warn => Level::Warn,
            output::LineLevel::Error => Level::Error,
        };
        log(level, text);
    });
}

#[doc(hidden)]
pub struct ExportedRule<T>(core::marker::PhantomData<T>);

impl<T: Rule> rule_handler::Guest for ExportedRule<T> {
    fn check(request: Request) -> Result<Verdict, RunError> {
        start();
        T::check(request)
    }
}

/// Makes a type that implements [`Rule`](rule::Rule) the guest of this crate. Once per crate.
#[macro_export]
macro_rules! export_rule {
    ($guest:ty) => {
        type __LotmqRule = $crate::rule::ExportedRule<$guest>;
        $crate::rule::bindings::export_world!(__LotmqRule with_types_in $crate::rule::bindings);
    };
}
