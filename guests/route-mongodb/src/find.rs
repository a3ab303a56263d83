//! Finds documents: reads the first page, then further ones while there is room, and closes the
//! server's cursor.

use bson::{RawBson, RawDocument, RawDocumentBuf, rawdoc};
use lotmq_guest::route::Failure;

use crate::bson_value::{append, whole, write_json};
use crate::config::Config;
use crate::limits::{PAGE_DOCUMENTS, PAGES_MAX};
use crate::link::{Link, documents, error_of, list_of};

/// Documents that were found.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    /// Array of JSON.
    pub(crate) json: String,
    /// Whether there are more than it may have bytes.
    pub(crate) is_cut: bool,
}

/// Collected documents.
struct Gathered {
    json: String,
    bytes_max: usize,
    is_cut: bool,
}

/// Finds documents; `members` are those of the command beside its name, such as `filter`.
pub(crate) fn find(
    link: &mut Link,
    config: &Config,
    collection: &str,
    members: &RawDocument,
    bytes_max: usize,
) -> Result<Found, Failure> {
    let command = command(config, collection, members).map_err(Failure::Reject)?;
    let mut reply = link.ask(&command, None)?;
    let mut result = Gathered { json: "[".to_owned(), bytes_max, is_cut: false };
    let mut page = "firstBatch";
    for _ in 0..PAGES_MAX {
        if let Some(error) = error_of(&reply) {
            return Err(link.told(error.into_failure()));
        }
        let broken = |_| "its answer has no cursor".to_owned();
        let cursor = reply.get_document("cursor").map_err(broken).map_err(|reason| link.broken(&reason))?;
        result.take(&documents(cursor, page)).map_err(|reason| link.broken(&reason))?;
        let id = whole(cursor, "id").unwrap_or_default();
        if id == 0 {
            return Ok(result.found());
        }
        if result.is_cut {
            let end = rawdoc! { "killCursors": collection, "cursors": list_of(id), "$db": &*config.database };
            link.ask(&end, None)?;
            return Ok(result.found());
        }
        let more = rawdoc! { "getMore": id, "collection": collection, "batchSize": PAGE_DOCUMENTS, "$db": &*config.database };
        reply = link.ask(&more, None)?;
        page = "nextBatch";
    }
    Err(link.broken(&format!("its result has more than {PAGES_MAX} pages")))
}

fn command(config: &Config, collection: &str, members: &RawDocument) -> Result<RawDocumentBuf, String> {
    let mut command = RawDocumentBuf::new();
    append(&mut command, "find", RawBson::String(collection.to_owned()))?;
    for member in members {
        let (key, value) = member.map_err(|error| error.to_string())?;
        command.append(key, value);
    }
    append(&mut command, "batchSize", RawBson::Int32(PAGE_DOCUMENTS))?;
    // The server is to give up before we do.
    let most = i64::from(config.address.answer_ms / 5 * 4).max(1);
    append(&mut command, "maxTimeMS", RawBson::Int64(most))?;
    if let Some(level) = &config.address.read_concern {
        append(&mut command, "readConcern", RawBson::Document(rawdoc! { "level": level.as_str() }))?;
    }
    if config.address.is_direct {
        let preference = rawdoc! { "mode": "primaryPreferred" };
        append(&mut command, "$readPreference", RawBson::Document(preference))?;
    }
    append(&mut command, "$db", RawBson::String(config.database.clone()))?;
    Ok(command)
}

impl Gathered {
    /// Takes the documents of a page while there is room.
    fn take(&mut self, documents: &[&RawDocument]) -> Result<(), String> {
        for document in documents {
            let before = self.json.len();
            if before > 1 {
                self.json.push(',');
            }
            write_json(document, &mut self.json)?;
            if self.json.len() >= self.bytes_max {
                self.json.truncate(before);
                self.is_cut = true;
                return Ok(());
            }
        }
        Ok(())
    }

    fn found(mut self) -> Found {
        self.json.push(']');
        Found { json: self.json, is_cut: self.is_cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_bounded() {
        let document = rawdoc! { "t": "x".repeat(400) };
        let page = vec![&*document; 4];
        let empty = || Gathered { json: "[".to_owned(), bytes_max: 1000, is_cut: false };
        assert_eq!(empty().found(), Found { json: "[]".to_owned(), is_cut: false });
        let mut result = empty();
        result.take(&page).unwrap();
        let found = result.found();
        assert!(found.is_cut && found.json.len() <= 1000);
        let read: serde_json::Value = serde_json::from_str(&found.json).unwrap();
        assert_eq!(read.as_array().map(Vec::len), Some(2));
    }
}
