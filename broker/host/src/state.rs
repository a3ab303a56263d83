//! Host state beside each instance: the data of its store.
//!
//! Invariant: between two runs nothing of a run is left but memory for reuse.

use crate::{
    Authority, BorrowedMessage, Capability, Grants, GuestId, Qos, RunContext, RunError, RunOutput, Services,
    Writer,
    ambient::Perceives,
    deadline::{AtTick, Deadline, Stopped, time_of_run},
    grants::is_system,
    limits::{MISSING_NAME_BYTES_MAX, MISSING_PER_RUN_MAX, MISSING_REPORTED_MAX},
    memory::{Memory, Refusal},
    patterns::{PatternCache, Patterns},
    services::question::{Read, Request, Subject},
    texts::{CODE_INVALID, cut, describe_owner, is_run_code, made_up, not_granted},
};
use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};
use wasmtime::ResourceLimiter;

/// Host state of one instance. Fields that host functions change are cells, because these functions
/// borrow the guest's memory meanwhile.
pub(crate) struct RunState {
    pub(crate) services: Arc<dyn Services>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) run: RunContext,
    /// For whom the code acted when the run began.
    authority: Authority,
    pub(crate) deadline: Cell<Deadline>,
    pub(crate) output: RefCell<RunOutput>,
    pub(crate) patterns: Patterns,
    /// Subject that asks a rule; `None` in other worlds.
    pub(crate) subject: Option<Arc<dyn Subject>>,
    /// Question to a rule, if it may ask a module the same.
    pub(crate) question: Option<Arc<Request>>,
    /// MQTT version of the connection that asks a rule.
    pub(crate) protocol_version: Option<u8>,
    /// Values that the run read, for worlds whose results are remembered.
    reads: Option<RefCell<Vec<Read>>>,
    /// Codes of the broker that the run was given with errors, which it may hand on; there are no
    /// more than [`RUN_CODES`](crate::RUN_CODES) and kinds of traps.
    given: RefCell<Vec<String>>,
    /// Grants that the run lacked.
    missing: RefCell<Vec<(Capability, String)>>,
    /// Topic of the last write that the rules denied, if that was why the last refused one was.
    denied: RefCell<Option<String>>,
    /// Reason for which the topic of the last write was invalid, if the host refused it for that.
    invalid: RefCell<Option<String>>,
    trigger: TriggerMessage,
    /// Holds the last value on its way into the guest; reused, so that reading a topic does not
    /// allocate.
    value: RefCell<Arc<Vec<u8>>>,
    memory: Memory,
    has_acted: Cell<bool>,
    keeps_trigger: bool,
}

/// Copy of the message that started the run, for guests that may ask for it later.
struct TriggerMessage {
    is_set: bool,
    topic: String,
    payload: Vec<u8>,
    qos: Qos,
    retain: bool,
    client_id: String,
    user: Option<String>,
    properties: Vec<u8>,
    expires_at_ms: Option<u64>,
    received_ms: u64,
}

impl RunState {
    pub(crate) fn new(
        services: Arc<dyn Services>,
        grants: Arc<Grants>,
        (memory, patterns): (Memory, &Arc<PatternCache>),
        keeps_trigger: bool,
    ) -> Self {
        RunState {
            services,
            grants,
            run: RunContext::new(GuestId(0)),
            authority: Authority::default(),
            deadline: Cell::new(Deadline::new(Duration::ZERO)),
            output: RefCell::default(),
            patterns: Patterns::new(patterns),
            subject: None,
            question: None,
            protocol_version: None,
            reads: None,
            given: RefCell::default(),
            missing: RefCell::default(),
            denied: RefCell::default(),
            invalid: RefCell::default(),
            trigger: TriggerMessage {
                is_set: false,
                topic: String::new(),
                payload: Vec::new(),
                qos: Qos::AtMostOnce,
                retain: false,
                client_id: String::new(),
                user: None,
                properties: Vec::new(),
                expires_at_ms: None,
                received_ms: 0,
            },
            value: RefCell::default(),
            memory,
            has_acted: Cell::new(false),
            keeps_trigger,
        }
    }

    pub(crate) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    /// Whether the grants cover a topic or name. When the run ends, the server is notified of
    /// missing grants.
    pub(crate) fn may(&self, capability: Capability, name: &str) -> bool {
        let may = self.grants.cover(capability, name);
        if !may {
            self.note_missing(capability, name);
        }
        may
    }

    /// Notes something that the run wanted and was not granted.
    pub(crate) fn note_missing(&self, capability: Capability, name: &str) {
        let (mut missing, name) = (self.missing.borrow_mut(), cut(name, MISSING_NAME_BYTES_MAX));
        let is_noted = missing.iter().any(|(known, noted)| *known == capability && noted == name);
        if !is_noted && missing.len() < MISSING_PER_RUN_MAX {
            missing.push((capability, name.to_owned()));
        }
    }

    /// Notes a write that was not allowed: denied by the rules to whom the definition belongs, or
    /// not granted to it.
    pub(crate) fn note_refused(&self, topic: &str) {
        let is_granted = self.grants.write.reaches(topic);
        if !is_granted {
            self.note_missing(Capability::WriteTopic, topic);
        }
        let is_denied = is_granted && !is_system(topic);
        *self.denied.borrow_mut() = is_denied.then(|| cut(topic, MISSING_NAME_BYTES_MAX).to_owned());
    }

    /// Takes the text that reports a write that the rules denied. The program knows neither the
    /// topic nor the reason.
    pub(crate) fn denial(&self) -> Option<String> {
        let topic = self.denied.borrow_mut().take()?;
        let owner = describe_owner(self.services.owner());
        Some(format!("the rules do not let {owner} publish to '{topic}'; nothing was written"))
    }

    /// Notes a write to an invalid topic, or to one that is too long or too deep.
    pub(crate) fn note_invalid(&self, topic: &str) {
        let bounds = self.services.message_bounds();
        let what_is_wrong = match lotmq_router::topic_name_valid(topic) {
            Err(error) => error.to_string(),
            Ok(_) if bounds.include_topic(topic) => {
                "no value is kept below `$delayed/`: the topic needs no delay".to_owned()
            }
            Ok(_) => format!(
                "it has {} bytes and {} levels, of at most {} and {}",
                topic.len(),
                topic.split('/').count(),
                bounds.topic_bytes,
                bounds.topic_levels
            ),
        };
        let shown = cut(topic, MISSING_NAME_BYTES_MAX).escape_debug();
        let text = format!("nothing was written to '{shown}': {what_is_wrong}");
        *self.invalid.borrow_mut() = Some(text);
    }

    /// Takes the text that reports a write to an invalid topic, which the program does not know.
    pub(crate) fn invalid_topic(&self) -> Option<String> {
        self.invalid.borrow_mut().take()
    }

    /// Whether a rule reads. A rule must not take its visible values for all values.
    pub(crate) fn is_of_rule(&self) -> bool {
        self.reads.is_some()
    }

    /// Returns the first missing grants of the run, as the grants are written.
    pub(crate) fn missing(&mut self) -> Vec<String> {
        let written = |(capability, name): &(Capability, String)| match capability.word() {
            word if name.is_empty() => word.to_owned(),
            word => format!("{word}:{name}"),
        };
        self.missing.get_mut().iter().take(MISSING_REPORTED_MAX).map(written).collect()
    }

    // A function of its own would read fields that were just written in smaller pieces, and stall:
    // 8 ns of a run's 400.
    #[inline(always)]
    pub(crate) fn begin(
        &mut self,
        run: RunContext,
        deadline: Deadline,
        trigger: Option<&BorrowedMessage<'_>>,
        output: &mut RunOutput,
    ) {
        self.run = run;
        self.authority = self.grants.acting.now();
        self.deadline.set(deadline);
        self.has_acted.set(false);
        self.given.get_mut().clear();
        self.memory.begin();
        std::mem::swap(self.output.get_mut(), output);
        if self.keeps_trigger {
            self.trigger.set(trigger);
        }
    }

    /// Notes the code of an error that the guest is given: it may hand that on as its own.
    pub(crate) fn give<T>(&self, result: Result<T, RunError>) -> Result<T, RunError> {
        result.inspect_err(|error| {
            let mut given = self.given.borrow_mut();
            if is_run_code(&error.code) && !given.contains(&error.code) {
                given.push(error.code.clone());
            }
        })
    }

    /// Code and text that the guest has given, unless it has made up a code of the broker.
    pub(crate) fn said<'a>(&self, code: &'a str, message: &'a str) -> (&'a str, Cow<'a, str>) {
        // `CODE_INVALID` replaces invalid codes, so it needs no permission.
        let is_own = code != CODE_INVALID && is_run_code(code);
        if is_own && !self.given.borrow().iter().any(|given| given == code) {
            return (CODE_INVALID, Cow::Owned(made_up(code, message)));
        }
        (code, Cow::Borrowed(message))
    }

    /// Returns the error of a run, with a made-up broker code replaced. Adds the missing grants to
    /// the message: the guest knows only that the call failed.
    pub(crate) fn ended_with(&self, error: RunError, missing: &[String]) -> RunError {
        let (code, message) = self.said(&error.code, &error.message);
        // An error of the broker that is handed on says why.
        let is_handed_on = code != CODE_INVALID && is_run_code(code);
        let message = match is_handed_on || missing.is_empty() {
            true => message.into_owned(),
            false => format!("{message}; {}", not_granted(missing)),
        };
        RunError { code: code.to_owned(), message, ..error }
    }

    /// State of a rule: it records its reads.
    pub(crate) fn of_rule(
        services: Arc<dyn Services>,
        grants: Arc<Grants>,
        (memory, patterns): (Memory, &Arc<PatternCache>),
        keeps_message: bool,
    ) -> Self {
        let mut state = RunState::new(services, grants, (memory, patterns), keeps_message);
        state.reads = Some(RefCell::default());
        state
    }

    /// Returns the writer of the effects of this code.
    pub(crate) fn writer(&self) -> Writer {
        Writer { definition: self.run.definition, authority: self.authority }
    }

    /// Whether a writer's effects belong to this code: to its account, or to itself if it acts for
    /// nobody.
    pub(crate) fn is_own(&self, writer: Writer) -> bool {
        let account = self.authority.account;
        writer.authority.account == account && (account != 0 || writer.definition == self.run.definition)
    }

    /// Records a read, if reads are recorded. Reads without a topic count once in a row.
    pub(crate) fn note_read(&self, read: impl FnOnce() -> Read) {
        let Some(reads) = &self.reads else { return };
        let (mut reads, read) = (reads.borrow_mut(), read());
        let is_of_topic = matches!(read, Read::Value { .. } | Read::Retained { .. });
        if is_of_topic || reads.last() != Some(&read) {
            reads.push(read);
        }
    }

    /// Takes the values that were read since the last call.
    pub(crate) fn take_reads(&mut self) -> Vec<Read> {
        self.reads.as_mut().map(|reads| std::mem::take(reads.get_mut())).unwrap_or_default()
    }

    /// Ends a run that this message started, and reports its missing grants.
    #[inline]
    pub(crate) fn end(&mut self, trigger: Option<&BorrowedMessage<'_>>, output: &mut RunOutput) {
        std::mem::swap(self.output.get_mut(), output);
        for (capability, name) in self.missing.get_mut().drain(..) {
            self.services.not_granted(&self.run, (capability, &name), trigger);
        }
    }

    /// The message that started the run; `None` when none did, or when the guest has no way to ask
    /// for it.
    pub(crate) fn trigger(&self) -> Option<BorrowedMessage<'_>> {
        self.trigger.is_set.then_some(BorrowedMessage {
            topic: &self.trigger.topic,
            payload: &self.trigger.payload,
            qos: self.trigger.qos,
            retain: self.trigger.retain,
            client_id: &self.trigger.client_id,
            user: self.trigger.user.as_deref(),
            properties: &self.trigger.properties,
            expires_at_ms: self.trigger.expires_at_ms,
            received_ms: self.trigger.received_ms,
        })
    }

    /// Fills the reused buffer and shares it for as long as it takes to copy it into the guest.
    pub(crate) fn share_value(&self, fill: impl FnOnce(&mut Vec<u8>) -> bool) -> Option<Arc<Vec<u8>>> {
        const KEPT_BYTES: usize = 64 * 1024;
        let mut value = self.value.borrow_mut();
        let buffer = Arc::make_mut(&mut value);
        buffer.clear();
        buffer.shrink_to(KEPT_BYTES);
        fill(buffer).then(|| value.clone())
    }

    /// Says whether the run may go on. The first call begins to count its time.
    pub(crate) fn check_time(&self) -> Result<(), Stopped> {
        let mut deadline = self.deadline.get();
        let found = deadline.at_tick(time_of_run());
        self.deadline.set(deadline);
        match found {
            AtTick::TimeExpired => Err(Stopped::Time(deadline.budget)),
            AtTick::SliceExpired if !self.has_acted() => Err(Stopped::Slice),
            AtTick::SliceExpired | AtTick::GoOn => Ok(()),
        }
    }

    /// The run has changed something that discarding its output would not undo.
    pub(crate) fn act(&self) {
        self.has_acted.set(true);
    }

    pub(crate) fn has_acted(&self) -> bool {
        self.has_acted.get()
    }

    pub(crate) fn memory_refused(&self) -> Option<Refusal> {
        self.memory.refused()
    }
}

impl TriggerMessage {
    fn set(&mut self, message: Option<&BorrowedMessage<'_>>) {
        self.topic.clear();
        self.payload.clear();
        self.client_id.clear();
        self.properties.clear();
        self.is_set = message.is_some();
        if let Some(message) = message {
            self.topic.push_str(message.topic);
            self.payload.extend_from_slice(message.payload);
            self.client_id.push_str(message.client_id);
            self.user = message.user.map(str::to_owned);
            self.properties.extend_from_slice(message.properties);
            (self.qos, self.retain) = (message.qos, message.retain);
            (self.expires_at_ms, self.received_ms) = (message.expires_at_ms, message.received_ms);
        }
    }
}

impl Perceives for RunState {
    fn wall(&self) -> Duration {
        self.services.ambient().wall()
    }

    fn monotonic(&self) -> Duration {
        self.services.ambient().monotonic()
    }

    fn random(&self) -> u64 {
        self.services.ambient().random()
    }
}
