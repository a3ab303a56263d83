//! Answers: those of guests, checked, and those of the host.
//!
//! Invariant: what a guest puts into an answer stays one answer: nothing of it ends a line, and how long it is says the host.

use super::callers::WholeRequest;
use crate::{
    fiber::{
        bindings::lotmq::guest::http_server::{RespondError, Response},
        http::{checked_headers, counted},
    },
    limits::{HTTP_REQUEST_BYTES_MAX, HTTP_SERVER_BYTES_ALL_MAX},
};
use hyper::{
    StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// An answer.
pub(super) type ServedAnswer = hyper::Response<Bytes>;

/// Checks the answer of a guest; its body takes room of those that an instance may send.
pub(super) fn checked(response: Response, room: &Arc<Semaphore>) -> Result<ServedAnswer, RespondError> {
    let Response { status, headers, body } = response;
    let known = StatusCode::from_u16(status).ok().filter(|_| (200..=599).contains(&status));
    let status =
        known.ok_or_else(|| RespondError::Invalid(format!("{status} is no status from 200 to 599")))?;
    let is_bare =
        [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if is_bare && !body.is_empty() {
        return Err(RespondError::Invalid(format!("an answer with status {} has no body", status.as_u16())));
    }
    let fields = checked_headers(headers)?;
    if body.len() > HTTP_REQUEST_BYTES_MAX {
        let length = body.len();
        return Err(RespondError::TooLarge(format!(
            "body of {length} bytes, limit {HTTP_REQUEST_BYTES_MAX}"
        )));
    }
    let mut answer = ServedAnswer::new(of_all(counted(body, room)?)?);
    *answer.status_mut() = status;
    *answer.headers_mut() = fields;
    Ok(answer)
}

/// Bytes of the body of an answer.
pub(super) fn bytes_of(answer: &ServedAnswer) -> u64 {
    answer.body().len() as u64
}

/// The body of an answer to a request, which is over when that is sent.
pub(super) fn sent_for(body: Bytes, whole: WholeRequest) -> Bytes {
    if body.is_empty() { body } else { Bytes::from_owner(Holding { body, _held: whole }) }
}

/// A body that takes room of those of all answers.
fn of_all(body: Bytes) -> Result<Bytes, RespondError> {
    static ROOM: Semaphore = Semaphore::const_new(HTTP_SERVER_BYTES_ALL_MAX);
    let permits = u32::try_from(body.len()).map_err(|_| RespondError::LimitReached)?;
    let held = ROOM.try_acquire_many(permits).map_err(|_| RespondError::LimitReached)?;
    Ok(if body.is_empty() { body } else { Bytes::from_owner(Holding { body, _held: held }) })
}

/// A body with what is held until it is sent.
struct Holding<T> {
    body: Bytes,
    _held: T,
}

impl<T> AsRef<[u8]> for Holding<T> {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// An answer of the host, for want of one of the guest.
pub(super) fn of_host(status: StatusCode, reason: &'static str) -> ServedAnswer {
    let mut answer = ServedAnswer::new(Bytes::from_static(reason.as_bytes()));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
