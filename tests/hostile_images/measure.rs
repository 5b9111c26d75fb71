//! What a call costs: seconds of the processor and bytes of memory at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What a call took.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cost {
    /// Seconds that this thread ran; where the system does not tell, seconds that passed.
    pub seconds: f64,
    /// Most bytes held at once, over those held before.
    pub bytes: usize,
}

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread holds.
struct Counting;

fn count(change: isize) {
    // A thread that ends has no counters any more, and nobody asks for them.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Nanoseconds that this thread has run, where the system tells.
fn ran() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Runs `call` and tells what it took on this thread.
pub fn measured<T>(call: impl FnOnce() -> T) -> (T, Cost) {
    let (clock, before) = (Instant::now(), ran());
    let held = HELD.get();
    MOST.set(held);
    let result = call();
    let bytes = usize::try_from(MOST.get() - held).unwrap_or(0);
    let seconds = match (before, ran()) {
        (Some(before), Some(after)) => (after - before) as f64 / 1e9,
        _ => clock.elapsed().as_secs_f64(),
    };
    (result, Cost { seconds, bytes })
}

#[test]
fn costs_are_told() {
    let (_, cost) = measured(|| drop(std::hint::black_box(vec![1u8; 5_000_000])));
    assert!((5_000_000..5_100_000).contains(&cost.bytes), "{cost:?}");
    // Longer than the system takes to bring a thread's time up to date, which it does a few hundred times a second.
    let begun = Instant::now();
    let (_, cost) = measured(|| while begun.elapsed() < Duration::from_millis(200) {});
    assert!(cost.seconds > 0.0 && cost.bytes < 10_000, "{cost:?}");
}
