//! `lotmq passwd`: a new password for a user of a broker that is stopped.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use lotmq_connect::password_of;
use lotmq_server::change_password;
use lotmq_terminal::{Exit, Misuse, output};
use zeroize::Zeroizing;

use crate::config_show::PlaceArgs;
use crate::context::read_hidden;

/// Give a user of a stopped broker a new password.
///
/// As in: sudo -u lotmq lotmq passwd root, or from a file: lotmq passwd ann --password-file ann.txt
/// --data ./data. It helps when the password of root is lost: everybody who may write to the data
/// directory may do this, so run it as the user whose broker it is. It asks for the password twice
/// on the terminal; it never stands on the command line. Clients of the user cannot log in with the
/// old one any more. While the broker runs, lotmq cmd -changeUserPassword does the same.
///
/// Exit codes: 0 done, 1 it failed and nothing has changed, 2 wrong usage.
#[derive(Args, Debug)]
pub(crate) struct PasswdArgs {
    /// The user
    #[arg(default_value = "root")]
    user: String,
    /// Read the password from the first line of this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

pub(crate) fn passwd(args: &PasswdArgs) -> anyhow::Result<Exit> {
    let config = args.place.load(Vec::new())?;
    let password = args.password()?;
    change_password(&config, &args.user, &password)?;
    output::tell(&format!("The password of {} in {} is changed.", args.user, config.data.path.display()))?;
    Ok(Exit::Success)
}

impl PasswdArgs {
    fn password(&self) -> anyhow::Result<Zeroizing<String>> {
        let password = match &self.password_file {
            Some(file) => Zeroizing::new(password_of(file)?),
            None if std::io::stdin().is_terminal() => self.asked()?,
            None => {
                let told = "there is no terminal to ask for the password; give it with --password-file FILE, or - for standard input";
                return Err(Misuse(told.to_owned()).into());
            }
        };
        if password.is_empty() {
            bail!("the password is empty; nothing was changed");
        }
        Ok(password)
    }

    fn asked(&self) -> anyhow::Result<Zeroizing<String>> {
        let read = |question: &str| -> anyhow::Result<Zeroizing<String>> {
            let line = Zeroizing::new(read_hidden(question)?);
            Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
        };
        let password = read(&format!("new password of {}: ", self.user))?;
        if *read("once more: ")? != *password {
            bail!("the two are not the same; nothing was changed");
        }
        Ok(password)
    }
}
