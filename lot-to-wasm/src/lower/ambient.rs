//! Expressions about the surroundings of a run: the clock, random numbers, the client that
//! connected or subscribed, properties of the message.

use wasm_encoder::{Instruction, ValType};

use super::code::{Callee, Local, memory};
use super::constants::ANSWER;
use super::entry::Generator;
use super::expression::CELL_NUMBER;
use super::host::Host;
use super::rule::question;
use super::runtime::Runtime;
use crate::check::tree::{
    Constant, DatePart, Entry, Expression, ExpressionKind, LocalTimestampFormat, MessageProperty,
    PublisherWord, SessionWord, ShownTimeFormat, TimestampFormat,
};

/// First byte of the cell of a time, `guests/lot-runtime/src/cell.rs`.
const CELL_TAG_TIME: i32 = 8;

impl Generator<'_> {
    pub(super) fn timestamp(&mut self, format: &TimestampFormat) {
        self.code.call(Callee::Host(Host::NowMs));
        let pattern = match format {
            TimestampFormat::UnixMs => return,
            TimestampFormat::Unix => {
                self.code.i64(1000);
                // The broker's clock is not before 1970, so truncation is the floor.
                self.code.push(Instruction::I64DivS);
                return;
            }
            TimestampFormat::Iso
            | TimestampFormat::Utc
            | TimestampFormat::Part(_)
            | TimestampFormat::Pattern(_) => utc_pattern(format),
        };
        self.push_text(pattern);
        self.runtime(Runtime::Timestamp);
    }

    pub(super) fn local_timestamp(&mut self, format: &LocalTimestampFormat) {
        let now = self.code.local(ValType::I64);
        self.code.call(Callee::Host(Host::NowMs));
        self.code.set(now);
        self.show_local(now, format);
    }

    /// Pushes the text of a computed time. A value that is no time, Null or Empty, is pushed
    /// unchanged.
    pub(super) fn timestamp_of(&mut self, format: &ShownTimeFormat, instant: &Expression) {
        let cell = self.code.local(ValType::I32);
        self.cell(instant);
        self.code.tee(cell);
        self.code.push(Instruction::I32Load8U(memory(0, 0)));
        self.code.i32(CELL_TAG_TIME);
        self.code.push(Instruction::I32Eq);
        self.code.open_if_value(ValType::I32);
        self.code.get(cell);
        self.code.push(Instruction::I64Load(memory(CELL_NUMBER, 3)));
        match format {
            ShownTimeFormat::Utc(format) => {
                self.push_text(utc_pattern(format));
                self.runtime(Runtime::Timestamp);
            }
            ShownTimeFormat::Local(format) => {
                let ms = self.code.local(ValType::I64);
                self.code.set(ms);
                self.show_local(ms, format);
            }
        }
        self.code.or_else();
        self.code.get(cell);
        self.code.end();
        self.code.release(cell);
    }

    /// Pushes the text of the instant in a local, on the clocks of the broker's time zone. Releases
    /// the local.
    fn show_local(&mut self, ms: Local, format: &LocalTimestampFormat) {
        let pattern = match format {
            LocalTimestampFormat::Iso => "ISO",
            LocalTimestampFormat::Part(part) => date_part(*part),
            LocalTimestampFormat::Pattern(pattern) => pattern,
        };
        self.code.get(ms);
        self.code.get(ms);
        self.code.release(ms);
        self.code.call(Callee::Host(Host::UtcOffsetSeconds));
        self.push_text(pattern);
        self.runtime(Runtime::LocalTimestamp);
    }

    pub(super) fn random_bits(&mut self) {
        self.code.call(Callee::Host(Host::Random));
    }

    pub(super) fn random(&mut self, shape: Runtime, low: &Expression, high: &Expression) {
        self.random_bits();
        self.cell(low);
        self.cell(high);
        self.runtime(shape);
    }

    /// Pushes whether the user that asks a Rule is in a group.
    pub(super) fn in_group(&mut self, name: &str) {
        self.push_text(name);
        self.code.call(Callee::Host(Host::InGroup));
    }

    /// A word about the client. The parameters of `on-event` are the case, then the flattened
    /// `client`: id, option of the user, endpoint, clean start; then the reason, or filter and QoS.
    /// Those of a question to a Rule: see [`super::rule`]. Names are names: a user `1e1` is not the
    /// level `10`.
    pub(super) fn session(&mut self, word: SessionWord) {
        let (client_id, user, endpoint) = match self.action.entry {
            Entry::Asked => (question::CLIENT_ID, question::USER, question::ENDPOINT),
            Entry::Triggered(_) | Entry::Callable { .. } => (1, 3, 6),
        };
        let mut text = |address: u32| {
            self.code.parameter(address);
            self.code.parameter(address + 1);
            self.runtime(Runtime::Literal);
        };
        match word {
            SessionWord::ClientId => text(client_id),
            SessionWord::Endpoint => text(endpoint),
            SessionWord::DisconnectReason | SessionWord::SubscribeTopic => text(9),
            SessionWord::CleanSession => self.code.parameter(8),
            SessionWord::SubscribeQos => {
                self.code.parameter(11);
                self.code.push(Instruction::I64ExtendI32U);
            }
            SessionWord::User => {
                self.code.parameter(user);
                self.code.open_if_value(ValType::I32);
                self.code.parameter(user + 1);
                self.code.parameter(user + 2);
                self.runtime(Runtime::Literal);
                self.code.or_else();
                self.push_constant(&Constant::Empty);
                self.code.end();
            }
        }
    }

    /// Pushes the cell of a word about the publisher of the message, Empty without one. Behind the
    /// payload stand QoS, RETAIN and the Client Identifier.
    pub(super) fn publisher(&mut self, word: PublisherWord) {
        let Some(message) = self.message else { return self.push_constant(&Constant::Empty) };
        match word {
            PublisherWord::User => {
                self.push_constant_address(ANSWER);
                self.code.call(Callee::Host(Host::GetUser));
                self.answer_cell(Runtime::Literal);
            }
            PublisherWord::ClientId => {
                let client_id = message.payload + 4;
                self.code.parameter(client_id + 1);
                self.code.open_if_value(ValType::I32);
                self.code.parameter(client_id);
                self.code.parameter(client_id + 1);
                self.runtime(Runtime::Literal);
                self.code.or_else();
                self.push_constant(&Constant::Empty);
                self.code.end();
            }
        }
    }

    /// Pushes the cell of a property of the message, Empty where it has none.
    pub(super) fn message_property(&mut self, property: MessageProperty) {
        let (function, make) = match property {
            MessageProperty::ResponseTopic => (Host::GetResponseTopic, Runtime::Data),
            MessageProperty::ContentType => (Host::GetContentType, Runtime::Data),
            MessageProperty::CorrelationData => (Host::GetCorrelationData, Runtime::Raw),
            MessageProperty::MessageExpiry => (Host::GetExpirySeconds, Runtime::Int),
        };
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(function));
        self.answer_cell(make);
    }

    /// Pushes the cell of the first User Property with this name, or Empty.
    pub(super) fn message_user_property(&mut self, name: &Expression) {
        if let ExpressionKind::Constant(Constant::Text(name)) = &name.kind {
            self.push_text(name);
        } else {
            let pair = self.text_of(name);
            self.push_pair(pair);
            self.code.release(pair);
        }
        self.push_constant_address(ANSWER);
        self.code.call(Callee::Host(Host::GetUserProperty));
        self.answer_cell(Runtime::Data);
    }

    /// Pushes the cell that `make` makes of the option in the host's area, Empty for none.
    fn answer_cell(&mut self, make: Runtime) {
        self.push_answer_present();
        self.code.open_if_value(ValType::I32);
        if make == Runtime::Int {
            self.push_constant_address(ANSWER);
            self.code.push(Instruction::I64Load32U(memory(4, 2)));
        } else {
            self.push_answer_pair();
        }
        self.runtime(make);
        self.code.or_else();
        self.push_constant(&Constant::Empty);
        self.code.end();
    }

    /// Computes the text of a value: address and length in a local.
    pub(super) fn text_of(&mut self, value: &Expression) -> Local {
        let pair = self.code.local(ValType::I64);
        self.cell(value);
        self.runtime(Runtime::Text);
        self.code.set(pair);
        pair
    }
}

/// The pattern by which the runtime shows a time in UTC.
fn utc_pattern(format: &TimestampFormat) -> &str {
    match format {
        TimestampFormat::Iso => "ISO",
        TimestampFormat::Utc => "UTC",
        TimestampFormat::Unix => "UNIX",
        TimestampFormat::UnixMs => "UNIX-MS",
        TimestampFormat::Part(part) => date_part(*part),
        TimestampFormat::Pattern(pattern) => pattern,
    }
}

fn date_part(part: DatePart) -> &'static str {
    match part {
        DatePart::Year => "YEAR",
        DatePart::Month => "MONTH",
        DatePart::Day => "DAY",
        DatePart::Hour => "HOUR",
        DatePart::Minute => "MINUTE",
        DatePart::Second => "SECOND",
        DatePart::Weekday => "WEEKDAY",
    }
}
