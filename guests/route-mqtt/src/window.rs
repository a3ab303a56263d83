//! Messages in flight, by packet identifier.
//!
//! Identifiers are small and assigned in sequence, so each entry lies at its index: no message
//! needs a search, a hash or a move.

/// Entries of the identifiers in use.
#[derive(Debug)]
pub(crate) struct Window<T> {
    /// By identifier, as far as the largest that was in use.
    places: Vec<Option<T>>,
    len: usize,
}

impl<T> Default for Window<T> {
    fn default() -> Window<T> {
        Window { places: Vec::new(), len: 0 }
    }
}

impl<T> Window<T> {
    /// How many are in use.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn get(&self, id: u16) -> Option<&T> {
        self.places.get(usize::from(id))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut T> {
        self.places.get_mut(usize::from(id))?.as_mut()
    }

    /// Puts an identifier to use, or to another one.
    pub(crate) fn insert(&mut self, id: u16, value: T) {
        let id = usize::from(id);
        if id >= self.places.len() {
            self.places.resize_with(id + 1, || None);
        }
        self.len += usize::from(self.places[id].replace(value).is_none());
    }

    /// Frees an identifier; gives what was known of it.
    pub(crate) fn remove(&mut self, id: u16) -> Option<T> {
        let value = self.places.get_mut(usize::from(id))?.take()?;
        self.len -= 1;
        Some(value)
    }

    /// All in use, in the order of their identifiers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &T)> {
        // Identifiers are u16, so places are no more.
        (0..=u16::MAX).zip(&self.places).filter_map(|(id, value)| Some((id, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_lies_at_its_identifier() {
        let mut window = Window::default();
        assert!(window.is_empty() && window.get(0).is_none() && window.remove(u16::MAX).is_none());
        for (id, value) in [(7, 'a'), (u16::MAX, 'b'), (1, 'c'), (7, 'd')] {
            window.insert(id, value);
        }
        assert_eq!(window.iter().collect::<Vec<_>>(), [(1, &'c'), (7, &'d'), (u16::MAX, &'b')]);
        *window.get_mut(1).unwrap() = 'e';
        assert_eq!((window.remove(1), window.remove(1), window.len()), (Some('e'), None, 2));
    }
}
