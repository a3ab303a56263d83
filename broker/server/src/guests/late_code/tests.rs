//! Progress of a cold start, as health and status show it.

use super::*;

#[test]
fn progress_names_the_first_and_counts_the_others() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let compiling = |left| Compiling { left, all: 33, names: names.clone() }.to_string();
    assert_eq!(compiling(2), "compiling 2 of 33: a, b");
    assert_eq!(compiling(12), "compiling 12 of 33: a, b and 10 more");
}
