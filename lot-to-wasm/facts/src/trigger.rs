//! Trigger facts: the trigger of a run, as a static record.
//!
//! All clock times are local times of the broker process unless an offset is given (LoT reference
//! §7.4). Not here: the calendar arithmetic, which is the broker's.

use serde::{Deserialize, Serialize};

/// Trigger that starts a run of an Action, LoT reference §7.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "lowercase")]
pub enum Trigger {
    /// `ON TOPIC`: each message accepted on a topic that one of the filters matches.
    Topic {
        /// Valid Topic Filters in source order, at least one.
        filters: Vec<String>,
    },
    /// `ON CHANGE`: as `Topic`, but only when the payload's bytes differ from that topic's previous
    /// message.
    Change {
        /// Valid Topic Filters in source order, at least one.
        filters: Vec<String>,
    },
    /// `ON SILENCE`: when a topic has not been published to for so long, once; again only after it
    /// was heard anew.
    Silence {
        /// Valid Topic Filters in source order, at least one.
        filters: Vec<String>,
        /// How long, in milliseconds, at least 10.
        after_ms: u64,
    },
    /// `ON WINDOW OF`: figures of the numbers that came on each topic, when its window closes.
    Window {
        /// Valid Topic Filters in source order, at least one.
        filters: Vec<String>,
        /// Path of the number in the JSON of the payload; `None` when the payload is the number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Size of a window, and how often one closes.
        extent: WindowExtent,
    },
    /// `ON EVERY n UNIT`: at a fixed rate from the arming instant, first after one interval.
    Every {
        /// Time between two runs.
        interval: Interval,
    },
    /// `ON EVERY <days> [AT …]` and `ON TIMESTAMP "HH:mm[:ss]"`: on these days at these local
    /// times.
    Calendar {
        /// Days of the week or of the month.
        days: CalendarDays,
        /// Local times of day, ascending, each once, at least one.
        at: Vec<TimeOfDay>,
    },
    /// `ON TIMESTAMP "dd-MM-yyyy HH:mm:ss"` and ISO date-times: once; never when it is past.
    Once(OnceAt),
    /// `ON START`: after start-up and at deploy.
    Start,
    /// `ON CONNECT`.
    Connect,
    /// `ON DISCONNECT`.
    Disconnect,
    /// `ON SUBSCRIBE ["pattern"]`.
    Subscribe {
        /// Matched against the requested filter as if that were a topic; `None` = every
        /// subscription.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pattern: Option<String>,
    },
}

impl Trigger {
    /// Whether a run has a payload and a topic: those of a message, of the last one before a
    /// silence, or of a window.
    pub fn has_message(&self) -> bool {
        self.takes_messages() || matches!(self, Trigger::Silence { .. })
    }

    /// Whether it is handed each message on its topics.
    pub fn takes_messages(&self) -> bool {
        matches!(self, Trigger::Topic { .. } | Trigger::Change { .. } | Trigger::Window { .. })
    }

    /// Whether messages start it, at once.
    pub fn is_by_message(&self) -> bool {
        match self {
            Trigger::Window { extent, .. } => matches!(extent, WindowExtent::Messages { .. }),
            Trigger::Topic { .. } | Trigger::Change { .. } => true,
            Trigger::Silence { .. }
            | Trigger::Every { .. }
            | Trigger::Calendar { .. }
            | Trigger::Once(_)
            | Trigger::Start
            | Trigger::Connect
            | Trigger::Disconnect
            | Trigger::Subscribe { .. } => false,
        }
    }

    /// The Topic Filters that it is about; empty for triggers without a topic.
    pub fn filters(&self) -> &[String] {
        match self {
            Trigger::Topic { filters }
            | Trigger::Change { filters }
            | Trigger::Silence { filters, .. }
            | Trigger::Window { filters, .. } => filters,
            Trigger::Every { .. }
            | Trigger::Calendar { .. }
            | Trigger::Once(_)
            | Trigger::Start
            | Trigger::Connect
            | Trigger::Disconnect
            | Trigger::Subscribe { .. } => &[],
        }
    }
}

/// Size of a window, and how often one closes. A window has one step, or the last few of several
/// steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowExtent {
    /// Of time, in milliseconds.
    Time {
        /// How long it is, a multiple of a step.
        last_ms: u64,
        /// Length of a step, at least 10.
        every_ms: u64,
        /// How long after midnight, in local time, a step begins; below a day. Steps begin at
        /// multiples of their length from there on.
        #[serde(default, skip_serializing_if = "is_midnight")]
        from_ms: u64,
    },
    /// Of messages with a number.
    Messages {
        /// How many it has, a multiple of a step.
        last: u64,
        /// How many a step has, at least 1.
        every: u64,
    },
}

impl WindowExtent {
    /// How many steps a window has, at least 1.
    pub fn steps(self) -> u64 {
        match self {
            WindowExtent::Time { last_ms, every_ms, .. } => (last_ms / every_ms.max(1)).max(1),
            WindowExtent::Messages { last, every } => (last / every.max(1)).max(1),
        }
    }
}

fn is_midnight(from_ms: &u64) -> bool {
    *from_ms == 0
}

/// Time between two runs of `ON EVERY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// Fixed length in milliseconds, at least 10. Days and weeks are 24 and 168 hours.
    Milliseconds(u64),
    /// Calendar months added to the arming date-time, clamped to the month's end; at least 1. A
    /// year is 12.
    Months(u32),
}

/// Days on which a calendar trigger runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CalendarDays {
    /// Days of the week.
    Week(Days),
    /// Days of the month.
    Month(MonthDays),
}

/// Days of the month; one that a month does not have is left out in that month.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthDays {
    /// 1 to 31, ascending, each once.
    pub days: Vec<u8>,
    /// The last day of the month, whichever it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

/// Days of the week, Monday first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days(pub [bool; 7]);

impl Days {
    /// Every day.
    pub const DAILY: Days = Days([true; 7]);
    /// Monday to Friday.
    pub const WEEKDAY: Days = Days([true, true, true, true, true, false, false]);
    /// Saturday and Sunday.
    pub const WEEKEND: Days = Days([false, false, false, false, false, true, true]);

    /// A single day, 0 = Monday to 6 = Sunday; other numbers give no day at all.
    pub fn only(day: usize) -> Days {
        let mut days = [false; 7];
        if let Some(slot) = days.get_mut(day) {
            *slot = true;
        }
        Days(days)
    }

    /// These days and those.
    #[must_use]
    pub fn and(self, others: Days) -> Days {
        let mut days = self.0;
        days.iter_mut().zip(others.0).for_each(|(day, other)| *day |= other);
        Days(days)
    }
}

/// A local time of day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// A calendar date, valid in the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarDate {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// A single instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnceAt {
    /// The date.
    pub date: CalendarDate,
    /// The time of day.
    pub time: TimeOfDay,
    /// Offset from UTC in minutes where the text gave one (`Z` = 0); `None` = local time of the
    /// broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_minutes: Option<i16>,
}
