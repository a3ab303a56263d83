//! A small route that works with files: it runs one command per message and publishes the result.
//!
//! It proves the interface `files`. A command is a line of words: operation, folder, path, and for
//! some a text. `append log a/b hello` publishes `done` to `files/said` with QoS 1, or the error.
//! `read log a/b` publishes the content, `list log a` the names in order.

use lotmq_guest::route::{
    Abilities, Arrival, Delivery, Description, Failure, QoS, Receipt, Route,
    files::{FileError, FileKind, Folder, FolderNames},
    ingest, unpublished,
};
use std::io::{Read as _, Write as _};

lotmq_guest::manifest!("file-read:logs", "file-write:logs", "read:do/#", "write:files/said");

struct Files;

impl Route for Files {
    fn describe() -> Description {
        Description {
            configuration: r#"{"type":"object"}"#.to_owned(),
            abilities: Abilities::DELIVER | Abilities::REQUEST,
        }
    }

    fn open(_configuration: String) -> Result<(), Failure> {
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        for delivery in &batch {
            let command = String::from_utf8_lossy(&delivery.message.payload);
            let said = done(&command).unwrap_or_else(|error| error);
            ingest::publish(&[said_by(said)]).map_err(unpublished)?;
        }
        Ok(Receipt { accepted: u32::try_from(batch.len()).unwrap_or(u32::MAX), rejected: Vec::new() })
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let body = String::from_utf8_lossy(&body);
        match operation.as_str() {
            "do" => Ok(done(&body).unwrap_or_else(|error| error).into_bytes()),
            "open all" | "open all and trap" => {
                let folder = Folder::named("log");
                let (mut files, mut listings): (Vec<_>, Vec<FolderNames>) = (Vec::new(), Vec::new());
                let error = loop {
                    match folder.list("") {
                        Ok(listing) => listings.push(listing),
                        Err(error) => break error,
                    }
                    match folder.append("many") {
                        Ok(file) => files.push(file),
                        Err(error) => break error,
                    }
                };
                assert!(operation == "open all", "on purpose");
                Ok(format!("{} {} {error:?}", files.len(), listings.len()).into_bytes())
            }
            "probe" => Ok(b"{}".to_vec()),
            _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
        }
    }
}

fn said_by(text: String) -> Arrival {
    Arrival {
        topic: "files/said".to_owned(),
        payload: text.into_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: None,
    }
}

/// Runs a command and returns its result or its error.
fn done(command: &str) -> Result<String, String> {
    let mut words = command.splitn(4, ' ');
    let (what, folder) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, text) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let folder = Folder::named(folder);
    match what {
        "read" => read(&folder, path),
        "list" => list(&folder, path).map_err(|error| format!("{error:?}")),
        _ => change(&folder, what, path, text).map_err(|error| error.to_string()),
    }
}

fn read(folder: &Folder, path: &str) -> Result<String, String> {
    let mut text = String::new();
    let mut file = folder.open(path).map_err(|error| format!("{error:?}"))?;
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn list(folder: &Folder, path: &str) -> Result<String, FileError> {
    let mut names = Vec::new();
    for entry in folder.list(path)? {
        let entry = entry?;
        let end = if entry.kind == FileKind::Folder { "/" } else { "" };
        names.push(format!("{}{end}", entry.name));
    }
    names.sort();
    Ok(names.join(" "))
}

fn change(folder: &Folder, what: &str, path: &str, text: &str) -> std::io::Result<String> {
    match what {
        "create" | "write" | "append" | "append-and-sync" => {
            let mut file = match what {
                "create" => folder.create(path)?,
                "write" => folder.write(path)?,
                _ => folder.append(path)?,
            };
            file.write_all(text.as_bytes())?;
            if what == "append-and-sync" {
                file.sync()?;
                folder.sync("")?;
            }
        }
        "fill" => {
            // The text is the number of bytes.
            let bytes = vec![b'x'; text.parse().unwrap_or(0)];
            folder.write(path)?.write_all(&bytes)?;
        }
        "cut" => folder.write(path)?.set_length(text.parse().unwrap_or(0))?,
        "length" => return Ok(folder.stat(path)?.length.to_string()),
        "rename" => folder.rename(path, text)?,
        "remove" => folder.remove(path)?,
        "make-folder" => folder.make_folder(path)?,
        _ => return Ok(format!("unknown command '{what}'")),
    }
    Ok("done".to_owned())
}

lotmq_guest::export_route!(Files);
