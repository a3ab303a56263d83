//! `lotmq guest new`: the folder of a guest, with the SDK inside.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use lotmq_terminal::{Exit, Misuse, output};

use super::examples::GuestExample;
use super::folder::{GuestLanguage, GuestType, check_name};
use super::other_tools::ONLY_RUST;
use super::sources::{APART, LOCK, LOCKED, NamedText, PLACEHOLDER, SDK, template};

/// Make the folder of a new guest.
///
/// It has a guest that works. In Rust it has the crate lotmq-guest of this version, too, so that it
/// builds with nothing but cargo; in JavaScript and Python the contract. With --example it has one
/// of the guests that docs/sdk explains, as a whole.
///
/// Exit codes: 0 done, 1 it cannot be written, 2 wrong usage.
#[derive(Args, Debug)]
pub(super) struct NewArgs {
    /// Name of the guest, of its folder and of its module
    name: String,
    /// Type of the guest: an action runs when something happens, a rule says what a client may do,
    /// a route connects the broker with another system. An auth guest decides who may connect, but
    /// no login of this version asks it (docs/sdk/auth.md)
    #[arg(short = 't', long = "type", default_value = "action")]
    kind: WantedType,
    /// Language of its source
    #[arg(long, default_value = "rust")]
    lang: GuestLanguage,
    /// Begin with an example in Rust instead of the shortest guest of a type
    #[arg(long, value_name = "EXAMPLE", conflicts_with_all = ["kind", "lang"])]
    example: Option<GuestExample>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WantedType {
    Action,
    Route,
    Rule,
    Auth,
}

pub(super) fn create(args: &NewArgs) -> anyhow::Result<Exit> {
    check_name(&args.name)?;
    let kind = match (args.example, args.kind) {
        (Some(example), _) => example.kind(),
        (None, WantedType::Action) => GuestType::Action,
        (None, WantedType::Route) => GuestType::Route,
        (None, WantedType::Rule) => GuestType::Rule,
        (None, WantedType::Auth) => GuestType::Auth,
    };
    let files = args.example.map_or_else(|| template(kind, args.lang), |example| example.files().to_vec());
    if files.is_empty() {
        return Err(Misuse(ONLY_RUST.to_owned()).into());
    }
    let folder = PathBuf::from(&args.name);
    anyhow::ensure!(!folder.exists(), "cannot create the folder {}: it is there already", folder.display());
    std::fs::create_dir(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let named = |text: &str| match args.example {
        Some(example) => example.as_new(text, &args.name),
        None => text.replace(PLACEHOLDER, &args.name),
    };
    write_all(&folder, &files, named)?;
    if args.lang == GuestLanguage::Rust {
        write_all(&folder.join("lotmq-guest"), SDK, str::to_owned)?;
        if args.example.is_none() {
            write(&folder.join("Cargo.lock"), &LOCK.replace(&quoted(LOCKED), &quoted(&args.name)))?;
        }
    } else {
        // Of the SDK they need the contract alone.
        let contract: Vec<NamedText> =
            SDK.iter().filter(|(path, _)| path.starts_with("wit/")).copied().collect();
        write_all(&folder, &contract, str::to_owned)?;
    }
    write(&folder.join(".gitignore"), "/target\n/node_modules\n__pycache__\n")?;
    output::tell(&format!("{}: a guest of type {}", folder.display(), kind.name()))?;
    if matches!(kind, GuestType::Route | GuestType::Auth) {
        output::note(&format!(
            "world {} may still change: a broker takes its guests only when it was started with LOTMQ_MODULES_ALLOW_UNSTABLE=true",
            kind.name()
        ));
    }
    if kind == GuestType::Auth {
        output::note("a broker installs it, and asks it about no login yet; its cases run all the same");
    }
    output::note(&format!("go on with: cd {}; lotmq guest test", folder.display()));
    Ok(Exit::Success)
}

fn quoted(name: &str) -> String {
    format!("name = \"{name}\"")
}

fn write_all(folder: &Path, files: &[NamedText], change: impl Fn(&str) -> String) -> anyhow::Result<()> {
    files.iter().try_for_each(|(path, text)| write(&folder.join(path.trim_end_matches(APART)), &change(text)))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let within = path.parent().unwrap_or(path);
    std::fs::create_dir_all(within).with_context(|| format!("cannot create {}", within.display()))?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
