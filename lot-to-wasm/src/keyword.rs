//! The words of the language with their meanings: for hover texts and grammars of editors, and for
//! suggestions for a misspelt word.
//!
//! Those of one statement stand in its file. The parser does not read this table; the test
//! `the_table_has_the_words_of_the_parser` compares them.

/// A word that means something in some place of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyword {
    /// As written.
    pub word: &'static str,
    /// Purpose of the word.
    pub family: Family,
    /// Meaning of the word in a sentence or two, with code in backquotes.
    pub text: &'static str,
}

/// Purpose of a word, by which editors colour it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Begins an entity, a line or a clause of one.
    Statement,
    /// Compares or joins values.
    Operator,
    /// Stands for a value.
    Value,
    /// Makes a value of others.
    Function,
    /// Names a type.
    Type,
    /// A length of time, or a day.
    Time,
}

macro_rules! keywords {
    ($($family:ident: $($word:literal $text:literal)*;)*) => {
        /// The keywords that no statement has for itself.
        const SHARED: &[Keyword] = &[$($(Keyword { word: $word, family: Family::$family, text: $text },)*)*];
    };
}

/// The keywords that no statement has for itself.
pub(crate) fn shared() -> impl Iterator<Item = Keyword> {
    SHARED.iter().copied()
}

keywords! {
    Statement:
        "DEFINE" "Begins an entity, in column 1: `DEFINE ACTION`, `MODEL`, `RULE`, `ROUTE`, `PANEL` or `THEME`, and its name."
        "ACTION" "A program with a trigger (`ON …`), or one that is called: `DEFINE ACTION Name`, `CALL ACTION Name WITH input = value RETURN AS {result}`."
        "MODEL" "A structure of fields that is published: `DEFINE MODEL Name`, `PUBLISH MODEL Name TO \"topic\" WITH field = value`, `GET MODEL \"Name\" FROM \"Route\"`."
        "RULE" "Who may do what: `DEFINE RULE Name WITH PRIORITY 100 FOR Publish TO TOPIC \"a/#\"`, then `ALLOW`, `DENY` or `IF … THEN`."
        "ROUTE" "A connection to something outside: `DEFINE ROUTE Name WITH TYPE POSTGRESQL`, then blocks of settings."
        "PANEL" "A page of components: `DEFINE PANEL \"Name\"`."
        "VISU" "Another word for `PANEL`."
        "THEME" "Colours and fonts of panels: `DEFINE THEME Name`, then `SET \"key\" WITH \"value\"`."
        "ON" "What starts a run, in column 1: `ON TOPIC \"a/+\" DO`, `ON CHANGE`, `ON EVERY 5 SECONDS`, `ON EVERY DAY AT \"06:30\"`, `ON START`, `ON CONNECT`."
        "CHANGE" "`ON CHANGE \"topic\" DO`: as `ON TOPIC`, but only when the payload differs from the one before."
        "SILENCE" "`ON SILENCE OF \"plant/+/beat\" FOR 30 SECONDS DO`: once when a topic has not been published to for so long; again only after it was heard anew."
        "WINDOW" "`ON WINDOW OF \"plant/+/temp\" EVERY 1 MINUTE DO`, `… LAST 5 MINUTES EVERY 10 SECONDS DO`, `… LAST 100 MESSAGES DO`: when a window of a topic's numbers closes. In it `WINDOW COUNT`, `SUM`, `MEAN`, `STDDEV`, `STDDEV_POP`, `MIN`, `MAX`, `LAST` and `BAD`, and `WINDOW START` and `WINDOW END`."
        "EVERY" "`ON EVERY 5 SECONDS DO`, `ON EVERY MONDAY AT \"08:00\" DO`, `ON EVERY DAY 1, 15 OF MONTH AT \"08:00\" DO`; in a route `WITH EVERY 1 SECOND`."
        "TIME" "Old spelling of `ON TIMESTAMP`."
        "START" "`ON START DO`: when the broker has started, and when the action is added. `WINDOW START`: when the window began."
        "CONNECT" "`ON CONNECT DO`: when a client has logged in; `CLIENTID`, `USER` and `ENDPOINT` say which."
        "DISCONNECT" "`ON DISCONNECT DO`: when a client has gone; `DISCONNECTREASON` says why."
        "SUBSCRIBE" "`ON SUBSCRIBE \"filter\" DO`: when a client has subscribed; `SUBSCRIBETOPIC` says to what."
        "DO" "Introduces the statements, which stand below it, indented by 4 spaces."
        "INPUT" "`INPUT name AS INT`: what an action takes that is called; types are STRING, INT, DOUBLE, BOOL and JSON."
        "OUTPUT" "`OUTPUT name`: a variable that an action gives back, on a line of its own below `RETURN`."
        "RETURN" "In an action that is called: introduces its `OUTPUT` lines. After `CALL`: names the variables that take what comes back."
        "DESCRIPTION" "`DESCRIPTION \"text\"`: what people are told of the action."
        "WITH" "Comes before the value of a statement, the arguments of a call, the settings of a route."
        "FOR" "`FOR EACH {item} IN list DO`: a loop over a JSON array, or with `WITH NAME {name}` over an object. In a rule, what it is about: `FOR Publish`. In `ON SILENCE`: for how long."
        "INDEX" "`FOR EACH {item} WITH INDEX {i} IN list DO`: the place of the member in the array, from 0."
        "TO" "Where something goes: `PUBLISH MODEL Name TO \"topic\" WITH field = value`, `TRIGGER \"Event\" TO \"Route\"`; in a rule `TO TOPIC \"filter\"`."
        "COLLAPSED" "In the header of a model: one JSON message for the whole of it, instead of one for each field."
        "FORMAT" "`WITH FORMAT JSON` in the header of a model."
        "PROTOBUF" "`WITH FORMAT PROTOBUF`."
        "BOTH" "`WITH FORMAT BOTH`: JSON and Protobuf."
        "RETAIN" "Messages are retained: the broker gives the last one to who subscribes later."
        "QOS" "Quality of service of what is published: 0, 1 or 2."
        "QOS0" "Published at most once."
        "QOS1" "Published at least once."
        "QOS2" "Published exactly once."
        "ADD" "In a model a field: `ADD DOUBLE \"name\" WITH value`. In a route a block of settings: `ADD EVENT Name`."
        "COLLECTION" "`ADD COLLECTION \"name\" OF Model`: a field with instances of another model."
        "OF" "`TIMESTAMP \"yyyy-MM-dd\" OF {t}`: another time than now. `ADD COLLECTION \"name\" OF Model`: which model; `ON EVERY DAY 1 OF MONTH`: days of what; `ON SILENCE OF \"topic\" FOR 30 SECONDS`."
        "STORE" "`STORE IN \"Route\" WITH TABLE \"table\" WHEN condition`: each instance of the model becomes a row."
        "FETCH" "`FETCH FROM \"Route\" WITH TABLE \"table\" WHEN column = value LIMIT 1`: fields take what rows have."
        "TABLE" "`WITH TABLE \"table\"`: the table of `STORE IN` and `FETCH FROM`; without it, it is called as the model."
        "WHEN" "A condition of `STORE IN`, a filter of `FETCH FROM`."
        "FROM" "Where something comes from: `GET MODEL \"Name\" FROM \"Route\"`, `FETCH FROM \"Route\"`; in the header of a model its parent. `ON WINDOW OF \"topic\" EVERY 8 HOURS FROM \"06:00\"`: when windows begin."
        "WHERE" "`GET MODEL … WHERE column = value`: which rows."
        "ORDER" "`ORDER BY column DESC`: in which order rows come."
        "BY" "`ORDER BY column`."
        "ASC" "`ORDER BY column ASC`: smallest first."
        "DESC" "`ORDER BY column DESC`: largest first."
        "LIMIT" "`LIMIT 10`: at most so many rows."
        "PRIORITY" "`WITH PRIORITY 100`: rules are asked from the lowest number on, until one says `ALLOW` or `DENY`."
        "ALLOW" "The verdict of a rule: it may be done, unless another rule of the same priority says `DENY`; rules with higher numbers are not asked."
        "DENY" "The verdict of a rule: it is refused; rules with higher numbers are not asked."
        "TYPE" "`DEFINE ROUTE Name WITH TYPE POSTGRESQL`: what the route connects to."
        "COMPONENT" "`ADD COMPONENT \"name\" WITH TYPE …`: a part of a panel."
        "BIND" "`BIND VALUE TO TOPIC \"topic\"`: what a component shows."
        "COLUMNS" "Columns of a component of a panel."
        "CLICK" "`ON CLICK DO`: what a component of a panel does."
        "USING" "How a transform works: `FILTER … USING REGEX \"re\"`, `SPLIT … USING \";\"`."
        "AT" "Which piece `SPLIT` gives, from 1; at what times `ON EVERY DAY` runs: `AT \"06:00\", \"14:00\"`."
        "AND_THEN" "Transforms a value further: `PAYLOAD AND_THEN TRIM AND_THEN UPPER`.";
    Operator:
        "AND" "Both are true."
        "OR" "One of them is true, or both; between the topics of `ON TOPIC`: any of them."
        "NOT" "The opposite: `NOT {flag}`, `NOT CONTAINS`, `IS NOT`."
        "EQUALS" "Equal, as `==`."
        "EQUAL" "Equal, as `==`."
        "IS" "Equal, as `==`: `{x} IS EMPTY`, `{x} IS NOT NULL`; in a rule `USER IS \"name\"`."
        "CONTAINS" "The text on the left has the one on the right in it."
        "STARTS_WITH" "The text on the left begins with the one on the right."
        "ENDS_WITH" "The text on the left ends with the one on the right."
        "MATCHES" "`MATCHES REGEX \"re\"`: some part of the text fits the pattern."
        "REGEX" "A regular expression: `MATCHES REGEX \"re\"`, `FILTER … USING REGEX \"re\"`."
        "IN" "The value is a member of an array, or a value of an object; also what `GET JSON` and `REPLACE` look into."
        "HAS" "In a rule: `USER HAS \"property\"`."
        "GROUP" "In a rule: `USER IN GROUP \"name\"`."
        "EXISTS" "`TOPIC EXISTS \"topic\"`: whether a retained message is there."
        "AS" "Makes another type of a value: `PAYLOAD AS INT`. A cast never fails: what is no number becomes 0; only EMPTY stays EMPTY.";
    Value:
        "PAYLOAD" "The payload of the message that started the run. It counts as a number when it looks like one; `PAYLOAD AS BYTES` leaves it as it is."
        "TOPIC" "The topic of the message that started the run; `TOPIC POSITION 2` is its second level. After `PUBLISH`, `KEEP`, `GET` and `DELETE` comes the topic that is meant."
        "COUNT" "`WINDOW COUNT`: how many numbers there are in the window."
        "END" "`WINDOW END`: when the window ended, with the offset of the broker's time zone."
        "BAD" "`WINDOW BAD`: how many messages of the window had no number."
        "POSITION" "`TOPIC POSITION 2`: a level of the topic, from 1."
        "GET" "`GET TOPIC \"topic\"`: its last value, Empty if there is none. `GET JSON \"a.b[0]\" IN value`, `GET ENV \"name\"`, `GET SECRET \"name\"`, `GET MODEL \"Name\" FROM \"Route\"`."
        "ENV" "`GET ENV \"name\"`: a setting of the broker, or of its environment."
        "SECRET" "`GET SECRET \"name\"`: a setting that is stored encrypted; one that is not set is Empty, and an error of the run."
        "RESPONSE" "`RESPONSE TOPIC`: where the message wants its answer; Empty if it wants none. Behind the value of `PUBLISH TOPIC`: that of what is published."
        "LOCAL" "`LOCAL TIMESTAMP \"yyyy-MM-dd HH:mm\"`: the time on the clocks of the broker's time zone; `\"ISO\"` with its offset. `LOCAL TIMESTAMP \"yyyy-MM-dd\" OF {t}`: that of another time than now."
        "CORRELATION" "`CORRELATION DATA`: what tells the requester which request an answer is for."
        "DATA" "`CORRELATION DATA`: what tells the requester which request an answer is for."
        "CONTENT" "`CONTENT TYPE`: what the payload of the message is, as its publisher says."
        "MESSAGE" "`MESSAGE EXPIRY`: seconds that the message has to live; Empty if it never expires."
        "EXPIRY" "`MESSAGE EXPIRY`: seconds that the message has to live; Empty if it never expires."
        "PROPERTY" "`USER PROPERTY \"name\"`: the first user property of the message with this name; Empty if there is none. `WITH USER PROPERTY \"name\" = value` behind the value of `PUBLISH TOPIC` gives one to what is published."
        "PROPERTIES" "`WITH USER PROPERTIES` behind the value of `PUBLISH TOPIC`: all user properties of the message are passed on."
        "RESULT" "What the last `CALL` without `RETURN` gave back."
        "CLIENTID" "Identifier of the client that the run is about: who has connected, gone or subscribed; in `ON TOPIC` and `ON CHANGE` who published the message, Empty for another program. A text, also where it looks like a number."
        "USER" "User of the client that the run is about; Empty when nobody is logged in, and in `ON TOPIC` and `ON CHANGE` for messages of programs. A text, also where it looks like a number."
        "ENDPOINT" "Address and port of the client that the run is about."
        "CLEANSESSION" "Whether the client began a new session."
        "DISCONNECTREASON" "Why the client has gone."
        "SUBSCRIBETOPIC" "The filter that the client has subscribed to."
        "SUBSCRIBEQOS" "The quality of service that the client has subscribed with."
        "TRUE" "The truth value."
        "FALSE" "The other truth value."
        "NULL" "The value of JSON."
        "EMPTY" "What is not there: a topic without a value, a variable that was not set. `{x} == EMPTY` is true of NULL and of the empty text too.";
    Function:
        "RANDOM" "`RANDOM UUID`, `RANDOM INT BETWEEN 1 AND 6`, `RANDOM DOUBLE BETWEEN 0 AND 1`."
        "UUID" "`RANDOM UUID`: a text that nobody else has."
        "BETWEEN" "`RANDOM INT BETWEEN 1 AND 6`: the bounds, both included; of `RANDOM DOUBLE` the upper one is not."
        "FILTER" "`FILTER PAYLOAD USING REGEX \"re\"`: what the pattern fits, or its group `value`; Empty if nothing does."
        "REPLACE" "`REPLACE \",\" WITH \".\" IN PAYLOAD`: every occurrence."
        "TRIM" "`TRIM value`: without blanks around it."
        "SPLIT" "`SPLIT PAYLOAD USING \";\" AT 1`: the first piece, or without `AT` all of them as an array."
        "CSV" "Values with commas between them: `FILTER PAYLOAD USING CSV \"1\"`, `SPLIT PAYLOAD USING CSV`."
        "UPPER" "`UPPER(text)`: in capital letters."
        "LOWER" "`LOWER(text)`: in small letters."
        "LENGTH" "`LENGTH(text)`: number of characters."
        "ABS" "`ABS(number)`: without its sign."
        "ROUND" "`ROUND(number, digits)`: rounded to so many digits, or to a whole number."
        "FLOOR" "`FLOOR(number)`: the next whole number below."
        "CEIL" "`CEIL(number)`: the next whole number above."
        "SQRT" "`SQRT(number)`: its square root."
        "SIN" "`SIN(number)`: the sine of an angle in radians."
        "COS" "`COS(number)`: the cosine of an angle in radians."
        "TAN" "`TAN(number)`: the tangent of an angle in radians."
        "ASIN" "`ASIN(number)`: the arc sine, in radians; `null` outside of -1 to 1."
        "ACOS" "`ACOS(number)`: the arc cosine, in radians; `null` outside of -1 to 1."
        "ATAN" "`ATAN(number)`: the arc tangent, in radians."
        "ATAN2" "`ATAN2(y, x)`: the angle of a point, in radians from -π to π."
        "EXP" "`EXP(number)`: e to the power of the number."
        "LN" "`LN(number)`: the natural logarithm, to base e; `null` of 0 and below."
        "LOG10" "`LOG10(number)`: the logarithm to base 10; `null` of 0 and below."
        "POW" "`POW(base, exponent)`: the base to the power of the exponent."
        "MIN" "`MIN(a, b, …)`: the smallest; a list counts as its members."
        "MAX" "`MAX(a, b, …)`: the largest; a list counts as its members."
        "APPEND" "`APPEND(list, value)`: the array with a value behind its last member."
        "LAST" "`LAST(list, 5)`: the last 5 members of an array. `ON EVERY DAY LAST OF MONTH DO`: on the last day of each month."
        "SUM" "`SUM(list)`: the sum of an array's members."
        "MEAN" "`MEAN(list)`: the mean of an array's members; `null` if there are none."
        "STDDEV" "`STDDEV(list)`: the standard deviation of an array's members as a sample; `null` of fewer than two. `WINDOW STDDEV`: that of the numbers in the window."
        "STDDEV_POP" "`STDDEV_POP(list)`: the standard deviation of an array's members as a whole population; `null` if there are none. `WINDOW STDDEV_POP`: that of the numbers in the window.";
    Type:
        "INT" "A whole number of 64 bits."
        "DOUBLE" "A number with a fraction."
        "FLOAT" "Another word for `DOUBLE`."
        "BOOL" "A truth value. `AS BOOL`: what is not 0, `true`, `1`, `on` and `yes` are true."
        "STRING" "A text. `AS STRING` never counts as a number afterwards."
        "TIMESTAMP" "The time: `TIMESTAMP \"UTC\"`, `TIMESTAMP \"UNIX\"`, …; `TIMESTAMP \"UTC\" OF {t}`: another time than now. `AS TIMESTAMP` reads one. `ON TIMESTAMP \"18:00:00\" DO` runs at it."
        "ARRAY" "A JSON array."
        "OBJECT" "A JSON object; JSON text of an array stays an array. A field of a model with fields below it."
        "JSON" "Any JSON. `GET JSON \"a.b[0]\" IN value` reads a member, of PAYLOAD if nothing else is said."
        "BYTES" "`PAYLOAD AS BYTES`: the payload untouched.";
    Time:
        "MILLISECOND" "A thousandth of a second."
        "MILLISECONDS" "Thousandths of a second."
        "MESSAGES" "`ON WINDOW OF \"topic\" EVERY 100 MESSAGES DO`, `LAST 100 MESSAGES`: a window of so many messages."
        "SECOND" "A second."
        "SECONDS" "Seconds."
        "MINUTE" "A minute."
        "MINUTES" "Minutes."
        "HOUR" "An hour."
        "HOURS" "Hours."
        "DAY" "24 hours; `ON EVERY DAY AT \"06:30\"` is a time of the calendar; `ON EVERY DAY 1, LAST OF MONTH` runs on days of the month."
        "DAYS" "Days of 24 hours."
        "WEEK" "7 days."
        "WEEKS" "Weeks of 7 days."
        "MONTH" "A month of the calendar."
        "MONTHS" "Months of the calendar."
        "YEAR" "A year of the calendar."
        "YEARS" "Years of the calendar."
        "MONDAY" "`ON EVERY MONDAY AT \"08:00\" DO`."
        "TUESDAY" "`ON EVERY TUESDAY AT \"08:00\" DO`."
        "WEDNESDAY" "`ON EVERY WEDNESDAY AT \"08:00\" DO`."
        "THURSDAY" "`ON EVERY THURSDAY AT \"08:00\" DO`."
        "FRIDAY" "`ON EVERY FRIDAY AT \"08:00\" DO`."
        "SATURDAY" "`ON EVERY SATURDAY AT \"08:00\" DO`."
        "SUNDAY" "`ON EVERY SUNDAY AT \"08:00\" DO`."
        "WEEKDAY" "Monday to Friday: `ON EVERY WEEKDAY AT \"08:00\" DO`."
        "WEEKEND" "Saturday and Sunday: `ON EVERY WEEKEND AT \"10:00\" DO`.";
}
