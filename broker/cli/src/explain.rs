//! `lotmq explain`: what a diagnostic code means.

use clap::Args;
use lot_to_wasm::Code;

use crate::exit::{Exit, Misuse};
use crate::output;

/// Explain a diagnostic code of LoT, as LOT302.
///
/// Exit codes: 0 explained, 2 there is no such code.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The code, with or without LOT; without one all codes are listed
    code: Option<String>,
}

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let Some(wanted) = &args.code else {
        for code in Code::all() {
            output::line(&format!("{code}  {}", code.title()))?;
        }
        return Ok(Exit::Success);
    };
    let code = Code::parse(&wanted.to_ascii_uppercase())
        .ok_or_else(|| Misuse(format!("`{wanted}` is no code of LoT; `lotmq explain` lists them all")))?;
    output::line(&format!("{code}: {}\n\n{}", code.title(), code.explanation()))?;
    Ok(Exit::Success)
}
