//! Raw JSON filters of MongoDB, with values of a message in places of values.
//!
//! Invariant: a value of a message stands below an operator that compares with it. It cannot be an
//! operator or a whole filter, or stand within `$where`, `$expr` and the like, because MongoDB
//! would execute it.

use crate::node::Node;

/// Operators whose operand is a value.
const COMPARING: &[&str] = &["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$size", "$exists", "$type", "$mod"];

/// Operators whose operand is a list of values.
const LISTING: &[&str] = &["$in", "$nin"];

/// Operators of whole filters.
const JOINING: &[&str] = &["$and", "$or", "$nor"];

/// A filter in which each value of a message is an operand.
///
/// # Errors
/// One stands where it would be carried out.
pub(crate) fn checked(filter: Node) -> Result<Node, String> {
    let Node::Object(members) = filter else { return Err("has a filter that is no object".to_owned()) };
    let members = members.into_iter().map(|(key, member)| member_of_filter(key, member));
    Ok(Node::Object(members.collect::<Result<_, _>>()?))
}

fn member_of_filter(key: String, member: Node) -> Result<(String, Node), String> {
    let member = if JOINING.contains(&&*key) {
        match member {
            Node::Array(filters) => Node::Array(filters.into_iter().map(checked).collect::<Result<_, _>>()?),
            _ => return Err(format!("has {key} without an array of filters")),
        }
    } else if key.starts_with('$') {
        without_holes(&key, member)?
    } else {
        operators(member)?
    };
    Ok((key, member))
}

/// Checks the operators that a field is compared with.
fn operators(compared: Node) -> Result<Node, String> {
    match compared {
        Node::Object(members) if members.iter().any(|(key, _)| key.starts_with('$')) => {
            let members = members.into_iter().map(|(key, operand)| operator(key, operand));
            Ok(Node::Object(members.collect::<Result<_, _>>()?))
        }
        value if value.has_holes() => Ok(Node::Object(vec![("$eq".to_owned(), value)])),
        value => Ok(value),
    }
}

fn operator(key: String, operand: Node) -> Result<(String, Node), String> {
    let operand = match key.as_str() {
        name if COMPARING.contains(&name) || LISTING.contains(&name) => operand,
        "$not" => match operand {
            Node::Object(_) => operators(operand)?,
            other => without_holes(&key, other)?,
        },
        "$elemMatch" => match operand {
            Node::Object(members) if members.first().is_some_and(|(key, _)| !key.starts_with('$')) => {
                checked(Node::Object(members))?
            }
            Node::Object(members) => operators(Node::Object(members))?,
            other => without_holes(&key, other)?,
        },
        _ => without_holes(&key, operand)?,
    };
    Ok((key, operand))
}

fn without_holes(key: &str, node: Node) -> Result<Node, String> {
    if node.has_holes() {
        return Err(format!(
            "has a placeholder within {key}, where what a message says would be carried out"
        ));
    }
    Ok(node)
}
