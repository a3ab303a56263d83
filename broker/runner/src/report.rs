//! Results of cases: lines for people, JSON for programs, and JUnit's XML for a CI.

use std::fmt::Write as _;
use std::path::Path;

use lotmq_terminal::text::escaped;
use lotmq_terminal::{Colour, Paint, output};
use serde_json::json;

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub enum ReportForm {
    /// A line for each case, with its failures below it.
    Text(Paint),
    /// An object for each case, one line each, and one with the counts at the end.
    Json,
}

/// Results so far.
#[derive(Debug)]
pub struct TestReport {
    /// Cases that passed.
    pub passed: u32,
    /// Cases that failed, and files that could not be used.
    pub failed: u32,
    form: ReportForm,
    files: Vec<FileResults>,
}

/// Results of one file.
#[derive(Debug)]
struct FileResults {
    file: String,
    cases: Vec<(String, Vec<String>)>,
    /// Why the file could not be used.
    error: Option<String>,
}

impl TestReport {
    /// Report without a result.
    #[must_use]
    pub fn new(form: ReportForm) -> Self {
        Self { passed: 0, failed: 0, form, files: Vec::new() }
    }

    /// Adds a case and prints it; it passed if there are no complaints.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub fn add(&mut self, file: &Path, case: &str, complaints: Vec<String>) -> anyhow::Result<()> {
        let has_passed = complaints.is_empty();
        *if has_passed { &mut self.passed } else { &mut self.failed } += 1;
        let file = file.display().to_string();
        match self.form {
            ReportForm::Json => output::tell(
                &json!({"file": file, "case": case, "passed": has_passed, "complaints": complaints})
                    .to_string(),
            )?,
            ReportForm::Text(paint) => {
                let (colour, word) = if has_passed { (Colour::Green, "ok  ") } else { (Colour::Red, "FAIL") };
                let line = escaped(&format!("{file}: {case}")).into_owned();
                output::painted_tell(&format!("{}  {line}", paint.text(colour, word)))?;
                complaints.iter().try_for_each(|complaint| output::tell(&format!("      {complaint}")))?;
            }
        }
        self.of_file(file).cases.push((case.to_owned(), complaints));
        Ok(())
    }

    /// Adds a file that could not be used and prints why.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub fn add_error(&mut self, file: &Path, error: &str) -> anyhow::Result<()> {
        self.failed += 1;
        let file = file.display().to_string();
        match self.form {
            ReportForm::Json => output::tell(&json!({"file": file, "error": error}).to_string())?,
            ReportForm::Text(_) => output::error(error),
        }
        self.of_file(file).error = Some(error.to_owned());
        Ok(())
    }

    /// Prints the counts.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub fn end(&self) -> anyhow::Result<()> {
        let Self { passed, failed, .. } = self;
        output::tell(&match self.form {
            ReportForm::Json => json!({"passed": passed, "failed": failed}).to_string(),
            ReportForm::Text(_) => format!("{passed} passed, {failed} failed"),
        })?;
        Ok(())
    }

    /// The results in the XML of JUnit, a suite for each file.
    #[must_use]
    pub fn to_junit(&self) -> String {
        let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        let errors = self.files.iter().filter(|file| file.error.is_some()).count();
        let failures: usize = self.files.iter().map(FileResults::failures).sum();
        let tests = (self.passed + self.failed) as usize;
        let _ = writeln!(xml, "<testsuites tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">");
        for results in &self.files {
            results.write_junit(&mut xml);
        }
        xml.push_str("</testsuites>\n");
        xml
    }

    /// Files come one after the other.
    fn of_file(&mut self, file: String) -> &mut FileResults {
        if self.files.last().is_none_or(|last| last.file != file) {
            self.files.push(FileResults { file, cases: Vec::new(), error: None });
        }
        self.files.last_mut().expect("one was pushed if there was none")
    }
}

impl FileResults {
    fn failures(&self) -> usize {
        self.cases.iter().filter(|(_, complaints)| !complaints.is_empty()).count()
    }

    fn write_junit(&self, xml: &mut String) {
        let (file, errors) = (in_xml(&self.file), usize::from(self.error.is_some()));
        let (tests, failures) = (self.cases.len() + errors, self.failures());
        // Writing into a `String` cannot fail.
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">"
        );
        for (case, complaints) in &self.cases {
            let case = in_xml(case);
            let _ = match complaints.first() {
                None => writeln!(xml, "    <testcase classname=\"{file}\" name=\"{case}\"/>"),
                Some(first) => writeln!(
                    xml,
                    "    <testcase classname=\"{file}\" name=\"{case}\"><failure message=\"{}\">{}</failure></testcase>",
                    in_xml(first),
                    in_xml(&complaints.join("\n"))
                ),
            };
        }
        if let Some(error) = &self.error {
            let error = in_xml(error);
            let _ = writeln!(
                xml,
                "    <testcase classname=\"{file}\" name=\"{file}\"><error message=\"{error}\"/></testcase>"
            );
        }
        xml.push_str("  </testsuite>\n");
    }
}

/// Text of an element or an attribute. Characters that XML 1.0 §2.2 has not are escaped as for a
/// terminal, or U+FFFD.
fn in_xml(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in escaped(text).chars() {
        match character {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\n' => written.push_str("&#10;"),
            '\t' => written.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => written.push('\u{fffd}'),
            other => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_has_a_suite_for_each_file() {
        let mut report = TestReport::new(ReportForm::Text(Paint::none()));
        report.add(Path::new("a.test.toml"), "warm", Vec::new()).unwrap();
        let complaints = vec!["expected `<1>`\u{1b}".to_owned(), "more".to_owned()];
        report.add(Path::new("a.test.toml"), "\"cold\"", complaints).unwrap();
        report.add_error(Path::new("b.test.toml"), "b.test.toml: cannot be read").unwrap();
        assert_eq!((report.passed, report.failed), (1, 2));
        assert_eq!(
            report.to_junit(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"3\" failures=\"1\" errors=\"1\">\n  \
             <testsuite name=\"a.test.toml\" tests=\"2\" failures=\"1\" errors=\"0\">\n    \
             <testcase classname=\"a.test.toml\" name=\"warm\"/>\n    \
             <testcase classname=\"a.test.toml\" name=\"&quot;cold&quot;\"><failure message=\"expected `&lt;1&gt;`\\u001b\">expected `&lt;1&gt;`\\u001b&#10;more</failure></testcase>\n  \
             </testsuite>\n  \
             <testsuite name=\"b.test.toml\" tests=\"1\" failures=\"0\" errors=\"1\">\n    \
             <testcase classname=\"b.test.toml\" name=\"b.test.toml\"><error message=\"b.test.toml: cannot be read\"/></testcase>\n  \
             </testsuite>\n</testsuites>\n"
        );
    }
}
