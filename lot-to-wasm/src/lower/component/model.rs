//! The interface `model-handler` around the core module of a Model.

use wasm_encoder::{
    ComponentBuilder, ComponentExportKind, ComponentTypeRef, ComponentValType, ExportKind, TypeBounds,
};

use super::{Core, Writer};
use crate::lower::interface::{self, BOOL, Define};

/// Indices of the types that the functions mention.
#[derive(Clone, Copy)]
struct Types {
    message: u32,
    argument: u32,
    run_error: u32,
    instance: u32,
}

/// The record `instance`, which the interface declares itself.
fn define_instance(place: &mut dyn Define, qos: u32) -> u32 {
    let ty = ComponentValType::Type;
    let bytes = interface::define_bytes(place);
    place.define(&mut |encoder| {
        encoder.record([("payload", ty(bytes)), ("qos", ty(qos)), ("retain", BOOL)]);
    })
}

impl Types {
    /// The types of `on-message` and `build`.
    fn functions(self, place: &mut ComponentBuilder) -> (u32, u32) {
        let ty = ComponentValType::Type;
        let done = Define::define(place, &mut |encoder| encoder.result(None, Some(ty(self.run_error))));
        let assignments = Define::define(place, &mut |encoder| encoder.list(ty(self.argument)));
        let trigger = Define::define(place, &mut |encoder| encoder.option(ty(self.message)));
        let built = Define::define(place, &mut |encoder| {
            encoder.result(Some(ty(self.instance)), Some(ty(self.run_error)));
        });
        let (on_message, mut encoder) = place.type_function(None);
        encoder.params([("message", ty(self.message))]).result(Some(ty(done)));
        let (build, mut encoder) = place.type_function(None);
        encoder.params([("assignments", ty(assignments)), ("trigger", ty(trigger))]).result(Some(ty(built)));
        (on_message, build)
    }
}

impl Writer {
    /// Lifts the functions of the core instance `main` and exports them as the interface
    /// `model-handler`.
    pub(super) fn model_handler(&mut self, main: u32, core: &Core) {
        let shared = &core.types;
        let instance = define_instance(&mut self.builder, shared.qos);
        let types = Types {
            message: shared.message,
            argument: shared.argument,
            run_error: shared.run_error,
            instance,
        };
        let (on_message, build) = types.functions(&mut self.builder);
        let mut lift = |name, index| {
            let function = self.builder.core_alias_export(None, main, name, ExportKind::Func);
            self.builder.lift_func(None, function, index, core.options)
        };
        let (on_message, build) = (lift("on-message", on_message), lift("build", build));
        let naming = self.builder.component(None, naming_component());
        let kind = |name, index| (name, ComponentExportKind::Type, index);
        let exported = self.builder.instantiate(
            None,
            naming,
            [
                kind("import-qos", shared.qos),
                kind("import-message", shared.message),
                kind("import-value", shared.value),
                kind("import-argument", shared.argument),
                kind("import-run-error", shared.run_error),
                kind("import-instance", instance),
                ("import-on-message", ComponentExportKind::Func, on_message),
                ("import-build", ComponentExportKind::Func, build),
            ],
        );
        let name = interface::qualified("model-handler");
        self.builder.export(&name, ComponentExportKind::Instance, exported, None);
    }
}

/// A component that takes the handler's types and functions and exports them with the types named.
fn naming_component() -> ComponentBuilder {
    let mut place = ComponentBuilder::default();
    let import = |place: &mut ComponentBuilder, name: &str, index: u32| {
        place.import(format!("import-{name}"), ComponentTypeRef::Type(TypeBounds::Eq(index)))
    };
    let defined = interface::define_qos(&mut place);
    let qos = import(&mut place, "qos", defined);
    let bytes = interface::define_bytes(&mut place);
    let defined = interface::define_message(&mut place, bytes, qos);
    let message = import(&mut place, "message", defined);
    let defined = interface::define_value(&mut place, bytes);
    let value = import(&mut place, "value", defined);
    let defined = interface::define_argument(&mut place, value);
    let argument = import(&mut place, "argument", defined);
    let defined = interface::define_run_error(&mut place);
    let run_error = import(&mut place, "run-error", defined);
    let defined = define_instance(&mut place, qos);
    let instance = import(&mut place, "instance", defined);
    let (on_message, build) = Types { message, argument, run_error, instance }.functions(&mut place);
    let on_message = place.import("import-on-message", ComponentTypeRef::Func(on_message));
    let build = place.import("import-build", ComponentTypeRef::Func(build));

    let mut export = |name: &str, index| place.export(name, ComponentExportKind::Type, index, None);
    let message = export("message", message);
    let argument = export("argument", argument);
    let qos = export("qos", qos);
    let run_error = export("run-error", run_error);
    let defined = define_instance(&mut place, qos);
    let instance = place.export("instance", ComponentExportKind::Type, defined, None);
    let named = Types { message, argument, run_error, instance }.functions(&mut place);
    place.export("on-message", ComponentExportKind::Func, on_message, Some(ComponentTypeRef::Func(named.0)));
    place.export("build", ComponentExportKind::Func, build, Some(ComponentTypeRef::Func(named.1)));
    place
}
