//! Answers to questions by a driver, and the consequences of the classes of failure.

use lotmq_host::route::{Abilities, Failure};

use super::{Ended, Serving, count_call, failing, text_of, trapped};
use crate::routes::asked_run::{AskedProbe, Probed};
use crate::routes::questions::Question;

impl Serving<'_> {
    /// Asks the far side for rows. The question is repeated as long as somebody waits where the
    /// class of the failure says so: reading changes nothing.
    pub(super) async fn answer(&mut self, question: Question) -> Option<Ended> {
        if !self.abilities.contains(Abilities::REQUEST) {
            let reason = "its guest answers no queries".to_owned();
            self.driver.route.update(|status| status.failed(0, &reason, self.driver.now()));
            question.answer(Err(reason));
            return None;
        }
        // Messages that the guest sends with the answer are not caused by a message.
        self.instance.comes_behind(0);
        count_call(self.figures.as_ref());
        let call_time = self.version.call_time();
        let asked = tokio::time::timeout(call_time, self.instance.request("query", &question.body));
        let called = tokio::select! {
            called = asked => called,
            () = self.driver.slot.removed() => return removed(question),
        };
        let route = &self.driver.route;
        let (now, masked) = (self.driver.now(), |reason: &str| self.driver.masked(reason));
        let refuse = |question: Question, reason: &str| {
            let reason = masked(reason);
            route.update(|status| status.failed(0, &reason, now));
            question.answer(Err(reason));
        };
        match called {
            Ok(Ok(Ok(rows))) => {
                route.update(|status| status.passed(0, now));
                question.answer(Ok(rows));
                None
            }
            Ok(Ok(Err(failure @ (Failure::Retry(_) | Failure::Reconnect(_)))))
                if self.driver.is_at_once() =>
            {
                let is_away = matches!(failure, Failure::Reconnect(_));
                let reason = text_of(failure);
                refuse(question, &reason);
                is_away.then_some(Ended::Away(reason))
            }
            Ok(Ok(Err(Failure::Retry(reason)))) => {
                let reason = masked(&reason);
                route.update(|status| status.failed(0, &reason, now));
                let hurries = self.driver.slot.hurries();
                self.driver.slot.ask_again(question);
                failing::pause(self, hurries).await;
                None
            }
            Ok(Ok(Err(Failure::Reconnect(reason)))) => {
                self.driver.slot.ask_again(question);
                Some(Ended::Away(reason))
            }
            Ok(Ok(Err(Failure::Reject(reason)))) => {
                refuse(question, &reason);
                None
            }
            Ok(Ok(Err(Failure::Fatal(reason)))) => {
                refuse(question, &reason);
                Some(Ended::Fatal(reason))
            }
            Ok(Err(trap)) => {
                let reason = trapped(self.figures.as_ref(), &trap);
                refuse(question, &reason);
                Some(Ended::Away(reason))
            }
            Err(_) => {
                let reason = self.version.too_long("request", &self.instance);
                refuse(question, &reason);
                Some(Ended::Away(reason))
            }
        }
    }
}

impl Serving<'_> {
    /// Asks the far side over the open connection whether it is there, and reports the answer to
    /// those who asked. If the guest rejects the question, the open connection is the whole answer.
    pub(super) async fn probe_as_asked(&mut self, asker: AskedProbe) -> Option<Ended> {
        let (told, ended) = self.probed().await;
        if told.is_ok() {
            self.driver.route.is_heard_of();
        }
        // The caller may have gone.
        let _ = asker.try_send(told);
        ended
    }

    async fn probed(&mut self) -> (Probed, Option<Ended>) {
        if !self.abilities.contains(Abilities::REQUEST) {
            return (Ok(String::new()), None);
        }
        self.instance.comes_behind(0);
        count_call(self.figures.as_ref());
        let call_time = self.version.call_time();
        let failure = match tokio::time::timeout(call_time, self.instance.request("probe", b"{}")).await {
            Ok(Ok(Ok(answer))) => return (Ok(self.driver.said(&answer)), None),
            Ok(Ok(Err(Failure::Reject(_)))) => return (Ok(String::new()), None),
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(trap)) => Failure::Reconnect(trapped(self.figures.as_ref(), &trap)),
            Err(_) => Failure::Reconnect(self.version.too_long("request", &self.instance)),
        };
        let told = Err(self.driver.masked(&text_of(failure.clone())));
        let goes_on = matches!(failure, Failure::Retry(_));
        (told, (!goes_on).then(|| super::ended(failure)))
    }
}

/// Tells who waits for the answer of a route that has been removed meanwhile.
fn removed(question: Question) -> Option<Ended> {
    question.answer(Err("the route has been removed".to_owned()));
    Some(Ended::Changed)
}
