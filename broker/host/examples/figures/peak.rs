//! Cost of the compilation of a text to native code: for texts near the limits of the compiler, one
//! in a process.

use std::fs;

use crate::{clock, programs};

/// Prints time and memory for the text in a file.
pub(crate) fn figures(path: &str) {
    let source = fs::read_to_string(path).unwrap();
    let engine = programs::engine(None);
    let (began, before) = (clock::thread(), peak_kib());
    let compilation = lot_to_wasm::compile(&source, &lot_to_wasm::CompileOptions::default());
    let (compiled, front) = (clock::thread(), peak_kib());
    let outputs: Vec<_> = compilation.entities.into_iter().filter_map(|entity| entity.output).collect();
    let bytes: usize = outputs.iter().map(|output| output.component.len()).sum();
    outputs.iter().for_each(|output| drop(programs::load(&engine, &output.component)));
    println!(
        "{path}: {} B of text, {bytes} B of components; front end {:?}, peak {} MiB; native code {:?}, peak {} MiB",
        source.len(),
        compiled.saturating_sub(began),
        (front - before) / 1024,
        clock::thread().saturating_sub(compiled),
        (peak_kib() - before) / 1024,
    );
}

/// Largest resident memory of the process so far.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
