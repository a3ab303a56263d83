//! Message handling of an open route: combines neighbouring writes to the same collection, and
//! keeps the order.

use bson::oid::ObjectId;
use bson::{RawDocumentBuf, rawdoc};
use lotmq_guest::route::{Addressee, Arrival, Delivery, Failure, Receipt, Value, ambient, diagnostics};
use route_ledger::{Done, Ledger};
use serde_json::{Value as Json, json};

use crate::bson_value::document_of;
use crate::cluster;
use crate::config::{Answer, Config, Target};
use crate::find;
use crate::identity::Identity;
use crate::limits::{DELIVER_MS, RESULT_BYTES_MAX, ROWS_BYTES_MAX};
use crate::link::{Link, error_of};
use crate::naming;
use crate::node::Missing;
use crate::rows::Question;
use crate::statement::{self, Kind};
use crate::write::{self, Item, Outcome, Place, Verb};

/// An open route.
pub(crate) struct Serving {
    config: Config,
    link: Link,
    concern: RawDocumentBuf,
    identity: Identity,
    ledger: Ledger,
}

/// Work for a message.
enum Work {
    Write { verb: Verb, collection: String, item: Item },
    Find { collection: String, members: RawDocumentBuf },
}

/// Messages that write to one collection in one way.
struct Group<'a> {
    verb: Verb,
    collection: String,
    items: Vec<Item>,
    deliveries: Vec<&'a Delivery>,
}

impl Serving {
    pub(crate) fn open(config: Config) -> Result<Serving, Failure> {
        let link = cluster::open(&config)?;
        let concern = config.write_concern().map_err(Failure::Fatal)?;
        Ok(Serving { config, link, concern, identity: Identity::load(), ledger: Ledger::default() })
    }

    /// Whether the server is there and lets us in.
    pub(crate) fn probe(&mut self) -> Result<(), Failure> {
        self.renew()?;
        let reply = self.link.ask(&rawdoc! { "ping": 1, "$db": &*self.config.database }, None)?;
        error_of(&reply).map_or(Ok(()), |error| Err(self.link.told(error.into_failure())))
    }

    /// Connects again when the server has ended the connection while nothing was to be done.
    fn renew(&mut self) -> Result<(), Failure> {
        if self.link.has_ended() {
            self.link = cluster::open(&self.config)?;
        }
        Ok(())
    }

    /// The rows of a table that a question wants.
    pub(crate) fn query(&mut self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let question = Question::parse(body).map_err(Failure::Reject)?;
        let members = question.members().map_err(Failure::Reject)?;
        let collection =
            naming::check(question.table().to_owned(), &self.config.database).map_err(Failure::Reject)?;
        self.renew()?;
        let found = find::find(&mut self.link, &self.config, &collection, &members, ROWS_BYTES_MAX)?;
        tell_cut(&found, ROWS_BYTES_MAX);
        Ok(found.json.into_bytes())
    }

    /// Carries out a batch in its order.
    pub(crate) fn deliver(&mut self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        self.renew()?;
        let outcome = self.carry_out(batch);
        self.ledger.receipt(batch, outcome)
    }

    /// Processes messages until one fails or the time is over. The error belongs to the first
    /// unfinished message.
    fn carry_out(&mut self, batch: &[Delivery]) -> Result<(), Failure> {
        let began = ambient::monotonic_ms();
        let mut waiting: Option<Group<'_>> = None;
        for delivery in batch {
            match self.ledger.done(delivery.sequence) {
                Some(Done::Unpublished(_)) => {
                    self.write(waiting.take())?;
                    if let Some(result) = self.ledger.take_unpublished(delivery.sequence) {
                        self.answer(delivery, result)?;
                    }
                    continue;
                }
                Some(_) => continue,
                None => {}
            }
            match self.work(delivery) {
                Err(reason) => self.ledger.note(delivery.sequence, Done::Rejected(reason)),
                Ok(Work::Find { collection, members }) => {
                    self.write(waiting.take())?;
                    self.find(delivery, &collection, &members)?;
                }
                Ok(Work::Write { verb, collection, item }) => {
                    let joins = waiting.as_ref().is_some_and(|group| {
                        group.verb == verb
                            && group.collection == collection
                            && !self.stands_alone(delivery, verb)
                    });
                    if !joins {
                        self.write(waiting.take())?;
                        if ambient::monotonic_ms().saturating_sub(began) >= DELIVER_MS {
                            return Ok(());
                        }
                    }
                    let empty = || Group { verb, collection, items: Vec::new(), deliveries: Vec::new() };
                    let group = waiting.get_or_insert_with(empty);
                    group.items.push(item);
                    group.deliveries.push(delivery);
                    if self.stands_alone(delivery, verb) {
                        self.write(waiting.take())?;
                    }
                }
            }
        }
        self.write(waiting)
    }

    /// Returns whether a message needs its own server answer, with the number of documents that it
    /// changed.
    fn stands_alone(&self, delivery: &Delivery, verb: Verb) -> bool {
        verb != Verb::Insert && self.target(delivery).is_some_and(|target| target.answer.is_some())
    }

    /// Writes what goes together.
    fn write(&mut self, group: Option<Group<'_>>) -> Result<(), Failure> {
        let Some(Group { verb, collection, mut items, mut deliveries }) = group else { return Ok(()) };
        let mut failed = Ok(());
        while !items.is_empty() && failed.is_ok() {
            if let Some(reason) = write::too_large(&self.link, &items[0]) {
                items.remove(0);
                self.ledger.note(deliveries.remove(0).sequence, Done::Rejected(reason));
                continue;
            }
            let fitting = write::fitting(&self.link, &items);
            // One that is too large ends what goes before it.
            let small = |item: &&Item| write::too_large(&self.link, item).is_none();
            let count = items.iter().take(fitting).take_while(small).count();
            let place =
                Place { database: &self.config.database, collection: &collection, concern: &self.concern };
            let written = match write::write(&mut self.link, verb, &place, &items[..count]) {
                Err(Failure::Reject(reason)) if count == 1 => {
                    write::Written { outcomes: vec![Outcome::Rejected(reason)], affected: 0 }
                }
                written => written?,
            };
            let tried =
                written.outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Untried)).count();
            let settled = items.drain(..tried).zip(deliveries.drain(..tried)).zip(written.outcomes);
            for ((item, delivery), outcome) in settled {
                match outcome {
                    Outcome::Done => {
                        let result = result_of(verb, item.own_id, written.affected);
                        failed = failed.and(self.answer(delivery, result.into_bytes()));
                    }
                    Outcome::Rejected(reason) => self.ledger.note(delivery.sequence, Done::Rejected(reason)),
                    Outcome::Failed(failure) => failed = failed.and(Err(self.link.told(failure))),
                    Outcome::Untried => {}
                }
            }
        }
        failed
    }

    fn find(
        &mut self,
        delivery: &Delivery,
        collection: &str,
        members: &RawDocumentBuf,
    ) -> Result<(), Failure> {
        match find::find(&mut self.link, &self.config, collection, members, RESULT_BYTES_MAX) {
            Ok(found) => {
                tell_cut(&found, RESULT_BYTES_MAX);
                self.answer(delivery, found.json.into_bytes())
            }
            Err(Failure::Reject(reason)) => {
                self.ledger.note(delivery.sequence, Done::Rejected(reason));
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn target(&self, delivery: &Delivery) -> Option<&Target> {
        match &delivery.to {
            Addressee::Event(name) => self.config.events.get(name),
            Addressee::Mapping(name) => self.config.mappings.get(name),
            Addressee::Tag(_) | Addressee::Table(_) => None,
        }
    }

    /// Returns the work for a message, or the reason to reject it.
    fn work(&self, delivery: &Delivery) -> Result<Work, String> {
        if let Addressee::Table(table) = &delivery.to {
            let row = serde_json::from_slice::<Json>(&delivery.message.payload).ok();
            let row = row.as_ref().and_then(Json::as_object).ok_or("a row is a JSON object")?;
            let collection = naming::check(table.clone(), &self.config.database)?;
            return Ok(self.insertion(delivery, collection, document_of(row)?));
        }
        let target = self.target(delivery).ok_or("the route has no such event or mapping")?;
        let statement = &target.statement;
        let of_payload;
        let values = if statement.takes_payload() && statement.template().values(delivery).is_empty() {
            of_payload = [Value::Text(String::from_utf8_lossy(&delivery.message.payload).into_owned())];
            statement.values(&of_payload)
        } else {
            statement.values(statement.template().values(delivery))
        };
        let collection = statement.collection(values, &self.config.database)?;
        Ok(match &statement.kind {
            Kind::Insert(document) => {
                self.insertion(delivery, collection, document.document(values, Missing::Null)?)
            }
            Kind::Find(find) => Work::Find { collection, members: find.members(values)? },
            Kind::Update { change, filter } => {
                let (change, filter) = (statement::change(change, values)?, filter.document(values)?);
                let document = rawdoc! { "q": filter, "u": change, "multi": true };
                Work::Write { verb: Verb::Update, collection, item: Item { document, own_id: None } }
            }
            Kind::Delete(filter) => {
                let document = rawdoc! { "q": filter.document(values)?, "limit": 0 };
                Work::Write { verb: Verb::Delete, collection, item: Item { document, own_id: None } }
            }
        })
    }

    /// A document that is stored, under its own `_id` or that of its message.
    fn insertion(&self, delivery: &Delivery, collection: String, document: RawDocumentBuf) -> Work {
        let item = match document.get("_id") {
            Ok(None) => {
                let id = self.identity.of(delivery);
                Item { document: with_id(id, &document), own_id: Some(id) }
            }
            Ok(Some(_)) | Err(_) => Item { document, own_id: None },
        };
        Work::Write { verb: Verb::Insert, collection, item }
    }

    /// Publishes a result if the event wants one. Keeps a result that cannot be published now; its
    /// message is otherwise done.
    fn answer(&mut self, delivery: &Delivery, result: Vec<u8>) -> Result<(), Failure> {
        let answer = self.target(delivery).and_then(|target| target.answer.as_ref());
        let Some(Answer { topic, qos, retain }) = answer else {
            self.ledger.note(delivery.sequence, Done::Passed);
            return Ok(());
        };
        let (topic, payload) = (topic.filled(delivery), result);
        let arrival = Arrival { topic, payload, qos: *qos, retain: *retain, properties: None };
        self.ledger.publish(delivery.sequence, arrival)
    }
}

/// A document with an `_id` in front.
fn with_id(id: ObjectId, document: &RawDocumentBuf) -> RawDocumentBuf {
    let mut whole = rawdoc! { "_id": id };
    for (key, value) in document.iter().flatten() {
        whole.append(key, value);
    }
    whole
}

/// Formats the result of a write.
fn result_of(verb: Verb, own_id: Option<ObjectId>, affected: i64) -> String {
    match (verb, own_id) {
        (Verb::Insert, Some(id)) => json!([{ "affected": 1, "_id": id.to_hex() }]).to_string(),
        (Verb::Insert, None) => json!([{ "affected": 1 }]).to_string(),
        (Verb::Update | Verb::Delete, _) => json!([{ "affected": affected }]).to_string(),
    }
}

fn tell_cut(found: &find::Found, bytes_max: usize) {
    if found.is_cut {
        let message = format!("the result has more than {bytes_max} bytes: further documents were left out");
        diagnostics::report(diagnostics::Severity::Error, "TRUNCATED", &message, 0, 0);
    }
}
