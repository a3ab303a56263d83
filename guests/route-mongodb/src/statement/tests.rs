use super::*;

/// A statement; `<name>` stands for a placeholder here.
fn template(text: &str) -> Template {
    let (mut texts, mut names) = (vec![String::new()], Vec::new());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("<<") {
        let (name, after) = behind.split_once(">>").unwrap();
        texts.last_mut().unwrap().push_str(before);
        names.push(name.to_owned());
        texts.push(String::new());
        rest = after;
    }
    texts.last_mut().unwrap().push_str(rest);
    Template::new("QUERY", texts, names).unwrap()
}

fn json(document: &RawDocument) -> String {
    let mut out = String::new();
    crate::bson_value::write_json(document, &mut out).unwrap();
    out
}

/// The collection of a statement and what it does there, as JSON.
fn of(query: &str, values: &[Value]) -> Result<String, String> {
    let statement = Statement::parse(&template(query))?;
    let values = statement.values(values);
    let collection = statement.collection(values, "d")?;
    let (mut parts, missing) = (vec![collection], Missing::Null);
    match &statement.kind {
        Kind::Insert(document) => parts.push(json(&document.document(values, missing)?)),
        Kind::Find(find) => parts.push(json(&find.members(values)?)),
        Kind::Update { change: set, filter } => {
            parts.push(json(&change(set, values)?));
            parts.push(json(&filter.document(values)?));
        }
        Kind::Delete(filter) => parts.push(json(&filter.document(values)?)),
    }
    Ok(parts.join(" "))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn object(json: &str) -> Value {
    Value::Json(json.to_owned())
}

#[test]
fn documents_are_made_of_messages() {
    for (query, values, expected) in [
        ("INSERT logs <<payload.json>>", vec![object(r#"{"a":1,"$x":2}"#)], r#"logs {"a":1,"$x":2}"#),
        ("insert logs <<payload>>", vec![text(r#" {"a":1} "#)], r#"logs {"a":1}"#),
        ("INSERT l_<<topic.2>> <<payload.json>>", vec![text("x.y"), object("{}")], "l_x.y {}"),
        (
            r#"INSERT l {"v": <<payload>>, "t": "at <<topic>>", "n": <<payload.json.none>>, "at": <<timestamp>>, "e": "\"\u00e4\uD83D\ude00", "l": [1, -2.5e1, true, null, []]}"#,
            vec![text("21.5"), text("a\"b"), Value::Empty, Value::Time(0)],
            r#"l {"v":21.5,"t":"at a\"b","n":null,"at":"1970-01-01T00:00:00.000Z","e":"\"ä😀","l":[1,-25.0,true,null,[]]}"#,
        ),
        (
            r#"INSERT l {"v": <<payload>>, "s": <<payload.json.s>>, "d": {"$date": "<<timestamp>>"}, "n": {"$numberDecimal": "<<payload.json.n>>"}, "k": {"$numberLong": "7"}}"#,
            vec![text("}, x"), text("5"), Value::Time(1000), Value::Double(0.1)],
            r#"l {"v":"}, x","s":"5","d":"1970-01-01T00:00:01.000Z","n":0.1,"k":7}"#,
        ),
    ] {
        assert_eq!(of(query, &values).as_deref(), Ok(expected), "{query}");
    }
}

#[test]
fn conditions_and_filters_take_values_as_values() {
    let evil = || object(r#"{"$gt":""}"#);
    for (query, values, expected) in [
        ("FIND c", vec![], r#"c {"filter":{}}"#),
        ("FIND c WHERE f = 'x' LIMIT 5", vec![], r#"c {"filter":{"f":{"$eq":"x"}},"limit":5}"#),
        (
            "find c where a.b>=-1.5 and t != 'it''s' AND u<>\"q\" AND n=null and b == TRUE ORDER BY a.b DESC limit 1",
            vec![],
            r#"c {"filter":{"$and":[{"a.b":{"$gte":-1.5}},{"t":{"$ne":"it's"}},{"u":{"$ne":"q"}},{"n":{"$eq":null}},{"b":{"$eq":true}}]},"sort":{"a.b":-1},"limit":1}"#,
        ),
        ("FIND c ORDER BY t", vec![], r#"c {"filter":{},"sort":{"t":1}}"#),
        ("FIND c WHERE v = <<payload.json.v>>", vec![evil()], r#"c {"filter":{"v":{"$eq":{"$gt":""}}}}"#),
        ("FIND c WHERE v < <<payload>>", vec![text("7")], r#"c {"filter":{"v":{"$lt":7}}}"#),
        (
            "FIND c WHERE d = 'dev-<<topic.2>>'",
            vec![text("' OR 1")],
            r#"c {"filter":{"d":{"$eq":"dev-' OR 1"}}}"#,
        ),
        (
            "FIND c WHERE _id = '<<payload>>'",
            vec![text("65a1b2c3d4e5f60718293a4b")],
            r#"c {"filter":{"_id":{"$in":["65a1b2c3d4e5f60718293a4b","65a1b2c3d4e5f60718293a4b"]}}}"#,
        ),
        ("FIND c WHERE _id > 'x'", vec![], r#"c {"filter":{"_id":{"$gt":"x"}}}"#),
        (
            r#"FIND c {"v": <<payload.json.v>>, "o": {"p": <<payload.json.v>>}, "$or": [{"t": {"$gt": <<payload.json.v>>}}, {"k": {"$in": [<<payload.json.v>>]}}], "_id": {"$oid": "65a1b2c3d4e5f60718293a4b"}} LIMIT 2"#,
            vec![evil(), evil(), evil(), evil()],
            r#"c {"filter":{"v":{"$eq":{"$gt":""}},"o":{"$eq":{"p":{"$gt":""}}},"$or":[{"t":{"$gt":{"$gt":""}}},{"k":{"$in":[{"$gt":""}]}}],"_id":"65a1b2c3d4e5f60718293a4b"},"limit":2}"#,
        ),
        (
            r#"FIND c {"a": {"$elemMatch": {"b": <<payload.json.v>>}}, "n": {"$not": {"$gt": <<payload.json.v>>}}, "$expr": {"$gt": ["$a", 1]}}"#,
            vec![evil(), Value::Integer(1)],
            r#"c {"filter":{"a":{"$elemMatch":{"b":{"$eq":{"$gt":""}}}},"n":{"$not":{"$gt":1}},"$expr":{"$gt":["$a",1]}}}"#,
        ),
        (
            "UPDATE c SET <<payload.json>> WHERE dev = '<<topic.2>>'",
            vec![object(r#"{"t":1}"#), text("a")],
            r#"c {"$set":{"t":1}} {"dev":{"$eq":"a"}}"#,
        ),
        (
            r#"UPDATE c SET {"t": <<payload>>, "at": <<timestamp.unix>>} {"dev": 1}"#,
            vec![text("2"), Value::Integer(9)],
            r#"c {"$set":{"t":2,"at":9}} {"dev":1}"#,
        ),
        ("DELETE c WHERE t < 5", vec![], r#"c {"t":{"$lt":5}}"#),
        ("DELETE c {}", vec![], "c {}"),
    ] {
        assert_eq!(of(query, &values).as_deref(), Ok(expected), "{query}");
    }
}

#[test]
fn what_is_no_statement_is_told() {
    for (query, told) in [
        ("", "begins with its end, and not with INSERT, FIND, UPDATE or DELETE"),
        ("<<payload>>", "begins with a placeholder, and not with INSERT, FIND, UPDATE or DELETE"),
        ("DROP c", "begins with 'DROP', and not with INSERT, FIND, UPDATE or DELETE"),
        ("INSERT", "names no collection behind INSERT"),
        ("INSERT {}", "names no collection behind INSERT"),
        ("INSERT a$b {}", "has '$' in the name of the collection"),
        ("INSERT system.users {}", "names a collection of the server itself"),
        ("INSERT c", "has no document behind the collection"),
        ("INSERT c [1]", "has a document that is no object"),
        ("INSERT c {\"a\": 1,}", "has '}' where the name of a field stands, in double quotes"),
        ("INSERT c {\"a\" 1}", "has '1}' where the ':' behind \"a\" stands"),
        ("INSERT c {\"a\": 1 \"b\": 2}", "has '\"b\": 2}' where ',' or '}' stands"),
        ("INSERT c {\"a\": x}", "has 'x}' where a value of JSON stands"),
        ("INSERT c {\"a\": \"x}", "has a text that does not end"),
        ("INSERT c {\"a\": \"\\q\"}", "has an escape that JSON does not have"),
        ("INSERT c {\"<<topic>>\": 1}", "has a placeholder in the name of a field"),
        ("INSERT c {\"a\": {\"$oid\": \"x\"}}", "'x' is not an ObjectId of 24 hexadecimal digits"),
        ("INSERT c {} x", "has 'x' behind its end"),
        ("FIND c WHERE", "has its end where a field stands"),
        ("FIND c WHERE <<payload>> = 1", "has a placeholder where a field stands"),
        ("FIND c WHERE $where = 1", "has '$where' where a field stands"),
        ("FIND c WHERE f ~ 1", "has '~ 1' behind 'f', where one of = != > >= < <= stands"),
        ("FIND c WHERE f = x", "has 'x' where a value stands: a text stands between single quotes"),
        ("FIND c WHERE f = 'x", "has a text that does not end"),
        ("FIND c WHERE f =", "ends where a value stands"),
        ("FIND c WHERE f = 1 OR g = 2", "has OR, which conditions do not have; write {\"$or\": [ … ]}"),
        ("FIND c LIMIT 0", "has '0' behind LIMIT, where a whole number from 1 stands"),
        ("FIND c LIMIT <<payload>>", "has a placeholder behind LIMIT, where a whole number from 1 stands"),
        ("FIND c ORDER t", "has 't' behind ORDER, where BY stands"),
        (
            "FIND c <<payload.json>>",
            "has a placeholder for a whole filter, where what a message says would be carried out",
        ),
        (
            "FIND c {\"$where\": \"<<payload>>\"}",
            "has a placeholder within $where, where what a message says would be carried out",
        ),
        (
            "FIND c {\"a\": {\"$regex\": <<payload>>}}",
            "has a placeholder within $regex, where what a message says would be carried out",
        ),
        (
            "FIND c {\"a\": {\"$not\": <<payload>>}}",
            "has a placeholder within $not, where what a message says would be carried out",
        ),
        ("FIND c {\"$and\": [<<payload>>]}", "has a filter that is no object"),
        ("FIND c {\"$and\": <<payload>>}", "has $and without an array of filters"),
        ("UPDATE c {}", "has '{}' behind the collection, where SET stands"),
        (
            "UPDATE c SET {\"$inc\": {\"n\": 1}} WHERE a = 1",
            "has '$inc' in SET, which takes fields and their values",
        ),
        ("UPDATE c SET {\"a\": 1}", "has no WHERE: for UPDATE of all documents write {} as the filter"),
        ("DELETE c", "has no WHERE: for DELETE of all documents write {} as the filter"),
    ] {
        assert_eq!(of(query, &[]), Err(told.to_owned()), "{query}");
    }
}

#[test]
fn what_a_message_cannot_say_is_told() {
    for (query, values, told) in [
        ("INSERT c <<payload>>", vec![text("5")], "the document is not a JSON object"),
        ("INSERT c <<payload>>", vec![text("x")], "the document is not a JSON object"),
        ("INSERT c-<<topic.1>> {}", vec![text("a$b")], "'a$b' cannot be a part of the name of a collection"),
        ("INSERT c-<<topic.1>> {}", vec![text("")], "'' cannot be a part of the name of a collection"),
        ("INSERT <<topic.1>> {}", vec![text("system.users")], "'system.users' is no name of a collection"),
        (
            "DELETE c WHERE id = <<payload.json.id>>",
            vec![Value::Empty],
            "{payload.json.id} is not there, and nothing is compared with it",
        ),
        (
            "DELETE c WHERE id = '<<payload.json.id>>'",
            vec![Value::Empty],
            "{payload.json.id} is not there, and nothing is compared with it",
        ),
        (
            "DELETE c {\"id\": {\"$ne\": <<payload.json.id>>}}",
            vec![Value::Empty],
            "{payload.json.id} is not there, and nothing is compared with it",
        ),
        (
            "UPDATE c SET <<payload.json>> WHERE a = 1",
            vec![object(r#"{"$inc":{"n":1}}"#)],
            "'$inc' is no name of a field: SET takes fields and their values",
        ),
        (
            "FIND c {\"_id\": {\"$oid\": \"<<payload>>\"}}",
            vec![text("x")],
            "'x' is not an ObjectId of 24 hexadecimal digits",
        ),
        (
            "FIND c {\"at\": {\"$gt\": {\"$date\": \"<<payload>>\"}}}",
            vec![text("today")],
            "'today' is not a time such as 2026-01-05T10:00:00Z",
        ),
    ] {
        assert_eq!(of(query, &values), Err(told.to_owned()), "{query}");
    }
    let long = text(&"x".repeat(300));
    assert_eq!(
        of("INSERT <<topic>> {}", &[long]).unwrap_err(),
        "the names of database and collection have 302 bytes, of 255"
    );
}

#[test]
fn payloads_are_stored_without_a_statement() {
    let statement = Statement::storing("rows").unwrap();
    assert!(statement.takes_payload());
    assert!(Statement::storing("a$").is_err() && Statement::storing("").is_err());
}
