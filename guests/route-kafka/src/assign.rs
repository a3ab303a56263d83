//! Range assignment of a group's partitions to members, as in Kafka's Java clients. The leader of
//! the group runs it.

use std::collections::{BTreeMap, BTreeSet};

/// Partitions, by topic.
pub(crate) type Share = BTreeMap<String, Vec<i32>>;

/// Divides the partitions of topics among those who have subscribed to them.
pub(crate) fn ranges(
    members: &BTreeMap<String, Vec<String>>,
    partitions: impl Fn(&str) -> usize,
) -> BTreeMap<String, Share> {
    let mut shares: BTreeMap<String, Share> =
        members.keys().map(|member| (member.clone(), Share::new())).collect();
    let topics: BTreeSet<&String> = members.values().flatten().collect();
    for topic in topics {
        let readers: Vec<&String> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
        let count = partitions(topic);
        let (each, more) = (count / readers.len(), count % readers.len());
        for (number, reader) in readers.iter().enumerate() {
            let start = each * number + number.min(more);
            let length = each + usize::from(number < more);
            let range: Vec<i32> =
                (start..start + length).filter_map(|partition| i32::try_from(partition).ok()).collect();
            if let Some(share) = shares.get_mut(*reader).filter(|_| !range.is_empty()) {
                share.insert(topic.clone(), range);
            }
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_divided_in_ranges() {
        let owned = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>();
        let members = BTreeMap::from([
            ("a".to_owned(), owned(&["t", "u"])),
            ("b".to_owned(), owned(&["t"])),
            ("c".to_owned(), owned(&["t", "none"])),
        ]);
        let shares = ranges(&members, |topic| match topic {
            "t" => 5,
            "u" => 2,
            _ => 0,
        });
        assert_eq!(shares["a"], BTreeMap::from([("t".to_owned(), vec![0, 1]), ("u".to_owned(), vec![0, 1])]));
        assert_eq!(shares["b"], BTreeMap::from([("t".to_owned(), vec![2, 3])]));
        assert_eq!(shares["c"], BTreeMap::from([("t".to_owned(), vec![4])]));
        assert!(ranges(&BTreeMap::new(), |_| 1).is_empty());
    }
}
