//! The component around the core module: imports, lowered host functions, lifted exports, facts.
//!
//! The standalone form embeds the runtime and the core module; the [`shell`] imports both, so that
//! all linked Actions share its code and types. `wit-component` cannot write the latter, because
//! WIT has no words for the import of a core module.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lot_facts::Facts;
use wasm_encoder::{
    CanonicalOption, ComponentBuilder, ComponentExportKind, ComponentTypeRef, ComponentValType,
    CustomSection, EntityType, ExportKind, MemoryType, ModuleArg, ModuleType, TypeBounds,
};

use super::RUNTIME;
use super::host::Host;
use super::interface::{self, BOOL, PropertyTypes, SharedTypes, TEXT, U8};
use super::module::{Helper, Module};
use super::runtime::{REALLOC, REALLOC_PARAMETERS, Runtime};
use super::{MAIN_IMPORT, RUNTIME_IMPORT, World};

mod batch;
mod model;
mod rule;

/// Makes a component of a world of a core module; the runtime is inside.
pub(super) fn standalone(module: &Module, world: World, facts: &Facts) -> Vec<u8> {
    let mut writer = Writer { builder: ComponentBuilder::default() };
    let runtime = writer.builder.core_module_raw(None, RUNTIME);
    let main = writer.builder.core_module_raw(None, module.bytes());
    let core = writer.core(runtime, main, module.host_functions(), false);
    writer.handler_of(world, core.main, &core);
    writer.builder.custom_section(&facts_section(facts));
    writer.builder.finish()
}

/// A component of a world that imports the runtime, and the core module of the definition for which
/// it is instantiated.
pub(super) fn shell(world: World) -> Vec<u8> {
    let mut writer = Writer { builder: ComponentBuilder::default() };
    let runtime = writer.import_module(RUNTIME_IMPORT, &runtime_type());
    let main = writer.import_module(MAIN_IMPORT, &main_type(world));
    let core = writer.core(runtime, main, host_of(world), world == World::Action);
    let entrance = writer.entrance(world, &core);
    writer.handler_of(world, entrance, &core);
    if world == World::Action {
        writer.batches(entrance, &core);
    }
    writer.builder.finish()
}

/// Functions of the host that definitions of a world may import.
fn host_of(world: World) -> &'static [Host] {
    match world {
        World::Action => &Host::OF_ACTIONS,
        World::Model => &Host::OF_MODELS,
        World::Rule => &Host::OF_RULES,
    }
}

/// The section that carries the facts.
pub(super) fn facts_section(facts: &Facts) -> CustomSection<'static> {
    // Facts have string keys and finite numbers only, so this cannot fail; without the section they
    // would be read as absent.
    let data = serde_json::to_vec(facts).unwrap_or_default();
    CustomSection { name: lot_facts::SECTION.into(), data: Cow::Owned(data) }
}

struct Writer {
    builder: ComponentBuilder,
}

/// The core instances of a component, and their parts that its exports need.
struct Core {
    /// The runtime's instance.
    runtime: u32,
    /// The Action's instance.
    main: u32,
    types: SharedTypes,
    /// How the exported functions are lifted.
    options: [CanonicalOption; 3],
}

/// Component functions of the interface `action-handler`, and the types of its own that they use.
struct Handler {
    on_message: u32,
    on_event: u32,
    call: u32,
    client: u32,
    departure: u32,
    subscription: u32,
    event: u32,
}

impl Writer {
    fn import_module(&mut self, name: &str, ty: &ModuleType) -> u32 {
        let (index, encoder) = self.builder.core_type(None);
        encoder.module(ty);
        self.builder.import(name, ComponentTypeRef::Module(index))
    }

    /// Instantiates the core modules with their imports. The imports from the host go through a
    /// [gate](batch::gate), if there is to be one.
    fn core(&mut self, runtime: u32, main: u32, host: &[Host], is_gated: bool) -> Core {
        let runtime = self.builder.core_instantiate(None, runtime, Vec::<(&str, ModuleArg)>::new());
        let types = self.shared_types(host);
        let memory = self.builder.core_alias_export(None, runtime, "memory", ExportKind::Memory);
        let realloc = self.builder.core_alias_export(None, runtime, REALLOC, ExportKind::Func);
        let mut functions = self.host_functions(host, &types, memory, realloc);
        if is_gated {
            self.pass_through_gate(&mut functions, runtime);
        }
        let host = self.instance_of(&functions);
        let main = self.builder.core_instantiate(
            None,
            main,
            [(RUNTIME_IMPORT, ModuleArg::Instance(runtime)), ("host", ModuleArg::Instance(host))],
        );
        let options =
            [CanonicalOption::UTF8, CanonicalOption::Memory(memory), CanonicalOption::Realloc(realloc)];
        Core { runtime, main, types, options }
    }

    /// Puts functions of a gate in the places of those that it stands before.
    fn pass_through_gate(&mut self, functions: &mut [(String, u32)], runtime: u32) {
        let module = self.builder.core_module_raw(None, &batch::gate());
        let host = self.instance_of(functions);
        let gate = self.builder.core_instantiate(
            None,
            module,
            [(RUNTIME_IMPORT, ModuleArg::Instance(runtime)), ("host", ModuleArg::Instance(host))],
        );
        let gated = batch::GATED.map(Host::import_name);
        for (name, index) in functions.iter_mut().filter(|(name, _)| gated.contains(name)) {
            *index = self.builder.core_alias_export(None, gate, name, ExportKind::Func);
        }
    }

    /// An instance with the exports of the Action's instance, of a module that is part of the
    /// component.
    fn entrance(&mut self, world: World, core: &Core) -> u32 {
        let module = self.builder.core_module_raw(None, &batch::entrance(world));
        self.builder.core_instantiate(
            None,
            module,
            [
                (MAIN_IMPORT, ModuleArg::Instance(core.main)),
                (RUNTIME_IMPORT, ModuleArg::Instance(core.runtime)),
            ],
        )
    }

    /// Lifts the function of the core instance `entrance` for many messages and exports it as the
    /// interface `action-batches`.
    fn batches(&mut self, entrance: u32, core: &Core) {
        let lengths =
            interface::Define::define(&mut self.builder, &mut |encoder| encoder.list(interface::U32));
        let bytes = interface::define_bytes(&mut self.builder);
        let (lengths, bytes) = (ComponentValType::Type(lengths), ComponentValType::Type(bytes));
        let done = interface::Define::define(&mut self.builder, &mut |encoder| {
            encoder.tuple([interface::U32, lengths, bytes]);
        });
        let (ty, mut encoder) = self.builder.type_function(None);
        encoder.params([("lengths", lengths), ("bytes", bytes)]).result(Some(ComponentValType::Type(done)));
        let function = self.builder.core_alias_export(None, entrance, batch::ON_MESSAGES, ExportKind::Func);
        let lifted = self.builder.lift_func(None, function, ty, core.options);
        let instance =
            self.builder.instantiate_exports(None, [(batch::ON_MESSAGES, ComponentExportKind::Func, lifted)]);
        let name = interface::qualified("action-batches");
        self.builder.export(&name, ComponentExportKind::Instance, instance, None);
    }

    /// Imports the interface `types`, and `message-properties` where a function needs it; returns
    /// the indices of their types.
    fn shared_types(&mut self, host: &[Host]) -> SharedTypes {
        let properties = host.iter().any(|function| function.declaration().needs_properties());
        let properties = properties.then(|| self.property_types());
        let index = self.builder.type_instance(None, &interface::types_instance());
        let instance = self.builder.import(interface::qualified("types"), ComponentTypeRef::Instance(index));
        let mut alias = |name| self.builder.alias_export(instance, name, ComponentExportKind::Type);
        SharedTypes {
            qos: alias("qos"),
            value: alias("value"),
            argument: alias("argument"),
            run_error: alias("run-error"),
            message: alias("message"),
            properties,
        }
    }

    /// Imports the interface `message-properties`; returns the indices of its types.
    fn property_types(&mut self) -> PropertyTypes {
        let index = self.builder.type_instance(None, &interface::properties_instance());
        let name = interface::qualified("message-properties");
        let instance = self.builder.import(name, ComponentTypeRef::Instance(index));
        let mut alias = |name| self.builder.alias_export(instance, name, ComponentExportKind::Type);
        PropertyTypes { user_property: alias("user-property"), properties: alias("properties") }
    }

    /// Imports the interfaces that are used and lowers the functions that are used: their names and
    /// indices.
    fn host_functions(
        &mut self,
        used: &[Host],
        types: &SharedTypes,
        memory: u32,
        realloc: u32,
    ) -> Vec<(String, u32)> {
        let mut interfaces: BTreeMap<&str, Vec<Host>> = BTreeMap::new();
        for function in used {
            interfaces.entry(function.declaration().interface).or_default().push(*function);
        }
        let mut lowered = Vec::new();
        for (name, functions) in interfaces {
            let index = self.builder.type_instance(None, &interface::interface_instance(&functions, types));
            let instance = self.builder.import(interface::qualified(name), ComponentTypeRef::Instance(index));
            for function in functions {
                let declaration = function.declaration();
                let component =
                    self.builder.alias_export(instance, declaration.name, ComponentExportKind::Func);
                let mut options = vec![CanonicalOption::UTF8, CanonicalOption::Memory(memory)];
                if declaration.needs_realloc() {
                    options.push(CanonicalOption::Realloc(realloc));
                }
                lowered.push((function.import_name(), self.builder.lower_func(None, component, options)));
            }
        }
        lowered
    }

    /// A core instance of these functions.
    fn instance_of(&mut self, functions: &[(String, u32)]) -> u32 {
        let exports: Vec<(&str, ExportKind, u32)> =
            functions.iter().map(|(name, index)| (name.as_str(), ExportKind::Func, *index)).collect();
        self.builder.core_instantiate_exports(None, exports)
    }

    /// Lifts the functions of the core instance `main` and exports them as the interface of the
    /// world.
    fn handler_of(&mut self, world: World, main: u32, core: &Core) {
        match world {
            World::Action => self.handler(main, core),
            World::Model => self.model_handler(main, core),
            World::Rule => self.rule_handler(main, core),
        }
    }

    /// Lifts the functions of the core instance `main` and exports them as the interface
    /// `action-handler`.
    fn handler(&mut self, main: u32, core: &Core) {
        let types = &core.types;
        let own = OwnTypes::define(&mut self.builder);
        let signatures = Signatures {
            message: types.message,
            argument: types.argument,
            value: types.value,
            run_error: types.run_error,
            event: own.event,
        };
        let functions = signatures.define(&mut self.builder);
        let mut lift = |name, index| {
            let function = self.builder.core_alias_export(None, main, name, ExportKind::Func);
            self.builder.lift_func(None, function, index, core.options)
        };
        let handler = Handler {
            on_message: lift("on-message", functions.on_message),
            on_event: lift("on-event", functions.on_event),
            call: lift("call", functions.call),
            client: own.client,
            departure: own.departure,
            subscription: own.subscription,
            event: own.event,
        };
        self.export(&handler, types);
    }

    /// An exported instance names its types, so the functions go through a component that gives the
    /// types their names.
    fn export(&mut self, handler: &Handler, types: &SharedTypes) {
        let naming = self.builder.component(None, naming_component());
        let function = |name, index| (name, ComponentExportKind::Func, index);
        let kind = |name, index| (name, ComponentExportKind::Type, index);
        let instance = self.builder.instantiate(
            None,
            naming,
            [
                kind("qos", types.qos),
                kind("message", types.message),
                kind("value", types.value),
                kind("argument", types.argument),
                kind("run-error", types.run_error),
                kind("client", handler.client),
                kind("departure", handler.departure),
                kind("subscription", handler.subscription),
                kind("event", handler.event),
                function("on-message", handler.on_message),
                function("on-event", handler.on_event),
                function("call", handler.call),
            ]
            .map(|(name, kind, index)| (format!("import-{name}"), kind, index)),
        );
        let name = interface::qualified("action-handler");
        self.builder.export(&name, ComponentExportKind::Instance, instance, None);
    }
}

const MEMORY: MemoryType =
    MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };

/// Returns the type of the runtime module that the shell imports: all exports for programs.
fn runtime_type() -> ModuleType {
    let mut runtime = ModuleType::new();
    runtime.export("memory", EntityType::Memory(MEMORY));
    let mut function = |name: &str, parameters: &[_], results: &[_]| {
        let index = runtime.type_count();
        runtime.ty().function(parameters.iter().copied(), results.iter().copied());
        runtime.export(name, EntityType::Function(index));
    };
    function(REALLOC, &REALLOC_PARAMETERS, &[wasm_encoder::ValType::I32]);
    for exported in Runtime::ALL {
        function(exported.name(), exported.parameters(), exported.results());
    }
    runtime
}

/// Returns the type of a definition's core module that the shell imports: the exports of the world,
/// and no imports but these.
fn main_type(world: World) -> ModuleType {
    let mut main = ModuleType::new();
    main.import("rt", "memory", EntityType::Memory(MEMORY));
    for function in Runtime::ALL {
        let index = main.type_count();
        main.ty().function(function.parameters().iter().copied(), function.results().iter().copied());
        main.import("rt", function.name(), EntityType::Function(index));
    }
    for function in host_of(world) {
        let declaration = function.declaration();
        let index = main.type_count();
        main.ty()
            .function(declaration.core_parameters.iter().copied(), declaration.core_results.iter().copied());
        main.import("host", &function.import_name(), EntityType::Function(index));
    }
    for (name, parameters, results) in Helper::exports(world) {
        let index = main.type_count();
        main.ty().function(parameters.iter().copied(), results.iter().copied());
        main.export(name, EntityType::Function(index));
    }
    main
}

/// The types that `action-handler` declares itself.
struct OwnTypes {
    client: u32,
    departure: u32,
    subscription: u32,
    event: u32,
}

impl OwnTypes {
    fn define(place: &mut ComponentBuilder) -> Self {
        let client = define_client(place);
        let departure = define_departure(place, client);
        let subscription = define_subscription(place, client);
        let event = define_event(place, client, departure, subscription);
        OwnTypes { client, departure, subscription, event }
    }
}

fn define_client(place: &mut dyn interface::Define) -> u32 {
    let user = place.define(&mut |encoder| encoder.option(TEXT));
    place.define(&mut |encoder| {
        encoder.record([
            ("client-id", TEXT),
            ("user", ComponentValType::Type(user)),
            ("endpoint", TEXT),
            ("clean-start", BOOL),
        ]);
    })
}

fn define_departure(place: &mut dyn interface::Define, client: u32) -> u32 {
    place
        .define(&mut |encoder| encoder.record([("client", ComponentValType::Type(client)), ("reason", TEXT)]))
}

fn define_subscription(place: &mut dyn interface::Define, client: u32) -> u32 {
    place.define(&mut |encoder| {
        encoder.record([("client", ComponentValType::Type(client)), ("filter", TEXT), ("qos", U8)]);
    })
}

fn define_event(place: &mut dyn interface::Define, client: u32, departure: u32, subscription: u32) -> u32 {
    place.define(&mut |encoder| {
        encoder.variant([
            ("start", None),
            ("timer", None),
            ("connected", Some(ComponentValType::Type(client))),
            ("disconnected", Some(ComponentValType::Type(departure))),
            ("subscribed", Some(ComponentValType::Type(subscription))),
        ]);
    })
}

/// Indices of the types that the handler's functions mention.
struct Signatures {
    message: u32,
    argument: u32,
    value: u32,
    run_error: u32,
    event: u32,
}

/// Indices of the handler's function types.
struct FunctionTypes {
    on_message: u32,
    on_event: u32,
    call: u32,
}

impl Signatures {
    fn define(&self, place: &mut ComponentBuilder) -> FunctionTypes {
        let ty = ComponentValType::Type;
        let mut defined = |write: &mut dyn FnMut(wasm_encoder::ComponentDefinedTypeEncoder<'_>)| {
            interface::Define::define(place, write)
        };
        let done = defined(&mut |encoder| encoder.result(None, Some(ty(self.run_error))));
        let inputs = defined(&mut |encoder| encoder.list(ty(self.argument)));
        let trigger = defined(&mut |encoder| encoder.option(ty(self.message)));
        let values = defined(&mut |encoder| encoder.list(ty(self.value)));
        let outputs = defined(&mut |encoder| encoder.result(Some(ty(values)), Some(ty(self.run_error))));
        let mut function = |parameters: &[(&str, u32)], result: u32| {
            let (index, mut encoder) = place.type_function(None);
            let parameters: Vec<_> = parameters.iter().map(|(name, index)| (*name, ty(*index))).collect();
            encoder.params(parameters).result(Some(ty(result)));
            index
        };
        FunctionTypes {
            on_message: function(&[("message", self.message)], done),
            on_event: function(&[("event", self.event)], done),
            call: function(&[("inputs", inputs), ("trigger", trigger)], outputs),
        }
    }
}

/// A component that takes the handler's types and functions and exports them with the types named.
fn naming_component() -> ComponentBuilder {
    let mut place = ComponentBuilder::default();
    let import_type = |place: &mut ComponentBuilder, name: &str, index: u32| {
        place.import(format!("import-{name}"), ComponentTypeRef::Type(TypeBounds::Eq(index)))
    };
    let defined = interface::define_qos(&mut place);
    let qos = import_type(&mut place, "qos", defined);
    let bytes = interface::define_bytes(&mut place);
    let defined = interface::define_message(&mut place, bytes, qos);
    let message = import_type(&mut place, "message", defined);
    let defined = interface::define_value(&mut place, bytes);
    let value = import_type(&mut place, "value", defined);
    let defined = interface::define_argument(&mut place, value);
    let argument = import_type(&mut place, "argument", defined);
    let defined = interface::define_run_error(&mut place);
    let run_error = import_type(&mut place, "run-error", defined);
    let defined = define_client(&mut place);
    let client = import_type(&mut place, "client", defined);
    let defined = define_departure(&mut place, client);
    let departure = import_type(&mut place, "departure", defined);
    let defined = define_subscription(&mut place, client);
    let subscription = import_type(&mut place, "subscription", defined);
    let defined = define_event(&mut place, client, departure, subscription);
    let event = import_type(&mut place, "event", defined);
    let functions = Signatures { message, argument, value, run_error, event }.define(&mut place);
    let mut import =
        |name: &str, index| place.import(format!("import-{name}"), ComponentTypeRef::Func(index));
    let on_message = import("on-message", functions.on_message);
    let on_event = import("on-event", functions.on_event);
    let call = import("call", functions.call);

    let mut export_type = |name: &str, index| place.export(name, ComponentExportKind::Type, index, None);
    let message = export_type("message", message);
    let argument = export_type("argument", argument);
    let value = export_type("value", value);
    let run_error = export_type("run-error", run_error);
    let defined = define_client(&mut place);
    let client = place.export("client", ComponentExportKind::Type, defined, None);
    let defined = define_subscription(&mut place, client);
    let subscription = place.export("subscription", ComponentExportKind::Type, defined, None);
    let defined = define_departure(&mut place, client);
    let departure = place.export("departure", ComponentExportKind::Type, defined, None);
    let defined = define_event(&mut place, client, departure, subscription);
    let event = place.export("event", ComponentExportKind::Type, defined, None);
    let named = Signatures { message, argument, value, run_error, event }.define(&mut place);
    let mut export = |name: &str, function, index| {
        place.export(name, ComponentExportKind::Func, function, Some(ComponentTypeRef::Func(index)));
    };
    export("on-message", on_message, named.on_message);
    export("on-event", on_event, named.on_event);
    export("call", call, named.call);
    place
}
