//! Message handling of an open route: stores batches of documents, searches, and answers row
//! requests.

use lotmq_guest::route::{Addressee, Arrival, Delivery, Failure, Receipt, Value, ambient, diagnostics};
use route_ledger::{Done, Ledger};
use serde_json::Value as Json;

use crate::bulk::{self, Outcome};
use crate::config::{Answer, Config, Target};
use crate::far::{Far, encoded};
use crate::query::{Fields, Question, index_of, is_step, sources};
use crate::statement::{Document, Search, Statement};

/// Milliseconds of a delivery before it reports its progress to the host.
const DELIVER_MS: u64 = 1_000;

/// Bytes of a published result; further documents are left out (routes reference §4.1).
const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// An open route.
pub(crate) struct Serving {
    far: Far,
    config: Config,
    ledger: Ledger,
}

/// Work for a message.
enum Work {
    Store(Document),
    Search(Search),
}

impl Serving {
    pub(crate) fn open(mut config: Config) -> Result<Serving, Failure> {
        let far = Far::new(config.path.clone(), config.login.take());
        Ok(Serving { far, config, ledger: Ledger::default() })
    }

    /// Whether the server is there and lets us in.
    pub(crate) fn probe(&self) -> Result<(), Failure> {
        self.far.get("/").map(drop)
    }

    /// The rows of a table that a question wants.
    pub(crate) fn query(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let question = Question::parse(body).map_err(Failure::Reject)?;
        let fields = match question.fields_target() {
            Some(target) => Fields::of(&self.far.get(&target)?),
            None => Fields::default(),
        };
        let search = question.search(&fields).map_err(Failure::Reject)?;
        let target = format!("/{}/_search?ignore_unavailable=true&allow_no_indices=true", question.index());
        let answer = self.far.post(&target, "application/json", search.to_string())?;
        let rows = sources(&answer).map_err(Failure::Reconnect)?;
        serde_json::to_vec(&rows).map_err(|error| Failure::Reject(error.to_string()))
    }

    /// Carries out a batch: neighbouring documents with one request, everything in order.
    pub(crate) fn deliver(&mut self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        let began = ambient::monotonic_ms();
        let mut outcome = Ok(());
        let mut at = 0;
        while at < batch.len()
            && outcome.is_ok()
            && ambient::monotonic_ms().saturating_sub(began) < DELIVER_MS
        {
            let end = at + self.length_of_group(&batch[at..]);
            outcome = self.carry_out(&batch[at..end]);
            at = end;
        }
        self.ledger.receipt(batch, outcome)
    }

    /// How many messages from the first go to the server together: documents, or one search.
    fn length_of_group(&self, batch: &[Delivery]) -> usize {
        let is_search = |delivery: &Delivery| {
            self.target(delivery).is_some_and(|target| matches!(target.statement, Statement::Search(_)))
        };
        let documents = batch.iter().take_while(|delivery| !is_search(delivery)).count();
        documents.max(1)
    }

    /// Processes one request's messages. The error belongs to the first unfinished message.
    fn carry_out(&mut self, group: &[Delivery]) -> Result<(), Failure> {
        let mut documents = Vec::new();
        let mut places = Vec::new();
        for delivery in group.iter() {
            if let Some(result) = self.ledger.take_unpublished(delivery.sequence) {
                self.answer(delivery, result)?;
                continue;
            }
            if self.ledger.done(delivery.sequence).is_some() {
                continue;
            }
            match self.work(delivery) {
                Ok(Work::Store(document)) => {
                    documents.push(document);
                    places.push(delivery);
                }
                Ok(Work::Search(search)) => match self.search(&search) {
                    Ok(result) => self.answer(delivery, result)?,
                    Err(Failure::Reject(reason)) => {
                        self.ledger.note(delivery.sequence, Done::Rejected(reason));
                    }
                    Err(failure) => return Err(failure),
                },
                Err(reason) => self.ledger.note(delivery.sequence, Done::Rejected(reason)),
            }
        }
        if documents.is_empty() { Ok(()) } else { self.store(&documents, &places) }
    }

    fn store(&mut self, documents: &[Document], places: &[&Delivery]) -> Result<(), Failure> {
        let mut failed = Ok(());
        for (outcome, delivery) in bulk::store(&self.far, documents)?.into_iter().zip(places) {
            match outcome {
                Outcome::Stored(result) => {
                    let answered = self.answer(delivery, result.to_string().into_bytes());
                    failed = failed.and(answered);
                }
                Outcome::Rejected(reason) => self.ledger.note(delivery.sequence, Done::Rejected(reason)),
                Outcome::Waits(reason) => failed = failed.and(Err(Failure::Reconnect(reason))),
                Outcome::Busy(reason) => failed = failed.and(Err(Failure::Retry(reason))),
            }
        }
        failed
    }

    fn target(&self, delivery: &Delivery) -> Option<&Target> {
        match &delivery.to {
            Addressee::Event(name) => self.config.events.get(name),
            Addressee::Mapping(name) => self.config.mappings.get(name),
            Addressee::Tag(_) | Addressee::Table(_) => None,
        }
    }

    fn work(&self, delivery: &Delivery) -> Result<Work, String> {
        let payload = &delivery.message.payload;
        if let Addressee::Table(table) = &delivery.to {
            let source = serde_json::from_slice::<Json>(payload).ok().filter(Json::is_object);
            let source = source.ok_or("a row is a JSON object")?.to_string();
            return Ok(Work::Store(Document { index: index_of(table), id: None, source }));
        }
        let target = self.target(delivery).ok_or("the route has no such event or mapping")?;
        let of_query = delivery.placeholders.iter().find(|one| one.setting == "QUERY");
        let values: &[Value] = of_query.map(|one| &one.values[..]).unwrap_or_default();
        match &target.statement {
            Statement::Index(words) => words.as_document(values, payload).map(Work::Store),
            Statement::Search(words) => words.as_search(values, payload).map(Work::Search),
        }
    }

    /// The documents that a search finds, as an array.
    fn search(&self, search: &Search) -> Result<Vec<u8>, Failure> {
        let target = format!("/{}/_search", search_index(&search.index)?);
        let answer = self.far.post(&target, "application/json", search.body.clone())?;
        let found = sources(&answer).map_err(Failure::Reconnect)?;
        let (result, left_out) = bounded(&found);
        if left_out > 0 {
            let message = format!(
                "the result has more than {RESULT_BYTES_MAX} bytes: {left_out} documents were left out"
            );
            diagnostics::report(diagnostics::Severity::Warning, "TRUNCATED", &message, 0, 0);
        }
        Ok(result)
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

/// The indices of a search as a path: several have commas between them, and patterns stars.
fn search_index(indices: &str) -> Result<String, Failure> {
    if is_step(indices) {
        return Err(Failure::Reject(format!("no index is called '{indices}'")));
    }
    let one = |index: &str| index.split('*').map(encoded).collect::<Vec<_>>().join("*");
    Ok(indices.split(',').map(one).collect::<Vec<_>>().join(","))
}

/// As many documents as a result may have bytes, as an array, and how many are left out.
fn bounded(found: &[&Json]) -> (Vec<u8>, usize) {
    let mut result = b"[".to_vec();
    for (at, source) in found.iter().enumerate() {
        let text = source.to_string();
        if result.len() + text.len() + 2 > RESULT_BYTES_MAX {
            result.push(b']');
            return (result, found.len() - at);
        }
        if at > 0 {
            result.push(b',');
        }
        result.extend_from_slice(text.as_bytes());
    }
    result.push(b']');
    (result, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_bounded() {
        let document = Json::from("x".repeat(400_000));
        assert_eq!(bounded(&[]), (b"[]".to_vec(), 0));
        let (result, left_out) = bounded(&[&document, &document, &document, &document]);
        assert_eq!((result.len(), left_out), (800_007, 2));
        assert_eq!(serde_json::from_slice::<Json>(&result).unwrap().as_array().map(Vec::len), Some(2));
        assert_eq!(search_index("a b,c-*").unwrap(), "a%20b,c-*");
        for step in ["", ".", ".."] {
            assert!(matches!(search_index(step), Err(Failure::Reject(_))), "{step}");
        }
    }
}
