//! Traces of actions: armed while they are watched, and ended behind that, but for those that
//! somebody else has armed.

use std::time::{Duration, Instant};

use lotmq_client::{Client, Publication, QoS};
use lotmq_terminal::{Exit, output};
use serde_json::Value;

use super::REPLY_SEC;
use crate::cmd::{COMMAND_TOPIC, asked};

/// Time after which traces are armed again; they last for five minutes.
const RENEW_AFTER: Duration = Duration::from_secs(240);

/// Traces that are wanted, and those that were armed here.
#[derive(Debug, Default)]
pub(super) struct Traces {
    wanted: Vec<String>,
    armed: Vec<String>,
    armed_at: Option<Instant>,
}

impl Traces {
    /// Wants an action to be traced.
    pub(super) fn want(&mut self, name: &str) {
        self.wanted.push(name.to_owned());
    }

    /// Arms what is wanted and not traced already. Else the exit code, after having said why.
    pub(super) fn arm(&mut self, client: &mut Client) -> anyhow::Result<Result<(), Exit>> {
        self.armed_at = Some(Instant::now());
        if self.wanted.is_empty() {
            return Ok(Ok(()));
        }
        let traced = match asked(client, "-actionTrace status", REPLY_SEC)? {
            Ok(reply) => reply["data"].clone(),
            Err(exit) => return Ok(Err(exit)),
        };
        let is_traced =
            |name: &str| traced.as_array().into_iter().flatten().any(|row: &Value| row["action"] == *name);
        for name in &self.wanted {
            if !self.armed.contains(name) && !is_traced(name) {
                self.armed.push(name.clone());
            }
        }
        for name in &self.armed {
            // One that is gone by now may come back.
            if let Err(exit) = asked(client, &format!("-actionTrace {name}"), REPLY_SEC)?
                && exit == Exit::NoBroker
            {
                return Ok(Err(exit));
            }
        }
        Ok(Ok(()))
    }

    /// Arms them again before they end.
    pub(super) fn renew(&mut self, client: &mut Client) -> anyhow::Result<()> {
        if self.armed_at.is_none_or(|at| at.elapsed() < RENEW_AFTER) {
            return Ok(());
        }
        self.armed_at = Some(Instant::now());
        for name in &self.armed {
            let command = Publication::new(COMMAND_TOPIC, format!("-actionTrace {name}"));
            client.publish(&command.qos(QoS::AtLeastOnce))?;
        }
        Ok(())
    }

    /// Ends the traces that were armed here. If that fails, they end by themselves.
    pub(super) fn end(&mut self, client: &mut Client) {
        for name in self.armed.drain(..) {
            let command = Publication::new(COMMAND_TOPIC, format!("-actionTrace remove {name}"));
            if let Err(error) = client.publish(&command.qos(QoS::AtLeastOnce)) {
                output::note(&format!(
                    "cannot end the trace of `{name}`, which ends within five minutes: {error}"
                ));
                return;
            }
        }
    }
}
