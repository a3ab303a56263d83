//! Work of commands, estimated from their text, so that uploads of programs leave threads to others.

use crate::limits::{COMMAND_THREADS_COMPILING_MAX, LARGE_UPLOAD_BYTES, LARGE_UPLOADS_MAX};
use crate::management::command_text::{CommandText, normalized_verb};

/// Verbs that compile native code, of their body or of what is stored.
pub(crate) static COMPILE: &[&str] = &[
    "addAction",
    "addModel",
    "addRule",
    "addModule",
    "enableModule",
    "rollbackModule",
    "grantModule",
    "addPython",
    "addProject",
    "loadProject",
];

/// Work of a command, as far as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Compiles nothing.
    Other,
    /// Compiles a small text.
    Upload,
    /// Compiles a text of [`LARGE_UPLOAD_BYTES`] or more.
    LargeUpload,
}

impl Work {
    /// Work of a module of so many bytes.
    pub(crate) fn of_module(bytes: usize) -> Work {
        if bytes >= LARGE_UPLOAD_BYTES { Work::LargeUpload } else { Work::Upload }
    }

    pub(crate) fn of(payload: &[u8]) -> Work {
        // No verb is as long as that; a cut character ends the text.
        let head =
            payload.get(..64).unwrap_or(payload).utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let name = normalized_verb(CommandText::new(head).verb);
        let compiles = name.is_some_and(|name| COMPILE.iter().any(|verb| verb.eq_ignore_ascii_case(&name)));
        match payload.len() {
            _ if !compiles => Work::Other,
            LARGE_UPLOAD_BYTES.. => Work::LargeUpload,
            _ => Work::Upload,
        }
    }
}

/// Numbers of commands that run now.
#[derive(Debug, Default)]
pub(crate) struct Running {
    uploads: usize,
    large: usize,
}

impl Running {
    /// Whether one more command may begin.
    pub(crate) fn admits(&self, work: Work) -> bool {
        match work {
            Work::Other => true,
            Work::Upload => self.uploads < COMMAND_THREADS_COMPILING_MAX,
            Work::LargeUpload => {
                self.uploads < COMMAND_THREADS_COMPILING_MAX && self.large < LARGE_UPLOADS_MAX
            }
        }
    }

    pub(crate) fn begins(&mut self, work: Work) {
        self.uploads += usize::from(work != Work::Other);
        self.large += usize::from(work == Work::LargeUpload);
    }

    pub(crate) fn ends(&mut self, work: Work) {
        self.uploads -= usize::from(work != Work::Other);
        self.large -= usize::from(work == Work::LargeUpload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_told_by_verb_and_length() {
        let long = "x".repeat(LARGE_UPLOAD_BYTES);
        for (text, expected) in [
            ("-addAction DEFINE ACTION A", Work::Upload),
            ("--ADD-action DEFINE ACTION A", Work::Upload),
            ("\u{feff}  -loadProject P", Work::Upload),
            (&format!("-addModel {long}"), Work::LargeUpload),
            (&format!("-setEnv A {long}"), Work::Other),
            ("-listEntities", Work::Other),
            ("addAction", Work::Other),
            ("", Work::Other),
        ] {
            assert_eq!(Work::of(text.as_bytes()), expected, "{text:.40}");
        }
        assert_eq!(Work::of(&[0xff; 100]), Work::Other);
        let cut = format!("-addAction {}€", "x".repeat(52));
        assert_eq!(Work::of(cut.as_bytes()), Work::Upload, "a character is cut");
    }

    #[test]
    fn uploads_leave_threads_to_others() {
        let mut running = Running::default();
        for _ in 0..LARGE_UPLOADS_MAX {
            assert!(running.admits(Work::LargeUpload));
            running.begins(Work::LargeUpload);
        }
        assert!(!running.admits(Work::LargeUpload), "no further large one");
        for _ in LARGE_UPLOADS_MAX..COMMAND_THREADS_COMPILING_MAX {
            assert!(running.admits(Work::Upload));
            running.begins(Work::Upload);
        }
        assert!(!running.admits(Work::Upload), "no further one");
        running.ends(Work::LargeUpload);
        assert!(running.admits(Work::Upload) && running.admits(Work::LargeUpload));
        running.begins(Work::Upload);
        assert!(!running.admits(Work::LargeUpload), "a small one took the thread");
        for _ in 0..100 {
            assert!(running.admits(Work::Other));
            running.begins(Work::Other);
        }
    }
}
