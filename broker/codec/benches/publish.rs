//! What one PUBLISH costs to decode and to encode.
fn main() {
    divan::main();
}
