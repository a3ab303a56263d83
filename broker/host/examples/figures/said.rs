//! Programs of host calls that somebody wrote: a few calls first, then the same ones again and
//! again.

use crate::interpreter::{Argument, Interpreter, Step, TEXTS};

/// Place of results, in units of 8 bytes.
const RESULT_PLACE: u8 = 1;

/// An argument of a call, or what is written into memory.
#[derive(Clone, Copy)]
pub(crate) enum Said {
    Number(u32),
    /// One of [`TEXTS`]: its address and its length.
    Text(&'static str),
    /// A list at the beginning of the structures, of so many elements.
    List(u32),
    /// Address of the structures.
    Structure,
    /// Address of the result.
    Result,
    /// The handle that was kept last.
    Handle,
}

/// Step of a program.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// Calls a function of an interface.
    Call(&'static str, &'static str, &'static [Said]),
    /// Keeps the handle that the last call has given.
    Keep,
    /// Writes to so many bytes behind the beginning of the structures.
    Write(u16, Said),
}

/// Expected answer of the last call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// `ok`, or a value that is no result.
    Ok,
    /// `would-block`, the case of so many before it: nothing is there.
    Nothing(u8),
    /// Something whose first byte says nothing.
    Any,
}

/// A call of the host, with what it needs.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) before: &'static [Does],
    pub(crate) again: &'static [Does],
    pub(crate) after: &'static [Does],
    pub(crate) answers: Answers,
    /// Whether other threads of the broker do a part of it.
    pub(crate) has_threads: bool,
}

impl Case {
    /// The program with the calls so many times.
    pub(crate) fn program(&self, guest: &Interpreter, times: u32) -> Vec<u8> {
        let mut program = Vec::new();
        self.before.iter().for_each(|does| write(&mut program, guest, *does));
        (0..times).for_each(|_| self.again.iter().for_each(|does| write(&mut program, guest, *does)));
        self.after.iter().for_each(|does| write(&mut program, guest, *does));
        program
    }

    /// Whether each of the calls begins with opening something.
    pub(crate) fn opens(&self) -> bool {
        matches!(self.again.first(), Some(Does::Call(_, name, _)) if name.starts_with("[static]"))
    }

    /// Host calls of that program.
    pub(crate) fn calls(&self, times: u32) -> u32 {
        let count = |all: &[Does]| {
            let calls = all.iter().filter(|does| matches!(does, Does::Call(..))).count();
            u32::try_from(calls).expect("a few")
        };
        count(self.before) + times * count(self.again) + count(self.after)
    }

    /// The program once, which answers with the first bytes of what the first of the calls has
    /// given.
    pub(crate) fn proof(&self, guest: &Interpreter) -> Vec<u8> {
        let mut program = Vec::new();
        self.before.iter().for_each(|does| write(&mut program, guest, *does));
        for does in self.again {
            write(&mut program, guest, *does);
            if matches!(does, Does::Call(..)) {
                break;
            }
        }
        // An `ok` with a list of 8 bytes, which are the result.
        for (at, said) in [(1024, Said::Number(0)), (1028, Said::Result), (1032, Said::Number(8))] {
            write(&mut program, guest, Does::Write(at, said));
        }
        program.extend([guest.step(Step::Answer), Argument::Structure as u8, 128]);
        program
    }

    /// Whether those bytes are what was expected.
    pub(crate) fn is_proved_by(&self, result: &[u8]) -> bool {
        match self.answers {
            Answers::Ok => result.first() == Some(&0),
            Answers::Nothing(case) => result.first() == Some(&1) && result.get(4) == Some(&case),
            Answers::Any => !result.is_empty(),
        }
    }
}

fn write(program: &mut Vec<u8>, guest: &Interpreter, does: Does) {
    match does {
        Does::Call(interface, name, arguments) => {
            let is_it = |module: &str| module.contains(&format!("/{interface}@"));
            let place = guest.functions.iter().position(|it| it.name == name && is_it(&it.module));
            let place = place.unwrap_or_else(|| panic!("{interface} has {name}"));
            program.push(u8::try_from(place).expect("a world has fewer than 249 functions"));
            arguments.iter().for_each(|said| say(program, *said));
        }
        Does::Keep => program.extend([guest.step(Step::Load), 0, RESULT_PLACE]),
        Does::Write(at, said) => {
            program.push(guest.step(Step::Poke));
            say(program, Said::Number(u32::from(at)));
            match said {
                // Two numbers in a row, so two steps.
                Said::Text(text) => {
                    program.extend([Argument::Text as u8, place_of(text), guest.step(Step::Poke)]);
                    say(program, Said::Number(u32::from(at) + 4));
                    program.extend([Argument::Length as u8, place_of(text)]);
                }
                Said::Number(_) | Said::List(_) | Said::Structure | Said::Result | Said::Handle => {
                    say(program, said)
                }
            }
        }
    }
}

fn say(program: &mut Vec<u8>, said: Said) {
    match said {
        Said::Number(number) => {
            program.push(Argument::Word as u8);
            program.extend(number.to_le_bytes());
        }
        Said::Text(text) => {
            let place = place_of(text);
            program.extend([Argument::Text as u8, place, Argument::Length as u8, place]);
        }
        Said::List(count) => {
            program.extend([Argument::Structure as u8, 0]);
            say(program, Said::Number(count));
        }
        Said::Structure => program.extend([Argument::Structure as u8, 0]),
        Said::Result => program.extend([Argument::Result as u8, RESULT_PLACE]),
        Said::Handle => program.extend([Argument::Kept as u8, 0]),
    }
}

fn place_of(text: &str) -> u8 {
    let place = TEXTS.iter().position(|it| *it == text.as_bytes()).expect("the guest has this text");
    u8::try_from(place).expect("32 texts at most")
}
