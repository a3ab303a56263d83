//! Simulated disk with one file on it, for stores in tests; a seed decides its faults.
//!
//! Reads see written data at once, and the next sync makes it durable. After a power cut, each
//! unsynced write is there, is lost, or is torn between two sectors, in any order. A disk costs
//! memory for the data written to it. Its image after a power cut costs little more than the
//! unsynced data: simulations cut the power a hundred thousand times.
//!
//! ```text
//! let mut disk = Disk::new(7);
//! let (store, ..) = Store::open_on(options, Box::new(disk.opener()), on_commit)?;
//! …
//! disk = disk.power_cut(&mut Random::new(8));   // what the store still does fails
//! ```
//!
//! Invariants: Synced data that did not change since survives every power cut, unless the disk lies
//! or forgets. Equal seeds and equal calls give equal disks. Not here: time (calls return how long
//! they take, and [`Disk::on_wait`] lets time pass), and other files.

mod fault;
mod image;
mod random;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redb::StorageBackend;

pub use fault::{Call, Failure, Faults, PerCall, Planted};
use image::{Image, PAGE_BYTES};
pub use random::Random;

/// Sector size in bytes: the unit that a disk writes as a whole.
pub const SECTOR_BYTES: usize = 512;

/// Simulated disk, on until its power goes. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    /// Contents that reads see.
    current: Image,
    /// Contents that survive every power cut.
    durable: Image,
    /// Changes that are not durable yet, in order.
    unsynced: Vec<Change>,
    faults: Faults,
    /// Pages of `current` that were written.
    written: usize,
    random: Random,
    /// Calls so far, of each kind.
    calls: [u64; Call::ALL.len()],
    /// Calls until the power goes; `None` while nobody has said.
    calls_left: Option<u64>,
    is_off: bool,
    time: Duration,
    fingerprint: u64,
    /// Callback that receives the duration of each call.
    on_wait: Option<OnWait>,
    /// Whether a process has left a note for the next one in the memory of the system.
    has_note: bool,
}

/// Callback that runs while a call of a slow disk takes time.
type OnWait = Arc<dyn Fn(Duration) + Send + Sync>;

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Box<[u8]>),
    SetLen(usize),
}

impl Disk {
    /// An empty disk without faults. The seed decides where there is a choice, but for power cuts.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(State {
            current: Image::default(),
            durable: Image::default(),
            unsynced: Vec::new(),
            faults: Faults::default(),
            written: 0,
            random: Random::new(seed),
            calls: [0; Call::ALL.len()],
            calls_left: None,
            is_off: false,
            time: Duration::ZERO,
            fingerprint: 0,
            on_wait: None,
            has_note: false,
        })
    }

    fn with(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Opens the disk anew with each call, as a store wants it.
    pub fn opener(&self) -> impl Fn() -> io::Result<Box<dyn StorageBackend>> + Send + 'static {
        let disk = self.clone();
        move || Ok(Box::new(disk.clone()))
    }

    /// Changes what is wrong with the disk.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().faults);
    }

    /// Says what happens while a call takes time, before it does anything: a simulation lets its
    /// time pass, and others go on meanwhile. Also on what is found after a power cut.
    pub fn on_wait(&self, wait: impl Fn(Duration) + Send + Sync + 'static) {
        self.0.lock().on_wait = Some(Arc::new(wait));
    }

    /// Lets the time pass that a call takes.
    fn wait(&self, call: Call) {
        let mut state = self.0.lock();
        let takes = state.takes(call);
        let on_wait = state.on_wait.clone();
        // The callback may look at the disk, so it runs without the lock.
        drop(state);
        if let Some(on_wait) = on_wait.filter(|_| takes > Duration::ZERO) {
            on_wait(takes);
        }
    }

    /// Lets the power go, or the process be killed, when so many more calls were made.
    pub fn power_off_after(&self, calls: u64) {
        self.0.lock().calls_left = Some(calls);
    }

    /// Lets the power go now: whoever has the disk open gets errors.
    pub fn power_off(&self) {
        self.0.lock().is_off = true;
    }

    /// Returns whether the power, or the process, is gone. Commits that a store reports afterwards
    /// reach nobody.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.lock().is_off
    }

    /// Lets the power go, if it is not gone, and comes back as the disk is found when there is
    /// power again. The faults stay.
    #[must_use]
    pub fn power_cut(&self, random: &mut Random) -> Self {
        self.power_off();
        self.found(random)
    }

    /// Takes the disk away from a process that is killed, and comes back as the next one finds it:
    /// with all that was written, of which what was not synced may still be lost. The faults stay.
    /// With [`Disk::power_off_after`] the process is killed at a call.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut state = self.0.lock();
        state.is_off = true;
        Self::with(State {
            current: state.current.clone(),
            durable: state.durable.clone(),
            unsynced: state.unsynced.clone(),
            faults: state.faults.clone(),
            random: state.random.clone(),
            calls_left: None,
            is_off: false,
            on_wait: state.on_wait.clone(),
            ..*state
        })
    }

    /// The disk as it would be found if the power went now; this one goes on.
    #[must_use]
    pub fn found(&self, random: &mut Random) -> Self {
        let state = self.0.lock();
        let found = state.after_power_cut(random);
        Self::with(State {
            written: found.written(),
            current: found.clone(),
            durable: found,
            unsynced: Vec::new(),
            faults: state.faults.clone(),
            random: state.random.clone(),
            calls_left: None,
            is_off: false,
            on_wait: state.on_wait.clone(),
            has_note: false,
            ..*state
        })
    }

    /// Whether a process has left a note for the next one. Reads and writes of the file never fail
    /// for it, and a power cut takes it.
    #[must_use]
    pub fn has_note(&self) -> bool {
        self.0.lock().has_note
    }

    /// Leaves a note for the next process, or takes it away; nothing happens when this one is gone.
    pub fn set_note(&self, is_there: bool) {
        let mut state = self.0.lock();
        if !state.is_off {
            state.has_note = is_there;
        }
    }

    /// Calls of a kind so far, on this disk before power cuts too.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        self.0.lock().calls[call as usize]
    }

    /// How long all calls so far would have taken.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.0.lock().time
    }

    /// Returns the contents of the disk, as reads see them.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().current.bytes()
    }

    /// How much room is taken, as [`Faults::bytes_max`] counts it.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        self.0.lock().written * PAGE_BYTES
    }

    /// Returns a fingerprint of all calls so far that have changed something, in their order. Two
    /// runs with equal fingerprints did the same.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.0.lock().fingerprint
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Disk")
            .field("len", &state.current.len())
            .field("unsynced", &state.unsynced.len())
            .field("is_off", &state.is_off)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Counts a call, and says whether it fails.
    fn call(&mut self, call: Call) -> io::Result<()> {
        if self.is_off || self.calls_left == Some(0) {
            self.is_off = true;
            return Err(Failure::Io.into());
        }
        self.calls_left = self.calls_left.map(|left| left - 1);
        self.calls[call as usize] += 1;
        let number = self.calls[call as usize];
        let is_meant = |planted: &&Planted| planted.call == call && planted.numbers.contains(&number);
        if let Some(planted) = self.faults.planted.iter().find(is_meant) {
            return Err(planted.failure.into());
        }
        if self.is_hit(self.faults.errors_per_million.of(call)) {
            return Err(Failure::Io.into());
        }
        Ok(())
    }

    /// How long a call takes.
    fn takes(&mut self, call: Call) -> Duration {
        if self.is_off || self.calls_left == Some(0) {
            return Duration::ZERO;
        }
        let is_stalled = self.is_hit(self.faults.stalls_per_million);
        let stall = if is_stalled { self.faults.stall } else { Duration::ZERO };
        let takes = self.faults.takes.of(call) + stall;
        self.time += takes;
        takes
    }

    fn is_hit(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.random.is_one_of(per_million, 1_000_000)
    }

    fn set_len(&mut self, len: usize) {
        self.note(&[1, len as u64], &[]);
        self.current.set_len(len);
        self.unsynced.push(Change::SetLen(len));
        self.written = self.current.written();
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        self.note(&[2, offset as u64], data);
        // It does not make a file longer either.
        if data.is_empty() {
            return;
        }
        self.written += self.current.holes(offset, data.len());
        self.current.write(offset, data);
        self.unsynced.push(Change::Write(offset, data.into()));
    }

    /// Whether the disk has room for a write.
    fn has_room(&self, offset: usize, len: usize) -> bool {
        let Some(bytes_max) = self.faults.bytes_max else { return true };
        let more = self.current.holes(offset, len);
        more == 0 || (self.written + more) * PAGE_BYTES <= bytes_max
    }

    fn sync(&mut self) {
        self.note(&[3], &[]);
        if self.faults.lies {
            return;
        }
        for change in self.unsynced.drain(..) {
            match change {
                Change::SetLen(len) => self.durable.set_len(len),
                Change::Write(offset, data) => self.durable.take_pages(&self.current, offset, data.len()),
            }
        }
        self.durable.set_len(self.current.len());
    }

    /// A sync has failed, and what it has not written is taken for written.
    fn forget(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::SetLen(len) => self.durable.set_len(len),
                Change::Write(offset, data) if self.random.is_one_of(1, 2) => {
                    self.durable.write(offset, &data);
                }
                Change::Write(..) => {}
            }
        }
    }

    /// Returns the contents that are left when the power goes.
    fn after_power_cut(&self, random: &mut Random) -> Image {
        let mut image = self.durable.clone();
        let mut changes: Vec<&Change> = self.unsynced.iter().collect();
        // Some power cuts come when nearly nothing was written back, some when nearly everything
        // was.
        let whole_of_16 = [0, 1, 8, 15, 16][random.below(5)];
        if random.is_one_of(1, 2) {
            random.shuffle(&mut changes);
        }
        for change in changes {
            if random.is_one_of(whole_of_16, 16) {
                change.apply(&mut image);
            } else if random.is_one_of(1, 2) {
                change.apply_torn(&mut image, random);
            }
        }
        image
    }

    /// Makes a call part of the fingerprint.
    fn note(&mut self, numbers: &[u64], data: &[u8]) {
        let mut add = |number: u64| {
            self.fingerprint =
                (self.fingerprint ^ number).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
        };
        numbers.iter().for_each(|number| add(*number));
        let (words, rest) = data.as_chunks::<8>();
        words.iter().for_each(|word| add(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| add(u64::from(*byte)));
    }
}

impl Change {
    fn apply(&self, image: &mut Image) {
        match self {
            Self::SetLen(len) => image.set_len(*len),
            Self::Write(offset, data) => image.write(*offset, data),
        }
    }

    /// Applies the sectors that the power lasted for: the first ones, or any.
    fn apply_torn(&self, image: &mut Image, random: &mut Random) {
        let Self::Write(offset, data) = self else { return };
        let first = if random.is_one_of(1, 2) { random.below(data.len() / SECTOR_BYTES + 1) } else { 0 };
        for (number, (at, sector)) in sectors(*offset, data).enumerate() {
            if if first > 0 { number < first } else { random.is_one_of(1, 2) } {
                image.write(at, sector);
            }
        }
    }
}

/// A write cut up between sectors, each part with its place.
fn sectors(offset: usize, mut data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = offset;
    std::iter::from_fn(move || {
        let (sector, rest) = data.split_at(data.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
        data = rest;
        at += sector.len();
        (!sector.is_empty()).then_some((at - sector.len(), sector))
    })
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.wait(Call::Read);
        let mut state = self.0.lock();
        state.call(Call::Read)?;
        state.current.read(place(offset)?, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.wait(Call::SetLen);
        let mut state = self.0.lock();
        state.call(Call::SetLen)?;
        state.set_len(place(len)?);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.wait(Call::Sync);
        let mut state = self.0.lock();
        let outcome = state.call(Call::Sync);
        match &outcome {
            Ok(()) => state.sync(),
            Err(_) if state.faults.forgets && !state.is_off => state.forget(),
            Err(_) => {}
        }
        outcome
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = place(offset)?;
        self.wait(Call::Write);
        let mut state = self.0.lock();
        let outcome = state.call(Call::Write);
        if outcome.is_ok() && state.has_room(offset, data.len()) {
            state.write(offset, data);
            return Ok(());
        }
        if !state.is_off {
            // Some of what failed may be there all the same.
            let kept = state.random.below(data.len() / SECTOR_BYTES + 1);
            for (at, sector) in sectors(offset, data).take(kept) {
                if state.has_room(at, sector.len()) {
                    state.write(at, sector);
                }
            }
        }
        outcome.and(Err(Failure::NoSpace.into()))
    }
}
