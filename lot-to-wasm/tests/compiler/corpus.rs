//! Every `.lot` file below `tests/corpus/` with its tree and its diagnostics as a snapshot beside
//! it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lot_to_wasm::diagnostic::codes;

#[test]
fn corpus_files_give_their_snapshots() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(files.len() > 60, "the corpus is there");
    for file in files {
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8 name").to_owned();
        let text = read(&file).expect("readable file");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(file.parent().expect("a folder"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name.as_str(), describe(&format!("{name}.lot"), &text)));
    }
}

#[allow(clippy::disallowed_methods, reason = "the compiler does no I/O, its tests read the corpus")]
pub(crate) fn read(file: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(file)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "lot") {
            files.push(path);
        }
    }
}

/// With the warnings that programs are spared which need not be portable.
fn telling_all() -> lot_to_wasm::CompileOptions<'static> {
    lot_to_wasm::CompileOptions { portable: true, ..lot_to_wasm::CompileOptions::default() }
}

#[test]
fn language_extensions_are_reported_only_on_request() {
    let text = "DEFINE ACTION A\nON TOPIC \"t\" DO\n    PUBLISH TOPIC \"o\" WITH UPPER(PAYLOAD)\n";
    let told = |options: &lot_to_wasm::CompileOptions<'_>| {
        let all = lot_to_wasm::compile(text, options).all_diagnostics();
        all.iter().filter(|found| found.code == codes::NON_PORTABLE).count()
    };
    assert_eq!((told(&telling_all()), told(&lot_to_wasm::CompileOptions::default())), (1, 0));
}

/// Returns trees, facts of compiled entities, and all diagnostics but the one for an entity that is
/// not compiled yet.
fn describe(file: &str, text: &str) -> String {
    let (trees, _) = lot_to_wasm::parse(text);
    let compilation = lot_to_wasm::compile(text, &telling_all());
    let mut out = String::new();
    for (parsed, compiled) in trees.iter().zip(&compilation.entities) {
        match &parsed.tree {
            Some(tree) => out.push_str(&lot_to_wasm::syntax::sexpr::entity(tree)),
            None => out.push_str("(nothing)\n"),
        }
        if let Some(output) = &compiled.output {
            let facts = serde_json::to_string(&output.facts).expect("facts are JSON");
            let _ = writeln!(out, "facts {facts}");
        }
    }
    let mut all = compilation.all_diagnostics();
    all.retain(|found| !(found.code == codes::NOT_YET_COMPILED && found.message.contains("DEFINE")));
    if !all.is_empty() {
        let _ = write!(out, "\n{}", lot_to_wasm::diagnostic::render::all_to_text(file, &all));
    }
    out
}

#[test]
fn every_code_has_a_fixture_that_provokes_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/diagnostic");
    let mut missing = Vec::new();
    for code in codes_of_texts() {
        let found = read(&folder.join(format!("{code}.lot"))).is_ok_and(|text| provokes(&text, code));
        if !found {
            missing.push(code.to_string());
        }
    }
    assert!(missing.is_empty(), "no fixture provokes {missing:?}");
}

/// Codes that a text of reasonable size can provoke.
fn codes_of_texts() -> impl Iterator<Item = lot_to_wasm::Code> {
    let elsewhere = [codes::TEXT_TOO_LONG, codes::TOO_MANY_VARIABLES, codes::LOWERING, codes::TOO_MUCH_CODE];
    lot_to_wasm::Code::all().filter(move |code| code.number() < 600 && !elsewhere.contains(code))
}

fn provokes(text: &str, code: lot_to_wasm::Code) -> bool {
    let mut compilation = lot_to_wasm::compile(text, &telling_all());
    lot_to_wasm::project::warn_of_undefined(&mut [(text, &mut compilation)], &[]);
    lot_to_wasm::project::warn_of_misspelt_topics(&mut [(text, &mut compilation)]);
    lot_to_wasm::project::warn_of_cycles(&mut [(text, &mut compilation)]);
    compilation.all_diagnostics().iter().any(|found| found.code == code)
}

#[test]
fn texts_beyond_the_limits_are_refused() {
    let long = "-".repeat(lot_to_wasm::limits::SOURCE_BYTES_MAX + 1);
    assert!(provokes(&long, codes::TEXT_TOO_LONG));
    let entity = "DEFINE ACTION A\nON START DO\n    PUBLISH TOPIC \"o\" WITH 1\n";
    assert!(provokes(&entity.repeat(lot_to_wasm::limits::ENTITIES_MAX + 1), codes::TEXT_TOO_LONG));
    let mut variables = "DEFINE ACTION V\nON START DO\n".to_owned();
    for index in 0..=lot_to_wasm::limits::VARIABLES_MAX {
        let _ = writeln!(variables, "    SET v{index} WITH 1");
    }
    assert!(provokes(&variables, codes::TOO_MANY_VARIABLES));
}

/// The byte at a place of a text whose lines all end with `\n`.
fn offset(text: &str, place: lot_to_wasm::syntax::Position) -> usize {
    let line: usize = text.split_inclusive('\n').take(place.line as usize - 1).map(str::len).sum();
    let rest = &text[line..];
    line + rest.char_indices().nth(place.column as usize - 1).map_or(rest.len(), |(at, _)| at)
}

/// The text with all fixes of a diagnostic applied.
pub(crate) fn mend_all(text: &str, found: &lot_to_wasm::Diagnostic) -> String {
    let mut fixes: Vec<_> = found.fixes().collect();
    fixes.sort_by_key(|fix| std::cmp::Reverse(offset(text, fix.span.start)));
    fixes.into_iter().fold(text.to_owned(), |text, fix| mend(&text, fix))
}

/// The text with a fix applied.
pub(crate) fn mend(text: &str, fix: &lot_to_wasm::diagnostic::Fix) -> String {
    let (start, end) = (offset(text, fix.span.start), offset(text, fix.span.end));
    format!("{}{}{}", &text[..start], fix.replacement, &text[end..])
}

#[test]
fn a_fix_ends_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let check = |text: &str| {
        let compilation =
            lot_to_wasm::check_project(&[text], &lot_to_wasm::CompileOptions::default()).remove(0);
        compilation.all_diagnostics()
    };
    let mut fixed = std::collections::BTreeSet::new();
    for file in files {
        let text = read(&file).expect("readable file");
        if text.contains('\r') {
            continue;
        }
        let before = check(&text);
        for found in &before {
            if found.fix.is_none() {
                continue;
            }
            let mended = mend_all(&text, found);
            let same = |other: &&lot_to_wasm::Diagnostic| {
                (other.code, &other.message) == (found.code, &found.message)
            };
            let after = check(&mended);
            let (was, is) = (before.iter().filter(same).count(), after.iter().filter(same).count());
            assert!(is < was, "{}: {found:?} stays in\n{mended}", file.display());
            fixed.insert(found.code);
        }
    }
    assert!(fixed.len() >= 20, "the corpus provokes {fixed:?}");
}
