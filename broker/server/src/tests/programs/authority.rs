//! Effects of runs that are under way while something happens to what runs, through real sockets
//! and commands.

use std::io::{Cursor, Write as _};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lot_to_wasm::{CompileOptions, Form};
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use serde_json::Value;

use crate::testing::{PATIENCE, Running, connect, receive};
use lotmq_programs::HasPrograms as _;

/// Body of every program here: a command that only a manager of users may give, a plain message and
/// a sign that it has begun. Then it waits for a route, at most 5 s each time.
const EFFECTS: &str = "    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-addUser evil password\"
    PUBLISH TOPIC \"plain\" WITH \"out\"
    KEEP ENV \"BEGAN\" WITH \"yes\"
    SET \"rows\" WITH GET MODEL \"A\" FROM \"Db\"
    SET \"rows\" WITH GET MODEL \"B\" FROM \"Db\"
    SET \"rows\" WITH GET MODEL \"C\" FROM \"Db\"
";

struct World {
    running: Running,
    root: Client,
    watcher: Client,
    /// Effects that had been dropped before the run.
    dropped_before: u64,
}

/// Adds a user with a fixed password, who may configure the system but not manage users.
fn add_user(root: &mut Client, name: &str) {
    ok(root, &format!("-addUser {name} password"));
    ok(root, &format!("-changeUserSettings {name} AllowedSystemConfiguration true"));
}

impl World {
    fn new() -> World {
        let running = Running::start("os");
        let mut root = user(&running, "root", "coreflux");
        add_user(&mut root, "cfg");
        ok(
            &mut root,
            "-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH DELAY 59000",
        );
        // Nobody waits for a route that is not open.
        eventually("the route is open", || ok(&mut root, "-listRoutes").contains("\"Connected\""));
        let mut watcher = running.client("watcher");
        watcher.subscribe_to("plain", QoS::AtMostOnce).unwrap();
        World { running, root, watcher, dropped_before: 0 }
    }

    fn user(&self, name: &str) -> Client {
        user(&self.running, name, "password")
    }

    /// Starts what waits for `start`, and returns when its run is under way.
    fn start(&mut self) {
        self.dropped_before = self.running.server.broker.core.counters.guest_effects_dropped.get();
        self.root.publish(&Publication::new("start", "1").qos(QoS::AtLeastOnce)).unwrap();
        let tenant = self.running.server.broker.hosting.tenants.default_tenant();
        eventually("the run begins", || tenant.programs().variables.environment("BEGAN").is_some());
        let route = tenant.programs().guests.route("Db").expect("it was added");
        let end = Instant::now() + PATIENCE;
        // A run that does not wait has ended, and what happens next would not happen while it is
        // under way.
        while route.rests() {
            if Instant::now() > end {
                let told = command(&mut self.root, "-lotDiagnostic Run");
                panic!(
                    "the run does not wait for the route: {told} {}",
                    command(&mut self.root, "-listRoutes")
                );
            }
            std::thread::yield_now();
        }
    }

    /// Lets the run end. Whether its plain message went out, whether its command was carried out,
    /// and whether effects of it were dropped.
    fn end(&mut self) -> (bool, bool, bool) {
        let broker = std::sync::Arc::clone(&self.running.server.broker);
        let before = self.dropped_before;
        // The route's end is that of the wait.
        ok(&mut self.root, "-removeRoute Db");
        let is_dropped = || broker.core.counters.guest_effects_dropped.get() >= before + 2;
        let mut is_out = false;
        eventually("the run has ended", || {
            is_out = self.watcher.receive(Duration::from_millis(10)).unwrap().is_some();
            is_out || is_dropped()
        });
        self.root.publish(&Publication::new("plain", "barrier").qos(QoS::AtLeastOnce)).unwrap();
        while receive(&mut self.watcher).1 != "barrier" {
            is_out = true;
        }
        let is_added = |root: &mut Client| ok(root, "-listUsers").contains("\"evil\"");
        let end = Instant::now() + PATIENCE;
        // Commands of guests have a queue of their own.
        while is_out && !is_added(&mut self.root) {
            if Instant::now() > end {
                let told = command(&mut self.root, "-lotDiagnostic Run");
                panic!("the command is not carried out: {told} {}", command(&mut self.root, "-listRoutes"));
            }
        }
        (is_out, is_added(&mut self.root), is_dropped())
    }
}

pub(crate) fn user(running: &Running, name: &str, password: &str) -> Client {
    let mut client = connect(running.address(), &ConnectOptions::v5(name).user(name, password));
    client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    client
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Gives a command; its reply.
fn command(client: &mut Client, text: &str) -> Value {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let id = format!("r{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let text = format!("{text} -requestId {id}");
    client.publish(&Publication::new("$SYS/Coreflux/Command", text).qos(QoS::AtLeastOnce)).unwrap();
    loop {
        let (topic, payload) = receive(client);
        let Ok(reply) = serde_json::from_str::<Value>(&payload) else { continue };
        if topic == "$SYS/Coreflux/Command/Output" && reply["requestId"] == *id {
            return reply;
        }
    }
}

pub(crate) fn ok(client: &mut Client, text: &str) -> String {
    let reply = command(client, text);
    assert_eq!(reply["success"], true, "{text}: {reply}");
    reply.to_string()
}

pub(crate) fn code(client: &mut Client, text: &str) -> String {
    command(client, text)["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
}

/// A definition that runs for `start`.
fn triggered(name: &str) -> String {
    format!("DEFINE ACTION {name}\nON TOPIC \"start\" DO\n{EFFECTS}")
}

/// The same as two Actions, of which the first one does nothing itself.
fn called() -> (String, String) {
    let callee = format!("DEFINE ACTION Limits\nDO\n{EFFECTS}");
    let caller = "DEFINE ACTION Range\nON TOPIC \"start\" DO\n    CALL ACTION Limits\n";
    (callee, caller.to_owned())
}

const NOTHING: &str = "DEFINE ACTION Run\nON TOPIC \"other\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n";

#[test]
fn output_of_a_removed_callee_is_dropped() {
    let mut world = World::new();
    let (callee, caller) = called();
    let mut cfg = world.user("cfg");
    ok(&mut cfg, &format!("-addAction {callee}"));
    ok(&mut world.root, &format!("-addAction {caller}"));
    world.start();
    ok(&mut cfg, "-removeAction Limits");
    assert_eq!(world.end(), (false, false, true));
    world.running.server.stop();
}

#[test]
fn output_of_a_replaced_callee_is_dropped_and_reported_to_its_caller() {
    let mut world = World::new();
    let (callee, caller) = called();
    let mut cfg = world.user("cfg");
    ok(&mut cfg, &format!("-addAction {callee}"));
    ok(&mut world.root, &format!("-addAction {caller}"));
    world.start();
    let new = "DEFINE ACTION Limits\nDO\n    PUBLISH TOPIC \"o\" WITH 1\n";
    let refused = command(&mut world.root, &format!("-addAction {new}"));
    assert_eq!(refused["errors"][0]["code"], "OF_ANOTHER");
    assert_eq!(refused["message"], "Action 'Limits' belongs to user 'cfg'. Use -replace to take it over.");
    ok(&mut world.root, &format!("-addAction -replace {new}"));
    assert_eq!(world.end(), (false, false, true));
    // A run of that user's code wrote it; the current Action of that name did not.
    assert!(ok(&mut world.root, "-lotDiagnostic Range").contains("AUTHORITY_GONE"));
    assert!(!ok(&mut world.root, "-lotDiagnostic Limits").contains("AUTHORITY_GONE"));
    world.running.server.stop();
}

#[test]
fn output_from_before_a_change_of_owner_is_dropped() {
    let mut world = World::new();
    let mut cfg = world.user("cfg");
    ok(&mut cfg, &format!("-addAction {}", triggered("Run")));
    world.start();
    ok(&mut world.root, &format!("-addAction -replace {NOTHING}"));
    assert_eq!(world.end(), (false, false, true));
    world.running.server.stop();
}

#[test]
fn output_from_before_a_replacement_by_the_owner_is_published() {
    let mut world = World::new();
    ok(&mut world.root, &format!("-addAction {}", triggered("Run")));
    world.start();
    ok(&mut world.root, &format!("-addAction {NOTHING}"));
    assert_eq!(world.end(), (true, true, false));
    world.running.server.stop();
}

#[test]
fn output_for_a_removed_user_is_dropped_even_after_name_reuse() {
    for is_added_again in [false, true] {
        let mut world = World::new();
        let mut cfg = world.user("cfg");
        ok(&mut cfg, &format!("-addAction {}", triggered("Run")));
        ok(&mut world.root, "-changeUserSettings cfg AllowedUserManagement true");
        world.start();
        ok(&mut world.root, "-removeUser cfg");
        if is_added_again {
            add_user(&mut world.root, "cfg");
            ok(&mut world.root, "-changeUserSettings cfg AllowedUserManagement true");
        }
        assert_eq!(world.end(), (false, false, true), "{is_added_again}");
        // Nobody's now: whoever may deploy has it.
        ok(&mut world.root, &format!("-addAction {NOTHING}"));
        world.running.server.stop();
    }
}

#[test]
fn a_new_password_of_the_owner_changes_nothing() {
    let mut world = World::new();
    let mut cfg = world.user("cfg");
    ok(&mut world.root, "-changeUserSettings cfg AllowedUserManagement true");
    ok(&mut cfg, &format!("-addAction {}", triggered("Run")));
    world.start();
    ok(&mut world.root, "-changeUserPassword cfg otherpassword");
    assert_eq!(world.end(), (true, true, false));
    world.running.server.stop();
}

/// A Model takes part in a run in two ways: what it wrote itself is its own, and what it made for a
/// caller is the caller's.
#[test]
fn a_model_is_published_for_who_publishes_it() {
    let mut world = World::new();
    let mut cfg = world.user("cfg");
    ok(&mut cfg, "-addModel DEFINE MODEL Made COLLAPSED\n    ADD STRING \"a\"\n");
    let publish = "PUBLISH MODEL Made TO \"plain\" WITH a = \"out\"";
    let source = triggered("Run").replace("PUBLISH TOPIC \"plain\" WITH \"out\"", publish);
    ok(&mut world.root, &format!("-addAction {source}"));
    world.start();
    ok(&mut cfg, "-removeModel Made");
    assert_eq!(world.end(), (true, true, false));
    world.running.server.stop();
}

fn project(source: &str) -> String {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("a.lot", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(source.as_bytes()).unwrap();
    STANDARD.encode(zip.finish().unwrap().into_inner())
}

#[test]
fn a_project_that_is_loaded_anew_counts_by_who_has_stored_it() {
    for (by, expected) in [("cfg", (false, false, true)), ("root", (true, true, false))] {
        let mut world = World::new();
        let mut cfg = world.user("cfg");
        let first = if by == "cfg" { &mut cfg } else { &mut world.root };
        ok(first, &format!("-addProject zip64:{} plant load", project(&triggered("Run"))));
        world.start();
        let anew = format!("-addProject zip64:{} plant load", project(NOTHING));
        if by == "cfg" {
            assert_eq!(code(&mut world.root, &anew), "OF_ANOTHER");
            ok(&mut world.root, &format!("{anew} -replace"));
        } else {
            ok(&mut world.root, &anew);
        }
        assert_eq!(world.end(), expected, "{by}");
        world.running.server.stop();
    }
}

#[test]
fn a_project_is_deployed_for_who_has_stored_it() {
    let mut world = World::new();
    let mut cfg = world.user("cfg");
    let gives = "DEFINE ACTION Give\nON TOPIC \"start\" DO\n    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-addUser evil password\"\n    PUBLISH TOPIC \"plain\" WITH \"out\"\n";
    let stored = command(&mut cfg, &format!("-addProject zip64:{} plant", project(gives)));
    assert_eq!(stored["data"]["owner"], "cfg");
    assert_eq!(stored["data"]["sha256"].as_str().map(str::len), Some(64));
    let loaded = command(&mut world.root, "-loadProject plant");
    assert_eq!((&loaded["success"], &loaded["data"]["owner"]), (&true.into(), &"cfg".into()));
    let tenant = world.running.server.broker.hosting.tenants.default_tenant();
    let owner = |name: &str| {
        let registry = tenant.programs().guests.registry.read();
        let found = registry.get(lotmq_definitions::DefinitionKind::Action, name);
        found.and_then(|found| found.owner().map(|owner| owner.name.to_string()))
    };
    assert_eq!(owner("Give").as_deref(), Some("cfg"));
    world.root.publish(&Publication::new("start", "1").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(receive(&mut world.watcher).1, "out");
    // A new project does not replace projects of other users. It leaves alone what other users have
    // deployed by hand.
    let other = project(&gives.replace("Give", "Own"));
    assert_eq!(code(&mut world.root, &format!("-addProject zip64:{other} plant")), "OF_ANOTHER");
    ok(&mut world.root, "-unloadProject -force");
    ok(&mut cfg, "-addAction DEFINE ACTION Own\nON TOPIC \"x\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n");
    assert_eq!(code(&mut world.root, &format!("-addProject zip64:{other} mine load")), "OF_ANOTHER");
    assert_eq!(owner("Own").as_deref(), Some("cfg"));
    ok(&mut world.root, "-loadProject mine -replace");
    assert_eq!(owner("Own").as_deref(), Some("root"));
    // Of a user who is gone nobody takes over the authority.
    ok(&mut world.root, "-removeUser cfg");
    add_user(&mut world.root, "cfg");
    assert_eq!(code(&mut world.root, "-loadProject plant"), "OWNER_GONE");
    assert!(!ok(&mut world.root, "-listUsers").contains("evil"));
    world.running.server.stop();
}

#[test]
fn a_project_deploys_rules_only_for_who_may_add_rules() {
    let mut world = World::new();
    ok(
        &mut world.root,
        "-addRule DEFINE RULE NoRules WITH PRIORITY 5 FOR RuleManagementCreation\n    IF USER IS \"cfg\" THEN\n        DENY\n",
    );
    let mut cfg = world.user("cfg");
    let rule = project("DEFINE RULE Open WITH PRIORITY 1 FOR Publish TO TOPIC \"closed/#\"\n    ALLOW\n");
    assert_eq!(code(&mut cfg, &format!("-addProject zip64:{rule} plant load")), "PERMISSION_DENIED");
    // Another user does not lend the right either.
    assert_eq!(code(&mut world.root, "-loadProject plant"), "PERMISSION_DENIED");
    assert!(!ok(&mut world.root, "-listRules").contains("\"Open\""));
    world.running.server.stop();
}

#[test]
fn a_project_takes_rules_with_it_only_for_who_may_remove_rules() {
    let mut world = World::new();
    let deny = "-addRule DEFINE RULE KeepRules WITH PRIORITY 5 FOR RuleManagementRemove\n    IF USER IS \"cfg\" THEN\n        DENY\n";
    ok(&mut world.root, deny);
    let rule = project("DEFINE RULE Shut WITH PRIORITY 1 FOR Publish TO TOPIC \"closed/#\"\n    DENY\n");
    ok(&mut world.root, &format!("-addProject zip64:{rule} plant load"));
    let mut cfg = world.user("cfg");
    let other = project(NOTHING);
    for command in [
        "-removeRule Shut".to_owned(),
        "-unloadProject plant".to_owned(),
        format!("-addProject zip64:{other} other load"),
        format!("-addProject zip64:{other} plant load -replace"),
    ] {
        assert_eq!(code(&mut cfg, &command), "PERMISSION_DENIED", "{command}");
        assert!(ok(&mut world.root, "-listRules").contains("\"Shut\""), "{command}");
    }
    ok(&mut world.root, "-removeRule KeepRules");
    assert_eq!(code(&mut cfg, "-unloadProject plant"), "OF_ANOTHER");
    ok(&mut cfg, "-unloadProject plant -force");
    assert!(!ok(&mut world.root, "-listRules").contains("\"Shut\""));
    world.running.server.stop();
}

mod taken_over;
