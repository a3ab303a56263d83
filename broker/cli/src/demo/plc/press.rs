//! The press of `lotmq demo plc`: a value that time passes for, with the tables that Modbus knows.

use std::time::Instant;

/// First of the two registers that may be written: the setpoints of temperature and speed.
const SETPOINTS_FIRST: u16 = 7;

/// Seconds in which the way to a setpoint becomes shorter by a factor of e.
const WARMING_SECONDS: f64 = 20.0;
const ACCELERATING_SECONDS: f64 = 2.0;

/// Temperature of the hall, in °C.
const HALL: f64 = 21.0;

/// Temperature in °C above which the press is hot.
const HOT: f64 = 85.0;

/// State of the press.
#[derive(Debug)]
pub(super) struct Press {
    at: Instant,
    /// Seconds of it that pass in one.
    speed: u32,
    runs: bool,
    celsius: f64,
    parts_per_minute: f64,
    parts: f64,
    kwh: f64,
    /// Setpoints as they are in their registers: 0.1 °C, and parts a minute.
    setpoints: [u16; 2],
}

/// Refusal of a write: there is nothing at its addresses that could be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotWritable;

impl Press {
    /// Press that was switched on just now, cold.
    pub(super) fn new(at: Instant, speed: u32) -> Self {
        let setpoints = [650, 60];
        Self { at, speed, runs: true, celsius: HALL, parts_per_minute: 0.0, parts: 0.0, kwh: 0.0, setpoints }
    }

    /// Lets the time until `now` pass.
    pub(super) fn goes_on(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(self.speed);
        self.at = now;
        let [celsius, speed] = self.setpoints;
        let (warm, fast) =
            if self.runs { (f64::from(celsius.cast_signed()) / 10.0, f64::from(speed)) } else { (HALL, 0.0) };
        // Remaining fraction of a difference after these seconds. So the frequency of calls does
        // not matter.
        let left = |of: f64| (-seconds / of).exp();
        self.celsius = warm + (self.celsius - warm) * left(WARMING_SECONDS);
        let too_fast = self.parts_per_minute - fast;
        let made =
            (fast * seconds + too_fast * ACCELERATING_SECONDS * (1.0 - left(ACCELERATING_SECONDS))) / 60.0;
        self.parts_per_minute = fast + too_fast * left(ACCELERATING_SECONDS);
        self.parts += made;
        self.kwh += 0.5 * seconds / 3600.0 + made / 1200.0;
    }

    /// Coil 00001: whether it runs.
    pub(super) fn coils(&self) -> [bool; 1] {
        [self.runs]
    }

    /// Discrete input 10001: whether it is hot.
    pub(super) fn discrete_inputs(&self) -> [bool; 1] {
        [self.celsius > HOT]
    }

    /// Input registers 30001 to 30007: what is measured.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
    pub(super) fn input_registers(&self) -> [u16; 7] {
        let signed = |value: f64| (value.round() as i16).cast_unsigned();
        let bar = 1.0 + self.parts_per_minute / 40.0;
        let [parts_high, parts_low] = words(self.parts as u32);
        let [kwh_high, kwh_low] = words((self.kwh as f32).to_bits());
        let speed = self.parts_per_minute.round() as u16;
        [signed(self.celsius * 10.0), signed(bar * 100.0), speed, parts_high, parts_low, kwh_high, kwh_low]
    }

    /// Holding registers 40001 to 40009: what is measured, and the setpoints.
    pub(super) fn holding_registers(&self) -> [u16; 9] {
        let [celsius, bar, speed, parts_high, parts_low, kwh_high, kwh_low] = self.input_registers();
        let [warm, fast] = self.setpoints;
        [celsius, bar, speed, parts_high, parts_low, kwh_high, kwh_low, warm, fast]
    }

    /// Writes coils from an address on: all of them, or none.
    pub(super) fn write_coils(&mut self, first: u16, coils: &[bool]) -> Result<(), NotWritable> {
        let (0, [runs]) = (first, coils) else { return Err(NotWritable) };
        self.runs = *runs;
        Ok(())
    }

    /// Writes holding registers from an address on: all of them, or none.
    pub(super) fn write_registers(&mut self, first: u16, words: &[u16]) -> Result<(), NotWritable> {
        let first = usize::from(first.checked_sub(SETPOINTS_FIRST).ok_or(NotWritable)?);
        let setpoints = self.setpoints.get_mut(first..first.saturating_add(words.len()));
        setpoints.ok_or(NotWritable)?.copy_from_slice(words);
        Ok(())
    }
}

/// The two registers of a value of 32 bits, the upper one first.
#[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn words(value: u32) -> [u16; 2] {
    [(value >> 16) as u16, value as u16]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn after(press: &mut Press, seconds: u64) {
        press.goes_on(press.at + Duration::from_secs(seconds));
    }

    fn new() -> Press {
        Press::new(Instant::now(), 1)
    }

    #[test]
    fn it_follows_its_setpoints_and_counts_while_it_runs() {
        let mut press = new();
        after(&mut press, 120);
        let [celsius, bar, speed, high, low, ..] = press.holding_registers();
        assert_eq!((celsius, bar, speed, high, low), (649, 250, 60, 0, 118), "{press:?}");
        press.write_registers(7, &[900, 0]).unwrap();
        after(&mut press, 120);
        assert_eq!((press.discrete_inputs(), press.input_registers()[2]), ([true], 0), "{press:?}");
        assert_eq!(press.input_registers()[4], 120, "it takes 2 s to stop");
        press.write_registers(8, &[60]).unwrap();
        press.write_coils(0, &[false]).unwrap();
        after(&mut press, 120);
        assert_eq!((press.coils(), press.input_registers()[..3].to_vec()), ([false], vec![212, 100, 0]));
    }

    #[test]
    fn it_makes_the_same_however_often_it_is_asked_and_faster_when_its_time_is() {
        let (mut rarely, mut often) = (new(), new());
        let mut fast = Press::new(Instant::now(), 60);
        // So that the parts are not just about to be one more.
        for press in [&mut rarely, &mut often, &mut fast] {
            press.write_registers(8, &[50]).unwrap();
        }
        after(&mut rarely, 60);
        (0..60).for_each(|_| after(&mut often, 1));
        after(&mut fast, 1);
        assert_eq!(rarely.holding_registers(), often.holding_registers());
        assert_eq!(rarely.holding_registers(), fast.holding_registers());
    }

    #[test]
    fn press_rejects_writes_to_read_only_registers_without_partial_writes() {
        let mut press = new();
        for (first, words) in [(0, &[1][..]), (6, &[1, 1]), (8, &[1, 2]), (9, &[1]), (u16::MAX, &[1])] {
            assert_eq!(press.write_registers(first, words), Err(NotWritable), "{first}");
        }
        assert_eq!(press.write_coils(1, &[false]), Err(NotWritable));
        assert_eq!(press.write_coils(0, &[false, false]), Err(NotWritable));
        assert_eq!((press.coils(), press.setpoints), ([true], [650, 60]));
    }
}
