//! Publishes the readings of `raw/<sensor>`, which are in tenths, as degrees on `scaled/<sensor>`.

use lotmq_guest::action::{Action, Message, QoS, RunError, error, publish};
use lotmq_guest::println;

// What the guest needs: shown to who deploys it, and granted by them.
lotmq_guest::manifest!("write:scaled/#");

struct Guest;

impl Action for Guest {
    fn on_message(message: Message) -> Result<(), RunError> {
        let sensor = message.topic.rsplit('/').next().unwrap_or_default();
        let reading = String::from_utf8_lossy(&message.payload);
        let Some(degrees) = degrees(&reading) else {
            return Err(error("NOT_A_NUMBER", format!("'{reading}' is not a number")));
        };
        println!("{sensor} has {degrees} degrees");
        publish(&format!("scaled/{sensor}"), degrees.to_string().as_bytes(), QoS::AtMostOnce, false)
    }
}

fn degrees(reading: &str) -> Option<f64> {
    let tenths: f64 = reading.trim().parse().ok()?;
    Some(tenths / 10.0)
}

lotmq_guest::export_action!(Guest);

#[cfg(test)]
mod tests {
    use super::degrees;

    #[test]
    fn readings_are_tenths() {
        assert_eq!(degrees("215\n"), Some(21.5));
        assert_eq!(degrees("hot"), None);
    }
}
