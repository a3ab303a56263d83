//! Connection to one broker. Requests are sent in sequence, and answers arrive in the same order,
//! each for its caller.
//!
//! One task does the reads and writes. It ends with the connection, or when the last user drops the
//! link.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use lotmq_guest::route::executor::{AsyncConnection, spawn, timeout};
use lotmq_guest::route::{Failure, IoError, Peer, ambient, described};

use crate::api::{Api, Versions};
use crate::config::ENDPOINT;
use crate::limits::{FRAME_BYTES_MAX, PIECE_BYTES};

pub(crate) struct Link {
    /// Broker, for people.
    name: String,
    client_id: StrBytes,
    connection: AsyncConnection,
    state: RefCell<State>,
    versions: RefCell<Versions>,
    /// Time at which the broker ends the connection without a new login, in milliseconds of the
    /// monotonic clock.
    expires_ms: Cell<Option<u64>>,
}

#[derive(Default)]
struct State {
    last_id: i32,
    output: BytesMut,
    input: BytesMut,
    /// Requests without an answer, in order.
    asked: VecDeque<i32>,
    /// Wakers of waiting callers by request; a caller that stopped waiting has no entry.
    waiting: BTreeMap<i32, Option<Waker>>,
    answers: BTreeMap<i32, Bytes>,
    pump: Option<Waker>,
    broken: Option<String>,
}

impl Link {
    /// Connects to the endpoint itself or to an address from the cluster. Suspends the whole guest.
    pub(crate) fn open(
        place: &Peer,
        is_endpoint: bool,
        client_id: &str,
        connect_ms: u64,
    ) -> Result<Rc<Link>, Failure> {
        let name = format!("broker {}:{}", place.host, place.port);
        let connect_ms = u32::try_from(connect_ms).unwrap_or(u32::MAX);
        let opened = if is_endpoint {
            AsyncConnection::open(ENDPOINT, connect_ms)
        } else {
            AsyncConnection::open_to(ENDPOINT, place, connect_ms)
        };
        let connection = opened.map_err(|error| {
            let text = format!("{name}: {}", described(&error));
            match error {
                IoError::Denied(_) | IoError::LimitReached => Failure::Fatal(text),
                _ => Failure::Reconnect(text),
            }
        })?;
        let link = Rc::new(Link {
            name,
            client_id: StrBytes::from_string(client_id.to_owned()),
            connection,
            state: RefCell::default(),
            versions: RefCell::default(),
            expires_ms: Cell::new(None),
        });
        spawn(pump(Rc::downgrade(&link)));
        Ok(link)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn speaks(&self, versions: Versions) {
        self.versions.replace(versions);
    }

    /// Whether the broker knows a request.
    pub(crate) fn knows<A: Api>(&self) -> bool {
        self.versions.borrow().common::<A>().is_some()
    }

    /// Notes for how long the login holds.
    pub(crate) fn expires_in(&self, lifetime_ms: i64) {
        if let Ok(lifetime) = u64::try_from(lifetime_ms)
            && lifetime > 0
        {
            // Early enough for what is asked then to be answered.
            self.expires_ms.set(Some(ambient::monotonic_ms().saturating_add(lifetime / 10 * 8)));
        }
    }

    /// Whether more can be asked here.
    pub(crate) fn is_good(&self) -> bool {
        self.state.borrow().broken.is_none()
            && self.expires_ms.get().is_none_or(|at| ambient::monotonic_ms() < at)
    }

    /// Asks in the last version that both sides speak.
    pub(crate) async fn call<A: Api>(&self, request: &A, patience_ms: u64) -> Result<A::Answer, Failure> {
        let Some(version) = self.versions.borrow().common::<A>() else {
            return Err(Failure::Fatal(format!(
                "{} does not speak {} as it is spoken here",
                self.name,
                A::NAME
            )));
        };
        self.call_in(version, request, patience_ms).await
    }

    /// Asks in a version.
    pub(crate) async fn call_in<A: Api>(
        &self,
        version: i16,
        request: &A,
        patience_ms: u64,
    ) -> Result<A::Answer, Failure> {
        let id = self.send(version, request).map_err(Failure::Fatal)?;
        let answer = Answer { link: self, id };
        let Some(answered) = timeout(Duration::from_millis(patience_ms), answer).await else {
            let reason = format!("it has not answered {} for {patience_ms} ms", A::NAME);
            self.state.borrow_mut().end(reason);
            return Err(self.failure());
        };
        let mut bytes = answered.map_err(|()| self.failure())?;
        let decoded = ResponseHeader::decode(&mut bytes, A::Answer::header_version(version));
        decoded.and_then(|_| A::Answer::decode(&mut bytes, version)).map_err(|error| {
            self.state.borrow_mut().end(format!("its answer to {} is malformed: {error}", A::NAME));
            self.failure()
        })
    }

    fn failure(&self) -> Failure {
        let state = self.state.borrow();
        Failure::Reconnect(format!(
            "{}: {}",
            self.name,
            state.broken.as_deref().unwrap_or("the connection has ended")
        ))
    }

    fn send<A: Api>(&self, version: i16, request: &A) -> Result<i32, String> {
        let mut state = self.state.borrow_mut();
        state.last_id = state.last_id.wrapping_add(1);
        let id = state.last_id;
        let header = RequestHeader::default()
            .with_request_api_key(A::KEY)
            .with_request_api_version(version)
            .with_correlation_id(id)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::new();
        let failed = |error| format!("cannot encode {}: {error}", A::NAME);
        header.encode(&mut frame, A::header_version(version)).map_err(failed)?;
        request.encode(&mut frame, version).map_err(failed)?;
        let length = u32::try_from(frame.len()).map_err(|_| format!("{} is too large", A::NAME))?;
        state.output.extend_from_slice(&length.to_be_bytes());
        state.output.unsplit(frame);
        state.asked.push_back(id);
        state.waiting.insert(id, None);
        if let Some(pump) = state.pump.take() {
            pump.wake();
        }
        Ok(id)
    }

    /// Writes and reads what can be now.
    fn pump(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        let ended = state.write(&self.connection, cx).and_then(|()| state.read(&self.connection, cx));
        if let Err(reason) = ended {
            state.end(reason);
        }
        if state.broken.is_some() {
            return Poll::Ready(());
        }
        state.pump = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(pump) = self.state.get_mut().pump.take() {
            pump.wake();
        }
    }
}

async fn pump(link: Weak<Link>) {
    poll_fn(|cx| link.upgrade().map_or(Poll::Ready(()), |link| link.pump(cx))).await;
}

impl State {
    fn write(&mut self, connection: &AsyncConnection, cx: &Context<'_>) -> Result<(), String> {
        while !self.output.is_empty() {
            let piece = &self.output[..self.output.len().min(PIECE_BYTES)];
            match connection.poll_send(cx, piece) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(sent)) => self.output.advance(sent),
                Poll::Ready(Err(error)) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    fn read(&mut self, connection: &AsyncConnection, cx: &Context<'_>) -> Result<(), String> {
        loop {
            match connection.poll_receive(cx, PIECE_BYTES) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                    return Err("it has ended the connection".to_owned());
                }
                Poll::Ready(Ok(bytes)) => self.input.extend_from_slice(&bytes),
                Poll::Ready(Err(error)) => return Err(error.to_string()),
            }
            while let Some(frame) = frame(&mut self.input)? {
                self.answered(frame)?;
            }
        }
    }

    fn answered(&mut self, frame: Bytes) -> Result<(), String> {
        let id = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
        let id = id.ok_or("its answer is malformed: it has no number")?;
        if self.asked.pop_front() != Some(id) {
            return Err(format!("it has answered {id}, which was not asked"));
        }
        if let Some(waker) = self.waiting.remove(&id) {
            self.answers.insert(id, frame);
            waker.inspect(Waker::wake_by_ref);
        }
        Ok(())
    }

    fn end(&mut self, reason: String) {
        self.broken.get_or_insert(reason);
        for waker in std::mem::take(&mut self.waiting).into_values().flatten() {
            waker.wake();
        }
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }
}

/// Takes the next whole frame.
fn frame(input: &mut BytesMut) -> Result<Option<Bytes>, String> {
    let Some(length) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(format!("a frame of {length} bytes came, the limit is {FRAME_BYTES_MAX}"));
    }
    if input.len() < length + 4 {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(length).freeze()))
}

/// The answer to one request.
struct Answer<'a> {
    link: &'a Link,
    id: i32,
}

impl Future for Answer<'_> {
    type Output = Result<Bytes, ()>;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.link.state.borrow_mut();
        if let Some(answer) = state.answers.remove(&self.id) {
            return Poll::Ready(Ok(answer));
        }
        if state.broken.is_some() {
            return Poll::Ready(Err(()));
        }
        state.waiting.insert(self.id, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let mut state = self.link.state.borrow_mut();
        state.waiting.remove(&self.id);
        state.answers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_when_they_are_whole() {
        let mut input = BytesMut::from(&[0, 0, 0, 2, 7][..]);
        assert_eq!(frame(&mut input), Ok(None));
        input.extend_from_slice(&[8, 0]);
        assert_eq!(frame(&mut input), Ok(Some(Bytes::from_static(&[7, 8]))));
        assert_eq!(frame(&mut input), Ok(None));
        let refused = frame(&mut BytesMut::from(&b"HTTP/1.1"[..])).unwrap_err();
        assert_eq!(refused, "a frame of 1213486160 bytes came, the limit is 8388608");
    }

    #[test]
    fn an_answer_that_nobody_has_asked_for_is_told() {
        let mut state = State::default();
        state.asked.push_back(1);
        state.answered(Bytes::from_static(&[0, 0, 0, 1])).unwrap();
        let refused = state.answered(Bytes::from_static(&[0, 0, 0, 9])).unwrap_err();
        assert_eq!(refused, "it has answered 9, which was not asked");
        assert!(state.answered(Bytes::from_static(&[0])).is_err());
        assert!(state.answers.is_empty());
    }
}
