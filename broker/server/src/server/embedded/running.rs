//! Runs of a route's guest by itself, which its owner asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use super::broker_event::EventRecorder;
use super::served::ServedRoute;
use super::{EmbeddedBroker, EmbeddedError, PATIENCE};
use lotmq_programs::HasPrograms as _;
use lotmq_programs::limits::ROUTE_RUN_TIME;
use lotmq_programs::recorder::{Report, RunEvent, RunRecorder as _};
use lotmq_programs::routes::RouteRunner;
use lotmq_programs::routes::asked_run::RunBounds;

/// Time of this machine that a guest has for its end after it was refused what it was not granted.
/// Guests that give up then never come to rest.
const REFUSED_PATIENCE: Duration = Duration::from_secs(2);

impl EmbeddedBroker {
    /// Longest time for which a guest runs at once.
    pub const RUN_MAX: Duration = ROUTE_RUN_TIME;

    /// Lets the guest of a route run by itself, as a broker does between two deliveries: once,
    /// until it returns. Signals other work to the guest after `time` of this machine, after so
    /// many messages, or when `is_enough` returns true. `is_enough` is called again and again.
    /// Clocks follow this machine's clock meanwhile; due timers fire afterwards. Returns the time
    /// after which the guest wants to run again; `None` if the run failed.
    ///
    /// The next [`settle`](Self::settle) reports its effects, and an error if it failed or could
    /// not run.
    ///
    /// # Errors
    /// [`EmbeddedError::UnknownRoute`]; [`EmbeddedError::RouteWaits`];
    /// [`EmbeddedError::EndlessRoutes`] where it does not come back.
    pub fn run_route(
        &mut self,
        name: &str,
        (time, brings): (Duration, Option<u64>),
        mut is_enough: impl FnMut() -> bool,
    ) -> Result<Option<Duration>, EmbeddedError> {
        let route = self.route(name)?;
        let guests = &self.tenant.programs().guests;
        let time = time.min(ROUTE_RUN_TIME);
        let enough = Arc::<AtomicBool>::default();
        let outcomes = route.ask_run(RunBounds { time, brings, is_enough: Arc::clone(&enough) });
        let (mut gives_up_at, mut has_given_up) = (None, false);
        let is_over = || {
            enough.fetch_or(is_enough(), Ordering::AcqRel);
            if guests.routes_rest() || self.recorder.are_too_many() {
                return true;
            }
            if gives_up_at.is_none() && self.recorder.lacks_grant(name) {
                enough.store(true, Ordering::Release);
                gives_up_at = Some(Instant::now() + REFUSED_PATIENCE);
            }
            has_given_up = gives_up_at.is_some_and(|at| Instant::now() >= at);
            has_given_up
        };
        let driven = self.as_time_goes_on(is_over, Instant::now() + time + PATIENCE);
        route.forget_run();
        if self.recorder.are_too_many() {
            return Err(EventRecorder::too_many());
        }
        let went = outcomes.try_recv();
        driven?;
        if has_given_up {
            let within_sec = REFUSED_PATIENCE.as_secs();
            return Err(EmbeddedError::EndlessRoutes { names: guests.busy_routes(), within_sec });
        }
        let (after, failed) = match went {
            Ok(Ok(after)) => (Some(after), None),
            Ok(Err(reason)) => (None, Some(reason)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => match self.lacks(name) {
                Some(reason) => (None, Some(format!("its guest does not run: {reason}"))),
                None => (None, Some("it is not open, so its guest does not run".to_owned())),
            },
        };
        if let Some(message) = failed {
            let code = "ROUTE_RUN".to_owned();
            let report = Report { is_error: true, line: 0, column: 0, message, code };
            self.recorder.sees(name, RunEvent::Reported(report));
        }
        self.stand(Duration::ZERO);
        Ok(after)
    }

    /// Returns the view of a route that its clients have.
    ///
    /// # Errors
    /// [`EmbeddedError::UnknownRoute`]; [`EmbeddedError::RouteWaits`].
    pub fn served(&self, name: &str) -> Result<ServedRoute, EmbeddedError> {
        let (hosting, route) = (Arc::clone(&self.broker.hosting), self.route(name)?);
        Ok(ServedRoute { hosting, route, name: name.to_owned() })
    }

    /// Waits for this time by the clock of this machine, which clocks here follow, or until
    /// `is_enough`, which it calls again and again. The host's work for routes goes on.
    ///
    /// # Errors
    /// [`EmbeddedError::EndlessRoutes`].
    pub fn wait(&mut self, time: Duration, mut is_enough: impl FnMut() -> bool) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        self.as_time_goes_on(|| is_enough() || began.elapsed() >= time, began + time + PATIENCE)?;
        self.stand(Duration::ZERO);
        Ok(())
    }

    /// Drives the routes while clocks go on as this machine's does.
    fn as_time_goes_on(
        &self,
        mut is_over: impl FnMut() -> bool,
        deadline: Instant,
    ) -> Result<(), EmbeddedError> {
        let mut before = Instant::now();
        self.time.goes_on(true);
        let driven = self.drive_routes(
            || {
                let now = Instant::now();
                self.time.pass(now.duration_since(std::mem::replace(&mut before, now)));
                is_over()
            },
            deadline,
        );
        self.time.goes_on(false);
        driven
    }

    /// The route of this name, which runs.
    fn route(&self, name: &str) -> Result<Arc<RouteRunner>, EmbeddedError> {
        let missing = || match self.lacks(name) {
            Some(reason) => EmbeddedError::RouteWaits { name: name.to_owned(), reason },
            None => EmbeddedError::UnknownRoute(name.to_owned()),
        };
        self.tenant.programs().guests.route(name).ok_or_else(missing)
    }

    fn lacks(&self, name: &str) -> Option<String> {
        self.tenant.programs().guests.lacks(name)
    }
}
