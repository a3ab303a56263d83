use super::*;
use fancy_regex::internal::{self, AnalyzeContext, CompileOptions, Insn};
use limits::PATTERN_MACHINE_COST;
use proptest::prelude::*;

const STEPS_MAX: usize = 1_000;

/// Memory that machines of one pattern may have for their states: a quarter more than the largest
/// measured.
const BYTES_MAX: usize = 4 << 20;

fn refusal(pattern: &str) -> PatternError {
    compile(pattern, STEPS_MAX).map(|compiled| compiled.price).expect_err(pattern)
}

/// Returns the number of machines of a compiled pattern, and their size in bytes.
fn measured(pattern: &str) -> fancy_regex::Result<(u64, usize)> {
    let mut tree = Expr::parse_tree(pattern)?;
    let explicit_capture_group_0 = internal::optimize(&mut tree);
    let context = AnalyzeContext { explicit_capture_group_0, ..AnalyzeContext::default() };
    let info = internal::analyze(&tree, context)?;
    let (mut machines, mut bytes) = (0, 0);
    for step in internal::compile(&info, CompileOptions::default())?.body {
        let text = format!("{step:?}");
        if let Insn::Delegate(machine) = step {
            machines += 1;
            bytes += machine.inner.memory_usage();
        } else if text.starts_with("BackwardsDelegate") || text.starts_with("HardVariableLookbehind") {
            machines += 1;
        }
    }
    Ok((machines, bytes))
}

/// `(?=aa\pL{14})(?=ba\pL{14})…`
fn looks_of_letters(times: u32) -> String {
    (0..290).fold("x".to_owned(), |text, number| {
        let letter = |number: u32| char::from_u32(97 + number % 26).unwrap();
        format!("{text}(?={}{}\\pL{{{times}}})", letter(number), letter(number / 26))
    })
}

#[test]
fn patterns_of_real_programs_are_taken() {
    for pattern in [
        r"(?<=t=)\d+",
        r"(\w)\1",
        r"^(?=.*[A-Z])(?=.*\d)(?=.*[^\w]).{8,64}$",
        r"(?<!\w)\w{1,32}(?!\w)",
        r"(?=.{3,64}$)(?<!\w)\w{1,32}",
        r"(?i)^(?!.*\p{Lu}{3})[\p{L}\p{N} ]+$",
        r"^(?!\.)(?:[\w.+-]+)@(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)+[A-Za-z]{2,63}$",
        r"(?<year>\d{4})(?<separator>[-/])(?<month>\d\d)\k<separator>(?<day>\d\d)",
        r"^(?:(?!25[6-9])[0-2]?\d{1,2}(?:\.(?!$)|$)){4}$",
        "(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])",
        r"(?<!\w)(?:january|february|march|april|may|june|july|august|september|october|november|december)(?!\w)",
    ] {
        let compiled = compile(pattern, STEPS_MAX).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert!(compiled.price.cost <= PATTERN_COST_MAX, "{pattern}: {:?}", compiled.price);
    }
}

/// Each takes between 50 ms and half a minute to compile, or has tens of megabytes.
#[test]
fn patterns_that_ask_for_much_are_refused() {
    for pattern in [
        looks_of_letters(14),
        looks_of_letters(1),
        r"(?=\w{1,200})a".to_owned(),
        r"(?=(?:\w{1,20}){1,20})a".to_owned(),
        "(?=((((a{1000}){1000}){1000}){1000}){1000})".to_owned(),
        "(?=(?:(?:|){1000}){1000})a".to_owned(),
        format!("(?=a){}", "(a)".repeat(1_300)),
        format!("(?i:{})(?=a)", r"\p{Any}".repeat(500)),
        format!("(?i:[{}])(?=a)", r"\p{Any}".repeat(500)),
        r"(?i)[\x{0}-\x{10FFFF}](?=a)".to_owned(),
        format!("(?i:[{}])(?=a)", r"[^\W]".repeat(600)),
        format!("(?=[{}a])a", r"\W&&".repeat(150)),
        format!("(?=a)(?:{})", (0..500).map(|number| format!("[ab]{number:03}|")).collect::<String>()),
        format!("(?<=(?:a|bb){})c", "(?:a|bb){30}".repeat(200)),
        r"(\w{1,20})(?<=\1\1\1\1\1\1b)".to_owned(),
    ] {
        let refusal = refusal(&pattern);
        assert!(matches!(refusal, PatternError::TooLarge { .. }), "{}: {refusal}", &pattern[..20]);
    }
    assert_eq!(refusal(&"a".repeat(PATTERN_BYTES_MAX + 1)), PatternError::TooLong);
}

#[test]
fn pattern_constructs_with_unbounded_cost_are_rejected() {
    for (pattern, construct) in [
        (r"(a)\g<1>", "calls of groups"),
        (r"(?<name>a)\g<name>", "calls of groups"),
        (r"(?(DEFINE)(?<name>a))(?=b)", "calls of groups"),
        ("(?~ab)", "absent operators"),
        ("(?=a)(*FAIL)", "backtracking control verbs"),
        (r"(a)(\1)(?<=\2b)", "back references in a look-behind to a group that has some itself"),
    ] {
        let refusal = refusal(pattern);
        let PatternError::NotOffered { construct: said, .. } = refusal else {
            panic!("{pattern}: {refusal}")
        };
        assert_eq!(said, construct, "{pattern}");
    }
}

#[test]
fn invalid_pattern_is_rejected_with_the_reason() {
    for pattern in ["(", "[z-a](?=a)", r"(?=a)\2(b)", r"(?=\p{Nothing})a"] {
        assert!(matches!(refusal(pattern), PatternError::Invalid(_)), "{pattern}");
    }
}

/// As deep as 4 KB go, in the small stack of a thread.
#[test]
fn depth_does_not_overflow_the_stack() {
    let wraps = [
        ("(?=", ")"),
        ("(?:", ")*"),
        ("(", ")+?"),
        ("(?<=", ")"),
        ("(?>", ")"),
        ("(?(?=a)", ")"),
        ("[", "]"),
        ("[^", "]"),
    ];
    let patterns: Vec<String> = wraps
        .iter()
        .flat_map(|(open, close)| {
            [20, 60, 500].map(|times| format!("{}a{}(?=b)", open.repeat(times), close.repeat(times)))
        })
        .chain([
            format!("(?=a)b{}", "{2}".repeat(1_000)),
            format!("(?=a)b{}", "+".repeat(4_000)),
            "(".repeat(4_000),
        ])
        .collect();
    let on_small_stack = std::thread::Builder::new().stack_size(1 << 20);
    let checked = on_small_stack.spawn(move || {
        for pattern in &patterns {
            let _ = compile(pattern, STEPS_MAX);
        }
    });
    checked.unwrap().join().unwrap();
}

/// Parts of patterns, put together at random.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "bc",
        ".",
        r"\w",
        r"\pL",
        r"\d",
        "[a-c]",
        "[^x]",
        "(?i:k)",
        r"(?i:\p{Greek})",
        r"\b",
        "^",
        "$",
        r"\1",
        r"\R",
        "",
        "é",
        r"\xff",
        r"(?i:[a-zé])",
        r"[\w&&[^a]]",
        r"\Z",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..6).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 2..6).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            6 => (
                inner.clone(),
                prop::sample::select(vec!["(?=", "(?!", "(?<=", "(?<!", "(?>", "(", "(?:"]),
            )
                .prop_map(|(part, open)| format!("{open}{part})")),
            2 => (inner.clone(), prop::sample::select(vec!["*", "+?", "?", "{3}", "{2,9}", "{0,40}", "{5,}"]))
                .prop_map(|(part, repeats)| format!("(?:{part}){repeats}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(part, other)| format!("(?(?={part}){other}|b)")),
            1 => (inner, 1..200usize).prop_map(|(part, times)| part.repeat(times)),
        ]
    })
    .prop_map(|pattern| format!("(a)(?=b){pattern}"))
    .prop_filter("not longer than patterns are", |pattern| pattern.len() <= PATTERN_BYTES_MAX)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// An accepted pattern stays within its price in machines, and within the limit of memory.
    #[test]
    fn accepted_pattern_stays_within_its_estimated_cost(pattern in pattern()) {
        if let Ok(price) = price(&pattern) {
            prop_assert!(price.machines * PATTERN_MACHINE_COST <= PATTERN_COST_MAX);
            if let Ok((machines, bytes)) = measured(&pattern) {
                prop_assert!(machines <= price.machines, "{machines} machines, {price:?}: {pattern}");
                prop_assert!(bytes <= BYTES_MAX, "{bytes} bytes, {price:?}: {pattern}");
            }
        }
    }

    /// Any text gets a price or an error, and the work for that is bounded.
    #[test]
    fn any_text_is_judged(pattern in r"[\PC(){}\[\]\\?*+|<=!:&^0-9a-e]{0,200}") {
        let _ = compile(&pattern, STEPS_MAX);
    }
}
