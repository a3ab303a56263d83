//! `FILE_STORAGE`: files on the disk of this machine.

use std::path::PathBuf;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Authority, Broker, eventually};

use crate::{Standing, backlog, broker, next, publish_all, send, watch};

fn route(section: &str, events: &str) -> String {
    let section: String = section.lines().map(|line| format!("        WITH {line}\n")).collect();
    format!(
        "-addRoute DEFINE ROUTE Files WITH TYPE FILE_STORAGE\n    ADD FILE_STORAGE_CONFIG\n        WITH STORAGE_DIR \"logs\"\n{section}{events}"
    )
}

fn event(query: &str) -> String {
    let query = if query.is_empty() { String::new() } else { format!("        WITH QUERY \"{query}\"\n") };
    format!(
        "    ADD EVENT rows\n        WITH SOURCE_TOPIC \"rows/+\"\n        WITH DESTINATION_TOPIC \"done/{{topic.2}}\"\n        WITH ERROR_TOPIC \"error/{{topic.2}}\"\n{query}"
    )
}

const CLEAN: &str = "CLEAN:{table: {topic.2}, data: {value.json}}";

fn path(broker: &Broker, name: &str) -> PathBuf {
    broker.data().join("files/default/logs").join(name)
}

fn text(broker: &Broker, name: &str) -> String {
    std::fs::read_to_string(path(broker, name)).unwrap_or_default()
}

/// Writes one record, and waits until it is on the disk.
fn put(broker: &Broker, table: &str, record: &str) {
    let mut watcher = watch(broker, "done/+");
    send(broker, &format!("rows/{table}"), record);
    assert_eq!(next(&mut watcher), format!("done/{table}=[{{\"affected\":1}}]"));
}

#[test]
fn records_become_lines_of_csv_below_their_header() {
    let broker = broker();
    broker.command_ok(&route("APPEND TRUE\nCSV_DELIMITER \";\"", &event(CLEAN)));
    put(&broker, "s", r#"{"z":1.5,"a":"x;y","b":"say \"hi\"","n":null,"l":[1,{"k":2}],"t":true}"#);
    put(&broker, "s", r#"{"a":"two\nlines","more":1}"#);
    let expected =
        "z;a;b;n;l;t\n1.5;\"x;y\";\"say \"\"hi\"\"\";;\"[1,{\"\"k\"\":2}]\";true\n;\"two\nlines\";;;;\n";
    assert_eq!(text(&broker, "s.csv"), expected);
    // Another instance goes on behind it, with the columns that are there.
    broker.command_ok(&route("APPEND TRUE\nCSV_DELIMITER \";\"", &event(CLEAN)));
    put(&broker, "s", r#"{"t":false,"z":2}"#);
    assert_eq!(text(&broker, "s.csv"), format!("{expected}2;;;;;false\n"));
    assert_eq!(broker.command_ok("-checkRouteConnection Files").message(), "Route 'Files' is reachable.");
}

/// Another program moves, removes or empties a file while the route writes to it.
#[test]
fn a_file_that_is_gone_begins_with_its_header_and_goes_on_after_a_restart() {
    let mut broker = broker();
    broker.command_ok(&route("APPEND TRUE", &event(CLEAN)));
    let tables = ["aside", "removed", "emptied"];
    for table in tables {
        put(&broker, table, r#"{"t":1,"st":"on"}"#);
        let file = format!("{table}.csv");
        let path = path(&broker, &file);
        match table {
            "aside" => std::fs::rename(&path, path.with_extension("1")).unwrap(),
            "removed" => std::fs::remove_file(path).unwrap(),
            _ => std::fs::write(path, "").unwrap(),
        }
        // The columns are those that it had, whatever the first record has.
        put(&broker, table, r#"{"st":"off"}"#);
        assert_eq!(text(&broker, &file), "t,st\n,off\n", "{table}");
    }
    broker.stop();
    broker.start_again();
    for table in tables {
        put(&broker, table, r#"{"t":3,"st":"on"}"#);
        assert_eq!(text(&broker, &format!("{table}.csv")), "t,st\n,off\n3,on\n", "{table}");
    }
    // Somebody else's lines are followed by ours.
    std::fs::write(path(&broker, "aside.csv"), "st,x\n1,2\n").unwrap();
    put(&broker, "aside", r#"{"t":4,"st":"off"}"#);
    assert_eq!(text(&broker, "aside.csv"), "st,x\n1,2\noff,\n");
}

#[test]
fn a_record_of_which_nothing_would_be_kept_is_a_dead_letter() {
    let broker = broker();
    broker.command_ok(&route("APPEND TRUE\nINCLUDE_TIMESTAMP TRUE", &event(CLEAN)));
    put(&broker, "s", r#"{"t":1,"st":"on"}"#);
    let before = text(&broker, "s.csv");
    let mut errors = watch(&broker, "error/s");
    for lost in [r#"{"x":9}"#, r#"[{"t":2},{"x":9}]"#] {
        send(&broker, "rows/s", lost);
        let told = next(&mut errors);
        assert!(told.contains("a record has none of the columns of 's.csv': t, st"), "{told}");
    }
    assert_eq!(text(&broker, "s.csv"), before);
    assert_eq!(broker.command_ok("-listDeadLetters Files").data()["letters"].as_array().unwrap().len(), 2);
}

#[test]
fn a_full_file_is_followed_by_one_with_the_same_columns() {
    let broker = broker();
    broker.command_ok(&route("APPEND TRUE\nMAX_RECORDS 2", &event(CLEAN)));
    for record in [r#"{"a":1,"b":1}"#, r#"{"a":2,"b":2}"#, r#"{"b":3}"#] {
        put(&broker, "s", record);
    }
    assert_eq!([text(&broker, "s_1.csv"), text(&broker, "s.csv")], ["a,b\n1,1\n2,2\n", "a,b\n,3\n"]);
}

/// A broker in which `ann` and `bob` may deploy routes, with password `pw`.
fn broker_of_two() -> Broker {
    let broker = broker();
    may_deploy(&broker, &["ann", "bob"]);
    broker
}

/// Two users' routes with the same folder and file.
#[test]
fn nobody_writes_into_the_files_of_another_user() {
    let broker = broker_of_two();
    let mut watcher = watch(&broker, "done/+");
    for user in ["ann", "bob"] {
        let of_user = event(CLEAN).replace("rows/+", &format!("{user}/+"));
        let text = route("APPEND TRUE", &of_user).replace("ROUTE Files", &format!("ROUTE Of{user}"));
        let added = broker.command_as((user, "pw"), &text);
        assert!(added.success(), "{added:?}");
        send(&broker, &format!("{user}/s"), &format!(r#"{{"of":"{user}"}}"#));
        next(&mut watcher);
    }
    for user in ["ann", "bob"] {
        let file = broker.data().join(format!("files/default/users/{user}/logs/s.csv"));
        assert_eq!(std::fs::read_to_string(file).unwrap(), format!("of\n{user}\n"));
    }
    assert!(!path(&broker, "s.csv").exists());
}

/// Lets users other than `root` deploy routes.
pub(crate) fn may_deploy(broker: &Broker, users: &[&str]) {
    let conditions: Vec<String> = users.iter().map(|user| format!("USER IS \"{user}\"")).collect();
    for scope in ["CommandCall", "RouteManagementCreation"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Of{scope} WITH PRIORITY 5 FOR {scope}\n    IF {} THEN\n        ALLOW\n",
            conditions.join(" OR ")
        ));
    }
    for user in users {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
}

/// A route whose user was removed cannot reach the files of `root`, nor those of the other users
/// below.
#[test]
fn route_of_a_removed_user_cannot_reach_files_of_other_users() {
    let mut broker = broker_of_two();
    let of_bob =
        route("APPEND TRUE", &event(CLEAN).replace("rows/+", "bob/+")).replace("ROUTE Files", "ROUTE OfBob");
    assert!(broker.command_as(("bob", "pw"), &of_bob).success());
    let mut watcher = watch(&broker, "done/+");
    send(&broker, "bob/s", r#"{"of":"bob"}"#);
    next(&mut watcher);
    let file = broker.data().join("files/default/users/bob/logs/s.csv");
    let before = std::fs::read_to_string(&file).unwrap();
    let of_ann = route("APPEND FALSE", &event(CLEAN)).replace("\"logs\"", "\"users/bob/logs\"");
    assert!(broker.command_as(("ann", "pw"), &of_ann).success());
    broker.command_ok("-removeUser ann");
    broker.command_ok("-removeUser bob");
    broker.kill();
    broker.start_again();
    let mut watcher = watch(&broker, "done/+");
    send(&broker, "rows/s", r#"{"of":"ann"}"#);
    next(&mut watcher);
    assert!(!file.exists(), "who is called bob later is somebody else");
    let users = broker.data().join("files/default/users");
    let aside = std::fs::read_dir(users).unwrap().map(|found| found.unwrap().path().join("logs/s.csv"));
    let aside: Vec<String> = aside.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    assert_eq!(aside, [before]);
    let of_nobody = broker.data().join("files/default/nobody/users/bob/logs/s.csv");
    assert_eq!(std::fs::read_to_string(of_nobody).unwrap(), "of\nann\n");
}

/// A route loses the folder of its user when the user is removed, not only at the next start of the
/// broker.
#[test]
fn a_route_of_a_removed_user_leaves_his_name_at_once() {
    let broker = broker_of_two();
    let of = |user: &str, name: &str| {
        let events = event(CLEAN).replace("rows/+", &format!("{name}/+"));
        let text = route("APPEND TRUE", &events).replace("ROUTE Files", &format!("ROUTE {name}"));
        assert!(broker.command_as((user, "pw"), &text).success());
    };
    let mut watcher = watch(&broker, "done/+");
    of("ann", "Former");
    send(&broker, "Former/s", r#"{"of":"former"}"#);
    next(&mut watcher);
    broker.command_ok("-removeUser ann");
    // Waits while the former user's folder is gone, and is written all the same.
    send(&broker, "Former/s", r#"{"of":"nobody"}"#);
    next(&mut watcher);
    broker.command_ok("-addUser ann pw");
    of("ann", "Later");
    send(&broker, "Later/s", r#"{"of":"later"}"#);
    next(&mut watcher);
    send(&broker, "Former/s", r#"{"of":"nobody"}"#);
    next(&mut watcher);
    let written = |of: &str| {
        std::fs::read_to_string(broker.data().join(format!("files/default/{of}/logs/s.csv"))).unwrap()
    };
    assert_eq!(written("users/ann"), "of\nlater\n");
    assert_eq!(written("nobody"), "of\nnobody\nnobody\n");
}

/// `root`, or another user, has put the keys there for routes of their own.
#[test]
fn nobody_shows_the_certificate_of_another_user() {
    let broker = broker();
    may_deploy(&broker, &["ann"]);
    let authority = Authority::new();
    for folder in ["files/default", "files/default/users/bob"] {
        std::fs::create_dir_all(broker.data().join(folder)).unwrap();
        std::fs::write(broker.data().join(folder).join("gw.both"), authority.client("gw").with_key())
            .unwrap();
    }
    for shown in ["gw.both", "users/bob/gw.both"] {
        let text = format!(
            "-addRoute DEFINE ROUTE Gw WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"127.0.0.1\"\n        WITH BROKER_PORT 1\n        WITH USE_TLS TRUE\n        WITH CLIENT_CERT_PATH \"{shown}\"\n    ADD MAPPING m\n        WITH SOURCE_TOPIC \"a/#\"\n        WITH DESTINATION_TOPIC \"a/#\"\n        WITH DIRECTION \"out\"\n"
        );
        let added = broker.command_as(("ann", "pw"), &text);
        assert!(added.success(), "{added:?}");
        eventually("it is not found", || {
            let reply = broker.command_ok("-listRoutes");
            let reason = reply.data()[0]["reason"].as_str().unwrap_or_default().to_owned();
            reason.contains("cannot be read: No such file").then_some(())
        });
    }
}

/// Reasons quote what was to be stored.
#[test]
fn rejection_reasons_are_visible_to_route_owner_and_administrators_only() {
    let broker = broker();
    may_deploy(&broker, &["bob", "eve"]);
    let text = route("APPEND TRUE", &event("CLEAN:{table: {payload.json.t}, data: {value.json}}"));
    assert!(broker.command_as(("bob", "pw"), &text).success());
    let mut errors = watch(&broker, "error/+");
    send(&broker, "rows/1", r#"{"t":"../anna"}"#);
    next(&mut errors);
    for command in ["-listRoutes", "-connectionStatus", "-list", "-checkRouteConnection Files"] {
        for (user, may) in [("root", true), ("bob", true), ("eve", false)] {
            let reply = match user {
                "root" => broker.command(command),
                _ => broker.command_as((user, "pw"), command),
            };
            let shown = format!("{reply:?}");
            let is_withheld = shown.contains("are told why");
            assert!(!shown.contains("../anna") || may, "{user} {command}: {shown}");
            if command != "-checkRouteConnection Files" {
                assert_eq!(
                    (shown.contains("../anna"), is_withheld),
                    (may, !may),
                    "{user} {command}: {shown}"
                );
            }
        }
    }
}

/// Many routes of one user with many records, and one of another user with one that comes behind
/// all of them.
#[test]
fn the_routes_of_one_user_do_not_hold_up_those_of_another() {
    const ROUTES: usize = 40;
    const RECORDS: usize = 30;
    let broker = broker_of_two();
    let in_memory = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE memory\n".to_owned() + &event(CLEAN);
    let add = |user: &str, name: &str| {
        let text = route("APPEND TRUE", &in_memory.replace("rows/+", &format!("{user}/+")));
        let text = text.replace("ROUTE Files", &format!("ROUTE {name}")).replace("logs", name);
        let added = broker.command_as((user, "pw"), &text);
        assert!(added.success(), "{added:?}");
    };
    (0..ROUTES).for_each(|number| add("ann", &format!("A{number}")));
    add("bob", "B");
    let mut watcher = watch(&broker, "done/+");
    // Each is open and has had its turn.
    send(&broker, "ann/ann", r#"{"a":1}"#);
    send(&broker, "bob/bob", r#"{"a":1}"#);
    (0..=ROUTES).for_each(|_| drop(next(&mut watcher)));
    let mut publisher = broker.root("publisher");
    for _ in 0..RECORDS {
        publisher.publish(&Publication::new("ann/ann", r#"{"a":2}"#)).unwrap();
    }
    publisher.publish(&Publication::new("bob/bob", r#"{"a":2}"#)).unwrap();
    let before = (0..=ROUTES * RECORDS).take_while(|_| next(&mut watcher).starts_with("done/ann")).count();
    // There are at most four threads, and three of them run only routes of `ann`.
    assert!(before < ROUTES * RECORDS / 8 * 7, "{before} of {} records were done before", ROUTES * RECORDS);
}

#[test]
fn without_append_files_begin_anew_with_the_route_and_go_on_while_it_runs() {
    let mut broker = broker();
    // With this mode, records that were done before the kill do not come once more.
    let in_memory = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE memory\n".to_owned();
    let route = route("", &(in_memory + &event(CLEAN)));
    broker.command_ok(&route);
    put(&broker, "s", r#"{"a":1}"#);
    put(&broker, "s", r#"{"a":2}"#);
    assert_eq!(text(&broker, "s.csv"), "a\n1\n2\n");
    // Neither a probe nor another instance of the same route begins anew.
    broker.command_ok("-checkRouteConnection Files");
    put(&broker, "s", r#"{"a":3}"#);
    assert_eq!(text(&broker, "s.csv"), "a\n1\n2\n3\n");
    broker.command_ok(&route);
    put(&broker, "s", r#"{"b":4}"#);
    assert_eq!(text(&broker, "s.csv"), "b\n4\n");
    broker.kill();
    broker.start_again();
    put(&broker, "s", r#"{"c":5}"#);
    assert_eq!(text(&broker, "s.csv"), "c\n5\n");
}

#[test]
fn full_files_are_rotated_and_file_names_contain_dates() {
    let broker = broker();
    let section = "APPEND TRUE\nMAX_RECORDS 2\nFILE_PATTERN \"%Y/{date}/{0}.csv\"\nINCLUDE_TIMESTAMP TRUE\nDATE_FORMAT \"yyyy\"";
    broker.command_ok(&route(section, &event("")));
    for number in 0..5 {
        put(&broker, "any", &format!("{{\"n\":{number}}}"));
    }
    let dates: Vec<_> =
        std::fs::read_dir(path(&broker, "")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let year = dates[0].file_name().unwrap().to_str().unwrap().to_owned();
    let day = std::fs::read_dir(&dates[0]).unwrap().next().unwrap().unwrap().path();
    assert!(day.file_name().unwrap().to_str().unwrap().starts_with(&format!("{year}-")));
    let read = |name: &str| std::fs::read_to_string(day.join(name)).unwrap();
    assert_eq!(read("rows_1.csv"), format!("timestamp,n\n{year},0\n{year},1\n"));
    assert_eq!(read("rows_2.csv"), format!("timestamp,n\n{year},2\n{year},3\n"));
    assert_eq!(read("rows.csv"), format!("timestamp,n\n{year},4\n"));
}

#[test]
fn json_files_are_whole_arrays_and_lines_of_text_are_appended() {
    let broker = broker();
    broker.command_ok(&route("FORMAT \"JSON\"\nAPPEND TRUE", &event(CLEAN)));
    put(&broker, "j", r#"{"z":1,"a":"x"}"#);
    put(&broker, "j", r#"{"b":[true]}"#);
    assert_eq!(text(&broker, "j.json"), "[{\"z\":1,\"a\":\"x\"},\n{\"b\":[true]}]\n");
    broker.command_ok(&route("FORMAT \"JSON\"\nAPPEND TRUE\nMAX_RECORDS 3", &event(CLEAN)));
    put(&broker, "j", r#"{"c":3}"#);
    put(&broker, "j", r#"{"d":4}"#);
    assert_eq!(text(&broker, "j_1.json"), "[{\"z\":1,\"a\":\"x\"},\n{\"b\":[true]},\n{\"c\":3}]\n");
    assert_eq!(text(&broker, "j.json"), "[{\"d\":4}]\n");
    broker.command_ok(&route("APPEND TRUE", &event("APPEND notes/{topic.2}.txt {topic.2}: {payload}")));
    put(&broker, "n", "one");
    put(&broker, "n", "two, \"three\"");
    assert_eq!(text(&broker, "notes/n.txt"), "n: one\nn: two, \"three\"\n");
}

#[test]
fn a_file_that_is_no_array_stops_the_route_and_what_waits_is_kept() {
    let broker = broker();
    let file = path(&broker, "j.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{\"of\": \"somebody else\"}").unwrap();
    let definition = route("FORMAT \"JSON\"\nAPPEND TRUE", &event(CLEAN));
    let mut standing = Standing::of(&broker, "Files");
    broker.command_ok(&definition);
    for record in ["{\"a\":1}", "{\"a\":2}"] {
        send(&broker, "rows/j", record);
    }
    let told = standing.until("it is no JSON array");
    assert!(told.contains("\"Disconnected\"") && told.contains("j.json"), "{told}");
    assert_eq!(text(&broker, "j.json"), "{\"of\": \"somebody else\"}");
    std::fs::remove_file(&file).unwrap();
    broker.command_ok("-run Files");
    eventually("what waited", || (text(&broker, "j.json") == "[{\"a\":1},\n{\"a\":2}]\n").then_some(()));
}

#[test]
fn record_cannot_escape_the_storage_folder_and_errors_are_reported() {
    let broker = broker();
    broker.command_ok(&route("APPEND TRUE", &event("CLEAN:{table: {payload.json.t}, data: {value.json}}")));
    let mut errors = watch(&broker, "error/+");
    std::fs::create_dir_all(path(&broker, "taken.csv")).unwrap();
    std::fs::write(path(&broker, "file.txt"), "").unwrap();
    let long = format!(r#"{{"t":"{}"}}"#, "x".repeat(300));
    for (record, expected) in [
        (r#"{"t":"../../x"}"#, "is no path of a file below STORAGE_DIR"),
        (r#"{"t":"/etc/x"}"#, "is no path of a file below STORAGE_DIR"),
        (r#"["#, "the payload is not JSON"),
        (&long, "has a name of more than 240 bytes"),
        (r#"{"t":"taken"}"#, "'taken.csv': a folder is in its place"),
        (r#"{"t":"file.txt/x"}"#, "'file.txt/x.csv': a file is in the place of its folder"),
    ] {
        send(&broker, "rows/1", record);
        let told = next(&mut errors);
        assert!(told.contains(expected), "{told}");
    }
    send(&broker, "rows/1", "17");
    assert!(next(&mut errors).contains("a record is a JSON object"));
    put(&broker, "1", r#"{"t":"good"}"#);
    assert_eq!(text(&broker, "good.csv"), "t\ngood\n");
}

#[test]
fn models_and_other_routes_store_rows_and_kill_9_costs_none() {
    let mut broker = broker();
    broker.command_ok(&route("APPEND TRUE", ""));
    broker.command_ok(
        "-addModel DEFINE MODEL Part COLLAPSED\n    ADD STRING \"id\"\n    ADD INT \"weight\"\n    STORE IN \"Files\"\n",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Weigh\nON TOPIC \"scale/+\" DO\n    PUBLISH MODEL Part TO \"parts/\" + TOPIC POSITION 2 WITH\n        id = TOPIC POSITION 2\n        weight = PAYLOAD AS INT\n",
    );
    send(&broker, "scale/a", "12");
    eventually("a row", || text(&broker, "Part.csv").contains("12").then_some(()));
    assert_eq!(text(&broker, "Part.csv"), "id,weight\na,12\n");
    broker.command_ok(&route("APPEND TRUE", &event(CLEAN)));
    let mut done = watch(&broker, "done/+");
    let mut sender = broker.client("sender of many");
    for number in 0..1000 {
        let record = Publication::new("rows/many", format!("{{\"n\":{number}}}")).qos(QoS::AtLeastOnce);
        sender.send_publish(&record).unwrap();
    }
    let written = (0..200).map(|_| next(&mut done)).count();
    broker.kill();
    let lines = text(&broker, "many.csv");
    assert!(lines.lines().count() > written, "what was answered is on the disk");
    broker.start_again();
    // A line that was being written is whole again or not there.
    put(&broker, "many", r#"{"n":"end"}"#);
    // Waiting records come before it. Records without a known result come once more.
    eventually("the last", || text(&broker, "many.csv").ends_with("\nend\n").then_some(()));
    let lines = text(&broker, "many.csv");
    let numbers = lines.lines().skip(1).filter(|line| *line != "end");
    let numbers: Vec<u32> = numbers.map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() >= written);
}

#[test]
fn ten_thousand_records_that_wait_come_into_full_files_in_their_order() {
    let count = backlog(10_000);
    let broker = broker();
    let section = "APPEND TRUE\nMAX_RECORDS 1000";
    let roomy = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MAX_BYTES 4000000000\n".to_owned();
    broker.command_ok(&route(section, &(roomy + &event(CLEAN))));
    broker.command_ok("-stop Files");
    let numbered = |number: usize| ("rows/many".to_owned(), format!("{{\"n\":{number}}}"));
    publish_all(&broker, (0..count).map(numbered));
    broker.command_ok("-run Files");
    broker.wait_until_metric_is("lotmq_route_delivered_total", count as f64);
    let mut numbers = Vec::new();
    let put_aside =
        (1..).map(|nth| text(&broker, &format!("many_{nth}.csv"))).take_while(|it| !it.is_empty());
    for file in put_aside.chain([text(&broker, "many.csv")]) {
        let (header, records) = file.split_once('\n').unwrap();
        assert!(header == "n" && records.lines().count() <= 1000, "{header}");
        numbers.extend(records.lines().map(|line| line.parse::<usize>().unwrap()));
    }
    assert!(numbers.into_iter().eq(0..count), "a record is missing, or not in its place");
}

#[test]
fn invalid_file_route_definition_is_reported() {
    let broker = broker();
    for (section, expected) in [
        ("FORMAT \"XML\"", "FORMAT"),
        ("MAX_RECORDS 0", "MAX_RECORDS is a whole number from 1"),
        ("CSV_DELIMITER \";;\"", "CSV_DELIMITER"),
        ("APPEND \"perhaps\"", "APPEND is TRUE or FALSE"),
    ] {
        let refused = broker.command(&route(section, ""));
        assert!(refused.message().contains(expected), "{expected}: {refused:?}");
    }
    for (section, query, expected) in [
        ("FILE_PATTERN \"../{0}\"", CLEAN, "FILE_PATTERN is a path below the folder"),
        ("", "SELECT 1", "QUERY begins with CLEAN or APPEND"),
    ] {
        let refused = broker.command(&route(section, &event(query)));
        assert!(refused.message().contains(expected), "{expected}: {refused:?}");
    }
    let outside = route("", "").replace("\"logs\"", "\"../x\"");
    let refused = broker.command(&outside);
    assert!(refused.message().contains("STORAGE_DIR is a path below a folder"), "{refused:?}");
    // The broker warns of data that each start deletes, unless the definition asks for it.
    for (section, is_warned) in
        [("", true), ("FILE_PATTERN \"{0}/{date}.csv\"", false), ("APPEND FALSE", false)]
    {
        let added = broker.command_ok(&route(section, &event(CLEAN)));
        let told = added.0.get("warnings").map_or_else(String::new, ToString::to_string);
        assert_eq!(told.contains("without APPEND a file begins anew"), is_warned, "{section}: {told}");
    }
    // The route checks values from the environment when it begins.
    broker.command_ok("-setEnv PATTERN=../{0}");
    broker.command_ok(&route("FILE_PATTERN GET ENV \"PATTERN\"", &event(CLEAN)));
    Standing::of(&broker, "Files").until("which is no path of a file below STORAGE_DIR");
    broker.command_ok("-removeRoute Files");
    broker.command_ok("-setEnv PLACE=../x");
    broker.command_ok(&outside.replace("\"../x\"", "GET ENV \"PLACE\""));
    Standing::of(&broker, "Files").until("STORAGE_DIR is a path below a folder");
}
