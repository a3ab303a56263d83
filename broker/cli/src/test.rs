//! `lotmq test`: runs LoT programs against what a file says that they do, without a broker and in
//! virtual time.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use lotmq_runner::{Embedding, ReportForm, SUFFIX, TestFolder, TestReport, test_file};
use lotmq_terminal::{Exit, Paint, output};

use crate::run::NO_NETWORK;

/// Test LoT programs.
///
/// As in: lotmq test heater.test.toml, or of all below a folder: lotmq test plant.
///
/// Cases stand in a file beside the program: heater.test.toml tests heater.lot or heater.lotnb.
/// Each starts anew, in virtual time. They read nothing outside of the folder that is
/// named, or of that of the file that is named. docs/lot/testing.md says what stands in such a
/// file.
///
/// Exit codes: 0 every case passed, 1 one failed or a file could not be used, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Files with cases (.test.toml), programs that have one beside them, and folders, which are
    /// searched for them
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Run only cases whose name has this text in it
    #[arg(short = 'n', long, value_name = "TEXT", default_value = "")]
    name: String,
    /// Connect routes to what their text names, whatever is there; without it they connect to
    /// servers of a case (far) alone
    #[arg(long)]
    network: bool,
    #[command(flatten)]
    report: ReportArgs,
}

/// How the results of cases are reported.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Print JSON: one object for each case, one line each, and one with the counts
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the results to this file, too, in the XML of JUnit, which a CI shows
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

impl ReportArgs {
    pub(crate) fn begin(&self) -> TestReport {
        TestReport::new(if self.json { ReportForm::Json } else { ReportForm::Text(Paint::of_stdout()) })
    }

    /// Prints the counts and writes the file. `name` is the text that names of cases were to have.
    pub(crate) fn end(&self, report: &TestReport, name: &str) -> anyhow::Result<Exit> {
        report.end()?;
        if let Some(file) = &self.junit {
            let written = std::fs::write(file, report.to_junit());
            written.with_context(|| format!("cannot write {}", file.display()))?;
        }
        if report.passed + report.failed == 0 && !name.is_empty() {
            output::error(&format!("no case has '{name}' in its name"));
            return Ok(Exit::Failure);
        }
        Ok(if report.failed == 0 { Exit::Success } else { Exit::Failure })
    }
}

pub(crate) fn test(args: &TestArgs) -> anyhow::Result<Exit> {
    let mut files = Vec::new();
    for path in &args.paths {
        let mut below = Vec::new();
        collect(path, &mut below)?;
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
        let folder = TestFolder::new(folder)?;
        files.extend(below.into_iter().map(|file| (file, folder.clone())));
    }
    if files.is_empty() {
        bail!("no file that ends with {SUFFIX} is there");
    }
    let embedding = Embedding::new()?;
    let embedding = if args.network { embedding } else { embedding.without_network(NO_NETWORK) };
    let mut report = args.report.begin();
    for (file, folder) in &files {
        let tested = test_file(&embedding, (file, folder), &args.name, &mut report);
        match tested.with_context(|| file.display().to_string()) {
            Ok(()) => {}
            Err(error) if output::is_broken_pipe(&error) => return Err(error),
            Err(error) => report.add_error(file, &output::chain(&error))?,
        }
    }
    args.report.end(&report, &args.name)
}

/// The files with cases that a path stands for, folders in the order of their names.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let name = path.to_string_lossy();
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {name}"))?;
        let mut inside = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        inside.sort();
        for path in inside {
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let is_cases = path.to_string_lossy().ends_with(SUFFIX) && path.is_file();
            let is_wanted = is_cases || (path.is_dir() && !path.is_symlink());
            if is_wanted && !is_hidden {
                collect(&path, files)?;
            }
        }
    } else if name.ends_with(SUFFIX) {
        files.push(path.to_owned());
    } else {
        let beside = PathBuf::from(format!("{}{SUFFIX}", path.with_extension("").display()));
        ensure!(
            path.exists() || beside.exists(),
            "{name} is not there; name a folder, a file with cases (…{SUFFIX}) or a program that has one beside it"
        );
        ensure!(beside.exists(), "{} is not there", beside.display());
        files.push(beside);
    }
    Ok(())
}
