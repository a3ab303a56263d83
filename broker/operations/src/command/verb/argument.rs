//! Arguments of verbs: their kinds, and the values that the text of a command gives them.
//!
//! A verb lists its arguments once. The usage, the arguments that the audit hides, and the parsing
//! of a text derive from that list. A text is parsed once, before the verb is executed. A value is
//! converted when the verb asks for it, so that the verb decides which mistake it reports first.
//! Not here: the options of `-addModule`, which depend on one another (`modules::options`).

use std::collections::BTreeMap;
use std::str::FromStr;

use lotmq_router::topic_filter_valid;
use zeroize::Zeroizing;

use crate::command_text::{self, ArgumentError, normalized_verb};

/// Argument of a verb.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerbArgument {
    /// Name in mistakes, and key of its value; that of an option begins with a dash.
    name: &'static str,
    kind: ArgumentKind,
    /// Text in the usage, if it is not made of the name.
    form: Option<&'static str>,
    /// Name of the value of an option in mistakes, if it is not made of the name.
    value_name: Option<&'static str>,
    is_optional: bool,
    is_repeated: bool,
    is_secret: bool,
    /// Whether an option is found in every spelling that a verb is found in.
    is_loose: bool,
}

/// Kind of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArgumentKind {
    /// Word, or a text in quotation marks.
    Word,
    /// Whole number; the text ends the message about a word that is none.
    Number(&'static str),
    /// Topic Filter.
    TopicFilter,
    /// Option without a value, at any place.
    Switch,
    /// Option with a value behind it, of this form.
    Option(&'static str),
    /// File in base64 behind its prefix.
    File,
    /// Every word of the command, for a verb that parses its options itself.
    Words,
    /// Text of a program up to the end, as it is.
    Program,
    /// JSON up to the end.
    Json,
    /// `NAME=value` up to the end.
    Assignment,
    /// Any other text up to the end.
    Text,
}

impl ArgumentKind {
    /// Whether the argument is the rest of the text, which is not split at blanks.
    fn is_rest(self) -> bool {
        matches!(self, Self::Program | Self::Json | Self::Assignment | Self::Text)
    }

    /// Whether the place among the words identifies the argument.
    fn is_positional(self) -> bool {
        !matches!(self, Self::Switch | Self::Option(_) | Self::Words)
    }
}

/// Option of a verb that changes what belongs to others, too.
pub(crate) const FORCE: VerbArgument = switch("-force");

const fn required(name: &'static str, kind: ArgumentKind) -> VerbArgument {
    VerbArgument {
        name,
        kind,
        form: None,
        value_name: None,
        is_optional: false,
        is_repeated: false,
        is_secret: false,
        is_loose: false,
    }
}

/// Required word or name.
pub(crate) const fn word(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Word)
}

/// Required number. A word that is none is refused with `'<word>' <wrong>.`
pub(crate) const fn number(name: &'static str, wrong: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Number(wrong))
}

/// Required Topic Filter.
pub(crate) const fn topic_filter(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::TopicFilter)
}

/// Option without a value.
pub(crate) const fn switch(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Switch).optional()
}

/// Option with a value of this form.
pub(crate) const fn option(name: &'static str, value: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Option(value)).optional()
}

/// Required file in base64, whose name begins with its prefix.
pub(crate) const fn file(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::File)
}

/// Every word of the command, beside the arguments that the usage shows.
pub(crate) const fn words(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Words).optional().hidden()
}

/// Required text of a program.
pub(crate) const fn program(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Program).secret()
}

/// Required JSON, which may hold anything.
pub(crate) const fn json(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Json).secret()
}

/// Required `NAME=value`, whose value is hidden.
pub(crate) const fn name_and_value(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Assignment).secret()
}

/// Other required text up to the end.
pub(crate) const fn text(name: &'static str) -> VerbArgument {
    required(name, ArgumentKind::Text)
}

impl VerbArgument {
    pub(crate) const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    pub(crate) const fn required(self) -> Self {
        Self { is_optional: false, ..self }
    }

    pub(crate) const fn repeated(self) -> Self {
        Self { is_repeated: true, ..self }
    }

    /// Hides the argument and all words behind it in the audit; of an option its value alone.
    pub(crate) const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Finds the option with other dashes and in any case.
    pub(crate) const fn loose(self) -> Self {
        Self { is_loose: true, ..self }
    }

    /// Sets the text of the argument in the usage.
    pub(crate) const fn with_form(self, form: &'static str) -> Self {
        Self { form: Some(form), ..self }
    }

    /// Leaves the argument out of the usage.
    pub(crate) const fn hidden(self) -> Self {
        self.with_form("")
    }

    /// Sets the name of the option's value in mistakes.
    pub(crate) const fn value_named(self, value_name: &'static str) -> Self {
        Self { value_name: Some(value_name), ..self }
    }

    /// Whether the word is this option.
    pub(crate) fn is_option(&self, word: &str) -> bool {
        let is_same = word.eq_ignore_ascii_case(self.name) || self.is_loose && self.is_spelled_as(word);
        is_same && matches!(self.kind, ArgumentKind::Switch | ArgumentKind::Option(_))
    }

    /// Whether the word is the name of this option with any dashes and in any case.
    pub(crate) fn is_spelled_as(&self, word: &str) -> bool {
        let is_option = matches!(self.kind, ArgumentKind::Switch | ArgumentKind::Option(_));
        is_option && normalized_verb(word) == normalized_verb(self.name)
    }

    /// Whether the value of this option is hidden in the audit.
    pub(crate) fn hides_value(&self) -> bool {
        self.is_secret && matches!(self.kind, ArgumentKind::Option(_))
    }

    fn usage(&self) -> String {
        if let Some(form) = self.form {
            return form.to_owned();
        }
        let usage = if let ArgumentKind::Option(value) = self.kind {
            format!("{} {value}", self.name)
        } else {
            self.name.to_owned()
        };
        let is_bare = !self.kind.is_positional() || self.kind == ArgumentKind::File;
        let usage = match (self.is_optional, is_bare) {
            (true, _) => format!("[{usage}]"),
            (false, true) => usage,
            (false, false) => format!("<{usage}>"),
        };
        match (self.is_repeated, self.kind.is_positional(), self.is_optional) {
            (false, ..) => usage,
            (true, false, _) => usage + "...",
            (true, true, true) => usage + "…",
            (true, true, false) => usage + " …",
        }
    }
}

/// Usage of a verb with these arguments, without its name.
pub(crate) fn usage(arguments: &[VerbArgument]) -> String {
    let forms = arguments.iter().map(VerbArgument::usage).filter(|form| !form.is_empty());
    forms.collect::<Vec<_>>().join(" ")
}

/// Whether the last argument is the rest of the text.
pub(crate) fn takes_rest(arguments: &[VerbArgument]) -> bool {
    arguments.iter().any(|argument| argument.kind.is_rest())
}

/// Part of a command's text that the audit may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VisiblePart {
    /// The first words.
    Words(usize),
    /// The name of `NAME=value`.
    Name,
    /// Length and digest of the text.
    Digest,
}

/// Part of the text that the audit may show: everything before the first secret argument.
pub(crate) fn visible_part(arguments: &[VerbArgument]) -> VisiblePart {
    let mut places = arguments.iter().filter(|argument| argument.kind.is_positional()).enumerate();
    match places.find(|(_, argument)| argument.is_secret).map(|(place, argument)| (place, argument.kind)) {
        None => VisiblePart::Words(usize::MAX),
        Some((_, ArgumentKind::Program | ArgumentKind::File)) => VisiblePart::Digest,
        Some((_, ArgumentKind::Assignment)) => VisiblePart::Name,
        Some((place, _)) => VisiblePart::Words(place),
    }
}

/// Word behind which no word is an option, such as a name that begins with a hyphen.
const END_OF_OPTIONS: &str = "--";

/// Values of the arguments of one command, by the names of the arguments. They may be passwords, so
/// copies are wiped when they are dropped.
#[derive(Default)]
pub(crate) struct ArgumentValues<'t> {
    words: BTreeMap<&'static str, Vec<Zeroizing<String>>>,
    /// Name and text of the argument that is the rest of the text.
    rest: Option<(&'static str, &'t str)>,
}

/// Values of a command whose text is not parsed yet.
pub(crate) static NO_VALUES: ArgumentValues<'static> = ArgumentValues { words: BTreeMap::new(), rest: None };

/// Mistake in the arguments of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ArgumentMistake {
    /// The text cannot be split into words.
    Words(ArgumentError),
    /// An argument, or the value of an option, is missing.
    Missing(String),
    /// There are more words than arguments.
    TooMany,
    /// A word has not the form of its argument; the message.
    Invalid(String),
}

impl From<ArgumentError> for ArgumentMistake {
    fn from(error: ArgumentError) -> Self {
        Self::Words(error)
    }
}

impl<'t> ArgumentValues<'t> {
    /// Parses the text of a command. The cost is proportional to the text.
    ///
    /// # Errors
    /// [`ArgumentMistake`], the first one.
    pub(crate) fn parse(arguments: &[VerbArgument], text: &'t str) -> Result<Self, ArgumentMistake> {
        if takes_rest(arguments) {
            return Self::parse_with_rest(arguments, text);
        }
        let given = command_text::arguments(text)?.into_iter().map(Zeroizing::new);
        if let Some(all) = arguments.iter().find(|argument| argument.kind == ArgumentKind::Words) {
            return Ok(Self { words: BTreeMap::from([(all.name, given.collect())]), rest: None });
        }
        Self::parse_words(arguments, given)
    }

    fn parse_words(
        arguments: &[VerbArgument],
        mut given: impl Iterator<Item = Zeroizing<String>>,
    ) -> Result<Self, ArgumentMistake> {
        let (mut values, mut words) = (Self::default(), Vec::new());
        let mut may_be_option = arguments.iter().any(|argument| !argument.kind.is_positional());
        while let Some(word) = given.next() {
            if may_be_option && *word == END_OF_OPTIONS {
                may_be_option = false;
                continue;
            }
            match arguments.iter().find(|argument| may_be_option && argument.is_option(&word)) {
                Some(switch) if switch.kind == ArgumentKind::Switch => values.add(switch.name, word),
                // One that comes again is a word like others.
                Some(option) if option.is_repeated || !values.has(option.name) => {
                    let default = || format!("value of {}", option.name);
                    let missing = || option.value_name.map_or_else(default, str::to_owned);
                    let value = given.next().ok_or_else(|| ArgumentMistake::Missing(missing()))?;
                    values.add(option.name, value);
                }
                Some(_) | None => words.push(word),
            }
        }
        let positional: Vec<_> = arguments.iter().filter(|argument| argument.kind.is_positional()).collect();
        let needed = positional.iter().filter(|argument| !argument.is_optional);
        if let Some(missing) = needed.clone().nth(words.len()) {
            return Err(ArgumentMistake::Missing(missing.name.to_owned()));
        }
        // Words beyond the needed ones are for the optional arguments, in their order.
        let mut spare = words.len() - needed.count();
        let mut words = words.into_iter();
        for argument in positional {
            if argument.is_optional && spare == 0 {
                continue;
            }
            spare -= usize::from(argument.is_optional);
            let more = if argument.is_repeated { std::mem::take(&mut spare) } else { 0 };
            words.by_ref().take(1 + more).for_each(|word| values.add(argument.name, word));
        }
        if words.next().is_some() { Err(ArgumentMistake::TooMany) } else { Ok(values) }
    }

    /// Parses a text of which the last argument is the rest. Options stand in their place.
    fn parse_with_rest(arguments: &[VerbArgument], text: &'t str) -> Result<Self, ArgumentMistake> {
        let (mut values, mut text) = (Self::default(), text);
        for argument in arguments {
            let missing = || ArgumentMistake::Missing(argument.name.to_owned());
            if argument.kind == ArgumentKind::Switch {
                let len = text.find(char::is_whitespace).unwrap_or(text.len());
                let (word, behind) = text.split_at(len);
                // A program may be that word alone.
                let is_alone = behind.is_empty() && arguments.iter().any(|a| a.kind == ArgumentKind::Program);
                if argument.is_option(word) && !is_alone {
                    values.add(argument.name, Zeroizing::new(word.to_owned()));
                    text = behind.strip_prefix(char::is_whitespace).unwrap_or(behind);
                }
            } else if argument.kind.is_rest() {
                if argument.kind != ArgumentKind::Program {
                    text = text.trim();
                }
                match (text.trim().is_empty(), argument.is_optional) {
                    (true, true) => {}
                    (true, false) => return Err(missing()),
                    (false, _) => values.rest = Some((argument.name, text)),
                }
            } else {
                let (word, behind) = command_text::first_argument(text)?.ok_or_else(missing)?;
                values.add(argument.name, Zeroizing::new(word));
                text = behind;
            }
        }
        Ok(values)
    }

    fn add(&mut self, name: &'static str, value: Zeroizing<String>) {
        self.words.entry(name).or_default().push(value);
    }

    /// Value of a required argument.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).expect("a required argument of the verb has a value")
    }

    /// Value of an argument; `None` if the command does not have it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let rest = self.rest.filter(|(rest, _)| *rest == name).map(|(_, text)| text);
        rest.or_else(|| self.all(name).next())
    }

    /// Values of a repeated argument.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.words.get(name).into_iter().flatten().map(|value| value.as_str())
    }

    /// Whether the command has an option.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.words.contains_key(name)
    }

    /// Values of an argument of kind number, in their order.
    ///
    /// # Errors
    /// The first word that is no such number.
    pub(crate) fn numbers<N: FromStr>(
        &self,
        arguments: &[VerbArgument],
        name: &str,
    ) -> Result<Vec<N>, ArgumentMistake> {
        let wrong = arguments.iter().find(|argument| argument.name == name).and_then(|argument| {
            if let ArgumentKind::Number(wrong) = argument.kind { Some(wrong) } else { None }
        });
        let wrong = wrong.expect("the verb has an argument of kind number of this name");
        let number = |word: &str| {
            word.parse::<N>().map_err(|_| ArgumentMistake::Invalid(format!("'{word}' {wrong}.")))
        };
        self.all(name).map(number).collect()
    }

    /// Value of an argument of kind Topic Filter; `None` if the command does not have it.
    ///
    /// # Errors
    /// If the word is no Topic Filter.
    pub(crate) fn topic_filter(&self, name: &str) -> Result<Option<&str>, ArgumentMistake> {
        let Some(filter) = self.get(name) else { return Ok(None) };
        let invalid = |error| ArgumentMistake::Invalid(format!("'{filter}' is no topic filter: {error}."));
        topic_filter_valid(filter).map(|()| Some(filter)).map_err(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &[VerbArgument] = &[word("client id"), word("user").optional()];
    const DIAGNOSE: &[VerbArgument] = &[word("kind").optional().with_form("[model | action]"), word("name")];
    const REPLAY: &[VerbArgument] =
        &[word("route"), number("number", "is no number").optional().repeated(), FORCE];
    const SEVERAL: &[VerbArgument] = &[word("asset").repeated(), FORCE];
    const INSTALL: &[VerbArgument] =
        &[word("module"), word("token").secret(), word("version").optional(), option("-name", "<name>")];
    const GRANT: &[VerbArgument] = &[word("name"), option("-grant", "g").required().repeated(), FORCE];
    const LOAD: &[VerbArgument] = &[word("name"), option("-agreed", "<plan>").value_named("plan")];
    const INFO: &[VerbArgument] = &[option("-tenant", "t").loose().hidden()];
    const PYTHON: &[VerbArgument] = &[switch("-replace"), program("text")];
    const SAVE: &[VerbArgument] = &[word("asset"), FORCE, json("json").optional()];
    const ASSIGN: &[VerbArgument] = &[name_and_value("NAME=value")];
    const ALL: &[VerbArgument] = &[words("words")];
    const NONE: &[VerbArgument] = &[];
    const FILE: &[VerbArgument] = &[file("zip64:<base64>").optional()];
    const SECRET_FILE: &[VerbArgument] = &[file("lot64:").secret()];
    const SECRET_TEXT: &[VerbArgument] = &[text("anything").secret()];

    #[test]
    fn usage_derives_from_the_arguments() {
        for (arguments, expected) in [
            (SESSION, "<client id> [user]"),
            (DIAGNOSE, "[model | action] <name>"),
            (REPLAY, "<route> [number]… [-force]"),
            (SEVERAL, "<asset> … [-force]"),
            (INSTALL, "<module> <token> [version] [-name <name>]"),
            (GRANT, "<name> -grant g... [-force]"),
            (INFO, ""),
            (PYTHON, "[-replace] <text>"),
            (FILE, "[zip64:<base64>]"),
            (NONE, ""),
        ] {
            assert_eq!(usage(arguments), expected);
        }
    }

    #[test]
    fn audit_shows_what_stands_before_the_first_secret() {
        for (arguments, expected) in [
            (SESSION, VisiblePart::Words(usize::MAX)),
            (INSTALL, VisiblePart::Words(1)),
            (PYTHON, VisiblePart::Digest),
            (SAVE, VisiblePart::Words(1)),
            (SECRET_FILE, VisiblePart::Digest),
            (ASSIGN, VisiblePart::Name),
            (SECRET_TEXT, VisiblePart::Words(0)),
        ] {
            assert_eq!(visible_part(arguments), expected, "{}", usage(arguments));
        }
    }

    /// All values, in the order of their names.
    fn parsed(
        arguments: &[VerbArgument],
        text: &str,
    ) -> Result<Vec<(&'static str, String)>, ArgumentMistake> {
        let values = ArgumentValues::parse(arguments, text)?;
        let words = values
            .words
            .into_iter()
            .flat_map(|(name, words)| words.into_iter().map(move |word| (name, word.as_str().to_owned())));
        Ok(words.chain(values.rest.map(|(name, text)| (name, text.to_owned()))).collect())
    }

    #[test]
    fn words_become_values() {
        for (arguments, text, expected) in [
            (SESSION, "c", vec![("client id", "c")]),
            (SESSION, "\"c 1\" bob", vec![("client id", "c 1"), ("user", "bob")]),
            (DIAGNOSE, "Echo", vec![("name", "Echo")]),
            (DIAGNOSE, "model Echo", vec![("kind", "model"), ("name", "Echo")]),
            (
                REPLAY,
                "-FORCE Up 1 2",
                vec![("-force", "-FORCE"), ("number", "1"), ("number", "2"), ("route", "Up")],
            ),
            (SEVERAL, "a b -force", vec![("-force", "-force"), ("asset", "a"), ("asset", "b")]),
            (INSTALL, "m t -name n", vec![("-name", "n"), ("module", "m"), ("token", "t")]),
            (INSTALL, "m -NAME -name t", vec![("-name", "-name"), ("module", "m"), ("token", "t")]),
            (GRANT, "-grant a m -grant b", vec![("-grant", "a"), ("-grant", "b"), ("name", "m")]),
            (SEVERAL, "-- -force", vec![("asset", "-force")]),
            (SEVERAL, "-force -- --", vec![("-force", "-force"), ("asset", "--")]),
            (SESSION, "-- bob", vec![("client id", "--"), ("user", "bob")]),
            (INFO, "--Tenant a", vec![("-tenant", "a")]),
            (PYTHON, " x = 1 ", vec![("text", " x = 1 ")]),
            (PYTHON, "-replace \nx", vec![("-replace", "-replace"), ("text", "\nx")]),
            (PYTHON, "-replace", vec![("text", "-replace")]),
            (
                SAVE,
                "a -force {\"b\": 1} ",
                vec![("-force", "-force"), ("asset", "a"), ("json", "{\"b\": 1}")],
            ),
            (SAVE, "a -force", vec![("-force", "-force"), ("asset", "a")]),
            (ALL, "a -b \"c d\"", vec![("words", "a"), ("words", "-b"), ("words", "c d")]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(name, word)| (name, word.to_owned())).collect();
            assert_eq!(parsed(arguments, text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_counts_are_mistakes() {
        let missing = |name: &str| ArgumentMistake::Missing(name.to_owned());
        for (arguments, text, expected) in [
            (SESSION, "", missing("client id")),
            (SESSION, "a b c", ArgumentMistake::TooMany),
            (SESSION, "\"c", ArgumentMistake::Words(ArgumentError::QuoteNotClosed)),
            (SEVERAL, "-force", missing("asset")),
            (SEVERAL, "-force --", missing("asset")),
            (INSTALL, "m t -name", missing("value of -name")),
            (INSTALL, "m t v -name a -name b", ArgumentMistake::TooMany),
            (INSTALL, "m", missing("token")),
            (LOAD, "-agreed", missing("plan")),
            (PYTHON, " \n", missing("text")),
            (SAVE, " ", missing("asset")),
            (NONE, "x", ArgumentMistake::TooMany),
        ] {
            assert_eq!(parsed(arguments, text), Err(expected), "{text}");
        }
    }

    #[test]
    fn wrong_kinds_are_mistakes() {
        let values = ArgumentValues::parse(REPLAY, "Up 7 x").unwrap();
        let invalid = ArgumentMistake::Invalid("'x' is no number.".to_owned());
        assert_eq!(values.numbers::<u64>(REPLAY, "number"), Err(invalid));
        let values = ArgumentValues::parse(REPLAY, "Up 7 8").unwrap();
        assert_eq!(values.numbers(REPLAY, "number"), Ok(vec![7_u64, 8]));
        let filter: &[VerbArgument] = &[topic_filter("filter")];
        let values = ArgumentValues::parse(filter, "a/#").unwrap();
        assert_eq!(values.topic_filter("filter"), Ok(Some("a/#")));
        let values = ArgumentValues::parse(filter, "a/#/b").unwrap();
        let Err(ArgumentMistake::Invalid(message)) = values.topic_filter("filter") else { panic!("refused") };
        assert!(message.starts_with("'a/#/b' is no topic filter: "), "{message}");
    }
}
