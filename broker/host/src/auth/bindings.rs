//! Typed bindings of the world `auth`, generated from `wit/guest`.
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
    world: "lotmq:guest/auth",
    exports: { default: async },
    additional_derives: [PartialEq],
    with: {
        "lotmq:guest/types": crate::route::bindings::lotmq::guest::types,
        "lotmq:guest/message-properties": crate::route::bindings::lotmq::guest::message_properties,
        "lotmq:guest/net": crate::fiber::bindings::lotmq::guest::net,
        "lotmq:guest/http": crate::fiber::bindings::lotmq::guest::http,
        "lotmq:guest/environment": crate::fiber::bindings::lotmq::guest::environment,
        "lotmq:guest/ambient": crate::fiber::bindings::lotmq::guest::ambient,
        "lotmq:guest/config": crate::fiber::bindings::lotmq::guest::config,
        "lotmq:guest/state": crate::fiber::bindings::lotmq::guest::state,
        "lotmq:guest/logging": crate::fiber::bindings::lotmq::guest::logging,
        "lotmq:guest/metrics": crate::fiber::bindings::lotmq::guest::metrics,
        "lotmq:guest/diagnostics": crate::fiber::bindings::lotmq::guest::diagnostics,
    },
});
