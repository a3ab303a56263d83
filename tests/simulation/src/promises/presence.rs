//! Whether a Client's session must be there when it comes back.

use super::{Book, Promises};
use crate::checked::{Checked, ensure};

/// How a session that is away ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// With its connection.
    WithConnection,
    /// So many milliseconds after it.
    After(u64),
    Never,
}

impl Ends {
    pub(crate) fn after_seconds(seconds: u32) -> Self {
        match seconds {
            0 => Self::WithConnection,
            u32::MAX => Self::Never,
            seconds => Self::After(u64::from(seconds) * 1_000),
        }
    }
}

/// Knowledge of the session that a Client had last.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence {
    /// There was a CONNACK.
    is_known: bool,
    ends: Option<Ends>,
    /// The earliest and the latest time at which the broker may have noticed that the connection is
    /// gone; none for the latter while it may not have.
    left_ms: Option<(u64, Option<u64>)>,
    /// CONNECT packets whose CONNACK has not come: one with a clean start, one that may have begun
    /// a new session.
    may_have_ended: bool,
    /// There was one at least.
    is_asked: bool,
}

impl Promises {
    /// A Client sends CONNECT. Whether it cannot know whose session it finds, if it finds one.
    pub(crate) fn connects(&mut self, client: usize, is_clean: bool, ends: Ends) -> bool {
        let may_be_gone = !self.must_be_present(client);
        let presence = &mut self.presence[client];
        // Until the answer comes, or instead of it. A session that is resumed ends as the new
        // connection says.
        let may_have_ended = presence.may_have_ended;
        presence.is_asked = true;
        presence.may_have_ended |= is_clean || may_be_gone || ends != Ends::Never;
        may_have_ended
    }

    fn must_be_present(&self, client: usize) -> bool {
        let presence = &self.presence[client];
        presence.is_known && !presence.may_have_ended && self.lasts(client)
    }

    /// Whether its time is not over by now.
    fn lasts(&self, client: usize) -> bool {
        let presence = &self.presence[client];
        match (presence.ends, presence.left_ms) {
            (Some(Ends::Never), _) => true,
            (Some(Ends::After(ms)), Some((earliest, _))) => self.now_ms < earliest + ms,
            // It was not seen to leave.
            (Some(Ends::After(_)), None) => true,
            (Some(Ends::WithConnection) | None, _) => false,
        }
    }

    fn must_be_gone(&self, client: usize) -> bool {
        let presence = &self.presence[client];
        let noticed = presence.left_ms.and_then(|(_, latest)| latest);
        match (presence.ends, noticed) {
            // There may be another one, or it may last longer.
            _ if presence.is_asked => false,
            (Some(Ends::WithConnection), Some(_)) => true,
            (Some(Ends::After(ms)), Some(latest)) => self.now_ms > latest + ms + super::EXPIRY_SLACK_MS,
            _ => !presence.is_known,
        }
    }

    /// CONNACK has come to a CONNECT that was sent at `asked_ms`.
    ///
    /// # Errors
    /// When the session is there and must not be, or the other way round.
    pub(crate) fn opened(
        &mut self,
        client: usize,
        is_present: bool,
        (is_clean, ends): (bool, Ends),
        (must, must_not): (bool, bool),
    ) -> Checked {
        // It may have waited for long until the broker read it.
        let must = must && self.lasts(client);
        ensure!(is_present || is_clean || !must, "the session of c{client} is gone, [MQTT-3.1.2-5]");
        ensure!(!is_present || !must_not, "the session of c{client} is there though it has ended");
        let is_doubtful = std::mem::take(&mut self.presence[client].may_have_ended);
        if !is_present {
            self.clients[client].push(Book::default());
        } else if is_doubtful {
            let filters = self.book(client).filters.in_doubt();
            self.clients[client].push(Book { filters, ..Book::default() });
        }
        self.presence[client] = Presence { is_known: true, ends: Some(ends), ..Presence::default() };
        Ok(())
    }

    /// An older CONNECT of a Client may be read yet, and take over what it has.
    pub(crate) fn may_be_taken_over(&mut self, client: usize) {
        let presence = &mut self.presence[client];
        (presence.is_asked, presence.may_have_ended) = (true, true);
    }

    /// Returns whether the session of a Client that sends CONNECT now must be there, and whether it
    /// must be gone.
    pub(crate) fn presence(&self, client: usize) -> (bool, bool) {
        (self.must_be_present(client), self.must_be_gone(client))
    }

    /// The connection of a Client has ended for one side; `is_noticed` when the broker knows.
    pub(crate) fn gone(&mut self, client: usize, is_noticed: bool) {
        let now = self.now_ms;
        let left = &mut self.presence[client].left_ms;
        let (earliest, latest) = left.unwrap_or((now, None));
        *left = Some((earliest, latest.or(is_noticed.then_some(now))));
    }

    /// The power has gone, for every Client.
    pub(crate) fn power_goes(&mut self, client: usize) {
        self.restarted = self.step;
        self.book(client).replays.clear();
        let now = self.now_ms;
        let left = &mut self.presence[client].left_ms;
        *left = Some((left.map_or(now, |(earliest, _)| earliest), Some(now)));
    }

    /// The broker is there again: that a Client was gone when the power went may not have been on
    /// the disk, and counts from now.
    pub(crate) fn broker_is_back(&mut self, client: usize, now_ms: u64) {
        if let Some((_, noticed)) = &mut self.presence[client].left_ms {
            *noticed = Some(now_ms);
        }
    }

    /// The connection of a Client has ended at this time already, and the broker knows.
    pub(crate) fn was_gone(&mut self, client: usize, at_ms: u64) {
        self.presence[client].left_ms = Some((at_ms, Some(at_ms)));
    }

    /// The broker notices in so many milliseconds at the latest that the connection of a Client is
    /// gone.
    pub(crate) fn is_missed(&mut self, client: usize, in_ms: u64) {
        let latest = self.now_ms + in_ms;
        if let Some((_, noticed)) = &mut self.presence[client].left_ms {
            noticed.get_or_insert(latest);
        }
    }

    /// A DISCONNECT with this Session Expiry Interval is on its way: it may come or not.
    pub(crate) fn disconnects(&mut self, client: usize, ends: Option<Ends>) {
        let Some(ends) = ends else { return };
        let presence = &mut self.presence[client];
        // The shorter of both for what must be there; for what must not, nothing is known then.
        if presence.ends != Some(ends) {
            presence.ends = None;
        }
    }
}
