//! Order of the bytes of a value in registers.

/// Order of the four bytes A (most significant) to D of a value of two registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    #[default]
    Abcd,
    Cdab,
    Badc,
    Dcba,
}

impl ByteOrder {
    pub(crate) fn of_name(name: &str) -> Option<ByteOrder> {
        Some(match name.to_ascii_uppercase().as_str() {
            "ABCD" => ByteOrder::Abcd,
            "CDAB" => ByteOrder::Cdab,
            "BADC" => ByteOrder::Badc,
            "DCBA" => ByteOrder::Dcba,
            _ => return None,
        })
    }

    /// Converts the bytes of one value between the order on the line and most significant byte
    /// first, in both directions.
    pub(crate) fn arrange(self, bytes: &mut [u8]) {
        if matches!(self, ByteOrder::Cdab | ByteOrder::Dcba) {
            bytes.reverse();
        }
        // The reversal has swapped the bytes of each register as well.
        if matches!(self, ByteOrder::Cdab | ByteOrder::Badc) {
            self.swap_registers(bytes);
        }
    }

    /// Changes the bytes of a text, whose registers stay where they are.
    pub(crate) fn arrange_text(self, bytes: &mut [u8]) {
        if matches!(self, ByteOrder::Badc | ByteOrder::Dcba) {
            self.swap_registers(bytes);
        }
    }

    fn swap_registers(self, bytes: &mut [u8]) {
        bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|register| register.reverse());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_most_significant_first_and_go_back() {
        for (order, line) in [
            (ByteOrder::Abcd, &[1_u8, 2, 3, 4][..]),
            (ByteOrder::Cdab, &[3, 4, 1, 2]),
            (ByteOrder::Badc, &[2, 1, 4, 3]),
            (ByteOrder::Dcba, &[4, 3, 2, 1]),
            (ByteOrder::Abcd, &[1, 2]),
            (ByteOrder::Cdab, &[1, 2]),
            (ByteOrder::Badc, &[2, 1]),
            (ByteOrder::Dcba, &[2, 1]),
            (ByteOrder::Cdab, &[7, 8, 5, 6, 3, 4, 1, 2]),
            (ByteOrder::Badc, &[2, 1, 4, 3, 6, 5, 8, 7]),
            (ByteOrder::Dcba, &[8, 7, 6, 5, 4, 3, 2, 1]),
        ] {
            let mut bytes = line.to_vec();
            order.arrange(&mut bytes);
            assert!(bytes.is_sorted(), "{order:?} {bytes:?}");
            order.arrange(&mut bytes);
            assert_eq!(bytes, line, "{order:?}");
        }
        let mut text = *b"ba";
        ByteOrder::Dcba.arrange_text(&mut text);
        assert_eq!(&text, b"ab");
    }
}
