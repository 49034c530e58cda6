use std::collections::VecDeque;

/// Puts blocks that several workers finished out of order back into the order in which they were
/// acquired.
///
/// Tickets are dense per stream. At most `window` blocks of a stream with slots are between acquire
/// and release at any time, so that many places hold whatever is early and nothing is allocated
/// after the start. What stages put out has no slots and no window: there, places are added.
pub(crate) struct Reorder<T> {
    /// From the next ticket on.
    places: VecDeque<Option<T>>,
    window: usize,
    next: u64,
}

impl<T> Reorder<T> {
    pub(crate) fn new(window: usize) -> Self {
        Self {
            places: VecDeque::with_capacity(window.max(1)),
            window: window.max(1),
            next: 0,
        }
    }

    /// Without a window.
    pub(crate) fn unbounded() -> Self {
        Self {
            places: VecDeque::new(),
            window: usize::MAX,
            next: 0,
        }
    }

    /// Takes a finished block in.
    ///
    /// # Panics
    /// When `ticket` was seen before or lies beyond the window: both would be a defect of the ring.
    pub(crate) fn insert(&mut self, ticket: u64, value: T) {
        assert!(
            ticket >= self.next && ticket - self.next < self.window as u64,
            "ticket {ticket} is outside the window that starts at {}",
            self.next
        );
        let place = (ticket - self.next) as usize;
        if place >= self.places.len() {
            self.places.resize_with(place + 1, || None);
        }
        assert!(self.places[place].is_none(), "ticket {ticket} came twice");
        self.places[place] = Some(value);
    }

    /// The next block in order, if it is here already.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let value = self.places.front_mut()?.take()?;
        self.places.pop_front();
        self.next += 1;
        Some(value)
    }

    /// Blocks that wait for an earlier one.
    pub(crate) fn waiting(&self) -> usize {
        self.places.iter().filter(|place| place.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::Reorder;

    #[test]
    fn gives_back_in_ticket_order() {
        let mut reorder = Reorder::new(4);
        reorder.insert(2, 'c');
        reorder.insert(0, 'a');
        assert_eq!(reorder.pop(), Some('a'));
        assert_eq!(reorder.pop(), None);
        assert_eq!(reorder.waiting(), 1);
        reorder.insert(1, 'b');
        reorder.insert(4, 'e');
        assert_eq!(reorder.pop(), Some('b'));
        assert_eq!(reorder.pop(), Some('c'));
        assert_eq!(reorder.pop(), None);
        reorder.insert(3, 'd');
        assert_eq!(
            (reorder.pop(), reorder.pop(), reorder.pop()),
            (Some('d'), Some('e'), None)
        );
    }

    #[test]
    #[should_panic(expected = "came twice")]
    fn a_ticket_comes_once() {
        let mut reorder = Reorder::new(4);
        reorder.insert(1, ());
        reorder.insert(1, ());
    }

    #[test]
    #[should_panic(expected = "outside the window")]
    fn a_ticket_stays_in_the_window() {
        Reorder::new(4).insert(4, ());
    }
}
