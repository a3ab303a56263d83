//! Exports for compiled programs. `lot-to-wasm/src/lower/runtime.rs` has the matching table of
//! names and types; a test there compares both.
//!
//! Cells are passed by address, text as address and length, and byte results as both in one 64-bit
//! number. A program's start function calls `reserve`, copies its constants and calls `relocate`
//! for their texts. Then it makes its patterns with `regex` and calls `seal`. Each run ends with
//! `reset`, which frees the memory of the run. The host can still read that memory until the next
//! allocation.

#![allow(unsafe_code, reason = "exports to compiled programs")]

use std::alloc::{Layout, alloc, realloc};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::cell::{Pair, Ref, bytes_at, pair, text_at};
use crate::pattern::{self, Pattern};
use crate::value::{Origin, Value};
use crate::{
    arithmetic, batch, cast, compare, function, growing, json, list, math, memory, model, pages, pending,
    random, text, timestamp, topic,
};

macro_rules! export {
    ($($name:literal $function:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {$(
        #[unsafe(export_name = $name)]
        extern "C" fn $function($($argument: $type),*) $(-> $result)? $body
    )*};
}

thread_local! {
    /// The program's patterns, in the order in which it made them.
    static PATTERNS: RefCell<Vec<Option<Pattern>>> = const { RefCell::new(Vec::new()) };
}

// The program's life.
export! {
    "cabi_realloc" canonical_realloc(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
        if new_size == 0 {
            return align as *mut u8;
        }
        // SAFETY: the canonical ABI passes valid alignments and blocks that it got here.
        unsafe {
            let address = if block.is_null() || size == 0 {
                alloc(Layout::from_size_align_unchecked(new_size, align))
            } else {
                realloc(block, Layout::from_size_align_unchecked(size, align), new_size)
            };
            if address.is_null() {
                pages::trap();
            }
            address
        }
    }
    "lot.reserve" reserve(size: u32) -> u32 {
        Box::leak(vec![0u64; size.div_ceil(8) as usize].into_boxed_slice()).as_ptr() as u32
    }
    "lot.relocate" relocate(cells: Ref, count: u32, base: u32) {
        cells.relocate(count, base);
    }
    "lot.regex" regex(address: u32, length: u32) {
        let pattern = Pattern::new(text_at(address, length));
        PATTERNS.with_borrow_mut(|patterns| patterns.push(pattern));
    }
    "lot.seal" seal() -> u32 {
        memory::begin_runs();
        pending::address() as u32
    }
    "lot.reset" reset() {
        json::forget();
        growing::forget();
        memory::end_run();
    }
    "lot.allocate" allocate(size: u32) -> u32 {
        // SAFETY: the size is not 0; 8 is an alignment.
        unsafe { alloc(Layout::from_size_align_unchecked(size.max(1) as usize, 8)) as u32 }
    }
}

// Batches, see `batch`. `next` returns the place of four numbers: address and length of topic and
// payload. `end` returns the place of the number of finished messages, and of address and length of
// the numbers and bytes of their effects.
export! {
    "lot.batch-begin" batch_begin(lengths: *const u32, count: u32, bytes: u32, size: u32) {
        // SAFETY: a `list<u32>` from the host.
        let lengths = unsafe { std::slice::from_raw_parts(lengths, count as usize) };
        batch::begin(lengths, bytes_at(bytes, size));
    }
    "lot.batch-next" batch_next() -> u32 {
        let Some((topic, payload)) = batch::next() else { return 0 };
        place([topic.as_ptr() as u32, topic.len() as u32, payload.as_ptr() as u32, payload.len() as u32, 0])
    }
    "lot.batch-write" batch_write(kind: u32, head: u32, head_length: u32, body: u32, body_length: u32, line: u32, column: u32) -> u32 {
        u32::from(batch::write(kind, bytes_at(head, head_length), bytes_at(body, body_length), (line, column)))
    }
    "lot.batch-end" batch_end() -> u32 {
        let (done, numbers, bytes) = batch::end();
        place([done, numbers.as_ptr() as u32, numbers.len() as u32, bytes.as_ptr() as u32, bytes.len() as u32])
    }
}

/// Puts numbers where the component reads them before it calls again.
fn place(numbers: [u32; 5]) -> u32 {
    static PLACE: [AtomicU32; 5] = [const { AtomicU32::new(0) }; 5];
    PLACE.iter().zip(numbers).for_each(|(place, number)| place.store(number, Relaxed));
    PLACE.as_ptr() as u32
}

// Making and reading values.
export! {
    "lot.raw" raw(address: u32, length: u32) -> Ref { Ref::raw(address, length) }
    "lot.data" data(address: u32, length: u32) -> Ref { Value::Text(text_at(address, length), Origin::Data).into() }
    "lot.literal" literal(address: u32, length: u32) -> Ref { Value::Text(text_at(address, length), Origin::Literal).into() }
    "lot.bytes" bytes(address: u32, length: u32) -> Ref { Value::Bytes(bytes_at(address, length)).into() }
    "lot.int" int(number: i64) -> Ref { Value::Int(number).into() }
    "lot.double" double(number: f64) -> Ref { Value::Double(number).into() }
    "lot.bool" boolean(truth: u32) -> Ref { Value::Bool(truth != 0).into() }
    "lot.adopt" adopt(cell: Ref) -> Ref { cell.adopt() }
    "lot.crossing" crossing(cell: Ref) -> Ref { cell.crossing() }
    "lot.payload" payload(cell: Ref) -> Pair { cell.payload() }
    "lot.text" text_of(cell: Ref) -> Pair { pair(cell.get().text().as_bytes()) }
    "lot.truth" truth(cell: Ref) -> u32 { u32::from(compare::truth(cell.get())) }
    "lot.is-empty" is_empty(cell: Ref) -> u32 { u32::from(cell.get().is_empty()) }
    "lot.int-of" int_of(cell: Ref) -> i64 { cast::int_of(cell.get()) }
    "lot.double-of" double_of(cell: Ref) -> f64 { cast::double_of(cell.get()) }
    "lot.bool-of" bool_of(cell: Ref) -> u32 { u32::from(cast::bool_of(cell.get())) }
    "lot.operand" operand(cell: Ref) -> f64 { arithmetic::operand(cell.get()).as_f64() }
}

// Operators and casts.
export! {
    "lot.add" add(a: Ref, b: Ref) -> Ref { arithmetic::add(a.get(), b.get()).into() }
    "lot.subtract" subtract(a: Ref, b: Ref) -> Ref { arithmetic::subtract(a.get(), b.get()).into() }
    "lot.multiply" multiply(a: Ref, b: Ref) -> Ref { arithmetic::multiply(a.get(), b.get()).into() }
    "lot.divide" divide(a: Ref, b: Ref) -> Ref { arithmetic::divide(a.get(), b.get()).into() }
    "lot.remainder" remainder(a: Ref, b: Ref) -> Ref { arithmetic::remainder(a.get(), b.get()).into() }
    "lot.negate" negate(a: Ref) -> Ref { arithmetic::negate(a.get()).into() }
    "lot.concat" concat(list: u32, count: u32) -> Ref {
        let values: Vec<Value> = Ref::list(list, count).map(Ref::get).collect();
        arithmetic::concat(&values).into()
    }
    "lot.concat2" concat2(a: Ref, b: Ref) -> Ref { arithmetic::concat(&[a.get(), b.get()]).into() }
    "lot.concat3" concat3(a: Ref, b: Ref, c: Ref) -> Ref { arithmetic::concat(&[a.get(), b.get(), c.get()]).into() }
    "lot.equals" equals(a: Ref, b: Ref) -> u32 { u32::from(compare::equals(a.get(), b.get())) }
    // -1, 0, 1; 2 when there is no order.
    "lot.order" order(a: Ref, b: Ref) -> i32 {
        match compare::order(a.get(), b.get()) {
            Some(Ordering::Less) => -1,
            Some(Ordering::Equal) => 0,
            Some(Ordering::Greater) => 1,
            None => 2,
        }
    }
    "lot.contains" contains(a: Ref, b: Ref) -> u32 { u32::from(compare::contains(a.get(), b.get())) }
    "lot.starts-with" starts_with(a: Ref, b: Ref) -> u32 { u32::from(compare::starts_with(a.get(), b.get())) }
    "lot.ends-with" ends_with(a: Ref, b: Ref) -> u32 { u32::from(compare::ends_with(a.get(), b.get())) }
    "lot.in" is_in(a: Ref, b: Ref) -> u32 { u32::from(compare::is_in(a.get(), b.get())) }
    "lot.to-int" to_int(a: Ref) -> Ref { cast::to_int(a.get()).into() }
    "lot.to-double" to_double(a: Ref) -> Ref { cast::to_double(a.get()).into() }
    "lot.to-bool" to_bool(a: Ref) -> Ref { cast::to_bool(a.get()).into() }
    "lot.to-string" to_string(a: Ref) -> Ref { cast::to_string(a.get()).into() }
    "lot.to-bytes" to_bytes(a: Ref) -> Ref { cast::to_bytes(a.get()).into() }
    "lot.to-timestamp" to_timestamp(a: Ref) -> Ref { cast::to_timestamp(a.get()).into() }
    "lot.to-json" to_json(a: Ref) -> Ref { cast::to_json(a.get()).into() }
    "lot.to-array" to_array(a: Ref) -> Ref { cast::to_array(a.get()).into() }
    "lot.to-object" to_object(a: Ref) -> Ref { cast::to_object(a.get()).into() }
}

// Topics and JSON.
export! {
    "lot.level" level(address: u32, length: u32, position: u32) -> Ref {
        topic::position(text_at(address, length), i64::from(position)).into()
    }
    "lot.level-at" level_at(address: u32, length: u32, position: Ref) -> Ref {
        topic::position(text_at(address, length), cast::int_of(position.get())).into()
    }
    "lot.rest" rest(address: u32, length: u32, from: u32, slash: u32) -> Ref {
        topic::rest(text_at(address, length), from, slash != 0).into()
    }
    "lot.first-match" first_match(filters: u32, filters_length: u32, address: u32, length: u32) -> u32 {
        topic::first_match(text_at(filters, filters_length), text_at(address, length)) as u32
    }
    "lot.json-get" json_get(source: Ref, path: u32, length: u32) -> Ref {
        json::get(source.get(), text_at(path, length)).into()
    }
    "lot.json-get-at" json_get_at(source: Ref, path: Ref) -> Ref { json::get(source.get(), path.get().text()).into() }
    "lot.json-fill" json_fill(skeleton: u32, length: u32, list: u32, count: u32) -> Ref {
        let values: Vec<Value> = Ref::list(list, count).map(Ref::get).collect();
        json::fill(text_at(skeleton, length), &values).into()
    }
}

// Transforms and functions.
export! {
    "lot.matches" matches(regex: u32, value: Ref) -> u32 {
        let text = value.get().text();
        u32::from(with_pattern(regex, |pattern| pattern.is_match(text)).unwrap_or(false))
    }
    "lot.filter" filter(regex: u32, value: Ref) -> Ref {
        let text = value.get().text();
        pattern::part(text, with_pattern(regex, |pattern| pattern.filter(text)).flatten()).into()
    }
    "lot.replace" replace(search: Ref, replacement: Ref, value: Ref) -> Ref {
        text::replace(search.get(), replacement.get(), value.get()).into()
    }
    "lot.trim" trim(value: Ref) -> Ref { text::trim(value.get()).into() }
    "lot.split" split(value: Ref, address: u32, length: u32) -> Ref {
        text::split(value.get(), Value::Text(text_at(address, length), Origin::Literal)).into()
    }
    "lot.piece" piece(value: Ref, address: u32, length: u32, position: u32) -> Ref {
        let separator = Value::Text(text_at(address, length), Origin::Literal);
        text::piece(value.get(), separator, i64::from(position)).into()
    }
    "lot.upper" upper(a: Ref) -> Ref { text::upper(a.get()).into() }
    "lot.lower" lower(a: Ref) -> Ref { text::lower(a.get()).into() }
    "lot.length" length(a: Ref) -> i64 { function::length(a.get()) }
    "lot.abs" absolute(a: Ref) -> Ref { function::absolute(a.get()).into() }
    "lot.round" round(a: Ref) -> Ref { function::round(a.get()).into() }
    "lot.round-to" round_to(a: Ref, places: Ref) -> Ref { function::round_to(a.get(), places.get()).into() }
    "lot.floor" floor(a: Ref) -> Ref { function::floor(a.get()).into() }
    "lot.ceil" ceil(a: Ref) -> Ref { function::ceil(a.get()).into() }
    "lot.sqrt" square_root(a: Ref) -> Ref { function::square_root(a.get()).into() }
    "lot.sin" sine(a: Ref) -> Ref { math::sine(a.get()).into() }
    "lot.cos" cosine(a: Ref) -> Ref { math::cosine(a.get()).into() }
    "lot.tan" tangent(a: Ref) -> Ref { math::tangent(a.get()).into() }
    "lot.asin" arc_sine(a: Ref) -> Ref { math::arc_sine(a.get()).into() }
    "lot.acos" arc_cosine(a: Ref) -> Ref { math::arc_cosine(a.get()).into() }
    "lot.atan" arc_tangent(a: Ref) -> Ref { math::arc_tangent(a.get()).into() }
    "lot.atan2" arc_tangent_of_point(y: Ref, x: Ref) -> Ref { math::arc_tangent_of_point(y.get(), x.get()).into() }
    "lot.exp" exponential(a: Ref) -> Ref { math::exponential(a.get()).into() }
    "lot.ln" natural_logarithm(a: Ref) -> Ref { math::natural_logarithm(a.get()).into() }
    "lot.log10" decimal_logarithm(a: Ref) -> Ref { math::decimal_logarithm(a.get()).into() }
    "lot.pow" power(base: Ref, exponent: Ref) -> Ref { math::power(base.get(), exponent.get()).into() }
    "lot.min" minimum(a: Ref, b: Ref) -> Ref { function::minimum(a.get(), b.get()).into() }
    "lot.max" maximum(a: Ref, b: Ref) -> Ref { function::maximum(a.get(), b.get()).into() }
    "lot.append" append(list: Ref, value: Ref) -> Ref { list.append(value.get()) }
    "lot.last" last(list: Ref, count: Ref) -> Ref { list::last(list.get(), cast::int_of(count.get())).into() }
    "lot.sum" sum(list: Ref) -> Ref { list::sum(list.get()).into() }
    "lot.mean" mean(list: Ref) -> Ref { list::mean(list.get()).into() }
    "lot.stddev" sample_deviation(list: Ref) -> Ref { list::sample_deviation(list.get()).into() }
    "lot.stddev-pop" population_deviation(list: Ref) -> Ref { list::population_deviation(list.get()).into() }
    "lot.timestamp" timestamp(ms: i64, pattern: u32, length: u32) -> Ref {
        timestamp::timestamp(ms, text_at(pattern, length)).into()
    }
    "lot.local-timestamp" local_timestamp(ms: i64, offset_seconds: i32, pattern: u32, length: u32) -> Ref {
        timestamp::local_timestamp(ms, offset_seconds, text_at(pattern, length)).into()
    }
    "lot.random-int" random_int(bits: u64, low: Ref, high: Ref) -> Ref {
        random::int_between(bits, low.get(), high.get()).into()
    }
    "lot.random-double" random_double(bits: u64, low: Ref, high: Ref) -> Ref {
        random::double_between(bits, low.get(), high.get()).into()
    }
    "lot.uuid" uuid(high: u64, low: u64) -> Ref { random::uuid(high, low).into() }
}

fn with_pattern<T>(regex: u32, search: impl FnOnce(&Pattern) -> T) -> Option<T> {
    PATTERNS.with_borrow(|patterns| {
        let pattern = patterns.get(regex as usize)?.as_ref()?;
        // The search state may take more memory, and stays.
        Some(memory::lastingly(|| search(pattern)))
    })
}

/// A record `argument` of the WIT package, as the canonical ABI lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Argument {
    name: u32,
    name_length: u32,
    value: [u64; 2],
}

// Inputs of callable Actions.
export! {
    // The value of the argument called so; 0 when there is none.
    "lot.input" input(arguments: u32, count: u32, name: u32, length: u32) -> u32 {
        let wanted = text_at(name, length);
        let found = list_of(arguments, count).iter().find(|argument| text_at(argument.name, argument.name_length) == wanted);
        found.map_or(0, |argument| argument.value.as_ptr() as u32)
    }
    // Returns the name of the first argument that is not among the names, which NUL separates; 0 if
    // all are.
    "lot.unknown-input" unknown_input(arguments: u32, count: u32, names: u32, length: u32) -> Pair {
        let known = text_at(names, length);
        let name_of = |argument: &Argument| text_at(argument.name, argument.name_length);
        let unknown = list_of(arguments, count).iter().map(name_of).find(|name| !known.split('\0').any(|known| known == *name));
        unknown.map_or(0, |name| pair(name.as_bytes()))
    }
}

// Models.
export! {
    "lot.inferred" inferred(value: Ref) -> Ref { model::inferred(value.get()).into() }
    // The cell of what is assigned to a field or below it; 0 when nothing is.
    "lot.assigned" assigned(arguments: u32, count: u32, name: u32, length: u32) -> u32 {
        let name = text_at(name, length);
        let arguments: Vec<(&str, Value)> = list_of(arguments, count)
            .iter()
            .map(|argument| (text_at(argument.name, argument.name_length), argument.value()))
            .filter(|(of, _)| of.starts_with(name))
            .collect();
        model::assigned(&arguments, name).map_or(0, |value| Ref::from(value).address())
    }
    // The name of the first argument that is no field, see `model::unknown`; 0 when there is none.
    "lot.unknown-field" unknown_field(arguments: u32, count: u32, names: u32, length: u32) -> Pair {
        let names_given = list_of(arguments, count).iter().map(|argument| text_at(argument.name, argument.name_length));
        model::unknown(names_given, text_at(names, length)).map_or(0, |name| pair(name.as_bytes()))
    }
    // Returns alternating paths and values of the leaves of a JSON object; 0 if it cannot be read.
    "lot.leaves" leaves(value: Ref) -> Pair { model::leaves(value.get()).map_or(0, Ref::store_list) }
    // The members of a JSON array.
    "lot.elements" elements(value: Ref) -> Pair { Ref::store_list(model::elements(value.get())) }
    // Names and values of the members of a JSON object, one after the other.
    "lot.members" members(value: Ref) -> Pair { Ref::store_list(model::members_of_object(value.get())) }
    "lot.json-array" json_array(list: u32, count: u32) -> Ref {
        model::array(Ref::list(list, count).map(Ref::get)).into()
    }
}

impl Argument {
    /// The value, whose texts are data.
    fn value(&self) -> Value {
        Ref::at(self.value.as_ptr() as u32).adopt().get()
    }
}

fn list_of(arguments: u32, count: u32) -> &'static [Argument] {
    // SAFETY: a list that the host put into memory for this run; it is not changed.
    unsafe { std::slice::from_raw_parts(arguments as usize as *const Argument, count as usize) }
}
