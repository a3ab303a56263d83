//! Progress of a cold start, as health and status show it.

use super::*;

#[test]
fn progress_names_the_first_and_counts_the_others() {
    let names = vec!["a".to_owned(), "b".to_owned()];
    let of = |left, retries| Compiling { left, all: 33, names: names.clone(), retries }.to_string();
    let compiling = |left| of(left, Vec::new());
    assert_eq!(compiling(2), "compiling 2 of 33: a, b");
    assert_eq!(compiling(12), "compiling 12 of 33: a, b and 10 more");
    let attempts = FailedAttempts { failures: 2, reason: "signal 9".to_owned() };
    let told = of(2, vec![("b".to_owned(), attempts)]);
    assert_eq!(told, "compiling 2 of 33: a, b; b has failed 2 times and is tried again: signal 9");
}
