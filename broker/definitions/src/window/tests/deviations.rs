//! Standard deviations in the figures of windows.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

/// Standard deviations of a sample and of a population in the figures of windows.
fn deviations(closed: &[String]) -> Vec<(Option<f64>, Option<f64>)> {
    let read = |line: &String| {
        let (_, figures) = line.split_once(' ').unwrap();
        let figures: serde_json::Value = serde_json::from_str(figures).unwrap();
        (figures["stddev"].as_f64(), figures["stddev_pop"].as_f64())
    };
    closed.iter().map(read).collect()
}

#[test]
fn deviations_of_large_numbers_keep_their_digits_over_steps_and_restarts() {
    const EXTENT: WindowExtent = WindowExtent::Time { last_ms: 180_000, every_ms: 60_000, from_ms: 0 };
    let mut world = world(EXTENT);
    // Of the squares of these, no digit of the differences is left.
    for payloads in [&["1000000004", "1000000007"][..], &["bad"], &["1000000013", "1000000016"]] {
        payloads.iter().for_each(|payload| {
            assert_ne!(watch(&world).take("t/a", payload.as_bytes(), 0), Sampled::Refused)
        });
        world.pass(59);
        watch(&world).save_all();
        world = restarted(&world, EXTENT, 0);
        world.pass(1);
        let told = deviations(&closed(&world));
        let expected = match payloads.len() {
            2 if payloads[0] == "1000000013" => (30.0, 22.5),
            _ => (4.5, 2.25),
        };
        let [(Some(of_sample), Some(of_population))] = told[..] else { panic!("{told:?}") };
        assert!((of_sample * of_sample - expected.0).abs() < 1e-6, "{told:?}");
        assert!((of_population * of_population - expected.1).abs() < 1e-6, "{told:?}");
    }
}

#[test]
fn rows_of_the_version_before_are_read_and_have_no_deviation() {
    let mut before = world(MINUTE);
    watch(&before).take("t/a", b"1", 0);
    watch(&before).take("t/a", b"3", 0);
    before.pass(1);
    watch(&before).save_all();
    let mut after = World::loading(RegistryOptions::new(TimeZone::UTC));
    before.registry.values().each_kept(|topic, kept| {
        let mut row = kept.payload.to_vec();
        row[0] = 2;
        if topic.ends_with("t/a") {
            row.truncate(row.len() - 8);
        }
        after.registry.values().restore_kept(kept.keeper, topic, &row);
    });
    after.now.wall = before.now.wall;
    after.add(action("W", trigger(&["t/+"], MINUTE)));
    after.registry.finish_loading(after.now);
    watch(&after).take("t/a", b"5", 0);
    after.pass(59);
    let told = closed(&after);
    assert!(told[0].starts_with(r#"t/a {"count":3,"sum":9,"mean":3,"#), "{told:?}");
    assert_eq!(deviations(&told), [(None, None)]);
    watch(&after).take("t/a", b"1", 0);
    after.pass(60);
    assert_eq!(deviations(&closed(&after)), [(None, Some(0.0))]);
}

proptest! {
    #[test]
    fn deviations_are_those_of_all_numbers_at_once(numbers in proptest::collection::vec(-1e6..1e6f64, 2..60), every in 1_u64..7) {
        let steps = 10;
        let world = world(WindowExtent::Messages { last: every * steps, every });
        let watch = watch(&world);
        let mut told = Vec::new();
        for number in &numbers {
            if let Sampled::Closed(figures) = watch.take("t/a", number.to_string().as_bytes(), 0) {
                told.push(serde_json::from_slice::<serde_json::Value>(&figures).unwrap());
            }
        }
        for (closed, figures) in told.iter().enumerate() {
            let end = (closed + 1) * every as usize;
            let of_window = &numbers[end.saturating_sub((every * steps) as usize)..end];
            let count = of_window.len() as f64;
            let mean = of_window.iter().sum::<f64>() / count;
            let squares: f64 = of_window.iter().map(|number| (number - mean).powi(2)).sum();
            let expected = (squares / count).sqrt();
            let found = figures["stddev_pop"].as_f64().unwrap();
            prop_assert!((found - expected).abs() <= 1e-9 * expected.max(1.0), "{found} {expected}");
        }
    }
}
