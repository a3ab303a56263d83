//! Example Action: puts a UUID before each message. The crate `uuid` gets random numbers from
//! `getrandom`, which gets them from the broker through the feature `getrandom` of the SDK. Load it
//! with `-addModule tag -world action -on orders/# -grantAll wasm64:…`.

use lotmq_guest::action::{Action, Message, RunError, publish};

lotmq_guest::manifest!("write:tagged/#");

struct Tag;

impl Action for Tag {
    fn on_message(message: Message) -> Result<(), RunError> {
        let id = uuid::Uuid::new_v4().to_string();
        let payload = [id.as_bytes(), b" ", &message.payload].concat();
        publish(&format!("tagged/{}", message.topic), &payload, message.qos, false)
    }
}

lotmq_guest::export_action!(Tag);
