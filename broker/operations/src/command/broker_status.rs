//! `-brokerStatus`: how the broker is, in one reply, for `lotmq status` and others who look after
//! it. The commands reference does not have it.

use std::time::{Duration, Instant};

use lotmq_auth::Scope;

use super::reply::{Done, Refusal};
use super::verb::{Call, Effect, Permission, Verb, Work};
use crate::sys;
use lotmq_process::limits::HEARTBEAT_PATIENCE;
use lotmq_process::watchdog::Watchdog;
use lotmq_programs::late_code::Compiling;

/// Period at which threads that seem to stand still are looked at again.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

pub(super) static STATUS: Verb = Verb {
    name: "brokerStatus",
    arguments: &[],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Tells how the broker is: what fails, listeners that are not open, limits of which 80 % or more are used, rates, and errors and warnings of definitions: of each code the last error, of routes of each message, and of each place the last warning.",
    example: "-brokerStatus",
    execute: status,
};

fn status(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let failures = sys::failures(call.broker, silent(&call.hosting.watchdog));
    let message = match failures.first() {
        None => match Compiling::now(call.hosting) {
            None => "The broker is healthy.".to_owned(),
            Some(compiling) => format!("The broker is starting: {compiling}."),
        },
        Some(failure) => format!("The broker is failing: {failure}."),
    };
    Ok(Done::new(message).with_data(sys::condition(call.broker, call.tenant, &failures)))
}

/// Threads that stand still, in words, as `/health` tells of them: those that seem to have
/// [`HEARTBEAT_PATIENCE`] to go on.
fn silent(watchdog: &Watchdog) -> Option<String> {
    let deadline = Instant::now() + HEARTBEAT_PATIENCE;
    loop {
        let now = Instant::now();
        let silent = watchdog.silent(now);
        if silent.is_none() || now >= deadline {
            return silent;
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}
