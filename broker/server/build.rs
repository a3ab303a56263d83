//! Packs the guests of routes, which the broker has in itself: 9 MB of components become 3, and
//! each is unpacked when a route first needs it.

use std::error::Error;
use std::path::Path;

/// Guests of the types of routes that a broker runs.
const GUESTS: [&str; 17] = [
    "route-email",
    "route-file-storage",
    "route-influxdb",
    "route-kafka",
    "route-loopback",
    "route-modbus",
    "route-mongodb",
    "route-mqtt",
    "route-mysql",
    "route-nats",
    "route-opcua",
    "route-opensearch",
    "route-postgres",
    "route-redis",
    "route-rest",
    "route-s7",
    "route-sqlserver",
];

/// Level for what is shipped; others are built more often than they are copied.
const LEVEL: i32 = 19;
const LEVEL_DEBUG: i32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let guests = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../guests");
    let results = std::env::var("OUT_DIR")?;
    let level = if std::env::var("PROFILE")? == "debug" { LEVEL_DEBUG } else { LEVEL };
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=packed_guests={results}");
    for name in GUESTS {
        let path = guests.join(name).join("prebuilt").join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", path.display());
        let component = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(component.len()));
        zstd_safe::compress(&mut packed, &component, level).map_err(zstd_safe::get_error_name)?;
        std::fs::write(Path::new(&results).join(format!("{name}.wasm.zst")), packed)?;
    }
    Ok(())
}
