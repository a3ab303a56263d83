//! `lotmq explain`: what a code means.

use clap::Args;
use lot_to_wasm::diagnostic::{example, render};
use lot_to_wasm::{Code, CompileOptions};
use lotmq_codec::{PacketType, ReasonCode};
use lotmq_terminal::{Exit, Misuse, Paint, output};

use crate::coloured::coloured;
use crate::pasteable::pasteable;

/// Explain a code, as LOT302 of the compiler, HOP_LIMIT of an Error topic or a reply, or 0x87 (or
/// 135) of MQTT.
///
/// As in: lotmq explain LOT302, or: lotmq explain HOP_LIMIT.
///
/// Exit codes: 0 explained, 2 there is no such code.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The code, in any case of letters, with or without LOT; of MQTT in hexadecimal with 0x, or
    /// decimal; without one all codes but those of MQTT are listed
    code: Option<String>,
}

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let Some(wanted) = &args.code else {
        for code in Code::all() {
            output::line(&format!("{code}  {}", code.title()))?;
        }
        for code in lotmq_codes::all() {
            output::line(&format!("{}  {}", code.name, code.title))?;
        }
        return Ok(Exit::Success);
    };
    let of_compiler = Code::parse(&wanted.to_ascii_uppercase())
        .map(|code| (code.to_string(), code.title(), code.explanation()));
    if let Some(reason) = reason_code(wanted).filter(|_| of_compiler.is_none()) {
        output::line(&describe_reason(reason))?;
        return Ok(Exit::Success);
    }
    let of_broker =
        || lotmq_codes::find(wanted).map(|code| (code.name.to_owned(), code.title, code.explanation));
    let (name, title, explanation) = of_compiler.or_else(of_broker).ok_or_else(|| unknown(wanted))?;
    output::line(&format!("{name}: {title}\n\n{}", pasteable(explanation)))?;
    if let Some(told) = Code::parse(&name).and_then(render_example) {
        let told = coloured(&pasteable(told.trim_end()), Paint::of_stdout());
        output::painted_line(&format!("\nFor instance:\n\n{told}"))?;
    }
    Ok(Exit::Success)
}

/// The reason code of MQTT with this number, written `0x87` or `135`.
fn reason_code(text: &str) -> Option<ReasonCode> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u8::from_str_radix(digits, 16).ok()?,
        None => text.parse().ok()?,
    };
    ReasonCode::from_byte(number)
}

/// A reason code with what it means, and what to look at.
fn describe_reason(reason: ReasonCode) -> String {
    let packets: Vec<&str> =
        ANSWERS.iter().filter(|(packet, _)| reason.allowed_in(*packet)).map(|(_, name)| *name).collect();
    let byte = reason.byte();
    let mut text = format!(
        "0x{byte:02X} ({byte}): {}\n\nA reason code of MQTT 5.0, in {}.",
        reason.text(),
        packets.join(", ")
    );
    if let Some(code) = reason.connect_return_code() {
        text.push_str(&format!(" MQTT 3.1.1 says {code} for it in CONNACK."));
    }
    let hint = HINTS.iter().find(|(of, _)| *of == reason).map(|(_, hint)| *hint);
    hint.map_or(text.clone(), |hint| format!("{text} {hint}"))
}

/// Packets that carry reason codes, as the standard writes them.
const ANSWERS: [(PacketType, &str); 9] = [
    (PacketType::Connack, "CONNACK"),
    (PacketType::Puback, "PUBACK"),
    (PacketType::Pubrec, "PUBREC"),
    (PacketType::Pubrel, "PUBREL"),
    (PacketType::Pubcomp, "PUBCOMP"),
    (PacketType::Suback, "SUBACK"),
    (PacketType::Unsuback, "UNSUBACK"),
    (PacketType::Disconnect, "DISCONNECT"),
    (PacketType::Auth, "AUTH"),
];

/// Hints for reason codes of a broker.
const HINTS: [(ReasonCode, &str); 9] = [
    (
        ReasonCode::BadUserNameOrPassword,
        "The login was refused: look at user name and password; `lotmq cmd -addUser` makes a user.",
    ),
    (
        ReasonCode::NotAuthorized,
        "A rule denied it: `lotmq watch` shows which, and `lotmq cmd -auditQuery \"$(date -u +%F)|denial\"` lists those of today.",
    ),
    (
        ReasonCode::ClientIdentifierNotValid,
        "The Client Identifier is empty without a clean session, or another one is asked for.",
    ),
    (
        ReasonCode::SessionTakenOver,
        "Another client has connected with the same Client Identifier: each needs its own.",
    ),
    (ReasonCode::KeepAliveTimeout, "The client has sent nothing for 1.5 times its Keep Alive."),
    (ReasonCode::PacketTooLarge, "The packet is longer than what was announced in Maximum Packet Size."),
    (
        ReasonCode::ReceiveMaximumExceeded,
        "More messages of QoS 1 and 2 were under way than Receive Maximum allows.",
    ),
    (ReasonCode::QuotaExceeded, "A limit of the broker is reached: `lotmq status` shows which are near."),
    (ReasonCode::TopicFilterInvalid, "+ and # are whole levels, and # is the last one."),
];

/// How the compiler tells a code of a program that has the mistake.
fn render_example(code: Code) -> Option<String> {
    let compilation = lot_to_wasm::compile(example(code)?, &CompileOptions::default());
    let found = compilation.all_diagnostics().into_iter().find(|found| found.code == code)?;
    Some(render::to_text("example.lot", &found))
}

fn unknown(wanted: &str) -> Misuse {
    let help = match &*near(&wanted.to_ascii_uppercase()) {
        [] => "`lotmq explain` lists them all".to_owned(),
        [one] => format!("did you mean {one}?"),
        [more @ .., last] => format!("did you mean {} or {last}?", more.join(", ")),
    };
    Misuse(format!("there is no code `{wanted}`; {help}"))
}

/// Codes that may be meant by what is none: of a number those of the compiler around it, of a name
/// the nearest one and those that it is a part of.
fn near(wanted: &str) -> Vec<String> {
    const NEAR_MAX: usize = 4;
    let number: String =
        wanted.strip_prefix("LOT").unwrap_or(wanted).chars().filter(|it| *it != '-' && *it != ' ').collect();
    if let Some(code) = Code::parse(&number) {
        return vec![code.to_string()];
    }
    if let Ok(number) = number.parse::<u16>() {
        let number_of =
            |code: &Code| code.to_string().trim_start_matches("LOT").parse::<u16>().unwrap_or_default();
        // A number with one digit less stands for all codes that begin with it.
        let is_near = |code: &Code| number_of(code) / 10 == number || number_of(code) / 100 == number / 100;
        let mut near: Vec<Code> = Code::all().filter(is_near).collect();
        near.sort_by_key(|code| number_of(code).abs_diff(number));
        near.truncate(NEAR_MAX);
        return near.iter().map(ToString::to_string).collect();
    }
    let with_it =
        lotmq_codes::all().map(|code| code.name).filter(|name| wanted.len() > 3 && name.contains(wanted));
    let mut near: Vec<&str> = lotmq_codes::similar(wanted).into_iter().collect();
    for name in with_it {
        if !near.contains(&name) {
            near.push(name);
        }
    }
    near.iter().take(NEAR_MAX).map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_meant_are_offered() {
        for (wanted, told) in [
            ("LOT612x", "`lotmq explain` lists them all"),
            ("lot-611", "did you mean LOT611?"),
            ("LOT 611", "did you mean LOT611?"),
            ("LOT699", "did you mean LOT624, LOT623, LOT622 or LOT621?"),
            ("LOT999", "`lotmq explain` lists them all"),
            ("MAILBOX_FUL", "did you mean MAILBOX_FULL?"),
            ("denied", "did you mean RULE_DENIED, TRIGGER_DENIED or PERMISSION_DENIED?"),
        ] {
            assert!(unknown(wanted).to_string().ends_with(told), "{wanted}: {}", unknown(wanted));
        }
    }

    #[test]
    fn reason_codes_are_explained_for_hexadecimal_and_decimal_numbers() {
        for text in ["0x87", "0X87", "135"] {
            let reason = reason_code(text).expect("a reason code");
            assert!(describe_reason(reason).starts_with("0x87 (135): not authorized\n"), "{text}");
        }
        assert!(describe_reason(ReasonCode::NotAuthorized).contains("MQTT 3.1.1 says 5 for it in CONNACK"));
        for text in ["0x05", "300", "0xzz", "LOT302", "302"] {
            assert_eq!(reason_code(text), None, "{text}");
        }
    }
}
