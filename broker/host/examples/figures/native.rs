//! The measured Actions by hand in Rust: what the sandbox and the language cost beside them.

use lotmq_router::filter_matches;

/// Takes topic and payload, appends the messages that it publishes.
pub(crate) type Action = fn(&str, &[u8], &mut Vec<(String, Vec<u8>)>);

/// The Action of that name.
pub(crate) fn action(name: &str) -> Action {
    match name {
        "forward" => |topic, payload, out| {
            if filter_matches("s/+/t", topic) {
                out.push(("x".to_owned(), payload.to_vec()));
            }
        },
        "alarm" => |topic, payload, out| {
            if filter_matches("s/+/t", topic) && number(payload) > 30.0 {
                let level = topic.split('/').nth(1).unwrap_or_default();
                out.push((format!("alarm/{level}"), payload.to_vec()));
            }
        },
        "threshold, text" => |topic, payload, out| {
            if filter_matches("s/+/t", topic) && payload > &b"50"[..] {
                out.push(("x".to_owned(), payload.to_vec()));
            }
        },
        "convert" => |topic, payload, out| {
            if filter_matches("s/+/t", topic) {
                let level = topic.split('/').nth(1).unwrap_or_default();
                let fahrenheit = number(payload) * 1.8 + 32.0;
                out.push((format!("f/{level}"), fahrenheit.to_string().into_bytes()));
            }
        },
        _ => |topic, payload, out| {
            if filter_matches("s/+/t", topic) && number(payload) > 50.0 {
                out.push(("x".to_owned(), payload.to_vec()));
            }
        },
    }
}

fn number(payload: &[u8]) -> f64 {
    str::from_utf8(payload).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}
