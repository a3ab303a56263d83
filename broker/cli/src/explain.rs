//! `lotmq explain`: what a code means.

use clap::Args;
use lot_to_wasm::diagnostic::{example, render};
use lot_to_wasm::{Code, CompileOptions};
use lotmq_server::codes;
use lotmq_terminal::{Exit, Misuse, Paint, output};

use crate::coloured::coloured;

/// Explain a code, as LOT302 of the compiler, or HOP_LIMIT of an Error topic or a reply.
///
/// As in: lotmq explain LOT302, or: lotmq explain HOP_LIMIT.
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
    if let Some(told) = Code::parse(&name).and_then(told) {
        let told = coloured(told.trim_end(), Paint::of_stdout());
        output::line(&format!("\nFor instance:\n\n{told}"))?;
    }
    Ok(Exit::Success)
}

/// How the compiler tells a code of a program that has the mistake.
fn told(code: Code) -> Option<String> {
    let compilation = lot_to_wasm::compile(example(code)?, &CompileOptions::default());
    let found = compilation.all_diagnostics().into_iter().find(|found| found.code == code)?;
    Some(render::to_text("example.lot", &found))
}

fn unknown(wanted: &str) -> Misuse {
    let help = match codes::similar(wanted) {
        Some(near) => format!("did you mean {near}?"),
        None => "`lotmq explain` lists them all".to_owned(),
    };
    Misuse(format!("there is no code `{wanted}`; {help}"))
}
