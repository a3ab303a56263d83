//! Consumer groups: shares that move between the route and librdkafka.

use lotmq_client::Client;
use lotmq_test_support::{WAIT_MAX, eventually};
use serde_json::{Value as Json, json};

use super::cluster::{Cluster, Row, rows};
use super::{IN, SHORT, route};
use crate::{broker, next, watch};

/// So many records for each of the four partitions, numbered on.
fn numbered(numbers: std::ops::Range<usize>) -> Vec<Json> {
    numbers.map(|number| json!([null, number.to_string(), null, number % 4])).collect()
}

/// Takes messages until all of these numbers have come, here or to the other member.
fn until_all(cluster: &mut Cluster, watcher: &mut Client, seen: &mut Vec<usize>, count: usize) {
    eventually("all records", || {
        while let Some(message) = watcher.receive(std::time::Duration::from_millis(50)).unwrap() {
            seen.push(message.text().parse().unwrap());
        }
        let other = rows(&cluster.ask(&json!({ "do": "take" })));
        let of_other = other.iter().map(|row: &Row| row.value.as_deref().unwrap().parse().unwrap());
        let mut all: Vec<usize> = seen.iter().copied().chain(of_other).collect();
        all.sort_unstable();
        all.dedup();
        (all.len() == count).then_some(())
    });
}

#[test]
fn partitions_are_rebalanced_when_group_members_join_and_leave() {
    let Some(mut cluster) = Cluster::start(2) else { return };
    cluster.create("t", 4);
    let broker = broker();
    let mut watcher = watch(&broker, "from/#");
    broker.command_ok(&route(&cluster.servers, &format!("{SHORT}\nGROUP_ID \"g\""), IN));
    cluster.produce("t", &numbered(0..40), "none");
    let mut seen: Vec<usize> =
        (0..40).map(|_| next(&mut watcher).replace("from/kafka=", "").parse().unwrap()).collect();
    cluster.wait_for_commit("g", "t", &[10; 4]);
    let share = cluster.ask(&json!({ "do": "join", "group": "g", "topic": "t" }));
    assert_eq!(share.as_array().unwrap().len(), 2, "two of four partitions are of the other: {share}");
    cluster.produce("t", &numbered(40..400), "none");
    until_all(&mut cluster, &mut watcher, &mut seen, 400);
    let other = rows(&cluster.ask(&json!({ "do": "take" })));
    assert!(
        !other.is_empty()
            && other.iter().all(|row| share.as_array().unwrap().contains(&json!(row.partition)))
    );
    assert!(seen.len() > 40, "the route has its share, too");
    cluster.ask(&json!({ "do": "leave" }));
    cluster.produce("t", &numbered(400..440), "none");
    let mut last: Vec<usize> = Vec::new();
    while last.len() < 40 {
        let number = watcher.receive(WAIT_MAX).unwrap().expect("a record").text().parse().unwrap();
        if number >= 400 && !last.contains(&number) {
            last.push(number);
        }
    }
    cluster.wait_for_commit("g", "t", &[110; 4]);
}

#[test]
fn a_route_that_is_removed_leaves_its_group() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    cluster.create("t", 4);
    cluster.produce("t", &numbered(0..4), "none");
    let broker = broker();
    let mut watcher = watch(&broker, "from/#");
    broker.command_ok(&route(&cluster.servers, SHORT, IN));
    (0..4).for_each(|_| drop(next(&mut watcher)));
    cluster.wait_for_commit("Line", "t", &[1; 4]);
    let goodbyes = json!({ "do": "requests", "api": 13 });
    assert_eq!(cluster.ask(&goodbyes), json!(0));
    broker.command_ok("-removeRoute Line");
    eventually("a goodbye", || (cluster.ask(&goodbyes) == json!(1)).then_some(()));
}
