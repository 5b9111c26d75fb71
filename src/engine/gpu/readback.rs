//! Mapping a buffer as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::device::{Device, failed};
use crate::error::{Error, Result};

#[derive(Default)]
struct Mapping {
    done: Option<Result<(), wgpu::BufferAsyncError>>,
    waker: Option<Waker>,
}

struct Mapped(Arc<Mutex<Mapping>>);

impl Future for Mapped {
    type Output = Result<(), wgpu::BufferAsyncError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut mapping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match mapping.done.take() {
            Some(result) => Poll::Ready(result),
            None => {
                mapping.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The first `bytes` of a buffer with `MAP_READ`, once all that was submitted before is done.
///
/// # Errors
/// [`crate::Error::GpuLost`], [`crate::Error::Engine`].
pub(super) async fn read_floats(device: &Device, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<f32>> {
    let state = Arc::new(Mutex::new(Mapping::default()));
    let callback = state.clone();
    buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
        let mut mapping = callback.lock().unwrap_or_else(PoisonError::into_inner);
        mapping.done = Some(result);
        if let Some(waker) = mapping.waker.take() {
            waker.wake();
        }
    });
    // Natively nothing drives the device but this; in a browser it does nothing and the event loop does.
    if let Err(e) = device.device.poll(wgpu::PollType::wait_indefinitely()) {
        device.check()?;
        return Err(failed(format!("waiting for the GPU: {e}")));
    }
    let mapped = Mapped(state).await;
    // A lost device or an error of what was submitted also fails the mapping: those are the better messages.
    device.check()?;
    // Nothing else fails the mapping of a buffer that was made for it: the news of the loss is still under way.
    mapped.map_err(|e| Error::GpuLost { reason: format!("reading results back: {e}") })?;
    let view = buffer.get_mapped_range(..bytes).map_err(|e| failed(format!("reading results back: {e}")))?;
    let values = view.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    drop(view);
    buffer.unmap();
    Ok(values)
}
