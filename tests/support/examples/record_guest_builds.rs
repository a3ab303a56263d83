//! Records that the tests that compile guests have passed; `scripts/guest-builds` runs it.

fn main() {
    lotmq_test_support::record_guest_builds();
}
