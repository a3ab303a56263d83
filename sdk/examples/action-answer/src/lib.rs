//! Example Action: the answering side of request and response (MQTT 5.0, §4.10).
//!
//! A request is a message with a response topic. The answer goes to that topic with the request's
//! correlation data, so the requester can match it. It also has the request's User Properties, such
//! as a trace identifier. Load it with `-addModule answer -world action -on questions/# -grantAll
//! wasm64:…`.

use lotmq_guest::action::{
    Action, Message, PayloadFormat, Properties, RunError, UserProperty, ambient, current_message, error,
    publish_with,
};

lotmq_guest::manifest!("write:answers/#");

struct Answer;

impl Action for Answer {
    fn on_message(message: Message) -> Result<(), RunError> {
        let Some(topic) = current_message::get_response_topic() else {
            return Err(error("NO_REQUEST", format!("the message on '{}' has no response topic", message.topic)));
        };
        let text = String::from_utf8_lossy(&message.payload).to_uppercase();
        let mut user_properties = current_message::get_user_properties();
        user_properties.push(UserProperty { name: "age-ms".to_owned(), value: age_ms().to_string() });
        let properties = Properties {
            payload_format: PayloadFormat::Utf8,
            content_type: current_message::get_content_type(),
            correlation_data: current_message::get_correlation_data(),
            expiry_seconds: current_message::get_expiry_seconds(),
            user_properties,
            ..Properties::default()
        };
        publish_with(&topic, text.as_bytes(), message.qos, false, &properties)
    }
}

/// Milliseconds since the broker has received the request.
fn age_ms() -> i64 {
    let received = current_message::get_received_ms().unwrap_or_default();
    ambient::now_ms() - received
}

lotmq_guest::export_action!(Answer);
