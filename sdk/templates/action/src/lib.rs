//! Publishes the readings of `raw/<sensor>`, which are in tenths, as degrees on `scaled/<sensor>`.

use lotmq_guest::action::{Action, Message, QoS, RunError, error, publish};

// Permissions that the guest needs: the deployer sees and grants them.
lotmq_guest::manifest!("write:scaled/#");

struct Guest;

impl Action for Guest {
    fn on_message(message: Message) -> Result<(), RunError> {
        let sensor = message.topic.rsplit('/').next().unwrap_or_default();
        let reading = String::from_utf8_lossy(&message.payload);
        let Some(degrees) = degrees(&reading) else {
            return Err(error("NOT_A_NUMBER", format!("'{reading}' is not a number")));
        };
        lotmq_guest::println!("{sensor} has {degrees} degrees");
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
    use lotmq_guest::action::testing::{message, published};

    use super::*;

    #[test]
    fn readings_are_tenths() {
        Guest::on_message(message("raw/press", "215\n")).unwrap();
        let all = published();
        assert_eq!((&*all[0].topic, &*all[0].payload, all.len()), ("scaled/press", &b"21.5"[..], 1));
        assert_eq!(Guest::on_message(message("raw/press", "hot")).unwrap_err().code, "NOT_A_NUMBER");
    }
}
