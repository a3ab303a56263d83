//! The simulated sensors: two presses, one of which runs hot.

use std::time::Duration;

/// Time between two rounds of readings.
pub(super) const PERIOD: Duration = Duration::from_millis(500);

/// Topic and payload of each reading of a round; the same for the same round.
pub(super) fn readings(round: u32) -> [(String, String); 2] {
    let steps = f64::from(round);
    let cool = 61.5 + (steps * 0.9).sin() * 3.0;
    let hot = 72.0 + steps * 3.5;
    [reading("press1", cool), reading("press2", hot)]
}

fn reading(machine: &str, celsius: f64) -> (String, String) {
    (format!("plant/{machine}/temperature"), format!("{celsius:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_press_becomes_too_hot_within_the_default_rounds() {
        let celsius = |round: u32, press: usize| -> f64 { readings(round)[press].1.parse().unwrap() };
        assert!((0..6).all(|round| celsius(round, 0) < 80.0));
        assert!(celsius(0, 1) < 80.0 && celsius(5, 1) > 80.0);
    }
}
