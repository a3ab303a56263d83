//! `lotmq man`: manual pages, one for each command, of the same definition as `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;
use lotmq_terminal::{Exit, output};

/// Write the manual pages into a folder, as `lotmq.1` and `lotmq-serve.1`.
///
/// As in: lotmq man /usr/local/share/man/man1.
///
/// Exit codes: 0 written, 1 a file cannot be written, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The folder, which is made if it is not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(crate) fn man(args: &ManArgs, definition: Command) -> anyhow::Result<Exit> {
    fs::create_dir_all(&args.folder).with_context(|| format!("cannot make {}", args.folder.display()))?;
    let mut command = definition.disable_help_subcommand(true);
    command.build();
    let count = write(&args.folder, &command)?;
    output::line(&format!("{count} pages"))?;
    Ok(Exit::Success)
}

/// Writes the page of a command, and those of its subcommands. Returns how many.
fn write(folder: &Path, command: &Command) -> anyhow::Result<usize> {
    let mut count = 1;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        count += write(folder, subcommand)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("lotmq ", env!("CARGO_PKG_VERSION")));
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(count)
}
