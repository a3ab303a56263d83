//! Typed bindings of guest exports, generated from `wit/guest`.
//!
//! Only exports and the types that they use: the host functions are linked by hand in
//! [`functions`](crate::functions), because generated import traits copy every string and list out
//! of the guest before the function sees it.
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
        world action-exports {
            export lotmq:guest/action-handler@0.2.0;
        }
    ",
    world: "lotmq:host/action-exports",
    ownership: Borrowing { duplicate_if_necessary: true },
    additional_derives: [Clone, PartialEq],
});

/// Bindings of the world `model`.
pub(crate) mod model {
    wasmtime::component::bindgen!({
        path: "../../wit/guest",
        inline: "
            package lotmq:host;
            world model-exports {
                export lotmq:guest/model-handler@0.2.0;
            }
        ",
        world: "lotmq:host/model-exports",
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "lotmq:guest/types": super::lotmq::guest::types },
    });
}

/// Bindings of the world `rule`.
pub(crate) mod rule {
    wasmtime::component::bindgen!({
        path: "../../wit/guest",
        inline: "
            package lotmq:host;
            world rule-exports {
                export lotmq:guest/rule-handler@0.2.0;
            }
        ",
        world: "lotmq:host/rule-exports",
        with: { "lotmq:guest/types": super::lotmq::guest::types },
        additional_derives: [Clone, PartialEq],
    });
}
