//! Rows of the LoT reference §7.3 and §7.4 and program C02, on a virtual clock.

use jiff::ToSpan;
use lot_facts::{CalendarDate, Days, OnceAt};
use proptest::prelude::*;

use super::*;

const A: DefinitionId = DefinitionId(1);
const B: DefinitionId = DefinitionId(2);

/// A virtual clock with a schedule: sleeps exactly as long as the schedule says.
struct World {
    schedule: Schedule,
    now: Now,
    runs: Vec<(DefinitionId, Timestamp)>,
}

impl World {
    fn new(zone: &str, local: &str) -> World {
        let zone = TimeZone::get(zone).unwrap();
        let local: jiff::civil::DateTime = local.parse().unwrap();
        let wall = zone.to_timestamp(local).unwrap();
        let now = Now { elapsed: Duration::from_secs(1000), wall };
        World { schedule: Schedule::new(zone), now, runs: Vec::new() }
    }

    fn arm(&mut self, id: DefinitionId, trigger: &Trigger) -> Arming {
        self.schedule.arm(id, trigger, self.now)
    }

    /// Both clocks go on by this much without anybody asking.
    fn pass(&mut self, time: Duration) {
        self.now.elapsed += time;
        self.now.wall += signed(time);
    }

    fn ask(&mut self) -> usize {
        let before = self.runs.len();
        let wall = self.now.wall;
        self.schedule.due(self.now, |id| self.runs.push((id, wall)));
        self.runs.len() - before
    }

    /// Lets time pass as a server would: asks again whenever the schedule says so.
    fn sleep(&mut self, time: Duration) -> usize {
        let before = self.runs.len();
        let mut left = time;
        while let Some(wait) = self.schedule.next_timeout(self.now).filter(|wait| *wait <= left) {
            self.pass(wait);
            left -= wait;
            self.ask();
        }
        self.pass(left);
        self.ask();
        self.runs.len() - before
    }

    fn runs_of(&self, id: DefinitionId) -> Vec<String> {
        let zone = self.schedule.zone.clone();
        let of_id = self.runs.iter().filter(|(run, _)| *run == id);
        of_id.map(|(_, at)| at.to_zoned(zone.clone()).strftime("%d %H:%M:%S").to_string()).collect()
    }
}

fn every(milliseconds: u64) -> Trigger {
    Trigger::Every { interval: Interval::Milliseconds(milliseconds) }
}

fn daily(hour: u8, minute: u8) -> Trigger {
    on_days(Days::DAILY, &[(hour, minute)])
}

fn on_days(days: Days, times: &[(u8, u8)]) -> Trigger {
    let at = times.iter().map(|(hour, minute)| TimeOfDay { hour: *hour, minute: *minute, second: 0 });
    Trigger::Calendar { days: CalendarDays::Week(days), at: at.collect() }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn hours(count: u64) -> Duration {
    secs(count * 3600)
}

#[test]
fn every_ten_seconds_runs_three_times_in_35_seconds() {
    let mut world = World::new("UTC", "2026-11-20T09:00:00");
    assert_eq!(world.arm(A, &every(10_000)), Arming::Armed);
    assert_eq!(world.sleep(secs(35)), 3);
    assert_eq!(world.runs_of(A), ["20 09:00:10", "20 09:00:20", "20 09:00:30"]);
}

#[test]
fn late_caller_gets_one_run_and_the_beat_stays() {
    let mut world = World::new("UTC", "2026-11-20T09:00:00");
    world.arm(A, &every(10_000));
    world.pass(secs(34));
    assert_eq!(world.ask(), 1, "two ticks were missed and are skipped");
    assert_eq!(world.schedule.next_timeout(world.now), Some(secs(6)), "multiples of the arming instant");
    assert_eq!(world.sleep(secs(6)), 1);
    assert_eq!(world.ask(), 0, "nothing is due twice");
}

#[test]
fn interval_is_not_shorter_than_ten_milliseconds() {
    let mut world = World::new("UTC", "2026-11-20T09:00:00");
    world.arm(A, &every(0));
    assert_eq!(world.schedule.next_timeout(world.now), Some(Duration::from_millis(10)));
    assert_eq!(world.sleep(Duration::from_millis(1000)), 100);
}

#[test]
fn arming_again_restarts_and_disarming_ends() {
    let mut world = World::new("UTC", "2026-11-20T09:00:00");
    world.arm(A, &every(10_000));
    world.pass(secs(9));
    world.arm(A, &every(10_000));
    assert_eq!(world.sleep(secs(9)), 0);
    assert_eq!(world.sleep(secs(1)), 1);
    world.schedule.disarm(A);
    assert_eq!(world.schedule.next_timeout(world.now), None);
    assert_eq!(world.sleep(secs(100)), 0);
    world.arm(A, &daily(12, 0));
    world.schedule.disarm(A);
    assert_eq!(world.schedule.next_timeout(world.now), None);
}

#[test]
fn weekday_at_six_runs_friday_then_monday() {
    let mut world = World::new("Europe/Berlin", "2026-11-20T17:59:50"); // a Friday
    let trigger = on_days(Days::WEEKDAY, &[(18, 0)]);
    world.arm(A, &trigger);
    assert_eq!(world.sleep(secs(20)), 1);
    assert_eq!(world.sleep(hours(71)), 0);
    assert_eq!(world.sleep(hours(1)), 1);
    assert_eq!(world.runs_of(A), ["20 18:00:00", "23 18:00:00"]);
}

/// Catalogue C02.
#[test]
fn noon_rings_three_times_and_the_eve_once() {
    let mut world = World::new("Europe/Berlin", "2026-12-23T11:59:00");
    let eve = OnceAt {
        date: CalendarDate { year: 2026, month: 12, day: 24 },
        time: TimeOfDay { hour: 18, minute: 0, second: 0 },
        offset_minutes: None,
    };
    assert_eq!(world.arm(A, &daily(12, 0)), Arming::Armed);
    assert_eq!(world.arm(B, &Trigger::Once(eve)), Arming::Armed);
    world.sleep(hours(49));
    assert_eq!(world.runs_of(A), ["23 12:00:00", "24 12:00:00", "25 12:00:00"]);
    assert_eq!(world.runs_of(B), ["24 18:00:00"]);
    assert_eq!(world.arm(B, &Trigger::Once(eve)), Arming::Never, "already past");
}

#[test]
fn triggers_that_are_no_timers_are_left_alone() {
    let mut world = World::new("UTC", "2026-11-20T09:00:00");
    for trigger in [
        Trigger::Topic { filters: vec!["a".into()] },
        Trigger::Change { filters: vec!["a".into()] },
        Trigger::Start,
        Trigger::Connect,
        Trigger::Disconnect,
        Trigger::Subscribe { pattern: None },
    ] {
        assert_eq!(world.arm(A, &trigger), Arming::NotATimer, "{trigger:?}");
    }
    let no_day = on_days(Days([false; 7]), &[(0, 0)]);
    assert_eq!(world.arm(A, &no_day), Arming::Never);
}

#[test]
fn daylight_saving_skips_no_day_and_repeats_none() {
    let mut spring = World::new("Europe/Berlin", "2026-03-28T12:00:00");
    spring.arm(A, &daily(2, 30));
    spring.sleep(hours(48));
    assert_eq!(spring.runs_of(A), ["29 03:00:00", "30 02:30:00"]);
    let mut autumn = World::new("Europe/Berlin", "2026-10-24T12:00:00");
    autumn.arm(A, &daily(2, 30));
    autumn.sleep(hours(48));
    assert_eq!(autumn.runs_of(A), ["25 02:30:00", "26 02:30:00"]);
}

#[test]
fn months_come_on_the_arming_day() {
    let mut world = World::new("Europe/Berlin", "2026-01-31T08:00:00");
    world.arm(A, &Trigger::Every { interval: Interval::Months(1) });
    world.sleep(hours(24 * 120));
    assert_eq!(world.runs_of(A), ["28 08:00:00", "31 08:00:00", "30 08:00:00", "31 08:00:00"]);
}

#[test]
fn missed_calendar_run_is_not_made_up_for() {
    let mut world = World::new("UTC", "2026-11-20T11:00:00");
    world.arm(A, &daily(12, 0));
    world.pass(hours(2)); // the machine slept
    assert_eq!(world.ask(), 0);
    assert_eq!(world.sleep(hours(23)), 1, "the next day's comes");
    let mut busy = World::new("UTC", "2026-11-20T11:59:59");
    busy.arm(A, &daily(12, 0));
    busy.pass(secs(30));
    assert_eq!(busy.ask(), 1, "half a minute late is late, not missed");
}

#[test]
fn clock_that_is_set_forwards_neither_bursts_nor_loses_the_future() {
    // A box without a battery-backed clock starts in 1970, then learns the time.
    let mut world = World::new("UTC", "1970-01-01T00:00:10");
    world.arm(A, &daily(12, 0));
    world.arm(B, &every(10_000));
    world.now.wall = "2026-11-20T11:58:00Z".parse().unwrap();
    assert_eq!(world.sleep(secs(119)), 11, "only the interval, which does not look at the wall clock");
    assert_eq!(world.sleep(secs(1)), 2);
    assert_eq!(world.runs_of(A), ["20 12:00:00"]);
}

#[test]
fn clock_that_is_set_back_runs_nothing_twice() {
    let mut world = World::new("UTC", "2026-11-20T11:59:00");
    world.arm(A, &daily(12, 0));
    assert_eq!(world.sleep(secs(90)), 1);
    world.now.wall = world.now.wall.checked_sub(60.seconds()).unwrap(); // 11:59:30 again
    assert_eq!(world.sleep(secs(120)), 0, "noon passes a second time");
    assert_eq!(world.sleep(hours(24)), 1);
    // Set back by days, the calendar starts anew from there.
    world.now.wall = "2026-11-10T11:59:30Z".parse().unwrap();
    assert_eq!(world.sleep(secs(120)), 1);
}

#[test]
fn three_shifts_run_three_times_a_day_whatever_the_clock_does() {
    let shifts = on_days(Days::DAILY, &[(6, 0), (14, 0), (22, 0)]);
    let mut world = World::new("Europe/Berlin", "2026-11-20T05:59:00");
    world.arm(A, &shifts);
    assert_eq!(world.sleep(hours(24)), 3);
    assert_eq!(world.runs_of(A), ["20 06:00:00", "20 14:00:00", "20 22:00:00"]);
    // Set back over two of them: neither runs again.
    world.sleep(hours(9));
    assert_eq!(world.runs_of(A).len(), 5);
    world.now.wall = world.now.wall.checked_sub(10.hours()).unwrap();
    assert_eq!(world.sleep(hours(10)), 0);
    // Set forwards over one of them, to a minute behind the next: that one runs, the other is
    // missed.
    world.now.wall = "2026-11-22T13:01:00Z".parse().unwrap();
    assert_eq!(world.sleep(secs(1)), 1);
    assert_eq!(world.sleep(hours(8)), 1);
    let all = world.runs_of(A);
    assert_eq!(all[3..], ["21 06:00:00", "21 14:00:00", "22 14:01:00", "22 22:00:00"]);
}

#[test]
fn wait_is_short_enough_to_notice_a_new_clock() {
    let mut world = World::new("UTC", "2026-11-20T09:00:00");
    world.arm(A, &daily(12, 0));
    assert_eq!(world.schedule.next_timeout(world.now), Some(CALENDAR_CHECK));
    world.arm(B, &every(5000));
    assert_eq!(world.schedule.next_timeout(world.now), Some(secs(5)));
}

proptest! {
    /// However the caller comes late, a fixed-rate timer runs at most once per call, never more
    /// often than its interval allows, and always stays on multiples of the arming instant.
    #[test]
    fn fixed_rate_never_bursts_and_never_drifts(
        interval_ms in 10_u64..5_000, steps in prop::collection::vec(0_u64..20_000, 1..60)
    ) {
        let mut world = World::new("UTC", "2026-11-20T09:00:00");
        world.arm(A, &every(interval_ms));
        let armed = world.now.elapsed;
        let mut total = 0;
        for step in steps {
            let before = world.now.elapsed - armed;
            world.pass(Duration::from_millis(step));
            let runs = world.ask();
            let after = world.now.elapsed - armed;
            let ticks = after.as_millis() / u128::from(interval_ms) - before.as_millis() / u128::from(interval_ms);
            prop_assert_eq!(runs, usize::from(ticks > 0));
            total += runs;
            let wait = world.schedule.next_timeout(world.now).unwrap();
            let next = (after + wait).as_millis();
            prop_assert_eq!(next % u128::from(interval_ms), 0);
            prop_assert!(wait > Duration::ZERO && wait <= Duration::from_millis(interval_ms));
        }
        prop_assert!(total as u128 <= (world.now.elapsed - armed).as_millis() / u128::from(interval_ms));
    }

    /// A calendar timer runs at most once per local day, whatever jumps the clocks make forwards.
    #[test]
    fn daily_runs_at_most_once_a_day(
        hour in 0_u8..24, steps in prop::collection::vec(1_u64..400_000, 1..60)
    ) {
        let mut world = World::new("Europe/Berlin", "2026-03-20T09:00:00");
        world.arm(A, &daily(hour, 30));
        for step in steps {
            world.pass(secs(step));
            prop_assert!(world.ask() <= 1);
        }
        // With the month: between two runs may be several, of which the timer missed each day.
        let zone = &world.schedule.zone;
        let mut days: Vec<_> = world.runs.iter().map(|(_, at)| at.to_zoned(zone.clone()).date()).collect();
        let count = days.len();
        days.dedup();
        prop_assert_eq!(days.len(), count);
    }
}
