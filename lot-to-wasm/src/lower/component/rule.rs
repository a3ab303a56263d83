//! The interface `rule-handler` around the core module of a Rule.

use wasm_encoder::{
    ComponentBuilder, ComponentExportKind, ComponentTypeRef, ComponentValType, ExportKind, TypeBounds,
};

use super::{Core, Writer};
use crate::lower::interface::{self, Define, TEXT};

/// Indices of the types that `check` mentions.
#[derive(Clone, Copy)]
struct Types {
    request: u32,
    verdict: u32,
    run_error: u32,
}

impl Types {
    /// Defines those that the interface declares itself.
    fn define(place: &mut dyn Define, run_error: u32) -> Types {
        let ty = ComponentValType::Type;
        let text = ty(place.define(&mut |encoder| encoder.option(TEXT)));
        let bytes = interface::define_bytes(place);
        let payload = ty(place.define(&mut |encoder| encoder.option(ty(bytes))));
        let request = place.define(&mut |encoder| {
            encoder.record([
                ("scope", TEXT),
                ("client-id", TEXT),
                ("user", text),
                ("endpoint", TEXT),
                ("topic", text),
                ("payload", payload),
            ]);
        });
        let verdict = place.define(&mut |encoder| encoder.enum_type(["allow", "deny", "nothing"]));
        Types { request, verdict, run_error }
    }

    /// The type of the function `check`.
    fn function(self, place: &mut ComponentBuilder) -> u32 {
        let ty = ComponentValType::Type;
        let answer = Define::define(place, &mut |encoder| {
            encoder.result(Some(ty(self.verdict)), Some(ty(self.run_error)));
        });
        let (index, mut encoder) = place.type_function(None);
        encoder.params([("request", ty(self.request))]).result(Some(ty(answer)));
        index
    }
}

impl Writer {
    /// Lifts the function of the core instance `main` and exports it as the interface
    /// `rule-handler`.
    pub(super) fn rule_handler(&mut self, main: u32, core: &Core) {
        let types = Types::define(&mut self.builder, core.types.run_error);
        let function = types.function(&mut self.builder);
        let check = self.builder.core_alias_export(None, main, "check", ExportKind::Func);
        let check = self.builder.lift_func(None, check, function, core.options);
        let naming = self.builder.component(None, naming_component());
        let instance = self.builder.instantiate(
            None,
            naming,
            [
                ("import-run-error", ComponentExportKind::Type, types.run_error),
                ("import-request", ComponentExportKind::Type, types.request),
                ("import-verdict", ComponentExportKind::Type, types.verdict),
                ("import-check", ComponentExportKind::Func, check),
            ],
        );
        let name = interface::qualified("rule-handler");
        self.builder.export(&name, ComponentExportKind::Instance, instance, None);
    }
}

/// A component that takes the handler's types and function and exports them with the types named.
fn naming_component() -> ComponentBuilder {
    let mut place = ComponentBuilder::default();
    let import = |place: &mut ComponentBuilder, name: &str, index: u32| {
        place.import(name, ComponentTypeRef::Type(TypeBounds::Eq(index)))
    };
    let defined = interface::define_run_error(&mut place);
    let run_error = import(&mut place, "import-run-error", defined);
    let defined = Types::define(&mut place, run_error);
    let request = import(&mut place, "import-request", defined.request);
    let verdict = import(&mut place, "import-verdict", defined.verdict);
    let function = Types { request, verdict, run_error }.function(&mut place);
    let check = place.import("import-check", ComponentTypeRef::Func(function));
    let run_error = place.export("run-error", ComponentExportKind::Type, run_error, None);
    let defined = Types::define(&mut place, run_error);
    let request = place.export("request", ComponentExportKind::Type, defined.request, None);
    let verdict = place.export("verdict", ComponentExportKind::Type, defined.verdict, None);
    let named = Types { request, verdict, run_error }.function(&mut place);
    place.export("check", ComponentExportKind::Func, check, Some(ComponentTypeRef::Func(named)));
    place
}
