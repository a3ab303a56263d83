//! Link settings of the wasm module.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        // The JSON nesting limit bounds the deepest call chain; 64 KiB leave ample room and keep an
        // instance small. With the stack below the data, an overflow traps at address 0 instead of
        // overwriting constants.
        println!("cargo::rustc-link-arg-cdylib=-zstack-size=65536");
        println!("cargo::rustc-link-arg-cdylib=--stack-first");
        // Room for a run of usual size without growing; untouched pages cost nothing.
        println!("cargo::rustc-link-arg-cdylib=--initial-memory=262144");
    }
}
