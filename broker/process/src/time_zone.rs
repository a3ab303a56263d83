//! The time zone of timers: that of variable `TZ`, else that of `/etc/localtime`, else UTC.

use std::path::Path;

use jiff::tz::TimeZone;
use tracing::{info, warn};

/// File with the time zone if `TZ` is not set.
const FILE: &str = "/etc/localtime";

/// A time zone as it was found.
#[derive(Clone, Debug)]
pub struct LocalZone {
    /// The zone.
    pub zone: TimeZone,
    /// Source of the zone: `TZ`, `/etc/localtime` or `default`.
    pub origin: &'static str,
    /// Why it is not what was meant, where that is so.
    pub fault: Option<String>,
}

impl LocalZone {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let variable = std::env::var_os("TZ").map(|text| text.to_string_lossy().into_owned());
        Self::found(variable.as_deref(), TimeZone::try_system().ok(), Path::new(FILE).exists())
    }

    /// The same, told in the log.
    pub fn told() -> Self {
        let found = Self::of_process();
        match &found.fault {
            Some(reason) => warn!(reason, "the time zone is not known: timers go by UTC"),
            None => info!(zone = found.name(), origin = found.origin, "time zone of timers"),
        }
        found
    }

    fn found(variable: Option<&str>, zone: Option<TimeZone>, has_file: bool) -> Self {
        let origin = match variable {
            Some(_) => "TZ",
            None if has_file => FILE,
            None => "default",
        };
        let Some(zone) = zone else {
            let fault = match variable {
                Some(name) => Some(format!(
                    "TZ is {name:?}, which is no time zone that this machine knows (Europe/Berlin is one, of package tzdata)"
                )),
                None if has_file => Some(format!("{FILE} is no time zone")),
                None => None,
            };
            return Self { zone: TimeZone::UTC, origin, fault };
        };
        Self { zone, origin, fault: None }
    }

    /// Its name, see [`name`].
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.zone)
    }
}

/// Name of a zone: `Europe/Berlin`; of one without a name its offset at this time: `UTC+02`.
pub fn name(zone: &TimeZone) -> String {
    let offset = || format!("UTC{}", zone.to_offset(jiff::Timestamp::now()));
    zone.iana_name().map_or_else(offset, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_time_zone_is_reported_and_utc_is_used() {
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        for (variable, zone, has_file, told) in [
            (None, None, false, ("UTC", "default", "")),
            (None, None, true, ("UTC", FILE, "/etc/localtime is no time zone")),
            (Some("X"), Some(berlin), true, ("UTC+01", "TZ", "")),
            (
                Some("Europe/Berln"),
                None,
                true,
                ("UTC", "TZ", "TZ is \"Europe/Berln\", which is no time zone"),
            ),
        ] {
            let found = LocalZone::found(variable, zone, has_file);
            let fault = found.fault.clone().unwrap_or_default();
            assert_eq!((&*found.name(), found.origin), (told.0, told.1), "{variable:?}");
            assert!(fault.starts_with(told.2) && fault.is_empty() == told.2.is_empty(), "{fault}");
        }
    }
}
