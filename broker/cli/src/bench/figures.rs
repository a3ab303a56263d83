//! Results of a run.

use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::traffic::Plan;

/// Longest time from publisher to subscriber that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// TLS handshakes of the connections that were accepted within the measured time.
#[derive(Clone, Copy, Debug, Default)]
struct Handshakes {
    full: u64,
    resumed: u64,
}

#[derive(Debug)]
pub(crate) struct Figures {
    /// Unit of the count: `messages` or `connections`.
    counted: &'static str,
    /// Deliveries, or answers to CONNECT, within the measured time.
    pub(crate) delivered: u64,
    /// Of these answers, the refusals.
    pub(crate) refused: u64,
    /// `None` for messages, and without TLS.
    handshakes: Option<Handshakes>,
    /// Memory of the broker that each connection takes, in bytes, where that was looked at.
    pub(crate) memory_each: Option<f64>,
    /// Messages that had not arrived a while after the end.
    pub(crate) lost: u64,
    pub(crate) elapsed: Duration,
    /// From publisher to subscriber, or from the first packet of TCP to CONNACK, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Processor time of the broker within the measured time.
    pub(crate) broker_time: Option<Duration>,
}

impl Figures {
    pub(crate) fn of_messages() -> Self {
        Self::of("messages", None)
    }

    pub(crate) fn of_connections(has_tls: bool) -> Self {
        Self::of("connections", has_tls.then(Handshakes::default))
    }

    fn of(counted: &'static str, handshakes: Option<Handshakes>) -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
        Self {
            counted,
            delivered: 0,
            refused: 0,
            handshakes,
            memory_each: None,
            lost: 0,
            elapsed: Duration::ZERO,
            latency: latency.expect("the bounds are legal: 1 to more than 2, 3 digits"),
            broker_time: None,
        }
    }

    pub(crate) fn arrived(&mut self, latency: Duration) {
        self.delivered += 1;
        self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Counts the TLS handshake of a connection that was accepted, if it had one.
    pub(crate) fn shook_hands(&mut self, is_resumed: bool) {
        if let Some(handshakes) = &mut self.handshakes {
            *(if is_resumed { &mut handshakes.resumed } else { &mut handshakes.full }) += 1;
        }
    }

    fn per_second(&self) -> f64 {
        self.delivered as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// Deliveries per second of the broker's processor time.
    fn per_processor_second(&self) -> Option<f64> {
        let time = self.broker_time.filter(|time| !time.is_zero())?;
        Some(self.delivered as f64 / time.as_secs_f64())
    }

    pub(crate) fn to_text(&self) -> String {
        let done = if self.counted == "messages" { "delivered" } else { "answered" };
        let mut text = format!("{:.0} {}/s {done}", self.per_second(), self.counted);
        if self.refused > 0 {
            text.push_str(&format!(", {} of {} refused", self.refused, self.delivered));
        }
        if let Some(Handshakes { full, resumed }) = self.handshakes {
            text.push_str(&format!(", TLS handshakes: {full} full and {resumed} resumed"));
        }
        if let Some(rate) = self.per_processor_second() {
            text.push_str(&format!(", {rate:.0} per second of the broker's processor time"));
        }
        if let Some(bytes) = self.memory_each {
            text.push_str(&format!("\nmemory of the broker: {bytes:.0} bytes for each connection"));
        }
        text.push_str(&format!(
            "\nlatency: median {} µs, 99 % {} µs, 99.9 % {} µs, longest {} µs",
            self.latency.value_at_quantile(0.5),
            self.latency.value_at_quantile(0.99),
            self.latency.value_at_quantile(0.999),
            self.latency.max()
        ));
        text
    }

    pub(crate) fn to_json(&self, plan: &Plan) -> Value {
        json!({
            "scenario": plan.scenario,
            "publishers": plan.publishers,
            "subscribers": plan.subscribers,
            "qos": plan.qos.bits(),
            "payloadBytes": plan.payload_bytes,
            "seconds": self.elapsed.as_secs_f64(),
            "delivered": self.delivered,
            "lost": self.lost,
            "refused": self.refused,
            "tlsHandshakes": self.handshakes.map(|Handshakes { full, resumed }| json!({ "full": full, "resumed": resumed })),
            "perSecond": self.per_second(),
            "brokerBytesPerConnection": self.memory_each,
            "perBrokerCpuSecond": self.per_processor_second(),
            "latencyUs": {
                "p50": self.latency.value_at_quantile(0.5),
                "p99": self.latency.value_at_quantile(0.99),
                "p999": self.latency.value_at_quantile(0.999),
                "max": self.latency.max(),
            },
        })
    }
}

/// Processor time that a process has used so far.
pub(crate) fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, in parentheses, may hold blanks; behind it utime and stime are the 12th and 13th
    // field.
    let behind_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = behind_name.split_whitespace().skip(11).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (fields.next(), fields.next()) else {
        anyhow::bail!("cannot read {path}");
    };
    Ok(Duration::from_secs_f64((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Memory of a process that is resident.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    let kibibytes: u64 =
        kibibytes.and_then(|text| text.parse().ok()).with_context(|| format!("cannot read {path}"))?;
    Ok(kibibytes * 1024)
}
