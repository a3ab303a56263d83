//! Questions to one route, for rows that it stores, and those who wait for the answers.
//!
//! A question waits behind what was handed to the route before it, so that it sees those rows.
//!
//! Invariant: what nobody waits for any more is dropped, so there are never more questions than
//! threads that ask.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Answer: the rows as the guest gave them, or the reason why there are none.
pub(crate) type Answer = Result<Vec<u8>, String>;

/// One question.
#[derive(Debug)]
pub struct Question {
    pub body: Vec<u8>,
    /// Sequence number below which messages are delivered first.
    behind: u64,
    deadline: Instant,
    answer: SyncSender<Answer>,
}

impl Question {
    /// Sends the answer to the asker, who may have gone.
    pub(crate) fn answer(self, answer: Answer) {
        let _ = self.answer.try_send(answer);
    }
}

fn answering() -> (SyncSender<Answer>, Receiver<Answer>) {
    sync_channel(1)
}

/// Answer to a question that is not even asked.
pub(crate) fn refused(reason: String) -> Receiver<Answer> {
    let (answer, answered) = answering();
    let _ = answer.try_send(Err(reason));
    answered
}

/// Questions that wait for a route.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    waiting: VecDeque<Question>,
    /// Reason why no question is taken at present.
    refusal: Option<String>,
}

impl Questions {
    /// Asks behind the messages before the sequence number `behind`; the answer is waited for until
    /// `patience` is over.
    pub(crate) fn ask(&mut self, body: Vec<u8>, behind: u64, patience: Duration) -> Receiver<Answer> {
        let now = Instant::now();
        self.waiting.retain(|question| question.deadline > now);
        let (answer, answered) = answering();
        let question = Question { body, behind, deadline: now + patience, answer };
        match &self.refusal {
            Some(reason) => question.answer(Err(reason.clone())),
            None => self.waiting.push_back(question),
        }
        answered
    }

    /// Takes the next question, unless it is behind the next waiting message, which has this
    /// sequence number (`None`: none waits).
    pub(crate) fn take(&mut self, next_message: Option<u64>) -> Option<Question> {
        let now = Instant::now();
        while self.waiting.front().is_some_and(|question| question.deadline <= now) {
            self.waiting.pop_front();
        }
        let first = self.waiting.front()?;
        let is_due = next_message.is_none_or(|sequence| sequence >= first.behind);
        is_due.then(|| self.waiting.pop_front()).flatten()
    }

    /// Sequence number from which on messages come after the next question.
    pub(crate) fn next_behind(&self) -> Option<u64> {
        self.waiting.front().map(|question| question.behind)
    }

    /// Puts a question that was taken back to the front.
    pub(crate) fn put_back(&mut self, question: Question) {
        match &self.refusal {
            Some(reason) => question.answer(Err(reason.clone())),
            None => self.waiting.push_front(question),
        }
    }

    /// Refuses all questions, and further ones, with a reason, until they are
    /// [taken again](Self::accept).
    pub(crate) fn refuse(&mut self, reason: &str) {
        self.refusal = Some(reason.to_owned());
        self.waiting.drain(..).for_each(|question| question.answer(Err(reason.to_owned())));
    }

    /// Takes questions again.
    pub(crate) fn accept(&mut self) {
        self.refusal = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn body(question: Option<Question>) -> Option<Vec<u8>> {
        question.map(|question| question.body)
    }

    #[test]
    fn questions_wait_behind_the_messages_before_them() {
        let mut questions = Questions::default();
        let _first = questions.ask(b"1".to_vec(), 3, LONG);
        let _second = questions.ask(b"2".to_vec(), 3, LONG);
        assert_eq!((body(questions.take(Some(2))), questions.next_behind()), (None, Some(3)));
        let first = questions.take(Some(3)).unwrap();
        questions.put_back(first);
        assert_eq!(body(questions.take(None)).unwrap(), b"1");
        assert_eq!(body(questions.take(Some(7))).unwrap(), b"2");
        assert_eq!((body(questions.take(None)), questions.next_behind()), (None, None));
    }

    #[test]
    fn expired_question_is_dropped() {
        let mut questions = Questions::default();
        let given_up = questions.ask(b"1".to_vec(), 1, Duration::ZERO);
        let _second = questions.ask(b"2".to_vec(), 1, LONG);
        assert_eq!(questions.waiting.len(), 1);
        assert!(given_up.recv().is_err());
    }

    #[test]
    fn a_route_that_stands_still_answers_at_once() {
        let mut questions = Questions::default();
        let waits = questions.ask(b"1".to_vec(), 1, LONG);
        questions.refuse("no host");
        let late = questions.ask(b"2".to_vec(), 1, LONG);
        for answered in [waits, late] {
            assert_eq!(answered.recv().unwrap(), Err("no host".to_owned()));
        }
        questions.accept();
        let _third = questions.ask(b"3".to_vec(), 1, LONG);
        assert_eq!(body(questions.take(None)).unwrap(), b"3");
    }
}
