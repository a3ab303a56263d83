//! Codes other than the compiler's diagnostics: those in `…/Error` topics, in the warnings and
//! errors of replies, and in what the tools say. `lotmq explain` and docs/codes.md are made of this
//! table; a test over the repository sees that no code is missing.

use std::fmt::Write as _;

/// Code with its meaning.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// Name of the code: upper-case words.
    pub name: &'static str,
    /// Meaning in a few words.
    pub title: &'static str,
    /// Meaning, and what to do, in sentences.
    pub explanation: &'static str,
    /// Occasion on which it is told.
    pub place: Occasion,
}

/// Occasion on which a code is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// In the `Error` topic of a definition, in its diagnosis, and in what `lotmq run` reports.
    Run,
    /// In the reply to a command that adds definitions, and by `lotmq check`.
    Load,
    /// In the replies to other commands.
    Command,
}

impl Occasion {
    const ALL: [Occasion; 3] = [Occasion::Run, Occasion::Load, Occasion::Command];

    fn title(self) -> &'static str {
        match self {
            Occasion::Run => "While programs run",
            Occasion::Load => "When programs are added",
            Occasion::Command => "When other commands are refused",
        }
    }
}

/// All codes, those of one [`Occasion`] together.
pub fn all() -> impl Iterator<Item = &'static Code> {
    ROWS.iter()
}

/// The code of this name, in any case of letters.
pub fn find(name: &str) -> Option<&'static Code> {
    ROWS.iter().find(|code| code.name.eq_ignore_ascii_case(name))
}

/// Code that was probably meant by an unknown name.
pub fn similar(name: &str) -> Option<&'static str> {
    lot_nearest::nearest_name(name, all().map(|code| code.name))
}

/// Page about all codes, as Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Codes\n\nGenerated from `broker/server/src/management/codes.rs`; `lotmq explain CODE` says the same, and explains the codes `LOT101` to `LOT624` of the compiler, too.\n",
    );
    for place in Occasion::ALL {
        let _ = write!(page, "\n## {}\n\n| code | what it means |\n|---|---|\n", place.title());
        for code in all().filter(|code| code.place == place) {
            let _ = writeln!(page, "| `{}` | {}. {} |", code.name, sentence(code.title), code.explanation);
        }
    }
    page
}

/// Text with a capital first letter.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

macro_rules! codes {
    ($($place:ident { $($name:ident $title:literal $explanation:literal)* })*) => {
        const ROWS: &[Code] = &[$($(
            Code { name: stringify!($name), title: $title, explanation: $explanation, place: Occasion::$place },
        )*)*];
    };
}

codes! {
    Run {
        ACCEPT_LIMIT "a connection to a module was turned away"
            "A client connected where a module of a route listens, and was closed as it came: all modules of the route's owner, or all of the broker, have as many connections as there may be (docs/limits.md). Those that are open go on. Close what is not needed, or let the system give the broker more open files (ulimit -n)."
        ACTION_NOT_FOUND "called action does not exist"
            "CALL ACTION named one that was not there when the run came to it. Add it, or correct the name."
        AUTHORITY_GONE "effects of a former owner's run were dropped"
            "While a run was under way, what had written them, the definition itself or one that it called, was removed or replaced by another user, or the user who had deployed it was removed. What was written for him is not done in anybody else's name."
        AUTH_ANSWER "a guest for logins gave an answer that cannot be used"
            "A case asked it about a login. The answer has a text that fits into no packet, a filter that is none, a reason code that CONNACK does not have, or is too large. The message says which; the client is kept out."
        AUTH_AWAY "a guest for logins is not open"
            "A case asked it, and `open` gave an error, its configuration makes no endpoints, or a call did not come back. The message says which; who it would be asked about is kept out, and the next call tries to open it again."
        AUTH_RUN "the guest for logins did not run well"
            "A case let it run by itself (`{ run = \"module\" }`), and it gave an error, which is the message."
        CALL_DEPTH "calls are nested too deep"
            "An action called itself, or several called each other, deeper than the limit (docs/limits.md). The run ends. Look for a call that has no end; LOOP repeats without calling."
        CALL_NOT_ALLOWED "call was not granted"
            "A module, a script or a source of rows called an action or published a model that its grants do not name. `lotmq cmd -grantModule` grants it, if it is to have it (docs/sdk/modules.md)."
        COMPILING "native code is still being compiled"
            "After a start without cached native code, as after an upgrade, the broker serves clients while it compiles large definitions. A definition that is called or run by a command meanwhile gives this error, a rule that asks such a module denies. Messages that trigger it wait. `lotmq status` and /health list what is left (docs/install.md)."
        DELAY_REFUSED "a message with a delay was not taken"
            "The definition published below $delayed/. The topic has no seconds from 1 to 4,294,967, or no target that may be delayed; or as many messages wait as may (limits delayed_messages and delayed_bytes, docs/limits.md). The message says which."
        EXCEPTION "a guest in JavaScript or Python has not caught an exception"
            "The message is that of the exception, with its place; the whole of it is in the log (`lotmq guest logs NAME -f`). A guest gives errors of its own as values: docs/sdk/languages.md."
        FUNCTION_INVALID "name of a function of a module is invalid"
            "A function that is called has 1 to 128 bytes behind the dot: calc.scale."
        GRANT_MISSING "a module wanted what it was not granted"
            "The message names the grant. Each is told once for a version of the code, and refused as often as it is wanted. `lotmq cmd -grantModule` gives it that (docs/sdk/modules.md), if it is to have it. A rule denies wherever its module wants what it has not."
        GUEST_ARITHMETIC "a module divided by zero"
            "A component of your own divided whole numbers by zero, or a number did not fit. Its instance was thrown away; the next event starts a fresh one."
        GUEST_BOUNDS "a module reached outside its memory"
            "A component of your own read or wrote where it has no memory. A recursion without end is most often this one: Rust, like C, keeps its stack at the beginning of the memory, and runs out of it there. So look for functions that call themselves and for large arrays on the stack before you look for unsafe code. Its instance was thrown away; the next event starts a fresh one."
        GUEST_CODE_INVALID "a module gave a code that is none"
            "A component of your own ended a run with an error, or reported one, whose code is no word: at most 64 upper-case letters, digits and _, a letter first, such as NOT_A_NUMBER; or is one that the broker tells of runs, which no run was given. What it gave stands in front of the text."
        GUEST_HOST_CALL "a module broke the contract"
            "A component called a function of the broker in a way that the contract forbids. Its instance was thrown away."
        GUEST_MEMORY "a run needed too much memory"
            "The run was ended at the memory that one may have (docs/limits.md). Keep less at once: shorter texts, smaller JSON, fewer rows."
        GUEST_PANIC "a module gave up"
            "A component of your own ended with a panic or an abort. Its instance was thrown away; the next event starts a fresh one."
        GUEST_POOL "no room for another run"
            "More instances were wanted at one time than the broker has places for, or than others leave to the definitions of one user. Nothing is wrong with the definition."
        GUEST_STACK "a run recursed too deep"
            "Functions of a component, or of a script, called each other deeper than the stack allows. Guests in Rust keep most of their stack in their own memory, where such a recursion is GUEST_BOUNDS."
        GUEST_START "a module could not be started"
            "The start function of a component failed, or it needs more memory or tables than it may have."
        GUEST_TIME "a run took too long"
            "The run used more processor time than one may (docs/limits.md) and was ended; what it had written before went out. Of a route: or its guest computed for most of the time until ACTIVITY_TIMEOUT, and its messages wait. Make loops shorter, or divide the work over several events."
        GUEST_TRAP "a module was stopped"
            "A component did something that ends it, of a kind that has no code of its own. The message says what."
        HOP_LIMIT "messages trigger each other without end"
            "A message led to a run, its messages to further runs, and so on, more than 64 times. The next run was not started. Look at what the definition writes: some topic of it starts it again, perhaps by way of others."
        INPUT_RESERVED "input of a call has a reserved name"
            "$function is what a module is told of the function that was called. Give the input another name."
        KEEP_LIMIT "no room for another kept value"
            "KEEP was refused because the definitions of this user, or of all together, keep as much as they may (docs/limits.md), or the value is too long. The message says which. Delete what is not needed with DELETE TOPIC; `lotmq cmd -listKept` shows what there is, and whose it is."
        MAILBOX_FULL "events came faster than they were handled"
            "Events waited for the definition until no more fitted, and further ones were dropped and counted. Make the run shorter, let it be triggered by fewer topics, or slow the senders down."
        MESSAGE_INVALID "a route brought a message that is none"
            "The guest of a route wanted to publish to a topic with a wildcard or a character that no topic has, to one that is longer or deeper than [limits] allow, or with such a property. The message names the topic; nothing of what came in the same call was published."
        MESSAGE_PAUSED "a message that stopped runs is not tried again yet"
            "Runs for a message with this topic and payload were stopped by force, more than once. It is refused and counted for a while, 0.1 seconds at first and up to a minute; the definition goes on with others. The records before say what stopped the runs."
        METRIC_LIMIT "a guest has too many counters and gauges"
            "The change of this counter or gauge was dropped. A definition has at most 32, all of a tenant 4,096, of which those of one user have three quarters of what others leave (docs/limits.md); put what varies into messages, not into names."
        MODEL_NOT_FOUND "model does not exist"
            "PUBLISH MODEL named one that was not there when the run came to it. Add it, or correct the name."
        MODEL_PENDING "model waits for others"
            "The model is there, but a parent or a collected model of it is not. `lotmq cmd -getPendingStatus` says which."
        MODULE_DISABLED "module is switched off"
            "What a definition calls or asks was switched off by `lotmq cmd -disableModule`. `lotmq cmd -enableModule` lets it run again; a Rule that asks it denies until then."
        MODULE_FAILED "module has failed and pauses"
            "It trapped five times within a minute: a rule at all, others for five different messages without a run that went well in between. It is tried again after each pause, 0.1 seconds at first and up to a minute; a Rule that asks it denies until then, and calls of it fail. An action or a model that traps in five calls within a minute is not called in the same way. `lotmq cmd -enableModule` ends the pause (docs/sdk/modules.md, docs/sdk/rules.md)."
        MODULE_WORLD "module is of another world"
            "CALL MODULE wants one of world action, IF MODULE of a Rule one of world rule, as `lotmq cmd -addModule -world` names it."
        NOT_RESTORED "definition could not be restored"
            "At the start of the broker the text of a stored definition did not compile, as after an upgrade whose limits it exceeds, or the component of a module did not. It does nothing until a text that compiles is deployed under its name, is not lost, and runs again when the former version is started; whatever a rule was about is denied meanwhile."
        NOT_TRIGGERED "this kind of event does not start a model"
            "A module of world model was started by something other than a message."
        OUTBOX_FULL "messages came faster than the route handed them over"
            "Messages waited for the route until no more fitted into its outbox, and further ones were dropped and counted. See whether the other side is there (`lotmq routes`), and how much may wait: BUFFER_MAX_BYTES, BUFFER_MODE and OVERLOAD_POLICY in its ROUTE_CONFIG."
        PATTERN "a regular expression could not be searched"
            "The pattern is wrong, or its search took too many steps; it counted as no match. Patterns that come together at run time are only checked then."
        PYTHON_BUSY "a script was busy"
            "Other calls kept the script, or all places of Python, for too long."
        PYTHON_ERROR "a script raised an exception"
            "The message is that of Python, with the line of the script. The call gave null, and the action went on."
        PYTHON_PREPARING "Python is being prepared"
            "Machine code of the interpreter is made once after an installation, which takes some seconds. Try again."
        PYTHON_UNAVAILABLE "Python does not run here"
            "The interpreter cannot be used on this machine; the message says why."
        PYTHON_UNKNOWN "script does not exist"
            "CALL PYTHON named a script that was not there when the run came to it. Add it with `lotmq cmd -addPython`, or correct the name."
        ROUTE_AWAY "what a route is connected to does not answer"
            "The connection failed or was lost. The route tries again, and what waits for it is kept up to its limit."
        ROUTE_PANIC "a fault of the broker in a route"
            "The broker's own code for the route gave up, which it should not. What it was delivering is lost, and the route begins anew. The log has more; please report it."
        ROUTE_QUERY "a query of a route cannot be prepared"
            "What the route is connected to does not know a column or a table that its `QUERY` names, or cannot read it. The message names the event and has its answer. Messages of that event would not pass; correct the definition, or make what is missing. Told once; the status of the route says it until a batch has shown that it is over."
        ROUTE_REFUSED "a route refused a question"
            "GET MODEL or a call asked a route for rows, and what it is connected to said no. The message is its answer."
        ROUTE_REJECTED "a message cannot pass a route"
            "What the route is connected to will never take this message, for instance because the statement for it is wrong. It is among the dead letters of the route (`lotmq cmd -listDeadLetters ROUTE`), from where `lotmq cmd -replayDeadLetters` hands it in again; others go on."
        ROUTE_RUN "the guest of a route did not run well"
            "A case let the guest of a route run by itself (`{ run = \"Route\" }`). It failed in a way that the connection has outlived, does not run by itself, or was not open. The message says which."
        ROUTE_STOPPED "a route stopped"
            "The route failed in a way that trying again does not mend, such as a wrong password. What comes for it waits. When the reason is gone, `lotmq cmd -run ROUTE` opens it again; so does a new version of it."
        ROUTE_STORE "a row was not stored"
            "STORE of a route named another route that is not there or took no more. The message says which."
        ROUTE_TAGS "tags of a route have no value"
            "What the route reads answered, and some tags got no value: an address that is not there, a unit that is silent, a device that refuses. The message names the first and why; `lotmq routes` and the status of the route have the others. They are asked for again. Told once until all have values again, and once a minute at most."
        ROUTE_TAKERS "a message is for too many events of a route"
            "Each event, mapping and tag of a route whose filter matches a message has a copy of it: the first 64 that match, as far as copies beyond the first have at most 16 MiB together. The message says how many there are. Divide them among several routes, or narrow their filters."
        ROUTE_TIMEOUT "a route did not answer in time"
            "A run asked a route for rows and had no answer within the time that it may wait."
        ROUTE_UNKNOWN "route does not exist"
            "A run asked a route for rows that was not there. Add it, or correct the name."
        ROUTE_WAITS "a message would wait in a route and come again"
            "The message says why it did not pass: what the route is connected to is busy, away, or refuses the route itself. In a broker it waits and is tried again, for as long as the route keeps it. Nothing waits in a case of `lotmq test` and `lotmq guest test`, where this code is told instead and the message does not come again."
        RULE_DENIED "a rule denied it"
            "A definition may what the rules allow who deployed it (docs/security.md): a read gave nothing, or a message was dropped, and the run went on. Change the rule, or have somebody deploy it who may. With lot.compat.model_publish_rules they are asked about published models besides, as about somebody without a user."
        SILENCE_LIMIT "an action watches too many topics for silence"
            "Messages came on topics that ON SILENCE matches, and 10,000 others of it were not silent, or these have more than 1,024 bytes (docs/limits.md): their silence will not be told. Name fewer topics, or share them among several actions."
        START_SLOW "ON START took long"
            "The broker waits for ON START before it opens its listeners, but not for longer than five seconds. The run went on while the listeners opened."
        STOPPED "the definition was stopped"
            "An event came for a definition that was being removed or replaced, or that had failed so often that it rests for a while."
        WINDOW_LIMIT "windows of an action reach a bound"
            "Messages came on more topics than an action with ON WINDOW has windows of, or on ones of more than 1,024 bytes (docs/limits.md), windows closed faster than the action runs, or what they hold could not be kept for a restart because the kept values are full. The message says which. Name fewer topics, share them among several actions, or remove kept values with `lotmq cmd -removeKept`."
        WINDOW_VALUE "a message counts in no window"
            "ON WINDOW takes the payload of a message as a number, or with JSON \"path\" IN a member of its JSON. This one has none there, or is longer than 256 KiB; WINDOW BAD counts such messages. Told the first time, and then with its count whenever that has doubled."
        WRITE_LIMIT "too many writes in one run"
            "What the run wrote beyond the limits of a run (docs/limits.md) was dropped. A run of LoT ends there, with LOT609. Divide the work over several events."
    }
    Load {
        ADDRESS_REFUSED "the operator refuses an address of a route"
            "The route names an address that section [routes] of the configuration refuses: to connect to (allow_loopback, denied_networks) or to listen at (listen_networks). It is there and stands still, with its messages, or does not listen. Name another address, or have the operator allow it."
        BASE64_INVALID "argument is not base64"
            "What stands behind lot64:, zip64: or the like is not valid base64."
        CHUNK_CHANGED "a part came with other bytes"
            "A part of an upload came a second time and was not the same. The first one counts. If that is the wrong one, cancel the upload and begin anew."
        CHUNK_RANGE "there is no such part"
            "The last level of the topic is the index of the part, in decimal from 0. The reply that began the upload says how many there are."
        CHUNK_SIZE "a part has the wrong length"
            "All parts have chunkSize bytes, as the reply that began the upload says, but the last, which has the rest."
        COMPILE_FAILED "it could not be compiled"
            "The text has errors, which stand beside this one with their places; or machine code of it could not be made, and the message says why."
        COMPILE_MEMORY "making native code takes too much memory"
            "The broker ended the compiler; what was installed before runs on. modules.compile_memory sets how much it may take. Make the component smaller, or divide its largest functions."
        COMPILE_TIMEOUT "making native code took too long"
            "The broker ended the compiler; what was installed before runs on. modules.compile_time_sec sets the processor time, 300 s by default; half an hour by the clock is the most. The message says which was over. Make the component smaller, or try again when the machine has less to do."
        CONFIG_KEPT "configuration was kept"
            "The module had a configuration, which a command saved or the module before brought along, and -keepConfig left it as it is in place of that of the command. Add it again with -config and without -keepConfig (lotmq guest deploy --config), or save another one with -asset-config-save."
        CONFIG_NOT_KEPT "configuration of another owner was not kept"
            "What another user configured is not for whoever puts a version into the place of his module: there may be passwords in it. The module has the configuration of the command."
        CONFIG_OF_ANOTHER "a module's configuration is not the route's"
            "There may be passwords in what is kept with another user's module. Say in the route what it needs, or `lotmq cmd -install` an instance of the module, with a configuration of your own."
        CONTRACT_VERSION "module is for another version of the contract"
            "The component was made for a version of the package lotmq:guest that this broker does not have. One of an earlier version is made again with the SDK of this lotmq: docs/sdk/compatibility.md says how an older folder gets it, and what is loaded for how long. One of a later version needs a newer lotmq."
        DEPENDENT_MISFIT "something that uses it does not fit any more"
            "The definition was replaced, and another one names inputs, outputs, fields or events that it no longer has. That one is left as it is and fails when it comes to that place. Change it, too."
        DEPENDENT_WAITS "something needs what was removed"
            "A definition that calls or names what was removed does not run until that is added again. The reply names those that need it; `lotmq cmd -getPendingStatus` lists all that wait for others. Change or remove them, too, or add what is missing."
        DISPLACED_REMOVED "a definition that a project had replaced was removed, too"
            "The definition was added by hand before a project replaced it. A command that removes what has the name removes both. Unloading the project does not give it back; add it again if it is needed."
        ENDPOINT_MISSING "settings of a route make no endpoint"
            "Its guest connects to and listens at endpoints alone: section NAME_CONFIG is endpoint name by HOST and PORT, ALLOW_HOSTS or LISTEN. The message names the section and what it lacks, or what is wrong there."
        EXISTS "a definition of that name is there"
            "Say -replace behind the command (`lotmq cmd -addRule -replace …`, `lotmq deploy --replace`) to take its place, remove it first, or choose another name. A project never replaces a rule that was added by hand and has another text; the suggestion says how the topics stay protected."
        EXPORT_IGNORED "module exports more than its world"
            "The export is not part of the module's world; nobody calls it."
        FILTER_INVALID "topic or filter is invalid"
            "A topic is not empty, has no NUL and at most 65,535 bytes; wildcards are whole levels, and # is the last."
        FORMER_NOT_KEPT "the version before a module is not kept"
            "Modules of a tenant, and the versions before them, have a bound in bytes (docs/limits.md). The new version runs; there is nothing to roll back to."
        GIVEN_BACK "a definition by hand is in force again"
            "A project had replaced it. The project was unloaded, or does not define the name any more. Remove it if it is not wanted: `lotmq cmd -removeRule <name>` and its like."
        GRANT_INVALID "it is no grant"
            "A grant is a kind, a colon and a topic filter or name, such as read:raw/# or env-read:SCALE; state stands alone. The message says what is wrong."
        GRANT_NOT_ASKED "module was granted more than it asks for"
            "-grant names something that its manifest does not. It was granted all the same."
        HASH_MISMATCH "module was damaged on its way"
            "The SHA-256 of the bytes that arrived is not the one that was told. Send it again."
        HELD_ALREADY "users hold already what a rule begins to name"
            "A group or a property is a right from when a rule names it: before, whoever manages users gives it as he likes. The message names who has it. Look whether they are meant, and take it from the others: `lotmq cmd -removeUserFromGroup <user> <group>`, `lotmq cmd -changeUserSettings <user> <name> false`."
        IMPORT_FORBIDDEN "module wants what no module may have"
            "The component imports something that is neither of its world nor of the inert part of WASI, which has no sockets, no files and no HTTP: a route has these by the interfaces of its own world (docs/sdk/network.md)."
        INSTANCE_NOT_FOLLOWED "instance runs the version before"
            "The module was changed. An instance that the new code cannot be put into runs on as it was, and the message says why. An asset of another user was stopped: its owner starts it with `lotmq cmd -run`, which is when the new code gets their rights."
        KIND_MISMATCH "text defines another kind"
            "The command adds one kind of definition, and the text defines another. Use the command of that kind."
        LINKED_COMPONENT "module is of the inner form"
            "The component needs the broker's own runtime. Compile it with lotmq compile, which embeds it."
        MANIFEST_INVALID "manifest of a module cannot be used"
            "The custom section lotmq:manifest says what a module asks for, as JSON: {\"asks\":[…]}. The message says what is wrong with it (docs/sdk/modules.md)."
        MODULE_EXISTS "a module of that name is there"
            "Remove it first, or add it with -replace."
        MODULE_MISSING "a module that is named cannot be used"
            "It is not there, is switched off, or is of another world than that of what names it. A route keeps its messages and begins when the module comes; a rule denies where it asks the module; a run of an action fails where it calls it."
        MODULE_NAME_INVALID "name of a module is invalid"
            "The message says what a name may have."
        MORE "more problems than are shown"
            "The reply lists the first of them. Mend those and try again; lotmq check shows all."
        NAME_INVALID "name is invalid"
            "The message says what is wrong with it."
        NAME_RESTS "name of a removed user"
            "Rules and definitions may still give something to it. Choose another name, let root add the user, or wait for the days that auth.removed_names_rest_days says."
        NEVER_RUNS "the time of the trigger is past"
            "ON TIMESTAMP or the like names an instant before now, so the action never starts. It was added all the same."
        NOT_ASKED_YET "no login asks the module"
            "A module of world auth is checked, tried and kept, and this build has nothing yet that asks it about logins. Who may connect is decided without it."
        NOT_A_COMPONENT "it is no WebAssembly component"
            "A core module is made a component with wasm-tools component new."
        NOT_GRANTED "module asks for more than it was granted"
            "It was added, or a definition that names it was, and it is refused what the message names. `lotmq cmd -grantModule` gives it that, if it is to have it; the message has the command."
        OF_ANOTHER "it belongs to somebody else"
            "The message names whose it is. A definition acts for who deployed it, so taking it over has to be said: -replace, in front of its text or behind the arguments; of a module -replace and -force. So has removing it, and unloading a project: -force, behind the name; to load another project in the place of one takes -replace."
        OF_PROJECT "it belongs to a project"
            "What a project brought was replaced or removed by hand. The message names the project, and says what its next deployment does. Change the files of the project and deploy its folder instead."
        OPTION_IGNORED "option of a module has no effect"
            "The module was added without it; the message says why."
        OTHER_LOADED "another project is loaded"
            "The command was told to keep it (-keepLoaded). data.removes lists what would go; without the option its place is taken."
        OWNER_CHANGED "module was another user's"
            "Whoever adds a module is its owner, and its state is one owner's: what the version before kept is gone. `lotmq cmd -moduleInfo` tells whose a module is."
        OWNER_GONE "a project belongs to nobody"
            "A project is deployed on behalf of who has stored it, and that user was removed. Store it again, or duplicate it and load the copy, which is yours."
        PENDING "it waits for another definition"
            "It names an action, a model or a script that is not there. It was added and starts to work as soon as that is added, too. `lotmq cmd -getPendingStatus` lists all that wait."
        POLICY_WITHOUT_EFFECT "policy changes nothing"
            "The asset has less than the policy allows already. A policy narrows, and never widens."
        PROJECT_INVALID "project cannot be read"
            "The archive or folder has something in it that is no project: a notebook that is none, a text that is not UTF-8, a link, a path outside. The message names it."
        PROJECT_LOADED "project is loaded"
            "What is loaded is not changed or removed under the programs that run. Unload it first: `lotmq cmd -unloadProject <name>`."
        PROJECT_NAME_INVALID "name of a project is invalid"
            "The message says what a name may have."
        REPLACED "a definition of that name was replaced"
            "The project brings a definition of a kind and name that was added by hand. The project's is the one that works now."
        ROUTE_MODULE_UNNAMED "a route does not name its module"
            "A route of type WASM has a section WASM_CONFIG with MODULE, in plain text: the name of the module that runs it."
        ROUTE_SETTINGS_INVALID "a module refuses the settings of a route"
            "What the guest of a route says of its settings does not fit what its text has. The message names each setting. As a warning of `lotmq cmd -addModule -replace` it is of a route that is there: it stands still and what is for it waits, until its settings are corrected or `lotmq cmd -rollbackModule` brings the version before. Values of the environment and secrets are looked at when the route is opened."
        ROUTE_TYPE_UNAVAILABLE "this build does not run routes of that type"
            "The route is right, but no guest for its type is in this broker. `lotmq cmd -listTemplates` lists those that are."
        RULE_REMOVED "a rule is gone"
            "It belonged to the project whose place was taken, or to a former version. What it denied may be allowed now."
        SCRIPT_NAME_MISSING "script has no name"
            "One of the first lines of a Python script is a comment with its name: # Script Name: Name."
        SETTING_IGNORED "setting of a route has no effect yet"
            "This build does not follow the setting. The route works without it."
        SIGNATURE_INVALID "signature is not accepted"
            "It is no signature, was made of other bytes, or by a key that is not among modules.keys (docs/configuration.md). It is over the bytes of the component, not their base64."
        SIGNATURE_REQUIRED "module has to be signed"
            "modules.require_signature is set. Sign the component and add -sig (docs/sdk/modules.md)."
        SIZE_MISMATCH "module has another length"
            "-size does not say what wasm64 has."
        STOPPING "the broker is stopping"
            "Nothing is added any more. Try again when it is back."
        TOKEN_IGNORED "a token was ignored"
            "Nothing here needs one."
        TRIGGER_CYCLE "it may trigger itself"
            "A topic that it writes may start it again, perhaps by way of others or over mappings of bridges; or such mappings alone carry messages in a circle. The message names them. 64 runs after one another is the end (HOP_LIMIT), of a circle of bridges alone what docs/routes/mqtt-bridge.md says. Write to another topic, or begin with a condition. lotmq check tells it as LOT333."
        TRIGGER_DENIED "its owner may not read what starts it"
            "A definition hears of what the rules let its owner subscribe to (docs/security.md); the message names the filter of which it hears nothing. Allow it, or have somebody deploy it who may. `lotmq status` lists it for as long as that is so, also where a right was taken away later; `lotmq cmd -lotDiagnostic NAME` and the rows of `lotmq cmd -listEntities` have the filters as `unheard`."
        TRIGGER_NOT_GRANTED "module is not started by what it names"
            "What it was compiled from names topics that start it and that it was not granted to read, or a timer or an event that no module is started by. Grant it read: of those topics, or name others with -on."
        UNREADABLE "file cannot be read"
            "lotmq could not read a file of the folder as text or as a notebook, and went on with the others."
        VALUE_INVALID "environment value or secret is not what its setting takes"
            "A setting of a route comes from it by GET ENV or GET SECRET, and it is no number, truth value or word that the setting takes; the message has both. The route stands still until the value is another one: `lotmq cmd -setEnv` or `lotmq cmd -setSecret`."
        VALUE_MISSING "environment value or secret is not set"
            "A route names a value that the broker does not have: set it with `lotmq cmd -setEnv` or `lotmq cmd -setSecret`. Or the rules do not let the route's owner read it (docs/security.md), whether it is there or not."
        WAITING_FOR_GONE "messages wait for what the new text of a route has not"
            "They become dead letters (`lotmq cmd -listDeadLetters ROUTE`). To have them delivered, add the events back under their names and replay the dead letters."
        WORLD_MISMATCH "module is of another world"
            "The component does not export what its kind of module does, or the name is taken by a module of another world."
        WORLD_UNKNOWN "world is not known"
            "The message names the worlds that this build runs."
        WORLD_UNSTABLE "world may still change"
            "A later version of the broker may not run what is built for this world today, so its modules are taken only with modules.allow_unstable: in section [modules] of the configuration, or as LOTMQ_MODULES_ALLOW_UNSTABLE=true (docs/configuration.md). It takes a start of the broker."
        WRITES_IN_MEMORY "acknowledged values for a machine wait in memory"
            "The route has tags that are written and no events, and does not say where messages wait. By default that is in memory, since what a machine is told late is worse than what it is not told: when the broker is killed they are lost, though whoever published them has an acknowledgement. `BUFFER_MODE \"disk\"` in `ROUTE_CONFIG` keeps them; `\"memory\"` says that it is meant so."
    }
    Command {
        ARGUMENT_INVALID "argument is invalid"
            "The message names the argument, and what the command takes."
        ASSET_EXISTS "name of an asset is taken"
            "Another asset, a module or a route has it. -name and -asset-name-set choose another."
        ASSET_NAME_INVALID "name of an asset is invalid"
            "The suggestion says what a name may have."
        BACKUP_DAMAGED "backup is damaged"
            "Some of its content is missing or is not what was written. Nothing was changed."
        BACKUP_FAILED "backup could not be made"
            "The message is that of the system or the store."
        BACKUP_FOREIGN "file is no backup"
            "It does not begin like a backup of lotmq. Nothing was changed."
        BACKUP_NAME_INVALID "name of a backup is invalid"
            "The suggestion says what a name may have."
        BACKUP_PART "a part of a backup is refused"
            "Parts come in order, from one client, with less than two minutes between them. Begin with the first one; `lotmq restore` does so."
        BACKUP_TOO_LARGE "backup is too large"
            "It unpacks to more than a restore takes (docs/limits.md). Nothing was changed."
        BACKUP_TOO_NEW "backup is of a later version"
            "Restore it with the version that made it, or a later one."
        BUILT_IN "it is built in"
            "Built-in rules cannot be removed. A rule of your own with a lower number is asked first."
        BUSY "the broker is busy with something of that kind"
            "Another backup, restore or long command is under way, or too many commands wait. Try again later."
        CONFIG_INVALID "configuration does not fit its schema"
            "The message says which settings. -asset-schema and -asset-help show what an asset takes."
        CONFIG_OF_TEXT "configuration of a route is its text"
            "Change it with `lotmq cmd -addRoute`; what several routes of a module share can be saved for the module."
        CONFLICT "it was changed meanwhile"
            "Two commands changed the same thing at one time, or -agreed names a plan of -dryRun that is not what would be done now. Nothing was changed: look at it and try again."
        DAMAGED "some records are damaged"
            "The audit has records that are not what was written. The others are shown."
        DATE_INVALID "that is no day"
            "Days are written YYYY-MM-DD."
        DEAD_LETTERS_BUSY "another command takes dead letters out"
            "`lotmq cmd -replayDeadLetters` or `lotmq cmd -removeDeadLetters` of the same route was still under way after five seconds. Give the command again."
        DOWNLOAD_FAILED "backup was not sent"
            "The connection ended, or the client did not take it."
        EVENT_GONE "a route does not have what dead letters are for"
            "The route was replaced by a text without the events that the message names. Their letters stay as they are: add the route with those events, or remove the letters."
        FILE_EXISTS "file is there already"
            "Nothing is overwritten. Choose another name."
        FILE_NOT_WRITTEN "file could not be written"
            "The message is that of the system."
        INPUT_UNKNOWN "action has no such input"
            "`lotmq cmd -runAction` was given an input that the action does not define."
        INTERNAL_ERROR "a fault of the broker"
            "The command ended in a way that it should not; nothing more of it happens. The log has more; please report it."
        IN_CALL "oldest message is in a call of the route's guest"
            "`lotmq cmd -skipWaiting` has waited for five seconds for the call to end, which may deliver the message. Try again when it has ended, after ACTIVITY_TIMEOUT at the latest."
        IN_USE "a definition uses it"
            "A route, a rule or an action names the module or the asset, or a module has instances. Remove those first, or add -force."
        JSON_INVALID "argument is no JSON"
            "The message says where it goes wrong."
        LEVEL_UNKNOWN "log level is not known"
            "The message names the levels."
        MESSAGES_DROPPED "messages of a run were dropped"
            "What wrote them was removed, or taken over by another user, while it ran, or nobody takes them. published has those that went out."
        MESSAGES_FAIL "messages do not pass a route that is connected"
            "The other side answers, and has refused what was handed to it last, for instance because the table of a statement is not there. The message has its words."
        MISSING_ARGUMENT "argument is missing"
            "The message shows how the command is used."
        MODULE_NOT_FOUND "module is not there"
            "`lotmq cmd -listModules` lists those that are."
        NAME_FIXED "asset cannot be given another name"
            "Routes have their names from their texts, modules from `lotmq cmd -addModule`. Installed instances can be renamed."
        NOTHING_TO_INSTALL "it needs no installation"
            "Routes of the types that the broker has, and uploaded modules, are assets by themselves. `lotmq cmd -install` makes further instances of modules."
        NOT_AVAILABLE "this build does not do that yet"
            "The command, or this form of it, is known and belongs to a later version. The suggestion names another way where there is one."
        NOT_FOUND "there is nothing of that name"
            "The message says what was looked for."
        NOT_INSTALLED "asset was not installed"
            "It is a route or an uploaded module; the message names the command that removes it."
        NOT_LOADED "no such project is loaded"
            "`lotmq cmd -listProjects` shows which one is."
        NOT_REACHABLE "what a route is connected to does not answer"
            "The test of a route had no connection. The message is that of the other side or the system."
        NOT_STORED_YET "a change is being stored"
            "A warning: the disk takes longer than a second for a change that is under way. What the reply tells of it is in force, and holds after a crash when the change has been answered. Of `lotmq cmd -listSessions`: sessions that are not listed any more are there again after a crash, until their end is stored."
        NOT_SUBSCRIBED "nobody would receive it"
            "A backup is published to a topic that the client must be subscribed to. The suggestion names the topic."
        NOT_UTF8 "command is not UTF-8"
            "Commands are UTF-8 text."
        NO_FORMER_VERSION "there is nothing to roll back to"
            "The module was installed once, or the version before it found no room."
        NO_MESSAGE "action ran without a message"
            "The action reads PAYLOAD or TOPIC, and `lotmq cmd -runAction` gave it none."
        NO_RECEIVER "client is not connected"
            "A backup is sent to the client that asks for it, over the connection on which it asks."
        NO_SENDER "client is not connected"
            "A module in parts is sent by the client that began the upload, over a connection of its own. A definition cannot send one."
        NO_SPACE "disk is full"
            "There is not enough space for what was asked for."
        PACKETS_TOO_SMALL "client takes too small packets"
            "Its Maximum Packet Size leaves no room for a piece of the backup."
        PASSWORD_INVALID "password cannot be used"
            "The message says what is wrong with it."
        PATH_FORBIDDEN "path leads outside"
            "Files are read and written only below the folder that the message names."
        PATH_UNREADABLE "path cannot be read"
            "The message is that of the system."
        PERMISSION_DENIED "not allowed"
            "The user lacks the permission for the command, or has less than what he would change."
        POLICY_INVALID "value of a policy is invalid"
            "The message says what the policy takes."
        POLICY_OF_ADMINISTRATOR "an administrator has bounded this policy"
            "The owner of an asset narrows a policy that an administrator has set, and does not widen it or take it back. `lotmq cmd -list` shows the bounds as setByAdministrator."
        POLICY_UNKNOWN "there is no such policy"
            "Policies are restart, autostart, memory, time, net and topics."
        QUOTA_EXCEEDED "there are as many as there may be"
            "The message names the limit; docs/limits.md says which can be set."
        REPLAY_STOPPED "a route takes no more dead letters"
            "The outbox of the route is full, or the route has ended. What was handed over before is told; the others are still dead letters. Give the command again when the route has room."
        REPLY_TOO_LARGE "reply is longer than a message may be"
            "The command was carried out. Ask for less at once."
        REQUEST_ID_MISPLACED "-requestId is not where it goes"
            "It names the request, once, with one word: right behind the verb, or at the very end. Elsewhere it would be a part of what is sent, so nothing was done."
        RUNS_FOR_OTHERS "others would run what the caller says"
            "An asset or a route of another user runs the module, with his rights, so only an administrator or the owner of the module puts other code there, and only an administrator sets its configuration; where it is root's, root alone. The message names the first. Add it under another name, or install an asset of your own."
        SCHEMA_INVALID "schema of a package cannot be used"
            "What the package says of its configuration is not JSON Schema, or has keywords that are not checked here."
        SECRETS_LOCKED "secrets cannot be opened"
            "They were stored with another key: a backup of another broker, or a data directory without its secret.key. Put that key, the file secret.key of the broker that stored them, in the place of this broker's and restart it: \
            it opens them. Where it is lost, set them anew (`lotmq cmd -setSecret`)."
        STORE_FAILED "the store failed"
            "What was asked for was not stored, and is as it was. The message is that of the store or the system."
        STORE_IN_MEMORY "the store is in memory only"
            "The broker runs without a file, so nothing can be restored into it."
        TENANT_NOT_FOUND "tenant is not there"
            "This build has the tenant default."
        TIMEOUT "it took too long"
            "The action did not end in the time that the command waits. It may go on."
        TOO_LARGE "it is too large"
            "The message names the limit."
        TOO_MANY_ARGUMENTS "too many arguments"
            "The message shows how the command is used. An argument with blanks stands in quotes."
        TOPIC_INVALID "topic is invalid"
            "The topic of a message is not empty and has no wildcards."
        TRUNCATED "not all is shown"
            "There is more than fits. Ask for less, such as a shorter time or fewer documents."
        UNKNOWN_COMMAND "there is no such command"
            "`lotmq cmd -help` lists all commands."
        UPLOAD_CANCELLED "upload was cancelled"
            "`lotmq cmd -cancelModuleUpload` ended it. What was installed before runs on."
        UPLOAD_EXPIRED "upload took too long"
            "Nothing has come of it for 120 s. Begin anew."
        UPLOAD_UNKNOWN "upload is not known"
            "It has ended, or belongs to another client: only the client that began an upload, of the same user, sends its parts."
        USERS_REPLACED "users are those of the backup"
            "The restore brought the users, groups and passwords of the backup."
        USER_EXISTS "a user of that name is there"
            "Remove it first, or change it."
        USER_PROTECTED "root is protected"
            "The user root is neither removed nor restricted."
        VERSION_NOT_FOUND "module has another version"
            "An instance runs the version of its module that is there. Add the wanted one with `lotmq cmd -addModule -replace`."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_in_the_order_of_its_place() {
        for place in Occasion::ALL {
            let names: Vec<&str> = all().filter(|code| code.place == place).map(|code| code.name).collect();
            assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        }
        let mut names: Vec<&str> = all().map(|code| code.name).collect();
        names.sort_unstable();
        names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
    }

    #[test]
    fn guests_cannot_use_run_error_codes_of_the_broker() {
        // The code for an exception in JavaScript or Python comes from the guest's SDK.
        let of_broker = |code: &&Code| code.place == Occasion::Run && code.name != "EXCEPTION";
        for code in all().filter(of_broker) {
            assert!(lotmq_host::is_run_code(code.name), "{} belongs into RUN_CODES", code.name);
        }
        for name in lotmq_host::RUN_CODES {
            assert!(find(name).is_some_and(|code| code.place == Occasion::Run), "{name}");
        }
    }

    #[test]
    fn codes_are_found_in_any_case_and_titles_are_short() {
        assert_eq!(find("hop_limit").map(|code| code.name), Some("HOP_LIMIT"));
        assert!(find("LOT302").is_none());
        assert_eq!(similar("hop_limits"), Some("HOP_LIMIT"));
        for code in all() {
            assert!(code.title.len() < 70 && code.explanation.ends_with('.'), "{}", code.name);
        }
    }
}
