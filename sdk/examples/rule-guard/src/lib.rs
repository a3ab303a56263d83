//! Example for the world `rule`: decides who may publish, by last values, a quota and the payload.
//!
//! It denies all requests while `plant/locked` is `true`, and payloads of more than `-config`
//! bytes. Each client has ten questions; after those the guest makes no decision. The payload
//! `loop` makes it loop and `panic` makes it panic, so that tests see how the broker handles it.
//! Load it with `-addModule guard -world rule -grantAll wasm64:…`, and ask it with
//! `IF MODULE "guard" THEN`.

use lotmq_guest::println;
use lotmq_guest::rule::{Request, Rule, RunError, Verdict, config, error, last_value, metrics, state, subject};

lotmq_guest::manifest!("read:plant/locked", "state");

/// Questions of a client that it has something to say of.
const QUOTA: u8 = 10;

struct Guard;

impl Rule for Guard {
    fn check(request: Request) -> Result<Verdict, RunError> {
        let payload = request.payload.unwrap_or_default();
        match &*payload {
            b"loop" => loop {
                core::hint::spin_loop();
            },
            b"panic" => panic!("{} wanted it", request.client_id),
            b"error" => return Err(error("BAD_PAYLOAD", "this payload is an error")),
            _ => {}
        }
        let _ = metrics::add("questions", 1);
        if last_value("plant/locked").is_some_and(|locked| locked == b"true") {
            println!("{} is denied: the plant is locked", request.client_id);
            return Ok(Verdict::Deny);
        }
        let limit = config::get().parse().unwrap_or(64);
        if payload.len() > limit && !subject::in_group("ops") {
            return Ok(Verdict::Deny);
        }
        let asked = state::get(&request.client_id).and_then(|count| count.first().copied()).unwrap_or(0) + 1;
        if asked > QUOTA {
            return Ok(Verdict::Nothing);
        }
        state::set(&request.client_id, &[asked]).map_err(|_| error("STATE_FULL", "no more clients fit"))?;
        Ok(Verdict::Allow)
    }
}

lotmq_guest::export_rule!(Guard);
