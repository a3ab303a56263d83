//! Runs of a route's guest by itself, which its owner asks for.

use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use super::happening::Deeds;
use super::{EmbeddedBroker, EmbeddedError, PATIENCE};
use crate::guests::HasPrograms as _;
use crate::guests::routes::asked_run::RunBounds;
use crate::guests::witness::{Deed, Report, Witness as _};
use crate::limits::ROUTE_RUN_TIME;

impl EmbeddedBroker {
    /// Longest time for which a guest runs at once.
    pub const RUN_MAX: Duration = ROUTE_RUN_TIME;

    /// Lets the guest of a route run by itself, as a broker does between two deliveries: once, until it comes back. When `time` of this machine is over, or it has
    /// brought so many messages, it is told that there is other work. Clocks go on meanwhile, as this machine's does; timers that are due then fire behind it.
    ///
    /// What it does is told by the next [`settle`](Self::settle), and an error where it has failed, or could not run.
    ///
    /// # Errors
    /// [`EmbeddedError::UnknownRoute`]; [`EmbeddedError::RouteWaits`]; [`EmbeddedError::Endless`] where it does not come back.
    pub fn run_route(
        &mut self,
        name: &str,
        time: Duration,
        brings: Option<u64>,
    ) -> Result<(), EmbeddedError> {
        let guests = &self.tenant.programs().guests;
        let missing = || match self.lacks(name) {
            Some(reason) => EmbeddedError::RouteWaits { name: name.to_owned(), reason },
            None => EmbeddedError::UnknownRoute(name.to_owned()),
        };
        let route = guests.route(name).ok_or_else(missing)?;
        let time = time.min(ROUTE_RUN_TIME);
        let outcomes = route.ask_run(RunBounds { time, brings });
        let before = std::cell::Cell::new(Instant::now());
        let driven = self.drive_routes(
            || {
                let now = Instant::now();
                self.time.pass(now.duration_since(before.replace(now)));
                guests.routes_rest() || self.deeds.are_too_many()
            },
            Instant::now() + time + PATIENCE,
        );
        route.forget_run();
        if self.deeds.are_too_many() {
            return Err(Deeds::too_many());
        }
        let went = outcomes.try_recv();
        driven?;
        let failed = match went {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Some(match self.lacks(name) {
                Some(reason) => format!("its guest does not run: {reason}"),
                None => "it is not open, so its guest does not run".to_owned(),
            }),
        };
        if let Some(message) = failed {
            let code = "ROUTE_RUN".to_owned();
            let report = Report { is_error: true, line: 0, column: 0, message, code };
            self.deeds.sees(name, Deed::Reported(report));
        }
        self.stand(Duration::ZERO);
        Ok(())
    }

    fn lacks(&self, name: &str) -> Option<String> {
        self.tenant.programs().guests.lacks(name)
    }
}
