//! Life cycle of a compiled program, through the exports alone. For Miri on a machine with
//! addresses of 32 bits (`scripts/memory`).
//!
//! The runtime's own allocator serves this whole process. So there is no test harness, and memory
//! of a run must not be used after `lot.reset`. Machines with wider addresses have no exports, and
//! the test does nothing.
#![allow(unsafe_code, reason = "a program passes addresses")]

#[cfg(not(target_pointer_width = "32"))]
fn main() {}

#[cfg(target_pointer_width = "32")]
fn main() {
    // Standard output allocates its memory here, before the first run.
    println!("a compiled program on this machine");
    story::whole();
    println!("1 passed, 0 failed");
}

#[cfg(target_pointer_width = "32")]
mod story {
    use std::ptr::with_exposed_provenance_mut;

    // The exports are called by their names.
    use lot_runtime as _;

    /// The address of a cell.
    type Cell = *mut u8;
    /// Address (low half) and length (high half).
    type Pair = u64;

    unsafe extern "C" {
        #[link_name = "cabi_realloc"]
        safe fn realloc(block: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8;
        #[link_name = "lot.reserve"]
        safe fn reserve(size: u32) -> u32;
        #[link_name = "lot.relocate"]
        safe fn relocate(cells: Cell, count: u32, base: u32);
        #[link_name = "lot.regex"]
        safe fn regex(address: u32, length: u32);
        #[link_name = "lot.seal"]
        safe fn seal() -> u32;
        #[link_name = "lot.reset"]
        safe fn reset();
        #[link_name = "lot.allocate"]
        safe fn allocate(size: u32) -> u32;
        #[link_name = "lot.batch-begin"]
        safe fn batch_begin(lengths: *const u32, count: u32, bytes: u32, size: u32);
        #[link_name = "lot.batch-next"]
        safe fn batch_next() -> u32;
        #[link_name = "lot.batch-write"]
        safe fn batch_write(
            kind: u32,
            head: u32,
            head_len: u32,
            body: u32,
            body_len: u32,
            line: u32,
            column: u32,
        ) -> u32;
        #[link_name = "lot.batch-end"]
        safe fn batch_end() -> u32;
        #[link_name = "lot.raw"]
        safe fn raw(address: u32, length: u32) -> Cell;
        #[link_name = "lot.data"]
        safe fn data(address: u32, length: u32) -> Cell;
        #[link_name = "lot.bytes"]
        safe fn bytes(address: u32, length: u32) -> Cell;
        #[link_name = "lot.int"]
        safe fn int(number: i64) -> Cell;
        #[link_name = "lot.adopt"]
        safe fn adopt(cell: Cell) -> Cell;
        #[link_name = "lot.crossing"]
        safe fn crossing(cell: Cell) -> Cell;
        #[link_name = "lot.payload"]
        safe fn payload(cell: Cell) -> Pair;
        #[link_name = "lot.text"]
        safe fn text(cell: Cell) -> Pair;
        #[link_name = "lot.int-of"]
        safe fn int_of(cell: Cell) -> i64;
        #[link_name = "lot.add"]
        safe fn add(a: Cell, b: Cell) -> Cell;
        #[link_name = "lot.divide"]
        safe fn divide(a: Cell, b: Cell) -> Cell;
        #[link_name = "lot.concat"]
        safe fn concat(list: u32, count: u32) -> Cell;
        #[link_name = "lot.concat3"]
        safe fn concat3(a: Cell, b: Cell, c: Cell) -> Cell;
        #[link_name = "lot.equals"]
        safe fn equals(a: Cell, b: Cell) -> u32;
        #[link_name = "lot.level"]
        safe fn level(address: u32, length: u32, position: u32) -> Cell;
        #[link_name = "lot.rest"]
        safe fn rest(address: u32, length: u32, from: u32, slash: u32) -> Cell;
        #[link_name = "lot.json-get"]
        safe fn json_get(source: Cell, path: u32, length: u32) -> Cell;
        #[link_name = "lot.json-fill"]
        safe fn json_fill(skeleton: u32, length: u32, list: u32, count: u32) -> Cell;
        #[link_name = "lot.matches"]
        safe fn matches(regex: u32, value: Cell) -> u32;
        #[link_name = "lot.filter"]
        safe fn filter(regex: u32, value: Cell) -> Cell;
        #[link_name = "lot.split"]
        safe fn split(value: Cell, address: u32, length: u32) -> Cell;
        #[link_name = "lot.upper"]
        safe fn upper(a: Cell) -> Cell;
        #[link_name = "lot.input"]
        safe fn input(arguments: u32, count: u32, name: u32, length: u32) -> u32;
        #[link_name = "lot.unknown-input"]
        safe fn unknown_input(arguments: u32, count: u32, names: u32, length: u32) -> Pair;
        #[link_name = "lot.assigned"]
        safe fn assigned(arguments: u32, count: u32, name: u32, length: u32) -> u32;
        #[link_name = "lot.append"]
        safe fn append(list: Cell, value: Cell) -> Cell;
        #[link_name = "lot.leaves"]
        safe fn leaves(value: Cell) -> Pair;
        #[link_name = "lot.elements"]
        safe fn elements(value: Cell) -> Pair;
        #[link_name = "lot.json-array"]
        safe fn json_array(list: u32, count: u32) -> Cell;
    }

    /// Case numbers of the WIT variant `value`.
    const INT: u8 = 3;
    const TEXT: u8 = 5;
    const JSON: u8 = 6;

    /// A text in memory.
    #[derive(Clone, Copy)]
    struct Text {
        address: u32,
        length: u32,
    }

    /// Values that the start function leaves behind.
    struct Program {
        /// Address of the word in which the runtime raises its bits.
        pending: u32,
        /// A cell with the text `hall`, and one with the number 40.
        cells: [Cell; 2],
        path: Text,
        semicolon: Text,
        skeleton: Text,
    }

    fn at(address: u32) -> *mut u8 {
        with_exposed_provenance_mut(address as usize)
    }

    fn write(address: u32, content: &[u8]) {
        // SAFETY: the runtime gave out at least so many bytes there.
        unsafe { at(address).copy_from_nonoverlapping(content.as_ptr(), content.len()) }
    }

    /// Copies bytes, as the host does.
    fn read(pair: Pair) -> Vec<u8> {
        let mut copy = vec![0; (pair >> 32) as usize];
        // SAFETY: the runtime guarantees that these bytes exist.
        unsafe { copy.as_mut_ptr().copy_from_nonoverlapping(at(pair as u32), copy.len()) };
        copy
    }

    fn number(address: u32, index: u32) -> u32 {
        // SAFETY: a list of numbers that the runtime has put there.
        unsafe { at(address + 4 * index).cast::<u32>().read() }
    }

    /// Memory that the host fills with an argument.
    fn from_host(content: &[u8]) -> Text {
        let block = realloc(std::ptr::null_mut(), 0, 1, content.len());
        let text = Text { address: block.expose_provenance() as u32, length: content.len() as u32 };
        write(text.address, content);
        text
    }

    /// A list of the addresses of cells, as a program stores it.
    fn list(cells: &[Cell]) -> (u32, u32) {
        let address = allocate(4 * cells.len() as u32);
        for (index, cell) in cells.iter().enumerate() {
            write(address + 4 * index as u32, &(cell.expose_provenance() as u32).to_le_bytes());
        }
        (address, cells.len() as u32)
    }

    fn cell(address: u32, tag: u8, bits: u64) {
        let mut content = [0; 16];
        content[0] = tag;
        content[8..].copy_from_slice(&bits.to_le_bytes());
        write(address, &content);
    }

    #[track_caller]
    fn says(cell: Cell, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&read(text(cell))), expected);
    }

    /// Does the work of a compiled program's start function.
    fn start() -> Program {
        const TEXTS: &str = "halla.b[0];{\"a\":?,\"b\":?}^v(?<value>[0-9]+)$";
        let base = reserve(32 + TEXTS.len() as u32);
        cell(base, TEXT, 32 | 4 << 32);
        cell(base + 16, INT, 40);
        write(base + 32, TEXTS.as_bytes());
        relocate(at(base), 2, base);
        let place = |text: &str| {
            let offset = TEXTS.find(text).expect("it is one of the texts");
            Text { address: base + 32 + offset as u32, length: text.len() as u32 }
        };
        let pattern = place("^v(?<value>[0-9]+)$");
        regex(pattern.address, pattern.length);
        Program {
            cells: [at(base), at(base + 16)],
            path: place("a.b[0]"),
            semicolon: place(";"),
            skeleton: place("{\"a\":?,\"b\":?}"),
            pending: seal(),
        }
    }

    /// One run of an Action that a message starts.
    fn run(program: &Program, filler: usize) {
        let [hall, forty] = program.cells;
        let topic = from_host(b"house/hall/lamp");
        says(level(topic.address, topic.length, 2), "hall");
        assert_eq!(equals(level(topic.address, topic.length, 2), hall), 1);
        says(rest(topic.address, topic.length, 2, 1), "/hall/lamp");

        let document = from_host(b"{\"a\": {\"b\": [2, \"x\"]}, \"c\": \"v17\"}");
        let two = json_get(raw(document.address, document.length), program.path.address, program.path.length);
        says(two, "2");
        assert_eq!(int_of(add(two, forty)), 42);
        says(concat3(hall, two, forty), "hall240");
        let (cells, count) = list(&[hall, two, forty, hall]);
        says(concat(cells, count), "hall240hall");
        says(json_array(cells, count), "[\"hall\",2,40,\"hall\"]");

        let version = from_host(b"v17");
        assert_eq!(matches(0, data(version.address, version.length)), 1);
        says(filter(0, data(version.address, version.length)), "17");
        assert_eq!(matches(0, hall), 0);

        let invalid = from_host(b"a\xff;\xc3\xa4");
        let untouched = raw(invalid.address, invalid.length);
        says(upper(untouched), "A\u{fffd};Ä");
        assert_eq!(read(payload(untouched)), b"a\xff;\xc3\xa4", "what was looked at is passed on as it came");
        says(crossing(raw(invalid.address, invalid.length)), "a\u{fffd};ä");
        says(split(untouched, program.semicolon.address, program.semicolon.length), "[\"a\u{fffd}\",\"ä\"]");
        assert_eq!(read(payload(bytes(invalid.address, invalid.length))), b"a\xff;\xc3\xa4");
        assert_eq!(payload(int(7)) >> 32, 1);

        let (holes, count) = list(&[hall, two]);
        let filled = json_fill(program.skeleton.address, program.skeleton.length, holes, count);
        assert!(read(text(filled)).starts_with(b"{\"a\":"));

        assert_eq!(number(program.pending, 0), 0);
        divide(two, int(0));
        assert_ne!(number(program.pending, 0), 0, "the division by zero was noted");
        write(program.pending, &[0; 4]);

        // More than the initial memory: it grows, and the latest block grows in place or moves.
        let many = from_host(&b"z".repeat(filler));
        let twice = concat3(data(many.address, many.length), hall, data(many.address, many.length));
        assert_eq!(read(text(twice)).len(), 2 * filler + 4);
        let block = realloc(std::ptr::null_mut(), 0, 4, 8);
        write(block.expose_provenance() as u32, b"abcdefgh");
        let longer = realloc(block, 8, 4, 64);
        assert_eq!(longer, block, "nothing was taken since");
        let other = realloc(std::ptr::null_mut(), 0, 1, 1);
        let moved = realloc(longer, 64, 4, 128);
        assert!(moved != longer && moved != other);
        assert_eq!(read(u64::from(moved.expose_provenance() as u32) | 8 << 32), b"abcdefgh");
        reset();
    }

    /// One call with arguments, as a callable Action or a Model has it.
    fn call() {
        let (name, value) = (from_host(b"room.lamp"), from_host(b"[{\"p\":{\"q\":1}},\"two\"]"));
        let arguments = realloc(std::ptr::null_mut(), 0, 8, 24).expose_provenance() as u32;
        write(arguments, &name.address.to_le_bytes());
        write(arguments + 4, &name.length.to_le_bytes());
        cell(arguments + 8, TEXT, u64::from(value.address) | u64::from(value.length) << 32);

        let found = input(arguments, 1, name.address, name.length);
        assert_eq!(found, arguments + 8);
        let own = adopt(at(found));
        says(own, "[{\"p\":{\"q\":1}},\"two\"]");
        let known = from_host(b"room\0hall");
        assert_eq!(read(unknown_input(arguments, 1, known.address, known.length)), b"room.lamp");
        let room = from_host(b"room");
        assert_ne!(assigned(arguments, 1, room.address, room.length), 0);
        let hall = from_host(b"hall");
        assert_eq!(assigned(arguments, 1, hall.address, hall.length), 0);

        // JSON that the host passes on is looked at.
        let broken = from_host(b"[1],2");
        let made = realloc(std::ptr::null_mut(), 0, 8, 16);
        for (length, expected) in [(3, "[[1]]"), (5, "[\"[1],2\"]")] {
            cell(made.expose_provenance() as u32, JSON, u64::from(broken.address) | length << 32);
            let (one, count) = list(&[adopt(made)]);
            says(json_array(one, count), expected);
        }

        let both = elements(own);
        assert_eq!(both >> 32, 2);
        let first = at(number(both as u32, 0));
        says(first, "{\"p\":{\"q\":1}}");
        says(at(number(both as u32, 1)), "two");
        let parts = leaves(first);
        assert_eq!(parts >> 32, 2, "a path and a value");
        says(at(number(parts as u32, 1)), "1");
        reset();
    }

    /// A list and a text grow in a loop, in less memory than copies would take. Earlier results
    /// stay unchanged.
    fn loops() {
        let zeros = from_host(&b"0".repeat(300));
        let (mut numbers, mut joined) = (int(1), data(zeros.address, zeros.length));
        let mut early = Vec::new();
        for number in 0..3000 {
            if number % 1000 == 0 {
                early.push((number, numbers, joined, append(numbers, int(-1))));
            }
            numbers = append(numbers, int(number));
            joined = concat3(joined, int(number), int(7));
        }
        early.push((3000, numbers, joined, append(numbers, int(-1))));
        for (count, numbers, joined, other) in early {
            let inside: String = (0..count).map(|number| format!(",{number}")).collect();
            if count > 0 {
                says(crossing(numbers), &format!("[1{inside}]"));
                assert_eq!(read(payload(numbers)), format!("[1{inside}]").as_bytes());
            }
            says(other, &format!("[1{inside},-1]"));
            let expected: String = (0..count).map(|number| format!("{number}7")).collect();
            says(joined, &format!("{}{expected}", "0".repeat(300)));
        }
        reset();
    }

    /// Runs a batch of messages; each is passed on in capitals. `repeats` is the number of
    /// repetitions, to exceed the room.
    fn batch(messages: &[&str], repeats: u32) -> u32 {
        let joined: String = messages.iter().map(|message| format!("in/{message}")).collect();
        let lengths = realloc(std::ptr::null_mut(), 0, 4, 8 * messages.len());
        let address = lengths.expose_provenance() as u32;
        for (index, message) in messages.iter().enumerate() {
            write(address + 8 * index as u32, &3u32.to_le_bytes());
            write(address + 8 * index as u32 + 4, &(message.len() as u32).to_le_bytes());
        }
        let content = from_host(joined.as_bytes());
        drop(joined);
        batch_begin(lengths.cast_const().cast(), 2 * messages.len() as u32, content.address, content.length);
        loop {
            let place = batch_next();
            if place == 0 {
                break;
            }
            let [topic, topic_len, body, body_len] = [0, 1, 2, 3].map(|index| number(place, index));
            let loud = payload(upper(raw(body, body_len)));
            for line in 0..repeats {
                assert_eq!(batch_write(1, topic, topic_len, loud as u32, (loud >> 32) as u32, line, 1), 1);
            }
            reset();
        }
        let place = batch_end();
        let [done, numbers, count, written, length] = [0, 1, 2, 3, 4].map(|index| number(place, index));
        assert_eq!(count, 6 * done * repeats);
        let effects = read(u64::from(written) | u64::from(length) << 32);
        if done > 0 {
            assert_eq!(number(numbers, 2), 3, "the length of the first head");
            assert!(effects.starts_with(format!("in/{}", messages[0].to_uppercase()).as_bytes()));
        }
        drop(effects);
        reset();
        done
    }

    pub(super) fn whole() {
        let program = start();
        for filler in [10, 150_000, 20, 400_000] {
            run(&program, filler);
        }
        call();
        loops();
        assert_eq!(batch(&["a", "bcd", ""], 1), 3);
        assert_eq!(
            batch(&["one", "two"], 40),
            0,
            "a run that writes more than there is room for is not made here"
        );
        run(&program, 10);
    }
}
