//! Message handling of an open route: sends the commands of a batch together; each reply is the
//! result of its command.

use lotmq_guest::route::{Addressee, Arrival, Delivery, Failure, Receipt, ingest, net, unpublished};
use route_ledger::{Done, Ledger};

use crate::config::{Answer, Config, Event};
use crate::failures;
use crate::limits::{PIPELINE_BYTES, RESULT_BYTES_MAX};
use crate::link::Link;
use crate::reply::Reply;

/// An open route.
pub(crate) struct Serving {
    pub(crate) config: Config,
    link: Link,
    ledger: Ledger,
}

impl Serving {
    pub(crate) fn open(config: Config) -> Result<Serving, Failure> {
        let link = Link::open(&config)?;
        Ok(Serving { config, link, ledger: Ledger::default() })
    }

    /// Whether the server is there.
    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        match self.link.ask(&["PING"])? {
            Reply::Error(text) => Err(failures::of(&text)),
            _ => Ok(()),
        }
    }

    /// Waits for host work. Detects the end of the connection meanwhile, so that the next message
    /// need not.
    pub(crate) fn rest(&mut self, until_ms: u32) -> Result<(), Failure> {
        let ready = net::wait(&[net::Interest::HostWork, self.link.readable()], until_ms);
        if ready.contains(&1) {
            self.link.take()?;
            // Nobody has asked for anything.
            while self.link.received()?.is_some() {}
        }
        Ok(())
    }

    /// Carries out a batch in its order.
    pub(crate) fn deliver(&mut self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        let mut outcome = Ok(());
        let mut at = 0;
        while at < batch.len() && outcome.is_ok() {
            let (sent, ended) = self.carry_out(&batch[at..]);
            (at, outcome) = (at + sent, ended);
        }
        self.ledger.receipt(batch, outcome)
    }

    /// Sends as many commands as fit together, and reads their replies. Returns their number, and
    /// the failure of the first unfinished one.
    fn carry_out(&mut self, batch: &[Delivery]) -> (usize, Result<(), Failure>) {
        let (mut out, mut asked, mut sent) = (Vec::new(), Vec::new(), 0);
        for delivery in batch {
            if out.len() >= PIPELINE_BYTES {
                break;
            }
            sent += 1;
            if self.ledger.done(delivery.sequence).is_some() {
                continue;
            }
            match event(&self.config, delivery) {
                Ok(event) => {
                    event.command.encode(event.template.values(delivery), &mut out);
                    asked.push(delivery);
                }
                Err(reason) => self.ledger.note(delivery.sequence, Done::Rejected(reason)),
            }
        }
        let replied = self.exchange(&out, &asked);
        (sent, replied.and_then(|()| self.publish(&batch[..sent])))
    }

    fn exchange(&mut self, out: &[u8], asked: &[&Delivery]) -> Result<(), Failure> {
        let mut failed = Ok(());
        if !out.is_empty() {
            self.link.send(out)?;
        }
        for delivery in asked {
            let done = match self.link.reply()? {
                Reply::Error(text) => match failures::of_message(&text) {
                    Failure::Reject(reason) => Done::Rejected(reason),
                    failure => {
                        failed = failed.and(Err(failure));
                        continue;
                    }
                },
                reply => match event(&self.config, delivery) {
                    Ok(Event { answer: Some(_), .. }) => Done::Unpublished(reply.payload()),
                    _ => Done::Passed,
                },
            };
            self.ledger.note(delivery.sequence, done);
        }
        failed
    }

    /// Publishes the replies of commands whose events want that.
    fn publish(&mut self, batch: &[Delivery]) -> Result<(), Failure> {
        let mut arrivals = Vec::new();
        let mut of = Vec::new();
        for delivery in batch {
            let Some(Done::Unpublished(payload)) = self.ledger.done(delivery.sequence) else { continue };
            let Ok(Event { answer: Some(Answer { topic, qos, retain }), .. }) = event(&self.config, delivery)
            else {
                continue;
            };
            if payload.len() > RESULT_BYTES_MAX {
                let reason = format!("its reply has {} bytes, more than {RESULT_BYTES_MAX}", payload.len());
                self.ledger.note(delivery.sequence, Done::Rejected(reason));
                continue;
            }
            arrivals.push(Arrival {
                topic: topic.filled(delivery),
                payload: payload.clone(),
                qos: *qos,
                retain: *retain,
                properties: None,
            });
            of.push(delivery.sequence);
        }
        if arrivals.is_empty() {
            return Ok(());
        }
        match ingest::publish(&arrivals) {
            Ok(()) => of.into_iter().for_each(|sequence| self.ledger.note(sequence, Done::Passed)),
            // One of them is not allowed. Publishing each alone finds it.
            Err(ingest::IngestError::NotAllowed) => {
                for (arrival, sequence) in arrivals.iter().zip(of) {
                    let done = match ingest::publish(std::slice::from_ref(arrival)).map_err(unpublished) {
                        Ok(()) => Done::Passed,
                        Err(Failure::Reject(reason)) => Done::Rejected(reason),
                        Err(failure) => return Err(failure),
                    };
                    self.ledger.note(sequence, done);
                }
            }
            Err(error) => return Err(unpublished(error)),
        }
        Ok(())
    }
}

/// The event that a message is for.
fn event<'a>(config: &'a Config, delivery: &Delivery) -> Result<&'a Event, String> {
    let Addressee::Event(name) = &delivery.to else {
        return Err("a route of type REDIS takes messages for its events only".to_owned());
    };
    config.events.get(name).ok_or_else(|| format!("there is no event {name}"))
}
