//! Packets written as text: hex pairs, and 'text' in quotes for the bytes of text.

/// The bytes of `text`, for example `30 05 0001 't' 'hi'`.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        assert!(digits.len().is_multiple_of(2), "odd number of hex digits in {text}");
        for pair in digits.chunks(2) {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            out.push(u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{pair} in {text}")));
        }
    }
    out
}

/// A whole packet: first byte, shortest length, body.
pub(crate) fn packet(first_byte: u8, body: &str) -> Vec<u8> {
    let body = bytes(body);
    let mut out = vec![first_byte];
    let mut rest = body.len();
    loop {
        let low = (rest & 0x7F) as u8;
        rest >>= 7;
        out.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    out.extend(body);
    out
}
