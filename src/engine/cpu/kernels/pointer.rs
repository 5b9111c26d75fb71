//! The pointers of the kernels.
//!
//! A release build compiles them to plain pointers. With debug assertions (every test, the fuzzer, Miri) a pointer
//! knows the slice it was made from, and each access is checked against it: an address sanitiser alone would not notice
//! a kernel that leaves its operand, since all activations lie in one allocation.

/// Where a kernel reads.
#[derive(Clone, Copy)]
pub(super) struct Source<T> {
    at: *const T,
    #[cfg(debug_assertions)]
    span: Span,
}

/// Where a kernel writes.
#[derive(Clone, Copy)]
pub(super) struct Sink<T> {
    at: *mut T,
    #[cfg(debug_assertions)]
    span: Span,
}

/// The addresses of a slice.
#[cfg(debug_assertions)]
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

#[cfg(debug_assertions)]
impl Span {
    fn of<T>(slice: &[T]) -> Self {
        let range = slice.as_ptr_range();
        Self { start: range.start as usize, end: range.end as usize }
    }

    /// Checks that `len` elements from `skip` elements behind an address are inside.
    #[inline(always)]
    fn check<T>(self, address: usize, skip: usize, len: usize) {
        let bytes = skip.checked_add(len).and_then(|n| n.checked_mul(size_of::<T>()));
        let end = bytes.and_then(|n| n.checked_add(address));
        assert!(
            address >= self.start && end.is_some_and(|end| end <= self.end),
            "a kernel leaves its operand: {skip} + {len} elements from {address:#x} in {:#x}..{:#x}",
            self.start,
            self.end
        );
    }
}

impl<T: Copy> Source<T> {
    /// The start of a slice. What is made of it may be used for as long as the slice is borrowed.
    #[inline(always)]
    pub(super) fn new(slice: &[T]) -> Self {
        Self {
            at: slice.as_ptr(),
            #[cfg(debug_assertions)]
            span: Span::of(slice),
        }
    }

    /// `n` elements further.
    ///
    /// # Safety
    /// That must be inside the slice, or its end.
    #[inline(always)]
    pub(super) unsafe fn add(self, n: usize) -> Self {
        #[cfg(debug_assertions)]
        self.span.check::<T>(self.at as usize, n, 0);
        // SAFETY: the caller's.
        Self { at: unsafe { self.at.add(n) }, ..self }
    }

    /// The pointer itself, to read `len` elements.
    ///
    /// # Safety
    /// So many must be left in the slice.
    #[inline(always)]
    pub(super) unsafe fn read(self, len: usize) -> *const T {
        #[cfg(debug_assertions)]
        self.span.check::<T>(self.at as usize, 0, len);
        let _ = len;
        self.at
    }

    /// The element `n` further.
    ///
    /// # Safety
    /// It must be inside the slice.
    #[inline(always)]
    pub(super) unsafe fn get(self, n: usize) -> T {
        #[cfg(debug_assertions)]
        self.span.check::<T>(self.at as usize, n, 1);
        // SAFETY: the caller's.
        unsafe { *self.at.add(n) }
    }
}

impl<T: Copy> Sink<T> {
    /// The start of a slice. What is made of it may be used for as long as the slice is borrowed.
    #[inline(always)]
    pub(super) fn new(slice: &mut [T]) -> Self {
        Self {
            #[cfg(debug_assertions)]
            span: Span::of(slice),
            at: slice.as_mut_ptr(),
        }
    }

    /// `n` elements further.
    ///
    /// # Safety
    /// That must be inside the slice, or its end.
    #[inline(always)]
    pub(super) unsafe fn add(self, n: usize) -> Self {
        #[cfg(debug_assertions)]
        self.span.check::<T>(self.at as usize, n, 0);
        // SAFETY: the caller's.
        Self { at: unsafe { self.at.add(n) }, ..self }
    }

    /// The pointer itself, to write `len` elements.
    ///
    /// # Safety
    /// So many must be left in the slice.
    #[inline(always)]
    pub(super) unsafe fn write(self, len: usize) -> *mut T {
        #[cfg(debug_assertions)]
        self.span.check::<T>(self.at as usize, 0, len);
        let _ = len;
        self.at
    }

    /// Sets the element `n` further.
    ///
    /// # Safety
    /// It must be inside the slice.
    #[inline(always)]
    pub(super) unsafe fn set(self, n: usize, value: T) {
        #[cfg(debug_assertions)]
        self.span.check::<T>(self.at as usize, n, 1);
        // SAFETY: the caller's.
        unsafe { *self.at.add(n) = value };
    }

    /// The same place, to read what was written.
    #[inline(always)]
    pub(super) fn source(self) -> Source<T> {
        Source {
            at: self.at,
            #[cfg(debug_assertions)]
            span: self.span,
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_its_slice_is_noticed() {
        let all = [1.0f32; 8];
        // The neighbours are in the same allocation, as with activations in their arena.
        let source = Source::new(&all[2..6]);
        // SAFETY: every access is inside `all`.
        let inside = unsafe { source.add(4).read(0) as usize - source.read(4) as usize };
        assert_eq!(inside, 16);
        let notices = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
        // SAFETY: as above; the check panics before anything is read.
        assert!(notices(&|| _ = unsafe { source.read(5) }));
        // SAFETY: as above.
        assert!(notices(&|| _ = unsafe { source.get(4) }));
        // SAFETY: as above.
        assert!(notices(&|| _ = unsafe { source.add(5) }));
    }
}
