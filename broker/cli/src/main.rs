//! The `lotmq` binary.

fn main() {}
