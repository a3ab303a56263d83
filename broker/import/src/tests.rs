use std::fs;

use lot_to_wasm::{CompileOptions, Severity};

use super::*;

const HASH: &str = "$7$101$ZjklghzZficO+EZQ$I1wC5h9KsLwpfBJjnXbd9kNU4937luUhZ0Rvg3hjjxyXeNkNYFZtgli0HqfhOXcHF+FVUTYtLOudv0GDtchH6g==";

fn import(name: &str, text: &str) -> Import {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    read(&file).unwrap()
}

fn remarks(import: &Import) -> Vec<String> {
    let told = |remark: &Remark| format!("{} {}", remark.line, remark.text);
    import.remarks.iter().map(told).collect()
}

/// The names of the rules of a text, which compiles.
fn rules(text: &str) -> Vec<String> {
    let compilation = lot_to_wasm::compile(text, &CompileOptions::default());
    let found = compilation.entities.iter().flat_map(|entity| &entity.diagnostics);
    let errors: Vec<_> = found
        .chain(&compilation.diagnostics)
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    compilation.entities.iter().map(|entity| entity.name.clone()).collect()
}

#[test]
fn password_file_becomes_users_and_hides_what_is_no_hash() {
    let text =
        format!("# users\nann:{HASH}\nben:unhashed\nroot:{HASH}\nann:{HASH}\ncy+:{HASH}\n\nno colon\n");
    // A line without a colon makes it another kind of file, so that one is read by itself.
    let mut collected = Gathered::default();
    password_file::read(Path::new("p"), &text, &mut collected);
    let found = collected.finish();
    assert_eq!(found.users.iter().map(|user| &*user.name).collect::<Vec<_>>(), ["ann"]);
    let told = remarks(&found);
    assert!(told[0].starts_with("3 user \"ben\" has no hash"), "{told:?}");
    assert!(told[1].contains("user root") && told[2].contains("twice"), "{told:?}");
    assert!(!format!("{found:?}").contains("unhashed") && !format!("{found:?}").contains(HASH), "{found:?}");
    assert_eq!(FileKind::of(&format!("ann:{HASH}\n")), FileKind::Passwords);
}

#[test]
fn access_file_becomes_rules_that_compile() {
    let found = import(
        "acl",
        "topic read public/#\nuser ann\ntopic sensors/#\ntopic deny sensors/secret\nuser Ben Lee\ntopic write in/a b\n\
         user cy\ntopic sensors/#\npattern readwrite home/%u/#\npattern read dev/%c/state\n\
         pattern write x/dev-%c\ntopic read $SYS/#\ntopic read a/#/b\ntopic\nwhatever x\n",
    );
    let names = rules(&found.rules);
    assert_eq!(names.last().map(String::as_str), Some("MosquittoSubscribeRest"));
    for part in [
        "FOR Subscribe TO TOPIC \"public/#\"\n    IF NOT USER IS NOT \"\" THEN\n        ALLOW",
        "FOR Publish TO TOPIC \"sensors/#\"\n    IF USER IS \"ann\" OR USER IS \"cy\" THEN\n        ALLOW",
        "WITH PRIORITY 200 FOR Subscribe TO TOPIC \"sensors/secret\"\n    IF USER IS \"ann\" THEN\n        DENY",
        "FOR Publish TO TOPIC \"in/a b\"\n    IF USER IS \"Ben Lee\" THEN",
        "FOR Subscribe TO TOPIC \"home/+/#\"\n    IF USER IS TOPIC POSITION 2 THEN",
        "FOR Subscribe TO TOPIC \"dev/+/state\"\n    IF CLIENTID IS TOPIC POSITION 2 THEN",
        "MosquittoPublishRest WITH PRIORITY 990000 FOR Publish\n    DENY",
    ] {
        assert!(found.rules.contains(part), "{part}\nin\n{}", found.rules);
    }
    let told = remarks(&found);
    let expected = [
        ("11 ", "whole levels"),
        ("12 ", "belongs to the broker"),
        ("13 ", "no valid filter"),
        ("14 ", "no valid filter"),
        ("15 ", "no word of an ACL file"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, (line, part)) in told.iter().zip(expected) {
        assert!(told.starts_with(line) && told.contains(part), "{told}");
    }
}

#[test]
fn dynamic_security_keeps_the_order_of_its_entries() {
    let [_, _, iterations, salt, hash] = HASH.split('$').collect::<Vec<_>>()[..] else {
        panic!("five parts")
    };
    let text = format!(
        r##"{{"defaultACLAccess":{{"publishClientSend":false,"publishClientReceive":true,"subscribe":false,"unsubscribe":true}},
        "clients":[{{"username":"ann","clientid":"press-1","password":"{hash}","salt":"{salt}","iterations":{iterations},
        "roles":[{{"rolename":"own","priority":1}}],"groups":[{{"groupname":"ops","priority":2}}]}},
        {{"username":"off","disabled":true,"password":"x","salt":"y"}},{{"username":"bare"}}],
        "groups":[{{"groupname":"ops","roles":[{{"rolename":"all","priority":5}}]}}],
        "roles":[{{"rolename":"own","acls":[{{"acltype":"publishClientSend","topic":"a/%u/#","priority":0,"allow":true}},
        {{"acltype":"publishClientSend","topic":"a/+/secret","priority":9,"allow":false}},
        {{"acltype":"unsubscribePattern","topic":"#","allow":false}}]}},
        {{"rolename":"all","acls":[{{"acltype":"subscribePattern","topic":"a/#","allow":true}},
        {{"acltype":"publishClientReceive","topic":"#","allow":true}},
        {{"acltype":"publishClientSend","topic":"$CONTROL/dynamic-security/#","allow":true}}]}}]}}"##
    );
    let found = import("dynamic-security.json", &text);
    let user = &found.users[0];
    assert_eq!((&*user.name, &*user.hash, &user.groups[..]), ("ann", HASH, &["ops".to_owned()][..]));
    assert_eq!(found.users.len(), 1);
    rules(&found.rules);
    let place = |part: &str| found.rules.find(part).unwrap_or_else(|| panic!("{part}\n{}", found.rules));
    let denied =
        place("PRIORITY 200 FOR Publish TO TOPIC \"a/+/secret\"\n    IF USER IS \"ann\" THEN\n        DENY");
    let allowed = place(
        "PRIORITY 201 FOR Publish TO TOPIC \"a/+/#\"\n    IF USER IS \"ann\" AND USER IS TOPIC POSITION 2 THEN",
    );
    assert!(denied < allowed);
    place("FOR Subscribe TO TOPIC \"a/#\"\n    IF USER IN GROUP \"ops\" THEN\n        ALLOW");
    place("FOR Connect\n    IF USER IS \"ann\" AND NOT CLIENTID IS \"press-1\" THEN\n        DENY");
    place("MosquittoSubscribeRest WITH PRIORITY 990000 FOR Subscribe\n    DENY");
    let told = remarks(&found).join("\n");
    for part in
        ["\"off\" is disabled", "\"bare\" has no password", "unsubscribePattern", "belongs to the broker"]
    {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn configuration_becomes_settings_and_follows_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    file("passwords", &format!("ann:{HASH}\n"));
    file("acl", "user ann\ntopic a/#\n");
    file("conf.d/more.conf", "max_packet_size 2000000\n");
    file("conf.d/other.txt", "max_packet_size 3000000\n");
    file(
        "mosquitto.conf",
        "user mosquitto\npersistence true\npersistence_location /var/lib/mosquitto/\nlistener 1883 127.0.0.1\n\
         listener 1883 10.0.0.5\nlistener 1884\nlistener 8883\ncafile /c/ca.pem\ncertfile /c/server.pem\n\
         keyfile /c/server.key\nrequire_certificate true\nuse_identity_as_username true\nlistener 9001\n\
         protocol websockets\npassword_file passwords\nacl_file acl\ninclude_dir conf.d\n\
         max_queued_messages 0\nmax_inflight_messages 20\npersistent_client_expiration 2w\nlog_type all\n\
         connection cloud\naddress far:1883\ntopic # out\nbridge_cafile x\nlistener 0 /run/mosquitto.sock\n\
         plugin /usr/lib/other.so\npsk_file p\nacl_file missing\n",
    );
    let found = read(&folder.path().join("mosquitto.conf")).unwrap();
    let settings: toml::Table = found.settings.parse().unwrap();
    let expected: toml::Table = r#"
        [auth]
        anonymous = false
        [limits]
        max_packet_size = 2000000
        send_window = 20
        session_expiry_max = "14d"
        [listener.mqtt]
        port = 1883
        bind = ["127.0.0.1", "10.0.0.5"]
        [listener.mqtts]
        port = 8883
        bind = ["0.0.0.0", "::"]
        client_certificate = "required"
        user_from_certificate = "common-name"
        [listener.ws]
        port = 9001
        bind = ["0.0.0.0", "::"]
        [listener.unix]
        path = "/run/mosquitto.sock"
        [tls]
        certificate = "/c/server.pem"
        key = "/c/server.key"
        client_ca = "/c/ca.pem"
    "#
    .parse()
    .unwrap();
    assert_eq!(settings, expected, "{}", found.settings);
    assert_eq!(found.users.len(), 1);
    assert!(found.rules.contains("TO TOPIC \"a/#\""), "{}", found.rules);
    let told = remarks(&found).join("\n");
    for part in [
        "--data DIR",
        "port 1884 is left out",
        "queue_messages takes 1 to",
        "bridge \"cloud\"",
        "plugin \"/usr/lib/other.so\"",
        "`psk_file` has no equal",
        "missing",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    assert_eq!(found.remarks.len(), 7, "{told}");
}

#[test]
fn broken_files_are_errors_without_their_contents() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f");
    let error = read(&file).unwrap_err().to_string();
    assert!(error.contains("cannot read"), "{error}");
    fs::write(&file, b"\xff\xfe").unwrap();
    assert!(read(&file).unwrap_err().to_string().ends_with("is not text in UTF-8"));
    fs::write(&file, "{\"clients\": \"s3cret\"}").unwrap();
    let error = read(&file).unwrap_err().to_string();
    assert!(error.contains("line 1") && !error.contains("s3cret"), "{error}");
    fs::write(&file, format!("include_dir {}\n", folder.path().display())).unwrap();
    fs::write(folder.path().join("loop.conf"), format!("include_dir {}\n", folder.path().display())).unwrap();
    let found = read(&file).unwrap();
    assert!(remarks(&found).join("\n").contains("more than 1000 files"));
}
