//! Entry for fuzzing: everything that reads foreign text, as one plain function.

use crate::compile::{CompileOptions, Form, compile};
use crate::diagnostic::json::Entry;
use crate::diagnostic::render;
use crate::format;

/// Compiles any bytes and shows every diagnostic in both forms. Panics only when an invariant of
/// the compiler is broken: an entity has an output exactly when it has no error, every place lies
/// in the text, and formatted text stays unchanged.
pub fn fuzz_compile(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(formatted) = format(&text) {
        assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "what is formatted stays as it is");
    }
    let lines = u32::try_from(text.split(['\n', '\r']).count()).unwrap_or(u32::MAX);
    for form in [Form::Linked, Form::Standalone] {
        let compilation = compile(&text, &CompileOptions { form, ..CompileOptions::default() });
        for entity in &compilation.entities {
            let has_errors = entity.diagnostics.iter().any(|found| found.severity == crate::Severity::Error);
            assert!(has_errors == entity.output.is_none(), "an output and an error exclude each other");
        }
        for diagnostic in compilation.all_diagnostics() {
            let (start, end) = (diagnostic.span.start, diagnostic.span.end);
            assert!(start <= end && start.line >= 1 && start.column >= 1, "a place has a start and an end");
            assert!(end.line <= lines, "a place lies in the text");
            let _ = (Entry::from(&diagnostic), render::to_text("fuzz.lot", &diagnostic));
        }
    }
}
