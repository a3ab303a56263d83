//! Answers: those of guests, checked, and those of the host.
//!
//! Invariant: an answer of a guest stays one answer. No part of it can end a line, and the host
//! sets its length.

use super::callers::WholeRequest;
use crate::{
    fiber::{
        bindings::lotmq::guest::http_server::{RespondError, Response},
        http::checked_headers,
    },
    limits::{HTTP_REQUEST_BYTES_MAX, HTTP_SERVER_BYTES_ALL_MAX, OWNER_PART},
};
use hyper::{
    StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use lotmq_shares::{AccountShares, HeldShare};
use std::sync::{Arc, LazyLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An answer.
pub(in crate::fiber) type ServedAnswer = hyper::Response<ServedBody>;

/// The body of an answer.
pub(in crate::fiber) struct ServedBody {
    bytes: Bytes,
    /// `None` of those of the host.
    room: Option<AnswerRoom>,
}

/// Room that a body takes until it is sent: of those of its instance, and of those of all.
struct AnswerRoom {
    _of_instance: OwnedSemaphorePermit,
    /// In the share of the instance's owner.
    _of_all: HeldShare,
}

/// Bytes of the answers of all routes that are being sent, by the account of their owner.
static OF_ALL: LazyLock<Arc<AccountShares>> =
    LazyLock::new(|| AccountShares::new(HTTP_SERVER_BYTES_ALL_MAX as u64, OWNER_PART));

/// Checks the answer of a guest that acts for this account; its body takes room of those that an
/// instance may send.
pub(in crate::fiber) fn checked(
    response: Response,
    account: u64,
    room: &Arc<Semaphore>,
) -> Result<ServedAnswer, RespondError> {
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
    let mut answer =
        ServedAnswer::new(ServedBody { room: Some(room_for(&body, account, room)?), bytes: body.into() });
    *answer.status_mut() = status;
    *answer.headers_mut() = fields;
    Ok(answer)
}

/// Bytes of the body of an answer.
pub(super) fn bytes_of(answer: &ServedAnswer) -> u64 {
    answer.body().bytes.len() as u64
}

/// The bytes of an answer; its room is free, and the request that it is for is over, when they are
/// sent.
pub(super) fn sent_for(ServedBody { bytes, room }: ServedBody, whole: Option<WholeRequest>) -> Bytes {
    match (room, whole) {
        (None, None) => bytes,
        _ if bytes.is_empty() => bytes,
        held => Bytes::from_owner(SentBody { bytes, _held: held }),
    }
}

fn room_for(body: &[u8], account: u64, of_instance: &Arc<Semaphore>) -> Result<AnswerRoom, RespondError> {
    let permits = u32::try_from(body.len()).map_err(|_| RespondError::LimitReached)?;
    let of_instance = Arc::clone(of_instance).try_acquire_many_owned(permits);
    let of_instance = of_instance.map_err(|_| RespondError::LimitReached)?;
    let of_all = OF_ALL.hold(account, permits.into()).map_err(|_| RespondError::LimitReached)?;
    Ok(AnswerRoom { _of_instance: of_instance, _of_all: of_all })
}

/// Bytes of an answer, with the resources that are held until they are sent.
struct SentBody {
    bytes: Bytes,
    _held: (Option<AnswerRoom>, Option<WholeRequest>),
}

impl AsRef<[u8]> for SentBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer of the host, for want of one of the guest: JSON, as programs ask. The reason is ASCII,
/// which Rust quotes as JSON does.
pub(super) fn of_host(status: StatusCode, reason: &'static str) -> ServedAnswer {
    let body = format!(r#"{{"success":false,"error":{reason:?}}}"#);
    let mut answer = ServedAnswer::new(ServedBody { bytes: body.into(), room: None });
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
