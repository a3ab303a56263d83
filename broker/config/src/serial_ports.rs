//! Type of values that name serial ports of this machine.

use serde_json::Value;

use super::ValueError;
use super::setting::Setting;
use super::web::texts;

/// Serial ports by the absolute paths of their devices, in which `*` stands for any characters but
/// `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SerialPorts(Vec<Box<str>>);

impl SerialPorts {
    /// Whether a path is one of them, by its words alone.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        is_device_path(path) && self.0.iter().any(|pattern| matches(pattern.as_bytes(), path.as_bytes()))
    }
}

impl Setting for SerialPorts {
    const TYPE: &'static str = "absolute paths of devices, where `*` stands for any characters but `/`: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match texts(value) {
            Some(paths) if paths.iter().all(|path| is_device_path(path)) => Ok(Self(paths)),
            Some(_) | None => Err(ValueError::WrongType { expected: Self::TYPE }),
        }
    }

    fn show(&self) -> Value {
        self.0.iter().map(|path| Value::from(&**path)).collect()
    }
}

/// Whether a text can be the path of a device: absolute, and leading down only.
#[must_use]
pub fn is_device_path(path: &str) -> bool {
    let Some(names) = path.strip_prefix('/') else { return false };
    !path.contains('\0') && names.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

/// Whether a pattern covers a path. Goes back to the last `*` alone, which is enough where all of
/// them mean the same.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut in_path) = (0, 0);
    // Behind the last `*`, and where what it stands for ends so far.
    let mut last: Option<(usize, usize)> = None;
    while in_path < path.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            last = Some((at, in_path));
        } else if pattern.get(at) == path.get(in_path) {
            (at, in_path) = (at + 1, in_path + 1);
        } else if let Some((behind, end)) = last.filter(|(_, end)| path.get(*end) != Some(&b'/')) {
            (at, in_path) = (behind, end + 1);
            last = Some((behind, end + 1));
        } else {
            return false;
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_covers_devices_of_its_folder_alone() {
        for (pattern, path, expected) in [
            ("/dev/ttyUSB0", "/dev/ttyUSB0", true),
            ("/dev/ttyUSB0", "/dev/ttyUSB00", false),
            ("/dev/ttyUSB*", "/dev/ttyUSB0", true),
            ("/dev/ttyUSB*", "/dev/ttyUSB", true),
            ("/dev/ttyUSB*", "/dev/ttyS0", false),
            ("/dev/tty*0", "/dev/ttyUSB00", true),
            ("/dev/tty*0", "/dev/ttyUSB01", false),
            ("/dev/*", "/dev/pts/1", false),
            ("/dev/*/1", "/dev/pts/1", true),
            ("/dev/*/1", "/dev/a/b/1", false),
            ("/dev/serial/by-id/usb-*-if0*", "/dev/serial/by-id/usb-FTDI-x-if00-port0", true),
            ("/dev/*", "/dev/../etc/passwd", false),
            ("/dev/*", "/dev/..", false),
            ("/dev/*", "/dev/", false),
            ("/*/*", "/dev/a", true),
            ("/dev/a*b*c", "/dev/abbc", true),
            ("/dev/a*b*c", "/dev/a/bc", false),
            ("/dev/**", "/dev/x", true),
        ] {
            let ports = SerialPorts::parse(&json!(pattern)).unwrap();
            assert_eq!(ports.contains(path), expected, "{path} by {pattern}");
        }
        assert!(!SerialPorts::default().contains("/dev/ttyUSB0"));
    }

    #[test]
    fn serial_ports_accept_absolute_paths_and_render_unchanged() {
        let ports = SerialPorts::parse(&json!("/dev/ttyUSB*, /dev/ttyS0")).unwrap();
        assert_eq!(ports.show(), json!(["/dev/ttyUSB*", "/dev/ttyS0"]));
        assert_eq!(SerialPorts::parse(&json!([])).unwrap(), SerialPorts::default());
        for wrong in
            [json!("ttyUSB0"), json!("COM3"), json!("/dev/../x"), json!("/dev//x"), json!(7), json!("*")]
        {
            assert!(SerialPorts::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
