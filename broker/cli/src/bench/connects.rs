//! Clients that connect and leave, over and over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use lotmq_client::{ClientError, ConnectOptions};
use tokio::task::JoinSet;

use super::client::connect;
use super::figures::Figures;
use super::target::Target;
use super::traffic::{Pace, Plan, measured, options};

/// State that the tasks share.
struct Shared {
    is_measuring: Cell<bool>,
    figures: RefCell<Figures>,
}

pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Figures> {
    let none = || Figures::of_connections(plan.target.has_tls());
    let shared = Rc::new(Shared { is_measuring: Cell::new(false), figures: RefCell::new(none()) });
    let period = match plan.pace {
        Pace::Rate(rate) => Some(Duration::from_secs(1) * plan.publishers / rate),
        Pace::Window { .. } => None,
    };
    let mut tasks = JoinSet::new();
    for index in 0..plan.publishers {
        // Their first ones are spread over a period.
        let first = Instant::now() + period.unwrap_or_default() * index / plan.publishers;
        let target = if plan.resumes_tls { plan.target.with_own_tls_sessions() } else { plan.target.clone() };
        let client = come_and_go(Rc::clone(&shared), target, options(plan, "c", index), (first, period));
        tasks.spawn_local(client);
    }
    let (elapsed, broker_time) = tokio::select! {
        figures = measured(plan, &shared.is_measuring) => figures?,
        Some(ended) = tasks.join_next() => return Err(ended?),
    };
    tasks.abort_all();
    let mut figures = shared.figures.replace(none());
    (figures.elapsed, figures.broker_time) = (elapsed, broker_time);
    Ok(figures)
}

/// Connects and leaves until something other than a refusal goes wrong.
async fn come_and_go(
    shared: Rc<Shared>,
    target: Target,
    options: ConnectOptions,
    (mut due, period): (Instant, Option<Duration>),
) -> anyhow::Error {
    loop {
        if period.is_some() {
            tokio::time::sleep_until(due.into()).await;
        } else {
            due = Instant::now();
        }
        let answer = connect(&target, &options, &[]).await;
        let latency = due.elapsed();
        let is_refused = match &answer {
            Ok(_) => false,
            Err(error) => matches!(error.downcast_ref(), Some(ClientError::Refused { .. })),
        };
        if shared.is_measuring.get() && (answer.is_ok() || is_refused) {
            let mut figures = shared.figures.borrow_mut();
            figures.arrived(latency);
            figures.refused += u64::from(is_refused);
            if let Ok((_, outgoing)) = &answer {
                figures.shook_hands(outgoing.is_resumed());
            }
        }
        match answer {
            Ok((_, mut outgoing)) => {
                if let Err(error) = outgoing.leave(options.version).await {
                    return error;
                }
            }
            Err(_) if is_refused => {}
            Err(error) => return error,
        }
        due += period.unwrap_or_default();
    }
}
