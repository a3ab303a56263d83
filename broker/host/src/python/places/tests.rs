use super::*;
use std::time::Duration;

const VIC: u64 = 1;
const EVE: u64 = 2;
const MALLORY: u64 = 3;

fn owner(quota_key: u64) -> OwnerKey {
    OwnerKey { tenant: 0, quota_key }
}

/// Calls that never end, unless they are ended, seen slice by slice.
#[derive(Default)]
struct Simulated(ScriptCalls);

impl Simulated {
    /// A script of this account.
    fn script(&mut self, own: u64) -> ScriptIdentity {
        ScriptIdentity { number: self.0.number(), own }
    }

    /// A call of a script comes, and begins if it can.
    fn call(&mut self, script: ScriptIdentity, account: u64) -> CallNumber {
        let number = self.0.join(script, owner(account));
        self.0.begin_next();
        number
    }

    /// Calls of this account, each of another script of theirs.
    fn loops(&mut self, account: u64, count: usize) {
        for _ in 0..count {
            let script = self.script(account);
            self.call(script, account);
        }
    }

    fn ends(&mut self, number: CallNumber) {
        assert!(self.0.runs(number));
        self.0.leave(number);
        self.0.begin_next();
    }

    /// Every call that has a place has had it for a slice.
    fn slice(&mut self) {
        let all: Vec<_> = self.0.calls.iter().map(|call| call.number).collect();
        let running: Vec<_> = all.into_iter().filter(|number| self.0.runs(*number)).collect();
        for number in running {
            self.0.give_way(number);
            self.0.begin_next();
        }
    }

    fn runs(&self, number: CallNumber) -> bool {
        self.0.runs(number)
    }

    /// How many calls of an account run, in whatever name.
    fn running_of(&self, account: u64) -> usize {
        let of = self.0.calls.iter().filter(|call| call.owner == owner(account));
        of.filter(|call| self.0.runs(call.number)).count()
    }
}

#[test]
fn call_that_gets_no_place_in_time_leaves_nothing_behind() {
    let places = CallPlaces::default();
    let soon = || Instant::now() + Duration::from_secs(30);
    let take = |script| places.take(script, soon()).expect("there is a place");
    let scripts = [0; PYTHON_OWNER_MAX].map(|own| places.script(own));
    let mut held = scripts.map(|script| Some(take(script)));
    let another = places.script(0);
    assert!(places.take(another, Instant::now()).is_none(), "no place");
    held[0] = None;
    assert!(places.take(scripts[1], Instant::now()).is_none(), "the script is called");
    drop(take(another));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| places.take(scripts[1], soon()).is_some());
        held[1] = None;
        assert!(waits.join().unwrap(), "a call that waits is woken");
    });
    held[2] = None;
    let calls = places.calls.lock();
    assert!(calls.calls.is_empty() && calls.served.is_empty() && calls.turns.is_empty());
}

#[test]
fn owners_take_turns_at_a_script_and_its_own_comes_first() {
    let mut places = Simulated::default();
    let script = places.script(VIC);
    let mut running = places.call(script, EVE);
    let mut come = [EVE, EVE, EVE, MALLORY, MALLORY, VIC].map(|of| (of, places.call(script, of))).to_vec();
    let mut served = Vec::new();
    while !come.is_empty() {
        places.ends(running);
        let next = come.iter().position(|(_, number)| places.runs(*number)).expect("one runs");
        assert_eq!(come.iter().filter(|(_, number)| places.runs(*number)).count(), 1, "one at a time");
        let (account, number) = come.remove(next);
        served.push(account);
        running = number;
    }
    assert_eq!(served, [VIC, EVE, MALLORY, EVE, MALLORY, EVE]);
}

#[test]
fn call_that_waits_for_a_place_does_not_hold_its_script() {
    let mut places = Simulated::default();
    places.loops(EVE, 12);
    let script = places.script(VIC);
    let of_eve = places.call(script, EVE);
    assert!(!places.runs(of_eve), "her loops have all her places");
    let of_vic = places.call(script, VIC);
    assert!(places.runs(of_vic));
    places.ends(of_vic);
    // The same at another user's script, where eve's call comes first.
    let shared = places.script(9);
    let of_eve = places.call(shared, EVE);
    places.loops(MALLORY, 1);
    let of_vic = places.call(shared, VIC);
    assert!(!places.runs(of_eve) && !places.runs(of_vic), "all places are taken");
    places.slice();
    assert!(places.runs(of_eve), "in the name of vic, who waits for it");
    places.ends(of_eve);
    places.slice();
    assert!(places.runs(of_vic));
}

#[test]
fn call_that_gave_its_place_away_goes_on_in_the_name_of_those_who_wait_for_its_script() {
    let mut places = Simulated::default();
    let script = places.script(VIC);
    let of_eve = places.call(script, EVE);
    places.loops(EVE, 12);
    places.loops(MALLORY, 1);
    places.loops(9, 1);
    assert!(places.0.give_way(of_eve), "eve has most, and another owner has none");
    places.0.begin_next();
    assert!(!places.runs(of_eve) && places.running_of(9) == 1);
    let of_vic = places.call(script, VIC);
    assert!(!places.runs(of_vic));
    places.slice();
    assert!(places.runs(of_eve), "after one slice of eve's other calls");
    places.ends(of_eve);
    places.slice();
    assert!(places.runs(of_vic));
}

#[test]
fn call_that_slept_goes_on_before_its_owners_other_calls_if_another_owner_waits() {
    let mut places = Simulated::default();
    let script = places.script(VIC);
    let of_eve = places.call(script, EVE);
    places.0.set(of_eve, CallState::Sleeps);
    places.0.begin_next();
    places.loops(EVE, 12);
    places.0.set(of_eve, CallState::Resumes);
    places.0.begin_next();
    assert!(!places.runs(of_eve), "eve has as many as she may have");
    let of_vic = places.call(script, VIC);
    assert!(places.runs(of_eve) && !places.runs(of_vic));
    places.ends(of_eve);
    assert!(places.runs(of_vic));
}

#[test]
fn owner_with_fewest_running_is_next() {
    let mut places = Simulated::default();
    places.loops(VIC, 2);
    places.loops(EVE, 2);
    places.loops(VIC, 1);
    places.loops(MALLORY, 1);
    assert_eq!(places.running_of(MALLORY), 0, "all places are taken");
    places.slice();
    assert_eq!((places.running_of(MALLORY), places.0.running().count()), (1, PYTHON_AT_ONCE_MAX));
}

#[test]
fn calls_that_never_end_hold_up_others_for_some_slices() {
    let mut places = Simulated::default();
    places.loops(1, 24);
    assert_eq!(places.running_of(1), 3);
    places.loops(2, 1);
    assert_eq!(places.running_of(2), 1, "at once");
    places.loops(2, 1);
    places.loops(3, 1);
    assert_eq!(places.running_of(3), 0);
    places.slice();
    assert_eq!(places.running_of(3), 1, "after a slice");
    // More owners than places take turns.
    (4..=8).for_each(|account| places.loops(account, 1));
    let mut slices = [0; 9];
    for _ in 0..80 {
        places.slice();
        assert_eq!(places.0.running().count(), PYTHON_AT_ONCE_MAX);
        (1..=8).for_each(|account| slices[account as usize] += places.running_of(account));
    }
    let (least, most) = (slices[1..].iter().min(), slices[1..].iter().max());
    assert!(least >= Some(&30) && most <= Some(&60), "{slices:?}");
}

/// Eve computes in a script of vic's for ever, call after call, and in her own ones.
#[test]
fn calls_of_the_scripts_owner_wait_for_one_call_of_another_owner() {
    let mut places = Simulated::default();
    let script = places.script(VIC);
    let mut of_eve = vec![places.call(script, EVE)];
    places.loops(EVE, 12);
    places.loops(MALLORY, 3);
    for _ in 0..20 {
        of_eve.push(places.call(script, EVE));
        let of_vic = places.call(script, VIC);
        // The call that has begun gets its time, which is a hundred slices.
        let begun = of_eve.remove(0);
        let (mut slices, mut had) = (0, 0);
        while had < 100 {
            places.slice();
            (slices, had) = (slices + 1, had + usize::from(places.runs(begun)));
            assert!(slices < 400, "it had {had} slices");
        }
        while !places.runs(begun) {
            places.slice();
        }
        places.ends(begun);
        while !places.runs(of_vic) {
            places.slice();
        }
        places.ends(of_vic);
        while !places.runs(of_eve[0]) {
            // Nobody else waits for the script: eve's own calls come first until one ends.
            let ends = places.0.calls.iter().find(|call| {
                call.owner == owner(EVE) && call.script != script && call.state != CallState::Waits
            });
            let number = ends.expect("she has others").number;
            places.0.leave(number);
            places.0.begin_next();
            places.loops(EVE, 1);
        }
    }
}

#[test]
fn owner_who_is_alone_gives_way_to_nobody() {
    let mut places = Simulated::default();
    places.loops(VIC, 4);
    let of_vic = places.0.calls[0].number;
    assert!(!places.0.give_way(of_vic), "the owner's own calls come one after the other");
    places.loops(EVE, 1);
    let of_eve = places.0.calls[4].number;
    places.loops(EVE, 1);
    assert!(!places.0.give_way(of_eve), "another owner has more");
    assert!(places.0.give_way(of_vic));
}

#[test]
fn checks_of_scripts_count_to_the_user_who_adds_them() {
    let places = CallPlaces::default();
    let check = |own| places.take(places.script(own), Instant::now());
    let of_eve: Vec<_> = (0..PYTHON_OWNER_MAX).filter_map(|_| check(EVE)).collect();
    assert_eq!(of_eve.len(), PYTHON_OWNER_MAX);
    assert!(check(EVE).is_none(), "the last place is for others");
    assert!(check(VIC).is_some());
}
