//! Example Action: publishes `raw/<sensor>` readings, in tenths, as degrees on `scaled/<sensor>`.
//!
//! Shows the parts of the interface that most Actions need: the message, state, configuration, an
//! environment value, the log, outputs of a call, metrics and errors. Load it with `-addModule
//! scale -world action -on raw/# -grantAll -config 0.5 wasm64:…`.

use lotmq_guest::action::{
    Action, Argument, Level, Message, QoS, RunError, Value, called_function, config, environment, error, log, metrics,
    publish, state,
};

lotmq_guest::manifest!("read:raw/#", "write:scaled/#", "env-read:SCALE", "state");

struct Scale;

impl Action for Scale {
    fn on_message(message: Message) -> Result<(), RunError> {
        let sensor = message.topic.rsplit('/').next().unwrap_or_default();
        let text = String::from_utf8_lossy(&message.payload);
        let Ok(raw) = text.trim().parse::<f64>() else {
            count_unreadable();
            return Err(error("NOT_A_NUMBER", format!("'{text}' on '{}' is not a number", message.topic)));
        };
        let scaled = raw * factor();
        // Figures for the broker's `/metrics`: too many of them are all that can go wrong.
        if metrics::add("readings", 1).and_then(|()| metrics::set("last", scaled)).is_err() {
            log(Level::Warn, "readings are not measured");
        }
        publish(&format!("scaled/{sensor}"), scaled.to_string().as_bytes(), QoS::AtMostOnce, false)
    }

    fn call(inputs: Vec<Argument>, _trigger: Option<Message>) -> Result<Vec<Value>, RunError> {
        if let Some(function) = called_function(&inputs).filter(|function| *function != "scale") {
            return Err(error("FUNCTION", format!("there is no function '{function}'")));
        }
        let raw = inputs.into_iter().find(|input| input.name == "raw").map(|input| input.value);
        match raw {
            Some(Value::Integer(raw)) => Ok(vec![Value::Double(raw as f64 * factor())]),
            Some(Value::Double(raw)) => Ok(vec![Value::Double(raw * factor())]),
            _ => Err(error("INPUT", "input 'raw' must be a number")),
        }
    }
}

/// The configuration, if it is a number; else the environment value `SCALE`, or a tenth.
fn factor() -> f64 {
    let configured = config::get().parse().ok();
    configured.or_else(|| environment::get("SCALE")?.parse().ok()).unwrap_or(0.1)
}

/// Counts in the state, which outlives this instance.
fn count_unreadable() {
    const COUNT: &str = "unreadable";
    let before = state::get(COUNT).and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
    let count = before.unwrap_or(0) + 1;
    log(Level::Warn, &format!("{count} readings could not be read so far"));
    if let Err(error) = state::set(COUNT, &count.to_le_bytes()) {
        log(Level::Error, &format!("the count cannot be kept: {error:?}"));
    }
}

lotmq_guest::export_action!(Scale);
