//! The disk proves itself: against a plain one, and by what power cuts leave.

use std::collections::BTreeSet;

use super::*;

/// A disk that keeps whole copies of everything.
#[derive(Default)]
struct Plain {
    current: Vec<u8>,
    synced: Vec<u8>,
}

impl Plain {
    fn write(&mut self, offset: usize, data: &[u8]) {
        self.current.resize(self.current.len().max(offset + data.len()), 0);
        self.current[offset..offset + data.len()].copy_from_slice(data);
    }
}

/// Returns the contents found after power cuts of all kinds.
fn found(disk: &Disk, cuts: u64) -> BTreeSet<Vec<u8>> {
    (0..cuts).map(|seed| disk.found(&mut Random::new(seed)).bytes()).collect()
}

fn sector(value: u8) -> [u8; SECTOR_BYTES] {
    [value; SECTOR_BYTES]
}

fn error_of(outcome: io::Result<()>) -> Option<i32> {
    outcome.unwrap_err().raw_os_error()
}

#[test]
fn reads_see_what_a_plain_disk_would_show_and_so_does_who_comes_after_a_sync() {
    let mut random = Random::new(1);
    for seed in 0..50 {
        let (disk, mut plain) = (Disk::new(seed), Plain::default());
        for step in 0..200 {
            match random.below(8) {
                0 => {
                    disk.sync_data().unwrap();
                    plain.synced.clone_from(&plain.current);
                    assert_eq!(found(&disk, 1), BTreeSet::from([plain.synced.clone()]));
                }
                1 => {
                    let len = random.below(40_000);
                    StorageBackend::set_len(&disk, len as u64).unwrap();
                    plain.current.resize(len, 0);
                }
                _ => {
                    let (offset, len) = (random.below(30_000), random.below(10_000));
                    disk.write(offset as u64, &vec![step; len]).unwrap();
                    if len > 0 {
                        plain.write(offset, &vec![step; len]);
                    }
                }
            }
            assert!(disk.bytes() == plain.current, "seed {seed}, step {step}");
            let (from, to) = (random.below(plain.current.len()), plain.current.len());
            let mut some = vec![0; random.below(to - from + 1)];
            disk.read(from as u64, &mut some).unwrap();
            assert_eq!(some, plain.current[from..from + some.len()]);
        }
        disk.read(disk.bytes().len() as u64, &mut [0]).unwrap_err();
    }
}

#[test]
fn power_cut_keeps_synced_data_and_may_tear_unsynced_sectors() {
    let disk = Disk::new(0);
    disk.write(0, &[sector(1), sector(1), sector(1), sector(1)].concat()).unwrap();
    disk.sync_data().unwrap();
    disk.write(SECTOR_BYTES as u64, &[sector(2), sector(2)].concat()).unwrap();
    let image = |changed: [u8; 2]| [sector(1), sector(changed[0]), sector(changed[1]), sector(1)].concat();
    let expected = [[1, 1], [2, 2], [1, 2], [2, 1]].map(image);
    assert_eq!(found(&disk, 1_000), BTreeSet::from(expected));
    disk.sync_data().unwrap();
    assert_eq!(found(&disk, 1_000), BTreeSet::from([image([2, 2])]));
}

#[test]
fn a_write_that_begins_within_a_sector_is_torn_where_the_disk_has_its_sectors() {
    let disk = Disk::new(0);
    disk.write(0, &[sector(1), sector(1)].concat()).unwrap();
    disk.sync_data().unwrap();
    disk.write(500, &[2; 24]).unwrap();
    let image = |first: u8, second: u8| {
        let mut image = [sector(1), sector(1)].concat();
        image[500..512].fill(first);
        image[512..524].fill(second);
        image
    };
    let expected = [image(1, 1), image(1, 2), image(2, 1), image(2, 2)];
    assert_eq!(found(&disk, 1_000), BTreeSet::from(expected));
}

#[test]
fn writes_survive_in_any_order() {
    let disk = Disk::new(0);
    for value in 1..=3 {
        disk.write(0, &sector(value)).unwrap();
    }
    disk.write(SECTOR_BYTES as u64, &sector(4)).unwrap();
    let found = found(&disk, 1_000);
    let firsts: BTreeSet<Option<u8>> = found.iter().map(|image| image.first().copied()).collect();
    let all = [None, Some(0), Some(1), Some(2), Some(3)];
    assert_eq!(firsts, BTreeSet::from(all), "nothing, a hole before a later write, and each of the writes");
    assert!(found.iter().any(|image| image.len() == SECTOR_BYTES), "the last write is lost");
}

#[test]
fn nothing_is_done_without_power_and_the_disk_is_on_when_it_is_found_again() {
    let disk = Disk::new(0);
    disk.power_off_after(2);
    disk.write(0, &sector(1)).unwrap();
    disk.sync_data().unwrap();
    assert!(!disk.is_off());
    assert_eq!(error_of(disk.write(0, &sector(2))), Some(5));
    assert!(disk.is_off() && disk.sync_data().is_err() && disk.read(0, &mut [0]).is_err());
    let again = disk.power_cut(&mut Random::new(0));
    assert_eq!(again.bytes(), sector(1));
    again.write(0, &sector(3)).unwrap();
    assert!(disk.read(0, &mut [0]).is_err(), "who had it open has lost it");
    assert_eq!((disk.bytes()[0], again.bytes()[0]), (1, 3));
}

#[test]
fn writes_survive_a_killed_process_but_need_sync_for_power_loss() {
    let disk = Disk::new(0);
    disk.power_off_after(1);
    disk.write(0, &sector(1)).unwrap();
    disk.write(0, &sector(2)).unwrap_err();
    let next = disk.after_kill();
    assert!(disk.is_off() && !next.is_off());
    assert_eq!(next.bytes(), sector(1));
    assert_eq!(found(&next, 100), BTreeSet::from([Vec::new(), sector(1).to_vec()]));
    next.sync_data().unwrap();
    assert_eq!(found(&next, 100), BTreeSet::from([sector(1).to_vec()]));
    assert!(disk.read(0, &mut [0]).is_err(), "it was taken away");
}

#[test]
fn planted_calls_fail_and_no_others() {
    let disk = Disk::new(0);
    let (call, failure) = (Call::Sync, Failure::Io);
    disk.set_faults(|faults| faults.planted.push(Planted { call, numbers: 2..=3, failure }));
    disk.write(0, &sector(1)).unwrap();
    let outcomes: Vec<bool> = (0..4).map(|_| disk.sync_data().is_ok()).collect();
    assert_eq!(outcomes, [true, false, false, true]);
    assert_eq!(Call::ALL.map(|call| disk.calls(call)), [0, 1, 0, 4]);
}

#[test]
fn calls_fail_at_random_and_failed_writes_may_be_partial() {
    let disk = Disk::new(3);
    disk.set_faults(|faults| faults.errors_per_million.write = 300_000);
    let mut torn = 0;
    let failed = (1..=200).filter(|value| {
        let before = disk.bytes();
        let is_failed = disk.write(0, &[sector(*value), sector(*value)].concat()).is_err();
        torn += usize::from(is_failed && disk.bytes() != before);
        is_failed
    });
    assert!((30..90).contains(&failed.count()) && torn > 0);
    disk.sync_data().unwrap();
}

#[test]
fn a_disk_has_room_for_what_it_has_room_for() {
    let disk = Disk::new(0);
    disk.set_faults(|faults| faults.bytes_max = Some(3 * PAGE_BYTES));
    StorageBackend::set_len(&disk, 1 << 20).unwrap();
    let write = |page: usize| disk.write((page * PAGE_BYTES) as u64, &[1; PAGE_BYTES]);
    for page in [9, 5, 7, 5] {
        write(page).unwrap();
    }
    assert_eq!(error_of(write(1)), Some(28));
    write(7).unwrap();
    StorageBackend::set_len(&disk, 9 * PAGE_BYTES as u64).unwrap();
    write(1).unwrap();
    assert_eq!(error_of(write(2)), Some(28));
    disk.set_faults(|faults| faults.bytes_max = None);
    write(2).unwrap();
}

#[test]
fn a_disk_that_lies_loses_what_it_said_was_durable() {
    let disk = Disk::new(0);
    disk.set_faults(|faults| faults.lies = true);
    disk.write(0, &sector(1)).unwrap();
    disk.sync_data().unwrap();
    assert!(found(&disk, 100).contains(&Vec::new()));
    assert_eq!(disk.bytes(), sector(1), "reads see nothing of it");
}

#[test]
fn a_disk_that_forgets_loses_what_a_failed_sync_has_not_written() {
    let after_failed_sync = |forgets: bool, seed: u64| {
        let disk = Disk::new(seed);
        let (call, numbers, failure) = (Call::Sync, 1..=1, Failure::Io);
        disk.set_faults(|faults| {
            faults.planted.push(Planted { call, numbers, failure });
            faults.forgets = forgets;
        });
        disk.write(0, &sector(1)).unwrap();
        disk.sync_data().unwrap_err();
        assert_eq!(disk.bytes(), sector(1));
        disk.sync_data().unwrap();
        found(&disk, 10)
    };
    let all = |forgets| (0..20).flat_map(move |seed| after_failed_sync(forgets, seed)).collect();
    assert_eq!(BTreeSet::from([sector(1).to_vec()]), all(false));
    assert_eq!(BTreeSet::from([sector(1).to_vec(), sector(0).to_vec()]), all(true));
}

#[test]
fn calls_take_virtual_time() {
    let disk = Disk::new(0);
    let ms = Duration::from_millis;
    disk.set_faults(|faults| faults.takes = PerCall { write: ms(2), sync: ms(30), ..PerCall::default() });
    disk.write(0, &sector(1)).unwrap();
    disk.sync_data().unwrap();
    assert_eq!(disk.time(), ms(32));
    disk.set_faults(|faults| (faults.stalls_per_million, faults.stall) = (500_000, ms(1_000)));
    for _ in 0..100 {
        disk.read(0, &mut [0]).unwrap();
    }
    let stalls = (disk.time() - ms(32)).as_secs();
    assert!((20..80).contains(&stalls), "{stalls} of 100 stalled");
}

#[test]
fn wait_callback_sees_the_disk_before_the_pending_call() {
    let disk = Disk::new(0);
    disk.set_faults(|faults| faults.takes.write = Duration::from_millis(2));
    let (seen, looks) = (Arc::new(Mutex::new(Vec::new())), disk.clone());
    let notes = Arc::clone(&seen);
    disk.on_wait(move |takes| notes.lock().push((takes.as_millis(), looks.bytes().len())));
    disk.write(0, &sector(1)).unwrap();
    disk.sync_data().unwrap();
    let disk = disk.power_cut(&mut Random::new(0));
    disk.write(512, &sector(1)).unwrap();
    assert_eq!(*seen.lock(), [(2, 0), (2, 512)]);
}

#[test]
fn equal_seeds_give_equal_disks() {
    let run = |seed: u64, last: u8| {
        let disk = Disk::new(seed);
        disk.set_faults(|faults| faults.errors_per_million = PerCall::all(100_000));
        for step in 0..100 {
            let _ = disk.write(u64::from(step) * 700, &sector(step));
            let _ = disk.sync_data();
        }
        let _ = disk.write(0, &[last; 8]);
        (disk.fingerprint(), disk.found(&mut Random::new(seed)).bytes())
    };
    assert_eq!(run(1, 1), run(1, 1));
    assert_ne!(run(1, 1), run(2, 1));
    assert_ne!(run(1, 1).0, run(1, 2).0);
}
