//! The registry of diagnostic codes: 1xx characters and indentation, 2xx syntax, 3xx names, 4xx types and values, 5xx limits and
//! lowering, 6xx what a compiled program reports while it runs.
//!
//! A released code is never reused or renumbered. Each has an explanation here and, below 6xx, a fixture in
//! `tests/corpus/diagnostic/` that provokes it.

use std::fmt;

/// A stable code; shown as `LOT203`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

impl Code {
    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// What it means, in a few words.
    pub fn title(self) -> &'static str {
        self.row().1
    }

    /// What it means and what to do, in sentences.
    pub fn explanation(self) -> &'static str {
        self.row().2
    }

    /// The code that is written like this (`LOT203` or `203`), if it is one.
    pub fn parse(text: &str) -> Option<Code> {
        let number: u16 = text.strip_prefix("LOT").unwrap_or(text).parse().ok()?;
        ROWS.iter().map(|row| row.0).find(|code| code.0 == number)
    }

    /// All codes, ascending.
    pub fn all() -> impl Iterator<Item = Code> {
        ROWS.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Code, &'static str, &'static str) {
        ROWS.iter().find(|row| row.0 == self).unwrap_or(&UNKNOWN)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LOT{:03}", self.0)
    }
}

/// Stands in for a code that is not in the table; there is none, because codes are made only here.
const UNKNOWN: (Code, &str, &str) = (Code(0), "unknown code", "This is not a code of this compiler.");

macro_rules! codes {
    ($($number:literal $name:ident $title:literal $explanation:literal)*) => {
        $(
            #[doc = $title]
            #[doc = ""]
            #[doc = $explanation]
            pub const $name: Code = Code($number);
        )*
        /// Every code with its title and explanation, ascending.
        const ROWS: &[(Code, &str, &str)] = &[$(($name, $title, $explanation),)*];
    };
}

codes! {
    101 UNEXPECTED_CHARACTER "unexpected character"
        "The language has no such character outside of strings and comments. Operators and punctuation are + - * / % == = != <> > < >= <= ( ) [ ] { } , : and the dot."
    102 UNCLOSED_STRING "unclosed string"
        "A string ends on the line on which it begins. Close it with the quote that opened it; write a line break inside as \\n. Only WITH QUERY, WITH BODY and WITH ARGS of a route, and DESCRIPTION, may span lines."
    103 UNCLOSED_COMMENT "unclosed comment"
        "A comment that begins with /* ends with */. Such comments do not nest."
    104 UNCLOSED_BRACKET "unclosed bracket"
        "Each ( [ { needs its ) ] }. Inside brackets line ends and indentation mean nothing, so a missing one swallows the lines after it."
    105 INCONSISTENT_INDENTATION "inconsistent indentation"
        "A line that is indented less than the one before must stand in the column of a block that is still open. Indent by 4 spaces per level; a tab counts as 4."
    106 TAB_INDENTATION "tabs in the indentation"
        "Tabs count as 4 columns and are accepted, but the original broker's tools refuse them. Use 4 spaces per level."
    107 ODD_INDENTATION "indentation is not a multiple of 4"
        "Any deeper line opens a block, so this is accepted; 4 spaces per level is what everybody else reads and writes."
    108 BAD_ESCAPE "bad escape in a string"
        "\\u needs four hexadecimal digits that name a character. Other unknown escapes are kept as they are, because regular expressions need them."
    109 UNMATCHED_BRACKET "closing bracket without an opening one"
        "There is no open bracket of this kind here."
    201 UNEXPECTED_TOKEN "unexpected word or sign"
        "The grammar allows something else here; `expected` lists what."
    202 OUTSIDE_ENTITY "text outside of an entity"
        "Every statement belongs to an entity, and an entity begins with DEFINE in column 1."
    203 EXPECTED_THEN "THEN is missing"
        "The condition of an IF ends with THEN, on the same line."
    204 EXPECTED_DO "DO is missing"
        "After the trigger, or after the INPUT lines, the word DO introduces the statements. It ends the trigger's line or stands alone on the next."
    205 INDENTED_TRIGGER "indented trigger"
        "ON, INPUT, DO, RETURN and DESCRIPTION stand in the column of DEFINE ACTION, column 1; only the statements are indented."
    206 EMPTY_BLOCK "empty block"
        "A block needs at least one statement, indented deeper than the line that opens it. Comments are none."
    207 BLOCK_ON_LINE "statements on the line of DO"
        "The statements after DO begin on the next line, indented by 4 spaces."
    208 QUOTED_NAME "quoted entity name"
        "Names of actions, models, rules and routes are written without quotes."
    209 LOWER_CASE_KEYWORD "keyword in lower case"
        "Keywords are upper case; only TRUE, FALSE, NULL and EMPTY may be written in any case."
    210 UNKNOWN_ENTITY "unknown kind of entity"
        "There are ACTION, MODEL, RULE, ROUTE, PANEL (or VISU) and THEME."
    211 THING_UNSUPPORTED "DEFINE THING is not supported"
        "The word is reserved. Use a MODEL for data and ACTIONs for behaviour."
    212 NO_TRIGGER "action without a trigger"
        "An action begins with ON …, or with INPUT lines and DO, or with DO alone when it is called by name."
    213 INTERVAL_UNIT "ON EVERY without a unit"
        "Write a number and a unit, such as 5 SECONDS, or a day, such as MONDAY AT \"08:00\"."
    214 SET_SEPARATOR "SET without a separator"
        "Between the variable's name and its value stands WITH (or TO, AS, =)."
    215 EXPECTED_WITH "WITH is missing or empty"
        "The value follows WITH on the same line (or on a deeper one that begins with WITH)."
    216 PUBLISH_MESSAGE "MESSAGE is not part of the language"
        "The payload of PUBLISH and KEEP follows WITH: PUBLISH TOPIC \"t\" WITH value."
    217 END_IF "blocks are closed by indentation"
        "There is no END IF, END LOOP or END: a block ends where the indentation goes back."
    218 NO_SUCH_LOOP "no such loop"
        "The loops are LOOP … UNTIL condition, tested after each pass, and FOR EACH {item} IN list DO, once for each member of a JSON array."
    219 RETURN_ON_LINE "OUTPUT on the line of RETURN"
        "RETURN stands alone; each OUTPUT has an indented line of its own below it, with exactly one name."
    220 NOT_LOT "not part of the language"
        "This appears in planning documents and generated texts, but no broker runs it."
    221 MCP_TOOL "CALL MCP with TOOL"
        "The tool is named after the route, with a dot: CALL MCP \"Route.tool\"."
    222 STRAY_ELSE "ELSE without its IF"
        "ELSE stands in the column of its IF, directly after the IF's block."
    223 CHAINED_COMPARISON "chained comparison"
        "Comparisons do not chain. Join two of them with AND."
    224 WITH_VALUE "WITH VALUE is not part of the language"
        "The value follows WITH directly: ADD STRING \"unit\" WITH \"C\"."
    225 WITH_COLLAPSED "WITH COLLAPSED"
        "COLLAPSED follows the model's name without WITH: DEFINE MODEL M COLLAPSED."
    226 WITH_FORMATS "WITH FORMATS"
        "The option is WITH FORMAT JSON, PROTOBUF or BOTH."
    227 ADD_METADATA "ADD METADATA in a deployed route"
        "The block is for people and for editors of templates: nothing comes of it."
    228 TAG_OUTSIDE_MAPPING "ADD TAG outside of a MAPPING"
        "A tag belongs to a mapping: indent ADD TAG below ADD MAPPING."
    229 ROUTE_TYPE "route without a type"
        "The header is DEFINE ROUTE name WITH TYPE TYPE_NAME."
    230 UNKNOWN_STATEMENT "unknown statement"
        "Statements begin with SET, PUBLISH, REPLY, KEEP, DELETE, IF, SWITCH, LOOP, CALL or TRIGGER."
    231 EXPECTED_EXPRESSION "a value is missing"
        "Here stands a value: a number, a string, {variable}, PAYLOAD, TOPIC …, GET …, or an expression in parentheses."
    232 QUOTED_PARENT "quoted parent model"
        "The model after FROM is written without quotes."
    233 RULE_HEADER "incomplete rule header"
        "The header is DEFINE RULE name WITH PRIORITY number FOR Scope [TO TOPIC \"pattern\"]."
    234 UNKNOWN_TYPE "unknown type"
        "Types after AS are INT, DOUBLE, FLOAT, BOOL, STRING, TIMESTAMP, ARRAY, OBJECT, JSON and BYTES."
    235 RULE_CONDITION "not a condition of a rule"
        "A rule asks about USER IS/HAS/IN GROUP, CLIENTID, ENDPOINT, TOPIC, PAYLOAD, TOPIC EXISTS, GET TOPIC, USER PROPERTY or another property of the message."
    236 MISPLACED_CLAUSE "not allowed in this place"
        "The word belongs to another construct."
    237 UNEXPECTED_INDENT "unexpected indentation"
        "Nothing on the line before opens a block. Blocks open after DO, THEN, ELSE, LOOP, SWITCH, CASE, DEFAULT and after WITH of PUBLISH MODEL. A line goes on below only with WITH, RETURN, USING, IN, AS, AND, OR or +, or inside of brackets."
    240 NON_PORTABLE "not portable"
        "An extension of this compiler: the broker of Coreflux, whose language this is, may refuse the text or read it differently. Told by lotmq check --portable alone."
    241 OLD_SPELLING "old spelling"
        "Accepted because old programs use it. The newer spelling is in the suggestion."
    301 UNKNOWN_IDENTIFIER "unknown bare word"
        "A bare word is no value in an action. A variable is read as {name}, text stands in quotes."
    302 UNSET_VARIABLE "variable is not set before it is read"
        "No SET, INPUT or RETURN of that name can come before this place, so the value is Empty."
    303 BARE_VARIABLE "variable without braces"
        "Oldest programs read variables by bare names. Write {name}."
    304 DUPLICATE_NAME "name used twice"
        "Inputs, outputs and arguments have different names."
    305 UNKNOWN_INPUT "unknown input of the called action"
        "The called action has no INPUT of that name."
    306 RETURN_COUNT "wrong number of returned values"
        "RETURN names as many variables as the called action has OUTPUT lines."
    307 SESSION_WORD "word is not available for this trigger"
        "CLIENTID and USER need ON TOPIC, ON CHANGE, ON CONNECT, ON DISCONNECT or ON SUBSCRIBE; ENDPOINT and CLEANSESSION one of the latter three; DISCONNECTREASON needs ON DISCONNECT; SUBSCRIBETOPIC and SUBSCRIBEQOS need ON SUBSCRIBE."
    308 NO_MESSAGE "no message to read"
        "Of triggers only ON TOPIC and ON CHANGE have a message, ON SILENCE a topic and its last value, ON WINDOW a topic and figures, of scopes of rules only those that decide on one; some words need properties as well, which commands do not have. Read a topic's last value with GET TOPIC."
    309 UNKNOWN_SCOPE "unknown scope"
        "Scopes of rules are spelt exactly, as in FOR Publish."
    310 DUPLICATE_FIELD "field defined twice"
        "Each field of a model has a name of its own."
    311 UNKNOWN_FIELD "unknown field of the model"
        "PUBLISH MODEL assigns fields that the model or its parents define."
    312 CYCLE "cycle"
        "Fields that compute each other, or models that inherit from each other, can never be evaluated."
    313 DUPLICATE_BLOCK "event or mapping defined twice"
        "Events, mappings and tags of a route have names of their own."
    314 TOPIC_PLACEHOLDER "braces in a topic that name no variable"
        "{name} in a topic literal is replaced when the action has a variable of that name; otherwise the text stays as it is."
    315 ENTITY_NAME "unusual entity name"
        "Names with - and . are accepted here; the original broker may refuse them."
    316 DUPLICATE_ENTITY "defined twice in one text"
        "The second definition of a kind and name replaces the first."
    317 CALLEE_TRIGGERED "called action is started by a trigger"
        "Only actions without ON can be called."
    318 UNUSED_VARIABLE "variable is never read"
        "The value is computed for nothing."
    319 UNKNOWN_ROUTE_TYPE "unknown type of route"
        "The type after WITH TYPE is one of those that the original broker has, such as MQTT_BRIDGE, POSTGRESQL, REST_API or MODBUS_TCP, or LOOPBACK, which stores in memory. Whether a broker can run it is told when the route is added."
    320 UNKNOWN_SECTION "block does not fit the type of the route"
        "Each type has its own sections, and either events, or mappings with tags, or both. ROUTE_CONFIG and MQTT_CONFIG fit every type."
    321 UNKNOWN_SETTING "unknown setting"
        "The type of the route has no such key here. The route is accepted without it; the suggestion names a similar one."
    322 MISSING_SETTING "required setting is missing"
        "A route of this type cannot work without the section or setting that the message names."
    323 DUPLICATE_SETTING "setting stands twice"
        "The last value counts. Two names of the same setting, such as HOST and IP, are one."
    324 BLOCK_NAME "event, mapping or tag without a good name"
        "ADD EVENT, ADD MAPPING and ADD TAG have a name, bare or quoted. It becomes a level of a topic, so it has no / + # in it, and at most 128 bytes."
    325 UNKNOWN_EVENT "route has no such event"
        "TRIGGER names an event that the route does not have. The action is accepted, because the route may be replaced; until then the statement does nothing but record an error."
    326 NAME_TOO_LONG "name of an entity is too long"
        "What a broker tells about an entity is published at topics with its name as a level: it has at most 128 bytes."
    327 VARIABLE_NAME "bad name of a variable"
        "A variable is read as {name}, so its name is one word: letters from A to Z and a to z, digits and _, and no digit at the start."
    328 PYTHON_FUNCTION "not the name of a Python function"
        "CALL PYTHON names the script, as in its header `# Script Name:`, and the function in it, with a dot between: CALL PYTHON \"Script.function\"."
    329 UNUSED_OUTPUT "action with a trigger has outputs"
        "RETURN and OUTPUT are for actions that are called by name. A trigger calls nobody back, so they do nothing; publish or keep the value."
    330 UNDEFINED "nobody defines it here"
        "An Action, a Model, a Route or a Python script is named that no program of the project defines. lotmq check and editors warn, since the broker may have it. Without it, what names an Action, a Model or a script waits, and what names a Route records an error when it runs."
    331 DUPLICATE_PROPERTY "property stands twice"
        "A message has one response topic, one content type, one expiry and one correlation data. USER PROPERTY may stand as often as there are properties."
    332 MODULE_FUNCTION "not the name of a module, or of a function of one"
        "CALL MODULE names the module as -addModule did, and perhaps a function of it behind a dot: CALL MODULE \"calc.scale\". MODULE in a Rule names the module alone. A name begins with a lower-case letter and has at most 64 lower-case letters, digits and hyphens; a function has letters, digits, _ and - and at most 128 bytes."
    333 TRIGGER_CYCLE "it may trigger itself"
        "What the definition publishes matches its own trigger, or that of one that leads back to it. The broker stops such a message after 64 hops. Publish to another topic, or let the trigger name what others publish alone. Topics that are known only at run time are not looked at."
    334 TEXT_PLACEHOLDER "braces in a text"
        "Nothing in a text is replaced: \"t: {t}\" is published as it is written. Join with +, as in \"t: \" + {t}. Only in the texts of a topic {name} is replaced by a variable."
    335 MISSING_INPUT "input of the called action without a value"
        "The called action declares an INPUT that the call does not name; it is Empty then. Add `name = value` behind WITH, or `name = EMPTY` where that is meant."
    401 TOPIC_FILTER "invalid topic filter"
        "A + stands for a whole level, a # for the rest and only at the end; a filter is not empty, has no NUL and at most 65,535 bytes."
    402 TOPIC_NAME "invalid topic"
        "A topic is not empty, has no NUL and at most 65,535 bytes."
    403 POSITION_ZERO "TOPIC POSITION counts from 1"
        "The first level of a topic is TOPIC POSITION 1."
    404 BAD_REGEX "bad regular expression"
        "The pattern is checked when the program is compiled. Look-around and back-references are allowed."
    405 AFTER_BYTES "bytes cannot be transformed"
        "PAYLOAD AS BYTES can be published, kept and put into a variable, nothing else. Leave out AS BYTES to work with text."
    406 BAD_INTERVAL "bad interval"
        "The number is above zero; fractions are allowed up to HOURS; the shortest interval is 10 milliseconds."
    407 BAD_TIME "bad time"
        "Write \"HH:mm\", \"HH:mm:ss\", \"dd-MM-yyyy HH:mm:ss\" or an ISO date-time."
    408 NO_CAPTURE "wildcard without a counterpart in the trigger"
        "The n-th + of a topic takes what the n-th + of the trigger matched. Without one the read gives Empty and the publish is dropped with an error record."
    409 JSON_PATH "bad JSON path"
        "A path is keys joined by dots, with [n] for elements: a.b[0].c. One that is computed stands in parentheses, GET JSON ({key} + \".x\") IN value, which may be left out where its first text is no path by itself: GET JSON \"a[\" + {i} + \"]\" IN value."
    410 ARGUMENT_COUNT "wrong number of arguments"
        "See the function in the reference."
    411 BAD_QOS "bad quality of service"
        "QoS is 0, 1 or 2."
    412 TRIGGER_FIELD "AS TRIGGER on a field without a topic"
        "Only a field WITH TOPIC can start the model."
    413 MODEL_WITHOUT_TRIGGER "model that never publishes"
        "The model has topic fields but none is AS TRIGGER, so nothing starts it."
    414 BUILT_IN_PRIORITY "priority meant for built-in rules"
        "Priorities 0 to 99 are meant for built-in rules; use 100 and above."
    415 LITERAL_PASSWORD "password in the source"
        "The source is readable at $SYS. Store the password with -setSecret and write GET SECRET \"NAME\"."
    416 SYS_TOPIC "publishing below $SYS"
        "Actions may publish only $SYS/Coreflux/Command, and only when the deploying user may run commands."
    417 UNREACHABLE_CASE "case can never be reached"
        "An earlier CASE has the same value."
    418 TRAILING_PLUS "pattern ends in /+"
        "A trailing /+ covers one level. Use /# for everything below. With rule_trailing_plus = \"subtree\" in the section [lot.compat] of the broker's configuration it covers everything below, as with the original broker."
    419 DUPLICATE_KEY "key used twice"
        "Each key of a JSON object literal stands once."
    420 TIMESTAMP_PATTERN "doubtful timestamp pattern"
        "A quoted part is not closed, or the pattern ends with a backslash: it gives empty text. Or it has letters that stand for nothing, or no part of a time: those stand as they are."
    421 BAD_INDEX "bad number"
        "Fields and pieces count from 1. Elements of an array count from 0, and an assignment reaches the first 10,000."
    422 BAD_SEPARATOR "empty separator"
        "SPLIT needs at least one character to split at."
    423 DIVISION_BY_ZERO "division by zero"
        "The result is Null and an error is recorded at each run."
    424 SHARED_PANEL "private panel with SHARE TO"
        "A PRIVATE panel is shared with nobody. Use WITH VISIBILITY SHARED."
    425 SETTING_NAME "bad name of an environment value or secret"
        "The name is not empty."
    430 MODEL_WILDCARDS "base topic with more wildcards than the trigger"
        "Each wildcard of WITH TOPIC takes what the wildcard of the triggering field matched, so the field needs as many."
    431 MODEL_NEVER_RUNS "model never publishes by itself"
        "It needs both WITH TOPIC in its header and a field AS TRIGGER; COLLAPSED models do not split JSON. PUBLISH MODEL can use it."
    432 SETTING_VALUE "value does not fit the setting"
        "The message says what the setting takes. Numbers, TRUE and FALSE may be quoted. A value is known when the route starts: a literal, a bare word, GET ENV, GET SECRET, RANDOM UUID, or several joined by +."
    433 PLACEHOLDER "bad placeholder"
        "Levels of a topic and columns of CSV count from 1: {topic.1}, {payload.csv.1}."
    434 ROUTE_WILDCARDS "more wildcards than there is to fill them"
        "Each wildcard of a bridge's DESTINATION_TOPIC takes what the wildcard at the same place of SOURCE_TOPIC matched; with DIRECTION both it is the other way round as well."
    435 OVERLOAD_CAPACITY "OVERLOAD_CAPACITY beside OVERLOAD_POLICY lossless"
        "A route that may lose nothing has no bound on what is on its way. The capacity is ignored."
    436 VIEW_NAME "name that no topic can hold"
        "A panel or theme is published at a topic that ends with its name: at least one character, none of them / + # or a control character."
    437 VIEW_WORD "word that the clause does not take"
        "WITH VISIBILITY takes PRIVATE, SHARED or PUBLIC; WITH STATE takes DRAFT, PUBLISHED or ARCHIVED."
    438 NUMBER_RANGE "number out of range"
        "Whole numbers beyond 64 bits are DOUBLE, and no DOUBLE is larger than 1.7976931348623157e308. Text that is such a number gives Infinity at run time, which is published as null."
    439 THEME_COLOUR "not a colour"
        "A theme gives names to colours, each as \"#rrggbb\": a # and six hexadecimal digits. What a client makes of anything else is its own affair."
    440 NO_LIST "not a list"
        "FOR EACH goes through the members of a JSON array, such as GET JSON \"rows\" IN PAYLOAD, or of a text of one. Anything else has none, and there is no pass. SPLIT makes an array of a text."
    441 TEXT_AS_NUMBER "text used as a number"
        "A text of the program that is no number counts as 0 in - * / %, and never equals a number."
    501 NOT_YET_COMPILED "this build does not compile it yet"
        "The text is understood, but the code generator for this construct is not part of this build."
    502 NESTED_TOO_DEEP "nested too deeply"
        "Split the expression with SET, or the statements with CALL ACTION."
    503 TEXT_TOO_LONG "text too long"
        "A text is at most 1 MiB, and has at most 2,000 entities of at most 5,000 statements each."
    504 TOO_MANY_VARIABLES "too many variables"
        "An action has at most 1,000 variables."
    505 LOWERING "the code generator refused it"
        "The checked program could not be turned into a component. This is a fault of the compiler; the message says what."
    506 TOO_MUCH_CODE "too much code"
        "What one definition compiles to is bounded: machine code of more would take the broker too long, and too much memory. Long lists of values to compare with, long chains of conditions and large JSON literals with computed members are what makes it large."
    601 RUN_NOT_A_NUMBER "text used as a number"
        "At run time: an operand of - * / % was text that is no number and counted as 0; or a number was compared with such a text by < > <= >=, as texts. Write PAYLOAD AS DOUBLE to compare numbers, whatever comes. Told the first time, and when the count has doubled."
    602 RUN_DIVISION_BY_ZERO "division by zero"
        "At run time: the result was Null."
    603 RUN_EMPTY_VALUE "nothing to write"
        "At run time: the value was Empty, so the statement was skipped."
    604 RUN_INVALID_TOPIC "invalid topic"
        "At run time: a topic was empty, longer or deeper than topic_bytes and topic_levels in section [limits] allow, or had a wildcard, a control character or a non-character in it; the statement was skipped."
    605 RUN_NO_CAPTURE "wildcard without a counterpart"
        "At run time: the trigger has no such wildcard; the publish was dropped."
    606 RUN_MISSING_SECRET "secret is not set"
        "At run time: GET SECRET gave Empty."
    607 RUN_REGEX_STEPS "regular expression took too long"
        "At run time: the search took more than 1,000,000 steps and counted as no match."
    608 RUN_ITERATIONS "too many loop passes"
        "At run time: the run exceeded its budget of loop passes and was ended."
    609 RUN_WRITES "too many writes"
        "At run time: the run wrote more than 10,000 messages, kept values included, or more than 16 MiB of topics and payloads, and was ended."
    610 RUN_CALL_FAILED "called action failed"
        "At run time: a CALL ACTION ended with an error, which ends the caller."
    611 RUN_NOT_ALLOWED "not allowed"
        "At run time: the definition was not granted the topic, environment value or secret."
    612 RUN_FAILED_CAST "text could not be cast"
        "At run time: an AS gave the zero of its type. Told the first time, and when the count has doubled."
    613 RUN_MEMORY "out of memory"
        "At run time: the run exceeded its memory and was ended."
    614 RUN_UNKNOWN_INPUT "unknown input"
        "At run time: a caller named an input that this action does not have."
    615 RUN_RETURN_COUNT "wrong number of returned values"
        "At run time: the called action returned another number of values than RETURN names."
    616 RUN_UNKNOWN_EVENT "unknown event of a route"
        "At run time: TRIGGER named a route that is not there, or an event that it does not have."
    617 RUN_NOT_STORED "instance was not stored"
        "At run time: STORE IN named a route that is not there. The model was published all the same."
    618 RUN_NOT_SPLIT "received JSON was not split"
        "At run time: what came on a model's topic begins as a JSON object, but is none or is nested deeper than 128 levels; nothing of it was published."
    620 RUN_UNKNOWN_FIELD "unknown field"
        "At run time: PUBLISH MODEL named a field that the model does not have; it ends the run."
    621 RUN_MODEL_FAILED "model failed"
        "At run time: a PUBLISH MODEL ended with an error, which ends the run."
    622 RUN_NO_RESPONSE_TOPIC "no response topic"
        "At run time: REPLY was reached by a message that names no topic for a response. Nothing was sent; the run goes on."
    623 RUN_INVALID_PROPERTY "invalid property"
        "At run time: a property of what was to be published is longer than 65,535 bytes, has a control character or a non-character in its text (unless mqtt.control_characters is set; NUL in any case), is a response topic with a wildcard or beyond topic_bytes and topic_levels in section [limits], or no number of seconds. Nothing was published; the run goes on."
    624 RUN_MODULE_CALL_FAILED "module failed"
        "At run time: a module that was called or asked is not there, is switched off, pauses after traps, trapped, or ended with an error. It ends an Action; a Rule denies."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_are_found_by_their_text() {
        assert!(ROWS.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(Code::parse("LOT203"), Some(EXPECTED_THEN));
        assert_eq!(Code::parse("LOT999"), None);
        assert_eq!(EXPECTED_THEN.to_string(), "LOT203");
    }
}
