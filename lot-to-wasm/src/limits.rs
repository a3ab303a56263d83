//! Bounds of the compiler, so that no text can cost more than it should.

/// Longest text that is compiled, in bytes. A LoT program of this size would have about 25,000
/// lines; the largest public one has 600.
pub const SOURCE_BYTES_MAX: usize = 1024 * 1024;

/// Statements that publish or keep something with which a definition still counts as short. With
/// more it does not run in the turn of a thread that serves Clients: each message goes to any
/// number of receivers.
pub const SHORT_WRITES_MAX: usize = 64;

/// Most entities of one text; a project may have many texts. Making native code of the smallest
/// takes some 2 ms.
pub const ENTITIES_MAX: usize = 2_000;

/// Most errors that are reported for one entity, LoT reference §14.
pub const ERRORS_MAX: usize = 20;

/// Most warnings that are reported for one entity.
pub const WARNINGS_MAX: usize = 50;

/// Deepest nesting of values in the parser: brackets, inline IFs and operands of operators are a
/// level each, a pair of parentheses is two, so that 22 of them may stand within each other
/// anywhere. Each level costs it under 6 KiB of stack in a debug build.
pub const EXPRESSION_DEPTH_MAX: usize = 48;

/// Deepest tree that a chain of operators may build (`a + b + c …` nests to the left). Later phases
/// recurse this deep.
pub const TREE_DEPTH_MAX: usize = 200;

/// Deepest nesting of blocks: IF, SWITCH, LOOP. The body behind DO is the first of them.
pub const BLOCK_DEPTH_MAX: usize = 32;

/// Most statements in one entity. Compiling takes time and memory that grow faster than the
/// program. [`BRANCHES_MAX`] and [`INSTRUCTIONS_MAX`] bound the code of the statements as well:
/// 4,000 PUBLISH with constants fit, and fewer longer statements.
pub const STATEMENTS_MAX: usize = 5_000;

/// Most blocks and conditional branches in the code of one entity; an `if` that leaves a value
/// counts as two. Making native code of one statement takes memory that grows with their square:
/// 10,000 take up to 170 MiB. Of many statements it takes 10 MiB.
pub const BRANCHES_MAX: usize = 10_000;

/// Most WebAssembly instructions in the code of one entity: a second of making native code, and up
/// to 170 MiB.
pub const INSTRUCTIONS_MAX: usize = 120_000;

/// Most variables in one Action.
pub const VARIABLES_MAX: usize = 1000;

/// Most fields of one model, with those that it inherits and those of its collections' elements.
pub const FIELDS_MAX: usize = 1000;

/// Most ancestors of a model that are followed; deeper inheritance is not judged.
pub const ANCESTORS_MAX: usize = 64;

/// Most CASE values that are compared with later ones to find unreachable ones.
pub const COMPARED_CASES_MAX: usize = 500;

/// Most topics of one `ON TOPIC` (OD-10).
pub const FILTERS_MAX: usize = 64;

/// Most events, mappings and tags of a route that one message is for: each has a copy of it. Of
/// events and mappings with the same filter more are refused.
pub const TAKERS_MAX: usize = 64;

/// Most times of day of one trigger.
pub const TIMES_MAX: usize = 64;

/// Longest topic in bytes, as in MQTT.
pub const TOPIC_BYTES_MAX: usize = 65_535;

/// Shortest interval of `ON EVERY` in milliseconds (OD-34).
pub const INTERVAL_MS_MIN: u64 = 10;

/// Most steps of one window: its length divided by the time between two of its ends.
pub const WINDOW_STEPS_MAX: u64 = 1_000;

/// Most messages of one window.
pub const WINDOW_MESSAGES_MAX: u64 = 1_000_000_000;

/// Most loop passes of one run, over all its loops (LoT reference §7.8); one more ends the run with
/// an error.
pub const LOOP_PASSES_MAX: u32 = 100_000;

/// Most messages, kept values included, that one run writes (LoT reference §7.8): the host's bound,
/// which ends the run; the compiler names it in the error.
pub const RUN_WRITES_MAX: u32 = 10_000;

/// Most mebibytes of topics and payloads that one run writes; the host's as well.
pub const RUN_WRITE_MIB_MAX: u32 = 16;

/// Most elements that an array of a model can get by assignment to them; the runtime library has
/// the same bound.
pub const ASSIGNED_ELEMENTS_MAX: u32 = 10_000;

/// Most that the patterns with look-around of one definition may cost together; one may cost a
/// quarter of it. They are compiled, some 60 ms, whenever the definition is checked.
pub const PATTERNS_COST_MAX: u64 = 640_000;

/// Most that the patterns with look-around of one text may cost together: a quarter of a second.
pub const PATTERNS_COST_OF_TEXT_MAX: u64 = 4 * PATTERNS_COST_MAX;

/// Most that those of one project may cost together, over all its texts: a second.
pub const PATTERNS_COST_OF_PROJECT_MAX: u64 = 16 * PATTERNS_COST_MAX;

/// Steps of a search with a pattern that is only checked.
pub(crate) const STEPS_OF_CHECK: usize = 1;

/// Most bytes of the states of one pattern without look-around. A repetition has the states of its
/// part as many times as its upper bound.
pub const LINEAR_BYTES_MAX: usize = 262_144;

/// Bytes of states that a pattern without look-around has for each of its own, if no repetition in
/// it is large.
pub(crate) const LINEAR_BYTES_PER_BYTE: usize = 256;

/// Bytes of states that any pattern without look-around may have beside those.
pub(crate) const LINEAR_BYTES_SMALL: usize = 4_096;

/// Most patterns of a definition that may run where others wait for it: each new instance compiles
/// them.
pub const SHORT_PATTERNS_MAX: usize = 32;

/// Most bytes of those patterns together.
pub const SHORT_PATTERN_BYTES_MAX: usize = 2_048;

/// Most patterns without look-around in one definition that have more states than that.
pub const LARGE_PATTERNS_MAX: usize = 16;

/// Most of those patterns in one text.
pub const LARGE_PATTERNS_OF_TEXT_MAX: usize = 4 * LARGE_PATTERNS_MAX;

/// Most of those patterns in one project.
pub const LARGE_PATTERNS_OF_PROJECT_MAX: usize = 16 * LARGE_PATTERNS_MAX;

/// Passes over an Action to find the kinds of its variables; beyond it they are taken to be
/// anything. Real programs need three.
pub const INFERENCE_PASSES_MAX: usize = 20;

/// Longest name of an entity, a Python script, or a route's event, mapping or tag, in bytes: it is
/// a level of topics.
pub const NAME_BYTES_MAX: usize = 128;

/// Longest name of a module in bytes, as `-addModule` has it.
pub const MODULE_NAME_BYTES_MAX: usize = 64;

/// Longest name of a function of a module in bytes.
pub const MODULE_FUNCTION_BYTES_MAX: usize = 128;
