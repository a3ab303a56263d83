use std::io::Cursor;

use lotmq_store::{Durability, Store, StoreOptions};

use super::*;

const ROOM: u64 = 1 << 20;

fn backup() -> Vec<u8> {
    let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
    let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
    let contents = Contents {
        name: "n".to_owned(),
        created_utc: "2026-11-20T00:00:00.000Z".to_owned(),
        parts: vec![Part::Configuration],
        configuration: serde_json::json!({"a": 1}),
    };
    let mut out = Cursor::new(Vec::new());
    write(&mut out, Box::new(store.snapshot().unwrap()), &contents).unwrap();
    out.into_inner()
}

/// A zip with these members.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The members of a zip, in their order.
fn unpacked(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let member = |at| {
        let mut file = zip.by_index(at).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        (file.name().unwrap().into_owned(), content)
    };
    (0..3).map(member).collect()
}

fn open(bytes: &[u8], bytes_max: u64) -> Result<Archive<Cursor<&[u8]>>, ArchiveError> {
    Archive::open(Cursor::new(bytes), bytes_max)
}

/// A backup with its manifest changed.
fn with_manifest(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut members = unpacked(bytes);
    let manifest = &mut members[2].1;
    let mut value: Value = serde_json::from_slice(manifest).unwrap();
    change(&mut value);
    *manifest = value.to_string().into_bytes();
    let members: Vec<_> = members.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    zip(&members)
}

#[test]
fn written_backup_is_read_back() {
    let bytes = backup();
    let mut archive = open(&bytes, ROOM).unwrap();
    assert_eq!(
        (archive.manifest.name.as_str(), archive.manifest.parts.as_slice()),
        ("n", &["configuration".to_owned()][..])
    );
    let directory = tempfile::tempdir().unwrap();
    let sizes = Store::import(directory.path(), &mut archive.store().unwrap()).unwrap();
    let rows = |tables: &[Table]| tables.iter().map(|table| table.rows).collect::<Vec<_>>();
    assert_eq!(rows(&archive.manifest.tables), sizes.iter().map(|size| size.rows).collect::<Vec<_>>());
}

#[test]
fn incomplete_or_damaged_backup_is_rejected_with_the_reason() {
    let good = backup();
    let members = unpacked(&good);
    let [(_, store), (_, configuration), (_, manifest)] = &members[..] else { panic!("three members") };
    let rows: Vec<(Vec<u8>, &str)> = vec![
        (b"#!/bin/sh".to_vec(), "this is no backup of lotmq: "),
        (zip(&[("a", b"b")]), "this is no backup of lotmq: its manifest: "),
        (zip(&[(MANIFEST, b"{}")]), "this is no backup of lotmq: its manifest: no format"),
        (
            with_manifest(&good, |m| m["format"] = 2.into()),
            "the format of the backup has version 2, this program knows versions up to 1",
        ),
        (with_manifest(&good, |m| m["schema"] = 99.into()), "the schema of the backup has version 99, "),
        (
            with_manifest(&good, |m| m["members"] = serde_json::json!([])),
            "the backup is damaged: its manifest does not name 'store.export'",
        ),
        (
            zip(&[(CONFIGURATION, configuration), (MANIFEST, manifest)]),
            "the backup is damaged: 'store.export': ",
        ),
        (
            zip(&[(STORE, b"x"), (CONFIGURATION, configuration), (MANIFEST, manifest)]),
            "the backup is damaged: 'store.export' has another length",
        ),
        (
            zip(&[(STORE, &vec![1; store.len()]), (CONFIGURATION, configuration), (MANIFEST, manifest)]),
            "the backup is damaged: 'store.export' has another digest",
        ),
        (
            zip(&[(STORE, store), (CONFIGURATION, configuration), (MANIFEST, manifest), ("../evil", b"")]),
            "the backup is damaged: its manifest does not name '../evil'",
        ),
    ];
    for (bytes, expected) in rows {
        let error = open(&bytes, ROOM).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with(expected), "{error}, not {expected}");
    }
    let other = "CONFIGURATION.json";
    let mut twice =
        zip(&[(STORE, store), (CONFIGURATION, configuration), (other, b"{}"), (MANIFEST, manifest)]);
    while let Some(at) = twice.windows(other.len()).position(|bytes| bytes == other.as_bytes()) {
        twice[at..at + other.len()].copy_from_slice(CONFIGURATION.as_bytes());
    }
    let error = open(&twice, ROOM).err().unwrap().to_string();
    assert_eq!(error, "the backup is damaged: 'configuration.json' is in it twice");
    let error = open(&good, 100).err().unwrap();
    assert!(matches!(error, ArchiveError::TooLarge { limit: 100, .. }), "{error}");
}

#[test]
fn manifest_has_no_long_text_and_no_control_character() {
    let good = backup();
    let long = "x".repeat(129);
    for (field, value) in [
        ("name", serde_json::json!("a\u{1b}[2Jb")),
        ("name", serde_json::json!(long)),
        ("createdUtc", serde_json::json!("2026\nyesterday")),
        ("broker", serde_json::json!("\u{9b}31m")),
        ("parts", serde_json::json!([long])),
        ("parts", serde_json::json!(vec!["retained"; 65])),
        ("tables", serde_json::json!([{"name": "\u{7}", "rows": 1, "bytes": 1}])),
    ] {
        let error = open(&with_manifest(&good, |m| m[field] = value), ROOM).err().unwrap().to_string();
        assert!(
            error.starts_with(&format!("this is no backup of lotmq: its manifest: {field} has ")),
            "{error}"
        );
        assert!(error.len() < 200 && !error.contains(char::is_control), "{error:?}");
    }
    let at_the_limit = with_manifest(&good, |m| m["name"] = "x".repeat(128).into());
    assert!(open(&at_the_limit, ROOM).is_ok());
}

/// A member of a gigabyte that says it has ten bytes is not read beyond them.
#[test]
fn a_bomb_is_read_no_further_than_it_says_it_is_long() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(STORE, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))
        .unwrap();
    io::copy(&mut io::repeat(0).take(64 << 20), &mut zip).unwrap();
    zip.start_file(CONFIGURATION, SimpleFileOptions::default()).unwrap();
    let manifest = unpacked(&backup()).swap_remove(2).1;
    let mut value: Value = serde_json::from_slice(&manifest).unwrap();
    value["members"][0]["bytes"] = 10.into();
    zip.start_file(MANIFEST, SimpleFileOptions::default()).unwrap();
    zip.write_all(value.to_string().as_bytes()).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    let error = open(&bytes, ROOM).err().unwrap().to_string();
    assert!(error.ends_with("has another length than its manifest says"), "{error}");
}

/// Members of a zip as a reader finds them who goes from one to the next, and not by its directory.
fn streamed(mut bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut members = Vec::new();
    while let Some(mut file) = zip::read::read_zipfile_from_stream(&mut bytes).ok()? {
        let mut content = Vec::new();
        file.read_to_end(&mut content).ok()?;
        members.push((file.name().ok()?.into_owned(), content));
    }
    Some(members)
}

/// Of each bit: refused, or the same names, order and contents, whoever reads it and how.
#[test]
fn damage_anywhere_is_found_or_harmless() {
    let good = backup();
    let expected = unpacked(&good);
    let manifest: Manifest = serde_json::from_slice(&expected[2].1).unwrap();
    let mut refused = 0;
    for bit in 0..good.len() * 8 {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(mut archive) = open(&damaged, ROOM) else {
            refused += 1;
            continue;
        };
        let mut store = Vec::new();
        archive.store().unwrap().read_to_end(&mut store).unwrap();
        assert_eq!(store, expected[0].1, "byte {}", bit / 8);
        assert_eq!(archive.manifest, manifest, "byte {}", bit / 8);
        assert_eq!(unpacked(&damaged), expected, "byte {}", bit / 8);
        // Some readers mind flags and versions that others pass over.
        let streamed = streamed(&damaged).unwrap_or_else(|| expected.clone());
        assert_eq!(streamed, expected, "byte {}", bit / 8);
    }
    assert!(refused > good.len() * 6, "{refused} of {} bytes", good.len());
}

#[test]
fn names_and_order_are_those_that_were_written() {
    let good = backup();
    let members = unpacked(&good);
    let of = |at: usize| (members[at].0.as_str(), members[at].1.as_slice());
    let told = |bytes: &[u8]| open(bytes, ROOM).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(told(&zip(&[of(0), of(1), of(2)])), "");
    for order in [[1, 0, 2], [2, 0, 1], [0, 2, 1]] {
        let said = told(&zip(&order.map(of)));
        assert_eq!(said, "the backup is damaged: its files are in another order than they were written");
    }
    let at = |bytes: &[u8], text: &str| bytes.windows(text.len()).position(|part| part == text.as_bytes());
    let mut renamed = good;
    let own = at(&renamed, CONFIGURATION).unwrap();
    renamed[own] = b'C';
    let expected = "the backup is damaged: 'configuration.json' has another name in its own header than in the directory";
    assert_eq!(told(&renamed), expected);
}
