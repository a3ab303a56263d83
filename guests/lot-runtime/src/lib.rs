//! The LoT runtime.
#[unsafe(no_mangle)]
pub extern "C" fn probe(n: f64) -> usize { regex_lite::Regex::new("a+").unwrap().find(&format!("{n}")).map_or(0, |m| m.len()) }
