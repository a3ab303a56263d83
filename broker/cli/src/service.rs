//! `lotmq service`: the files by which systemd runs the broker, as packages have them.

use clap::{Args, ValueEnum};
use lotmq_terminal::{Exit, output};

/// Print the files by which systemd runs the broker, those of the packages: for a machine where the
/// binary came without one.
///
/// As in: lotmq service > /etc/systemd/system/lotmq.service, then lotmq service sysusers >
/// /etc/sysusers.d/lotmq.conf && systemd-sysusers, and systemctl enable --now lotmq. The unit
/// starts /usr/bin/lotmq.
///
/// Exit codes: 0 printed, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct ServiceArgs {
    /// File to print
    #[arg(value_enum, default_value = "unit")]
    file: ServiceFile,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ServiceFile {
    /// The unit, /etc/systemd/system/lotmq.service
    Unit,
    /// The account, /etc/sysusers.d/lotmq.conf
    Sysusers,
    /// The configuration with nothing set, /etc/lotmq/lotmq.toml
    Config,
}

pub(crate) fn service(args: &ServiceArgs) -> anyhow::Result<Exit> {
    let text = match args.file {
        ServiceFile::Unit => include_str!("../../../packaging/lotmq.service"),
        ServiceFile::Sysusers => include_str!("../../../packaging/lotmq.sysusers"),
        ServiceFile::Config => include_str!("../../../packaging/lotmq.toml"),
    };
    output::line(text.trim_end())?;
    Ok(Exit::Success)
}
