//! Typed bindings of the world `route`, generated from `wit/guest`. Functions that wait are `async` here and plain in the guest.
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
    world: "lotmq:guest/route",
    imports: {
        "lotmq:guest/net.[static]tcp.connect": async,
        "lotmq:guest/net.[static]tcp.connect-to": async,
        "lotmq:guest/net.[static]udp.connect": async,
        "lotmq:guest/net.[static]udp.bind": async,
        "lotmq:guest/net.[method]tcp.start-tls": async,
        "lotmq:guest/net.wait": async,
        "lotmq:guest/ingest.publish": async,
    },
    exports: { default: async },
    with: {
        "lotmq:guest/net.tcp": super::tcp::Tcp,
        "lotmq:guest/net.udp": super::udp::Udp,
        "lotmq:guest/net.listener": super::listener::GuestListener,
    },
});
