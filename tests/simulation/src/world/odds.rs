//! Composition of a run: each seed draws its acts and disturbances, and how often they come.
//!
//! Swarm testing (Groce, Zhang, Eide, Chen, Regehr 2012): runs with everything at about the same
//! rate hide some mistakes. These show only if one act is frequent, and if the acts that would
//! repair or cover it are missing. For one, a row that a crash loses is written again with the next
//! message. Or it goes with the session that a clean start ends. Some runs are usual ones all the
//! same, since some mistakes need a little of everything.

use lotmq_codec::{ProtocolVersion, QoS};
use lotmq_disk::PerCall;

use super::Duration;
use crate::choices::Choices;
use crate::client::Hello;
use crate::hostile::{FILTERS, QOS};

/// How many runs of a hundred draw their odds; the others have the usual ones.
const SWARM_PERCENT: usize = 70;

/// Weights of the acts of a step, in the order of [`World::step`](super::World::step).
const USUAL_ACTS: [usize; 16] = [200, 60, 60, 40, 12, 5, 3, 3, 2, 1, 8, 8, 1, 6, 2, 2];

/// Acts without which nothing happens: the first ones.
const NEEDED_ACTS: usize = 5;

/// Places of some acts.
const SUBSCRIBE: usize = 4;
const UNSUBSCRIBE: usize = 5;
const DISCONNECT: usize = 8;
const CUT: usize = 11;
const DISK: usize = 12;
const REPEAT: usize = 13;
const HURRY: usize = 14;

/// See the module's documentation.
pub(super) struct Odds {
    /// How likely each act is.
    pub(super) acts: [usize; USUAL_ACTS.len()],
    /// QoS of messages and subscriptions.
    pub(super) qos: [QoS; 4],
    /// Sessions outlive their connections, and nobody asks for clean ones.
    pub(super) keeps_sessions: bool,
    /// Filters from which Clients draw theirs: with few of them they meet more often.
    pub(super) filters: Vec<&'static str>,
    /// Clients subscribe as soon as their sessions begin.
    pub(super) subscribes_at_once: bool,
    /// How many of a hundred connections have a Will.
    pub(super) wills_percent: usize,
    /// How many of a hundred messages of 5.0 expire.
    pub(super) expiring_percent: usize,
    /// How many of a hundred messages are to be retained.
    pub(super) retained_percent: usize,
    /// How many of a hundred times the store does nothing though it could: it is slower than
    /// everything else.
    pub(super) store_rests_percent: usize,
    /// So are posted runs of guests.
    pub(super) are_guests_slow: bool,
    /// A thread that seldom ends its turn.
    pub(super) slow_shard: Option<u16>,
    /// Whether the disk may fail.
    pub(super) may_disk_fail: bool,
    /// Whether what a failed sync has not written is lost unseen.
    pub(super) may_disk_forget: bool,
    /// How long calls of the disk take.
    pub(super) disk_takes: PerCall<Duration>,
    pub(super) cuts: Cuts,
}

/// How rarely the power goes at some moments: once in so many, or never.
#[derive(Clone, Copy)]
pub(super) struct Cuts {
    /// An answer has come.
    pub(super) answer: Option<usize>,
    /// PUBREL has come: the message is not sent again as if it were new.
    pub(super) released: Option<usize>,
    /// The broker has written something, and nobody has read it.
    pub(super) written: Option<usize>,
    /// The store commits.
    pub(super) commit: Option<usize>,
}

impl Odds {
    pub(super) fn draw(choices: &mut Choices) -> Self {
        let mut odds = Self::usual(choices);
        if choices.chance(SWARM_PERCENT) {
            odds.vary(choices);
        }
        odds
    }

    fn usual(choices: &mut Choices) -> Self {
        let mut acts = USUAL_ACTS;
        acts[CUT] = choices.pick(&[0, 0, 0, USUAL_ACTS[CUT]]);
        Self {
            acts,
            qos: QOS,
            keeps_sessions: false,
            filters: FILTERS.to_vec(),
            subscribes_at_once: choices.chance(70),
            wills_percent: 30,
            expiring_percent: 20,
            retained_percent: choices.pick(&[15, 15, 60]),
            store_rests_percent: choices.pick(&[0, 80]),
            are_guests_slow: choices.chance(50),
            slow_shard: None,
            may_disk_fail: choices.chance(40),
            may_disk_forget: choices.chance(50),
            disk_takes: PerCall::default(),
            cuts: Cuts { answer: Some(400), released: Some(100), written: None, commit: None },
        }
    }

    fn vary(&mut self, choices: &mut Choices) {
        for weight in &mut self.acts[NEEDED_ACTS..] {
            // In halves, so that acts which are rare anyway may be more so.
            *weight *= choices.pick(&[2, 2, 0, 1, 4, 8]);
        }
        self.acts[..NEEDED_ACTS].iter_mut().for_each(|weight| *weight *= 2);
        for (act, factor) in
            [(SUBSCRIBE, 4), (UNSUBSCRIBE, 6), (DISCONNECT, 6), (DISK, 10), (REPEAT, 6), (HURRY, 8)]
        {
            self.acts[act] *= choices.pick(&[1, 1, factor]);
        }
        let publish_all = [QoS::AtLeastOnce, QoS::ExactlyOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        self.qos = choices.pick(&[QOS, [QoS::ExactlyOnce; 4], publish_all]);
        self.keeps_sessions = choices.chance(50);
        if choices.chance(50) {
            self.filters = (0..3 + choices.below(4)).map(|_| choices.pick(&FILTERS)).collect();
        }
        self.wills_percent = choices.pick(&[30, 0, 80, 80]);
        self.expiring_percent = choices.pick(&[20, 0, 80]);
        self.slow_shard = choices.pick(&[None, None, Some(0), Some(1)]);
        self.store_rests_percent = choices.pick(&[0, 80, 97]);
        let sync = choices.pick(&[0, 0, 2, 30]);
        self.disk_takes = PerCall { sync: Duration::from_millis(sync), ..PerCall::default() };
        self.cuts = Cuts {
            answer: choices.pick(&[Some(400), None, Some(60)]),
            released: choices.pick(&[None, Some(40), Some(8)]),
            written: choices.pick(&[None, None, Some(150), Some(40)]),
            commit: choices.pick(&[None, None, Some(60), Some(15)]),
        };
    }

    /// Changes the CONNECT of a Client as this run has it.
    pub(super) fn apply(&self, hello: &mut Hello) {
        if self.keeps_sessions {
            if hello.version == ProtocolVersion::V3_1 {
                hello.version = ProtocolVersion::V3_1_1;
            }
            (hello.clean, hello.expiry) = (false, u32::MAX);
        }
    }
}
