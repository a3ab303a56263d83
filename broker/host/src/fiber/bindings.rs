//! Typed bindings of the common part of the worlds `route` and `auth`, generated from `wit/guest`.
//! Functions that wait are `async` here and plain in the guest. The types of resources are empty:
//! `handles` says which values stand behind them, so this module depends on no other.
#![allow(
    unsafe_code,
    unreachable_pub,
    missing_docs,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its `unsafe` re-types functions whose types were checked when the instance was made"
)]

wasmtime::component::bindgen!({
    path: "../../wit/guest",
    inline: "
        package lotmq:host;
        world fiber-imports {
            @unstable(feature = route)
            import lotmq:guest/net@0.2.0;
            @unstable(feature = route)
            import lotmq:guest/files@0.2.0;
            @unstable(feature = route)
            import lotmq:guest/http@0.2.0;
            @unstable(feature = route)
            import lotmq:guest/http-server@0.2.0;
            @unstable(feature = route)
            import lotmq:guest/serial@0.2.0;
            import lotmq:guest/topic-store@0.2.0;
            import lotmq:guest/environment@0.2.0;
            import lotmq:guest/ambient@0.2.0;
            import lotmq:guest/config@0.2.0;
            import lotmq:guest/state@0.2.0;
            import lotmq:guest/logging@0.2.0;
            import lotmq:guest/metrics@0.2.0;
            import lotmq:guest/diagnostics@0.2.0;
        }
    ",
    world: "lotmq:host/fiber-imports",
    imports: {
        "lotmq:guest/net.[static]tcp.connect": async,
        "lotmq:guest/net.[static]tcp.connect-to": async,
        "lotmq:guest/net.[static]udp.connect": async,
        "lotmq:guest/net.[static]udp.bind": async,
        "lotmq:guest/net.[method]tcp.start-tls": async,
        "lotmq:guest/net.[method]tcp.start-tls-in-tds": async,
        "lotmq:guest/net.[method]tcp.start-tls-for": async,
        "lotmq:guest/net.wait": async,
        "lotmq:guest/files.[static]file.open": async,
        "lotmq:guest/files.[method]file.read": async,
        "lotmq:guest/files.[method]file.write": async,
        "lotmq:guest/files.[method]file.set-length": async,
        "lotmq:guest/files.[method]file.sync": async,
        "lotmq:guest/files.[method]file.stat": async,
        "lotmq:guest/files.[static]listing.open": async,
        "lotmq:guest/files.[method]listing.next": async,
        "lotmq:guest/files.stat": async,
        "lotmq:guest/files.rename": async,
        "lotmq:guest/files.remove": async,
        "lotmq:guest/files.make-folder": async,
        "lotmq:guest/files.sync-folder": async,
        "lotmq:guest/http.[static]exchange.start": async,
        "lotmq:guest/http.[method]exchange.head": async,
        "lotmq:guest/http.[method]exchange.read": async,
        "lotmq:guest/http.wait": async,
        "lotmq:guest/serial.[static]port.open": async,
        "lotmq:guest/serial.[method]port.begin": async,
    },
});
