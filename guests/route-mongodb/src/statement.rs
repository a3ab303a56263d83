//! Statements of `QUERY`, the collection first (routes reference §4.3):
//!
//! ```text
//! INSERT coll {json}
//! FIND   coll [WHERE conditions | {filter}] [ORDER BY field [ASC|DESC]] [LIMIT n]
//! UPDATE coll SET {json} WHERE conditions | {filter}
//! DELETE coll WHERE conditions | {filter}
//! ```

use bson::{RawBson, RawDocument, RawDocumentBuf};
use lotmq_guest::route::{Template, Value};

use crate::bson_value::append;
use crate::condition::{self, Condition};
use crate::naming;
use crate::node::{Missing, Node};
use crate::raw_filter;
use crate::symbols::{Cursor, Piece, Symbol, Values};

/// Operation on a message.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) kind: Kind,
    template: Template,
    collection: Vec<Piece>,
}

/// Kind of a statement.
#[derive(Debug)]
pub(crate) enum Kind {
    Insert(Node),
    Find(Find),
    Update { change: Node, filter: Filter },
    Delete(Filter),
}

#[derive(Debug)]
pub(crate) struct Find {
    filter: Filter,
    /// A field, and whether its largest values come first.
    order: Option<(String, bool)>,
    pub(crate) limit: Option<i64>,
}

/// Filter of the documents.
#[derive(Debug)]
pub(crate) enum Filter {
    All,
    Conditions(Vec<Condition>),
    Raw(Node),
}

impl Statement {
    /// Reads the text of `QUERY`.
    ///
    /// # Errors
    /// Why it is none, to be read behind the name of the setting.
    pub(crate) fn parse(template: &Template) -> Result<Statement, String> {
        let cursor = &mut Cursor::new(template);
        let ahead = cursor.ahead();
        let word = cursor.word();
        let verb = word.to_ascii_uppercase();
        if !matches!(verb.as_str(), "INSERT" | "FIND" | "UPDATE" | "DELETE") {
            let begins = if word.is_empty() { ahead } else { format!("'{word}'") };
            return Err(format!("begins with {begins}, and not with INSERT, FIND, UPDATE or DELETE"));
        }
        let collection = cursor.pieces();
        if collection.is_empty()
            || matches!(collection.first(), Some(Piece::Text(text)) if text.starts_with('{'))
        {
            return Err(format!("names no collection behind {verb}"));
        }
        naming::check_definition(&collection)?;
        let kind = match verb.as_str() {
            "INSERT" => insert(cursor)?,
            "FIND" => find(cursor)?,
            "UPDATE" => update(cursor)?,
            _ => Kind::Delete(needed_filter(cursor, "DELETE")?),
        };
        if !cursor.is_at_end() {
            return Err(format!("has {} behind its end", cursor.ahead()));
        }
        Ok(Statement { kind, template: template.clone(), collection })
    }

    /// Stores each payload in a collection.
    ///
    /// # Errors
    /// It is no name of a collection.
    pub(crate) fn storing(collection: &str) -> Result<Statement, String> {
        let texts = [format!("INSERT {collection} "), String::new()];
        let template = Template::new("", texts, ["payload".to_owned()]);
        Statement::parse(&template.ok_or("has no placeholder")?)
    }

    /// Whether it is one of a collection alone, whose one value is the payload.
    pub(crate) fn takes_payload(&self) -> bool {
        matches!(self.kind, Kind::Insert(Node::Hole(_))) && self.template.texts().len() == 2
    }

    pub(crate) fn values<'a>(&'a self, values: &'a [Value]) -> Values<'a> {
        Values::new(values, &self.template)
    }

    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// The collection for a message.
    pub(crate) fn collection(&self, values: Values<'_>, database: &str) -> Result<String, String> {
        naming::collection(&self.collection, values, database)
    }
}

impl Find {
    /// Returns the members of the command `find`.
    pub(crate) fn members(&self, values: Values<'_>) -> Result<RawDocumentBuf, String> {
        let mut members = RawDocumentBuf::new();
        append(&mut members, "filter", RawBson::Document(self.filter.document(values)?))?;
        if let Some((field, is_descending)) = &self.order {
            let mut order = RawDocumentBuf::new();
            append(&mut order, field, RawBson::Int32(if *is_descending { -1 } else { 1 }))?;
            append(&mut members, "sort", RawBson::Document(order))?;
        }
        if let Some(limit) = self.limit {
            append(&mut members, "limit", RawBson::Int64(limit))?;
        }
        Ok(members)
    }
}

impl Filter {
    /// The filter for a message.
    pub(crate) fn document(&self, values: Values<'_>) -> Result<RawDocumentBuf, String> {
        match self {
            Filter::All => Ok(RawDocumentBuf::new()),
            Filter::Conditions(conditions) => condition::filter(conditions, values),
            Filter::Raw(node) => node.document(values, Missing::Refused),
        }
    }
}

/// The change of a message as `$set`.
pub(crate) fn change(node: &Node, values: Values<'_>) -> Result<RawDocumentBuf, String> {
    let set = node.document(values, Missing::Null)?;
    check_fields(&set)?;
    let mut change = RawDocumentBuf::new();
    append(&mut change, "$set", RawBson::Document(set))?;
    Ok(change)
}

fn check_fields(set: &RawDocument) -> Result<(), String> {
    let mut keys = set.iter().flatten().map(|(key, _)| key.as_str());
    match keys.find(|key| key.starts_with('$')) {
        Some(key) => Err(format!("'{key}' is no name of a field: SET takes fields and their values")),
        None => Ok(()),
    }
}

fn insert(cursor: &mut Cursor) -> Result<Kind, String> {
    if cursor.is_at_end() {
        return Err("has no document behind the collection".to_owned());
    }
    let document = Node::parse(cursor)?;
    match document {
        Node::Object(_) | Node::Hole(_) => Ok(Kind::Insert(document)),
        _ => Err("has a document that is no object".to_owned()),
    }
}

fn find(cursor: &mut Cursor) -> Result<Kind, String> {
    let filter = filter(cursor)?;
    let mut found = Find { filter, order: None, limit: None };
    if cursor.takes_word("ORDER") {
        if !cursor.takes_word("BY") {
            return Err(format!("has {} behind ORDER, where BY stands", cursor.ahead()));
        }
        let field = cursor.word();
        if field.is_empty() || field.starts_with('$') {
            return Err("has no field behind ORDER BY".to_owned());
        }
        let is_descending = cursor.takes_word("DESC");
        let _ = !is_descending && cursor.takes_word("ASC");
        found.order = Some((field, is_descending));
    }
    if cursor.takes_word("LIMIT") {
        cursor.skip_blanks();
        let ahead = cursor.ahead();
        let limit = cursor.word().parse().ok().filter(|limit| *limit > 0);
        found.limit =
            Some(limit.ok_or(format!("has {ahead} behind LIMIT, where a whole number from 1 stands"))?);
    }
    Ok(Kind::Find(found))
}

fn update(cursor: &mut Cursor) -> Result<Kind, String> {
    if !cursor.takes_word("SET") {
        return Err(format!("has {} behind the collection, where SET stands", cursor.ahead()));
    }
    let change = Node::parse(cursor)?;
    match &change {
        Node::Object(members) => {
            if let Some((key, _)) = members.iter().find(|(key, _)| key.starts_with('$')) {
                return Err(format!("has '{key}' in SET, which takes fields and their values"));
            }
        }
        Node::Hole(_) => {}
        _ => return Err("has a document behind SET that is no object".to_owned()),
    }
    Ok(Kind::Update { change, filter: needed_filter(cursor, "UPDATE")? })
}

/// A filter without which every document would be meant.
fn needed_filter(cursor: &mut Cursor, verb: &str) -> Result<Filter, String> {
    match filter(cursor)? {
        Filter::All => Err(format!("has no WHERE: for {verb} of all documents write {{}} as the filter")),
        filter => Ok(filter),
    }
}

fn filter(cursor: &mut Cursor) -> Result<Filter, String> {
    let has_where = cursor.takes_word("WHERE");
    cursor.skip_blanks();
    match cursor.peek() {
        Some(Symbol::Char('{')) => Ok(Filter::Raw(raw_filter::checked(Node::parse(cursor)?)?)),
        Some(Symbol::Hole(_)) if !has_where => {
            Err("has a placeholder for a whole filter, where what a message says would be carried out"
                .to_owned())
        }
        _ if has_where => Ok(Filter::Conditions(condition::parse(cursor)?)),
        _ => Ok(Filter::All),
    }
}

#[cfg(test)]
mod tests;
