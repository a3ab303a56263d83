//! Settings of a serial line: from the definition of a route to the kernel.

use serial2::{CharSize, FlowControl, Parity, Settings, StopBits};
use std::{fmt, io};

/// Serial port that a route may open: a device of this machine, with the settings of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialLine {
    /// Path of the device.
    pub device: String,
    /// Settings of its line.
    pub settings: SerialSettings,
}

/// Settings of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialSettings {
    /// Bits per second.
    pub baud_rate: u32,
    /// Bits of a character.
    pub data_bits: CharSize,
    /// Bit behind them by which an error is seen.
    pub parity: SerialParity,
    /// Bits between two characters.
    pub stop_bits: StopBits,
    /// Flow control: the way in which one side makes the other one wait.
    pub flow_control: FlowControl,
    /// Whether no other program may have the device open.
    pub is_exclusive: bool,
    /// Whether the driver switches the transceiver of an RS-485 line, by RTS.
    pub is_rs485: bool,
}

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialParity {
    /// No such bit.
    None,
    /// An odd number of ones.
    Odd,
    /// An even number of ones.
    Even,
    /// Always one.
    Mark,
    /// Always zero.
    Space,
}

impl Default for SerialSettings {
    fn default() -> Self {
        Self {
            baud_rate: 9600,
            data_bits: CharSize::Bits8,
            parity: SerialParity::None,
            stop_bits: StopBits::One,
            flow_control: FlowControl::None,
            is_exclusive: true,
            is_rs485: false,
        }
    }
}

/// As people write it: `9600 8N1`.
impl fmt::Display for SerialSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            SerialParity::None => 'N',
            SerialParity::Odd => 'O',
            SerialParity::Even => 'E',
            SerialParity::Mark => 'M',
            SerialParity::Space => 'S',
        };
        let (data_bits, stop_bits) = (self.data_bits.as_u8(), self.stop_bits.as_u8());
        write!(f, "{} {data_bits}{parity}{stop_bits}", self.baud_rate)?;
        match self.flow_control {
            FlowControl::None => {}
            FlowControl::RtsCts => f.write_str(" RTS/CTS")?,
            FlowControl::XonXoff => f.write_str(" XON/XOFF")?,
        }
        if self.is_rs485 { f.write_str(" RS-485") } else { Ok(()) }
    }
}

impl SerialSettings {
    /// Replaces a device's settings; input and output are raw bytes.
    pub(super) fn apply(&self, settings: &mut Settings) -> io::Result<()> {
        settings.set_raw();
        settings.set_baud_rate(self.baud_rate)?;
        settings.set_char_size(self.data_bits);
        settings.set_stop_bits(self.stop_bits);
        settings.set_flow_control(self.flow_control);
        settings.set_parity(match self.parity {
            SerialParity::None => Parity::None,
            SerialParity::Odd | SerialParity::Mark => Parity::Odd,
            SerialParity::Even | SerialParity::Space => Parity::Even,
        });
        let flags = &mut settings.as_termios_mut().c_cflag;
        *flags &= !libc::CMSPAR;
        if matches!(self.parity, SerialParity::Mark | SerialParity::Space) {
            *flags |= libc::CMSPAR;
        }
        // A line of three wires has no carrier that could be waited for.
        *flags |= libc::CLOCAL | libc::CREAD;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serial2::SerialPort;

    use super::*;

    #[test]
    fn a_line_is_set_as_its_settings_say() {
        let (port, _other) = SerialPort::pair().unwrap();
        let set = |settings: SerialSettings| {
            let mut kernel = port.get_configuration().unwrap();
            settings.apply(&mut kernel).unwrap();
            kernel
        };
        let sticks = |kernel: &Settings| kernel.as_termios().c_cflag & libc::CMSPAR != 0;
        let plain = SerialSettings::default();
        let kernel = set(plain);
        assert_eq!((kernel.get_baud_rate().unwrap(), sticks(&kernel)), (9600, false));
        for (parity, expected, is_stick) in [
            (SerialParity::None, Parity::None, false),
            (SerialParity::Odd, Parity::Odd, false),
            (SerialParity::Even, Parity::Even, false),
            (SerialParity::Mark, Parity::Odd, true),
            (SerialParity::Space, Parity::Even, true),
        ] {
            let kernel = set(SerialSettings { parity, ..plain });
            assert_eq!((kernel.get_parity().unwrap(), sticks(&kernel)), (expected, is_stick), "{parity:?}");
        }
        let kernel = set(SerialSettings {
            baud_rate: 250_000,
            data_bits: CharSize::Bits7,
            stop_bits: StopBits::Two,
            flow_control: FlowControl::RtsCts,
            ..plain
        });
        assert_eq!(kernel.get_baud_rate().unwrap(), 250_000);
        assert_eq!(kernel.get_char_size().unwrap(), CharSize::Bits7);
        assert_eq!(kernel.get_stop_bits().unwrap(), StopBits::Two);
        assert_eq!(kernel.get_flow_control().unwrap(), FlowControl::RtsCts);
    }

    #[test]
    fn serial_settings_render_in_common_notation() {
        let plain = SerialSettings::default();
        assert_eq!(plain.to_string(), "9600 8N1");
        let other = SerialSettings {
            baud_rate: 19_200,
            data_bits: CharSize::Bits7,
            parity: SerialParity::Even,
            stop_bits: StopBits::Two,
            flow_control: FlowControl::XonXoff,
            is_rs485: true,
            ..plain
        };
        assert_eq!(other.to_string(), "19200 7E2 XON/XOFF RS-485");
    }
}
