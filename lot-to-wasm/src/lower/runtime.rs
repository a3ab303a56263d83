//! The functions of the LoT runtime, as `guests/lot-runtime/src/abi.rs` exports them.

use wasm_encoder::ValType;

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;
const F64: ValType = ValType::F64;

macro_rules! runtime_functions {
    ($($(#[$raises:ident])? $variant:ident $name:literal ($($parameter:ident),*) $(-> $result:ident)?;)*) => {
        /// A function of the runtime. Values are passed by the address of their cell, text as
        /// address and length; bytes are returned as both in one `i64`, the length in the upper
        /// half.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Runtime {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )*
        }

        impl Runtime {
            /// All of them.
            pub(super) const ALL: &'static [Runtime] = &[$(Runtime::$variant),*];

            /// Name of the export.
            pub(super) fn name(self) -> &'static str {
                match self { $(Runtime::$variant => $name,)* }
            }

            /// Types of the parameters.
            pub(super) fn parameters(self) -> &'static [ValType] {
                match self { $(Runtime::$variant => &[$($parameter),*],)* }
            }

            /// Type of the result.
            pub(super) fn results(self) -> &'static [ValType] {
                match self { $(Runtime::$variant => &[$($result)?],)* }
            }

            /// Whether it may raise a bit in the pending word.
            pub(super) fn raises(self) -> bool {
                match self { $(Runtime::$variant => !concat!($(stringify!($raises))?).is_empty(),)* }
            }
        }
    };
}

runtime_functions! {
    // The program's life.
    Reserve "lot.reserve" (I32) -> I32;
    Relocate "lot.relocate" (I32, I32, I32);
    Regex "lot.regex" (I32, I32);
    Seal "lot.seal" () -> I32;
    Reset "lot.reset" ();
    Allocate "lot.allocate" (I32) -> I32;
    // Batches, for the component around the program.
    BatchBegin "lot.batch-begin" (I32, I32, I32, I32);
    BatchNext "lot.batch-next" () -> I32;
    BatchWrite "lot.batch-write" (I32, I32, I32, I32, I32, I32, I32) -> I32;
    BatchEnd "lot.batch-end" () -> I32;
    // Making and reading values.
    Raw "lot.raw" (I32, I32) -> I32;
    Data "lot.data" (I32, I32) -> I32;
    Literal "lot.literal" (I32, I32) -> I32;
    Bytes "lot.bytes" (I32, I32) -> I32;
    Int "lot.int" (I64) -> I32;
    Double "lot.double" (F64) -> I32;
    Bool "lot.bool" (I32) -> I32;
    Adopt "lot.adopt" (I32) -> I32;
    Crossing "lot.crossing" (I32) -> I32;
    Payload "lot.payload" (I32) -> I64;
    Text "lot.text" (I32) -> I64;
    Truth "lot.truth" (I32) -> I32;
    IsEmpty "lot.is-empty" (I32) -> I32;
    #[raises] IntOf "lot.int-of" (I32) -> I64;
    #[raises] DoubleOf "lot.double-of" (I32) -> F64;
    BoolOf "lot.bool-of" (I32) -> I32;
    #[raises] Operand "lot.operand" (I32) -> F64;
    // Operators and casts.
    Add "lot.add" (I32, I32) -> I32;
    #[raises] Subtract "lot.subtract" (I32, I32) -> I32;
    #[raises] Multiply "lot.multiply" (I32, I32) -> I32;
    #[raises] Divide "lot.divide" (I32, I32) -> I32;
    #[raises] Remainder "lot.remainder" (I32, I32) -> I32;
    #[raises] Negate "lot.negate" (I32) -> I32;
    Concat "lot.concat" (I32, I32) -> I32;
    Concat2 "lot.concat2" (I32, I32) -> I32;
    Concat3 "lot.concat3" (I32, I32, I32) -> I32;
    Equals "lot.equals" (I32, I32) -> I32;
    #[raises] Order "lot.order" (I32, I32) -> I32;
    Contains "lot.contains" (I32, I32) -> I32;
    StartsWith "lot.starts-with" (I32, I32) -> I32;
    EndsWith "lot.ends-with" (I32, I32) -> I32;
    In "lot.in" (I32, I32) -> I32;
    #[raises] ToInt "lot.to-int" (I32) -> I32;
    #[raises] ToDouble "lot.to-double" (I32) -> I32;
    ToBool "lot.to-bool" (I32) -> I32;
    ToString "lot.to-string" (I32) -> I32;
    ToBytes "lot.to-bytes" (I32) -> I32;
    ToTimestamp "lot.to-timestamp" (I32) -> I32;
    ToJson "lot.to-json" (I32) -> I32;
    ToArray "lot.to-array" (I32) -> I32;
    ToObject "lot.to-object" (I32) -> I32;
    // Topics and JSON.
    Level "lot.level" (I32, I32, I32) -> I32;
    #[raises] LevelAt "lot.level-at" (I32, I32, I32) -> I32;
    Rest "lot.rest" (I32, I32, I32, I32) -> I32;
    FirstMatch "lot.first-match" (I32, I32, I32, I32) -> I32;
    JsonGet "lot.json-get" (I32, I32, I32) -> I32;
    JsonGetAt "lot.json-get-at" (I32, I32) -> I32;
    JsonFill "lot.json-fill" (I32, I32, I32, I32) -> I32;
    // Transforms and functions.
    Matches "lot.matches" (I32, I32) -> I32;
    Filter "lot.filter" (I32, I32) -> I32;
    Replace "lot.replace" (I32, I32, I32) -> I32;
    Trim "lot.trim" (I32) -> I32;
    Split "lot.split" (I32, I32, I32) -> I32;
    Piece "lot.piece" (I32, I32, I32, I32) -> I32;
    Upper "lot.upper" (I32) -> I32;
    Lower "lot.lower" (I32) -> I32;
    Length "lot.length" (I32) -> I64;
    #[raises] Abs "lot.abs" (I32) -> I32;
    #[raises] Round "lot.round" (I32) -> I32;
    #[raises] RoundTo "lot.round-to" (I32, I32) -> I32;
    #[raises] Floor "lot.floor" (I32) -> I32;
    #[raises] Ceil "lot.ceil" (I32) -> I32;
    #[raises] Sqrt "lot.sqrt" (I32) -> I32;
    #[raises] Sin "lot.sin" (I32) -> I32;
    #[raises] Cos "lot.cos" (I32) -> I32;
    #[raises] Tan "lot.tan" (I32) -> I32;
    #[raises] Asin "lot.asin" (I32) -> I32;
    #[raises] Acos "lot.acos" (I32) -> I32;
    #[raises] Atan "lot.atan" (I32) -> I32;
    #[raises] Atan2 "lot.atan2" (I32, I32) -> I32;
    #[raises] Exp "lot.exp" (I32) -> I32;
    #[raises] Ln "lot.ln" (I32) -> I32;
    #[raises] Log10 "lot.log10" (I32) -> I32;
    #[raises] Pow "lot.pow" (I32, I32) -> I32;
    #[raises] Min "lot.min" (I32, I32) -> I32;
    #[raises] Max "lot.max" (I32, I32) -> I32;
    Append "lot.append" (I32, I32) -> I32;
    #[raises] Last "lot.last" (I32, I32) -> I32;
    #[raises] Sum "lot.sum" (I32) -> I32;
    #[raises] Mean "lot.mean" (I32) -> I32;
    #[raises] Stddev "lot.stddev" (I32) -> I32;
    #[raises] StddevPop "lot.stddev-pop" (I32) -> I32;
    Timestamp "lot.timestamp" (I64, I32, I32) -> I32;
    LocalTimestamp "lot.local-timestamp" (I64, I32, I32, I32) -> I32;
    #[raises] RandomInt "lot.random-int" (I64, I32, I32) -> I32;
    #[raises] RandomDouble "lot.random-double" (I64, I32, I32) -> I32;
    Uuid "lot.uuid" (I64, I64) -> I32;
    // Inputs of callable Actions.
    Input "lot.input" (I32, I32, I32, I32) -> I32;
    UnknownInput "lot.unknown-input" (I32, I32, I32, I32) -> I64;
    // Models.
    Inferred "lot.inferred" (I32) -> I32;
    Assigned "lot.assigned" (I32, I32, I32, I32) -> I32;
    UnknownField "lot.unknown-field" (I32, I32, I32, I32) -> I64;
    Leaves "lot.leaves" (I32) -> I64;
    Elements "lot.elements" (I32) -> I64;
    Members "lot.members" (I32) -> I64;
    JsonArray "lot.json-array" (I32, I32) -> I32;
}

/// Export of the runtime through which the host takes memory for arguments and results.
pub(super) const REALLOC: &str = "cabi_realloc";

/// Types of [`REALLOC`]'s parameters; its result is an `i32`.
pub(super) const REALLOC_PARAMETERS: [ValType; 4] = [I32; 4];

/// Bits of the runtime's pending word, `guests/lot-runtime/src/pending.rs`.
pub(super) mod pending {
    pub(crate) const NOT_NUMERIC: i32 = 1;
    pub(crate) const DIVISION_BY_ZERO: i32 = 2;
    pub(crate) const CAST_FAILED: i32 = 4;
    pub(crate) const COMPARED_AS_TEXT: i32 = 8;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wasmparser::Payload;

    use super::*;

    #[test]
    fn the_table_is_what_the_runtime_exports() {
        let exports = exported_functions(crate::lower::RUNTIME);
        for function in Runtime::ALL {
            let expected = format!("{:?} -> {:?}", function.parameters(), function.results()).to_lowercase();
            assert_eq!(exports.get(function.name()), Some(&expected), "{}", function.name());
        }
        let unknown: Vec<&String> = exports
            .keys()
            .filter(|name| {
                name.starts_with("lot.") && Runtime::ALL.iter().all(|known| known.name() != **name)
            })
            .collect();
        assert!(unknown.is_empty(), "exported but not in the table: {unknown:?}");
        assert_eq!(exports.get(REALLOC).map(String::as_str), Some("[i32, i32, i32, i32] -> [i32]"));
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "other sections do not matter")]
    /// Name and type of every exported function; checks on the way that the module imports nothing.
    fn exported_functions(module: &[u8]) -> BTreeMap<String, String> {
        let mut types = Vec::new();
        let mut functions = Vec::new();
        let mut exports = BTreeMap::new();
        for payload in wasmparser::Parser::new(0).parse_all(module) {
            match payload.unwrap() {
                Payload::TypeSection(section) => {
                    for group in section.into_iter_err_on_gc_types() {
                        let group = group.unwrap();
                        types.push(format!("{:?} -> {:?}", group.params(), group.results()).to_lowercase());
                    }
                }
                Payload::ImportSection(section) => {
                    assert_eq!(section.count(), 0, "the runtime has no imports")
                }
                Payload::FunctionSection(section) => {
                    functions.extend(section.into_iter().map(|index| index.unwrap() as usize));
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.unwrap();
                        if matches!(export.kind, wasmparser::ExternalKind::Func) {
                            exports.insert(
                                export.name.to_owned(),
                                types[functions[export.index as usize]].clone(),
                            );
                        }
                    }
                }
                _ => {}
            }
        }
        exports
    }
}
