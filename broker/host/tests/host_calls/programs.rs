//! Programs of host calls, made by chance: mostly what a guest could mean, with something wrong in
//! it now and then.

use lotmq_disk::Random;

use crate::interpreter::{Argument, HostFunction, Interpreter, NO_TEXTS, Step, TEXTS};
use crate::meanings::Meaning;

/// Steps of a program.
const STEPS_MAX: usize = 40;

/// Numbers that are the edge of something.
const EDGES: [u32; 12] =
    [0, 1, 2, 3, 0x7f, 0xff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/// Texts that lead somewhere, by the interface: every other one is of these.
const KNOWN_TEXTS: [(&str, &[&[u8]]); 6] = [
    ("net@", &[b"echo", b"listen"]),
    ("files@", &[b"folder", b"folder", b"callee"]),
    ("http@", &[b"echo", b"/"]),
    ("http-server@", &[b"serve"]),
    ("serial@", &[b"echo", b"echo", b"DENIED"]),
    ("topic-store@", &[b"open/a", b"open/b"]),
];

/// Makes programs for the guest of a world.
pub(crate) struct Programs<'a> {
    guest: &'a Interpreter,
    pub(crate) random: Random,
    /// How many of a hundred arguments are what no bindings would pass.
    hostile_percent: u32,
    /// Resource of the handle that the program has asked for last and not dropped.
    held: Option<&'a str>,
}

impl<'a> Programs<'a> {
    pub(crate) fn new(guest: &'a Interpreter, random: Random) -> Self {
        Self { guest, random, hostile_percent: 0, held: None }
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut program = Vec::new();
        self.held = None;
        self.hostile_percent = [0, 0, 1, 5, 50][self.random.below(5)];
        for _ in 0..=self.random.below(STEPS_MAX) {
            self.step(&mut program);
        }
        if self.is_hostile() && !program.is_empty() {
            for _ in 0..self.random.below(4) {
                let at = self.random.below(program.len());
                program[at] = self.any_byte();
            }
        }
        program
    }

    fn step(&mut self, program: &mut Vec<u8>) {
        match self.random.below(200) {
            0..150 => self.call(program),
            150..176 => {
                program.push(self.guest.step(Step::Poke));
                self.word(program, u32::try_from(self.random.clone().below(2048)).unwrap_or_default());
                self.argument(program);
            }
            176..188 => {
                let step = if self.random.is_one_of(1, 2) { Step::Load } else { Step::Keep };
                program.extend([self.guest.step(step), self.any_byte()]);
                if matches!(step, Step::Load) {
                    program.push(self.small());
                }
            }
            188..192 => program.extend([self.guest.step(Step::Grow), Argument::Byte as u8, self.small() % 2]),
            192..197 if self.is_hostile() => program.extend([self.guest.step(Step::Allocate), self.small()]),
            197..199 if self.is_hostile() => {
                program.push(self.guest.step(Step::Answer));
                self.argument(program);
            }
            199 if self.is_hostile() => program.push(self.guest.step(Step::Trap)),
            _ => {}
        }
    }

    fn call(&mut self, program: &mut Vec<u8>) {
        let functions = &self.guest.functions;
        let mut number = self.random.below(functions.len());
        let wanted = resource(&functions[number]);
        let needs_handle = functions[number].meanings.contains(&Meaning::Handle);
        if needs_handle && (self.held.is_none() || self.held != wanted) && !self.is_hostile() {
            let makes_it = |it: &HostFunction| is_maker(it) && resource(it) == wanted;
            let maker = functions.iter().position(makes_it);
            let maker = maker.or_else(|| functions.iter().position(is_maker));
            number = maker.expect("handles come from somewhere");
        }
        let function = &functions[number];
        if is_maker(function) {
            self.held = resource(function);
        } else if function.name.starts_with("[resource-drop]") {
            self.held = None;
        }
        program.push(u8::try_from(number).expect("fewer than 249"));
        let is_by_meaning = !self.is_hostile();
        let mut left = function.parameters.len();
        for meaning in function.meanings.iter().filter(|_| is_by_meaning) {
            left = left.saturating_sub(self.parameter(program, *meaning, &function.module));
        }
        (0..left).for_each(|_| self.argument(program));
        // The result may be a handle.
        if is_maker(function) && self.random.is_one_of(9, 10) {
            program.extend([self.guest.step(Step::Load), self.small() % 2 * 4, RESULT_PLACE]);
        }
    }

    /// Says a parameter by its meaning, or something else in its place. How many numbers it was.
    fn parameter(&mut self, program: &mut Vec<u8>, meaning: Meaning, interface: &str) -> usize {
        let pair = matches!(meaning, Meaning::Text | Meaning::List);
        if self.is_hostile() {
            (0..=usize::from(pair)).for_each(|_| self.argument(program));
            return 1 + usize::from(pair);
        }
        match meaning {
            Meaning::Number => program.extend([Argument::Byte as u8, self.small()]),
            Meaning::Case(count) => program.extend([Argument::Byte as u8, self.small() % count.max(1)]),
            Meaning::Handle => program.extend([Argument::Kept as u8, self.small() % 2 * 4]),
            Meaning::Memory => program.extend([Argument::Result as u8, RESULT_PLACE]),
            Meaning::List => {
                program.extend([Argument::Structure as u8, 0, Argument::Byte as u8, self.small() % 3]);
            }
            Meaning::Text => {
                let text = u8::try_from(self.text(interface)).expect("32 texts at most");
                program.extend([Argument::Text as u8, text, Argument::Length as u8, text]);
            }
        }
        1 + usize::from(pair)
    }

    /// A text by its place, of which many lead somewhere.
    fn text(&mut self, interface: &str) -> usize {
        let known = KNOWN_TEXTS.iter().find(|(name, _)| interface.contains(name));
        if let Some((_, known)) = known.filter(|_| self.random.is_one_of(1, 2)) {
            let text = known[self.random.below(known.len())];
            return TEXTS.iter().position(|it| *it == text).expect("what is known is a text");
        }
        NO_TEXTS + self.random.below(TEXTS.len() - NO_TEXTS)
    }

    fn is_hostile(&mut self) -> bool {
        self.random.is_one_of(self.hostile_percent, 100)
    }

    fn argument(&mut self, program: &mut Vec<u8>) {
        if !self.is_hostile() {
            program.extend([Argument::Byte as u8, self.small() % 2]);
            return;
        }
        match self.random.below(8) {
            0..3 => program.extend([Argument::Byte as u8, self.small()]),
            3 => {
                let edge = EDGES[self.random.below(EDGES.len())];
                self.word(program, edge);
            }
            4 => {
                let word = self.random.next_u64() as u32;
                self.word(program, word);
            }
            5 => program.extend([Argument::Result as u8, self.any_byte()]),
            6 => program.extend([Argument::Structure as u8, self.any_byte()]),
            _ => program.extend([Argument::End as u8, self.small()]),
        }
    }

    fn word(&mut self, program: &mut Vec<u8>, word: u32) {
        program.push(Argument::Word as u8);
        program.extend(word.to_le_bytes());
    }

    fn any_byte(&mut self) -> u8 {
        u8::try_from(self.random.below(256)).expect("below 256")
    }

    fn small(&mut self) -> u8 {
        u8::try_from(self.random.below(8)).expect("below 8")
    }
}

/// Place of results that are to be found again.
const RESULT_PLACE: u8 = 1;

/// Whether a function gives a handle where it succeeds.
fn is_maker(function: &HostFunction) -> bool {
    ["[static]", "[constructor]"].iter().any(|kind| function.name.starts_with(kind))
        || ["connect", "bind", "accept", "subscribe", "open"].iter().any(|word| function.name.contains(word))
}

/// The resource whose function it is.
fn resource(function: &HostFunction) -> Option<&str> {
    function.name.split_once(']')?.1.split('.').next()
}
