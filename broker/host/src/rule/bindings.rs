//! Typed bindings of what rules export, generated from `wit/guest`; see [`crate::bindings`].
#![allow(
    unsafe_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its `unsafe` re-types functions whose types were checked when the instance was made"
)]

wasmtime::component::bindgen!({
    path: "../../wit/guest",
    inline: "
        package lotmq:host;
        world rule-exports {
            export lotmq:guest/rule-handler@0.1.0;
        }
    ",
    world: "lotmq:host/rule-exports",
    additional_derives: [Clone, PartialEq],
});
