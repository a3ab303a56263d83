//! Life cycle, triggers and caching of definitions, LoT reference §1, §6, §7.

use lot_facts::{Facts, Interval, Kind, Trigger};
use proptest::prelude::*;

use super::*;
use crate::definition::Owner;
use crate::fixture::{World, action, definition, names, needs, on_topic, topic_facts};
use crate::last_values::ValueKeeper;

#[test]
fn messages_start_what_matches_in_order_of_deployment() {
    let mut world = World::new();
    world.add(on_topic("Hot", &["s/+/t"]));
    world.add(on_topic("All", &["#"]));
    world.add(on_topic("Two", &["s/k1/+", "s/+/t"]));
    world.add(action("Changed", Trigger::Change { filters: vec!["x/+".into()] }));
    world.add(on_topic("Sys", &["$SYS/broker/#"]));
    for (topic, expected) in [
        ("s/k1/t", ["Hot", "All", "Two"].as_slice()), // Two once, though both filters match
        ("s/k2/t", &["Hot", "All", "Two"]),
        ("s/k1/x/t", &["All"]),
        ("x/a", &["All", "Changed"]),
        ("$SYS/broker/uptime", &["Sys"]), // a leading wildcard does not match $… topics
        ("$foo", &[]),
    ] {
        assert_eq!(world.matching(topic), expected, "{topic}");
    }
}

#[test]
fn silence_is_watched_while_its_definition_is_armed() {
    let silence = |filters: &[&str]| Trigger::Silence {
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        after_ms: 30_000,
    };
    let mut world = World::loading(RegistryOptions::new(TimeZone::UTC));
    world.add(action("Lost", silence(&["p/+/beat", "p/a/+", "gate"])));
    world.add(on_topic("Other", &["#"]));
    world.pass(20);
    world.registry.finish_loading(world.now);
    assert_eq!(
        (world.matching("p/a/beat"), world.matching("gate")),
        (vec!["Other".into()], vec!["Other".into()])
    );
    let watches = |world: &World, topic: &str| {
        let mut found = Vec::new();
        world.registry.silence_watches(topic, &mut found);
        found
    };
    assert_eq!((watches(&world, "p/a/beat").len(), watches(&world, "q").len()), (1, 0));
    watches(&world, "p/a/beat")[0].ear(&Arc::from("p/a/beat")).hears(26_000);
    let silent = |world: &mut World| {
        let mut found = Vec::new();
        for watch in world.registry.all_silence_watches() {
            watch.due(world.now.elapsed, usize::MAX, |topic| found.push(topic.to_string()));
        }
        found
    };
    assert_eq!(
        world.registry.next_timeout(world.now),
        Some(Duration::from_secs(30)),
        "not from the loading on"
    );
    world.pass(30);
    assert_eq!(silent(&mut world), ["gate"]);
    world.pass(1);
    assert_eq!(silent(&mut world), ["p/a/beat"]);
    assert_eq!(world.registry.next_timeout(world.now), None);
    // A new version counts anew, one that is switched off does not count.
    world.add(action("Lost", silence(&["gate"])));
    world.registry.set_disabled(DefinitionKind::Action, "Lost", true, world.now).unwrap();
    assert_eq!((watches(&world, "gate").len(), world.registry.next_timeout(world.now)), (0, None));
    world.registry.set_disabled(DefinitionKind::Action, "Lost", false, world.now).unwrap();
    assert_eq!(world.registry.next_timeout(world.now), Some(Duration::from_secs(30)));
    world.remove("Lost");
    assert_eq!((watches(&world, "gate").len(), world.registry.next_timeout(world.now)), (0, None));
}

#[test]
fn silence_that_began_before_a_restart_is_reported_after_it() {
    let silence = |after_ms| Trigger::Silence { filters: vec!["p/+/beat".into(), "gate".into()], after_ms };
    let hears = |world: &World, topic: &str, at_ms: u64| {
        let mut found = Vec::new();
        world.registry.silence_watches(topic, &mut found);
        found[0].ear(&Arc::from(topic)).hears(at_ms);
    };
    let silent = |world: &World| {
        let mut found = Vec::new();
        for watch in world.registry.all_silence_watches() {
            watch.due(world.now.elapsed, usize::MAX, |topic| found.push(topic.to_string()));
        }
        found
    };
    let save = |world: &World| world.registry.all_silence_watches().for_each(|watch| watch.save_all());
    let restarted = |before: &World, after_ms: u64| {
        let mut world = World::loading(RegistryOptions::new(TimeZone::UTC));
        before.registry.values().each_kept(|topic, kept| {
            world.registry.values().restore_kept(kept.keeper, topic, kept.payload);
        });
        world.add(action("Lost", silence(after_ms)));
        world.pass(100);
        world.registry.finish_loading(world.now);
        world
    };
    let kept = |world: &World| world.registry.values().figures().keep_topics;
    let mut before = World::new();
    before.add(action("Lost", silence(30_000)));
    hears(&before, "p/told/beat", 5_000);
    save(&before);
    before.pass(30);
    assert_eq!(silent(&before), ["gate", "p/told/beat"]);
    hears(&before, "p/lost/beat", 35_000);
    hears(&before, "p/back/beat", 35_000);
    hears(&before, "gate", 35_000);
    save(&before);
    assert_eq!(kept(&before), 2, "what is named needs no row, and what was told has none");
    // The broker itself was silent meanwhile: time counts from the start on.
    let mut after = restarted(&before, 30_000);
    assert_eq!(silent(&after), [""; 0]);
    after.pass(20);
    hears(&after, "p/back/beat", 125_000);
    after.pass(10);
    assert_eq!(silent(&after), ["gate", "p/lost/beat"]);
    after.pass(20);
    assert_eq!(silent(&after), ["p/back/beat"]);
    save(&after);
    assert_eq!(kept(&after), 0);
    // A new version goes on with the same trigger; another one begins anew, and who removes it
    // forgets.
    let mut after = restarted(&before, 30_000);
    after.add(action("Lost", silence(30_000)));
    after.pass(30);
    assert_eq!(silent(&after).len(), 3);
    let mut after = restarted(&before, 10_000);
    after.pass(10);
    assert_eq!((silent(&after), kept(&after)), (vec!["gate".to_owned()], 0));
    let mut after = restarted(&before, 30_000);
    assert_eq!(kept(&after), 2);
    after.remove("Lost");
    assert_eq!(kept(&after), 0);
}

#[test]
fn on_change_remembers_per_version() {
    let mut world = World::new();
    let facts = action("C", Trigger::Change { filters: vec!["x/+".into()] });
    let first = world.add(facts.clone()).definition;
    let fires: Vec<bool> =
        ["1", "1", "2", "2", "1"].iter().map(|p| first.fires("x/a", p.as_bytes())).collect();
    assert_eq!(fires, [true, false, true, false, true]);
    assert!(first.fires("x/b", b"1"), "another topic is another memory");
    let second = world.add(facts).definition;
    assert!(second.fires("x/a", b"1"), "the memory starts empty at deploy");
    let plain = world.add(on_topic("P", &["x/+"])).definition;
    assert!(plain.fires("x/a", b"1") && plain.fires("x/a", b"1"));
}

#[test]
fn replacing_is_atomic_and_keeps_the_id() {
    let mut world = World::new();
    let first = world.add(on_topic("A", &["old"]));
    let second = world.add(on_topic("A", &["new"]));
    assert_eq!((first.definition.version, second.definition.version), (1, 2));
    assert_eq!(first.definition.id, second.definition.id);
    assert_eq!(second.replaced.map(|old| old.version), Some(1));
    assert_eq!(names(&second.changed.disarmed), ["A"]);
    assert_eq!((world.matching("old"), world.matching("new")), (vec![], vec!["A".to_owned()]));
    world.remove("A");
    let third = world.add(on_topic("A", &["new"])).definition;
    assert_ne!(third.id, first.definition.id, "removed and added again is another definition");
    assert_eq!(third.version, 1);
}

#[test]
fn a_replacement_keeps_its_place_in_the_load_order() {
    let mut world = World::new();
    let mut add = |name: &str, order, account| {
        let owner = Some(Owner { name: "ann".into(), account });
        let new = NewDefinition { owner, order, ..definition(on_topic(name, &["a"])) };
        world.registry.install(new, OnExisting::Replace, world.now).unwrap().definition.order
    };
    assert_eq!(add("Restored", Some(7), 1), 7);
    assert_eq!(add("Earlier", Some(3), 1), 3);
    assert_eq!(add("New", None, 1), 8, "behind all others");
    assert_eq!(add("Earlier", None, 1), 3);
    assert_eq!(add("Earlier", None, 2), 9, "another owner has another definition");
}

#[test]
fn new_owner_gets_a_new_definition_id() {
    let mut world = World::new();
    let owner = |name: &str, account| Some(Owner { name: name.into(), account });
    let mut add = |owner: Option<Owner>| {
        let new = NewDefinition { owner, ..definition(on_topic("A", &["a"])) };
        world.registry.install(new, OnExisting::Replace, world.now).unwrap()
    };
    let first = add(owner("ann", 1)).definition;
    let again = add(owner("ann", 1)).definition;
    assert_eq!((again.id, again.version), (first.id, 2));
    assert!(first.acts_for(1), "what an older version of his wrote is his");
    for new_owner in [owner("ann", 2), owner("bob", 3), None] {
        let account = new_owner.as_ref().map_or(0, |owner| owner.account);
        let installed = add(new_owner);
        let (before, now) = (installed.replaced.unwrap(), installed.definition);
        assert_ne!(now.id, before.id);
        assert_eq!(now.version, before.version + 1);
        assert!(!before.acts_for(before.account()) && now.acts_for(account));
    }
    assert_eq!(world.matching("a"), ["A"]);
    assert_eq!(world.registry.count(DefinitionKind::Action), 1);
    let removed = world.remove("A").definition;
    assert!(!removed.acts_for(0), "nobody's is gone, too");
}

#[test]
fn refused_change_changes_nothing() {
    let mut world = World::new();
    world.add(on_topic("A", &["a"]));
    let generation = world.registry.generation();
    let rule = |name: &str| definition(Facts::new(Kind::Rule, name));
    world.registry.install(rule("R"), OnExisting::Refuse, world.now).unwrap();
    let refused = world.registry.install(rule("R"), OnExisting::Refuse, world.now).unwrap_err();
    assert_eq!(refused.to_string(), "A rule with the name 'R' already exists");
    world.registry.install(rule("R"), OnExisting::Replace, world.now).unwrap();

    let broken = definition(on_topic("A", &["a/#/b"]));
    let error = world.registry.install(broken, OnExisting::Replace, world.now).unwrap_err();
    assert!(matches!(&error, InstallError::FilterInvalid { filter, .. } if filter == "a/#/b"), "{error}");
    assert_eq!(world.matching("a"), ["A"], "a broken upload leaves the old one running");
    assert_ne!(world.registry.generation(), generation);

    let missing = world.registry.remove(DefinitionKind::Action, "Nope", world.now).unwrap_err();
    assert_eq!(missing.to_string(), "Action 'Nope' not found.");
}

#[test]
fn number_of_definitions_is_bounded() {
    let options = RegistryOptions { definitions_max: 2, ..RegistryOptions::new(TimeZone::UTC) };
    let mut world = World::loading(options);
    world.add(on_topic("A", &["a"]));
    world.add(on_topic("B", &["a"]));
    let third = definition(on_topic("C", &["a"]));
    let refused = world.registry.install(third, OnExisting::Replace, world.now).unwrap_err();
    assert_eq!(refused, InstallError::TooMany { limit: 2 });
    world.add(on_topic("A", &["b"]));
}

#[test]
fn an_owner_has_three_quarters_of_the_definitions_that_others_leave() {
    let options = RegistryOptions { definitions_max: 16, ..RegistryOptions::new(TimeZone::UTC) };
    let mut world = World::loading(options);
    let of = |name: String, account: u64| {
        let owner = Some(Owner { name: format!("user{account}").into(), account });
        NewDefinition { owner, ..definition(on_topic(&name, &["a"])) }
    };
    for number in 0..12 {
        let new = of(format!("A{number}"), 1);
        assert_eq!(world.registry.check_share(&new), Ok(()));
        world.registry.install(new, OnExisting::Replace, world.now).unwrap();
    }
    let more = of("More".to_owned(), 1);
    assert_eq!(world.registry.check_share(&more), Ok(()), "what was there before a restart is there again");
    world.registry.finish_loading(world.now);
    let refused = InstallError::TooManyOfOwner { own: 12, max: 12, limit: 16 };
    assert_eq!(world.registry.check_share(&more), Err(refused));
    assert_eq!(world.registry.check_share(&of("A3".to_owned(), 1)), Ok(()), "another version");
    for number in 0..3 {
        let new = of(format!("B{number}"), 2);
        assert_eq!(world.registry.check_share(&new), Ok(()));
        world.registry.install(new, OnExisting::Replace, world.now).unwrap();
    }
    let refused = InstallError::TooManyOfOwner { own: 3, max: 3, limit: 16 };
    assert_eq!(world.registry.check_share(&of("A3".to_owned(), 2)), Err(refused), "also what he takes over");
}

#[test]
fn pending_definition_is_armed_when_its_dependency_arrives() {
    let mut world = World::new();
    let caller = world.add(needs(on_topic("Caller", &["in"]), Kind::Action, "Callee"));
    assert_eq!(caller.state, State::Pending);
    assert_eq!(caller.warnings[0].to_string(), "pending until these are added: Action Callee");
    assert_eq!(world.matching("in"), Vec::<String>::new());
    // Same name, other kind: another name space.
    world
        .registry
        .install(definition(Facts::new(Kind::Model, "Callee")), OnExisting::Replace, world.now)
        .unwrap();
    assert_eq!(world.matching("in"), Vec::<String>::new());

    let callee = world.add(Facts::new(Kind::Action, "Callee"));
    assert_eq!(names(&callee.changed.armed), ["Callee", "Caller"]);
    assert_eq!(world.matching("in"), ["Caller"]);
    assert!(world.registry.pending_status().is_empty());
    assert!(
        world.add(Facts::new(Kind::Action, "Callee")).changed.disarmed.len() == 1,
        "replacing keeps it armed"
    );
    assert_eq!(world.matching("in"), ["Caller"]);

    let removed = world.remove("Callee");
    assert_eq!(names(&removed.changed.disarmed), ["Callee", "Caller"]);
    assert_eq!(world.matching("in"), Vec::<String>::new());
    world.remove("Caller");
    assert_eq!(names(&world.add(Facts::new(Kind::Action, "Callee")).changed.armed), ["Callee"]);
}

#[test]
fn a_definition_waits_for_its_scripts() {
    let mut world = World::new();
    let scripts = ["A", "B"].map(str::to_owned).to_vec();
    let caller = world.add(Facts {
        programs: lot_facts::CalledPrograms { scripts, ..Default::default() },
        ..on_topic("Caller", &["in"])
    });
    assert_eq!(caller.state, State::Pending);
    assert_eq!(caller.warnings[0].to_string(), "pending until these are added: Python A, Python B");
    let registry = &mut world.registry;
    assert!(registry.set_script("A", true, world.now).armed.is_empty());
    assert_eq!(registry.pending_status()[0].missing, ["Python B"]);
    assert_eq!(names(&registry.set_script("B", true, world.now).armed), ["Caller"]);
    assert!(registry.set_script("B", true, world.now).armed.is_empty(), "replaced");
    assert_eq!(world.matching("in"), ["Caller"]);
    let registry = &mut world.registry;
    let report = registry.diagnose(DefinitionKind::Action, "Caller").unwrap();
    let needed: Vec<_> =
        report.dependencies.iter().map(|need| (&*need.kind, &*need.name, need.present)).collect();
    assert_eq!(needed, [("python", "A", true), ("python", "B", true)]);
    assert_eq!(names(&registry.set_script("A", false, world.now).disarmed), ["Caller"]);
    assert!(registry.set_script("A", false, world.now).disarmed.is_empty());
    assert_eq!(world.matching("in"), Vec::<String>::new());
}

#[test]
fn definition_that_needs_itself_is_not_pending() {
    let mut world = World::new();
    assert_eq!(world.add(needs(on_topic("Rec", &["in"]), Kind::Action, "Rec")).state, State::Running);
}

#[test]
fn start_runs_after_loading_and_at_deploy() {
    let mut world = World::loading(RegistryOptions::new(TimeZone::UTC));
    assert!(world.add(action("First", Trigger::Start)).changed.starts.is_empty());
    world.add(needs(action("Waits", Trigger::Start), Kind::Action, "Later"));
    world.add(action("Second", Trigger::Start));
    assert_eq!(
        names(&world.registry.finish_loading(world.now)),
        ["First", "Second"],
        "in load order, without the pending"
    );
    assert!(world.registry.finish_loading(world.now).is_empty());
    assert_eq!(names(&world.add(action("Third", Trigger::Start)).changed.starts), ["Third"]);
    assert_eq!(
        names(&world.add(action("Third", Trigger::Start)).changed.starts),
        ["Third"],
        "deployed again"
    );
    let later = world.add(Facts::new(Kind::Action, "Later"));
    assert_eq!(names(&later.changed.starts), ["Waits"]);
    world.remove("Later");
    assert!(world.add(Facts::new(Kind::Action, "Later")).changed.starts.is_empty(), "once per version");
}

#[test]
fn timers_follow_the_life_cycle() {
    let mut world = World::new();
    let beat = action("Beat", Trigger::Every { interval: Interval::Milliseconds(10_000) });
    assert_eq!(world.registry.next_timeout(world.now), None);
    world.add(beat.clone());
    assert_eq!(world.registry.next_timeout(world.now), Some(Duration::from_secs(10)));
    world.pass(10);
    assert_eq!(world.due(), ["Beat"]);
    world.add(needs(beat, Kind::Action, "Missing"));
    world.pass(10);
    assert_eq!(world.due(), Vec::<String>::new(), "pending");
    world.add(Facts::new(Kind::Action, "Missing"));
    world.pass(9);
    assert_eq!(world.due(), Vec::<String>::new(), "one full interval after arming");
    world.pass(1);
    assert_eq!(world.due(), ["Beat"]);
    world.remove("Beat");
    assert_eq!(world.registry.next_timeout(world.now), None);
}

#[test]
fn hooks_cost_nothing_until_there_are_some() {
    let mut world = World::new();
    world.add(on_topic("A", &["a"]));
    assert!(world.registry.hooks().is_empty());
    world.add(action("In", Trigger::Connect));
    world.add(action("Out", Trigger::Disconnect));
    world.add(action("Plant", Trigger::Subscribe { pattern: Some("plant/#".into()) }));
    world.add(action("Every", Trigger::Subscribe { pattern: None }));
    let hooks = world.registry.hooks();
    assert_eq!((names(hooks.connect()), names(hooks.disconnect())), (vec!["In".into()], vec!["Out".into()]));
    for (filter, expected) in [
        ("plant/+/t", ["Plant", "Every"].as_slice()), // wildcards of the filter are plain text
        ("plant/#", &["Plant", "Every"]),
        ("plant", &["Plant", "Every"]),
        ("x/y", &["Every"]),
        ("#", &["Every"]),
        ("+/a", &["Every"]),
        ("$share/g/plant/a", &["Plant", "Every"]),
        ("$SYS/#", &["Every"]),
    ] {
        let found: Vec<String> = hooks.subscribe(filter).map(|d| d.name().to_string()).collect();
        assert_eq!(found, expected, "{filter}");
    }
    for name in ["In", "Out", "Plant", "Every"] {
        world.remove(name);
    }
    assert!(world.registry.hooks().is_empty());
}

#[test]
fn subscribe_pattern_matches_the_filter_as_if_it_were_a_topic() {
    for (pattern, filter, expected) in [
        ("a/#", "a/+/b", true),
        ("a/+", "a/#", true),
        ("a/+", "a/+/b", false),
        ("a/b", "a/+", false),
        ("+/b", "#", false),
        ("#", "a/#", true),
        ("#", "$SYS/#", false),
    ] {
        let mut world = World::new();
        world.add(action("S", Trigger::Subscribe { pattern: Some(pattern.into()) }));
        assert_eq!(world.registry.hooks().subscribe(filter).count() == 1, expected, "{pattern} {filter}");
    }
}

#[test]
fn only_topics_that_somebody_reads_are_cached() {
    let mut world = World::new();
    let values = Arc::clone(world.registry.values());
    let caching = |world: &World, topic: &str| world.registry.caching(topic);
    assert_eq!(caching(&world, "cfg/x"), Caching::Skip);
    let reader = Facts { reads: topic_facts(&["cfg/x", "s/+/h"]), ..on_topic("R", &["in"]) };
    world.add(reader.clone());
    for (topic, expected) in [
        ("cfg/x", Caching::Store),
        ("s/k1/h", Caching::Store),
        ("s/k1/t", Caching::Skip),
        ("in", Caching::Skip), // a trigger is no read
    ] {
        assert_eq!(caching(&world, topic), expected, "{topic}");
    }
    values.publish("cfg/x", b"4");
    world.add(needs(reader.clone(), Kind::Action, "Missing"));
    assert_eq!(caching(&world, "cfg/x"), Caching::Store, "pending is deployed");
    assert!(values.get("cfg/x").is_some(), "replaced by one that reads the same");
    world.add(Facts { reads: topic_facts(&["s/+/h"]), ..reader });
    assert_eq!((caching(&world, "cfg/x"), values.get("cfg/x")), (Caching::Skip, None));
    values.publish("s/k1/h", b"4");
    world.remove("R");
    assert_eq!((caching(&world, "s/k1/h"), values.get("s/k1/h")), (Caching::Skip, None));
}

#[test]
fn kept_topics_are_watched_so_that_the_last_write_wins() {
    let mut world = World::new();
    world.add(Facts { keeps: topic_facts(&["state/+"]), ..on_topic("K", &["in"]) });
    assert_eq!(world.registry.caching("state/a"), Caching::Clear);
    assert_eq!(world.registry.caching("other"), Caching::Skip);
    world.registry.values().restore_kept(ValueKeeper::NOBODY, "other", b"1");
    assert_eq!(world.registry.caching("other"), Caching::Clear, "kept by a definition that is gone");
    world.add(Facts { reads: topic_facts(&["ANY"]), ..on_topic("R", &["in"]) });
    assert_eq!(world.registry.caching("state/a"), Caching::Store);
    world.remove("R");
    assert!(world.registry.values().is_kept("other"), "kept values outlive their readers");
}

#[test]
fn cache_mode_all_caches_everything() {
    let options = RegistryOptions { cache: CacheMode::All, ..RegistryOptions::new(TimeZone::UTC) };
    let mut world = World::loading(options);
    assert_eq!(world.registry.caching("cfg/x"), Caching::Store);
    world.registry.values().publish("cfg/x", b"4");
    world.add(Facts { reads: topic_facts(&["cfg/x"]), ..on_topic("R", &["in"]) });
    world.remove("R");
    assert!(world.registry.values().get("cfg/x").is_some());
}

#[test]
fn definition_without_code_is_armed_until_compiling_it_fails() {
    let mut world = World::new();
    let of = |world: &mut World| {
        let definition = world.add(on_topic("M", &["in"])).definition;
        world.registry.set_compiling(definition.id);
        (definition.id, definition.version)
    };
    let (id, version) = of(&mut world);
    assert_eq!(world.registry.state(id), Some(State::Compiling));
    assert_eq!(world.matching("in"), ["M"]);
    assert!(!world.registry.set_compiled(id, version + 1), "another version is not waited for");
    assert_eq!(world.registry.compiling().count(), 1);
    assert!(world.registry.set_compiled(id, version));
    assert_eq!((world.registry.state(id), world.registry.compiling().count()), (Some(State::Running), 0));

    let (id, version) = of(&mut world);
    let changed = world.registry.set_not_compiled((id, version), "too large", world.now).unwrap();
    assert_eq!((names(&changed.disarmed), world.registry.state(id)), (vec!["M".into()], Some(State::Error)));
    let report = world.registry.diagnose(DefinitionKind::Action, "M").unwrap();
    assert_eq!(report.warnings, ["too large"]);
    world.registry.set_disabled(DefinitionKind::Action, "M", false, world.now).unwrap();
    assert_eq!(world.registry.state(id), Some(State::Error), "there is no code to enable");

    let (id, version) = of(&mut world);
    world.registry.set_disabled(DefinitionKind::Action, "M", true, world.now).unwrap();
    assert!(world.registry.is_compiling(id, version));
    assert_eq!(world.registry.state(id), Some(State::Disabled));
    world.add(on_topic("M", &["in"]));
    assert!(!world.registry.is_compiling(id, version), "a replacement has its code");
}

#[test]
fn disabled_and_failed_definitions_are_disarmed() {
    let mut world = World::new();
    let id = world.add(on_topic("M", &["in"])).definition.id;
    let changed = world.registry.set_disabled(DefinitionKind::Action, "M", true, world.now).unwrap();
    assert_eq!(
        (names(&changed.disarmed), world.registry.state(id)),
        (vec!["M".into()], Some(State::Disabled))
    );
    assert!(world.matching("in").is_empty());
    let changed = world.registry.set_disabled(DefinitionKind::Action, "M", false, world.now).unwrap();
    assert_eq!((names(&changed.armed), world.matching("in")), (vec!["M".into()], vec!["M".into()]));
    world.registry.set_failed(id, "5 traps within 60 s", world.now);
    assert_eq!((world.registry.state(id), world.matching("in").len()), (Some(State::Error), 0));
    assert_eq!(world.add(on_topic("M", &["in"])).state, State::Running, "a replacement starts anew");
    assert!(world.registry.set_failed(DefinitionId(999), "gone", world.now).disarmed.is_empty());
}

#[test]
fn all_definitions_of_a_kind_go_at_once() {
    let mut world = World::new();
    world.add(needs(on_topic("B", &["in"]), Kind::Action, "A"));
    world.add(on_topic("A", &["in"]));
    world.registry.install(definition(Facts::new(Kind::Rule, "R")), OnExisting::Refuse, world.now).unwrap();
    let removed = world.registry.remove_all(DefinitionKind::Action, world.now);
    assert_eq!(removed.iter().map(|r| r.definition.name().to_string()).collect::<Vec<_>>(), ["B", "A"]);
    assert_eq!(world.registry.count(DefinitionKind::Action), 0);
    assert_eq!(world.registry.count(DefinitionKind::Rule), 1);
    assert!(world.matching("in").is_empty());
}

#[test]
fn timer_that_is_past_is_accepted_with_a_warning() {
    let mut world = World::new();
    let date = lot_facts::CalendarDate { year: 2020, month: 1, day: 1 };
    let once = lot_facts::OnceAt { date, time: lot_facts::TimeOfDay::default(), offset_minutes: None };
    let installed = world.add(action("Late", Trigger::Once(once)));
    assert_eq!((installed.state, installed.warnings), (State::Running, vec![Warning::NeverRuns]));
}

proptest! {
    /// After any additions, replacements and removals, matches agree with a plain list of the armed
    /// definitions.
    #[test]
    fn matches_agree_with_a_plain_list(
        steps in prop::collection::vec(
            (0usize..5, 0u8..4, prop::collection::vec("(a|b|\\+)(/(a|b|\\+|#))?", 1..3), prop::option::of(0usize..5)),
            0..30,
        )
    ) {
        let mut world = World::new();
        let mut model: Vec<(usize, Vec<String>, Option<usize>)> = Vec::new();
        for (name, step, filters, needs_name) in steps {
            let text = format!("A{name}");
            if step == 0 {
                let is_there = model.iter().any(|(n, ..)| *n == name);
                prop_assert_eq!(world.registry.remove(DefinitionKind::Action, &text, world.now).is_ok(), is_there);
                model.retain(|(n, ..)| *n != name);
            } else {
                let filter_texts: Vec<&str> = filters.iter().map(String::as_str).collect();
                let facts = on_topic(&text, &filter_texts);
                let facts = match needs_name {
                    Some(other) => needs(facts, Kind::Action, &format!("A{other}")),
                    None => facts,
                };
                world.add(facts);
                match model.iter_mut().find(|(n, ..)| *n == name) {
                    Some(entry) => *entry = (name, filters, needs_name),
                    None => model.push((name, filters, needs_name)),
                }
            }
            for topic in ["a", "b", "a/a", "a/b", "b/b", "a/b/a"] {
                let expected: Vec<String> = model.iter()
                    .filter(|(_, _, wanted)| wanted.is_none_or(|wanted| model.iter().any(|(n, ..)| *n == wanted)))
                    .filter(|(_, filters, _)| filters.iter().any(|f| lotmq_router::filter_matches(f, topic)))
                    .map(|(n, ..)| format!("A{n}"))
                    .collect();
                prop_assert_eq!(world.matching(topic), expected, "{}", topic);
            }
        }
    }
}
