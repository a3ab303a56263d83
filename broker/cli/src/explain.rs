//! `lotmq explain`: what a code means.

use clap::Args;
use lot_to_wasm::Code;
use lotmq_server::codes;
use lotmq_terminal::{Exit, Misuse, output};

/// Explain a code, as LOT302 of the compiler, or HOP_LIMIT of an Error topic or a reply.
///
/// Exit codes: 0 explained, 2 there is no such code.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The code, in any case of letters, with or without LOT; without one all codes are listed
    code: Option<String>,
}

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let Some(wanted) = &args.code else {
        for code in Code::all() {
            output::line(&format!("{code}  {}", code.title()))?;
        }
        for code in codes::all() {
            output::line(&format!("{}  {}", code.name, code.title))?;
        }
        return Ok(Exit::Success);
    };
    let of_compiler = Code::parse(&wanted.to_ascii_uppercase())
        .map(|code| (code.to_string(), code.title(), code.explanation()));
    let of_broker = || codes::find(wanted).map(|code| (code.name.to_owned(), code.title, code.explanation));
    let (name, title, explanation) = of_compiler.or_else(of_broker).ok_or_else(|| unknown(wanted))?;
    output::line(&format!("{name}: {title}\n\n{explanation}"))?;
    Ok(Exit::Success)
}

fn unknown(wanted: &str) -> Misuse {
    let help = match codes::similar(wanted) {
        Some(near) => format!("did you mean {near}?"),
        None => "`lotmq explain` lists them all".to_owned(),
    };
    Misuse(format!("there is no code `{wanted}`; {help}"))
}
