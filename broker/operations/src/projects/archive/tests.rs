//! Archives that people send, and such as only an attacker would.

use super::*;

/// A stored (not deflated) zip with these names as they are, whatever they say; with the mode of a
/// Unix file.
fn zip_of(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes, mode) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        if mode & 0o170_000 == 0o120_000 {
            zip.add_symlink(*name, String::from_utf8_lossy(bytes), options).unwrap();
        } else {
            zip.start_file(*name, options.unix_permissions(*mode)).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

#[test]
fn programs_come_in_the_order_of_folders_and_files() {
    let notebook: &[u8] =
        br#"[{"kind":2,"language":"lot","value":"a"},{"kind":2,"language":"python","value":"b"}]"#;
    let archive = zip_of(&[
        ("b.lot", b"4", 0o644),
        ("a/z.lot", b"2", 0o644),
        ("a/n.LOTNB", notebook, 0o644),
        ("a.py", b"3", 0o644),
        ("README.md", b"# x", 0o644),
        (".git/config.lot", b"", 0o644),
        ("./a/b/c.lot", b"1", 0o644),
    ]);
    let contents = read(&archive).unwrap();
    let places: Vec<String> = contents.parts.iter().map(Part::place).collect();
    assert_eq!(places, ["a/b/c.lot", "a/n.LOTNB#1", "a/n.LOTNB#2", "a/z.lot", "a.py", "b.lot"]);
    let listed: Vec<(&str, u64)> =
        contents.manifest.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert!(listed.contains(&("README.md", 3)) && listed.contains(&(".git/config.lot", 0)), "{listed:?}");
    assert_eq!(contents.manifest.bytes, archive.len());
}

#[test]
fn paths_that_leave_the_folder_and_links_are_refused() {
    for name in [
        "../a.lot",
        "a/../../b.lot",
        "/etc/a.lot",
        "a//b.lot",
        "C:/a.lot",
        "a\\b.lot",
        "a/./b.lot",
        "a\nb.lot",
        "",
    ] {
        let found = refusal(&zip_of(&[(name, b"x", 0o644)]));
        assert!(found.contains("is not one of a file inside the project"), "{name}: {found}");
    }
    let long = "a/".repeat(PROJECT_PATH_BYTES_MAX / 2) + "b.lot";
    assert!(refusal(&zip_of(&[(&long, b"x", 0o644)])).contains("is not one of a file"));
    let link = zip_of(&[("a.lot", b"/etc/passwd", 0o120_777)]);
    assert_eq!(refusal(&link), "'a.lot' is a link or a special file");
}

/// Such a zip is not made by tools, but by hand; which of the two counts would depend on who reads
/// it.
#[test]
fn a_path_that_is_there_twice_is_refused() {
    let mut archive = zip_of(&[("a.lot", b"1", 0o644), ("x/b.lot", b"2", 0o644), ("x/c.lot", b"3", 0o644)]);
    while let Some(at) = archive.windows(7).position(|bytes| bytes == b"x/c.lot") {
        archive[at + 2] = b'b';
    }
    assert_eq!(refusal(&archive), "'x/b.lot' is in the archive twice");
    let archive = zip_of(&[("a.lot", b"1", 0o644), ("./a.lot", b"2", 0o644)]);
    assert_eq!(refusal(&archive), "'a.lot' is in the archive twice");
    let folder = zip_of(&[("a/", b"", 0o755), ("./a/", b"", 0o755), ("a/b.lot", b"", 0o644)]);
    assert_eq!(read(&folder).unwrap().manifest.files.len(), 1, "a folder is no file");
}

#[test]
fn oversized_project_archive_is_rejected_even_if_compressed_small() {
    let zeros = vec![0; usize::try_from(PROJECT_UNPACKED_BYTES_MAX).unwrap() / 2 + 1];
    let archive = write([("a.bin".to_owned(), zeros.clone()), ("b.lot".to_owned(), zeros)]).unwrap();
    assert!(archive.len() < 1 << 20, "a bomb of {} bytes", archive.len());
    assert_eq!(refusal(&archive), "the project unpacks to more than 67108864 bytes");
    let many: Vec<_> = (0..=PROJECT_FILES_MAX).map(|number| (format!("{number}.lot"), Vec::new())).collect();
    assert_eq!(refusal(&write(many).unwrap()), "the project has more than 2000 files");
    let long = vec![0; PROJECT_ARCHIVE_BYTES_MAX + 1];
    assert!(matches!(read(&long), Err(ArchiveError::TooLong { .. })));
}

#[test]
fn archive_damage_is_reported_with_file_and_position() {
    assert!(refusal(b"no zip").starts_with("the archive cannot be read: "));
    assert_eq!(
        refusal(&zip_of(&[("a/x.lot", b"line\nl\xc3\xa4\xff", 0o644)])),
        "'a/x.lot' is not UTF-8 text: line 2, column 3"
    );
    let notebook = refusal(&zip_of(&[("n.lotnb", b"[\n{}]", 0o644)]));
    assert!(
        notebook
            .starts_with("'n.lotnb': not a notebook, which is a JSON array of cells: the cell lacks `kind`"),
        "{notebook}"
    );
    assert!(notebook.ends_with("line 2 column 2"), "{notebook}");
    let mut archive = zip_of(&[("README.md", b"some text", 0o644)]);
    let at = archive.windows(4).position(|bytes| bytes == b"some").unwrap();
    archive[at] ^= 1;
    assert!(refusal(&archive).starts_with("'README.md' cannot be unpacked: "), "{}", refusal(&archive));
}

#[test]
fn any_bytes_are_read_or_refused() {
    let archive = zip_of(&[("a.lot", b"DEFINE ACTION A", 0o644), ("n.lotnb", b"[]", 0o644)]);
    for at in 0..archive.len() {
        for bit in [1, 0x80] {
            let mut changed = archive.clone();
            changed[at] ^= bit;
            let _ = read(&changed);
        }
        let _ = read(&archive[..at]);
    }
}
