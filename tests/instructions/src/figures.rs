//! The committed figures: instructions per message of each scenario.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Part by which a count may be above its figure.
const TOLERANCE: f64 = 0.02;

const HEAD: &str =
    "# Instructions per message (connect: per connection), by `scripts/instructions update`.\n";

/// Figures by scenario.
#[derive(Default)]
pub(crate) struct Figures(Vec<(String, f64)>);

/// Result of a comparison.
pub(crate) struct Comparison {
    /// A line for each scenario.
    pub(crate) lines: Vec<String>,
    /// Whether no count is too high, and none is missing.
    pub(crate) is_passed: bool,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("figures.txt")
}

impl Figures {
    pub(crate) fn add(&mut self, name: &str, instructions: f64) {
        self.0.push((name.to_owned(), instructions));
    }

    /// Reads the committed file.
    pub(crate) fn read() -> Result<Self> {
        let path = path();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let figures = lines.map(|line| {
            let (name, figure) = line.split_once(' ').with_context(|| format!("no figure in {line:?}"))?;
            Ok((name.to_owned(), figure.trim().parse().with_context(|| format!("no number in {line:?}"))?))
        });
        Ok(Self(figures.collect::<Result<_>>()?))
    }

    /// Writes the file anew.
    pub(crate) fn write(&self) -> Result<()> {
        let mut text = HEAD.to_owned();
        for (name, figure) in &self.0 {
            writeln!(text, "{name} {figure:.0}")?;
        }
        Ok(fs::write(path(), text)?)
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, figure)| *figure)
    }

    /// Compares counts with these figures.
    pub(crate) fn compare(&self, counted: &Figures) -> Comparison {
        let mut is_passed = true;
        let mut lines = Vec::new();
        for (name, count) in &counted.0 {
            let Some(figure) = self.get(name) else {
                is_passed = false;
                lines.push(format!("{name:<20} {count:>8.0}  FAIL: figures.txt has no figure"));
                continue;
            };
            let change = count / figure - 1.0;
            let verdict = if change > TOLERANCE { "FAIL" } else { "ok" };
            is_passed &= change <= TOLERANCE;
            lines.push(format!(
                "{name:<20} {count:>8.0}  {figure:>8.0}  {:>+6.1} %  {verdict}",
                change * 100.0
            ));
        }
        Comparison { lines, is_passed }
    }
}
