//! The protocol state of one Client's session, without I/O: QoS flows, windows, queue, keep alive,
//! expiry, Will.
//!
//! Between codec and router: a PUBLISH from the Client passes [`Session::judge_at_least_once`] or
//! [`Session::receive_exactly_once`] before it is routed, and a message for the Client passes
//! [`Session::offer`] before it is encoded. The caller owns sockets, locks, storage and time; time
//! comes in as [`Time`], a count of milliseconds that the caller starts.
//!
//! Invariants: a session without messages in flight or waiting is at most 64 bytes, with nothing on
//! the heap; every queue has a bound; no operation reads a clock, a file or a socket. Not here:
//! subscriptions (`router` and the server), durability (`store`), topic aliases and packet sizes
//! (the connection's).
//!
//! ```
//! use lotmq_codec::{ProtocolVersion, QoS};
//! use lotmq_session::{Offer, Outbound, Session, SessionOptions};
//!
//! let options = SessionOptions { send_maximum: 1, ..SessionOptions::new(ProtocolVersion::V5) };
//! let mut session = Session::new(options);
//! let Offer::Send(first) = session.offer(QoS::AtLeastOnce, 10, || "first")
//! else { panic!("the window has room") };
//! assert_eq!(session.offer(QoS::AtLeastOnce, 10, || "second"), Offer::Queued);
//! session.handle_puback(first).expect("the first message is in flight");
//! let Some(Outbound::Publish { message, dup, .. }) = session.next_outbound()
//! else { panic!("one waits") };
//! assert_eq!((message, dup), ("second", false));
//! ```
//!
//! Further invariants, with the tests that guard them:
//!
//! - A QoS 2 message is delivered once, whatever breaks. The last test proves that the others
//!   detect faults. Tests `exactly_once_with_a_break_after_every_step`,
//!   `exactly_once_whatever_breaks`, `seeds_pass_and_reach_everything`, `every_fault_is_found`.

mod durable_state;
mod inbound;
mod keep_alive;
pub mod limits;
mod options;
mod outbound;
mod queue;
mod session;
mod session_expiry;
mod time;
mod timer_wheel;
mod will;
mod window;

pub use durable_state::{DurableState, ImportError, InflightMessage, InflightStep};
pub use inbound::{InboundPublish, PublishRefusal, PubrelOutcome};
pub use keep_alive::{KeepAlive, KeepAliveVerdict};
pub use options::SessionOptions;
pub use outbound::Outbound;
pub use queue::{QueueFull, QueuedMessage, Resting, WantedSlice};
pub use session::{Offer, Session, SessionCounts};
pub use session_expiry::{ExpiryRaised, SessionExpiry};
pub use time::Time;
pub use timer_wheel::{TimerHandle, TimerWheel};
pub use will::{WillDecision, WillState};
pub use window::{AckRefusal, Acked, PubrecOutcome};
