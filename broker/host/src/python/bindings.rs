//! Typed bindings of the exports of the Python guest, generated from `wit/python`.
#![allow(
    unsafe_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes_without_reason,
    reason = "generated code; its `unsafe` re-types functions whose types were checked when the instance was made"
)]

wasmtime::component::bindgen!({
    path: "../../wit/python",
    world: "lotmq:python/python",
    ownership: Borrowing { duplicate_if_necessary: true },
});
