//! One exchange of a guest: a request on its way, then its response as it is read.
//!
//! Invariants: the host keeps at most one piece of a body that the guest has not taken; an exchange
//! that has failed stays failed, and is counted once.

use super::{
    super::{
        bindings::lotmq::guest::http::{Header, HttpError, ResponseHead},
        http_event::HttpEvent,
        services::FiberServices,
    },
    error::{kind, of_hyper},
    pool::{HttpAnswer, HttpConnection, HttpJob, HttpPool, OwnedTask},
};
use crate::{RunContext, limits::HTTP_PIECE_BYTES_MAX};
use hyper::{
    StatusCode,
    body::{Body as _, Bytes, Incoming},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Receiver of the events of exchanges, with the run that they concern.
#[derive(Clone)]
pub(in crate::fiber) struct Reporter {
    pub(in crate::fiber) services: Arc<dyn FiberServices>,
    pub(in crate::fiber) run: RunContext,
}

impl Reporter {
    pub(in crate::fiber) fn note(&self, event: HttpEvent) {
        self.services.note_http(&self.run, event);
    }

    pub(in crate::fiber) fn failed(&self, error: &HttpError) {
        self.note(HttpEvent::Failed(kind(error)));
    }
}

/// An exchange: the resource `exchange`.
pub(in crate::fiber) struct GuestExchange {
    state: ExchangeState,
    pool: Arc<HttpPool>,
    deadline: Instant,
    /// Bytes of the body that may still come.
    bytes_left: u64,
    reporter: Reporter,
}

enum ExchangeState {
    /// The head of the response has not come.
    Asked(OwnedTask<Result<HttpAnswer, HttpError>>),
    Answered(Box<Answer>),
    Failed(HttpError),
}

/// A response as it is read.
struct Answer {
    head: ResponseHead,
    /// Whether the guest has had the head.
    is_told: bool,
    /// Body that is still arriving, and its connection; `None` at the end.
    coming: Option<(Incoming, HttpConnection)>,
    /// The piece that has come last.
    piece: Bytes,
    time: Pin<Box<Sleep>>,
}

impl GuestExchange {
    /// An exchange whose request is on its way from now on.
    pub(in crate::fiber) fn started(
        pool: Arc<HttpPool>,
        job: HttpJob,
        bytes_left: u64,
        reporter: Reporter,
    ) -> Self {
        let deadline = job.deadline;
        let task = OwnedTask(tokio::spawn(job.answered(Arc::clone(&pool))));
        GuestExchange { state: ExchangeState::Asked(task), pool, deadline, bytes_left, reporter }
    }

    pub(in crate::fiber) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, HttpError>> {
        let answer = ready!(self.poll_answer(context));
        Poll::Ready(answer.map(|answer| {
            answer.is_told = true;
            answer.head.clone()
        }))
    }

    /// At most `max` of the next bytes, and one at least where there are any.
    pub(in crate::fiber) fn poll_read(
        &mut self,
        max: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, HttpError>> {
        if let Err(error) = ready!(self.poll_piece(context)) {
            return Poll::Ready(Err(error));
        }
        let answer = ready!(self.poll_answer(context));
        Poll::Ready(answer.map(|answer| {
            let count = max.clamp(1, HTTP_PIECE_BYTES_MAX).min(answer.piece.len());
            answer.piece.split_to(count).to_vec()
        }))
    }

    /// Waits until the next part is there: the head, and then the body.
    pub(in crate::fiber) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match ready!(self.poll_answer(context)) {
            Ok(Answer { is_told: true, .. }) => self.poll_piece(context).map(|_| ()),
            Ok(_) | Err(_) => Poll::Ready(()),
        }
    }

    fn fails(&mut self, error: HttpError) -> HttpError {
        self.reporter.failed(&error);
        self.state = ExchangeState::Failed(error.clone());
        error
    }

    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<&mut Answer, HttpError>> {
        if let ExchangeState::Asked(task) = &mut self.state {
            let ended = ready!(Pin::new(&mut task.0).poll(context));
            let answered = ended.unwrap_or_else(|error| Err(HttpError::Other(error.to_string())));
            match answered.and_then(|answered| self.answer(answered)) {
                Ok(answer) => self.state = ExchangeState::Answered(Box::new(answer)),
                Err(error) => return Poll::Ready(Err(self.fails(error))),
            }
        }
        Poll::Ready(match &mut self.state {
            ExchangeState::Answered(answer) => Ok(answer),
            ExchangeState::Failed(error) => Err(error.clone()),
            ExchangeState::Asked(_) => unreachable!("the head has come"),
        })
    }

    fn answer(&self, HttpAnswer { response, connection }: HttpAnswer) -> Result<Answer, HttpError> {
        let (head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(HttpError::Protocol("the server speaks another protocol from here".to_owned()));
        }
        let announced = body.size_hint().lower();
        if announced > self.bytes_left {
            return Err(HttpError::TooLarge(format!(
                "body of the response of {announced} bytes, limit {}",
                self.bytes_left
            )));
        }
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| Header {
            name: name.as_str().to_owned(),
            value: value.as_bytes().to_vec(),
        };
        let head =
            ResponseHead { status: head.status.as_u16(), headers: head.headers.iter().map(header).collect() };
        let time = Box::pin(sleep_until(self.deadline));
        Ok(Answer { head, is_told: false, coming: Some((body, connection)), piece: Bytes::new(), time })
    }

    /// Waits until there is a piece, or the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        loop {
            let answer = match ready!(self.poll_answer(context)) {
                Ok(answer) => answer,
                Err(error) => return Poll::Ready(Err(error)),
            };
            if !answer.piece.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let Some((body, _)) = &mut answer.coming else { return Poll::Ready(Ok(())) };
            if answer.time.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(self.fails(HttpError::TimedOut)));
            }
            match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    // Behind the body there may be further fields, which are for nobody.
                    let Ok(piece) = frame.into_data() else { continue };
                    answer.piece = piece;
                    let length = u64::try_from(answer.piece.len()).unwrap_or(u64::MAX);
                    let Some(left) = self.bytes_left.checked_sub(length) else {
                        let reason = "body of the response, which is longer than the request allows";
                        return Poll::Ready(Err(self.fails(HttpError::TooLarge(reason.to_owned()))));
                    };
                    self.bytes_left = left;
                }
                Some(Err(error)) => return Poll::Ready(Err(self.fails(of_hyper(&error)))),
                None => {
                    if let Some((_, connection)) = answer.coming.take() {
                        self.pool.put(connection);
                    }
                }
            }
        }
    }
}
