//! Checks that several expressions share: operands that must not be bytes, names and variables,
//! words that need a message.

use super::kind::KindSet;
use super::tree::{Constant, Expression, ExpressionKind, JsonPath, PublisherWord, SessionWord, VariableId};
use super::{Checker, Start, json_path};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::{habit, session_name, window};
use crate::syntax::{self, Path, PathStep};
use lot_facts::Trigger;
use lot_nearest::nearest;

/// Words that begin values, for "did you mean".
const VALUE_WORDS: [&str; 13] = [
    "PAYLOAD",
    "TOPIC",
    "TIMESTAMP",
    "RANDOM",
    "RESULT",
    "EMPTY",
    "NULL",
    "TRUE",
    "FALSE",
    "CLIENTID",
    "USER",
    "GET",
    "FILTER",
];

impl Checker<'_, '_, '_> {
    /// An operand of anything that transforms its value: bytes are refused.
    pub(crate) fn operand(&mut self, source: &syntax::Expression) -> Expression {
        let expression = self.value(source);
        if expression.kinds.is(KindSet::BYTES) {
            let draft = Draft::error(codes::AFTER_BYTES, source.span, "bytes cannot be transformed");
            self.error(draft.suggest("leave out AS BYTES to work with text"));
        }
        expression
    }

    /// A boxed [`operand`](Self::operand).
    pub(super) fn boxed(&mut self, source: &syntax::Expression) -> Box<Expression> {
        Box::new(self.operand(source))
    }

    /// An expression of known kinds.
    pub(super) fn node(&self, span: Span, kinds: KindSet, kind: ExpressionKind) -> Expression {
        Expression { at: self.at(span), kinds, kind }
    }

    /// Creates an expression whose kinds follow from its own kind.
    pub(crate) fn computed(&self, span: Span, kind: ExpressionKind) -> Expression {
        self.node(span, super::infer::kinds_of(&kind), kind)
    }

    /// A constant.
    pub(crate) fn constant(&self, span: Span, constant: Constant) -> Expression {
        let kinds = super::fold::kinds(&constant);
        self.node(span, kinds, ExpressionKind::Constant(constant))
    }

    /// `{name}` or `{name.path}`.
    pub(super) fn variable(&mut self, path: &Path, span: Span) -> Expression {
        if let Some(field) = self.field_reference(path, span) {
            return field;
        }
        let Some(id) = self.scope.find(&path.name).filter(|id| self.scope.may_be_set(*id)) else {
            self.report_unset(path, span);
            let empty = self.constant(span, Constant::Empty);
            return self.with_path(empty, path, span);
        };
        let variable = self.read(id, span);
        self.with_path(variable, path, span)
    }

    /// The value of a variable at the current place.
    pub(super) fn read(&mut self, id: VariableId, span: Span) -> Expression {
        if matches!(self.start, Start::Triggered(_)) && self.scope.is_state(id) {
            self.warn_of_state(id, span);
        }
        let unset = if self.scope.read(id) { KindSet::EMPTY } else { KindSet::NONE };
        let assigned = self.scope.entry(id).map_or(KindSet::NONE, |entry| entry.kinds);
        self.node(span, assigned | unset, ExpressionKind::Variable(id))
    }

    fn with_path(&mut self, variable: Expression, path: &Path, span: Span) -> Expression {
        if path.steps.is_empty() {
            return variable;
        }
        let text = path.json_path();
        let steps = json_path::parse(&text).unwrap_or_default();
        let kind =
            ExpressionKind::GetJson { path: JsonPath::Literal { text, steps }, source: Box::new(variable) };
        self.node(span, KindSet::FROM_JSON, kind)
    }

    pub(super) fn report_unset(&mut self, path: &Path, span: Span) {
        if !self.names_are_complete {
            return;
        }
        let name = path.name.as_str();
        let near = nearest(name, self.scope.names().filter(|other| *other != name));
        let draft = Draft::warning(codes::UNSET_VARIABLE, span, format!("unknown variable `{{{name}}}`"))
            .label("not set on any path before this place");
        // The name stands behind the brace, whatever path follows it.
        let written = self.sink.source().slice(span);
        let at = written
            .find(&format!("{{{name}"))
            .map(|at| at + 1)
            .or_else(|| written.find(name))
            .map(|at| Span::new(span.start as usize + at, span.start as usize + at + name.len()));
        let is_alone = written.starts_with('{');
        if let Some(ours) = value_in_braces(path).filter(|_| is_alone) {
            let draft =
                draft.note("braces are for variables: a value that has a word of its own stands without");
            return self.error(draft.suggest(format!("write {ours}")).fix(span, ours));
        }
        self.error(match (near, at) {
            (Some(near), Some(at)) => draft.suggest(format!("did you mean `{{{near}}}`?")).fix(at, near),
            (Some(near), None) => draft.suggest(format!("did you mean `{{{near}}}`?")),
            (None, _) => draft.suggest_if(self.hint_of_runs(name)),
        });
    }

    /// A bare name: a variable of the oldest programs (OD-62), or a mistake.
    pub(super) fn bare_name(&mut self, path: &Path, span: Span) -> Expression {
        if let Some(field) = self.field_reference(path, span) {
            return field;
        }
        let id = self.scope.find(&path.name).filter(|id| self.scope.may_be_set(*id));
        let Some(id) = id else {
            self.report_bare(path, span);
            return self.constant(span, Constant::Empty);
        };
        let message = format!("variable `{path}` without braces");
        let draft = Draft::warning(codes::BARE_VARIABLE, span, message);
        self.error(draft.suggest(format!("write {{{path}}}")).fix(span, format!("{{{path}}}")));
        let variable = self.read(id, span);
        self.with_path(variable, path, span)
    }

    fn report_bare(&mut self, path: &Path, span: Span) {
        let name = &path.name;
        let upper = name.to_ascii_uppercase();
        let keyword = VALUE_WORDS.iter().copied().find(|word| *word == upper);
        let near = nearest(name, self.scope.names()).filter(|near| !near.is_empty());
        let (code, message) = match keyword {
            Some(_) => (codes::LOWER_CASE_KEYWORD, format!("keyword \"{name}\" must be upper case")),
            None => (codes::UNKNOWN_IDENTIFIER, format!("unknown word `{path}`")),
        };
        let draft = Draft::error(code, span, message);
        if keyword.is_none()
            && matches!(self.start, Start::Triggered(Trigger::Window { .. }))
            && window::FIGURES.contains(&&*upper)
        {
            let figure = format!("WINDOW {upper}");
            return self.error(draft.suggest(format!("write {figure}")).fix(span, figure));
        }
        if let Some(ours) = member_of_message(path).or_else(|| habit::word_hint(name).map(str::to_owned))
            && near.is_none()
        {
            return self.error(draft.suggest(format!("write {ours}")).fix(span, ours));
        }
        if let Some(hint) = habit::type_hint(name).filter(|_| near.is_none()) {
            return self.error(draft.suggest(hint));
        }
        self.error(match (keyword, near, nearest(name, VALUE_WORDS)) {
            (Some(keyword), _, _) => draft.suggest(format!("write {keyword}")).fix(span, keyword),
            (None, Some(near), _) => draft
                .suggest(format!("write {{{near}}} for the variable, or \"{path}\" for text"))
                .fix(span, format!("{{{near}}}")),
            (None, None, Some(word)) => draft.did_you_mean(Some(word)),
            (None, None, None) => {
                draft.suggest(format!("write {{{path}}} for a variable, or \"{path}\" for text"))
            }
        });
    }

    /// Reports once a variable that looks like a state: it is Empty in runs that do not set it.
    fn warn_of_state(&mut self, id: VariableId, span: Span) {
        let Some(name) = self.scope.entry(id).filter(|entry| !entry.is_read).map(|entry| entry.name.clone())
        else {
            return;
        };
        let message =
            format!("`{name}` is Empty in runs that set it on no path, whatever a run before has set");
        let draft = Draft::warning(codes::STATE_IN_VARIABLE, span, message)
            .note(format!("set it on every path, with ELSE, or begin with SET \"{name}\" WITH a value"));
        self.error(draft.suggest(format!(
            "for a state write KEEP TOPIC \"state/{name}\" WITH value, and read it by GET TOPIC \"state/{name}\""
        )));
    }

    /// Suggests KEEP TOPIC for a variable that only a later statement sets. The author may expect
    /// the value of an earlier run.
    fn hint_of_runs(&self, name: &str) -> Option<String> {
        let is_set_later = self.scope.find(name).is_some();
        let is_started = matches!(self.start, Start::Triggered(_));
        (is_set_later && is_started).then(|| format!("a variable is gone when the run ends: write KEEP TOPIC \"state/{name}\" WITH value, and read it by GET TOPIC \"state/{name}\""))
    }

    /// Reports PAYLOAD, TOPIC or a property where the trigger has no message.
    pub(crate) fn need_message(&mut self, word: &str, span: Span) {
        if let Start::Asked(asked) = &self.start {
            let has_it = if word == "TOPIC" { asked.has_topic } else { asked.has_payload };
            if !has_it {
                let message = format!("no {word} for this scope");
                self.error(Draft::error(codes::NO_MESSAGE, span, message));
            }
        } else if matches!(self.start, Start::Triggered(Trigger::Silence { .. })) {
            if !matches!(word, "PAYLOAD" | "TOPIC") {
                let message = format!("no {word} for this trigger: a silence is no message");
                let draft = Draft::error(codes::NO_MESSAGE, span, message);
                self.error(draft.note("there are TOPIC, and PAYLOAD with the last value of the topic"));
            }
        } else if matches!(self.start, Start::Triggered(Trigger::Window { .. })) {
            if !matches!(word, "PAYLOAD" | "TOPIC") {
                let message = format!("no {word} for this trigger: a window is of many messages");
                let draft = Draft::error(codes::NO_MESSAGE, span, message);
                self.error(
                    draft.note(
                        "there are TOPIC, WINDOW MEAN and its like, and PAYLOAD with all of them as JSON",
                    ),
                );
            }
        } else if !self.has_message() {
            let message = format!("no {word} for this trigger: {} has no message", self.trigger_name());
            let draft = Draft::error(codes::NO_MESSAGE, span, message);
            let has_last_value = matches!(word, "PAYLOAD" | "TOPIC");
            let hint = "read a topic's last value with GET TOPIC \"topic\"".to_owned();
            self.error(draft.suggest_if(has_last_value.then_some(hint)));
        }
    }

    /// A figure of the window: a member of the JSON object that is its payload.
    pub(super) fn window_figure(&mut self, word: &str, span: Span) -> Expression {
        let is_there = match &self.start {
            Start::Triggered(trigger) => matches!(trigger, Trigger::Window { .. }),
            Start::Callable | Start::Unreadable => true,
            Start::Asked(_) => false,
        };
        if !is_there {
            let message = format!("no WINDOW {word} for this trigger: {} has no window", self.trigger_name());
            let draft = Draft::error(codes::NO_MESSAGE, span, message);
            self.error(draft.suggest("write ON WINDOW OF \"topic\" EVERY 1 MINUTE DO"));
        }
        let text = word.to_ascii_lowercase();
        let path = JsonPath::Literal { steps: json_path::parse(&text).unwrap_or_default(), text };
        let payload = self.node(span, KindSet::TEXT_DATA | self.absent_message(), ExpressionKind::Payload);
        self.computed(span, ExpressionKind::GetJson { path, source: Box::new(payload) })
    }

    /// A word about the client of the trigger (§7.6).
    pub(super) fn session(&mut self, word: SessionWord, span: Span) -> Expression {
        if let Some(publisher) = self.publisher(word) {
            let message = format!("{} of a message is not portable", session_name(word));
            self.error(Draft::warning(codes::NON_PORTABLE, span, message));
            return self.computed(span, ExpressionKind::Publisher(publisher));
        }
        let allowed = match &self.start {
            Start::Triggered(trigger) => session_word_fits(word, trigger),
            Start::Callable => false,
            Start::Asked(_) => {
                matches!(word, SessionWord::ClientId | SessionWord::User | SessionWord::Endpoint)
            }
            Start::Unreadable => true,
        };
        if !allowed {
            let name = session_name(word);
            let needs = match word {
                SessionWord::DisconnectReason => "ON DISCONNECT",
                SessionWord::SubscribeTopic | SessionWord::SubscribeQos => "ON SUBSCRIBE",
                SessionWord::ClientId | SessionWord::User => {
                    "ON TOPIC, ON CHANGE, ON CONNECT, ON DISCONNECT or ON SUBSCRIBE"
                }
                SessionWord::Endpoint | SessionWord::CleanSession => {
                    "ON CONNECT, ON DISCONNECT or ON SUBSCRIBE"
                }
            };
            let message = format!("{name} is not available for {}", self.trigger_name());
            let draft =
                Draft::error(codes::SESSION_WORD, span, message).note(format!("{name} needs {needs}"));
            self.error(draft);
        }
        self.node(span, KindSet::NONE, ExpressionKind::Session(word))
    }
}

impl Checker<'_, '_, '_> {
    /// The word about the publisher of a message that this is here.
    fn publisher(&self, word: SessionWord) -> Option<PublisherWord> {
        let Start::Triggered(Trigger::Topic { .. } | Trigger::Change { .. }) = &self.start else {
            return None;
        };
        match word {
            SessionWord::ClientId => Some(PublisherWord::ClientId),
            SessionWord::User => Some(PublisherWord::User),
            SessionWord::Endpoint
            | SessionWord::CleanSession
            | SessionWord::DisconnectReason
            | SessionWord::SubscribeTopic
            | SessionWord::SubscribeQos => None,
        }
    }
}

fn session_word_fits(word: SessionWord, trigger: &Trigger) -> bool {
    match word {
        SessionWord::DisconnectReason => matches!(trigger, Trigger::Disconnect),
        SessionWord::SubscribeTopic | SessionWord::SubscribeQos => {
            matches!(trigger, Trigger::Subscribe { .. })
        }
        SessionWord::ClientId | SessionWord::User | SessionWord::Endpoint | SessionWord::CleanSession => {
            matches!(trigger, Trigger::Connect | Trigger::Disconnect | Trigger::Subscribe { .. })
        }
    }
}

/// Returns the replacement for a path in braces that names a value word, or a part of the message
/// such as `msg.payload`, `msg.topic` or `payload.a`.
fn value_in_braces(path: &Path) -> Option<String> {
    let word = path.name.to_ascii_uppercase();
    let is_word = path.steps.is_empty() && VALUE_WORDS.contains(&&*word);
    member_of_message(path).or_else(|| is_word.then_some(word))
}

fn member_of_message(path: &Path) -> Option<String> {
    let is_message = matches!(path.name.as_str(), "msg" | "message");
    let is_payload = path.name.eq_ignore_ascii_case("PAYLOAD");
    let mut steps = path.steps.as_slice();
    if is_message {
        let [PathStep::Key(first), rest @ ..] = steps else { return None };
        match first.as_str() {
            "topic" if rest.is_empty() => return Some("TOPIC".to_owned()),
            "payload" if rest.is_empty() => return Some("PAYLOAD".to_owned()),
            "payload" => steps = rest,
            _ => return None,
        }
    }
    if !is_message && !is_payload || steps.is_empty() {
        return None;
    }
    let mut text = String::new();
    for step in steps {
        match step {
            PathStep::Key(key) if text.is_empty() => text.push_str(key),
            PathStep::Key(key) => text.push_str(&format!(".{key}")),
            PathStep::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    Some(format!("GET JSON \"{text}\" IN PAYLOAD"))
}
