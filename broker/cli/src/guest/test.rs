//! `lotmq guest test`: a guest against what its files say that it does, without a broker and in
//! virtual time.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use lotmq_runner::{
    EmbeddedModule, Embedding, Player, Program, SUFFIX, Start, TestFolder, read_recording, test_module,
};
use lotmq_terminal::{Exit, Misuse, output};

use super::build::{built, cargo};
use super::folder::{GuestFolder, GuestLanguage, GuestType};
use super::{config, verify};
use crate::arriving::ArrivingArgs;
use crate::test::ReportArgs;

/// Test a guest without a broker.
///
/// First the tests of a guest in Rust run (cargo test), on this machine. Then the guest is built
/// and runs in a broker without listeners, by virtual time, through the cases in *.test.toml of its
/// folder and of its folder tests. It is granted what it asks for. The cases of a rule or a route
/// name the program that uses it, those of a guest for logins have logins. Routes and guests for
/// logins make no connections without --network. docs/lot/testing.md says what stands in such a
/// file, docs/sdk/testing.md what guests have besides.
///
/// With --in or --replay it runs on these messages instead, and what it does is printed.
///
/// Exit codes: 0 every case passed or there is none, 1 one failed, none has the text of -n, or the
/// guest does not build, 2 wrong usage.
#[derive(Args, Debug)]
pub(super) struct TestGuestArgs {
    /// Folder of the guest
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Run only cases whose name has this text in it
    #[arg(short = 'n', long, value_name = "TEXT", default_value = "")]
    name: String,
    /// Leave out its own tests on this machine
    #[arg(long)]
    no_native: bool,
    /// Let the guest, and the routes of its cases, reach the network: whatever is at the addresses
    /// of their program or configuration
    #[arg(long)]
    network: bool,
    /// Connect the far sides of the cases to their real servers, and write what both say to the
    /// files that they play otherwise (far = { … recorded, server })
    #[arg(long, conflicts_with_all = ["messages", "replay"])]
    record: bool,
    /// A message that arrives; may be given several times, they arrive in order
    #[arg(long = "in", value_name = "TOPIC=PAYLOAD", value_parser = crate::run::assignment)]
    messages: Vec<(String, String)>,
    #[command(flatten)]
    arriving: ArrivingArgs,
    /// Messages of a recording, as lotmq run --record makes one, each at its time, without waiting
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Print JSON: one object for each case, or with --in and --replay for each published message,
    /// one line each
    #[arg(long)]
    json: bool,
    /// Write the results of cases to this file, too, in the XML of JUnit, which a CI shows
    #[arg(long, value_name = "FILE", conflicts_with_all = ["messages", "replay"])]
    junit: Option<PathBuf>,
}

pub(super) fn test(args: &TestGuestArgs) -> anyhow::Result<Exit> {
    let guest = GuestFolder::open(&args.folder)?;
    let is_played = args.replay.is_some() || !args.messages.is_empty();
    let has_own_tests = guest.language == GuestLanguage::Rust && !args.no_native;
    if has_own_tests && !is_played {
        run_native(&guest)?;
    }
    let module = guest.module(built(&guest, false)?);
    let embedding = Embedding::new()?;
    verify::check_type(&embedding, &guest, &module.component)?;
    config::check(&guest, &module.component)?;
    let embedding = if args.network { embedding } else { embedding.without_network(NO_NETWORK) };
    let files = case_files(&guest)?;
    const WITH_PROGRAM: &str =
        "run both with lotmq run --module, or write a case that names the program, as program = \"….lot\"";
    let needs = match guest.kind {
        GuestType::Action => None,
        GuestType::Rule => Some(("a rule that asks it", WITH_PROGRAM)),
        GuestType::Route => Some(("a route that it runs", WITH_PROGRAM)),
        GuestType::Auth => Some(("a login", "write a case with one, as when = [{ login = \"client\" }]")),
    };
    if let Some((needs, instead)) = needs.filter(|_| is_played) {
        let kind = guest.kind.name();
        let told = format!("messages start no guest of type {kind}, which needs {needs}: {instead}");
        return Err(Misuse(told).into());
    }
    if is_played {
        return play(&embedding, module, args);
    }
    if files.is_empty() {
        verify::tell(&embedding, &guest.component(), &module.component)?;
        output::tell(match has_own_tests {
            true => "passed: its own tests; there are no cases",
            false => "passed: it is a guest of its type; there are no cases",
        })?;
        output::note(&format!(
            "cases stand in files that end with {SUFFIX}, in {} or {}; how to write them is in docs/sdk/testing.md",
            guest.path.display(),
            guest.below(CASES).display()
        ));
        return Ok(Exit::Success);
    }
    cases(&embedding, &files, &module, args)
}

/// Folder with cases in that of a guest.
const CASES: &str = "tests";

/// Why routes reach no network here.
const NO_NETWORK: &str = "cases make no connections unless lotmq guest test is told --network";

/// In the profile of tests: that of the component takes a minute for what runs for milliseconds.
fn run_native(guest: &GuestFolder) -> anyhow::Result<()> {
    let mut cargo = cargo(&std::path::absolute(&guest.path)?, None)?;
    // It tells what it compiles, and the tests are quiet.
    cargo.args(["test", "--lib", "--", "--quiet"]);
    let status = cargo.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the guest's own tests do not pass");
    }
    Ok(())
}

/// The files with cases of a guest.
fn case_files(guest: &GuestFolder) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in [&guest.path, &guest.path.join(CASES)] {
        collect(folder, &mut files)?;
    }
    Ok(files)
}

fn cases(
    embedding: &Embedding,
    files: &[PathBuf],
    module: &EmbeddedModule,
    args: &TestGuestArgs,
) -> anyhow::Result<Exit> {
    let reported = ReportArgs { json: args.json, junit: args.junit.clone() };
    let (mut report, folder) = (reported.begin(), TestFolder::new(&args.folder)?);
    for file in files {
        let place = (&**file, &folder, args.record);
        let tested = test_module(embedding, module, place, &args.name, &mut report);
        match tested.with_context(|| file.display().to_string()) {
            Ok(()) => {}
            Err(error) if output::is_broken_pipe(&error) => return Err(error),
            Err(error) => report.add_error(file, &output::chain(&error))?,
        }
    }
    reported.end(&report, &args.name)
}

/// The files with cases in a folder, by name.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut found: Vec<_> =
        paths.into_iter().filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect();
    found.sort();
    let mut found: Vec<_> =
        found.iter().map(|path| path.strip_prefix(".").unwrap_or(path).to_owned()).collect();
    files.append(&mut found);
    Ok(())
}

fn play(embedding: &Embedding, module: EmbeddedModule, args: &TestGuestArgs) -> anyhow::Result<Exit> {
    let program = Program::of_module(embedding, module)?;
    let mut recording =
        args.replay.as_deref().map(read_recording).transpose()?.into_iter().flatten().peekable();
    let first = recording.peek().and_then(|first| first.as_ref().ok());
    let start = first.map_or_else(Start::here_and_now, |first| Start::here_at(first.at));
    let mut player = Player::start(embedding, &program, start, args.json)?;
    let sent = args.arriving.sent();
    for (topic, payload) in &args.messages {
        player.publish(topic, payload.as_bytes(), &sent)?;
    }
    for recorded in recording {
        player.replay(&recorded?)?;
    }
    Ok(player.exit())
}
