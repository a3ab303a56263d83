//! Example Action: publishes `raw/<sensor>` readings, in tenths, as degrees on `scaled/<sensor>`.
//!
//! Shows every part of the interface that most Actions need: the message, a kept value, an environment value, outputs of a call, errors.
//! Load it with `-addModule action-scale -world action wasm64:…` and let it listen to `raw/#`.

use lotmq_guest::action::{
    Action, Argument, Message, QoS, RunError, Value, environment, error, keep, last_value, publish,
};

struct Scale;

impl Action for Scale {
    fn on_message(message: Message) -> Result<(), RunError> {
        let sensor = message.topic.rsplit('/').next().unwrap_or_default();
        let text = String::from_utf8_lossy(&message.payload);
        let Ok(raw) = text.trim().parse::<f64>() else {
            count_unreadable()?;
            return Err(error("NOT_A_NUMBER", format!("'{text}' on '{}' is not a number", message.topic)));
        };
        let scaled = (raw * factor()).to_string();
        publish(&format!("scaled/{sensor}"), scaled.as_bytes(), QoS::AtMostOnce, false)
    }

    fn call(inputs: Vec<Argument>, _trigger: Option<Message>) -> Result<Vec<Value>, RunError> {
        let raw = inputs.into_iter().find(|input| input.name == "raw").map(|input| input.value);
        match raw {
            Some(Value::Integer(raw)) => Ok(vec![Value::Double(raw as f64 * factor())]),
            Some(Value::Double(raw)) => Ok(vec![Value::Double(raw * factor())]),
            _ => Err(error("INPUT", "input 'raw' must be a number")),
        }
    }
}

/// The environment value `SCALE`, or a tenth.
fn factor() -> f64 {
    environment::get("SCALE").and_then(|text| text.parse().ok()).unwrap_or(0.1)
}

fn count_unreadable() -> Result<(), RunError> {
    let count = last_value("scale/unreadable")
        .and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<u64>().ok())
        .unwrap_or(0);
    keep("scale/unreadable", (count + 1).to_string().as_bytes())
}

lotmq_guest::export_action!(Scale);
