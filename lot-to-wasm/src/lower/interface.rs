//! The WIT types of `wit/guest`, as component types.
//!
//! A test compares the output with the WIT files, so that neither can change alone.

use std::collections::HashMap;

use wasm_encoder::{
    Alias, ComponentBuilder, ComponentDefinedTypeEncoder, ComponentOuterAliasKind, ComponentTypeRef,
    ComponentValType, InstanceType, PrimitiveValType, TypeBounds,
};

use super::host::Host;

/// Package and version of the interfaces.
pub(super) fn qualified(interface: &str) -> String {
    format!("lotmq:guest/{interface}@0.2.0")
}

/// The type of a parameter or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Bool,
    U32,
    S32,
    S64,
    U64,
    Text,
    /// `list<u8>`
    Bytes,
    OptionBytes,
    OptionText,
    OptionU32,
    /// Records of the interface `message-properties`.
    UserProperty,
    Properties,
    /// `list<user-property>`
    UserProperties,
    /// Enum of the interface `types`.
    Qos,
    /// `value`, `argument`, `run-error` of the interface `types`.
    Value,
    Argument,
    RunError,
    /// `list<argument>`
    Arguments,
    /// `list<value>`
    Values,
    /// `result<list<value>, run-error>`
    CallResult,
    /// `result<_, run-error>`
    RunResult,
    /// Enum of `rule-modules`.
    Opinion,
    /// `result<opinion, run-error>`
    OpinionResult,
    /// Enum of `messages`.
    WriteError,
    /// `result<_, write-error>`
    WriteResult,
    /// `list<string>`
    Texts,
    /// Enum of `topic-store`.
    TopicsError,
    /// `result<list<string>, topics-error>`
    TopicsResult,
    /// Record of `backtracking`.
    Span,
    OptionSpan,
    /// Enum of `diagnostics`.
    Severity,
}

pub(super) const BOOL: ComponentValType = ComponentValType::Primitive(PrimitiveValType::Bool);
pub(super) const U8: ComponentValType = ComponentValType::Primitive(PrimitiveValType::U8);
pub(super) const U32: ComponentValType = ComponentValType::Primitive(PrimitiveValType::U32);
const S32: ComponentValType = ComponentValType::Primitive(PrimitiveValType::S32);
pub(super) const S64: ComponentValType = ComponentValType::Primitive(PrimitiveValType::S64);
const U64: ComponentValType = ComponentValType::Primitive(PrimitiveValType::U64);
const F64: ComponentValType = ComponentValType::Primitive(PrimitiveValType::F64);
pub(super) const TEXT: ComponentValType = ComponentValType::Primitive(PrimitiveValType::String);

/// Somewhere that types can be defined in: a component or the type of an instance.
pub(super) trait Define {
    /// Defines a type and returns its index.
    fn define(&mut self, write: &mut dyn FnMut(ComponentDefinedTypeEncoder<'_>)) -> u32;
}

impl Define for ComponentBuilder {
    fn define(&mut self, write: &mut dyn FnMut(ComponentDefinedTypeEncoder<'_>)) -> u32 {
        let (index, encoder) = self.type_defined(None);
        write(encoder);
        index
    }
}

impl Define for InstanceType {
    fn define(&mut self, write: &mut dyn FnMut(ComponentDefinedTypeEncoder<'_>)) -> u32 {
        let index = self.type_count();
        write(self.ty().defined_type());
        index
    }
}

fn ty(index: u32) -> ComponentValType {
    ComponentValType::Type(index)
}

/// `enum qos`.
pub(super) fn define_qos(place: &mut dyn Define) -> u32 {
    place.define(&mut |encoder| encoder.enum_type(["at-most-once", "at-least-once", "exactly-once"]))
}

/// `list<u8>`.
pub(super) fn define_bytes(place: &mut dyn Define) -> u32 {
    place.define(&mut |encoder| encoder.list(U8))
}

/// `variant value`.
pub(super) fn define_value(place: &mut dyn Define, bytes: u32) -> u32 {
    place.define(&mut |encoder| {
        encoder.variant([
            ("empty", None),
            ("null", None),
            ("boolean", Some(BOOL)),
            ("integer", Some(S64)),
            ("double", Some(F64)),
            ("text", Some(TEXT)),
            ("json", Some(TEXT)),
            ("bytes", Some(ty(bytes))),
            ("time", Some(S64)),
        ]);
    })
}

/// `record argument`.
pub(super) fn define_argument(place: &mut dyn Define, value: u32) -> u32 {
    place.define(&mut |encoder| encoder.record([("name", TEXT), ("value", ty(value))]))
}

/// `record run-error`.
pub(super) fn define_run_error(place: &mut dyn Define) -> u32 {
    place.define(&mut |encoder| {
        encoder.record([("code", TEXT), ("message", TEXT), ("line", U32), ("column", U32)]);
    })
}

/// `record message`.
pub(super) fn define_message(place: &mut dyn Define, bytes: u32, qos: u32) -> u32 {
    place.define(&mut |encoder| {
        encoder.record([
            ("topic", TEXT),
            ("payload", ty(bytes)),
            ("qos", ty(qos)),
            ("retain", BOOL),
            ("client-id", TEXT),
        ]);
    })
}

/// `record user-property`.
fn define_user_property(place: &mut dyn Define) -> u32 {
    place.define(&mut |encoder| encoder.record([("name", TEXT), ("value", TEXT)]))
}

/// The type of the instance `message-properties`.
pub(super) fn properties_instance() -> InstanceType {
    let mut instance = InstanceType::new();
    let user = define_user_property(&mut instance);
    let user = export_type(&mut instance, "user-property", user);
    let format = instance.define(&mut |encoder| encoder.enum_type(["unspecified", "utf8"]));
    let format = export_type(&mut instance, "payload-format", format);
    let seconds = instance.define(&mut |encoder| encoder.option(U32));
    let text = instance.define(&mut |encoder| encoder.option(TEXT));
    let bytes = define_bytes(&mut instance);
    let data = instance.define(&mut |encoder| encoder.option(ty(bytes)));
    let users = instance.define(&mut |encoder| encoder.list(ty(user)));
    let properties = instance.define(&mut |encoder| {
        encoder.record([
            ("payload-format", ty(format)),
            ("expiry-seconds", ty(seconds)),
            ("content-type", ty(text)),
            ("response-topic", ty(text)),
            ("correlation-data", ty(data)),
            ("user-properties", ty(users)),
        ]);
    });
    export_type(&mut instance, "properties", properties);
    instance
}

/// The type of the instance `types`.
pub(super) fn types_instance() -> InstanceType {
    let mut instance = InstanceType::new();
    let qos = define_qos(&mut instance);
    let qos = export_type(&mut instance, "qos", qos);
    let bytes = define_bytes(&mut instance);
    let value = define_value(&mut instance, bytes);
    let value = export_type(&mut instance, "value", value);
    let argument = define_argument(&mut instance, value);
    export_type(&mut instance, "argument", argument);
    let run_error = define_run_error(&mut instance);
    export_type(&mut instance, "run-error", run_error);
    let message = define_message(&mut instance, bytes, qos);
    export_type(&mut instance, "message", message);
    instance
}

/// Exports a type under a name and returns the index of the named one.
fn export_type(instance: &mut InstanceType, name: &str, index: u32) -> u32 {
    let named = instance.type_count();
    instance.export(name, ComponentTypeRef::Type(TypeBounds::Eq(index)));
    named
}

/// Indices of the types that the imported instance `types` exports, in the component.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedTypes {
    pub(super) qos: u32,
    pub(super) value: u32,
    pub(super) argument: u32,
    pub(super) run_error: u32,
    pub(super) message: u32,
    /// Those of `message-properties`, where some function needs them.
    pub(super) properties: Option<PropertyTypes>,
}

/// Indices of the types that the imported instance `message-properties` exports, in the component.
#[derive(Debug, Clone, Copy)]
pub(super) struct PropertyTypes {
    pub(super) user_property: u32,
    pub(super) properties: u32,
}

/// The type of an interface's instance with those of its functions that are used.
pub(super) fn interface_instance(functions: &[Host], shared: &SharedTypes) -> InstanceType {
    let mut writer = InstanceWriter { instance: InstanceType::new(), known: HashMap::new(), shared };
    for function in functions {
        writer.function(*function);
    }
    writer.instance
}

struct InstanceWriter<'a> {
    instance: InstanceType,
    known: HashMap<Shape, u32>,
    shared: &'a SharedTypes,
}

impl InstanceWriter<'_> {
    fn function(&mut self, function: Host) {
        let declaration = function.declaration();
        let parameters: Vec<(&str, ComponentValType)> =
            declaration.parameters.iter().map(|(name, shape)| (*name, self.shape(*shape))).collect();
        let result = declaration.result.map(|shape| self.shape(shape));
        let index = self.instance.type_count();
        self.instance.ty().function().params(parameters).result(result);
        self.instance.export(declaration.name, ComponentTypeRef::Func(index));
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "primitive types are named, all others are defined")]
    fn shape(&mut self, shape: Shape) -> ComponentValType {
        match shape {
            Shape::Bool => BOOL,
            Shape::U32 => U32,
            Shape::S32 => S32,
            Shape::S64 => S64,
            Shape::U64 => U64,
            Shape::Text => TEXT,
            _ => {
                if let Some(index) = self.known.get(&shape) {
                    return ty(*index);
                }
                let index = self.define_shape(shape);
                self.known.insert(shape, index);
                ty(index)
            }
        }
    }

    fn define_shape(&mut self, shape: Shape) -> u32 {
        match shape {
            Shape::Bool | Shape::U32 | Shape::S32 | Shape::S64 | Shape::U64 | Shape::Text | Shape::Bytes => {
                define_bytes(&mut self.instance)
            }
            Shape::OptionBytes => self.option(Shape::Bytes),
            Shape::OptionText => self.option(Shape::Text),
            Shape::OptionSpan => self.option(Shape::Span),
            Shape::OptionU32 => self.option(Shape::U32),
            Shape::UserProperties => self.list(Shape::UserProperty),
            Shape::UserProperty => self.of_properties("user-property", |types| types.user_property),
            Shape::Properties => self.of_properties("properties", |types| types.properties),
            Shape::Arguments => self.list(Shape::Argument),
            Shape::Values => self.list(Shape::Value),
            Shape::CallResult => {
                let (ok, error) = (self.shape(Shape::Values), self.shape(Shape::RunError));
                self.instance.define(&mut |encoder| encoder.result(Some(ok), Some(error)))
            }
            Shape::RunResult => {
                let error = self.shape(Shape::RunError);
                self.instance.define(&mut |encoder| encoder.result(None, Some(error)))
            }
            Shape::OpinionResult => {
                let (ok, error) = (self.shape(Shape::Opinion), self.shape(Shape::RunError));
                self.instance.define(&mut |encoder| encoder.result(Some(ok), Some(error)))
            }
            Shape::Opinion => {
                self.own("opinion", &mut |encoder| encoder.enum_type(["allow", "deny", "nothing"]))
            }
            Shape::WriteResult => {
                let error = self.shape(Shape::WriteError);
                self.instance.define(&mut |encoder| encoder.result(None, Some(error)))
            }
            Shape::Texts => self.list(Shape::Text),
            Shape::TopicsResult => {
                let (ok, error) = (self.shape(Shape::Texts), self.shape(Shape::TopicsError));
                self.instance.define(&mut |encoder| encoder.result(Some(ok), Some(error)))
            }
            Shape::TopicsError => {
                self.own("topics-error", &mut |encoder| encoder.enum_type(["invalid-filter", "too-many"]))
            }
            Shape::Qos => self.shared("qos", self.shared.qos),
            Shape::Value => self.shared("value", self.shared.value),
            Shape::Argument => self.shared("argument", self.shared.argument),
            Shape::RunError => self.shared("run-error", self.shared.run_error),
            Shape::WriteError => self.own("write-error", &mut |encoder| {
                encoder.enum_type(["invalid-topic", "not-allowed", "limit-reached", "invalid-properties"])
            }),
            Shape::Severity => self.own("severity", &mut |encoder| encoder.enum_type(["warning", "error"])),
            Shape::Span => self.own("span", &mut |encoder| encoder.record([("start", U32), ("end", U32)])),
        }
    }

    fn option(&mut self, of: Shape) -> u32 {
        let of = self.shape(of);
        self.instance.define(&mut |encoder| encoder.option(of))
    }

    fn list(&mut self, of: Shape) -> u32 {
        let of = self.shape(of);
        self.instance.define(&mut |encoder| encoder.list(of))
    }

    /// A type of the interface `types`, which the component knows by this index.
    fn shared(&mut self, name: &str, index: u32) -> u32 {
        let alias = self.instance.type_count();
        self.instance.alias(Alias::Outer { kind: ComponentOuterAliasKind::Type, count: 1, index });
        export_type(&mut self.instance, name, alias)
    }

    /// A type of the interface `message-properties`.
    fn of_properties(&mut self, name: &str, index: impl Fn(&PropertyTypes) -> u32) -> u32 {
        let types = self.shared.properties.as_ref();
        let types = types.expect("imported for every function that needs them");
        self.shared(name, index(types))
    }

    /// A named type of the interface itself.
    fn own(&mut self, name: &str, write: &mut dyn FnMut(ComponentDefinedTypeEncoder<'_>)) -> u32 {
        let index = self.instance.define(write);
        export_type(&mut self.instance, name, index)
    }
}
