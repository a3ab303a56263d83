//! Output of a guest: lines of its log, written by its world.
//!
//! A guest has no standard output. [`println!`](crate::println), [`eprintln!`](crate::eprintln) and
//! a panic write to the interface `logging`. In a test on the host machine they write to the
//! streams of the standard library.

#[cfg(feature = "tracing")]
mod events;

use std::fmt;
use std::sync::OnceLock;

/// How much a line matters, as in the interface `logging`.
#[derive(Clone, Copy, Debug)]
pub enum LineLevel {
    /// Details for debugging this guest.
    Trace,
    /// Reasons for its decisions.
    Debug,
    /// Something that happens seldom and is as it should be.
    Info,
    /// Something was lost, refused or given up.
    Warn,
    /// Somebody must do something.
    Error,
}

/// Writer of a line into the log of the guest.
type Writer = fn(LineLevel, &str);

static WRITER: OnceLock<Writer> = OnceLock::new();

/// Sends lines to `writer` from now on, with those of panics and of `tracing`. Only the first call
/// in an instance has an effect.
pub fn start(writer: Writer) {
    if WRITER.set(writer).is_ok() {
        std::panic::set_hook(Box::new(|panic| line(LineLevel::Error, format_args!("{panic}"))));
        #[cfg(feature = "tracing")]
        events::subscribe();
    }
}

/// Writes a line.
pub fn line(level: LineLevel, text: fmt::Arguments<'_>) {
    match (WRITER.get(), text.as_str()) {
        (Some(write), Some(text)) => write(level, text),
        (Some(write), None) => write(level, &text.to_string()),
        (None, _) if matches!(level, LineLevel::Warn | LineLevel::Error) => std::eprintln!("{text}"),
        (None, _) => std::println!("{text}"),
    }
}

/// Writes a line into the log of the guest, at level `info`.
///
/// ```
/// use lotmq_guest::println;
///
/// println!("{} readings", 3);
/// ```
#[macro_export]
macro_rules! println {
    () => { $crate::println!("") };
    ($($part:tt)*) => { $crate::output::line($crate::output::LineLevel::Info, ::core::format_args!($($part)*)) };
}

/// Writes a line into the log of the guest, at level `warn`.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::eprintln!("") };
    ($($part:tt)*) => { $crate::output::line($crate::output::LineLevel::Warn, ::core::format_args!($($part)*)) };
}
