//! Rates: averages over one, five and fifteen minutes as mosquitto computes them, and per second
//! since the last look.

use lotmq_core::counters::Counters;

/// Function that reads a counter.
type Read = fn(&Counters) -> u64;

/// Series that are averaged, with the last levels of their topics.
const SERIES: [(&str, Read); 9] = [
    ("load/messages/received", |counters| counters.packets_received.get()),
    ("load/messages/sent", |counters| counters.packets_sent.get()),
    ("load/publish/received", |counters| counters.publish_received.get()),
    ("load/publish/sent", |counters| counters.publish_sent.get()),
    ("load/publish/dropped", |counters| dropped(counters)),
    ("load/bytes/received", |counters| counters.bytes_received.get()),
    ("load/bytes/sent", |counters| counters.bytes_sent.get()),
    ("load/connections", |counters| counters.connects_accepted.get()),
    ("load/sockets", |counters| counters.connections_opened.get()),
];

/// Names and lengths of the windows, in seconds.
const WINDOWS: [(&str, f64); 3] = [("1min", 60.0), ("5min", 300.0), ("15min", 900.0)];

/// Number of messages that a Client did not get because it did not read or its queue was full.
pub(crate) fn dropped(counters: &Counters) -> u64 {
    counters.publish_dropped.get() + counters.queue_full_dropped.get()
}

/// Averages, in events per minute.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    last: [u64; SERIES.len()],
    averages: [[f64; WINDOWS.len()]; SERIES.len()],
    /// Rates per second, over the last interval.
    rates: [f64; SERIES.len()],
}

impl Loads {
    /// Takes the counters as they are `seconds` after the last call.
    pub(crate) fn update(&mut self, counters: &Counters, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        for (n, (_, read)) in SERIES.iter().enumerate() {
            let now = read(counters);
            let grown = now.saturating_sub(self.last[n]);
            self.last[n] = now;
            self.rates[n] = grown as f64 / seconds;
            let per_minute = self.rates[n] * 60.0;
            for (average, (_, window)) in self.averages[n].iter_mut().zip(WINDOWS) {
                *average = per_minute + (-seconds / window).exp() * (*average - per_minute);
            }
        }
    }

    /// Topics below `$SYS/broker/` and their values.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (String, f64)> {
        SERIES.iter().zip(self.averages).flat_map(|((name, _), averages)| {
            WINDOWS
                .iter()
                .zip(averages)
                .map(move |((window, _), average)| (format!("{name}/{window}"), average))
        })
    }

    /// Events per minute of the series of this name, averaged over one minute.
    pub(crate) fn minute(&self, name: &str) -> f64 {
        SERIES.iter().position(|(known, _)| *known == name).map_or(0.0, |n| self.averages[n][0])
    }

    /// Events per second of the series of this name, over the last interval.
    pub(crate) fn rate(&self, name: &str) -> f64 {
        SERIES.iter().position(|(known, _)| *known == name).map_or(0.0, |n| self.rates[n])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_approach_a_steady_rate() {
        let counters = Counters::default();
        let mut loads = Loads::default();
        for _ in 0..60 {
            counters.publish_received.add(100);
            loads.update(&counters, 10.0);
        }
        let value = |topic: &str| loads.topics().find(|(name, _)| name == topic).unwrap().1;
        assert!((loads.rate("load/publish/received") - 10.0).abs() < 1e-9);
        assert!((value("load/publish/received/1min") - 600.0).abs() < 0.1);
        let slow = value("load/publish/received/15min");
        assert!((200.0..400.0).contains(&slow), "ten minutes fill half of it: {slow}");
        assert_eq!(value("load/publish/sent/1min"), 0.0);
        assert_eq!(loads.topics().count(), 27);
    }
}
