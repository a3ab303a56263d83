//! The cases of a file, each run in a program that starts anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use lot_to_wasm::Form;
use lotmq_project::{Project, read_source};
use lotmq_server::embedded::{Arriving, EmbeddedBroker, EmbeddedModule, Embedding};
use lotmq_server::runs_route_type;
use lotmq_terminal::output;

use crate::case::{Case, CaseUser, Cases, Step};
use crate::far::{Recordings, RunningFarSide};
use crate::judge::{Seen, errors, judge, warned};
use crate::payload::{Compared, Payload, compared};
use crate::program::{Program, Start, inputs};
use crate::report::TestReport;
use crate::test_folder::TestFolder;
use crate::told::{ToldOnce, told};
use crate::traffic::read as read_recording;
use crate::visit::Visitors;

/// Most times that timers are due in one `pass`: a day of one each second.
const TIMERS_MAX: u64 = 86_400;

/// How files with cases end.
pub const SUFFIX: &str = ".test.toml";

/// Runs the cases of a file whose names contain the text `wanted`, and reports the result of each.
/// They read nothing outside of `folder`.
///
/// # Errors
/// When the file or its program cannot be used, or standard output takes no more.
pub fn test_file(
    embedding: &Embedding,
    (file, folder): (&Path, &TestFolder),
    wanted: &str,
    report: &mut TestReport,
) -> anyhow::Result<()> {
    let cases = read(file, folder)?;
    let (program, warnings) = load(embedding, &program_of((file, folder), cases.program.as_deref())?)?;
    let program = with_modules(embedding, program, &cases, (file, folder))?;
    let failed = report.failed;
    run_all((embedding, &program), (file, folder, false), (&cases, wanted), report)?;
    tell_warnings(report.failed > failed, warnings);
    Ok(())
}

/// Runs the cases of a file about a module, as [`test_file`] does those about a program. The
/// program is the one that the file names, and it may name the module. If `records` is set, far
/// sides with a real server record a new conversation with that server.
///
/// # Errors
/// As [`test_file`].
pub fn test_module(
    embedding: &Embedding,
    module: &EmbeddedModule,
    (file, folder, records): (&Path, &TestFolder, bool),
    wanted: &str,
    report: &mut TestReport,
) -> anyhow::Result<()> {
    let cases = read(file, folder)?;
    let its_own = Program::of_module(embedding, module.clone())?;
    let (program, warnings) = match cases.program.as_deref() {
        Some(named) => {
            let (program, warnings) = load(embedding, &program_of((file, folder), Some(named))?)?;
            (program.behind(its_own), warnings)
        }
        None => (its_own, None),
    };
    let program = with_modules(embedding, program, &cases, (file, folder))?;
    let failed = report.failed;
    run_all((embedding, &program), (file, folder, records), (&cases, wanted), report)?;
    tell_warnings(report.failed > failed, warnings);
    Ok(())
}

/// Prints the warnings of the compiler if cases have failed: a warning may explain a failure.
fn tell_warnings(has_failures: bool, warnings: Option<String>) {
    if let Some(warnings) = warnings.filter(|_| has_failures) {
        output::note(&warnings);
    }
}

fn read(file: &Path, folder: &TestFolder) -> anyhow::Result<Cases> {
    folder.check(file)?;
    let text = read_source(file)?;
    toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}", told(&text, &error)))
}

/// Runs those of the cases whose names have a text in them.
fn run_all(
    (embedding, program): (&Embedding, &Program),
    (file, root, records): (&Path, &TestFolder, bool),
    (cases, wanted): (&Cases, &str),
    report: &mut TestReport,
) -> anyhow::Result<()> {
    let mut told = ToldOnce::default();
    let recordings = Recordings { folder: file.parent().unwrap_or(Path::new("")), root, anew: records };
    for case in cases.case.iter().filter(|case| case.name.contains(wanted)) {
        // An error in one case does not stop the other cases.
        let complaints = run((embedding, program), (cases, case), recordings, &mut told);
        let complaints = complaints.unwrap_or_else(|error| vec![format!("{error:#}")]);
        report.add(file, &case.name, complaints)?;
    }
    Ok(())
}

/// Returns the program of a file with cases: the file that it names, or else the program or
/// notebook with the same name in the same folder.
fn program_of((file, folder): (&Path, &TestFolder), named: Option<&str>) -> anyhow::Result<PathBuf> {
    let beside = |name: &str| match file.parent() {
        Some(folder) if folder != Path::new("") => folder.join(name),
        _ => PathBuf::from(name),
    };
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name = name.trim_end_matches(SUFFIX);
    let notebook = beside(&format!("{name}.lotnb"));
    let program = match named {
        Some(named) => return folder.file(&beside(""), Path::new(named)),
        None if notebook.exists() => notebook,
        None => beside(&format!("{name}.lot")),
    };
    folder.check(&program)?;
    Ok(program)
}

/// Adds the modules that a file names.
fn with_modules(
    embedding: &Embedding,
    program: Program,
    cases: &Cases,
    (file, folder): (&Path, &TestFolder),
) -> anyhow::Result<Program> {
    let place = file.parent().unwrap_or(Path::new(""));
    let modules: Vec<_> = cases.modules.iter().map(|(name, module)| module.named(name)).collect();
    for module in &modules {
        folder.file(place, &module.file).with_context(|| format!("module {}", module.name))?;
    }
    program.with_modules(embedding, &modules, place)
}

/// Returns a program, and the warnings of the compiler.
fn load(embedding: &Embedding, path: &Path) -> anyhow::Result<(Program, Option<String>)> {
    let mut compiled = Project::read(path)?.compile(Form::Linked, runs_route_type)?;
    anyhow::ensure!(compiled.succeeded(), "{}", compiled.to_text());
    compiled.warn_of_cycles();
    let warnings = compiled.has_diagnostics().then(|| compiled.to_text());
    Ok((Program::compile(embedding, compiled)?, warnings))
}

/// Results of a case so far.
#[derive(Default)]
struct Course {
    seen: Vec<Seen>,
    complaints: Vec<String>,
    visitors: Visitors,
}

/// Runs a case, and returns its failures.
fn run(
    (embedding, program): (&Embedding, &Program),
    (all, case): (&Cases, &Case),
    recordings: Recordings<'_>,
    told: &mut ToldOnce,
) -> anyhow::Result<Vec<String>> {
    let mut broker = program.broker(embedding, Start { wall: case.at(), zone: case.zone() })?;
    let far_sides = prepare(&mut broker, (all, case), recordings)?;
    program.deploy(&mut broker, told)?;
    case.given.iter().try_for_each(|(topic, value)| broker.keep(topic, &value.to_bytes()))?;
    let mut course = Course::default();
    if let Err(error) = take_all(case, recordings, &mut broker, (&mut course, told)) {
        let Course { mut seen, mut complaints, .. } = course;
        // These events may explain the failure.
        let happened = broker.happened().unwrap_or_default();
        happened.into_iter().for_each(|happening| Seen::note(happening, &mut seen, told));
        complaints.push(format!("{error:#}"));
        complaints.extend(errors(&seen));
        complaints.extend(warned(&seen));
        return Ok(complaints);
    }
    let Course { seen, mut complaints, visitors } = course;
    complaints.extend(judge(case, &seen));
    complaints.extend(case.kept.iter().filter_map(|(topic, wanted)| unkept(topic, wanted, &broker)));
    complaints.extend(visitors.judged());
    complaints.extend(far_sides.into_iter().filter_map(RunningFarSide::judged));
    if !complaints.is_empty() {
        complaints.extend(warned(&seen));
    }
    Ok(complaints)
}

/// Prepares a broker with the data for the program, and starts the far sides of a case.
fn prepare(
    broker: &mut EmbeddedBroker,
    (all, case): (&Cases, &Case),
    recordings: Recordings<'_>,
) -> anyhow::Result<Vec<RunningFarSide>> {
    for (name, CaseUser { groups, properties }) in &all.users {
        let properties: Vec<_> =
            properties.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        broker.add_user(name, groups, &properties)?;
    }
    // A route reads its values when it is deployed.
    overridden(&all.env, &case.env).try_for_each(|(name, value)| broker.set_environment(name, value))?;
    overridden(&all.secrets, &case.secrets).try_for_each(|(name, value)| broker.set_secret(name, value))?;
    let mut far_sides = Vec::with_capacity(case.far.len());
    for (name, far) in &case.far {
        let running = far.start(name, recordings)?;
        broker.set_environment(name, &running.port().to_string())?;
        broker.put_far_endpoint(name, running.port());
        broker.open_far_port(running.port());
        far_sides.push(running);
    }
    for step in &case.when {
        if let Step::Visit(visit) = step {
            broker.open_to_clients(visit.route());
        }
    }
    Ok(far_sides)
}

/// Takes the steps of a case.
fn take_all(
    case: &Case,
    recordings: Recordings<'_>,
    broker: &mut EmbeddedBroker,
    (course, told): (&mut Course, &mut ToldOnce),
) -> anyhow::Result<()> {
    settle(broker, (&mut course.seen, told))?;
    for (number, step) in (1..).zip(&case.when) {
        take(step, (&case.name, recordings), broker, (course, told))
            .with_context(|| format!("step {number} of `when`"))?;
    }
    Ok(())
}

/// Returns the difference between a last value and the expected one.
fn unkept(topic: &str, wanted: &Payload, broker: &EmbeddedBroker) -> Option<String> {
    let found = broker.value(topic);
    if found.as_deref().is_some_and(|found| wanted.is_like(found)) {
        return None;
    }
    let differs = found.as_deref().and_then(|found| compared(wanted, found));
    if let Some(Compared { expected, found, differences }) = differs {
        return Some(format!("kept {topic}: expected `{expected}`, found `{found}`: {differences}"));
    }
    let found = found.map_or("nothing".to_owned(), |found| format!("`{}`", String::from_utf8_lossy(&found)));
    Some(format!("kept {topic}: expected `{wanted}`, found {found}"))
}

/// The values of a file, with those of a case in place of others of their names.
fn overridden<'a>(
    of_file: &'a BTreeMap<String, String>,
    of_case: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a String, &'a String)> {
    of_file.iter().filter(|(name, _)| !of_case.contains_key(*name)).chain(of_case)
}

fn settle(broker: &mut EmbeddedBroker, (seen, told): (&mut Vec<Seen>, &mut ToldOnce)) -> anyhow::Result<()> {
    broker.settle()?.into_iter().for_each(|happening| Seen::note(happening, seen, told));
    Ok(())
}

/// Takes one step of the case of this name.
fn take(
    step: &Step,
    (name, recordings): (&str, Recordings<'_>),
    broker: &mut EmbeddedBroker,
    (course, told): (&mut Course, &mut ToldOnce),
) -> anyhow::Result<()> {
    let Course { seen, complaints, visitors } = course;
    match step {
        Step::Message { topic, payload, qos, retain, properties, from } => {
            let payload = payload.to_bytes();
            let properties = properties.properties();
            let message = Arriving { topic, payload: &payload, qos: *qos, retain: *retain, properties };
            match from {
                Some(client) => broker.publish_from(client, &message)?,
                None => broker.publish(&message)?,
            }
        }
        Step::Subscribe { filter, client } => broker.subscribe(client, filter)?,
        Step::Replay { file } => return replay(&recordings.file(file)?, broker, (seen, told)),
        Step::OfLogin(step) => step.take(broker)?,
        Step::Run { route, time, brings } if broker.has_login_module(route) => {
            anyhow::ensure!(
                brings.is_none(),
                "`brings` is for routes: a guest for logins brings no messages"
            );
            broker.run_login_module(*time)?;
        }
        Step::Run { route, time, brings } => {
            broker.run_route(route, (*time, *brings), || false)?;
        }
        Step::Visit(visit) => {
            let settles = |broker: &mut EmbeddedBroker| settle(broker, (&mut *seen, &mut *told));
            complaints.extend(visitors.take(visit, broker, settles)?);
        }
        Step::Call { call, inputs: given } => broker.call(call, inputs(serde_json::to_value(given)?)?)?,
        Step::Pass { pass, length } => {
            return pass_time((*length, &format!("{name}: pass = \"{pass}\"")), broker, (seen, told));
        }
    }
    settle(broker, (seen, told))
}

/// Lets time pass, which something is named after that wants so, with the timers that are due in
/// it.
fn pass_time(
    (length, what): (Duration, &str),
    broker: &mut EmbeddedBroker,
    (seen, told): (&mut Vec<Seen>, &mut ToldOnce),
) -> anyhow::Result<()> {
    let mut left = length;
    let before = broker.timers_fired();
    while let Some(passed) = broker.pass_time(left) {
        left -= passed;
        anyhow::ensure!(
            broker.timers_fired() - before <= TIMERS_MAX,
            "{what} is too long: timers were due {TIMERS_MAX} times before it was over",
        );
        settle(broker, (seen, told))?;
    }
    broker.stand(left);
    Ok(())
}

/// Lets the messages of a recording arrive, the first one now, each further one so much later as it
/// was then.
fn replay(
    file: &Path,
    broker: &mut EmbeddedBroker,
    (seen, told): (&mut Vec<Seen>, &mut ToldOnce),
) -> anyhow::Result<()> {
    let mut last = None;
    for recorded in read_recording(file)? {
        let recorded = recorded?;
        let since = last.map(|last| Duration::try_from(recorded.at.duration_since(last)).unwrap_or_default());
        last = last.max(Some(recorded.at));
        let what = format!("{}: the time until {}", file.display(), recorded.at);
        pass_time((since.unwrap_or_default(), &what), broker, (seen, told))?;
        if recorded.retained {
            broker.retain(&recorded.topic, &recorded.payload);
        } else {
            recorded.with_message(|message| match &recorded.from {
                Some(client) => Ok(broker.publish_from(client, message)?),
                None => Ok(broker.publish(message)?),
            })?;
        }
        settle(broker, (seen, told))?;
    }
    Ok(())
}
