//! `lotmq test`: runs LoT programs against what a file says that they do, without a broker and in virtual time.

mod case;
mod judge;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use lot_to_wasm::Form;
use lotmq_host::Engine;

use crate::exit::{Exit, Misuse};
use crate::output;
use crate::project::Project;
use crate::run::offline::{self, Offline, Start};
use crate::run::program::Program;
use case::{Case, Cases, Step};
use judge::{Seen, judge};

/// Most times that timers are due in one `pass`: a day of one each second.
const TIMERS_MAX: u64 = 86_400;

/// How files with cases end.
const SUFFIX: &str = ".test.toml";

/// Test LoT programs.
///
/// Cases stand in a file beside the program: heater.test.toml tests heater.lot or heater.lotnb. Each starts anew, in virtual time. docs/lot/testing.md says what
/// stands in such a file.
///
/// Exit codes: 0 every case passed, 1 one failed or a file could not be used, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Files with cases (.test.toml), programs that have one beside them, and folders, which are searched for them
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Run only cases whose name has this text in it
    #[arg(short = 'n', long, value_name = "TEXT", default_value = "")]
    name: String,
}

pub(crate) fn test(args: &TestArgs) -> anyhow::Result<Exit> {
    let mut files = Vec::new();
    for path in &args.paths {
        collect(path, &mut files)?;
    }
    if files.is_empty() {
        return Err(Misuse(format!("no file that ends with {SUFFIX} is there")).into());
    }
    let engine = offline::engine()?;
    let (mut passed, mut failed) = (0_u32, 0_u32);
    for file in &files {
        let tested = test_file(&engine, file, &args.name, &mut passed);
        match tested.with_context(|| file.display().to_string()) {
            Ok(failures) => failed += failures,
            Err(error) => {
                output::error(&output::chain(&error));
                failed += 1;
            }
        }
    }
    output::line(&format!("{passed} passed, {failed} failed"))?;
    Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
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
        if !beside.exists() {
            return Err(Misuse(format!("{} is not there", beside.display())).into());
        }
        files.push(beside);
    }
    Ok(())
}

/// Runs the cases of a file and answers how many failed.
fn test_file(engine: &Engine, file: &Path, wanted: &str, passed: &mut u32) -> anyhow::Result<u32> {
    let text = std::fs::read_to_string(file).context("cannot be read")?;
    let cases: Cases =
        toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))?;
    let program = load(engine, &program_of(file, cases.program.as_deref()))?;
    let mut failed = 0;
    for case in cases.case.iter().filter(|case| case.name.contains(wanted)) {
        let complaints = run(&program, case)?;
        let name = format!("{}: {}", file.display(), case.name);
        if complaints.is_empty() {
            *passed += 1;
            output::line(&format!("ok    {name}"))?;
        } else {
            failed += 1;
            output::line(&format!("FAIL  {name}"))?;
            complaints.iter().try_for_each(|complaint| output::line(&format!("      {complaint}")))?;
        }
    }
    Ok(failed)
}

/// What a file with cases is about: what it names, else the program or notebook of its name beside it.
fn program_of(file: &Path, named: Option<&str>) -> PathBuf {
    let beside = |name: &str| match file.parent() {
        Some(folder) if folder != Path::new("") => folder.join(name),
        _ => PathBuf::from(name),
    };
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name = name.trim_end_matches(SUFFIX);
    let notebook = beside(&format!("{name}.lotnb"));
    match named {
        Some(named) => beside(named),
        None if notebook.exists() => notebook,
        None => beside(&format!("{name}.lot")),
    }
}

fn load(engine: &Engine, path: &Path) -> anyhow::Result<Program> {
    let compiled = Project::read(path)?.compile(Form::Linked)?;
    anyhow::ensure!(compiled.succeeded(), "{}", compiled.to_text());
    Program::compile(engine, compiled)
}

/// Runs a case, and says what is not as it should be.
fn run(program: &Program, case: &Case) -> anyhow::Result<Vec<String>> {
    let mut offline = Offline::start(program, Start { wall: case.at()?, zone: case.zone()? })?;
    case.given.iter().try_for_each(|(topic, value)| offline.keep(topic, &value.to_bytes()))?;
    case.env.iter().for_each(|(name, value)| offline.set_environment(name, value));
    case.secrets.iter().for_each(|(name, value)| offline.set_secret(name, value));
    let mut seen = Vec::new();
    let mut feed = |offline: &mut Offline| offline.settle(&mut |happening| Seen::note(&happening, &mut seen));
    feed(&mut offline)?;
    for step in &case.when {
        match step {
            Step::Message { topic, payload } => {
                offline.publish(topic, &payload.to_bytes());
                feed(&mut offline)?;
            }
            Step::Call { call, inputs } => {
                offline.call(call, serde_json::to_value(inputs)?)?;
                feed(&mut offline)?;
            }
            Step::Pass { pass } => {
                let mut left = case::duration(pass)?;
                let before = offline.timers_fired();
                while let Some(passed) = offline.pass_time(left) {
                    left -= passed;
                    anyhow::ensure!(
                        offline.timers_fired() - before <= TIMERS_MAX,
                        "{}: pass = \"{pass}\" is too long: timers were due {TIMERS_MAX} times before it was over",
                        case.name
                    );
                    feed(&mut offline)?;
                }
                offline.stand(left);
            }
        }
    }
    let mut complaints = judge(case, &seen);
    for (topic, wanted) in &case.kept {
        let found = offline.value(topic);
        if !found.as_deref().is_some_and(|found| wanted.is_like(found)) {
            let found =
                found.map_or("nothing".to_owned(), |found| format!("`{}`", String::from_utf8_lossy(&found)));
            complaints.push(format!("kept {}: expected `{wanted}`, found {found}", &**topic));
        }
    }
    Ok(complaints)
}
