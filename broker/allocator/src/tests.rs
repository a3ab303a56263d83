//! Properties of the allocator, with threads that give back what others took.

use std::alloc::{GlobalAlloc as _, Layout};
use std::sync::mpsc;

use proptest::prelude::*;

use super::*;

/// Block with the byte that it was filled with.
struct Block {
    pointer: *mut u8,
    layout: Layout,
    fill: u8,
}

// SAFETY: the block is owned by whoever has this.
unsafe impl Send for Block {}

impl Block {
    fn new(allocator: &SlabAllocator, (size, align): (usize, usize), fill: u8) -> Self {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not 0.
        let pointer = unsafe { allocator.alloc(layout) };
        assert!(!pointer.is_null());
        assert_eq!(pointer.addr() % align, 0);
        // SAFETY: the block is as long as its layout.
        unsafe { pointer.write_bytes(fill, size) };
        Self { pointer, layout, fill }
    }

    /// Checks that nobody has written to the first bytes.
    fn check(&self, len: usize) {
        // SAFETY: the block is as long as its layout, and was written to.
        let bytes = unsafe { std::slice::from_raw_parts(self.pointer, len) };
        assert!(bytes.iter().all(|byte| *byte == self.fill), "{:?}", self.layout);
    }

    fn resize(mut self, allocator: &SlabAllocator, size: usize) -> Self {
        // SAFETY: it is of this allocator and layout, and the size is not 0.
        self.pointer = unsafe { allocator.realloc(self.pointer, self.layout, size) };
        assert!(!self.pointer.is_null());
        assert_eq!(self.pointer.addr() % self.layout.align(), 0);
        let kept = self.layout.size().min(size);
        self.layout = Layout::from_size_align(size, self.layout.align()).unwrap();
        self.check(kept);
        // SAFETY: the block is as long as its layout.
        unsafe { self.pointer.write_bytes(self.fill, size) };
        self
    }

    fn free(self, allocator: &SlabAllocator) {
        self.check(self.layout.size());
        // SAFETY: it is of this allocator and layout, and is not used any more.
        unsafe { allocator.dealloc(self.pointer, self.layout) };
    }
}

fn slabs(allocator: &SlabAllocator) -> (usize, usize) {
    (allocator.single.lock().unwrap().count, allocator.double.lock().unwrap().count)
}

#[derive(Clone, Debug)]
enum Step {
    Allocate { size: usize, align: usize },
    Resize { at: usize, size: usize },
    Free { at: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let align = prop_oneof![4 => Just(SLAB_ALIGN), 1 => Just(8), 1 => Just(256)];
    let step = prop_oneof![
        5 => (1..400_usize, align).prop_map(|(size, align)| Step::Allocate { size, align }),
        1 => (any::<usize>(), 1..400_usize).prop_map(|(at, size)| Step::Resize { at, size }),
        3 => any::<usize>().prop_map(|at| Step::Free { at }),
    ];
    prop::collection::vec(step, if cfg!(miri) { 1..60 } else { 1..3000 })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 64 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Blocks are aligned, never overlap and keep their bytes; unused slabs go back.
    #[test]
    fn blocks_keep_their_bytes(steps in steps()) {
        let allocator = SlabAllocator::new();
        let mut blocks = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Allocate { size, align } => {
                    let fill = u8::try_from(number % 251).unwrap();
                    blocks.push(Block::new(&allocator, (size, align), fill));
                }
                Step::Resize { at, size } if !blocks.is_empty() => {
                    let block = blocks.swap_remove(at % blocks.len());
                    blocks.push(block.resize(&allocator, size));
                }
                Step::Free { at } if !blocks.is_empty() => {
                    blocks.swap_remove(at % blocks.len()).free(&allocator);
                }
                Step::Resize { .. } | Step::Free { .. } => {}
            }
        }
        blocks.into_iter().for_each(|block| block.free(&allocator));
        let (single, double) = slabs(&allocator);
        prop_assert!(single <= 1 && double <= 1, "{single} and {double} slabs are left");
    }
}

#[test]
fn zeroed_block_is_zero() {
    let allocator = SlabAllocator::new();
    let layout = Layout::from_size_align(200, SLAB_ALIGN).unwrap();
    Block::new(&allocator, (200, SLAB_ALIGN), 7).free(&allocator);
    // SAFETY: the size is not 0, and the block is given back with its layout.
    unsafe {
        let pointer = allocator.alloc_zeroed(layout);
        assert!(std::slice::from_raw_parts(pointer, 200).iter().all(|byte| *byte == 0));
        allocator.dealloc(pointer, layout);
    }
}

#[test]
fn slab_goes_back_when_it_is_unused() {
    let allocator = SlabAllocator::new();
    let blocks: Vec<_> = (0..5000).map(|_| Block::new(&allocator, (256, SLAB_ALIGN), 1)).collect();
    assert_eq!(slabs(&allocator), (0, 5000_usize.div_ceil(255)));
    blocks.into_iter().for_each(|block| block.free(&allocator));
    assert_eq!(slabs(&allocator), (0, 1));
}

#[test]
fn block_may_be_freed_by_another_thread() {
    let allocator = SlabAllocator::new();
    let count = if cfg!(miri) { 40 } else { 20_000 };
    std::thread::scope(|scope| {
        let allocator = &allocator;
        let (sender, receiver) = mpsc::channel();
        for fill in 0..4 {
            let sender = sender.clone();
            scope.spawn(move || {
                for number in 0..count {
                    let block = Block::new(allocator, (100 + number % 150, SLAB_ALIGN), fill);
                    if number % 3 == 0 { block.free(allocator) } else { sender.send(block).unwrap() }
                }
            });
        }
        drop(sender);
        receiver.into_iter().for_each(|block: Block| block.free(allocator));
    });
    let (single, double) = slabs(&allocator);
    assert!(single <= 1 && double <= 1, "{single} and {double} slabs are left");
}
