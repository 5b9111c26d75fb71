//! Limits on memory and work of an import. A file of a kilobyte can ask for terabytes, and for hours of work before
//! there is an image. The limits grow with the file, since its own weights have to be moved. `docs/models.md` states
//! them.

/// Bytes of constants that may be computed beforehand and kept, whatever the file's size.
const FREE_BYTES: usize = 128 << 20;

/// More of them for each byte of the file: weights that are stored as 8 bits, turned and turned again.
const BYTES_A_BYTE: usize = 8;

/// Steps (products, or values read and written) that may be spent on them, whatever the file's size.
const FREE_STEPS: u64 = 1 << 27;

/// More of them for each byte of the file.
const STEPS_A_BYTE: u64 = 16;

/// What constants may take in all, the file's own included, where addresses have 32 bits.
const ALL_BYTES_32: usize = 2 << 30;

/// No constant computed beforehand may have more elements, unless the file itself has as many.
const FREE_ELEMENTS: usize = 1 << 24;

/// What activations may take at one time for each byte of the image, within the two limits below.
const ACTIVATIONS_A_BYTE: usize = 128;
const LEAST_ACTIVATIONS: usize = 256 << 20;
const MOST_ACTIVATIONS: usize = 1 << 30;

/// No file may have more nodes.
pub(super) const MAX_NODES: usize = 1 << 16;

/// What is known of one import: what it may take and what it has taken.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    file: usize,
    /// Bytes of computed constants that are kept.
    kept: usize,
    steps: u64,
}

impl Budget {
    /// The budget of a file of so many bytes.
    pub fn new(file: usize) -> Self {
        Self { file, kept: 0, steps: 0 }
    }

    /// The same, with what is kept already and all steps still to spend: for the next image size.
    pub fn renewed(&self) -> Self {
        Self { steps: 0, ..self.clone() }
    }

    /// Spends steps, before they are taken.
    ///
    /// # Errors
    /// Says in words that they are too many.
    pub fn spend(&mut self, steps: u64) -> Result<(), String> {
        let limit = FREE_STEPS.saturating_add(STEPS_A_BYTE.saturating_mul(self.file as u64));
        self.steps = self.steps.saturating_add(steps);
        match self.steps <= limit {
            true => Ok(()),
            false => Err(format!(
                "with it, computing what does not depend on the image takes more than {} million steps, the limit for this file",
                limit / 1_000_000
            )),
        }
    }

    /// Keeps a computed constant of so many bytes.
    ///
    /// # Errors
    /// Says in words that it is too much.
    pub fn keep(&mut self, bytes: usize) -> Result<(), String> {
        let limit = FREE_BYTES.saturating_add(BYTES_A_BYTE.saturating_mul(self.file));
        self.kept = self.kept.saturating_add(bytes);
        let in_32_bits = cfg!(target_pointer_width = "32") && self.kept.saturating_add(self.file) > ALL_BYTES_32;
        match self.kept <= limit && !in_32_bits {
            true => Ok(()),
            false => Err(format!(
                "with it, constants that are computed beforehand take more than {} MB, the limit for this file",
                limit.min(ALL_BYTES_32) >> 20
            )),
        }
    }

    /// Gives a constant's bytes back.
    pub fn give_back(&mut self, bytes: usize) {
        self.kept = self.kept.saturating_sub(bytes);
    }

    /// The most elements of one constant that is computed beforehand.
    pub fn elements(&self) -> usize {
        FREE_ELEMENTS.max(self.file)
    }
}

/// The bytes that activations may take at one time, for an image of so many bytes.
pub(super) fn activations(image: usize) -> usize {
    image.saturating_mul(ACTIVATIONS_A_BYTE).clamp(LEAST_ACTIVATIONS, MOST_ACTIVATIONS)
}
