//! Custom sections of an uploaded binary: its own, untrusted claims about itself.

use wasmparser::{Encoding, Parser, Payload};

/// Contents of all custom sections of this name, of a component and of the core modules directly in
/// it, in their order. Components within it are others' and speak for themselves.
///
/// Ends at the first byte that is no WebAssembly: a damaged binary is refused when it is compiled.
pub fn custom_sections<'a>(binary: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let payloads = Parser::new(0).parse_all(binary).map_while(Result::ok);
    let mut contents = Vec::new();
    // Binaries around the present payload, the outermost first.
    let mut around = Vec::new();
    for payload in payloads {
        if let Payload::Version { encoding, .. } = payload {
            around.push(encoding);
        } else if let Payload::End(_) = payload {
            around.pop();
        } else if let Payload::CustomSection(section) = payload
            && section.name() == name
            && matches!(around[..], [_] | [Encoding::Component, Encoding::Module])
        {
            contents.push(section.data());
        }
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_a_component_and_its_modules_are_found_and_a_cut_binary_has_those_before_the_cut() {
        let component = wat::parse_str(
            r#"(component (@custom "m" "one") (core module (@custom "m" "two") (@custom "n" "other"))
                (component (@custom "m" "of another") (@custom "o" "") (core module (@custom "m" "of another's")))
                (core module) (@custom "m" "three"))"#,
        );
        let component = component.unwrap();
        assert_eq!(custom_sections(&component, "m"), [b"one".as_slice(), b"two", b"three"]);
        assert_eq!(custom_sections(&component, "n"), [b"other"]);
        assert!(custom_sections(&component, "o").is_empty());
        for cut in 0..component.len() {
            assert!(custom_sections(&component[..cut], "m").len() <= 3);
        }
        assert!(custom_sections(&[0xff; 64], "m").is_empty());
    }
}
