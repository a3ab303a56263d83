//! The broker's counters: one table of names from which `/metrics` and `$SYS` are written.

use lotmq_codec::{EncodeError, QoS};
use tracing::error;

use crate::counter::Counter;
use crate::figures::ThreadFigures;
use crate::limits::TOPIC_SHOWN_BYTES_MAX;

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident;)*) => {
        /// All counters of the broker.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[doc = $help])+ pub $name: Counter,)* }

        impl Counters {
            /// Name, help text and value of each counter.
            pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($help),+), self.$name.get()),)*]
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections_opened;
    /// Connections that ended.
    connections_closed;
    /// Connections that their peers had closed before they were accepted. They are in no other
    /// figure.
    connections_abandoned;
    /// Connections closed because the peer broke a rule of the standard.
    protocol_errors;
    /// Connections closed because no CONNECT came in time.
    connect_timeouts;
    /// Connections closed because a handshake before MQTT did not end in time.
    handshake_timeouts;
    /// Headers of the PROXY protocol read.
    proxy_headers;
    /// Connections closed because they did not begin with a header of the PROXY protocol where one
    /// is wanted.
    proxy_headers_missing;
    /// Connections that came from none of the trusted proxies.
    proxies_refused;
    /// Connections from addresses that `allow_from` or `deny_from` of the listener keep out.
    addresses_refused;
    /// Connections from banned addresses, closed before their first byte was read.
    banned_refused;
    /// Automatic bans of addresses and clients.
    bans_begun;
    /// TLS handshakes that succeeded, those of QUIC included.
    tls_handshakes;
    /// TLS handshakes that resumed an earlier session.
    tls_handshakes_resumed;
    /// Connections closed because TLS failed, or QUIC before there was a stream, mostly in the
    /// handshake.
    tls_failures;
    /// First packets of QUIC connections that were answered with the request to prove their
    /// address, because many were without CONNECT.
    quic_retries;
    /// WebSocket handshakes that succeeded.
    websocket_upgrades;
    /// WebSocket connections whose messages are compressed.
    websocket_compressed;
    /// WebSocket handshakes refused.
    websocket_refused;
    /// WebSocket connections closed because a frame broke a rule.
    websocket_failures;
    /// Connections with the zstd stream transport.
    zstd_connections;
    /// Connections with the zstd stream transport closed because the stream was damaged or began
    /// too early.
    zstd_failures;
    /// Certificates read again because their files had changed.
    certificate_reloads;
    /// Changed files of certificates that were not usable; what was read before stays in use.
    certificate_reloads_failed;
    /// CONNECT packets refused.
    connects_refused;
    /// CONNECT packets accepted.
    connects_accepted;
    /// MQTT packets of every type received from Clients.
    packets_received;
    /// MQTT packets of every type sent to Clients.
    packets_sent;
    /// Bytes read from Clients.
    bytes_received;
    /// Bytes handed to Clients.
    bytes_sent;
    /// Application Messages received from Clients.
    publish_received;
    /// Payload bytes of messages received from Clients.
    publish_bytes_received;
    /// Application Messages sent to Clients.
    publish_sent;
    /// Payload bytes of messages sent to Clients.
    publish_bytes_sent;
    /// Application Messages that guests and the broker itself published.
    publish_internal;
    /// Messages of QoS 0 dropped because a Client did not read.
    publish_dropped;
    /// Messages not sent because they exceed a Client's Maximum Packet Size.
    publish_too_large;
    /// Messages of the broker itself, or kept by it, that no packet can hold, as one with a topic
    /// that is too long.
    publish_unencodable;
    /// Publishes refused for lack of permission.
    publish_refused;
    /// Publishes refused because the disk is full or fails.
    publish_not_stored;
    /// Filters refused for lack of permission.
    subscribe_refused;
    /// Messages of QoS 1 or 2 dropped because a session's queue was full.
    queue_full_dropped;
    /// Passwords that were hashed to compare them.
    passwords_checked;
    /// Logins whose client had left before its password was looked at.
    logins_abandoned;
    /// Messages that waited in a queue until their receiver had no right to them any more.
    queued_denied;
    /// Messages that expired before they were delivered.
    messages_expired;
    /// Will Messages published.
    wills_published;
    /// Messages published because their delay was over.
    delayed_published;
    /// Sessions that ended because they had expired.
    sessions_expired;
    /// Warnings that guests reported.
    guest_warnings;
    /// Errors of guests: reports, failed runs, traps.
    guest_errors;
    /// Events that a full mailbox did not take.
    guest_events_dropped;
    /// Effects of runs dropped because what wrote them was removed or got another owner meanwhile.
    guest_effects_dropped;
    /// Messages that a crash or a stop left before the end of their runs, and that started them
    /// again.
    guest_messages_again;
    /// Commands executed.
    commands;
    /// Commands answered with a refusal.
    commands_refused;
    /// Records added to the audit.
    audit_records;
    /// Logins and denials that have no record of their own, because there were too many in a
    /// second.
    audit_left_out;
    /// Records of the audit that were lost, because the store took nothing for too long.
    audit_lost;
    /// Log lines published below `$SYS/Coreflux/Log` and `Logs`.
    log_lines_published;
    /// Log lines that somebody wanted and that were dropped, because too many waited.
    log_lines_dropped;
    /// Turns of a shard that took more than 50 ms of processor time, in which it served nobody
    /// else.
    long_turns;
    /// Triggers suppressed because guests had triggered each other too often in a row.
    hops_exceeded;
}

impl Counters {
    /// Counts and logs a message that no packet can hold.
    pub fn unencodable(&self, topic: &str, error: &EncodeError) {
        self.publish_unencodable.add(1);
        let bytes = topic.len();
        let topic = &topic[..topic.floor_char_boundary(TOPIC_SHOWN_BYTES_MAX)];
        error!(topic, bytes, %error, "message not sent, no packet can hold it");
    }
}

/// Counts of one turn for events that happen per message; added to the counters when the turn ends,
/// so that messages touch no memory that threads share.
#[derive(Debug, Default)]
pub struct TurnCounts {
    /// Packets received, of any type.
    pub packets_received: u64,
    /// Packets sent other than PUBLISH.
    pub control_sent: u64,
    /// Application Messages received, by QoS.
    pub(crate) received: [u64; 3],
    pub(crate) publish_bytes_received: u64,
    /// Messages that no Client sent.
    pub publish_internal: u64,
    /// Application Messages sent, by QoS.
    pub(crate) sent: [u64; 3],
    /// How many of those had waited in a session, or are retained ones.
    pub(crate) later: u64,
    pub(crate) publish_bytes_sent: u64,
    /// Bytes read from sockets.
    pub bytes_received: u64,
    pub(crate) bytes_sent: u64,
}

impl TurnCounts {
    /// Application Messages received so far.
    pub(crate) fn messages_received(&self) -> u64 {
        self.received.iter().sum()
    }

    /// Application Messages sent so far.
    pub(crate) fn messages_sent(&self) -> u64 {
        self.sent.iter().sum()
    }

    /// Counts a message that is sent later than it was read: it waited in a session, or is
    /// retained.
    pub(crate) fn sent_later(&mut self, qos: QoS, payload_bytes: usize) {
        self.sent[qos as usize] += 1;
        self.later += 1;
        self.publish_bytes_sent += payload_bytes as u64;
    }

    /// How many of the messages sent so far were read in this turn.
    pub(crate) fn sent_at_once(&self) -> u64 {
        self.messages_sent() - self.later
    }

    /// Adds everything to the broker's counters and to the figures of the thread, and starts from
    /// zero.
    pub fn settle(&mut self, counters: &Counters, figures: &ThreadFigures) {
        let (mut publish_received, mut publish_sent) = (self.messages_received(), self.messages_sent());
        self.later = 0;
        if publish_received + publish_sent > 0 {
            figures.add_messages(std::mem::take(&mut self.received), std::mem::take(&mut self.sent));
        }
        let packets_sent = publish_sent + std::mem::take(&mut self.control_sent);
        if packets_sent > 0 {
            counters.packets_sent.add(packets_sent);
        }
        for (counted, counter) in [
            (&mut self.packets_received, &counters.packets_received),
            (&mut publish_received, &counters.publish_received),
            (&mut self.publish_bytes_received, &counters.publish_bytes_received),
            (&mut self.publish_internal, &counters.publish_internal),
            (&mut publish_sent, &counters.publish_sent),
            (&mut self.publish_bytes_sent, &counters.publish_bytes_sent),
            (&mut self.bytes_received, &counters.bytes_received),
            (&mut self.bytes_sent, &counters.bytes_sent),
        ] {
            if *counted > 0 {
                counter.add(std::mem::take(counted));
            }
        }
    }
}
